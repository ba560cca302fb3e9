"""The multilayer perceptron: the network without convolutions that all others are measured against.

Zhang, Lipton, Li, Smola, "Dive into Deep Learning", sections 5.2 and, for dropout, 5.6.
"""

from __future__ import annotations

import math

from .. import nn
from ._network import Network
from ._options import ImageSize, check_counts, check_probability, image_sides
from ._registry import register


@register
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    hidden: int | tuple[int, ...] = 256,
    dropout: float = 0.0,
    image_size: ImageSize = 28,
) -> Network:
    """A multilayer perceptron: linear layers with ReLU between; for images of 28x28; 203,530 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        hidden: the width of the hidden layer, or those of several.
        dropout: the probability of zero behind each hidden layer; at 0 there is no such layer.
        image_size: the side of the images, or (H, W).

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import tinycnn
        >>> tinycnn.models.mlp(hidden=(64, 32), dropout=0.5)
        Sequential(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(in_features=784, out_features=64, bias=True)
          (2): ReLU()
          (3): Dropout(p=0.5, inplace=False)
          (4): Linear(in_features=64, out_features=32, bias=True)
          (5): ReLU()
          (6): Dropout(p=0.5, inplace=False)
          (7): Linear(in_features=32, out_features=10, bias=True)
        )
    """
    check_counts("mlp", num_classes=num_classes, in_channels=in_channels)
    widths = tuple(hidden) if isinstance(hidden, (tuple, list)) else (hidden,)
    for width in widths:
        check_counts("mlp", hidden=width)
    check_probability("mlp", dropout=dropout)
    input_shape = in_channels, *image_sides("mlp", image_size, 1)
    layers: list[nn.Module] = [nn.Flatten()]  # (N, C, H, W) -> (N, C H W)
    features = math.prod(input_shape)
    for width in widths:
        layers += [nn.Linear(features, width), nn.ReLU()]  # (N, width)
        if dropout:
            layers.append(nn.Dropout(dropout))
        features = width
    layers.append(nn.Linear(features, num_classes))  # (N, num_classes)
    return Network(*layers, name="mlp", input_shape=input_shape, exact=True)
