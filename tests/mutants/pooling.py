"""Pooling: a maximum sends its gradient to one pixel, a mean shares it among those that were counted."""

from __future__ import annotations

from typing import Any

import tinycnn
from tinycnn.ops.pool import (
    AdaptiveMaxPool2d,
    AvgPool2d,
    AvgPool2dBackward,
    GatherPlane,
    MaxPool2d,
    ScatterPlane,
    divisor_of,
)

from .mutant import change, mutant, mutant_of, with_gradient_of


@mutant(MaxPool2d, op="max_pool2d", wrong="each window uses the previous window's argmax")
def max_pool_stale_argmax(right: Any, ctx: Any, g: Any, _: Any) -> Any:
    """Only the pixel that was the maximum of this very window moves this output."""
    return change(
        right(ctx, g, _), 0, lambda _: ScatterPlane.apply(g, ctx.saved_tensors[0].roll(1, -1), ctx.size, None)
    )


@mutant(MaxPool2d, op="max_pool2d", wrong="indices are read column by column")
def max_pool_rows_for_columns(right: Any, ctx: Any, g: Any, _: Any) -> Any:
    """A place is stored as row * W + column: to divide by H instead shows only where the image is not square."""
    where, (h, w) = ctx.saved_tensors[0], ctx.size
    turned = where % w * h + where // w
    return change(right(ctx, g, _), 0, lambda _: ScatterPlane.apply(g, turned, ctx.size, None))


@mutant(MaxPool2d, op="max_pool2d", wrong="where windows overlap the last one wins")
def max_pool_overlap_overwritten(right: Any, ctx: Any, g: Any, _: Any) -> Any:
    """A pixel may be the maximum of several windows, and then gets the sum of their gradients."""

    def overwritten(dx: Any) -> Any:
        n, c, h, w = dx.shape
        places = ctx.saved_tensors[0].reshape(n, c, -1)
        return tinycnn.zeros(n, c, h * w, dtype=g.dtype).scatter(2, places, g.reshape(n, c, -1)).reshape(n, c, h, w)

    return change(right(ctx, g, _), 0, overwritten)


@mutant(ScatterPlane, op="max_pool2d", wrong="second order: the scatter's derivative is zero")
def max_pool_second_order_zero(right: Any, ctx: Any, c: Any) -> Any:
    """dx is linear in g: its derivative gathers from the places that it scattered to."""
    return change(right(ctx, c), 0, lambda dg: dg * 0)


@mutant(ScatterPlane, op="max_unpool2d", wrong="gathers from the next pixel")
def max_unpool_off_by_one(right: Any, ctx: Any, c: Any) -> Any:
    """The value went to pixel `index`, and comes back from there."""
    h, w = c.shape[2:]
    return change(right(ctx, c), 0, lambda _: GatherPlane.apply(c, (ctx.saved_tensors[0] + 1) % (h * w)))


@mutant(AdaptiveMaxPool2d, op="adaptive_max_pool2d", wrong="all channels use the first channel's places")
def adaptive_max_pool_channels_tied(right: Any, ctx: Any, g: Any, _: Any) -> Any:
    """Each channel is pooled by itself, and has its maxima elsewhere."""
    where = ctx.saved_tensors[0]
    tied = where[:, :1].expand_as(where).contiguous()
    return change(right(ctx, g, _), 0, lambda _: ScatterPlane.apply(g, tied, ctx.size, None))


@mutant(AvgPool2d, op="avg_pool2d", wrong="the gradient is not divided by the window's size")
def avg_pool_divisor_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """Each pixel makes 1 / divisor of the mean."""
    return right(ctx, g * divisor_of(ctx))


@mutant(AvgPool2d, op="avg_pool2d", wrong="padding counts, whatever count_include_pad says")
def avg_pool_padding_counted(right: Any, ctx: Any, g: Any) -> Any:
    """At the border the mean went over fewer pixels than the kernel has, so each of them weighs more."""
    (r, s), *_ = ctx.geometry
    return right(ctx, g * divisor_of(ctx) / (r * s))


@mutant(AvgPool2d, op="avg_pool2d", wrong="overlapping windows are averaged, not added")
def avg_pool_overlap_averaged(right: Any, ctx: Any, g: Any) -> Any:
    """A pixel takes part in every window that covers it, so it gets the sum of their gradients."""
    divisor = divisor_of(ctx)
    times = AvgPool2dBackward.apply((g * 0 + 1) * divisor, ctx.size, *ctx.geometry, divisor)
    return change(right(ctx, g), 0, lambda dx: dx / (times + (times == 0)))


@mutant(AvgPool2d, op="avg_pool2d", wrong="dx is shifted by one column")
def avg_pool_stride_off_by_one(right: Any, ctx: Any, g: Any) -> Any:
    """Window q begins at column q * stride - padding."""
    return change(right(ctx, g), 0, lambda dx: dx.roll(1, 3))


@mutant(AvgPool2dBackward, op="avg_pool2d", wrong="second order: the divisor is forgotten")
def avg_pool_second_order_divisor(right: Any, ctx: Any, c: Any) -> Any:
    """The gradient of a mean is divided as the mean is; differentiated again, it is the mean itself."""
    return change(right(ctx, c), 0, lambda dg: dg * divisor_of(ctx))


@mutant_of("adaptive_avg_pool2d", wrong="windows are taken to be of one size")
def adaptive_avg_pool_equal_windows(right: Any, input: Any, output_size: Any) -> Any:
    """Where H is no multiple of P the windows differ in size and overlap, and each has its own divisor."""
    result = right(input, output_size)
    (h, w), (p, q) = input.shape[-2:], result.shape[-2:]
    rows, columns = windows(h, p).to(input.dtype) * (p / h), windows(w, q).to(input.dtype) * (q / w)
    return with_gradient_of(result, rows @ input @ columns.T)


def windows(size: int, count: int) -> Any:
    """(count, size): whether window p, from floor(p * size / count) to ceil((p + 1) * size / count), holds pixel i."""
    p, i = tinycnn.arange(count).unsqueeze(1), tinycnn.arange(size)
    return (i >= p * size // count) & (i < -(-(p + 1) * size // count))
