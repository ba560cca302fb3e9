"""Multiply-accumulates: the measure of a network's work that papers give as "FLOPs" of one image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import nn


def count_macs(layer: nn.Module, input_shape: Sequence[int], output_shape: Sequence[int]) -> int:
    """How many multiply-accumulates a layer does for one image; 0 if it is neither a convolution nor linear.

    A multiply-accumulate is one a * b added to a sum. With an image (C, H, W), a weight (K, C / groups, R, S) and an
    output (K, P, Q):

        Conv2d            P * Q * K * (C / groups) * R * S
        ConvTranspose2d   H * W * C * (K / groups) * R * S
        Linear            in_features * out_features, at each place if there are several

    Biases, normalisation, activations and pooling are not counted, as they are not in the tables of the papers.

    Args:
        layer: the layer.
        input_shape: the shape of its input, of which the first dimension is that of the images.
        output_shape: likewise.

    Example:
        >>> from tinycnn import nn
        >>> count_macs(nn.Conv2d(1, 6, kernel_size=5, padding=2), (1, 1, 28, 28), (1, 6, 28, 28))
        117600
    """
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        return math.prod(output_shape[1:]) * math.prod(layer.weight.shape[1:])
    if isinstance(layer, nn.ConvTranspose2d):
        return math.prod(input_shape[1:]) * math.prod(layer.weight.shape[1:])
    return 0
