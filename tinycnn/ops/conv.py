"""Convolution, transposed convolution, and why three Ops are enough for any order of derivative.

A convolution y = x * w is bilinear. So are its two gradients, and the three are one family:

    y  = Conv2d(x, w)               dx = InputGrad(g, w)         dw = WeightGrad(g, x)
    gx = InputGrad(g, w)            dg = Conv2d(h, w)            dw = WeightGrad(g, h)      (h: the gradient of gx)
    gw = WeightGrad(g, x)           dg = Conv2d(x, h)            dx = InputGrad(g, h)       (h: the gradient of gw)

Every backward below is a line of this table, so second derivatives need nothing more. A transposed convolution *is*
InputGrad, used forward.

V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from ..autograd import Op, Tensor, is_grad_enabled, run_kernel
from .geometry import Pads, Pair, as_batch, check_floating, pair, pairs, window_count
from .registry import Make, Sample, op

__all__ = ["conv2d", "conv_transpose2d"]


Shape = tuple[int, ...]


class Geometry(NamedTuple):
    """How a kernel slides: stride, padding ((top, bottom), (left, right)), dilation, groups."""

    stride: Pair
    padding: Pads
    dilation: Pair
    groups: int


class Conv2d(Op):
    """y[n, k, p, q] = b[k] + sum over c, r, s of x[n, c, p * stride + r * dilation - padding, ...] * w[k, c, r, s]."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, geometry: Geometry) -> Any:
        if True in ctx.needs_input_grad:
            ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, w if ctx.needs_input_grad[0] else None)
            ctx.shapes, ctx.geometry = (x.shape, w.shape), geometry
        return ctx.backend.kernels.conv2d(x, w, b, *geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, w = ctx.saved_tensors[:2]  # an activation behind it has its output there, too
        to_x, to_w, to_b, _ = ctx.needs_input_grad
        if is_grad_enabled():
            return *differentiable_gradients(ctx, g, x, w), None
        wanted = to_x, to_w, to_b
        return *run_kernel("conv2d_backward", g, x, w, *ctx.shapes, *ctx.geometry, wanted), None


def differentiable_gradients(ctx: Any, g: Tensor, x: Tensor | None, w: Tensor | None) -> tuple[Any, Any, Any]:
    """Those of x, w and the bias, made of operations."""
    (x_shape, w_shape), (to_x, to_w, to_b) = ctx.shapes, ctx.needs_input_grad[:3]
    dx = InputGrad.apply(g, w, x_shape, ctx.geometry) if to_x else None
    dw = WeightGrad.apply(g, x, w_shape, ctx.geometry) if to_w else None
    return dx, dw, g.sum((0, 2, 3)) if to_b else None


class InputGrad(Op):
    """The adjoint of Conv2d in x: spreads g (N, K, P, Q) over the (N, C, H, W) it came from."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, g: Any, w: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
        ctx.save_for_backward(g if ctx.needs_input_grad[1] else None, w if ctx.needs_input_grad[0] else None)
        ctx.w_shape, ctx.geometry, ctx.size = w.shape, geometry, g.shape[2:]
        return ctx.backend.kernels.conv2d_input_grad(g, w, x_shape, *geometry)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Any, ...]:
        g, w = ctx.saved_tensors
        to_g, to_w, _, _ = ctx.needs_input_grad
        dg = _conv_of_size(h, w, ctx.geometry, ctx.size) if to_g else None
        return dg, WeightGrad.apply(g, h, ctx.w_shape, ctx.geometry) if to_w else None, None, None


class WeightGrad(Op):
    """The adjoint of Conv2d in w: correlates g (N, K, P, Q) with x (N, C, H, W) into (K, C/G, R, S)."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, g: Any, x: Any, w_shape: tuple[int, ...], geometry: Geometry) -> Any:
        ctx.save_for_backward(g if ctx.needs_input_grad[1] else None, x if ctx.needs_input_grad[0] else None)
        ctx.x_shape, ctx.geometry, ctx.size = x.shape, geometry, g.shape[2:]
        return ctx.backend.kernels.conv2d_weight_grad(g, x, w_shape, *geometry)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Any, ...]:
        g, x = ctx.saved_tensors
        to_g, to_x, _, _ = ctx.needs_input_grad
        dg = _conv_of_size(x, h, ctx.geometry, ctx.size) if to_g else None
        return dg, InputGrad.apply(g, h, ctx.x_shape, ctx.geometry) if to_x else None, None, None


def _conv_of_size(x: Tensor, w: Tensor, geometry: Geometry, size: Pair) -> Tensor:
    """x * w at the first `size` places: a transposed convolution's output_padding can leave room for more."""
    y = Conv2d.apply(x, w, None, geometry)
    return y if y.array.shape[2:] == size else y[:, :, : size[0], : size[1]]


