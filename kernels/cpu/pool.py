"""Pooling of channels-last images: every loop ends in one over neighbouring numbers in memory.

Max-pooling walks over the taps of a window and compares whole pixels, all channels at once. Average pooling is
separable: rows are added first, as long lines of W*C numbers, then columns, which costs R + S additions instead of
R*S (windows that lie side by side are in `pool_tiles.py`). Its gradient runs the same two steps backwards and in the
other order; each line of the result gathers what belongs to it, so no two threads ever write to the same place. Indices
in the inner loops are unsigned, for the reason given in `conv.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uint64

from ..memory import empty
from ..reference.pool import Windows
from . import pool_tiles
from ._jit import Array, kernel, prange
from .layout import Pair, channels_first, channels_last, contiguous

_FEW_CHANNELS = 24  # with more, loops over them are as good as a table
_SPLIT = 32  # channels of one job, where images alone would be too few


@kernel
def _max_pool(
    x: Array, y: Array, where: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, width: int
) -> None:
    """x (N, H, W*C) -> y, where (N*P, Q*C); `width` is W."""
    height, channels = x.shape[1], x.shape[2] // width
    rows = y.shape[0] // x.shape[0]
    for job in prange(y.shape[0]):
        n = job // rows
        p = job - n * rows
        best, place = y[job], where[job]
        for q in range(y.shape[1] // channels):
            to = uint64(q * channels)
            found = False
            for r in range(kernel_size[0]):
                h = p * stride[0] + r * dilation[0] - padding[0]
                if h < 0 or h >= height:
                    continue
                for s in range(kernel_size[1]):
                    w = q * stride[1] + s * dilation[1] - padding[1]
                    if w < 0 or w >= width:
                        continue
                    line, at = x[n, h], uint64(w * channels)
                    here = h * width + w
                    if found:
                        for c in range(uint64(channels)):
                            v, b = line[at + c], best[to + c]
                            better = (v > b) | ((v != v) & (b == b))  # v != v: a NaN
                            best[to + c] = v if better else b
                            place[to + c] = here if better else place[to + c]
                    else:
                        found = True
                        for c in range(uint64(channels)):
                            best[to + c] = line[at + c]
                            place[to + c] = here
            if not found:  # the window sees nothing but padding
                for c in range(uint64(channels)):
                    best[to + c] = -np.inf
                    place[to + c] = -1


def _place(pixels: int) -> Any:
    """The type of a place among so many pixels: half of int64's memory, if that will do."""
    return np.int32 if pixels <= np.iinfo(np.int32).max else np.int64


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
) -> tuple[Array, Array]:
    pixels = channels_last(x)
    n, h, w, c = pixels.shape
    p, q = out_size
    y, where = empty((n, p, q, c), x.dtype), empty((n, p, q, c), _place(h * w))
    if y.size:
        lines = pixels.reshape(n, h, w * c)
        flat = y.reshape(n * p, q * c), where.reshape(n * p, q * c)
        work = y.size * 2 * kernel_size[0] * kernel_size[1]
        _max_pool(work, lines, *flat, kernel_size, stride, padding, dilation, w)
    return channels_first(y), channels_first(where)


