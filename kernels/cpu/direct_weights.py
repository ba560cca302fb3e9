"""The gradient of the weights of any convolution, without windows: the walk of `direct.py`, transposed.

    gw[r, j, :] = sum over n, p, q of  line[n, p * stride + r][q * stride * C + j] * g[n, p, q, :],      j = s * C + c

Now neighbouring j are the rows of the micro-kernel's block of sums, and it adds up over the pixels of some rows of
the output. A job takes a part of all rows of the output, a strip of them at a time: it copies the lines of x that they
see, with their padding, and g into panels of two vectors of channels, and adds to sums of its own, which fit into its
core's cache. If they would not, a job takes some of the panels only. Where one panel holds all channels, g is read
as it lies: lanes beyond the last channel then add up what the next pixel holds, and nobody reads them; only the last
strip, beyond which nothing may be read, is copied. At last the parts are added up. Into how many parts the rows are cut
follows from the shapes, so the order is always the same.

The gradient of the bias is the sum of g, and so what these sums would be for a line of ones: the same micro-kernel adds
it up, while g is in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

from ..memory import empty
from ._jit import Array, get_num_threads
from ._jobs import address, clear, copy, fields, helper, jobs, move
from ._plan import Layout, Place, Plan, planned, records_bytes
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from ._transforms import transpose
from .layout import Pair, scratch_floats
from .sums import add_parts, sum_of_parts
from .winograd import Shape, share

_SUMS_BYTES = 1200 << 10  # of a job
_PANEL_BYTES = 1 << 14  # of a panel, read again and again
_JOBS = 8


class _Part(NamedTuple):
    """Steps are in bytes."""

    x: int  # (N, H, W, C)
    height: int
    width: int
    pixel: int
    top: int  # padding
    left: int
    down: int  # strides
    across: int
    g: int  # (N, P, Q, K)
    rows: int
    columns: int
    out_channels: int
    line: int  # bytes of a padded line
    kernel_rows: int
    run: int
    group: int  # rows of the micro-kernel
    strip: int  # rows of the output
    strips: int  # of an image
    total: int  # strips
    parts: int  # of all strips
    share: int  # panels of a job
    lanes: int
    panels: int
    sums: int  # (part, panel, r, j, 2 lanes)
    sums_row: int  # from r to r
    zeros: int
    whole: int
    last: int
    work: int  # of a thread: padded lines, then panels (panel, pixel, 2 lanes)
    work_step: int
    packed: int
    as_it_lies: int  # whether g is its own only panel
    one: int  # the number 1
    bias: int  # sums of g (part, panel, 2 lanes); 0 if they are not wanted
    add: int  # the micro-kernel of one row


@helper
def _copy_lines(f: _Part, n: int, first: int, count: int, to: int) -> None:
    """Lines first ... first + count of image n, with their padding."""
    before = min(f.line, f.left * f.pixel)
    inside = max(0, min(f.line - before, f.width * f.pixel))
    for h in range(first, first + count):
        if h < 0 or h >= f.height:
            clear(to, f.line)
        else:
            clear(to, before)
            copy(to + before, f.x + (n * f.height + h) * f.width * f.pixel, inside)
            clear(to + before + inside, f.line - before - inside)
        to += f.line


@helper
def _pack(f: _Part, pixel: int, count: int, panel: int, to: int) -> None:
    """A panel of the gradient at some pixels."""
    double = 2 * f.lanes * FLOAT_BYTES
    size = min(double, f.out_channels * FLOAT_BYTES - panel * double)
    source = f.g + pixel * f.out_channels * FLOAT_BYTES + panel * double
    for q in range(count):
        copy(to + q * double, source + q * f.out_channels * FLOAT_BYTES, size)
        if size < double:
            clear(to + q * double + size, double - size)


@jobs
def _sum(job: int, thread: int, at: int) -> None:
    """The sums of a few panels over a part of the strips."""
    f = fields(at, _Part)
    double = 2 * f.lanes * FLOAT_BYTES
    share = job // f.parts
    part = job - share * f.parts
    lines = f.work + thread * f.work_step
    begin, end = part * f.total // f.parts, (part + 1) * f.total // f.parts
    for strip in range(begin, end):
        n = strip // f.strips
        p = (strip - n * f.strips) * f.strip
        rows = min(f.strip, f.rows - p)
        _copy_lines(f, n, p * f.down - f.top, (rows - 1) * f.down + f.kernel_rows, lines)
        for panel in range(share * f.share, min(f.panels, (share + 1) * f.share)):
            function = f.last if panel == f.panels - 1 else f.whole
            pixel = (n * f.rows + p) * f.columns
            if f.as_it_lies and strip < f.total - 1:
                b, b_step = f.g + pixel * f.out_channels * FLOAT_BYTES, f.out_channels * FLOAT_BYTES
            else:
                b, b_step = lines + f.packed, double
                _pack(f, pixel, rows * f.columns, panel, b)
            if f.bias:
                to = f.bias + (part * f.panels + panel) * double
                start = to if strip > begin else f.zeros
                call(f.add, (f.one, 0, 0, b, start, 0, to, 0, f.columns, rows, 0, 0, 0, b_step))
            for r in range(f.kernel_rows):
                sums = f.sums + ((part * f.panels + panel) * f.kernel_rows + r) * f.sums_row
                for j in range(0, f.run, f.group):
                    to = sums + j * double
                    start, step = (to, double) if strip > begin else (f.zeros, 0)
                    call(
                        function,
                        (
                            lines + r * f.line + j * FLOAT_BYTES, f.across * f.pixel, f.down * f.line, b, start,
                            step, to, double, f.columns, rows, 0, 0, 0, b_step,
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


_SUM = records_bytes(_Part)


@jobs
def _unpack(job: int, thread: int, at: int) -> None:
    """The sums of a block of channels x a block of output channels -> gw."""
    f = fields(at + _SUM, _Unpack)
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


_FEWEST_RUN, _FEWEST = 3, 5  # numbers of a run, and output channels


def suits(channels: int, out_channels: int, kernel_size: Pair, columns: int) -> bool:
    """Whether this is faster than windows and matrix products; `columns` is the output's width."""
    numbers = channels * out_channels * kernel_size[0] * kernel_size[1]
    if kernel_size == (1, 1) or (columns < 8 and numbers * FLOAT_BYTES > _SUMS_BYTES):
        return False
    return kernel_size[1] * channels >= _FEWEST_RUN and out_channels >= _FEWEST


