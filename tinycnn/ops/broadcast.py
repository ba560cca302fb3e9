"""Broadcasting and dtypes: how two operands meet, and how a gradient comes back to the shape it started from."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from ..autograd import Op, Tensor
from ..backend.dtypes import (
    INEXACT,
    bool_,
    complex64,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from .registry import add_method, op

__all__ = ["expand", "expand_as", "result_type"]


WIDER = {"e": "float32", "E": "float32", "f": "float64", "F": "complex128"}


def add_up(backend: Any, x: Any, axes: tuple[int, ...], keepdim: bool = False) -> Any:
    """The sum of an array, in the next wider format: float32 additions of many numbers would drift from the truth."""
    return backend.sum(x, axis=axes, keepdims=keepdim, dtype=WIDER.get(x.dtype.char, x.dtype))


class Expand(Op):
    """x repeated along new dimensions and along those of size 1; the gradient adds the repetitions up."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        out = ctx.backend.broadcast_to(x, shape)
        return x.reshape(shape) if out.size == x.size else out  # where nothing is repeated it may be written to

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return SumTo.apply(g, ctx.shape), None


class SumTo(Op):
    """x added up to a shape that broadcasts to its own: the adjoint of Expand."""

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        new = x.ndim - len(shape)
        axes = tuple(range(new)) + tuple(new + i for i, n in enumerate(shape) if n == 1 and x.shape[new + i] != 1)
        return add_up(ctx.backend, x, axes, True).reshape(shape).astype(x.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Expand.apply(g, ctx.shape), None


class Cast(Op):
    """x in another dtype; the gradient is cast back."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, dtype: Any) -> Any:
        ctx.dtype = x.dtype
        ctx.backend.check_dtype(dtype)
        return x.astype(dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Cast.apply(g, ctx.dtype), None


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of a broadcast operand of this shape, from the gradient of the result."""
    return g if g.array.shape == shape else SumTo.apply(g, shape)


def cast(x: Tensor, to: dtype) -> Tensor:
    return x if x.array.dtype == to.numpy else Cast.apply(x, to.numpy)


def to_floating(x: Tensor) -> Tensor:
    """x, or x in the default dtype if it holds integers or booleans."""
    return x if x.array.dtype.char in INEXACT else cast(x, get_default_dtype())


def scalar_of(value: Any) -> Any:
    """value as a plain Python number, which takes on the dtype of the tensor it meets; None if it is no number."""
    if isinstance(value, bool | int | float | complex):
        return value.item() if hasattr(value, "item") else value  # numpy.float64 is a float, and would widen float32
    if isinstance(value, numbers.Number) or (hasattr(value, "item") and getattr(value, "shape", None) == ()):
        return value.item() if hasattr(value, "item") else None  # NumPy's scalars
    return None


def result_type(tensor: Tensor | Any, other: Tensor | Any) -> dtype:
    """The dtype of a result of two tensors or Python numbers, by PyTorch's rules.

    Operands count in three ranks: tensors with dimensions, tensors without, numbers. A lower rank changes the dtype
    only if it is of a higher category (bool < integer < float < complex).

    Example:
        >>> import tinycnn
        >>> tinycnn.result_type(tinycnn.tensor([1, 2]), 0.5)
        tinycnn.float32
    """
    ranks: list[dtype | None] = [None, None, None]
    for x in (tensor, other):
        kind = from_numpy_dtype(x.array.dtype) if isinstance(x, Tensor) else _number_dtype(x)
        rank = 2 if not isinstance(x, Tensor) else 1 if x.array.ndim == 0 else 0
        before = ranks[rank]
        ranks[rank] = kind if before is None else promote_types(before, kind)
    result: dtype | None = None
    for kind_of_rank in ranks:
        if kind_of_rank is None:
            continue
        if result is None:
            result = kind_of_rank
        elif kind_of_rank.category > result.category:
            result = promote_types(result, kind_of_rank)
    assert result is not None
    return result


def _number_dtype(x: Any) -> dtype:
    if isinstance(x, bool):
        return bool_
    if isinstance(x, int):
        return int64
    if isinstance(x, float):
        return get_default_dtype()
    return complex64


def operands(name: str, a: Any, b: Any, to: dtype | None = None) -> tuple[Any, Any]:
    """a and b as operands of one operation: tensors of one dtype, or a tensor and a Python number.

    Raises:
        TypeError: if one of them is neither a tensor nor a number.
        ValueError: if their shapes do not broadcast.
    """
    a_is, b_is = isinstance(a, Tensor), isinstance(b, Tensor)
    if a_is and b_is:
        if a.array.dtype != b.array.dtype or to is not None:
            common = to or result_type(a, b)
            a, b = cast(a, common), cast(b, common)
        if a.array.shape != b.array.shape:
            check_broadcast(name, a.array.shape, b.array.shape)
        return a, b
    number = scalar_of(b if a_is else a)
    if number is None or not (a_is or b_is):
        raise TypeError(f"{name}: expected tensors or numbers, got {type(a).__name__} and {type(b).__name__}")
    tensor = a if a_is else b
    tensor = cast(tensor, to or result_type(tensor, number))
    if not holds(tensor.array.dtype, number):
        number = _whole_number(name, number, tensor)
    return (tensor, number) if a_is else (number, tensor)


def holds(kind: Any, number: Any) -> bool:
    """Whether a NumPy dtype holds the number as it is; of numbers that are not whole nothing is asked."""
    if kind.kind not in "iu" or type(number) is not int:
        return True
    unsigned = kind.kind == "u"
    most = 2 ** (8 * kind.itemsize - (not unsigned)) - 1
    return (0 if unsigned else -most - 1) <= number <= most


def _whole_number(name: str, number: int, tensor: Tensor) -> int:
    """A number that the tensor's dtype does not hold: an unsigned one counts a negative number from the other end, as
    in PyTorch.

    Raises:
        RuntimeError: if that does not help.
    """
    kind = tensor.array.dtype
    if kind.kind == "u" and number < 0 and holds(kind, -number):
        return number + 2 ** (8 * kind.itemsize)
    raise RuntimeError(f"{name}: {tensor.dtype!r} cannot hold the number {number}")


def check_broadcast(name: str, a: Sequence[int], b: Sequence[int]) -> None:
    """Raise a ValueError unless shapes a and b broadcast."""
    for m, n in zip(reversed(a), reversed(b), strict=False):
        if m != n and m != 1 and n != 1:
            raise ValueError(
                f"{name}: shapes {tuple(a)} and {tuple(b)} do not broadcast: counted from the right, sizes must be "
                f"equal or 1, and {m} meets {n}"
            )


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array; () of a number."""
    return getattr(x, "shape", ())


@op(
    lambda make: [
        make.sample(make(3, 1), 3, 4),
        make.sample(make(1), (2, 3)),
        make.sample(make(2, 1, 3), -1, 4, -1),
    ],
    linear=True,
)
def expand(input: Tensor, *size: Any) -> Tensor:
    """A view of input repeated along new leading dimensions and along dimensions of size 1; -1 keeps a size.

    Args:
        input: any shape.
        size: the new shape, as numbers or as one tuple.

    Raises:
        ValueError: if input cannot be expanded to that shape.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0], [2.0]]).expand(2, 3)
        tensor([[1., 1., 1.],
                [2., 2., 2.]])
    """
    wanted = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    old = input.array.shape
    new = len(wanted) - len(old)
    shape = tuple(old[i - new] if n == -1 and i >= new else n for i, n in enumerate(wanted))
    if new < 0 or any(n < 0 for n in shape) or any(m not in (n, 1) for m, n in zip(old, shape[new:], strict=True)):
        raise ValueError(f"expand: a tensor of shape {old} cannot be expanded to {tuple(wanted)}")
    return Expand.apply(input, shape)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """input expanded to the shape of other."""
    return expand(input, *other.array.shape)


add_method("expand_as", expand_as)
