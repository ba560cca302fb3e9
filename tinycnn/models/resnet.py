"""ResNet: stages of blocks that learn what to add to their input; the blocks are in `_residual`.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015), in the form of Zhang, Lipton, Li, Smola,
"Dive into Deep Learning", section 8.6; version 2, in which normalisation and ReLU come before each convolution, from
the same authors' "Identity Mappings in Deep Residual Networks" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ._network import Network
from ._options import check_arch, check_choice, check_counts, narrow
from ._registry import register
from ._residual import Bottleneck, Residual

__all__ = ["Bottleneck", "Residual", "resnet"]


_BASIC_18 = ((2, 64), (2, 128), (2, 256), (2, 512))
_BASIC_34 = ((3, 64), (4, 128), (6, 256), (3, 512))
_BOTTLENECK_50 = ((3, 256), (4, 512), (6, 1024), (3, 2048))
_BOTTLENECK_101 = ((3, 256), (4, 512), (23, 1024), (3, 2048))
_BOTTLENECK_152 = ((3, 256), (8, 512), (36, 1024), (3, 2048))


def resnet(
    arch: Sequence[tuple[int, int]],
    num_classes: int = 10,
    in_channels: int = 1,
    block: type[Residual | Bottleneck] = Residual,
    bias: bool = True,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
    name: str = "resnet",
) -> Network:
    """A residual network: a stem, stages of blocks, of which each but the first halves the image, a global average.

    Args:
        arch: (number of blocks, channels) of each stage.
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        block: `Residual` or `Bottleneck`.
        bias: whether the convolutions have a bias; see `Residual`.
        preactivation: whether it is version 2: normalisation and ReLU before each convolution, and once more behind
            the last block.
        stem: "imagenet" quarters the image with a 7x7 convolution and a pooling; "cifar", for small images, is one 3x3
            convolution that keeps its size.
        ratio: divides all channels.
        name: what errors call it.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet([(1, 8), (1, 16)], stem="cifar", ratio=2)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    stages = check_arch(name, "arch", arch, ("blocks", "channels"))
    check_counts(name, num_classes=num_classes, in_channels=in_channels)
    check_choice(name, "stem", stem, ("imagenet", "cifar"))
    stages = [(num_blocks, narrow(name, channels, ratio)) for num_blocks, channels in stages]
    channels = narrow(name, 64, ratio)
    layers: dict[str, nn.Module] = {"0": _stem(in_channels, channels, stem, bias, preactivation)}
    for i, (num_blocks, num_channels) in enumerate(stages):
        blocks: list[nn.Module] = []
        for j in range(num_blocks):
            strides = 2 if i > 0 and j == 0 else 1
            use_1x1conv = strides != 1 or channels != num_channels
            blocks.append(block(channels, num_channels, use_1x1conv, strides, bias, preactivation))
            channels = num_channels
        layers[f"b{i + 2}"] = nn.Sequential(*blocks)
    norm = [nn.BatchNorm2d(channels), nn.ReLU()] if preactivation else []
    layers["last"] = nn.Sequential(  # the shape after each line for the last stage's (N, C, h, w):
        *norm,  # (N, C, h, w)
        nn.AdaptiveAvgPool2d((1, 1)),  # (N, C, 1, 1)
        nn.Flatten(),  # (N, C)
        nn.Linear(channels, num_classes),  # (N, num_classes)
    )
    side = 224 if stem == "imagenet" else 32
    return Network(layers, name=name, input_shape=(in_channels, side, side))


def _stem(in_channels: int, channels: int, kind: str, bias: bool, preactivation: bool) -> nn.Sequential:
    """(N, in_channels, 224, 224) -> (N, 64, 56, 56), or (N, in_channels, 32, 32) -> (N, 64, 32, 32)."""
    # In version 2 the first block begins with normalisation and ReLU.
    norm = [] if preactivation else [nn.BatchNorm2d(channels), nn.ReLU()]
    if kind == "cifar":
        return nn.Sequential(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=bias), *norm)
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel_size=7, stride=2, padding=3, bias=bias),  # (N, 64, 112, 112)
        *norm,
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 64, 56, 56)
    )


