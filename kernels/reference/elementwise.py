"""Activations: one equation a function, the same for every element.

A `*_backward` takes the gradient g of the output and what its equation is shortest in, the input x or the output y.
"""

import math
from typing import Any

Array = Any


def relu(xp: Any, x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return xp.maximum(x, 0)


def relu_backward(xp: Any, g: Array, y: Array) -> Array:
    """g where y > 0, else 0."""
    return xp.where(y > 0, g, xp.zeros((), g.dtype))


def leaky_relu(xp: Any, x: Array, slope: float) -> Array:
    """x where x > 0, else slope * x."""
    return xp.where(x > 0, x, x * slope)


def leaky_relu_backward(xp: Any, g: Array, x: Array, slope: float) -> Array:
    """g where x > 0, else slope * g."""
    return xp.where(x > 0, g, g * slope)


def sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + e^-x), as (1 + tanh(x / 2)) / 2 so that no x overflows."""
    return (xp.tanh(x * 0.5) + 1) * 0.5


def sigmoid_backward(xp: Any, g: Array, y: Array) -> Array:
    """g * y * (1 - y)."""
    return g * y * (1 - y)


def tanh_backward(xp: Any, g: Array, y: Array) -> Array:
    """g * (1 - y^2)."""
    return g * (1 - y * y)


def _erf(xp: Any, x: Array) -> Array:
    if xp.__name__ == "cupy":
        from cupyx.scipy.special import erf
    else:
        from scipy.special import erf
    return erf(x)


def gelu(xp: Any, x: Array) -> Array:
    """x * Phi(x), Phi the normal distribution function (Hendrycks, Gimpel 2016)."""
    return x * (_erf(xp, x * math.sqrt(0.5)) + 1) * 0.5


def gelu_backward(xp: Any, g: Array, x: Array) -> Array:
    """g * (Phi(x) + x * phi(x)), phi the normal density."""
    cdf = (_erf(xp, x * math.sqrt(0.5)) + 1) * 0.5
    return g * (cdf + x * xp.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))
