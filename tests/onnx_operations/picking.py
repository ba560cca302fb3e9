"""ONNX's operations that pick and place by index, by ours."""

from __future__ import annotations

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import Tensor

from .values import RefusedError


def wrapped(index: Tensor, size: int) -> Tensor:
    """Counted from the end where negative."""
    return tinycnn.where(index < 0, index + size, index).long()


def gather(x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    picked = x.index_select(axis, wrapped(index, x.shape[axis]).flatten())
    axis %= x.ndim
    return picked.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def gather_elements(x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    return x.gather(axis, wrapped(index, x.shape[axis]))


def gather_nd(x: Tensor, index: Tensor, *, batch_dims: int = 0) -> Tensor:
    grids = tinycnn.meshgrid(*map(tinycnn.arange, x.shape[:batch_dims])) if batch_dims else ()
    spread = [g.reshape(list(g.shape) + [1] * (index.ndim - 1 - batch_dims)) for g in grids]
    return x[(*spread, *index.unbind(-1))]


def scatter_elements(x: Tensor, index: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    if reduction not in ("none", "add"):
        raise RefusedError(f"scattering with {reduction}")
    reduce = None if reduction == "none" else "add"
    return x.scatter(axis, wrapped(index, x.shape[axis]), updates, reduce=reduce)


def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    if reduction not in ("none", "add"):
        raise RefusedError(f"scattering with {reduction}")
    return x.index_put(index.unbind(-1), updates, accumulate=reduction == "add")


def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    x, dim = (x.flatten(), 0) if axis is None else (x, axis)
    return x.index_select(dim, tinycnn.nonzero(condition).flatten())


def one_hot(index: Tensor, depth: Tensor, values: Tensor, *, axis: int = -1) -> Tensor:
    """Classes from the end where negative; those that are out of range are nowhere."""
    n = int(depth.item())
    index = tinycnn.where(index < 0, index + n, index).long()
    known = (index >= 0) & (index < n)
    hot = F.one_hot(tinycnn.where(known, index, 0), n) * known.unsqueeze(-1).long()
    return tinycnn.where(hot.bool(), values[1], values[0]).movedim(-1, axis)
