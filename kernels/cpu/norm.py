"""Batch normalisation of channels-last images: a matrix of M pixels by C channels, with sums down its columns.

The sums run over blocks of pixels that stay in the cache, in double precision. The moments of a block are its mean and
the squares about that mean, and blocks are joined by Chan's formula, so that one pass over memory loses no digits even
where the mean is large beside the spread:

    mean = mean_a + d * m_b / m,   squares = squares_a + squares_b + d^2 * m_a * m_b / m,   d = mean_b - mean_a

T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
(1979), equation 2.1. Where there are few channels, several pixels are folded into one row of the matrix, so that rows
are long enough for vector code; a sum then has as many parts as pixels were folded, and they are joined at the end.

Images may be the first channels of wider ones, as those that a dense block joins in place are. What a kernel calls x is
then the matrix of the whole, (M, D) with D > C, of which the first C columns count: C is the width of its other arrays.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..memory import empty_like
from ..reference import norm as reference
from ..reference.norm import Moving
from ._jit import Array, kernel, prange
from ._jobs import helper
from .layout import channels_first, channels_last
from .rows import whole_image

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


def jobs_of(size: int) -> int:
    """How many parts a sum down the columns is cut into: by the numbers that it adds up, so that rounding is the same
    on every machine."""
    return min(64, size // 8192 + 1)


class Table(NamedTuple):
    """Images (N, C, H, W) as the first columns of a matrix of pixels."""

    pixels: Array  # (N, H, W, C)
    matrix: Array  # (M / f, D), C-contiguous
    columns: int  # f * C, D or fewer

    def cut(self, other: Array) -> Array:
        """Other images of this shape, as a matrix of just these columns."""
        return channels_last(other).reshape(-1, self.columns)

    def room(self) -> tuple[Array, Array]:
        """New images (N, C, H, W), which hold anything, and their matrix."""
        images = empty_like(self.pixels)
        return channels_first(images), images.reshape(-1, self.columns)


def table_of(x: Array) -> Table:
    """Images (N, C, H, W) as a matrix: folded, or where they are many channels of wider images these, uncopied."""
    channels = x.shape[1]
    if channels >= _ROW and x.strides[3] > channels * x.itemsize:
        whole = whole_image(x)
        if whole is not None:
            return Table(x.transpose(0, 2, 3, 1), whole.reshape(-1, whole.shape[3]), channels)
    pixels = channels_last(x)
    matrix = fold(pixels)
    return Table(pixels, matrix, matrix.shape[1])


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


@helper
def _add_up(sums: Array, total: Array) -> None:
    """The jobs' sums, (jobs, f * C), added up in (C,)."""
    total[:] = 0
    for job in range(sums.shape[0]):
        for start in range(0, sums.shape[1], total.size):
            part = sums[job, start : start + total.size]
            for c in range(total.size):
                total[c] += part[c]


@kernel
def _total(sums: Array, out: Array) -> None:
    total = np.empty(out.size)
    _add_up(sums, total)
    for c in range(out.size):
        out[c] = total[c]


def total_of(sums: Array, channels: int, dtype: Any) -> Array:
    """The jobs' sums, (jobs, f * C) in double precision, added up in (C,)."""
    out = np.empty(channels, dtype)
    _total(0, sums, out)
    return out


def channel_sum(x: Array) -> Array:
    pixels = channels_last(x)
    if not x.size:
        return np.zeros(x.shape[1], x.dtype)
    matrix = fold(pixels)
    jobs = jobs_of(matrix.size)
    sums = np.empty((jobs, matrix.shape[1]))
    _sums(matrix.size, matrix, sums, jobs)
    return total_of(sums, x.shape[1], x.dtype)


@kernel
def _moments(x: Array, means: Array, squares: Array, jobs: int) -> None:
    """x (M, D) -> for each job the mean and the sum of squares about it, (jobs, C), of its rows."""
    rows, channels = x.shape[0], means.shape[1]
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


@helper
def _fill_rows(mean: Array, inv_std: Array, weight: Array, bias: Array, rows: Array) -> None:
    """(C,) -> rows of the folded matrix, (4, f * C): the mean, inv_std, inv_std * weight, and the bias."""
    channels = mean.size
    for start in range(0, rows.shape[1], channels):
        part = rows[:, start : start + channels]
        for c in range(channels):
            part[0, c] = mean[c]
            part[1, c] = inv_std[c]
        for c in range(channels):
            part[2, c] = inv_std[c] * weight[c] if weight.size else inv_std[c]
        for c in range(channels):
            part[3, c] = bias[c] if bias.size else 0


