"""Convolution on a GPU: the reference's names, each handed to the algorithm that `conv_choice.py` picks for it."""

from __future__ import annotations

from types import ModuleType

from . import conv_depthwise, conv_im2col, conv_pointwise, implicit_gemm, tensor_core
from .conv_choice import choose
from .conv_geometry import Pads, Pair, geometry
from .elementwise import OF_FORMULAS
from .layout import dense, new_image
from .loader import Array, driver
from .norm import channel_sum

_ALGORITHMS: dict[str, ModuleType] = {
    "depthwise": conv_depthwise,
    "im2col": conv_im2col,
    "implicit_gemm": implicit_gemm,
    "pointwise": conv_pointwise,
    "tensor_core": tensor_core,
}


def conv2d(
    x: Array,
    w: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    relu: bool = False,
) -> Array:
    """(N, C, H, W) * (K, C/G, R, S) + (K,) -> (N, K, P, Q), through ReLU if `relu`."""
    of = geometry(x.shape, w.shape, None, stride, padding, dilation, groups)
    if of.pixels * of.k == 0:
        return new_image((of.n, of.k, of.p, of.q), x.dtype, True)
    y: Array = _ALGORITHMS[choose("forward", of, x.dtype).algorithm].forward(x, w, bias, of)
    return OF_FORMULAS["relu"](y) if relu else y


def conv2d_relu_gate(g: Array, y: Array) -> tuple[Array, Array]:
    passed = OF_FORMULAS["relu_backward"](g, y)
    return passed, channel_sum(passed)


def conv2d_input_grad(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W)."""
    of = geometry(x_shape, w.shape, g.shape[2:], stride, padding, dilation, groups)
    if of.pixels * of.k == 0:
        return _zeros(x_shape, g.dtype)
    gx: Array = _ALGORITHMS[choose("input_grad", of, g.dtype).algorithm].input_grad(g, w, of)
    return gx


def conv2d_weight_grad(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S)."""
    # As the gradient of a transposed convolution, x can leave room for more windows than g has.
    of = geometry(x.shape, w_shape, g.shape[2:], stride, padding, dilation, groups)
    if of.pixels * of.c == 0:
        return driver().xp.zeros(w_shape, g.dtype)
    gw: Array = _ALGORITHMS[choose("weight_grad", of, g.dtype).algorithm].weight_grad(g, x, of)
    return gw


def conv2d_backward(
    g: Array,
    x: Array | None,
    w: Array | None,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    wanted: tuple[bool, bool, bool],
) -> tuple[Array | None, Array | None, Array | None]:
    """Of x, w and the bias the gradients that are wanted."""
    to_x, to_w, to_bias = wanted
    geometry = stride, padding, dilation, groups
    g, _ = dense(g)  # some channels of a larger image are brought together once
    return (
        conv2d_input_grad(g, w, x_shape, *geometry) if to_x else None,
        conv2d_weight_grad(g, x, w_shape, *geometry) if to_w else None,
        channel_sum(g) if to_bias else None,
    )


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """(N, C, H, W) -> (N, P, Q, R, S, C)."""
    return conv_im2col.windows(x, geometry(x.shape, (1, x.shape[1], *kernel), None, stride, padding, dilation, 1))


def col2im(cols: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """(N, P, Q, R, S, C) -> (N, C, H, W)."""
    of = geometry(x_shape, (1, x_shape[1], *kernel), cols.shape[1:3], stride, padding, dilation, 1)
    return _zeros(x_shape, cols.dtype) if cols.size == 0 else conv_im2col.images(cols, of)


def _zeros(shape: tuple[int, ...], dtype: object) -> Array:
    x = new_image(shape, dtype, True)
    x[...] = 0
    return x
