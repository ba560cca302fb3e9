"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from ..autograd import Tensor
from .optimizer import Optimizer, Params, refuse


class RMSprop(Optimizer):
    """RMSprop: gradient descent with each coordinate divided by the root of a moving average of its squares.

    For each parameter p with gradient g, at each step, with v = a = b = 0 before the first:

        d = g + weight_decay * p                        (d = -g + ... with maximize)
        v = alpha * v + (1 - alpha) * d^2
        a = alpha * a + (1 - alpha) * d                 (a = 0 unless centered)
        b = momentum * b + d / (sqrt(v - a^2) + eps)
        p = p - lr * b

    T. Tieleman, G. Hinton, "Neural Networks for Machine Learning" (2012), lecture 6.5; A. Graves, "Generating Sequences
    With Recurrent Neural Networks" (2013), equations 38-45, for centered and momentum, with PyTorch's place of eps.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: the learning rate.
        alpha: how much of v stays from step to step.
        eps: what keeps the quotient finite.
        weight_decay: the factor of the L2 penalty's gradient.
        momentum: how much of b stays from step to step; 0 keeps no b.
        centered: divide by the deviation of the gradient instead of its size.
        maximize: climb instead of descend.
        capturable: count the steps in the device's memory, so that they can be captured by `tinycnn.cuda.graph`.
        foreach, differentiable: PyTorch's; there is one way to compute a step here.

    State of a parameter: "step", "square_avg" (v), with momentum "momentum_buffer" (b), centred "grad_avg" (a).

    Raises:
        ValueError: if lr, alpha, eps, weight_decay or momentum is negative; and as `Optimizer`.
        NotImplementedError: if foreach or differentiable is True.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.RMSprop([w], lr=0.1, alpha=0.75)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.8000, 1.8000], requires_grad=True)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("RMSprop", foreach=foreach, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "maximize": maximize,
            },
        )

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state.get(param)
        if not state:
            state = self.state[param] = {"step": 0, "square_avg": self.new_state(param)}
        mean: Tensor | None = None
        if group["centered"]:
            mean = state.get("grad_avg")
            if mean is None:
                mean = state["grad_avg"] = self.new_state(param)
        velocity: Tensor | None = None
        if group["momentum"]:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = self.new_state(param)
        self.count_step(param, group, state)
        self.run(
            "rmsprop_steps", param, grad, group, (state["square_avg"], mean, velocity), float(group["lr"]),
            group["alpha"], group["eps"], group["momentum"], group["weight_decay"],
        )  # fmt: skip
