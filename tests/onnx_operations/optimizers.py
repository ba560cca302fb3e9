"""ONNX's optimisers by ours: one step from a state that is given.

ONNX's Adam is not here: in its first step it leaves out the correction of the bias that PyTorch's and ours begin with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn import Tensor, nn, optim


def step(optimizer: optim.Optimizer, gradients: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> list[Tensor]:
    """The parameters after a step from these states, in the order of param_groups."""
    parameters = optimizer.param_groups[0]["params"]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    start = optimizer.state_dict()
    start["state"] = dict(enumerate(states))
    optimizer.load_state_dict(start)
    optimizer.step()
    return [p.detach() for p in parameters]


def thirds(tensors: Sequence[Tensor]) -> tuple[list[nn.Parameter], Sequence[Tensor], Sequence[Tensor]]:
    n = len(tensors) // 3
    return [nn.Parameter(x.clone()) for x in tensors[:n]], tensors[n : 2 * n], tensors[2 * n :]


def adagrad(
    rate: Tensor, count: Tensor, *tensors: Tensor, decay_factor: float, epsilon: float, norm_coefficient: float
) -> tuple[Tensor, ...]:
    parameters, gradients, sums = thirds(tensors)
    optimizer = optim.Adagrad(
        parameters, rate.item(), lr_decay=decay_factor, weight_decay=norm_coefficient, eps=epsilon
    )
    new = step(optimizer, gradients, [{"step": count.item(), "sum": s.clone()} for s in sums])
    return *new, *(optimizer.state[p]["sum"] for p in parameters)


def momentum(
    rate: Tensor, count: Tensor, *tensors: Tensor, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Tensor, ...]:
    parameters, gradients, velocities = thirds(tensors)
    optimizer = optim.SGD(
        parameters,
        rate.item(),
        momentum=alpha,
        dampening=1 - beta if count.item() else 0,  # the first gradient counts in full
        weight_decay=norm_coefficient,
        nesterov=mode == "nesterov",
    )
    new = step(optimizer, gradients, [{"momentum_buffer": v.clone()} for v in velocities])
    return *new, *(optimizer.state[p]["momentum_buffer"] for p in parameters)
