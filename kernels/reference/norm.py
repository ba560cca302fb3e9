"""Batch normalisation, channel by channel: the moments, the transform, the gradient.

    xhat = (x - mean) * inv_std,   y = xhat * weight + bias,   inv_std = 1 / sqrt(var + eps)

S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift"
(2015), algorithm 1; the gradient is the one of its section 3, simplified. A channel's values are x[:, c, ...]: x is
(N, C, H, W) here; callers give other ranks as (N, C, L, 1).
"""

from typing import Any

Array = Any
Moving = tuple[Array | None, Array | None, float]  # the running mean and variance, and momentum


def _per_channel(v: Array) -> Array:
    """(C,) -> (1, C, 1, 1), to broadcast over (N, C, H, W)."""
    return v.reshape(1, -1, 1, 1)


def _sum(xp: Any, x: Array) -> Array:
    """(N, C, H, W) -> (C,), added up in double precision so that float32 stays near float64."""
    return x.sum(axis=(0, 2, 3), dtype=xp.promote_types(x.dtype, "float64"))


def channel_sum(xp: Any, x: Array) -> Array:
    """(N, C, H, W) -> (C,): the sum over N, H and W, as the gradient of a bias is."""
    return _sum(xp, x).astype(x.dtype)


def channel_moments(xp: Any, x: Array) -> tuple[Array, Array]:
    """(N, C, H, W) -> mean (C,) and biased variance (C,) over N, H and W, in double precision."""
    count = x.size // x.shape[1]
    mean = _sum(xp, x) / count
    centred = x - _per_channel(mean)
    return mean, _sum(xp, centred * centred) / count


def inverse_std(xp: Any, variance: Array, eps: float) -> Array:
    """1 / sqrt(variance + eps), (C,) -> (C,)."""
    return 1 / xp.sqrt(variance + eps)


def move_statistics(xp: Any, moving: Moving, mean: Array, var: Array, count: int) -> None:
    """running = (1 - momentum) * running + momentum * batch, in place, all (C,), with the batch's unbiased variance:
    `count` values a channel gave the biased one."""
    running_mean, running_var, momentum = moving
    unbiased = var * (count / max(1, count - 1))
    for running, batch in ((running_mean, mean), (running_var, unbiased)):
        if running is not None:
            batch = batch if running.dtype.kind == "c" else batch.real
            running[...] = running * (1 - momentum) + batch * momentum


def _normalised(
    xp: Any,
    x: Array,
    mean: Array,
    inv_std: Array,
    weight: Array | None,
    bias: Array | None,
    relu: bool,
    shortcut: Array | None,
) -> Array:
    """y in x's layout; if `relu`, max(0, y + shortcut)."""
    scale = inv_std if weight is None else inv_std * weight
    y = (x - _per_channel(mean.astype(x.dtype))) * _per_channel(scale.astype(x.dtype))
    if bias is not None:
        y += _per_channel(bias)
    if not relu:
        return y
    if shortcut is not None:
        y += shortcut
    return xp.where(y < 0, xp.zeros((), y.dtype), y)


def batch_norm_eval(
    xp: Any,
    x: Array,
    mean: Array,
    variance: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
) -> tuple[Array, Array]:
    """(N, C, H, W) by given moments, four (C,): y, with a shortcut and through ReLU if `relu`; and inv_std, (C,)."""
    inv_std = inverse_std(xp, variance, eps)
    return _normalised(xp, x, mean, inv_std, weight, bias, relu, shortcut), inv_std


def batch_norm_backward(
    xp: Any, g: Array, x: Array, mean: Array, inv_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """The gradient through the batch's own moments: g, x (N, C, H, W) -> gx (N, C, H, W), gweight (C,), gbias (C,).

    With averages over N, H and W,   gx = weight * inv_std * (g - mean(g) - xhat * mean(g * xhat)):
    the last two terms are the paths through the mean and through the variance.
    """
    count = x.size // x.shape[1]
    xhat = (x - _per_channel(mean.astype(x.dtype))) * _per_channel(inv_std.astype(x.dtype))
    gbias, gweight = _sum(xp, g), _sum(xp, g * xhat)
    scale = inv_std if weight is None else inv_std * weight
    inner = g - _per_channel((gbias / count).astype(x.dtype)) - xhat * _per_channel((gweight / count).astype(x.dtype))
    return inner * _per_channel(scale.astype(x.dtype)), gweight.astype(x.dtype), gbias.astype(x.dtype)


def batch_norm_relu_backward(
    xp: Any,
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    inv_std: Array,
    weight: Array | None,
    bias: Array | None,
    has_shortcut: bool,
) -> tuple[Array, Array, Array, Array | None]:
    """The gradient through ReLU and the batch's own moments: gx, gweight, gbias, and with a shortcut also its gradient.

    ReLU passes g on where its output y is above zero; the sum passes that on to both of its terms. A kernel may look at
    y, or compute it from x again.
    """
    passed = xp.where(y > 0, g, xp.zeros((), g.dtype))
    gx, gweight, gbias = batch_norm_backward(xp, passed, x, mean, inv_std, weight)
    return gx, gweight, gbias, passed if has_shortcut else None


def batch_norm_train(
    xp: Any,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
    moving: Moving | None,
) -> tuple[Array, Array, Array]:
    """(N, C, H, W), not empty, by its own moments: y as of `batch_norm_eval`, and (C,) each the mean and inv_std.

    Running statistics are moved in place.
    """
    mean, var = channel_moments(xp, x)
    inv_std = inverse_std(xp, var, eps)
    if moving is not None:
        move_statistics(xp, moving, mean, var, x.size // x.shape[1])
    return _normalised(xp, x, mean, inv_std, weight, bias, relu, shortcut), mean, inv_std
