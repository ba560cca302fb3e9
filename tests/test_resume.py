"""A run that was interrupted, by whatever, and went on is the run that was not interrupted: bit for bit."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import data, nn, optim, train
from tinycnn.data import transforms
from tinycnn.optim import lr_scheduler

pytest.importorskip("typer")

ROOT = pathlib.Path(tinycnn.__file__).resolve().parent.parent
TIMES = ("seconds", "images_per_second")


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in TIMES}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal bit for bit, but for times."""
    if isinstance(a, tinycnn.Tensor):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=where)
        assert a.dtype is b.dtype, where
    elif isinstance(a, dict):
        assert [k for k in a if k not in TIMES] == [k for k in b if k not in TIMES], where
        for key in without_times(a):
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert type(a) is type(b), where
        assert a == b, where


# ---- within a process -----------------------------------------------------------------------------------------------

IMAGES, BATCH, EPOCHS = 160, 32, 3
STEPS = IMAGES // BATCH * EPOCHS


class StopAt(train.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: train.Trainer) -> None:
        if trainer.step == self.step:
            trainer.stop()


def make_optimizer(name: str, net: nn.Module) -> optim.Optimizer:
    if name == "sgd":
        return optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    return getattr(optim, name)(net.parameters(), lr=0.01)  # type: ignore[no-any-return]


def make_scheduler(name: str, optimizer: optim.Optimizer) -> tuple[Any, Any]:
    if name == "warmup":
        parts = [lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 4), lr_scheduler.StepLR(optimizer, 3, 0.5)]
        return lr_scheduler.SequentialLR(optimizer, parts, [4]), "step"
    if name == "onecycle":
        return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS), "step"
    if name == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0), "epoch"
    return lr_scheduler.StepLR(optimizer, 1, 0.5), "epoch"


