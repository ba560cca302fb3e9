"""What the measurements ran on."""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform
import subprocess
import time
from typing import Any

from .. import backend
from ..backend.cpu import available_cores, blas
from ..ops import randn


def describe_machine() -> dict[str, Any]:
    """Processor, BLAS, cores, threads, versions, kernels and the revision of the source, as JSON takes them.

    Example:
        >>> sorted(describe_machine())
        ['blas', 'cores', 'device', 'kernels', 'processor', 'revision', 'system', 'threads', 'versions']
    """
    versions = {"python": platform.python_version()}
    for name in ("numpy", "numba", "torch", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "blas": blas(),
        "cores": available_cores(),
        "threads": backend.get_num_threads(),
        "device": str(backend.get_default_device()),
        "kernels": backend.get_kernels(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "revision": _revision(),
    }


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The commit of the checkout this runs from, with a + behind it if files differ; None for an installed package."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def measure_peak(size: int = 1024, repeats: int = 5) -> float:
    """What the machine's own matrix product reaches, in multiply-accumulates a second, with the threads now set.

    The best of some products of two (size, size) matrices: a measured ceiling to hold layers against.

    Example:
        >>> measure_peak(64) > 0
        True
    """
    a, b = randn(size, size), randn(size, size)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ b
        a.backend.synchronize()
        best = min(best, time.perf_counter() - start)
    return size**3 / best
