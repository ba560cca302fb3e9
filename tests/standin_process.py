"""Running a test file as a program on the stand-in for CuPy, which takes CuPy's place for good."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest

TESTS = pathlib.Path(__file__).parent


def run_checks(checks: Mapping[str, Callable[[], None]], devices: int = 1) -> None:
    """In the process with the stand-in: run everything; print what failed, by name, as JSON."""
    import cupy_standin
    import standin_device

    import tinycnn

    cupy_standin.install(devices)
    failures = {}
    for name, run in checks.items():
        try:
            tinycnn.manual_seed(0)
            run()
        except (Exception, pytest.fail.Exception):
            failures[name] = traceback.format_exc()
        standin_device.settle()
    print(json.dumps({"ran": [*checks], "failures": failures}))


def outcome_of(file: str) -> dict[str, Any]:
    """In pytest's process: what `run_checks` printed."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    skip = ("TINYCNN_DEVICE", "TINYCNN_KERNELS", "CUDA_LAUNCH_BLOCKING")
    environment = {k: v for k, v in os.environ.items() if k not in skip}
    done = subprocess.run(
        [sys.executable, "-W", "error", file],
        env={**environment, "PYTHONPATH": path, "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,  # a slow machine compiles every kernel first
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
