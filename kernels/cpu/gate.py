"""Backward through a ReLU that stands behind a convolution: g where y > 0, and its sum by channel, in one pass.

The sum is the gradient of the bias. Apart, the two read the gradient once more; and a gradient that is some channels of
a larger image, as it is behind joined branches, is read as it lies (`rows.py`) and not brought together first.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from ..memory import empty
from ._jit import Array, kernel, prange
from .layout import channels_first, channels_last
from .norm import fold, jobs_of, total_of
from .rows import line_of, row_step


@kernel
def _gate(g: Array, g_step: int, y: Array, passed: Array, sums: Array, jobs: int) -> None:
    """g, a line of memory with a row every so many numbers, y (M, C) -> passed (M, C), and each job's sum of rows."""
    rows, channels = y.shape
    zero = y.dtype.type(0)
    for job in prange(jobs):
        total = sums[job]
        total[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            at, ys, out = uint64(i * g_step), y[i], passed[i]
            for c in range(uint64(channels)):
                out[c] = g[at + c] if ys[c] > zero else zero
            for c in range(uint64(channels)):
                total[c] += out[c]


def conv2d_relu_gate(g: Array, y: Array) -> tuple[Array, Array]:
    outputs, gradient = channels_last(y), g.transpose(0, 2, 3, 1)
    passed = empty(outputs.shape, y.dtype)
    if not y.size:
        return channels_first(passed), np.zeros(y.shape[1], y.dtype)
    channels, step = y.shape[1], row_step(gradient) // gradient.itemsize
    if step > channels and gradient.flags.writeable:  # some channels of a larger image
        matrix = outputs.reshape(-1, channels)
    else:
        gradient, matrix = channels_last(g), fold(outputs)
        step = matrix.shape[1]
    jobs = jobs_of(matrix.size)
    sums = np.empty((jobs, matrix.shape[1]))
    _gate(matrix.size, line_of(gradient), step, matrix, passed.reshape(matrix.shape), sums, jobs)
    return channels_first(passed), total_of(sums, channels, y.dtype)
