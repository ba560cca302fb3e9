"""Batch normalisation: the grids and the passes of `norm.cu`.

Images may lie in planes or channels-last. Numbers by channel are few: moments are kept in double precision, and weights
and biases that have another dtype than is computed in (float32 for 16-bit images) are converted. A weight's gradient
has its dtype; where there is no weight, the image's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..reference import norm as reference
from ..reference.norm import Moving
from .layout import blocks_for, image, like, new_image, wide, widened
from .loader import Array, Dims, Kernel, driver

_LAYOUT = (False, True)  # channels-last?

_moment_parts = Kernel("norm", "moment_parts", variants=(_LAYOUT,))
_sum_parts = Kernel("norm", "sum_parts", variants=(_LAYOUT,))
_gradient_parts = Kernel("norm", "gradient_parts", variants=(_LAYOUT, (False, True)))
_finish_moments = Kernel("norm", "finish_moments", variants=(_LAYOUT,))
_finish_sums = Kernel("norm", "finish_sums")
_transform = Kernel(
    "norm",
    "transform",
    only=[
        (last, relu, add, moment)
        for last in _LAYOUT
        for relu, add in ((False, False), (True, False), (True, True))
        for moment in ("float", "double")
    ],
)
_inverse_std = Kernel("norm", "inverse_std")
_move_statistics = Kernel("norm", "move_statistics")
_input_gradient = Kernel("norm", "input_gradient", variants=(_LAYOUT, (False, True)))

_THREADS = 256
_EACH = 16  # numbers that a thread should have before there is another block
_BLOCKS = 2048  # more do not make a GPU busier


class _Split(NamedTuple):
    """How channels and pixels are shared out."""

    last: bool
    sizes: tuple[int, int, int]  # images, channels, pixels of one
    grid: Dims
    block: Dims

    @property
    def each(self) -> int:
        """Numbers of one channel."""
        return self.sizes[0] * self.sizes[2]


def _split(x: Array, last: bool) -> _Split:
    n, c, h, w = x.shape
    columns = min(32, 1 << max(0, c - 1).bit_length()) if last else _THREADS
    rows = _THREADS // columns
    across = -(-c // columns) if last else c
    per_share = (rows if last else _THREADS) * _EACH
    shares = min(-(-n * h * w // per_share), max(1, _BLOCKS // max(1, across)))
    return _Split(last, (n, c, h * w), (across, shares), (columns, rows))


def _parts(split: _Split) -> Array:
    return driver().xp.empty((split.grid[1], 2, split.sizes[1]), np.float64)


def _finish(kernel: Kernel, which: Any, channels: int, *args: Any) -> None:
    kernel.launch(which, (-(-channels // 32),), (32, 8), *args)


def channel_sum(x: Array) -> Array:
    x, last = image(x)
    split = _split(x, last)
    parts, channels = _parts(split), x.shape[1]
    sums = driver().xp.empty(channels, x.dtype)
    _sum_parts.launch((x.dtype, last), split.grid, split.block, x, parts, *split.sizes)
    _finish(_finish_sums, x.dtype, channels, parts, sums, None, None, split.grid[1], channels)
    return sums


def channel_moments(x: Array) -> tuple[Array, Array]:
    return _moments(x, None, 0.0, None)


def _moments(x: Array, inv_std: Array | None, eps: float, moving: Moving | None) -> tuple[Array, Array]:
    """Mean and variance; on the way `inverse_std` is written, and running statistics move, unless there are none."""
    x, last = image(x)
    split = _split(x, last)
    channels = x.shape[1]
    mean, var = (driver().xp.empty(channels, np.float64) for _ in range(2))
    if not x.size:
        mean[...] = var[...] = float("nan")
        return mean, var
    parts = _parts(split)
    _moment_parts.launch((x.dtype, last), split.grid, split.block, x, parts, *split.sizes)
    numbers = split.grid[1], channels, split.sizes[2], split.each
    running_mean, running_var, momentum = moving or (None, None, 0.0)
    shares = _shares(momentum, split.each)
    kept = mean, var, *numbers, inv_std, eps, running_mean, running_var, *shares
    _finish(_finish_moments, (x.dtype, last), channels, x, parts, *kept)
    return mean, var


def _shares(momentum: float, count: int) -> tuple[float, float, float]:
    """What the old running statistics count, the batch's mean, and its biased variance."""
    return 1 - momentum, momentum, momentum * (count / max(1, count - 1))


