"""The settings that a network is trained with on a data set unless others are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run; `options` are arguments of the network."""

    epochs: int = 10
    batch_size: int = 128
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    init: str = "default"
    options: dict[str, Any] = field(default_factory=dict)


_RECIPES = {
    # The paper's tanh: the sigmoids of the notes' form need thousands of steps to leave the plateau they start on, and
    # 1,437 images do not give that many in a minute.
    ("lenet", "digits"): Recipe(
        epochs=15,
        batch_size=32,
        lr=0.05,
        momentum=0.9,
        weight_decay=1e-3,
        init="xavier",
        options={"activation": "tanh"},
    ),
    # "Dive into Deep Learning", section 7.6.2, in its settings of 256 and 0.9.
    ("lenet", "fashion-mnist"): Recipe(epochs=10, batch_size=256, lr=0.9, momentum=0.0, init="xavier"),
    ("lenet", "mnist"): Recipe(epochs=10, batch_size=256, lr=0.9, momentum=0.0, init="xavier"),
}


def recipe_for(model: str, data: str) -> Recipe:
    """The settings for a network and a data set by name; general ones if there are none of their own.

    Example:
        >>> import tinycnn
        >>> tinycnn.train.recipe_for("lenet", "fashion-mnist").lr
        0.9
    """
    return _RECIPES.get((model, data), Recipe())
