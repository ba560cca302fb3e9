"""One array stored in many ways: the same numbers, other strides. Nothing may depend on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any


def planes(x: Array) -> Array:
    """C order: what a new array has."""
    return np.array(x, order="C")


def channels_last(x: Array) -> Array:
    """Images (N, C, H, W) or (C, H, W) with the strides of NHWC; what has fewer dimensions stays as it is."""
    if x.ndim < 3:
        return x.copy()
    axis = x.ndim - 3
    return np.moveaxis(np.array(np.moveaxis(x, axis, -1), order="C"), -1, axis)


def fortran(x: Array) -> Array:
    """The first dimension runs fastest."""
    return np.array(x, order="F")


def backwards(x: Array) -> Array:
    """Stored the other way round in every dimension: all strides are negative."""
    turned = (slice(None, None, -1),) * x.ndim
    return np.array(x[turned], order="C")[turned]


def spread(x: Array) -> Array:
    """Every other element of a larger array, with NaN (or zeros) between them."""
    whole = np.full([2 * n + 1 for n in x.shape], np.nan if x.dtype.kind in "fc" else 0, x.dtype)
    part = whole[tuple(slice(1, 2 * n, 2) for n in x.shape)]
    part[...] = x
    return part


def rotated(x: Array) -> Array:
    """The dimensions stored in an order that is neither C nor Fortran: the last one first."""
    if x.ndim < 2:
        return x.copy()
    return np.moveaxis(np.array(np.moveaxis(x, -1, 0), order="C"), 0, -1)


def read_only(x: Array) -> Array:
    """C order, and a write to it raises."""
    x = planes(x)
    x.flags.writeable = False
    return x


def joined(x: Array) -> Array:
    """Images (N, C, H, W) as the first channels of wider ones stored channels-last, read-only, with NaN (or zeros) in
    the others; what has other dimensions in C order."""
    if x.ndim != 4:
        return planes(x)
    n, c, h, w = x.shape
    whole = np.full((n, h, w, c + 3), np.nan if x.dtype.kind in "fc" else 0, x.dtype)
    part = whole.transpose(0, 3, 1, 2)[:, :c]
    part[...] = x
    part.flags.writeable = False
    return part


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "planes": planes,
    "channels-last": channels_last,
    "fortran": fortran,
    "backwards": backwards,
    "spread": spread,
    "rotated": rotated,
}


def repeated(x: Array, axis: int | None) -> Array:
    """The first entry of an axis (None: of every axis) seen all along it, by a stride of 0: it changes the numbers."""
    first = x[(slice(0, 1),) * x.ndim] if axis is None else np.take(x, range(min(1, x.shape[axis])), axis)
    return np.broadcast_to(first, x.shape)


# Views that repeat their numbers. They cannot be written into.
BROADCASTS: dict[str, Callable[[Array], Array]] = {
    "same-everywhere": lambda x: repeated(x, None),
    "same-first": lambda x: repeated(x, 0) if x.ndim else x,
    "same-last": lambda x: repeated(x, -1) if x.ndim else x,
}
