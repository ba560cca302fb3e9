"""Normalisation: the moments depend on the input, which gives the gradient two terms that a plain scaling has not.

With averages <.> over what the moments are taken over:    dx = weight / std * (g - <g> - xhat * <g * xhat>).
"""

from __future__ import annotations

import importlib
from typing import Any

import tinycnn
from tinycnn.autograd import is_grad_enabled
from tinycnn.ops.arithmetic import Div
from tinycnn.ops.norm import BatchNorm, FrozenBatchNorm, Standardize

from .mutant import change, mutant

norm: Any = importlib.import_module("tinycnn.ops.norm")  # in tinycnn.ops, `norm` is the operation of that name
shifted = norm._shifted
CHANNEL = (0, 2, 3)


def mean(x: Any, over: Any = CHANNEL) -> Any:
    return x.mean(over, keepdim=True)


def standardized(x: Any, over: Any, eps: float) -> tuple[Any, Any]:
    """xhat and 1 / std."""
    centred = x - mean(x, over)
    inv_std = (mean(centred * centred, over) + eps).rsqrt()
    return centred * inv_std, inv_std


def per_channel(weight: Any) -> Any:
    return 1.0 if weight is None else weight.reshape(1, -1, 1, 1)


@mutant(BatchNorm, op="batch_norm", wrong="the term of the mean is dropped")
def batch_norm_mean_dropped(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """To raise one value raises its channel's mean, which lowers all the others: hence - <g>."""
    x, weight, *_ = ctx.saved_tensors
    xhat, inv_std = standardized(x, CHANNEL, ctx.eps)
    inner = g - xhat * mean(g * xhat)
    return change(right(ctx, g, *moments), 0, lambda _: inner * inv_std * per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="the term of the variance is dropped")
def batch_norm_variance_dropped(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """To move a value away from the mean widens the variance, which draws all others in: hence - xhat <g xhat>."""
    x, weight, *_ = ctx.saved_tensors
    _, inv_std = standardized(x, CHANNEL, ctx.eps)
    return change(right(ctx, g, *moments), 0, lambda _: (g - mean(g)) * inv_std * per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="eps is forgotten in the backward")
def batch_norm_eps_forgotten(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The forward divides by sqrt(var + eps), so the backward must too; where var is near eps it is a great matter."""
    x, weight, *_ = ctx.saved_tensors
    xhat, inv_std = standardized(x, CHANNEL, 0.0)
    inner = g - mean(g) - xhat * mean(g * xhat)
    return change(right(ctx, g, *moments), 0, lambda _: inner * inv_std * per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="averages divide by n - 1")
def batch_norm_unbiased(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The batch is normalised by the biased variance, over n; only the running variance is unbiased."""
    x, weight, *_ = ctx.saved_tensors
    n = x.numel() // x.shape[1]
    xhat, inv_std = standardized(x, CHANNEL, ctx.eps)
    inner = g - (mean(g) + xhat * mean(g * xhat)) * (n / (n - 1))
    return change(right(ctx, g, *moments), 0, lambda _: inner * inv_std * per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="<g> is taken over the batch only")
def batch_norm_wrong_axes(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The moments are taken over the pixels too, and so must be the averages of the gradient."""
    x, weight, *_ = ctx.saved_tensors
    xhat, inv_std = standardized(x, CHANNEL, ctx.eps)
    inner = g - mean(g, 0) - xhat * mean(g * xhat)
    return change(right(ctx, g, *moments), 0, lambda _: inner * inv_std * per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="dx is not multiplied by the weight")
def batch_norm_weight_forgotten(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The weight scales y after the division by std, so it scales what comes back."""
    x, weight, *_ = ctx.saved_tensors
    return change(right(ctx, g, *moments), 0, lambda dx: dx if weight is None else dx / per_channel(weight))


@mutant(BatchNorm, op="batch_norm", wrong="dweight is of x, not of xhat")
def batch_norm_weight_of_x(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The weight multiplies the normalised input."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g, *moments), 1, lambda _: (g * x).sum(CHANNEL))


@mutant(BatchNorm, op="batch_norm", wrong="dbias is a mean over the batch")
def batch_norm_bias_averaged(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The bias is added to every value of its channel, so it gets the sum of their gradients."""
    return change(right(ctx, g, *moments), 2, lambda db: db / g.shape[0])


@mutant(BatchNorm, op="batch_norm", wrong="second order: 1 / std counts as a constant")
def batch_norm_second_order_constant(right: Any, ctx: Any, g: Any, *moments: Any) -> Any:
    """The first gradient has 1 / std in it, which depends on x; only differentiating again shows whether it is
    known to."""
    if not is_grad_enabled():
        return right(ctx, g, *moments)
    x, weight, *_ = ctx.saved_tensors
    _, inv_std = standardized(x, CHANNEL, ctx.eps)
    constant = inv_std.detach()
    xhat = (x - mean(x)) * constant
    inner = g - mean(g) - xhat * mean(g * xhat)
    return change(right(ctx, g, *moments), 0, lambda _: inner * constant * per_channel(weight))


@mutant(FrozenBatchNorm, op="batch_norm", wrong="evaluation has training's gradient")
def batch_norm_frozen_moments_moved(right: Any, ctx: Any, g: Any) -> Any:
    """The running moments do not depend on the input: in evaluation there are no terms of the mean and variance."""
    inv_std, weight = ctx.saved_tensors[3], ctx.saved_tensors[1]
    return change(right(ctx, g), 0, lambda _: (g - mean(g)) * inv_std.reshape(1, -1, 1, 1) * per_channel(weight))


@mutant(FrozenBatchNorm, op="batch_norm", wrong="evaluation: dweight ignores the running mean")
def batch_norm_frozen_mean_ignored(right: Any, ctx: Any, g: Any) -> Any:
    """The weight multiplies (x - mean) / std."""
    x, _, _, inv_std = ctx.saved_tensors
    return change(right(ctx, g), 1, lambda _: (g * x).sum(CHANNEL) * inv_std)


@mutant(Standardize, op="layer_norm", wrong="averages go over the batch")
def layer_norm_over_the_batch(right: Any, ctx: Any, g: Any) -> Any:
    """Layer norm takes the moments of each sample over its features: no sample knows of another."""
    x = ctx.saved_tensors[0]
    xhat, inv_std = standardized(x, ctx.axes, ctx.eps)
    inner = g - mean(g, 0) - xhat * mean(g * xhat, ctx.axes)
    return change(right(ctx, g), 0, lambda _: inner * inv_std)


@mutant(Standardize, op="layer_norm", wrong="eps is forgotten in the backward")
def layer_norm_eps_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """The forward divides by sqrt(var + eps), and its slope has that same root in it."""
    xhat, inv_std = standardized(ctx.saved_tensors[0], ctx.axes, 0.0)
    inner = g - mean(g, ctx.axes) - xhat * mean(g * xhat, ctx.axes)
    return change(right(ctx, g), 0, lambda _: inner * inv_std)


@mutant(Standardize, op="group_norm", wrong="averages go over one channel, not its group")
def group_norm_over_a_channel(right: Any, ctx: Any, g: Any) -> Any:
    """The channels of a group share their moments, so a value of one moves the outputs of all."""
    over = ctx.axes[1:]
    if not over:
        return right(ctx, g)
    xhat, inv_std = standardized(ctx.saved_tensors[0], ctx.axes, ctx.eps)
    inner = g - mean(g, over) - xhat * mean(g * xhat, over)
    return change(right(ctx, g), 0, lambda _: inner * inv_std)


@mutant(Standardize, op="instance_norm", wrong="the term of the variance has the wrong sign")
def instance_norm_variance_sign(right: Any, ctx: Any, g: Any) -> Any:
    """A greater std makes every xhat smaller: its term is subtracted."""
    xhat, inv_std = standardized(ctx.saved_tensors[0], ctx.axes, ctx.eps)
    inner = g - mean(g, ctx.axes) + xhat * mean(g * xhat, ctx.axes)
    return change(right(ctx, g), 0, lambda _: inner * inv_std)


@mutant(norm, "_shifted", op="local_response_norm", wrong="the neighbours count as constants")
def lrn_neighbours_constant(right: Any, x: Any, offset: int) -> Any:
    """A channel divides not only itself but its neighbours too: its gradient has a term from each of them."""
    return right(x.detach(), offset)


class ShiftedTheSameWay(tinycnn.autograd.Function):
    """A shift along the channels whose gradient is shifted the same way, not back."""

    @staticmethod
    def forward(ctx: Any, x: Any, offset: int) -> Any:
        ctx.offset = offset
        return shifted(x, offset)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return shifted(g, ctx.offset), None


@mutant(norm, "_shifted", op="local_response_norm", wrong="the channel window is not mirrored")
def lrn_window_not_mirrored(right: Any, x: Any, offset: int) -> Any:
    """Channel c is in the window of those that have c in theirs: for an even size that is the mirrored window."""
    return ShiftedTheSameWay.apply(x, offset)


@mutant(Div, op="local_response_norm", wrong="the denominator counts as a constant")
def lrn_denominator_constant(right: Any, ctx: Any, g: Any) -> Any:
    """x stands in the denominator too, by its own square."""
    return change(right(ctx, g), 1, lambda db: db * 0)
