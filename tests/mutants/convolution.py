"""Convolution: both gradients are convolutions again, and every letter of the geometry counts in them."""

from __future__ import annotations

from typing import Any

from tinycnn.ops.conv import Conv2d, InputGrad, WeightGrad
from tinycnn.ops.windows import Fold, Unfold

from .mutant import change, mutant


@mutant(Conv2d, op="conv2d", wrong="the kernel is turned by 180 degrees in dx")
def conv_kernel_turned(right: Any, ctx: Any, g: Any) -> Any:
    """A pixel reached output p through tap r = x - p, so going back the taps run the other way: InputGrad turns the
    kernel already, and turning it twice undoes that."""
    w = ctx.saved_tensors[1]
    return change(right(ctx, g), 0, lambda _: InputGrad.apply(g, w.flip(2, 3), ctx.shapes[0], ctx.geometry))


@mutant(Conv2d, op="conv2d", wrong="dx is shifted by one row")
def conv_input_grad_off_by_one(right: Any, ctx: Any, g: Any) -> Any:
    """Output row p begins at image row p * stride - padding, not one further on."""
    return change(right(ctx, g), 0, lambda dx: dx.roll(1, 2))


@mutant(Conv2d, op="conv2d", wrong="dw is taken with stride 1")
def conv_stride_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """Neighbouring outputs saw windows that are `stride` pixels apart, and each tap's gradient is read there."""
    x, geometry = ctx.saved_tensors[0], ctx.geometry._replace(stride=(1, 1))
    return change(right(ctx, g), 1, lambda _: WeightGrad.apply(g, x, ctx.shapes[1], geometry))


@mutant(Conv2d, op="conv2d", wrong="dx is taken with dilation 1")
def conv_dilation_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """The taps of a dilated kernel stand `dilation` pixels apart, going back as going forth."""
    w, geometry = ctx.saved_tensors[1], ctx.geometry._replace(dilation=(1, 1))
    return change(right(ctx, g), 0, lambda _: InputGrad.apply(g, w, ctx.shapes[0], geometry))


@mutant(Conv2d, op="conv2d", wrong="in dw all padding stands behind the image")
def conv_padding_on_one_side(right: Any, ctx: Any, g: Any) -> Any:
    """The first window begins `padding` pixels before the image; without that every tap sees its neighbour's pixel."""
    x = ctx.saved_tensors[0]
    geometry = ctx.geometry._replace(padding=tuple((0, before + after) for before, after in ctx.geometry.padding))
    return change(right(ctx, g), 1, lambda _: WeightGrad.apply(g, x, ctx.shapes[1], geometry))


@mutant(Conv2d, op="conv2d", wrong="groups go back through the next group's kernels")
def conv_groups_crossed(right: Any, ctx: Any, g: Any) -> Any:
    """Group i of the outputs saw group i of the inputs only, through its own K / groups kernels."""
    w, groups = ctx.saved_tensors[1], ctx.geometry.groups
    if w is None or groups == 1:
        return right(ctx, g)
    crossed = w.roll(w.shape[0] // groups, 0)
    return change(right(ctx, g), 0, lambda _: InputGrad.apply(g, crossed, ctx.shapes[0], ctx.geometry))


@mutant(Conv2d, op="conv2d", wrong="depthwise kernels share one gradient")
def conv_depthwise_kernels_tied(right: Any, ctx: Any, g: Any) -> Any:
    """With a group a channel each kernel sees one channel, so its gradient comes from that channel alone."""
    k, per_group = ctx.shapes[1][:2]
    if per_group != 1 or ctx.geometry.groups != k:
        return right(ctx, g)
    return change(right(ctx, g), 1, lambda dw: dw.mean(0, keepdim=True).expand_as(dw))


@mutant(Conv2d, op="conv2d", wrong="dw is of the first image only")
def conv_batch_not_summed(right: Any, ctx: Any, g: Any) -> Any:
    """All images pass through the same kernel, so their gradients add up."""
    x = ctx.saved_tensors[0]
    return change(right(ctx, g), 1, lambda _: WeightGrad.apply(g[:1], x[:1], ctx.shapes[1], ctx.geometry))


@mutant(Conv2d, op="conv2d", wrong="db is a mean over the pixels")
def conv_bias_averaged(right: Any, ctx: Any, g: Any) -> Any:
    """The bias is added at every pixel of every image, so it gets the sum of their gradients."""
    return change(right(ctx, g), 2, lambda _: g.mean((0, 2, 3)))


@mutant(InputGrad, op="conv_transpose2d", wrong="the kernel is turned by 180 degrees in dx")
def conv_transpose_kernel_turned(right: Any, ctx: Any, h: Any) -> Any:
    """A transposed convolution is the adjoint of a convolution, so its own adjoint is that convolution, unturned."""
    w = ctx.saved_tensors[1]
    p, q = ctx.size
    return change(right(ctx, h), 0, lambda _: Conv2d.apply(h, w.flip(2, 3), None, ctx.geometry)[:, :, :p, :q])


@mutant(InputGrad, op="conv_transpose2d", wrong="dx is taken with stride 1")
def conv_transpose_stride_forgotten(right: Any, ctx: Any, h: Any) -> Any:
    """A transposed convolution lays its inputs `stride` pixels apart, and there their gradients are gathered."""
    w, geometry, (p, q) = ctx.saved_tensors[1], ctx.geometry._replace(stride=(1, 1)), ctx.size
    return change(right(ctx, h), 0, lambda _: Conv2d.apply(h, w, None, geometry)[:, :, :p, :q])


@mutant(InputGrad, op="conv_transpose2d", wrong="dw lost its sign")
def conv_transpose_weight_negated(right: Any, ctx: Any, h: Any) -> Any:
    """The kernel is multiplied, not subtracted: more of it where input and gradient agree."""
    return change(right(ctx, h), 1, lambda dw: -dw)


@mutant(InputGrad, op="conv2d", wrong="second order: dx counts as independent of w")
def conv_second_order_without_kernel(right: Any, ctx: Any, h: Any) -> Any:
    """dx = InputGrad(g, w) is linear in g and in w too: a convolution's mixed derivative in x and w is not zero."""
    return change(right(ctx, h), 1, lambda dw: dw * 0)


@mutant(WeightGrad, op="conv2d", wrong="second order: dw counts as independent of x")
def conv_second_order_without_image(right: Any, ctx: Any, h: Any) -> Any:
    """dw = WeightGrad(g, x) is linear in g and in x too."""
    return change(right(ctx, h), 1, lambda dx: dx * 0)


@mutant(Unfold, op="unfold", wrong="overlapping windows are averaged, not added")
def unfold_overlap_averaged(right: Any, ctx: Any, g: Any) -> Any:
    """A pixel is copied into every window that covers it, so it gets the sum of their gradients."""
    times = Fold.apply(g * 0 + 1, ctx.size, *ctx.geometry)
    return change(right(ctx, g), 0, lambda dx: dx / (times + (times == 0)))


@mutant(Fold, op="fold", wrong="a column is read channel last, not channel first")
def fold_columns_in_another_order(right: Any, ctx: Any, g: Any) -> Any:
    """A column holds channel after channel, each with its R * S taps; going back must keep that order."""
    taps = ctx.geometry[0][0] * ctx.geometry[0][1]

    def misread(dx: Any) -> Any:
        n, rows, places = dx.shape
        return dx.reshape(n, rows // taps, taps, places).transpose(1, 2).reshape(n, rows, places)

    return change(right(ctx, g), 0, misread)
