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

The weights are packed into panels of two vectors of output channels (`direct_pack.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import Array, get_num_threads
from ._jobs import Jobs, address, clear, copy, fields, jobs
from ._plan import Layout, Place, Plan, planned, records_bytes
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from ._transforms import transpose
from .direct_pack import PACK_BYTES, PACK_FEW_BYTES, Pack, PackFew, pack, pack_backwards, pack_few, padded_weights
from .layout import Pair, scratch_floats
from .winograd import Shape, share

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
                            f.down * f.line, f.y_row, 0,
                        ),
                    )  # fmt: skip


_FEWEST = 5  # output channels; with fewer, most lanes would be idle


def suits(out_channels: int, kernel_size: Pair) -> bool:
    """Whether this is faster than windows and matrix products."""
    return kernel_size != (1, 1) and out_channels >= _FEWEST


_X, _WEIGHTS, _Y, _WORK, _BIAS = 1, 2, 3, 4, 5  # the arrays of a plan
_WALK_BYTES = records_bytes(_Walk)


def _walk(
    chip: Chip,
    u: Place,
    bias: Place,
    y: Place,
    steps: tuple[int, int, int],
    shape: Shape,
    channels: int,
    kernel_size: Pair,
    stride: Pair,
    origin: Pair,
    size: Pair,
    work: Place,
    work_step: int,
    threads: int,
    relu: bool = False,
) -> tuple[_Walk, int]:
    """The walk over an image of a shape (N, H, W, C) with packed weights; results to y, in steps of images, rows and
    pixels. And into how many jobs it is cut."""
    n, height, width, c = shape
    lanes, pixel = chip.lanes, c * FLOAT_BYTES
    panels = -(-channels // (2 * lanes))
    rest = channels - (panels - 1) * 2 * lanes
    group, at_once = share(size[1], chip.rows), rows_at_once(chip, size)
    needed = (size[0] - 1) * stride[0] + kernel_size[0], (size[1] - 1) * stride[1] + kernel_size[1]
    padded = origin != (0, 0) or needed[0] > height or needed[1] > width
    line = (needed[1] if padded else width) * pixel
    chunk, images = _job(chip, n, size, stride[0], kernel_size[0], line, threads)
    per_image, groups = -(-size[0] // chunk), -(-n // images)
    length = kernel_size[0] * kernel_size[1] * c
    part = share(panels, max(1, groups * per_image * panels // _JOBS))
    parts = -(-panels // part)
    walk = _Walk(
        Place(_X), height, width, pixel, *origin, *stride, kernel_size[0], kernel_size[1] * c, *size, n, images,
        per_image, chunk, parts, part, line, padded, u, length * 2 * lanes * FLOAT_BYTES, panels, lanes, bias, y,
        *steps, group, at_once,
        tile(chip, group * at_once, 2, "rows", False, at_once, relu),
        tile(chip, group * at_once, -(-rest // lanes), "rows", rest % lanes != 0, at_once, relu),
        (rest - 1) % lanes + 1, work, work_step,
    )  # fmt: skip
    return walk, groups * per_image * parts


def rows_at_once(chip: Chip, size: Pair) -> int:
    """How many rows of the output a block of sums covers: several, if they are short."""
    return share(size[0], max(1, chip.rows // size[1]))


def _job(chip: Chip, n: int, size: Pair, stride: int, kernel: int, line: int, threads: int) -> Pair:
    """How many rows of the output a job does, and of how many images: as many as keep its lines in the cache.

    Where rows are short a job does whole images, as many as leave room for a panel of weights, and leave every thread
    as many jobs.
    """
    if rows_at_once(chip, size) > 1:
        most = max(1, 2 * _LINES_BYTES // (((size[0] - 1) * stride + kernel) * line))
        jobs = -(-n // min(most, n))
        return size[0], -(-n // (-(-jobs // threads) * threads))
    return share(size[0], max(1, (_LINES_BYTES // line - kernel) // stride + 1)), 1


def _lines_bytes(chip: Chip, n: int, size: Pair, kernel_size: Pair, stride: Pair, c: int, threads: int) -> int:
    """The padded lines of a job."""
    line = ((size[1] - 1) * stride[1] + kernel_size[1]) * c * FLOAT_BYTES
    chunk, images = _job(chip, n, size, stride[0], kernel_size[0], line, threads)
    return -(-images * ((chunk - 1) * stride[0] + kernel_size[0]) * line // 64) * 64


def _pixels_together(chip: Chip, channels: int, kernel: int, stride: int, columns: int) -> int:
    """How many neighbouring output pixels are best taken for one with so many times the channels; 1 if none."""
    fit = [m for m in range(1, chip.lanes // channels + 1) if columns % m == 0]
    return min(fit, key=lambda m: (kernel + (m - 1) * stride) / m, default=1)


class _Planned(NamedTuple):
    """Packs the weights, then walks, perhaps several times."""

    plan: Plan
    floats: int  # of memory to work in
    pack: Jobs
    padded: tuple[Pair, int] | None  # the channels of the weights, with zeros up to here, and some more behind; None if
    # they are read as they are
    pack_jobs: int
    walks: tuple[Pair, ...]  # the number of a record's first field, and of jobs
    everything: bool  # whether all of the result is written


@planned
def _plan_correlate(
    chip: Chip, w_shape: Shape, x_shape: Shape, y_shape: Shape, stride: Pair, origin: Pair, relu: bool, threads: int
) -> _Planned:
    k, c, r, kernel_columns = w_shape
    n, p, q, _ = y_shape
    lanes, together = chip.lanes, _pixels_together(chip, k, kernel_columns, stride[1], q)
    step, channels = stride[1], k * together
    s, q, stride = kernel_columns + (together - 1) * step, q // together, (stride[0], together * step)
    taps, blocks, panels = r * s, -(-channels // lanes), -(-channels // (2 * lanes))
    work_step = max(_lines_bytes(chip, n, (p, q), (r, s), stride, c, threads), lanes * lanes * FLOAT_BYTES)
    add, panel = panels * 2 * lanes * FLOAT_BYTES, taps * c * 2 * lanes * FLOAT_BYTES
    memory = Layout(_WORK, add, panels * panel, threads * work_step)
    added, u, work = memory.places
    steps = p * q * channels * FLOAT_BYTES, q * channels * FLOAT_BYTES, channels * FLOAT_BYTES
    walk, walk_jobs = _walk(
        chip, u, added, Place(_Y), steps, x_shape, channels, (r, s), stride, origin, (p, q), work, work_step, threads,
        relu,
    )  # fmt: skip
    if together > 1:
        packed = PackFew(Place(_WEIGHTS), k, c, r, kernel_columns, together, step, u, lanes, added, Place(_BIAS))
        walks = ((PACK_FEW_BYTES // 8, walk_jobs),)
        return _Planned(Plan(packed, walk), memory.floats, pack_few, None, 1, walks, True)
    per_block = -(-taps * c // (64 * lanes))
    packing = Pack(
        Place(_WEIGHTS), k, c, taps, lanes, per_block, 64, u, panel, 0, transpose(chip), work, work_step,
        added, add, Place(_BIAS), k * FLOAT_BYTES,
    )  # fmt: skip
    slack = lanes if taps * c < lanes else 0
    padded = ((blocks * lanes, c), slack) if slack or k % lanes else None
    walks = ((PACK_BYTES // 8, walk_jobs),)
    return _Planned(Plan(packing, walk), memory.floats, pack, padded, blocks * per_block, walks, True)


def correlate(
    chip: Chip, x: Array, w: Array, bias: Array | None, y: Array, stride: Pair, origin: Pair, relu: bool = False
) -> None:
    """x (N, H, W, C), w (K, C, R, S) -> y (N, P, Q, K)."""
    planned = _plan_correlate(chip, w.shape, x.shape, y.shape, stride, origin, relu, get_num_threads())
    _run(planned, x, w, None if bias is None else np.ascontiguousarray(bias), y)


def _run(planned: _Planned, x: Array, w: Array, bias: Array | None, y: Array) -> None:
    w = np.ascontiguousarray(w) if planned.padded is None else padded_weights(w, *planned.padded)
    _, work = scratch_floats(planned.floats)
    numbers = planned.plan.at(address(x), address(w), address(y), work, 0 if bias is None else address(bias))
    planned.pack(planned.pack_jobs, numbers)
    for first, count in planned.walks:
        _some_rows(count, numbers, first=first)


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


@planned
def _plan_input_grad(
    chip: Chip, w_shape: Shape, g_shape: Shape, x_shape: Shape, stride: Pair, origin: Pair, threads: int
) -> _Planned | None:
    """None if the kernel is smaller than the padding, and nothing is reached."""
    k, c, r, s = w_shape
    n, height, width, _ = x_shape
    lanes = chip.lanes
    blocks, panels = -(-c // lanes), -(-c // (2 * lanes))
    parities = [
        (a, b) for a in _parities(height, r, stride[0], origin[0]) for b in _parities(width, s, stride[1], origin[1])
    ]
    reached = [(a, b) for a, b in parities if a.taps and b.taps]
    if not reached:
        return None
    kernels, sizes = [(len(a.taps), len(b.taps)) for a, b in reached], [(a.size, b.size) for a, b in reached]
    work_step = max(
        *(_lines_bytes(chip, n, size, taps, (1, 1), k, threads) for size, taps in zip(sizes, kernels, strict=True)),
        lanes * (lanes + r * s + 1) * FLOAT_BYTES,
    )
    row = k * 2 * lanes * FLOAT_BYTES
    panel_bytes = [taps[0] * taps[1] * row for taps in kernels]
    add = panels * 2 * lanes * FLOAT_BYTES
    memory = Layout(_WORK, add, threads * work_step, *(panels * size for size in panel_bytes))
    added, work, *packed = memory.places
    places = [0] * (2 * r * s)
    for (a, b), u, panel in zip(reached, packed, panel_bytes, strict=True):
        for i, down in enumerate(reversed(a.taps)):
            for j, across in enumerate(reversed(b.taps)):
                at = 2 * (down * s + across)
                places[at : at + 2] = Place(_WORK, u + (i * len(b.taps) + j) * row), panel
    per_block = -(-k // 64)
    packing = Pack(
        Place(_WEIGHTS), k, blocks * lanes, r * s, lanes, per_block, 64, 0, 0, PACK_BYTES + len(reached) * _WALK_BYTES,
        transpose(chip), work, work_step, added, add, 0, 0,
    )  # fmt: skip
    pixel = c * FLOAT_BYTES
    steps = height * width * pixel, stride[0] * width * pixel, stride[1] * pixel
    walks = []
    for (a, b), u, taps, size in zip(reached, packed, kernels, sizes, strict=True):
        to, ahead = Place(_Y, (a.first * width + b.first) * pixel), (a.origin, b.origin)
        walks.append(_walk(chip, u, added, to, steps, g_shape, c, taps, (1, 1), ahead, size, work, work_step, threads))
    plan = Plan(packing, *(walk for walk, _ in walks), places)
    found = tuple([((PACK_BYTES + i * _WALK_BYTES) // 8, count) for i, (_, count) in enumerate(walks)])
    padded = ((k, blocks * lanes), 0) if c % lanes else None
    everything = len(reached) == len(parities)
    return _Planned(plan, memory.floats, pack_backwards, padded, blocks * per_block, found, everything)


def input_grad(chip: Chip, g: Array, w: Array, x: Array, stride: Pair, origin: Pair) -> None:
    """g (N, P, Q, K), w (K, C, R, S) -> x (N, H, W, C)."""
    planned = _plan_input_grad(chip, w.shape, g.shape, x.shape, stride, origin, get_num_threads())
    if planned is None or not planned.everything:
        x[...] = 0
    if planned is not None:
        _run(planned, g, w, None, x)
