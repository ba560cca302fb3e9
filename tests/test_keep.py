"""train: ending a run in time, keeping the best and the last, clipping, and what a checkpoint holds."""

from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import data, nn, optim, train
from tinycnn.optim import lr_scheduler


def make_trainer(*callbacks: train.Callback, lr: float = 0.1, **options: Any) -> train.Trainer:
    tinycnn.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    return train.Trainer(net, optim.SGD(net.parameters(), lr=lr), callbacks=callbacks, **options)


def batches(n: int = 64) -> data.DataLoader:
    return data.DataLoader(data.Subset(data.Digits(), range(n)), 16)


class Scripted(train.Trainer):
    """A trainer whose evaluations come out as they are written here."""

    losses: tuple[float, ...] = ()

    def _evaluate(self, data: Any, stoppable: bool = False) -> tuple[float, float]:
        loss = self.losses[self.epoch]
        return loss, 1 - loss / 10


def scripted(losses: tuple[float, ...], *callbacks: train.Callback) -> Scripted:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    trainer = Scripted(net, optim.SGD(net.parameters(), lr=0.1), callbacks=callbacks)
    trainer.losses = losses
    return trainer


LOSSES = (5.0, 3.0, 3.5, 2.9, math.nan, 3.1, 2.0, 1.0)


@pytest.mark.parametrize(
    ("patience", "options", "epochs", "best"),
    [
        (1, {}, 3, 2),
        (2, {}, 6, 4),
        (3, {}, 8, 8),
        (2, {"min_delta": 0.2}, 4, 2),
        (2, {"monitor": "test_accuracy"}, 6, 4),
    ],
)
def test_early_stop(patience: int, options: dict[str, Any], epochs: int, best: int) -> None:
    stop = train.EarlyStop(patience, **options)
    trainer = scripted(LOSSES, stop)
    trainer.fit(batches(), batches(), epochs=len(LOSSES))
    assert (trainer.epoch, stop.best.epoch) == (epochs, best)
    assert trainer.stopped == stop.is_over == (epochs < len(LOSSES))


@pytest.mark.parametrize("epochs", [4, 8])
def test_early_stop_gives_the_best_weights_back(epochs: int, tmp_path: pathlib.Path) -> None:
    class Remember(train.Callback):
        def __init__(self) -> None:
            self.weights: list[np.ndarray] = []

        def on_epoch_end(self, trainer: train.Trainer, result: train.EpochResult) -> None:
            self.weights.append(trainer.model[1].weight.detach().numpy().copy())  # type: ignore[index]

    seen = Remember()
    trainer = scripted((5.0, 3.0, 3.5, 3.6, *LOSSES), train.EarlyStop(2, restore_best=True), seen)
    trainer.fit(batches(), batches(), epochs=epochs)
    assert trainer.epoch == 4
    np.testing.assert_array_equal(trainer.model[1].weight.detach().numpy(), seen.weights[1])  # type: ignore[index]
    assert (seen.weights[1] != seen.weights[3]).any()


def test_early_stop_without_test_data_or_sense() -> None:
    with pytest.raises(ValueError, match="test_loss is to be watched, but `fit` was given no test data"):
        make_trainer(train.EarlyStop(1)).fit(batches())
    with pytest.raises(ValueError, match="patience must be an integer of 1 or more, got 0"):
        train.EarlyStop(0)
    with pytest.raises(ValueError, match="min_delta must be 0 or more, got -1"):
        train.EarlyStop(1, min_delta=-1)
    with pytest.raises(ValueError, match="monitor must be one of test_accuracy, test_loss, got 'train_loss'"):
        train.EarlyStop(1, monitor="train_loss")  # type: ignore[arg-type]


def test_the_best_and_the_last_are_kept(tmp_path: pathlib.Path) -> None:
    keep = train.Checkpoints(tmp_path, lambda: {"epoch": trainer.epoch})
    trainer = scripted(LOSSES, keep)
    for epoch, best in ((1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 7)):
        trainer.fit(batches(), batches())
        assert train.load_checkpoint(tmp_path / "last.safetensors").facts == {"epoch": epoch}
        assert train.load_checkpoint(tmp_path / "best.safetensors").facts == {"epoch": best}
    assert (keep.best.value, keep.best.epoch) == (1 - 2.0 / 10, 7)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_what_was_best_is_known_when_a_run_goes_on(tmp_path: pathlib.Path) -> None:
    trainer = scripted((2.0, 3.0, 1.0), train.Checkpoints(tmp_path))
    trainer.fit(batches(), batches(), epochs=2)
    best = (tmp_path / "best.safetensors").read_bytes()
    again = scripted((2.0, 2.5, 2.7), train.Checkpoints(tmp_path))
    again.load(tmp_path / "last.safetensors")
    again.fit(batches(), batches())
    assert (tmp_path / "best.safetensors").read_bytes() == best


