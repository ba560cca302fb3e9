"""What is done to all gradients of a network at once: their norm, and scaling them in place.

Lists of arrays of one dtype; a GPU does each in a launch or two, however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Array = Any
Arrays = Sequence[Array]


def norm_of(xp: Any, arrays: Arrays, p: float) -> Array:
    """The norm of all numbers of some arrays together, an array of no dimensions: (sum |x|^p)^(1/p), or the greatest
    |x| for p = infinity; 0 of nothing. Added up in double precision."""
    kind = "float64" if arrays[0].dtype.char in "dD" else "float32"
    parts = [_part(xp, x, p) for x in arrays if x.size]
    if not parts:
        return xp.zeros((), kind)
    total = xp.stack(parts)
    root = total.max() if p == math.inf else total.sum() ** (1 / p)
    return xp.asarray(root).astype(kind)


def _part(xp: Any, x: Array, p: float) -> Array:
    if p == math.inf:
        return abs(x).max()
    return (x * x if p == 2 and x.dtype.kind != "c" else abs(x) ** p).sum(dtype="float64")


def clip_to_norm(xp: Any, arrays: Arrays, norm: Array, max_norm: float) -> None:
    """x *= min(1, max_norm / (norm + 1e-6)) in place, `norm` being an array of no dimensions (Pascanu et al. 2013)."""
    share = xp.minimum(max_norm / (norm + 1e-6), 1.0)
    for x in arrays:
        x *= share


def unscale(xp: Any, arrays: Arrays, factor: float, found: Array) -> None:
    """x *= factor in place; `found`, int32 of no dimensions, becomes 1 if one of the results is infinite or NaN
    (Micikevicius et al. 2018)."""
    for x in arrays:
        x *= factor
        found |= xp.logical_not(xp.all(xp.isfinite(x)))
