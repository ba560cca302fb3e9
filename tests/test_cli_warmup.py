"""`tinycnn warmup`: what it compiles is there for the next process, and a second time it has nothing to do."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cli_tools import in_a_folder_of_its_own, run

import tinycnn
from tinycnn import bench

pytest.importorskip("typer")
pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

from tinycnn.cli import warmup
from tinycnn.kernels.cpu import _cache


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_a_folder_of_its_own(tmp_path, monkeypatch)


def test_a_network_is_compiled_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder, in two processes. Then a training step compiles nothing, and a second run does nothing."""
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    first = run("warmup", "mlp", "--processes", "2")
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("compiled ") and first.stdout.endswith(" s for mlp\n")
    script = (
        "from tinycnn import backend, bench\n"
        "names = []\n"
        "with backend.on_compile(names.append):\n"
        "    bench.step.our_step(*bench.step.prepare(bench.Case('mlp', 28, 256)))()\n"
        "print(names)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    second = run("warmup", "mlp")
    assert (second.exit_code, second.stdout) == (0, "compiled already: mlp\n")
    assert "TINYCNN_COMPILE_PROGRESS" not in os.environ


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("warmup resnet19", "resnet19"),
        ("warmup lenet --processes 0", "warmup: --processes must be at least 1, got 0"),
    ],
)
def test_what_it_refuses(line: str, message: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_reference_kernels_need_no_compiling() -> None:
    with tinycnn.use_kernels("reference"):
        result = run("warmup", "lenet")
    assert result.exit_code == 2
    assert "nothing to compile" in result.stderr


def test_a_folder_that_cannot_be_written_to(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(warmup, "compile_task", len)  # no process gets as far as this
    monkeypatch.setattr(warmup, "ProcessPoolExecutor", _NoProcesses)
    monkeypatch.setattr(_cache._Warned, "already", False)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        result = run("warmup", "lenet")
    assert result.exit_code == 1
    assert "compiled kernels cannot be kept; set TINYCNN_CACHE_DIR" in result.stderr


class _NoProcesses:
    """In place of an executor: every task is done, and nothing was compiled."""

    def __init__(self, *_: object) -> None:
        return None

    def __enter__(self) -> _NoProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, *_: object) -> object:
        from concurrent.futures import Future

        future: Future[list[str]] = Future()
        future.set_result([])
        return future


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_the_shares_are_all_layers(shares: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, images, _ = bench.step.prepare(bench.find_case("lenet", batch=2)[0])
    layers = warmup._layers(net, images.shape)
    assert {type(layer).__name__ for layer, _ in layers} == {"AvgPool2d", "Conv2d", "Flatten", "Linear", "Sigmoid"}
    assert all(shape[0] == 2 for _, shape in layers)
    ran: list[tuple[int, ...]] = []
    monkeypatch.setattr(warmup, "randn", lambda *shape, **kw: ran.append(shape) or tinycnn.randn(*shape, **kw))
    for share in range(shares):
        warmup._run_layers(layers, warmup.Task("lenet", share, shares))
    assert ran[::2] == [shape for _, shape in layers]  # between them the shapes of the results
