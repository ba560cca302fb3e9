"""Chains of element-wise operations, each in one launch of `elementwise.cu`: the reference's formulas by their names.

Arrays may lie in memory in any order of their axes, and any of them may be one number, also one that was broadcast. The
result lies as the last of the others does: a gradient's formula takes the gradient first, then what its result has to
be like. Others are copied to that order first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..reference.elementwise import FORMULAS
from .formulas import arguments_of, header
from .layout import blocks_for, empty, in_order, order_of
from .loader import GENERATED, Array, Kernel, driver

GENERATED["formulas.cuh"] = lambda: header(FORMULAS)

_INPUTS, _NUMBERS = 3, 2  # as in elementwise.cu
_THREADS = 256
_PER_THREAD = 4  # about what one access of 16 bytes brings

_chain = Kernel("elementwise", "chain", variants=([f"formula::{formula.__name__}" for formula in FORMULAS],))


def _is_single(x: Array) -> bool:
    return x.size == 1 or not any(x.strides)


def _run(name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Array:
    shape, kind = arrays[-1].shape, arrays[-1].dtype
    if any(x.shape != shape for x in arrays):
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
    orders = [order_of(x) for x in arrays if x.shape == shape and not _is_single(x)]
    order = (orders[-1] if orders else None) or tuple(range(len(shape)))
    y = empty(shape, kind, order)
    single, given = 0, []
    for k, x in enumerate(arrays):
        if x.dtype != kind:
            x = x.astype(kind)
        if _is_single(x):
            single |= 1 << k
        else:
            x = in_order(x if x.shape == shape else driver().xp.broadcast_to(x, shape), order)
        given.append(x)
    given += [None] * (_INPUTS - len(given))
    grid = (blocks_for(y.size, _THREADS * _PER_THREAD),)
    numbers = (*numbers, 0.0, 0.0)[:_NUMBERS]
    _chain.launch((kind, f"formula::{name}"), grid, (_THREADS,), *given, y, y.size, single, *numbers)
    return y


def _kernel(formula: Callable[..., Any]) -> Callable[..., Array]:
    name, inputs = formula.__name__, len(arguments_of(formula)[0])

    def kernel(*args: Any) -> Array:
        return _run(name, args[:inputs], args[inputs:])

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


globals().update({formula.__name__: _kernel(formula) for formula in FORMULAS})
