"""Functions of one operand, element by element: exp, log, sqrt, sin, abs, round and the like.

Most are a class of three lines: the backend's function, whether its slope is shortest in the input x or in the output
y, and the gradient as a formula of recorded operations, so that derivatives of any order follow.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Op, Tensor
from ..backend.dtypes import HALVES, INEXACT, float_info, get_default_dtype
from .arithmetic import where
from .broadcast import cast, operands, result_type, shape_of, sum_to, to_floating
from .registry import Make, Sample, add_method, op

__all__ = [
    "abs",
    "absolute",
    "acos",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "asin",
    "atan",
    "atan2",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan_to_num",
    "neg",
    "negative",
    "positive",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "trunc",
]


def expect_tensor(name: str, x: Any) -> Tensor:
    """x, if it is a tensor.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}; make one with tinycnn.tensor(...)")
    return x


def floating(name: str, x: Any) -> Tensor:
    """x as a tensor of floating numbers: integers and booleans become the default dtype."""
    if isinstance(x, Tensor) and x.array.dtype.char in INEXACT:
        return x
    return to_floating(expect_tensor(name, x))


class OfInput(Op):
    """y = f(x) with a gradient that is a formula of g and x."""

    function = ""  # what the backend calls f

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return getattr(ctx.backend, ctx.fn.function)(x)

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError(cls.__name__)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return (ctx.fn.gradient(g, *ctx.saved_tensors),)


class OfOutput(OfInput):
    """y = f(x) with a gradient that is a formula of g and y."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = ctx.backend.asarray(getattr(ctx.backend, ctx.fn.function)(x))
        ctx.save_for_backward(y)
        return y


class Exp(OfOutput):
    """y = e^x; dx = g * y."""

    function = "exp"

    @classmethod
    def gradient(cls, g: Tensor, y: Tensor) -> Tensor:
        return g * y


class Expm1(OfOutput):
    """y = e^x - 1; dx = g * (y + 1)."""

    function = "expm1"

    @classmethod
    def gradient(cls, g: Tensor, y: Tensor) -> Tensor:
        return g * (y + 1)


class Log(OfInput):
    """log(x); dx = g / x."""

    function = "log"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g / x


class Log2(OfInput):
    """log(x) / log(2); dx = g / (x * log(2))."""

    function = "log2"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g / (x * math.log(2))


class Log10(OfInput):
    """log(x) / log(10); dx = g / (x * log(10))."""

    function = "log10"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g / (x * math.log(10))


class Log1p(OfInput):
    """log(1 + x), exact for small x; dx = g / (x + 1)."""

    function = "log1p"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g / (x + 1)


class Sqrt(OfOutput):
    """y = x^(1/2); dx = g / (2 * y)."""

    function = "sqrt"

    @classmethod
    def gradient(cls, g: Tensor, y: Tensor) -> Tensor:
        return g / (y * 2)


class Rsqrt(Op):
    """y = x^(-1/2); dx = -g * y^3 / 2."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = ctx.backend.asarray(ctx.backend.reciprocal(ctx.backend.sqrt(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (y,) = ctx.saved_tensors
        return (g * (y * y * y) * -0.5,)


class Square(OfInput):
    """x^2; dx = 2 * g * x."""

    function = "square"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * (x * 2)


class Reciprocal(OfOutput):
    """y = 1 / x; dx = -g * y^2."""

    function = "reciprocal"

    @classmethod
    def gradient(cls, g: Tensor, y: Tensor) -> Tensor:
        return -g * (y * y)


