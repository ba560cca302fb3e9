"""The fast kernels for a CPU: Numba, with NumPy's BLAS for the matrix products.

The same functions as in `reference`, less `xp`, for float32 and float64; `KERNELS` maps their names to them. Importing
this package imports Numba. How a kernel is compiled and launched is in `_jit.py`, which memory layouts the kernels
know in `layout.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._jit import get_num_threads, set_num_threads, warm_up
from ._progress import on_compile
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
from .join import add, concatenate
from .norm import (
    batch_norm_backward,
    batch_norm_transform,
    channel_moments,
    channel_sum,
    inverse_std,
    move_statistics,
)
from .norm_relu import batch_norm_relu, batch_norm_relu_backward
from .optim import adagrad_steps, adam_steps, count_up, rmsprop_steps, sgd_steps
from .pool import adaptive_max_pool2d, avg_pool2d, avg_pool2d_backward, gather_plane, max_pool2d, scatter_plane
from .products import matmul
from .softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from .winograd import get_precision, set_precision

KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        adagrad_steps,
        adam_steps,
        add,
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

__all__ = [
    "KERNELS",
    "get_num_threads",
    "get_precision",
    "on_compile",
    "set_num_threads",
    "set_precision",
    "warm_up",
]
