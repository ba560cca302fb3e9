"""Arithmetic on two operands, with broadcasting: the operators, powers, maxima, choices.

Each Op takes arrays or plain numbers a and b. Its gradient is that of the elements, added up over whatever was
broadcast (`sum_to`).
"""

from __future__ import annotations

import builtins
import cmath
import functools
import math
from typing import Any

from ..autograd import Op, Tensor
from ..backend.dtypes import get_default_dtype, promote_types
from .broadcast import cast, check_broadcast, operands, result_type, scalar_of, shape_of, sum_to
from .registry import Make, Sample, add_method, op

__all__ = [
    "add",
    "clamp",
    "div",
    "floor_divide",
    "lerp",
    "maximum",
    "minimum",
    "mul",
    "pow",
    "remainder",
    "sub",
    "where",
]


class Add(Op):
    """a + b."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        return ctx.backend.add(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        to_a, to_b = ctx.needs_input_grad
        return sum_to(g, ctx.shapes[0]) if to_a else None, sum_to(g, ctx.shapes[1]) if to_b else None


class Sub(Op):
    """a - b."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        return ctx.backend.subtract(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        to_a, to_b = ctx.needs_input_grad
        return sum_to(g, ctx.shapes[0]) if to_a else None, sum_to(-g, ctx.shapes[1]) if to_b else None


