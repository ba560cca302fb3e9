"""Arithmetic on two operands: the product and quotient rules, and what broadcasting adds up."""

from __future__ import annotations

from typing import Any

from tinycnn.ops import arithmetic
from tinycnn.ops.arithmetic import Clamp, Div, Extremum, Mul, Pow, Remainder, Sub, Where
from tinycnn.ops.elementwise import Atan2

from .mutant import change, mutant


@mutant(arithmetic, "sum_to", op="add", wrong="a broadcast operand gets the mean")
def broadcast_averaged(right: Any, g: Any, shape: Any) -> Any:
    """A broadcast operand was used many times over, and its gradient is the sum over all uses."""
    result = right(g, shape)
    return result if result.shape == g.shape else result * (result.numel() / g.numel())


@mutant(arithmetic, "sum_to", op="mul", wrong="a broadcast operand gets the first use's gradient")
def broadcast_first_use(right: Any, g: Any, shape: Any) -> Any:
    """Every use counts, not only the one in the first row."""
    if g.shape == tuple(shape):
        return g
    first = g[(0,) * (g.ndim - len(shape))]
    return first[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


@mutant(Sub, op="sub", wrong="the second operand's sign is lost")
def sub_sign_lost(right: Any, ctx: Any, g: Any) -> Any:
    """To raise what is subtracted lowers the difference."""
    return change(right(ctx, g), 1, lambda db: -db)


@mutant(Mul, op="mul", wrong="each factor is multiplied by itself, where shapes agree")
def mul_own_factor(right: Any, ctx: Any, g: Any) -> Any:
    """A factor's slope is the other factor."""
    a, b = arithmetic._saved(ctx)
    if a is None or b is None or ctx.shapes[0] != ctx.shapes[1]:
        return right(ctx, g)
    return change(right(ctx, g), 0, lambda _: Mul.apply(g, a))


@mutant(Div, op="div", wrong="1 / b for 1 / b^2 in db")
def div_not_squared(right: Any, ctx: Any, g: Any) -> Any:
    """The slope of 1 / b is - 1 / b^2."""
    _, b = arithmetic._saved(ctx)
    return change(right(ctx, g), 1, lambda db: db * b if db.shape == getattr(b, "shape", None) else db)


@mutant(Pow, op="pow", wrong="the factor b is dropped: a^(b - 1)")
def pow_exponent_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """a^b is a multiplied by itself b times, and each of the b factors moves."""
    _, b = arithmetic._saved(ctx)
    return change(right(ctx, g), 0, lambda da: da / b if isinstance(b, (int, float)) and b else da)


@mutant(Pow, op="pow", wrong="log(a) is dropped in db")
def pow_log_dropped(right: Any, ctx: Any, g: Any) -> Any:
    """a^b is e^(b log a), so the slope in b has log a in it."""
    a, b = arithmetic._saved(ctx)
    return change(right(ctx, g), 1, lambda db: arithmetic.sum_to(g * a**b, db.shape))


@mutant(Extremum, op="maximum", wrong="both operands get the gradient")
def maximum_both(right: Any, ctx: Any, g: Any) -> Any:
    """The smaller operand does not move the maximum."""
    return change(right(ctx, g), 0, lambda da: arithmetic.sum_to(g, da.shape) * 1.0)


@mutant(Extremum, op="minimum", wrong="the maximum's gradient")
def minimum_as_maximum(right: Any, ctx: Any, g: Any) -> Any:
    """The minimum is moved by the smaller operand."""
    share = (1 - ctx.saved_tensors[0]).double()
    return change(right(ctx, g), 0, lambda da: arithmetic.sum_to(g * share, da.shape))


@mutant(Remainder, op="remainder", wrong="the divisor gets no gradient")
def remainder_divisor_constant(right: Any, ctx: Any, g: Any) -> Any:
    """a - b floor(a / b): b is taken away floor(a / b) times."""
    return change(right(ctx, g), 1, lambda db: db * 0)


@mutant(Where, op="where", wrong="both branches get the whole gradient")
def where_both_branches(right: Any, ctx: Any, g: Any) -> Any:
    """What was not chosen is not in the result."""
    return change(right(ctx, g), 1, lambda da: arithmetic.sum_to(g, da.shape) * 1.0)


@mutant(Clamp, op="clamp", wrong="the gradient passes outside the bounds")
def clamp_straight_through(right: Any, ctx: Any, g: Any) -> Any:
    """Beyond the bounds the output stands still."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)


@mutant(Atan2, op="atan2", wrong="both slopes are positive")
def atan2_sign_lost(right: Any, ctx: Any, g: Any) -> Any:
    """To go to the right turns the angle of a point above the axis down."""
    return change(right(ctx, g), 1, lambda db: -db)
