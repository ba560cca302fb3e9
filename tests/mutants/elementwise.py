"""Elementary functions: a constant or a sign is quickly lost."""

from __future__ import annotations

import math
from typing import Any

from tinycnn.ops.elementwise import Abs, Asin, Cos, Erf, Log2, Rsqrt, Sqrt, Tan

from .mutant import change, mutant


@mutant(Sqrt, op="sqrt", wrong="1 / y for 1 / (2 y)")
def sqrt_half_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """The power 1/2 comes down in front."""
    return change(right(ctx, g), 0, lambda dx: dx * 2)


@mutant(Rsqrt, op="rsqrt", wrong="y^2 for y^3")
def rsqrt_power(right: Any, ctx: Any, g: Any) -> Any:
    """The power - 1/2 falls by one: x^(- 3/2) is y^3."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g * (y * y) * -0.5)


@mutant(Log2, op="log2", wrong="the factor 1 / log(2) is dropped")
def log2_base_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """Only the natural logarithm has the slope 1 / x: another base divides by its own logarithm."""
    return change(right(ctx, g), 0, lambda dx: dx * math.log(2))


@mutant(Cos, op="cos", wrong="the sign is lost")
def cos_sign_lost(right: Any, ctx: Any, g: Any) -> Any:
    """The cosine falls where the sine is positive."""
    return change(right(ctx, g), 0, lambda dx: -dx)


@mutant(Tan, op="tan", wrong="the saved y is taken for x")
def tan_input_for_output(right: Any, ctx: Any, g: Any) -> Any:
    """The slope is written in what was saved: 1 + y^2 in the output is 1 / cos(x)^2 in the input."""
    y = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g / (y.cos() * y.cos()))


@mutant(Asin, op="asin", wrong="1 - x^2 without the root")
def asin_root_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """The slope of an inverse is one over the slope: cos(asin(x)) = sqrt(1 - x^2)."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 0, lambda _: g / (1 - x * x))


@mutant(Erf, op="erf", wrong="the factor 2 / sqrt(pi) is dropped")
def erf_constant_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """The factor makes erf go to 1."""
    return change(right(ctx, g), 0, lambda dx: dx * (math.sqrt(math.pi) / 2))


@mutant(Abs, op="abs", wrong="the sign of the error is lost")
def abs_sign_lost(right: Any, ctx: Any, g: Any) -> Any:
    """To raise a number below zero makes it smaller in size."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)
