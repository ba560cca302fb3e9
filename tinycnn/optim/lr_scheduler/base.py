"""What all schedulers share."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer


def current_lrs(optimizer: Optimizer) -> list[float]:
    """The learning rate of each group."""
    return [group["lr"] for group in optimizer.param_groups]


def per_group(name: str, value: float | Sequence[float], optimizer: Optimizer) -> list[float]:
    """A number for each group, from one for all or from a list.

    Raises:
        ValueError: if a list has not one for each.
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups  # type: ignore[list-item]
    if len(value) != groups:
        raise ValueError(f"{name}: expected one for each of the {groups} parameter groups, got {len(value)}")
    return list(value)


class LRScheduler:
    """A schedule of learning rates. A new one subclasses this and writes `get_lr`.

    Making one writes the rates of epoch 0 into the optimiser's groups, and "initial_lr", the rate that the group had;
    so the attributes that `get_lr` needs are set before `super().__init__`.

    Args:
        optimizer: whose groups get their "lr" from here.
        last_epoch: the epoch to go on from; -1 to begin. To go on, the groups must have "initial_lr", as they have
            after `optimizer.load_state_dict`. (`load_state_dict` is the surer way.)

    Attributes:
        last_epoch: the number of the epoch that the rates in force are for.
        base_lrs: "initial_lr" of each group.

    Raises:
        TypeError: if optimizer is none.
        KeyError: if last_epoch is not -1 and a group has no "initial_lr".

    Example:
        >>> import tinycnn
        >>> class InverseRoot(tinycnn.optim.lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [lr / (self.last_epoch + 1) ** 0.5 for lr in self.base_lrs]
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = InverseRoot(optimizer)
        >>> for epoch in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = self._checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{self.name}: parameter group {i} has no 'initial_lr' to go on with from epoch {last_epoch}; load "
                    "the optimiser's state first, or begin with last_epoch=-1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self._begin()

    @property
    def name(self) -> str:
        """The class's name, for messages."""
        return type(self).__name__

    def _checked(self, optimizer: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self.name}: expected an optimiser, got {type(optimizer).__name__}")
        return optimizer

    def get_lr(self) -> list[float]:
        """The learning rate of each group at `last_epoch`; those in force are what `get_last_lr` says."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last, one for each group."""
        return self._last_lr

    def step(self) -> None:
        """Go on to the next epoch: set its learning rates.

        Warns:
            UserWarning: if the optimiser has made no step since the schedule began, for then the first rate would go
                unused; call `optimizer.step()` first.
        """
        if self._step_count == 1 and self._optimizer_stands():
            warnings.warn(
                f"{self.name}.step() came before optimizer.step(): the first learning rate of the schedule was never "
                "used; call them the other way round",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def _optimizer_stands(self) -> bool:
        """Whether the optimiser has not stepped yet; one with a `step` of its own cannot be asked."""
        return type(self.optimizer).step is Optimizer.step and not self.optimizer._stepped

    def _begin(self) -> None:
        """The first step, which the constructor makes."""
        self._step_count = 1
        self.last_epoch += 1
        self._set(self._first_lr())

    def _first_lr(self) -> list[float]:
        return self.get_lr()

    def _restart(self) -> None:
        """Begin again at epoch 0, from the initial rates: where a scheduler's turn comes in a sequence."""
        self.last_epoch = 0
        self._set(self.get_lr())

    def _set(self, lrs: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(lrs) != len(groups):
            raise ValueError(
                f"{self.name}: made for {len(lrs)} parameter groups, the optimiser has {len(groups)} now; make the "
                "scheduler after the last group is added"
            )
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = current_lrs(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """What the schedule needs to go on, of things that JSON can hold. The rates in force are in the optimiser's."""
        return {key: copy.deepcopy(value) for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on as the scheduler that gave this state; load the optimiser's state, too.

        Raises:
            ValueError: if the state is another kind of scheduler's, or for another number of groups; nothing is changed
                then.
        """
        self._check_state(state_dict)
        vars(self).update(copy.deepcopy(state_dict))

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        own = self.state_dict()
        if own.keys() != state_dict.keys():
            wrong = [f"lacks {key!r}" for key in sorted(own.keys() - state_dict.keys())]
            wrong += [f"has {key!r}" for key in sorted(state_dict.keys() - own.keys())]
            raise ValueError(f"{self.name}.load_state_dict: another scheduler's state: it {', '.join(wrong)}")
        ours, theirs = len(own["_last_lr"]), len(state_dict["_last_lr"])
        if ours != theirs:
            raise ValueError(
                f"{self.name}.load_state_dict: the state is for {theirs} parameter groups, ours are {ours}"
            )
