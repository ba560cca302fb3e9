"""Depthwise convolution: grids for `conv_depthwise.cu`."""

from __future__ import annotations

from .conv_geometry import Geometry, channels_last
from .implicit_gemm import cut, new_parts, sum_parts
from .layout import blocks_for, new_image, widened
from .loader import Array, Kernel, driver

_forward = Kernel("conv_depthwise", "conv_depthwise")
_input_grad = Kernel("conv_depthwise", "conv_depthwise_input_grad")
_weight_grad = Kernel("conv_depthwise", "conv_depthwise_weight_grad")

_MOST = 1 << 20  # blocks


def _by_tap(w: Array) -> Array:
    """(K, 1, R, S) -> (R, S, K)."""
    return driver().xp.ascontiguousarray(w[:, 0].transpose(1, 2, 0))


def forward(x: Array, w: Array, bias: Array | None, of: Geometry) -> Array:
    """(N, C, H, W) * (K, 1, R, S) + (K,) -> (N, K, P, Q)."""
    y = new_image((of.n, of.k, of.p, of.q), x.dtype, True)
    arrays = channels_last(x), _by_tap(w), widened(bias, x.dtype), y
    _forward.launch(x.dtype, (blocks_for(y.size, most=_MOST),), (256,), *arrays, of.argument)
    return y


def input_grad(g: Array, w: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (K, 1, R, S) -> (N, C, H, W)."""
    gx = new_image((of.n, of.c, of.h, of.w), g.dtype, True)
    arrays = channels_last(g), _by_tap(w), gx
    _input_grad.launch(g.dtype, (blocks_for(gx.size, most=_MOST),), (256,), *arrays, of.argument)
    return gx


def weight_grad(g: Array, x: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, 1, R, S)."""
    across = -(-of.k // 32)
    count, chunk = cut(of.pixels, across * of.r * of.s)
    parts = new_parts(count, of, g.dtype)
    grid = (across, of.r * of.s, count)
    _weight_grad.launch(g.dtype, grid, (32, 8), channels_last(g), channels_last(x), parts, chunk, of.argument)
    return sum_parts(parts, of, g.dtype)
