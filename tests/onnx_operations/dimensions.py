"""ONNX's operations along dimensions, by ours: reductions, sums so far, the greatest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinycnn
from tinycnn import Tensor

from .values import ints


def reduction(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """From function(x, dim, keepdim), where dim is a tuple of at least one."""

    def reduce(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        dims = ints(axes)
        if not dims:
            if noop_with_empty_axes:
                return x
            dims = list(range(x.ndim))
        return function(x, tuple(dims), bool(keepdims)) if dims else x

    return reduce


def total(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    return x.sum(dim, keepdim).to(x.dtype)


def product(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    y = x
    for d in dim:
        y = y.prod(d, keepdim=True)
    return y.to(x.dtype) if keepdim else y.squeeze(dim).to(x.dtype)


def bool_or(of_numbers: Callable[..., Tensor], of_bools: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, dim, keepdim: (of_bools if x.dtype is tinycnn.bool else of_numbers)(x, dim, keepdim)


def over_nothing(function: Callable[..., Tensor], value: float) -> Callable[..., Tensor]:
    """The greatest or least element, and of no elements what ONNX says; ours, as PyTorch's, refuse."""

    def extreme(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
        if all(x.shape[d] for d in dim):
            return function(x, dim, keepdim)
        return tinycnn.full_like(x.sum(dim, keepdim), value).to(x.dtype)

    return extreme


def arg_extreme(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def place(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            return x.shape[axis] - 1 - function(x.flip(axis), axis, bool(keepdims))
        return function(x, axis, bool(keepdims))

    return place


def cumsum(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    dim = axis.item()
    y = x.flip(dim) if reverse else x
    y = y.cumsum(dim).to(x.dtype) - (y if exclusive else 0)
    return y.flip(dim) if reverse else y


def top_k(x: Tensor, k: Tensor, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    return tuple(x.topk(k.item(), axis, bool(largest), bool(sorted)))


def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    size = x.norm(p, axis, keepdim=True)
    return x / tinycnn.where(size == 0, 1.0, size)


def softmax_along(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *, axis=-1: function(x, axis)
