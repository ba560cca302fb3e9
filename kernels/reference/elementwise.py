"""Sums, activations and losses: one formula a function, the same for every element.

A `*_backward` takes the gradient g of the output and what its formula is shortest in: the inputs, or the output y.

Each formula is written once and used in three ways: on arrays, where it is the reference; on symbols, from which the
CUDA kernels are written (kernels/cuda/formulas.py); and, the backwards, on recorded tensors, where a gradient is to be
differentiated again. So they are made of operators, comparisons and a few functions that all three have. `FORMULAS`
names those.
"""

from __future__ import annotations

import math
from typing import Any

Array = Any

_ROOT = math.sqrt(2 / math.pi)


def _erf(xp: Any, x: Array) -> Array:
    if hasattr(xp, "erf"):
        return xp.erf(x)
    if xp.__name__ == "cupy":
        from cupyx.scipy.special import erf
    else:
        from scipy.special import erf
    return erf(x)


def _normal_cdf(xp: Any, x: Array) -> Array:
    return (_erf(xp, x * math.sqrt(0.5)) + 1) * 0.5


def add(xp: Any, a: Array, b: Array) -> Array:
    """a + b."""
    return a + b


def relu(xp: Any, x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return xp.maximum(x, 0)


def relu_backward(xp: Any, g: Array, y: Array) -> Array:
    """g where y > 0, else 0."""
    return xp.where(y > 0, g, 0.0)


def leaky_relu(xp: Any, x: Array, slope: float) -> Array:
    """x where x > 0, else slope * x."""
    return xp.where(x > 0, x, x * slope)


def leaky_relu_backward(xp: Any, g: Array, x: Array, slope: float) -> Array:
    """g where x > 0, else slope * g."""
    return xp.where(x > 0, g, g * slope)


def sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + e^-x), as (1 + tanh(x / 2)) / 2 so that no x overflows, unless the library has a function for it."""
    return xp.sigmoid(x) if hasattr(xp, "sigmoid") else (xp.tanh(x * 0.5) + 1) * 0.5


def sigmoid_backward(xp: Any, g: Array, y: Array) -> Array:
    """g * y * (1 - y)."""
    return g * y * (1 - y)


def tanh(xp: Any, x: Array) -> Array:
    """The hyperbolic tangent."""
    return xp.tanh(x)


def tanh_backward(xp: Any, g: Array, y: Array) -> Array:
    """g * (1 - y^2)."""
    return g * (1 - y * y)


def gelu(xp: Any, x: Array) -> Array:
    """x * Phi(x), Phi the normal distribution function (Hendrycks, Gimpel 2016)."""
    return x * (_erf(xp, x * math.sqrt(0.5)) + 1) * 0.5


def gelu_backward(xp: Any, g: Array, x: Array) -> Array:
    """g * (Phi(x) + x * phi(x)), phi the normal density."""
    return g * (_normal_cdf(xp, x) + x * xp.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))


def silu(xp: Any, x: Array) -> Array:
    """x * sigmoid(x) (Elfwing, Uchibe, Doya 2017)."""
    return x * sigmoid(xp, x)


def silu_backward(xp: Any, g: Array, x: Array) -> Array:
    """g * (s + x * s * (1 - s)) with s = sigmoid(x)."""
    s = sigmoid(xp, x)
    return g * s + g * x * s * (1 - s)


def gelu_tanh(xp: Any, x: Array) -> Array:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))), near gelu."""
    return x * 0.5 * (1 + xp.tanh(_ROOT * (x + 0.044715 * (x * x * x))))


def gelu_tanh_backward(xp: Any, g: Array, x: Array) -> Array:
    """g * ((1 + t) / 2 + x / 2 * (1 - t^2) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x^2)), t being that tanh."""
    t = xp.tanh(_ROOT * (x + 0.044715 * (x * x * x)))
    return g * (0.5 * (1 + t) + x * (1 - t * t) * (0.5 * _ROOT * (1 + 0.134145 * (x * x))))


def _log_one_plus_exp(xp: Any, z: Array) -> Array:
    return xp.log1p(xp.exp(z)) if z.dtype.kind == "c" else xp.logaddexp(z, 0.0)


def softplus(xp: Any, x: Array, beta: float, threshold: float) -> Array:
    """log(1 + e^(beta x)) / beta, or x itself where beta x > threshold."""
    z = x * beta
    return xp.where(z.real > threshold, x, _log_one_plus_exp(xp, z) / beta)


def softplus_backward(xp: Any, g: Array, x: Array, beta: float, threshold: float) -> Array:
    """g * sigmoid(beta x), or g itself where beta x > threshold."""
    z = x * beta
    return xp.where(z > threshold, g, g * sigmoid(xp, z))


def logsigmoid(xp: Any, x: Array) -> Array:
    """log(1 / (1 + e^-x)), exact for every x."""
    return -_log_one_plus_exp(xp, -x)


def logsigmoid_backward(xp: Any, g: Array, x: Array) -> Array:
    """g * sigmoid(-x)."""
    return g * sigmoid(xp, -x)


