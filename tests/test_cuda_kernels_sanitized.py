"""The CUDA kernels on the CPU, under AddressSanitizer and UndefinedBehaviorSanitizer: no thread reads or writes outside
of an array or of shared memory, nothing overflows that must not. In a process of its own, which a finding stops.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from cuda_proof import runner

pytestmark = pytest.mark.skipif(runner.compiler() is None, reason="needs g++ on Linux, to compile kernels for the CPU")

TESTS = pathlib.Path(__file__).parent

OUT_OF_BOUNDS = """
__global__ void beyond(float* x, int n) {
    x[threadIdx.x + n] = 1;
}
__global__ void beyond_shared(float* x, int n) {
    __shared__ float row[8];
    row[threadIdx.x + n] = x[0];
    __syncthreads();
    x[0] = row[0];
}
__global__ void beyond_dynamic(float* x, int n) {
    extern __shared__ float row[];
    row[threadIdx.x + n] = x[0];
}
__global__ void overflow(float* x, int n) { x[0] = (float)(n * 1000000); }
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, __file__, what],
        env={**os.environ, **runner.sanitizer_environment(), "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_kernels_stay_within_their_arrays() -> None:
    done = run("checks")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert done.stdout.split()[-1] == "clean"


@pytest.mark.parametrize(
    ("what", "finding"),
    [
        ("beyond", "heap-buffer-overflow"),
        ("beyond_shared", "index 8 out of bounds"),
        ("beyond_dynamic", "heap-buffer-overflow"),
        ("overflow", "signed integer overflow"),
    ],
)
def test_the_sanitizers_see(what: str, finding: str) -> None:
    done = run(what)
    assert done.returncode != 0
    assert finding in done.stderr
    assert "clean" not in done.stdout


def main(what: str) -> None:
    if what == "checks":
        from cuda_proof.checks import CHECKS

        from tinycnn.kernels.cuda import loader

        with loader.use_driver(runner.CpuDriver(sanitize=True)):
            for check in CHECKS.values():
                check("float32")
    else:
        names = ["beyond", "beyond_shared", "beyond_dynamic", "overflow"]
        library = runner.Library(OUT_OF_BOUNDS, names, sanitize=True)
        n = 3000 if what == "overflow" else 8
        library.launch(what, (1,), (8,), (np.zeros(8, np.float32), np.int32(n)), shared=32)
    print("clean")


if __name__ == "__main__":
    main(sys.argv[1])