@kernel
def _join(
    means: Array,
    squares: Array,
    count: int,
    eps: float,
    weight: Array,
    bias: Array,
    moments: Array,
    rows: Array,
    running_mean: Array,
    running_var: Array,
    momentum: float,
) -> None:
    """The moments of each job's share of `count` rows, (jobs, f * C) -> moments (3, C), of all pixels: mean, variance,
    inverse standard deviation; what `_fill_rows` makes of them; and the running statistics moved."""
    jobs, columns = means.shape
    mean, variance, inv_std = moments[0], moments[1], moments[2]
    mean[:] = 0
    variance[:] = 0
    before = 0
    for job in range(jobs):
        now = (job + 1) * count // jobs - job * count // jobs
        for start in range(0, columns, mean.size):
            share = now / max(1, before + now)
            weight_of_square = before * share
            its_mean, its_squares = means[job, start : start + mean.size], squares[job, start : start + mean.size]
            for c in range(mean.size):
                d = its_mean[c] - mean[c]
                mean[c] += d * share
                variance[c] += its_squares[c] + d * d * weight_of_square
            before += now
    for c in range(mean.size):
        variance[c] /= before
        inv_std[c] = 1 / math.sqrt(variance[c] + eps)
    _fill_rows(mean, inv_std, weight, bias, rows)
    for c in range(running_mean.size):
        running_mean[c] = running_mean[c] * (1 - momentum) + mean[c] * momentum
    for c in range(running_var.size):
        unbiased = variance[c] * before / max(1, before - 1)
        running_var[c] = running_var[c] * (1 - momentum) + unbiased * momentum


