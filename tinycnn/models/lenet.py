"""LeNet-5, the network that read handwritten cheques.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE,
1998, in the form of Zhang, Lipton, Li, Smola, "Dive into Deep Learning", section 7.6: sigmoids, average pooling, and a
plain linear layer where the paper has Gaussian connections.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import nn
from ._registry import register

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}


@register
def lenet(num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid") -> nn.Sequential:
    """LeNet-5: two convolutions and three linear layers, for images of 28x28; 61,706 parameters.

    Args:
        num_classes: the number of outputs.
        in_channels: the number of the image's channels.
        activation: what follows each layer but the last: "sigmoid" as in the notes, "tanh" as in the paper, "relu" or
            "gelu".

    Raises:
        ValueError: if the activation is unknown.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.lenet()
        >>> sum(p.numel() for p in net.parameters())
        61706
    """
    if activation not in _ACTIVATIONS:
        raise ValueError(f"lenet: activation {activation!r} is unknown, there are {', '.join(_ACTIVATIONS)}")
    act = _ACTIVATIONS[activation]
    return nn.Sequential(  # the shape after each line, for N images (N, 1, 28, 28):
        nn.Conv2d(in_channels, 6, kernel_size=5, padding=2),  # (N, 6, 28, 28)
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 6, 14, 14)
        nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
        act(),
        nn.AvgPool2d(kernel_size=2, stride=2),  # (N, 16, 5, 5)
        nn.Flatten(),  # (N, 400)
        nn.Linear(16 * 5 * 5, 120),  # (N, 120)
        act(),
        nn.Linear(120, 84),  # (N, 84)
        act(),
        nn.Linear(84, num_classes),  # (N, num_classes)
    )
