"""The convolution that every learner writes first, and the two gradients that follow from it: six loops each.

Slow beyond use, and the oracle of oracles: nothing here is clever enough to be wrong. The equation is

    y[n, k, p, q] = sum over c, r, s of  x[n, c, p * stride + r * dilation - padding, q * stride + ...] * w[k, c, r, s]

where an x outside the image counts as zero. A gradient walks the very same loops: whatever multiplied x adds to the
gradient of x, whatever multiplied w adds to the gradient of w.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = Any
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def _taps(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    out_size: Pair,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
) -> Iterator[tuple[tuple[int, int, int, int], tuple[int, int, int, int], tuple[int, int, int, int]]]:
    """Every multiplication of a convolution, as indices: (into y, into x, into w)."""
    n_images, _, height, width = x_shape
    n_out, group_channels, kernel_h, kernel_w = w_shape
    for n in range(n_images):
        for k in range(n_out):
            first_channel = k // (n_out // groups) * group_channels  # of the group that k belongs to
            for p in range(out_size[0]):
                for q in range(out_size[1]):
                    for c in range(group_channels):
                        for r in range(kernel_h):
                            for s in range(kernel_w):
                                h = p * stride[0] + r * dilation[0] - padding[0][0]
                                w = q * stride[1] + s * dilation[1] - padding[1][0]
                                if 0 <= h < height and 0 <= w < width:
                                    yield (n, k, p, q), (n, first_channel + c, h, w), (k, c, r, s)


def _out_size(x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair) -> Pair:
    sizes = [
        (x_shape[2 + i] + sum(padding[i]) - dilation[i] * (w_shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    ]
    return sizes[0], sizes[1]


def conv2d(x: Array, w: Array, stride: Pair, padding: Pads, dilation: Pair, groups: int) -> Array:
    """(N, C, H, W) * (K, C/G, R, S) -> (N, K, P, Q)."""
    size = _out_size(x.shape, w.shape, stride, padding, dilation)
    y = np.zeros((x.shape[0], w.shape[0], *size), x.dtype)
    for i_y, i_x, i_w in _taps(x.shape, w.shape, size, stride, padding, dilation, groups):
        y[i_y] += x[i_x] * w[i_w]
    return y


def conv2d_input_grad(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W): the gradient of x when g is the gradient of y."""
    gx = np.zeros(x_shape, g.dtype)
    for i_y, i_x, i_w in _taps(x_shape, w.shape, g.shape[2:], stride, padding, dilation, groups):
        gx[i_x] += g[i_y] * w[i_w]
    return gx


def conv2d_weight_grad(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S): the gradient of w when g is the gradient of y."""
    gw = np.zeros(w_shape, g.dtype)
    for i_y, i_x, i_w in _taps(x.shape, w_shape, g.shape[2:], stride, padding, dilation, groups):
        gw[i_w] += g[i_y] * x[i_x]
    return gw
