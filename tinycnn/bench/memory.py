"""The peak of memory of a training step, each engine in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

from .. import cuda
from ..backend import get_default_device, set_default_device
from .cases import Case

_STEPS = 3


def measure_memory(
    case: Case, engine: Literal["tinycnn", "torch"] = "tinycnn", threads: int = 1, device: str | None = None
) -> dict[str, float]:
    """The peak memory of a process that takes a few training steps, in MiB: resident on the CPU, on a GPU what its
    arrays take there.

    Args:
        case: what is trained.
        engine: whose steps.
        threads: of the CPU.
        device: where; by default the default device.

    Returns:
        `before`: what the process holds with the engine loaded and the network, its images and labels made;
        `peak`: the most it holds from then on. The difference is what training takes: gradients, activations, scratch.

    Raises:
        NotImplementedError: on Windows, which has no `resource` module.
        RuntimeError: if the process fails.
    """
    place = str(get_default_device() if device is None else device)
    if sys.platform == "win32" and place == "cpu":
        raise NotImplementedError("measure_memory: Windows does not tell a process the most it held")
    request = json.dumps([case.network, case.size, case.batch, case.options, engine, threads, place])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import _child; _child({request!r})"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"measure_memory: {case.label} with {engine} failed:\n{result.stderr.strip()[-500:]}")
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def _child(request: str) -> None:
    """What runs in the fresh process."""
    network, size, batch, options, engine, threads, place = json.loads(request)
    case = Case(network, size, batch, options)
    set_default_device(place)
    from .step import our_step, prepare, set_num_threads, their_step

    set_num_threads(threads, torch_too=engine == "torch")
    net, images, labels = prepare(case)
    if engine == "torch":
        step = their_step(case, net, images, labels)
        del net
    else:
        warm = prepare(Case(network, size, 1, options))
        our_step(*warm)()  # compiling, or loading what was compiled, has a peak of its own
        step = our_step(net, images, labels)
    watch = (_start_watching, _peak) if place == "cpu" else _on_gpu(engine, place)
    before = watch[0]()
    for _ in range(_STEPS):
        step()
    sys.stdout.write("\n" + json.dumps({"before": before, "peak": watch[1]()}) + "\n")


def _on_gpu(engine: str, place: str) -> tuple[Callable[[], float], Callable[[], float]]:
    """As `_start_watching` and `_peak`, of an engine's arrays on a GPU: both engines have it under the same names."""
    if engine == "torch":
        import torch

        memory: Any = torch.cuda
    else:
        memory = cuda

    def start() -> float:
        memory.reset_peak_memory_stats(place)
        return float(memory.memory_allocated(place)) / 2**20

    return start, lambda: float(memory.max_memory_allocated(place)) / 2**20


def _start_watching() -> float:
    """What the process holds now. Linux also forgets what it held before; elsewhere that counts as the peak too."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return _peak()


def _peak() -> float:
    """The most that the process has held."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            (line,) = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB, but on macOS in bytes
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
