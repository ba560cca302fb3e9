"""The channels of an image that are part of a larger one.

Stored channels-last, C channels of an image of D channels are rows of C numbers, D apart: one row a pixel. Copying such
rows is most of what joining images, and taking them apart, comes to. NumPy does it with one thread, here the rows are
shared out among all.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from ._jit import Array
from ._jobs import address, copy, fields, jobs

_ROWS_BYTES = 1 << 16  # of a job
_WORTH_JOBS = 1 << 20  # bytes; NumPy has copied less before jobs have begun


class _Rows(NamedTuple):
    """Rows to copy; sizes and steps in bytes."""

    source: int
    source_step: int
    target: int
    target_step: int
    size: int
    rows: int
    at_a_time: int  # rows of a job


@jobs
def _copy_rows(job: int, thread: int, at: int) -> None:
    f = fields(at, _Rows)
    for i in range(job * f.at_a_time, min(f.rows, (job + 1) * f.at_a_time)):
        copy(f.target + i * f.target_step, f.source + i * f.source_step, f.size)


def row_step(pixels: Array) -> int:
    """How many bytes lie between the rows of (N, H, W, C), one a pixel; 0 if they do not lie so."""
    n, h, w, c = pixels.shape
    strides, step = pixels.strides, pixels.strides[2]
    if not pixels.size or (c > 1 and strides[3] != pixels.itemsize) or step < c * pixels.itemsize:
        return 0
    if (h > 1 and strides[1] != w * step) or (n > 1 and strides[0] != h * w * step):
        return 0
    return step if step % pixels.itemsize == 0 else 0


def line_of(pixels: Array) -> Array:
    """The memory of (N, H, W, C) whose rows lie evenly, from the first number to the last, as one line."""
    if pixels.flags.c_contiguous:
        return pixels.reshape(-1)
    numbers = ((pixels.size // pixels.shape[3] - 1) * row_step(pixels)) // pixels.itemsize + pixels.shape[3]
    whole = pixels.base
    if type(whole) is np.ndarray and whole.flags.c_contiguous and whole.dtype == pixels.dtype:
        first = (address(pixels) - address(whole)) // pixels.itemsize
        return whole.reshape(-1)[first : first + numbers]  # in a tenth of the time
    return np.lib.stride_tricks.as_strided(pixels, (numbers,), (pixels.itemsize,))


def whole_image(x: Array) -> Array | None:
    """The images (N, H, W, D), C-contiguous, of which x (N, C, H, W), C < D, is the first channels, as a view; None if
    it is nothing of the kind."""
    whole = x.base
    if type(whole) is not np.ndarray or whole.ndim != 4 or whole.dtype != x.dtype or not x.size:
        return None
    n, c, h, w = x.shape
    images, height, width, channels = whole.shape
    if (images, height, width) != (n, h, w) or channels <= c:
        return None
    per_image, per_line, per_pixel, per_channel = whole.strides
    if x.strides != (per_image, per_channel, per_line, per_pixel) or address(x) != address(whole):
        return None
    return whole if whole.flags.c_contiguous and whole.flags.writeable else None


def copy_rows(source: Array, target: Array) -> None:
    """Images (N, H, W, C) whose rows lie evenly, into others of that shape."""
    if source.nbytes < _WORTH_JOBS:
        np.copyto(target, source)
        return
    size = source.shape[3] * source.itemsize
    rows = source.size // source.shape[3]
    at_a_time = max(1, _ROWS_BYTES // size)
    steps = address(source), row_step(source), address(target), row_step(target)
    _copy_rows(-(-rows // at_a_time), array("q", _Rows(*steps, size, rows, at_a_time)))
