"""Reductions: what many elements share, each gets back."""

from __future__ import annotations

from typing import Any

from tinycnn.ops.reduce import CumSum, Extreme, LogSumExp, Mean, Sum, Var, count, with_ones

from .mutant import change, mutant, mutant_of, with_gradient_of


@mutant(Sum, op="sum", wrong="the gradient is spread along another axis, where that fits")
def sum_spread_along_another_axis(right: Any, ctx: Any, g: Any) -> Any:
    """Every element gets the gradient of the sum it went into, which is known by the dimensions that were kept."""
    swapped = g.transpose(0, 1) if g.ndim == 2 and g.shape[0] == g.shape[1] else g
    return right(ctx, swapped)


@mutant(Mean, op="mean", wrong="the gradient is not divided by n")
def mean_not_divided(right: Any, ctx: Any, g: Any) -> Any:
    """Each of n elements makes 1 / n of the mean."""
    return right(ctx, g * count(ctx.shape, ctx.axes))


@mutant(Mean, op="mean", wrong="divides by the number of all elements")
def mean_over_everything(right: Any, ctx: Any, g: Any) -> Any:
    """n counts the elements that were averaged, not those of the dimensions that were kept."""
    return right(ctx, g * count(ctx.shape, ctx.axes) / count(ctx.shape, tuple(range(len(ctx.shape)))))


@mutant(Var, op="var", wrong="n for n - correction")
def var_biased(right: Any, ctx: Any, g: Any) -> Any:
    """The gradient divides by what the variance was divided by."""
    n = count(ctx.saved_tensors[0].shape, ctx.axes)
    return change(right(ctx, g), 0, lambda dx: dx * (ctx.degrees / n))


@mutant(Var, op="var", wrong="x for x - mean")
def var_not_centred(right: Any, ctx: Any, g: Any) -> Any:
    """Variance measures distance from the mean: to move all elements together changes nothing."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: with_ones(g * (2 / ctx.degrees), x.shape, ctx.axes) * x)


@mutant_of("std", wrong="the gradient of the variance")
def std_root_forgotten(right: Any, *args: Any, **options: Any) -> Any:
    """The root has a slope of its own, 1 / (2 std)."""
    result = right(*args, **options)
    return with_gradient_of(result, result * result)


@mutant(Extreme, op="amax", wrong="every element gets an equal share")
def amax_shared_by_all(right: Any, ctx: Any, g: Any) -> Any:
    """Only the greatest element moves the maximum."""
    x, _ = ctx.saved_tensors
    share = with_ones(g, x.shape, ctx.axes) / count(x.shape, ctx.axes)
    return change(right(ctx, g), 0, lambda dx: share.expand(*dx.shape) * 1.0)


@mutant(LogSumExp, op="logsumexp", wrong="e^x is not divided by the sum")
def logsumexp_not_normalised(right: Any, ctx: Any, g: Any) -> Any:
    """The slopes of logsumexp are the softmax: they add up to one."""
    x, _ = ctx.saved_tensors
    return change(right(ctx, g), 0, lambda _: with_ones(g, x.shape, ctx.axes) * x.exp())


@mutant(CumSum, op="cumsum", wrong="the gradient is summed from the front")
def cumsum_not_reversed(right: Any, ctx: Any, g: Any) -> Any:
    """An element is in its own sum and in all later ones, so gradients are summed from the end."""
    return change(right(ctx, g), 0, lambda _: CumSum.apply(g, ctx.axis, ctx.from_end))


@mutant_of("norm", wrong="the gradient is x, not x / norm")
def norm_not_divided(right: Any, input: Any, *args: Any, **options: Any) -> Any:
    """The gradient of a length points along x and has length 1."""
    result = right(input, *args, **options)
    return with_gradient_of(result, result * result * 0.5)


@mutant_of("prod", wrong="each factor gets the whole product")
def prod_own_factor_counted(right: Any, input: Any, *args: Any, **options: Any) -> Any:
    """The slope in one factor is the product of all the others, without itself."""
    result = right(input, *args, **options)
    return with_gradient_of(result, (result.detach() * input.sum(*args, **options)))
