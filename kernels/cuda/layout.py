"""Where an array's numbers lie in memory, for kernels that take a bare pointer.

A kernel sees memory, not strides. Element-wise kernels take any array without gaps as the line of numbers that it is,
whatever the order of its axes; those for images know two layouts, each with its own way of counting:

    planes           (N, C, H, W) as it is written: image after image, plane after plane
    channels-last    (N, H, W, C): pixel after pixel, with all its channels side by side

Results have the layout of what they come from. Any other array is copied once, on the device.
"""

from __future__ import annotations

import math
from typing import Any

from .loader import TYPES, Array, driver

Order = tuple[int, ...]


def threads_for(count: int, most: int = 256) -> int:
    """Threads of a block for `count` things to do: whole warps, no more than are needed."""
    return min(most, -(-max(1, count) // 32) * 32)


def blocks_for(count: int, threads: int = 256, most: int = 4096) -> int:
    """Blocks of a grid-stride loop over `count` things: enough to fill a GPU, none for nothing."""
    return min(most, -(-count // threads))


def axes_of(x: Array) -> Order:
    """The axes of x from the slowest to the fastest in memory, gaps or not."""
    axes, strides = range(x.ndim), x.strides
    return tuple(sorted(axes, key=lambda i: (-strides[i], i)) if min(strides, default=1) >= 0 else axes)


def order_of(x: Array) -> Order | None:
    """The same if x lies in memory without gaps; None otherwise."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    order, shape, strides = axes_of(x), x.shape, x.strides
    expected = x.dtype.itemsize
    for i in reversed(order):
        if shape[i] != 1:
            if strides[i] != expected:
                return None if x.size else order
            expected *= shape[i]
    return order


def empty(shape: tuple[int, ...], dtype: Any, order: Order) -> Array:
    """A new array of this shape, whose axes lie in memory in this order."""
    x = driver().xp.empty(tuple(shape[i] for i in order), dtype)
    return x.transpose(tuple(map(order.index, range(len(order)))))


def in_order(x: Array, order: Order) -> Array:
    """x, or a copy of it, with its axes in memory in this order and no gaps between."""
    turned = x.transpose(order)
    if turned.flags.c_contiguous:
        return x
    copy = empty(x.shape, x.dtype, order)
    copy[...] = x
    return copy


def dense(x: Array) -> tuple[Array, Order]:
    """x and the order of its axes in memory; a copy of it if there are gaps."""
    order = order_of(x)
    if order is not None:
        return x, order
    order = axes_of(x)
    return in_order(x, order), order


PLANES, CHANNELS_LAST = (0, 1, 2, 3), (0, 2, 3, 1)


def image(x: Array) -> tuple[Array, bool]:
    """(N, C, H, W) in one of the two layouts of images, and whether that is channels-last; a copy if it is neither."""
    if x.transpose(CHANNELS_LAST).flags.c_contiguous:
        return x, True
    if x.flags.c_contiguous:
        return x, False
    return in_order(x, CHANNELS_LAST), True


def like(x: Array, last: bool) -> Array:
    """x, or a copy of it, in the layout that another image has."""
    return in_order(x, CHANNELS_LAST if last else PLANES)


def new_image(shape: tuple[int, ...], dtype: Any, last: bool) -> Array:
    """A new image (N, C, H, W) in a layout."""
    return empty(shape, dtype, CHANNELS_LAST if last else PLANES)


def wide(dtype: Any) -> str:
    """The dtype that kernels compute in for numbers stored as this one: float64 for itself, else float32.

    Raises:
        TypeError: if no kernel stores numbers so.
    """
    if dtype.name not in TYPES:
        raise TypeError(f"CUDA kernels: expected an array of {', '.join(TYPES)}, got {dtype}")
    return "float64" if dtype.name == "float64" else "float32"


def widened(x: Array | None, dtype: Any) -> Array | None:
    """x in another dtype, without gaps; None stays None."""
    if x is None:
        return None
    if x.dtype != dtype:
        x = x.astype(dtype)
    return x if x.flags.c_contiguous else driver().xp.ascontiguousarray(x)


def around(shape: tuple[int, ...], order: Order, axis: int) -> tuple[int, int, int]:
    """(outer, length, inner): how an axis lies in memory, `outer` times `length` lines of `inner` numbers."""
    place = order.index(axis % max(1, len(order)))
    sizes = [shape[i] for i in order]
    return math.prod(sizes[:place]), sizes[place], math.prod(sizes[place + 1 :])
