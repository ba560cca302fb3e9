"""Dropout without a mask, and uniform random numbers, from Philox's counter: the grids for `dropout.cu`.

A draw is named by a seed and a number, both below 2^64. `counter` is an array of one uint64 on the device that is added
to the number, or None: in a captured graph, which repeats its arguments, it makes the runs differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .layout import Order, blocks_for, dense, empty, in_order
from .loader import Array, Kernel, driver

_dropout = Kernel("dropout", "dropout")
_uniform = {
    "float32": Kernel("dropout", "uniform_float", types=()),
    "float64": Kernel("dropout", "uniform_double", types=()),
}

_THREADS = 256


def dropout(
    x: Array, p: float, seed: int, draw: int, counter: Array | None = None, order: Order | None = None
) -> Array:
    """x with each number 0 with probability p and divided by 1 - p otherwise.

    The gradient is the same function of the output's gradient, in the same order: the words go by the place in memory,
    with the axes in x's order or, if there is one, in the order given.
    """
    if order is None:
        x, order = dense(x)
    else:
        x = in_order(x, order)
    y = empty(x.shape, x.dtype, order)
    scale = 0.0 if p >= 1 else 1 / (1 - p)
    grid = (blocks_for(x.size, 4 * _THREADS),)
    _dropout.launch(x.dtype, grid, (_THREADS,), x, y, x.size, round(p * 2**32), scale, seed, draw, counter)
    return y


def uniform(shape: tuple[int, ...], dtype: Any, seed: int, draw: int, counter: Array | None = None) -> Array:
    """Random numbers on [0, 1), float32 or float64."""
    y = driver().xp.empty(shape, dtype)
    grid = (blocks_for(y.size, 4 * _THREADS),)
    _uniform[np.dtype(dtype).name].launch((), grid, (_THREADS,), y, y.size, seed, draw, counter)
    return y
