"""The optimisers' steps, in place: all parameters that share their numbers in one launch of `optim.cu`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..reference import optim as reference
from ..reference.optim import Arrays, each
from .layout import in_order, order_of, wide
from .loader import Array, Kernel, driver
from .tensors import TENSORS, tables

_sgd = Kernel("optim", "sgd")
_adam = Kernel("optim", "adam")
_rmsprop = Kernel("optim", "rmsprop")
_adagrad = Kernel("optim", "adagrad")
_count_up = Kernel("optim", "count_up", types=())

_THREADS = 256


def _launch(
    kernel: Kernel,
    rest: Callable[..., None],
    columns: tuple[Arrays, Arrays, *tuple[Arrays | None, ...]],
    own: Sequence[Any],
    numbers: Sequence[Any],
    counts: tuple[Arrays | None, ...] = (),
) -> None:
    """Step every parameter that lies in memory without gaps, its states alike.

    Args:
        rest: the reference's function, for the others.
        columns: parameters, gradients, then states; None for states that there are not. Gradients are copied where
            their layout differs.
        own: the kernel's numbers.
        numbers: the reference's.
        counts: if the kernel takes them, how many steps there were of each parameter.
    """
    left: list[tuple[Array | None, ...]] = []
    by_type: dict[Any, list[list[Array | None]]] = {}
    for arrays in each(*columns, *counts):
        param, grad, *states = arrays
        order, kind = order_of(param), wide(param.dtype)
        alike = states[: len(columns) - 2]
        if order is None or any(a is not None and (order_of(a) != order or a.dtype != kind) for a in alike):
            left.append(arrays)
            continue
        laid_out = in_order(grad if grad.dtype == param.dtype else grad.astype(param.dtype), order)
        by_type.setdefault(param.dtype, []).append([param, laid_out, *states])
    for dtype, groups in by_type.items():
        for table, blocks in tables(groups, [arrays[0].size for arrays in groups]):  # type: ignore[union-attr]
            kernel.launch(dtype, (blocks,), (_THREADS,), table, *own)
    for arrays in left:
        singles = [_single(a) for a in arrays]
        rest(driver().xp, *([a] for a in singles), *numbers)
        if singles[0] is not arrays[0]:
            arrays[0][...] = singles[0]


def _single(x: Any) -> Any:
    """A half-precision array in float32; any other as it is."""
    return x.astype("float32") if x is not None and x.dtype.itemsize == 2 else x


def sgd_steps(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    own = lr, momentum, 1 - dampening, weight_decay, nesterov
    numbers = lr, momentum, dampening, weight_decay, nesterov
    _launch(_sgd, reference.sgd_steps, (params, grads, buffers), own, numbers)


def adam_steps(
    params: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    peaks: Arrays | None,
    counts: Arrays | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    number = step if counts is None else 1
    rate, unbias = lr / (1 - beta1**number), 1 / math.sqrt(1 - beta2**number)
    own = keep, decay, beta1, 1 - beta1, beta2, 1 - beta2, rate, unbias, eps, lr, beta1, beta2
    numbers = step, lr, beta1, beta2, eps, weight_decay, decoupled
    _launch(_adam, reference.adam_steps, (params, grads, means, squares, peaks), own, numbers, (counts,))


def rmsprop_steps(
    params: Arrays,
    grads: Arrays,
    squares: Arrays,
    means: Arrays | None,
    buffers: Arrays | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
) -> None:
    own = lr, alpha, 1 - alpha, eps, momentum, weight_decay
    numbers = lr, alpha, eps, momentum, weight_decay
    _launch(_rmsprop, reference.rmsprop_steps, (params, grads, squares, means, buffers), own, numbers)


def adagrad_steps(params: Arrays, grads: Arrays, totals: Arrays, lr: float, eps: float, weight_decay: float) -> None:
    numbers = lr, eps, weight_decay
    _launch(_adagrad, reference.adagrad_steps, (params, grads, totals), numbers, numbers)


def count_up(counts: Arrays) -> None:
    for table, _ in tables([[count] for count in counts], [1] * len(counts)):
        _count_up.launch((), (1,), (TENSORS,), table)
