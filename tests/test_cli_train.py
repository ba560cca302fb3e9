"""cli: the settings of training runs, going on with them, and measuring what they left."""

from __future__ import annotations

import json
import pathlib
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from cli_tools import in_a_folder_of_its_own, run

import tinycnn
from tinycnn import data, models, train
from tinycnn.optim import lr_scheduler

pytest.importorskip("typer")

# A network and data that take a moment.
QUICK = ("train", "mlp", "--option", "hidden=16", "--limit", "96", "--epochs", "2")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_a_folder_of_its_own(tmp_path, monkeypatch)


def record(folder: str = "runs/mlp") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pathlib.Path(folder, "run.json").read_text())
    return found


def log(folder: str = "runs/mlp") -> list[dict[str, Any]]:
    return [json.loads(line) for line in pathlib.Path(folder, "log.jsonl").read_text().splitlines()]


# ---- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_optimizers(optimizer: str) -> None:
    result = run(*QUICK, "--optimizer", optimizer, "--clip", "1")
    assert result.exit_code == 0, result.output
    settings = record()["settings"]
    assert settings["momentum"] == {"sgd": 0.9, "rmsprop": 0.0}.get(optimizer)
    assert settings["lr"] == {"sgd": 0.05, "adagrad": 0.01}.get(optimizer, 0.001)
    assert re.search(rf"(?i)batch 32, {optimizer} with lr .*, gradients clipped at 1$", result.stdout, re.M)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_mixed_precision(name: str) -> None:
    result = run(*QUICK, "--amp", name)
    assert result.exit_code == 0, result.output
    assert f"in mixed precision ({name})" in result.stdout
    assert record()["settings"]["amp"] == name


def test_an_unknown_precision() -> None:
    result = run(*QUICK, "--amp", "int8")
    assert result.exit_code == 2
    assert "unknown, there are off, float16, bfloat16" in result.output.replace("\n", " ")


SCHEDULES = {
    "step --decay-at 1": [1.0, 0.1, 0.01, 0.001],
    "multistep --decay-at 1,3 --decay 0.5": [1.0, 0.5, 0.5, 0.25],
    "exponential --decay 0.5": [1.0, 0.5, 0.25, 0.125],
    "none": [1.0, 1.0, 1.0, 1.0],
}


@pytest.mark.parametrize("line", SCHEDULES)
def test_schedules(line: str) -> None:
    result = run(*QUICK, "--epochs", "4", "--lr", "0.01", "--scheduler", *line.split())
    assert result.exit_code == 0, result.output
    assert [epoch["lr"] for epoch in log()] == pytest.approx([0.01 * share for share in SCHEDULES[line]])


def test_other_schedules() -> None:
    rates = {}
    for line in (
        "cosine",
        "onecycle",
        "plateau",
        "cosine --warmup 2",
        "step --warmup 1 --decay-at 1",
        "none --warmup 2",
    ):
        assert run(*QUICK, "--epochs", "4", "--lr", "0.01", "--scheduler", *line.split(), "--out", line).exit_code == 0
        rates[line] = [epoch["lr"] for epoch in log(line)]
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert max(rates["onecycle"]) > rates["onecycle"][-1] < 1e-5
    assert len(set(rates["plateau"])) == 1
    assert rates["cosine --warmup 2"][0] < 0.01 == pytest.approx(rates["cosine --warmup 2"][1])
    assert rates["cosine --warmup 2"][3] < 1e-9
    assert rates["step --warmup 1 --decay-at 1"] == pytest.approx([0.01, 0.001, 0.0001, 0.00001])
    assert (
        rates["none --warmup 2"][0] < rates["none --warmup 2"][1] == pytest.approx(0.01) == rates["none --warmup 2"][3]
    )


def test_a_plateau_looks_at_the_test_loss() -> None:
    assert run(*QUICK, "--lr", "0", "--scheduler", "plateau", "--decay-at", "0", "--epochs", "3").exit_code == 0
    assert run(*QUICK, "--lr", "1e-9", "--scheduler", "plateau", "--decay-at", "0", "--out", "b").exit_code == 0
    last = train.load_checkpoint("b/last.safetensors")
    assert last.progress is not None
    assert last.progress["scheduler"]["best"] == min(epoch["test_loss"] for epoch in log("b"))


