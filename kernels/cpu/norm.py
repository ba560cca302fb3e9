"""Batch normalisation of channels-last images: a matrix of M pixels by C channels, with sums down its columns.

The sums run over blocks of pixels that stay in the cache, in double precision. The moments of a block are its mean and
the squares about that mean, and blocks are joined by Chan's formula, so that one pass over memory loses no digits even
where the mean is large beside the spread:

    mean = mean_a + d * m_b / m,   squares = squares_a + squares_b + d^2 * m_a * m_b / m,   d = mean_b - mean_a

T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
(1979), equation 2.1. Where there are few channels, several pixels are folded into one row of the matrix, so that rows
are long enough for vector code; a sum then has as many parts as pixels were folded, and they are joined at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..memory import empty_like
from ._jit import Array, Kernel, kernel, prange
from .layout import channels_first, channels_last, contiguous

_BLOCK = 64  # rows that are read twice, the second time from the cache
_ROW = 32  # numbers that a row should have


def fold(pixels: Array) -> Array:
    """(N, H, W, C) -> (M / f, f * C), with the smallest f = 1, 2, 4, ... that makes rows long enough and divides M."""
    channels = pixels.shape[3]
    rows = pixels.size // channels
    fold = 1
    while fold * channels < _ROW and rows % (2 * fold) == 0:
        fold *= 2
    return pixels.reshape(rows // fold, fold * channels)


def jobs_of(matrix: Array) -> int:
    """How many parts a sum down the columns is cut into: by its size, so that rounding is the same on every machine."""
    return int(min(64, matrix.size // 8192 + 1))


@kernel
def _sums(x: Array, sums: Array, jobs: int) -> None:
    """x (M, C) -> for each job the sum, (jobs, C), of its rows."""
    rows, channels = x.shape
    for job in prange(jobs):
        total = sums[job]
        total[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            row = x[i]
            for c in range(channels):
                total[c] += row[c]


def channel_sum(x: Array) -> Array:
    pixels = channels_last(x)
    channels = pixels.shape[3]
    if not x.size:
        return np.zeros(channels, x.dtype)
    matrix = fold(pixels)
    jobs = jobs_of(matrix)
    sums = np.empty((jobs, matrix.shape[1]))
    _sums(matrix.size, matrix, sums, jobs)
    return sums.reshape(-1, channels).sum(axis=0).astype(x.dtype)


@kernel
def _moments(x: Array, means: Array, squares: Array, jobs: int) -> None:
    """x (M, C) -> for each job the mean and the sum of squares about it, (jobs, C), of its rows."""
    rows, channels = x.shape
    for job in prange(jobs):
        mean, square = means[job], squares[job]
        mean[:] = 0
        square[:] = 0
        block_mean, block_square = np.empty(channels), np.empty(channels)
        first, last = job * rows // jobs, (job + 1) * rows // jobs
        for start in range(first, last, _BLOCK):
            block = x[start : min(last, start + _BLOCK)]
            block_mean[:] = 0
            block_square[:] = 0
            for i in range(block.shape[0]):
                row = block[i]
                for c in range(channels):
                    block_mean[c] += row[c]
            for c in range(channels):
                block_mean[c] /= block.shape[0]
            for i in range(block.shape[0]):
                row = block[i]
                for c in range(channels):
                    d = row[c] - block_mean[c]
                    block_square[c] += d * d
            before, now = start - first, block.shape[0]
            share = now / (before + now)
            for c in range(channels):
                d = block_mean[c] - mean[c]
                mean[c] += d * share
                square[c] += block_square[c] + d * d * before * share


@kernel
def _join(means: Array, squares: Array, rows: int, mean: Array, variance: Array) -> None:
    """The moments of each job's rows, (jobs, f * C), -> those of all pixels, (C,)."""
    jobs, columns = means.shape
    mean[:] = 0
    variance[:] = 0
    before = 0
    for job in range(jobs):
        now = (job + 1) * rows // jobs - job * rows // jobs
        for start in range(0, columns, mean.size):
            share = now / max(1, before + now)
            for c in range(mean.size):
                d = means[job, start + c] - mean[c]
                mean[c] += d * share
                variance[c] += squares[job, start + c] + d * d * before * share
            before += now
    for c in range(mean.size):
        variance[c] /= before


