"""Batch normalisation, channel by channel: the moments, the transform, the gradient.

    xhat = (x - mean) * inv_std,   y = xhat * weight + bias,   inv_std = 1 / sqrt(var + eps)

S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift"
(2015), algorithm 1; the gradient is the one of its section 3, simplified. A channel's values are x[:, c, ...]: x is
(N, C, H, W) here; callers give other ranks as (N, C, L, 1).
"""

from typing import Any

Array = Any


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


def move_statistics(
    xp: Any, running_mean: Array, running_var: Array, mean: Array, var: Array, momentum: float, correction: float
) -> None:
    """running = (1 - momentum) * running + momentum * batch, in place, all (C,); var is first multiplied by
    `correction`, which makes it unbiased."""
    running_mean[...] = running_mean * (1 - momentum) + mean * momentum
    running_var[...] = running_var * (1 - momentum) + var * (momentum * correction)


def batch_norm_transform(
    xp: Any, x: Array, mean: Array, inv_std: Array, weight: Array | None, bias: Array | None
) -> Array:
    """(N, C, H, W) and four (C,) -> (N, C, H, W): (x - mean) * inv_std * weight + bias, in x's layout."""
    scale = inv_std if weight is None else inv_std * weight
    y = (x - _per_channel(mean.astype(x.dtype))) * _per_channel(scale.astype(x.dtype))
    if bias is not None:
        y += _per_channel(bias)
    return y


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


def batch_norm_relu(
    xp: Any, x: Array, mean: Array, inv_std: Array, weight: Array | None, bias: Array | None, shortcut: Array | None
) -> Array:
    """(N, C, H, W), four (C,) and a shortcut like x -> (N, C, H, W): max(0, batch_norm_transform(...) + shortcut)."""
    y = batch_norm_transform(xp, x, mean, inv_std, weight, bias)
    if shortcut is not None:
        y += shortcut
    return xp.where(y < 0, xp.zeros((), y.dtype), y)


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
    y, or compute it from x again as `batch_norm_relu` did.
    """
    passed = xp.where(y > 0, g, xp.zeros((), g.dtype))
    gx, gweight, gbias = batch_norm_backward(xp, passed, x, mean, inv_std, weight)
    return gx, gweight, gbias, passed if has_shortcut else None
