"""Parameters as one vector, and gradients held back."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..autograd import Tensor, no_grad
from ..ops import cat, stack, zeros


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one tensor of one dimension; it has a gradient.

    Raises:
        ValueError: if there are no parameters.

    Example:
        >>> import tinycnn.nn as nn
        >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape
        tinycnn.Size([8])
    """
    parts = [p.reshape(-1) for p in parameters]
    if not parts:
        raise ValueError("parameters_to_vector: got no parameters")
    return cat(parts)


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in the order of `parameters_to_vector`.

    Raises:
        TypeError: if vec is no tensor.
        ValueError: if it has not as many elements as the parameters.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> layer = nn.Linear(2, 1)
        >>> nn.utils.vector_to_parameters(tinycnn.tensor([1.0, 2.0, 3.0]), layer.parameters())
        >>> layer.bias.item()
        3.0
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    targets = list(parameters)
    wanted = sum(p.numel() for p in targets)
    if vec.ndim != 1 or vec.numel() != wanted:
        raise ValueError(f"vector_to_parameters: expected a vector of {wanted} elements, got shape {tuple(vec.shape)}")
    start = 0
    for p in targets:
        p.copy_(vec[start : start + p.numel()].reshape(p.shape))
        start += p.numel()


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    members = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in members if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by max_norm / norm if the norm of all of them together is greater than max_norm.

    R. Pascanu et al., "On the difficulty of training recurrent neural networks" (2013), section 3.2.

    Args:
        parameters: a tensor or several; those without a gradient do not count.
        max_norm: the greatest norm allowed.
        norm_type: p of the p-norm; math.inf for the greatest absolute value.
        error_if_nonfinite: whether a norm of inf or nan is an error.

    Returns:
        The norm before, a tensor of no dimensions.

    Raises:
        RuntimeError: if the norm is not finite and error_if_nonfinite is set; nothing is changed then.
        ValueError: if norm_type is not positive.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = tinycnn.tensor([3.0, 4.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> nn.utils.clip_grad_norm_(w, 1.0)
        tensor(10.)
        >>> w.grad
        tensor([0.6000, 0.8000])
    """
    p = float(norm_type)
    if not p > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive, got {norm_type}")
    grads = _gradients(parameters)
    if not grads:
        return zeros(())
    if p == math.inf:
        total: Tensor = stack([g.abs().max() for g in grads if g.numel()]).max()
    else:
        total = stack([(g.abs() ** p).sum() for g in grads]).sum() ** (1 / p)
    norm = total.item()
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be clipped")
    share = max_norm / (norm + 1e-6)
    if not share >= 1:  # a nan goes into the gradients, as it must
        for g in grads:
            g.copy_(g * share)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Hold every element of the gradients between -clip_value and clip_value.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = tinycnn.tensor([1.0, -5.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> nn.utils.clip_grad_value_(w, 3.0)
        >>> w.grad
        tensor([ 2., -3.])
    """
    for g in _gradients(parameters):
        g.copy_(g.clamp(-clip_value, clip_value))
