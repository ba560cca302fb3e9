"""Convolution at stride 1 where there are few channels: no windows, but planes that are shifted and added.

A matrix product with 6 rows and 25 columns keeps no vector unit busy, and 25 copies of the input cost more than the
arithmetic. So the image is copied once, into planes with their padding, and a plane is one line of numbers: there the
pixel that tap (r, s) sees lies a fixed distance ahead of the output's own place, which with rows of `pitch` numbers is
d = r * dilation * pitch + s * dilation. A channel of the output is then a sum of shifted lines,

    y[k] = sum over taps t of  w[k, t] * plane[d_t : d_t + length]

in loops as long as the image. The few numbers at the end of each row, where the window has run into the next one, are
computed and thrown away. The gradient of a weight is the product of two lines, with zeros in those places. Four taps
at a time let a sum be read and written only once for four multiplications. With more than eight lines in a loop that
writes, the compiler gives up proving that they do not overlap, and makes no vector code.
"""

from __future__ import annotations

import numpy as np

from ..memory import empty
from ._jit import Array, kernel, prange
from .layout import Pair, contiguous

_MOST_JOBS = 64


MOST_PAIRS = 96  # of an input and an output channel: with more, a matrix product is faster
MOST_PAIRS_WEIGHT_GRAD = 256  # here a matrix product has an awkward shape


def suits(channels: int, out_channels: int, size: Pair, most_pairs: int = MOST_PAIRS) -> bool:
    """Whether this is faster than a matrix product: few channels, planes that fill vectors but not the whole cache."""
    pixels = size[0] * size[1]
    return channels * out_channels <= most_pairs and pixels >= 64 and (channels + out_channels) * pixels <= 1 << 17


def _distances(channels: int, kernel_size: Pair, dilation: Pair, plane: Pair) -> Array:
    """How far ahead each tap sees, in the order of (R, S, C)."""
    r, s, c = np.ogrid[: kernel_size[0], : kernel_size[1], :channels]
    return ((c * plane[0] + r * dilation[0]) * plane[1] + s * dilation[1]).reshape(-1).astype(np.int64)


def _plane(size: Pair, kernel_size: Pair, dilation: Pair) -> Pair:
    """The height and width that windows of an output of this size see."""
    h, w = (size[i] + dilation[i] * (kernel_size[i] - 1) for i in (0, 1))
    return h, w


