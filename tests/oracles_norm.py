"""What normalisations should give: the definition and the whole Jacobian, applied to one row after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from oracles import Array, Expected


def _normalise(x: Array, g: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """Each row of (rows, m) to mean 0 and variance 1: result, gradient and their sizes. The gradient is g times the
    whole Jacobian, J[i, j] = (i == j) / std - 1 / (m std) - (x_i - mean) (x_j - mean) / (m std^3)."""
    y, gx, size, gradient_size = (np.zeros_like(x) for _ in range(4))
    m = x.shape[1]
    for i, row in enumerate(x):
        centred = row - row.mean()
        std = np.sqrt((centred**2).mean() + eps)
        y[i] = centred / std
        gx[i] = g[i] @ (np.eye(m) / std - 1 / (m * std) - np.outer(centred, centred) / (m * std**3))
        cancelled = 1 + abs(row).max(initial=0) / std  # what x - mean may lose
        size[i] = cancelled * (1 + abs(y[i]))
        gradient_size[i] = cancelled * (1 + abs(y[i]).max(initial=0)) ** 2 * abs(g[i]).max(initial=0) / std
    return y, gx, size, gradient_size


def _affine(
    xhat: Array, size: Array, w: Array | None, b: Array | None, g: Array, shape: tuple[int, ...]
) -> tuple[Array, Array, list[Array | None], list[Array | None]]:
    """y = xhat * w + b, w and b of a shape that broadcasts: y, its size, and the gradients of w and b with theirs."""
    y, y_size = xhat, size
    if w is not None:
        y, y_size = y * w.reshape(shape), y_size * abs(w.reshape(shape))
    if b is not None:
        y, y_size = y + b.reshape(shape), y_size + abs(b.reshape(shape))
    repeated = tuple(i for i in range(xhat.ndim) if shape[i] == 1)

    def total(t: Array, like: Array | None) -> Array | None:
        return None if like is None else t.sum(repeated).reshape(like.shape)

    return y, y_size, [total(g * xhat, w), total(g, b)], [total(abs(g) * size, w), total(abs(g), b)]


def _normalised_and_scaled(
    x: Array, w: Array | None, b: Array | None, g: Array, eps: float, order: Callable[[Array], Array], shape: Any
) -> Expected:
    """`order` lays an array out as rows that are normalised; `shape` is what w and b broadcast as."""
    back = np.argsort(order(np.arange(x.size).reshape(x.shape)).ravel())

    def restored(t: Array) -> Array:
        return t.ravel()[back].reshape(x.shape)

    gxhat = g if w is None else g * w.reshape(shape)
    xhat, gx, size, gx_size = map(restored, _normalise(order(x), order(gxhat), eps))
    y, y_size, others, sizes = _affine(xhat, size, w, b, g, shape)
    return Expected([y], [gx, *others], [y_size], [gx_size, *sizes])


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    w: Array | None,
    b: Array | None,
    *,
    g: Array,
    training: bool,
    momentum: float,
    eps: float,
) -> Expected:
    """The running statistics, after they moved, are results too."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    channels = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    running = [r for r in (running_mean, running_var) if r is not None]
    sizes = [1 + abs(r) + abs(x).max(initial=0) ** 2 for r in running]
    if training:
        done = _normalised_and_scaled(
            x,
            w,
            b,
            g,
            eps,
            lambda t: np.moveaxis(t, 1, 0).reshape(x.shape[1], -1),
            tuple(x.shape[1] if i == 1 else 1 for i in range(x.ndim)),
        )
        batch = [channels.mean(1), channels.var(1, ddof=1)]
        now = [
            r if r is None else (1 - momentum) * r + momentum * s
            for r, s in zip((running_mean, running_var), batch, strict=True)
        ]
        running = [r for r in now if r is not None]
    else:
        assert running_mean is not None
        assert running_var is not None
        std = np.sqrt(running_var + eps).reshape(shape)
        xhat = (x - running_mean.reshape(shape)) / std
        size = (abs(x) + abs(running_mean).reshape(shape)) / std
        y, y_size, others, other_sizes = _affine(
            xhat, size, w, b, g, tuple(x.shape[1] if i == 1 else 1 for i in range(x.ndim))
        )
        gx = g / std if w is None else g * w.reshape(shape) / std
        done = Expected([y], [gx, *others], [y_size], [abs(gx), *other_sizes])
    (gx, gw, gb), (gx_size, gw_size, gb_size) = done.gradients, done.gradient_sizes
    return Expected(
        [*done.results, *running],
        [gx, None, None, gw, gb],
        [*done.result_sizes, *sizes],
        [gx_size, None, None, gw_size, gb_size],
    )


def layer_norm(x: Array, w: Array | None, b: Array | None, *, g: Array, normalized_shape: Any, eps: float) -> Expected:
    wanted = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    inner = int(np.prod(wanted))
    shape = (1,) * (x.ndim - len(wanted)) + wanted
    return _normalised_and_scaled(x, w, b, g, eps, lambda t: t.reshape(-1, inner), shape)


def group_norm(x: Array, w: Array | None, b: Array | None, *, g: Array, num_groups: int, eps: float) -> Expected:
    inner = int(np.prod(x.shape[1:])) // num_groups
    shape = tuple(n if i == 1 else 1 for i, n in enumerate(x.shape))
    return _normalised_and_scaled(x, w, b, g, eps, lambda t: t.reshape(-1, inner), shape)


def instance_norm(x: Array, w: Array | None, b: Array | None, *, g: Array, eps: float) -> Expected:
    return group_norm(x, w, b, g=g, num_groups=x.shape[1], eps=eps)


def local_response_norm(x: Array, *, g: Array, size: int, alpha: float, beta: float, k: float) -> Expected:
    """y[c] = x[c] * s[c]^-beta, s[c] = k + alpha / size * sum of x[d]^2 over the d near c."""
    channels = x.shape[1]
    near = [[d for d in range(c - size // 2, c + (size - 1) // 2 + 1) if 0 <= d < channels] for c in range(channels)]
    s = np.stack([k + alpha / size * sum(x[:, d] ** 2 for d in near[c]) for c in range(channels)], 1)
    y, gx, gx_size = x * s**-beta, g * s**-beta, abs(g) * s**-beta
    for c in range(channels):
        for d in near[c]:
            term = g[:, c] * x[:, c] * beta * s[:, c] ** (-beta - 1) * 2 * alpha / size * x[:, d]
            gx[:, d] -= term
            gx_size[:, d] += abs(term)
    return Expected([y], [gx], [abs(y) * (1 + beta)], [gx_size * (2 + beta)])
