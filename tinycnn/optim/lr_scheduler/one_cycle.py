"""The one-cycle policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

# The three levels between which the phases go, as keys of a group: momentum is high where the rate is low.
_LR = {"low": "initial_lr", "high": "max_lr", "end": "min_lr"}
_MOMENTUM = {"low": "max_momentum", "high": "base_momentum", "end": "max_momentum"}


class OneCycleLR(LRScheduler):
    """One cycle for the whole training, a step for each batch: the rate rises to max_lr, then falls far below where it
    began, while momentum does the opposite.

        initial_lr = max_lr / div_factor,  min_lr = initial_lr / final_div_factor
        initial_lr -> max_lr  until step  pct_start * total_steps - 1,  -> min_lr  until step  total_steps - 1

    and with three_phase back to initial_lr as slowly as up, then to min_lr. From a to b, at a share s of the way:

        cos: b + (a - b) * (1 + cos(pi * s)) / 2        linear: a + (b - a) * s

    L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates" (2018);
    in the paper there are three phases, straight.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        max_lr: the highest rate, one for all groups or one for each.
        total_steps: the steps of the training; or give
        epochs, steps_per_epoch: whose product it is.
        pct_start: the share of the steps in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether momentum (of SGD and RMSprop; of Adam, beta1) goes between the next two.
        base_momentum, max_momentum: the lowest and the highest, one for all groups or one for each.
        div_factor: max_lr over the first rate.
        final_div_factor: the first rate over the last.
        three_phase: see above.

    The last step of a loop of total_steps steps asks for one rate more than there are: it is min_lr again.

    Raises:
        ValueError: if an argument is out of range, the steps are not given, or the optimiser has no momentum to cycle;
            from `step()`, after more than total_steps steps.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=6, pct_start=0.5)
        >>> for step in range(6):
        ...     optimizer.step()
        ...     group = optimizer.param_groups[0]
        ...     print(f"{group['lr']:.2f}, {group['momentum']:.2f}", end="; ")
        ...     scheduler.step()
        0.04, 0.95; 0.52, 0.90; 1.00, 0.85; 0.75, 0.88; 0.25, 0.92; 0.00, 0.95;
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        groups = self._checked(optimizer).param_groups
        self.total_steps = self._steps(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"OneCycleLR: {optimizer.name} has no momentum; give cycle_momentum=False")
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.three_phase = three_phase
        self.cycle_momentum = cycle_momentum
        max_lrs = per_group("OneCycleLR: max_lr", max_lr, optimizer)
        lowest = per_group("OneCycleLR: base_momentum", base_momentum, optimizer)
        highest = per_group("OneCycleLR: max_momentum", max_momentum, optimizer)
        if last_epoch == -1:
            for group, lr, low, high in zip(groups, max_lrs, lowest, highest, strict=True):
                first = lr / div_factor
                group.update(initial_lr=first, max_lr=lr, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(base_momentum=low, max_momentum=high)
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
        given = {"total_steps": total_steps}
        if total_steps is None:
            given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        product = 1
        for name, value in given.items():
            if value is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"OneCycleLR: {name} must be a positive integer, got {value!r}")
            product *= value
        return product

    def _phase(self) -> tuple[str, str, float]:
        """Between which levels the step is, and at which share of the way."""
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR.step: step {self.last_epoch} of a cycle of {self.total_steps} steps")
        rise = self.pct_start * self.total_steps - 1
        phases = [(rise, "low", "high"), (self.total_steps - 1, "high", "end")]
        if self.three_phase:
            phases[1:] = [(2 * rise, "high", "low"), (self.total_steps - 1, "low", "end")]
        begin = 0.0
        for end, a, b in phases:
            if self.last_epoch <= end:
                return a, b, (self.last_epoch - begin) / (end - begin) if end > begin else 1.0
            begin = end
        return a, b, 1.0

    def _between(self, a: float, b: float, share: float) -> float:
        if self.anneal_strategy == "cos":
            return b + (a - b) * (1 + math.cos(math.pi * share)) / 2
        return a + (b - a) * share

    def get_lr(self) -> list[float]:
        a, b, share = self._phase()
        return [self._between(group[_LR[a]], group[_LR[b]], share) for group in self.optimizer.param_groups]

    def _set(self, lrs: list[float]) -> None:
        super()._set(lrs)
        if not self.cycle_momentum:
            return
        a, b, share = self._phase()
        for group in self.optimizer.param_groups:
            momentum = self._between(group[_MOMENTUM[a]], group[_MOMENTUM[b]], share)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