_X, _G, _GW, _WORK = 1, 2, 3, 4  # the arrays of a plan


class _Planned(NamedTuple):
    plan: Plan
    floats: int  # of memory to work in
    jobs: int
    parts: int  # whose sums are added up,
    sums: int  # where they begin, in floats,
    part: int  # and the floats of one
    unpack_jobs: int
    bias: int  # where the sums of g begin, in floats,
    row: int  # and the floats of a part's


@planned
def _plan(
    chip: Chip, kernel_size: Pair, g_shape: Shape, x_shape: Shape, stride: Pair, origin: Pair, bias: bool, threads: int
) -> _Planned:
    n, p, q, k = g_shape
    c = x_shape[3]
    r, s = kernel_size
    lanes = chip.lanes
    double, pixel = 2 * lanes * FLOAT_BYTES, c * FLOAT_BYTES
    panels = -(-k // (2 * lanes))
    run = s * c
    group = share(run, chip.rows)
    line = ((q - 1) * stride[1] + s) * pixel
    strip = share(p, max(1, _PANEL_BYTES // (q * double)))
    strips = -(-p // strip)
    # The last rows of a group, and of a square that is transposed, may lie behind what there is.
    sums_row = (-(-run // group) * group + lanes) * double
    some = share(panels, max(1, _SUMS_BYTES // (r * sums_row)))
    shares = -(-panels // some)
    parts = min(n * strips, max(1, _JOBS // shares))
    part = panels * r * sums_row
    unpack_step = r * s * lanes * lanes * FLOAT_BYTES
    packed = -(-(((strip - 1) * stride[0] + r) * line + chip.rows * FLOAT_BYTES) // 64) * 64
    work_step = packed + strip * q * double
    memory = Layout(
        _WORK, double + FLOAT_BYTES, parts * part, parts * panels * double, threads * max(work_step, unpack_step)
    )
    zeros, sums, of_bias, work = memory.places
    whole, last = (tile(chip, group, vectors, "columns") for vectors in (2, 2 if (k - 1) % (2 * lanes) >= lanes else 1))
    strips_part = _Part(
        Place(_X), x_shape[1], x_shape[2], pixel, *origin, *stride, Place(_G), p, q, k, line, r, run, group, strip,
        strips, n * strips, parts, some, lanes, panels, sums, sums_row, zeros, whole, last, work, work_step, packed,
        panels == 1 and q * k >= 2 * lanes, Place(_WORK, double), of_bias if bias else 0, tile(chip, 1, 2, "columns"),
    )  # fmt: skip
    blocks = -(-c // lanes)
    unpack = _Unpack(sums, sums_row, k, c, r, s, blocks, lanes, transpose(chip), work, unpack_step, Place(_GW))
    return _Planned(
        Plan(strips_part, unpack), memory.floats, shares * parts, parts, sums // FLOAT_BYTES, part // FLOAT_BYTES,
        -(-k // lanes) * blocks, of_bias // FLOAT_BYTES, panels * 2 * lanes,
    )  # fmt: skip


def weight_grad(
    chip: Chip, g: Array, x: Array, kernel_size: Pair, stride: Pair, origin: Pair, bias: bool
) -> tuple[Array, Array | None]:
    """g (N, P, Q, K), x (N, H, W, C) -> (K, C, R, S), and if wanted (K,)."""
    planned = _plan(chip, kernel_size, g.shape, x.shape, stride, origin, bias, get_num_threads())
    memory, work = scratch_floats(planned.floats)
    memory[: 2 * chip.lanes] = 0
    memory[2 * chip.lanes] = 1
    gw = empty((g.shape[3], x.shape[3], *kernel_size), g.dtype)
    numbers = planned.plan.at(address(x), address(g), address(gw), work)
    _sum(planned.jobs, numbers)
    if planned.parts > 1:
        add_parts(memory[planned.sums :], planned.parts, planned.part)
    _unpack(planned.unpack_jobs, numbers)
    return gw, sum_of_parts(memory[planned.bias :], planned.parts, planned.row)[: g.shape[3]] if bias else None
