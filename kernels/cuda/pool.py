"""Pooling: the shapes and grids for `pool.cu`. Images may lie in planes or channels-last; results lie as they do."""

from __future__ import annotations

from typing import Any

import numpy as np

from .layout import blocks_for, image, like, new_image, wide, widened
from .loader import Array, Kernel

Pair = tuple[int, int]

_THREADS = 256
_LAYOUTS = ((False, True),)  # channels-last?

_max_pool2d = Kernel("pool", "max_pool2d", variants=_LAYOUTS)
_max_pool2d_backward = Kernel("pool", "max_pool2d_backward", variants=_LAYOUTS)
_adaptive_max_pool2d = Kernel("pool", "adaptive_max_pool2d", variants=_LAYOUTS)
_avg_pool2d = Kernel("pool", "avg_pool2d", variants=_LAYOUTS)
_avg_pool2d_backward = Kernel("pool", "avg_pool2d_backward", variants=_LAYOUTS)
_gather_plane = Kernel("pool", "gather_plane", variants=_LAYOUTS)
_scatter_plane = Kernel("pool", "scatter_plane", variants=_LAYOUTS)
_narrow = Kernel("pool", "narrow", types=("float16", "bfloat16"))


def _run(kernel: Kernel, dtype: Any, last: bool, arrays: tuple[Any, ...], total: int, *numbers: int) -> None:
    """One thread, or one round of a thread's loop, for each of `total` numbers."""
    kernel.launch((dtype, last), (blocks_for(total, _THREADS),), (_THREADS,), *arrays, total, *numbers)


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
) -> tuple[Array, Array]:
    x, last = image(x)
    n, c, h, w = x.shape
    y, where = (new_image((n, c, *out_size), dtype, last) for dtype in (x.dtype, np.int64))
    _run(
        _max_pool2d, x.dtype, last, (x, y, where), y.size, c, h, w, *out_size, *kernel, *stride, *padding, *dilation
    )  # fmt: skip
    return y, where


def adaptive_max_pool2d(x: Array, out_size: Pair) -> tuple[Array, Array]:
    x, last = image(x)
    n, c, h, w = x.shape
    y, where = (new_image((n, c, *out_size), dtype, last) for dtype in (x.dtype, np.int64))
    _run(_adaptive_max_pool2d, x.dtype, last, (x, y, where), y.size, c, h, w, *out_size)
    return y, where


def _divisors(divisor: Array | float, kind: Any) -> tuple[Array | None, float]:
    """An array of them, or one number for all."""
    return (None, divisor) if isinstance(divisor, float) else (widened(divisor, wide(kind)), 1.0)


def avg_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Array | float) -> Array:
    x, last = image(x)
    n, c, h, w = x.shape
    p, q = out_size
    y = new_image((n, c, p, q), x.dtype, last)
    arrays = x, y, *_divisors(divisor, x.dtype)
    _run(_avg_pool2d, x.dtype, last, arrays, y.size, c, h, w, p, q, *kernel, *stride, *padding)
    return y


def avg_pool2d_backward(
    g: Array, size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Array | float
) -> Array:
    g, last = image(g)
    n, c, p, q = g.shape
    gx = new_image((n, c, *size), g.dtype, last)
    arrays = g, gx, *_divisors(divisor, g.dtype)
    _run(_avg_pool2d_backward, g.dtype, last, arrays, gx.size, c, *size, p, q, *kernel, *stride, *padding)
    return gx


def gather_plane(x: Array, index: Array) -> Array:
    """An index that is not in the plane gives 0: to say so, the host would have to wait for the device."""
    x, last = image(x)
    n, c, h, w = x.shape
    p, q = index.shape[2:]
    y = new_image((n, c, p, q), x.dtype, last)
    _run(_gather_plane, x.dtype, last, (x, like(index, last), y), y.size, c, h, w, p, q)
    return y


def scatter_plane(g: Array, index: Array, size: Pair, windows: tuple[Pair, Pair, Pair, Pair] | None) -> Array:
    """An index that is not in the plane gives nothing, as in gather_plane."""
    index, last = image(index)
    n, c, p, q = g.shape
    if windows is not None:  # each place of the result sums what its windows send it, in one pass and a fixed order
        gx = new_image((n, c, *size), g.dtype, last)
        numbers = c, *size, p, q, *(number for pair in windows for number in pair)
        _run(_max_pool2d_backward, g.dtype, last, (like(g, last), index, gx), gx.size, *numbers)
        return gx
    sums = new_image((n, c, *size), wide(g.dtype), last)
    sums[...] = 0
    _run(_scatter_plane, g.dtype, last, (like(g, last), index, sums), g.size, c, *size, p, q)
    if sums.dtype == g.dtype:
        return sums
    gx = new_image(sums.shape, g.dtype, last)
    _narrow.launch(g.dtype, (blocks_for(gx.size, _THREADS),), (_THREADS,), sums, gx, gx.size)
    return gx
