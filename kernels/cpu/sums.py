"""Sums that several jobs have each a part of: the parts lie one after another in memory and are added up at the end."""

from __future__ import annotations

from ._jit import Array, kernel, prange
from .layout import jobs_for


@kernel
def _add(sums: Array, jobs: int) -> None:
    """sums (parts, numbers): the first becomes the sum of all."""
    for job in prange(jobs):
        begin, end = job * sums.shape[1] // jobs, (job + 1) * sums.shape[1] // jobs
        total = sums[0, begin:end]
        for part in range(1, sums.shape[0]):
            other = sums[part, begin:end]
            for i in range(total.size):
                total[i] += other[i]


def add_parts(line: Array, parts: int, size: int) -> None:
    """Let the first `size` numbers of a line of memory become the sum of its `parts` parts, which are as long."""
    sums = line[: parts * size].reshape(parts, size)
    _add(sums.size, sums, jobs_for(size))


def sum_of_parts(line: Array, parts: int, size: int) -> Array:
    """The sum of the parts, of a few numbers each, in memory of its own."""
    total: Array = line[: parts * size].reshape(parts, size).sum(axis=0)
    return total
