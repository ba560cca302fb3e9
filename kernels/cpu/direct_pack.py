"""Weights as `direct.py` reads them: panels (panel, r, s, c, 2 lanes), and what is added to each channel's sums.

Three ways to get there: squares of output channels x numbers, transposed in registers (forward); the same backwards,
where every tap has a place of its own in the panels of one parity; and number by number where the few output channels
of several neighbouring pixels share a vector.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import Array
from ._jobs import clear, copy, fields, helper, jobs, move, number
from ._plan import records_bytes
from ._simd import FLOAT_BYTES, call
from .layout import Pair


class Pack(NamedTuple):
    w: int  # (K', C', taps); K' a multiple of the lanes, and, backwards, C' too
    out_channels: int
    channels: int
    taps: int
    lanes: int
    per_block: int  # jobs
    chunk: int  # squares (backwards: output channels) of a job
    u: int
    panel: int  # bytes of a panel
    places: int  # backwards: how many bytes behind this record stand, for each tap, the address of its first row in the
    # first panel, and the bytes of a panel
    transpose: int
    work: int
    work_step: int
    added: int
    added_bytes: int
    bias: int  # 0 if there is none
    bias_bytes: int


PACK_BYTES = records_bytes(Pack)


@helper
def _place_bias(added: int, size: int, bias: int, bias_size: int, pixels: int) -> None:
    clear(added, size)
    if bias:
        for i in range(pixels):
            copy(added + i * bias_size, bias, bias_size)


@jobs
def pack(job: int, thread: int, at: int) -> None:
    """w (K, C, R, S) -> panels (panel, r, s, c, 2 lanes of K): squares of output channels x numbers, transposed."""
    f = fields(at, Pack)
    if job == 0:
        _place_bias(f.added, f.added_bytes, f.bias, f.bias_bytes, 1)
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
def pack_backwards(job: int, thread: int, at: int) -> None:
    """w (K, C, R, S) -> panels of each parity (panel, r, s, k, 2 lanes of C); there is no bias."""
    f = fields(at, Pack)
    if job == 0:
        clear(f.added, f.added_bytes)
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
                place = at + f.places + (tap + i) * 16
                if number(place) == 0:  # the image is smaller than the stride, and has no pixel of that parity
                    continue
                to = number(place) + (block >> 1) * number(place + 8) + (block & 1) * vector + k * 2 * vector
                copy(to, work + i * vector, vector)


class PackFew(NamedTuple):
    w: int  # (K, C, R, S)
    out_channels: int
    channels: int
    kernel_rows: int
    kernel_columns: int
    pixels: int  # neighbours that are taken for one
    step: int  # columns from one of them to the next
    u: int
    lanes: int
    added: int
    bias: int  # 0 if there is none


PACK_FEW_BYTES = records_bytes(PackFew)


@jobs
def pack_few(job: int, thread: int, at: int) -> None:
    """w (K, C, R, S) -> one panel (r, s', c, 2 lanes of m * K), of m pixels: each pixel's a step further right."""
    f = fields(at, PackFew)
    row = 2 * f.lanes * FLOAT_BYTES
    columns = f.kernel_columns + (f.pixels - 1) * f.step
    channel = f.out_channels * FLOAT_BYTES  # all of one pixel
    _place_bias(f.added, row, f.bias, channel, f.pixels)
    clear(f.u, f.kernel_rows * columns * f.channels * row)
    source = f.w
    for k in range(f.out_channels):
        for c in range(f.channels):
            for r in range(f.kernel_rows):
                for s in range(f.kernel_columns):
                    to = f.u + ((r * columns + s) * f.channels + c) * row + k * FLOAT_BYTES
                    for _ in range(f.pixels):
                        move(to, source)
                        to += f.step * f.channels * row + channel
                    source += FLOAT_BYTES


def padded_weights(w: Array, channels: Pair, slack: int) -> Array:
    """w (K, C, R, S) with zeros up to so many channels (K', C') and some more behind it, as one line."""
    k, c = channels
    taps = w.shape[2] * w.shape[3]
    line = np.zeros(k * c * taps + slack, w.dtype)
    line[: k * c * taps].reshape(k, c, taps)[: w.shape[0], : w.shape[1]] = w.reshape(*w.shape[:2], taps)
    return line
