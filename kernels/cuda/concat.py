"""Concatenation along an axis, written in place, and its adjoint: `concat.cu` moves all parts in one launch.

`concat` may write into an array that was there before, so that a layer can put beside its input what it adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .layout import Order, around, blocks_for, dense, empty, in_order, order_of
from .loader import Array, Kernel
from .tensors import TENSORS, rows_table

_concat = Kernel("concat", "concat", variants=((False, True),))

_THREADS = 256


def _move(parts: Sequence[Array], whole: Array, order: Order, axis: int, split: bool) -> None:
    """Copy parts into the whole, or out of it; all of them lie in memory in this order."""
    outer, length, inner = around(whole.shape, order, axis)
    widths = [part.shape[axis] * inner for part in parts]
    begin = 0
    for first in range(0, len(parts), TENSORS):
        some, sizes = parts[first : first + TENSORS], widths[first : first + TENSORS]
        most = outer * max(sizes)
        table = rows_table(some, sizes, begin)
        grid = blocks_for(most, _THREADS, 1024), len(some)
        _concat.launch((whole.dtype, split), grid, (_THREADS,), table, whole, outer, length * inner)
        begin += sum(sizes)


def concat(parts: Sequence[Array], axis: int, out: Array | None = None) -> Array:
    """The parts one after the other along an axis, in the layout of the first, or in `out` and in its layout.

    Raises:
        ValueError: if `out` has another shape or dtype, or gaps between its numbers.
    """
    axis %= parts[0].ndim
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    if out is None:
        order = dense(parts[0])[1]
        out = empty(tuple(shape), parts[0].dtype, order)
    else:
        found = order_of(out)
        if found is None or out.shape != tuple(shape) or out.dtype != parts[0].dtype:
            raise ValueError(
                f"concat: out must be {tuple(shape)}, {parts[0].dtype}, without gaps in memory; "
                f"got {out.shape}, {out.dtype}, strides {out.strides}"
            )
        order = found
    if out.size:
        _move([in_order(part, order) for part in parts], out, order, axis, False)
    return out


def split(whole: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """The adjoint: pieces of these lengths along an axis, each an array of its own in the whole's layout."""
    whole, order = dense(whole)
    axis %= whole.ndim
    shape = whole.shape
    parts = [empty((*shape[:axis], size, *shape[axis + 1 :]), whole.dtype, order) for size in sizes]
    if whole.size:
        _move(parts, whole, order, axis, True)
    return parts
