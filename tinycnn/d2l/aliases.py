"""The book's names for operations, which it uses so that one text fits several libraries.

`d2l.reduce_sum(x, 1)` is `x.sum(1)`, `d2l.size(x)` is `x.numel()`, and so on.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend.dtypes import bool_, float32, float64, int32, int64, uint8
from ..ops import (
    abs,
    arange,
    bmm,
    cat,
    cos,
    cosh,
    exp,
    eye,
    linspace,
    log,
    matmul,
    normal,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    sigmoid,
    sin,
    sinh,
    sqrt,
    stack,
    tanh,
    tensor,
    zeros,
    zeros_like,
)

concat = cat
batch_matmul = bmm

__all__ = [
    "abs",
    "arange",
    "argmax",
    "astype",
    "batch_matmul",
    "bool_",
    "concat",
    "cos",
    "cosh",
    "exp",
    "expand_dims",
    "eye",
    "float32",
    "float64",
    "int32",
    "int64",
    "linspace",
    "log",
    "matmul",
    "normal",
    "numpy",
    "ones",
    "ones_like",
    "rand",
    "randint",
    "randn",
    "reduce_mean",
    "reduce_sum",
    "repeat",
    "reshape",
    "sigmoid",
    "sin",
    "sinh",
    "size",
    "sqrt",
    "stack",
    "swapaxes",
    "tanh",
    "tensor",
    "to",
    "transpose",
    "uint8",
    "zeros",
    "zeros_like",
]


def numpy(x: Tensor) -> Any:
    """The NumPy array of a tensor of the CPU, apart from its history.

    Example:
        >>> numpy(ones(2) * 3)
        array([3., 3.], dtype=float32)
    """
    return x.detach().numpy()


def size(x: Tensor) -> int:
    """The number of elements."""
    return x.numel()


def reshape(x: Tensor, *args: Any) -> Tensor:
    """x.reshape.

    Example:
        >>> reshape(arange(6), (2, 3))
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    return x.reshape(*args)


def to(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.to: on another device, of another dtype."""
    return x.to(*args, **kwargs)


def astype(x: Tensor, *args: Any) -> Tensor:
    """x.type: of another dtype."""
    return x.type(*args)


def reduce_sum(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.sum.

    Example:
        >>> reduce_sum(ones(2, 3), 1)
        tensor([3., 3.])
    """
    return x.sum(*args, **kwargs)


def reduce_mean(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.mean."""
    return x.mean(*args, **kwargs)


def argmax(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.argmax."""
    return x.argmax(*args, **kwargs)


def transpose(x: Tensor, *args: Any) -> Tensor:
    """The transposed matrix, x.t()."""
    return x.t(*args)


def expand_dims(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.unsqueeze."""
    return x.unsqueeze(*args, **kwargs)


def swapaxes(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.swapaxes."""
    return x.swapaxes(*args, **kwargs)


def repeat(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x.repeat."""
    return x.repeat(*args, **kwargs)
