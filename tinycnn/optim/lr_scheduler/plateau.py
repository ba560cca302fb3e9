"""A schedule that looks at how training goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, SupportsFloat

from ..optimizer import Optimizer
from .base import LRScheduler, current_lrs, per_group


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by factor when a metric has not become better for more than `patience` epochs.

    A metric m is better than the best b if, with mode "min" ("max" with the signs turned):

        rel: m < b * (1 - threshold)        abs: m < b - threshold

    Args:
        optimizer: whose groups get their "lr" from here.
        mode: "min" if less is better, as of a loss; "max", as of an accuracy.
        factor: below 1.
        patience: how many epochs without improvement are borne.
        threshold: how much better is better.
        threshold_mode: "rel" or "abs".
        cooldown: for how many epochs after a reduction nothing is counted.
        min_lr: the smallest rate, one for all groups or one for each.
        eps: a rate that would change by no more than this is left.

    Attributes:
        best: the best metric yet; before the first, infinity on the worse side.
        num_bad_epochs: the epochs since, less what cooldown forgives.

    Raises:
        ValueError: if factor is not below 1, a mode is unknown, or min_lr is a list of another length than the groups.
        TypeError: if optimizer is none.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
        ...     scheduler.step(loss)
        ...     print(scheduler.get_last_lr()[0], end=" ")
        1.0 1.0 1.0 0.5 0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = self._checked(optimizer)
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = list(min_lr) if isinstance(min_lr, (list, tuple)) else min_lr
        self.eps = eps
        self.best = self._worst()
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = current_lrs(optimizer)
        self._least()

    def _least(self) -> list[float]:
        """min_lr of each group."""
        return per_group("ReduceLROnPlateau: min_lr", self.min_lr, self.optimizer)

    def _worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction was so recent that nothing is counted."""
        return self.cooldown_counter > 0

    def is_better(self, metric: float) -> bool:
        """Whether a metric is better than the best."""
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * metric < sign * self.best * (1 - sign * self.threshold)
        return sign * metric < sign * self.best - self.threshold

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Take in an epoch's metric, a number or a tensor with one; reduce the rate if it is time."""
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        lrs = current_lrs(self.optimizer)
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            smaller = [max(lr * self.factor, least) for lr, least in zip(lrs, self._least(), strict=True)]
            lrs = [new if old - new > self.eps else old for old, new in zip(lrs, smaller, strict=True)]
        self._set(lrs)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        if self.best == self._worst():
            state["best"] = None  # JSON has no infinity
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if state_dict["best"] is None:
            self.best = self._worst()