@register(input_shape=(1, 224, 224))
def resnet18(
    num_classes: int = 10,
    in_channels: int = 1,
    bias: bool = True,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
) -> Network:
    """ResNet-18: 8 residual blocks; 11,178,378 parameters.

    Stages for images of 224x224: (N, 64, 56, 56), (N, 64, 56, 56), (N, 128, 28, 28), (N, 256, 14, 14), (N, 512, 7, 7).

    Args:
        num_classes, in_channels, bias, preactivation, stem, ratio: as in `resnet`.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet18(ratio=16, stem="cifar")
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return resnet(_BASIC_18, num_classes, in_channels, Residual, bias, preactivation, stem, ratio, "resnet18")


@register(input_shape=(1, 224, 224))
def resnet34(
    num_classes: int = 10,
    in_channels: int = 1,
    bias: bool = True,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
) -> Network:
    """ResNet-34: 16 residual blocks; 21,290,250 parameters.

    Stages for images of 224x224: (N, 64, 56, 56), (N, 64, 56, 56), (N, 128, 28, 28), (N, 256, 14, 14), (N, 512, 7, 7).

    Args:
        num_classes, in_channels, bias, preactivation, stem, ratio: as in `resnet`.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet34(ratio=16, stem="cifar")
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return resnet(_BASIC_34, num_classes, in_channels, Residual, bias, preactivation, stem, ratio, "resnet34")


@register(input_shape=(1, 224, 224))
def resnet50(
    num_classes: int = 10,
    in_channels: int = 1,
    bias: bool = False,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
) -> Network:
    """ResNet-50: 16 bottleneck blocks; 23,522,250 parameters.

    Stages for images of 224x224: (N, 64, 56, 56), (N, 256, 56, 56), (N, 512, 28, 28), (N, 1024, 14, 14),
    (N, 2048, 7, 7).

    Args:
        num_classes, in_channels, bias, preactivation, stem, ratio: as in `resnet`.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet50(ratio=16, stem="cifar")
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return resnet(_BOTTLENECK_50, num_classes, in_channels, Bottleneck, bias, preactivation, stem, ratio, "resnet50")


@register(input_shape=(1, 224, 224))
def resnet101(
    num_classes: int = 10,
    in_channels: int = 1,
    bias: bool = False,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
) -> Network:
    """ResNet-101: 33 bottleneck blocks; 42,514,378 parameters.

    Stages for images of 224x224: (N, 64, 56, 56), (N, 256, 56, 56), (N, 512, 28, 28), (N, 1024, 14, 14),
    (N, 2048, 7, 7).

    Args:
        num_classes, in_channels, bias, preactivation, stem, ratio: as in `resnet`.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet101(ratio=16, stem="cifar")
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return resnet(_BOTTLENECK_101, num_classes, in_channels, Bottleneck, bias, preactivation, stem, ratio, "resnet101")


@register(input_shape=(1, 224, 224))
def resnet152(
    num_classes: int = 10,
    in_channels: int = 1,
    bias: bool = False,
    preactivation: bool = False,
    stem: str = "imagenet",
    ratio: int = 1,
) -> Network:
    """ResNet-152: 50 bottleneck blocks; 58,158,026 parameters.

    Stages for images of 224x224: (N, 64, 56, 56), (N, 256, 56, 56), (N, 512, 28, 28), (N, 1024, 14, 14),
    (N, 2048, 7, 7).

    Args:
        num_classes, in_channels, bias, preactivation, stem, ratio: as in `resnet`.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.resnet152(ratio=16, stem="cifar")
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return resnet(_BOTTLENECK_152, num_classes, in_channels, Bottleneck, bias, preactivation, stem, ratio, "resnet152")
