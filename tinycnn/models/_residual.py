"""The blocks of ResNet, which learn what to add to their input.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015), in the form of Zhang, Lipton, Li, Smola,
"Dive into Deep Learning", section 8.6; version 2, in which normalisation and ReLU come before each convolution, from
the same authors' "Identity Mappings in Deep Residual Networks" (2016).
"""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor
from ._options import check_counts


class Residual(nn.Module):
    """The residual block: y = relu(x + f(x)), where f is two convolutions 3x3 with batch normalisation.

    Shapes: x (N, in_channels, H, W) -> y (N, num_channels, H / strides, W / strides), rounded up.

    Before the addition a 1x1 convolution gives x the shape of f(x) where that differs. With `preactivation` the block
    is y = x + f(x) with f = conv(relu(bn(conv(relu(bn(x)))))), and the 1x1 convolution takes relu(bn(x)).

    Args:
        in_channels, num_channels: the input's and the output's channels.
        use_1x1conv: whether x goes through a 1x1 convolution.
        strides: of the first convolution and of the 1x1.
        bias: whether the convolutions have a bias, as in the notes. Without it, as in the paper, each has batch
            normalisation behind it instead, the 1x1 convolution too.
        preactivation: whether it is the block of version 2.

    Raises:
        ValueError: if channels or strides are no positive integers, or x and f(x) would differ in shape.

    Example:
        >>> import tinycnn
        >>> block = tinycnn.models.Residual(3, 6, use_1x1conv=True, strides=2)
        >>> block(tinycnn.zeros(4, 3, 6, 6)).shape
        tinycnn.Size([4, 6, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        num_channels: int,
        use_1x1conv: bool = False,
        strides: int = 1,
        bias: bool = True,
        preactivation: bool = False,
    ) -> None:
        super().__init__()
        _check_block("Residual", in_channels, num_channels, use_1x1conv, strides)
        self.preactivation = preactivation
        self.conv1 = nn.Conv2d(in_channels, num_channels, kernel_size=3, padding=1, stride=strides, bias=bias)
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1, bias=bias)
        self.conv3 = _conv1x1(in_channels, num_channels, strides, bias) if use_1x1conv else None
        self.bn1 = nn.BatchNorm2d(in_channels if preactivation else num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)
        self.bn3 = nn.BatchNorm2d(num_channels) if use_1x1conv and not (bias or preactivation) else None

    def forward(self, x: Tensor) -> Tensor:
        """x + f(x)."""
        if self.preactivation:
            y = nn.norm_relu(self.bn1, x)
            shortcut = x if self.conv3 is None else self.conv3(y)
            y = self.conv1(y)
            y = self.conv2(nn.norm_relu(self.bn2, y))
            return y + shortcut
        y = nn.norm_relu(self.bn1, self.conv1(x))
        return nn.norm_relu(self.bn2, self.conv2(y), _shortcut(x, self.conv3, self.bn3))


class Bottleneck(nn.Module):
    """The residual block of the deep networks: f is convolutions of 1x1, 3x3 and 1x1, the first two a quarter as wide.

    Shapes: x (N, in_channels, H, W) -> y (N, num_channels, H / strides, W / strides), rounded up.

    For 256 channels f has 69,632 weights, where a single 3x3 convolution has 589,824. The stride is the 3x3
    convolution's.

    Args:
        in_channels, num_channels: the input's and the output's channels; 4 divides num_channels.
        use_1x1conv: whether x goes through a 1x1 convolution.
        strides: of the 3x3 convolution and of the shortcut's 1x1.
        bias: whether the convolutions have a bias; see `Residual`.
        preactivation: whether it is the block of version 2; see `Residual`.

    Raises:
        ValueError: if channels or strides are no positive integers, or x and f(x) would differ in shape.

    Example:
        >>> import tinycnn
        >>> block = tinycnn.models.Bottleneck(256, 256)
        >>> sum(p.numel() for p in block.parameters() if p.ndim == 4)
        69632
    """

    def __init__(
        self,
        in_channels: int,
        num_channels: int,
        use_1x1conv: bool = False,
        strides: int = 1,
        bias: bool = False,
        preactivation: bool = False,
    ) -> None:
        super().__init__()
        _check_block("Bottleneck", in_channels, num_channels, use_1x1conv, strides)
        if num_channels % 4:
            raise ValueError(f"Bottleneck: num_channels must be a multiple of 4, got {num_channels}")
        width = num_channels // 4
        self.preactivation = preactivation
        self.conv1 = _conv1x1(in_channels, width, 1, bias)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, stride=strides, bias=bias)
        self.conv3 = _conv1x1(width, num_channels, 1, bias)
        self.bn1 = nn.BatchNorm2d(in_channels if preactivation else width)
        self.bn2 = nn.BatchNorm2d(width)
        self.bn3 = nn.BatchNorm2d(width if preactivation else num_channels)
        self.conv4 = _conv1x1(in_channels, num_channels, strides, bias) if use_1x1conv else None
        self.bn4 = nn.BatchNorm2d(num_channels) if use_1x1conv and not (bias or preactivation) else None

    def forward(self, x: Tensor) -> Tensor:
        """x + f(x)."""
        if self.preactivation:
            y = nn.norm_relu(self.bn1, x)
            shortcut = x if self.conv4 is None else self.conv4(y)
            y = self.conv1(y)
            y = self.conv2(nn.norm_relu(self.bn2, y))
            y = self.conv3(nn.norm_relu(self.bn3, y))
            return y + shortcut
        y = nn.norm_relu(self.bn1, self.conv1(x))
        y = nn.norm_relu(self.bn2, self.conv2(y))
        return nn.norm_relu(self.bn3, self.conv3(y), _shortcut(x, self.conv4, self.bn4))


def _conv1x1(in_channels: int, out_channels: int, strides: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=strides, bias=bias)


def _shortcut(x: Tensor, conv: nn.Conv2d | None, bn: nn.BatchNorm2d | None) -> Tensor:
    """x in the shape of f(x)."""
    x = x if conv is None else conv(x)
    return x if bn is None else bn(x)


def _check_block(name: str, in_channels: int, num_channels: int, use_1x1conv: bool, strides: int) -> None:
    check_counts(name, in_channels=in_channels, num_channels=num_channels, strides=strides)
    if not use_1x1conv and (in_channels != num_channels or strides != 1):
        raise ValueError(
            f"{name}: from {in_channels} to {num_channels} channels with strides {strides}, x and f(x) differ in "
            "shape; say use_1x1conv=True"
        )
