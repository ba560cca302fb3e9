"""Comparison and logic: questions with the answers True and False. None of these has a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Op, Tensor, wrap
from .broadcast import operands, scalar_of
from .elementwise import expect_tensor
from .registry import Make, Sample, add_method, op

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
]


class Compare(Op):
    """One of the backend's functions of two operands whose result is no number to differentiate."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, function: str) -> Any:
        return getattr(ctx.backend, function)(a, b)


class Invert(Op):
    """Not: of booleans, or of every bit of an integer."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: str) -> Any:
        return getattr(ctx.backend, function)(x)


class IsClose(Op):
    """|a - b| <= atol + rtol * |b|; infinities are close to themselves, NaN to NaN if wanted."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
        be = ctx.backend
        if a.dtype.kind in "biu":
            a, b = a.astype("float64"), b.astype("float64")
        same = be.equal(a, b)
        if equal_nan:
            same = same | (be.isnan(a) & be.isnan(b))
        finite = be.isfinite(a) & be.isfinite(b)
        a, b = be.where(finite, a, 0), be.where(finite, b, 0)
        return same | (finite & (be.abs(a - b) <= atol + rtol * be.abs(b)))


def _pairs(make: Make) -> list[Sample]:
    return [make.sample(make(2, 3), make(3)), make.sample(make.integers(3, 2, 3), make.integers(3, 2, 3))]


def _compare(function: str, name: str, input: Any, other: Any) -> Tensor:
    a, b = operands(name, input, other)
    if not isinstance(a, Tensor):
        a, b, function = b, a, _MIRRORED[function]
    return Compare.apply(a, b, function)


_MIRRORED = {
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "greater",
    "less_equal": "greater_equal",
    "greater": "less",
    "greater_equal": "less_equal",
}


@op(_pairs, differentiable=False)
def eq(input: Any, other: Any) -> Tensor:
    """Where input equals other, with broadcasting; `input == other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) == 2
        tensor([False,  True, False])
    """
    return _compare("equal", "eq", input, other)


@op(_pairs, differentiable=False, method=("ne", "not_equal"))
def ne(input: Any, other: Any) -> Tensor:
    """Where input differs from other, with broadcasting; `input != other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) != 2
        tensor([ True, False,  True])
    """
    return _compare("not_equal", "ne", input, other)


@op(_pairs, differentiable=False, method=("lt", "less"))
def lt(input: Any, other: Any) -> Tensor:
    """Where input is less than other, with broadcasting; `input < other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) < 2
        tensor([ True, False, False])
    """
    return _compare("less", "lt", input, other)


@op(_pairs, differentiable=False, method=("le", "less_equal"))
def le(input: Any, other: Any) -> Tensor:
    """Where input is less than or equal to other, with broadcasting; `input <= other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) <= 2
        tensor([ True,  True, False])
    """
    return _compare("less_equal", "le", input, other)


@op(_pairs, differentiable=False, method=("gt", "greater"))
def gt(input: Any, other: Any) -> Tensor:
    """Where input is greater than other, with broadcasting; `input > other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) > 2
        tensor([False, False,  True])
    """
    return _compare("greater", "gt", input, other)


@op(_pairs, differentiable=False, method=("ge", "greater_equal"))
def ge(input: Any, other: Any) -> Tensor:
    """Where input is greater than or equal to other, with broadcasting; `input >= other`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]) >= 2
        tensor([False,  True,  True])
    """
    return _compare("greater_equal", "ge", input, other)


@op(_pairs, differentiable=False)
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are true, that is not 0, with broadcasting.

    Example:
        >>> import tinycnn
        >>> tinycnn.logical_and(tinycnn.tensor([0, 1, 2]), tinycnn.tensor([True, True, False]))
        tensor([False,  True, False])
    """
    return Compare.apply(*_tensors("logical_and", input, other), "logical_and")


@op(_pairs, differentiable=False)
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where at least one is true, that is not 0, with broadcasting.

    Example:
        >>> import tinycnn
        >>> tinycnn.logical_or(tinycnn.tensor([0, 1, 0]), tinycnn.tensor([True, True, False]))
        tensor([ True,  True, False])
    """
    return Compare.apply(*_tensors("logical_or", input, other), "logical_or")


