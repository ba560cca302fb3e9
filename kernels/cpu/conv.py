"""Convolution: the choice of a way, and what there is where no special one fits, matrix products on blocks of windows.

The windows of a block (im2col) are written to memory that stays in the cache and serves the next block again, and the
BLAS multiplies them straight into the channels-last result, one group after another. Some cases need no windows:

* in single precision, without dilation or groups, vector code walks over the image itself: by Winograd's method at
  stride 1 (`winograd.py`), as it lies (`direct.py`), and back to few channels (`spread.py`);
* a 1x1 kernel without stride or padding is a product on the pixels as they lie there;
* few channels at stride 1 are lines of numbers to shift and add (`planes.py`);
* the gradient of the input at stride 1 is itself a convolution of g, with the kernels turned by 180 degrees: the
  windows are read from g, and nothing has to be added up as col2im does;
* a depthwise convolution (one input channel a group) has too little arithmetic for a matrix product (`depthwise.py`).

Where col2im is needed, each row of the image gathers what the windows of the block hold for it, so no two threads write
to the same place. Indices in the inner loops are unsigned: for a signed one Numba asks whether it counts from the end,
and a copy of 5 numbers then takes 60 ns instead of 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import uint64

from ..memory import empty, zeros
from . import _simd, depthwise, direct, direct_weights, gemm, planes, spread, winograd, winograd_weights
from ._jit import Array, kernel, prange
from .layout import Pair, channels_first, channels_last, contiguous, even_pixels, exchanged, jobs_for, scratch
from .norm import channel_sum

Pads = tuple[Pair, Pair]  # ((top, bottom), (left, right))

_BLOCK_BYTES = 4 << 20  # of windows at a time


@kernel
def _im2col(
    x: Array,
    cols: Array,
    start: int,
    rows: int,
    pixel: Pair,
    count: int,
    kernel_size: Pair,
    stride: Pair,
    origin: Pair,
    dilation: Pair,
) -> None:
    """x (N, H, W*C) -> cols (B, Q, R*S*c): the windows of the rows start ... start + B of all N * `rows` output rows.

    `pixel` is (C, the first channel to take), c = `count` how many to take, `origin` the padding (top, left).
    """
    channels, first = pixel
    height, width = x.shape[1], x.shape[2] // channels
    columns, length = cols.shape[1:]
    # A row of the kernel is one run of numbers in x if nothing is left out; else it is one run for each tap.
    runs, run = (1, kernel_size[1] * count) if count == channels and dilation[1] == 1 else (kernel_size[1], count)
    # The outputs from `begin` to `end` see nothing of the padding at the left and right.
    reach = dilation[1] * (kernel_size[1] - 1)
    begin = min(columns, max(0, -(-origin[1] // stride[1])))
    end = max(begin, min(columns, (width - 1 - reach + origin[1]) // stride[1] + 1))
    for job in prange(cols.shape[0]):
        n = (start + job) // rows
        p = start + job - n * rows
        windows = cols[job].reshape(columns * length)
        for r in range(kernel_size[0]):
            h = p * stride[0] + r * dilation[0] - origin[0]
            out = windows[r * kernel_size[1] * count :]
            if h < 0 or h >= height:
                for q in range(columns):
                    out[q * length : q * length + kernel_size[1] * count] = 0
                continue
            line = x[n, h]
            for q in range(begin, end):
                for s in range(runs):
                    to = uint64(q * length + s * run)
                    at = uint64((q * stride[1] + s * dilation[1] - origin[1]) * channels + first)
                    for i in range(uint64(run)):
                        out[to + i] = line[at + i]
            for q in range(columns - (end - begin)):
                edge = q if q < begin else q + end - begin
                for s in range(kernel_size[1]):
                    w = edge * stride[1] + s * dilation[1] - origin[1]
                    to = uint64(edge * length + s * count)
                    if 0 <= w < width:
                        at = uint64(w * channels + first)
                        for i in range(uint64(count)):
                            out[to + i] = line[at + i]
                    else:
                        for i in range(uint64(count)):
                            out[to + i] = 0


@kernel
def _col2im(
    cols: Array,
    x: Array,
    start: int,
    rows: int,
    pixel: Pair,
    count: int,
    kernel_size: Pair,
    stride: Pair,
    origin: Pair,
    dilation: Pair,
) -> None:
    """Add the windows cols (B, Q, R*S*c) to x (N, H, W*C); the adjoint of _im2col, with the same arguments."""
    channels, first = pixel
    height, width = x.shape[1], x.shape[2] // channels
    columns, length = cols.shape[1:]
    runs, run = (1, kernel_size[1] * count) if count == channels and dilation[1] == 1 else (kernel_size[1], count)
    reach = dilation[1] * (kernel_size[1] - 1)
    begin = min(columns, max(0, -(-origin[1] // stride[1])))
    end = max(begin, min(columns, (width - 1 - reach + origin[1]) // stride[1] + 1))
    first_image = start // rows
    images = (start + cols.shape[0] - 1) // rows + 1 - first_image
    for job in prange(images * height):
        n = first_image + job // height
        h = job % height
        line = x[n, h]
        for r in range(kernel_size[0]):
            p = (h + origin[0] - r * dilation[0]) // stride[0]
            row = n * rows + p - start
            if p * stride[0] != h + origin[0] - r * dilation[0] or p < 0 or p >= rows:
                continue
            if row < 0 or row >= cols.shape[0]:
                continue
            windows = cols[row].reshape(columns * length)[r * kernel_size[1] * count :]
            for q in range(begin, end):
                for s in range(runs):
                    at = uint64(q * length + s * run)
                    to = uint64((q * stride[1] + s * dilation[1] - origin[1]) * channels + first)
                    for i in range(uint64(run)):
                        line[to + i] += windows[at + i]
            for q in range(columns - (end - begin)):
                edge = q if q < begin else q + end - begin
                for s in range(kernel_size[1]):
                    w = edge * stride[1] + s * dilation[1] - origin[1]
                    if 0 <= w < width:
                        at = uint64(edge * length + s * count)
                        to = uint64(w * channels + first)
                        for i in range(uint64(count)):
                            line[to + i] += windows[at + i]


def _out_size(x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Pair:
    down, across = padding
    return (
        (x_shape[2] + down[0] + down[1] - dilation[0] * (kernel_size[0] - 1) - 1) // stride[0] + 1,
        (x_shape[3] + across[0] + across[1] - dilation[1] * (kernel_size[1] - 1) - 1) // stride[1] + 1,
    )


def _origin(padding: Pads) -> Pair:
    return padding[0][0], padding[1][0]


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    pixels = channels_last(x)
    n, h, w, c = pixels.shape
    p, q = _out_size(x.shape, kernel_size, stride, padding, dilation)
    cols = empty((n, p, q, *kernel_size, c), x.dtype)
    if cols.size:
        matrix = cols.reshape(n * p, q, -1)
        lines = pixels.reshape(n, h, w * c)
        _im2col(cols.size, lines, matrix, 0, p, (c, 0), c, kernel_size, stride, _origin(padding), dilation)
    return cols


def col2im(
    cols: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pads, dilation: Pair
) -> Array:
    n, c, h, w = x_shape
    p, q = cols.shape[1:3]
    x = zeros((n, h, w, c), cols.dtype)
    if cols.size:
        matrix = contiguous(cols).reshape(n * p, q, -1)
        lines = x.reshape(n, h, w * c)
        _col2im(2 * cols.size, matrix, lines, 0, p, (c, 0), c, kernel_size, stride, _origin(padding), dilation)
    return channels_first(x)


def _blocks(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut all output rows into blocks of about _BLOCK_BYTES of windows: (start, end)."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


def _matrices(w: Array, groups: int) -> list[Array]:
    """(K, C/G, R, S) -> for each group (K/G, R*S*C/G)."""
    k = w.shape[0]
    whole = (w if w.shape[2:] == (1, 1) else w.transpose(0, 2, 3, 1)).reshape(k, -1)
    return [whole] if groups == 1 else np.split(whole, groups)


def _is_product(kernel_size: Pair, stride: Pair, origin: Pair, in_size: Pair, out_size: Pair) -> bool:
    """Whether every output pixel sees just the input pixel at its own place."""
    return kernel_size == (1, 1) and stride == (1, 1) and origin == (0, 0) and in_size == out_size


def _correlate(
    x: Array, matrices: list[Array], y: Array, kernel_size: Pair, stride: Pair, origin: Pair, dilation: Pair
) -> None:
    """x (N, H, W, C), for each group a matrix (K/G, R*S*C/G) -> y (N, P, Q, K)."""
    n, h, w, c = x.shape
    p, q, k = y.shape[1:]
    out = y.reshape(n * p * q, k)
    groups = len(matrices)
    count, k_count = c // groups, k // groups
    if _is_product(kernel_size, stride, origin, (h, w), (p, q)):
        pixels = x.reshape(n * h * w, c)
        for g, matrix in enumerate(matrices):
            part = pixels[:, g * count : (g + 1) * count]
            gemm.multiply(part, matrix.T, out[:, g * k_count : (g + 1) * k_count])
        return
    if groups == 1 and stride == (1, 1) and planes.suits(c, k, (p, q)):
        planes.correlate(x, matrices[0], y, kernel_size, origin, dilation)
        return
    length = kernel_size[0] * kernel_size[1] * count
    lines = x.reshape(n, h, w * c)
    for start, end in _blocks(n * p, q * length * x.itemsize):
        cols = scratch((end - start, q, length), x.dtype)
        windows = cols.reshape(-1, length)
        for g, matrix in enumerate(matrices):
            pixel = c, g * count
            _im2col(cols.size, lines, cols, start, p, pixel, count, kernel_size, stride, origin, dilation)
            gemm.multiply(windows, matrix.T, out[start * q : end * q, g * k_count : (g + 1) * k_count])


@kernel
def _add_and_bend(y: Array, bias: Array, relu: bool, jobs: int) -> None:
    rows, size = y.shape
    zero = y.dtype.type(0)
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            row = y[i]
            for k in range(size):
                row[k] += bias[k]
            if relu:
                for k in range(size):
                    row[k] = zero if row[k] <= zero else row[k]


def _finish(y: Array, bias: Array | None, relu: bool) -> None:
    """y (N, P, Q, K) += bias (K,), in rows of Q*K numbers, and through ReLU."""
    if bias is None and not relu:
        return
    n, p, q, k = y.shape
    line = np.zeros(q * k, y.dtype) if bias is None else np.tile(bias, q)
    _add_and_bend(y.size, y.reshape(n * p, q * k), line, relu, jobs_for(y.size))


def _chip(dtype: Any, dilation: Pair, groups: int) -> _simd.Chip | None:
    """The vectors that the convolutions in vector code can use; None where they do not apply."""
    return _simd.active() if dtype == np.float32 and dilation == (1, 1) and groups == 1 else None


def conv2d(
    x: Array,
    w: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    relu: bool = False,
) -> Array:
    pixels = channels_last(x)
    k, count, r, s = w.shape
    p, q = _out_size(x.shape, (r, s), stride, padding, dilation)
    y = empty((x.shape[0], p, q, k), x.dtype)
    if y.size == 0:
        return channels_first(y)
    chip = _chip(x.dtype, dilation, groups)
    if chip and winograd.suits(count, k, (r, s), stride):
        winograd.correlate(chip, pixels, w, bias, y, _origin(padding), relu)
        return channels_first(y)
    if chip and direct.suits(k, (r, s)):
        direct.correlate(chip, pixels, w, bias, y, stride, _origin(padding), relu)
        return channels_first(y)
    if count == 1 and groups > 1:
        depthwise.correlate(pixels, w, y, stride, _origin(padding), dilation)
    else:
        matrices = _matrices(w, groups)
        _correlate(pixels, matrices, y, (r, s), stride, _origin(padding), dilation)
    _finish(y, bias, relu)
    return channels_first(y)


def conv2d_input_grad(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    n, c, h, width = x_shape
    k, count, r, s = w.shape
    p, q = g.shape[2:]
    origin = _origin(padding)
    x = empty((n, h, width, c), g.dtype)
    if g.size == 0 or x.size == 0:
        x[...] = 0
        return channels_first(x)
    chip = _chip(g.dtype, dilation, groups)
    if chip and winograd.suits(k, c, (r, s), stride):
        around = r - 1 - origin[0], s - 1 - origin[1]
        winograd.correlate(chip, even_pixels(g), w, None, x, around, backwards=True)
        return channels_first(x)
    gradient = channels_last(g)
    if chip and spread.suits(chip, c, (r, s), stride):
        spread.input_grad(chip, gradient, w, x, origin)
    elif chip and direct.suits(c, (r, s)):
        direct.input_grad(chip, gradient, w, x, stride, origin)
    elif count == 1 and groups > 1:
        depthwise.input_grad(gradient, w, x, stride, origin, dilation)
    elif stride == (1, 1) and (k <= 2 * c or (groups == 1 and planes.suits(c, k, (h, width)))):
        turned = w[:, :, ::-1, ::-1].reshape(groups, k // groups, count, r, s).transpose(0, 2, 3, 4, 1)
        matrices = list(turned.reshape(groups, count, r * s * (k // groups)))
        around = dilation[0] * (r - 1) - origin[0], dilation[1] * (s - 1) - origin[1]
        _correlate(gradient, matrices, x, (r, s), stride, around, dilation)
    else:
        x[...] = 0
        lines = x.reshape(n, h, width * c)
        matrices = _matrices(w, groups)
        values = gradient.reshape(n * p * q, groups, k // groups)
        length = r * s * count
        for start, end in _blocks(n * p, q * length * g.itemsize):
            cols = scratch((end - start, q, length), g.dtype)
            for i, matrix in enumerate(matrices):
                gemm.multiply(values[start * q : end * q, i], matrix, cols.reshape(-1, length))
                _col2im(2 * cols.size, cols, lines, start, p, (c, i * count), count, (r, s), stride, origin, dilation)
    return channels_first(x)


def conv2d_weight_grad(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    return _parameter_grads(g, x, w_shape, stride, padding, dilation, groups, False)[0]


def conv2d_backward(
    g: Array,
    x: Array | None,
    w: Array | None,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    wanted: tuple[bool, bool, bool],
) -> tuple[Array | None, Array | None, Array | None]:
    to_x, to_w, to_bias = wanted
    geometry = stride, padding, dilation, groups
    if not _weights_by_winograd(_chip(g.dtype, dilation, groups), w_shape, stride):
        g = channels_first(channels_last(g))  # once for all three
    gx = conv2d_input_grad(g, w, x_shape, *geometry) if to_x else None
    gw, gb = _parameter_grads(g, x, w_shape, *geometry, to_bias) if to_w else (None, None)
    return gx, gw, channel_sum(g) if to_bias and gb is None else gb


def _weights_by_winograd(chip: _simd.Chip | None, w_shape: tuple[int, ...], stride: Pair) -> bool:
    """Whether the gradient of weights (K, C, R, S) is; with kernels of 3x3, that of the input then is, too."""
    k, c, *taps = w_shape
    return chip is not None and taps == [3, 3] and winograd.suits(c, k, (3, 3), stride)


def _parameter_grads(
    g: Array,
    x: Array,
    w_shape: tuple[int, ...],
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    bias: bool,
) -> tuple[Array, Array | None]:
    """The gradient of the weights and, if it is wanted and found on the way, that of the bias."""
    pixels = channels_last(x)
    n, h, width, c = pixels.shape
    k, count, r, s = w_shape
    p, q = g.shape[2:]
    origin = _origin(padding)
    if g.size == 0 or x.size == 0:
        return np.zeros(w_shape, g.dtype), None
    chip = _chip(g.dtype, dilation, groups)
    if chip and _weights_by_winograd(chip, w_shape, stride):
        gw, gb = winograd_weights.weight_grad(chip, even_pixels(g), pixels, r, origin, bias)
        return np.ascontiguousarray(gw), gb
    gradient = channels_last(g)
    if chip and direct_weights.suits(c, k, (r, s), q):
        return direct_weights.weight_grad(chip, gradient, pixels, (r, s), stride, origin, bias)
    if count == 1 and groups > 1:
        return depthwise.weight_grad(gradient, pixels, w_shape, stride, origin, dilation), None
    length = r * s * count
    values = gradient.reshape(n * p * q, groups, k // groups)
    if _is_product((r, s), stride, origin, (h, width), (p, q)):
        inputs = pixels.reshape(n * h * width, groups, count)
        gw = empty((groups, k // groups, count), g.dtype)
        for i in range(groups):
            gemm.multiply(values[:, i].T, inputs[:, i], gw[i])
    elif groups == 1 and stride == (1, 1) and planes.suits(c, k, (p, q), planes.MOST_PAIRS_WEIGHT_GRAD):
        gw = planes.weight_grad(gradient, pixels, (r, s), origin, dilation)
    else:
        gw = empty((groups, k // groups, length), g.dtype)
        lines = pixels.reshape(n, h, width * c)
        for start, end in _blocks(n * p, q * length * g.itemsize):
            cols = scratch((end - start, q, length), g.dtype)
            for i in range(groups):
                _im2col(cols.size, lines, cols, start, p, (c, i * count), count, (r, s), stride, origin, dilation)
                part = empty(gw[i].shape, g.dtype) if start else gw[i]
                gemm.multiply(values[start * q : end * q, i].T, cols.reshape(-1, length), part)
                if start:
                    gw[i] += part
    gw = gw.reshape(k, r * s, count)
    return (gw if 1 in gw.shape[1:] else exchanged(gw)).reshape(w_shape), None
