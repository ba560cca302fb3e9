"""A 1x1 convolution that slides by one is a product of matrices that lie in memory already: pixels times channels."""

from __future__ import annotations

from .conv_geometry import Geometry, channels_last
from .loader import Array, driver


def _pixels(x: Array) -> Array:
    """(N, C, H, W) -> (N*H*W, C), a view of channels-last memory."""
    x = channels_last(x)
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _images(pixels: Array, of: Geometry) -> Array:
    """(N*H*W, C) -> (N, C, H, W)."""
    return pixels.reshape(of.n, of.h, of.w, pixels.shape[1]).transpose(0, 3, 1, 2)


def forward(x: Array, w: Array, bias: Array | None, of: Geometry) -> Array:
    """(N, C, H, W) * (K, C, 1, 1) + (K,) -> (N, K, H, W)."""
    y = driver().xp.matmul(_pixels(x), w[:, :, 0, 0].T)
    if bias is not None:
        y += bias
    return _images(y, of)


def input_grad(g: Array, w: Array, of: Geometry) -> Array:
    """(N, K, H, W) * (K, C, 1, 1) -> (N, C, H, W)."""
    return _images(driver().xp.matmul(_pixels(g), w[:, :, 0, 0]), of)


def weight_grad(g: Array, x: Array, of: Geometry) -> Array:
    """(N, K, H, W) * (N, C, H, W) -> (K, C, 1, 1)."""
    return driver().xp.matmul(_pixels(g).T, _pixels(x)).reshape(of.k, of.c, 1, 1)
