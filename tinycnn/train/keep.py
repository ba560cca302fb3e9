"""Callbacks that keep the best: as files, and by ending a run that becomes no better."""

from __future__ import annotations

import copy
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any, Literal

from .callback import Callback, EpochResult
from .checkpoint import save_checkpoint
from .trainer import Trainer

Monitor = Literal["test_accuracy", "test_loss"]
_SIGN = {"test_accuracy": 1, "test_loss": -1}  # what a result is multiplied by so that more is better


class Best:
    """The best result so far, by one of its values; the first of equal ones.

    Raises:
        ValueError: if monitor is no such value.
    """

    def __init__(self, monitor: Monitor, min_delta: float = 0.0) -> None:
        if monitor not in _SIGN:
            raise ValueError(f"monitor must be one of {', '.join(_SIGN)}, got {monitor!r}")
        self.monitor, self.min_delta = monitor, min_delta
        self.value: float | None = None
        self.epoch = 0

    def is_new(self, result: EpochResult) -> bool:
        """Whether a result is better than all before by more than min_delta; if so it is the best now.

        Raises:
            ValueError: if there are no test data.
        """
        value = getattr(result, self.monitor)
        if value is None:
            raise ValueError(f"{self.monitor} is to be watched, but `fit` was given no test data")
        better = math.isfinite(value) and (
            self.value is None or _SIGN[self.monitor] * (value - self.value) > self.min_delta
        )
        if better:
            self.value, self.epoch = value, result.epoch
        return better

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.epoch = state["value"], state["epoch"]


class EarlyStop(Callback):
    """Ends training when the test results have not become better for some epochs.

    Args:
        patience: how many epochs without improvement end it.
        monitor: what is watched, "test_loss" or "test_accuracy".
        min_delta: by how much a result must be better to count.
        restore_best: give the model the parameters and buffers of the best epoch back when `fit` ends.

    Raises:
        ValueError: if patience is not positive, min_delta is negative or monitor is unknown; during `fit`, if there are
            no test data.

    Example:
        >>> import tinycnn
        >>> from tinycnn import data, nn, optim, train
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.0), callbacks=[train.EarlyStop(patience=2)])
        >>> test = data.DataLoader(data.Digits(train=False), 360)
        >>> len(trainer.fit(test, test, epochs=10))
        3
        >>> trainer.stop_reason
        'the test loss has not become better for 2 epochs'
    """

    def __init__(
        self, patience: int, monitor: Monitor = "test_loss", min_delta: float = 0.0, restore_best: bool = False
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStop: patience must be an integer of 1 or more, got {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStop: min_delta must be 0 or more, got {min_delta}")
        self.patience, self.restore_best = patience, restore_best
        self.best = Best(monitor, min_delta)
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        if self.best.is_new(result):
            self.waited = 0
            if self.restore_best:
                self._weights = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        else:
            self.waited += 1
        if self.is_over:
            what = self.best.monitor.replace("_", " ")
            epochs = "1 epoch" if self.patience == 1 else f"{self.patience} epochs"
            trainer.stop(f"the {what} has not become better for {epochs}")

    def on_fit_end(self, trainer: Trainer) -> None:
        # A run that was interrupted goes on with the weights that it has.
        if self._weights is not None and (self.is_over or trainer.epoch >= trainer.epochs):
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.state_dict(), "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load_state_dict(state["best"])
        self.waited, self._weights = state["waited"], copy.copy(state["weights"])


class Checkpoints(Callback):
    """Keeps two files in a folder: `last.safetensors`, to go on from, and `best.safetensors`, the weights of the epoch
    with the best test results.

    The last is written after each epoch, every so many steps if wanted, and when training is stopped; the best only if
    there are test data. It should come last of the callbacks, so that what the others remember is up to date in it.

    Args:
        folder: where; it must be there.
        facts: gives what else is to stand in the files.
        every: steps between checkpoints within an epoch.
        monitor: what is best, the highest "test_accuracy" or the lowest "test_loss"; the first of equal ones.

    Raises:
        ValueError: if every is not positive or monitor is unknown.
    """

    LAST, BEST = "last.safetensors", "best.safetensors"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        facts: Callable[[], dict[str, Any]] = dict,
        every: int | None = None,
        monitor: Monitor = "test_accuracy",
    ) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ValueError(f"Checkpoints: every must be an integer of 1 or more, got {every!r}")
        self.folder, self.facts, self.every = pathlib.Path(folder), facts, every
        self.best = Best(monitor)
        self.saved_step: int | None = None  # of the last checkpoint that this object wrote

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every is not None and trainer.step % self.every == 0:
            trainer.check_finite()  # a run that diverged is not to replace the checkpoint from before
            self.save_last(trainer)

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        if result.test_loss is not None and self.best.is_new(result):
            save_checkpoint(self.folder / self.BEST, trainer.model, facts=self.facts())
        self.save_last(trainer)

    def save_last(self, trainer: Trainer) -> None:
        """Write `last.safetensors` now, unless it is of this very step."""
        if self.saved_step != trainer.step or not trainer.batch:
            trainer.save(self.folder / self.LAST, self.facts())
            self.saved_step = trainer.step

    def state_dict(self) -> dict[str, Any]:
        return self.best.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load_state_dict(state)
