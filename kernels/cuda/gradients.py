"""All gradients of a network at once: the launches of `gradients.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import gradients as reference
from ..reference.gradients import Arrays
from .layout import dense, order_of, wide
from .loader import Array, Kernel, driver
from .tensors import tables

_norm_parts = Kernel("gradients", "norm_parts")
_norm_total = Kernel("gradients", "norm_total", types=("float32", "float64"))
_clip_to_norm = Kernel("gradients", "clip_to_norm")
_unscale = Kernel("gradients", "unscale")

_THREADS = 256


def norm_of(arrays: Arrays, p: float) -> Array:
    xp, kind = driver().xp, wide(arrays[0].dtype)
    lines = [dense(x)[0] for x in arrays]
    launches = list(tables([[x] for x in lines], [x.size for x in lines]))
    count = sum(blocks for _, blocks in launches)
    parts, norm = xp.empty(count, np.float64), xp.empty((), kind)
    first = 0
    for table, blocks in launches:
        _norm_parts.launch(arrays[0].dtype, (blocks,), (_THREADS,), table, parts, first, p)
        first += blocks
    _norm_total.launch(kind, (1,), (_THREADS,), parts, count, p, norm)
    return norm


def _in_place(kernel: Kernel, rest: Any, arrays: Arrays, *numbers: Any) -> None:
    """Run a kernel over the arrays that lie in memory without gaps, the reference's function over the others."""
    fit = [x for x in arrays if order_of(x) is not None]
    for table, blocks in tables([[x] for x in fit], [x.size for x in fit]):
        kernel.launch(arrays[0].dtype, (blocks,), (_THREADS,), table, *numbers)
    left = [x for x in arrays if order_of(x) is None]
    if left:
        rest(driver().xp, left, *numbers)


def clip_to_norm(arrays: Arrays, norm: Array, max_norm: float) -> None:
    kind = wide(arrays[0].dtype)
    _in_place(
        _clip_to_norm, reference.clip_to_norm, arrays, norm if norm.dtype == kind else norm.astype(kind), max_norm
    )


def unscale(arrays: Arrays, factor: float, found: Array) -> None:
    _in_place(_unscale, reference.unscale, arrays, factor, found)
