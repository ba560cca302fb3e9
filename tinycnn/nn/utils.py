"""Parameters as one vector, and gradients held back."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..autograd import Tensor, no_grad, wrap
from ..autograd.lists import Groups, alike, to_be_written
from ..backend import device_of
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


def _members(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in _members(parameters) if p.grad is not None]


def _refuse_foreach(name: str, foreach: bool | None) -> None:
    if foreach:
        raise NotImplementedError(
            f"{name}: foreach=True is not offered, there is one way to compute it here; leave it out"
        )


@no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of some tensors together.

        ||x||_p = (sum over all elements |x_i|^p)^(1/p)

    Args:
        tensors: a tensor or several, such as gradients; the result is where the first one is.
        norm_type: p; math.inf for the greatest absolute value.
        error_if_nonfinite: whether a norm of inf or nan is an error. To know, the number is read from the device.
        foreach: PyTorch's; there is one way to compute it here.

    Returns:
        A tensor of no dimensions; 0 if there are no elements.

    Raises:
        RuntimeError: if the norm is not finite and error_if_nonfinite is set.
        ValueError: if norm_type is not positive.
        NotImplementedError: if foreach is True.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.utils.get_total_norm([tinycnn.tensor([3.0, 0.0]), tinycnn.tensor(-4.0)])
        tensor(5.)
    """
    return _total_norm("get_total_norm", _members(tensors), norm_type, error_if_nonfinite, foreach)


def _total_norm(
    name: str, tensors: list[Tensor], norm_type: float, error_if_nonfinite: bool, foreach: bool | None
) -> Tensor:
    _refuse_foreach(name, foreach)
    p = float(norm_type)
    if not p > 0:
        raise ValueError(f"{name}: norm_type must be positive, got {norm_type}")
    if not tensors:
        return zeros(())
    norms = [n.to(tensors[0].device) for n in _norms(alike(tensors), p)]
    total = norms[0]
    if len(norms) > 1:  # the norm of the norms
        (total,) = _norms(alike([stack([n.double() for n in norms])]), p)
        total = total.to(norms[0].dtype)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"{name}: the norm of the gradients is {total.item()}, so they cannot be clipped")
    return total


def _norms(groups: Groups, p: float) -> list[Tensor]:
    return [
        wrap(backend.asarray(backend.quietly(backend.kernels.norm_of, arrays, p)), backend)
        for backend, arrays in groups
    ]


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by max_norm / total_norm if that is below 1; the norm is known already.

        g = g * min(1, max_norm / (total_norm + 1e-6))

    Nothing is read from the device. A total_norm of nan goes into the gradients, as it must.

    Args:
        parameters: a tensor or several; those without a gradient do not count.
        max_norm: the greatest norm allowed.
        total_norm: the norm, a tensor of no dimensions, as `get_total_norm` gives it.
        foreach: PyTorch's; there is one way to compute it here.

    Raises:
        NotImplementedError: if foreach is True.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = tinycnn.tensor([3.0, 4.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> nn.utils.clip_grads_with_norm_(w, 5.0, nn.utils.get_total_norm(w.grad))
        >>> w.grad
        tensor([3.0000, 4.0000])
    """
    _refuse_foreach("clip_grads_with_norm_", foreach)
    for backend, arrays in to_be_written(_gradients(parameters)):
        norm = total_norm.to(device_of(backend)).array
        backend.quietly(backend.kernels.clip_to_norm, arrays, norm, float(max_norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by max_norm / norm if the norm of all of them together is greater than max_norm.

        g = g * min(1, max_norm / (||all g||_p + 1e-6))

    Nothing is read from the device, unless error_if_nonfinite asks for it.

    R. Pascanu et al., "On the difficulty of training recurrent neural networks" (2013), section 3.2.

    Args:
        parameters: a tensor or several; those without a gradient do not count.
        max_norm: the greatest norm allowed.
        norm_type: p of the p-norm; math.inf for the greatest absolute value.
        error_if_nonfinite: whether a norm of inf or nan is an error.
        foreach: PyTorch's; there is one way to compute it here.

    Returns:
        The norm before, a tensor of no dimensions.

    Raises:
        RuntimeError: if the norm is not finite and error_if_nonfinite is set; nothing is changed then.
        ValueError: if norm_type is not positive.
        NotImplementedError: if foreach is True.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = tinycnn.tensor([3.0, 4.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> nn.utils.clip_grad_norm_(w, 1.0)
        tensor(10.)
        >>> w.grad
        tensor([0.6000, 0.8000])
    """
    members = _members(parameters)  # a generator can be walked through only once
    with no_grad():
        total = _total_norm("clip_grad_norm_", _gradients(members), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(members, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients between -clip_value and clip_value.

    Raises:
        NotImplementedError: if foreach, which is PyTorch's, is True.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = tinycnn.tensor([1.0, -5.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> nn.utils.clip_grad_value_(w, 3.0)
        >>> w.grad
        tensor([ 2., -3.])
    """
    _refuse_foreach("clip_grad_value_", foreach)
    limit = float(clip_value)
    for g in _gradients(parameters):
        g.clamp_(-limit, limit)
