"""Batch normalisation, a sum and ReLU in one pass over memory: y = max(0, xhat * weight + bias + shortcut).

Apart they would read and write an image three times, and memory, not arithmetic, is what each of the three waits for.
Backward, g counts where y is above zero. Without a shortcut y is computed again from x, which is quicker than reading
it; with one, that product is the shortcut's gradient, so it is written out on the way.
"""

from __future__ import annotations

import numpy as np

from ..memory import empty_like
from ..reference import norm as reference
from ..reference.norm import Moving
from ._jit import Array, kernel, prange
from .layout import channels_first, channels_last
from .norm import (
    eval_rows,
    fold,
    input_gradient,
    jobs_of,
    means_of,
    moments_of,
    no_gradients,
    rows_of,
    sums_for,
    transformed,
)


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


def _bent(pixels: Array, matrix: Array, rows: Array, shortcut: Array | None) -> Array:
    """The pixels (N, H, W, C) of a matrix by the rows of `rows_of`, plus the shortcut, through ReLU: (N, C, H, W)."""
    y = empty_like(pixels)
    out, jobs = y.reshape(matrix.shape), jobs_of(matrix)
    mean, _, scale, bias = rows
    if shortcut is None:
        _transform_relu(matrix.size, matrix, mean, scale, bias, out, jobs)
    else:
        other = channels_last(shortcut).reshape(matrix.shape)
        _transform_add_relu(2 * matrix.size, matrix, mean, scale, bias, other, out, jobs)
    return channels_first(y)


def batch_norm_eval(
    x: Array,
    mean: Array,
    variance: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
) -> tuple[Array, Array]:
    pixels = channels_last(x)
    if not x.size:
        return channels_first(empty_like(pixels)), reference.inverse_std(np, variance, eps)
    matrix = fold(pixels)
    rows, inv_std = eval_rows(matrix, mean, variance, weight, bias, eps)
    return _bent(pixels, matrix, rows, shortcut) if relu else transformed(pixels, matrix, rows), inv_std


def batch_norm_train(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
    moving: Moving | None,
) -> tuple[Array, Array, Array]:
    pixels = channels_last(x)
    matrix = fold(pixels)
    moments, rows = moments_of(matrix, x.shape[1], eps, weight, bias, moving)
    y = _bent(pixels, matrix, rows, shortcut) if relu else transformed(pixels, matrix, rows)
    return y, moments[0], moments[2]


@kernel
def _gated_sums(
    g: Array, x: Array, mean: Array, inv_std: Array, scale: Array, bias: Array, sums: Array, products: Array, jobs: int
) -> None:
    """For each job the sums, over its rows, of g and of g * xhat where the output was above zero."""
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        total, product = sums[job], products[job]
        total[:] = 0
        product[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, xs = g[i], x[i]
            for c in range(channels):
                centred = xs[c] - mean[c]
                passed = gs[c] if centred * scale[c] + bias[c] > zero else zero
                total[c] += passed
                product[c] += passed * (centred * inv_std[c])


@kernel
def _gated_input_gradient(
    g: Array, x: Array, mean: Array, inv_std: Array, scale: Array, bias: Array, g_mean: Array, slope: Array,
    gx: Array, jobs: int,
) -> None:  # fmt: skip
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, xs, out = g[i], x[i], gx[i]
            for c in range(channels):
                centred = xs[c] - mean[c]
                passed = gs[c] if centred * scale[c] + bias[c] > zero else zero
                out[c] = scale[c] * (passed - g_mean[c] - centred * inv_std[c] * slope[c])


@kernel
def _gate_and_sum(
    g: Array, y: Array, passed: Array, x: Array, mean: Array, inv_std: Array, sums: Array, products: Array, jobs: int
) -> None:
    """g where y > 0; and for each job its sums, and those of it times xhat, over its rows."""
    rows, channels = x.shape
    zero = x.dtype.type(0)
    for job in prange(jobs):
        total, product = sums[job], products[job]
        total[:] = 0
        product[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, ys, xs, out = g[i], y[i], x[i], passed[i]
            for c in range(channels):
                out[c] = gs[c] if ys[c] > zero else zero
            for c in range(channels):
                total[c] += out[c]
                product[c] += out[c] * ((xs[c] - mean[c]) * inv_std[c])


def batch_norm_relu_backward(
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    inv_std: Array,
    weight: Array | None,
    bias: Array | None,
    has_shortcut: bool,
) -> tuple[Array, Array, Array, Array | None]:
    if x.size == 0:
        return *no_gradients(x), np.zeros_like(x) if has_shortcut else None
    pixels = channels_last(x)
    matrix, gradient = fold(pixels), fold(channels_last(g))
    work, jobs = 2 * matrix.size, jobs_of(matrix)
    mean, inv_std, scale, gate = rows_of(matrix, mean, inv_std, weight, bias)
    sums, products = sums_for(matrix, jobs)
    gx = empty_like(pixels)
    out = gx.reshape(matrix.shape)
    if not has_shortcut:  # then y follows from x, which is read anyway
        _gated_sums(work, gradient, matrix, mean, inv_std, scale, gate, sums, products, jobs)
        gweight, gbias, (g_mean, slope) = means_of(sums, products, x)
        _gated_input_gradient(work, gradient, matrix, mean, inv_std, scale, gate, g_mean, slope, out, jobs)
        return channels_first(gx), gweight, gbias, None
    passed = empty_like(pixels)
    there = passed.reshape(matrix.shape)
    _gate_and_sum(work, gradient, fold(channels_last(y)), there, matrix, mean, inv_std, sums, products, jobs)
    gweight, gbias, (g_mean, slope) = means_of(sums, products, x)
    input_gradient(work, there, matrix, mean, inv_std, scale, g_mean, slope, out, jobs)
    return channels_first(gx), gweight, gbias, channels_first(passed)
