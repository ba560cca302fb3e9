"""ONNX's operations on windows, convolutions and poolings, by ours.

ONNX writes paddings as (starts..., ends...) and may ask for SAME; ours take one number a dimension for both sides.
Where the sides agree, the padding goes to our operation, else the input is padded before it. One spatial dimension is
taken as a picture with a height of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import Tensor

from .values import RefusedError


class Windows(NamedTuple):
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]  # paddings, above and left
    after: tuple[int, int]  # below and right


def pairs_of(fill: int, values: Sequence[int]) -> Any:
    """The numbers of one or two spatial dimensions as those of two."""
    return (*[fill] * (2 - len(values)), *values)


def as_picture(x: Tensor) -> Tensor:
    """(N, C, W) as (N, C, 1, W)."""
    if not x.is_floating_point():
        raise RefusedError("windows of integers")
    if x.ndim not in (3, 4):
        raise RefusedError(f"{x.ndim - 2} spatial dimensions")
    return x.unsqueeze(2) if x.ndim == 3 else x


def windows_of(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
) -> Windows:
    n = len(kernel)
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
    if auto_pad.startswith("SAME"):  # as many windows as strides fit in
        total = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(x.shape[-n:], kernel, strides, dilations, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*less, *more] if auto_pad == "SAME_UPPER" else [*more, *less]
    before, after = pairs_of(0, pads[:n]), pairs_of(0, pads[n:])
    return Windows(pairs_of(1, kernel), pairs_of(1, strides), pairs_of(1, dilations), before, after)


def padded(x: Tensor, w: Windows, value: float = 0) -> Tensor:
    return F.pad(x, (w.before[1], w.after[1], w.before[0], w.after[0]), value=value)


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    picture, filters = as_picture(x), as_picture(weight)
    w = windows_of(x, kernel_shape or weight.shape[2:], strides, dilations, pads, auto_pad)
    padding: Any = w.before
    if w.before != w.after:
        picture, padding = padded(picture, w), 0
    y = F.conv2d(picture, filters, bias, w.stride, padding, w.dilation, group)
    return y.squeeze(2) if x.ndim == 3 else y


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    picture, filters = as_picture(x), as_picture(weight)
    n = x.ndim - 2
    w = windows_of(x, kernel_shape or weight.shape[2:], strides, dilations, pads, "NOTSET")
    size = (picture.shape[2], picture.shape[3])
    extra = pairs_of(0, output_padding or [0] * n)
    if auto_pad.startswith("SAME") and output_shape is None:
        output_shape = [a * b for a, b in zip(size, w.stride, strict=True)][-n:]
    # A window's reach, the strides between the first and the last of them, and what output_padding adds to the end.
    full = [(a - 1) * s + (k - 1) * d + 1 for a, s, k, d in zip(size, w.stride, w.kernel, w.dilation, strict=True)]
    before, after = w.before, w.after
    if output_shape is not None:  # what is too much goes from both ends, what is too little comes at the end
        wanted = pairs_of(1, output_shape)
        cut = [max(f + e - o, 0) for f, e, o in zip(full, extra, wanted, strict=True)]
        extra = tuple(max(o - f, 0) for f, o in zip(full, wanted, strict=True))
        less, more = tuple(c // 2 for c in cut), tuple(c - c // 2 for c in cut)
        before, after = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
    if before == after and all(e < max(s, d) for e, s, d in zip(extra, w.stride, w.dilation, strict=True)):
        y = F.conv_transpose2d(picture, filters, bias, w.stride, before, extra, group, w.dilation)
    elif bias is None:
        y = F.conv_transpose2d(picture, filters, None, w.stride, 0, 0, group, w.dilation)
        y = F.pad(y, (-before[1], extra[1] - after[1], -before[0], extra[0] - after[0]))
    else:
        raise RefusedError("a bias with uneven padding")
    return y.squeeze(2) if x.ndim == 3 else y


def inside(w: Windows) -> bool:
    """Whether a pooling of ours takes this padding: the same on both sides, at most half a window."""
    return w.before == w.after and all(2 * p <= k for p, k in zip(w.before, w.kernel, strict=True))


def max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    picture = as_picture(x)
    w = windows_of(x, kernel_shape, strides, dilations, pads, auto_pad)
    padding: Any = w.before
    uneven = not inside(w)
    if uneven:
        picture, padding = padded(picture, w, float("-inf")), 0
    y, index = F.max_pool2d(picture, w.kernel, w.stride, padding, w.dilation, bool(ceil_mode), return_indices=True)
    # ONNX counts places through the whole batch, and column by column if storage_order is 1; ours are within a plane.
    height, width = picture.shape[2:]
    row, column = index // width, index % width
    if uneven:
        row, column = row - w.before[0], column - w.before[1]
        height, width = height - w.before[0] - w.after[0], width - w.before[1] - w.after[1]
    plane = tinycnn.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * (height * width)
    index = plane + (column * height + row if storage_order else row * width + column)
    return (y.squeeze(2), index.squeeze(2)) if x.ndim == 3 else (y, index)


def max_unpool(
    x: Tensor,
    index: Tensor,
    output_shape: Tensor | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    w = windows_of(x, kernel_shape, strides, None, pads, "NOTSET")
    # The places were counted in a plane of the smallest size that fits, and output_shape may be wider than that.
    size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], w.stride, w.before, w.kernel, strict=True)]
    wanted = size if output_shape is None else output_shape.tolist()[2:]
    within = index % (size[0] * size[1])
    y = F.max_unpool2d(x, within, w.kernel, w.stride, w.before, output_size=size)
    return F.pad(y, (0, wanted[1] - size[1], 0, wanted[0] - size[0]))


def average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    picture = as_picture(x)
    w = windows_of(x, kernel_shape, strides, dilations, pads, auto_pad)
    if w.dilation != (1, 1):
        if ceil_mode and any(
            (size + b + a - d * (k - 1) - 1) % s
            for size, b, a, d, k, s in zip(
                picture.shape[2:], w.before, w.after, w.dilation, w.kernel, w.stride, strict=True
            )
        ):
            raise RefusedError("dilated average pooling with ceil_mode")
        y = _dilated_mean(picture, w, bool(count_include_pad))
    elif inside(w):
        y = F.avg_pool2d(picture, w.kernel, w.stride, w.before, bool(ceil_mode), bool(count_include_pad))
    elif count_include_pad:
        y = F.avg_pool2d(padded(picture, w), w.kernel, w.stride, 0, bool(ceil_mode))
    else:  # the sum over the number of elements that are no padding
        total, number = (
            F.avg_pool2d(padded(part, w), w.kernel, w.stride, 0, bool(ceil_mode), divisor_override=1)
            for part in (picture, tinycnn.ones_like(picture))
        )
        y = total / number
    return y.squeeze(2) if x.ndim == 3 else y


def _dilated_mean(x: Tensor, w: Windows, count_pads: bool) -> Tensor:
    """PyTorch's average pooling has no dilation, so neither has ours: a convolution with ones for every channel."""
    channels = x.shape[1]
    ones = tinycnn.ones(channels, 1, *w.kernel, dtype=x.dtype)
    total, number = (
        F.conv2d(padded(part, w), ones, None, w.stride, 0, w.dilation, channels) for part in (x, tinycnn.ones_like(x))
    )
    return total / (w.kernel[0] * w.kernel[1] if count_pads else number)


def lp_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """(sum of |x|^p)^(1/p), from the mean that counts the padding."""
    mean = average_pool(
        x.abs() ** p,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=1,
        dilations=dilations,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    number = 1
    for k in kernel_shape:
        number *= k
    return (mean * number) ** (1 / p)


def global_pool(x: Tensor, pool: Any) -> Tensor:
    y: Tensor = pool(as_picture(x), 1)
    return y.squeeze(2) if x.ndim == 3 else y


def col2im(
    x: Tensor,
    image_shape: Tensor,
    block_shape: Tensor,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    size, block = image_shape.tolist(), block_shape.tolist()
    if len(size) != 2:
        raise RefusedError(f"{len(size)} spatial dimensions")
    pads = pads or [0, 0, 0, 0]
    top, left, bottom, right = pads
    whole = (size[0] + top + bottom, size[1] + left + right)
    if (top, left) == (bottom, right):
        return F.fold(x, size, block, dilations or 1, (top, left), strides or 1)
    y = F.fold(x, whole, block, dilations or 1, 0, strides or 1)
    return y[:, :, top : top + size[0], left : left + size[1]]
