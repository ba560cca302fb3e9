"""The training loop.

for each epoch:
    for each batch X, y of the training data:      train_step
        loss = loss_fn(model(X), y);  zero_grad;  loss.backward();  clip;  optimizer.step()
        (in mixed precision: within autocast, with the loss scaled)
        scheduler.step(), if it goes by steps
    measure loss and accuracy on the test data     evaluate
    scheduler.step(), if it goes by epochs
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from .. import nn
from ..amp import GradScaler, autocast
from ..autograd import Tensor
from ..backend import device
from ..backend.dtypes import dtype as DType, float16  # noqa: N812
from ..backend.generator import get_rng_state, set_rng_state
from ..data import DataLoader
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from .callback import Callback, EpochResult
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .evaluation import for_each_batch, to_device
from .metrics import Mean, count_correct

_LOOK_EVERY = (
    20  # steps after which the loss is read to see whether it is finite; on a GPU reading waits for the device
)


class TrainingDivergedError(ArithmeticError):
    """The loss is no longer a finite number."""


class _StoppedError(Exception):
    """Ends an evaluation that nobody waits for any more."""


class Trainer:
    """Trains a classifier and keeps the history.

    A run that was stopped, or saved with `save` and loaded with `load` into a trainer made in the same way, goes on
    with the next `fit` where it stood, in the middle of an epoch too, and comes to the same bits as one that never
    stopped.

    Args:
        model: gives logits (N, K) for a batch of inputs.
        optimizer: over the model's parameters.
        loss_fn: the loss of logits and labels, a mean over the batch; by default the cross entropy.
        device: where batches are sent; by default where the model's parameters are.
        callbacks: see `Callback`; they are told in this order.
        scheduler: one of `optim.lr_scheduler`, on this optimiser. `ReduceLROnPlateau` is given the test loss, or the
            training loss if there are no test data.
        scheduler_interval: whether the scheduler steps after each "epoch" or after each "step".
        clip_norm: the greatest norm that all gradients together may have; longer ones are scaled down to it.
        amp_dtype: float16 or bfloat16 for mixed precision: model and loss run within `autocast`. With float16 the loss
            is scaled by a `GradScaler`, and a step whose gradients overflow is left out. None for none.

    Attributes:
        history: an `EpochResult` for each epoch done.
        step: training steps taken so far.
        epochs, steps_per_epoch: how much `fit` means to do in all.
        loss, accuracy: running means over the current epoch.

    Raises:
        ValueError: if scheduler_interval or clip_norm is out of range, or the scheduler is another optimiser's.

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
        scheduler: LRScheduler | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
        clip_norm: float | None = None,
        amp_dtype: DType | None = None,
    ) -> None:
        if scheduler_interval not in ("epoch", "step"):
            raise ValueError(f"Trainer: scheduler_interval must be 'epoch' or 'step', got {scheduler_interval!r}")
        if scheduler is not None and scheduler.optimizer is not optimizer:
            raise ValueError("Trainer: the scheduler is of another optimiser")
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler_interval == "step":
            raise ValueError("Trainer: ReduceLROnPlateau looks at epochs, scheduler_interval must be 'epoch'")
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"Trainer: clip_norm must be above 0, got {clip_norm}")
        self.model, self.optimizer = model, optimizer
        self.loss_fn: Callable[[Tensor, Tensor], Tensor] = loss_fn or nn.CrossEntropyLoss()
        self.device = optimizer.param_groups[0]["params"][0].device if device is None else device
        self.callbacks = list(callbacks)
        self.scheduler, self.scheduler_interval, self.clip_norm = scheduler, scheduler_interval, clip_norm
        self.scaler = GradScaler() if amp_dtype is float16 else None
        self._amp_dtype = amp_dtype
        self._precision()  # which says so if there is no such precision
        self.history: list[EpochResult] = []
        self.step = 0
        self.epochs = 0
        self.steps_per_epoch = 0
        self.loss, self.accuracy = Mean(), Mean()
        self._batch = 0  # steps taken in the epoch under way, 0 between epochs
        self._seconds = 0.0  # spent in it
        self._data: Any = None  # what is being trained on
        self._epoch_start: dict[str, Any] | None = None  # its state as the epoch under way began
        self._resume: dict[str, Any] | None = None  # the state that the data of the next `fit` are to go on from
        self._stop: str | None = None

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)

    @property
    def batch(self) -> int:
        """Steps taken in the epoch under way; 0 between epochs."""
        return self._batch

    def stop(self, reason: str = "stopped") -> None:
        """Let `fit` return after the step that is being taken, or in the middle of an evaluation.

        An epoch that is not done does not enter the history; the next `fit` goes on with it.
        """
        self._stop = reason

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called during the last `fit`."""
        return self._stop is not None

    @property
    def stop_reason(self) -> str | None:
        """What `stop` was told; None if it was not called."""
        return self._stop

    def fit(self, train_data: DataLoader, test_data: DataLoader | None = None, epochs: int = 1) -> list[EpochResult]:
        """Train for some epochs (more), evaluating after each if there are test data; returns the history.

        An epoch that was under way counts as the first of them.

        Raises:
            TrainingDivergedError: if the training loss is no longer finite.
            ValueError: if the training data make no batch.
        """
        if not len(train_data):
            raise ValueError("Trainer.fit: the training data make no batch; is drop_last on and batch_size too large?")
        self._stop = None
        self.epochs, self.steps_per_epoch = self.epoch + epochs, len(train_data)
        self._data = train_data
        if self._resume is None or not hasattr(train_data, "load_state_dict"):
            self._batch = 0  # data that cannot go on from the middle begin the epoch anew
        else:
            train_data.load_state_dict(self._resume)
        self._resume = None
        self._tell("on_fit_start")
        try:
            while self.epoch < self.epochs and not self.stopped:
                self._one_epoch(train_data, test_data)
            if self._batch:
                self._resume = self._place()
        except BaseException:
            self._batch = 0  # nobody knows how far the step came
            raise
        finally:
            self._tell("on_fit_end")
        return self.history

    def _one_epoch(self, train_data: DataLoader, test_data: DataLoader | None) -> None:
        if not self._batch:
            self.loss, self.accuracy, self._seconds = Mean(), Mean(), 0.0
        self.model.train()
        start = time.perf_counter() - self._seconds
        batches = iter(train_data)
        self._epoch_start = _state_of(train_data)
        for X, y in batches:
            self.train_step(X, y)
            if self.scheduler is not None and self.scheduler_interval == "step":
                self.scheduler.step()
            self._batch += 1
            self._seconds = time.perf_counter() - start
            if self._batch % _LOOK_EVERY == 0:
                self.check_finite()
            self._tell("on_step_end")
            if self.stopped:
                return
        self.check_finite()
        random = get_rng_state()  # a loader of test data may draw from it
        try:
            test_loss, test_accuracy = (None, None) if test_data is None else self._evaluate(test_data, stoppable=True)
        except _StoppedError:  # it is taken again, as if it had never begun
            set_rng_state(random)
            return
        result = EpochResult(
            self.epoch + 1,
            self.loss.value,
            self.accuracy.value,
            test_loss,
            test_accuracy,
            self.loss.weight / self._seconds,
            self._seconds,
            self.optimizer.param_groups[0]["lr"],
            self.step,
        )
        if self.scheduler is not None and self.scheduler_interval == "epoch":
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(result.train_loss if result.test_loss is None else result.test_loss)
            else:
                self.scheduler.step()
        self._batch = 0
        self.history.append(result)
        self._tell("on_epoch_end", result)

    def _precision(self) -> AbstractContextManager[Any]:
        """What model and loss run in."""
        if self._amp_dtype is None:
            return nullcontext()
        return autocast(device(self.device).type, self._amp_dtype)

    def train_step(self, X: Tensor, y: Tensor) -> Tensor:
        """One step on one batch, X (N, ...) and labels y (N,); returns the loss before the step."""
        X, y = to_device(X, self.device), to_device(y, self.device)
        with self._precision():
            logits = self.model(X)
            loss = self.loss_fn(logits, y)
        self.optimizer.zero_grad()
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        if self.clip_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_((p for g in self.optimizer.param_groups for p in g["params"]), self.clip_norm)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer._stepped = True  # left out or not: a scheduler counts it
        self.step += 1
        loss = loss.detach()
        _count(self.loss, self.accuracy, logits, y, loss)
        return loss

    def check_finite(self) -> None:
        """Raise a TrainingDivergedError if the epoch's mean loss is not a finite number."""
        if not math.isfinite(self.loss.value):
            raise TrainingDivergedError(
                f"the loss became {self.loss.value} in epoch {self.epoch + 1}; a smaller learning rate may help"
            )

    def evaluate(self, data: DataLoader) -> tuple[float, float]:
        """The mean loss and the accuracy on some data, with the model in evaluation mode; `measure` finds more."""
        return self._evaluate(data)

    def _evaluate(self, data: DataLoader, stoppable: bool = False) -> tuple[float, float]:
        loss, accuracy = Mean(), Mean()

        def count(logits: Tensor, y: Tensor, value: Tensor) -> None:
            if stoppable and self.stopped:
                raise _StoppedError
            _count(loss, accuracy, logits, y, value)

        with self._precision():
            for_each_batch(self.model, data, self.loss_fn, self.device, count)
        return loss.value, accuracy.value

    def _tell(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *args)

    # ---- saving and going on ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on bit for bit: "model", "optimizer", "random" (the random source of each device) and
        "progress" (steps, the epoch under way, history, scheduler, callbacks, place in the data).

        Tensors in it are the model's and the optimiser's own, not copies; the rest is of things that JSON can hold.
        """
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": get_rng_state(),
            "progress": self._progress(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the next `fit` as the trainer that gave this state; this one must have been made in the same way.

        Raises:
            ValueError: if model, optimiser, scheduler or callbacks are others.
        """
        progress = state_dict["progress"]
        if (progress["scheduler"] is None) != (self.scheduler is None):
            here, there = ("no scheduler", "one") if self.scheduler is None else ("a scheduler", "none")
            raise ValueError(f"Trainer.load_state_dict: there is {here} here and {there} in the state")
        callbacks = self._lasting_callbacks()
        if callbacks.keys() != progress["callbacks"].keys():
            raise ValueError(
                f"Trainer.load_state_dict: the state has callbacks {_listed(progress['callbacks'])}, "
                f"here are {_listed(callbacks)}"
            )
        try:
            self.model.load_state_dict(state_dict["model"])
        except RuntimeError as error:
            raise ValueError(f"Trainer.load_state_dict: {error}") from None
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.optimizer._stepped = progress["step"] > 0  # or a scheduler would think that it comes too early
        if self.scheduler is not None:
            self.scheduler.load_state_dict(progress["scheduler"])
        if self.scaler is not None and progress.get("scaler"):
            self.scaler.load_state_dict(progress["scaler"])
        for name, callback in callbacks.items():
            callback.load_state_dict(progress["callbacks"][name])
        self.step, self._batch, self._seconds = progress["step"], progress["batch"], progress["seconds"]
        self.loss, self.accuracy = Mean(), Mean()
        self.loss.load_state_dict(progress["loss"])
        self.accuracy.load_state_dict(progress["accuracy"])
        self.history = [EpochResult(**result) for result in progress["history"]]
        self._resume = progress["data"]
        set_rng_state(state_dict["random"])

    def save(self, path: str | os.PathLike[str], facts: dict[str, Any] | None = None) -> None:
        """Write a checkpoint to go on from, with facts that JSON can hold beside it; see `save_checkpoint`."""
        save_checkpoint(path, self.model, self.optimizer, facts, self._progress())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on with the next `fit` from a checkpoint that `save` wrote.

        Raises:
            ValueError: if the file is damaged, or not of such a trainer.
            OSError: if it cannot be opened.
        """
        self.restore(load_checkpoint(path))

    def restore(self, saved: Checkpoint) -> None:
        """Go on with the next `fit` from a checkpoint that was loaded.

        Raises:
            ValueError: if it is not of such a trainer.
        """
        if saved.optimizer is None or saved.progress is None:
            raise ValueError("the checkpoint holds weights, but no state of a training run to go on from")
        self.load_state_dict(
            {"model": saved.model, "optimizer": saved.optimizer, "random": saved.random, "progress": saved.progress}
        )

    def _progress(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "batch": self._batch,
            "seconds": self._seconds,
            "loss": self.loss.state_dict(),
            "accuracy": self.accuracy.state_dict(),
            "history": [dataclasses.asdict(result) for result in self.history],
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "callbacks": {name: callback.state_dict() for name, callback in self._lasting_callbacks().items()},
            "data": self._place(),
        }

    def _place(self) -> dict[str, Any] | None:
        """Where in the data the training is."""
        if self._resume is not None:
            return self._resume
        if self._batch:
            # Counted here, for a batch may have been handed out whose step was never taken.
            return None if self._epoch_start is None else {**self._epoch_start, "batch": self._batch}
        return _state_of(self._data)

    def _lasting_callbacks(self) -> dict[str, Callback]:
        """The callbacks that have a state to be saved, by the names of their classes."""
        found: dict[str, Callback] = {}
        for callback in self.callbacks:
            if callback.state_dict():
                name = type(callback).__name__
                if name in found:
                    raise ValueError(
                        f"Trainer: two callbacks called {name} have a state; one of them needs another name"
                    )
                found[name] = callback
        return found


def _count(loss: Mean, accuracy: Mean, logits: Tensor, y: Tensor, value: Tensor) -> None:
    loss.add(value, len(y))
    accuracy.add_sum(count_correct(logits, y), len(y))


def _state_of(data: Any) -> dict[str, Any] | None:
    return data.state_dict() if hasattr(data, "state_dict") else None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
