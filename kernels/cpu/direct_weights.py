"""The gradient of the weights of any convolution, without windows: the walk of `direct.py`, transposed.

    gw[r, j, :] = sum over n, p, q of  line[n, p * stride + r][q * stride * C + j] * g[n, p, q, :],      j = s * C + c

Now neighbouring j are the rows of the micro-kernel's block of sums, and it adds up over the pixels of some rows of
the output. A few images at a time are copied: x with its padding, and g into panels of two vectors of channels. Each
job adds up some rows r of a panel, over all images, so that no two threads write to one place and the order is always
the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..memory import empty
from ._jit import Array, get_num_threads
from ._jobs import address, clear, copy, fields, jobs, move
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from ._transforms import transpose
from .layout import Pair, pieces
from .winograd import share

_IMAGES_BYTES = 3 << 20  # of copied images at a time
_PANEL_BYTES = 1 << 14  # of a panel, read again and again


class _Gradient(NamedTuple):
    """Steps are in bytes."""

    x: int  # (N, H, W, C), the first image of this chunk
    height: int
    width: int
    pixel: int
    top: int  # padding
    left: int
    down: int  # strides
    across: int
    g: int  # (N, P, Q, K), the first image of this chunk
    rows: int
    columns: int
    out_channels: int
    images: int  # of this chunk
    lines: int  # padded lines, of all images
    line: int
    lines_per_image: int
    packed: int  # g, (panel, image, pixel, 2 lanes)
    panel: int
    image_jobs: int  # jobs that copy lines of x; each of _LINES
    g_jobs: int
    per_panel: int  # jobs of sums
    kernel_rows: int
    kernel_share: int  # rows of the kernel of a job
    run: int
    group: int  # rows of the micro-kernel
    row_chunk: int  # rows of the output at a time
    lanes: int
    panels: int
    again: int  # whether the sums go on
    sums: int  # (panel, r, j, 2 lanes)
    sums_row: int  # from r to r
    zeros: int
    whole: int
    last: int


_LINES = 16  # of a job that copies


@jobs
def _copy(job: int, thread: int, at: int) -> None:
    """Copies a few padded lines of x, or some rows of g into panels."""
    f = fields(at, _Gradient)
    if job < f.image_jobs:
        before = min(f.line, f.left * f.pixel)
        inside = max(0, min(f.line - before, f.width * f.pixel))
        total = f.images * f.lines_per_image
        for i in range(job * _LINES, min(total, (job + 1) * _LINES)):
            n = i // f.lines_per_image
            h, to = i - n * f.lines_per_image - f.top, f.lines + i * f.line
            if h < 0 or h >= f.height:
                clear(to, f.line)
            else:
                clear(to, before)
                copy(to + before, f.x + (n * f.height + h) * f.width * f.pixel, inside)
                clear(to + before + inside, f.line - before - inside)
    else:
        double = 2 * f.lanes * FLOAT_BYTES
        row = job - f.image_jobs
        for panel in range(f.panels):
            size = min(double, f.out_channels * FLOAT_BYTES - panel * double)
            to = f.packed + panel * f.panel + row * f.columns * double
            source = f.g + row * f.columns * f.out_channels * FLOAT_BYTES + panel * double
            for q in range(f.columns):
                copy(to + q * double, source + q * f.out_channels * FLOAT_BYTES, size)
                if size < double:
                    clear(to + q * double + size, double - size)


@jobs
def _sum(job: int, thread: int, at: int) -> None:
    """Some rows of the kernel, for a panel of output channels."""
    f = fields(at, _Gradient)
    double = 2 * f.lanes * FLOAT_BYTES
    panel = job // f.per_panel
    start = (job - panel * f.per_panel) * f.kernel_share
    function = f.last if panel == f.panels - 1 else f.whole
    for n in range(f.images):
        for p in range(0, f.rows, f.row_chunk):
            rows = min(f.row_chunk, f.rows - p)
            g = f.packed + panel * f.panel + (n * f.rows + p) * f.columns * double
            for r in range(start, min(f.kernel_rows, start + f.kernel_share)):
                line = f.lines + (n * f.lines_per_image + p * f.down + r) * f.line
                sums = f.sums + (panel * f.kernel_rows + r) * f.sums_row
                for j in range(0, f.run, f.group):
                    to = sums + j * double
                    begin, step = (to, double) if f.again or n > 0 or p > 0 else (f.zeros, 0)
                    call(
                        function,
                        (
                            line + j * FLOAT_BYTES, f.across * f.pixel, f.down * f.line, g, begin, step, to, double,
                            f.columns, rows, 0, 0, 0,
                        ),
                    )  # fmt: skip


class _Unpack(NamedTuple):
    sums: int
    sums_row: int
    out_channels: int
    channels: int
    kernel_rows: int
    kernel_columns: int
    blocks: int  # of input channels
    lanes: int
    transpose: int
    work: int
    work_step: int
    gw: int  # (K, C, R, S)


@jobs
def _unpack(job: int, thread: int, at: int) -> None:
    """The sums of a block of channels x a block of output channels -> gw."""
    f = fields(at, _Unpack)
    vector = f.lanes * FLOAT_BYTES
    work = f.work + thread * f.work_step
    half = job // f.blocks
    c = (job - half * f.blocks) * f.lanes
    k = half * f.lanes
    taps = f.kernel_rows * f.kernel_columns
    for r in range(f.kernel_rows):
        for s in range(f.kernel_columns):
            row = f.sums + ((half >> 1) * f.kernel_rows + r) * f.sums_row
            source = row + (s * f.channels + c) * 2 * vector + (half & 1) * vector
            call(f.transpose, (source, 2 * vector, work + (r * f.kernel_columns + s) * f.lanes * vector, vector))
    for i in range(min(f.lanes, f.out_channels - k)):
        to = f.gw + ((k + i) * f.channels + c) * taps * FLOAT_BYTES
        for j in range(min(f.lanes, f.channels - c)):
            for tap in range(taps):
                source = work + tap * f.lanes * vector + i * vector + j * FLOAT_BYTES
                move(to + (j * taps + tap) * FLOAT_BYTES, source)


_FEWEST = 7  # numbers of a run, and output channels


def suits(channels: int, out_channels: int, kernel_size: Pair) -> bool:
    """Whether this is faster than windows and matrix products."""
    return kernel_size != (1, 1) and kernel_size[1] * channels >= _FEWEST and out_channels >= _FEWEST


def weight_grad(chip: Chip, g: Array, x: Array, kernel_size: Pair, stride: Pair, origin: Pair) -> Array:
    """g (N, P, Q, K), x (N, H, W, C) -> (K, C, R, S)."""
    n, p, q, k = g.shape
    c = x.shape[3]
    r, s = kernel_size
    lanes, threads = chip.lanes, get_num_threads()
    double, pixel = 2 * lanes * FLOAT_BYTES, c * FLOAT_BYTES
    panels = -(-k // (2 * lanes))
    run = s * c
    group = share(run, chip.rows)
    lines_per_image, line = (p - 1) * stride[0] + r, ((q - 1) * stride[1] + s) * pixel
    images = share(n, max(1, _IMAGES_BYTES // (lines_per_image * line + panels * p * q * double)))
    kernel_share = share(r, max(1, r * panels // 4))
    # The last rows of a group, and of a square that is transposed, may lie behind what there is.
    sums_row = (-(-run // group) * group + lanes) * double
    work_step = r * s * lanes * lanes * FLOAT_BYTES
    panel = images * p * q * double
    sizes = images * lines_per_image * line + chip.rows * FLOAT_BYTES, panels * panel, panels * r * sums_row
    lines, packed, sums, work, zeros = pieces(
        *(-(-size // FLOAT_BYTES) for size in sizes), threads * work_step // FLOAT_BYTES, 2 * lanes
    )
    zeros[:] = 0
    lines[-chip.rows :] = 0
    whole, last = (tile(chip, group, vectors, "columns") for vectors in (2, 2 if (k - 1) % (2 * lanes) >= lanes else 1))
    row_chunk = share(p, max(1, _PANEL_BYTES // (q * double)))
    for first in range(0, n, images):
        here = min(images, n - first)
        image_jobs, per_panel = -(-here * lines_per_image // _LINES), -(-r // kernel_share)
        f = _Gradient(
            address(x) + first * x[0].nbytes, x.shape[1], x.shape[2], pixel, *origin, *stride,
            address(g) + first * g[0].nbytes, p, q, k, here, address(lines), line, lines_per_image, address(packed),
            panel, image_jobs, here * p, per_panel, r, kernel_share, run, group, row_chunk, lanes, panels, first > 0,
            address(sums), sums_row, address(zeros), whole, last,
        )  # fmt: skip
        _copy(image_jobs + here * p, f)
        _sum(panels * per_panel, f)
    gw = empty((k, c, r, s), g.dtype)
    blocks = -(-c // lanes)
    unpack = _Unpack(
        address(sums), sums_row, k, c, r, s, blocks, lanes, transpose(chip), address(work), work_step, address(gw)
    )
    _unpack(-(-k // lanes) * blocks, unpack)
    return gw
