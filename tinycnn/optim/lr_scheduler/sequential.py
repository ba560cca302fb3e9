"""Schedules one after the other."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler
from .plateau import ReduceLROnPlateau


class SequentialLR(LRScheduler):
    """Several schedules one after the other, each from its epoch 0 on: warm-up, then anything.

    Args:
        optimizer: that of all the schedulers.
        schedulers: in their order. Each has been made on the optimiser, and is stepped from here only.
        milestones: the epochs at which the second, the third, ... takes over, rising.
        last_epoch: -1; to go on, use `load_state_dict`.

    Raises:
        ValueError: if there are no schedulers, one is of another optimiser or waits for a metric, or the milestones are
            not one fewer than the schedulers, or do not rise.
        TypeError: if one of them is no scheduler.

    Example:
        >>> import tinycnn
        >>> from tinycnn.optim import lr_scheduler
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
        >>> cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        >>> scheduler = lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[3])
        >>> for epoch in range(7):
        ...     optimizer.step()
        ...     print(f"{scheduler.get_last_lr()[0]:.2f}", end=" ")
        ...     scheduler.step()
        0.25 0.50 0.75 1.00 0.85 0.50 0.15
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.optimizer = self._checked(optimizer)
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        if not self._schedulers:
            raise ValueError("SequentialLR: got no schedulers")
        for i, scheduler in enumerate(self._schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"SequentialLR: schedulers[{i}] is a {type(scheduler).__name__}, expected a scheduler")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"SequentialLR: schedulers[{i}], ReduceLROnPlateau, waits for a metric at each step")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: schedulers[{i}], {scheduler.name}, is another optimiser's")
        if len(self._milestones) != len(self._schedulers) - 1 or self._milestones != sorted(self._milestones):
            raise ValueError(
                f"SequentialLR: expected {len(self._schedulers) - 1} rising milestones for {len(self._schedulers)} "
                f"schedulers, got {self._milestones}"
            )
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # each scheduler has set its own first rate
            group["lr"] = group["initial_lr"]
        self._undo()
        first = self._scheduler()
        first._begin()
        self._last_lr = first.get_last_lr()

    def _undo(self) -> None:
        """Take back the first steps that the schedulers made when they were made."""
        for scheduler in self._schedulers:
            if isinstance(scheduler, SequentialLR):
                scheduler._undo()
            else:
                scheduler.last_epoch -= 1

    def _scheduler(self) -> LRScheduler:
        """The one whose turn it is."""
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def _begin(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.last_epoch = 0
        first = self._scheduler()
        first._restart()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch, with the scheduler whose turn it is."""
        self.last_epoch += 1
        scheduler = self._scheduler()
        if self.last_epoch in self._milestones:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        hidden = ("optimizer", "_schedulers")
        state = {key: copy.deepcopy(value) for key, value in vars(self).items() if key not in hidden}
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._check_state(state_dict)
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)
        vars(self).update({k: copy.deepcopy(v) for k, v in state_dict.items() if k != "_schedulers"})

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        states = state_dict["_schedulers"]
        if len(states) != len(self._schedulers):
            raise ValueError(
                f"SequentialLR.load_state_dict: the state has {len(states)} schedulers, "
                f"ours are {len(self._schedulers)}"
            )
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler._check_state(state)
