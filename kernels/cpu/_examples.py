"""One tiny call of every kernel, to compile them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._jit import Array
from .conv import col2im, conv2d, conv2d_backward, im2col
from .elementwise import (
    gelu,
    gelu_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh_backward,
)
from .gate import conv2d_relu_gate
from .join import add, concatenate
from .norm import (
    batch_norm_backward,
    channel_moments,
    channel_sum,
)
from .norm_relu import batch_norm_eval, batch_norm_relu_backward, batch_norm_train
from .optim import adagrad_steps, adam_steps, rmsprop_steps, sgd_steps
from .pool import adaptive_max_pool2d, avg_pool2d, avg_pool2d_backward, gather_plane, max_pool2d, scatter_plane
from .products import matmul
from .softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

_ONE, _TWO, _NO_PADS = (1, 1), (2, 2), ((0, 0), (0, 0))
_ALL = True, True, True


def _convolutions(x: Array) -> None:
    """Few channels as planes at stride 1, as windows at stride 2; depthwise."""
    for groups in (1, 4):
        w = np.ones((4, 4 // groups, 2, 2), x.dtype)
        for stride in (_ONE, _TWO):
            geometry = stride, _NO_PADS, _ONE, groups
            y = conv2d(x, w, np.ones(4, x.dtype), *geometry)
            conv2d_backward(y, x, w, x.shape, w.shape, *geometry, _ALL)
            conv2d_relu_gate(y, y)
    window = _TWO, _ONE, _NO_PADS, _ONE
    col2im(im2col(x, *window), x.shape, *window)


def _vector_convolutions() -> None:
    """In vector code: Winograd's for many tiles and for few, with its gradients; walks over the image; few channels."""
    for channels, out, size, taps, stride in (
        (16, 16, 8, 3, 1), (16, 16, 40, 3, 1), (160, 160, 4, 3, 1), (16, 16, 6, 3, 2), (2, 16, 6, 3, 1),
        (1, 6, 6, 3, 1),
    ):  # fmt: skip
        x, w = np.ones((1, channels, size, size), np.float32), np.ones((out, channels, taps, taps), np.float32)
        geometry = (stride, stride), ((1, 1), (1, 1)), _ONE, 1
        y = conv2d(x, w, None, *geometry)
        conv2d_backward(y, x, w, x.shape, w.shape, *geometry, _ALL)
        conv2d_relu_gate(y, conv2d(x, w, None, *geometry, True))


def _pools(x: Array) -> None:
    pool = _TWO, _TWO, (0, 0)
    size, out_size = (10, 10), (5, 5)
    y, where = max_pool2d(x, *pool, _ONE, out_size)
    gather_plane(scatter_plane(y, where, size, None), where)
    adaptive_max_pool2d(x, (2, 2))
    for window, windows in ((pool, out_size), ((_TWO, _ONE, (0, 0)), (9, 9))):  # side by side, and not
        avg_pool2d_backward(avg_pool2d(x, *window, windows, 4.0), size, *window, 4.0)


def _norms(x: Array) -> None:
    channel_sum(x)
    mean, variance = channel_moments(x)
    batch_norm_train(x, None, None, 1e-5, False, None, None)
    y, inv_std = batch_norm_eval(x, mean, variance, None, None, 1e-5, False, None)
    batch_norm_backward(y, x, mean, inv_std, None)
    for shortcut in (None, x):
        y, _ = batch_norm_eval(x, mean, variance, None, None, 1e-5, True, shortcut)
        batch_norm_relu_backward(x, y, x, mean, variance, None, None, shortcut is not None)


def _activations(x: Array) -> None:
    one_array: tuple[Callable[..., Any], ...] = (relu, sigmoid, gelu)
    two_arrays = (relu_backward, sigmoid_backward, tanh_backward, gelu_backward)
    for function in one_array:
        function(x)
    for function in two_arrays:
        function(x, x)
    leaky_relu_backward(leaky_relu(x, 0.1), x, 0.1)
    softmax_backward(x, softmax(x, 1), 1)
    log_softmax_backward(x, log_softmax(x, 1), 1)


def _products(x: Array) -> None:
    """Few rows times a large matrix, in each of its places."""
    few, large = np.ones((2, 256), x.dtype), np.ones((256, 256), x.dtype)
    matmul(few, large)
    matmul(few, large.T)
    matmul(few.T, few)


def _joins(x: Array) -> None:
    """Whole images, and some channels of one."""
    image = np.ones((4, 64, 64, 24), x.dtype).transpose(0, 3, 1, 2)
    part = concatenate(image, (image,), 1)[:, :24]
    add(image, image)
    add(image, part)


def _steps(x: Array) -> None:
    param, grad, one, two = [x.copy()], [x], [x * x], [x * x]
    for buffers in (None, one):
        sgd_steps(param, grad, buffers, 0.1, 0.9, 0.0, 0.0, False)
    adam_steps(param, grad, one, two, None, None, 1, 0.1, 0.9, 0.999, 1e-8, 0.0, False)
    rmsprop_steps(param, grad, one, None, None, 0.1, 0.99, 1e-8, 0.0, 0.0)
    adagrad_steps(param, grad, one, 0.1, 1e-10, 0.0)


def run_all(dtype: np.dtype[Any]) -> None:
    """Run every kernel once on arrays of this dtype."""
    x = np.linspace(-1, 1, 400, dtype=dtype).reshape(1, 4, 10, 10)
    if dtype == np.float32:
        _vector_convolutions()
    for group in (_convolutions, _pools, _norms, _activations, _products, _joins, _steps):
        group(x)  # an image in planes, which is first copied to channels-last