def test_data_are_cut_and_held_out() -> None:
    result = run(*QUICK, "--validation", "0.1", "--seed", "4")
    assert result.exit_code == 0, result.output
    assert "96 of 1,437 images to train on, drawn by the seed, 144 to validate, 360 to test" in result.stdout
    assert re.search(r"^epoch 2/2   loss .*   validation \d\.\d{3} +\d", result.stdout, re.M)
    assert re.search(r"^validation accuracy .* after 2 epochs in", result.stdout, re.M)
    found = re.search(r"^test accuracy (\d+\.\d\d)% with the weights of epoch (\d), the best", result.stdout, re.M)
    assert found is not None
    best = record()["test_of_best"]
    assert (f"{best['accuracy']:.2%}", best["epoch"]) == (found[1] + "%", int(found[2]))
    assert record()["measured_on"] == "validation"


def test_images_are_resized_and_cropped() -> None:
    result = run("train", "lenet", "--limit", "64", "--epochs", "1", "--resize", "20", "--augment")
    assert result.exit_code == 0, result.output
    assert "at 20x20, cropped at random, on " in result.stdout
    assert record("runs/lenet")["image_shape"] == [1, 20, 20]


def test_images_of_any_size_are_made_at_the_size_asked_for() -> None:
    from tinycnn.cli import build
    from tinycnn.cli.settings import settle

    for resize, side in (({"resize": 24}, 24), ({}, 28)):
        settings = settle({"network": "lenet", "data": "synthetic", "augment": True, "limit": 40, **resize})
        found = build.load_data(settings)
        assert (len(found.train), found.shape) == (40, (3, side, side))
        assert found.train[0][0].shape == found.test[0][0].shape == (3, side, side)
        assert not found.train.deterministic
        assert found.test.deterministic
        network = build.make_network(settings, found)
        assert network(found.train[0][0].unsqueeze(0)).shape == (1, 10)


def test_network_options() -> None:
    line = ("train", "mlp", "--limit", "64", "--epochs", "1", "--option", "hidden=(16, 8)", "--option", "dropout=0.25")
    result = run(*line)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("mlp, hidden (16, 8), dropout 0.25: 12,786 parameters")
    assert run("train", "--resume", "runs/mlp").exit_code == 0  # JSON has no tuples


def test_early_stop() -> None:
    result = run(*QUICK, "--lr", "0", "--scheduler", "none", "--epochs", "9", "--early-stop", "2")
    assert result.exit_code == 0, result.output
    assert "stopped early: the test loss has not become better for 2 epochs" in result.stdout
    assert len(log()) == 3
    assert record()["finished"]
    result = run("train", "--resume", "runs/mlp", "--epochs", "20")
    assert result.exit_code == 0
    assert len(log()) == 3


def test_best_and_last() -> None:
    assert run(*QUICK, "--epochs", "5", "--lr", "0.3").exit_code == 0
    history = record()["history"]
    best = max(history, key=lambda epoch: epoch["test_accuracy"])
    saved = train.load_checkpoint("runs/mlp/best.safetensors")
    assert (saved.facts["epoch"], record()["best_epoch"]) == (best["epoch"], best["epoch"])
    net = train.load_weights(models.mlp(hidden=16), "runs/mlp/best.safetensors")
    found = train.measure(net, data.DataLoader(data.Digits(train=False), 360))
    assert found.accuracy == pytest.approx(best["test_accuracy"], abs=1e-9)
    assert saved.optimizer is None
    assert train.load_checkpoint("runs/mlp/last.safetensors").facts["step"] == history[-1]["step"]


def test_every_network_has_a_recipe_that_fits() -> None:
    from tinycnn.cli.settings import SCHEDULERS, settle

    for network in models.available():
        for name in data.available():
            settings = settle({"network": network, "data": name})
            assert settings.scheduler in SCHEDULERS
            shape = data.get(name).image_shape
            side = settings.resize or (28 if shape is None else min(shape[1:]))
            assert side >= models.get(network).smallest, (network, name)


