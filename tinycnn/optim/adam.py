"""Adam, and AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

from ..autograd import Tensor
from .optimizer import Optimizer, Params, refuse


class Adam(Optimizer):
    """Adam: steps along the mean of the gradients, each coordinate scaled by the root of its squares' mean.

    For each parameter p with gradient g, at step t = 1, 2, ...:

        d = g + weight_decay * p                        (d = -g + ... with maximize)
        m = beta1 * m + (1 - beta1) * d                 v = beta2 * v + (1 - beta2) * d^2
        M = m / (1 - beta1^t)                           V = v / (1 - beta2^t)
        p = p - lr * M / (sqrt(V) + eps)

    with m = v = 0 before the first step. With amsgrad the greatest v so far takes v's place in V. With
    decoupled_weight_decay this is AdamW.

    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1; S. J. Reddi, S. Kale,
    S. Kumar, "On the Convergence of Adam and Beyond" (2018), algorithm 2, for amsgrad.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: the learning rate.
        betas: (beta1, beta2), how much of m and v stays from step to step.
        eps: what keeps the quotient finite.
        weight_decay: the factor of the L2 penalty's gradient.
        amsgrad: divide by the greatest v so far.
        maximize: climb instead of descend.
        capturable: count the steps in the device's memory, so that they can be captured by `tinycnn.cuda.graph`.
        decoupled_weight_decay: decay the weights apart from the gradient, see `AdamW`.
        foreach, differentiable, fused: PyTorch's; there is one way to compute a step here.

    State of a parameter: "step" (t, a tensor if capturable), "exp_avg" (m), "exp_avg_sq" (v), with amsgrad
    "max_exp_avg_sq".

    Raises:
        ValueError: if lr, eps or weight_decay is negative, or a beta is not in [0, 1); and as `Optimizer`.
        NotImplementedError: if foreach, differentiable or fused is True.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.Adam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.9000, 1.9000], requires_grad=True)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        refuse(self.name, foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{self.name}: betas must be two numbers of 0 or more and below 1, got {betas}")

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state.get(param)
        if not state:
            state = self.state[param] = {
                "step": 0,
                "exp_avg": self.new_state(param),
                "exp_avg_sq": self.new_state(param),
            }
        peak: Tensor | None = None
        if group["amsgrad"]:
            peak = state.get("max_exp_avg_sq")
            if peak is None:
                peak = state["max_exp_avg_sq"] = self.new_state(param)
        count, number = self.count_step(param, group, state)
        beta1, beta2 = group["betas"]
        self.run(
            "adam_steps", param, grad, group, (state["exp_avg"], state["exp_avg_sq"], peak, count), number,
            float(group["lr"]), beta1, beta2, group["eps"], group["weight_decay"], group["decoupled_weight_decay"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay: the weights shrink by themselves, not through the gradient and its scaling.

    For each parameter p with gradient g, at step t = 1, 2, ...:

        p = p - lr * weight_decay * p
        p = p - lr * M / (sqrt(V) + eps)                M and V as in `Adam` without weight decay

    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.

    Args:
        params: parameters or groups of them, see `Optimizer`.
        lr: the learning rate.
        betas: (beta1, beta2), how much of m and v stays from step to step.
        eps: what keeps the quotient finite.
        weight_decay: what lr is multiplied by for the share of the weights that goes at each step.
        amsgrad: divide by the greatest v so far.
        maximize: climb instead of descend.
        capturable: as of `Adam`.
        foreach, differentiable, fused: PyTorch's; there is one way to compute a step here.

    Raises:
        ValueError, NotImplementedError: as `Adam`.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.AdamW([w], lr=0.1, weight_decay=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.8500, 1.8000], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip
