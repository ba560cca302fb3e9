"""Depthwise convolution: each channel has kernels of its own, so no product of matrices is in it.

    y[n, p, q, c] = sum over r, s of  x[n, p * stride + r * dilation - top, ..., c] * w[r, s, c]

There is too little arithmetic for windows and a BLAS. The loops run over all channels at once, which lie side by side.
Indices in the inner loops are unsigned: for a signed one Numba asks whether it counts from the end.
"""

from __future__ import annotations

from numpy import uint64

from ..memory import empty
from ._jit import Array, kernel, prange
from .layout import Pair, contiguous


@kernel
def _correlate(x: Array, w: Array, y: Array, rows: int, stride: Pair, origin: Pair, dilation: Pair) -> None:
    """x (N, H, W*C), w (R, S, C) -> y (N*P, Q*C); `rows` is P."""
    channels = w.shape[2]
    height, width, columns = x.shape[1], x.shape[2] // channels, y.shape[1] // channels
    for job in prange(y.shape[0]):
        n = job // rows
        p = job - n * rows
        out = y[job]
        out[:] = 0
        for r in range(w.shape[0]):
            h = p * stride[0] + r * dilation[0] - origin[0]
            if h < 0 or h >= height:
                continue
            line = x[n, h]
            for s in range(w.shape[1]):
                ahead, tap = s * dilation[1] - origin[1], w[r, s]
                for q in range(max(0, -(ahead // stride[1])), min(columns, (width - 1 - ahead) // stride[1] + 1)):
                    to, at = uint64(q * channels), uint64((q * stride[1] + ahead) * channels)
                    for c in range(uint64(channels)):
                        out[to + c] += line[at + c] * tap[c]


@kernel
def _input_grad(g: Array, w: Array, gx: Array, rows: int, stride: Pair, origin: Pair, dilation: Pair) -> None:
    """g (N*P, Q*C), w (R, S, C) -> added to gx (N, H, W*C); `rows` is P."""
    channels = w.shape[2]
    height, width, columns = gx.shape[1], gx.shape[2] // channels, g.shape[1] // channels
    for job in prange(gx.shape[0] * height):
        n = job // height
        h = job - n * height
        out = gx[n, h]
        for r in range(w.shape[0]):
            p = (h + origin[0] - r * dilation[0]) // stride[0]
            if p < 0 or p >= rows or p * stride[0] != h + origin[0] - r * dilation[0]:
                continue
            line = g[n * rows + p]
            for s in range(w.shape[1]):
                ahead, tap = s * dilation[1] - origin[1], w[r, s]
                for q in range(max(0, -(ahead // stride[1])), min(columns, (width - 1 - ahead) // stride[1] + 1)):
                    at, to = uint64(q * channels), uint64((q * stride[1] + ahead) * channels)
                    for c in range(uint64(channels)):
                        out[to + c] += line[at + c] * tap[c]


@kernel
def _weight_grad(g: Array, x: Array, gw: Array, rows: int, stride: Pair, origin: Pair, dilation: Pair) -> None:
    """g (N*P, Q*C), x (N, H, W*C) -> gw (jobs, R, S, C), each job's share of the output rows added up."""
    jobs, channels = gw.shape[0], gw.shape[3]
    height, width, columns = x.shape[1], x.shape[2] // channels, g.shape[1] // channels
    for job in prange(jobs):
        gw[job] = 0
        for row in range(job * g.shape[0] // jobs, (job + 1) * g.shape[0] // jobs):
            n = row // rows
            p = row - n * rows
            values = g[row]
            for r in range(gw.shape[1]):
                h = p * stride[0] + r * dilation[0] - origin[0]
                if h < 0 or h >= height:
                    continue
                line = x[n, h]
                for s in range(gw.shape[2]):
                    ahead, out = s * dilation[1] - origin[1], gw[job, r, s]
                    for q in range(max(0, -(ahead // stride[1])), min(columns, (width - 1 - ahead) // stride[1] + 1)):
                        at, seen = uint64(q * channels), uint64((q * stride[1] + ahead) * channels)
                        for c in range(uint64(channels)):
                            out[c] += values[at + c] * line[seen + c]


# A channel of a depthwise convolution may have several kernels, m of them: output channel k then belongs to input
# channel k // m, and every m-th output channel makes one plain depthwise convolution.


def _taps_last(w: Array) -> Array:
    """(C, 1, R, S) -> (R, S, C)."""
    return contiguous(w[:, 0].transpose(1, 2, 0))


def _lines(x: Array) -> Array:
    """(N, H, W, C) -> (N, H, W*C)."""
    return x.reshape(*x.shape[:2], -1)


def correlate(x: Array, w: Array, y: Array, stride: Pair, origin: Pair, dilation: Pair) -> None:
    """x (N, H, W, C), w (m*C, 1, R, S) -> y (N, P, Q, m*C)."""
    n, p, q, k = y.shape
    c = x.shape[3]
    m = k // c
    work = 2 * (y.size // m) * w.shape[2] * w.shape[3]
    for i in range(m):
        part = y if m == 1 else empty((n, p, q, c), x.dtype)
        _correlate(work, _lines(x), _taps_last(w[i::m]), part.reshape(n * p, q * c), p, stride, origin, dilation)
        if m > 1:
            y[..., i::m] = part


def input_grad(g: Array, w: Array, gx: Array, stride: Pair, origin: Pair, dilation: Pair) -> None:
    """g (N, P, Q, m*C), w (m*C, 1, R, S) -> gx (N, H, W, C)."""
    n, p, q, k = g.shape
    m = k // gx.shape[3]
    gx[...] = 0
    work = 2 * (g.size // m) * w.shape[2] * w.shape[3]
    for i in range(m):
        part = contiguous(g[..., i::m]).reshape(n * p, -1)
        _input_grad(work, part, _taps_last(w[i::m]), _lines(gx), p, stride, origin, dilation)


def weight_grad(g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, origin: Pair, dilation: Pair) -> Array:
    """g (N, P, Q, m*C), x (N, H, W, C) -> (m*C, 1, R, S)."""
    n, p, q, k = g.shape
    r, s = w_shape[2:]
    c = x.shape[3]
    m = k // c
    gw = empty(w_shape, g.dtype)
    parts = empty((min(n * p, 32), r, s, c), g.dtype)
    work = 2 * (g.size // m) * r * s
    for i in range(m):
        part = contiguous(g[..., i::m]).reshape(n * p, q * c)
        _weight_grad(work, part, _lines(x), parts, p, stride, origin, dilation)
        gw[i::m, 0] = parts.sum(axis=0).transpose(2, 0, 1)
    return gw


__all__ = ["correlate", "input_grad", "weight_grad"]