def trainer_with_everything(
    optimizer: str, scheduler: str, stop_at: int, prefetch: int = 0, seed: int = 0
) -> tuple[train.Trainer, data.DataLoader, data.DataLoader]:
    """Dropout, batch normalisation, a schedule, clipping, an early stop, shuffling and random crops."""
    tinycnn.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(),
        nn.Linear(4 * 144, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.5), nn.Linear(24, 10),
    )  # fmt: skip
    made = make_optimizer(optimizer, net)
    schedule, interval = make_scheduler(scheduler, made)
    trainer = train.Trainer(
        net,
        made,
        callbacks=[StopAt(stop_at), train.EarlyStop(5, restore_best=True)],
        scheduler=schedule,
        scheduler_interval=interval,
        clip_norm=1.0,
    )
    digits = data.Digits().with_transform(transforms.RandomCrop(28, padding=3))
    order = tinycnn.Generator().manual_seed(seed)
    batches = data.DataLoader(
        data.Subset(digits, range(IMAGES)), BATCH, shuffle=True, generator=order, prefetch=prefetch
    )
    return trainer, batches, data.DataLoader(data.Subset(data.Digits(train=False), range(64)), 64)


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "prefetch"),
    [
        ("sgd", "step", 0),
        ("Adam", "warmup", 2),
        ("AdamW", "onecycle", 0),
        ("RMSprop", "plateau", 1),
        ("Adagrad", "step", 0),
    ],
)
@pytest.mark.parametrize("own_generator", [True, False])
def test_a_stopped_run_goes_on_bit_for_bit(
    optimizer: str, scheduler: str, prefetch: int, own_generator: bool, tmp_path: pathlib.Path
) -> None:
    def make(stop_at: int, seed: int = 0) -> tuple[train.Trainer, data.DataLoader, data.DataLoader]:
        made = trainer_with_everything(optimizer, scheduler, stop_at, prefetch, seed)
        if not own_generator:
            made[1].generator = None  # the order comes from the same random numbers as dropout's masks
        return made

    whole, *batches = make(stop_at=-1)
    whole.fit(*batches, epochs=EPOCHS)

    # Once in the middle of an epoch, and once behind an epoch's last step, before it was measured.
    place = random.Random(f"{optimizer}{own_generator}")
    for stop_at in (place.choice([n for n in range(1, STEPS) if n % (IMAGES // BATCH)]), IMAGES // BATCH):
        part, *batches = make(stop_at)
        part.fit(*batches, epochs=EPOCHS)
        assert part.stopped
        assert part.step == stop_at
        part.save(tmp_path / "c.safetensors", {"note": 1})

        tinycnn.manual_seed(12345)
        again, *batches = make(stop_at=-1, seed=99)
        again.load(tmp_path / "c.safetensors")
        assert (again.step, again.epoch) == (part.step, part.epoch)
        again.fit(*batches, epochs=EPOCHS - again.epoch)
        assert_same(again.state_dict(), whole.state_dict())
        assert [r.epoch for r in again.history] == [1, 2, 3]
    assert again.history[-1].lr != again.history[0].lr or scheduler == "plateau"


def test_a_stopped_run_goes_on_in_place() -> None:
    whole, *batches = trainer_with_everything("sgd", "step", stop_at=-1)
    whole.fit(*batches, epochs=EPOCHS)
    part, *batches = trainer_with_everything("sgd", "step", stop_at=7)
    part.fit(*batches, epochs=EPOCHS)
    assert (part.step, part.batch, part.epoch) == (7, 2, 1)
    part.fit(*batches, epochs=EPOCHS - part.epoch)
    assert_same(part.state_dict(), whole.state_dict())


def test_reading_the_means_changes_nothing() -> None:
    class Reads(train.Callback):
        def on_step_end(self, trainer: train.Trainer) -> None:
            assert trainer.loss.value > 0
            trainer.state_dict()

    whole, *batches = trainer_with_everything("sgd", "step", stop_at=-1)
    whole.fit(*batches, epochs=2)
    read, *batches = trainer_with_everything("sgd", "step", stop_at=-1)
    read.callbacks.append(Reads())
    read.fit(*batches, epochs=2)
    assert_same(read.state_dict(), whole.state_dict())


def test_an_evaluation_that_is_stopped_is_taken_again(tmp_path: pathlib.Path) -> None:
    whole, *batches = trainer_with_everything("sgd", "step", stop_at=-1)
    whole.fit(*batches, epochs=2)

    part, first, test = trainer_with_everything("sgd", "step", stop_at=-1)

    class StopsTheTrainer(data.Dataset[Any]):
        def __len__(self) -> int:
            return len(test.dataset)

        def __getitem__(self, index: int) -> Any:
            part.stop()
            return test.dataset[index]

    part.fit(first, data.DataLoader(StopsTheTrainer(), 16), epochs=2)
    assert (part.epoch, part.step, part.batch) == (0, 5, 5)
    assert part.model.training
    part.save(tmp_path / "c.safetensors")
    again, *batches = trainer_with_everything("sgd", "step", stop_at=-1, seed=5)
    again.load(tmp_path / "c.safetensors")
    again.fit(*batches, epochs=2)
    assert_same(again.state_dict(), whole.state_dict())


def test_a_state_of_another_trainer_is_refused(tmp_path: pathlib.Path) -> None:
    trainer, *batches = trainer_with_everything("sgd", "step", stop_at=-1)
    trainer.fit(*batches, epochs=1)
    trainer.save(tmp_path / "c.safetensors")
    plain = train.Trainer(trainer.model, trainer.optimizer)
    with pytest.raises(ValueError, match="there is no scheduler here and one in the state"):
        plain.load(tmp_path / "c.safetensors")
    other, *_ = trainer_with_everything("sgd", "step", stop_at=-1)
    other.callbacks.pop()
    with pytest.raises(ValueError, match="the state has callbacks EarlyStop, here are none"):
        other.load(tmp_path / "c.safetensors")
    other, *_ = trainer_with_everything("sgd", "plateau", stop_at=-1)
    with pytest.raises(ValueError, match="another scheduler's state"):
        other.load(tmp_path / "c.safetensors")
    net = nn.Linear(2, 2)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    other = train.Trainer(net, optimizer, callbacks=trainer.callbacks, scheduler=lr_scheduler.StepLR(optimizer, 1))
    with pytest.raises(ValueError, match=r"Missing key\(s\) in state_dict"):
        other.load(tmp_path / "c.safetensors")
    train.save_checkpoint(tmp_path / "w.safetensors", trainer.model)
    with pytest.raises(ValueError, match="holds weights, but no state of a training run"):
        trainer.load(tmp_path / "w.safetensors")


# ---- the command line, killed ---------------------------------------------------------------------------------------

RUN = [sys.executable, "-m", "tinycnn.cli", "train"]
SETTINGS = ["mlp", "--option", "hidden=32", "--option", "dropout=0.3", "--augment", "--batch-size", "48"]
SETTINGS += ["--scheduler", "step", "--decay-at", "2", "--seed", "3", "--checkpoint-every", "4", "--validation", "0.1"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TINYCNN_KERNELS": "reference"}


def call(folder: pathlib.Path, *args: str) -> None:
    done = subprocess.run(
        [*RUN, *args], check=False, env=environment(), capture_output=True, text=True, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def start(folder: pathlib.Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, *args], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def wait_until(found: Any, process: subprocess.Popen[str], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not found() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def step_of(path: pathlib.Path) -> int:
    return int(train.load_checkpoint(path).facts["step"]) if path.exists() else 0


def assert_the_same_run(a: pathlib.Path, b: pathlib.Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        x, y = train.load_checkpoint(a / name), train.load_checkpoint(b / name)
        for part in ("model", "optimizer", "random", "progress"):
            assert_same(getattr(x, part), getattr(y, part), f"{name}/{part}")
    logs = [[json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] for folder in (a, b)]
    assert_same(*logs)
    records = [json.loads((folder / "run.json").read_text()) for folder in (a, b)]
    assert_same(*(({k: v for k, v in r.items() if k != "settings"}) for r in records))
    assert records[0]["finished"]
    assert sorted(p.name for p in a.iterdir()) == sorted(p.name for p in b.iterdir())


QUICK = 6  # epochs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a run of QUICK epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    call(folder, *SETTINGS, "--epochs", str(QUICK), "--out", "whole")
    return folder / "whole"


def kill_and_resume(folder: pathlib.Path, whole: pathlib.Path, kills: int, epochs: int) -> None:
    settings = [*SETTINGS, "--epochs", str(epochs)]
    place = random.Random(kills)
    killed, last = folder / "killed", folder / "killed" / "last.safetensors"
    reached, left = 0, kills
    for _ in range(10 * kills):
        arguments = ["--resume", "killed"] if (killed / "run.json").exists() else [*settings, "--out", "killed"]
        with start(folder, *arguments) as process:
            if left:
                # A moment of the start now and then; else some moment after it has gone a few steps further.
                if place.random() < 0.2:
                    time.sleep(place.uniform(0, 1))
                else:
                    changed = last.stat().st_mtime_ns if last.exists() else 0
                    wait_until(lambda: last.exists() and last.stat().st_mtime_ns != changed, process)  # noqa: B023
                    time.sleep(place.uniform(0, 0.2))
                if process.poll() is None:
                    process.kill()
                    left -= 1
            _, errors = process.communicate(timeout=300)
            assert process.returncode in (0, -signal.SIGKILL), errors
        for path in killed.glob("*.safetensors"):
            assert train.load_checkpoint(path).model  # whole at any time
        assert step_of(last) >= reached  # nothing that was saved is lost
        reached = step_of(last)
        if process.returncode == 0:
            break
    assert left == 0, f"the run was over before it had been killed {kills} times"
    assert process.returncode == 0
    assert_the_same_run(killed, whole)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_two_kills_lose_nothing(tmp_path: pathlib.Path, whole: pathlib.Path) -> None:
    kill_and_resume(tmp_path, whole, kills=2, epochs=QUICK)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_twenty_kills_lose_nothing(tmp_path: pathlib.Path) -> None:
    call(tmp_path, *SETTINGS, "--epochs", "80", "--out", "whole")
    kill_and_resume(tmp_path, tmp_path / "whole", kills=20, epochs=80)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on(
    number: signal.Signals, code: int, tmp_path: pathlib.Path, whole: pathlib.Path
) -> None:
    folder = tmp_path / "part"
    with start(tmp_path, *SETTINGS, "--epochs", str(QUICK), "--out", "part") as process:
        wait_until((folder / "last.safetensors").exists, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    steps = int(errors.split()[3])
    assert errors == f"tinycnn: interrupted after {steps} steps; the checkpoint is in part\n"
    assert step_of(folder / "last.safetensors") == steps
    call(tmp_path, "--resume", "part")
    assert_the_same_run(folder, whole)
    assert step_of(folder / "last.safetensors") == QUICK * 27
