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
_cross_entropy = Kernel("softmax", "cross_entropy")
_cross_entropy_backward = Kernel("softmax", "cross_entropy_backward")

_THREADS = 128


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


def cross_entropy(x: Array, labels: Array, ignore_index: int = -100) -> tuple[Array, Array]:
    """Scores (N, C) and classes (N,), int64 -> the loss of each row, (N,), and the logarithm of each row's sum of
    exponentials, (N,), which the gradient wants. Both are float32 for 16-bit scores."""
    x, labels = widened(x, x.dtype), widened(labels, np.dtype(np.int64))
    n, classes = x.shape
    losses, log_sums = (driver().xp.empty(n, wide(x.dtype)) for _ in range(2))
    grid, block = (n,), (threads_for(classes),)
    _cross_entropy.launch(x.dtype, grid, block, x, labels, losses, log_sums, classes, ignore_index)
    return losses, log_sums


def cross_entropy_backward(g: Array, x: Array, labels: Array, log_sums: Array, ignore_index: int = -100) -> Array:
    """The gradient (N,) of the losses -> that of the scores (N, C)."""
    x, labels = widened(x, x.dtype), widened(labels, np.dtype(np.int64))
    gx = driver().xp.empty(x.shape, x.dtype)
    arrays = widened(g, np.dtype(wide(x.dtype))), x, labels, log_sums, gx
    numbers = x.size, x.shape[1], ignore_index
    _cross_entropy_backward.launch(x.dtype, (blocks_for(x.size, _THREADS),), (_THREADS,), *arrays, *numbers)
    return gx
