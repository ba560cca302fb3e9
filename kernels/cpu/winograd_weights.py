"""The gradient of the weights of a convolution at stride 1, by Winograd's method.

Read backwards, Y = A^T [(G W G^T) * (B^T X B)] A says (all of it is linear in W)

    dW = G^T [ sum over tiles of  (B^T X B) * (A dY A^T) ] G

For each of the (m + r - 1)^2 places the sum over tiles is a matrix product of input channels x tiles x output channels.

    V (place, tile, channel)    D (place, panel, tile, 2 lanes)    S (block, place, panel, channel, 2 lanes), the sums

Where the sums fit into a core's own cache, a job takes a part of all tiles and a slice of the input channels,
transforms a few tiles at a time and adds them to sums of its own, and at last the parts are added up: nothing goes from
one core to another but these. Where they do not, patches of x and of the gradient are transformed for as many tiles at
a time as the cache holds; then each job adds up a block of input channels x output channels, at all places if there are
enough blocks, at one place otherwise.

The gradient of the bias is the sum of dY: whoever transforms tiles of it also adds up as many of its pixels, which are
about the same ones and then lie in the cache.

The transforms and the words are those of `winograd.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..memory import empty
from . import _transforms as transforms
from ._jit import Array, get_num_threads
from ._jobs import address, fields, helper, jobs
from ._plan import Layout, Place, Plan, planned, records_bytes
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from .layout import Pair, pixel_step, scratch_floats
from .sums import add_parts, sum_of_parts
from .winograd import GAP, Image, Shape, best, get_precision, share, transform_patches

_LEAST_BYTES, _MOST_BYTES = 3 << 19, 12 << 20  # of transformed patches at a time; as many as there are sums is best
_BLOCK = 64  # channels of a block of sums
_TILES = 8  # of a job that transforms patches
_OWN_SUMS_BYTES = 1200 << 10  # of all jobs that share a part of the tiles, each with sums of its own,
_SLICE_BYTES, _OWN_PATCHES_BYTES = 400 << 10, 360 << 10  # and of one: its sums, and the patches it adds up at a time
_OWN_BLOCK, _MOST_PARTS, _LEAST_PART = 32, 8, 48  # tiles


class _Sums(NamedTuple):
    lanes: int
    places: int
    taps: int  # height and width of the kernel
    size: int  # and when it is transformed
    first: int  # tile of this chunk, or of all
    tiles: int  # of this chunk
    total: int  # tiles
    parts: int  # of all tiles, each with sums of its own
    slices: int  # of the input channels, each a job of such a part
    slice: int  # channels
    part_step: int
    patches_step: int  # from thread to thread
    image_jobs: int
    v: int
    v_place: int
    v_tile: int
    d: int
    d_place: int
    d_panel: int
    channels: int  # multiples of the lanes
    out_channels: int
    block: int  # input channels of a block
    panels: int  # of a block
    out_blocks: int
    group: int  # rows of the micro-kernel
    at_once: int  # whether a job does all places, and the gradient too
    again: int  # whether the sums go on from an earlier chunk
    sums: int
    sums_step: int  # from block to block, or thread to thread
    s_place: int
    s_panel: int
    zeros: int
    whole: int  # micro-kernels
    half: int
    gradient: int  # G^T S G
    transpose: int
    work: int
    work_step: int
    gw: int  # (K, C, taps)
    one: int  # the number 1
    bias: int  # sums of dY (part or job, out_channels); 0 if they are not wanted
    add: int  # micro-kernels of one row, of two vectors
    add_half: int  # and of one


# The records: patches of x, those of the gradient, and the sums.
_G, _SUMS = records_bytes(Image), records_bytes(Image, Image)
_CHUNK = [2 * len(Image._fields) + _Sums._fields.index(name) for name in ("first", "tiles", "image_jobs", "again")]


@helper
def _add_pixels(s: _Sums, g: Image, first: int, count: int, again: int, to: int) -> None:
    """The sum of as many pixels as so many tiles have; if again, added to what there is."""
    size, double = g.channels * FLOAT_BYTES, 2 * s.lanes * FLOAT_BYTES
    pixels = g.n * g.height * g.width
    begin, end = first * pixels // s.total, (first + count) * pixels // s.total
    for at in range(0, size, double):
        function = s.add if at + double <= size else s.add_half
        source, start = g.x + begin * g.pixel + at, to + at if again else s.zeros
        call(function, (s.one, 0, 0, source, start, 0, to + at, 0, end - begin, 1, 0, 0, 0, g.pixel))


@jobs
def _patches(job: int, thread: int, at: int) -> None:
    """Transforms a few tiles of x, or of the gradient of the output."""
    s = fields(at + _SUMS, _Sums)
    is_image = job < s.image_jobs
    first = (job if is_image else job - s.image_jobs) * _TILES
    count = min(_TILES, s.tiles - first)
    if is_image:
        image = fields(at, Image)
        transform_patches(image, s.first + first, count, 0, s.channels // s.lanes, s.v + first * s.v_tile)
    else:
        image = fields(at + _G, Image)
        to = s.d + first * 2 * s.lanes * FLOAT_BYTES
        transform_patches(image, s.first + first, count, 0, s.out_channels // s.lanes, to)
        if s.bias:
            row = s.bias + (job - s.image_jobs) * s.out_channels * FLOAT_BYTES
            _add_pixels(s, image, s.first + first, count, s.again, row)


@helper
def _add_up(
    s: _Sums, row: int, column: int, start: int, end: int, v_at: int, d_at: int, tiles: int, again: int, to: int
) -> None:
    """The sums of a block at places start ... end, over so many tiles; if again, added to what there is."""
    vector = s.lanes * FLOAT_BYTES
    c_first, panel_first = row * s.block, column * s.panels
    c_count = min(s.block, s.channels - c_first)
    k_count = min(s.panels * 2 * s.lanes, s.out_channels - panel_first * 2 * s.lanes)
    for place in range(start, end):
        for panel in range((k_count + 2 * s.lanes - 1) // (2 * s.lanes)):
            function = s.whole if (panel * 2 + 1) * s.lanes < k_count else s.half
            d = d_at + place * s.d_place + (panel_first + panel) * s.d_panel
            for c in range(0, c_count, s.group):
                v = v_at + place * s.v_place + (c_first + c) * FLOAT_BYTES
                sums = to + place * s.s_place + panel * s.s_panel + c * 2 * vector
                begin, step = (sums, 2 * vector) if again else (s.zeros, 0)
                call(function, (v, s.v_tile, 0, d, begin, step, sums, 2 * vector, tiles, 1, 0, 0, 0, 2 * vector))


@helper
def _write_gradient(s: _Sums, row: int, column: int, sums: int, work: int) -> None:
    """G^T S G of a block, to where it belongs in (K, C, taps)."""
    vector, taps = s.lanes * FLOAT_BYTES, s.taps**2
    for k in range(
        column * s.panels * 2 * s.lanes, min((column + 1) * s.panels * 2 * s.lanes, s.out_channels), s.lanes
    ):
        half = k // s.lanes - column * s.panels * 2
        for c in range(row * s.block, min((row + 1) * s.block, s.channels), s.lanes):
            source = sums + (half >> 1) * s.s_panel + (half & 1) * vector + (c - row * s.block) * 2 * vector
            for i in range(s.lanes):
                to = work + i * taps * vector
                call(s.gradient, (source + i * 2 * vector, s.size * s.s_place, s.s_place, to, s.taps * vector, vector))
            for i in range(taps):
                to = s.gw + ((k * s.channels + c) * taps + i * s.lanes) * FLOAT_BYTES
                call(s.transpose, (work + i * s.lanes * vector, vector, to, s.channels * taps * FLOAT_BYTES))


@jobs
def _block_of_sums(job: int, thread: int, at: int) -> None:
    """A block at all places, then the gradient; or a block at one place."""
    s = fields(at + _SUMS, _Sums)
    block = job if s.at_once else job // s.places
    row = block // s.out_blocks
    column = block - row * s.out_blocks
    if s.at_once:
        sums = s.sums + thread * s.sums_step
        _add_up(s, row, column, 0, s.places, s.v, s.d, s.tiles, s.again, sums)
        _write_gradient(s, row, column, sums, s.work + thread * s.work_step)
    else:
        place = job - block * s.places
        _add_up(s, row, column, place, place + 1, s.v, s.d, s.tiles, s.again, s.sums + block * s.sums_step)


@jobs
def _part_of_tiles(job: int, thread: int, at: int) -> None:
    """All sums of a slice of the channels over a part of the tiles, a few of them at a time."""
    s = fields(at + _SUMS, _Sums)
    x, g = fields(at, Image), fields(at + _G, Image)
    v, d = s.v + thread * s.patches_step, s.d + thread * s.patches_step
    part = job // s.slices
    c_first = (job - part * s.slices) * s.slice
    c_end = min(s.channels, c_first + s.slice)
    begin, end = part * s.total // s.parts, (part + 1) * s.total // s.parts
    sums = s.sums + part * s.part_step
    for first in range(begin, end, s.tiles):
        count = min(s.tiles, end - first)
        transform_patches(x, first, count, c_first // s.lanes, c_end // s.lanes, v)
        transform_patches(g, first, count, 0, s.out_channels // s.lanes, d)
        if s.bias and c_first == 0:
            _add_pixels(s, g, first, count, first > begin, s.bias + part * s.out_channels * FLOAT_BYTES)
        for row in range(c_first // s.block, (c_end + s.block - 1) // s.block):
            for column in range(s.out_blocks):
                to = sums + (row * s.out_blocks + column) * s.sums_step
                at_slice = v - c_first * FLOAT_BYTES
                _add_up(s, row, column, 0, s.places, at_slice, d, count, first > begin, to)


@jobs
def _gradient_of_block(job: int, thread: int, at: int) -> None:
    s = fields(at + _SUMS, _Sums)
    row = job // s.out_blocks
    _write_gradient(s, row, job - row * s.out_blocks, s.sums + job * s.sums_step, s.work + thread * s.work_step)


_X, _GRADIENT, _GW, _WORK = 1, 2, 3, 4  # the arrays of a plan


class _Planned(NamedTuple):
    plan: Plan
    floats: int  # of memory to work in
    shape: tuple[int, int, int]  # of gw, with multiples of the lanes
    total: int  # tiles
    chunk: int  # of them at a time
    parts: int  # with sums of their own; 0 if there are none
    slices: int  # of each
    sums: int  # where they begin, in floats
    part: int  # floats of a part
    jobs: int  # blocks of sums of a chunk, at one place or at all
    blocks: int  # whose gradient is still to be written
    bias: int  # where the sums of dY begin, in floats,
    bias_parts: int  # and how many there are; 0 if they are not wanted


@planned
def _plan(
    chip: Chip,
    precision: str,
    taps: int,
    g_shape: Shape,
    g_pixel: int,
    x_shape: Shape,
    origin: Pair,
    bias: bool,
    threads: int,
) -> _Planned:
    n, p, q, k = g_shape
    c = x_shape[3]
    f = best((p, q), taps)
    lanes, vector, places = chip.lanes, chip.lanes * FLOAT_BYTES, f.size**2
    down, across = -(-p // f.m), -(-q // f.m)
    total = n * down * across
    channels, out_channels = -(-c // lanes) * lanes, -(-k // lanes) * lanes
    panels = -(-out_channels // (2 * lanes))

    own = places * channels * out_channels * FLOAT_BYTES <= _OWN_SUMS_BYTES and total >= 2 * _LEAST_PART
    most = _OWN_BLOCK if own else _BLOCK
    block = share(channels // lanes, max(1, most // lanes)) * lanes
    block_panels = share(panels, max(1, most // (2 * lanes)))
    rows, columns = -(-channels // block), -(-panels // block_panels)
    group = share(block, chip.rows)
    row_bytes = places * block * out_channels * FLOAT_BYTES
    slice_rows = share(rows, max(1, _SLICE_BYTES // row_bytes)) if own else rows
    slices = -(-rows // slice_rows)
    # The last group of rows may begin before the last channel and end after it.
    width = min(channels, slice_rows * block) + chip.rows
    at_a_time = min(_MOST_BYTES, max(_LEAST_BYTES, places * channels * out_channels * FLOAT_BYTES))
    parts = min(-(-_MOST_PARTS // slices), total // _LEAST_PART) if own else 1
    if own:
        at_a_time = _OWN_PATCHES_BYTES
    count = share(total // parts, max(_TILES, at_a_time // (places * (width + out_channels) * FLOAT_BYTES)))
    at_once = not own and count == total and rows * columns >= 4

    v_tile = -(-width // 16) * 16 * FLOAT_BYTES
    v_place = count * v_tile + GAP
    d_panel = count * 2 * vector
    d_place = panels * d_panel + GAP
    s_panel = -(-block // group) * group * 2 * vector
    s_place = block_panels * s_panel + GAP
    sums_step, work_step = places * s_place, taps**2 * lanes * vector
    part_step, patches_step = rows * columns * sums_step, places * (v_place + d_place)
    # A sum of whole vectors reads no further than the last channel.
    bias_parts = (parts if own else -(-count // _TILES)) if bias and k % lanes == 0 else 0
    memory = Layout(
        _WORK,
        2 * vector + FLOAT_BYTES,
        (threads if own else 1) * patches_step,
        threads * sums_step if at_once else parts * part_step,
        threads * work_step,
        bias_parts * k * FLOAT_BYTES,
    )
    zeros, v, sums, work, of_bias = memory.places
    d = Place(_WORK, v + places * v_place)

    image = Image(
        Place(_X), n, x_shape[1], x_shape[2], c, c * FLOAT_BYTES, lanes, f.m, f.size, f.size, down, across, *origin,
        v_tile, vector, 2 * vector, v_place,
        *(transforms.input_transform(chip, f, masked) for masked in (False, True)),
    )  # fmt: skip
    gradient = Image(
        Place(_GRADIENT), n, p, q, k, g_pixel, lanes, f.m, f.m, f.size, down, across, 0, 0,
        2 * vector, vector, d_panel, d_place,
        *(transforms.gradient_transform(chip, f, masked) for masked in (False, True)),
    )  # fmt: skip
    whole, half = (tile(chip, group, vectors, "columns") for vectors in (2, 1))
    settings = _Sums(
        lanes, places, taps, f.size, 0, count, total, parts, slices, slice_rows * block, part_step, patches_step, 0,
        v, v_place, v_tile, d, d_place, d_panel, channels, out_channels, block, block_panels, columns, group, at_once,
        False, sums, sums_step, s_place, s_panel, zeros, whole, half, transforms.weight_gradient_transform(chip, f),
        transforms.transpose(chip), work, work_step, Place(_GW), Place(_WORK, 2 * vector), of_bias if bias_parts else 0,
        *(tile(chip, 1, vectors, "columns") for vectors in (2, 1)),
    )  # fmt: skip
    return _Planned(
        Plan(image, gradient, settings), memory.floats, (out_channels, channels, taps**2), total, count,
        parts if own else 0, slices, sums // FLOAT_BYTES, part_step // FLOAT_BYTES,
        rows * columns * (1 if at_once else places), 0 if at_once else rows * columns,
        of_bias // FLOAT_BYTES, bias_parts,
    )  # fmt: skip


def weight_grad(chip: Chip, g: Array, x: Array, taps: int, origin: Pair, bias: bool) -> tuple[Array, Array | None]:
    """g (N, P, Q, K), x (N, H, W, C) -> (K, C, R, R), and (K,) if it is wanted and K a multiple of the lanes. The
    pixels of g may lie apart, but evenly."""
    k, c = g.shape[3], x.shape[3]
    planned = _plan(chip, get_precision(), taps, g.shape, pixel_step(g), x.shape, origin, bias, get_num_threads())
    memory, work = scratch_floats(planned.floats)
    memory[: 2 * chip.lanes] = 0
    memory[2 * chip.lanes] = 1
    gw = empty(planned.shape, g.dtype)
    numbers = planned.plan.at(address(x), address(g), address(gw), work)
    if planned.parts:
        _part_of_tiles(planned.parts * planned.slices, numbers)
        add_parts(memory[planned.sums :], planned.parts, planned.part)
    else:
        for first in range(0, planned.total, planned.chunk):
            here = min(planned.chunk, planned.total - first)
            transform_jobs = -(-here // _TILES)
            for at, value in zip(_CHUNK, (first, here, transform_jobs, first > 0), strict=True):
                numbers[at] = value
            _patches(2 * transform_jobs, numbers)
            _block_of_sums(planned.jobs, numbers)
    if planned.blocks:
        _gradient_of_block(planned.blocks, numbers)
    gb = sum_of_parts(memory[planned.bias :], planned.bias_parts, k) if planned.bias_parts else None
    return gw.reshape(*planned.shape[:2], taps, taps)[:k, :c], gb
