"""How many cores this process may use: in a container, often fewer than the machine has."""

from __future__ import annotations

import math
import os
import pathlib

_PROCESS, _MOUNTED = pathlib.Path("/proc/self/cgroup"), pathlib.Path("/sys/fs/cgroup")


def available_cores() -> int:
    """The cores that this process may run on, or as many as its container is given the time of, whichever are fewer.

    Affinity (`taskset`, a batch system) says which cores; a quota (`docker run --cpus`, a limit of Kubernetes) says how
    much of their time: with a quota of 1.5 cores, two threads are worth starting.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(_PROCESS, _MOUNTED)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(process: pathlib.Path, mounted: pathlib.Path) -> float | None:
    """The cores whose time the control groups of Linux grant, as a number with a fraction; None if they set no limit.

    Every group from the process's own up to the root may set one, and the smallest counts. Within a container the
    groups above its own are usually hidden, and its own is mounted as the root.
    """
    try:
        lines = process.read_text().splitlines()
    except (OSError, ValueError):
        return None
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mounted if not controllers else mounted / "cpu"  # the second version of control groups, or the first
        group = pathlib.PurePosixPath(path.lstrip("/"))
        for folder in (group, *group.parents):
            limit = _limit_of(root / folder)
            if limit is not None:
                found.append(limit)
    return min(found, default=None)


def _limit_of(folder: pathlib.Path) -> float | None:
    """What one group grants: its time in each period, both in microseconds."""
    try:
        if (folder / "cpu.max").is_file():
            time, period = (folder / "cpu.max").read_text().split()
        else:
            time, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        limit = int(time) / int(period)  # "max" and -1 are no limit
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return limit if limit > 0 else None


def starting_threads() -> int:
    """The threads to begin with: TINYCNN_NUM_THREADS, but no more than there are cores; all cores if it is not set.

    Raises:
        ValueError: if TINYCNN_NUM_THREADS is not a positive integer.
    """
    text = os.environ.get("TINYCNN_NUM_THREADS", "").strip()
    if not text:
        return available_cores()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"TINYCNN_NUM_THREADS is {text!r}, expected a positive integer")
    return min(int(text), available_cores())
