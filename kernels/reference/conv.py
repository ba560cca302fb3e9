"""Convolution as one matrix product (im2col), and its two gradients.

`im2col` copies every window that the kernel visits into one row of a matrix; a convolution is then that matrix times
the kernels, and both gradients are the same product read backwards:

    y  = cols(x) @ w           conv2d
    gw = cols(x)^T @ g         conv2d_weight_grad
    gx = cols^T(g @ w^T)       conv2d_input_grad, where cols^T = col2im adds each window back to where it came from

Source: K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document Processing"
(2006), section 3. Letters (N, C, H, W, ...) are explained in `__init__.py`.
"""

from typing import Any

from . import elementwise
from .norm import channel_sum

Array = Any
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # ((top, bottom), (left, right))


def _pad(xp: Any, x: Array, padding: Pads) -> Array:
    """x (N, C, H, W) with zeros around its images, stored channels-last."""
    (top, bottom), (left, right) = padding
    n, c, h, w = x.shape
    padded = xp.zeros((n, h + top + bottom, w + left + right, c), x.dtype).transpose(0, 3, 1, 2)
    padded[:, :, top : top + h, left : left + w] = x
    return padded


def _windows(xp: Any, x: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Array:
    """A view (N, P, Q, R, S, C) of x (N, C, H, W): no copy, only other strides."""
    n, c, h, w = x.shape
    (r, s), (sh, sw), (dh, dw) = kernel, stride, dilation
    p, q = (h - dh * (r - 1) - 1) // sh + 1, (w - dw * (s - 1) - 1) // sw + 1
    step_n, step_c, step_h, step_w = x.strides
    return xp.lib.stride_tricks.as_strided(
        x,
        (n, p, q, r, s, c),
        (step_n, sh * step_h, sw * step_w, dh * step_h, dw * step_w, step_c),
    )


def im2col(xp: Any, x: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """(N, C, H, W) -> (N, P, Q, R, S, C): the window of the input that each output place sees."""
    if padding != ((0, 0), (0, 0)):
        x = _pad(xp, x, padding)
    return _windows(xp, x, kernel, stride, dilation).copy(order="C")


def col2im(
    xp: Any, cols: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pads, dilation: Pair
) -> Array:
    """(N, P, Q, R, S, C) -> (N, C, H, W): the adjoint of im2col; where windows overlap, their values add up."""
    n, c, h, w = x_shape
    (top, bottom), (left, right) = padding
    _, p, q, _, _, _ = cols.shape
    padded = xp.zeros((n, h + top + bottom, w + left + right, c), cols.dtype)
    for r in range(kernel[0]):
        rows = slice(r * dilation[0], r * dilation[0] + p * stride[0], stride[0])
        for s in range(kernel[1]):
            columns = slice(s * dilation[1], s * dilation[1] + q * stride[1], stride[1])
            padded[:, rows, columns] += cols[:, :, :, r, s]
    return padded[:, top : top + h, left : left + w].transpose(0, 3, 1, 2)


def _kernel_matrix(w: Array, groups: int) -> Array:
    """(K, C/G, R, S) -> (G, R*S*C/G, K/G), the kernels as the columns of one matrix per group."""
    k, c, r, s = w.shape
    return w.reshape(groups, k // groups, c, r, s).transpose(0, 3, 4, 2, 1).reshape(groups, r * s * c, k // groups)


def _column_matrix(cols: Array, groups: int) -> Array:
    """(N, P, Q, R, S, C) -> (G, N*P*Q, R*S*C/G), the windows as the rows of one matrix per group."""
    n, p, q, r, s, c = cols.shape
    split = cols.reshape(n * p * q, r * s, groups, c // groups)
    return split.transpose(2, 0, 1, 3).reshape(groups, n * p * q, r * s * (c // groups))


def _output_matrix(y: Array, groups: int) -> Array:
    """(N, K, P, Q) -> (G, N*P*Q, K/G)."""
    n, k, p, q = y.shape
    return y.transpose(0, 2, 3, 1).reshape(n * p * q, groups, k // groups).transpose(1, 0, 2)


def conv2d(
    xp: Any,
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
    cols = im2col(xp, x, w.shape[2:], stride, padding, dilation)
    n, p, q = cols.shape[:3]
    y = xp.matmul(_column_matrix(cols, groups), _kernel_matrix(w, groups))  # (G, N*P*Q, K/G)
    y = y.transpose(1, 0, 2).reshape(n, p, q, w.shape[0])
    if bias is not None:
        y += bias
    y = y.transpose(0, 3, 1, 2)
    return elementwise.relu(xp, y) if relu else y


def conv2d_relu_gate(xp: Any, g: Array, y: Array) -> tuple[Array, Array]:
    """The gradient where y > 0, (N, K, P, Q), and its sum over N, P and Q, (K,), which is that of the bias."""
    passed = elementwise.relu_backward(xp, g, y)
    return passed, channel_sum(xp, passed)


def conv2d_input_grad(
    xp: Any, g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W)."""
    n, _, p, q = g.shape
    r, s = w.shape[2:]
    cols = xp.matmul(_output_matrix(g, groups), _kernel_matrix(w, groups).transpose(0, 2, 1))  # (G, N*P*Q, R*S*C/G)
    cols = cols.reshape(groups, n * p * q, r * s, w.shape[1]).transpose(1, 2, 0, 3)
    return col2im(xp, cols.reshape(n, p, q, r, s, x_shape[1]), x_shape, (r, s), stride, padding, dilation)


def conv2d_weight_grad(
    xp: Any, g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S)."""
    k, c, r, s = w_shape
    p, q = g.shape[2:]
    # As the gradient of a transposed convolution, x can leave room for more windows than g has.
    cols = im2col(xp, x, (r, s), stride, padding, dilation)[:, :p, :q]
    gw = xp.matmul(_column_matrix(cols, groups).transpose(0, 2, 1), _output_matrix(g, groups))  # (G, R*S*C/G, K/G)
    return gw.reshape(groups, r, s, c, k // groups).transpose(0, 4, 3, 1, 2).reshape(k, c, r, s)


def conv2d_backward(
    xp: Any,
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
    """Of x, w and the bias the gradients that are wanted. Those of x and of w need each other's array."""
    to_x, to_w, to_bias = wanted
    geometry = stride, padding, dilation, groups
    return (
        conv2d_input_grad(xp, g, w, x_shape, *geometry) if to_x else None,
        conv2d_weight_grad(xp, g, x, w_shape, *geometry) if to_w else None,
        channel_sum(xp, g) if to_bias else None,
    )
