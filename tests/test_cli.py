"""cli: what a user types, and what comes back."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cli_tools import in_a_folder_of_its_own, run

import tinycnn
from tinycnn import backend, data, train

pytest.importorskip("typer")

ROOT = pathlib.Path(tinycnn.__file__).resolve().parent.parent
RUN = [sys.executable, "-m", "tinycnn.cli"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_a_folder_of_its_own(tmp_path, monkeypatch)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


QUICK = ("train", "lenet", "--epochs", "2", "--batch-size", "64")


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"tinycnn {tinycnn.__version__}\n")


COMMANDS = [(), *((name,) for name in ("train", "evaluate", "info", "gradcheck", "models", "warmup"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "\x1b" not in result.stdout
    assert "Usage: " in result.stdout


def test_no_command_is_help() -> None:
    result = run()
    assert "train" in result.output
    assert "Usage: " in result.output


def test_train_leaves_curves_checkpoint_and_record(tmp_path: pathlib.Path) -> None:
    result = run(*QUICK, "--seed", "3")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "lenet"
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["best.safetensors", "curves.png", "last.safetensors", "log.jsonl", "run.json"]
    assert re.search(r"^epoch 2/2   loss \d\.\d{3}   accuracy .*%   test .*%   [\d,]+ images/s$", result.stdout, re.M)
    assert re.search(r"^test accuracy \d+\.\d\d% after 2 epochs in ", result.stdout, re.M)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stdout)
    record = json.loads((folder / "run.json").read_text())
    assert (record["network"], record["seed"], len(record["history"])) == ("lenet", 3, 2)
    saved = train.load_checkpoint(folder / "last.safetensors")
    net = tinycnn.models.lenet(**record["settings"]["options"])
    net.load_state_dict(saved.model)
    trainer = train.Trainer(net, tinycnn.optim.SGD(net.parameters(), 0.1))
    assert trainer.evaluate(data.DataLoader(data.Digits(train=False), 360))[1] == pytest.approx(
        record["history"][-1]["test_accuracy"], abs=1e-6
    )


def test_a_second_run_gets_a_folder_of_its_own(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()  # empty: may be used
    for _ in range(3):
        assert run(*QUICK, "--epochs", "1", "--out", "mine").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "mine-2", "mine-3"]
    assert all((tmp_path / name / "run.json").is_file() for name in ("mine", "mine-2", "mine-3"))


def test_the_same_seed_gives_the_same_run(tmp_path: pathlib.Path) -> None:
    for out in ("a", "b"):
        assert run(*QUICK, "--out", out, "--seed", "5").exit_code == 0
    a, b = (train.load_checkpoint(tmp_path / out / "last.safetensors") for out in ("a", "b"))
    for name, tensor in a.model.items():
        assert (tensor.numpy() == b.model[name].numpy()).all()


def test_options_reach_the_run(tmp_path: pathlib.Path) -> None:
    options = "--lr 0.01 --momentum 0.5 --weight-decay 0.001 --init kaiming --activation relu --kernels reference"
    result = run(*QUICK, "--epochs", "1", *options.split(), "--threads", "1", "--device", "cpu")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "runs" / "lenet" / "run.json").read_text())
    wanted = {
        "epochs": 1, "batch_size": 64, "lr": 0.01, "momentum": 0.5, "weight_decay": 0.001, "init": "kaiming",
        "options": {"activation": "relu"}, "kernels": "reference", "threads": 1, "device": "cpu",
    }  # fmt: skip
    assert {name: record["settings"][name] for name in wanted} == wanted
    assert record["kernels"] == "reference"
    group = train.load_checkpoint(tmp_path / "runs" / "lenet" / "last.safetensors").optimizer
    assert group is not None
    assert group["param_groups"][0]["momentum"] == 0.5


WRONG = {
    "train lenett": "no network is called 'lenett'; did you mean lenet?",
    "train --data digit": "no data set is called 'digit', there are cifar-10, .*, synthetic; did you",
    "train --data mnist": "MNIST: train-images-idx3-ubyte.* are not in .*--download",
    "train --data mnist --data-dir nowhere": "train-images-idx3-ubyte.* are not in nowhere/mnist",
    "train --epochs 0": "--epochs must be 1 or more, got 0",
    "train --batch-size -3": "--batch-size must be 1 or more, got -3",
    "train --lr -1": "--lr must be 0 or more, got -1",
    "train --lr nan": "--lr must be 0 or more, got nan",
    "train --momentum 1": "--momentum must be below 1, got 1",
    "train --weight-decay inf": "--weight-decay must be 0 or more, got inf",
    "train --init glorot": "--init: 'glorot' is unknown, there are default, xavier, kaiming",
    "train --activation swoosh": "activation 'swoosh' is unknown",
    "train --device tpu": "device: 'tpu' is unknown",
    "train --kernels quick": "unknown kernel set 'quick'",
    "train --threads 0": "set_num_threads: expected 1 to",
    "train --seed -1": "--seed must be 0 or more, got -1",
    "train --epochs many": "'--epochs': .*valid int",
    "train --speed 3": "No such option: --speed",
    "train --out file/below": "cannot make the folder file/below: Not a directory",
    "gradcheck": "name operations or networks, or say --all",
    "gradcheck exp --kernels quick": "unknown kernel set 'quick'",
    "gradcheck multiply": "no operation is called 'multiply'",
    "frobnicate": "No such command 'frobnicate'",
}


@pytest.mark.parametrize("line", WRONG)
def test_mistakes_end_in_one_line_before_any_work(line: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = run(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(WRONG[line], result.stderr) or WRONG[line] in result.stderr
    assert result.stderr.startswith("tinycnn: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_cuda_that_is_not_there_is_explained() -> None:
    usable, reason = backend.cuda_status()
    if usable:
        pytest.skip("CUDA can be used here")
    result = run("train", "--device", "cuda")
    assert result.exit_code == 2
    assert result.stderr == f"tinycnn: CUDA cannot be used: {reason}\n"


def test_a_diverged_run_fails_in_one_line() -> None:
    result = run(*QUICK, "--lr", "1e30", "--activation", "relu")
    assert result.exit_code == 1
    assert re.fullmatch(r"tinycnn: the loss became .* in epoch 1; a smaller learning rate may help\n", result.stderr)


def test_info_says_what_there_is() -> None:
    result = run("info")
    assert result.exit_code == 0
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert facts["tinycnn"] == tinycnn.__version__
    assert facts["backend"] == f"{backend.get_backend().name}, device {backend.get_default_device()}"
    assert facts["cuda"].endswith(backend.cuda_status()[1])
    assert facts["networks"] == ", ".join(tinycnn.models.available())
    assert {"cpu: NumPy", "cpu: BLAS"} <= set(facts)


def test_info_refuses_a_wrong_environment(tmp_path: pathlib.Path) -> None:
    env = {**environment(), "TINYCNN_DEVICE": "tpu"}
    done = subprocess.run(
        [*RUN, "info"], check=False, env=env, capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr == "tinycnn: TINYCNN_DEVICE=tpu: device: 'tpu' is unknown; say 'cpu', 'cuda' or 'cuda:1'\n"


def test_gradcheck_of_ops() -> None:
    result = run("gradcheck", "exp", "softmax", "argmax", "--second")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["exp", "softmax", "argmax"]
    assert lines[1].endswith(" ok")
    assert lines[3].endswith("no gradient")
    assert lines[-1] == "3 checked, all right"
    assert all(len(line) <= 80 for line in lines)


def test_gradcheck_of_a_network() -> None:
    result = run("gradcheck", "lenet", "--kernels", "reference")
    assert result.exit_code == 0, result.output
    assert re.search(r"^lenet .* ok$", result.stdout, re.M)


def test_gradcheck_of_a_network_for_large_images(monkeypatch: pytest.MonkeyPatch) -> None:
    class WrongRelu(tinycnn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: tinycnn.Tensor) -> tinycnn.Tensor:
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx: Any, g: tinycnn.Tensor) -> tinycnn.Tensor:
            return g

    result = run("gradcheck", "alexnet")
    assert result.exit_code == 0, result.output
    assert re.search(r"^alexnet .* ok$", result.stdout, re.M)
    monkeypatch.setattr(tinycnn.nn.functional, "relu", lambda x, inplace=False: WrongRelu.apply(x))
    result = run("gradcheck", "alexnet")
    assert result.exit_code == 1
    assert re.search(r"^alexnet .* WRONG$", result.stdout, re.M)


def test_gradcheck_finds_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.ops import registry

    class Wrong(tinycnn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: tinycnn.Tensor) -> tinycnn.Tensor:
            return x * x

        @staticmethod
        def backward(ctx: Any, g: tinycnn.Tensor) -> tinycnn.Tensor:
            return g

    def wrong(x: tinycnn.Tensor) -> tinycnn.Tensor:
        return Wrong.apply(x)  # type: ignore[no-any-return]

    monkeypatch.setattr(registry, "_ops", dict(registry._ops))
    registry.op(lambda make: [make.sample(make(3))], method=False)(wrong)
    result = run("gradcheck", "wrong")
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    assert "wrong, sample 0, slopes:" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 checked, 1 checks failed"


def test_gradcheck_of_all_and_of_what_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.ops import registry

    def crashes(*xs: tinycnn.Tensor) -> tinycnn.Tensor:
        raise ZeroDivisionError("no luck")

    few = {name: registry.get_op(name) for name in ("dropout", "cat", "argmax", "sort")}
    monkeypatch.setattr(registry, "_ops", few)
    registry.op(lambda make: [make.sample(make(3))], method=False, kinks="ties")(crashes)
    result = run("gradcheck", "--all")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["argmax", "cat", "crashes", "dropout", "sort"]
    assert [line.split()[-1] for line in lines[1:6]] == ["gradient", "ok", "WRONG", "ok", "ok"]
    assert "crashes (kinks: ties), sample 0, slopes:" in result.stdout
    assert "ZeroDivisionError: no luck" in result.stdout


def test_a_real_run_writes_plain_lines(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [*RUN, "train", "--epochs", "1"],
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert "epoch 1/1 " in done.stdout
    assert (tmp_path / "runs" / "lenet" / "curves.png").is_file()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c_saves_and_leaves(tmp_path: pathlib.Path) -> None:
    command = [*RUN, "train", "--epochs", "100000"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        log = tmp_path / "runs" / "lenet" / "log.jsonl"
        deadline = time.monotonic() + 240
        while not log.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"tinycnn: interrupted after \d+ steps?; the checkpoint is in runs/lenet\n", errors)
    saved = train.load_checkpoint(tmp_path / "runs" / "lenet" / "last.safetensors")
    assert saved.facts["step"] == int(errors.split()[3])


def test_an_interrupt_that_cannot_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    def interrupt(self: train.Trainer, X: Any, y: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Trainer, "train_step", interrupt)
    result = run(*QUICK)
    assert result.exit_code == 130
    assert result.stderr == "tinycnn: interrupted after 0 steps; nothing was trained, nothing is saved\n"
    assert not (tmp_path / "runs" / "lenet").exists()


def test_an_interrupt_lets_the_step_finish(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    step = train.Trainer.train_step

    def interrupted(self: train.Trainer, X: Any, y: Any) -> Any:
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, X, y)

    monkeypatch.setattr(train.Trainer, "train_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = run(*QUICK)
    assert signal.getsignal(signal.SIGINT) is before
    assert result.exit_code == 130
    assert result.stderr == "tinycnn: interrupted after 3 steps; the checkpoint is in runs/lenet\n"
    names = sorted(p.name for p in (tmp_path / "runs" / "lenet").iterdir())
    assert names == ["last.safetensors", "run.json"]  # no epoch is done: there is nothing to log or to draw


def test_without_matplotlib_the_rest_is_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    result = run(*QUICK, "--epochs", "1")
    assert result.exit_code == 0
    assert result.stderr == "no curves: matplotlib is not installed (pip install matplotlib)\n"
    assert not (tmp_path / "runs" / "lenet" / "curves.png").exists()
    assert (tmp_path / "runs" / "lenet" / "last.safetensors").exists()


def test_the_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tinycnn import cli

    monkeypatch.setattr(sys, "argv", ["tinycnn", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    assert capsys.readouterr().out == f"tinycnn {tinycnn.__version__}\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    from tinycnn.cli import train as command

    screen = io.StringIO()
    monkeypatch.setattr(command, "make_console", lambda: Console(file=screen, force_terminal=True, width=80))
    assert run(*QUICK).exit_code == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"epoch \d/2 .*━.*loss \d\.\d{3}  acc +[\d.]+%  [\d,]+ img/s", text)
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]", text))


def test_compiling_is_said_once_in_a_log_and_each_time_on_a_terminal() -> None:
    import io

    from rich.console import Console

    from tinycnn.cli.progress import ShowProgress

    log = io.StringIO()
    shown = ShowProgress(Console(file=log))
    shown.compiling("im2col")
    shown.compiling("pool")
    assert log.getvalue() == "compiling the kernels for this machine (first run only; they are kept)\n"

    screen = io.StringIO()
    shown = ShowProgress(Console(file=screen, force_terminal=True, width=80))

    class Stand:
        epochs, epoch, steps_per_epoch, batch = 1, 0, 3, 0

    shown.on_fit_start(Stand())  # type: ignore[arg-type]
    shown.compiling("im2col")
    shown.on_fit_end(Stand())  # type: ignore[arg-type]
    assert "compiling im2col (first run only)" in screen.getvalue()
