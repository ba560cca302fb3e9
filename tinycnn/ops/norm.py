"""Normalisation: batch norm with moving statistics, layer, group and instance norm, local response norm.

    xhat = (x - mean) / sqrt(var + eps),   y = xhat * weight + bias

They differ in what the mean and the variance are taken over: the batch and the pixels of one channel (batch norm), all
features of one sample (layer norm), one group of channels of one sample (group norm).
"""

from __future__ import annotations

import math
import operator
from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, is_recomputing, run_arrays, run_kernel
from ..backend.dtypes import INEXACT
from .geometry import check_flag, check_floating
from .registry import Make, Sample, op

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm"]

_OVER = (0, 2, 3)  # a channel of (N, C, H, W) is spread over these dimensions


class BatchNorm(Op):
    """Training: x normalised by its own moments; running statistics move on the way.

    The moments depend on x, so the gradient has two terms more than that of an affine map: with averages <.> over a
    channel,   dx = weight / std * (g - <g> - xhat * <g * xhat>).
    """

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, eps: float, moving: Any) -> Any:
        y, mean, inv_std = ctx.backend.kernels.batch_norm_train(x, weight, bias, eps, False, None, moving)
        ctx.eps = eps
        ctx.save_for_backward(x, weight, mean, inv_std)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, weight, mean, inv_std = ctx.saved_tensors
        if is_grad_enabled():
            return *BatchNorm.differentiable(ctx, g, x, weight), None, None
        gx, gweight, gbias = run_kernel("batch_norm_backward", g, x, mean, inv_std, weight)
        _, to_weight, to_bias, _, _ = ctx.needs_input_grad
        return gx, gweight if to_weight else None, gbias if to_bias else None, None, None

    @staticmethod
    def differentiable(ctx: Any, g: Tensor, x: Tensor, weight: Tensor | None) -> tuple[Any, ...]:
        """The same gradient made of operations, with the moments as functions of x."""
        centred = x - x.mean(_OVER, keepdim=True)
        inv_std = ((centred * centred).mean(_OVER, keepdim=True) + ctx.eps).rsqrt()
        xhat = centred * inv_std
        inner = g - g.mean(_OVER, keepdim=True) - xhat * (g * xhat).mean(_OVER, keepdim=True)
        gx = inner * inv_std
        if weight is not None:
            gx = gx * weight.reshape(1, -1, 1, 1)
        to_weight, to_bias = ctx.needs_input_grad[1:3]
        return gx, (g * xhat).sum(_OVER) if to_weight else None, g.sum(_OVER) if to_bias else None


