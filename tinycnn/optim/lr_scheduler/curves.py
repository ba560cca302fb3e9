"""Schedules that are a curve: the rate at epoch t is a share of the initial one that depends on t alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import ClassVar

from ..optimizer import Optimizer
from .base import LRScheduler, current_lrs


class Curve(LRScheduler):
    """lr(t) = floor + (initial_lr - floor) * share(t), t the epoch; a subclass writes `share`.

    A step multiplies the rate in force (above the floor) by share(t) / share(t - 1). So a rate that was changed by hand
    stays changed in proportion, and several schedulers on one optimiser multiply, as in PyTorch.
    """

    jumps: ClassVar[bool] = False  # a curve of steps: going on from last_epoch, it takes the one to the next epoch

    @property
    def floor(self) -> float:
        """Where share 0 is."""
        return 0.0

    def share(self, epoch: int) -> float:
        """The share of the initial rate at an epoch."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        before, now = self.share(self.last_epoch - 1), self.share(self.last_epoch)
        if before == 0:  # from the floor up there is no ratio
            rise = zip(current_lrs(self.optimizer), self.base_lrs, strict=True)
            return [lr + (initial - self.floor) * now for lr, initial in rise]
        return self._scaled(now / before)

    def _first_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.share(0))
        return self.get_lr() if self.jumps else current_lrs(self.optimizer)

    def _restart(self) -> None:
        self.last_epoch = 0
        self._set([self.floor + (lr - self.floor) * self.share(0) for lr in self.base_lrs])

    def _scaled(self, factor: float) -> list[float]:
        if factor == 1:
            return current_lrs(self.optimizer)
        return [self.floor + (lr - self.floor) * factor for lr in current_lrs(self.optimizer)]


class StepLR(Curve):
    """Multiply the rate by gamma every step_size epochs.

        lr(t) = initial_lr * gamma^floor(t / step_size)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        step_size: the epochs between two drops.
        gamma: the factor.

    Raises:
        ValueError: if step_size is not positive.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for epoch in range(4):
        ...     optimizer.step()  # an epoch of training
        ...     print(optimizer.param_groups[0]["lr"], end=" ")
        ...     scheduler.step()
        1.0 1.0 0.5 0.5
    """

    jumps = True

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not step_size > 0:
            raise ValueError(f"StepLR: step_size must be positive, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(Curve):
    """Multiply the rate by gamma at each milestone.

        lr(t) = initial_lr * gamma^(number of milestones <= t)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        milestones: epochs, in any order; one that occurs twice counts twice.
        gamma: the factor.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=0.5)
        >>> scheduler = tinycnn.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for epoch in range(4):
        ...     optimizer.step()
        ...     print(scheduler.get_last_lr()[0], end=" ")
        ...     scheduler.step()
        0.5 0.25 0.25 0.125
    """

    jumps = True

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        return float(self.gamma ** bisect_right(self.milestones, epoch))


class ExponentialLR(Curve):
    """Multiply the rate by gamma every epoch.

        lr(t) = initial_lr * gamma^t

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        gamma: the factor.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> for epoch in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        return float(self.gamma**epoch)


class ConstantLR(Curve):
    """A smaller rate for the first epochs.

        lr(t) = initial_lr * factor  for t < total_iters,  initial_lr from then on

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        factor: between 0 and 1.
        total_iters: for how many epochs.

    Raises:
        ValueError: if factor is out of range.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> for epoch in range(4):
        ...     optimizer.step()
        ...     print(scheduler.get_last_lr()[0], end=" ")
        ...     scheduler.step()
        0.5 0.5 1.0 1.0
    """

    jumps = True

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must be between 0 and 1, got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(Curve):
    """A rate that goes in a straight line from one share of the initial one to another: the usual warm-up.

        lr(t) = initial_lr * (start_factor + (end_factor - start_factor) * min(t / total_iters, 1))

    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017), section 2.2, for the warm-up;
    `SequentialLR` puts another schedule behind it.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        start_factor: above 0, at most 1.
        end_factor: between 0 and 1.
        total_iters: the epoch from which on the rate stays.

    Raises:
        ValueError: if a factor is out of range.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> for epoch in range(4):
        ...     optimizer.step()
        ...     print(scheduler.get_last_lr()[0], end=" ")
        ...     scheduler.step()
        0.5 0.75 1.0 1.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be above 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be between 0 and 1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        if epoch >= self.total_iters:
            return self.end_factor
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters


class PolynomialLR(Curve):
    """A rate that falls to 0 as a power of the epochs that are left.

        lr(t) = initial_lr * (1 - min(t / total_iters, 1))^power

    L.-C. Chen et al., "DeepLab" (2017), section 4.3.1, where it is called poly.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        total_iters: the epoch from which on the rate is 0.
        power: 1 for a straight line.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2)
        >>> for epoch in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: int) -> float:
        return 0.0 if epoch >= self.total_iters else float((1 - epoch / self.total_iters) ** self.power)


class CosineAnnealingLR(Curve):
    """A rate that falls along half a cosine, and beyond T_max rises along the next half.

        lr(t) = eta_min + (initial_lr - eta_min) * (1 + cos(pi * t / T_max)) / 2

    I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), equation 5, without the
    restarts.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        T_max: the epoch at which the rate is eta_min.
        eta_min: the smallest rate.

    Raises:
        ValueError: if T_max is not positive.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        >>> for epoch in range(5):
        ...     optimizer.step()
        ...     print(f"{scheduler.get_last_lr()[0]:.3f}", end=" ")
        ...     scheduler.step()
        1.000 0.854 0.500 0.146 0.000
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:
        return self.eta_min

    def share(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2
