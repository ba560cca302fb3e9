"""What may look on while a Trainer works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .trainer import Trainer


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to; accuracies are shares of 1, test values None without test data.

    Training loss and accuracy are means over the epoch, measured on each batch before its step, as the notes plot them.
    Seconds and images a second are of the training alone, `lr` is the learning rate at the epoch's end, and `step` the
    number of steps taken by then.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    images_per_second: float
    seconds: float
    lr: float | None = None
    step: int = 0


class Callback:
    """Looks on while a Trainer works: subclass it and write the methods that you need.

    One that remembers something from epoch to epoch gives it in `state_dict`, so that a resumed run goes on with it.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each training step; `trainer.loss` and `trainer.accuracy` are the epoch's means so far."""

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        """After each epoch and its evaluation."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and also if training was stopped."""

    def state_dict(self) -> dict[str, Any]:
        """What is to be saved with the trainer, of tensors and things that JSON can hold; nothing if it is empty."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
