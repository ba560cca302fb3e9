"""Convolution and transposed convolution as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..ops import empty
from ..ops.geometry import Pair, check_count, pair
from . import functional as F, init
from .module import Module
from .parameter import Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What the two convolutions share: settings, parameters, how they start and how they print."""

    weight: Parameter
    bias: Parameter | None
    transposed = False
    output_padding: Pair = (0, 0)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        padding: int | Pair | str,
        dilation: int | Pair,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_count(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if groups < 1:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        if out_channels % groups:
            raise ValueError(f"{name}: out_channels must be divisible by groups, got {out_channels} and {groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(_PADDING_MODES)}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = pair(name, "stride", stride, 1)
        self.dilation = pair(name, "dilation", dilation, 1)
        self.padding: Any = padding if isinstance(padding, str) else pair(name, "padding", padding, 0)
        self.padding_mode = padding_mode
        self.weight = Parameter(empty(*self._weight_shape(), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        """(K, C / groups, R, S), or (C, K / groups, R, S) when transposed."""
        if self.in_channels % self.groups:
            raise ValueError(
                f"{type(self).__name__}: in_channels must be divisible by groups, got {self.in_channels} and "
                f"{self.groups}"
            )
        ends = self.out_channels, self.in_channels
        first, second = reversed(ends) if self.transposed else ends
        return first, second // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        optional = (
            ("padding", self.padding, (0, 0)),
            ("dilation", self.dilation, (1, 1)),
            ("output_padding", self.output_padding, (0, 0)),
            ("groups", self.groups, 1),
            ("bias", self.bias is not None, True),
            ("padding_mode", self.padding_mode, "zeros"),
        )
        return ", ".join(parts + [f"{name}={value}" for name, value, default in optional if value != default])


class Conv2d(_Conv):
    """Two-dimensional convolution; the equation stands at `functional.conv2d`.

    Shapes: x (N, C, H, W) or (C, H, W) -> y (N, K, P, Q) or (K, P, Q), with
    P = floor((H + 2 * padding - dilation * (R - 1) - 1) / stride) + 1 and Q alike; weight (K, C / groups, R, S),
    bias (K,). Both parameters start uniform on [-a, a] with a = 1 / sqrt(C / groups * R * S).

    Args:
        in_channels, out_channels: C and K.
        kernel_size, stride, dilation: a number or (vertical, horizontal).
        padding: how much on each side: a number, (vertical, horizontal), "same" (the output has the input's size;
            stride must be 1) or "valid" (none).
        groups: the channels are split into so many groups, each convolved by itself.
        bias: whether there is a bias.
        padding_mode: what the padding is: "zeros", "reflect", "replicate" or "circular".
        device, dtype: of the parameters.

    Raises:
        ValueError: if groups does not divide the channels, or padding is "same" and stride not 1.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Conv2d(3, 8, kernel_size=3, padding="same")(tinycnn.zeros(1, 3, 10, 12)).shape
        tinycnn.Size([1, 8, 10, 12])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Conv2d: padding must be 'same', 'valid' or numbers, got {padding!r}")
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"Conv2d: padding='same' needs stride 1, got {self.stride}")

    def _pad_sizes(self) -> tuple[int, int, int, int]:
        """(left, right, top, bottom)."""
        if self.padding == "valid":
            return 0, 0, 0, 0
        if isinstance(self.padding, str):
            (top, bottom), (left, right) = (
                (d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2)
                for d, k in zip(self.dilation, self.kernel_size, strict=True)
            )
            return left, right, top, bottom
        return self.padding[1], self.padding[1], self.padding[0], self.padding[0]

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, K, P, Q)."""
        return self._convolve(F.conv2d, input)

    def forward_relu(self, input: Tensor) -> Tensor:
        """relu(forward(input)) in one operation; `Sequential` and `conv_relu` call it where that is the same."""
        return self._convolve(F.conv2d_relu, input)

    def forward_sigmoid(self, input: Tensor) -> Tensor:
        """sigmoid(forward(input)) in one operation; `Sequential` calls it where that is the same."""
        return self._convolve(F.conv2d_sigmoid, input)

    def _convolve(self, function: Callable[..., Tensor], input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._pad_sizes(), mode=self.padding_mode), 0
        weight, bias = self._own("weight", "bias")
        return function(input, weight, bias, self.stride, padding, self.dilation, self.groups)


def conv_relu(conv: Module, input: Tensor) -> Tensor:
    """relu(conv(input)), in one operation if conv is a `Conv2d` that nobody watches.

    A layer with hooks, or of a class of its own, is called as ever, and ReLU comes behind it.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> conv = nn.Conv2d(1, 2, kernel_size=1, bias=False)
        >>> conv.weight.data = tinycnn.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        >>> nn.conv_relu(conv, tinycnn.ones(1, 1, 1, 1)).detach().flatten()
        tensor([1., 0.])
    """
    return conv.forward_relu(input) if type(conv) is Conv2d and conv.is_plain else F.relu(conv(input))


class ConvTranspose2d(_Conv):
    """Transposed convolution: goes from what a Conv2d of these settings gives back to the size of what it got.

    Shapes: x (N, C, P, Q) or (C, P, Q) -> y (N, K, H, W) or (K, H, W), with
    H = (P - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1 and W alike; weight
    (C, K / groups, R, S), bias (K,). M. D. Zeiler et al., "Deconvolutional Networks" (2010).

    Args:
        in_channels, out_channels: C and K.
        kernel_size, stride, padding, dilation: of the convolution this is the transpose of.
        output_padding: rows and columns more on one side, below stride or dilation.
        groups, bias, device, dtype: as in `Conv2d`.
        padding_mode: only "zeros".

    Raises:
        ValueError: if groups does not divide the channels, or padding_mode is not "zeros".

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> up = nn.ConvTranspose2d(3, 8, kernel_size=3, stride=2, padding=1)
        >>> up(tinycnn.zeros(1, 3, 5, 5)).shape, up(tinycnn.zeros(1, 3, 5, 5), output_size=(10, 10)).shape
        (tinycnn.Size([1, 8, 9, 9]), tinycnn.Size([1, 8, 10, 10]))
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"ConvTranspose2d: padding_mode must be 'zeros', got {padding_mode!r}")
        if isinstance(padding, str):
            raise ValueError(f"ConvTranspose2d: padding must be numbers, got {padding!r}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, 0)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """x (N, C, P, Q) -> y (N, K, H, W).

        Args:
            output_size: (H, W), or the whole shape of y, instead of output_padding.

        Raises:
            ValueError: if no output_padding gives that size.
        """
        extra = self.output_padding if output_size is None else self._extra_for(input, tuple(output_size))
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra_for(self, input: Tensor, wanted: tuple[int, ...]) -> Pair:
        if len(wanted) not in (2, input.ndim):
            raise ValueError(f"ConvTranspose2d: output_size must have 2 or {input.ndim} numbers, got {wanted}")
        extra, ranges = [], []
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            least = (input.shape[axis - 2] - 1) * self.stride[axis] - 2 * self.padding[axis] + reach
            most = least + max(self.stride[axis], self.dilation[axis]) - 1
            ranges.append(f"{least} to {most}")
            if not least <= wanted[axis - 2] <= most:
                extra.append(-1)
            else:
                extra.append(wanted[axis - 2] - least)
        if min(extra) < 0:
            raise ValueError(
                f"ConvTranspose2d: output_size {wanted[-2:]} cannot come from an input of {tuple(input.shape[-2:])}; "
                f"H can be {ranges[0]}, W {ranges[1]}"
            )
        return extra[0], extra[1]
