"""The reference kernels: array code that is meant to be read, written once for NumPy and CuPy.

Every function takes the array library first (`xp`: `numpy` or `cupy`), then arrays of one floating dtype, then plain
integers. It accepts any memory strides, changes none of its inputs and returns fresh arrays; only the optimisers'
steps (`optim.py`), running statistics and gradients that are scaled (`gradients.py`) are changed in place.

Letters, the same in every file:

    N  images in the batch        C  input channels       K  output channels      G  groups
    H, W  input height, width     P, Q  output height, width
    R, S  kernel height, width    (r, s) a tap of the kernel, (p, q) a place of the output

Images are indexed (N, C, H, W). Results are *stored* channels-last, i.e. with the strides of an (N, H, W, C) array,
because then the matrix product behind a convolution writes its result in place and a pixel's channels lie together.

`KERNELS` names the whole interface: a faster set implements any part of it, with the same arguments less `xp`. Those in
`ON_LISTS` take lists of arrays first.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .conv import (
    col2im,
    conv2d,
    conv2d_backward,
    conv2d_input_grad,
    conv2d_relu_gate,
    conv2d_weight_grad,
    im2col,
)
from .elementwise import FORMULAS
from .gradients import clip_to_norm, norm_of, unscale
from .join import concatenate
from .linalg import matmul
from .norm import (
    batch_norm_backward,
    batch_norm_eval,
    batch_norm_relu_backward,
    batch_norm_train,
    channel_moments,
    channel_sum,
)
from .optim import adagrad_steps, adam_steps, count_up, rmsprop_steps, sgd_steps
from .pool import adaptive_max_pool2d, avg_pool2d, avg_pool2d_backward, gather_plane, max_pool2d, scatter_plane
from .softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

_FORMULAS = {formula.__name__: formula for formula in FORMULAS}
globals().update(_FORMULAS)

KERNELS = (
    *_FORMULAS,
    "adagrad_steps",
    "adam_steps",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_backward",
    "batch_norm_eval",
    "batch_norm_relu_backward",
    "batch_norm_train",
    "channel_moments",
    "channel_sum",
    "clip_to_norm",
    "col2im",
    "concatenate",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_relu_gate",
    "conv2d_weight_grad",
    "count_up",
    "cross_entropy",
    "cross_entropy_backward",
    "gather_plane",
    "im2col",
    "log_softmax",
    "log_softmax_backward",
    "matmul",
    "max_pool2d",
    "norm_of",
    "rmsprop_steps",
    "scatter_plane",
    "sgd_steps",
    "softmax",
    "softmax_backward",
    "unscale",
)


def kernels_of(*modules: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions of KERNELS that some modules have, by name."""
    return {name: getattr(module, name) for module in modules for name in KERNELS if hasattr(module, name)}


ON_LISTS = (
    "adagrad_steps",
    "adam_steps",
    "clip_to_norm",
    "count_up",
    "norm_of",
    "rmsprop_steps",
    "sgd_steps",
    "unscale",
)

__all__ = [*KERNELS, "KERNELS", "ON_LISTS", "kernels_of"]  # noqa: PLE0604
