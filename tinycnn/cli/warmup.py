"""`tinycnn warmup`: compile kernels before they are needed, in as many processes as there are cores.

What a network needs is found by using it: each of its layers forward and backward at its size in the network, then a
few whole training steps. The layers are dealt out to the processes by kind, so that few kernels are wanted by two of
them at the same time; where that happens, the second waits for what the first compiles.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tinycnn import backend, bench, models, nn, no_grad, optim, randn

from .console import FAILED, fail, make_console

_SMALL = 32  # side of an image
_BATCHES = {True: 32, False: 4}  # of small images and of others: what is compiled does not depend on it


@dataclass(frozen=True)
class Task:
    """A share of a network's layers, or whole steps.

    Attributes:
        network: its name.
        share, shares: which of how many shares of its layers; (0, 0) for whole steps.
    """

    network: str
    share: int = 0
    shares: int = 0


def run(networks: list[str], processes: int | None) -> None:
    """Compile what these networks need, or all networks, and say what was compiled and how long it took."""
    if backend.get_kernels() != "fast":
        fail("warmup: there is nothing to compile, the reference kernels are in use (the fast ones need Numba)")
    if processes is not None and processes < 1:
        fail(f"warmup: --processes must be at least 1, got {processes}")
    try:
        wanted = [models.get(name).name for name in networks] or models.available()
    except ValueError as error:
        fail(error)
    console = make_console()
    kept = [name for name in wanted if backend.kernels_are_kept(_label(name))]
    wanted = [name for name in wanted if name not in kept]
    if kept:
        console.print(f"compiled already: {', '.join(kept)}", markup=False)
    if not wanted:
        return
    start = time.perf_counter()
    workers = processes or backend.get_num_threads()
    shares = workers if workers > 1 else 0  # one process alone does the steps, which need all there is
    one_of_each_kind = {case.network for case in bench.CASES}  # the deeper ones have the same layers, and more of them
    by_layers = [name for name in wanted if networks or name in one_of_each_kind]
    first = [Task(name, i, shares) for name in by_layers for i in range(shares)]
    compiled: list[str] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=16), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with _quiet_children(), bar, ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        line = bar.add_task("compiling", total=len(first) + len(wanted))
        try:
            for tasks in (first, [Task(name) for name in wanted]):
                futures = {pool.submit(compile_task, task): task for task in tasks}
                for future in as_completed(futures):
                    compiled += future.result()
                    bar.update(line, advance=1, description=f"compiling: {len(compiled)} kernels, {_now(futures)}")
        except BrokenProcessPool:
            fail("warmup: a process ended before its work; with little memory, say --processes 1", FAILED)
    seconds = time.perf_counter() - start
    if not all(backend.kernels_are_kept(_label(name), now=True) for name in wanted):
        fail(
            "warmup: compiled kernels cannot be kept; set TINYCNN_CACHE_DIR to a folder that can be written to", FAILED
        )
    console.print(f"compiled {len(compiled)} kernels in {seconds:.0f} s for {', '.join(wanted)}", markup=False)


def _label(network: str) -> str:
    return f"warm-{network}"


def _now(futures: dict[Future[list[str]], Task]) -> str:
    """The networks that are being worked on."""
    names = dict.fromkeys(task.network for future, task in futures.items() if future.running())
    return ", ".join(names) or "done"


@contextmanager
def _quiet_children() -> Any:
    """Within the block, what a new process compiles is not told on the terminal; the bar tells it."""
    before = os.environ.get("TINYCNN_COMPILE_PROGRESS")
    os.environ["TINYCNN_COMPILE_PROGRESS"] = "0"
    try:
        yield
    finally:
        del os.environ["TINYCNN_COMPILE_PROGRESS"]
        if before is not None:
            os.environ["TINYCNN_COMPILE_PROGRESS"] = before


def compile_task(task: Task) -> list[str]:
    """Do a task in this process; the names of the kernels that were compiled."""
    backend.set_default_device("cpu")
    case = bench.find_case(task.network)[0]
    case = bench.find_case(task.network, batch=_BATCHES[case.size <= _SMALL])[0]
    compiled: list[str] = []
    with backend.on_compile(compiled.append):
        net, images, labels = bench.step.prepare(case)
        if task.shares:
            _run_layers(_layers(net, images.shape), task)
        else:
            parameters = list(net.parameters())
            for optimizer in (optim.SGD(parameters, 1e-4), optim.SGD(parameters, 1e-4, 0.9), optim.Adam(parameters)):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(images), labels).backward()
                optimizer.step()
            bench.step.our_step(net, images, labels, "eval")()
    return compiled


def _layers(net: nn.Module, shape: tuple[int, ...]) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """The layers that the network calls as modules, with the shapes of their inputs: one of each sort, by kind."""
    found: dict[tuple[str, str, tuple[int, ...]], tuple[nn.Module, tuple[int, ...]]] = {}

    def watch(layer: nn.Module, inputs: Any, output: Any) -> None:
        before = (shape[0], *inputs[0].shape[1:])
        found.setdefault((type(layer).__name__, repr(layer), before), (layer, before))

    handles = [m.register_forward_hook(watch) for m in net.modules() if not list(m.children())]
    with backend.use_kernels("reference"), no_grad():  # one image, and nothing is compiled
        net.eval()
        net(randn(1, *shape[1:]))
    for handle in handles:
        handle.remove()
    net.train()
    return [found[key] for key in sorted(found)]


def _run_layers(layers: Iterable[tuple[nn.Module, tuple[int, ...]]], task: Task) -> None:
    every = list(layers)
    for layer, shape in every[task.share * len(every) // task.shares : (task.share + 1) * len(every) // task.shares]:
        y = layer(randn(*shape, requires_grad=True))
        y.backward(randn(*y.shape))
