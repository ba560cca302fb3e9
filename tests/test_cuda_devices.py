"""Several GPUs in a process, on the stand-in with two: all works on cuda:1 while cuda:0 is the current device, and
nothing mixes arrays of both. The stand-in refuses an array on any other device than the current one, so that each
forgotten change of device is found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_checks import batch, check_op, host, refuses, small_network, stepped
from standin_process import outcome_of, run_checks

import tinycnn
from tinycnn import nn
from tinycnn.ops.registry import all_ops

TWO: dict[str, Callable[[], None]] = {
    f"op {op.name}": functools.partial(check_op, op, "cuda:1") for op in all_ops() if op.name != "to"
}


def two(function: Callable[[], None]) -> Callable[[], None]:
    TWO[function.__name__] = function
    return function


@two
def training_on_the_second_device() -> None:
    results = []
    for device in ("cuda:1", "cpu"):
        tinycnn.manual_seed(0)
        net = small_network().double().to(device)
        optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        X, y = batch(device)
        with tinycnn.use_kernels("reference"):
            for _ in range(2):
                optimizer.zero_grad(set_to_none=False)
                loss = nn.functional.cross_entropy(net(X), y)
                (loss / 2).backward(retain_graph=True)
                (loss / 2).backward()  # gradients add up
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
        results.append([loss.item(), *(host(p) for p in net.parameters())])
        assert tinycnn.cuda.current_device() == 0
    for a, b in zip(*results, strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


@two
def optimizers_step_on_the_second_device() -> None:
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        stepped("cuda:1", name, "float32", {})[1]()


@two
def devices_do_not_mix() -> None:
    a, b = tinycnn.ones(2, device="cuda:0"), tinycnn.ones(2, device="cuda:1")
    for attempt in (lambda: a + b, lambda: a @ b, lambda: tinycnn.cat([a, b]), lambda: a.add_(b)):
        refuses(RuntimeError, "cuda:0 and cuda:1", attempt)
    assert b.to("cuda:0").tolist() == a.tolist()
    assert str((a.to("cuda:1") + b).device) == "cuda:1"
    c = tinycnn.ones(2, device="cuda:0", requires_grad=True)
    (c.to("cuda:1") * b * 3).sum().backward()
    assert c.grad is not None
    assert str(c.grad.device) == "cuda:0"
    assert c.grad.tolist() == [3, 3]


@two
def cuda_stands_for_the_current_device() -> None:
    cuda = tinycnn.cuda
    assert cuda.device_count() == 2
    with cuda.device("cuda:1"):
        assert cuda.current_device() == 1
        assert tinycnn.zeros(1, device="cuda").get_device() == 1
        assert tinycnn.ones(3).cuda().get_device() == 1
    assert tinycnn.zeros(1, device="cuda").get_device() == 0
    cuda.set_device(1)
    assert tinycnn.zeros(1, device="cuda").get_device() == 1
    cuda.set_device(tinycnn.device("cuda:0"))
    assert cuda.current_device() == 0
    refuses(RuntimeError, "'cuda:2' was asked for, but this machine has 2", lambda: cuda.set_device(2))
    refuses(RuntimeError, "'cuda:2' was asked for, but this machine has 2", lambda: tinycnn.zeros(1, device="cuda:2"))
    with cuda.Stream("cuda:1") as stream:
        assert cuda.current_device() == 1
        assert cuda.current_stream() == stream
    assert cuda.current_stream() == cuda.default_stream()


@two
def each_device_has_its_memory() -> None:
    cuda = tinycnn.cuda
    before = [cuda.memory_allocated(i) for i in range(2)]
    x = tinycnn.zeros(1 << 18, device="cuda:1")
    assert [cuda.memory_allocated(i) for i in range(2)] == [before[0], before[1] + x.nbytes]
    refuses(cuda.OutOfMemoryError, "out of memory on cuda:1", lambda: tinycnn.empty(1 << 40, device="cuda:1"))


@two
def random_numbers_of_each_device() -> None:
    tinycnn.manual_seed(1)
    a = [tinycnn.rand(3, device=f"cuda:{i}").tolist() for i in (0, 1)]
    state = tinycnn.get_rng_state()
    assert {"cuda:0", "cuda:1"} <= set(state)
    b = tinycnn.randperm(5, device="cuda:1").tolist()
    tinycnn.set_rng_state(state)
    assert tinycnn.randperm(5, device="cuda:1").tolist() == b
    tinycnn.manual_seed(1)
    assert [tinycnn.rand(3, device=f"cuda:{i}").tolist() for i in (0, 1)] == a


# One of pytest's workers runs that process, for all.
pytestmark = pytest.mark.xdist_group("cuda_devices")


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    return outcome_of(__file__)


@pytest.mark.parametrize("name", TWO)
def test_with_two_devices(name: str, outcome: dict[str, Any]) -> None:
    assert name in outcome["ran"]
    assert name not in outcome["failures"], outcome["failures"][name]


if __name__ == "__main__":
    run_checks(TWO, devices=2)
