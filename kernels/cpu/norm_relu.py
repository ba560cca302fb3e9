"""Batch normalisation, a sum and ReLU in one pass over memory: y = max(0, xhat * weight + bias + shortcut).

Apart they would read and write an image three times, and memory, not arithmetic, is what each of the three waits for.
Backward, g counts where y is above zero; with a shortcut that product is its gradient, so it is written out on the way.
"""

from __future__ import annotations

import numpy as np

from ._jit import Array, kernel, prange
from .layout import channels_first, channels_last, jobs_for
from .norm import batch_norm_backward, fold, jobs_of, row_of


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
    y = np.empty_like(pixels)
    if x.size:
        matrix = fold(pixels)
        channels = pixels.shape[3]
        scale = inv_std if weight is None else inv_std * weight
        numbers = (
            row_of(mean, matrix, channels, 0),
            row_of(scale, matrix, channels, 1),
            row_of(bias, matrix, channels, 0),
        )
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
    pixels, gradients, outputs = channels_last(x), channels_last(g), channels_last(y)
    channels = pixels.shape[3]
    if has_shortcut or x.size == 0:
        passed = np.empty_like(gradients)
        _gate(x.size, gradients.reshape(-1), outputs.reshape(-1), passed.reshape(-1), jobs_for(x.size))
        shortcut_gradient = channels_first(passed)
        results = batch_norm_backward(shortcut_gradient, x, mean, inv_std, weight)
        return *results, shortcut_gradient if has_shortcut else None
    matrix = fold(pixels)
    jobs = jobs_of(matrix)
    gradients, outputs = gradients.reshape(matrix.shape), outputs.reshape(matrix.shape)
    moments = row_of(mean, matrix, channels, 0), row_of(inv_std, matrix, channels, 1)
    sums, products = np.empty((jobs, matrix.shape[1])), np.empty((jobs, matrix.shape[1]))
    _gated_sums(matrix.size * 2, gradients, outputs, matrix, *moments, sums, products, jobs)
    gbias, gweight = (part.reshape(-1, channels).sum(axis=0) for part in (sums, products))
    count = x.size // channels
    scale = inv_std if weight is None else inv_std * weight
    numbers = (row_of(values, matrix, channels, 0) for values in (scale, gbias / count, gweight / count))
    gx = np.empty_like(pixels)
    out = gx.reshape(matrix.shape)
    _gated_input_gradient(matrix.size * 2, gradients, outputs, matrix, *moments, *numbers, out, jobs)
    return channels_first(gx), gweight.astype(x.dtype), gbias.astype(x.dtype), None
