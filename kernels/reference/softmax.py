"""Softmax and its logarithm along one axis, shifted by the maximum so that no exponential overflows."""

from __future__ import annotations

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


def cross_entropy(
    xp: Any, x: Array, labels: Array, ignored: int | None, mean: bool, worst: Array | None
) -> tuple[Array, Array, Any]:
    """Scores (N, C) and classes (N,) -> L = -s sum over n of log softmax(x)_n[t_n], log softmax(x), and s: 1, or for a
    mean one over the number of labels that count.

    `ignored` is a label that does not, or None if there is none. Nor does a label that is no class, of which only a GPU
    hears so late: if one is looked for, the greatest 2 t + 1 (-2 t where t is negative) goes into worst[0], if that is
    more than is there.
    """
    logp = log_softmax(xp, x, 1)
    loss, scale = total_of(xp, logp, labels, ignored, mean, worst)
    return loss, logp, scale


def total_of(xp: Any, logp: Array, labels: Array, ignored: int | None, mean: bool, worst: Array | None) -> Any:
    """L and s of `cross_entropy`, for log-probabilities."""
    rows = xp.arange(len(labels))
    if ignored is None and worst is None:  # all labels are classes
        scale = 1 / len(labels) if mean else 1.0
        return -logp[rows, labels].sum() * scale, scale
    labels = labels.astype("int64")
    counts = counting(labels, logp.shape[1], ignored)
    if worst is not None:
        wrong = ~counts if ignored is None else ~counts & (labels != ignored)
        xp.maximum(worst, (wrong * abs(2 * labels + (labels >= 0))).max(), out=worst)
    scales = (1 / counts.sum() if mean else xp.ones(())).astype(logp.real.dtype)
    return -xp.where(counts, logp[rows, labels * counts], 0).sum() * scales, scales


def counting(labels: Array, classes: int, ignored: int | None) -> Array:
    """Which labels count: those that are classes and not ignored."""
    inside = (labels >= 0) & (labels < classes)
    return inside if ignored is None else inside & (labels != ignored)


def cross_entropy_backward(xp: Any, g: Array, logp: Array, labels: Array, scale: Any, ignored: int | None) -> Array:
    """The gradient of L -> that of the scores: g s (softmax(x)_nc - [c = t_n]), 0 where t_n does not count."""
    labels = labels.astype("int64")
    gx = xp.exp(logp)
    counts = counting(labels, logp.shape[1], ignored)
    gx[xp.arange(len(labels)), labels * counts] -= 1
    gx *= g * scale
    return xp.where(counts[:, None], gx, xp.zeros((), gx.dtype))
