"""The same elements elsewhere: padded, turned around, rolled, repeated, cut to a triangle."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..autograd import Op, Tensor, wrap
from .indexing import dim_of
from .registry import add_method, op
from .shape import sizes_of

__all__ = ["flip", "pad", "repeat_interleave", "roll", "tile", "tril", "triu"]


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
        if before == after == 0:
            continue
        if max(before, after) > {"reflect": n - 1, "circular": n}.get(mode, max(before, after) if n else 0):
            raise ValueError(f"pad: mode {mode!r} cannot pad dimension {dim} of size {n} by {max(before, after)}")
        if max(before, after) >= 2**62:  # no index counts so far
            raise ValueError(f"pad: cannot pad dimension {dim} of size {n} by {max(before, after)}")
        places = input.backend.on_device(_BORDERS[mode], input.backend.arange(-before, n + after), n)
        input = input.index_select(dim, wrap(places, input.backend))
    return input


_BORDERS: dict[str, Any] = {  # which of n elements stands at the places i, inside or outside
    "reflect": lambda i, n: n - 1 - abs(n - 1 - abs(i)),
    "replicate": lambda i, n: i.clip(0, n - 1),
    "circular": lambda i, n: i % n,
}


@op(lambda make: [make.sample(make(2, 3), 0), make.sample(make(2, 3, 2), (0, -1))], linear=True)
def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order of the entries reversed along dims: numbers, or one tuple.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]]).flip(1)
        tensor([[2, 1],
                [4, 3]])
    """
    along = tuple(dim_of("flip", d, input.array.ndim) for d in sizes_of(dims))
    if len(set(along)) != len(along):
        raise ValueError(f"flip: {sizes_of(dims)} names a dimension twice")
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
    steps = tuple(map(operator.index, shifts if isinstance(shifts, Sequence) else (shifts,)))
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
    times = sizes_of(repeats)
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
    times = sizes_of(dims)
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
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each entry of dimension dim so many times in a row; without dim, each element of input in one row.

    Args:
        repeats: a number, or a tensor with one for each entry.
        output_size: how long that makes the dimension, if you know it; it is checked.

    Raises:
        ValueError: if a number is negative, there is not one for each entry, or output_size is another.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2]).repeat_interleave(2)
        tensor([1, 1, 2, 2])
    """
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = dim_of("repeat_interleave", dim, input.array.ndim)
    if output_size is not None:
        out = repeat_interleave(input, repeats, dim)
        if out.array.shape[dim] != output_size:
            raise ValueError(f"repeat_interleave: output_size is {output_size}, repeats make {out.array.shape[dim]}")
        return out
    if isinstance(repeats, Tensor) and repeats.array.dtype.kind not in "iu":
        raise TypeError(f"repeat_interleave: repeats must be integers, got {repeats.dtype!r}")
    if isinstance(repeats, Tensor) and repeats.array.size != 1:
        counts = repeats.array
        if counts.shape != (input.array.shape[dim],) or (counts.size and int(input.backend.min(counts)) < 0):
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
    return Triangle.apply(input, "tril", operator.index(diagonal))


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
    return Triangle.apply(input, "triu", operator.index(diagonal))
