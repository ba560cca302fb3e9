"""The optimisers' updates, all parameters in one launch: every array is read and written once, whatever the equation.

Each thread takes a piece of memory and goes over it one to three times, with few arrays at a time: the piece stays in
the core's cache, and short loops over few arrays become vector code where one long loop would not. How parameters are
cut into pieces is told in `_pieces.py`; those that do not lie in memory as they should are the reference's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..reference import optim as reference
from ..reference.optim import Arrays
from ._jit import Array, kernel, prange
from ._pieces import launch, lines

_ROOT_COST = 8  # a square root and a division, in simple operations


def _of(members: Sequence[int], columns: Sequence[Arrays | None]) -> list[Any]:
    """The columns of some of the parameters."""
    return [None if column is None else [column[i] for i in members] for column in columns]


@kernel
def _sgd(objects: Array, pieces: Array, starts: Array, lr: float, weight_decay: float) -> None:
    for job in prange(starts.size - 1):
        for piece in range(starts[job], starts[job + 1]):
            ps, gs = lines(2, objects, pieces, piece, lr)
            if weight_decay == 0:
                for i in range(ps.size):
                    ps[i] -= lr * gs[i]
            else:
                for i in range(ps.size):
                    ps[i] -= lr * (gs[i] + weight_decay * ps[i])


@kernel
def _sgd_momentum(
    objects: Array,
    pieces: Array,
    starts: Array,
    lr: float,
    momentum: float,
    weight: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """`weight` is the new step's in the velocity, 1 - dampening."""
    for job in prange(starts.size - 1):
        for piece in range(starts[job], starts[job + 1]):
            ps, gs, vs = lines(3, objects, pieces, piece, lr)
            for i in range(ps.size):
                step = gs[i]
                if weight_decay != 0:
                    step += weight_decay * ps[i]
                velocity = momentum * vs[i] + weight * step
                vs[i] = velocity
                ps[i] -= lr * (step + momentum * velocity if nesterov else velocity)


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
    if buffers is None:
        left = launch(_sgd, 1, (params, grads), (lr, weight_decay))
    else:
        own = lr, momentum, 1 - dampening, weight_decay
        left = launch(_sgd_momentum, 1, (params, grads, buffers), own, nesterov)
    if left:
        others = _of(left, (params, grads, buffers))
        reference.sgd_steps(np, *others, lr, momentum, dampening, weight_decay, nesterov)


@kernel
def _adam(
    objects: Array,
    pieces: Array,
    starts: Array,
    keep: float,
    decay: float,
    beta1: float,
    weight1: float,
    beta2: float,
    weight2: float,
    rate: float,
    unbias: float,
    eps: float,
    amsgrad: bool,
) -> None:
    """`keep` is what decoupled weight decay leaves of the parameter, `decay` the coupled one; the weights, 1 - beta,
    are the new's in the averages, `rate` and `unbias` lr and the factor of the root, with the averages' bias taken out.
    Without AMSGrad, the peaks are the squares."""
    for job in prange(starts.size - 1):
        for piece in range(starts[job], starts[job + 1]):
            ps, gs, ms, ss, tops = lines(5, objects, pieces, piece, rate)
            for i in range(ps.size):
                g = gs[i]
                if decay != 0:
                    g += decay * ps[i]
                ms[i] = beta1 * ms[i] + weight1 * g
                ss[i] = beta2 * ss[i] + weight2 * (g * g)
            if amsgrad:
                for i in range(ps.size):
                    tops[i] = tops[i] if tops[i] >= ss[i] else ss[i]
            for i in range(ps.size):
                ps[i] = keep * ps[i] - rate * ms[i] / (unbias * math.sqrt(tops[i]) + eps)


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
    columns, numbers = (params, grads, means, squares, peaks), (lr, beta1, beta2, eps, weight_decay, decoupled)
    if counts is not None:
        steps = [int(count) for count in counts]
        for number in sorted(set(steps)):
            alike = [i for i, other in enumerate(steps) if other == number]
            adam_steps(*[*_of(alike, columns), None, number, *numbers])
        return
    keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    rate, unbias = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    own = keep, decay, beta1, 1 - beta1, beta2, 1 - beta2, rate, unbias, eps
    used = params, grads, means, squares, squares if peaks is None else peaks
    left = launch(_adam, _ROOT_COST, used, own, peaks is not None)
    if left:
        reference.adam_steps(np, *_of(left, columns), None, step, *numbers)


@kernel
def _rmsprop(
    objects: Array,
    pieces: Array,
    starts: Array,
    lr: float,
    alpha: float,
    weight: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    centered: bool,
    moving: bool,
) -> None:
    """`weight` is that of the new in the averages, 1 - alpha. Where no means or no velocities are wanted they are the
    squares, and are not written to."""
    for job in prange(starts.size - 1):
        for piece in range(starts[job], starts[job + 1]):
            ps, gs, ss, ms, vs = lines(5, objects, pieces, piece, lr)
            zero = ps.dtype.type(0)
            for i in range(ps.size):
                g = gs[i] + (weight_decay * ps[i] if weight_decay != 0 else zero)
                ss[i] = alpha * ss[i] + weight * (g * g)
            if centered:
                for i in range(ps.size):
                    g = gs[i] + (weight_decay * ps[i] if weight_decay != 0 else zero)
                    ms[i] = alpha * ms[i] + weight * g
            if moving:
                for i in range(ps.size):
                    g = gs[i] + (weight_decay * ps[i] if weight_decay != 0 else zero)
                    vs[i] = momentum * vs[i] + g / (math.sqrt(ss[i] - (ms[i] * ms[i] if centered else zero)) + eps)
                for i in range(ps.size):
                    ps[i] -= lr * vs[i]
            else:
                for i in range(ps.size):
                    g = gs[i] + (weight_decay * ps[i] if weight_decay != 0 else zero)
                    ps[i] -= lr * g / (math.sqrt(ss[i] - (ms[i] * ms[i] if centered else zero)) + eps)


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
    used = params, grads, squares, squares if means is None else means, squares if buffers is None else buffers
    own = lr, alpha, 1 - alpha, eps, momentum, weight_decay
    left = launch(_rmsprop, _ROOT_COST, used, own, means is not None, buffers is not None)
    if left:
        others = _of(left, (params, grads, squares, means, buffers))
        reference.rmsprop_steps(np, *others, lr, alpha, eps, momentum, weight_decay)


@kernel
def _adagrad(objects: Array, pieces: Array, starts: Array, lr: float, eps: float, weight_decay: float) -> None:
    for job in prange(starts.size - 1):
        for piece in range(starts[job], starts[job + 1]):
            ps, gs, ts = lines(3, objects, pieces, piece, lr)
            for i in range(ps.size):
                g = gs[i]
                if weight_decay != 0:
                    g += weight_decay * ps[i]
                t = ts[i] + g * g
                ts[i] = t
                ps[i] -= lr * g / (math.sqrt(t) + eps)


def adagrad_steps(params: Arrays, grads: Arrays, totals: Arrays, lr: float, eps: float, weight_decay: float) -> None:
    left = launch(_adagrad, _ROOT_COST, (params, grads, totals), (lr, eps, weight_decay))
    if left:
        reference.adagrad_steps(np, *_of(left, (params, grads, totals)), lr, eps, weight_decay)


def count_up(counts: Arrays) -> None:
    reference.count_up(np, counts)