def test_checkpoints_within_an_epoch(tmp_path: pathlib.Path) -> None:
    class Count(train.Checkpoints):
        saved: tuple[int, ...] = ()

        def save_last(self, trainer: train.Trainer) -> None:
            super().save_last(trainer)
            assert self.saved_step == trainer.step
            self.saved += (trainer.step,)

    keep = Count(tmp_path, every=3)
    make_trainer(keep).fit(batches(), epochs=2)
    assert keep.saved == (3, 4, 6, 8)
    assert not (tmp_path / "best.safetensors").exists()  # there are no test data
    for every in (0, True):
        with pytest.raises(ValueError, match="every must be an integer of 1 or more"):
            train.Checkpoints(tmp_path, every=every)


def test_a_diverged_run_does_not_replace_its_checkpoint(tmp_path: pathlib.Path) -> None:
    class Explode(train.Callback):
        def on_step_end(self, trainer: train.Trainer) -> None:
            if trainer.step == 2:
                trainer.model[1].weight.data.fill_(math.nan)  # type: ignore[index]

    trainer = make_trainer(Explode(), train.Checkpoints(tmp_path, every=1))
    with pytest.raises(train.TrainingDivergedError, match="the loss became nan in epoch 1"):
        trainer.fit(batches(), epochs=3)
    saved = train.load_checkpoint(tmp_path / "last.safetensors")
    assert saved.progress is not None
    assert saved.progress["step"] == 2
    assert trainer.step == 3


def test_a_long_epoch_that_diverges_ends_before_its_end() -> None:
    trainer = make_trainer(lr=math.inf)
    with pytest.raises(train.TrainingDivergedError):
        trainer.fit(batches(1024), epochs=1)
    assert trainer.step == 20


def test_clipping_is_that_of_the_gradients_together() -> None:
    free, clipped = make_trainer(), make_trainer(clip_norm=0.01)
    start = free.model[1].weight.detach().numpy().copy()  # type: ignore[index]
    X, y = next(iter(batches()))
    moves = []
    for trainer in (free, clipped):
        trainer.train_step(X, y)
        moves.append(trainer.model[1].weight.detach().numpy() - start)  # type: ignore[index]
    norm = math.sqrt(sum(float((p.grad.numpy() ** 2).sum()) for p in clipped.model.parameters() if p.grad is not None))
    assert norm == pytest.approx(0.01, rel=1e-3)
    share = np.linalg.norm(moves[1]) / np.linalg.norm(moves[0])
    assert share < 0.1
    np.testing.assert_allclose(moves[1], share * moves[0], atol=1e-7)


def test_wrong_arguments_of_a_trainer() -> None:
    with pytest.raises(ValueError, match="clip_norm must be above 0, got 0"):
        make_trainer(clip_norm=0)
    with pytest.raises(ValueError, match="scheduler_interval must be 'epoch' or 'step', got 'batch'"):
        make_trainer(scheduler_interval="batch")
    net = nn.Linear(1, 1)
    mine, other = (optim.SGD(net.parameters(), lr=0.1) for _ in range(2))
    with pytest.raises(ValueError, match="the scheduler is of another optimiser"):
        train.Trainer(net, mine, scheduler=lr_scheduler.StepLR(other, 1))
    with pytest.raises(ValueError, match="ReduceLROnPlateau looks at epochs"):
        train.Trainer(net, mine, scheduler=lr_scheduler.ReduceLROnPlateau(mine), scheduler_interval="step")
    twice = make_trainer(train.EarlyStop(1), train.EarlyStop(2))
    with pytest.raises(ValueError, match="two callbacks called EarlyStop have a state"):
        twice.state_dict()


def test_data_that_are_a_list_begin_their_epoch_anew() -> None:
    class StopAt(train.Callback):
        def on_step_end(self, trainer: train.Trainer) -> None:
            if trainer.step == 2:
                trainer.stop()

    trainer = make_trainer(StopAt())
    listed: Any = list(batches())
    trainer.fit(listed, epochs=2)
    trainer.fit(listed, epochs=1)
    assert (trainer.step, trainer.epoch) == (6, 1)


# ---- what a checkpoint holds ----------------------------------------------------------------------------------------


