"""Convolution with any kernel and stride, without windows.

Stored channels-last, what an output pixel sees of one row of the image is a single run of numbers, S * C of them, and
the next pixel's run begins a stride further. So the micro-kernel can walk over the image as it lies there: rows of
its block of sums are neighbouring output pixels, the R runs of a window are R rows of the image, and nothing is
copied (im2col) but the image with its padding, a few rows at a time, which stay in the cache:

    y[p, q, :] = bias + sum over r, j of  line[p * stride + r][q * stride * C + j] * w[r, j, :],      j = s * C + c

The gradient of the input is the same walk over the gradient of the output. Of a stride d, input pixels whose
coordinates have the same remainder by d (their *parity*, if d is 2) are all reached by the same taps, every d-th; for
them the gradient is a convolution at stride 1 with those taps, turned by 180 degrees. Every pixel gathers what it
gets; no window has to be added up, no two threads write to one place.

Where there are so few output channels that most lanes would be idle, neighbouring pixels are taken for one pixel with
more channels: two pixels see S + stride columns, and their kernels are the same numbers, one stride apart.

The weights are packed into panels of two vectors of output channels, (panel, r, s, c, 2 lanes).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import Array, get_num_threads
from ._jobs import address, clear, copy, fields, jobs, number
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from ._transforms import transpose
from .layout import Pair, pieces
from .winograd import share

_LINES_BYTES = 1 << 18  # of padded lines that a job walks over
_JOBS = 16  # enough of them for any number of threads: then a job does all panels


class _Walk(NamedTuple):
    """An image, weights and where the results go. Steps are in bytes."""

    x: int  # (N, H, W, C)
    height: int
    width: int
    pixel: int  # bytes
    top: int  # padding
    left: int  # below 0 where the image is cut instead
    down: int  # strides
    across: int
    kernel_rows: int
    run: int  # numbers of a row of the kernel
    rows: int  # of the output
    columns: int
    n: int
    images: int  # of a job, if it does them whole
    per_image: int  # jobs, if it does not
    chunk: int  # output rows of a job
    parts: int  # jobs of the same rows, for different panels
    part: int  # panels of such a job
    line: int  # bytes of a padded line
    padded: int  # whether lines are copied, or walked over in place
    w: int  # (panel, r, s, c, 2 lanes)
    w_panel: int
    panels: int
    lanes: int
    bias: int
    y: int
    y_image: int
    y_row: int
    y_pixel: int
    group: int  # output pixels of the micro-kernel
    at_once: int  # and rows
    whole: int  # the micro-kernels, for a whole panel
    last: int  # and the last one
    last_lanes: int
    work: int
    work_step: int


@jobs
def _some_rows(job: int, thread: int, at: int) -> None:
    """A few rows of the output of one image, in some channels."""
    f = fields(at, _Walk)
    rows = job // f.parts
    group = rows // f.per_image
    first, start = (rows - group * f.per_image) * f.chunk, (job - rows * f.parts) * f.part
    end, n = min(f.rows, first + f.chunk), group * f.images
    images = min(f.images, f.n - n)
    image = f.x + n * f.height * f.width * f.pixel
    if f.padded:
        lines, count = f.work + thread * f.work_step, (end - first - 1) * f.down + f.kernel_rows
        image_step = count * f.line
        before, skipped = min(f.line, max(0, f.left) * f.pixel), max(0, -f.left)
        inside = max(0, min(f.line - before, (f.width - skipped) * f.pixel))
        for i in range(images * count):
            j = i // count
            h, to = first * f.down - f.top + i - j * count, lines + i * f.line
            if h < 0 or h >= f.height:
                clear(to, f.line)
            else:
                clear(to, before)
                copy(to + before, image + ((j * f.height + h) * f.width + skipped) * f.pixel, inside)
                clear(to + before + inside, f.line - before - inside)
    else:
        lines, image_step = image + first * f.down * f.line, f.height * f.line
    for panel in range(start, min(f.panels, start + f.part)):
        function = f.last if panel == f.panels - 1 else f.whole
        w, bias = f.w + panel * f.w_panel, f.bias + panel * 2 * f.lanes * FLOAT_BYTES
        for i in range(images):
            y = f.y + (n + i) * f.y_image + panel * 2 * f.lanes * FLOAT_BYTES
            for row in range(first, end, f.at_once):
                p = min(row, end - f.at_once)
                line = lines + i * image_step + (p - first) * f.down * f.line
                for column in range(0, f.columns, f.group):
                    q = min(column, f.columns - f.group)
                    call(
                        function,
                        (
                            line + q * f.across * f.pixel, f.across * f.pixel, f.line, w, bias, 0,
                            y + p * f.y_row + q * f.y_pixel, f.y_pixel, f.run, f.kernel_rows, f.last_lanes,
                            f.down * f.line, f.y_row,
                        ),
                    )  # fmt: skip


class _Pack(NamedTuple):
    w: int  # (K', C', taps); K' a multiple of the lanes, and, backwards, C' too
    out_channels: int
    channels: int
    taps: int
    lanes: int
    per_block: int  # jobs
    chunk: int  # squares (backwards: output channels) of a job
    u: int
    panel: int  # bytes of a panel
    places: int  # backwards: for each tap, the address of its first row in the first panel, and the bytes of a panel
    transpose: int
    work: int
    work_step: int


@jobs
def _pack(job: int, thread: int, at: int) -> None:
    """w (K, C, R, S) -> panels (panel, r, s, c, 2 lanes of K): squares of output channels x numbers, transposed."""
    f = fields(at, _Pack)
    vector = f.lanes * FLOAT_BYTES
    work = f.work + thread * f.work_step
    block = job // f.per_block
    start = (job - block * f.per_block) * f.chunk * f.lanes
    length = f.channels * f.taps
    to = f.u + (block >> 1) * f.panel + (block & 1) * vector
    for j in range(start, min(length, start + f.chunk * f.lanes), f.lanes):
        first = max(0, min(j, length - f.lanes))
        source = f.w + (block * f.lanes * length + first) * FLOAT_BYTES
        call(f.transpose, (source, length * FLOAT_BYTES, work, vector))
        for i in range(min(f.lanes, length)):
            c = (first + i) // f.taps
            row = (first + i - c * f.taps) * f.channels + c
            copy(to + row * 2 * vector, work + i * vector, vector)


@jobs
def _pack_backwards(job: int, thread: int, at: int) -> None:
    """w (K, C, R, S) -> panels of each parity (panel, r, s, k, 2 lanes of C)."""
    f = fields(at, _Pack)
    vector = f.lanes * FLOAT_BYTES
    work = f.work + thread * f.work_step
    block = job // f.per_block
    first = (job - block * f.per_block) * f.chunk
    for k in range(first, min(f.out_channels, first + f.chunk)):
        source = f.w + (k * f.channels + block * f.lanes) * f.taps * FLOAT_BYTES
        if k == f.out_channels - 1 and (block + 1) * f.lanes == f.channels:  # the squares end beyond the last one
            copy(work + f.lanes * vector, source, f.taps * vector)
            source = work + f.lanes * vector
        for tap in range(0, f.taps, f.lanes):
            if f.taps > 1:
                call(f.transpose, (source + tap * FLOAT_BYTES, f.taps * FLOAT_BYTES, work, vector))
            else:
                copy(work, source, vector)
            for i in range(min(f.lanes, f.taps - tap)):
                place = f.places + (tap + i) * 16
                if number(place) == 0:  # the image is smaller than the stride, and has no pixel of that parity
                    continue
                to = number(place) + (block >> 1) * number(place + 8) + (block & 1) * vector + k * 2 * vector
                copy(to, work + i * vector, vector)


_FEWEST = 5  # output channels; with fewer, most lanes would be idle


def suits(out_channels: int, kernel_size: Pair) -> bool:
    """Whether this is faster than windows and matrix products."""
    return kernel_size != (1, 1) and out_channels >= _FEWEST


def _padded_weights(w: Array, k: int, c: int, slack: int) -> Array:
    """w (K, C, R, S) with zeros up to k and c channels and some more behind it, as one line."""
    taps = w.shape[2] * w.shape[3]
    if (k, c) == w.shape[:2] and not slack:
        return np.ascontiguousarray(w)
    line = np.zeros(k * c * taps + slack, w.dtype)
    line[: k * c * taps].reshape(k, c, taps)[: w.shape[0], : w.shape[1]] = w.reshape(*w.shape[:2], taps)
    return line


def _walk(
    chip: Chip,
    x: Array,
    u: Array,
    bias: Array,
    y: int,
    steps: tuple[int, int, int],
    channels: int,
    kernel_size: Pair,
    stride: Pair,
    origin: Pair,
    size: Pair,
    work: Array,
) -> None:
    """Walk over x (N, H, W, C) with packed weights; results to the address y, in steps of images, rows and pixels."""
    n, height, width, c = x.shape
    lanes, pixel = chip.lanes, c * FLOAT_BYTES
    panels = -(-channels // (2 * lanes))
    rest = channels - (panels - 1) * 2 * lanes
    group, at_once = share(size[1], chip.rows), rows_at_once(chip, size)
    needed = (size[0] - 1) * stride[0] + kernel_size[0], (size[1] - 1) * stride[1] + kernel_size[1]
    padded = origin != (0, 0) or needed[0] > height or needed[1] > width
    line = (needed[1] if padded else width) * pixel
    chunk, images = _job(chip, size, stride[0], kernel_size[0], line)
    per_image, groups = -(-size[0] // chunk), -(-n // images)
    length = kernel_size[0] * kernel_size[1] * c
    threads = get_num_threads()
    part = share(panels, max(1, groups * per_image * panels // _JOBS))
    parts = -(-panels // part)
    walk = _Walk(
        address(x), height, width, pixel, *origin, *stride, kernel_size[0], kernel_size[1] * c, *size, n, images,
        per_image, chunk, parts, part, line, padded, address(u), length * 2 * lanes * FLOAT_BYTES, panels, lanes,
        address(bias), y, *steps, group, at_once,
        tile(chip, group * at_once, 2, "rows", False, at_once),
        tile(chip, group * at_once, -(-rest // lanes), "rows", rest % lanes != 0, at_once),
        (rest - 1) % lanes + 1, address(work), work.size // threads * FLOAT_BYTES,
    )  # fmt: skip
    _some_rows(groups * per_image * parts, walk)


def rows_at_once(chip: Chip, size: Pair) -> int:
    """How many rows of the output a block of sums covers: several, if they are short."""
    return share(size[0], max(1, chip.rows // size[1]))


def _job(chip: Chip, size: Pair, stride: int, kernel: int, line: int) -> Pair:
    """How many rows of the output a job does, and of how many images: as many as keep its lines in the cache.

    Where rows are short a job does whole images, as many as leave room for a panel of weights.
    """
    if rows_at_once(chip, size) > 1:
        return size[0], max(1, 2 * _LINES_BYTES // (((size[0] - 1) * stride + kernel) * line))
    return share(size[0], max(1, (_LINES_BYTES // line - kernel) // stride + 1)), 1


def _lines_floats(chip: Chip, size: Pair, kernel_size: Pair, stride: Pair, c: int) -> int:
    """The padded lines of a job."""
    line = ((size[1] - 1) * stride[1] + kernel_size[1]) * c
    chunk, images = _job(chip, size, stride[0], kernel_size[0], line * FLOAT_BYTES)
    return -(-images * ((chunk - 1) * stride[0] + kernel_size[0]) * line // 16) * 16


def _pixels_together(chip: Chip, channels: int, kernel: int, stride: int, columns: int) -> int:
    """How many neighbouring output pixels are best taken for one with so many times the channels; 1 if none."""
    fit = [m for m in range(1, chip.lanes // channels + 1) if columns % m == 0]
    return min(fit, key=lambda m: (kernel + (m - 1) * stride) / m, default=1)


def _together(w: Array, bias: Array | None, pixels: int, stride: int) -> tuple[Array, Array | None]:
    """Weights (K, C, R, S) -> (m * K, C, R, S + (m - 1) * stride), of m pixels: each pixel's a stride further right."""
    k, c, r, s = w.shape
    wide = np.zeros((pixels, k, c, r, s + (pixels - 1) * stride), w.dtype)
    for i in range(pixels):
        wide[i, ..., i * stride : i * stride + s] = w
    return wide.reshape(pixels * k, c, r, -1), None if bias is None else np.tile(bias, pixels)


