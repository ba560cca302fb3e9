"""Lists of arrays as one argument of a kernel: the structure `Tensors` of `tensors.cuh`, filled on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .loader import Array, driver

TENSORS, ARRAYS, PIECE = 64, 6, 4096  # as in tensors.cuh

_TABLE = np.dtype(
    [
        ("arrays", np.uint64, (ARRAYS, TENSORS)),
        ("sizes", np.int64, (TENSORS,)),
        ("first_block", np.int32, (TENSORS,)),
        ("count", np.int32),
        ("unused", np.int32),
    ]
)


def tables(groups: Sequence[Sequence[Array | None]], sizes: Sequence[int]) -> Iterator[tuple[Any, int]]:
    """For each launch a table and its number of blocks.

    Args:
        groups: for each tensor its arrays, in the kernel's order, None where it has none; without gaps in memory.
        sizes: how many numbers each tensor has. Empty ones are left out.
    """
    address = driver().address
    filled = [(arrays, size) for arrays, size in zip(groups, sizes, strict=True) if size]
    for begin in range(0, len(filled), TENSORS):
        some = filled[begin : begin + TENSORS]
        table = np.zeros(1, _TABLE)
        row, firsts = table[0], [0]
        for _, size in some:
            firsts.append(firsts[-1] - -size // PIECE)
        places = [[0 if array is None else address(array) for array in arrays] for arrays, _ in some]
        row["arrays"][: len(places[0]), : len(some)] = np.array(places, np.uint64).T
        row["sizes"][: len(some)] = [size for _, size in some]
        row["first_block"][: len(some)] = firsts[:-1]
        row["count"] = len(some)
        yield table, firsts[-1]


def rows_table(arrays: Sequence[Array], widths: Sequence[int], begin: int) -> Any:
    """A table of parts of rows, one after the other from `begin` on."""
    address = driver().address
    table = np.zeros(1, _TABLE)
    row = table[0]
    for t, (array, width) in enumerate(zip(arrays, widths, strict=True)):
        row["arrays"][0, t], row["sizes"][t], row["first_block"][t] = address(array) if width else 0, width, begin
        begin += width
    row["count"] = len(arrays)
    return table
