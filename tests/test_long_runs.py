"""Long runs: nothing is held that is not needed, one seed gives the same bits, and no file is ever half-written.

What must not be disturbed by other tests runs in processes of its own, from tests/long_run.py.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import tinycnn
from tinycnn import data, models, optim, train
from tinycnn.autograd import Tensor, grad, wrap
from tinycnn.autograd.function import Node
from tinycnn.backend.cpu import available_cores
from tinycnn.ops.registry import OpInfo, all_ops

ROOT = pathlib.Path(tinycnn.__file__).resolve().parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and its count of open files")


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-W", "error", str(pathlib.Path(__file__).with_name("long_run.py"))]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [*program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process: subprocess.Popen[str]) -> Any:
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return json.loads(out)


# ---- memory ----------------------------------------------------------------------------------------------------------

KIB, MIB = 2**10, 2**20


def assert_flat(result: dict[str, Any], steps: int, trace_from: int) -> None:
    seen = result["seen"]
    assert seen[-1]["step"] == steps
    warm, last = seen[1], seen[-1]
    assert {s["living"] for s in seen[1:]} == {warm["living"]}  # not one tensor more
    assert {s["files"] for s in seen[1:]} == {warm["files"]}
    assert {s["threads"] for s in seen} == {1}
    assert result["threads"] == ["MainThread"]
    unit = 1 if sys.platform == "darwin" else KIB
    assert (last["resident"] - warm["resident"]) * unit < 8 * MIB
    # History grows by a line an epoch, and some dictionary of Python's own is rebuilt now and then. A tensor a step,
    # however small, would be some hundred bytes a step in every epoch.
    traced = [(s["step"], s["traced"]) for s in seen if s["step"] > trace_from]
    rates = [(b - a) / (n - m) for (m, a), (n, b) in itertools.pairwise(traced)]
    assert statistics.median_low(rates) < 64


@POSIX
def test_memory_is_flat_over_2000_steps(tmp_path: pathlib.Path) -> None:
    """Without Python's collector of cycles, which so has nothing to do; the last steps traced, since that is slow."""
    assert_flat(result_of(start("memory", tmp_path, 2000, 1400, "no")), 2000, 1400)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_memory_is_flat_with_every_allocation_traced(kernels: str, tmp_path: pathlib.Path) -> None:
    process = start("memory", tmp_path, 2000, 400, "yes", TINYCNN_KERNELS=kernels)
    assert_flat(result_of(process), 2000, 400)