def correlate(chip: Chip, x: Array, w: Array, bias: Array | None, y: Array, stride: Pair, origin: Pair) -> None:
    """x (N, H, W, C), w (K, C, R, S) -> y (N, P, Q, K)."""
    pixels = _pixels_together(chip, w.shape[0], w.shape[3], stride[1], y.shape[2])
    if pixels > 1:
        w, bias = _together(w, bias, pixels, stride[1])
        y = y.reshape(*y.shape[:2], -1, w.shape[0])
        stride = stride[0], pixels * stride[1]
    k, c, r, s = w.shape
    _, p, q, _ = y.shape
    lanes, threads, taps = chip.lanes, get_num_threads(), r * s
    blocks, panels = -(-k // lanes), -(-k // (2 * lanes))
    work_floats = max(_lines_floats(chip, (p, q), (r, s), stride, c), lanes * lanes)
    add, u, work = pieces(panels * 2 * lanes, panels * taps * c * 2 * lanes, threads * work_floats)
    add[:] = 0
    if bias is not None:
        add[:k] = bias
    w = _padded_weights(w, blocks * lanes, c, lanes if taps * c < lanes else 0)
    squares = -(-taps * c // lanes)
    per_block = -(-squares // 64)
    pack = _Pack(
        address(w), k, c, taps, lanes, per_block, 64, address(u), taps * c * 2 * lanes * FLOAT_BYTES, 0,
        transpose(chip), address(work), work_floats * FLOAT_BYTES,
    )  # fmt: skip
    _pack(blocks * per_block, pack)
    steps = p * q * k * FLOAT_BYTES, q * k * FLOAT_BYTES, k * FLOAT_BYTES
    _walk(chip, x, u, add, address(y), steps, k, (r, s), stride, origin, (p, q), work)


class _Parity(NamedTuple):
    """The input pixels first, first + stride, ... in one direction, and the taps that reach them."""

    first: int
    size: int
    taps: range
    origin: int  # of the convolution of the gradient with those taps, turned


def _parities(size: int, kernel: int, stride: int, origin: int) -> list[_Parity]:
    found = []
    for first in range(min(stride, size)):
        start = (first + origin) % stride
        taps = range(start, kernel, stride)
        found.append(
            _Parity(first, -(-(size - first) // stride), taps, len(taps) - 1 - (first + origin - start) // stride)
        )
    return found


def input_grad(chip: Chip, g: Array, w: Array, x: Array, stride: Pair, origin: Pair) -> None:
    """g (N, P, Q, K), w (K, C, R, S) -> x (N, H, W, C)."""
    k, c, r, s = w.shape
    _, height, width, _ = x.shape
    lanes, threads = chip.lanes, get_num_threads()
    if stride == (1, 1) and 2 * c <= lanes:
        turned = np.ascontiguousarray(w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        correlate(chip, g, turned, None, x, (1, 1), (r - 1 - origin[0], s - 1 - origin[1]))
        return
    blocks, panels = -(-c // lanes), -(-c // (2 * lanes))
    parities = [
        (a, b) for a in _parities(height, r, stride[0], origin[0]) for b in _parities(width, s, stride[1], origin[1])
    ]
    reached = [(a, b) for a, b in parities if a.taps and b.taps]
    if len(reached) < len(parities):
        x[...] = 0
    if not reached:  # the kernel is smaller than the padding
        return
    lines = [_lines_floats(chip, (a.size, b.size), (len(a.taps), len(b.taps)), (1, 1), k) for a, b in reached]
    panel_floats = [len(a.taps) * len(b.taps) * k * 2 * lanes for a, b in reached]
    work_floats = max(*lines, lanes * (lanes + r * s + 1))
    zeros, work, *packed = pieces(panels * 2 * lanes, threads * work_floats, *(panels * size for size in panel_floats))
    zeros[:] = 0
    places = np.zeros((r, s, 2), np.int64)
    row = k * 2 * lanes * FLOAT_BYTES
    for (a, b), u, floats in zip(reached, packed, panel_floats, strict=True):
        for i, down in enumerate(reversed(a.taps)):
            for j, across in enumerate(reversed(b.taps)):
                places[down, across] = address(u) + (i * len(b.taps) + j) * row, floats * FLOAT_BYTES
    w = _padded_weights(w, k, blocks * lanes, 0)
    per_block = -(-k // 64)
    pack = _Pack(
        address(w), k, blocks * lanes, r * s, lanes, per_block, 64, 0, 0, address(places), transpose(chip),
        address(work), work_floats * FLOAT_BYTES,
    )  # fmt: skip
    _pack_backwards(blocks * per_block, pack)
    pixel = c * FLOAT_BYTES
    steps = height * width * pixel, stride[0] * width * pixel, stride[1] * pixel
    for (a, b), u in zip(reached, packed, strict=True):
        to = address(x) + (a.first * width + b.first) * pixel
        kernel_size, size = (len(a.taps), len(b.taps)), (a.size, b.size)
        _walk(chip, g, u, zeros, to, steps, c, kernel_size, (1, 1), (a.origin, b.origin), size, work)
