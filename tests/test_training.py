"""train: LeNet learns, the same seed gives the same run, and what is saved comes back whole."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import data, models, nn, optim, train


def small(n: int = 512) -> data.Subset:
    return data.Subset(data.Digits(), range(n))


def loader(dataset: data.Dataset[Any], seed: int = 0, batch_size: int = 32) -> data.DataLoader:
    generator = tinycnn.Generator().manual_seed(seed)
    return data.DataLoader(dataset, batch_size, shuffle=True, generator=generator)


def lenet_trainer(
    seed: int = 0, callbacks: list[train.Callback] | None = None, activation: str = "tanh"
) -> train.Trainer:
    tinycnn.manual_seed(seed)
    net = train.initialize(models.lenet(activation=activation), "xavier")
    return train.Trainer(net, optim.SGD(net.parameters(), lr=0.05, momentum=0.9), callbacks=callbacks or ())


def weights(module: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy().copy() for p in module.parameters()]


def test_lenet_learns_the_digits() -> None:
    trainer = lenet_trainer()
    history = trainer.fit(loader(small()), data.DataLoader(data.Digits(train=False), 360), epochs=6)
    assert [r.epoch for r in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].train_loss < 0.25 * history[0].train_loss
    assert history[-1].test_accuracy is not None
    assert history[-1].test_accuracy > 0.9
    assert trainer.step == 6 * 16
    assert all(r.images_per_second > 0 and r.seconds > 0 for r in history)


@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_the_same_seed_gives_the_same_bits(kernels: str) -> None:
    try:
        block = tinycnn.use_kernels(kernels)
    except RuntimeError as error:
        pytest.skip(str(error))
    runs = []
    with block:
        for seed in (3, 3, 4):
            trainer = lenet_trainer(seed)
            trainer.fit(loader(small(128), seed), epochs=2)
            runs.append((weights(trainer.model), [r.train_loss for r in trainer.history]))
    (a, losses_a), (b, losses_b), (c, _) = runs
    assert losses_a == losses_b
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert not any((x == y).all() for x, y in zip(a, c, strict=True))


@pytest.mark.parity
def test_the_step_is_pytorchs() -> None:
    """The same weights and batches give the same losses and weights as PyTorch, in float64."""
    torch = pytest.importorskip("torch")
    tinycnn.manual_seed(0)
    net = models.lenet().to(tinycnn.float64)
    t = torch.nn
    other = t.Sequential(
        t.Conv2d(1, 6, 5, padding=2), t.Sigmoid(), t.AvgPool2d(2, 2),
        t.Conv2d(6, 16, 5), t.Sigmoid(), t.AvgPool2d(2, 2),
        t.Flatten(), t.Linear(400, 120), t.Sigmoid(), t.Linear(120, 84), t.Sigmoid(), t.Linear(84, 10),
    ).double()  # fmt: skip
    other.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.9))
    theirs = torch.optim.SGD(other.parameters(), lr=0.9)
    for X, y in data.DataLoader(small(64), 16):
        loss = trainer.train_step(X.to(tinycnn.float64), y)
        theirs.zero_grad()
        expected = t.functional.cross_entropy(other(torch.tensor(X.numpy()).double()), torch.tensor(y.numpy()))
        expected.backward()
        theirs.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("clip", [None, 1.0])
def test_mixed_precision_trains_and_goes_on(clip: float | None) -> None:
    """The loss falls; a step whose gradients overflow is left out; the scale goes into the state."""

    def trainer() -> train.Trainer:
        tinycnn.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
        return train.Trainer(net, optim.Adam(net.parameters(), lr=0.01), clip_norm=clip, amp_dtype=tinycnn.float16)

    a = trainer()
    history = a.fit(loader(small(128), 0), loader(small(64), 0), epochs=8)
    assert history[-1].train_loss < 0.7 * history[0].train_loss
    assert history[-1].test_loss is not None
    assert all(p.dtype is tinycnn.float32 for p in a.model.parameters())
    assert a.scaler is not None
    before, scale = weights(a.model), a.scaler.get_scale()
    a.scaler.update(1e30)  # too large for any gradient
    a.train_step(*next(iter(loader(small(64), 0))))
    assert all((x == y).all() for x, y in zip(before, weights(a.model), strict=True))
    assert a.scaler.get_scale() == 5e29 != scale
    b = trainer()
    b.load_state_dict(a.state_dict())
    assert b.scaler is not None
    assert b.scaler.get_scale() == 5e29


def test_there_is_no_other_half_precision() -> None:
    net = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="float16"):
        train.Trainer(net, optim.SGD(net.parameters()), amp_dtype=tinycnn.float32)


class Recorder(train.Callback):
    def __init__(self, stop_at: int | None = None) -> None:
        self.events: list[str] = []
        self.stop_at = stop_at

    def on_fit_start(self, trainer: train.Trainer) -> None:
        self.events.append(f"start {trainer.epochs}x{trainer.steps_per_epoch}")

    def on_step_end(self, trainer: train.Trainer) -> None:
        assert math.isfinite(trainer.loss.value)
        assert 0 <= trainer.accuracy.value <= 1
        if trainer.step == self.stop_at:
            trainer.stop()

    def on_epoch_end(self, trainer: train.Trainer, result: train.EpochResult) -> None:
        self.events.append(f"epoch {result.epoch}")

    def on_fit_end(self, trainer: train.Trainer) -> None:
        self.events.append("end")


def test_callbacks_and_stopping() -> None:
    recorder = Recorder(stop_at=6)
    trainer = lenet_trainer(callbacks=[recorder])
    trainer.fit(loader(small(128)), epochs=2)
    assert recorder.events == ["start 2x4", "epoch 1", "end"]
    assert trainer.stopped
    assert (trainer.step, trainer.epoch) == (6, 1)
    recorder.stop_at = None
    trainer.fit(loader(small(128)), epochs=1)
    assert recorder.events[3:] == ["start 2x4", "epoch 2", "end"]
    assert not trainer.stopped


def test_evaluation_uses_evaluation_mode_and_leaves_no_trace() -> None:
    tinycnn.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 30), nn.BatchNorm1d(30), nn.Dropout(0.5), nn.Linear(30, 10))
    trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.1))
    test = data.DataLoader(data.Digits(train=False), 100)
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    first, second = trainer.evaluate(test), trainer.evaluate(test)
    assert first == second  # no dropout
    assert net.training
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    assert all(p.grad is None for p in net.parameters())
    net.eval()
    with tinycnn.no_grad():
        logits = net(tinycnn.from_numpy(data.Digits(train=False).images))
    labels = tinycnn.from_numpy(data.Digits(train=False).labels)
    assert first[1] == pytest.approx(train.accuracy(logits, labels), rel=1e-6)
    assert first[0] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)


def test_a_diverged_run_says_so() -> None:
    trainer = lenet_trainer(activation="relu")
    trainer.optimizer.param_groups[0]["lr"] = 1e30
    with np.errstate(all="ignore"), pytest.raises(train.TrainingDivergedError, match=r"the loss became .* in epoch 1"):
        trainer.fit(loader(small(128)), epochs=3)


def test_no_batches() -> None:
    trainer = lenet_trainer()
    with pytest.raises(ValueError, match="the training data make no batch"):
        trainer.fit(data.DataLoader(small(8), 16, drop_last=True))


def test_metrics() -> None:
    logits = tinycnn.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    labels = tinycnn.tensor([1, 0, 0, 1])
    assert train.accuracy(logits, labels) == 0.5
    assert train.count_correct(logits, labels).item() == 2
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        train.accuracy(logits, labels[:3])
    assert math.isnan(train.Mean().value)


def test_initialize() -> None:
    tinycnn.manual_seed(0)
    net = models.lenet()
    before = weights(net)
    assert train.initialize(net, "default") is net
    assert all((a == b).all() for a, b in zip(weights(net), before, strict=True))
    train.initialize(net, "xavier")
    bound = math.sqrt(6 / (400 + 120))
    w = net.state_dict()["7.weight"].numpy()
    assert 0.97 * bound < np.abs(w).max() <= bound
    np.testing.assert_array_equal(net.state_dict()["7.bias"].numpy(), before[5])
    train.initialize(net, "kaiming")
    assert net.state_dict()["7.weight"].numpy().std() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    with pytest.raises(ValueError, match="'glorot' is unknown, there are default, xavier, kaiming"):
        train.initialize(net, "glorot")


def test_recipes_fit_their_networks() -> None:
    for network in models.available():
        for name in data.available():
            recipe = train.recipe_for(network, name)
            assert set(recipe.options) <= set(models.get(network).options)
            assert recipe.init in train.INITS
    assert train.recipe_for("anything", "else") == train.Recipe()


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_continues_the_run(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    whole = lenet_trainer()
    whole.fit(loader(small(128), seed=1), epochs=1)
    train.save_checkpoint(path, whole.model, whole.optimizer, {"network": "lenet", "step": whole.step})
    whole.fit(loader(small(128), seed=2), epochs=1)

    again = lenet_trainer(seed=99)
    saved = train.load_checkpoint(path)
    assert saved.facts == {"network": "lenet", "step": 4}
    again.model.load_state_dict(saved.model)
    assert saved.optimizer is not None
    again.optimizer.load_state_dict(saved.optimizer)
    again.fit(loader(small(128), seed=2), epochs=1)
    assert all((a == b).all() for a, b in zip(weights(whole.model), weights(again.model), strict=True))


def test_a_checkpoint_holds_every_buffer_stride_and_random_state(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.safetensors"
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    turned = tinycnn.from_numpy(np.random.default_rng(0).random((3, 3, 2, 3), np.float32)).permute(3, 2, 0, 1)
    net[0].weight.data = turned  # strides that are not those of its shape
    net(tinycnn.randn(4, 2, 5, 5))
    source = tinycnn.backend.get_backend("cpu").random
    train.save_checkpoint(path, net)
    drawn = source.normal((3,), "float64")
    saved = train.load_checkpoint(path)
    assert saved.optimizer is None
    assert set(saved.model) == set(net.state_dict())
    for name, tensor in net.state_dict().items():
        assert saved.model[name].dtype is tensor.dtype
        assert saved.model[name].shape == tensor.shape
        np.testing.assert_array_equal(saved.model[name].numpy(), tensor.numpy())
    source.set_state(saved.random["cpu"])
    np.testing.assert_array_equal(source.normal((3,), "float64"), drawn)


def test_other_programs_can_read_the_weights(tmp_path: pathlib.Path) -> None:
    from safetensors.numpy import load_file

    trainer = lenet_trainer()
    train.save_checkpoint(tmp_path / "c.safetensors", trainer.model)
    found = load_file(tmp_path / "c.safetensors")
    assert set(found) == set(trainer.model.state_dict())


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    trainer = lenet_trainer()
    train.save_checkpoint(path, trainer.model, facts={"n": 1})

    def no_space(*args: object) -> None:
        raise OSError(28, "No space left on device")

    from tinycnn.train import checkpoint

    monkeypatch.setattr(checkpoint.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        train.save_checkpoint(path, trainer.model, facts={"n": 2})
    assert train.load_checkpoint(path).facts == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_name_that_the_optimiser_needs(tmp_path: pathlib.Path) -> None:
    net = nn.Module()
    net.register_buffer("optimizer/0", tinycnn.zeros(1))
    with pytest.raises(ValueError, match="'optimizer/0' is taken by the state of the training"):
        train.save_checkpoint(tmp_path / "c.safetensors", net)


def test_what_is_no_checkpoint(tmp_path: pathlib.Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "c.safetensors"
    trainer = lenet_trainer()
    train.save_checkpoint(path, trainer.model)
    content = path.read_bytes()
    for broken in (
        b"",
        b"PK\x03\x04",
        content[:100],
        content[:-1],
        content[:-4] + b"xxxxxx",
        b"\xff" * 8 + content[8:],
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="not a checkpoint, or a damaged one") as caught:
            train.load_checkpoint(path)
        assert str(caught.value).startswith(str(path))
    save_file({"w": np.ones(3)}, path)
    with pytest.raises(ValueError, match="a safetensors file, but not a checkpoint of tinycnn"):
        train.load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        train.load_checkpoint(tmp_path / "none")
    with pytest.raises(TypeError, match="not JSON serializable"):
        train.save_checkpoint(path, trainer.model, facts={"x": object()})


# ---- curves and logs ------------------------------------------------------------------------------------------------


def results(n: int, test: bool = True) -> list[train.EpochResult]:
    return [
        train.EpochResult(i, 2 / i, 1 - 1 / i, 2.2 / i if test else None, 1 - 1.1 / i if test else None, 1e4, 0.1)
        for i in range(1, n + 1)
    ]


@pytest.mark.parametrize(("n", "test"), [(1, True), (12, True), (60, False)])
def test_curves(tmp_path: pathlib.Path, n: int, test: bool) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib.image

    path = tmp_path / "curves.png"
    train.plot_history(results(n, test), path, "lenet on digits")
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 300
    assert picture.shape[1] > 2 * picture.shape[0]
    training, tested = ((np.abs(picture[..., :3] - np.array(c) / 255).max(-1) < 0.02).sum() for c in COLOURS)
    assert training > 100
    assert (tested > 100) == test


COLOURS = ((0x25, 0x63, 0xA8), (0xD9, 0x54, 0x1E))


def test_no_curves_without_history(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="the history is empty"):
        train.plot_history([], tmp_path / "curves.png")


def test_the_log_is_json_lines(tmp_path: pathlib.Path) -> None:
    trainer = lenet_trainer(callbacks=[train.JsonLines(tmp_path / "log.jsonl")])
    trainer.fit(loader(small(64)), epochs=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["train_loss"] == trainer.history[1].train_loss
    assert lines[1]["step"] == 4
    assert lines[1]["test_accuracy"] is None
