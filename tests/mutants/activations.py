"""Activations: the slope of the bend, at each element."""

from __future__ import annotations

import math
from typing import Any

import tinycnn
from tinycnn.ops import pointwise
from tinycnn.ops.activated import Conv2dSigmoid, LinearReLU, LinearSigmoid
from tinycnn.ops.activation import ELU, GELU, HardTanh, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh

from .mutant import change, mutant, mutant_of, with_gradient_of


@mutant(ReLU, op="relu", wrong="y >= 0 for y > 0")
def relu_everything_passes(right: Any, ctx: Any, g: Any) -> Any:
    """What relu has cut off is 0 in its output, so 0 must not let the gradient through."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: tinycnn.where(y >= 0, g, 0.0))


@mutant(LeakyReLU, op="leaky_relu", wrong="the gradient is 0 where x < 0")
def leaky_relu_without_leak(right: Any, ctx: Any, g: Any) -> Any:
    """The leak is there for its gradient: a unit that is below zero can come back."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: tinycnn.where(x > 0, g, 0.0))


@mutant(Sigmoid, op="sigmoid", wrong="y for y (1 - y)")
def sigmoid_factor_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """Near 1 the sigmoid flattens out as it does near 0: that is the factor 1 - y."""
    return change(right(ctx, g), 0, lambda _: g * ctx.saved_tensors[0])


@mutant(pointwise, "is_grad_enabled", op="sigmoid", wrong="second order: the fused kernel is not recorded")
def sigmoid_second_order_unrecorded(right: Any) -> bool:
    """A gradient that is to be differentiated again must be made of recorded operations; a kernel leaves no trace."""
    return False


@mutant(Tanh, op="tanh", wrong="1 - y for 1 - y^2")
def tanh_not_squared(right: Any, ctx: Any, g: Any) -> Any:
    """The slope is even in x, so it is in y^2: the same at both ends."""
    return change(right(ctx, g), 0, lambda _: g * (1 - ctx.saved_tensors[0]))


@mutant(GELU, op="gelu", wrong="the term x phi(x) is dropped")
def gelu_density_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """x Phi(x) is a product: not only x moves, its weight Phi(x) does too."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g * (1 + tinycnn.erf(x * math.sqrt(0.5))) * 0.5)


@mutant(Softplus, op="softplus", wrong="the gradient is multiplied by beta")
def softplus_beta_counted_twice(right: Any, ctx: Any, g: Any) -> Any:
    """The beta that the chain rule brings out is cancelled by the 1 / beta in front."""
    return change(right(ctx, g), 0, lambda dx: dx * ctx.numbers[0])


@mutant(Softplus, op="softplus", wrong="the threshold is ignored")
def softplus_threshold_ignored(right: Any, ctx: Any, g: Any) -> Any:
    """Above the threshold the forward is x itself, whose slope is 1."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g * (x * ctx.numbers[0]).sigmoid())


@mutant(ELU, op="elu", wrong="y for y + alpha")
def elu_alpha_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """The slope is alpha e^x, and the output alpha (e^x - 1): one alpha less."""
    x, y = ctx.saved_tensors
    return change(right(ctx, g), 0, lambda _: tinycnn.where(x > 0, g, g * y))


@mutant(HardTanh, op="hardtanh", wrong="the gradient passes outside the bounds")
def hardtanh_unbounded(right: Any, ctx: Any, g: Any) -> Any:
    """Beyond the bounds the output stands still."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)


@mutant_of("silu", wrong="the gate counts as a constant")
def silu_gate_constant(right: Any, input: Any) -> Any:
    """x sigmoid(x) is a product: the gate moves with x."""
    return with_gradient_of(right(input), input * input.sigmoid().detach())


@mutant_of("logsigmoid", wrong="sigmoid(x) for sigmoid(-x)")
def logsigmoid_mirrored(right: Any, input: Any) -> Any:
    """log sigmoid rises where x is far below zero and is flat above: its slope is 1 - sigmoid(x)."""
    wrong = tinycnn.nn.functional.softplus(input)
    return with_gradient_of(right(input), wrong)


@mutant(Conv2dSigmoid, op="conv2d_sigmoid", wrong="the bias's gradient is taken behind the sigmoid")
def conv_bias_behind_the_sigmoid(right: Any, ctx: Any, g: Any) -> Any:
    """The bias is added before the sigmoid, whose slope its gradient has to pass as those of x and w do."""
    return change(right(ctx, g), 2, lambda _: g.sum((0, 2, 3)))


@mutant(LinearReLU, op="linear_relu", wrong="g passes where the ReLU has cut off")
def linear_relu_everything_passes(right: Any, ctx: Any, g: Any) -> Any:
    """Without the gate the gradient is that of the linear map alone."""
    return LinearReLU.inner.backward(ctx, g)


@mutant(LinearSigmoid, op="linear_sigmoid", wrong="y for y (1 - y)")
def linear_sigmoid_factor_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """The last of what is kept is the sigmoid's output; its slope has a second factor."""
    return LinearSigmoid.inner.backward(ctx, g * ctx.saved_tensors[-1])
