"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from ..autograd import Tensor
from .optimizer import Optimizer, Params, refuse


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay if wanted.

    For each parameter p with gradient g, at each step:

        d = g + weight_decay * p                        (d = -g + ... with maximize)
        v = momentum * v + (1 - dampening) * d          (v = d at the first step)
        p = p - lr * v                                  (p - lr * (d + momentum * v) with nesterov)

    Robbins, Monro, "A stochastic approximation method", 1951; Polyak, "Some methods of speeding up the convergence of
    iteration methods", 1964; Sutskever et al., "On the importance of initialization and momentum in deep learning",
    2013, of whose Nesterov momentum this is PyTorch's form, with lr outside v.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: the learning rate.
        momentum: how much of the velocity v stays from step to step; 0 keeps no v.
        dampening: how much of d is kept out of v.
        weight_decay: the factor of the L2 penalty's gradient.
        nesterov: look ahead along v.
        maximize: climb instead of descend.
        foreach, differentiable, fused: PyTorch's; there is one way to compute a step here.

    Raises:
        ValueError: if lr, momentum or weight_decay is negative, or nesterov is asked for without momentum or with
            dampening; and as `Optimizer`.
        NotImplementedError: if foreach, differentiable or fused is True.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.SGD([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.8000, 1.6000], requires_grad=True)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("lr", "momentum", "weight_decay")
    takes_complex: ClassVar[bool] = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse("SGD", foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum above 0 and dampening 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        momentum, dampening = group["momentum"], group["dampening"]
        velocity: Tensor | None = None
        if momentum:
            state = self.state.setdefault(param, {})
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = self.new_state(param)
                dampening = 0  # v starts as d, and momentum * 0 + 1 * d is that
        self.run(
            "sgd_steps", param, grad, group, (velocity,), float(group["lr"]), float(momentum), float(dampening),
            float(group["weight_decay"]), bool(group["nesterov"]),
        )  # fmt: skip
