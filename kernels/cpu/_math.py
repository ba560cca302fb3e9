"""Functions made of plain arithmetic, so that loops over them become vector code: calls to the C library never do.

    e^x = 2^k * e^r,   k = round(x / log 2),   r = x - k log 2,   |r| <= log(2) / 2

with e^r as a polynomial and 2^k put together from its bits, in two halves so that results may be subnormal. Polynomial
and the split of log 2 into two numbers are those of S. L. Moshier's Cephes library (expf.c, 1992); the error is below
one unit in the last place. The normal distribution function is, with t = 1 / (1 + p z) and an error below 1e-7,

    Phi(-sqrt(2) z) = (a1 t + a2 t^2 + a3 t^3 + a4 t^4 + a5 t^5) e^(-z^2) / 2,   Phi(-x) = 1 - Phi(x)

(M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions" (1964), 7.1.26). Both are for single precision; for
double precision the C library's functions are called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import overload

_LOG2_E = np.float32(1.44269504088896341)
_LOG2_HIGH, _LOG2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_C2, _C3, _C4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_C5, _C6, _C7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_LOWEST, _HIGHEST = np.float32(-104), np.float32(89)  # beyond these, e^x is 0 and infinity
_HALF, _ONE = np.float32(0.5), np.float32(1)


def exp(x: Any) -> Any:
    """e^x, in the precision of x; for use within kernels."""
    return math.exp(x)


def _exp_single(x: Any) -> Any:
    inside = min(max(x, _LOWEST), _HIGHEST) if x == x else _ONE  # a NaN has no bits to build from
    k = np.floor(inside * _LOG2_E + _HALF)
    r = inside - k * _LOG2_HIGH - k * _LOG2_LOW
    series = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    power = np.int32(k)
    first = power >> 1
    low = np.int32((first + np.int32(127)) << np.int32(23)).view(np.float32)
    high = np.int32((power - first + np.int32(127)) << np.int32(23)).view(np.float32)
    value = (series * r * r + r + _ONE) * low * high
    return value if x == x else x


def _exp_double(x: Any) -> Any:
    return math.exp(x)


@overload(exp, jit_options={"fastmath": {"contract"}})  # type: ignore[untyped-decorator]
def _choose_exp(x: Any) -> Callable[[Any], Any]:
    return _exp_single if x == numba.float32 else _exp_double


_P, _SQRT_HALF = np.float32(0.3275911), np.float32(math.sqrt(0.5))
_A1, _A2, _A3 = np.float32(0.254829592), np.float32(-0.284496736), np.float32(1.421413741)
_A4, _A5 = np.float32(-1.453152027), np.float32(1.061405429)


def normal_cdf(x: Any) -> Any:
    """Phi(x), the probability that a standard normal number is below x; for use within kernels."""
    return (math.erf(x * math.sqrt(0.5)) + 1) * 0.5


def _normal_cdf_single(x: Any) -> Any:
    z = abs(x) * _SQRT_HALF
    t = _ONE / (_ONE + _P * z)
    tail = ((((_A5 * t + _A4) * t + _A3) * t + _A2) * t + _A1) * t * exp(-z * z) * _HALF
    return tail if x < 0 else _ONE - tail


def _normal_cdf_double(x: Any) -> Any:
    return (math.erf(x * math.sqrt(0.5)) + 1) * 0.5


@overload(normal_cdf, jit_options={"fastmath": {"contract"}})  # type: ignore[untyped-decorator]
def _choose_normal_cdf(x: Any) -> Callable[[Any], Any]:
    return _normal_cdf_single if x == numba.float32 else _normal_cdf_double