def _transformed(
    x: Array, mean: Array, inv_std: Array, weight: Array | None, bias: Array | None, shortcut: Array | None, relu: bool
) -> Array:
    x, last = image(x)
    split, kind = _split(x, last), wide(x.dtype)
    y = new_image(x.shape, x.dtype, last)
    moment = np.float32 if mean.dtype == inv_std.dtype == np.float32 else np.float64
    which = x.dtype, last, relu, shortcut is not None, "float" if moment is np.float32 else "double"
    by_channel = widened(mean, moment), widened(inv_std, moment), widened(weight, kind), widened(bias, kind)
    other = None if shortcut is None else like(shortcut, last)
    _transform.launch(which, split.grid, split.block, x, *by_channel, other, y, *split.sizes)
    return y


def inverse_std(variance: Array, eps: float) -> Array:
    variance = widened(variance, variance.dtype)
    out = driver().xp.empty(variance.shape, variance.dtype)
    _inverse_std.launch(variance.dtype, (blocks_for(out.size),), (_THREADS,), variance, out, out.size, eps)
    return out


def move_statistics(moving: Moving, mean: Array, var: Array, count: int) -> None:
    """As the reference's."""
    running_mean, running_var, momentum = moving
    if (
        running_mean is None
        or running_var is None
        or running_mean.dtype != running_var.dtype
        or not (running_mean.flags.c_contiguous and running_var.flags.c_contiguous)
    ):
        reference.move_statistics(driver().xp, moving, mean, var, count)
        return
    moments = (widened(x, np.dtype(np.float64)) for x in (mean, var))
    numbers = mean.size, *_shares(momentum, count)
    grid = (blocks_for(mean.size),)
    _move_statistics.launch(running_mean.dtype, grid, (_THREADS,), running_mean, running_var, *moments, *numbers)


def batch_norm_eval(
    x: Array,
    mean: Array,
    variance: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
) -> tuple[Array, Array]:
    inv_std = inverse_std(variance, eps)
    return _transformed(x, mean, inv_std, weight, bias, shortcut, relu), inv_std


def batch_norm_train(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    shortcut: Array | None,
    moving: Moving | None,
) -> tuple[Array, Array, Array]:
    running = [r for r in (moving or ())[:2] if r is not None]
    at_once = all(r.dtype == wide(x.dtype) and r.flags.c_contiguous for r in running)
    inv_std = driver().xp.empty(x.shape[1], np.float64)
    mean, var = _moments(x, inv_std, eps, moving if at_once else None)
    if moving is not None and not at_once:
        move_statistics(moving, mean, var, x.size // x.shape[1])
    return _transformed(x, mean, inv_std, weight, bias, shortcut, relu), mean, inv_std


def _gradient(
    g: Array, y: Array | None, x: Array, mean: Array, inv_std: Array, weight: Array | None, has_shortcut: bool
) -> tuple[Array, Array, Array, Array | None]:
    x, last = image(x)
    split, kind = _split(x, last), wide(x.dtype)
    channels, xp = x.shape[1], driver().xp
    images = like(g, last), None if y is None else like(y, last), x
    moments = widened(mean, np.float64), widened(inv_std, np.float64)
    parts, sums = _parts(split), xp.empty((2, channels), np.float64)
    stored = x.dtype if weight is None else weight.dtype
    gbias, gweight = xp.empty(channels, stored), xp.empty(channels, stored)
    which = x.dtype, last, y is not None
    _gradient_parts.launch(which, split.grid, split.block, *images, *moments, parts, *split.sizes)
    _finish(_finish_sums, stored, channels, parts, gbias, gweight, sums, split.grid[1], channels)
    gx = new_image(x.shape, x.dtype, last)
    passed = new_image(x.shape, x.dtype, last) if has_shortcut else None
    arrays = *images, *moments, widened(weight, kind), sums, gx, passed
    _input_gradient.launch(which, split.grid, split.block, *arrays, *split.sizes, split.each)
    return gx, gweight, gbias, passed


def batch_norm_backward(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    return _gradient(g, None, x, mean, inv_std, weight, False)[:3]


def batch_norm_relu_backward(
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    inv_std: Array,
    weight: Array | None,
    bias: Array | None,  # y tells where ReLU passes
    has_shortcut: bool,
) -> tuple[Array, Array, Array, Array | None]:
    return _gradient(g, y, x, mean, inv_std, weight, has_shortcut)
