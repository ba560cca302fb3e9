"""VGG, networks of blocks: 3x3 convolutions that keep the image's size, then a pooling that halves it.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014), in the form of Zhang,
Lipton, Li, Smola, "Dive into Deep Learning", section 8.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ._network import Network
from ._options import ImageSize, check_arch, check_counts, check_probability, image_sides, narrow
from ._registry import register

__all__ = ["vgg", "vgg_block"]

# (convolutions, channels) of each block: the columns A, B, D and E of the paper's table 1.
_ARCHS = {
    "vgg11": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "vgg13": ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
    "vgg16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "vgg19": ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
}


def vgg_block(num_convs: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """A block of VGG: `num_convs` times (convolution 3x3, ReLU), then max pooling, which halves the image.

    Shapes: x (N, in_channels, H, W) -> y (N, out_channels, H / 2, W / 2).

    Args:
        num_convs: the number of convolutions.
        in_channels, out_channels: before and behind the first of them; the others keep out_channels.

    Raises:
        ValueError: if one of them is no positive integer.

    Example:
        >>> import tinycnn
        >>> tinycnn.models.vgg_block(2, 64, 128)(tinycnn.zeros(1, 64, 8, 8)).shape
        tinycnn.Size([1, 128, 4, 4])
    """
    check_counts("vgg_block", num_convs=num_convs, in_channels=in_channels, out_channels=out_channels)
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers += [nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), nn.ReLU()]  # (N, out, H, W)
        in_channels = out_channels
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2))  # (N, out, H / 2, W / 2)
    return nn.Sequential(*layers)


def vgg(
    conv_arch: Sequence[tuple[int, int]],
    num_classes: int = 10,
    in_channels: int = 1,
    ratio: int = 1,
    dropout: float = 0.5,
    hidden: int = 4096,
    image_size: ImageSize = 224,
    name: str = "vgg",
) -> Network:
    """A network of VGG blocks and three linear layers.

    Args:
        conv_arch: (number of convolutions, channels) of each block.
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides the channels of the convolutions; the notes' small network has 4.
        dropout: the probability of zero behind the two hidden linear layers.
        hidden: the width of the two hidden linear layers.
        image_size: the side of the images, or (H, W); at least 2^blocks.
        name: what errors call it.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.vgg([(1, 8), (2, 16)], hidden=32, image_size=(28, 20))
        >>> for layer in net[:3]:
        ...     print(type(layer).__name__)
        Sequential
        Sequential
        Flatten
    """
    blocks = check_arch(name, "conv_arch", conv_arch, ("convolutions", "channels"))
    check_counts(name, num_classes=num_classes, in_channels=in_channels, hidden=hidden)
    check_probability(name, dropout=dropout)
    smallest = 2 ** len(blocks)
    height, width = image_sides(name, image_size, smallest)
    blocks = [(num_convs, narrow(name, channels, ratio)) for num_convs, channels in blocks]
    channels, layers = in_channels, []
    for num_convs, out_channels in blocks:
        layers.append(vgg_block(num_convs, channels, out_channels))
        channels = out_channels
    return Network(  # the shape after each line, for N images (N, 1, 224, 224) and the paper's five blocks:
        *layers,  # (N, 64, 112, 112), (N, 128, 56, 56), (N, 256, 28, 28), (N, 512, 14, 14), (N, 512, 7, 7)
        nn.Flatten(),  # (N, 25088)
        nn.Linear(channels * (height // smallest) * (width // smallest), hidden),  # (N, 4096)
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),  # (N, 4096)
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),  # (N, num_classes)
        name=name,
        input_shape=(in_channels, height, width),
        smallest=smallest,
        exact=True,
    )


@register(input_shape=(1, 224, 224), smallest=32)
def vgg11(
    num_classes: int = 10,
    in_channels: int = 1,
    ratio: int = 1,
    dropout: float = 0.5,
    hidden: int = 4096,
    image_size: ImageSize = 224,
) -> Network:
    """VGG-11: 8 convolutions, 3 linear layers; for images of 224x224; 128,806,154 parameters.

    Args:
        num_classes, in_channels, ratio, dropout, hidden, image_size: as in `vgg`; image_size is at least 32.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.vgg11(ratio=16, hidden=64, image_size=32)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return vgg(_ARCHS["vgg11"], num_classes, in_channels, ratio, dropout, hidden, image_size, name="vgg11")


@register(input_shape=(1, 224, 224), smallest=32)
def vgg13(
    num_classes: int = 10,
    in_channels: int = 1,
    ratio: int = 1,
    dropout: float = 0.5,
    hidden: int = 4096,
    image_size: ImageSize = 224,
) -> Network:
    """VGG-13: 10 convolutions, 3 linear layers; for images of 224x224; 128,990,666 parameters.

    Args:
        num_classes, in_channels, ratio, dropout, hidden, image_size: as in `vgg`; image_size is at least 32.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.vgg13(ratio=16, hidden=64, image_size=32)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return vgg(_ARCHS["vgg13"], num_classes, in_channels, ratio, dropout, hidden, image_size, name="vgg13")


@register(input_shape=(1, 224, 224), smallest=32)
def vgg16(
    num_classes: int = 10,
    in_channels: int = 1,
    ratio: int = 1,
    dropout: float = 0.5,
    hidden: int = 4096,
    image_size: ImageSize = 224,
) -> Network:
    """VGG-16: 13 convolutions, 3 linear layers; for images of 224x224; 134,300,362 parameters.

    Args:
        num_classes, in_channels, ratio, dropout, hidden, image_size: as in `vgg`; image_size is at least 32.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.vgg16(ratio=16, hidden=64, image_size=32)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return vgg(_ARCHS["vgg16"], num_classes, in_channels, ratio, dropout, hidden, image_size, name="vgg16")


@register(input_shape=(1, 224, 224), smallest=32)
def vgg19(
    num_classes: int = 10,
    in_channels: int = 1,
    ratio: int = 1,
    dropout: float = 0.5,
    hidden: int = 4096,
    image_size: ImageSize = 224,
) -> Network:
    """VGG-19: 16 convolutions, 3 linear layers; for images of 224x224; 139,610,058 parameters.

    Args:
        num_classes, in_channels, ratio, dropout, hidden, image_size: as in `vgg`; image_size is at least 32.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.vgg19(ratio=16, hidden=64, image_size=32)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return vgg(_ARCHS["vgg19"], num_classes, in_channels, ratio, dropout, hidden, image_size, name="vgg19")
