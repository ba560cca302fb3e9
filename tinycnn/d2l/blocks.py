"""The blocks and networks that the book saves for its later chapters."""

from __future__ import annotations

from .. import models, nn
from ..autograd import Tensor
from ..nn import functional as F


class Residual(models.Residual):
    """The residual block, y = relu(x + f(x)), with the arguments of either edition of the book.

    Shapes: x (N, C, H, W) -> y (N, num_channels, H / strides, W / strides), rounded up.

    Args:
        channels: num_channels, where the block learns C at its first call, as in the second edition; or
            input_channels and num_channels, as in the first.
        use_1x1conv: whether x goes through a 1x1 convolution.
        strides: of the first convolution and of the 1x1.

    Raises:
        ValueError: if the channels are not one number or two, or x and f(x) would differ in shape.

    Example:
        >>> from tinycnn import d2l
        >>> d2l.Residual(6, use_1x1conv=True, strides=2)(d2l.randn(4, 3, 6, 6)).shape
        tinycnn.Size([4, 6, 3, 3])
        >>> d2l.Residual(3, 6, use_1x1conv=True)(d2l.randn(4, 3, 6, 6)).shape
        tinycnn.Size([4, 6, 6, 6])
    """

    def __init__(self, *channels: int, use_1x1conv: bool = False, strides: int = 1) -> None:
        if len(channels) not in (1, 2):
            raise ValueError(f"Residual: expected num_channels, or input_channels and num_channels, got {channels}")
        num_channels = channels[-1]
        super().__init__(channels[0], num_channels, use_1x1conv, strides)
        if len(channels) == 1:
            self.conv1 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1, stride=strides)
            if use_1x1conv:
                self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides)


class ResNeXtBlock(nn.Module):
    """The ResNeXt block: a bottleneck whose 3x3 convolution works in groups.

    Shapes: x (N, C, H, W) -> y (N, num_channels, H / strides, W / strides), rounded up.

    S. Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (2017).

    Args:
        num_channels: the output's channels.
        groups: the channels in each group, as in the book, where the bottleneck's width divided by it is what Conv2d
            calls groups.
        bot_mul: the width of the bottleneck as a share of num_channels.
        use_1x1conv: whether x goes through a 1x1 convolution.
        strides: of the 3x3 convolution and of the 1x1.

    Raises:
        ValueError: if groups does not divide the bottleneck's width.

    Example:
        >>> from tinycnn import d2l
        >>> d2l.ResNeXtBlock(32, 16, 1)(d2l.randn(4, 32, 6, 6)).shape
        tinycnn.Size([4, 32, 6, 6])
    """

    def __init__(
        self, num_channels: int, groups: int, bot_mul: float, use_1x1conv: bool = False, strides: int = 1
    ) -> None:
        super().__init__()
        width = round(num_channels * bot_mul)
        if groups < 1 or width % groups:
            raise ValueError(f"ResNeXtBlock: groups of {groups} channels do not divide a bottleneck of {width}")
        self.conv1 = nn.LazyConv2d(width, kernel_size=1)
        self.conv2 = nn.LazyConv2d(width, kernel_size=3, stride=strides, padding=1, groups=width // groups)
        self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1)
        self.bn1, self.bn2, self.bn3 = nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d()
        self.conv4 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn4 = nn.LazyBatchNorm2d() if use_1x1conv else None

    def forward(self, X: Tensor) -> Tensor:
        """relu(x + f(x))."""
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = F.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None and self.bn4 is not None:
            X = self.bn4(self.conv4(X))
        return F.relu(Y + X)


def resnet18(num_classes: int, in_channels: int = 1) -> nn.Sequential:
    """The book's ResNet-18 for small images: its first convolution is 3x3 and keeps their size, with no pooling.

    Example:
        >>> from tinycnn import d2l
        >>> d2l.resnet18(10, 3)(d2l.zeros(1, 3, 32, 32)).shape
        tinycnn.Size([1, 10])
    """
    return models.resnet18(num_classes, in_channels, stem="cifar")
