"""tinycnn: a deep-learning engine for convolutional networks, written from scratch on NumPy and CuPy.

Names and semantics are PyTorch's:

    >>> import tinycnn
    >>> from tinycnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 28 * 28, 10))
    >>> logits = net(tinycnn.zeros(2, 1, 28, 28))
    >>> nn.functional.cross_entropy(logits, tinycnn.tensor([3, 7])).backward()
    >>> net[0].weight.grad.shape
    tinycnn.Size([6, 1, 5, 5])
"""

from __future__ import annotations

import pathlib as _pathlib

__version__ = "0.1.0"

# In a bare checkout the kernels stand beside this folder; installed, they are inside it.
_root = _pathlib.Path(__file__).resolve().parent.parent
if (_root / "kernels").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))

from . import autograd, backend, cuda, data, models, nn, ops, optim, train
from .autograd import (
    Size,
    Tensor,
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .backend import (
    cuda_status,
    device,
    get_default_device,
    get_kernels,
    get_num_threads,
    set_backend,
    set_default_device,
    set_num_threads,
    use_kernels,
)
from .backend.dtypes import (
    bool_ as bool,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .backend.layout import channels_last, contiguous_format, memory_format, preserve_format
from .ops import *  # noqa: F403

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
