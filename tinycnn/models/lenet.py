"""LeNet-5, the network that read handwritten cheques, and the same with batch normalisation.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE,
1998, in the form of Zhang, Lipton, Li, Smola, "Dive into Deep Learning", sections 7.6 and 8.5: sigmoids, average
pooling, and a plain linear layer where the paper has Gaussian connections.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import nn
from ._network import Network
from ._options import ImageSize, check_choice, check_counts, image_sides
from ._registry import register

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}


@register(smallest=12)
def lenet(
    num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid", image_size: ImageSize = 28
) -> Network:
    """LeNet-5: 2 convolutions, 3 linear layers; for images of 28x28; 61,706 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        activation: what follows each layer but the last: "sigmoid" as in the notes, "tanh" as in the paper, "relu" or
            "gelu".
        image_size: the side of the images, or (H, W); at least 12.

    Raises:
        ValueError: if the activation is unknown or another option out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.lenet()
        >>> sum(p.numel() for p in net.parameters())
        61706
    """
    act, (height, width) = _settings("lenet", num_classes, in_channels, activation, image_size, smallest=12)
    return Network(  # the shape after each line, for N images (N, 1, 28, 28):
        nn.Conv2d(in_channels, 6, kernel_size=5, padding=2),  # (N, 6, 28, 28)
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 6, 14, 14)
        nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 16, 5, 5)
        nn.Flatten(),  # (N, 400)
        nn.Linear(16 * _side_left(height) * _side_left(width), 120),  # (N, 120)
        act(),
        nn.Linear(120, 84),  # (N, 84)
        act(),
        nn.Linear(84, num_classes),  # (N, num_classes)
        name="lenet",
        input_shape=(in_channels, height, width),
        smallest=12,
        exact=True,
    )


@register(smallest=16)
def lenet_bn(
    num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid", image_size: ImageSize = 28
) -> Network:
    """LeNet with batch normalisation; for images of 28x28; 44,878 parameters.

    Normalisation stands behind every layer but the last. As in the notes, the first convolution has no padding here, so
    that the first linear layer has fewer inputs.
    Normalisation: S. Ioffe and C. Szegedy, "Batch Normalization" (2015).

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        activation: as in `lenet`.
        image_size: the side of the images, or (H, W); at least 16.

    Raises:
        ValueError: if the activation is unknown or another option out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.lenet_bn()
        >>> sum(p.numel() for p in net.parameters())
        44878
    """
    act, (height, width) = _settings("lenet_bn", num_classes, in_channels, activation, image_size, smallest=16)
    return Network(  # the shape after each line, for N images (N, 1, 28, 28):
        nn.Conv2d(in_channels, 6, kernel_size=5),  # (N, 6, 24, 24)
        nn.BatchNorm2d(6),
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 6, 12, 12)
        nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 8, 8)
        nn.BatchNorm2d(16),
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 16, 4, 4)
        nn.Flatten(),  # (N, 256)
        nn.Linear(16 * _side_left(height - 4) * _side_left(width - 4), 120),  # (N, 120)
        nn.BatchNorm1d(120),
        act(),
        nn.Linear(120, 84),  # (N, 84)
        nn.BatchNorm1d(84),
        act(),
        nn.Linear(84, num_classes),  # (N, num_classes)
        name="lenet_bn",
        input_shape=(in_channels, height, width),
        smallest=16,
        exact=True,
    )


def _settings(
    name: str, num_classes: int, in_channels: int, activation: str, image_size: ImageSize, smallest: int
) -> tuple[Callable[[], nn.Module], tuple[int, int]]:
    """The activation's class and (H, W), once the options are found to be good."""
    check_counts(name, num_classes=num_classes, in_channels=in_channels)
    check_choice(name, "activation", activation, tuple(_ACTIVATIONS))
    return _ACTIVATIONS[activation], image_sides(name, image_size, smallest)


def _side_left(side: int) -> int:
    """What pooling, the second convolution and pooling leave of a side of the first convolution's output."""
    return (side // 2 - 4) // 2
