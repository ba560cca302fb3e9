"""The peak of memory of a training step, each engine in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Literal

from .cases import Case

_STEPS = 3


def measure_memory(case: Case, engine: Literal["tinycnn", "torch"] = "tinycnn", threads: int = 1) -> dict[str, float]:
    """The peak resident memory of a process that takes a few training steps, in MiB.

    Returns:
        `before`: what the process holds with the engine loaded and the network, its images and labels made;
        `peak`: the most it holds from then on. The difference is what training takes: gradients, activations, scratch.

    Raises:
        NotImplementedError: on Windows, which has no `resource` module.
        RuntimeError: if the process fails.
    """
    if sys.platform == "win32":
        raise NotImplementedError("measure_memory: Windows does not tell a process the most it held")
    request = json.dumps([case.network, case.size, case.batch, case.options, engine, threads])
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
    network, size, batch, options, engine, threads = json.loads(request)
    case = Case(network, size, batch, options)
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
    before = _start_watching()
    for _ in range(_STEPS):
        step()
    sys.stdout.write("\n" + json.dumps({"before": before, "peak": _peak()}) + "\n")


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
