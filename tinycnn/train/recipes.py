"""The settings that a network is trained with on a data set unless others are asked for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        resize: the side that images are brought to if they are smaller; None leaves them.
        options: arguments of the network.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    init: str = "default"
    optimizer: str = "sgd"
    scheduler: str = "none"
    resize: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


def _notes(lr: float, batch_size: int = 128, **others: Any) -> Recipe:
    """As "Dive into Deep Learning" trains: plain SGD for ten epochs, from Xavier weights."""
    return Recipe(batch_size=batch_size, lr=lr, momentum=0.0, init="xavier", **others)


# Fashion-MNIST in the settings of the notes' second edition (chapters 5, 7 and 8). There AlexNet, VGG and NiN see
# images of 224x224 and ResNet of 96x96; here 96x96 and 28x28, which take a fifth to a tenth of the time. `--resize 224`
# and `--resize 96` give the notes' own.
_FASHION = {
    "mlp": _notes(0.1, 256),
    "lenet": _notes(0.9, 256),
    "lenet_bn": _notes(0.1),
    "alexnet": _notes(0.01, resize=96),
    "vgg": _notes(0.01, resize=96, options={"ratio": 4}),
    "nin": _notes(0.05, resize=96),
    "googlenet": _notes(0.01, resize=96),
    "resnet": _notes(0.01),
    "densenet": _notes(0.01, resize=96),
}

# The digits are 1,437 images: small batches, momentum and a falling rate, so that some hundred steps are enough.
_FEW = Recipe(batch_size=32, lr=0.02, momentum=0.9, init="xavier", scheduler="cosine")

_DIGITS = {
    "mlp": dataclasses.replace(_FEW, epochs=15, lr=0.05),
    # The paper's tanh: the sigmoids of the notes' form need thousands of steps to leave the plateau they start on.
    "lenet": Recipe(
        epochs=15,
        batch_size=32,
        lr=0.05,
        momentum=0.9,
        weight_decay=1e-3,
        init="xavier",
        options={"activation": "tanh"},
    ),
    "lenet_bn": dataclasses.replace(_FEW, lr=0.05),
    "alexnet": dataclasses.replace(_FEW, lr=0.01, resize=72, options={"hidden": 1024}),
    "vgg": dataclasses.replace(_FEW, lr=0.01, resize=32, init="kaiming", options={"ratio": 4, "hidden": 512}),
    "nin": dataclasses.replace(_FEW, lr=0.01, resize=72, init="kaiming"),
    "googlenet": dataclasses.replace(_FEW, lr=0.01, resize=32, init="kaiming"),
    "resnet": dataclasses.replace(_FEW, epochs=5),
    "densenet": dataclasses.replace(_FEW, epochs=5, resize=32),
}

_BY_DATA = {"fashion-mnist": _FASHION, "mnist": _FASHION, "digits": _DIGITS}


def recipe_for(model: str, data: str) -> Recipe:
    """The settings for a network and a data set by name; general ones if there are none of their own.

    A network's number says how deep it is and does not count here: resnet18 and resnet50 have one recipe.

    Example:
        >>> import tinycnn
        >>> tinycnn.train.recipe_for("lenet", "fashion-mnist").lr
        0.9
    """
    return _BY_DATA.get(data, {}).get(model.rstrip("0123456789"), Recipe())
