"""Arrays joined, and arrays added: what branches of a network come together by, forward and backward."""

from __future__ import annotations

from typing import Any

Array = Any


def concatenate(xp: Any, first: Array, others: tuple[Array, ...], axis: int) -> Array:
    """The arrays one after the other along an axis."""
    return xp.concatenate((first, *others), axis=axis)


def add(xp: Any, a: Array, b: Array) -> Array:
    """a + b, of one shape."""
    return xp.add(a, b)
