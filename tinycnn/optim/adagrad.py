"""Adagrad."""

from __future__ import annotations

from typing import Any, ClassVar

from ..autograd import Tensor
from .optimizer import Optimizer, Params, refuse


class Adagrad(Optimizer):
    """Adagrad: gradient descent with each coordinate divided by the root of the sum of all its squares so far.

    For each parameter p with gradient g, at step t = 1, 2, ..., with s = initial_accumulator_value before the first:

        d = g + weight_decay * p                        (d = -g + ... with maximize)
        s = s + d^2
        p = p - lr / (1 + (t - 1) * lr_decay) * d / (sqrt(s) + eps)

    J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization"
    (2011), with diagonal matrices.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: the learning rate.
        lr_decay: how fast the learning rate falls with t.
        weight_decay: the factor of the L2 penalty's gradient.
        initial_accumulator_value: what s starts at.
        eps: what keeps the quotient finite.
        maximize: climb instead of descend.
        foreach, differentiable, fused: PyTorch's; there is one way to compute a step here.

    State of a parameter: "step" (t), "sum" (s).

    Raises:
        ValueError: if an option is negative; and as `Optimizer`.
        NotImplementedError: if foreach, differentiable or fused is True.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.Adagrad([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.9000, 1.9000], requires_grad=True)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse("Adagrad", foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state.get(param)
        if not state:
            start = group["initial_accumulator_value"]
            state = self.state[param] = {"step": 0, "sum": self.new_state(param, start)}
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        self.run("adagrad_steps", param, grad, group, (state["sum"],), float(rate), group["eps"], group["weight_decay"])
