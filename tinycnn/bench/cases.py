"""What is measured: a network, the side of its images, how many of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .. import models


@dataclass(frozen=True)
class Case:
    """A network to be measured on random images (batch, in_channels, size, size).

    Attributes:
        network: its name in `tinycnn.models`.
        size: the side of the images.
        batch: how many there are.
        options: arguments of the network; `image_size` is added where a network takes one.

    Example:
        >>> Case("vgg11", 224, 8, {"ratio": 4}).label
        'vgg11/4 224x224, 8'
    """

    network: str
    size: int
    batch: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        others = "".join(f" {name}={value}" for name, value in self.options.items() if name != "ratio")
        ratio = f"/{self.options['ratio']}" if self.options.get("ratio", 1) != 1 else ""
        return f"{self.network}{ratio}{others} {self.size}x{self.size}, {self.batch}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The network's arguments, with the image size where it wants to know."""
        takes_size = "image_size" in models.get(self.network).options
        return {**self.options, "image_size": self.size} if takes_size else dict(self.options)

    def image_shape(self) -> tuple[int, int, int, int]:
        return self.batch, int(self.options.get("in_channels", 1)), self.size, self.size


# The sizes at which the book trains each network, or smaller ones where those take two cores a second a step.
CASES = (
    Case("mlp", 28, 256),
    Case("lenet", 28, 256),
    Case("lenet", 28, 32),
    Case("lenet_bn", 28, 256),
    Case("alexnet", 224, 8),
    Case("vgg11", 224, 8, {"ratio": 4}),
    Case("vgg11", 224, 4),
    Case("nin", 224, 8),
    Case("googlenet", 96, 16),
    Case("resnet18", 96, 16),
    Case("resnet18", 224, 8),
    Case("densenet", 96, 16),
)
_DEEPER = (96, 4)  # size and batch of a network that has no case of its own: the deeper of each family


def find_case(network: str, size: int | None = None, batch: int | None = None) -> list[Case]:
    """The cases of a network, at another size or batch if they are given.

    Raises:
        ValueError: if there is no such network, its images have to be larger, or the batch is empty.

    Example:
        >>> [case.label for case in find_case("lenet", batch=1)]
        ['lenet 28x28, 1']
    """
    smallest = models.get(network).smallest
    if size is not None and size < smallest:
        raise ValueError(f"{network}: images must be at least {smallest}x{smallest}, got {size}x{size}")
    if batch is not None and batch < 1:
        raise ValueError(f"a batch must have at least one image, got {batch}")
    found: list[Case] = []
    for case in [case for case in CASES if case.network == network] or [Case(network, *_DEEPER)]:
        wanted = dataclasses.replace(case, size=size or case.size, batch=batch or case.batch)
        if wanted not in found:
            found.append(wanted)
    return found
