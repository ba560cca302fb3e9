"""Images joined along their channels, and images added, where some of them may be part of a larger one (`rows.py`)."""

from __future__ import annotations

import numpy as np

from ..memory import LEAST, empty, empty_like
from ._jit import Array, kernel, prange
from .layout import jobs_for
from .rows import copy_rows, line_of, row_step


def concatenate(first: Array, others: tuple[Array, ...], axis: int, out: Array | None = None) -> Array:
    arrays = first, *others
    plain = first.ndim == 4 and axis == 1 and all(x.dtype == first.dtype for x in others)
    plain = plain and (out is None or row_step(out.transpose(0, 2, 3, 1)) > 0)
    if plain and sum(x.nbytes for x in arrays) >= LEAST:
        parts = [x.transpose(0, 2, 3, 1) for x in arrays]
        if all(row_step(part) for part in parts):
            n, h, w, _ = parts[0].shape
            channels = sum(x.shape[1] for x in arrays)
            whole = empty((n, h, w, channels), first.dtype) if out is None else out.transpose(0, 2, 3, 1)
            start = 0
            for part in parts:
                copy_rows(part, whole[..., start : start + part.shape[3]])
                start += part.shape[3]
            return whole.transpose(0, 3, 1, 2)
    return np.concatenate(arrays, axis=axis, out=out)


@kernel
def _add_lines(a: Array, b: Array, out: Array, jobs: int) -> None:
    for job in prange(jobs):
        lo, hi = job * out.size // jobs, (job + 1) * out.size // jobs
        xs, ys, total = a[lo:hi], b[lo:hi], out[lo:hi]
        for i in range(total.size):
            total[i] = xs[i] + ys[i]


@kernel
def _add_rows(a: Array, a_step: int, b: Array, b_step: int, out: Array, jobs: int) -> None:
    """a, b: lines of memory with a row every so many numbers -> out (rows, C)."""
    rows, size = out.shape
    for job in prange(jobs):
        for i in range(job * rows // jobs, (job + 1) * rows // jobs):
            xs, ys = a[i * a_step : i * a_step + size], b[i * b_step : i * b_step + size]
            total = out[i]
            for k in range(total.size):
                total[k] = xs[k] + ys[k]


def add(a: Array, b: Array) -> Array:
    if a.nbytes < LEAST or a.shape != b.shape or a.dtype != b.dtype:
        return a + b
    jobs = jobs_for(a.size)
    if a.flags.c_contiguous and b.flags.c_contiguous and a.flags.writeable and b.flags.writeable:
        out = empty_like(a)
        _add_lines(a.size, a.reshape(-1), b.reshape(-1), out.reshape(-1), jobs)
        return out
    if a.ndim == 4:
        xs, ys = a.transpose(0, 2, 3, 1), b.transpose(0, 2, 3, 1)
        a_step, b_step = row_step(xs) // a.itemsize, row_step(ys) // a.itemsize
        if a_step and b_step and a.flags.writeable and b.flags.writeable:
            out = empty(xs.shape, a.dtype)
            c = xs.shape[3]
            if a_step == b_step == c:
                _add_lines(a.size, xs.reshape(-1), ys.reshape(-1), out.reshape(-1), jobs)
            else:
                _add_rows(a.size, line_of(xs), a_step, line_of(ys), b_step, out.reshape(-1, c), jobs)
            return out.transpose(0, 3, 1, 2)
    return np.add(a, b, out=empty_like(a))