def test_nested_state_comes_back(tmp_path: pathlib.Path) -> None:
    progress = {
        "numbers": {3: [1, 2.5, None], 10: (True, "x")},
        "tensors": [tinycnn.arange(3), {"deep": (tinycnn.ones(2, 1),)}],
        "$tensor": "a name",
        "infinity": -math.inf,
        "third": 1 / 3,
    }
    train.save_checkpoint(tmp_path / "c.safetensors", nn.Linear(1, 1), progress=progress)
    found = train.load_checkpoint(tmp_path / "c.safetensors").progress
    assert found is not None
    tensors = [found["tensors"][0], found["tensors"][1]["deep"][0]]
    assert [t.tolist() for t in tensors] == [[0, 1, 2], [[1.0], [1.0]]]
    assert tensors[0].dtype is tinycnn.int64
    for each in (found, progress):
        each.pop("tensors")
    assert found == progress


def test_every_dtype_and_an_empty_tensor(tmp_path: pathlib.Path) -> None:
    from safetensors.numpy import load_file

    net = nn.Module()
    dtypes = ("float16", "float32", "float64", "complex64", "bool", "int8", "int16", "int32", "int64", "uint8")
    for name in dtypes:
        net.register_buffer(name, tinycnn.tensor([[1, 0, 1]]).to(getattr(tinycnn, name)))
    net.register_buffer("none", tinycnn.zeros(0, 4))
    net.register_buffer("one", tinycnn.tensor(7.0))
    path = tmp_path / "c.safetensors"
    train.save_checkpoint(path, net)
    for found in ({k: v.numpy() for k, v in train.load_checkpoint(path).model.items()}, load_file(path)):
        assert found.keys() == net.state_dict().keys()
        for name, tensor in net.state_dict().items():
            assert found[name].dtype == tensor.numpy().dtype
            np.testing.assert_array_equal(found[name], tensor.numpy())
    net.register_buffer("wide", tinycnn.zeros(1, dtype=tinycnn.complex128))
    with pytest.raises(TypeError, match="save_checkpoint: .*complex128"):
        train.save_checkpoint(path, net)


def test_one_wrong_bit_is_found(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.safetensors"
    train.save_checkpoint(path, nn.Linear(20, 20), facts={"lr": 0.125})
    content = path.read_bytes()
    for place in (len(content) - 100, content.index(b"0.125") + 4):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ValueError, match="not a checkpoint, or a damaged one: its checksum is wrong"):
            train.load_checkpoint(path)


def test_weights_of_another_network(tmp_path: pathlib.Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "c.safetensors"
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    train.save_checkpoint(path, source, optim.SGD(source.parameters(), 0.1))
    target = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    assert train.load_weights(target, path) is target
    for name, tensor in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name].numpy(), tensor.numpy())
    lazy = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    train.load_weights(lazy, path)
    assert lazy.state_dict()["0.weight"].tolist() == source.state_dict()["0.weight"].tolist()

    before = target[0].weight.detach().numpy().copy()
    for other, message in (
        (
            nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)),
            r"0.weight is \(4, 3\) there and \(5, 3\) here \(6 differ\)",
        ),
        (nn.Sequential(nn.Linear(3, 4)), "only the file has 1.bias, 1.num_batches_tracked and 3 more"),
        (nn.Sequential(*source, nn.Linear(4, 1)), "only this network has 2.weight, 2.bias"),
    ):
        with pytest.raises(ValueError, match=f"c.safetensors: weights of another network: {message}"):
            train.load_weights(other, path)
    np.testing.assert_array_equal(target[0].weight.detach().numpy(), before)
    save_file({"weight": np.ones((1, 2), np.float32), "bias": np.zeros(1, np.float32)}, path)
    assert train.load_weights(nn.Linear(2, 1), path).weight.tolist() == [[1.0, 1.0]]  # type: ignore[union-attr]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path: pathlib.Path) -> None:
    train.save_checkpoint(tmp_path / "c.safetensors", nn.Linear(1, 1))
    (tmp_path / "other").touch()
    assert (tmp_path / "c.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_log_is_in_step_with_the_history(tmp_path: pathlib.Path) -> None:
    log = train.JsonLines(tmp_path / "log.jsonl")
    trainer = scripted((math.inf, 2.0, 1.0), log)
    trainer.fit(batches(), batches(), epochs=2)
    with open(log.path, "a") as file:
        file.write('{"epoch": 3, "from": "a run that was killed"}\n{"epo')
    trainer.fit(batches(), batches())
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["epoch"], line["test_loss"], line["step"]) for line in lines] == [
        (1, None, 4),
        (2, 2.0, 8),
        (3, 1.0, 12),
    ]
