"""The windows of a convolution as columns (`unfold`, also called im2col), and columns added back (`fold`)."""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor
from .geometry import Pads, Pair, pair, window_count
from .registry import op

__all__ = ["fold", "unfold"]


class Unfold(Op):
    """The windows of images as columns, (N, C, H, W) -> (N, C*R*S, P*Q); its adjoint is Fold."""

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        ctx.size, ctx.geometry = x.shape[2:], (kernel, stride, padding, dilation)
        cols = ctx.backend.kernels.im2col(x, *ctx.geometry)  # (N, P, Q, R, S, C)
        n, p, q, r, s, c = cols.shape
        return cols.transpose(0, 5, 3, 4, 1, 2).reshape(n, c * r * s, p * q)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Fold.apply(g, ctx.size, *ctx.geometry), None, None, None, None


class Fold(Op):
    """Columns added back to where their windows were in the images, (N, C*R*S, P*Q) -> (N, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        ctx.geometry = geometry = (kernel, stride, padding, dilation)
        p, q = _places(size, *geometry)
        n, c = x.shape[0], x.shape[1] // (kernel[0] * kernel[1])
        cols = x.reshape(n, c, *kernel, p, q).transpose(0, 4, 5, 2, 3, 1)
        return ctx.backend.kernels.col2im(cols.copy(order="C"), (n, c, *size), *geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Unfold.apply(g, *ctx.geometry), None, None, None, None, None


def _geometry(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Pair, Pair, Pads, Pair]:
    """The arguments of im2col: kernel, stride, padding ((top, bottom), (left, right)), dilation."""
    ph, pw = pair(name, "padding", padding, 0)
    steps, gaps = pair(name, "stride", stride, 1), pair(name, "dilation", dilation, 1)
    return pair(name, "kernel_size", kernel, 1), steps, ((ph, ph), (pw, pw)), gaps


def _places(size: Pair, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Pair:
    """(P, Q), how often the kernel fits an image of that size."""
    p, q = (window_count(size[i], kernel[i], stride[i], sum(padding[i]), dilation[i]) for i in (0, 1))
    return p, q


@op(
    lambda make: [
        make.sample(make(2, 2, 4, 5), 2),
        make.sample(make(1, 2, 5, 5), (3, 2), padding=1, stride=(2, 1), dilation=(1, 2)),
        make.sample(make(2, 4, 4), 3),
    ],
    linear=True,
    method=False,
)
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows that a kernel sees, as columns: (N, C, H, W) -> (N, C*R*S, P*Q), or without N.

    Raises:
        ValueError: if input has not 3 or 4 dimensions, or the kernel does not fit.

    Example:
        >>> import tinycnn
        >>> import tinycnn.nn.functional as F
        >>> F.unfold(tinycnn.arange(9.0).reshape(1, 1, 3, 3), kernel_size=2)
        tensor([[[0., 1., 3., 4.],
                 [1., 2., 4., 5.],
                 [3., 4., 6., 7.],
                 [4., 5., 7., 8.]]])
    """
    if input.array.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.array.ndim != 4:
        raise ValueError(f"unfold: expected (N, C, H, W) or (C, H, W), got shape {input.array.shape}")
    geometry = _geometry("unfold", kernel_size, stride, padding, dilation)
    if min(_places(input.array.shape[2:], *geometry)) < 1:
        raise ValueError(f"unfold: a kernel {kernel_size} (dilation {dilation}) does not fit shape {input.array.shape}")
    return Unfold.apply(input, *geometry)


@op(
    lambda make: [
        make.sample(make(2, 8, 12), (4, 5), 2),
        make.sample(make(1, 12, 15), (5, 5), (3, 2), padding=1, stride=(2, 1), dilation=(1, 2)),
        make.sample(make(18, 4), 4, 3),
    ],
    linear=True,
    method=False,
)
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns added up to images: (N, C*R*S, P*Q) -> (N, C, H, W), or without N; the adjoint of `unfold`.

    Raises:
        ValueError: if the shape does not fit the sizes.

    Example:
        >>> import tinycnn
        >>> import tinycnn.nn.functional as F
        >>> F.fold(tinycnn.ones(1, 4, 4), output_size=3, kernel_size=2)
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """
    if input.array.ndim == 2:
        out = fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)
        return out.squeeze(0)
    size = pair("fold", "output_size", output_size, 1)
    geometry = _geometry("fold", kernel_size, stride, padding, dilation)
    p, q = _places(size, *geometry)
    r, s = geometry[0]
    shape = input.array.shape
    if len(shape) != 3 or shape[1] % (r * s) or shape[2] != p * q:
        raise ValueError(
            f"fold: got shape {shape}; output_size {size} and kernel {(r, s)} want (N, C*{r * s}, {p}*{q} = {p * q})"
        )
    return Fold.apply(input, size, *geometry)
