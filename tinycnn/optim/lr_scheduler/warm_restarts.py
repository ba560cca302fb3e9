"""Cosine annealing that begins anew."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .base import LRScheduler


class CosineAnnealingWarmRestarts(LRScheduler):
    """A rate that falls along half a cosine, then begins anew, each time T_mult times as long.

        lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2

    with T_cur the epochs since the last restart and T_i their number until the next: T_0, T_0 * T_mult, ...

    I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), equation 5.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        T_0: the epochs until the first restart.
        T_mult: how many times as long the next run is.
        eta_min: the smallest rate.

    Raises:
        ValueError: if T_0 or T_mult is not a positive integer.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
        >>> for epoch in range(6):
        ...     optimizer.step()
        ...     print(f"{scheduler.get_last_lr()[0]:.3f}", end=" ")
        ...     scheduler.step()
        1.000 0.500 1.000 0.854 0.500 0.146
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"CosineAnnealingWarmRestarts: {name} must be a positive integer, got {value!r}")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self._place(last_epoch + 1)
        super().__init__(optimizer, last_epoch)

    def _place(self, epoch: float) -> None:
        """Find the run that an epoch is in: T_i, and T_cur in it."""
        self.T_i, self.T_cur = self.T_0, epoch
        if self.T_mult == 1:
            self.T_cur %= self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by an epoch, or to any one, which may be a fraction: `step(epoch + batch / batches)` within an epoch.

        Raises:
            ValueError: if epoch is negative.
        """
        if epoch is None:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
            self.last_epoch += 1
        elif epoch >= 0:
            self._place(epoch)
            self.last_epoch = math.floor(epoch)
        else:
            raise ValueError(f"CosineAnnealingWarmRestarts.step: epoch must be 0 or more, got {epoch}")
        self._set(self.get_lr())

    def _restart(self) -> None:
        self._place(0)
        super()._restart()