def moments_of(
    x: Table,
    eps: float = 0.0,
    weight: Array | None = None,
    bias: Array | None = None,
    moving: Moving | None = None,
) -> tuple[Array, Array]:
    """Mean, variance and inverse standard deviation of the channels, (3, C), and `rows_of` them."""
    kind, jobs, channels = x.matrix.dtype, jobs_of(x.pixels.size), x.pixels.shape[3]
    means, squares = np.empty((2, jobs, x.columns))
    _moments(x.pixels.size * 2, x.matrix, means, squares, jobs)
    moments, rows = np.empty((3, channels)), np.empty((4, x.columns), kind)
    running_mean, running_var, momentum = moving or (None, None, 0.0)
    mean_line, var_line = _line_or_none(running_mean, kind), _line_or_none(running_var, kind)
    given = [_given(x, kind) for x in (weight, bias)], [_given(x, kind) for x in (mean_line, var_line)]
    _join(0, means, squares, x.matrix.shape[0], float(eps), *given[0], moments, rows, *given[1], float(momentum))
    if running_mean is not mean_line or running_var is not var_line:
        rest = None if mean_line is not None else running_mean, None if var_line is not None else running_var, momentum
        reference.move_statistics(np, rest, moments[0], moments[1], x.pixels.size // channels)
    return moments, rows


def channel_moments(x: Array) -> tuple[Array, Array]:
    if x.size == 0:
        return np.full(x.shape[1], np.nan), np.full(x.shape[1], np.nan)
    moments, _ = moments_of(table_of(x))
    return moments[0], moments[1]


@kernel
def _transform(x: Array, lines: Array, y: Array, jobs: int) -> None:
    rows, channels = y.shape
    mean, scale, bias = lines[0], lines[2], lines[3]
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            source, target = x[i], y[i]
            for c in range(channels):
                target[c] = (source[c] - mean[c]) * scale[c] + bias[c]


@kernel
def _rows(mean: Array, inv_std: Array, weight: Array, bias: Array, rows: Array) -> None:
    _fill_rows(mean, inv_std, weight, bias, rows)


@kernel
def _eval_rows(
    mean: Array, variance: Array, weight: Array, bias: Array, eps: float, inv_std: Array, rows: Array
) -> None:
    for c in range(inv_std.size):
        inv_std[c] = 1 / math.sqrt(variance[c] + eps)
    _fill_rows(mean, inv_std, weight, bias, rows)


_NONE = {kind: np.empty(0, kind) for kind in "fd"}


def _is_line(values: Array, dtype: Any) -> bool:
    return values.dtype == dtype and values.flags.carray  # in C's order, and writable


def _line_or_none(values: Array | None, dtype: Any) -> Array | None:
    return values if values is not None and _is_line(values, dtype) else None


def _given(values: Array | None, dtype: Any) -> Array:
    """Values of the channels in this dtype; an empty line for none."""
    if values is None:
        return _NONE[np.dtype(dtype).char]
    return values if _is_line(values, dtype) else values.astype(dtype, order="C")


def rows_of(x: Table, mean: Array, inv_std: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
    """Rows of the mean, of inv_std, of inv_std * weight and of the bias, in the images' dtype."""
    kind = x.matrix.dtype
    rows = np.empty((4, x.columns), kind)
    moments = _given(mean, np.float64), _given(inv_std, np.float64)
    _rows(0, *moments, _given(weight, kind), _given(bias, kind), rows)
    return rows


def eval_rows(
    x: Table, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array]:
    """As `rows_of`, and inv_std (C,)."""
    wide = variance.dtype if variance.dtype.char in _NONE else np.dtype(np.float64)
    kind = x.matrix.dtype
    inv_std, rows = np.empty(variance.shape, wide), np.empty((4, x.columns), kind)
    moments = _given(mean, wide), _given(variance, wide)
    _eval_rows(0, *moments, _given(weight, kind), _given(bias, kind), float(eps), inv_std, rows)
    return rows, inv_std.astype(variance.dtype, copy=False)


def transformed(x: Table, rows: Array) -> Array:
    """The images by the rows of `rows_of`: (N, C, H, W)."""
    y, out = x.room()
    _transform(out.size, x.matrix, rows, out, jobs_of(out.size))
    return y


@kernel
def gradient_sums(g: Array, x: Array, mean: Array, inv_std: Array, sums: Array, products: Array, jobs: int) -> None:
    """g (M, C), x (M, D) -> for each job the sums of g and of g * xhat, (jobs, C), over its rows."""
    rows, channels = g.shape
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
    rows, channels = gx.shape
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            gs, xs, out = g[i], x[i], gx[i]
            for c in range(channels):
                xhat = (xs[c] - mean[c]) * inv_std[c]
                out[c] = scale[c] * (gs[c] - g_mean[c] - xhat * slope[c])


@kernel
def _means(sums: Array, products: Array, count: int, gweight: Array, gbias: Array, rows: Array) -> None:
    """The jobs' sums, (jobs, f * C), over `count` pixels -> gweight, gbias (C,), and rows of the two's means."""
    channels = gbias.size
    total, product = np.empty(channels), np.empty(channels)
    _add_up(sums, total)
    _add_up(products, product)
    for c in range(channels):
        gbias[c], gweight[c] = total[c], product[c]
    for start in range(0, sums.shape[1], channels):
        part = rows[:, start : start + channels]
        for c in range(channels):
            part[0, c] = total[c] / count
        for c in range(channels):
            part[1, c] = product[c] / count


def sums_for(x: Table, jobs: int) -> Array:
    """Room for the two sums of `gradient_sums`, (2, jobs, f * C)."""
    return np.empty((2, jobs, x.columns))


def means_of(sums: Array, products: Array, x: Table) -> tuple[Array, Array, Array]:
    """gweight, gbias (C,), and two rows: what `input_gradient` calls g_mean and slope."""
    channels, kind = x.pixels.shape[3], x.matrix.dtype
    gweight, gbias = np.empty((2, channels), kind)
    rows = np.empty((2, x.columns), kind)
    _means(0, sums, products, x.pixels.size // channels, gweight, gbias, rows)
    return gweight, gbias, rows


def no_gradients(x: Array) -> tuple[Array, Array, Array]:
    """gx, gweight, gbias of no images."""
    channels = x.shape[1]
    return np.zeros_like(x), np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)


def batch_norm_backward(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    if x.size == 0:
        return no_gradients(x)
    table = table_of(x)
    matrix, gradient = table.matrix, table.cut(g)
    work, jobs = 2 * x.size, jobs_of(x.size)
    mean, inv_std, scale, _ = rows_of(table, mean, inv_std, weight)
    sums, products = sums_for(table, jobs)
    gradient_sums(work, gradient, matrix, mean, inv_std, sums, products, jobs)
    gweight, gbias, (g_mean, slope) = means_of(sums, products, table)
    gx, out = table.room()
    input_gradient(work, gradient, matrix, mean, inv_std, scale, g_mean, slope, out, jobs)
    return gx, gweight, gbias
