"""Arrays joined: what branches of a network come together by."""

from __future__ import annotations

from typing import Any

Array = Any


def concatenate(xp: Any, first: Array, others: tuple[Array, ...], axis: int, out: Array | None = None) -> Array:
    """The arrays one after the other along an axis; written into `out`, of their dtype, if it is given."""
    return xp.concatenate((first, *others), axis=axis, out=out)
