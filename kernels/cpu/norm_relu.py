"""Batch normalisation, a sum and ReLU in one pass over memory: y = max(0, xhat * weight + bias + shortcut).

Apart they would read and write an image three times, and memory, not arithmetic, is what each of the three waits for.
Backward, g counts where y is above zero. Without a shortcut y is computed again from x, which is quicker than reading
it; with one, that product is the shortcut's gradient, so it is written out on the way.
"""

from __future__ import annotations

import numpy as np

from ..reference import norm as reference
from ..reference.norm import Moving
from ._jit import Array, kernel, prange
from .norm import (
    Table,
    eval_rows,
    input_gradient,
    jobs_of,
    means_of,
    moments_of,
    no_gradients,
    rows_of,
    sums_for,
    table_of,
    transformed,
)


@kernel
def _transform_relu(x: Array, lines: Array, y: Array, jobs: int) -> None:
    rows, channels = y.shape
    mean, scale, bias = lines[0], lines[2], lines[3]
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, target = x[i], y[i]
            for c in range(channels):
                value = (source[c] - mean[c]) * scale[c] + bias[c]
                target[c] = zero if value < zero else value  # NaN stays NaN


@kernel
def _transform_add_relu(x: Array, lines: Array, other: Array, y: Array, jobs: int) -> None:
    rows, channels = y.shape
    mean, scale, bias = lines[0], lines[2], lines[3]
    zero = x.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, added, target = x[i], other[i], y[i]
            for c in range(channels):
                value = (source[c] - mean[c]) * scale[c] + bias[c] + added[c]
                target[c] = zero if value < zero else value


def _bent(x: Table, rows: Array, shortcut: Array | None) -> Array:
    """The images by the rows of `rows_of`, plus the shortcut, through ReLU: (N, C, H, W)."""
    y, out = x.room()
    jobs = jobs_of(out.size)
    if shortcut is None:
        _transform_relu(out.size, x.matrix, rows, out, jobs)
    else:
        _transform_add_relu(2 * out.size, x.matrix, rows, x.cut(shortcut), out, jobs)
    return y


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
    if not x.size:
        return np.empty_like(x), reference.inverse_std(np, variance, eps)
    table = table_of(x)
    rows, inv_std = eval_rows(table, mean, variance, weight, bias, eps)
    return _bent(table, rows, shortcut) if relu else transformed(table, rows), inv_std


def batch_norm_train(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
    moving: Moving | None,
) -> tuple[Array, Array, Array]:
    table = table_of(x)
    moments, rows = moments_of(table, eps, weight, bias, moving)
    y = _bent(table, rows, shortcut) if relu else transformed(table, rows)
    return y, moments[0], moments[2]


@kernel
def _gated_sums(
    g: Array, x: Array, mean: Array, inv_std: Array, scale: Array, bias: Array, sums: Array, products: Array, jobs: int
) -> None:
    """For each job the sums, over its rows, of g and of g * xhat where the output was above zero."""
    rows, channels = g.shape
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
    rows, channels = gx.shape
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
    rows, channels = g.shape
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
    table = table_of(x)
    matrix, gradient = table.matrix, table.cut(g)
    work, jobs = 2 * x.size, jobs_of(x.size)
    mean, inv_std, scale, gate = rows_of(table, mean, inv_std, weight, bias)
    sums, products = sums_for(table, jobs)
    gx, out = table.room()
    if not has_shortcut:  # then y follows from x, which is read anyway
        _gated_sums(work, gradient, matrix, mean, inv_std, scale, gate, sums, products, jobs)
        gweight, gbias, (g_mean, slope) = means_of(sums, products, table)
        _gated_input_gradient(work, gradient, matrix, mean, inv_std, scale, gate, g_mean, slope, out, jobs)
        return gx, gweight, gbias, None
    passed, there = table.room()
    _gate_and_sum(work, gradient, table.cut(y), there, matrix, mean, inv_std, sums, products, jobs)
    gweight, gbias, (g_mean, slope) = means_of(sums, products, table)
    input_gradient(work, there, matrix, mean, inv_std, scale, g_mean, slope, out, jobs)
    return gx, gweight, gbias, passed
