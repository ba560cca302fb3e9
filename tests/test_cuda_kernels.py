"""The CUDA kernels on the CPU, through `cuda_proof`: their own text, compiled by g++, beside the reference kernels. No
GPU is involved, and nothing here says that one was.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from cases import check
from cuda_proof import runner
from cuda_proof.checks import CHECKS
from geometries import STRATEGIES
from hypothesis import HealthCheck, Phase, given, settings

from tinycnn.backend import get_backend
from tinycnn.kernels import cuda, reference
from tinycnn.kernels.cuda import dropout, loader

pytestmark = pytest.mark.skipif(runner.compiler() is None, reason="needs g++ on Linux, to compile kernels for the CPU")

DTYPES = ("float32", "float64", "float16", "bfloat16")
# Those of this file's authors: the convolutions have theirs in test_cuda_conv*.py.
FILES = ("concat", "dropout", "elementwise", "gradients", "norm", "optim", "pool", "softmax")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CHECKS)
def test_kernels_in_order(name: str, dtype: str) -> None:
    with loader.use_driver(runner.CpuDriver()):
        CHECKS[name](dtype)


@pytest.mark.parametrize("name", CHECKS)
def test_kernels_in_random_order(name: str) -> None:
    with loader.use_driver(runner.CpuDriver(order=runner.RANDOM)):
        CHECKS[name]("float32")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [runner.REVERSE, runner.RANDOM + 1])
@pytest.mark.parametrize("name", CHECKS)
def test_kernels_in_any_order(name: str, order: int, dtype: str) -> None:
    with loader.use_driver(runner.CpuDriver(order=order)):
        CHECKS[name](dtype)


def test_every_kernel_is_one_of_the_references() -> None:
    assert set(cuda.KERNELS) <= set(reference.KERNELS)


# ---- what the checks would see ---------------------------------------------------------------------------------------

BARRIER = "__syncthreads();"
# The checks that run a file's kernels with barriers, and those of its barriers that they need: all of the file's own,
# and of common.cuh's those after which a block's threads read what other warps have written.
WITH_BARRIERS = {
    "norm": ("channel_moments", (4, 5, 6)),
    "softmax": ("softmax", (1, 3)),
    "optim": ("optimizer_steps", (4,)),
}


def struck(text: str, number: int) -> str:
    """The text without one of its barriers."""
    parts = text.split(BARRIER)
    return BARRIER.join(parts[: number + 1]) + ";" + BARRIER.join(parts[number + 1 :])


@pytest.mark.parametrize(("file", "number"), [(f, n) for f, (_, needed) in WITH_BARRIERS.items() for n in needed])
def test_a_missing_barrier_is_found_out(file: str, number: int) -> None:
    change = functools.partial(struck, number=number)
    assert change(loader.source(file)).count(BARRIER) == loader.source(file).count(BARRIER) - 1
    with loader.use_driver(runner.CpuDriver(change=change)), pytest.raises(AssertionError, match="is off by"):
        CHECKS[WITH_BARRIERS[file][0]]("float32")


def test_the_list_of_barriers_is_whole() -> None:
    common = loader.source("elementwise").count(BARRIER)
    for file in FILES:
        own = range(common, loader.source(file).count(BARRIER))
        assert set(own) <= set(WITH_BARRIERS.get(file, ("", ()))[1]), file


# ---- through the engine, over random geometries ----------------------------------------------------------------------


@pytest.fixture
def instead_of_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the operations call the CUDA kernels wherever they would call the fast ones of the CPU."""
    kernels = get_backend("cpu").kernels
    monkeypatch.setattr(kernels, "_fast", {name: cuda.KERNELS[name] for name in sorted(OWN)})


_CONVOLUTIONS = {"conv2d", "conv2d_backward", "conv2d_input_grad", "conv2d_weight_grad"}
OWN = set(cuda.KERNELS) - _CONVOLUTIONS - {"col2im", "im2col", "matmul"}
OPERATIONS = ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "batch_norm")


def explore(op: str, examples: int) -> None:
    """Random cases beside plain loops, forward and gradients: the threads in order and in double precision, then at
    random and in single."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(STRATEGIES[op])
    def every(case: Any) -> None:
        with loader.use_driver(runner.CpuDriver()) as driver:
            check(case, ("fast", "float64"))
        assert driver.launches or not case.arrays()[0].size, case
        with loader.use_driver(runner.CpuDriver(order=runner.RANDOM)):
            check(case, ("fast", "float32"))

    every()


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.usefixtures("instead_of_the_cpus")
def test_random_geometries(op: str) -> None:
    explore(op, 60)


@pytest.mark.slow
@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.usefixtures("instead_of_the_cpus")
def test_many_random_geometries(op: str) -> None:
    explore(op, 2000)


# ---- random numbers --------------------------------------------------------------------------------------------------


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Philox 4x32 with 10 rounds, as Salmon et al. (2011) write it."""
    (a, b, c, d), (k, m), mask = counter, key, 2**32 - 1
    for _ in range(10):
        high, low = divmod(0xD2511F53 * a, 2**32), divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = low[0] ^ b ^ k, low[1], high[0] ^ d ^ m, high[1]
        k, m = (k + 0x9E3779B9) & mask, (m + 0xBB67AE85) & mask
    return [a, b, c, d]


def test_philox_gives_the_published_words() -> None:
    """The known answers of Random123's kat_vectors, and the kernel's numbers from the same words."""
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
    for words, answer in (
        ([0] * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ):
        assert " ".join(f"{word:08x}" for word in philox(words[:4], words[4:])) == answer
    low, high, seed = pi[2], pi[3], pi[4:]
    with loader.use_driver(runner.CpuDriver()):
        x = dropout.uniform((9,), "float32", seed[0] | seed[1] << 32, low | high << 32)
    expected = [word >> 8 for block in range(3) for word in philox([block, 0, low, high], seed)]
    assert (x * 2**24).tolist() == expected[:9]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers(dtype: str) -> None:
    with loader.use_driver(runner.CpuDriver()):
        x = dropout.uniform((401, 7), dtype, 1, 2)
        again = dropout.uniform((401, 7), dtype, 1, 1, np.array([1], np.uint64))
        later = dropout.uniform((401, 7), dtype, 1, 1, np.array([2], np.uint64))
    np.testing.assert_array_equal(x, again)
    assert (x != later).any()
    assert x.dtype == dtype
    assert 0 <= x.min() < 0.01
    assert 0.99 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.02
    assert len(np.unique(x)) > 2790


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_said() -> None:
    x = np.zeros((1, 2, 3, 3), np.float32)
    with loader.use_driver(runner.CpuDriver()):
        with pytest.raises(ValueError, match="chain exists for float32, float64, float16, bfloat16"):
            cuda.KERNELS["relu"](np.zeros(3, np.int32))
        with pytest.raises(ValueError, match="sum_parts exists for float32, float64, float16, bfloat16"):
            cuda.KERNELS["channel_sum"](x.astype(np.complex64))
        with pytest.raises(TypeError, match="expected an array of float32"):
            cuda.KERNELS["batch_norm_eval"](x.astype(np.complex64), *np.ones((2, 2)), None, None, 0.0, False, None)