class Mul(Op):
    """a * b; da = g * b, db = g * a."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        _save(ctx, a if ctx.needs_input_grad[1] else None, b if ctx.needs_input_grad[0] else None)
        return ctx.backend.multiply(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = _saved(ctx)
        to_a, to_b = ctx.needs_input_grad
        return sum_to(g * b, ctx.shapes[0]) if to_a else None, sum_to(g * a, ctx.shapes[1]) if to_b else None


class Div(Op):
    """a / b; da = g / b, db = -g * a / b^2."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        _save(ctx, a if ctx.needs_input_grad[1] else None, b)
        return ctx.backend.divide(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = _saved(ctx)
        to_a, to_b = ctx.needs_input_grad
        g_b = sum_to(-g * a / (b * b), ctx.shapes[1]) if to_b else None
        return sum_to(g / b, ctx.shapes[0]) if to_a else None, g_b


class Pow(Op):
    """a^b; da = g * b * a^(b - 1), db = g * a^b * log(a), where 0^0 has the gradient 0 for both."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        _save(ctx, a, b)
        return ctx.backend.power(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = _saved(ctx)
        g_a = g_b = None
        if ctx.needs_input_grad[0]:
            if isinstance(b, Tensor):  # where b is 0 the slope is 0, though a^(b - 1) may be infinite
                is_zero = b == 0
                slope = where(is_zero, 0.0, b * a ** where(is_zero, 1.0, b - 1))
                g_a = sum_to(g * slope, ctx.shapes[0])
            else:
                g_a = g * (b * a ** (b - 1)) if b else g * 0.0
        if ctx.needs_input_grad[1]:
            safe = where(a == 0, 1.0, a) if isinstance(a, Tensor) else (a or 1.0)
            log = safe.log() if isinstance(safe, Tensor) else _log_of_number(safe)
            g_b = sum_to(g * (a**b) * log, ctx.shapes[1])
        return g_a, g_b


class Extremum(Op):
    """max(a, b) or min(a, b); the gradient goes to the chosen one, half to each where they are equal. NaN stays, and
    its gradient goes to both."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, name: str) -> Any:
        ctx.shapes = a.shape, b.shape
        be = ctx.backend
        under, over = (be.less, be.greater) if name == "maximum" else (be.greater, be.less)
        half = 0.5 * be.equal(a, b)
        ctx.save_for_backward(1 - under(a, b) - half, 1 - over(a, b) - half)
        return getattr(be, name)(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        of_a, of_b = (cast(share, g.dtype) for share in ctx.saved_tensors)
        to_a, to_b, _ = ctx.needs_input_grad
        g_a = sum_to(g * of_a, ctx.shapes[0]) if to_a else None
        return g_a, sum_to(g * of_b, ctx.shapes[1]) if to_b else None, None


class Remainder(Op):
    """a - floor(a / b) * b, which has the sign of b; da = g, db = -g * floor(a / b)."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(ctx.backend.floor_divide(a, b))
        return ctx.backend.remainder(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        to_a, to_b = ctx.needs_input_grad
        g_b = sum_to(-g * ctx.saved_tensors[0], ctx.shapes[1]) if to_b else None
        return sum_to(g, ctx.shapes[0]) if to_a else None, g_b


class Where(Op):
    """a where the condition holds, else b; the gradient goes where the value came from."""

    @staticmethod
    def forward(ctx: Any, condition: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        ctx.save_for_backward(condition)
        return ctx.backend.where(condition, a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (condition,) = ctx.saved_tensors
        _, to_a, to_b = ctx.needs_input_grad
        g_a = sum_to(where(condition, g, 0.0), ctx.shapes[0]) if to_a else None
        return None, g_a, sum_to(where(condition, 0.0, g), ctx.shapes[1]) if to_b else None


class Clamp(Op):
    """x held between two numbers; the gradient passes where x is inside, the bounds included."""

    @staticmethod
    def forward(ctx: Any, x: Any, low: float | None, high: float | None) -> Any:
        be = ctx.backend
        y = x if low is None else be.maximum(x, be.asarray(low, dtype=x.dtype))
        y = y if high is None else be.minimum(y, be.asarray(high, dtype=x.dtype))
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(be.equal(x, y))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (inside,) = ctx.saved_tensors
        return where(inside, g, 0.0), None, None


def _save(ctx: Any, a: Any, b: Any) -> None:
    """Keep two operands, of which one may be a plain number."""
    ctx.numbers = tuple(x if isinstance(x, builtins.bool | int | float | complex) else None for x in (a, b))
    ctx.save_for_backward(*(x if n is None else None for x, n in zip((a, b), ctx.numbers, strict=True)))


def _saved(ctx: Any) -> tuple[Any, Any]:
    a, b = (x if n is None else n for x, n in zip(ctx.saved_tensors, ctx.numbers, strict=True))
    return a, b


def _log_of_number(x: complex) -> complex:
    if isinstance(x, complex):
        return cmath.log(x)
    return math.log(x) if x > 0 else math.nan


def _pairs(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), make(2, 3)),
        make.sample(make(2, 3), make(3)),
        make.sample(make(2, 1), make(1, 3)),
        make.sample(make(4), 2.5),
        make.sample(make(), make(3)),
    ]


def _positive_pairs(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), make.positive(2, 3)),
        make.sample(make(2, 3), make.positive(3)),
        make.sample(make(4), 2.5),
    ]


def times(name: str, input: Any, other: Any, alpha: float) -> Any:
    """alpha * other, in the dtype of the result."""
    if alpha == 1:
        return other
    kind = result_type(_known(input), _known(other))
    if kind.category < 2 and isinstance(alpha, float):
        raise RuntimeError(f"{name}: alpha must be whole for operands that are, got {alpha}")
    scaled = cast(other, kind) * alpha if isinstance(other, Tensor) else other * alpha
    if kind.category:
        return scaled
    return cast(scaled, kind) if isinstance(scaled, Tensor) else bool(scaled)


@op(_pairs, analytic=True, method=("add", "__add__", "__radd__"))
def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input + alpha * other, with broadcasting.

    Raises:
        RuntimeError: if alpha is not whole though both operands are.

    Example:
        >>> import tinycnn
        >>> tinycnn.add(tinycnn.tensor([1.0, 2.0]), 10, alpha=2)
        tensor([21., 22.])
    """
    a, b = operands("add", input, times("add", input, other, alpha))
    return Add.apply(a, b)


@op(_pairs, analytic=True, method=("sub", "subtract", "__sub__"))
def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input - alpha * other, with broadcasting.

    Raises:
        RuntimeError: if alpha is not whole though both operands are.

    Example:
        >>> import tinycnn
        >>> 10 - tinycnn.tensor([1.0, 2.0])
        tensor([9., 8.])
    """
    a, b = operands("sub", input, times("sub", input, other, alpha))
    return Sub.apply(a, b)


@op(_pairs, analytic=True, method=("mul", "multiply", "__mul__", "__rmul__"))
def mul(input: Any, other: Any) -> Tensor:
    """input * other, element by element, with broadcasting.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0], [2.0]]) * tinycnn.tensor([3.0, 4.0])
        tensor([[3., 4.],
                [6., 8.]])
    """
    a, b = operands("mul", input, other)
    return Mul.apply(a, b)


def _quotients(make: Make) -> list[Sample]:
    # Halves of (k + 1/2) / 2 plus or minus 1/16 lie a quarter and more from the next whole number.
    modes = [make.sample(make.apart(6, gap=0.25), 0.5, rounding_mode=mode) for mode in ("floor", "trunc")]
    return [*_positive_pairs(make), *modes]


@op(
    _quotients,
    analytic=False,
    method=("div", "divide", "true_divide", "__truediv__"),
    kinks="whole quotients, with a rounding_mode",
)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, with broadcasting; integers give floating numbers.

    Args:
        rounding_mode: None, "floor" (toward minus infinity) or "trunc" (toward zero): these have the gradient 0.

    Raises:
        ValueError: if the rounding mode is none of these.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 3]) / 2
        tensor([0.5000, 1.5000])
    """
    if rounding_mode not in (None, "floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    if rounding_mode is not None:
        return DivideWhole.apply(*_divisible("div", input, other), rounding_mode)
    kind = result_type(input, _known(other))
    a, b = operands("div", input, other, None if kind.category >= 2 else get_default_dtype())
    return Div.apply(a, b)


def _known(x: Any) -> Any:
    """x as result_type wants it: a tensor or a plain number."""
    return x if isinstance(x, Tensor) else scalar_of(x)


@op(
    lambda make: [
        make.sample(make.positive(2, 3), make(2, 3)),
        make.sample(make.positive(2, 3), make(3)),
        make.sample(make(4), 3),
        make.sample(make(4), 2.0),
        make.sample(make(4), 0),
        make.sample(make.positive(4), -0.5),
        make.sample(2.5, make(3)),
    ],
    analytic=True,
    method=("pow", "__pow__"),
)
def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent, with broadcasting; either may be a number.

    Raises:
        RuntimeError: if integers are raised to a negative integer.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1.0, 2.0, 3.0]) ** 2
        tensor([1., 4., 9.])
    """
    a, b = operands("pow", input, exponent)
    base = a.array if isinstance(a, Tensor) else None
    if base is not None and base.dtype.kind in "iu":
        negative = (b.array < 0).any() if isinstance(b, Tensor) else exponent < 0
        if negative:
            raise RuntimeError("pow: integers to negative integer powers are not allowed; make the base floating")
    if base is not None and base.dtype.kind == "b" and isinstance(b, bool):
        return a | (not b)
    return Pow.apply(a, b)


def _ordered_pairs(make: Make) -> list[Sample]:
    x = make.apart(2, 2, 3)
    a, b = x[0].detach().requires_grad_(), x[1].detach().requires_grad_()
    return [make.sample(a, b), make.sample(make.apart(2, 3), make.apart(3, gap=0.033))]


@op(_ordered_pairs, kinks="ties")
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The greater of input and other, element by element; NaN if either is.

    Example:
        >>> import tinycnn
        >>> tinycnn.maximum(tinycnn.tensor([1.0, 5.0]), tinycnn.tensor([3.0, 2.0]))
        tensor([3., 5.])
    """
    return Extremum.apply(*_two_tensors("maximum", input, other), "maximum")


