"""3x3 convolution at stride 1 by Winograd's method: 36 multiplications for 16 outputs, where the sum itself takes 144.

And 5x5, 36 for 4 outputs in place of 100. The output is cut into tiles of m x m pixels. With a kernel of r x r, a tile
sees a patch of the input of (m + r - 1) x (m + r - 1) pixels, X, and

    Y = A^T [ sum over channels of  (G W G^T) * (B^T X B) ] A

(`_transforms.py`). For each of the (m + r - 1)^2 places of a transformed patch, the sum over channels is a matrix
product of tiles x input channels x output channels, which the micro-kernel does (`_tile.py`). What there is much of
stays in memory and what there is little of in the cache:

* many tiles: the weights are transformed first; each thread then takes a block of tiles through all three steps, so
  that nothing of the transformed image ever leaves its cache (`_block_of_tiles`);
* few tiles: the image is transformed first; each thread then takes a panel of output channels through all steps, so
  that the transformed weights, four times as large as the weights, never leave its cache (`_panel_of_channels`).

The gradient of the input is the same convolution with the taps walked backwards and input and output channels
exchanged; that of the weights is in `winograd_weights.py`. Transformed arrays lie as the micro-kernel wants them,
with V patches, U weights and M products:

    V (block of tiles, place, block of channels, tile, lanes)
    U (panel, place, channel, 2 lanes)
    M (place, tile, 2 lanes)

A *panel* is two vectors of output channels. The distances between places are a little off powers of two: a cache puts
what lies a power of two apart into the same few lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _transforms as transforms
from ._jit import Array, get_num_threads
from ._jobs import address, fields, helper, jobs
from ._plan import Layout, Place, Plan, planned, records_bytes
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from .layout import Pair, pixel_step, scratch_floats

Shape = tuple[int, ...]

GAP = 64  # bytes between places
_FEWEST = {(3, 3): 16, (5, 5): 24}  # channels, for the kernels that have tiles
_FEW_BLOCK = 28  # tiles
_LARGEST_BLOCK, _BLOCK_BYTES = 56, 272 << 10  # tiles; of V, beside which the weights pass through the cache
_FEW_TILES, _MUCH = 256, 3 << 20  # bytes of transformed weights
_CHANNELS = 64  # of the weights, that a panel transforms at a time
_MANY_WEIGHTS, _MANY_SUMS = 1 << 19, 1 << 21  # numbers, multiplications; fewer are done before threads have begun


_KNOWN = {3: (transforms.F2, transforms.F3, transforms.F4), 5: (transforms.F2_5,)}


class _Method:
    precision = "fast"


def set_precision(name: str) -> None:
    """Choose how sums may be rounded, in this process: "fast", the default, or "strict".

    Larger tiles save more multiplications and round more. The largest error of an output, beside float64 and relative
    to the root mean square of all, is about 1e-5 with tiles of 4 x 4 ("fast"), and 3e-6 with tiles of 2 x 2 or with
    none ("strict").

    Raises:
        ValueError: if it is neither.
    """
    if name not in ("fast", "strict"):
        raise ValueError(f"set_precision: expected 'fast' or 'strict', got {name!r}")
    _Method.precision = name


def get_precision() -> str:
    """What `set_precision` has chosen."""
    return _Method.precision


def best(size: Pair, taps: int) -> transforms.Winograd:
    """The tiles that need fewest multiplications for an output of this size."""
    known = (transforms.F2,) if _Method.precision == "strict" else _KNOWN[taps]
    return min(known, key=lambda f: -(-size[0] // f.m) * -(-size[1] // f.m) * f.size**2)


def share(total: int, most: int) -> int:
    """The size of equal parts, none above `most`."""
    return -(-total // -(-total // most))


class Image(NamedTuple):
    """Patches of an image, and where they go when they are transformed. Steps are in bytes."""

    x: int  # (N, H, W, C)
    n: int
    height: int
    width: int
    channels: int
    pixel: int  # from one pixel to the next
    lanes: int
    m: int  # from one patch to the next
    reach: int  # height and width of a patch
    size: int  # and when it is transformed
    down: int  # patches of an image
    across: int
    top: int  # how far the first patch begins above and left of the image
    left: int
    tile_step: int
    block_step: int
    pair_step: int
    place_step: int
    plain: int  # the transforms
    masked: int


@helper
def transform_patches(image: Image, first: int, count: int, start: int, end: int, to: int) -> None:
    """Transform patches first ... first + count, of the blocks of channels start ... end; beyond the last are zeros."""
    row = image.width * image.pixel
    target_row = image.size * image.place_step
    for i in range(count):
        n = (first + i) // (image.down * image.across)
        rest = first + i - n * image.down * image.across
        down = rest // image.across
        h = down * image.m - image.top
        w = (rest - down * image.across) * image.m - image.left
        inside = (
            n < image.n and h >= 0 and w >= 0 and h + image.reach <= image.height and w + image.reach <= image.width
        )
        source = image.x + (n * image.height + h) * row + w * image.pixel
        for block in range(start, end):
            at = source + block * image.lanes * FLOAT_BYTES
            j = block - start
            target = to + i * image.tile_step + (j & 1) * image.block_step + (j >> 1) * image.pair_step
            there = min(image.lanes, image.channels - block * image.lanes) if n < image.n else 0
            if inside and there == image.lanes:
                call(image.plain, (at, row, image.pixel, target, target_row, image.place_step, 0, 0, 0, 0, 0))
            else:
                bottom, right = image.height - h, image.width - w
                call(
                    image.masked,
                    (at, row, image.pixel, target, target_row, image.place_step, -h, bottom, -w, right, there),
                )


class _Output(NamedTuple):
    """Where products go when they are transformed."""

    y: int  # (N, P, Q, K)
    n: int
    height: int
    width: int
    channels: int
    lanes: int
    m: int
    size: int  # of a transformed tile
    down: int
    across: int
    place_step: int
    bias: int  # of all panels
    plain: int
    masked: int


@helper
def _transform_products(out: _Output, panel: int, first: int, count: int, products: int) -> None:
    """M (place, tile, 2 lanes) -> the tiles first ... first + count of a panel of y."""
    pixel = out.channels * FLOAT_BYTES
    row = out.width * pixel
    source_row = out.size * out.place_step
    image = out.down * out.across
    for i in range(min(count, out.n * image - first)):
        n = (first + i) // image
        rest = first + i - n * image
        down = rest // out.across
        h, w = down * out.m, (rest - down * out.across) * out.m
        bottom, right = out.height - h, out.width - w
        target = out.y + (n * out.height + h) * row + w * pixel
        for half in range(2):
            k = (panel * 2 + half) * out.lanes
            there = min(out.lanes, out.channels - k)
            if there > 0:
                source = products + (i * 2 + half) * out.lanes * FLOAT_BYTES
                to, bias = target + k * FLOAT_BYTES, out.bias + k * FLOAT_BYTES
                function = out.plain if bottom >= out.m and right >= out.m and there == out.lanes else out.masked
                call(function, (source, source_row, out.place_step, to, row, pixel, 0, bottom, 0, right, there, bias))


class _Weights(NamedTuple):
    """Weights, and how to transform them."""

    w: int  # (K, C, taps), K and C multiples of the lanes
    out_channels: int
    channels: int
    backwards: int
    lanes: int
    kernel: int  # height and width
    size: int  # and when it is transformed
    rows: int  # of U: input channels; backwards, output channels
    chunk: int  # rows that are transformed at a time
    per_panel: int  # chunks
    u: int
    place_step: int
    work: int
    work_step: int  # from thread to thread
    transpose: int
    transform: int


@helper
def _transform_panel(w: _Weights, panel: int, first: int, end: int, to: int, work: int) -> None:
    """Rows first ... end of a panel of U; `work` has room for taps * lanes vectors.

    Lanes are output channels and rows input channels; backwards, for the gradient of the input, it is the other way
    round.
    """
    vector = w.lanes * FLOAT_BYTES
    row_step, taps = w.size * w.place_step, w.kernel**2
    lane = panel * 2 * w.lanes
    if w.backwards:
        row = w.channels * taps * FLOAT_BYTES
        for k in range(first, end):
            for half in range(min(2, (w.channels - lane) // w.lanes)):
                source = w.w + k * row + (lane + half * w.lanes) * taps * FLOAT_BYTES
                target = to + ((k - first) * 2 + half) * vector
                call(w.transform, (source, source + 2 * row, target, row_step, w.place_step))
        return
    for half in range(min(2, (w.out_channels - lane) // w.lanes)):
        for c in range(first, end, w.lanes):
            for i in range(taps):
                source = w.w + (((lane + half * w.lanes) * w.channels + c) * taps + i * w.lanes) * FLOAT_BYTES
                call(w.transpose, (source, w.channels * taps * FLOAT_BYTES, work + i * w.lanes * vector, vector))
            for i in range(w.lanes):
                target = to + ((c + i - first) * 2 + half) * vector
                call(
                    w.transform,
                    (work + i * taps * vector, w.kernel * vector, vector, target, row_step, w.place_step),
                )


class _Products(NamedTuple):
    """The matrix products in the middle."""

    lanes: int
    places: int
    out_channels: int
    tiles: int  # of a block
    group: int  # tiles that are multiplied at a time
    v_step: int  # from place to place
    u_step: int
    m_step: int
    whole: int  # the micro-kernels, of two vectors
    half: int  # and of one


@helper
def _multiply(p: _Products, panel: int, blocks: int, v: int, u: int, start: int, products: int) -> None:
    """V, U -> M for one panel, over `blocks` blocks of channels. start: the address of zeros, or 0 to add to M."""
    vector = p.lanes * FLOAT_BYTES
    function = p.whole if (panel * 2 + 1) * p.lanes < p.out_channels else p.half
    for place in range(p.places):
        for first in range(0, p.tiles, p.group):
            a, c = v + place * p.v_step + first * vector, products + place * p.m_step + first * 2 * vector
            begin, row = (start, 0) if start else (c, 2 * vector)
            call(
                function,
                (a, 0, p.tiles * vector, u + place * p.u_step, begin, row, c, 2 * vector, 0, blocks, 0, 0, 0, 0),
            )


class _Split(NamedTuple):
    """The memory, and what there is how many of."""

    blocks: int  # of input channels
    panels: int
    jobs: int  # blocks of tiles
    v: int  # of all blocks of tiles
    u: int  # of all panels
    zeros: int
    work: int
    work_step: int


# Where the records of a convolution lie, one after another.
_OUTPUT = records_bytes(Image)
_PRODUCTS = records_bytes(Image, _Output)
_SPLIT = records_bytes(Image, _Output, _Products)
_WEIGHTS = records_bytes(Image, _Output, _Products, _Split)


@jobs
def _transform_weights(job: int, thread: int, at: int) -> None:
    """A job is a chunk of rows of a panel of U."""
    w = fields(at + _WEIGHTS, _Weights)
    panel = job // w.per_panel
    first = (job - panel * w.per_panel) * w.chunk
    to = w.u + panel * w.size**2 * w.place_step + first * 2 * w.lanes * FLOAT_BYTES
    _transform_panel(w, panel, first, min(w.rows, first + w.chunk), to, w.work + thread * w.work_step)


@jobs
def _block_of_tiles(job: int, thread: int, at: int) -> None:
    image, out = fields(at, Image), fields(at + _OUTPUT, _Output)
    p, split = fields(at + _PRODUCTS, _Products), fields(at + _SPLIT, _Split)
    v = split.work + thread * split.work_step
    products = v + p.places * p.v_step
    transform_patches(image, job * p.tiles, p.tiles, 0, split.blocks, v)
    for panel in range(split.panels):
        _multiply(p, panel, split.blocks, v, split.u + panel * p.places * p.u_step, split.zeros, products)
        _transform_products(out, panel, job * p.tiles, p.tiles, products)


@jobs
def _pair_of_blocks(job: int, thread: int, at: int) -> None:
    """Transforms two blocks of channels of a block of tiles."""
    image, p, split = fields(at, Image), fields(at + _PRODUCTS, _Products), fields(at + _SPLIT, _Split)
    pairs = (split.blocks + 1) >> 1
    i = job // pairs
    start = (job - i * pairs) * 2
    to = split.v + i * p.places * p.v_step + start * image.block_step
    transform_patches(image, i * p.tiles, p.tiles, start, min(start + 2, split.blocks), to)


@jobs
def _panel_of_channels(job: int, thread: int, at: int) -> None:
    out, w = fields(at + _OUTPUT, _Output), fields(at + _WEIGHTS, _Weights)
    p, split = fields(at + _PRODUCTS, _Products), fields(at + _SPLIT, _Split)
    work = split.work + thread * split.work_step
    u = work + w.kernel**2 * w.lanes * w.lanes * FLOAT_BYTES
    products = u + p.places * p.u_step
    m_block = p.places * p.m_step
    for first in range(0, w.rows, w.chunk):
        end = min(w.rows, first + w.chunk)
        _transform_panel(w, job, first, end, u, work)
        for i in range(split.jobs):
            v = split.v + i * p.places * p.v_step + first * p.tiles * FLOAT_BYTES
            start = 0 if first else split.zeros
            _multiply(p, job, (end - first) // w.lanes, v, u, start, products + i * m_block)
    for i in range(split.jobs):
        _transform_products(out, job, i * p.tiles, p.tiles, products + i * m_block)


def suits(channels: int, out_channels: int, kernel_size: Pair, stride: Pair) -> bool:
    """Whether this is the fastest way."""
    fewest = _FEWEST.get(kernel_size)
    if fewest is None or channels < fewest or out_channels < fewest or stride != (1, 1):
        return False
    return kernel_size == (3, 3) or _Method.precision != "strict"


def padded_weights(w: Array, lanes: int) -> Array:
    """(K, C, R, R) -> (K', C', taps), with as many zeros as make K' and C' multiples of the lanes."""
    k, c = w.shape[:2]
    taps = w.shape[2] * w.shape[3]
    if k % lanes == 0 and c % lanes == 0:
        return (w if w.flags.c_contiguous else w.copy()).reshape(k, c, taps)
    padded = np.zeros((-(-k // lanes) * lanes, -(-c // lanes) * lanes, taps), w.dtype)
    padded[:k, :c] = w.reshape(k, c, taps)
    return padded


_X, _W, _Y, _WORK = 1, 2, 3, 4  # the arrays of a plan


class _Planned(NamedTuple):
    plan: Plan
    floats: int  # of memory to work in
    add: int  # of them the first: what is added to each channel, and zeros behind it
    weight_jobs: int  # 0: each panel transforms its own
    tile_jobs: int
    panel_jobs: int
    weight_threads: bool  # whether these jobs are worth threads
    tile_threads: bool


@planned
def _plan(
    chip: Chip,
    precision: str,
    taps: int,
    x_shape: Shape,
    pixel: int,
    y_shape: Shape,
    origin: Pair,
    backwards: bool,
    relu: bool,
    threads: int,
) -> _Planned:
    n, p, q, k = y_shape
    _, height, width, channels = x_shape
    f = best((p, q), taps)
    lanes, vector, places = chip.lanes, chip.lanes * FLOAT_BYTES, f.size**2
    down, across = -(-p // f.m), -(-q // f.m)
    total = n * down * across
    blocks, panels = -(-channels // lanes), -(-k // (2 * lanes))
    rows = blocks * lanes
    few = total <= _FEW_TILES and places * rows * k * FLOAT_BYTES > _MUCH and panels > 1
    block = _FEW_BLOCK if few else _block_of(places * rows * FLOAT_BYTES, chip)
    many = places * total * rows * k > _MANY_SUMS
    group, count = _tiles_of_a_job(total, block, chip, threads if many and not few else 1)
    n_jobs = -(-total // count)

    v_step, m_step = rows * count * FLOAT_BYTES + GAP, count * 2 * vector + GAP
    u_step = (_CHANNELS if few else rows) * 2 * vector + GAP
    weight_work = f.taps**2 * lanes * vector
    if few:
        work_step, v_size, u_size = weight_work + places * (u_step + n_jobs * m_step), n_jobs * places * v_step, 0
    else:
        work_step, v_size, u_size = max(weight_work, places * (v_step + m_step)), 0, panels * places * u_step
    work_step = -(-work_step // 64) * 64
    add = panels * 2 * lanes
    memory = Layout(_WORK, (add + 2 * lanes) * FLOAT_BYTES, v_size, u_size, threads * work_step)
    added, v, u, work = memory.places
    zeros = Place(_WORK, add * FLOAT_BYTES)

    image = Image(
        Place(_X), n, height, width, channels, pixel, lanes, f.m, f.size, f.size, down, across, *origin,
        vector, count * vector, 2 * count * vector, v_step,
        *(transforms.input_transform(chip, f, masked) for masked in (False, True)),
    )  # fmt: skip
    output = _Output(
        Place(_Y), n, p, q, k, lanes, f.m, f.size, down, across, m_step, added,
        *(transforms.output_transform(chip, f, masked, relu) for masked in (False, True)),
    )  # fmt: skip
    whole, half = (tile(chip, group, vectors, "packed") for vectors in (2, 1))
    products = _Products(lanes, places, k, count, group, v_step, u_step, m_step, whole, half)
    split = _Split(blocks, panels, n_jobs, v, u, zeros, work, work_step)
    per_panel = -(-rows // _CHANNELS)
    w_rows, w_columns = (channels, k) if backwards else (k, channels)
    transform = transforms.turned_weight_transform if backwards else transforms.weight_transform
    weights = _Weights(
        Place(_W), -(-w_rows // lanes) * lanes, -(-w_columns // lanes) * lanes, backwards, lanes, f.taps, f.size, rows,
        _CHANNELS, per_panel, u, u_step, work, work_step, transforms.transpose(chip), transform(chip, f),
    )  # fmt: skip
    plan = Plan(image, output, products, split, weights)
    if few:
        return _Planned(plan, memory.floats, add, 0, n_jobs * -(-blocks // 2), panels, False, many)
    many_weights = places * rows * k > _MANY_WEIGHTS
    return _Planned(plan, memory.floats, add, panels * per_panel, n_jobs, 0, many_weights, many)


def _block_of(tile_bytes: int, chip: Chip) -> int:
    """The tiles that a job should take: as many as leave the cache to the weights that pass by."""
    return max(chip.rows, min(_LARGEST_BLOCK, _BLOCK_BYTES // tile_bytes) // chip.rows * chip.rows)


def _tiles_of_a_job(total: int, block: int, chip: Chip, threads: int) -> Pair:
    """How many tiles are multiplied at a time, and how many a job takes: every thread gets as many jobs, if it can."""
    n_jobs = -(-total // block) if total > 2 * block else 1
    n_jobs = min(-(-n_jobs // threads) * threads, -(-2 * total // chip.rows))
    count = -(-total // n_jobs)
    group = share(count, chip.rows)
    return group, -(-count // group) * group


def correlate(
    chip: Chip,
    x: Array,
    w: Array,
    bias: Array | None,
    y: Array,
    origin: Pair,
    relu: bool = False,
    backwards: bool = False,
) -> None:
    """x (N, H, W, C), w (K, C, R, R) -> y (N, P, Q, K); backwards: w (C, K, R, R), its taps turned by 180 degrees. The
    pixels of x may lie apart, but evenly."""
    taps = w.shape[2]
    choice = chip, _Method.precision, taps
    planned = _plan(*choice, x.shape, pixel_step(x), y.shape, origin, backwards, relu, get_num_threads())
    memory, work = scratch_floats(planned.floats)
    memory[: planned.add + 2 * chip.lanes] = 0
    if bias is not None:
        memory[: y.shape[3]] = bias
    w = padded_weights(w, chip.lanes)
    numbers = planned.plan.at(address(x), address(w), address(y), work)
    if planned.weight_jobs:
        _transform_weights(planned.weight_jobs, numbers, planned.weight_threads)
        _block_of_tiles(planned.tile_jobs, numbers, planned.tile_threads)
    else:
        _pair_of_blocks(planned.tile_jobs, numbers, planned.tile_threads)
        _panel_of_channels(planned.panel_jobs, numbers)
