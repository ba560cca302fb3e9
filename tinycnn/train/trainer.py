"""The training loop.

for each epoch:
    for each batch X, y of the training data:      train_step
        loss = loss_fn(model(X), y);  zero_grad;  loss.backward();  optimizer.step()
    measure loss and accuracy on the test data     evaluate
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import device, get_backend
from ..data import DataLoader
from ..optim import Optimizer
from .metrics import Mean, count_correct


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to; accuracies are shares of 1, test values None without test data.

    Training loss and accuracy are means over the epoch, measured on each batch before its step, as the notes plot them.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    images_per_second: float
    seconds: float


class TrainingDivergedError(ArithmeticError):
    """The loss is no longer a finite number."""


class Callback:
    """Looks on while a Trainer works: subclass it and write the methods that you need."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each training step; `trainer.loss` and `trainer.accuracy` are the epoch's means so far."""

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        """After each epoch and its evaluation."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and also if training was stopped."""


class Trainer:
    """Trains a classifier and keeps the history.

    Args:
        model: gives logits (N, K) for a batch of inputs.
        optimizer: over the model's parameters.
        loss_fn: the loss of logits and labels; by default the mean cross entropy.
        device: where batches are sent; by default where the model's parameters are.
        callbacks: see `Callback`.

    Attributes:
        history: an `EpochResult` for each epoch done.
        step: training steps taken so far.
        epochs, steps_per_epoch: how much `fit` means to do in all.
        loss, accuracy: running means over the current epoch.

    Example:
        >>> import tinycnn
        >>> from tinycnn import data, nn, optim, train
        >>> tinycnn.manual_seed(0)
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.1))
        >>> history = trainer.fit(data.DataLoader(data.Digits(), 64, shuffle=True), epochs=2)
        >>> history[-1].train_accuracy > 0.7
        True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
        device: str | device | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.loss_fn: Callable[[Tensor, Tensor], Tensor] = loss_fn or nn.CrossEntropyLoss()
        self.device = optimizer.param_groups[0]["params"][0].device if device is None else device
        self.callbacks = list(callbacks)
        self.history: list[EpochResult] = []
        self.step = 0
        self.epochs = 0
        self.steps_per_epoch = 0
        self.loss, self.accuracy = Mean(), Mean()
        self._stopping = False

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)

    def stop(self) -> None:
        """Let `fit` return after the step that is being taken; the epoch it belongs to does not enter the history."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called during the last `fit`."""
        return self._stopping

    def fit(self, train_data: DataLoader, test_data: DataLoader | None = None, epochs: int = 1) -> list[EpochResult]:
        """Train for some epochs (more), evaluating after each if there are test data; returns the history.

        Raises:
            TrainingDivergedError: if the training loss is no longer finite.
            ValueError: if the training data make no batch.
        """
        if not len(train_data):
            raise ValueError("Trainer.fit: the training data make no batch; is drop_last on and batch_size too large?")
        self._stopping = False
        self.epochs, self.steps_per_epoch = self.epoch + epochs, len(train_data)
        self._tell("on_fit_start")
        try:
            while self.epoch < self.epochs and not self._stopping:
                self._one_epoch(train_data, test_data)
        finally:
            self._tell("on_fit_end")
        return self.history

    def _one_epoch(self, train_data: DataLoader, test_data: DataLoader | None) -> None:
        self.loss, self.accuracy = Mean(), Mean()
        self.model.train()
        start = time.perf_counter()
        for X, y in train_data:
            self.train_step(X, y)
            self._tell("on_step_end")
            if self._stopping:
                return
        train_loss, train_accuracy = self.loss.value, self.accuracy.value
        if not math.isfinite(train_loss):
            raise TrainingDivergedError(
                f"the loss became {train_loss} in epoch {self.epoch + 1}; a smaller learning rate may help"
            )
        seconds = time.perf_counter() - start
        test_loss, test_accuracy = (None, None) if test_data is None else self.evaluate(test_data)
        result = EpochResult(
            self.epoch + 1, train_loss, train_accuracy, test_loss, test_accuracy, self.loss.weight / seconds, seconds
        )
        self.history.append(result)
        self._tell("on_epoch_end", result)

    def train_step(self, X: Tensor, y: Tensor) -> Tensor:
        """One step on one batch, X (N, ...) and labels y (N,); returns the loss before the step."""
        X, y = self._to_device(X), self._to_device(y)
        logits = self.model(X)
        loss = self.loss_fn(logits, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self._count(self.loss, self.accuracy, logits, y, loss)
        return loss.detach()

    def evaluate(self, data: DataLoader) -> tuple[float, float]:
        """The mean loss and the accuracy on some data, with the model in evaluation mode."""
        loss, accuracy = Mean(), Mean()
        before = self.model.training
        self.model.eval()
        try:
            with no_grad():
                for X, y in data:
                    X, y = self._to_device(X), self._to_device(y)
                    logits = self.model(X)
                    self._count(loss, accuracy, logits, y, self.loss_fn(logits, y))
        finally:
            self.model.train(before)
        return loss.value, accuracy.value

    @staticmethod
    def _count(loss: Mean, accuracy: Mean, logits: Tensor, y: Tensor, value: Tensor) -> None:
        n = len(y)
        loss.add(value.detach(), n)
        with no_grad():
            accuracy.add(count_correct(logits, y) / n, n)

    def _to_device(self, x: Tensor) -> Tensor:
        return x if x.backend is get_backend(self.device) else x.to(self.device)

    def _tell(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *args)
