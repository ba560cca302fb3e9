"""ONNX's operations on shapes, by ours, and those that make tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import Tensor

from .values import RefusedError, ints, kind_of


def reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    sizes = shape.tolist()
    return x.reshape([x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(sizes)])


def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    dims = ints(axes)
    return x.squeeze() if dims is None else x.squeeze(tuple(dims))


def unsqueeze(x: Tensor, axes: Any = None) -> Tensor:
    dims = ints(axes) or []
    for dim in sorted(d % (x.ndim + len(dims)) for d in dims):
        x = x.unsqueeze(dim)
    return x


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    rows = math.prod(x.shape[: axis % (x.ndim + 1) if axis >= 0 else axis + x.ndim])
    return x.reshape(rows, -1)


def expand(x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    sizes = [1] * (x.ndim - len(sizes)) + sizes
    own = [1] * (len(sizes) - x.ndim) + list(x.shape)
    return x.expand([n if o == 1 else o for n, o in zip(sizes, own, strict=True)])


def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(list(perm) if perm is not None else list(range(x.ndim))[::-1])


def split(
    x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int = 0, outputs: int = 0
) -> tuple[Tensor, ...]:
    if sizes is not None:
        return tinycnn.split(x, sizes.tolist(), axis)
    return tinycnn.split(x, -(-x.shape[axis] // (num_outputs or outputs)), axis)


def cut(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    """Slices; a negative step, which ours have not, is taken on the flipped tensor."""
    dims = ints(axes) or list(range(len(starts.tolist())))
    for dim, start, end, step in zip(dims, starts.tolist(), ends.tolist(), ints(steps) or [1] * len(dims), strict=True):
        places = range(x.shape[dim])[start:end:step]
        if step < 0:
            x = x.flip(dim)
            places = range(x.shape[dim] - 1 - places.start, x.shape[dim] - 1 - places.stop, -step)
        index: list[Any] = [slice(None)] * x.ndim
        index[dim] = slice(places.start, max(places.stop, places.start), places.step)
        x = x[tuple(index)]
    return x


def pad(
    x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str = "constant"
) -> Tensor:
    widths = pads.tolist()
    dims = ints(axes) or list(range(x.ndim))
    ours = [0] * 2 * x.ndim  # the last dimension first
    for i, dim in enumerate(dims):
        at = 2 * (x.ndim - 1 - dim % x.ndim)
        ours[at], ours[at + 1] = widths[i], widths[i + len(dims)]
    if mode == "constant":
        return F.pad(x, ours, value=0 if value is None else value.item())
    ours = ours[: max(i + 2 - i % 2 for i, n in enumerate([*ours, 0]) if n or not i)]
    return F.pad(x, ours, mode={"edge": "replicate", "wrap": "circular"}.get(mode, mode))


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return tinycnn.tensor(list(x.shape)[start:end], dtype=tinycnn.int64)


def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    ones = tinycnn.ones(*x.shape, dtype=x.dtype if dtype is None else kind_of(dtype))
    return tinycnn.triu(tinycnn.tril(ones, k), k)


def constant_of_shape(sizes: Tensor, *, value: Tensor | None = None) -> Tensor:
    if value is None:
        return tinycnn.zeros(sizes.tolist())
    return tinycnn.full(sizes.tolist(), value.item(), dtype=value.dtype)


def value_range(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return tinycnn.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def constant(**value: Any) -> Tensor:
    ((kind, content),) = value.items()
    if kind == "value":
        return content  # type: ignore[no-any-return]
    kinds: Any = {"value_int": tinycnn.int64, "value_float": tinycnn.float32}
    if kind.removesuffix("s") not in kinds:
        raise RefusedError(kind)
    return tinycnn.tensor(content, dtype=kinds[kind.removesuffix("s")])
