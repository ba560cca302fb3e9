"""Pooling as layers."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..ops.geometry import Pair
from . import functional as F
from .module import Module


class MaxPool2d(Module):
    """The greatest value of each window: y[n, c, p, q] = max over r, s of x[n, c, p * stride + r * dilation, ...].

    Shapes: x (N, C, H, W) or (C, H, W) -> y (N, C, P, Q) or (C, P, Q), with
    P = floor((H + 2 * padding - dilation * (R - 1) - 1) / stride) + 1 and Q alike. Padding counts as minus infinity.

    Args:
        kernel_size, stride, padding, dilation: numbers or (vertical, horizontal); stride is kernel_size if not given.
        return_indices: whether to give, too, where in its plane (h * W + w) each value stood.
        ceil_mode: whether a last, partial window counts.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.MaxPool2d(2)(tinycnn.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """y, or (y, indices)."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxUnpool2d(Module):
    """Puts the values of a MaxPool2d back where they stood, and zeros elsewhere.

    Shapes: x and indices (N, C, P, Q) -> y (N, C, H, W). M. D. Zeiler and R. Fergus (2014), section 2.1.

    Args:
        kernel_size, stride, padding: of the pooling.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> y, where = nn.MaxPool2d(2, return_indices=True)(tinycnn.arange(4.0).reshape(1, 1, 2, 2))
        >>> nn.MaxUnpool2d(2)(y, where)
        tensor([[[[0., 0.],
                  [0., 3.]]]])
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        super().__init__()
        self.kernel_size = _both(kernel_size)
        self.stride = self.kernel_size if stride is None else _both(stride)
        self.padding = _both(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """y, of size output_size where the pooling's input size is not the only one that fits."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window.

    Shapes: as `MaxPool2d`, without dilation.

    Args:
        kernel_size, stride, padding: numbers or (vertical, horizontal); stride is kernel_size if not given.
        ceil_mode: whether a last, partial window counts.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: what to divide the sum by instead of the number of elements.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.AvgPool2d(2)(tinycnn.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, P, Q)."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The means of P x Q windows that cover the image, whatever its size; P = Q = 1 is global average pooling.

    Window p covers the rows from floor(p * H / P) to ceil((p + 1) * H / P).
    Shapes: x (N, C, H, W) or (C, H, W) -> y (N, C, P, Q) or (C, P, Q).

    Args:
        output_size: (P, Q) or one number for both; None keeps the input's size.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.AdaptiveAvgPool2d((1, 1))(tinycnn.ones(2, 3, 5, 7)).shape
        tinycnn.Size([2, 3, 1, 1])
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, P, Q)."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The greatest values of P x Q windows that cover the image, whatever its size; windows as `AdaptiveAvgPool2d`.

    Args:
        output_size: (P, Q) or one number for both; None keeps the input's size.
        return_indices: whether to give, too, where in its plane (h * W + w) each value stood.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.AdaptiveMaxPool2d(1)(tinycnn.arange(4.0).reshape(1, 1, 2, 2))
        tensor([[[[3.]]]])
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        """y, or (y, indices)."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _both(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
