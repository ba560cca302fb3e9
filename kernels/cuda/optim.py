"""The optimisers' steps, in place: all parameters of a group in one launch of `optim.cu`.

`sgd_steps` and its like take lists; `sgd_step` and its like, the reference's functions, are lists of one. Whether there
is a velocity, a mean or a peak is the same for all parameters of a call. `live` is a float64 array on the device that
replaces the numbers that change from step to step, for captured graphs: (lr,); for Adam (1 - lr * weight_decay, or 1
unless that is decoupled, lr / (1 - beta1^step), 1 / sqrt(1 - beta2^step)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..reference import optim as reference
from .layout import in_order, order_of, wide
from .loader import Array, Kernel, driver
from .tensors import tables

_sgd = Kernel("optim", "sgd")
_adam = Kernel("optim", "adam")
_rmsprop = Kernel("optim", "rmsprop")
_adagrad = Kernel("optim", "adagrad")

_THREADS = 256
Arrays = Sequence[Array]


def _launch(kernel: Kernel, lists: Sequence[Any], *numbers: Any) -> list[int]:
    """Step every parameter that lies in memory without gaps, its states alike; the numbers of the others.

    Args:
        lists: parameters, gradients, then states; None for states that there are not. Gradients are copied where their
            layout differs.
    """
    left: list[int] = []
    by_type: dict[Any, list[list[Any]]] = {}
    for i, (param, grad) in enumerate(zip(lists[0], lists[1], strict=True)):
        states = [None if some is None else some[i] for some in lists[2:]]
        order, kind = order_of(param), wide(param.dtype)
        if order is None or any(a is not None and (order_of(a) != order or a.dtype != kind) for a in states):
            left.append(i)
            continue
        laid_out = in_order(grad if grad.dtype == param.dtype else grad.astype(param.dtype), order)
        by_type.setdefault(param.dtype, []).append([param, laid_out, *states])
    for dtype, groups in by_type.items():
        for table, blocks in tables(groups, [arrays[0].size for arrays in groups]):
            kernel.launch(dtype, (blocks,), (_THREADS,), table, *numbers)
    return left


def sgd_steps(
    params: Arrays,
    grads: Arrays,
    buffers: Arrays | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    live: Array | None = None,
) -> None:
    numbers = lr, momentum, 1 - dampening, weight_decay, nesterov, live
    for i in _launch(_sgd, (params, grads, buffers), *numbers):
        buffer = None if buffers is None else buffers[i]
        rest = lr, momentum, dampening, weight_decay, nesterov
        reference.sgd_step(driver().xp, params[i], grads[i], buffer, *rest)


def sgd_step(
    param: Array,
    grad: Array,
    buffer: Array | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    buffers = None if buffer is None else [buffer]
    sgd_steps([param], [grad], buffers, lr, momentum, dampening, weight_decay, nesterov)


def adam_steps(
    params: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    peaks: Arrays | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    live: Array | None = None,
) -> None:
    keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    rate, unbias = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    numbers = keep, decay, beta1, 1 - beta1, beta2, 1 - beta2, rate, unbias, eps, live
    for i in _launch(_adam, (params, grads, means, squares, peaks), *numbers):
        arrays = params[i], grads[i], means[i], squares[i], None if peaks is None else peaks[i]
        reference.adam_step(driver().xp, *arrays, step, lr, beta1, beta2, eps, weight_decay, decoupled)


def adam_step(
    param: Array,
    grad: Array,
    mean: Array,
    square: Array,
    peak: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    peaks = None if peak is None else [peak]
    adam_steps([param], [grad], [mean], [square], peaks, step, lr, beta1, beta2, eps, weight_decay, decoupled)


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
    live: Array | None = None,
) -> None:
    numbers = lr, alpha, 1 - alpha, eps, momentum, weight_decay, live
    for i in _launch(_rmsprop, (params, grads, squares, means, buffers), *numbers):
        mean, buffer = (None if some is None else some[i] for some in (means, buffers))
        rest = lr, alpha, eps, momentum, weight_decay
        reference.rmsprop_step(driver().xp, params[i], grads[i], squares[i], mean, buffer, *rest)


def rmsprop_step(
    param: Array,
    grad: Array,
    square: Array,
    mean: Array | None,
    buffer: Array | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
) -> None:
    means, buffers = (None if a is None else [a] for a in (mean, buffer))
    rmsprop_steps([param], [grad], [square], means, buffers, lr, alpha, eps, momentum, weight_decay)


def adagrad_steps(
    params: Arrays, grads: Arrays, totals: Arrays, lr: float, eps: float, weight_decay: float, live: Array | None = None
) -> None:
    for i in _launch(_adagrad, (params, grads, totals), lr, eps, weight_decay, live):
        reference.adagrad_step(driver().xp, params[i], grads[i], totals[i], lr, eps, weight_decay)


def adagrad_step(param: Array, grad: Array, total: Array, lr: float, eps: float, weight_decay: float) -> None:
    adagrad_steps([param], [grad], [total], lr, eps, weight_decay)
