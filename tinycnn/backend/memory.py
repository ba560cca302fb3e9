"""How much memory the arrays on the CPU use, and how much is kept for the next ones (`kernels/memory.py`)."""

from __future__ import annotations

from ..kernels.memory import pool


def memory_stats() -> dict[str, int]:
    """What large arrays on the CPU use, under the names of torch.cuda.memory_stats; a GPU's is `tinycnn.cuda`'s.

    Arrays of 64 KiB and more lie in blocks that are used again: "allocated" counts those in use, "reserved" also those
    that are kept, "segment" how often the system was asked for one.

    Returns:
        allocated_bytes.all.current, allocated_bytes.all.peak, reserved_bytes.all.current, reserved_bytes.all.peak
        (bytes), allocation.all.current, allocation.all.allocated, segment.all.allocated (numbers).

    Example:
        >>> import tinycnn
        >>> before = tinycnn.memory_stats()["allocated_bytes.all.current"]
        >>> x = tinycnn.empty(1024, 1024)
        >>> tinycnn.memory_stats()["allocated_bytes.all.current"] - before >= 1024 * 1024 * 4
        True
    """
    return pool.stats()


def reset_peak_memory_stats() -> None:
    """Let the peaks of `memory_stats` begin anew at what is in use now."""
    pool.reset_peak()


def empty_cache() -> None:
    """Give the memory that is kept for the next arrays back to the system; arrays in use stay.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.empty(1024, 1024)
        >>> x_bytes = x.nbytes
        >>> del x
        >>> before = tinycnn.memory_stats()["reserved_bytes.all.current"]
        >>> tinycnn.empty_cache()
        >>> before - tinycnn.memory_stats()["reserved_bytes.all.current"] >= x_bytes
        True
    """
    pool.empty_cache()
