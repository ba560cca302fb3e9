"""Windows of images as columns, and columns as images: the layers of `unfold` and `fold`."""

from __future__ import annotations

from ..autograd import Tensor
from ..ops import fold, unfold
from .module import Module

Pair = int | tuple[int, int]


class Unfold(Module):
    """The windows that a kernel sees, as columns: (N, C, H, W) -> (N, C * R * S, P * Q). See `functional.unfold`.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.Unfold(kernel_size=3)(tinycnn.zeros(2, 5, 8, 8)).shape
        tinycnn.Size([2, 45, 36])
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns added up to images: (N, C * R * S, P * Q) -> (N, C, H, W). See `functional.fold`.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.Fold(output_size=8, kernel_size=3)(tinycnn.zeros(2, 45, 36)).shape
        tinycnn.Size([2, 5, 8, 8])
    """

    def __init__(
        self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
