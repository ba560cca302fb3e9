"""How the weights of a network may start."""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor

INITS = ("default", "xavier", "kaiming")


def initialize(model: nn.Module, how: str) -> nn.Module:
    """Draw the weights of all Linear and Conv2d layers anew; returns the model.

    Args:
        model: the network; lazy layers must have seen a batch.
        how: "default" leaves PyTorch's default of the layers; "xavier" is xavier_uniform_, as the notes' `init_weights`
            (Glorot, Bengio 2010); "kaiming" is kaiming_normal_ for relu (He et al. 2015). Biases stay as they are.

    Raises:
        ValueError: if `how` is none of these.
    """
    if how not in INITS:
        raise ValueError(f"initialize: {how!r} is unknown, there are {', '.join(INITS)}")
    if how == "default":
        return model
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, (nn.Linear, nn.Conv2d)) and isinstance(weight, Tensor):
            if how == "xavier":
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return model