def elu(xp: Any, x: Array, alpha: float) -> Array:
    """x where x > 0, else alpha * (e^x - 1) (Clevert, Unterthiner, Hochreiter 2016)."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))


def elu_backward(xp: Any, g: Array, x: Array, y: Array, alpha: float) -> Array:
    """g where x > 0, else g * (y + alpha)."""
    return xp.where(x > 0, g, g * (y + alpha))


def hardtanh(xp: Any, x: Array, low: float, high: float) -> Array:
    """x held between low and high; NaN stays NaN."""
    return xp.minimum(xp.maximum(x, low), high)


def hardtanh_backward(xp: Any, g: Array, y: Array, low: float, high: float) -> Array:
    """g where y is between low and high, else 0, also on the bounds themselves."""
    return xp.where((y > low) & (y < high), g, 0.0)


# ---- losses: of a prediction x and its target t --------------------------------------------------------------------


def squared_error(xp: Any, x: Array, t: Array) -> Array:
    """(x - t)^2."""
    error = x - t
    return error * error


def squared_error_backward(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """2 * g * (x - t)."""
    return 2 * g * (x - t)


def squared_error_target(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """The gradient of t: -2 * g * (x - t)."""
    return -2 * g * (x - t)


def _signed(xp: Any, g: Array, error: Array) -> Array:
    return xp.where(error > 0, g, xp.where(error < 0, -g, 0.0))


def absolute_error(xp: Any, x: Array, t: Array) -> Array:
    """|x - t|."""
    return xp.abs(x - t)


def absolute_error_backward(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """g * sign(x - t), 0 where they are equal."""
    return _signed(xp, g, x - t)


def absolute_error_target(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """The gradient of t: g * sign(t - x)."""
    return _signed(xp, g, t - x)


def smooth_error(xp: Any, x: Array, t: Array, beta: float) -> Array:
    """With d = |x - t|: d^2 / (2 beta) where d < beta, else d - beta / 2 (Girshick 2015)."""
    error = x - t
    distance = xp.abs(error)
    return xp.where(distance < beta, error * error / (2 * beta), distance - beta / 2)


def smooth_error_backward(xp: Any, g: Array, x: Array, t: Array, beta: float) -> Array:
    """g * (x - t) / beta where |x - t| < beta, else g * sign(x - t)."""
    error = x - t
    return xp.where(xp.abs(error) < beta, g * error / beta, _signed(xp, g, error))


def smooth_error_target(xp: Any, g: Array, x: Array, t: Array, beta: float) -> Array:
    """The gradient of t, the opposite."""
    return smooth_error_backward(xp, g, t, x, beta)


def _at_least(xp: Any, low: float, x: Array) -> Array:
    return xp.where(x < low, low, x)


def binary_cross_entropy(xp: Any, x: Array, t: Array) -> Array:
    """-(t * log(x) + (1 - t) * log(1 - x)), each logarithm held at -100 or above."""
    return -(t * _at_least(xp, -100.0, xp.log(x)) + (1 - t) * _at_least(xp, -100.0, xp.log1p(-x)))


def binary_cross_entropy_backward(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """g * (x - t) / (x * (1 - x)), the product held at 1e-12 or above."""
    return g * (x - t) / _at_least(xp, 1e-12, x * (1 - x))


def binary_cross_entropy_target(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """The gradient of t: g * (log(1 - x) - log(x)), held as in the loss."""
    return g * (_at_least(xp, -100.0, xp.log1p(-x)) - _at_least(xp, -100.0, xp.log(x)))


def logits_cross_entropy(xp: Any, x: Array, t: Array) -> Array:
    """The same of sigmoid(x), where nothing overflows: (1 - t) * x - log(sigmoid(x))."""
    return (1 - t) * x - logsigmoid(xp, x)


def logits_cross_entropy_backward(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """g * (sigmoid(x) - t)."""
    return g * (sigmoid(xp, x) - t)


def logits_cross_entropy_target(xp: Any, g: Array, x: Array, t: Array) -> Array:
    """The gradient of t: -g * x."""
    return -g * x


# Those that are a chain of operations in one pass, forward and backward: what a faster set writes kernels from.
FORMULAS = (
    add,
    relu,
    relu_backward,
    leaky_relu,
    leaky_relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
    gelu,
    gelu_backward,
    gelu_tanh,
    gelu_tanh_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
    logsigmoid,
    logsigmoid_backward,
    elu,
    elu_backward,
    hardtanh,
    hardtanh_backward,
    squared_error,
    squared_error_backward,
    squared_error_target,
    absolute_error,
    absolute_error_backward,
    absolute_error_target,
    smooth_error,
    smooth_error_backward,
    smooth_error_target,
    binary_cross_entropy,
    binary_cross_entropy_backward,
    binary_cross_entropy_target,
    logits_cross_entropy,
    logits_cross_entropy_backward,
    logits_cross_entropy_target,
)
