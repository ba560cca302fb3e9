"""Raw CUDA kernels, for speed on a GPU.

A kernel is a small `.cu` file that explains itself on top; beside it lies a Python file of the same name with the
functions that shape its launch: the reference's names, with the reference's arguments less `xp`. `loader.py` says how
one becomes the other, `layout.py` which memory layouts the kernels know, `common.cuh` what they share. What is missing
here runs on the reference kernels, with CuPy as their array library.

`KERNELS` holds what the reference has too. Random numbers, which have no reference, are in `dropout.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .concat import concatenate
from .conv import col2im, conv2d, conv2d_input_grad, conv2d_weight_grad, im2col
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
from .gemm import matmul
from .norm import (
    batch_norm_backward,
    batch_norm_relu,
    batch_norm_relu_backward,
    batch_norm_transform,
    channel_moments,
    channel_sum,
    inverse_std,
    move_statistics,
)
from .optim import adagrad_steps, adam_steps, count_up, rmsprop_steps, sgd_steps
from .pool import (
    adaptive_max_pool2d,
    avg_pool2d,
    avg_pool2d_backward,
    gather_plane,
    max_pool2d,
    scatter_plane,
)
from .softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        adagrad_steps,
        adam_steps,
        adaptive_max_pool2d,
        avg_pool2d,
        avg_pool2d_backward,
        batch_norm_backward,
        batch_norm_relu,
        batch_norm_relu_backward,
        batch_norm_transform,
        channel_moments,
        channel_sum,
        col2im,
        concatenate,
        conv2d,
        conv2d_input_grad,
        conv2d_weight_grad,
        count_up,
        cross_entropy,
        cross_entropy_backward,
        gather_plane,
        gelu,
        gelu_backward,
        im2col,
        inverse_std,
        leaky_relu,
        leaky_relu_backward,
        log_softmax,
        log_softmax_backward,
        matmul,
        max_pool2d,
        move_statistics,
        relu,
        relu_backward,
        rmsprop_steps,
        scatter_plane,
        sgd_steps,
        sigmoid,
        sigmoid_backward,
        softmax,
        softmax_backward,
        tanh_backward,
    )
}

__all__ = ["KERNELS"]
