"""Chains of element-wise operations, each in one launch of `elementwise.cu`: the reference's formulas by their names.

The result lies as the last of the arrays that are not repeated, since a gradient's formula takes the gradient first,
then what its result has to be like. In that order every array is seen as rows: a whole array is one row, some channels
of an image in channels-last have a row a pixel, one number for all is a row of its own. What cannot be seen so is
copied first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..reference.elementwise import FORMULAS
from .formulas import arguments_of, header
from .layout import Order, axes_of, blocks_for, empty, in_order
from .loader import GENERATED, Array, Kernel, driver

GENERATED["formulas.cuh"] = lambda: header(FORMULAS)

_INPUTS, _NUMBERS = 3, 2  # as in elementwise.cu
_THREADS = 256
_PER_THREAD = 4  # about what one access of 16 bytes brings

_chain = Kernel("elementwise", "chain", variants=([f"formula::{formula.__name__}" for formula in FORMULAS],))


class _Rows(NamedTuple):
    """An array as rows: how many numbers it is from one to the next, and whether a row is one number, repeated."""

    step: int
    single: bool


def _rows(sizes: Sequence[int], strides: Sequence[int], inner: int) -> _Rows | None:
    """With the axes from `inner` on as a row; None if they are none, or the rows do not follow evenly. No size is 1."""
    single, expected = not any(strides[inner:]), 1
    for size, stride in zip(sizes[:inner:-1], strides[:inner:-1], strict=True):
        if not single and stride != expected:
            return None
        expected *= size
    if not single and strides[inner] != expected:
        return None
    if any(strides[k] != strides[k + 1] * sizes[k + 1] for k in range(inner - 1)):
        return None
    return _Rows(strides[inner - 1] if inner else 0, single)


def _seen_as_rows(arrays: Sequence[Array], order: Order) -> tuple[Sequence[Array], int, list[_Rows]]:
    """Arrays of one shape, copied where they have to be; how long a row is; and the rows of each."""
    axes = [i for i in order if arrays[0].shape[i] != 1]
    sizes = [arrays[0].shape[i] for i in axes]
    for inner in range(len(sizes) + 1):
        found = [_rows(sizes, [x.strides[i] // x.itemsize for i in axes], inner) for x in arrays]
        if None not in found:
            return arrays, math.prod(sizes[inner:]), found  # type: ignore[return-value]
    return _seen_as_rows([in_order(x, order) for x in arrays], order)


def _run(name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Array:
    shape, kind = arrays[-1].shape, arrays[-1].dtype
    if any(x.shape != shape for x in arrays):
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
        arrays = [x if x.shape == shape else driver().xp.broadcast_to(x, shape) for x in arrays]
    arrays = [x if x.dtype == kind else x.astype(kind) for x in arrays]
    order = axes_of(next((x for x in reversed(arrays) if all(x.strides)), arrays[-1]))
    y = empty(shape, kind, order)
    if not y.size:
        return y
    arrays, width, rows = _seen_as_rows(arrays, order)
    absent = _INPUTS - len(arrays)
    steps = [*(r.step for r in rows), *[0] * absent]
    single = sum(r.single << k for k, r in enumerate(rows))
    grid = (blocks_for(y.size, _THREADS * _PER_THREAD),)
    numbers = (*numbers, 0.0, 0.0)[:_NUMBERS]
    given = *arrays, *[None] * absent, y, y.size, width, *steps, single
    _chain.launch((kind, f"formula::{name}"), grid, (_THREADS,), *given, *numbers)
    return y


def _kernel(formula: Callable[..., Any]) -> Callable[..., Array]:
    name, inputs = formula.__name__, len(arguments_of(formula)[0])

    def kernel(*args: Any) -> Array:
        return _run(name, args[:inputs], args[inputs:])

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


OF_FORMULAS = {formula.__name__: _kernel(formula) for formula in FORMULAS}
globals().update(OF_FORMULAS)