def test_the_schedule_is_made_by_steps_where_it_must() -> None:
    from tinycnn.cli import build
    from tinycnn.cli.settings import settle

    optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
    settings = settle({"scheduler": "multistep", "decay_at": "3,5", "warmup": 2, "lr": 1.0, "epochs": 6})
    scheduler, interval = build.make_scheduler(settings, optimizer, steps_per_epoch=10)
    assert isinstance(scheduler, lr_scheduler.SequentialLR)
    rates = []
    for _ in range(60):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert interval == "step"
    assert rates[:20] == sorted(set(rates[:20]))
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20:30] == pytest.approx([1.0] * 10)
    assert rates[30:50] == pytest.approx([0.1] * 20)
    assert rates[50:] == pytest.approx([0.01] * 10)


WRONG = {
    "--optimizer lion": "--optimizer: 'lion' is unknown, there are sgd, adam, adamw, rmsprop, adagrad",
    "--optimizer adam --momentum 0.9": "--momentum: adam has none",
    "--scheduler poly": "--scheduler: 'poly' is unknown, there are none, step,",
    "--scheduler cosine --decay 0.1": "--decay: there is no such thing with --scheduler cosine",
    "--decay-at 3": "--decay-at: there is no such thing with --scheduler none",
    "--scheduler step --decay-at 3,5": "--decay-at: --scheduler step takes one number, got 3,5",
    "--scheduler step --decay-at soon": "--decay-at: expected epochs such as 10 or 10,15, got 'soon'",
    "--scheduler multistep --decay-at 5,3": "--decay-at: expected rising numbers of 1 or more, got 5,3",
    "--scheduler step --decay 1.5": "--decay must be above 0 and below 1, got 1.5",
    "--scheduler onecycle --warmup 1": "--warmup: does not go with --scheduler onecycle",
    "--epochs 3 --warmup 3": "--warmup must be less than the 3 epochs, got 3",
    "--scheduler multistep --decay-at 2,5 --warmup 2": "--decay-at: epoch 2 lies within the 2 of --warmup",
    "--warmup -1": "--warmup must be 0 or more, got -1",
    "--clip 0": "--clip must be above 0, got 0",
    "--early-stop 0": "--early-stop must be 1 or more, got 0",
    "--checkpoint-every 0": "--checkpoint-every must be 1 or more, got 0",
    "--prefetch -1": "--prefetch must be 0 or more, got -1",
    "--validation 1": "--validation must be above 0 and below 1, got 1",
    "--validation 0.0001": "--validation 0.0001 of 1,437 images leaves nothing on one side",
    "--limit 1400 --validation 0.1": "--limit 1400: there are 1,293 training images",
    "--limit 0": "--limit must be 1 or more, got 0",
    "--resize 8": "lenet needs images of 12x12 or more, these are 8x8; say --resize 12 or --resize 28",
    "--option ratio=2": "--option: lenet has no option 'ratio', there are activation",
    "--option dropout": "--option: expected NAME=VALUE, got 'dropout'",
    "--option num_classes=3": "--option num_classes: cannot be set, it is the number of the data's classes",
    "--option image_size=3": "--option image_size: cannot be set, it is the size of the images, see --resize",
    "--option activation=relu --option activation=tanh": "--option activation: given twice",
    "--option activation=relu --activation tanh": "--activation tanh contradicts --option activation=relu",
    "alexnet --option ratio=two": "--option ratio: expected an integer, got 'two'",
    "alexnet --option dropout=half": "--option dropout: expected a number, got 'half'",
    "alexnet --option dropout=1.5": "dropout must be a probability from 0 to 1, got 1.5",
    "alexnet --option local_response_norm=perhaps": "--option local_response_norm: expected yes or no, got 'perhaps'",
    "alexnet --activation tanh": "--activation: alexnet has no choice of activation",
    "--data folder": "folder",
    "--data folder --data-dir nowhere": "nowhere",
    "--resume nowhere": "--resume: nowhere holds no run (there is no run.json in it)",
    "--resume file": "--resume: file is a file; give the folder of a run",
    "--resume damaged": "--resume: damaged/run.json is damaged, or no record of a run",
    "--resume old": "--resume: old holds the record of another version of tinycnn",
    "--resume old --out new": "--out new contradicts --resume old: a run goes on in its own folder",
}


