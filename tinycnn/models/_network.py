"""What the networks of this package are: a Sequential that knows which images it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import nn
from ..autograd import Tensor


class Network(nn.Sequential):
    """A Sequential that looks at its input before it works: N images (N, C, H, W) of C channels and a size it can take.

    It prints, counts its modules, names its parameters and is sliced as the plain Sequential of the same layers; a
    slice is one. As with any Sequential, `for layer in net: x = layer(x)` passes through it step by step.

    Args:
        layers: the modules, or one dict of modules by name.
        name: what errors call it.
        input_shape: (C, H, W) of the images it is usually given.
        smallest: the shortest side of an image that reaches the last layer.
        exact: whether a linear layer behind `Flatten` makes H and W the only ones.

    Attributes:
        name, input_shape, smallest, exact: as above. Whoever gives the network another first layer sets `input_shape`.

    Raises:
        ValueError: when called, if the input is none of its images.
        TypeError: when called with what is no tensor.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> layers = nn.Conv2d(3, 8, kernel_size=5), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        >>> net = tinycnn.models.Network(*layers, name="tiny", input_shape=(3, 32, 32), smallest=5)
        >>> net(tinycnn.zeros(2, 3, 9, 7)).shape
        tinycnn.Size([2, 8])
        >>> net(tinycnn.zeros(2, 3, 9, 4))
        Traceback (most recent call last):
        ValueError: tiny: images of 9x4 are too small; the smallest it takes is 5x5, got input of shape (2, 3, 9, 4)
    """

    def __init__(
        self,
        *layers: Any,
        name: str,
        input_shape: tuple[int, int, int],
        smallest: int = 1,
        exact: bool = False,
    ) -> None:
        super().__init__(*layers)
        self.name, self.input_shape, self.smallest, self.exact = name, input_shape, smallest, exact

    def forward(self, input: Any) -> Any:
        """The last layer's output, (N, num_classes)."""
        self._check(input)
        return super().forward(input)

    def _check(self, input: Any) -> None:
        channels, height, width = self.input_shape
        if not isinstance(input, Tensor):
            raise TypeError(f"{self.name}: expected a tensor {self._wanted()}, got {type(input).__name__}")
        shape = input.array.shape
        if len(shape) != 4:
            raise ValueError(f"{self.name}: expected images {self._wanted()}, got input of shape {shape}")
        if shape[1] != channels:
            raise ValueError(
                f"{self.name}: expected images of {channels} {'channel' if channels == 1 else 'channels'}, got input "
                f"of shape {shape}, which has {shape[1]}; make it with in_channels={shape[1]}"
            )
        if self.exact and shape[2:] != (height, width):
            cure = f"make it with image_size={shape[2] if shape[2] == shape[3] else shape[2:]}"
            if min(shape[2:]) < self.smallest:
                cure = f"the smallest it can be made for is {self.smallest}x{self.smallest}"
            raise ValueError(f"{self.name}: expected images of {height}x{width}, got input of shape {shape}; {cure}")
        if min(shape[2:]) < self.smallest:
            raise ValueError(
                f"{self.name}: images of {shape[2]}x{shape[3]} are too small; the smallest it takes is "
                f"{self.smallest}x{self.smallest}, got input of shape {shape}"
            )

    def _wanted(self) -> str:
        channels, height, width = self.input_shape
        return f"(N, {channels}, {height}, {width})" if self.exact else f"(N, {channels}, H, W)"

    def _part(self, index: slice) -> nn.Sequential:
        return self._plain()[index]

    def __add__(self, other: Iterable[nn.Module]) -> Any:
        return self._plain() + other

    def __repr__(self) -> str:
        return repr(self._plain())

    def _plain(self) -> nn.Sequential:
        return nn.Sequential(dict(self._modules))
