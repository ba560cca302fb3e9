"""Activations: what `elementwise.cu` computes, on arrays without gaps in any order of their axes."""

from __future__ import annotations

from typing import Any

from .layout import blocks_for, dense, empty, in_order
from .loader import Array, Kernel

_THREADS = 256
_PER_THREAD = 4  # about what one access of 16 bytes brings

_relu = Kernel("elementwise", "relu")
_relu_backward = Kernel("elementwise", "relu_backward")
_leaky_relu = Kernel("elementwise", "leaky_relu")
_leaky_relu_backward = Kernel("elementwise", "leaky_relu_backward")
_sigmoid = Kernel("elementwise", "sigmoid")
_sigmoid_backward = Kernel("elementwise", "sigmoid_backward")
_tanh_backward = Kernel("elementwise", "tanh_backward")
_gelu = Kernel("elementwise", "gelu")
_gelu_backward = Kernel("elementwise", "gelu_backward")


def _map(kernel: Kernel, x: Array, *numbers: Any) -> Array:
    x, order = dense(x)
    y = empty(x.shape, x.dtype, order)
    kernel.launch(x.dtype, (blocks_for(x.size, _THREADS * _PER_THREAD),), (_THREADS,), x, y, x.size, *numbers)
    return y


def _map2(kernel: Kernel, g: Array, x: Array, *numbers: Any) -> Array:
    """The result has the layout of x, which an activation's gradient goes back to."""
    x, order = dense(x)
    gx = empty(x.shape, x.dtype, order)
    grid = (blocks_for(x.size, _THREADS * _PER_THREAD),)
    kernel.launch(x.dtype, grid, (_THREADS,), in_order(g, order), x, gx, x.size, *numbers)
    return gx


def relu(x: Array) -> Array:
    return _map(_relu, x)


def relu_backward(g: Array, y: Array) -> Array:
    return _map2(_relu_backward, g, y)


def leaky_relu(x: Array, slope: float) -> Array:
    return _map(_leaky_relu, x, slope)


def leaky_relu_backward(g: Array, x: Array, slope: float) -> Array:
    return _map2(_leaky_relu_backward, g, x, slope)


def sigmoid(x: Array) -> Array:
    return _map(_sigmoid, x)


def sigmoid_backward(g: Array, y: Array) -> Array:
    return _map2(_sigmoid_backward, g, y)


def tanh_backward(g: Array, y: Array) -> Array:
    return _map2(_tanh_backward, g, y)


def gelu(x: Array) -> Array:
    return _map(_gelu, x)


def gelu_backward(g: Array, x: Array) -> Array:
    return _map2(_gelu_backward, g, x)
