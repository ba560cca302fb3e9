"""The same elements in another shape or another order of dimensions: views where memory allows it, else copies.

Views share memory with their input, so that writing to one is seen in the other. A new shape always counts elements as
(N, C, H, W) do, however they lie in memory.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from ..autograd import Op, Tensor
from ..backend.dtypes import dtype
from ..backend.layout import contiguous_format, copy_as, lies_as, memory_format, preserve_format
from .indexing import dim_of
from .keywords import refuse
from .registry import add_method, op

__all__ = [
    "clone",
    "contiguous",
    "flatten",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
]


class Reshape(Op):
    """x in another shape: a view if its strides allow it, else a copy."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return x.reshape(shape)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Reshape.apply(g, ctx.shape), None


class Permute(Op):
    """x with its dimensions in another order, a view."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, dims: tuple[int, ...]) -> Any:
        ctx.back = tuple(dims.index(i) for i in range(len(dims)))
        return x.transpose(dims)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Permute.apply(g, ctx.back), None


class Clone(Op):
    """A copy of x, its memory in a given order."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, order: memory_format) -> Any:
        return copy_as(x, order)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return g, None


# ---- another shape ---------------------------------------------------------------------------------------------------


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as numbers or as one tuple."""
    if len(sizes) == 1 and isinstance(sizes[0], Sequence):
        sizes = tuple(sizes[0])
    return tuple(map(operator.index, sizes))


def _complete(name: str, shape: tuple[int, ...], old: tuple[int, ...], count: int) -> tuple[int, ...]:
    """shape, with -1 replaced by what is left of count elements."""
    known = 1
    for n in shape:
        known *= n if n != -1 else 1
    unknown = shape.count(-1)
    if unknown > 1 or min(shape, default=0) < -1:
        raise ValueError(f"{name}: shape {shape} is invalid: no size may be negative but one, which may be -1")
    if unknown and known == 0:
        raise ValueError(f"{name}: shape {shape} leaves the size for -1 open, as the others span no elements")
    if known != count and not (unknown and count % known == 0):
        raise ValueError(f"{name}: a tensor of shape {old} ({count} elements) does not fit shape {shape}")
    return tuple(count // known if n == -1 else n for n in shape)


@op(
    lambda make: [
        make.sample(make(2, 3, 4), 6, 4),
        make.sample(make(2, 3, 4), (4, -1)),
        make.sample(make(2, 3).T.detach().requires_grad_(), -1),
    ],
    linear=True,
)
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape: a view if the strides allow it, else a copy.

    Args:
        shape: numbers or one tuple; one size may be -1, which is what is left.

    Raises:
        ValueError: if the number of elements does not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(6).reshape(2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    x = input.array
    return Reshape.apply(input, _complete("reshape", sizes_of(shape), x.shape, x.size))


def view(input: Tensor, *size: Any) -> Tensor:
    """The elements in another shape, in the same memory; see `reshape`, which copies where that is impossible.

    Raises:
        ValueError: if the number of elements does not fit.
        RuntimeError: if the strides do not allow it.
        NotImplementedError: for view(dtype), which reads the memory as another dtype.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.zeros(2, 3)
        >>> x.view(-1)[0] = 5
        >>> x
        tensor([[5., 0., 0.],
                [0., 0., 0.]])
    """
    if size and isinstance(size[0], dtype):
        refuse("view", "dtype")
    x = input.array
    sizes = _complete("view", sizes_of(size), x.shape, x.size)
    if x.size and not input.backend.may_share_memory(x.reshape(sizes), x):
        raise RuntimeError(
            f"view: shape {sizes} is impossible without a copy for a tensor of shape {x.shape} and strides "
            f"{input.stride()}; use reshape"
        )
    return Reshape.apply(input, sizes)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other, as `view` gives it."""
    return view(input, other.array.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other, as `reshape` gives it."""
    return reshape(input, other.array.shape)


add_method("view", view)
add_method("view_as", view_as)
add_method("reshape_as", reshape_as)


@op(lambda make: [make.sample(make(2, 3, 4)), make.sample(make(2, 3, 4, 2), 1, 2), make.sample(make())], linear=True)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim (included) as one, in the order of their indices.

    Raises:
        ValueError: if start_dim comes after end_dim.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3, 4).flatten(1).shape
        tinycnn.Size([2, 12])
    """
    shape = input.array.shape
    start, end = dim_of("flatten", start_dim, len(shape)), dim_of("flatten", end_dim, len(shape))
    if start > end:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    if not shape:
        return reshape(input, 1)
    if start == end:
        return input
    size = reduce(operator.mul, shape[start : end + 1])
    return Reshape.apply(input, (*shape[:start], size, *shape[end + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension, in the order of their indices; a view if the strides allow it."""
    return reshape(input, -1)


add_method("ravel", ravel)


@op(lambda make: [make.sample(make(2, 12), 1, (3, -1)), make.sample(make(6), 0, (2, 3))], linear=True)
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension dim split into several of these sizes, of which one may be -1.

    Raises:
        ValueError: if their product is not the size of dim.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 12).unflatten(1, (3, -1)).shape
        tinycnn.Size([2, 3, 4])
    """
    shape = input.array.shape
    dim = dim_of("unflatten", dim, len(shape))
    new = _complete("unflatten", tuple(sizes), shape[dim : dim + 1], shape[dim])
    return Reshape.apply(input, (*shape[:dim], *new, *shape[dim + 1 :]))


@op(
    lambda make: [
        make.sample(make(1, 2, 1, 3)),
        make.sample(make(1, 2, 1), 0),
        make.sample(make(1, 2, 1), (0, -1)),
        make.sample(make(2, 3), 1),
    ],
    linear=True,
)
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without the dimensions of size 1, or without those among dim (one, or a tuple) that are of size 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(1, 2, 1).squeeze().shape, tinycnn.zeros(1, 2, 1).squeeze(0).shape
        (tinycnn.Size([2]), tinycnn.Size([2, 1]))
    """
    shape = input.array.shape
    given = range(len(shape)) if dim is None else dim if isinstance(dim, Sequence) else (dim,)
    dims = {dim_of("squeeze", d, len(shape)) for d in given}
    return Reshape.apply(input, tuple(n for i, n in enumerate(shape) if n != 1 or i not in dims))


@op(lambda make: [make.sample(make(2, 3), 0), make.sample(make(2, 3), -1), make.sample(make(), 0)], linear=True)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a dimension of size 1 put in before dimension dim.

    Raises:
        IndexError: if dim is out of range.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3).unsqueeze(1).shape
        tinycnn.Size([2, 1, 3])
    """
    shape = input.array.shape
    dim = dim_of("unsqueeze", dim, len(shape) + 1)
    return Reshape.apply(input, (*shape[:dim], 1, *shape[dim:]))


# ---- another order of dimensions -------------------------------------------------------------------------------------


@op(lambda make: [make.sample(make(2, 3, 4), 2, 0, 1), make.sample(make(2, 3), (-1, 0))], linear=True)
def permute(input: Tensor, *dims: Any) -> Tensor:
    """A view with the dimensions in the order given: numbers, or one tuple.

    Raises:
        ValueError: if each dimension is not named once.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3, 4).permute(2, 0, 1).shape
        tinycnn.Size([4, 2, 3])
    """
    ndim = input.array.ndim
    order = tuple(dim_of("permute", d, ndim) for d in sizes_of(dims))
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute: {sizes_of(dims)} does not name each of {ndim} dimensions once")
    return Permute.apply(input, order)


@op(
    lambda make: [make.sample(make(2, 3, 4), 0, 2), make.sample(make(2, 3), -1, 0)],
    linear=True,
    method=("transpose", "swapaxes", "swapdims"),
)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3, 4).transpose(0, 2).shape
        tinycnn.Size([4, 3, 2])
    """
    ndim = input.array.ndim
    a, b = dim_of("transpose", dim0, ndim), dim_of("transpose", dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[a], order[b] = b, a
    return Permute.apply(input, tuple(order))


swapaxes = swapdims = transpose


@op(lambda make: [make.sample(make(2, 3)), make.sample(make(3))], linear=True)
def t(input: Tensor) -> Tensor:
    """A matrix transposed, as a view; tensors of fewer dimensions as they are.

    Raises:
        ValueError: if input has more than 2 dimensions.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3).t().shape
        tinycnn.Size([3, 2])
    """
    if input.array.ndim > 2:
        raise ValueError(f"t: expected at most 2 dimensions, got shape {input.array.shape}; see transpose")
    return _all_reversed(input)


def _all_reversed(input: Tensor) -> Tensor:
    """A view with all dimensions in reverse order."""
    return Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def _matrix_transposed(input: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged."""
    if input.array.ndim < 2:
        raise ValueError(f"mT: expected at least 2 dimensions, got shape {input.array.shape}")
    return transpose(input, -2, -1)


_as_property: Any = property
add_method("T", _as_property(_all_reversed))
add_method("mT", _as_property(_matrix_transposed))


@op(
    lambda make: [make.sample(make(2, 3, 4), 0, 2), make.sample(make(2, 3, 4), (0, 1), (-1, 0))],
    linear=True,
    method=("movedim", "moveaxis"),
)
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dimensions moved from source to destination (one number or tuples); the others keep their order.

    Raises:
        ValueError: if source and destination differ in length, or one names a dimension twice.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3, 4).movedim(0, -1).shape
        tinycnn.Size([3, 4, 2])
    """
    ndim = input.array.ndim
    sources, targets = (
        [dim_of("movedim", d, ndim) for d in (dims if isinstance(dims, Sequence) else (dims,))]
        for dims in (source, destination)
    )
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise ValueError(f"movedim: source {source} and destination {destination} must be as many, each once")
    if ndim == 0:
        return Permute.apply(input, ())
    order = [d for d in range(ndim) if d not in sources]
    for target, d in sorted(zip(targets, sources, strict=True)):
        order.insert(target, d)
    return Permute.apply(input, tuple(order))


# ---- copies ----------------------------------------------------------------------------------------------------------


@op(lambda make: [make.sample(make(2, 3)), make.sample(make(2, 3).T.detach().requires_grad_())], linear=True)
def clone(input: Tensor, *, memory_format: memory_format = preserve_format) -> Tensor:
    """A copy, by default with the memory layout of input; gradients flow back.

    Raises:
        RuntimeError: if channels_last is asked for and there are not 4 dimensions.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([1.0, 2.0])
        >>> y = x.clone()
        >>> y[0] = 5.0
        >>> x, y
        (tensor([1., 2.]), tensor([5., 2.]))
    """
    return Clone.apply(input, memory_format)


@op(lambda make: [make.sample(make(2, 3)), make.sample(make(2, 3).T.detach().requires_grad_())], linear=True)
def contiguous(input: Tensor, memory_format: memory_format = contiguous_format) -> Tensor:
    """input itself if its elements lie in memory in that order, else a copy in which they do.

    Raises:
        RuntimeError: if channels_last is asked for and there are not 4 dimensions.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.zeros(2, 3, 4, 5).contiguous(memory_format=tinycnn.channels_last)
        >>> x.shape, x.stride()
        (tinycnn.Size([2, 3, 4, 5]), (60, 1, 15, 3))
    """
    return input if lies_as(input.array, memory_format) else clone(input, memory_format=memory_format)