@kernel
def _correlate(x: Array, w: Array, distances: Array, y: Array, origin: Pair, plane: Pair, jobs: int) -> None:
    """x (N, H, W, C), w (K, taps) -> y (N, P, Q, K)."""
    n_images, height, width, channels = x.shape
    rows, columns, out_channels = y.shape[1:]
    pitch = plane[1]
    length = (rows - 1) * pitch + columns
    taps = distances.size
    fours = taps - taps % 4
    for job in prange(jobs):
        planes = np.zeros(channels * plane[0] * pitch, x.dtype)
        sums = np.empty((out_channels, length), x.dtype)
        for n in range(job * n_images // jobs, (job + 1) * n_images // jobs):
            for h in range(max(0, -origin[0]), min(height, plane[0] - origin[0])):
                for column in range(max(0, -origin[1]), min(width, pitch - origin[1])):
                    at = (h + origin[0]) * pitch + column + origin[1]
                    for c in range(channels):
                        planes[c * plane[0] * pitch + at] = x[n, h, column, c]
            for k in range(out_channels):
                line, wk = sums[k], w[k]
                line[:] = 0
                for t in range(0, fours, 4):
                    x0, x1 = planes[distances[t] :][:length], planes[distances[t + 1] :][:length]
                    x2, x3 = planes[distances[t + 2] :][:length], planes[distances[t + 3] :][:length]
                    w0, w1, w2, w3 = wk[t], wk[t + 1], wk[t + 2], wk[t + 3]
                    for i in range(length):
                        line[i] += w0 * x0[i] + w1 * x1[i] + w2 * x2[i] + w3 * x3[i]
                for t in range(fours, taps):
                    x0, w0 = planes[distances[t] :][:length], wk[t]
                    for i in range(length):
                        line[i] += w0 * x0[i]
            for p in range(rows):
                for q in range(columns):
                    for k in range(out_channels):
                        y[n, p, q, k] = sums[k, p * pitch + q]


def correlate(x: Array, matrix: Array, y: Array, kernel_size: Pair, origin: Pair, dilation: Pair) -> None:
    """x (N, H, W, C), matrix (K, R*S*C) -> y (N, P, Q, K), at stride 1."""
    n, p, q, _ = y.shape
    channels = x.shape[3]
    plane = _plane((p, q), kernel_size, dilation)
    distances = _distances(channels, kernel_size, dilation, plane)
    _correlate(y.size * matrix.shape[1], x, contiguous(matrix), distances, y, origin, plane, min(n, _MOST_JOBS))


@kernel
def _weight_grad(g: Array, x: Array, distances: Array, parts: Array, origin: Pair, plane: Pair) -> None:
    """g (N, P, Q, K), x (N, H, W, C) -> parts (jobs, an even number of rows, taps), each job's images added up."""
    n_images, height, width, channels = x.shape
    rows, columns, out_channels = g.shape[1:]
    pitch = plane[1]
    length = (rows - 1) * pitch + columns
    taps = distances.size
    fours = taps - taps % 4
    jobs = parts.shape[0]
    zero = x.dtype.type(0)
    for job in prange(jobs):
        part = parts[job]
        part[:] = 0
        planes = np.zeros(channels * plane[0] * pitch, x.dtype)
        lines = np.zeros((part.shape[0], length), x.dtype)
        for n in range(job * n_images // jobs, (job + 1) * n_images // jobs):
            for h in range(max(0, -origin[0]), min(height, plane[0] - origin[0])):
                for column in range(max(0, -origin[1]), min(width, pitch - origin[1])):
                    at = (h + origin[0]) * pitch + column + origin[1]
                    for c in range(channels):
                        planes[c * plane[0] * pitch + at] = x[n, h, column, c]
            for p in range(rows):
                for q in range(columns):
                    for k in range(out_channels):
                        lines[k, p * pitch + q] = g[n, p, q, k]
            for k in range(0, part.shape[0], 2):
                g0, g1 = lines[k], lines[k + 1]
                for t in range(0, fours, 4):
                    x0, x1 = planes[distances[t] :][:length], planes[distances[t + 1] :][:length]
                    x2, x3 = planes[distances[t + 2] :][:length], planes[distances[t + 3] :][:length]
                    s00, s01, s02, s03 = zero, zero, zero, zero
                    s10, s11, s12, s13 = zero, zero, zero, zero
                    for i in range(length):
                        s00 += g0[i] * x0[i]
                        s01 += g0[i] * x1[i]
                        s02 += g0[i] * x2[i]
                        s03 += g0[i] * x3[i]
                        s10 += g1[i] * x0[i]
                        s11 += g1[i] * x1[i]
                        s12 += g1[i] * x2[i]
                        s13 += g1[i] * x3[i]
                    part[k, t] += s00
                    part[k, t + 1] += s01
                    part[k, t + 2] += s02
                    part[k, t + 3] += s03
                    part[k + 1, t] += s10
                    part[k + 1, t + 1] += s11
                    part[k + 1, t + 2] += s12
                    part[k + 1, t + 3] += s13
                for t in range(fours, taps):
                    x0 = planes[distances[t] :][:length]
                    s00, s10 = zero, zero
                    for i in range(length):
                        s00 += g0[i] * x0[i]
                        s10 += g1[i] * x0[i]
                    part[k, t] += s00
                    part[k + 1, t] += s10


def weight_grad(g: Array, x: Array, kernel_size: Pair, origin: Pair, dilation: Pair) -> Array:
    """g (N, P, Q, K), x (N, H, W, C) -> (K, R*S*C), at stride 1."""
    n, p, q, k = g.shape
    channels = x.shape[3]
    plane = _plane((p, q), kernel_size, dilation)
    distances = _distances(channels, kernel_size, dilation, plane)
    parts = empty((min(n, _MOST_JOBS), k + k % 2, distances.size), g.dtype)
    _weight_grad(g.size * distances.size, g, x, distances, parts, origin, plane)
    return parts.sum(axis=0)[:k]
