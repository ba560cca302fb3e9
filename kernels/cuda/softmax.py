"""Softmax along any axis of an array in any layout, and cross entropy: the grids for `softmax.cu`."""

from __future__ import annotations

import numpy as np

from .layout import around, blocks_for, dense, empty, in_order, threads_for, wide, widened
from .loader import Array, Kernel, driver

_LOG = ((False, True),)

_softmax_rows = Kernel("softmax", "softmax_rows", variants=_LOG)
_softmax_lines = Kernel("softmax", "softmax_lines", variants=_LOG)
_softmax_backward_rows = Kernel("softmax", "softmax_backward_rows", variants=_LOG)
_softmax_backward_lines = Kernel("softmax", "softmax_backward_lines", variants=_LOG)
_cross_entropy_rows = Kernel("softmax", "cross_entropy_rows")
_cross_entropy_total = Kernel("softmax", "cross_entropy_total", variants=((False, True),))
_cross_entropy_backward = Kernel("softmax", "cross_entropy_backward")

_THREADS = 128
_NO_LABEL = -1  # no class anyway


def _along(rows: Kernel, lines: Kernel, log: bool, axis: int, x: Array, g: Array | None = None) -> Array:
    """Run the kernel for neighbouring numbers or the one for distant ones, as the axis lies in memory."""
    x, order = dense(x)
    outer, length, inner = around(x.shape, order, axis)
    y = empty(x.shape, x.dtype, order)
    arrays = (x, y) if g is None else (in_order(g, order), x, y)
    if not x.size:
        return y
    if inner == 1:
        rows.launch((x.dtype, log), (outer,), (threads_for(length),), *arrays, length)
    else:
        count = outer * inner
        lines.launch((x.dtype, log), (blocks_for(count, _THREADS),), (_THREADS,), *arrays, count, length, inner)
    return y


def softmax(x: Array, axis: int) -> Array:
    return _along(_softmax_rows, _softmax_lines, False, axis, x)


def softmax_backward(g: Array, y: Array, axis: int) -> Array:
    return _along(_softmax_backward_rows, _softmax_backward_lines, False, axis, y, g)


def log_softmax(x: Array, axis: int) -> Array:
    return _along(_softmax_rows, _softmax_lines, True, axis, x)


def log_softmax_backward(g: Array, y: Array, axis: int) -> Array:
    return _along(_softmax_backward_rows, _softmax_backward_lines, True, axis, y, g)


def cross_entropy(
    x: Array, labels: Array, ignored: int | None, mean: bool, worst: Array | None
) -> tuple[Array, Array, Array]:
    x, labels = widened(x, x.dtype), widened(labels, np.dtype(np.int64))
    n, classes = x.shape
    xp, numbers = driver().xp, (classes, _NO_LABEL if ignored is None else ignored)
    losses, logp = xp.empty(n, wide(x.dtype)), xp.empty(x.shape, x.dtype)
    loss, scale = xp.empty((), x.dtype), xp.empty((), wide(x.dtype))
    _cross_entropy_rows.launch(x.dtype, (n,), (threads_for(classes),), x, labels, logp, losses, worst, *numbers)
    arrays = losses, labels, loss, scale
    _cross_entropy_total.launch((x.dtype, mean), (1,), (threads_for(n),), *arrays, n, *numbers)
    return loss, logp, scale


def cross_entropy_backward(g: Array, logp: Array, labels: Array, scale: Array, ignored: int | None) -> Array:
    labels = widened(labels, np.dtype(np.int64))
    gx = driver().xp.empty(logp.shape, logp.dtype)
    numbers = logp.size, logp.shape[1], _NO_LABEL if ignored is None else ignored
    grid = (blocks_for(logp.size, _THREADS),)
    _cross_entropy_backward.launch(logp.dtype, grid, (_THREADS,), g, logp, labels, scale, gx, *numbers)
    return gx
