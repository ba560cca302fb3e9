"""Joining tensors and cutting them into pieces. A piece is a view of the whole."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, wrap
from ..backend.dtypes import promote_types
from .broadcast import cast, expand
from .indexing import Slice, dim_of
from .registry import op
from .shape import reshape, transpose, unsqueeze

__all__ = ["cat", "chunk", "concat", "concatenate", "meshgrid", "narrow", "select", "split", "stack", "unbind"]


class Cat(Op):
    """Arrays one after the other along a dimension; each gets its part of the gradient.

    If a whole is given that all but the last of them are the first part of, only the last is copied, and the result is
    a part of it.
    """

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, dim: int, whole: Any, *xs: Any) -> Any:
        ctx.dim, ctx.sizes = dim, [x.shape[dim] for x in xs]
        if whole is None:
            return ctx.backend.kernels.concatenate(xs[0], xs[1:], dim)
        end, before = sum(ctx.sizes), (slice(None),) * dim
        ctx.backend.kernels.concatenate(xs[-1], (), dim, whole[(*before, slice(end - ctx.sizes[-1], end))])
        return whole[(*before, slice(0, end))]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        grads: list[Tensor | None] = []
        start, cut = 0, _cut if is_grad_enabled() else _cut_plainly
        for size, needed in zip(ctx.sizes, ctx.needs_input_grad[2:], strict=True):
            grads.append(cut(g, ctx.dim, start, start + size) if needed else None)
            start += size
        return None, None, *grads


def _list_of_tensors(name: str, tensors: Any) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if isinstance(tensors, Tensor) or not all(isinstance(x, Tensor) for x in found):
        kinds = "a tensor" if isinstance(tensors, Tensor) else ", ".join(type(x).__name__ for x in found)
        raise TypeError(f"{name}: expected a list or tuple of tensors, got {kinds}")
    if not found:
        raise ValueError(f"{name}: expected at least one tensor")
    kind = reduce(promote_types, (x.dtype for x in found))
    return [cast(x, kind) for x in found]


@op(
    lambda make: [
        make.sample([make(2, 3), make(1, 3)]),
        make.sample((make(2, 3), make(2, 1), make(2, 2)), dim=-1),
        make.sample([make(2), make(0)]),
    ],
    method=False,
    analytic=True,
)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along dimension dim. Their dtypes are promoted.

    Args:
        tensors: of one shape, but for dim. Tensors of shape (0,) fit any.

    Raises:
        ValueError: if the shapes do not fit, or there is no tensor.

    Example:
        >>> import tinycnn
        >>> tinycnn.cat([tinycnn.tensor([1, 2]), tinycnn.tensor([3.0])])
        tensor([1., 2., 3.])
    """
    found = _list_of_tensors("cat", tensors)
    shapes = [x.array.shape for x in found]
    if () in shapes:
        raise ValueError("cat: tensors of no dimensions cannot be joined; use stack")
    first = next((shape for shape in shapes if shape != (0,)), (0,))
    dim = dim_of("cat", dim, len(first))
    nothing = (*first[:dim], 0, *first[dim + 1 :])
    parts = [reshape(x, nothing) if x.array.shape == (0,) else x for x in found]
    for shape in (x.array.shape for x in parts):
        if len(shape) != len(first) or shape[:dim] + shape[dim + 1 :] != first[:dim] + first[dim + 1 :]:
            raise ValueError(f"cat: shapes {', '.join(map(str, shapes))} differ elsewhere than in dimension {dim}")
    return Cat.apply(dim, None, *parts)


concat = concatenate = cat


@op(
    lambda make: [
        make.sample([make(2, 3), make(2, 3)]),
        make.sample((make(2, 3), make(2, 3)), dim=-1),
        make.sample([make(), make()]),
    ],
    method=False,
    analytic=True,
)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new dimension, put in before dimension dim.

    Raises:
        ValueError: if the shapes differ, or there is no tensor.

    Example:
        >>> import tinycnn
        >>> tinycnn.stack([tinycnn.tensor([1, 2]), tinycnn.tensor([3, 4])], dim=1)
        tensor([[1, 3],
                [2, 4]])
    """
    found = _list_of_tensors("stack", tensors)
    shapes = [x.array.shape for x in found]
    if len(set(shapes)) > 1:
        raise ValueError(f"stack: the tensors must have one shape, got {', '.join(map(str, shapes))}")
    dim = dim_of("stack", dim, len(shapes[0]) + 1)
    return Cat.apply(dim, None, *(unsqueeze(x, dim) for x in found))


def _cut(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    """The entries start to end of dimension dim, as a view."""
    return Slice.apply(x, (slice(None),) * dim + (slice(start, end),))


def _cut_plainly(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    """The same where nobody will differentiate it, or write into it."""
    return wrap(x.array[(slice(None),) * dim + (slice(start, end),)], x.backend)


@op(lambda make: [make.sample(make(5, 3), 0, 1, 3), make.sample(make(2, 5), -1, -3, 2)], linear=True)
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of the length entries of dimension dim that begin at start.

    Raises:
        IndexError: if start is out of range.
        ValueError: if fewer than length follow.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(5).narrow(0, 1, 3)
        tensor([1, 2, 3])
    """
    dim = dim_of("narrow", dim, input.array.ndim)
    size = input.array.shape[dim]
    begin = operator.index(start)
    if not -size <= begin <= size:
        raise IndexError(f"narrow: start {begin} is out of range for dimension {dim} with size {size}")
    begin += size * (begin < 0)
    if length < 0 or begin + length > size:
        raise ValueError(f"narrow: length {length} from {begin} does not fit dimension {dim} with size {size}")
    return _cut(input, dim, begin, begin + length)