@kernel
def _adaptive_max_pool(x: Array, y: Array, where: Array) -> None:
    """x (N, H, W, C) -> y, where (N, P, Q, C)."""
    height, width, channels = x.shape[1:]
    rows, columns = y.shape[1:3]
    for job in prange(x.shape[0] * rows):
        n = job // rows
        p = job - n * rows
        for q in range(columns):
            best, place = y[n, p, q], where[n, p, q]
            found = False
            for h in range(p * height // rows, -(-(p + 1) * height // rows)):
                for w in range(q * width // columns, -(-(q + 1) * width // columns)):
                    pixel = x[n, h, w]
                    here = h * width + w
                    if found:
                        for c in range(channels):
                            v = pixel[c]
                            better = (v > best[c]) | ((v != v) & (best[c] == best[c]))
                            best[c] = v if better else best[c]
                            place[c] = here if better else place[c]
                    else:
                        found = True
                        for c in range(channels):
                            best[c] = pixel[c]
                            place[c] = here


def adaptive_max_pool2d(x: Array, out_size: Pair) -> tuple[Array, Array]:
    pixels = channels_last(x)
    n, h, w, c = pixels.shape
    p, q = out_size
    y, where = empty((n, p, q, c), x.dtype), empty((n, p, q, c), _place(h * w))
    if y.size:
        _adaptive_max_pool(x.size * 2, pixels, y, where)
    return channels_first(y), channels_first(where)


@kernel
def _gather(x: Array, index: Array, y: Array, outside: Array) -> None:
    """x (N, L, C), index (N, M, C) -> y (N, M, C); outside[job] becomes 1 if an index is too large."""
    n_images, places, channels = index.shape
    splits = (channels + _SPLIT - 1) // _SPLIT
    for job in prange(n_images * splits):
        n = job // splits
        first = (job - n * splits) * _SPLIT
        last = min(channels, first + _SPLIT)
        for i in range(places):
            for c in range(first, last):
                at = index[n, i, c]
                if at >= x.shape[1]:
                    outside[job] = 1
                elif at >= 0:
                    y[n, i, c] = x[n, at, c]
                else:
                    y[n, i, c] = 0


@kernel
def _scatter(g: Array, index: Array, x: Array, channels: int, outside: Array) -> None:
    """g, index (N, M*C) -> sums in x (N, L*C); outside[job] becomes 1 if an index is too large."""
    n_images, length, wide = index.shape[0], x.shape[1], uint64(channels)
    pixels = uint64(length // channels)
    splits = (channels + _SPLIT - 1) // _SPLIT
    for job in prange(n_images * splits):
        n = job // splits
        first = (job - n * splits) * _SPLIT
        count = uint64(min(channels, first + _SPLIT) - first)
        target, values, places = x[n], g[n], index[n]
        for start in range(first, length, channels):
            for c in range(count):
                target[uint64(start) + c] = 0
        for start in range(first, places.size, channels):
            for c in range(count):
                at = places[uint64(start) + c]
                if uint64(at) < pixels:  # a negative one is a huge one
                    target[uint64(at) * wide + uint64(first) + c] += values[uint64(start) + c]
                elif at > 0:
                    outside[job] = 1


def _outside(index: Array) -> Array:
    return np.zeros(index.shape[0] * (index.shape[-1] // _SPLIT + 1), np.uint8)


def _check_inside(name: str, outside: Array, size: Pair) -> None:
    if outside.any():
        raise IndexError(f"{name}: an index is too large for planes of {size[0]} x {size[1]} pixels")


def gather_plane(x: Array, index: Array) -> Array:
    pixels, places = channels_last(x), channels_last(index)
    n, h, w, c = pixels.shape
    p, q = places.shape[1:3]
    y = empty((n, p, q, c), x.dtype)
    outside = _outside(places)
    _gather(y.size * 4, pixels.reshape(n, h * w, c), places.reshape(n, p * q, c), y.reshape(n, p * q, c), outside)
    _check_inside("gather_plane", outside, (h, w))
    return channels_first(y)


def scatter_plane(g: Array, index: Array, size: Pair, windows: Windows | None) -> Array:
    values, places = channels_last(g), channels_last(index)
    n, p, q, c = values.shape
    h, w = size
    x = empty((n, h, w, c), g.dtype)
    outside = _outside(places)
    if g.size and x.size:
        lines = values.reshape(n, p * q * c), places.reshape(n, p * q * c), x.reshape(n, h * w * c)
        _scatter(g.size * 4 + x.size, *lines, c, outside)
    else:
        x[...] = 0
        outside[:] = bool((places >= 0).any())
    _check_inside("scatter_plane", outside, size)
    return channels_first(x)


@kernel
def _avg_pool(
    x: Array, y: Array, shares: Array, lines: Array, kernel_size: Pair, stride: Pair, padding: Pair, channels: int
) -> None:
    """x (N, H, W*C) -> y (N*P, Q*C); lines (N*P, W*C) is for the sums of rows."""
    height, width = x.shape[1], x.shape[2] // channels
    rows, columns = shares.shape
    for job in prange(y.shape[0]):
        n = job // rows
        p = job - n * rows
        line = lines[job]
        line[:] = 0
        for r in range(kernel_size[0]):
            h = p * stride[0] + r - padding[0]
            if 0 <= h < height:
                source = x[n, h]
                for i in range(source.size):
                    line[i] += source[i]
        target = y[job]
        target[:] = 0
        for q in range(columns):
            to, share = uint64(q * channels), shares[p, q]
            for s in range(kernel_size[1]):
                w = q * stride[1] + s - padding[1]
                if 0 <= w < width:
                    at = uint64(w * channels)
                    for c in range(uint64(channels)):
                        target[to + c] += line[at + c]
            for c in range(uint64(channels)):
                target[to + c] *= share


def _shares(divisor: Array | float, size: Pair, dtype: Any) -> Array:
    return np.full(size, 1 / divisor, dtype) if isinstance(divisor, float) else contiguous((1 / divisor).astype(dtype))


def avg_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Array | float
) -> Array:
    pixels = channels_last(x)
    n, h, w, c = pixels.shape
    p, q = out_size
    y = empty((n, p, q, c), x.dtype)
    tiles = isinstance(divisor, float) and pool_tiles.suits((h, w), out_size, kernel_size, stride, padding)
    if y.size and c <= _FEW_CHANNELS and tiles:
        pool_tiles.avg_pool2d(pixels, y, kernel_size, divisor)
    elif y.size:
        lines = empty((n * p, w * c), x.dtype)
        share = _shares(divisor, out_size, x.dtype)
        planes = pixels.reshape(n, h, w * c), y.reshape(n * p, q * c)
        _avg_pool(x.size * 2, *planes, share, lines, kernel_size, stride, padding, c)
    return channels_first(y)


@kernel
def _avg_pool_backward(
    g: Array, gx: Array, shares: Array, lines: Array, kernel_size: Pair, stride: Pair, padding: Pair, channels: int
) -> None:
    """g (N, P, Q*C) -> gx (N*H, W*C); lines (N*H, Q*C) is for the sums of rows."""
    rows, columns = shares.shape
    height, width = gx.shape[0] // g.shape[0], gx.shape[1] // channels
    for job in prange(gx.shape[0]):
        n = job // height
        h = job - n * height
        line, target = lines[job], gx[job]
        line[:] = 0
        target[:] = 0
        for r in range(kernel_size[0]):
            p = (h + padding[0] - r) // stride[0]
            if p * stride[0] == h + padding[0] - r and 0 <= p < rows:
                source = g[n, p]
                for q in range(columns):
                    at, share = uint64(q * channels), shares[p, q]
                    for c in range(uint64(channels)):
                        line[at + c] += source[at + c] * share
        for q in range(columns):
            at = uint64(q * channels)
            for s in range(kernel_size[1]):
                w = q * stride[1] + s - padding[1]
                if 0 <= w < width:
                    to = uint64(w * channels)
                    for c in range(uint64(channels)):
                        target[to + c] += line[at + c]


def avg_pool2d_backward(
    g: Array, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, divisor: Array | float
) -> Array:
    values = channels_last(g)
    n, p, q, c = values.shape
    h, w = size
    gx = empty((n, h, w, c), g.dtype)
    tiles = isinstance(divisor, float) and pool_tiles.suits(size, (p, q), kernel_size, stride, padding)
    if g.size == 0:
        gx[...] = 0
    elif gx.size and tiles:
        pool_tiles.avg_pool2d_backward(values, gx, kernel_size, divisor)
    elif gx.size:
        lines = empty((n * h, q * c), g.dtype)
        share = _shares(divisor, (p, q), g.dtype)
        planes = values.reshape(n, p, q * c), gx.reshape(n * h, w * c)
        _avg_pool_backward(gx.size * 2, *planes, share, lines, kernel_size, stride, padding, c)
    return channels_first(gx)
