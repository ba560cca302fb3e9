"""Memory for arrays on the CPU that is used again, instead of being given back to the system and asked for anew.

A training step makes the same arrays in every round, some of them tens of megabytes large. Large memory comes fresh
from the system, page by page: each page is zeroed when it is first touched, which takes longer than the write that
touched it. So a block that is no longer needed is kept here until an array of about its size is made.

    empty((64, 3, 224, 224), np.float32)  ->  ndarray --base--> a block of pages

The array is a plain ndarray, which every view of it holds; when the last of them is gone Python deletes it and tells
the weak reference that the pool has to it, and that is how the block comes back. Blocks are cut in sizes that differ by
an eighth at most and begin with a page of memory. What is in use and what is kept stay together below 1.25 x (the most
ever in use) + 64 MiB: the sizes that nobody asked for longest go first.
"""

from __future__ import annotations

import functools
import mmap
import os
import threading
import weakref
from collections import OrderedDict, deque
from typing import Any

import numpy as np

Array = Any

LEAST = 1 << 16  # bytes; below, NumPy's own allocator keeps memory for the next time too
_HUGE = 1 << 21  # from this size on the system is asked for large pages: fewer to touch, fewer addresses to look up
_SLACK = 64 << 20
# By default Python's anonymous memory is shared with forked processes: what one computes would appear in the other.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


# The blocks in use by the id of the weak reference to their array, and the references whose arrays are gone. Python may
# delete an array at any moment, in any thread, while the pool's lock is held too: so no more is done then than to
# append a reference, which is atomic, and the pool looks here when it is next asked for something.
_leases: dict[int, tuple[weakref.ref[Array], mmap.mmap, int]] = {}
_ended: deque[weakref.ref[Array]] = deque()


@functools.lru_cache(4096)
def _block_size(nbytes: int) -> int:
    """nbytes rounded up to one of the eight sizes from a power of two to the next."""
    step = 1 << (nbytes - 1).bit_length() - 4
    return -(-nbytes // step) * step


class Pool:
    """Blocks of memory by size, and how much of it is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, list[mmap.mmap]] = OrderedDict()  # the size last used stands last
        self._used = self._used_peak = self._reserved = self._reserved_peak = self._most = 0
        self._blocks = self._taken = self._mapped = 0

    def empty(self, shape: Any, kind: np.dtype[Any], nbytes: int) -> Array:
        """A C-contiguous array of so many bytes that holds anything."""
        wanted = _block_size(nbytes)
        with self._lock:
            if _ended:
                self._collect()
            kept = self._kept.get(wanted)
            size, block = (wanted, kept.pop()) if kept else self._other_block(wanted)
            self._blocks += 1
            self._taken += 1
            self._used += size
            if self._used > self._used_peak:
                self._used_peak = self._used
                self._most = max(self._most, self._used)
        array = np.ndarray(shape, kind, block)
        lease = weakref.ref(array, _ended.append)
        _leases[id(lease)] = lease, block, size
        return array

    def _other_block(self, size: int) -> tuple[int, mmap.mmap]:
        """A kept block of the next sizes up, at most a quarter too large, or a new one."""
        for larger in (_block_size(size + 1), _block_size(size + (size >> 3) + 1)):
            kept = self._kept.get(larger)
            if kept:
                return larger, kept.pop()
        self._shrink(max(self._most, self._used + size) * 5 // 4 + _SLACK - size)
        try:
            block = mmap.mmap(-1, size, **_PRIVATE)
        except (OSError, OverflowError, ValueError):
            self._shrink(0)
            try:
                block = mmap.mmap(-1, size, **_PRIVATE)
            except (OSError, OverflowError, ValueError):
                raise MemoryError(f"Unable to allocate {size / 2**20:,.0f} MiB") from None
        if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            block.madvise(mmap.MADV_HUGEPAGE)
        self._mapped += 1
        self._reserved += size
        self._reserved_peak = max(self._reserved_peak, self._reserved)
        return size, block

    def _collect(self) -> None:
        """Take in the blocks of arrays that are gone."""
        while _ended:
            _, block, size = _leases.pop(id(_ended.popleft()))
            self._used -= size
            self._blocks -= 1
            kept = self._kept.get(size)
            if kept is None:
                kept = self._kept[size] = []
            kept.append(block)
            self._kept.move_to_end(size)

    def _shrink(self, most: int) -> None:
        """Let go of kept blocks until no more than `most` bytes are held, or none is kept."""
        while self._reserved > most and self._kept:
            size, blocks = next(iter(self._kept.items()))
            if blocks:
                blocks.pop().close()
                self._reserved -= size
            else:
                del self._kept[size]

    def empty_cache(self) -> None:
        """Give every block that is not in use back to the system."""
        with self._lock:
            self._collect()
            self._shrink(0)

    def reset_peak(self) -> None:
        """Let the peaks begin anew at what there is now."""
        with self._lock:
            self._collect()
            self._used_peak, self._reserved_peak = self._used, self._reserved

    def stats(self) -> dict[str, int]:
        """Bytes and blocks, under the names of torch.cuda.memory_stats: "allocated" is what arrays use, "reserved" also
        what is kept for the next ones, a "segment" is a block that the system was asked for."""
        with self._lock:
            self._collect()
            return {
                "allocated_bytes.all.current": self._used,
                "allocated_bytes.all.peak": self._used_peak,
                "reserved_bytes.all.current": self._reserved,
                "reserved_bytes.all.peak": self._reserved_peak,
                "allocation.all.current": self._blocks,
                "allocation.all.allocated": self._taken,
                "segment.all.allocated": self._mapped,
            }

    def forked(self) -> None:
        """In the child of a fork: whoever held the lock is not here to release it."""
        self._lock = threading.Lock()


pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forked)


def empty(shape: Any, dtype: Any = np.float64) -> Array:
    """A C-contiguous array that holds anything, as np.empty."""
    kind = np.dtype(dtype)
    nbytes = kind.itemsize
    for size in shape if isinstance(shape, (tuple, list)) else (shape,):
        nbytes *= size if size > 0 else 0
    if nbytes < LEAST or kind.hasobject:
        return np.empty(shape, kind)
    return pool.empty(shape, kind, nbytes)


@functools.lru_cache(4096)
def _orders(strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The axes in the order that they lie in memory, and how they get from there back to their places."""
    axes = range(len(strides))
    order = sorted(axes, key=lambda axis: -abs(strides[axis]))
    return order, sorted(axes, key=order.__getitem__)


def zeros(shape: Any, dtype: Any = np.float64) -> Array:
    """A C-contiguous array of zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def empty_like(x: Array, dtype: Any = None) -> Array:
    """An array of x's shape and, unless another is given, dtype, whose axes lie in memory in the order of x's."""
    if dtype is not None and x.dtype != dtype:
        return np.empty_like(x, dtype, subok=False)
    if x.nbytes < LEAST or x.dtype.hasobject:
        return np.empty_like(x, subok=False)
    if x.flags.c_contiguous:
        return pool.empty(x.shape, x.dtype, x.nbytes)
    order, back = _orders(x.strides)
    return pool.empty([x.shape[axis] for axis in order], x.dtype, x.nbytes).transpose(back)
