"""Activations and losses: one formula a function, the same for every element.

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


# Those that are a chain of operations in one pass, forward and backward: what a faster set writes kernels from.
FORMULAS = (
    relu,
    relu_backward,
    leaky_relu,
    leaky_relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh_backward,
    gelu,
    gelu_backward,
    silu,
    silu_backward,
)
