"""Network in Network: 1x1 convolutions after each convolution, and a global average instead of linear layers.

Lin, Chen, Yan, "Network In Network" (2013), in the form of Zhang, Lipton, Li, Smola, "Dive into Deep Learning",
section 8.3.
"""

from __future__ import annotations

from .. import nn
from ._network import Network
from ._options import check_counts, check_probability, narrow
from ._registry import register

__all__ = ["nin_block"]

_SMALLEST = 67  # the last pooling still meets its window of 3x3


def nin_block(in_channels: int, out_channels: int, kernel_size: int, strides: int, padding: int) -> nn.Sequential:
    """A block of NiN: a convolution and two of 1x1, which are a small perceptron at each pixel, each with its ReLU.

    Shapes: x (N, in_channels, H, W) -> y (N, out_channels, P, Q) with P = floor((H + 2 padding - k) / strides) + 1.

    Args:
        in_channels, out_channels: before and behind the first convolution; the others keep out_channels.
        kernel_size, strides, padding: of the first convolution.

    Raises:
        ValueError: if channels, kernel_size or strides are no positive integers.

    Example:
        >>> import tinycnn
        >>> block = tinycnn.models.nin_block(1, 96, kernel_size=11, strides=4, padding=0)
        >>> block(tinycnn.zeros(1, 1, 67, 67)).shape
        tinycnn.Size([1, 96, 15, 15])
    """
    check_counts(
        "nin_block", in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, strides=strides
    )
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, strides, padding),  # (N, out, P, Q), as all that follow
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
    )


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def nin(num_classes: int = 10, in_channels: int = 1, dropout: float = 0.5, ratio: int = 1) -> Network:
    """Network in Network: 4 blocks of 3 convolutions; no linear layer; 1,992,166 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        dropout: the probability of zero before the last block.
        ratio: divides the channels of the first three blocks.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.nin(ratio=8)
        >>> net(tinycnn.zeros(2, 1, 96, 96)).shape
        tinycnn.Size([2, 10])
    """
    check_counts("nin", num_classes=num_classes, in_channels=in_channels)
    check_probability("nin", dropout=dropout)
    c1, c2, c3 = (narrow("nin", channels, ratio) for channels in (96, 256, 384))
    return Network(  # the shape after each line, for N images (N, 1, 224, 224):
        nin_block(in_channels, c1, kernel_size=11, strides=4, padding=0),  # (N, 96, 54, 54)
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 96, 26, 26)
        nin_block(c1, c2, kernel_size=5, strides=1, padding=2),  # (N, 256, 26, 26)
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 256, 12, 12)
        nin_block(c2, c3, kernel_size=3, strides=1, padding=1),  # (N, 384, 12, 12)
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 384, 5, 5)
        nn.Dropout(dropout),
        nin_block(c3, num_classes, kernel_size=3, strides=1, padding=1),  # (N, num_classes, 5, 5)
        nn.AdaptiveAvgPool2d((1, 1)),  # (N, num_classes, 1, 1)
        nn.Flatten(),  # (N, num_classes)
        name="nin",
        input_shape=(in_channels, 224, 224),
        smallest=_SMALLEST,
    )
