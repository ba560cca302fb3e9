"""Batch normalisation, a sum and ReLU in one pass over memory: y = max(0, xhat * weight + bias + shortcut).

Apart they would read and write an image three times, and memory, not arithmetic, is what each of the three waits for.
Backward, g counts where y is above zero; with a shortcut that product is its gradient, so it is written out on the way.
"""

from __future__ import annotations

from ..memory import empty_like
from ._jit import Array, kernel, prange
from .layout import channels_first, channels_last, jobs_for
from .norm import batch_norm_backward, fold, jobs_of, rows_of, through_moments


@kernel
def _transform_relu(x: Array, mean: Array, scale: Array, bias: Array, y: Array, jobs: int) -> None:
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, target = x[i], y[i]
            for c in range(channels):
                value = (source[c] - mean[c]) * scale[c] + bias[c]
                target[c] = zero if value < zero else value  # NaN stays NaN


@kernel
def _transform_add_relu(x: Array, mean: Array, scale: Array, bias: Array, other: Array, y: Array, jobs: int) -> None:
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, added, target = x[i], other[i], y[i]
            for c in range(channels):
                value = (source[c] - mean[c]) * scale[c] + bias[c] + added[c]
                target[c] = zero if value < zero else value


def batch_norm_relu(
    x: Array, mean: Array, inv_std: Array, weight: Array | None, bias: Array | None, shortcut: Array | None
) -> Array:
    pixels = channels_last(x)
    y = empty_like(pixels)
    if x.size:
        matrix = fold(pixels)
        numbers = rows_of(matrix, mean, inv_std, weight, bias)
        out, jobs = y.reshape(matrix.shape), jobs_of(matrix)
        if shortcut is None:
            _transform_relu(x.size, matrix, *numbers, out, jobs)
        else:
            other = channels_last(shortcut).reshape(matrix.shape)
            _transform_add_relu(2 * x.size, matrix, *numbers, other, out, jobs)
    return channels_first(y)


@kernel
def _gated_sums(
    g: Array, y: Array, x: Array, mean: Array, inv_std: Array, sums: Array, products: Array, jobs: int
) -> None:
    """For each job the sums, over its rows, of g and of g * xhat where y > 0."""
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        total, product = sums[job], products[job]
        total[:] = 0
        product[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, ys, xs = g[i], y[i], x[i]
            for c in range(channels):
                passed = gs[c] if ys[c] > zero else zero
                total[c] += passed
                product[c] += passed * ((xs[c] - mean[c]) * inv_std[c])


@kernel
def _gated_input_gradient(
    g: Array, y: Array, x: Array, mean: Array, inv_std: Array, scale: Array, g_mean: Array, slope: Array, gx: Array,
    jobs: int,
) -> None:  # fmt: skip
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, ys, xs, out = g[i], y[i], x[i], gx[i]
            for c in range(channels):
                passed = gs[c] if ys[c] > zero else zero
                xhat = (xs[c] - mean[c]) * inv_std[c]
                out[c] = scale[c] * (passed - g_mean[c] - xhat * slope[c])


@kernel
def _gate(g: Array, y: Array, passed: Array, jobs: int) -> None:
    """g where y > 0, on flat lines."""
    size = g.size
    zero = g.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * size // jobs, (job + 1) * size // jobs
        gs, ys, out = g[lo:hi], y[lo:hi], passed[lo:hi]
        for i in range(out.size):
            out[i] = gs[i] if ys[i] > zero else zero


def batch_norm_relu_backward(
    g: Array, y: Array, x: Array, mean: Array, inv_std: Array, weight: Array | None, has_shortcut: bool
) -> tuple[Array, Array, Array, Array | None]:
    if not has_shortcut:
        return *through_moments(_gated_sums, _gated_input_gradient, (g, y), x, mean, inv_std, weight), None
    gradients, outputs = channels_last(g), channels_last(y)
    passed = empty_like(gradients)
    _gate(x.size, gradients.reshape(-1), outputs.reshape(-1), passed.reshape(-1), jobs_for(x.size))
    shortcut_gradient = channels_first(passed)
    return *batch_norm_backward(shortcut_gradient, x, mean, inv_std, weight), shortcut_gradient
