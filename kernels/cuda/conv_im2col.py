"""Convolution by im2col and a matrix product, as in `kernels/reference/conv.py`, with `im2col.cu` for the windows."""

from __future__ import annotations

from .conv_geometry import Geometry, channels_last
from .gemm import matmul
from .layout import blocks_for, new_image
from .loader import Array, Kernel, driver

_im2col = Kernel("im2col", "im2col")
_col2im = Kernel("im2col", "col2im")

_MOST = 1 << 20  # blocks


def windows(x: Array, of: Geometry) -> Array:
    """(N, C, H, W) -> (N, P, Q, R, S, C)."""
    cols = driver().xp.empty((of.n, of.p, of.q, of.r, of.s, of.c), x.dtype)
    _im2col.launch(x.dtype, (blocks_for(cols.size, most=_MOST),), (256,), channels_last(x), cols, of.argument)
    return cols


def images(cols: Array, of: Geometry) -> Array:
    """(N, P, Q, R, S, C) -> (N, C, H, W), the adjoint of `windows`."""
    x = new_image((of.n, of.c, of.h, of.w), cols.dtype, True)
    arrays = driver().xp.ascontiguousarray(cols), x
    _col2im.launch(cols.dtype, (blocks_for(x.size, most=_MOST),), (256,), *arrays, of.argument)
    return x


def _matrices(cols: Array, of: Geometry) -> Array:
    """(N, P, Q, R, S, C) -> (G, N*P*Q, R*S*C/G), the windows as the rows of one matrix a group."""
    split = cols.reshape(of.pixels, of.r * of.s, of.groups, of.channels)
    return split.transpose(2, 0, 1, 3).reshape(of.groups, of.pixels, of.length)


def _kernels(w: Array, of: Geometry) -> Array:
    """(K, C/G, R, S) -> (G, R*S*C/G, K/G), the kernels as the columns of one matrix a group."""
    split = w.reshape(of.groups, of.filters, of.channels, of.r, of.s)
    return split.transpose(0, 3, 4, 2, 1).reshape(of.groups, of.length, of.filters)


def _results(y: Array, of: Geometry) -> Array:
    """(N, K, P, Q) -> (G, N*P*Q, K/G)."""
    return y.transpose(0, 2, 3, 1).reshape(of.pixels, of.groups, of.filters).transpose(1, 0, 2)


def forward(x: Array, w: Array, bias: Array | None, of: Geometry) -> Array:
    """(N, C, H, W) * (K, C/G, R, S) + (K,) -> (N, K, P, Q)."""
    y = matmul(_matrices(windows(x, of), of), _kernels(w, of)).transpose(1, 0, 2)
    y = y.reshape(of.n, of.p, of.q, of.k)
    if bias is not None:
        y += bias
    return y.transpose(0, 3, 1, 2)


def input_grad(g: Array, w: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W)."""
    cols = matmul(_results(g, of), _kernels(w, of).transpose(0, 2, 1))
    cols = cols.reshape(of.groups, of.pixels, of.r * of.s, of.channels).transpose(1, 2, 0, 3)
    return images(cols.reshape(of.n, of.p, of.q, of.r, of.s, of.c), of)


def weight_grad(g: Array, x: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S)."""
    gw = matmul(_matrices(windows(x, of), of).transpose(0, 2, 1), _results(g, of))
    gw = gw.reshape(of.groups, of.r, of.s, of.channels, of.filters).transpose(0, 4, 3, 1, 2)
    return gw.reshape(of.k, of.channels, of.r, of.s)