class Neg(Op):
    """-x; dx = -g."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return ctx.backend.negative(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return (Neg.apply(g),)


class Abs(OfInput):
    """|x|; dx = g * sign(x), which is 0 at 0."""

    function = "abs"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * sign(x)


class Sin(OfInput):
    """sin(x); dx = g * cos(x)."""

    function = "sin"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * cos(x)


class Cos(OfInput):
    """cos(x); dx = -g * sin(x)."""

    function = "cos"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return -g * sin(x)


class Tan(OfOutput):
    """y = tan(x); dx = g * (1 + y^2)."""

    function = "tan"

    @classmethod
    def gradient(cls, g: Tensor, y: Tensor) -> Tensor:
        return g * (1 + y * y)


class Asin(OfInput):
    """The angle in [-pi/2, pi/2] whose sine is x; dx = g / sqrt(1 - x^2)."""

    function = "arcsin"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * rsqrt(1 - x * x)


class Acos(OfInput):
    """The angle in [0, pi] whose cosine is x; dx = -g / sqrt(1 - x^2)."""

    function = "arccos"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return -g * rsqrt(1 - x * x)


class Atan(OfInput):
    """The angle in (-pi/2, pi/2) whose tangent is x; dx = g / (1 + x^2)."""

    function = "arctan"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g / (1 + x * x)


class Atan2(Op):
    """The angle of the point (b, a); da = g * b / (a^2 + b^2), db = -g * a / (a^2 + b^2)."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.shapes = shape_of(a), shape_of(b)
        ctx.save_for_backward(a, b)
        return ctx.backend.arctan2(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = ctx.saved_tensors
        to_a, to_b = ctx.needs_input_grad
        scaled = g / (a * a + b * b)
        g_a = sum_to(scaled * b, ctx.shapes[0]) if to_a else None
        return g_a, sum_to(-scaled * a, ctx.shapes[1]) if to_b else None


class Sinh(OfInput):
    """(e^x - e^-x) / 2; dx = g * cosh(x)."""

    function = "sinh"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * cosh(x)


class Cosh(OfInput):
    """(e^x + e^-x) / 2; dx = g * sinh(x)."""

    function = "cosh"

    @classmethod
    def gradient(cls, g: Tensor, x: Tensor) -> Tensor:
        return g * sinh(x)


class Erf(Op):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x; dx = g * 2 / sqrt(pi) * e^(-x^2)."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return ctx.backend.asarray(ctx.backend.scipy_special("erf")(x), dtype=x.dtype)  # float16 comes back as float32

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        return (g * (exp(-x * x) * (2 / math.sqrt(math.pi))),)


class Step(Op):
    """A function that is constant between its jumps (floor, round, sign); its gradient is 0 everywhere."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: str) -> Any:
        return getattr(ctx.backend, function)(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Step.apply(g, "zeros_like"), None  # zero is such a function too, with zeros for every derivative


class Sign(Op):
    """-1, 0 or 1; of NaN it is 0, as PyTorch's is."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = ctx.backend.sign(x)
        return y if x.dtype.kind in "iu" else ctx.backend.where(y == y, y, ctx.backend.zeros((), y.dtype))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return (Step.apply(g, "zeros_like"),)


class Predicate(Op):
    """A question about every element, answered with True or False; it has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: str) -> Any:
        return getattr(ctx.backend, function)(x)


def _any_sign(make: Make) -> list[Sample]:
    return [make.sample(make(2, 3)), make.sample(make()), make.sample(make(3, 0))]


def _only_positive(make: Make) -> list[Sample]:
    return [make.sample(make.positive(2, 3)), make.sample(make.positive())]


def _inside_one(make: Make) -> list[Sample]:
    return [make.sample(make.positive(2, 3, low=-0.9, high=0.9)), make.sample(make.positive(low=-0.9, high=0.9))]


def _off_the_jumps(make: Make) -> list[Sample]:
    """Numbers in (0.1, 0.4) and (1.6, 1.9) and their opposites: next to no whole and no half number."""
    low, high = make.positive(3, low=0.1, high=0.4), make.positive(3, low=-1.9, high=-1.6)
    return [make.sample(low), make.sample(high)]


@op(_any_sign, linear=True, method=("neg", "negative", "__neg__"))
def neg(input: Tensor) -> Tensor:
    """-input.

    Raises:
        RuntimeError: if input is boolean.

    Example:
        >>> import tinycnn
        >>> -tinycnn.tensor([1.0, -2.0])
        tensor([-1.,  2.])
    """
    if expect_tensor("neg", input).array.dtype.kind == "b":
        raise RuntimeError("neg: a boolean tensor has no negative; use ~ or logical_not()")
    return Neg.apply(input)


def positive(input: Tensor) -> Tensor:
    """input itself, what `+x` gives.

    Raises:
        RuntimeError: if input is boolean.
    """
    if expect_tensor("positive", input).array.dtype.kind == "b":
        raise RuntimeError("positive: a boolean tensor has no sign")
    return input


@op(_any_sign, analytic=True)
def exp(input: Tensor) -> Tensor:
    """e to the power of input.

    Example:
        >>> import tinycnn
        >>> tinycnn.exp(tinycnn.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return Exp.apply(floating("exp", input))


@op(_any_sign, analytic=True)
def expm1(input: Tensor) -> Tensor:
    """e^input - 1, exact near 0 too.

    Example:
        >>> import tinycnn
        >>> tinycnn.expm1(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183])
    """
    return Expm1.apply(floating("expm1", input))


@op(_only_positive, analytic=True)
def log(input: Tensor) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below.

    Example:
        >>> import tinycnn
        >>> tinycnn.log(tinycnn.tensor([1.0, 10.0]))
        tensor([0.0000, 2.3026])
    """
    return Log.apply(floating("log", input))


@op(_only_positive, analytic=True)
def log2(input: Tensor) -> Tensor:
    """The logarithm to the base 2.

    Example:
        >>> import tinycnn
        >>> tinycnn.log2(tinycnn.tensor([1.0, 3.0]))
        tensor([0.0000, 1.5850])
    """
    return Log2.apply(floating("log2", input))


@op(_only_positive, analytic=True)
def log10(input: Tensor) -> Tensor:
    """The logarithm to the base 10.

    Example:
        >>> import tinycnn
        >>> tinycnn.log10(tinycnn.tensor([1.0, 2.0]))
        tensor([0.0000, 0.3010])
    """
    return Log10.apply(floating("log10", input))


@op(_only_positive, analytic=True)
def log1p(input: Tensor) -> Tensor:
    """log(1 + input), exact near 0 too.

    Example:
        >>> import tinycnn
        >>> tinycnn.log1p(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return Log1p.apply(floating("log1p", input))


@op(_only_positive, analytic=True)
def sqrt(input: Tensor) -> Tensor:
    """The square root; NaN below 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.sqrt(tinycnn.tensor([4.0, 9.0]))
        tensor([2., 3.])
    """
    return Sqrt.apply(floating("sqrt", input))


@op(_only_positive, analytic=True)
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input).

    Example:
        >>> import tinycnn
        >>> tinycnn.rsqrt(tinycnn.tensor([4.0, 16.0]))
        tensor([0.5000, 0.2500])
    """
    return Rsqrt.apply(floating("rsqrt", input))


@op(_any_sign, analytic=True)
def square(input: Tensor) -> Tensor:
    """input * input.

    Example:
        >>> import tinycnn
        >>> tinycnn.square(tinycnn.tensor([2, -3]))
        tensor([4, 9])
    """
    if expect_tensor("square", input).array.dtype.kind == "b":
        return input * 1
    return Square.apply(input)


@op(_only_positive, analytic=True)
def reciprocal(input: Tensor) -> Tensor:
    """1 / input.

    Example:
        >>> import tinycnn
        >>> tinycnn.reciprocal(tinycnn.tensor([2, 4]))
        tensor([0.5000, 0.2500])
    """
    return Reciprocal.apply(floating("reciprocal", input))


@op(
    lambda make: [make.sample(make.apart(2, 3)), make.sample(make.apart())],
    method=("abs", "absolute", "__abs__"),
    kinks="0",
)
def abs(input: Tensor) -> Tensor:
    """The absolute value; its gradient at 0 is 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.abs(tinycnn.tensor([-1.5, 2.0]))
        tensor([1.5000, 2.0000])
    """
    return Abs.apply(expect_tensor("abs", input))


@op(lambda make: [make.sample(make.apart(2, 3)), make.sample(make.apart())], kinks="0")
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 as input is below, at or above 0 (or NaN: 0); its gradient is 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.sign(tinycnn.tensor([-1.5, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """
    if expect_tensor("sign", input).array.dtype.kind == "b":
        return Step.apply(input, "copy")
    return Sign.apply(input)


@op(_any_sign, analytic=True)
def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians.

    Example:
        >>> import tinycnn
        >>> tinycnn.sin(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8415])
    """
    return Sin.apply(floating("sin", input))


@op(_any_sign, analytic=True)
def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians.

    Example:
        >>> import tinycnn
        >>> tinycnn.cos(tinycnn.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """
    return Cos.apply(floating("cos", input))


@op(_inside_one, analytic=True)
def tan(input: Tensor) -> Tensor:
    """The tangent of an angle in radians.

    Example:
        >>> import tinycnn
        >>> tinycnn.tan(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5574])
    """
    return Tan.apply(floating("tan", input))


@op(_inside_one, analytic=True, method=("asin", "arcsin"))
def asin(input: Tensor) -> Tensor:
    """The angle in [-pi/2, pi/2] whose sine is input; NaN outside [-1, 1].

    Example:
        >>> import tinycnn
        >>> tinycnn.asin(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 1.5708])
    """
    return Asin.apply(floating("asin", input))


@op(_inside_one, analytic=True, method=("acos", "arccos"))
def acos(input: Tensor) -> Tensor:
    """The angle in [0, pi] whose cosine is input; NaN outside [-1, 1].

    Example:
        >>> import tinycnn
        >>> tinycnn.acos(tinycnn.tensor([1.0, 0.0]))
        tensor([0.0000, 1.5708])
    """
    return Acos.apply(floating("acos", input))


@op(_any_sign, analytic=True, method=("atan", "arctan"))
def atan(input: Tensor) -> Tensor:
    """The angle in (-pi/2, pi/2) whose tangent is input.

    Example:
        >>> import tinycnn
        >>> tinycnn.atan(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7854])
    """
    return Atan.apply(floating("atan", input))


@op(
    lambda make: [
        make.sample(make(2, 3), make.positive(2, 3)),
        make.sample(make.positive(2, 1), make(3)),
    ],
    method=("atan2", "arctan2"),
    kinks="input 0 where other is not positive",
)
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle in (-pi, pi] of the point with abscissa other and ordinate input, with broadcasting.

    Raises:
        ValueError: if the shapes do not broadcast.

    Example:
        >>> import tinycnn
        >>> tinycnn.atan2(tinycnn.tensor([1.0, -1.0]), tinycnn.tensor([1.0, -1.0]))
        tensor([ 0.7854, -2.3562])
    """
    common = result_type(expect_tensor("atan2", input), expect_tensor("atan2", other))
    a, b = operands("atan2", input, other, common if common.category >= 2 else get_default_dtype())
    return Atan2.apply(a, b)


@op(_any_sign, analytic=True)
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine.

    Example:
        >>> import tinycnn
        >>> tinycnn.sinh(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 1.1752])
    """
    return Sinh.apply(floating("sinh", input))


@op(_any_sign, analytic=True)
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine.

    Example:
        >>> import tinycnn
        >>> tinycnn.cosh(tinycnn.tensor([0.0, 1.0]))
        tensor([1.0000, 1.5431])
    """
    return Cosh.apply(floating("cosh", input))


@op(_any_sign, analytic=True)
def erf(input: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to input.

    Example:
        >>> import tinycnn
        >>> tinycnn.erf(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8427])
    """
    return Erf.apply(floating("erf", input))


def _to_whole(name: str, input: Tensor, function: str) -> Tensor:
    """Apply a rounding function; whole numbers stay as they are."""
    if expect_tensor(name, input).array.dtype.kind == "b":
        raise RuntimeError(f"{name}: a boolean tensor has nothing to round")
    is_whole = input.array.dtype.kind in "iu"
    return Step.apply(input, "copy" if is_whole else function)


@op(_off_the_jumps, kinks="whole numbers")
def floor(input: Tensor) -> Tensor:
    """The greatest whole number that is not above input; its gradient is 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.floor(tinycnn.tensor([1.7, -1.2]))
        tensor([ 1., -2.])
    """
    return _to_whole("floor", input, "floor")


@op(_off_the_jumps, kinks="whole numbers")
def ceil(input: Tensor) -> Tensor:
    """The smallest whole number that is not below input; its gradient is 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.ceil(tinycnn.tensor([1.2, -1.7]))
        tensor([ 2., -1.])
    """
    return _to_whole("ceil", input, "ceil")


@op(_off_the_jumps, kinks="whole numbers")
def trunc(input: Tensor) -> Tensor:
    """input without its fraction; its gradient is 0.

    Example:
        >>> import tinycnn
        >>> tinycnn.trunc(tinycnn.tensor([1.7, -1.7]))
        tensor([ 1., -1.])
    """
    return _to_whole("trunc", input, "trunc")


@op(_off_the_jumps, kinks="halves of the last place kept")
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, halves to the even one; its gradient is 0.

    Args:
        decimals: round to so many places after the point; below 0, before it.

    Example:
        >>> import tinycnn
        >>> tinycnn.round(tinycnn.tensor([0.5, 1.5, -1.7]))
        tensor([ 0.,  2., -2.])
        >>> tinycnn.round(tinycnn.tensor([1.256]), decimals=2)
        tensor([1.2600])
    """
    if decimals == 0 or expect_tensor("round", input).array.dtype.kind in "biu":
        return _to_whole("round", input, "rint")
    if input.array.dtype.char in HALVES:  # too few digits to round the product before it is rounded
        return cast(round(input.float(), decimals=decimals), input.dtype)
    scale = 10.0**decimals
    return _to_whole("round", input * scale, "rint") / scale


@op(_any_sign, differentiable=False)
def isnan(input: Tensor) -> Tensor:
    """Where input is not a number.

    Example:
        >>> import tinycnn
        >>> tinycnn.isnan(tinycnn.tensor([1.0, float("nan")]))
        tensor([False,  True])
    """
    return Predicate.apply(expect_tensor("isnan", input), "isnan")


@op(_any_sign, differentiable=False)
def isinf(input: Tensor) -> Tensor:
    """Where input is infinite, of either sign.

    Example:
        >>> import tinycnn
        >>> tinycnn.isinf(tinycnn.tensor([1.0, float("-inf")]))
        tensor([False,  True])
    """
    return Predicate.apply(expect_tensor("isinf", input), "isinf")


@op(_any_sign, differentiable=False)
def isfinite(input: Tensor) -> Tensor:
    """Where input is neither infinite nor NaN.

    Example:
        >>> import tinycnn
        >>> tinycnn.isfinite(tinycnn.tensor([1.0, float("inf")]))
        tensor([ True, False])
    """
    return Predicate.apply(expect_tensor("isfinite", input), "isfinite")


@op(_any_sign, analytic=True)
def nan_to_num(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """input with what is not finite replaced; the gradient there is 0.

    Args:
        nan: what to put for NaN.
        posinf, neginf: what to put for the infinities; by default the greatest and the lowest number of the dtype.

    Example:
        >>> import tinycnn
        >>> tinycnn.nan_to_num(tinycnn.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
        tensor([1., 0., 9.])
    """
    if expect_tensor("nan_to_num", input).array.dtype.kind in "biu":
        return Step.apply(input, "copy")
    limits = float_info(input.dtype)
    nan = 0.0 if nan is None else nan
    highest = float(limits.max) if posinf is None else posinf
    lowest = float(limits.min) if neginf is None else neginf
    is_high, is_low = input == math.inf, input == -math.inf
    return where(is_high, highest, where(is_low, lowest, where(isnan(input), nan, input)))


absolute, negative = abs, neg
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2

add_method("positive", positive)
add_method("__pos__", positive)