def _samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3, 5, 6), make(4, 3, 3, 2), make(4)),
        make.sample(make(1, 2, 7, 7), make(3, 2, 3, 3), stride=2, padding=1),
        make.sample(make(2, 2, 6, 5), make(2, 2, 2, 3), make(2), stride=(3, 1), padding=(0, 2), dilation=(2, 1)),
        make.sample(make(1, 4, 5, 5), make(6, 2, 3, 3), make(6), padding="same", groups=2),
        make.sample(make(1, 1, 4, 4), make(1, 1, 2, 2), padding="same"),
        make.sample(make(2, 3, 4, 4), make(3, 1, 3, 3), padding=1, groups=3),
        make.sample(make(2, 3, 3, 4), make(5, 3, 1, 1), padding="valid"),
        make.sample(make(2, 4, 4), make(2, 1, 2, 2), stride=3, groups=2),
        make.sample(make(0, 2, 4, 4), make(3, 2, 2, 2)),
    ]


@op(_samples, method=False, analytic=True)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Two-dimensional convolution (cross-correlation, as everywhere in deep learning).

    y[n, k, p, q] = bias[k] + sum over c, r, s of x[n, c, p * stride + r * dilation - padding, ...] * weight[k, c, r, s]
    with x the input, P = floor((H + 2 * padding - dilation * (R - 1) - 1) / stride) + 1, and Q alike.

    Args:
        input: (N, C, H, W) or (C, H, W).
        weight: (K, C / groups, R, S).
        bias: (K,) or None.
        stride, dilation: an integer or (vertical, horizontal).
        padding: zeros on each side: an integer, (vertical, horizontal), "valid" (none) or "same" (as many as keep the
            size; stride must be 1).
        groups: the channels are split into so many groups, each convolved with its own K / groups kernels.

    Returns:
        (N, K, P, Q), or (K, P, Q).

    Raises:
        ValueError: if shapes do not fit, or no window fits into the image.
        TypeError: if dtypes differ or are not floating.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.arange(9.0).reshape(1, 1, 3, 3)
        >>> tinycnn.conv2d(x, tinycnn.ones(1, 1, 2, 2))
        tensor([[[[ 8., 12.],
                  [20., 24.]]]])
    """
    return convolved(Conv2d, "conv2d", input, weight, bias, stride, padding, dilation, groups)


def convolved(
    how: type[Op],
    name: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Pair,
    padding: int | Pair | str,
    dilation: int | Pair,
    groups: int,
) -> Tensor:
    """What `conv2d` does with its arguments, for an Op that takes what Conv2d takes."""
    check_floating(name, input=input, weight=weight, bias=bias)
    x, single = as_batch(name, input)
    if type(groups) is not int or groups < 1:
        _check_groups(name, groups)
    word = padding if isinstance(padding, str) else None
    numbers = ("stride", stride, 1), ("padding", padding if word is None else 0, 0), ("dilation", dilation, 1)
    steps, pads, gaps = pairs(name, *numbers)
    shapes = x.array.shape, weight.array.shape, None if bias is None else bias.array.shape
    geometry = _conv2d_geometry(name, *shapes, steps, pads if word is None else word, gaps, groups)
    y: Tensor = how.apply(x, weight, bias, geometry)
    return y.squeeze(0) if single else y


def _check_groups(name: str, groups: Any) -> None:
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{name}: groups must be a positive integer, got {groups!r}")


@functools.lru_cache(1024)  # a network calls with the same few shapes again and again
def _conv2d_geometry(
    name: str,
    x: Shape,
    weight: Shape,
    bias: Shape | None,
    stride: Pair,
    padding: Pair | str,
    dilation: Pair,
    groups: int,
) -> Geometry:
    """The checked geometry of a convolution of tensors with these shapes."""
    geometry = _geometry(name, weight, stride, padding, dilation, groups)
    if x[1] != weight[1] * groups:
        raise ValueError(
            f"{name}: input has {x[1]} channels, weight {weight} wants {weight[1] * groups} (groups={groups})"
        )
    if weight[0] % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {weight[0]} output channels of weight {weight}")
    _check_bias(name, bias, weight[0])
    _check_pixels(name, x)
    for axis in (0, 1):
        pads = sum(geometry.padding[axis])
        if window_count(x[2 + axis], weight[2 + axis], stride[axis], pads, dilation[axis]) < 1:
            raise ValueError(
                f"{name}: the padded input, {x[2:]} with padding {geometry.padding}, is smaller than the kernel "
                f"{weight[2:]} with dilation {dilation}"
            )
    return geometry


def _geometry(name: str, weight: Shape, stride: Pair, padding: Pair | str, dilation: Pair, groups: int) -> Geometry:
    """The checked geometry of a convolution with a weight of this shape."""
    if len(weight) != 4:
        raise ValueError(f"{name}: weight must have 4 dimensions, got shape {weight}")
    if 0 in weight[2:]:
        raise ValueError(f"{name}: the kernel is empty, weight has shape {weight}")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"{name}: padding must be 'same', 'valid' or numbers, got {padding!r}")
        if padding == "same" and stride != (1, 1):
            raise ValueError(f"{name}: padding='same' needs stride 1, got {stride}")
        totals = [d * (n - 1) if padding == "same" else 0 for d, n in zip(dilation, weight[2:], strict=True)]
        pads = (totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2)
    else:
        top, left = padding
        pads = (top, top), (left, left)
    return Geometry(stride, pads, dilation, groups)


def _check_bias(name: str, bias: Shape | None, channels: int) -> None:
    if bias is not None and bias != (channels,):
        raise ValueError(f"{name}: bias has shape {bias}, weight wants ({channels},)")


def _check_pixels(name: str, x: Shape) -> None:
    """An empty batch is a batch; a plane without pixels is a mistake, even where padding would make it some."""
    if 0 in x[2:]:
        raise ValueError(f"{name}: input has no pixels, shape {x}")


def _transpose_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3, 3, 4), make(3, 2, 3, 2), make(2)),
        make.sample(make(1, 2, 3, 3), make(2, 3, 3, 3), stride=2, padding=1, output_padding=1),
        make.sample(make(1, 4, 3, 2), make(4, 2, 2, 3), make(4), stride=(1, 3), groups=2, dilation=(2, 1)),
        make.sample(make(1, 2, 2, 3), make(2, 1, 2, 2), stride=(1, 2), output_padding=(1, 2), dilation=3),
        make.sample(make(2, 3, 3), make(2, 1, 2, 2)),
    ]


@op(_transpose_samples, method=False, analytic=True)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """Transposed convolution: the gradient of a convolution with respect to its input, used as a layer.

    y[n, k, h, w] = bias[k] + sum over c, p, q of input[n, c, p, q] * weight[c, k, h + padding - p * stride, ...], with
    H = (P - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1, and W alike.

    Args:
        input: (N, C, P, Q) or (C, P, Q).
        weight: (C, K / groups, R, S).
        bias: (K,) or None.
        stride, padding, dilation: of the convolution that this is the transpose of.
        output_padding: rows and columns added to one side of the output, below stride or dilation; it chooses among the
            sizes that the convolution maps to the same one.
        groups: as in `conv2d`.

    Returns:
        (N, K, H, W), or (K, H, W).

    Raises:
        ValueError: if shapes do not fit, or the output would be empty.
        TypeError: if dtypes differ or are not floating.

    Example:
        >>> import tinycnn
        >>> tinycnn.conv_transpose2d(tinycnn.ones(1, 1, 2, 2), tinycnn.ones(1, 1, 2, 2))
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """
    name = "conv_transpose2d"
    check_floating(name, input=input, weight=weight, bias=bias)
    x, single = as_batch(name, input)
    if isinstance(padding, str):
        raise ValueError(f"{name}: padding must be numbers, got {padding!r}")
    _check_groups(name, groups)
    steps, pads = pair(name, "stride", stride, 1), pair(name, "padding", padding, 0)
    geometry = _geometry(name, weight.array.shape, steps, pads, pair(name, "dilation", dilation, 1), groups)
    extra = pair(name, "output_padding", output_padding, 0)
    n, channels, p, q = x.array.shape
    if channels != weight.array.shape[0] or channels % groups:
        raise ValueError(
            f"{name}: input has {channels} channels, weight {weight.array.shape} wants {weight.array.shape[0]}, and "
            f"groups={groups} has to divide them"
        )
    sizes = []
    for axis, count in enumerate((p, q)):
        stride_, gap, kernel = geometry.stride[axis], geometry.dilation[axis], weight.array.shape[2 + axis]
        if extra[axis] >= max(stride_, gap):
            raise ValueError(
                f"{name}: output_padding {extra} must be below stride {geometry.stride} or dilation {geometry.dilation}"
            )
        sizes.append((count - 1) * stride_ - sum(geometry.padding[axis]) + gap * (kernel - 1) + extra[axis] + 1)
    if min(sizes) < 1:
        raise ValueError(
            f"{name}: input {x.array.shape[2:]} with padding {padding} would give an output of {tuple(sizes)}"
        )
    _check_pixels(name, x.array.shape)
    out_channels = weight.array.shape[1] * groups
    _check_bias(name, None if bias is None else bias.array.shape, out_channels)
    y = InputGrad.apply(x, weight, (n, out_channels, *sizes), geometry)
    if bias is not None:
        y = y + bias.reshape(1, out_channels, 1, 1)
    return y.squeeze(0) if single else y