@pytest.mark.parametrize("line", WRONG)
def test_mistakes_end_in_one_line_before_any_work(line: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for name, text in (("damaged", '{"settings": '), ("old", '{"settings": {"speed": 3}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    result = run("train", *line.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert WRONG[line] in result.stderr
    assert result.stderr.startswith("tinycnn: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


# ---- going on -------------------------------------------------------------------------------------------------------

CONTRADICTIONS = {
    "lenet": "NETWORK lenet contradicts the run in runs/mlp, which has mlp",
    "--data mnist": "--data mnist contradicts the run in runs/mlp, which has digits",
    "--lr 0.3": "--lr 0.3 contradicts the run in runs/mlp, which has 0.05",
    "--seed 8": "--seed 8 contradicts the run in runs/mlp, which has 0",
    "--augment": "--augment on contradicts the run in runs/mlp, which has none",
    "--option hidden=17": "--option hidden=17 contradicts the run in runs/mlp, which has hidden=16",
    "--clip 3": "--clip 3.0 contradicts the run in runs/mlp, which has none",
    "--epochs 1": "--epochs 1 is less than the 2 of the run in runs/mlp; they can only be raised",
    "--epochs 3": "--epochs 3 contradicts the run in runs/mlp, which has 2: the schedule cosine is made for that "
    "length",
}


def test_contradictions_name_both_values() -> None:
    assert run(*QUICK).exit_code == 0
    before = pathlib.Path("runs/mlp/run.json").read_bytes()
    for line, message in CONTRADICTIONS.items():
        result = run("train", *line.split(), "--resume", "runs/mlp")
        assert result.exit_code == 2, line
        assert (result.stdout, result.stderr) == ("", f"tinycnn: {message}\n")
    assert pathlib.Path("runs/mlp/run.json").read_bytes() == before
    assert run("train", "mlp", "--lr", "0.05", "--resume", "runs/mlp", "--prefetch", "2").exit_code == 0


def test_a_finished_run_is_finished_again() -> None:
    assert run(*QUICK).exit_code == 0
    before = train.load_checkpoint("runs/mlp/last.safetensors")
    pathlib.Path("runs/mlp/curves.png").unlink()
    result = run("train", "--resume", "runs/mlp")
    assert result.exit_code == 0
    assert "going on in runs/mlp after 2 epochs and 0 steps" in result.stdout
    assert pathlib.Path("runs/mlp/curves.png").is_file()
    after = train.load_checkpoint("runs/mlp/last.safetensors")
    assert before.progress == after.progress
    assert len(log()) == 2


def test_a_longer_run_is_the_run_that_was_long_at_once() -> None:
    line = ("--scheduler", "step", "--decay-at", "2", "--epochs")
    assert run(*QUICK, *line, "4", "--out", "long").exit_code == 0
    assert run(*QUICK, *line, "2", "--out", "short").exit_code == 0
    assert run("train", "--resume", "short", "--epochs", "4").exit_code == 0
    a, b = (train.load_checkpoint(f"{name}/last.safetensors") for name in ("long", "short"))
    for name, tensor in a.model.items():
        assert (tensor.numpy() == b.model[name].numpy()).all()
    assert [epoch["train_loss"] for epoch in log("long")] == [epoch["train_loss"] for epoch in log("short")]
    assert record("short")["settings"] == record("long")["settings"]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again() -> None:
    assert run(*QUICK, "--out", "a").exit_code == 0
    pathlib.Path("b").mkdir()
    pathlib.Path("b/run.json").write_bytes(pathlib.Path("a/run.json").read_bytes())
    pathlib.Path("b/.last.safetensors.77.tmp").write_bytes(b"half")
    assert run("train", "--resume", "b").exit_code == 0
    assert sorted(p.name for p in pathlib.Path("b").iterdir()) == sorted(p.name for p in pathlib.Path("a").iterdir())
    a, b = (train.load_checkpoint(f"{name}/last.safetensors") for name in "ab")
    assert all((tensor.numpy() == b.model[name].numpy()).all() for name, tensor in a.model.items())


def test_a_folder_with_left_over_files_alone_is_free() -> None:
    pathlib.Path("mine").mkdir()
    pathlib.Path("mine/.run.json.77.tmp").write_bytes(b"half")
    assert run(*QUICK, "--out", "mine").exit_code == 0
    assert not pathlib.Path("mine-2").exists()
    assert not list(pathlib.Path("mine").glob(".*"))


def test_a_damaged_checkpoint_is_one_line() -> None:
    assert run(*QUICK).exit_code == 0
    path = pathlib.Path("runs/mlp/last.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    result = run("train", "--resume", "runs/mlp")
    assert result.exit_code == 2
    assert re.fullmatch(r"tinycnn: runs/mlp/last.safetensors: not a checkpoint, or a damaged one: .*\n", result.stderr)


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.train import checkpoint

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    result = run(*QUICK)
    assert result.exit_code == 1
    assert result.stderr == "tinycnn: [Errno 28] No space left on device\n"


def test_a_second_interrupt_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    step = train.Trainer.train_step

    def interrupted(self: train.Trainer, X: Any, y: Any) -> Any:
        if self.step == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        return step(self, X, y)

    monkeypatch.setattr(train.Trainer, "train_step", interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    result = run(*QUICK)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert result.exit_code == 130
    assert result.stderr == "tinycnn: interrupted after 5 steps; the checkpoint is older, it is in runs/mlp\n"
    assert train.load_checkpoint("runs/mlp/last.safetensors").facts["step"] == 3  # of the first epoch's end


# ---- measuring ------------------------------------------------------------------------------------------------------


def test_evaluate_prints_what_the_run_found() -> None:
    assert run(*QUICK, "--epochs", "4").exit_code == 0
    best = max(record()["history"], key=lambda epoch: epoch["test_accuracy"])
    result = run("evaluate", "runs/mlp")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "runs/mlp/best.safetensors: mlp on the 360 test images of digits"
    found = re.fullmatch(r"loss (\d\.\d{4})   accuracy (\d+\.\d\d)%   top-5 (\d+\.\d\d)%", lines[1])
    assert found is not None
    assert float(found[1]) == pytest.approx(best["test_loss"], abs=1e-4)
    assert f"{found[2]}%" == f"{best['test_accuracy']:.2%}"
    assert float(found[3]) >= float(found[2])
    assert lines[3] == "class  images  accuracy  most often taken for"
    rows = [re.fullmatch(r"(\d) +(\d+) +(\d+\.\d)%(?:  (\d) \((\d+)\))?", line) for line in lines[4:]]
    assert len(rows) == 10
    right = sum(float(row[3]) * int(row[2]) / 100 for row in rows if row is not None)
    assert right / 360 == pytest.approx(best["test_accuracy"], abs=1e-3)
    assert run("evaluate", "runs/mlp/last.safetensors", "--batch-size", "7").exit_code == 0


def test_what_cannot_be_evaluated(tmp_path: pathlib.Path) -> None:
    assert run(*QUICK, "--epochs", "1").exit_code == 0
    train.save_checkpoint("bare.safetensors", models.mlp(hidden=16))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no checkpoint")
    for line, message in {
        "empty": "empty: there is no checkpoint in this folder (best.safetensors or last.safetensors)",
        "nowhere": "nowhere: No such file or directory",
        "text": "text: not a checkpoint, or a damaged one",
        "bare.safetensors": "does not say which network it is of; it was not written by tinycnn train",
        "runs/mlp --data cifar-100 --data-dir nowhere": "nowhere",
        "runs/mlp --data synthetic --device tpu": "device: 'tpu' is unknown",
    }.items():
        result = run("evaluate", *line.split())
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    result = run("evaluate", "runs/mlp", "--data", "synthetic")  # of another shape
    assert result.exit_code == 2
    assert "weights of another network: " in result.stderr
