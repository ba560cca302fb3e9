"""Concatenation along an axis: `concat.cu` moves all parts in one launch."""

from __future__ import annotations

from .layout import around, axes_of, blocks_for, empty, in_order
from .loader import Array, Kernel, driver
from .tensors import TENSORS, rows_table

_concat = Kernel("concat", "concat")

_THREADS = 256


def concatenate(first: Array, others: tuple[Array, ...], axis: int, out: Array | None = None) -> Array:
    """In the layout of the first; that alone is a copy without gaps."""
    if out is not None:
        return driver().xp.concatenate((first, *others), axis=axis, out=out)
    if not others:
        copy = empty(first.shape, first.dtype, axes_of(first))
        copy[...] = first
        return copy
    parts = first, *others
    axis %= first.ndim
    shape = list(first.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    order = axes_of(first)
    whole = empty(tuple(shape), first.dtype, order)
    if not whole.size:
        return whole
    outer, length, inner = around(whole.shape, order, axis)
    parts = tuple(in_order(part, order) for part in parts)
    widths = [part.shape[axis] * inner for part in parts]
    begin = 0
    for number in range(0, len(parts), TENSORS):
        some, sizes = parts[number : number + TENSORS], widths[number : number + TENSORS]
        grid = blocks_for(outer * max(sizes), _THREADS, 1024), len(some)
        table = rows_table(some, sizes, begin)
        _concat.launch(whole.dtype, grid, (_THREADS,), table, whole, outer, length * inner)
        begin += sum(sizes)
    return whole
