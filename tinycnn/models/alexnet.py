"""AlexNet, which won ImageNet 2012 and began the age of deep networks.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012), in the form of
Zhang, Lipton, Li, Smola, "Dive into Deep Learning", section 8.1: one device instead of two, so that no convolution is
grouped, and padding 1 at the first.
"""

from __future__ import annotations

from .. import nn
from ..ops.geometry import window_count
from ._network import Network
from ._options import ImageSize, check_counts, check_probability, image_sides, narrow
from ._registry import register

_SMALLEST = 65  # the last pooling still meets its window of 3x3


@register(input_shape=(1, 224, 224), smallest=_SMALLEST)
def alexnet(
    num_classes: int = 10,
    in_channels: int = 1,
    dropout: float = 0.5,
    local_response_norm: bool = False,
    ratio: int = 1,
    hidden: int = 4096,
    image_size: ImageSize = 224,
) -> Network:
    """AlexNet: 5 convolutions, 3 linear layers; for images of 224x224; 46,764,746 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        dropout: the probability of zero behind the two hidden linear layers.
        local_response_norm: whether local response normalisation follows the first two convolutions' ReLU, as in the
            paper (section 3.3: n = 5, k = 2, alpha = 1e-4, beta = 0.75).
        ratio: divides the channels of the convolutions.
        hidden: the width of the two hidden linear layers.
        image_size: the side of the images, or (H, W); at least 65.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.alexnet(ratio=16, hidden=64, image_size=96)
        >>> net(tinycnn.zeros(2, 1, 96, 96)).shape
        tinycnn.Size([2, 10])
    """
    check_counts("alexnet", num_classes=num_classes, in_channels=in_channels, hidden=hidden)
    check_probability("alexnet", dropout=dropout)
    height, width = image_sides("alexnet", image_size, _SMALLEST)
    c1, c2, c3 = (narrow("alexnet", channels, ratio) for channels in (96, 256, 384))

    def norm() -> list[nn.Module]:  # the layer's alpha is for the mean of five squares, the paper's for their sum
        return [nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)] if local_response_norm else []

    return Network(  # the shape after each line, for N images (N, 1, 224, 224):
        nn.Conv2d(in_channels, c1, kernel_size=11, stride=4, padding=1),  # (N, 96, 54, 54)
        nn.ReLU(),
        *norm(),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 96, 26, 26)
        nn.Conv2d(c1, c2, kernel_size=5, padding=2),  # (N, 256, 26, 26)
        nn.ReLU(),
        *norm(),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 256, 12, 12)
        nn.Conv2d(c2, c3, kernel_size=3, padding=1),  # (N, 384, 12, 12)
        nn.ReLU(),
        nn.Conv2d(c3, c3, kernel_size=3, padding=1),  # (N, 384, 12, 12)
        nn.ReLU(),
        nn.Conv2d(c3, c2, kernel_size=3, padding=1),  # (N, 256, 12, 12)
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),  # (N, 256, 5, 5)
        nn.Flatten(),  # (N, 6400)
        nn.Linear(c2 * _side_left(height) * _side_left(width), hidden),  # (N, 4096)
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),  # (N, 4096)
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),  # (N, num_classes)
        name="alexnet",
        input_shape=(in_channels, height, width),
        smallest=_SMALLEST,
        exact=True,
    )


def _side_left(side: int) -> int:
    """What the first convolution and the three poolings leave of a side; the other convolutions keep it."""
    side = window_count(side, kernel=11, stride=4, pads=2)
    for _ in range(3):
        side = window_count(side, kernel=3, stride=2, pads=0)
    return side