@op(_pairs, differentiable=False)
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where exactly one is true, that is not 0, with broadcasting.

    Example:
        >>> import tinycnn
        >>> tinycnn.logical_xor(tinycnn.tensor([0, 1, 0]), tinycnn.tensor([True, True, False]))
        tensor([ True, False, False])
    """
    return Compare.apply(*_tensors("logical_xor", input, other), "logical_xor")


@op(lambda make: [make.sample(make.integers(2, 2, 3)), make.sample(make(3))], differentiable=False)
def logical_not(input: Tensor) -> Tensor:
    """Where input is 0 or False.

    Example:
        >>> import tinycnn
        >>> tinycnn.logical_not(tinycnn.tensor([0, 1, 2]))
        tensor([ True, False, False])
    """
    return Invert.apply(expect_tensor("logical_not", input), "logical_not")


def _tensors(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    return operands(name, expect_tensor(name, a), expect_tensor(name, b))


def _whole(make: Make) -> list[Sample]:
    return [make.sample(make.integers(8, 2, 3), make.integers(8, 3)), make.sample(make.booleans(4), make.booleans(4))]


def _bitwise(name: str, input: Any, other: Any) -> Tensor:
    a, b = operands(name, input, other)
    kind = (a if isinstance(a, Tensor) else b).dtype
    if kind.category > 1:
        raise RuntimeError(f"{name}: expected booleans or integers, got {kind!r}")
    return Compare.apply(a, b, name)


@op(_whole, differentiable=False, method=("bitwise_and", "__and__", "__rand__"))
def bitwise_and(input: Any, other: Any) -> Tensor:
    """input & other: of booleans, or of the bits of integers, with broadcasting.

    Raises:
        RuntimeError: if one of them holds floating numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([6, 5]) & 3
        tensor([2, 1])
    """
    return _bitwise("bitwise_and", input, other)


@op(_whole, differentiable=False, method=("bitwise_or", "__or__", "__ror__"))
def bitwise_or(input: Any, other: Any) -> Tensor:
    """input | other: of booleans, or of the bits of integers, with broadcasting.

    Raises:
        RuntimeError: if one of them holds floating numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([6, 5]) | 3
        tensor([7, 7])
    """
    return _bitwise("bitwise_or", input, other)


@op(_whole, differentiable=False, method=("bitwise_xor", "__xor__", "__rxor__"))
def bitwise_xor(input: Any, other: Any) -> Tensor:
    """input ^ other: of booleans, or of the bits of integers, with broadcasting.

    Raises:
        RuntimeError: if one of them holds floating numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([6, 5]) ^ 3
        tensor([5, 6])
    """
    return _bitwise("bitwise_xor", input, other)


@op(
    lambda make: [make.sample(make.integers(8, 2, 3)), make.sample(make.booleans(4))],
    differentiable=False,
    method=("bitwise_not", "__invert__"),
)
def bitwise_not(input: Tensor) -> Tensor:
    """~input: of booleans, or of the bits of integers.

    Raises:
        RuntimeError: if input holds floating numbers.

    Example:
        >>> import tinycnn
        >>> ~tinycnn.tensor([True, False])
        tensor([False,  True])
    """
    if expect_tensor("bitwise_not", input).dtype.category > 1:
        raise RuntimeError(f"bitwise_not: expected booleans or integers, got {input.dtype!r}")
    return Invert.apply(input, "invert")


@op(lambda make: [make.sample(make(2, 3), make(3)), make.sample(make(3), make(3), rtol=0.5)], differentiable=False)
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|, with broadcasting.

    Args:
        equal_nan: whether NaN is close to NaN.

    Example:
        >>> import tinycnn
        >>> tinycnn.isclose(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.000001, 2.1]))
        tensor([ True, False])
    """
    return IsClose.apply(*_tensors("isclose", input, other), rtol, atol, equal_nan)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere, as a Python bool.

    Example:
        >>> import tinycnn
        >>> tinycnn.allclose(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.000001, 2.0]))
        True
    """
    return bool(isclose(*_tensors("allclose", input, other), rtol, atol, equal_nan).array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether input and other have one shape and the same elements, as a Python bool.

    Example:
        >>> import tinycnn
        >>> tinycnn.equal(tinycnn.tensor([1, 2]), tinycnn.tensor([1, 2]))
        True
    """
    if expect_tensor("equal", input).array.shape != expect_tensor("equal", other).array.shape:
        return False
    return bool(eq(input, other).array.all())


def _operator(function: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Any]:
    """The operator of a comparison. With other things Python decides: x == None is False."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, self.backend.array_type):
            other = wrap(other, self.backend)
        if not isinstance(other, Tensor) and scalar_of(other) is None:
            return NotImplemented
        return function(self, other)

    method.__name__ = method.__qualname__ = f"__{function.__name__}__"
    method.__doc__ = function.__doc__
    return method


greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

for _function in (eq, ne, lt, le, gt, ge):
    add_method(f"__{_function.__name__}__", _operator(_function))
add_method("allclose", allclose)
add_method("equal", equal)
