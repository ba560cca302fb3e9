"""Normalisation as layers: batch, layer, group, and local response."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, no_grad
from ..backend.dtypes import int64
from ..ops import empty, ones, tensor, zeros
from ..ops.geometry import check_count
from ..ops.norm import count_batch
from . import functional as F, init
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """A normalisation with, if wanted, a learnt scale (weight, from 1) and shift (bias, from 0)."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_affine(self, shape: tuple[int, ...], scale: bool, shift: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", scale), ("bias", shift)):
            value = Parameter(empty(*shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)

    def reset_parameters(self) -> None:
        """Set the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class BatchNorm(_Affine):
    """Batch normalisation whatever the rank of the input."""

    ranks: tuple[int, ...] = ()
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._add_affine((num_features,), affine, affine and bias, device, dtype)
        track = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device, dtype=int64) if track else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the statistics gathered so far."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with no_grad():
                self.running_mean.zero_()
                self.running_var.fill_(1)
                self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the statistics, set the scale to 1 and the shift to 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input(self, input: Tensor) -> None:
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, got {type(input).__name__}")
        shape = input.array.shape
        if len(shape) not in self.ranks:
            wanted = " or ".join(f"{n}D" for n in self.ranks)
            raise ValueError(f"{name}: expected {wanted} input (got {len(shape)}D input, shape {shape})")
        if shape[1] != self.num_features:
            raise ValueError(
                f"{name}: input of shape {shape} has {shape[1]} channels, the layer was made for {self.num_features}"
            )

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch's statistics in training, else by the running ones, if there are any."""
        return F.batch_norm(input, **self._settings(input))

    def forward_relu(self, input: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """relu(forward(input) + shortcut) in one operation; `Sequential` and `norm_relu` call it if that is alike."""
        return F.batch_norm_relu(input, **self._settings(input), shortcut=shortcut)

    def _settings(self, input: Tensor) -> dict[str, Any]:
        """What `batch_norm` takes behind its input; counts the batch."""
        self._check_input(input)
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            count_batch(self.num_batches_tracked)
            if self.momentum is None:  # the plain average over all batches
                share = 1 / self.num_batches_tracked.item()
        mean, var = self._own("running_mean", "running_var")
        by_batch = self.training or mean is None or var is None
        if self.training and not self.track_running_stats:
            mean = var = None
        weight, bias = self._own("weight", "bias")
        return {
            "running_mean": mean, "running_var": var, "weight": weight, "bias": bias,
            "training": by_batch, "momentum": share, "eps": self.eps,
        }  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


def norm_relu(norm: Module, input: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """relu(norm(input) + shortcut), in one operation if norm is a `BatchNorm2d` that nobody watches.

    A layer with hooks, or of a class of its own, is called as ever, and sum and ReLU come behind it.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> x = tinycnn.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
        >>> nn.norm_relu(nn.BatchNorm2d(1), x, shortcut=-2 * x).detach().flatten()
        tensor([0., 0.])
        >>> nn.norm_relu(nn.BatchNorm2d(1), x, shortcut=2 * x).detach().flatten()
        tensor([1.0000, 7.0000])
    """
    if type(norm) is BatchNorm2d and norm.is_plain:
        return norm.forward_relu(input, shortcut)
    y = norm(input)
    return F.relu(y if shortcut is None else y + shortcut)


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); everything else as `BatchNorm2d`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.BatchNorm1d(1)(tinycnn.tensor([[1.0], [3.0]])).detach()
        tensor([[-1.0000],
                [ 1.0000]])
    """

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation: y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each channel.

    In training they are those of the batch (the variance biased), and running ones are kept for evaluation:
    running = (1 - momentum) * running + momentum * new, there with the unbiased variance.

    Shapes: x (N, C, H, W) -> y (N, C, H, W); weight, bias, running_mean, running_var (C,); num_batches_tracked ().
    S. Ioffe and C. Szegedy, "Batch Normalization" (2015).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the share of the new statistics; None for the plain average over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether running statistics are kept; if not, the batch's are used in evaluation too.
        device, dtype: of parameters and buffers.
        bias: whether an affine layer has a bias.

    Raises:
        ValueError: when called, if the input has another rank or other channels, or in training one value a channel.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> norm = nn.BatchNorm2d(2)
        >>> y = norm(tinycnn.randn(8, 2, 4, 4) * 3 + 5)
        >>> bool((y.mean((0, 2, 3)).abs() < 1e-5).all()), norm.num_batches_tracked
        (True, tensor(1))
    """

    ranks = (4,)


class LayerNorm(_Affine):
    """Layer normalisation: y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions of each sample.

    Shapes: x (..., *normalized_shape) -> y the same; weight and bias normalized_shape.
    J. L. Ba et al., "Layer Normalization" (2016).

    Args:
        normalized_shape: the size of the last dimension, or the sizes of the last few.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias.
        bias: whether an affine layer has a bias.
        device, dtype: of the parameters.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.LayerNorm(2)(tinycnn.tensor([[1.0, 3.0], [10.0, 30.0]])).detach()
        tensor([[-1.0000,  1.0000],
                [-1.0000,  1.0000]])
    """

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(normalized_shape, int | tuple | list):
            raise TypeError(f"LayerNorm: normalized_shape must be an integer or a shape, got {normalized_shape!r}")
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self._add_affine(shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each sample."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Group normalisation: each sample's channels in groups, every group with its own mean and variance.

    Shapes: x (N, C, ...) -> y the same; weight and bias (C,). Y. Wu and K. He, "Group Normalization" (2018).

    Args:
        num_groups: how many groups; it divides num_channels.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are weight and bias.
        device, dtype: of the parameters.
        bias: whether an affine layer has a bias.

    Raises:
        ValueError: if num_groups does not divide num_channels.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.GroupNorm(2, 4)(tinycnn.randn(1, 4, 3, 3)).shape
        tinycnn.Size([1, 4, 3, 3])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_count("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._add_affine((num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each group of each sample."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        sizes = f"{self.num_groups}, {self.num_channels}"
        return f"{sizes}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class InstanceNorm2d(_Affine):
    """Instance normalisation: each channel of each sample with its own mean and variance, in training and evaluation.

    Shapes: x (N, C, H, W) or (C, H, W) -> y the same; weight and bias (C,). D. Ulyanov et al., "Instance Normalization"
    (2016).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: accepted for PyTorch's sake; only running statistics would use it.
        affine: whether there are weight and bias.
        track_running_stats: must be False, as by default.
        device, dtype: of the parameters.
        bias: whether an affine layer has a bias.

    Raises:
        NotImplementedError: if track_running_stats is set.
        ValueError: when called, if the input has another rank or other channels, or one value a channel.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> y = nn.InstanceNorm2d(3)(tinycnn.randn(2, 3, 4, 4) * 3 + 5)
        >>> bool((y.mean((2, 3)).abs() < 1e-5).all())
        True
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if track_running_stats:
            raise NotImplementedError("InstanceNorm2d: track_running_stats=True is not supported")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = False
        self._add_affine((num_features,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of each sample."""
        if not isinstance(input, Tensor):
            raise TypeError(f"InstanceNorm2d: input must be a Tensor, got {type(input).__name__}")
        shape = tuple(input.shape)
        if len(shape) not in (3, 4) or shape[-3] != self.num_features:
            raise ValueError(
                f"InstanceNorm2d: expected (N, {self.num_features}, H, W) or ({self.num_features}, H, W), got shape "
                f"{shape}"
            )
        batch = input if len(shape) == 4 else input.unsqueeze(0)
        return F.instance_norm(batch, weight=self.weight, bias=self.bias, eps=self.eps).reshape(shape)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class LocalResponseNorm(Module):
    """Local response normalisation: y = x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta.

    Shapes: x (N, C, ...) -> y the same. A. Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
    Networks" (2012), section 3.3; as in PyTorch, alpha multiplies the mean and not the sum.

    Args:
        size: how many channels, the one itself among them.
        alpha, beta, k: of the equation.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.LocalResponseNorm(5)(tinycnn.zeros(1, 8, 2, 2)).shape
        tinycnn.Size([1, 8, 2, 2])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """Divide by what the neighbouring channels have."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
