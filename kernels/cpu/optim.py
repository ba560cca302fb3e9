"""The optimisers' updates: every array is read and written once, whatever the equation.

Each thread takes a piece of memory and goes over it two or three times, with few arrays at a time: the piece stays in
the core's cache, and short loops over few arrays become vector code where one long loop would not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..reference import optim as reference
from ..reference.optim import Arrays
from ._jit import Array, kernel, prange
from .layout import contiguous, jobs_for, memory_order

_ROOT_COST = 8  # a square root and a division, in simple operations


def _lines(param: Array, grad: Array, *states: Array | None) -> list[Array] | None:
    """Parameter, gradient and states as flat lines, in the memory order of the parameter; the gradient is copied if its
    own differs. None if parameter or a state do not lie so, for what is changed in place cannot be copied."""
    if param.flags.c_contiguous:
        lines = [param.reshape(-1), contiguous(grad).reshape(-1)]
        for state in states:
            if state is not None and not state.flags.c_contiguous:
                return None
            lines.append(None if state is None else state.reshape(-1))
        return lines
    order = memory_order(param)
    if order is None:
        return None
    return _lines(*(a if a is None else a.transpose(order) for a in (param, grad, *states)))


@kernel
def _sgd(param: Array, grad: Array, lr: float, weight_decay: float, jobs: int) -> None:
    for job in prange(jobs):
        lo, hi = job * param.size // jobs, (job + 1) * param.size // jobs
        ps, gs = param[lo:hi], grad[lo:hi]
        if weight_decay == 0:
            for i in range(ps.size):
                ps[i] -= lr * gs[i]
        else:
            for i in range(ps.size):
                ps[i] -= lr * (gs[i] + weight_decay * ps[i])


@kernel
def _sgd_momentum(
    param: Array,
    grad: Array,
    buffer: Array,
    lr: float,
    momentum: float,
    weight: float,
    weight_decay: float,
    nesterov: bool,
    jobs: int,
) -> None:
    """`weight` is the new step's in the velocity, 1 - dampening."""
    for job in prange(jobs):
        lo, hi = job * param.size // jobs, (job + 1) * param.size // jobs
        ps, gs, vs = param[lo:hi], grad[lo:hi], buffer[lo:hi]
        for i in range(ps.size):
            step = gs[i]
            if weight_decay != 0:
                step += weight_decay * ps[i]
            velocity = momentum * vs[i] + weight * step
            vs[i] = velocity
            ps[i] -= lr * (step + momentum * velocity if nesterov else velocity)


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
    lines = _lines(param, grad, buffer)
    if lines is None:
        reference.sgd_step(np, param, grad, buffer, lr, momentum, dampening, weight_decay, nesterov)
        return
    p, g, v = lines
    real = param.dtype.type
    if v is None:
        _sgd(p.size, p, g, real(lr), real(weight_decay), jobs_for(p.size))
        return
    numbers = real(lr), real(momentum), real(1 - dampening), real(weight_decay)
    _sgd_momentum(p.size, p, g, v, *numbers, nesterov, jobs_for(p.size))


@kernel
def _adam(
    param: Array,
    grad: Array,
    mean: Array,
    square: Array,
    peak: Array,
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
    jobs: int,
) -> None:
    """`keep` is what decoupled weight decay leaves of the parameter, `decay` the coupled one; the weights, 1 - beta,
    are the new's in the averages, `rate` and `unbias` lr and the factor of the root, with the averages' bias taken out.
    Without AMSGrad, `peak` is `square`."""
    for job in prange(jobs):
        lo, hi = job * param.size // jobs, (job + 1) * param.size // jobs
        ps, gs, ms, ss, tops = param[lo:hi], grad[lo:hi], mean[lo:hi], square[lo:hi], peak[lo:hi]
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


