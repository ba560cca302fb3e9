"""DenseNet, in whose blocks each layer sees what all layers before it found.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks" (2016): `densenet` is the small
network of Zhang, Lipton, Li, Smola, "Dive into Deep Learning", section 8.7, the numbered ones are those of the paper's
table 1 (DenseNet-BC).
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ..autograd import Tensor, checkpoint
from ..ops import cat
from ..ops.joined import Joined
from ._network import Network
from ._options import check_counts, is_count, narrow
from ._registry import register

__all__ = ["DenseBlock", "conv_block", "transition_block"]


def conv_block(in_channels: int, num_channels: int, bottleneck: bool = False, bias: bool = True) -> nn.Sequential:
    """A layer of a dense block: batch normalisation, ReLU, convolution 3x3.

    Shapes: x (N, in_channels, H, W) -> y (N, num_channels, H, W).

    Args:
        in_channels, num_channels: the input's and the output's channels.
        bottleneck: whether batch normalisation, ReLU and a convolution 1x1 to 4 num_channels come first (DenseNet-B).
        bias: whether the convolutions have a bias, as in the notes.

    Raises:
        ValueError: if a number of channels is no positive integer.

    Example:
        >>> import tinycnn
        >>> tinycnn.models.conv_block(3, 10)(tinycnn.zeros(4, 3, 8, 8)).shape
        tinycnn.Size([4, 10, 8, 8])
    """
    check_counts("conv_block", in_channels=in_channels, num_channels=num_channels)
    layers: list[nn.Module] = []
    if bottleneck:
        width = 4 * num_channels
        layers += [nn.BatchNorm2d(in_channels), nn.ReLU(), nn.Conv2d(in_channels, width, kernel_size=1, bias=bias)]
        in_channels = width  # (N, 4 num_channels, H, W)
    layers += [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, num_channels, kernel_size=3, padding=1, bias=bias),  # (N, num_channels, H, W)
    ]
    return nn.Sequential(*layers)


class DenseBlock(nn.Module):
    """A dense block: each `conv_block` gets the input and all outputs before it, joined along the channels.

    Shapes: x (N, in_channels, H, W) -> y (N, in_channels + num_convs growth_rate, H, W).

    On the CPU they are joined in place: what a layer gets is the first channels of y, in y's memory. A hook that wants
    to write into it, or to keep it while y is written, takes a clone().

    Args:
        num_convs: the number of `conv_block`s.
        in_channels: the input's channels.
        growth_rate: how many channels each of them adds.
        bottleneck, bias: as in `conv_block`.
        memory_efficient: keep each layer's output only, and join (unless that is done in place, see `ops.joined`) and
            normalise anew in backward: what is kept then grows with the number of layers and not with its square, for
            about one more forward pass (Pleiss et al., "Memory-Efficient Implementation of DenseNets", 2017).

    Raises:
        ValueError: if one of the numbers is no positive integer.

    Example:
        >>> import tinycnn
        >>> tinycnn.models.DenseBlock(2, 3, 10)(tinycnn.zeros(4, 3, 8, 8)).shape
        tinycnn.Size([4, 23, 8, 8])
    """

    def __init__(
        self,
        num_convs: int,
        in_channels: int,
        growth_rate: int,
        bottleneck: bool = False,
        bias: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.memory_efficient = memory_efficient
        check_counts("DenseBlock", num_convs=num_convs, in_channels=in_channels, growth_rate=growth_rate)
        self.out_channels = in_channels + num_convs * growth_rate
        self.net = nn.Sequential(
            *(conv_block(in_channels + i * growth_rate, growth_rate, bottleneck, bias) for i in range(num_convs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input and every layer's output along dimension 1."""
        joined = Joined(x, self.out_channels)
        if self.memory_efficient and not joined.in_place:
            found = [x]
            for block in self.net:
                found.append(checkpoint(_on_joined, block, *found))
            return cat(found, dim=1)
        for block in self.net:
            seen = joined.images
            joined.append(checkpoint(block, seen) if self.memory_efficient else block(seen))
        return joined.images


def _on_joined(block: nn.Module, *found: Tensor) -> Tensor:
    """A layer's output from all that was found before it."""
    y: Tensor = block(cat(found, dim=1))
    return y


def transition_block(in_channels: int, num_channels: int, bias: bool = True) -> nn.Sequential:
    """What stands between dense blocks: batch normalisation, ReLU, a convolution 1x1, and average pooling by 2.

    Shapes: x (N, in_channels, H, W) -> y (N, num_channels, H / 2, W / 2), rounded down.

    Args:
        in_channels, num_channels: the input's and the output's channels.
        bias: whether the convolution has a bias, as in the notes.

    Raises:
        ValueError: if a number of channels is no positive integer.

    Example:
        >>> import tinycnn
        >>> tinycnn.models.transition_block(23, 10)(tinycnn.zeros(4, 23, 8, 8)).shape
        tinycnn.Size([4, 10, 4, 4])
    """
    check_counts("transition_block", in_channels=in_channels, num_channels=num_channels)
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, num_channels, kernel_size=1, bias=bias),  # (N, num_channels, H, W)
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, num_channels, H / 2, W / 2)
    )


