"""Softmax and losses: the classes compete, so each score's gradient has a part from all of them."""

from __future__ import annotations

from typing import Any

import tinycnn
from tinycnn.ops.activation import LogSoftmax, Softmax

from .mutant import change, mutant, mutant_of, with_gradient_of


def reduced(loss: Any, reduction: str) -> Any:
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


@mutant(Softmax, op="softmax", wrong="only the diagonal of the Jacobian: y (1 - y) g")
def softmax_diagonal_only(right: Any, ctx: Any, g: Any) -> Any:
    """To raise one score lowers the probabilities of all other classes: the Jacobian is diag(y) - y y^T."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g * y * (1 - y))


@mutant(Softmax, op="softmax", wrong="sum(g y) is taken over all dimensions")
def softmax_sum_over_everything(right: Any, ctx: Any, g: Any) -> Any:
    """Classes compete within their own row: the sum goes along the softmax's dimension only."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: y * (g - (g * y).sum()))


@mutant(Softmax, op="softmax", wrong="sum(g) for sum(g y)")
def softmax_sum_unweighted(right: Any, ctx: Any, g: Any) -> Any:
    """The classes share one total, and each takes from it as much as its own probability."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: y * (g - g.sum(ctx.axis, keepdim=True)))


@mutant(LogSoftmax, op="log_softmax", wrong="g - e^y, as if g added up to one")
def log_softmax_shortcut(right: Any, ctx: Any, g: Any) -> Any:
    """Target - probability is the gradient for a one-hot g only; for any other, e^y is multiplied by sum(g)."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g - y.exp())


@mutant(LogSoftmax, op="log_softmax", wrong="y stands for e^y")
def log_softmax_not_exponentiated(right: Any, ctx: Any, g: Any) -> Any:
    """What log_softmax saves is a logarithm; its derivative has the probabilities themselves in it."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g - y * g.sum(ctx.axis, keepdim=True))


@mutant_of("cross_entropy", wrong="label smoothing is forgotten")
def cross_entropy_smoothing_forgotten(right: Any, *args: Any, label_smoothing: float = 0.0, **options: Any) -> Any:
    """With label smoothing a share of the target lies on every class, and pulls at every score."""
    return with_gradient_of(right(*args, **options, label_smoothing=label_smoothing), right(*args, **options))


@mutant_of("cross_entropy", wrong="an ignored target counts as class 0")
def cross_entropy_ignored_counted(right: Any, input: Any, target: Any, *args: Any, **options: Any) -> Any:
    """An ignored element has no loss, so its scores have no gradient."""
    result = right(input, target, *args, **options)
    if target.dtype.is_floating_point:
        return result
    return with_gradient_of(result, right(input, target.clamp(min=0), *args, **options))


@mutant_of("nll_loss", wrong="the mean divides by N, not by the sum of the weights")
def nll_mean_unweighted(right: Any, input: Any, target: Any, *args: Any, reduction: str = "mean") -> Any:
    """A weighted mean divides by the weights that it counted; ignored elements are not among them."""
    result = right(input, target, *args, reduction=reduction)
    if reduction != "mean":
        return result
    return with_gradient_of(result, right(input, target, *args, reduction="sum") / target.numel())


@mutant_of("mse_loss", wrong="the factor 2 is forgotten")
def mse_factor_two(right: Any, *args: Any, **options: Any) -> Any:
    """The derivative of d^2 is 2 d; only a loss defined as d^2 / 2 has none."""
    result = right(*args, **options)
    return with_gradient_of(result, result * 0.5)


@mutant_of("mse_loss", wrong="the target gets no gradient")
def mse_target_constant(right: Any, input: Any, target: Any, **options: Any) -> Any:
    """The error is a difference: what moves the input one way moves the target the other."""
    return with_gradient_of(right(input, target, **options), right(input, target.detach(), **options))


@mutant_of("smooth_l1_loss", wrong="the parabola is not divided by beta")
def smooth_l1_beta_forgotten(right: Any, input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d^2 / (2 beta) has the slope 1 where it meets the line at d = beta."""
    error = input - target
    wrong = tinycnn.where(error.abs() < beta, error * error / 2, error.abs())
    return with_gradient_of(right(input, target, reduction=reduction, beta=beta), reduced(wrong, reduction))


@mutant_of("binary_cross_entropy", wrong="the term of the zeros is dropped")
def bce_zeros_dropped(right: Any, input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Where the target is 0 it is the other term, log(1 - input), that pushes the probability down."""
    wrong = -(target * input.log()) * (1.0 if weight is None else weight)
    return with_gradient_of(right(input, target, weight, reduction=reduction), reduced(wrong, reduction))


@mutant_of("binary_cross_entropy_with_logits", wrong="pos_weight is forgotten")
def bce_pos_weight_forgotten(right: Any, *args: Any, pos_weight: Any = None, **options: Any) -> Any:
    """pos_weight multiplies the loss of the ones, and so their gradient."""
    return with_gradient_of(right(*args, pos_weight=pos_weight, **options), right(*args, **options))