@op(_ordered_pairs, kinks="ties")
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of input and other, element by element; NaN if either is.

    Example:
        >>> import tinycnn
        >>> tinycnn.minimum(tinycnn.tensor([1.0, 5.0]), tinycnn.tensor([3.0, 2.0]))
        tensor([1., 2.])
    """
    return Extremum.apply(*_two_tensors("minimum", input, other), "minimum")


def _two_tensors(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        raise TypeError(f"{name}: expected two tensors, got {type(a).__name__} and {type(b).__name__}; see clamp")
    return operands(name, a, b)


@op(lambda make: [make.sample(make(3, 2), 2.0), make.sample(make(3), make(3))], differentiable=False)
def floor_divide(input: Any, other: Any) -> Tensor:
    """floor(input / other), with broadcasting; it has no gradient.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([7, -7]) // 2
        tensor([ 3, -4])
    """
    return FloorDivide.apply(*_divisible("floor_divide", input, other))


def _divisible(name: str, input: Any, other: Any) -> tuple[Any, Any]:
    """The operands of a division with a whole result.

    Raises:
        RuntimeError: if an integer is to be divided by 0.
    """
    a, b = operands(name, input, other)
    kind = (a if isinstance(a, Tensor) else b).array.dtype.kind
    if kind in "iu" and (not (b.array != 0).all() if isinstance(b, Tensor) else b == 0):
        raise RuntimeError(f"{name}: division of integers by zero")
    return a, b


class FloorDivide(Op):
    """floor(a / b), a constant for backward."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        result = ctx.backend.asarray(ctx.backend.floor_divide(a, b))
        ctx.mark_non_differentiable(result)
        return result