def channel_moments(x: Array) -> tuple[Array, Array]:
    pixels = channels_last(x)
    channels = pixels.shape[3]
    count = x.size // channels if channels else 0
    if count == 0:
        return np.full(channels, np.nan), np.full(channels, np.nan)
    matrix = fold(pixels)
    rows, columns = matrix.shape
    jobs = jobs_of(matrix)
    means, squares = np.empty((jobs, columns)), np.empty((jobs, columns))
    _moments(matrix.size * 2, matrix, means, squares, jobs)
    mean, variance = np.empty(channels), np.empty(channels)
    _join(0, means, squares, rows, mean, variance)
    return mean, variance


@kernel
def _inverse_std(variance: Array, eps: float, out: Array) -> None:
    for c in range(out.size):
        out[c] = 1 / math.sqrt(variance[c] + eps)


def inverse_std(variance: Array, eps: float) -> Array:
    out = np.empty(variance.shape)
    _inverse_std(0, _given(variance, np.float64), float(eps), out)
    return out.astype(variance.dtype, copy=False)


@kernel
def _move_statistics(
    running_mean: Array, running_var: Array, mean: Array, var: Array, momentum: float, correction: float
) -> None:
    for c in range(mean.size):
        running_mean[c] = running_mean[c] * (1 - momentum) + mean[c] * momentum
        running_var[c] = running_var[c] * (1 - momentum) + var[c] * (momentum * correction)


def move_statistics(
    running_mean: Array, running_var: Array, mean: Array, var: Array, momentum: float, correction: float
) -> None:
    lines = contiguous(running_mean), contiguous(running_var)
    moments = _given(mean, np.float64), _given(var, np.float64)
    _move_statistics(0, *lines, *moments, float(momentum), float(correction))
    for line, running in zip(lines, (running_mean, running_var), strict=True):
        if line is not running:
            running[...] = line


@kernel
def _transform(x: Array, mean: Array, scale: Array, bias: Array, y: Array, jobs: int) -> None:
    rows, channels = x.shape
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, target = x[i], y[i]
            for c in range(channels):
                target[c] = (source[c] - mean[c]) * scale[c] + bias[c]


@kernel
def _rows(mean: Array, inv_std: Array, weight: Array, bias: Array, rows: Array) -> None:
    """(C,) -> rows of the folded matrix, (3, f * C): the mean, inv_std * weight, and the bias."""
    channels = mean.size
    zero = rows.dtype.type(0)
    for i in range(rows.shape[1]):
        c = i % channels
        rows[0, i] = mean[c]
        rows[1, i] = inv_std[c] * weight[c] if weight.size else inv_std[c]
        rows[2, i] = bias[c] if bias.size else zero


def _given(values: Array | None, dtype: Any) -> Array:
    """Values of the channels in this dtype; an empty line for none."""
    return np.empty(0, dtype) if values is None else contiguous(values.astype(dtype, copy=False))


def rows_of(
    matrix: Array, mean: Array, inv_std: Array, weight: Array | None = None, bias: Array | None = None
) -> Array:
    """Rows of the mean, of inv_std * weight and of the bias, in the folded matrix' dtype."""
    rows = np.empty((3, matrix.shape[1]), matrix.dtype)
    moments = _given(mean, np.float64), _given(inv_std, np.float64)
    _rows(0, *moments, _given(weight, matrix.dtype), _given(bias, matrix.dtype), rows)
    return rows


def batch_norm_transform(x: Array, mean: Array, inv_std: Array, weight: Array | None, bias: Array | None) -> Array:
    pixels = channels_last(x)
    y = empty_like(pixels)
    if x.size:
        matrix = fold(pixels)
        numbers = rows_of(matrix, mean, inv_std, weight, bias)
        _transform(x.size, matrix, *numbers, y.reshape(matrix.shape), jobs_of(matrix))
    return channels_first(y)


