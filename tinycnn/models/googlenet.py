"""GoogLeNet, which looks at the image through windows of several sizes at once.

Szegedy et al., "Going Deeper with Convolutions" (2014), in the form of Zhang, Lipton, Li, Smola, "Dive into Deep
Learning", section 8.4: without the two side classifiers and without local response normalisation.
"""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor
from ..ops import cat
from ._network import Network
from ._options import check_counts, narrow
from ._registry import register

__all__ = ["Inception"]


class Inception(nn.Module):
    """The Inception block (the paper's figure 2b): four branches side by side, joined along the channels.

    Shapes: x (N, in_channels, H, W) -> y (N, c1 + c2[1] + c3[1] + c4, H, W).

    Args:
        in_channels: the input's channels.
        c1: channels of branch 1, a convolution 1x1.
        c2: channels of branch 2, a convolution 1x1 and one of 3x3.
        c3: channels of branch 3, a convolution 1x1 and one of 5x5.
        c4: channels of branch 4, a max pooling 3x3 and a convolution 1x1.

    Raises:
        ValueError: if a number of channels is no positive integer.

    Example:
        >>> import tinycnn
        >>> block = tinycnn.models.Inception(192, 64, (96, 128), (16, 32), 32)
        >>> block(tinycnn.zeros(1, 192, 12, 12)).shape
        tinycnn.Size([1, 256, 12, 12])
    """

    def __init__(self, in_channels: int, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int) -> None:
        super().__init__()
        check_counts("Inception", in_channels=in_channels, c1=c1, c4=c4)
        for branch, widths in (("c2", c2), ("c3", c3)):
            if not isinstance(widths, (tuple, list)) or len(widths) != 2:
                raise ValueError(f"Inception: {branch} must be a pair of positive integers, got {widths!r}")
            for width in widths:
                check_counts("Inception", **{branch: width})
        self.out_channels = c1 + c2[1] + c3[1] + c4
        self.b1_1 = nn.Conv2d(in_channels, c1, kernel_size=1)
        self.b2_1 = nn.Conv2d(in_channels, c2[0], kernel_size=1)
        self.b2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.Conv2d(in_channels, c3[0], kernel_size=1)
        self.b3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.Conv2d(in_channels, c4, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """The four branches' outputs along dimension 1."""
        b1 = nn.conv_relu(self.b1_1, x)  # (N, c1, H, W)
        b2 = nn.conv_relu(self.b2_2, nn.conv_relu(self.b2_1, x))  # (N, c2[1], H, W)
        b3 = nn.conv_relu(self.b3_2, nn.conv_relu(self.b3_1, x))  # (N, c3[1], H, W)
        b4 = nn.conv_relu(self.b4_2, self.b4_1(x))  # (N, c4, H, W)
        return cat((b1, b2, b3, b4), dim=1)


# Branches of the blocks: stages b3, b4 and b5, the rows "inception (3a)" to "inception (5b)" of the paper's table 1.
_Branches = tuple[int, tuple[int, int], tuple[int, int], int]
_B3: tuple[_Branches, ...] = (
    (64, (96, 128), (16, 32), 32),
    (128, (128, 192), (32, 96), 64),
)
_B4: tuple[_Branches, ...] = (
    (192, (96, 208), (16, 48), 64),
    (160, (112, 224), (24, 64), 64),
    (128, (128, 256), (24, 64), 64),
    (112, (144, 288), (32, 64), 64),
    (256, (160, 320), (32, 128), 128),
)
_B5: tuple[_Branches, ...] = (
    (256, (160, 320), (32, 128), 128),
    (384, (192, 384), (48, 128), 128),
)


@register(input_shape=(1, 96, 96))
def googlenet(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> Network:
    """GoogLeNet: 9 Inception blocks in 3 stages; one linear layer; 5,977,530 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides all channels; at most 16.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.googlenet(ratio=16)
        >>> net(tinycnn.zeros(2, 1, 96, 96)).shape
        tinycnn.Size([2, 10])
    """
    check_counts("googlenet", num_classes=num_classes, in_channels=in_channels)

    def c(channels: int) -> int:
        return narrow("googlenet", channels, ratio)

    def inceptions(channels: int, stage: tuple[_Branches, ...]) -> list[Inception]:
        blocks: list[Inception] = []
        for c1, c2, c3, c4 in stage:
            blocks.append(Inception(channels, c(c1), (c(c2[0]), c(c2[1])), (c(c3[0]), c(c3[1])), c(c4)))
            channels = blocks[-1].out_channels
        return blocks

    c(16)  # the narrowest layer: a ratio that is too large shows here
    b1 = nn.Sequential(  # the shape after each line, for N images (N, 1, 96, 96):
        nn.Conv2d(in_channels, c(64), kernel_size=7, stride=2, padding=3),  # (N, 64, 48, 48)
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 64, 24, 24)
    )
    b2 = nn.Sequential(
        nn.Conv2d(c(64), c(64), kernel_size=1),  # (N, 64, 24, 24)
        nn.ReLU(),
        nn.Conv2d(c(64), c(192), kernel_size=3, padding=1),  # (N, 192, 24, 24)
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 192, 12, 12)
    )
    inceptions_3 = inceptions(c(192), _B3)
    b3 = nn.Sequential(
        *inceptions_3,  # (N, 256, 12, 12), (N, 480, 12, 12)
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 480, 6, 6)
    )
    inceptions_4 = inceptions(inceptions_3[-1].out_channels, _B4)
    b4 = nn.Sequential(
        *inceptions_4,  # (N, 512, 6, 6), (N, 512, 6, 6), (N, 512, 6, 6), (N, 528, 6, 6), (N, 832, 6, 6)
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 832, 3, 3)
    )
    inceptions_5 = inceptions(inceptions_4[-1].out_channels, _B5)
    b5 = nn.Sequential(
        *inceptions_5,  # (N, 832, 3, 3), (N, 1024, 3, 3)
        nn.AdaptiveAvgPool2d((1, 1)),  # (N, 1024, 1, 1)
        nn.Flatten(),  # (N, 1024)
    )
    last = nn.Linear(inceptions_5[-1].out_channels, num_classes)  # (N, num_classes)
    return Network(b1, b2, b3, b4, b5, last, name="googlenet", input_shape=(in_channels, 96, 96))
