"""tinycnn: a deep-learning engine for convolutional networks, written from scratch on NumPy and CuPy.

Names and semantics are PyTorch's:

    >>> import tinycnn
    >>> from tinycnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    >>> logits = net(tinycnn.zeros(2, 1, 28, 28))
    >>> nn.functional.cross_entropy(logits, tinycnn.tensor([3, 7])).backward()
    >>> net[0].weight.grad.shape
    tinycnn.Size([6, 1, 5, 5])
"""

from __future__ import annotations

import os as _os
import pathlib as _pathlib
import typing as _typing

# OpenBLAS, behind NumPy's matrix products, lets its idle threads spin for a while, on the cores that the kernels' own
# threads need: a training step took twice as long. It reads this when NumPy is first imported: let them sleep at once.
_os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

__version__ = "0.1.0"

# In a bare checkout the kernels stand beside this folder; installed, they are inside it.
_root = _pathlib.Path(__file__).resolve().parent.parent
if (_root / "kernels").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))

from . import (
    amp as amp,
    autograd as autograd,
    backend as backend,
    backends as backends,
    cuda as cuda,
    data as data,
    inspect as inspect,
    models as models,
    nn as nn,
    ops as ops,
    optim as optim,
    train as train,
    utils as utils,
)
from .autograd import (
    Size as Size,
    Tensor as Tensor,
    autocast as autocast,
    enable_grad as enable_grad,
    get_autocast_dtype as get_autocast_dtype,
    is_autocast_enabled as is_autocast_enabled,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .backend import (
    cuda_status as cuda_status,
    device as device,
    empty_cache as empty_cache,
    get_default_device as get_default_device,
    get_kernels as get_kernels,
    get_num_threads as get_num_threads,
    get_precision as get_precision,
    memory_stats as memory_stats,
    reset_peak_memory_stats as reset_peak_memory_stats,
    set_backend as set_backend,
    set_default_device as set_default_device,
    set_num_threads as set_num_threads,
    set_precision as set_precision,
    use_kernels as use_kernels,
)
from .backend.dtypes import (
    bfloat16 as bfloat16,
    bool_ as bool,
    complex64 as complex64,
    complex128 as complex128,
    dtype as dtype,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    uint8 as uint8,
)
from .backend.layout import (
    channels_last as channels_last,
    contiguous_format as contiguous_format,
    memory_format as memory_format,
    preserve_format as preserve_format,
)
from .backends import (
    get_float32_matmul_precision as get_float32_matmul_precision,
    set_float32_matmul_precision as set_float32_matmul_precision,
)
from .ops import *  # noqa: F403

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64

# What PyTorch has here and this package has not, and what to write instead.
_INSTEAD = {
    "save": "nothing is pickled: train.save_checkpoint(path, model) writes a safetensors file",
    "load": "nothing is unpickled: train.load_weights(model, path) reads a safetensors file",
    "FloatTensor": "write tensor(values, dtype=float32)",
    "LongTensor": "write tensor(values, dtype=int64)",
}

if not _typing.TYPE_CHECKING:  # for a type checker it would make every name right

    def __getattr__(name: str) -> _typing.NoReturn:
        hint = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
