"""Arrays of any strides, brought to the two layouts that the kernels are compiled for.

A kernel is compiled once for each type of its arguments, and for Numba the memory layout is part of the type. So every
kernel here takes only C-contiguous arrays: images as (N, H, W, C), everything else as the flat line of memory it is.
Usually that costs nothing, because images are stored channels-last already: the transposed array is a view.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..memory import LEAST, empty, empty_like
from ._jit import Array, kernel, prange
from .rows import copy_rows, row_step

Pair = tuple[int, int]


def contiguous(x: Array) -> Array:
    """x, or a copy of it, C-contiguous and writable: for Numba a read-only array is one more type to compile for."""
    return x if x.flags.c_contiguous and x.flags.writeable else x.copy(order="C")


def channels_last(x: Array) -> Array:
    """(N, C, H, W) -> C-contiguous (N, H, W, C); a view of x where x is stored so."""
    y = x.transpose(0, 2, 3, 1)
    if y.flags.c_contiguous and y.flags.writeable:
        return y
    if y.nbytes >= LEAST and row_step(y):
        rows = empty(y.shape, y.dtype)
        copy_rows(y, rows)
        return rows
    if not (x.flags.c_contiguous and x.flags.writeable):
        return y.copy(order="C")
    n, c, h, w = x.shape
    return exchanged(x.reshape(n, c, h * w)).reshape(n, h, w, c)


def exchanged(x: Array) -> Array:
    """(N, A, B), C-contiguous -> (N, B, A), in memory of its own."""
    n, a, b = x.shape
    out = empty((n, b, a), x.dtype)
    _planes_to_pixels(x.size, x, out, x.size // 4096 + 1)
    return out


def even_pixels(x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C) whose pixels lie evenly in memory, each with its channels side by side: a view where
    x is stored so, as some channels of a larger image are."""
    pixels = x.transpose(0, 2, 3, 1)
    return pixels if row_step(pixels) else channels_last(x)


def pixel_step(pixels: Array) -> int:
    """The bytes from one of such pixels to the next."""
    return pixels.shape[3] * pixels.itemsize if pixels.flags.c_contiguous else row_step(pixels)


def channels_first(x: Array) -> Array:
    """(N, H, W, C) -> (N, C, H, W): a view."""
    return x.transpose(0, 3, 1, 2)


@kernel
def _planes_to_pixels(x: Array, y: Array, jobs: int) -> None:
    """x (N, C, L) -> y (N, L, C), a block of pixels at a time so that both stay in the cache."""
    n_images, n_channels, length = x.shape
    total = n_images * length
    for job in prange(jobs):
        i = job * total // jobs
        end = (job + 1) * total // jobs
        while i < end:
            n = i // length
            lo = i - n * length
            hi = min(length, lo + end - i)
            i += hi - lo
            for c in range(n_channels):
                source = x[n, c, lo:hi]
                target = y[n, lo:hi, c]
                for k in range(source.size):
                    target[k] = source[k]


def memory_order(x: Array) -> tuple[int, ...] | None:
    """The order of axes in which x lies in memory without gaps; None if there is none."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    if x.ndim == 4 and x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return 0, 2, 3, 1
    strides = x.strides
    order = tuple(sorted(range(x.ndim), key=lambda axis: -strides[axis]))
    return order if x.transpose(order).flags.c_contiguous else None


def jobs_for(size: int) -> int:
    """Into how many jobs an element-wise loop over `size` numbers is cut: pieces that fit into a core's cache."""
    return size // 16384 + 1


def flat(first: Array, *others: Array) -> tuple[Array, ...]:
    """Arrays of one shape as lines, in the memory order of the first; the others are copied if theirs differs.

    Returns:
        an array for the result, which lies as the first one does, its line, the first one's, and those of the others.
    """
    line = first.ravel(order="K")
    if line.base is None or not first.flags.writeable:  # there were gaps, and this is a copy in nobody's order
        first = first.copy(order="K")
        line = first.ravel(order="K")
    result = empty_like(first)
    return result, result.ravel(order="K"), line, *[_line_as(first, other) for other in others]


def _line_as(first: Array, other: Array) -> Array:
    if other.strides == first.strides and other.flags.writeable:
        return other.ravel(order="K")
    order = memory_order(first)
    assert order is not None
    return contiguous(other.transpose(order)).reshape(first.size)


class _Scratch(threading.local):
    memory = np.empty(0, np.uint8)
    floats = np.empty(0, np.float32)
    address = 0


_scratch = _Scratch()


def _at_least(size: int) -> None:
    """Let this thread's memory to work in be no smaller than so many bytes."""
    if _scratch.memory.size < size:
        memory = np.empty(-(-size // 64) * 64 + 64, np.uint8)
        start = -memory.ctypes.data % 64  # whole cache lines
        memory = _scratch.memory = memory[start : start + memory.size - 64]
        _scratch.floats, _scratch.address = memory.view(np.float32), memory.ctypes.data


def scratch(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory to work in, kept by this thread for its next use: fresh pages cost more than what is written to them.

    What it holds is anything. The next call from this thread hands out the same memory again.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    _at_least(size)
    return _scratch.memory[:size].view(dtype).reshape(shape)


def scratch_floats(count: int) -> tuple[Array, int]:
    """`scratch` as a line of that many floats or more, and where it begins."""
    _at_least(count * 4)
    return _scratch.floats, _scratch.address