class FrozenBatchNorm(Op):
    """Evaluation: x normalised by given moments, which are constants: an affine map of each channel."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, eps: float) -> Any:
        y, inv_std = ctx.backend.kernels.batch_norm_eval(x, mean, variance, weight, bias, eps, False, None)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, mean, inv_std)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, weight, mean, inv_std = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad[:3]
        gx = gweight = None
        if to_x:
            scale = inv_std if weight is None else inv_std * weight
            gx = g * scale.reshape(1, -1, 1, 1)
        if to_weight:
            xhat = (x - mean.reshape(1, -1, 1, 1)) * inv_std.reshape(1, -1, 1, 1)
            gweight = (g * xhat).sum(_OVER)
        return gx, gweight, g.sum(_OVER) if to_bias else None, None, None, None


def _batch_norm_samples(make: Make) -> list[Sample]:
    moments = make(3).detach(), make.positive(3).detach()
    nearly_constant = (make(4, 2, 2, 2) * 1e-3).detach().requires_grad_()  # variance near eps
    return [
        make.sample(make(2, 3, 2, 3), None, None, make(3), make(3), True),
        make.sample(make(4, 3), None, None, make(3), make(3), True),
        make.sample(make(2, 3, 4), None, None, training=True),
        make.sample(nearly_constant, None, None, make(2), None, True, eps=1e-5),
        make.sample(make(2, 3, 2, 2), *moments, make(3), make(3), False),
        make.sample(make(2, 3), *moments),
    ]


@op(_batch_norm_samples, method=False, analytic=True)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation: each channel to mean 0 and variance 1, then scaled and shifted.

    y = (x - mean) / sqrt(var + eps) * weight + bias

    In training, mean and the biased variance are the batch's own, over all dimensions but C, and the running
    statistics, if given, move in place: running = (1 - momentum) * running + momentum * batch (with the unbiased
    variance). In evaluation they are the running ones. Ioffe, Szegedy 2015, algorithms 1 and 2.

    Args:
        input: (N, C), (N, C, L) or (N, C, H, W).
        running_mean, running_var, weight, bias: (C,) or None.
        training: which statistics to use.
        momentum: how far running statistics move to the batch's.
        eps: keeps the root away from zero.

    Returns:
        the shape of input.

    Raises:
        ValueError: if a shape does not fit, a channel has only one value in training, or running statistics are missing
            in evaluation.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> tinycnn.nn.functional.batch_norm(x, None, None, training=True)
        tensor([[-1.0000, -1.0000],
                [ 1.0000,  1.0000]])
    """
    check_flag("batch_norm", "training", training)
    check_batch_norm("batch_norm", input, running_mean, running_var, weight, bias, eps)
    shape = input.array.shape
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: running_mean and running_var must be given when training=False")
        if not is_grad_enabled():
            return run_arrays(by_running, input, running_mean, running_var, weight, bias, eps, False, None)[0]
        moments = running_mean.detach(), running_var.detach()
    x = input if len(shape) == 4 else input.reshape(_as_images(shape))
    if not training:
        y = FrozenBatchNorm.apply(x, weight, bias, *moments, eps)
    else:
        count = x.array.size // shape[1] if shape[1] else 0
        if count == 0:  # nothing to normalise, and no statistics
            zeros = input.new_zeros(shape[1])
            return FrozenBatchNorm.apply(x, weight, bias, zeros, zeros, eps).reshape(shape)
        if count == 1:
            raise ValueError(
                f"batch_norm: expected more than 1 value per channel when training, got input of shape {shape}"
            )
        y = BatchNorm.apply(x, weight, bias, eps, moving(running_mean, running_var, momentum))
        mark_moved(running_mean, running_var)
    return y if len(shape) == 4 else y.reshape(shape)


def by_running(
    backend: Any, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, relu: bool, shortcut: Any
) -> tuple[Any]:
    """Batch norm of an array in evaluation, if wanted with a shortcut added and a ReLU behind it."""
    images = x if x.ndim == 4 else x.reshape(_as_images(x.shape))
    y, _ = backend.kernels.batch_norm_eval(images, mean, var, weight, bias, eps, relu, shortcut)
    return (y if x.ndim == 4 else y.reshape(x.shape),)


