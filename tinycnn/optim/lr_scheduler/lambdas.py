"""A schedule that is any function of the epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler


class LambdaLR(LRScheduler):
    """The rate is the initial one times what a function says.

        lr(t) = initial_lr * lr_lambda(t)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        lr_lambda: a function of the epoch, or a list of them, one for each group. The state holds no functions; of an
            object that can be called it holds the attributes.

    Raises:
        ValueError: if a list has not one for each group.
        TypeError: if something in it cannot be called.

    Example:
        >>> import tinycnn
        >>> optimizer = tinycnn.optim.SGD([tinycnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = tinycnn.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> for epoch in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(self._checked(optimizer).param_groups)
        each = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        self.lr_lambdas: list[Callable[[int], float]] = each  # type: ignore[assignment]
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: expected a function for each of the {groups} parameter groups, got {len(self.lr_lambdas)}"
            )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"LambdaLR: expected functions of the epoch, got {type(function).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * function(self.last_epoch) for lr, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        hidden = ("optimizer", "lr_lambdas")
        state = {key: copy.deepcopy(value) for key, value in vars(self).items() if key not in hidden}
        state["lr_lambdas"] = [copy.deepcopy(getattr(f, "__dict__", None)) or None for f in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._check_state(state_dict)
        state = copy.deepcopy(state_dict)
        for function, attributes in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            vars(function).update(attributes or {})
        vars(self).update(state)
