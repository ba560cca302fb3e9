"""Average pooling whose windows lie side by side: no padding, a stride as long as the kernel, no part of a window.

Every number of the image then belongs to one window at most, so that nothing is added to twice. Stored channels-last, a
row of the output is Q*C numbers, number i = q*C + c of which begins its window at number q*S*C + c of the image's row.
These places are kept in a table, and one loop over i, which becomes vector code that gathers, serves any number of
channels; loops over q and then c are slow for few of them. Backward, each number of a row of the image looks up the
one number of g that it gets a share of, and the rows of a window are copies of one another.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from ..memory import empty
from ._jit import Array, kernel, prange
from ._plan import planned
from .layout import Pair


def suits(size: Pair, out_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether the windows lie side by side, whole, within the image."""
    if stride != kernel_size or padding != (0, 0):
        return False
    return out_size[0] * kernel_size[0] <= size[0] and out_size[1] * kernel_size[1] <= size[1]


@planned
def _first_places(columns: int, kernel: int, channels: int) -> Array:
    """For the numbers of a row of the output, (Q*C,): where in a row of the image their windows begin."""
    q, c = np.ogrid[:columns, :channels]
    return (q * kernel * channels + c).reshape(-1).astype(np.uint32)


@planned
def _windows(columns: int, kernel: int, channels: int) -> Array:
    """For the numbers of a row of the image, (Q*S*C,): to which number of the output's row they belong."""
    q, _, c = np.ogrid[:columns, :kernel, :channels]
    return np.broadcast_to(q * channels + c, (columns, kernel, channels)).reshape(-1).astype(np.uint32)


@kernel
def _average(x: Array, y: Array, places: Array, lines: Array, kernel_size: Pair, channels: int, divisor: float) -> None:
    """x (N, H, W*C) -> y (N*P, Q*C); lines (N*P, Q*S*C) is for the sums of rows."""
    share = y.dtype.type(1 / divisor)  # here, because NumPy's numbers take long to make and to hand over
    rows = y.shape[0] // x.shape[0]
    size = uint64(places.size)
    for job in prange(y.shape[0]):
        n = job // rows
        h = (job - n * rows) * kernel_size[0]
        line, target, source = lines[job], y[job], x[n, h]
        for i in range(uint64(line.size)):
            line[i] = source[i]
        for r in range(1, kernel_size[0]):
            source = x[n, h + r]
            for i in range(uint64(line.size)):
                line[i] += source[i]
        for i in range(size):
            target[i] = line[places[i]]
        for s in range(1, kernel_size[1]):
            tap = line[s * channels :]
            for i in range(size):
                target[i] += tap[places[i]]
        for i in range(size):
            target[i] *= share


def avg_pool2d(pixels: Array, y: Array, kernel_size: Pair, divisor: float) -> None:
    """pixels (N, H, W, C) -> y (N, P, Q, C)."""
    n, p, q, c = y.shape
    lines = empty((n * p, q * kernel_size[1] * c), y.dtype)
    planes = pixels.reshape(*pixels.shape[:2], -1), y.reshape(n * p, q * c)
    places = _first_places(q, kernel_size[1], c)
    _average(pixels.size * 2, *planes, places, lines, kernel_size, c, divisor)


@kernel
def _spread(g: Array, gx: Array, windows: Array, kernel_size: Pair, divisor: float) -> None:
    """g (N*P, Q*C) -> gx (N, H, W*C)."""
    share = g.dtype.type(1 / divisor)
    rows = g.shape[0] // gx.shape[0]
    size = uint64(windows.size)
    for job in prange(g.shape[0]):
        n = job // rows
        p = job - n * rows
        h = p * kernel_size[0]
        source, target = g[job], gx[n, h]
        for i in range(size):
            target[i] = source[windows[i]] * share
        for i in range(size, uint64(target.size)):
            target[i] = 0
        for r in range(1, kernel_size[0]):
            copy = gx[n, h + r]
            for i in range(uint64(target.size)):
                copy[i] = target[i]
        if p == rows - 1:
            for rest in range(h + kernel_size[0], gx.shape[1]):
                gx[n, rest] = 0


def avg_pool2d_backward(values: Array, gx: Array, kernel_size: Pair, divisor: float) -> None:
    """values (N, P, Q, C) -> gx (N, H, W, C)."""
    n, p, q, c = values.shape
    planes = values.reshape(n * p, q * c), gx.reshape(*gx.shape[:2], -1)
    _spread(gx.size * 2, *planes, _windows(q, kernel_size[1], c), kernel_size, divisor)