@op(lambda make: [make.sample(make(3, 4), 0, 1), make.sample(make(3, 4), -1, -2)], linear=True)
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one entry of dimension dim, without that dimension.

    Raises:
        IndexError: if index is out of range.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]]).select(1, 0)
        tensor([1, 3])
    """
    dim = dim_of("select", dim, input.array.ndim)
    return input[(slice(None),) * dim + (index,)]


@op(
    lambda make: [
        make.sample(make(5, 2), 2),
        make.sample(make(2, 5), [1, 4], dim=1),
    ],
    analytic=True,
)
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the parts of a tensor along dim: of one size (the last may be smaller), or of the sizes in a list.

    Raises:
        ValueError: if the size is not positive, or the sizes do not add up to that of dim.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    dim = dim_of("split", dim, tensor.array.ndim)
    size = tensor.array.shape[dim]
    if isinstance(split_size_or_sections, Sequence):
        sizes = list(split_size_or_sections)
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise ValueError(f"split: sizes {sizes} do not add up to {size}, the size of dimension {dim}")
    else:
        step = operator.index(split_size_or_sections)
        if step < 0 or (step == 0 and size):
            raise ValueError(f"split: the size of a part must be positive, got {step}")
        sizes = [min(step, size - start) for start in range(0, size, step)] if size else [0]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(_cut(tensor, dim, end - n, end) for n, end in zip(sizes, ends, strict=True))


@op(lambda make: [make.sample(make(5, 2), 2), make.sample(make(2, 4), 3, dim=1)], analytic=True)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most that many parts of one size along dim; the last may be smaller.

    Raises:
        ValueError: if chunks is not positive.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(5).chunk(2)
        (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks < 1:
        raise ValueError(f"chunk: chunks must be positive, got {chunks}")
    dim = dim_of("chunk", dim, input.array.ndim)
    size = input.array.shape[dim]
    if size == 0:
        return tuple(_cut(input, dim, 0, 0) for _ in range(chunks))
    return split(input, -(-size // chunks), dim)


@op(lambda make: [make.sample(make(3, 2)), make.sample(make(2, 3), 1)], analytic=True)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the entries of dimension dim, each without that dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]]).unbind(1)
        (tensor([1, 3]), tensor([2, 4]))
    """
    dim = dim_of("unbind", dim, input.array.ndim)
    return tuple(select(input, dim, i) for i in range(input.array.shape[dim]))


@op(
    lambda make: [
        make.sample(make(2), make(3), indexing="ij"),
        make.sample([make(3), make(), make(2)], indexing="xy"),
    ],
    method=False,
    analytic=True,
)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Views in which the entries of vectors of n_0, n_1, ... stand along one dimension each, all of (n_0, n_1, ...).

    Their dtypes are promoted.

    Args:
        tensors: vectors or single numbers, or one list of them.
        indexing: "ij"; or "xy", as for plots, with the first two dimensions swapped.

    Raises:
        ValueError: if one has more than one dimension, or indexing is unknown.

    Example:
        >>> import tinycnn
        >>> x, y = tinycnn.meshgrid(tinycnn.tensor([1, 2]), tinycnn.tensor([3, 4, 5]))
        >>> x
        tensor([[1, 1, 1],
                [2, 2, 2]])
        >>> y
        tensor([[3, 4, 5],
                [3, 4, 5]])
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    given = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    found = _list_of_tensors("meshgrid", given)
    shapes = [x.array.shape for x in found]
    if any(len(shape) > 1 for shape in shapes):
        raise ValueError(f"meshgrid: expected vectors, got shapes {', '.join(map(str, shapes))}")
    sizes = [x.numel() for x in found]
    grids = [expand(reshape(x, [-1 if i == j else 1 for j in range(len(found))]), sizes) for i, x in enumerate(found)]
    swapped = indexing == "xy" and len(found) > 1
    return tuple(transpose(grid, 0, 1) if swapped else grid for grid in grids)
