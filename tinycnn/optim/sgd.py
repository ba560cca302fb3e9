"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, wrap
from .optimizer import Optimizer, Params


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

    Raises:
        ValueError: if lr, momentum or weight_decay is negative, or nesterov is asked for without momentum or with
            dampening; and as `Optimizer`.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = tinycnn.optim.SGD([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([0.8000, 1.6000], requires_grad=True)
    """

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
    ) -> None:
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
        for option in ("lr", "momentum", "weight_decay"):
            if not group[option] >= 0:
                raise ValueError(f"SGD: {option} must be 0 or more, got {group[option]}")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum above 0 and dampening 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        backend = param.backend
        state = self.state.setdefault(param, {}) if group["momentum"] else {}
        velocity: Tensor | None = state.get("momentum_buffer")
        dampening = group["dampening"]
        if group["momentum"] and velocity is None:
            velocity = state["momentum_buffer"] = wrap(backend.zeros_like(param.array), backend)
            dampening = 0  # v starts as d, and momentum * 0 + 1 * d is that
        g = backend.negative(grad.array) if group["maximize"] else grad.array
        arrays = [param.array, None if velocity is None else velocity.array]
        if param.array.dtype.itemsize == 2:  # float16 is stored, not computed in
            arrays = [a if a is None else a.astype("float32") for a in arrays]
            g = g.astype("float32")
        p, v = arrays
        backend.kernels.sgd_step(
            p, g, v, float(group["lr"]), float(group["momentum"]), float(dampening), float(group["weight_decay"]),
            bool(group["nesterov"]),
        )  # fmt: skip
        if p is not param.array:
            param.array[...] = p
            if velocity is not None:
                velocity.array[...] = v
