"""The same elements in another shape or order: views where memory allows it, joins, splits, padding, windows.

Views share memory with their input, so that writing to one is seen in the other. A new shape always counts elements as
(N, C, H, W) do, however they lie in memory.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from ..autograd import Op, Tensor, wrap
from ..backend.dtypes import promote_types
from ..backend.layout import contiguous_format, copy_as, lies_as, memory_format, preserve_format
from .broadcast import cast
from .indexing import Slice, dim_of
from .registry import add_method, op

__all__ = [
    "cat",
    "chunk",
    "clone",
    "concat",
    "concatenate",
    "contiguous",
    "flatten",
    "flip",
    "fold",
    "movedim",
    "narrow",
    "pad",
    "permute",
    "ravel",
    "repeat_interleave",
    "reshape",
    "roll",
    "select",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unfold",
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

    @staticmethod
    def forward(ctx: Any, x: Any, order: memory_format) -> Any:
        return copy_as(x, order)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return g, None


class Cat(Op):
    """Arrays one after the other along a dimension; each gets its part of the gradient."""

    @staticmethod
    def forward(ctx: Any, dim: int, *xs: Any) -> Any:
        ctx.dim, ctx.sizes = dim, [x.shape[dim] for x in xs]
        return ctx.backend.concatenate(xs, axis=dim)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        grads: list[Tensor | None] = []
        start = 0
        for size, needed in zip(ctx.sizes, ctx.needs_input_grad[1:], strict=True):
            grads.append(_cut(g, ctx.dim, start, start + size) if needed else None)
            start += size
        return None, *grads


class Pad(Op):
    """x with a border of one value; the adjoint takes the border off, which is padding with negative widths."""

    @staticmethod
    def forward(ctx: Any, x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
        ctx.widths = widths
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
        out = ctx.backend.full_like(x, value, shape=shape)
        source = tuple(slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, widths, strict=True))
        target = tuple(slice(max(0, b), n - max(0, a)) for n, (b, a) in zip(shape, widths, strict=True))
        out[target] = x[source]
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Pad.apply(g, tuple((-before, -after) for before, after in ctx.widths), 0), None, None


class Flip(Op):
    """x backwards along some dimensions; its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Any, dims: tuple[int, ...]) -> Any:
        ctx.dims = dims
        return ctx.backend.flip(x, dims).copy(order="K") if dims else x.copy(order="K")

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Flip.apply(g, ctx.dims), None


class Roll(Op):
    """x pushed along some dimensions, what leaves at the end coming in at the front."""

    @staticmethod
    def forward(ctx: Any, x: Any, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Any:
        ctx.shifts, ctx.dims = shifts, dims
        return ctx.backend.roll(x, shifts, dims)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Roll.apply(g, tuple(-s for s in ctx.shifts), ctx.dims), None, None


class Repeat(Op):
    """x laid side by side, so many times along each dimension; the gradients of the copies add up."""

    @staticmethod
    def forward(ctx: Any, x: Any, times: tuple[int, ...]) -> Any:
        ctx.new, ctx.times, ctx.shape = len(times) - x.ndim, times, x.shape
        return ctx.backend.tile(x, times)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        sizes = (1,) * ctx.new + ctx.shape
        apart = [n for pair in zip(ctx.times, sizes, strict=True) for n in pair]
        total = g.reshape(apart).sum(dim=tuple(range(0, len(apart), 2))) if apart else g
        return total.reshape(ctx.shape), None


class RepeatInterleave(Op):
    """Each entry of a dimension so many times in a row; the gradients of the copies add up."""

    @staticmethod
    def forward(ctx: Any, x: Any, times: int, dim: int) -> Any:
        ctx.shape, ctx.times, ctx.dim = x.shape, times, dim
        return ctx.backend.repeat(x, times, axis=dim)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        dim = ctx.dim
        apart = (*ctx.shape[: dim + 1], ctx.times, *ctx.shape[dim + 1 :])
        return g.reshape(apart).sum(dim=dim + 1), None, None


class Triangle(Op):
    """x with zeros below (triu) or above (tril) a diagonal; its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Any, side: str, diagonal: int) -> Any:
        ctx.side, ctx.diagonal = side, diagonal
        return getattr(ctx.backend, side)(x, diagonal)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Triangle.apply(g, ctx.side, ctx.diagonal), None, None


class Unfold(Op):
    """The windows of images as columns, (N, C, H, W) -> (N, C*R*S, P*Q); its adjoint is Fold."""

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        ctx.size, ctx.geometry = x.shape[2:], (kernel, stride, padding, dilation)
        cols = ctx.backend.kernels.im2col(x, *ctx.geometry)  # (N, P, Q, R, S, C)
        n, p, q, r, s, c = cols.shape
        return cols.transpose(0, 5, 3, 4, 1, 2).reshape(n, c * r * s, p * q)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Fold.apply(g, ctx.size, *ctx.geometry), None, None, None, None


class Fold(Op):
    """Columns added back to where their windows were in the images, (N, C*R*S, P*Q) -> (N, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        ctx.geometry = geometry = (kernel, stride, padding, dilation)
        p, q = _places(size, *geometry)
        n, c = x.shape[0], x.shape[1] // (kernel[0] * kernel[1])
        cols = x.reshape(n, c, *kernel, p, q).transpose(0, 4, 5, 2, 3, 1)
        return ctx.backend.kernels.col2im(cols.copy(order="C"), (n, c, *size), *geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Unfold.apply(g, *ctx.geometry), None, None, None, None, None


# ---- another shape ---------------------------------------------------------------------------------------------------


def _sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
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
    return Reshape.apply(input, _complete("reshape", _sizes(shape), x.shape, x.size))


def view(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape, in the same memory; see `reshape`, which copies where that is impossible.

    Raises:
        ValueError: if the number of elements does not fit.
        RuntimeError: if the strides do not allow it.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.zeros(2, 3)
        >>> x.view(-1)[0] = 5
        >>> x
        tensor([[5., 0., 0.],
                [0., 0., 0.]])
    """
    x = input.array
    sizes = _complete("view", _sizes(shape), x.shape, x.size)
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
    order = tuple(dim_of("permute", d, ndim) for d in _sizes(dims))
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute: {_sizes(dims)} does not name each of {ndim} dimensions once")
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


# ---- joining and splitting -------------------------------------------------------------------------------------------


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
)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along dimension dim. Their dtypes are promoted.

    Args:
        tensors: of one shape, but for dim. Tensors of shape (0,) are left out.

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
    kept = [x for x in found if x.array.shape != (0,)] or found
    first = kept[0].array.shape
    dim = dim_of("cat", dim, len(first))
    for shape in (x.array.shape for x in kept):
        if len(shape) != len(first) or shape[:dim] + shape[dim + 1 :] != first[:dim] + first[dim + 1 :]:
            raise ValueError(f"cat: shapes {', '.join(map(str, shapes))} differ elsewhere than in dimension {dim}")
    return Cat.apply(dim, *kept)


concat = concatenate = cat


@op(
    lambda make: [
        make.sample([make(2, 3), make(2, 3)]),
        make.sample((make(2, 3), make(2, 3)), dim=-1),
        make.sample([make(), make()]),
    ],
    method=False,
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
    return Cat.apply(dim, *(unsqueeze(x, dim) for x in found))


def _cut(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    """The entries start to end of dimension dim, as a view."""
    return Slice.apply(x, (slice(None),) * dim + (slice(start, end),))


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
    ]
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
        if step < 1 and size:
            raise ValueError(f"split: the size of a part must be positive, got {step}")
        sizes = [min(step, size - start) for start in range(0, size, step)] if size else [0]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(_cut(tensor, dim, end - n, end) for n, end in zip(sizes, ends, strict=True))


@op(lambda make: [make.sample(make(5, 2), 2), make.sample(make(2, 4), 3, dim=1)])
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


@op(lambda make: [make.sample(make(3, 2)), make.sample(make(2, 3), 1)])
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the entries of dimension dim, each without that dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]]).unbind(1)
        (tensor([1, 3]), tensor([2, 4]))
    """
    dim = dim_of("unbind", dim, input.array.ndim)
    return tuple(select(input, dim, i) for i in range(input.array.shape[dim]))


# ---- padding ---------------------------------------------------------------------------------------------------------


@op(
    lambda make: [
        make.sample(make(2, 3), (1, 2)),
        make.sample(make(1, 2, 3, 4), (1, 0, 2, 1), value=2.5),
        make.sample(make(2, 4), (-1, 1, 0, -1)),
        make.sample(make(1, 2, 3, 4), (2, 1, 1, 2), mode="reflect"),
        make.sample(make(1, 2, 3, 4), (2, 0, 1, 3), mode="replicate"),
        make.sample(make(1, 2, 3, 4), (2, 1, 1, 2), mode="circular"),
    ],
    analytic=True,
    method=False,
)
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """input with a border.

    Args:
        pad: (left, right, top, bottom, ...): the widths before and after, the last dimension first. Negative ones cut
            off.
        mode: "constant", or, for the last dimensions of (N, C, ...): "reflect" (about the edge elements),
            "replicate" (the edge elements again) or "circular" (from the other end).
        value: what a constant border holds, 0 by default.

    Raises:
        ValueError: if pad does not fit the shape or the mode, or the mode is unknown.

    Example:
        >>> import tinycnn
        >>> import tinycnn.nn.functional as F
        >>> F.pad(tinycnn.tensor([[1, 2, 3]]), (2, 1))
        tensor([[0, 0, 1, 2, 3, 0]])
        >>> F.pad(tinycnn.tensor([[1, 2, 3]]), (2, 1), mode="reflect")
        tensor([[3, 2, 1, 2, 3, 2]])
    """
    shape = input.array.shape
    given = tuple(map(operator.index, pad))
    if len(given) % 2 or len(given) > 2 * len(shape):
        raise ValueError(f"pad: {given} must be pairs, one for each of at most {len(shape)} dimensions (shape {shape})")
    pairs = [(given[i], given[i + 1]) for i in range(0, len(given), 2)]
    widths = [(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1]
    if any(n + min(before, 0) + min(after, 0) < 0 for n, (before, after) in zip(shape, widths, strict=True)):
        raise ValueError(f"pad: {given} cuts more off than a tensor of shape {shape} has")
    if mode == "constant":
        return Pad.apply(input, tuple(widths), 0 if value is None else value)
    if mode not in _BORDERS:
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise ValueError(f"pad: value is for mode 'constant', mode {mode!r} takes none")
    if len(pairs) == len(shape):
        raise ValueError(f"pad: mode {mode!r} pads the last dimensions of (N, C, ...), not all of shape {shape}")
    if mode == "circular" and min(given, default=0) < 0:  # what is cut off does not come back at the other end
        input = Pad.apply(input, tuple((min(before, 0), min(after, 0)) for before, after in widths), 0)
        widths = [(max(before, 0), max(after, 0)) for before, after in widths]
    for dim, (n, (before, after)) in enumerate(zip(input.array.shape, widths, strict=True)):
        if max(before, after) > {"reflect": n - 1, "circular": n}.get(mode, max(before, after) if n else 0):
            raise ValueError(f"pad: mode {mode!r} cannot pad dimension {dim} of size {n} by {max(before, after)}")
        if before or after:
            places = [_BORDERS[mode](i, n) for i in range(-before, n + after)]
            input = input.index_select(dim, wrap(input.backend.asarray(places, dtype="int64"), input.backend))
    return input


_BORDERS: dict[str, Any] = {  # which of n elements stands at place i, inside or outside
    "reflect": lambda i, n: n - 1 - abs(n - 1 - abs(i)),
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "circular": lambda i, n: i % n,
}


# ---- the same elements elsewhere -------------------------------------------------------------------------------------


@op(lambda make: [make.sample(make(2, 3), 0), make.sample(make(2, 3, 2), (0, -1))], linear=True)
def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order of the entries reversed along dims: numbers, or one tuple.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]]).flip(1)
        tensor([[2, 1],
                [4, 3]])
    """
    along = tuple(dim_of("flip", d, input.array.ndim) for d in _sizes(dims))
    if len(set(along)) != len(along):
        raise ValueError(f"flip: {_sizes(dims)} names a dimension twice")
    return Flip.apply(input, along if input.array.ndim else ())


@op(
    lambda make: [
        make.sample(make(5), 2),
        make.sample(make(2, 3), 1),
        make.sample(make(2, 3), (1, -1), (0, 1)),
    ],
    linear=True,
)
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy with the entries pushed by shifts along dims, the last ones coming in at the front; without dims, of all
    elements in one row.

    Raises:
        ValueError: if there are not as many shifts as dims.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(4).roll(1)
        tensor([3, 0, 1, 2])
    """
    steps = tuple(shifts) if isinstance(shifts, Sequence) else (shifts,)
    if dims is None or dims == ():
        if len(steps) != 1:
            raise ValueError(f"roll: {len(steps)} shifts need as many dims")
        return Roll.apply(input.reshape(-1), steps, (0,)).reshape(input.array.shape)
    along = tuple(dims) if isinstance(dims, Sequence) else (dims,)
    if len(along) != len(steps):
        raise ValueError(f"roll: shifts {steps} and dims {along} differ in length")
    return Roll.apply(input, steps, tuple(dim_of("roll", d, input.array.ndim) for d in along))


def _check_times(name: str, times: tuple[int, ...]) -> None:
    if min(times, default=0) < 0:
        raise ValueError(f"{name}: the numbers of repetitions must not be negative, got {times}")


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Copies of input side by side, so many along each dimension; more numbers than dimensions make new ones.

    Raises:
        ValueError: if there are fewer numbers than dimensions, or one is negative.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    times = _sizes(repeats)
    if len(times) < input.array.ndim:
        raise ValueError(f"repeat: {times} needs a number for each dimension of shape {input.array.shape}")
    _check_times("repeat", times)
    return Repeat.apply(input, times)


add_method("repeat", repeat)


@op(
    lambda make: [
        make.sample(make(2, 3), 2),
        make.sample(make(2), (2, 3)),
        make.sample(make(2, 1), (1, 2, 3)),
    ],
    linear=True,
)
def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat`, where fewer numbers than dimensions count for the last ones.

    Raises:
        ValueError: if a number is negative.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2]]).tile(2)
        tensor([[1, 2, 1, 2]])
    """
    times = _sizes(dims)
    _check_times("tile", times)
    return Repeat.apply(input, (1,) * (input.array.ndim - len(times)) + times)


@op(
    lambda make: [
        make.sample(make(2, 3), 2),
        make.sample(make(2, 3), 3, dim=0),
        make.sample(make(3), wrap(make.backend.asarray([1, 0, 2]), make.backend), dim=0),
    ],
    linear=True,
)
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Each entry of dimension dim so many times in a row; without dim, each element of input in one row.

    Args:
        repeats: a number, or a tensor with one for each entry.

    Raises:
        ValueError: if a number is negative, or there is not one for each entry.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2]).repeat_interleave(2)
        tensor([1, 1, 2, 2])
    """
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = dim_of("repeat_interleave", dim, input.array.ndim)
    if isinstance(repeats, Tensor) and repeats.array.size > 1:
        counts = repeats.array
        if counts.shape != (input.array.shape[dim],) or int(counts.min()) < 0:
            raise ValueError(
                f"repeat_interleave: repeats must be {input.array.shape[dim]} numbers, none negative, got {repeats!r}"
            )
        places = [i for i, n in enumerate(counts.tolist()) for _ in range(n)]
        return input.index_select(dim, wrap(input.backend.asarray(places, dtype="int64"), input.backend))
    times = int(repeats.item()) if isinstance(repeats, Tensor) else operator.index(repeats)
    _check_times("repeat_interleave", (times,))
    return RepeatInterleave.apply(input, times, dim)


def _check_matrix(name: str, input: Tensor) -> None:
    if input.array.ndim < 2:
        raise ValueError(f"{name}: expected at least 2 dimensions, got shape {input.array.shape}")


@op(lambda make: [make.sample(make(3, 4)), make.sample(make(2, 3, 3), 1)], linear=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two dimensions, zeros above; diagonal moves the border up.

    Example:
        >>> import tinycnn
        >>> tinycnn.ones(2, 2).tril()
        tensor([[1., 0.],
                [1., 1.]])
    """
    _check_matrix("tril", input)
    return Triangle.apply(input, "tril", diagonal)


@op(lambda make: [make.sample(make(3, 4)), make.sample(make(2, 3, 3), 1)], linear=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two dimensions, zeros below; diagonal moves the border up.

    Example:
        >>> import tinycnn
        >>> tinycnn.ones(2, 2).triu()
        tensor([[1., 1.],
                [0., 1.]])
    """
    _check_matrix("triu", input)
    return Triangle.apply(input, "triu", diagonal)


# ---- windows ---------------------------------------------------------------------------------------------------------


def _pair(name: str, what: str, value: Any, low: int) -> tuple[int, int]:
    a, b = (value, value) if isinstance(value, int) else (value * 2 if len(value) == 1 else value)
    if min(a, b) < low:
        raise ValueError(f"{name}: {what} must be at least {low}, got {value}")
    return a, b


def _geometry(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    """The arguments of im2col: kernel, stride, padding ((top, bottom), (left, right)), dilation."""
    ph, pw = _pair(name, "padding", padding, 0)
    return (
        _pair(name, "kernel_size", kernel, 1),
        _pair(name, "stride", stride, 1),
        ((ph, ph), (pw, pw)),
        _pair(name, "dilation", dilation, 1),
    )


def _places(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    """(P, Q), how often the kernel fits an image of that size."""
    p, q = (
        (n + sum(around) - d * (k - 1) - 1) // s + 1
        for n, k, s, around, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return p, q


@op(
    lambda make: [
        make.sample(make(2, 2, 4, 5), 2),
        make.sample(make(1, 2, 5, 5), (3, 2), padding=1, stride=(2, 1), dilation=(1, 2)),
        make.sample(make(2, 4, 4), 3),
    ],
    linear=True,
    method=False,
)
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows that a kernel sees, as columns: (N, C, H, W) -> (N, C*R*S, P*Q), or without N.

    Raises:
        ValueError: if input has not 3 or 4 dimensions, or the kernel does not fit.

    Example:
        >>> import tinycnn
        >>> import tinycnn.nn.functional as F
        >>> F.unfold(tinycnn.arange(9.0).reshape(1, 1, 3, 3), kernel_size=2)
        tensor([[[0., 1., 3., 4.],
                 [1., 2., 4., 5.],
                 [3., 4., 6., 7.],
                 [4., 5., 7., 8.]]])
    """
    if input.array.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.array.ndim != 4:
        raise ValueError(f"unfold: expected (N, C, H, W) or (C, H, W), got shape {input.array.shape}")
    geometry = _geometry("unfold", kernel_size, stride, padding, dilation)
    if min(_places(input.array.shape[2:], *geometry)) < 1:
        raise ValueError(f"unfold: a kernel {kernel_size} (dilation {dilation}) does not fit shape {input.array.shape}")
    return Unfold.apply(input, *geometry)


@op(
    lambda make: [
        make.sample(make(2, 8, 12), (4, 5), 2),
        make.sample(make(1, 12, 15), (5, 5), (3, 2), padding=1, stride=(2, 1), dilation=(1, 2)),
        make.sample(make(18, 4), 4, 3),
    ],
    linear=True,
    method=False,
)
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns added up to images: (N, C*R*S, P*Q) -> (N, C, H, W), or without N; the adjoint of `unfold`.

    Raises:
        ValueError: if the shape does not fit the sizes.

    Example:
        >>> import tinycnn
        >>> import tinycnn.nn.functional as F
        >>> F.fold(tinycnn.ones(1, 4, 4), output_size=3, kernel_size=2)
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """
    if input.array.ndim == 2:
        out = fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)
        return out.squeeze(0)
    size = _pair("fold", "output_size", output_size, 1)
    geometry = _geometry("fold", kernel_size, stride, padding, dilation)
    p, q = _places(size, *geometry)
    r, s = geometry[0]
    shape = input.array.shape
    if len(shape) != 3 or shape[1] % (r * s) or shape[2] != p * q:
        raise ValueError(
            f"fold: got shape {shape}; output_size {size} and kernel {(r, s)} want (N, C*{r * s}, {p}*{q} = {p * q})"
        )
    return Fold.apply(input, size, *geometry)
