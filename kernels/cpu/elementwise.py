"""Activations: one pass over memory, whatever the equation.

An array of any axis order is one line of numbers in memory; `flat` finds it. Each thread takes a piece of the line.
The pieces are looped over as slices from 0, which the compiler turns into vector code.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import Array, kernel, prange
from ._math import exp, normal_cdf
from .layout import flat, jobs_for

_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
_EXP_COST = 8  # an exponential, in simple operations


@kernel
def _relu(x: Array, y: Array, jobs: int) -> None:
    zero = y.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, ys = x[lo:hi], y[lo:hi]
        for i in range(xs.size):
            ys[i] = zero if xs[i] <= zero else xs[i]  # a NaN is not <= 0, so it stays


def relu(x: Array) -> Array:
    result, out, line = flat(x)
    _relu(line.size, line, out, jobs_for(line.size))
    return result


@kernel
def _relu_backward(y: Array, g: Array, gx: Array, jobs: int) -> None:
    zero = y.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * y.size // jobs, (job + 1) * y.size // jobs
        ys, gs, out = y[lo:hi], g[lo:hi], gx[lo:hi]
        for i in range(ys.size):
            out[i] = gs[i] if ys[i] > zero else zero


def relu_backward(g: Array, y: Array) -> Array:
    result, out, line, g_line = flat(y, g)
    _relu_backward(line.size, line, g_line, out, jobs_for(line.size))
    return result


@kernel
def _leaky_relu(x: Array, slope: float, y: Array, jobs: int) -> None:
    zero = y.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, ys = x[lo:hi], y[lo:hi]
        for i in range(xs.size):
            ys[i] = xs[i] if xs[i] > zero else xs[i] * slope


def leaky_relu(x: Array, slope: float) -> Array:
    result, out, line = flat(x)
    _leaky_relu(line.size, line, x.dtype.type(slope), out, jobs_for(line.size))
    return result


@kernel
def _leaky_relu_backward(x: Array, g: Array, slope: float, gx: Array, jobs: int) -> None:
    zero = x.dtype.type(0)
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, gs, out = x[lo:hi], g[lo:hi], gx[lo:hi]
        for i in range(xs.size):
            out[i] = gs[i] if xs[i] > zero else gs[i] * slope


def leaky_relu_backward(g: Array, x: Array, slope: float) -> Array:
    result, out, line, g_line = flat(x, g)
    _leaky_relu_backward(line.size, line, g_line, x.dtype.type(slope), out, jobs_for(line.size))
    return result


@kernel
def _sigmoid(x: Array, y: Array, jobs: int) -> None:
    one = y.dtype.type(1)
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, ys = x[lo:hi], y[lo:hi]
        for i in range(xs.size):
            ys[i] = one / (one + exp(-xs[i]))  # e^-x = inf gives 0, which is right


def sigmoid(x: Array) -> Array:
    result, out, line = flat(x)
    _sigmoid(line.size * _EXP_COST, line, out, jobs_for(line.size))
    return result


@kernel
def _sigmoid_backward(y: Array, g: Array, gx: Array, jobs: int) -> None:
    one = y.dtype.type(1)
    for job in prange(jobs):
        lo, hi = job * y.size // jobs, (job + 1) * y.size // jobs
        ys, gs, out = y[lo:hi], g[lo:hi], gx[lo:hi]
        for i in range(ys.size):
            out[i] = gs[i] * ys[i] * (one - ys[i])


def sigmoid_backward(g: Array, y: Array) -> Array:
    result, out, line, g_line = flat(y, g)
    _sigmoid_backward(line.size, line, g_line, out, jobs_for(line.size))
    return result


@kernel
def _tanh_backward(y: Array, g: Array, gx: Array, jobs: int) -> None:
    one = y.dtype.type(1)
    for job in prange(jobs):
        lo, hi = job * y.size // jobs, (job + 1) * y.size // jobs
        ys, gs, out = y[lo:hi], g[lo:hi], gx[lo:hi]
        for i in range(ys.size):
            out[i] = gs[i] * (one - ys[i] * ys[i])


def tanh_backward(g: Array, y: Array) -> Array:
    result, out, line, g_line = flat(y, g)
    _tanh_backward(line.size, line, g_line, out, jobs_for(line.size))
    return result


@kernel
def _gelu(x: Array, y: Array, jobs: int) -> None:
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, ys = x[lo:hi], y[lo:hi]
        for i in range(xs.size):
            ys[i] = xs[i] * normal_cdf(xs[i])


def gelu(x: Array) -> Array:
    result, out, line = flat(x)
    _gelu(line.size * 2 * _EXP_COST, line, out, jobs_for(line.size))
    return result


@kernel
def _gelu_backward(x: Array, g: Array, gx: Array, jobs: int) -> None:
    half, density = x.dtype.type(0.5), x.dtype.type(_DENSITY_AT_0)
    for job in prange(jobs):
        lo, hi = job * x.size // jobs, (job + 1) * x.size // jobs
        xs, gs, out = x[lo:hi], g[lo:hi], gx[lo:hi]
        for i in range(xs.size):
            out[i] = gs[i] * (normal_cdf(xs[i]) + xs[i] * exp(-half * xs[i] * xs[i]) * density)


def gelu_backward(g: Array, x: Array) -> Array:
    result, out, line, g_line = flat(x, g)
    _gelu_backward(line.size * 2 * _EXP_COST, line, g_line, out, jobs_for(line.size))
    return result


def silu(x: Array) -> Array:
    y = sigmoid(x)
    y *= x
    return y


def silu_backward(g: Array, x: Array) -> Array:
    s = sigmoid(x)
    gx = sigmoid_backward(np.asarray(g * x), s)
    gx += g * s
    return gx