@pytest.fixture
def frozen() -> Iterator[None]:
    """What there is already is not looked at: neither by the collector of cycles, nor by `gc.get_objects`."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def tape() -> Counter[str]:
    """The tensors and nodes of the tape that were made since and are there."""
    return Counter(type(x).__name__ for x in gc.get_objects() if issubclass(type(x), (Tensor, Node)))


@contextmanager
def nothing_left(collecting: bool = False) -> Iterator[None]:
    """At the end there are no more tensors and nodes than before, without help from the collector of cycles.

    Args:
        collecting: whether it is on all the same, so that it meets the engine at work.
    """
    was_on = gc.isenabled()
    if not collecting:
        gc.disable()
    try:
        before = tape()
        yield
        assert tape() - before == Counter()
    finally:
        if was_on:
            gc.enable()


def test_what_is_left_is_seen(frozen: None) -> None:
    x = tinycnn.ones(3, requires_grad=True)
    kept = []
    with pytest.raises(AssertionError, match="Tensor"), nothing_left():
        kept.append(x.exp())

    def make_a_cycle() -> None:
        y = (x * 2).sum()
        y.grad_fn.loop = y

    with pytest.raises(AssertionError, match="Node"), nothing_left():
        make_a_cycle()


def is_floating(x: Any) -> bool:
    return isinstance(x, Tensor) and x.array.dtype.kind in "fc"


def call_and_back(op: OpInfo, create_graph: bool) -> None:
    for sample in op.make_samples():
        result = op.function(*sample.args, **sample.kwargs)
        outs = [r for r in (result if isinstance(result, (tuple, list)) else (result,)) if is_floating(r)]
        live = [o for o in outs if o.requires_grad]
        given = [*sample.args, *sample.kwargs.values()]
        given += [x for value in given if isinstance(value, (tuple, list)) for x in value]
        wanted = [x for x in given if is_floating(x) and x.requires_grad]
        if live and wanted:
            ones = [wrap(o.backend.ones_like(o.array), o.backend) for o in live]
            first = grad(live, wanted, ones, create_graph=create_graph, allow_unused=True)
            again = [g for g in first if g is not None and g.requires_grad]
            if again:
                grad([(g * g).sum() for g in again], wanted, allow_unused=True)


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.name)
def test_an_operation_leaves_nothing(op: OpInfo, frozen: None) -> None:
    call_and_back(op, False)  # what is kept once and for all
    with nothing_left():
        for sample in op.make_samples():
            op.function(*sample.args, **sample.kwargs)  # a graph that nobody walks
        del sample
    with nothing_left():
        call_and_back(op, create_graph=False)
        call_and_back(op, create_graph=op.differentiable and op.twice)


SMALL: dict[str, Callable[[], Any]] = {
    "lenet": lambda: models.lenet(),
    "lenet_bn": lambda: models.lenet_bn(),
    "alexnet": lambda: models.alexnet(ratio=32, hidden=6, image_size=65),
    "nin": lambda: models.nin(ratio=32),
    "googlenet": lambda: models.googlenet(ratio=16),
    "resnet18": lambda: models.resnet18(ratio=16),
    "densenet": lambda: models.densenet(num_channels=4, growth_rate=2, arch=(1, 1, 1)),
}
SIDES = {"alexnet": 65, "nin": 67, "googlenet": 33, "resnet18": 33, "densenet": 33}


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_a_step_leaves_nothing(name: str, collecting: bool, frozen: None) -> None:
    net = SMALL[name]()
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    side = SIDES.get(name, 28)
    X, y = tinycnn.randn(2, 1, side, side), tinycnn.tensor([1, 2])

    def step() -> None:
        loss = tinycnn.nn.functional.cross_entropy(net(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()  # makes the gradients and the optimiser's state
    with nothing_left(collecting):
        step()
        step()
    with nothing_left(collecting):
        net(X)  # a graph that nobody walks
    with nothing_left(collecting), tinycnn.no_grad():
        net.eval()(X)


def test_a_backward_that_fails_leaves_nothing(frozen: None) -> None:
    class Bad(tinycnn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            raise ArithmeticError("on purpose")

    x = tinycnn.ones(3, requires_grad=True)
    with nothing_left(), pytest.raises(ArithmeticError, match="on purpose"):
        Bad.apply(x.exp()).sum().backward()
    assert x.grad is None


def test_loaders_leave_no_thread_and_no_file(tmp_path: pathlib.Path) -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/dev/fd")) if os.name == "posix" else 0

    net = models.mlp(hidden=(4,))
    next(iter(data.DataLoader(data.Digits(), 8, prefetch=2)))
    train.save_checkpoint(tmp_path / "c.safetensors", net)
    train.load_checkpoint(tmp_path / "c.safetensors")
    before = count()
    for i in range(5):
        for number, _ in enumerate(data.DataLoader(data.Digits(), 8, prefetch=2)):
            if number == i:  # left in the middle
                break
        list(data.DataLoader(data.Subset(data.Digits(), range(16)), 8, prefetch=2))
        train.save_checkpoint(tmp_path / "c.safetensors", net)
        train.load_weights(net, tmp_path / "c.safetensors")
        with pytest.raises((ValueError, OSError)):
            train.load_checkpoint(tmp_path / "none.safetensors")
    assert count() == before


# ---- the same bits ---------------------------------------------------------------------------------------------------


def test_one_seed_gives_the_same_bits_in_every_process() -> None:
    """Two processes a number of threads; another seed gives others."""
    other = result_of(start("bits", 1, 4))  # alone: if the kernels must be compiled, then once
    counts = [1, 2] if available_cores() > 1 else [1]
    runs = {n: [start("bits", n, 3), start("bits", n, 3)] for n in counts}
    for n, processes in runs.items():
        first, second = map(result_of, processes)
        assert first == second
        assert first["threads"] == n or first["kernels"] == "reference"
        assert first["digest"] != other["digest"]


# ---- killed while it writes ------------------------------------------------------------------------------------------


def kill_while_saving(path: pathlib.Path, kills: int) -> None:
    place = random.Random(kills)
    number = 0
    for _ in range(kills):
        with start("save", path, number + 1, TINYCNN_KERNELS="reference") as process:
            before = path.stat().st_mtime_ns if path.exists() else 0
            deadline = time.monotonic() + 120
            while (not path.exists() or path.stat().st_mtime_ns == before) and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.001)
            time.sleep(place.uniform(0, 0.05))  # it saves without end: this is in the middle of one
            process.kill()
        found = train.load_checkpoint(path)
        assert found.facts["number"] > number
        number = found.facts["number"]
        assert all((p == number).all().item() for p in found.model.values())
    names = sorted(p.name for p in path.parent.iterdir() if not train.files.is_left_over(p))
    assert names == [path.name]


@POSIX
def test_a_checkpoint_is_never_half_written(tmp_path: pathlib.Path) -> None:
    kill_while_saving(tmp_path / "c.safetensors", kills=4)


@POSIX
@pytest.mark.slow
def test_a_checkpoint_is_never_half_written_in_40_kills(tmp_path: pathlib.Path) -> None:
    kill_while_saving(tmp_path / "c.safetensors", kills=40)