@kernel
def gradient_sums(g: Array, x: Array, mean: Array, inv_std: Array, sums: Array, products: Array, jobs: int) -> None:
    """g, x (M, C) -> for each job the sums of g and of g * xhat, (jobs, C), over its rows."""
    rows, channels = x.shape
    for job in prange(jobs):
        total, product = sums[job], products[job]
        total[:] = 0
        product[:] = 0
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, xs = g[i], x[i]
            for c in range(channels):
                total[c] += gs[c]
                product[c] += gs[c] * ((xs[c] - mean[c]) * inv_std[c])


@kernel
def input_gradient(
    g: Array, x: Array, mean: Array, inv_std: Array, scale: Array, g_mean: Array, slope: Array, gx: Array, jobs: int
) -> None:
    """gx = scale * (g - mean(g) - xhat * mean(g * xhat)), the two means given."""
    rows, channels = x.shape
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, xs, out = g[i], x[i], gx[i]
            for c in range(channels):
                xhat = (xs[c] - mean[c]) * inv_std[c]
                out[c] = scale[c] * (gs[c] - g_mean[c] - xhat * slope[c])


@kernel
def _gradients(
    sums: Array, products: Array, inv_std: Array, weight: Array, count: int, gweight: Array, gbias: Array, rows: Array
) -> None:
    """The jobs' sums, (jobs, f * C), -> gweight, gbias (C,), and rows of inv_std * weight and of the two's means."""
    channels = gbias.size
    for c in range(channels):
        total, product = 0.0, 0.0
        for job in range(sums.shape[0]):
            for start in range(0, sums.shape[1], channels):
                total += sums[job, start + c]
                product += products[job, start + c]
        gbias[c], gweight[c] = total, product
        scale = inv_std[c] * weight[c] if weight.size else inv_std[c]
        for start in range(0, sums.shape[1], channels):
            rows[0, start + c] = scale
            rows[1, start + c] = total / count
            rows[2, start + c] = product / count


def through_moments(
    sum_up: Kernel,
    spread: Kernel,
    images: tuple[Array, ...],
    x: Array,
    mean: Array,
    inv_std: Array,
    weight: Array | None,
    more: Sequence[Array] = (),
    spread_images: tuple[Array, ...] | None = None,
) -> tuple[Array, Array, Array]:
    """gx, gweight, gbias by two passes: sums over the channels, then each pixel's part of them.

    Args:
        sum_up, spread: `gradient_sums` and `input_gradient`, or others that take more images in front of x.
        images: these, the gradient first, matrices as `fold` gives them.
        more: rows that both also take, behind those of mean and inv_std.
        spread_images: what spread takes instead of images.
    """
    pixels = channels_last(x)
    channels = pixels.shape[3]
    gx = empty_like(pixels)
    matrix = fold(pixels)
    jobs = jobs_of(matrix)
    moments = *rows_of(matrix, mean, inv_std)[:2], *more
    sums, products = np.empty((2, jobs, matrix.shape[1]))
    sum_up(matrix.size * 2, *images, matrix, *moments, sums, products, jobs)
    gweight, gbias = np.empty((2, channels), x.dtype)
    rows = np.empty((3, matrix.shape[1]), x.dtype)
    scale = _given(inv_std, np.float64), _given(weight, x.dtype)
    _gradients(0, sums, products, *scale, x.size // channels, gweight, gbias, rows)
    if spread_images is not None:
        images = spread_images
    spread(matrix.size * 2, *images, matrix, *moments, *rows, gx.reshape(matrix.shape), jobs)
    return channels_first(gx), gweight, gbias


def no_gradients(x: Array) -> tuple[Array, Array, Array]:
    """gx, gweight, gbias of no images."""
    channels = x.shape[1]
    return np.zeros_like(x), np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)


def batch_norm_backward(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    if x.size == 0:
        return no_gradients(x)
    return through_moments(gradient_sums, input_gradient, (fold(channels_last(g)),), x, mean, inv_std, weight)