_SMALLEST = 29  # of four blocks: the stem leaves 8 of it, the three transitions 1


@register(input_shape=(1, 96, 96), smallest=_SMALLEST)
def densenet(
    num_classes: int = 10,
    in_channels: int = 1,
    num_channels: int = 64,
    growth_rate: int = 32,
    arch: Sequence[int] = (4, 4, 4, 4),
    bottleneck: bool = False,
    bias: bool = True,
    memory_efficient: bool = False,
    name: str = "densenet",
) -> Network:
    """The notes' DenseNet: 4 dense blocks of 4 convolutions; transitions between them; 758,226 parameters.

    Stages for images of 96x96: the stem (N, 64, 24, 24), then blocks and transitions in turn, (N, 192, 24, 24),
    (N, 96, 12, 12), (N, 224, 12, 12), (N, 112, 6, 6), (N, 240, 6, 6), (N, 120, 3, 3), (N, 248, 3, 3).

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        num_channels: the stem's channels.
        growth_rate: how many channels each convolution adds.
        arch: the number of convolutions of each dense block.
        bottleneck, bias: as in `conv_block`.
        memory_efficient: as in `DenseBlock`.
        name: what errors call it.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.densenet(num_channels=16, growth_rate=8, arch=(2, 2))
        >>> net(tinycnn.zeros(2, 1, 96, 96)).shape
        tinycnn.Size([2, 10])
    """
    check_counts(name, num_classes=num_classes, in_channels=in_channels)
    check_counts(name, num_channels=num_channels, growth_rate=growth_rate)
    if not isinstance(arch, (list, tuple)) or not arch or not all(map(is_count, arch)):
        raise ValueError(f"{name}: arch must be the number of convolutions of each block, got {arch!r}")
    layers: dict[str, nn.Module] = {
        "0": nn.Sequential(  # the shape after each line, for N images (N, 1, 96, 96):
            nn.Conv2d(in_channels, num_channels, kernel_size=7, stride=2, padding=3, bias=bias),  # (N, 64, 48, 48)
            nn.BatchNorm2d(num_channels),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),  # (N, 64, 24, 24)
        )
    }
    for i, num_convs in enumerate(arch):
        if i:  # a transition halves the channels and the image's sides
            layers[f"tran_blk{i}"] = transition_block(num_channels, num_channels // 2, bias)
            num_channels //= 2
        block = DenseBlock(num_convs, num_channels, growth_rate, bottleneck, bias, memory_efficient)
        layers[f"dense_blk{i + 1}"] = block
        num_channels = block.out_channels
    layers["last"] = nn.Sequential(
        nn.BatchNorm2d(num_channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((1, 1)),  # (N, 248, 1, 1)
        nn.Flatten(),  # (N, 248)
        nn.Linear(num_channels, num_classes),  # (N, num_classes)
    )
    # The stem rounds up a quarter of the side, of which the transitions must leave 1.
    smallest = 4 * (2 ** (len(arch) - 1) - 1) + 1
    return Network(layers, name=name, input_shape=(in_channels, 96, 96), smallest=smallest)


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def densenet121(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> Network:
    """DenseNet-121: dense blocks of 6, 12, 24 and 16; bottleneck layers, growth rate 32; 6,957,834 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides the stem's channels and the growth rate.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.densenet121(ratio=16)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return _densenet_bc("densenet121", num_classes, in_channels, 64, 32, (6, 12, 24, 16), ratio)


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def densenet161(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> Network:
    """DenseNet-161: dense blocks of 6, 12, 36 and 24; bottleneck layers, growth rate 48; 26,484,682 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides the stem's channels and the growth rate.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.densenet161(ratio=16)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return _densenet_bc("densenet161", num_classes, in_channels, 96, 48, (6, 12, 36, 24), ratio)


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def densenet169(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> Network:
    """DenseNet-169: dense blocks of 6, 12, 32 and 32; bottleneck layers, growth rate 32; 12,494,858 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides the stem's channels and the growth rate.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.densenet169(ratio=16)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return _densenet_bc("densenet169", num_classes, in_channels, 64, 32, (6, 12, 32, 32), ratio)


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def densenet201(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> Network:
    """DenseNet-201: dense blocks of 6, 12, 48 and 32; bottleneck layers, growth rate 32; 18,105,866 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        ratio: divides the stem's channels and the growth rate.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.densenet201(ratio=16)
        >>> net(tinycnn.zeros(2, 1, 32, 32)).shape
        tinycnn.Size([2, 10])
    """
    return _densenet_bc("densenet201", num_classes, in_channels, 64, 32, (6, 12, 48, 32), ratio)


def _densenet_bc(
    name: str,
    num_classes: int,
    in_channels: int,
    num_channels: int,
    growth_rate: int,
    arch: tuple[int, ...],
    ratio: int,
) -> Network:
    """The paper's form: a bottleneck in every layer, and no bias in front of batch normalisation."""
    stem, growth = (narrow(name, channels, ratio) for channels in (num_channels, growth_rate))
    net = densenet(num_classes, in_channels, stem, growth, arch, bottleneck=True, bias=False, name=name)
    net.input_shape = in_channels, 224, 224
    return net