def adam_step(
    param: Array,
    grad: Array,
    mean: Array,
    square: Array,
    peak: Array | None,
    count: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    if count is not None:
        step = int(count)
    lines = _lines(param, grad, mean, square, peak)
    if lines is None:
        numbers = step, lr, beta1, beta2, eps, weight_decay, decoupled
        reference.adam_step(np, param, grad, mean, square, peak, None, *numbers)
        return
    p, g, m, s, top = lines
    real = param.dtype.type
    keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    rate, unbias = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    _adam(
        p.size * _ROOT_COST, p, g, m, s, s if top is None else top,
        real(keep), real(decay), real(beta1), real(1 - beta1), real(beta2), real(1 - beta2),
        real(rate), real(unbias), real(eps), top is not None, jobs_for(p.size),
    )  # fmt: skip


@kernel
def _rmsprop(
    param: Array,
    grad: Array,
    square: Array,
    mean: Array,
    buffer: Array,
    lr: float,
    alpha: float,
    weight: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    centered: bool,
    moving: bool,
    jobs: int,
) -> None:
    """`weight` is that of the new in the averages, 1 - alpha. What is not wanted, `mean` or `buffer`, is `square`, and
    is not written to."""
    zero = param.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * param.size // jobs, (job + 1) * param.size // jobs
        ps, gs, ss, ms, vs = param[lo:hi], grad[lo:hi], square[lo:hi], mean[lo:hi], buffer[lo:hi]
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
    lines = _lines(param, grad, square, mean, buffer)
    if lines is None:
        reference.rmsprop_step(np, param, grad, square, mean, buffer, lr, alpha, eps, momentum, weight_decay)
        return
    p, g, s, m, v = lines
    real = param.dtype.type
    _rmsprop(
        p.size * _ROOT_COST, p, g, s, s if m is None else m, s if v is None else v,
        real(lr), real(alpha), real(1 - alpha), real(eps), real(momentum), real(weight_decay),
        m is not None, v is not None, jobs_for(p.size),
    )  # fmt: skip


@kernel
def _adagrad(param: Array, grad: Array, total: Array, lr: float, eps: float, weight_decay: float, jobs: int) -> None:
    for job in prange(jobs):
        lo, hi = job * param.size // jobs, (job + 1) * param.size // jobs
        ps, gs, ts = param[lo:hi], grad[lo:hi], total[lo:hi]
        for i in range(ps.size):
            g = gs[i]
            if weight_decay != 0:
                g += weight_decay * ps[i]
            t = ts[i] + g * g
            ts[i] = t
            ps[i] -= lr * g / (math.sqrt(t) + eps)


def adagrad_step(param: Array, grad: Array, total: Array, lr: float, eps: float, weight_decay: float) -> None:
    lines = _lines(param, grad, total)
    if lines is None:
        reference.adagrad_step(np, param, grad, total, lr, eps, weight_decay)
        return
    p, g, t = lines
    real = param.dtype.type
    _adagrad(p.size * _ROOT_COST, p, g, t, real(lr), real(eps), real(weight_decay), jobs_for(p.size))


def sgd_steps(params: Arrays, grads: Arrays, buffers: Arrays | None, *numbers: Any) -> None:
    for arrays in reference.each(params, grads, buffers):
        sgd_step(*arrays, *numbers)


def adam_steps(
    params: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    peaks: Arrays | None,
    counts: Arrays | None,
    *numbers: Any,
) -> None:
    for arrays in reference.each(params, grads, means, squares, peaks, counts):
        adam_step(*arrays, *numbers)


def rmsprop_steps(
    params: Arrays, grads: Arrays, squares: Arrays, means: Arrays | None, buffers: Arrays | None, *numbers: Any
) -> None:
    for arrays in reference.each(params, grads, squares, means, buffers):
        rmsprop_step(*arrays, *numbers)


def adagrad_steps(params: Arrays, grads: Arrays, totals: Arrays, *numbers: Any) -> None:
    for arrays in reference.each(params, grads, totals):
        adagrad_step(*arrays, *numbers)


def count_up(counts: Arrays) -> None:
    reference.count_up(np, counts)
