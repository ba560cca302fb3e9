"""Plans: what the kernels of a call have to know, worked out once for each geometry.

How a convolution is cut into jobs takes a hundred lines of Python to find, which is longer than a small convolution
takes, and it follows from the shapes alone. So it is kept: a *plan* holds the numbers of all records that its kernels
read (`_jobs.py`), and of an address only in which array it is and how far from its beginning, a `Place`. When the
plan is used the addresses of the arrays are added.

    @planned
    def _plan(rows: int, size: int) -> Plan:
        return Plan(Copy(Place(SOURCE), Place(TARGET, 64), size))

    copy_rows(10, _plan(10, 64).at(address(x), address(y)))
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from ._jobs import Numbers

_MOST = 1024  # kept by each planner; the deepest networks have some hundreds of geometries
_planners: list[Any] = []

Function = TypeVar("Function", bound=Callable[..., Any])


def planned(function: Function) -> Function:
    """Keep what a function of hashable arguments has found for them."""
    cached = functools.lru_cache(_MOST)(function)
    _planners.append(cached)
    return cast(Function, cached)


def forget_plans() -> None:
    """Let every plan be made anew, as a test needs that compiles for another chip."""
    for planner in _planners:
        planner.cache_clear()


class Place(int):
    """So many bytes from the beginning of an array: 1 is the first that the plan is used with."""

    array: int

    def __new__(cls, array: int, offset: int = 0) -> Place:
        place = super().__new__(cls, offset)
        place.array = array
        return place


class Plan:
    """Records, one after another, in which some numbers are Places."""

    def __init__(self, *records: Sequence[int]) -> None:
        numbers = [number for record in records for number in record]
        self._numbers = array("q", numbers)
        self._places = [(i, n.array - 1, int(n)) for i, n in enumerate(numbers) if isinstance(n, Place)]

    def at(self, *addresses: int) -> Numbers:
        """The records for arrays that lie at these addresses."""
        found = self._numbers[:]
        for i, nr, offset in self._places:
            found[i] = addresses[nr] + offset
        return found


class Layout:
    """Where the parts of a call's memory to work in begin, each with a cache line of its own and one between."""

    def __init__(self, array: int, *sizes: int) -> None:
        """sizes: in bytes."""
        self.places: list[Place] = []
        offset = 0
        for size in sizes:
            self.places.append(Place(array, offset))
            offset += -(-size // 64) * 64 + 64
        self.floats = offset // 4


def records_bytes(*kinds: Any) -> int:
    """The bytes of records of these kinds: how far behind the first of them the next one lies."""
    return 8 * sum(len(kind._fields) for kind in kinds)


__all__ = ["Layout", "Place", "Plan", "forget_plans", "planned", "records_bytes"]