def _as_images(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(N, C, ...) as (N, C, H, W)."""
    return shape[0], shape[1], math.prod(shape[2:]), 1


def check_batch_norm(
    name: str,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> None:
    """Raise if what `batch_norm` and its like were given does not fit together."""
    check_floating(name, input=input)
    shape = input.array.shape
    if len(shape) < 2:
        raise ValueError(f"{name}: input must be (N, C), (N, C, L) or (N, C, H, W), got shape {shape}")
    if eps < 0:
        raise ValueError(f"{name}: eps must not be negative, got {eps}")
    wanted = (shape[1],)
    for what, t in ("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias):
        if t is None:
            continue
        array = t.array
        if array.shape != wanted:
            raise ValueError(f"{name}: {what} has shape {array.shape}, input {shape} wants ({shape[1]},)")
        if array.dtype.char not in INEXACT:
            raise TypeError(f"{name}: {what} must be floating, got {t.dtype!r}")


def moving(running_mean: Tensor | None, running_var: Tensor | None, momentum: float) -> Any:
    """What the kernel `batch_norm_train` takes to move running statistics; None if they shall stay."""
    if (running_mean is None and running_var is None) or is_recomputing():
        return None
    mean, var = [None if running is None else running.array for running in (running_mean, running_var)]
    return mean, var, float(momentum)


def mark_moved(*running: Tensor | None) -> None:
    """Note that they were written into."""
    if not is_recomputing():
        for statistics in running:
            if statistics is not None:
                statistics._version[0] += 1


def count_batch(counter: Tensor) -> None:
    """Add 1 to a counter of batches, in place."""
    if not is_recomputing():
        counter.array = counter.backend.on_device(operator.iadd, counter.array, 1)
        counter._version[0] += 1


class Standardize(Op):
    """xhat = (x - mean) / sqrt(var + eps), the moments taken over `axes`; the gradient is batch norm's."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...], eps: float) -> Any:
        ctx.save_for_backward(x)
        ctx.axes, ctx.eps = axes, eps
        if x.size == 0:
            return x.copy(order="K")
        wide = "complex128" if x.dtype.kind == "c" else "float64"
        centred = x - x.mean(axis=axes, keepdims=True, dtype=wide).astype(x.dtype)
        var = (centred * centred).mean(axis=axes, keepdims=True, dtype=wide)
        return centred * (1 / ctx.backend.sqrt(var + eps)).astype(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (x,), axes = ctx.saved_tensors, ctx.axes
        centred = x - x.mean(axes, keepdim=True)
        inv_std = ((centred * centred).mean(axes, keepdim=True) + ctx.eps).rsqrt()
        xhat = centred * inv_std
        inner = g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True)
        return inner * inv_std, None, None


@op(
    lambda make: [
        make.sample(make(3, 4), (4,), make(4), make(4)),
        make.sample(make(2, 3, 4), (3, 4), make(3, 4)),
        make.sample(make(2, 5), 5),
    ],
    method=False,
    analytic=True,
)
def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation: mean 0 and variance 1 over the last dimensions of each sample, then scaled and shifted.

    Ba, Kiros, Hinton, "Layer Normalization" (2016), equation 4.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: an integer or a shape.
        weight, bias: normalized_shape, or None.
        eps: keeps the root away from zero.

    Returns:
        the shape of input.

    Raises:
        ValueError: if input does not end in normalized_shape, or weight or bias have another shape.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.layer_norm(tinycnn.tensor([[1.0, 3.0]]), (2,))
        tensor([[-1.0000,  1.0000]])
    """
    check_floating("layer_norm", input=input, weight=weight, bias=bias)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.array.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: input of shape {input.array.shape} does not end in normalized_shape {shape}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.array.shape != shape:
            raise ValueError(f"layer_norm: {name} has shape {t.array.shape}, normalized_shape is {shape}")
    y = Standardize.apply(input, tuple(range(input.array.ndim - len(shape), input.array.ndim)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@op(
    lambda make: [
        make.sample(make(2, 4, 3, 2), 2, make(4), make(4)),
        make.sample(make(2, 3, 4), 3),
        make.sample(make(2, 6), 2, make(6)),
    ],
    method=False,
    analytic=True,
)
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Group normalisation: mean 0 and variance 1 over each group of channels of each sample, then scaled and shifted.

    Wu, He, "Group Normalization" (2018), equations 1 to 7.

    Args:
        input: (N, C, ...).
        num_groups: divides C.
        weight, bias: (C,) or None.
        eps: keeps the root away from zero.

    Returns:
        the shape of input.

    Raises:
        ValueError: if num_groups does not divide C, all that there is is one value, or a shape does not fit.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1.0, 3.0, 10.0, 30.0]])
        >>> tinycnn.nn.functional.group_norm(x, 2)
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    check_floating("group_norm", input=input, weight=weight, bias=bias)
    shape = input.array.shape
    if len(shape) < 2:
        raise ValueError(f"group_norm: input must be (N, C, ...), got shape {shape}")
    if num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: num_groups={num_groups} does not divide the {shape[1]} channels of {shape}")
    if input.array.size == num_groups:
        raise ValueError(f"group_norm: expected more than 1 value in a group, got num_groups={num_groups} and {shape}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.array.shape != (shape[1],):
            raise ValueError(f"group_norm: {name} has shape {t.array.shape}, input {shape} wants ({shape[1]},)")
    grouped = input.reshape(shape[0], num_groups, shape[1] // num_groups, *shape[2:])
    y = Standardize.apply(grouped, tuple(range(2, len(shape) + 1)), eps).reshape(shape)
    per_channel = (1, shape[1], *(1,) * (len(shape) - 2))
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


@op(
    lambda make: [make.sample(make(2, 3, 2, 2), weight=make(3), bias=make(3)), make.sample(make(2, 2, 4))],
    method=False,
    analytic=True,
)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalisation: each channel of each sample to mean 0 and variance 1, then scaled and shifted.

    Ulyanov, Vedaldi, Lempitsky, "Instance Normalization" (2016): group normalisation with a group a channel.

    Args:
        input: (N, C, ...), more than one value a channel.
        weight, bias: (C,) or None.
        running_mean, running_var: (C,), moved toward the mean of all samples' statistics, or None.
        use_input_stats: whether to normalise by the input's own statistics (else by the running ones).
        momentum: how far they move.
        eps: keeps the root away from zero.

    Returns:
        the shape of input.

    Raises:
        ValueError: if a channel has only one value, or a shape does not fit, or running statistics are missing.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.instance_norm(tinycnn.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
        tensor([[[-1.0000,  1.0000],
                 [-1.0000,  1.0000]]])
    """
    shape = input.array.shape
    if len(shape) < 3 or (use_input_stats and math.prod(shape[2:]) <= 1):
        raise ValueError(f"instance_norm: expected (N, C, ...) with more than 1 value a channel, got shape {shape}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm: give both running_mean and running_var, or neither")
    if running_mean is None and use_input_stats:
        return group_norm(input, shape[1], weight, bias, eps)
    samples, channels = shape[:2]  # a batch of one sample, whose channels are those of all samples
    each = [None if t is None else t.repeat(samples) for t in (running_mean, running_var, weight, bias)]
    flat = input.reshape(1, samples * channels, *shape[2:])
    y = batch_norm(flat, each[0], each[1], each[2], each[3], use_input_stats, momentum, eps)
    for running, moved in zip((running_mean, running_var), each[:2], strict=True):
        if running is not None and moved is not None and use_input_stats and samples:
            running.data.copy_(moved.reshape(samples, channels).mean(0))
    return y.reshape(shape)


@op(
    lambda make: [make.sample(make(2, 5, 3, 2), 3), make.sample(make(1, 4, 3), 2, alpha=0.5, beta=0.6, k=2.0)],
    method=False,
    analytic=True,
)
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Local response normalisation: each value over a measure of its neighbours' in nearby channels.

    y[c] = x[c] / (k + alpha / size * sum of x[c']^2 over the `size` channels c' around c)^beta

    Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012), section
    3.3.

    Args:
        input: (N, C, ...), at least three dimensions.
        size: the number of channels in a neighbourhood; size // 2 of them before c.
        alpha, beta, k: as in the equation.

    Returns:
        the shape of input.

    Raises:
        ValueError: if the rank is below 3 or size below 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.local_response_norm(tinycnn.ones(1, 3, 1), 3, alpha=3.0, beta=1.0)
        tensor([[[0.3333],
                 [0.2500],
                 [0.3333]]])
    """
    check_floating("local_response_norm", input=input)
    if input.array.ndim < 3:
        raise ValueError(
            f"local_response_norm: input must be (N, C, ...) of 3 dimensions or more, got {input.array.shape}"
        )
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    channels = input.array.shape[1]
    square = input * input
    total = square
    for offset in range(-min(size // 2, channels - 1), min((size - 1) // 2, channels - 1) + 1):
        if offset:
            total = total + _shifted(square, offset)
    return input / (k + alpha / size * total) ** beta


def _shifted(x: Tensor, offset: int) -> Tensor:
    """y[:, c] = x[:, c + offset], zero where that is no channel."""
    from .join import cat

    gap = x[:, : abs(offset)].detach() * 0
    return cat([gap, x[:, :offset]], 1) if offset < 0 else cat([x[:, offset:], gap], 1)
