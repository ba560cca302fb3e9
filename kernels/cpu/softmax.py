"""Softmax and its logarithm: each thread takes whole rows, so that one row stays in the cache for its three passes.

The axis comes last first; where it lies last in memory already (classes of a batch, channels of an image), that is a
view. A row is shifted by its maximum, so that no exponential overflows, and added up in double precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import empty_like
from ..reference.softmax import cross_entropy_backward as plain_backward, total_of
from ._jit import Array, kernel, prange
from ._math import exp
from .layout import contiguous

_EXP_COST = 8  # an exponential, in simple operations


def _rows(x: Array, axis: int) -> tuple[Array, tuple[int, ...]]:
    """x with its axis last, as a contiguous matrix; and its shape before that."""
    moved = np.moveaxis(x, axis, -1)
    length = moved.shape[-1]
    return contiguous(moved).reshape(x.size // length if length else 0, length), moved.shape


def _jobs(rows: Array) -> int:
    return int(min(rows.shape[0], max(1, rows.size // 1024)))


@kernel
def _softmax(x: Array, y: Array, jobs: int) -> None:
    rows, length = x.shape
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            xs, ys = x[row], y[row]
            top = xs[0]
            for i in range(length):
                top = max(top, xs[i])
            if not math.isfinite(top):
                top = x.dtype.type(0)
            total = 0.0
            for i in range(length):
                ys[i] = exp(xs[i] - top)
                total += ys[i]
            for i in range(length):
                ys[i] = ys[i] / total


def softmax(x: Array, axis: int) -> Array:
    rows, shape = _rows(x, axis)
    out = empty_like(rows)
    _softmax(rows.size * _EXP_COST, rows, out, _jobs(rows))
    return np.moveaxis(out.reshape(shape), -1, axis)


@kernel
def _softmax_backward(g: Array, y: Array, gx: Array, jobs: int) -> None:
    rows, length = y.shape
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, ys, out = g[row], y[row], gx[row]
            total = 0.0
            for i in range(length):
                total += gs[i] * ys[i]
            inner = y.dtype.type(total)
            for i in range(length):
                out[i] = ys[i] * (gs[i] - inner)


def softmax_backward(g: Array, y: Array, axis: int) -> Array:
    rows, shape = _rows(y, axis)
    out = empty_like(rows)
    _softmax_backward(rows.size * 4, _rows(g, axis)[0], rows, out, _jobs(rows))
    return np.moveaxis(out.reshape(shape), -1, axis)


@kernel
def _log_softmax(x: Array, y: Array, jobs: int) -> None:
    rows, length = x.shape
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            xs, ys = x[row], y[row]
            top = xs[0]
            for i in range(length):
                top = max(top, xs[i])
            if not math.isfinite(top):
                top = x.dtype.type(0)
            total = 0.0
            for i in range(length):
                total += exp(xs[i] - top)
            log_total = x.dtype.type(math.log(total))
            for i in range(length):
                ys[i] = (xs[i] - top) - log_total


def log_softmax(x: Array, axis: int) -> Array:
    rows, shape = _rows(x, axis)
    out = empty_like(rows)
    _log_softmax(rows.size * _EXP_COST, rows, out, _jobs(rows))
    return np.moveaxis(out.reshape(shape), -1, axis)


@kernel
def _log_softmax_backward(g: Array, y: Array, gx: Array, jobs: int) -> None:
    rows, length = y.shape
    for job in prange(jobs):
        for row in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, ys, out = g[row], y[row], gx[row]
            total = 0.0
            for i in range(length):
                total += gs[i]
            inner = y.dtype.type(total)
            for i in range(length):
                out[i] = gs[i] - exp(ys[i]) * inner


def log_softmax_backward(g: Array, y: Array, axis: int) -> Array:
    rows, shape = _rows(y, axis)
    out = empty_like(rows)
    _log_softmax_backward(rows.size * _EXP_COST, _rows(g, axis)[0], rows, out, _jobs(rows))
    return np.moveaxis(out.reshape(shape), -1, axis)


def cross_entropy(
    x: Array, labels: Array, ignored: int | None, mean: bool, worst: Array | None
) -> tuple[Array, Array, Any]:
    logp = log_softmax(x, 1)
    loss, scale = total_of(np, logp, labels, ignored, mean, worst)
    return loss, logp, scale


def cross_entropy_backward(g: Array, logp: Array, labels: Array, scale: Any, ignored: int | None) -> Array:
    if ignored is not None:
        return plain_backward(np, g, logp, labels, scale, ignored)
    gx = np.exp(logp)  # all labels are classes
    gx[np.arange(len(labels)), labels] -= 1
    gx *= g * scale
    return gx
