"""What arrays take of a device's memory.

Arrays come from CuPy's pool, which keeps what is freed for the next array of that size. Every request passes by here on
its way: a request that fails is explained, and the most that was in use is known.

The pool can say what is in use, but has to add it up. So it is asked only where a new peak is possible: `_bound` grows
by each request and forgets what was freed, so that it is never below what is in use; as long as it does not exceed the
peak so far, nor does the truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

_UNIT = 512  # the pool rounds requests up to multiples of it


class OutOfMemoryError(RuntimeError):
    """A GPU has less memory left than was asked for; the message says how much, and what to do."""


class Memory:
    """The memory of all devices, as this process uses it."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._default = cupy.get_default_memory_pool()
        self._pools = [self._default]  # those of captured graphs follow
        self._bound: dict[int, int] = defaultdict(int)
        self._peak: dict[int, int] = defaultdict(int)
        if cupy.cuda.get_allocator() == self._default.malloc:  # else the user has an allocator of their own
            cupy.cuda.set_allocator(self.allocator_of(self._default))

    def allocator_of(self, pool: Any) -> Callable[[int], Any]:
        """An allocator, as CuPy calls one, that takes memory from a pool and keeps count."""
        malloc, device = pool.malloc, self._cupy.cuda.runtime.getDevice
        refused = self._cupy.cuda.memory.OutOfMemoryError
        bounds, peaks = self._bound, self._peak

        def allocate(size: int) -> Any:
            try:
                pointer = malloc(size)
            except refused:
                raise OutOfMemoryError(self._explain(size)) from None
            index = device()
            bound = bounds[index] + size + _UNIT
            bounds[index] = bound if bound <= peaks[index] else self._measure(index)
            return pointer

        return allocate

    def new_pool(self) -> Any:
        """A pool beside the default one, counted with it."""
        pool = self._cupy.cuda.MemoryPool()
        self._pools.append(pool)
        return pool

    def drop_pool(self, pool: Any) -> None:
        self._pools = [p for p in self._pools if p is not pool]

    def _measure(self, index: int) -> int:
        used = self.allocated(index)
        self._peak[index] = max(self._peak[index], used)
        return used

    def allocated(self, index: int) -> int:
        """Bytes that arrays take now."""
        with self._cupy.cuda.Device(index):
            return sum(int(pool.used_bytes()) for pool in self._pools)

    def reserved(self, index: int) -> int:
        """Bytes that the pools hold: arrays, and what they keep for the next ones."""
        with self._cupy.cuda.Device(index):
            return sum(int(pool.total_bytes()) for pool in self._pools)

    def peak(self, index: int) -> int:
        """The most bytes that arrays took at a time, since the start or since `reset_peak`."""
        self._measure(index)
        return self._peak[index]

    def reset_peak(self, index: int) -> None:
        self._peak[index] = self._bound[index] = self.allocated(index)

    def release(self, index: int) -> None:
        """Give back to the driver what the pool keeps for the next arrays."""
        with self._cupy.cuda.Device(index):
            self._default.free_all_blocks()

    def of_device(self, index: int) -> tuple[int, int]:
        """Bytes that the driver has left on a device, and all it has."""
        with self._cupy.cuda.Device(index):
            free, total = self._cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)

    def _explain(self, size: int) -> str:
        index = self._cupy.cuda.runtime.getDevice()
        free, total = self.of_device(index)
        used, held = self.allocated(index), self.reserved(index)
        return (
            f"CUDA out of memory on cuda:{index}: {in_words(size)} were asked for. Of its {in_words(total)}, "
            f"{in_words(free)} are free, {in_words(used)} are in this process's arrays and {in_words(held - used)} in "
            "its pool, in pieces that do not fit. Take a smaller batch or smaller images, train in half precision "
            "(tinycnn.autocast), evaluate under no_grad(), or drop tensors that are still held (an old loss holds its "
            "graph); tinycnn.cuda.memory_summary() says more"
        )


def in_words(size: int) -> str:
    """512 bytes, 1.5 KiB, 20.0 MiB, 3.2 GiB, 64.0 TiB."""
    if size < 1024:
        return f"{size} bytes"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
