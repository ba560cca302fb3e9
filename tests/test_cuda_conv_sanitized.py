"""The CUDA convolutions once under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from cuda_proof.runner import compiler, sanitizer_environment

ROOT = pathlib.Path(__file__).resolve().parent.parent

PROGRAM = """
import sys
sys.path[:0] = ["tests", "."]
import numpy as np
import test_cuda_conv as t
from cuda_proof.checks import numbers, same
from cuda_proof.runner import RANDOM, CpuDriver
from tinycnn.kernels.cuda import conv_choice, implicit_gemm, loader, tensor_core
from tinycnn.kernels.cuda.gemm import matmul

class Sanitized(CpuDriver):
    def __init__(self, **how):
        how.pop("change")
        super().__init__(sanitize=True, **how)

t.CpuDriver = Sanitized
slide = (2, 1), ((1, 0), (2, 1)), (1, 2)
for algorithm in ("implicit_gemm", "im2col"):
    t.run(algorithm, "float32", (2, 3, 9, 8), (20, 3, 3, 2), (*slide, 1), order=RANDOM)
    t.run(algorithm, "float32", (2, 6, 7, 9), (4, 3, 3, 2), (*slide, 2))
t.run("depthwise", "float32", (2, 3, 9, 8), (6, 1, 3, 2), (*slide, 3))
t.run("tensor_core", "float32", (2, 8, 9, 8), (20, 8, 3, 2), (*slide, 1), order=RANDOM)
t.run("tensor_core", "float32", (2, 8, 7, 9), (8, 4, 3, 2), (*slide, 2))
implicit_gemm.correlate_tile = lambda *_: implicit_gemm.LARGE
implicit_gemm.weight_tile = lambda *_: implicit_gemm.LARGE
tensor_core._tile = lambda *_: tensor_core.LARGE
for algorithm in ("implicit_gemm", "tensor_core"):
    t.run(algorithm, "float32", (1, 8, 13, 11), (68, 8, 2, 2), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1))
with loader.use_driver(CpuDriver(sanitize=True)), conv_choice.own_products():
    a, b = numbers(65, 17).astype("float32"), numbers(17, 66).astype("float32")
    for x, y in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b))):
        same("gemm", matmul(x, y), (a @ b).astype(float), 1024, "float32")
print("finished")
"""


@pytest.mark.skipif(compiler() is None, reason="kernels are compiled for the CPU by g++")
def test_no_kernel_leaves_its_arrays() -> None:
    environment = {**os.environ, **sanitizer_environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "finished"