class DivideWhole(Op):
    """floor(a / b), or a / b cut off toward 0; both gradients are 0."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, how: str) -> Any:
        be = ctx.backend
        ctx.shapes = shape_of(a), shape_of(b)
        if how == "floor":
            return be.floor_divide(a, b)
        kind = a.dtype if hasattr(a, "dtype") else b.dtype
        return be.asarray(be.trunc(be.divide(a, b))).astype(kind, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        wanted = zip(ctx.shapes, ctx.needs_input_grad[:2], strict=True)
        return (*(g.new_zeros(shape) if needed else None for shape, needed in wanted), None)


@op(
    lambda make: [
        make.sample(make.positive(3, 2), 0.4),
        make.sample(make.positive(3, low=1.1, high=1.4), make.positive(3, low=0.45, high=0.5)),
    ],
    method=("remainder", "__mod__"),
    kinks="whole quotients",
)
def remainder(input: Any, other: Any) -> Tensor:
    """input - floor(input / other) * other: the remainder, with the sign of other.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([5, -5]) % 3
        tensor([2, 1])
    """
    a, b = _divisible("remainder", input, other)
    return Remainder.apply(a, b)


@op(
    lambda make: [
        make.sample(make.booleans(2, 3), make(2, 3), make(2, 3)),
        make.sample(make.booleans(2, 1), make(3), 0.0),
        make.sample(make.booleans(3), 1.0, make(2, 3)),
    ],
    method=False,
    analytic=True,
)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition is true, else other, with broadcasting.

    Args:
        condition: a boolean tensor.
        input, other: tensors or numbers. Without both, the places where condition is not 0: nonzero(as_tuple=True).

    Raises:
        TypeError: if condition is not boolean.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([-1.0, 2.0])
        >>> tinycnn.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    if input is None and other is None and isinstance(condition, Tensor):
        return condition.nonzero(as_tuple=True)
    if not isinstance(condition, Tensor) or condition.array.dtype.kind != "b":
        kind = condition.dtype if isinstance(condition, Tensor) else type(condition).__name__
        raise TypeError(f"where: condition must be a boolean tensor, got {kind!r}")
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        kind = result_type(scalar_of(input), scalar_of(other))
        input = _full_like(condition, input, kind)
    a, b = operands("where", input, other)
    kind = a.array.dtype if isinstance(a, Tensor) else b.array.dtype
    a, b = (x if isinstance(x, Tensor) else _full_like(condition, x, kind) for x in (a, b))
    for x in (a, b):
        check_broadcast("where", condition.array.shape, x.array.shape)
    return Where.apply(condition, a, b)


def _full_like(place: Tensor, value: Any, kind: Any) -> Tensor:
    """A number as a tensor of no dimensions, on the device of place."""
    from ..autograd import wrap

    backend, kind = place.backend, getattr(kind, "numpy", kind)
    return wrap(backend.on_device(lambda: backend.asarray(value).astype(kind)), backend)


def _where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """self where condition is true, else other."""
    return where(condition, self, other)


@op(
    lambda make: [
        make.sample(make.apart(2, 3), min=-0.2, max=0.2),
        make.sample(make.apart(4), min=0.0),
        make.sample(make.apart(4), max=0.0),
        make.sample(make.apart(3), min=make.positive(3, low=-0.04, high=-0.03)),
    ],
    method=("clamp", "clip"),
    kinks="min and max",
)
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input held between min and max (numbers or tensors); the gradient is 1 inside and on the bounds, else 0.

    Raises:
        ValueError: if neither bound is given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([-2.0, 0.5, 2.0]).clamp(-1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        bounds = [x for x in (min, max) if x is not None]
        kind = functools.reduce(promote_types, (result_type(input, x) for x in bounds))
        out = cast(input, kind)
        if min is not None:
            out = where((out < min) | (min != min), min, out)
        return out if max is None else cast(where((out > max) | (max != max), max, out), kind)
    for bound in (min, max):
        if bound is not None:
            input = cast(input, result_type(input, _known(bound)))
    return Clamp.apply(input, min, max)


@op(
    lambda make: [make.sample(make(3), make(3), 0.3), make.sample(make(3), make(3), make(3))],
    analytic=True,
)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input).

    Example:
        >>> import tinycnn
        >>> tinycnn.lerp(tinycnn.tensor([0.0]), tinycnn.tensor([10.0]), 0.25)
        tensor([2.5000])
    """
    return input + weight * (end - input)


def _reflected(function: Any) -> Any:
    def method(self: Tensor, other: Any) -> Tensor:
        return function(other, self)

    return method


add_method("__rsub__", _reflected(sub))
add_method("rsub", _reflected(sub))
add_method("__rtruediv__", _reflected(div))
add_method("__rpow__", _reflected(pow))
add_method("__rfloordiv__", _reflected(floor_divide))
add_method("__floordiv__", floor_divide)
add_method("__rmod__", _reflected(remainder))
add_method("where", _where_method)
