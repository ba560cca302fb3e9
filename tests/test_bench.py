"""Measurements: what they measure, what they refuse, what they leave behind. Never how fast anything is."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys

import pytest
from cli_tools import in_a_folder_of_its_own, run

from tinycnn import bench, models
from tinycnn.bench import Case, StepTime

alone = pytest.fixture(autouse=True)(in_a_folder_of_its_own)


def test_every_network_has_a_case() -> None:
    for name in models.available():
        for case in bench.find_case(name):
            assert case.network == name
            assert case.size >= models.get(name).smallest


def test_a_case_at_other_sizes() -> None:
    assert [case.batch for case in bench.find_case("lenet")] == [256, 32]
    assert bench.find_case("lenet", batch=7) == [Case("lenet", 28, 7)]
    assert bench.find_case("resnet18", size=32, batch=2) == [Case("resnet18", 32, 2)]
    with pytest.raises(ValueError, match="images must be at least"):
        bench.find_case("vgg11", size=16)
    with pytest.raises(ValueError, match="at least one image"):
        bench.find_case("lenet", batch=0)
    with pytest.raises(ValueError, match="lenett"):
        bench.find_case("lenett")


def test_a_training_step_trains_and_an_evaluation_does_not() -> None:
    net, images, labels = bench.step.prepare(Case("lenet_bn", 28, 4))
    before = {name: p.numpy().copy() for name, p in net.state_dict().items()}
    bench.step.our_step(net, images, labels, "eval")()
    assert all((before[name] == p.numpy()).all() for name, p in net.state_dict().items())
    bench.step.our_step(net, images, labels, "train")()
    assert {name.rpartition(".")[2] for name, p in net.state_dict().items() if (before[name] != p.numpy()).any()} >= {
        "weight", "running_mean", "num_batches_tracked",
    }  # fmt: skip


def test_ratio_and_quartiles_are_those_of_the_pairs() -> None:
    found = StepTime(Case("lenet", 28, 1), "train", (1.0, 2.0, 4.0), (2.0, 2.0, 6.0))
    assert found.ratio == 1.0
    assert found.quartiles == (1.25, 1.75)
    with pytest.raises(ValueError, match="repeats"):
        bench.time_step(Case("lenet", 28, 1), repeats=0)


def test_layers_are_those_of_the_network() -> None:
    rows = bench.time_layers(Case("lenet", 28, 2), repeats=1)
    kinds = [row.kind for row in rows]
    assert kinds.count("Conv2d") == 2
    assert kinds.count("Linear") == 3
    assert sum(row.macs for row in rows) == 2 * 416_520
    assert rows[0].shapes == ((2, 1, 28, 28), (2, 6, 28, 28))
    assert all(row.forward > 0 and row.backward > 0 for row in rows)
    table = bench.layer_table(rows, peak=1e9)
    assert max(map(len, table)) <= 80
    assert table[1].split()[:3] == ["0", "Conv2d", "2x6x28x28"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not forget an earlier peak")
def test_memory_grows_with_the_batch() -> None:
    small, large = (bench.measure_memory(Case("lenet", 28, batch)) for batch in (8, 2048))
    taken = [facts["peak"] - facts["before"] for facts in (small, large)]
    assert 0 <= taken[0] < taken[1]
    # 13,806 numbers an image go into the backward pass, and the images themselves are there before.
    assert taken[1] > 2048 * 6_000 * 4 / 2**20


def test_the_command_prints_and_saves(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = "bench mlp --batch 2,4 --repeats 3 --layers --out b".split()
    monkeypatch.setattr(sys, "argv", ["tinycnn", *arguments])
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "mlp 28x28, 2" in result.stdout
    found = json.loads((tmp_path / "b" / "bench.json").read_text())
    assert found["command"] == "tinycnn bench mlp --batch 2,4 --repeats 3 --layers --out b"
    assert [step["batch"] for step in found["steps"]] == [2, 4]
    for step in found["steps"]:
        assert len(step["tinycnn_seconds"]) == 3
        assert step["median"] == statistics.median(step["tinycnn_seconds"])
    assert [row["kind"] for row in found["layers"]["mlp 28x28, 2"]] == ["Flatten", "Linear", "ReLU", "Linear"]
    assert {"processor", "blas", "cores", "threads", "versions", "revision"} <= set(found["machine"])
    assert (tmp_path / "b" / "bench.png").read_bytes().startswith(b"\x89PNG")
    again = run("bench", "mlp", "--out", "b")
    assert again.exit_code == 2
    assert again.stderr == "tinycnn: bench: b is there already; say another --out\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mpl"], "mpl"),
        (["lenet", "--batch", "0"], "--batch takes positive integers"),
        (["lenet", "--size", "a"], "--size takes positive integers"),
        (["lenet", "--threads", "100000"], "threads"),
        (["lenet", "--repeats", "0"], "--repeats"),
        (["lenet", "--against", "jax"], "--against takes torch"),
        (["lenet", "--channels-last"], "--against torch"),
        (["--option", "ratio=2"], "--option needs the name of a network"),
        (["lenet", "--option", "nothing=2"], "nothing"),
    ],
)
def test_wrong_use_ends_in_one_line(arguments: list[str], message: str, tmp_path: pathlib.Path) -> None:
    result = run("bench", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parity
@pytest.mark.parametrize("options", [[], ["--eval"], ["--channels-last"]])
def test_beside_pytorch(options: list[str], tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is the peer")
    command = ["bench", "lenet", "--batch", "4", "--against", "torch", "--repeats", "2", *options]
    result = run(*command, "--out", "b")
    assert result.exit_code == 0, result.stderr
    (step,) = json.loads((tmp_path / "b" / "bench.json").read_text())["steps"]
    assert step["ratio"] == step["pytorch_median"] / step["median"]
    assert step["mode"] == ("eval" if "--eval" in options else "train")
    assert (tmp_path / "b" / "bench.png").is_file()


@pytest.mark.parity
def test_pytorch_is_imported_before_our_kernels_say_how_threads_wait(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is the peer")
    command = "bench mlp --batch 2 --against torch --repeats 1 --out b"
    script = (
        "import sys; from tinycnn.cli import main; sys.argv[1:] = sys.argv[1].split()\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, command],
        cwd=tmp_path, env={**os.environ, "TINYCNN_KERNELS": "fast"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = result.stdout.splitlines()[-1].split()
    assert modules.index("torch") < modules.index("tinycnn.kernels.cpu._jit")
