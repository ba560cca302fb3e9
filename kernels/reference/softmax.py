"""Softmax and its logarithm along one axis, shifted by the maximum so that no exponential overflows."""

from typing import Any

Array = Any


def _shifted(xp: Any, x: Array, axis: int) -> Array:
    """x less its maximum along axis; a complex x is shifted by its real part's, which keeps the map analytic."""
    top = x.real.max(axis=axis, keepdims=True)
    return x - xp.where(xp.isfinite(top), top, xp.zeros((), top.dtype))


def softmax(xp: Any, x: Array, axis: int) -> Array:
    """e^x / sum(e^x)."""
    e = xp.exp(_shifted(xp, x, axis))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(xp: Any, g: Array, y: Array, axis: int) -> Array:
    """y * (g - sum(g * y))."""
    gy = g * y
    return gy - y * gy.sum(axis=axis, keepdims=True)


def log_softmax(xp: Any, x: Array, axis: int) -> Array:
    """x - log(sum(e^x))."""
    z = _shifted(xp, x, axis)
    return z - xp.log(xp.exp(z).sum(axis=axis, keepdims=True))


def log_softmax_backward(xp: Any, g: Array, y: Array, axis: int) -> Array:
    """g - e^y * sum(g)."""
    return g - xp.exp(y) * g.sum(axis=axis, keepdims=True)
