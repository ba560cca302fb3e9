"""Networks, one file a family. A file here that registers a function has added a network; no other is to be touched.

`models.lenet(num_classes=10)` makes one, and so does `models.create("lenet", num_classes=10)`. Beside the networks
stand the blocks that they are built of, and `vgg` and `resnet`, which build one of any depth.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from ._network import Network
from ._registry import ModelInfo, available, create, get, register

if TYPE_CHECKING:  # for type checkers and editors, which cannot see what the loop below finds
    from .alexnet import alexnet as alexnet
    from .densenet import (
        DenseBlock as DenseBlock,
        conv_block as conv_block,
        densenet as densenet,
        densenet121 as densenet121,
        densenet161 as densenet161,
        densenet169 as densenet169,
        densenet201 as densenet201,
        transition_block as transition_block,
    )
    from .googlenet import Inception as Inception, googlenet as googlenet
    from .lenet import lenet as lenet, lenet_bn as lenet_bn
    from .mlp import mlp as mlp
    from .nin import nin as nin, nin_block as nin_block
    from .resnet import (
        Bottleneck as Bottleneck,
        Residual as Residual,
        resnet as resnet,
        resnet18 as resnet18,
        resnet34 as resnet34,
        resnet50 as resnet50,
        resnet101 as resnet101,
        resnet152 as resnet152,
    )
    from .vgg import (
        vgg as vgg,
        vgg11 as vgg11,
        vgg13 as vgg13,
        vgg16 as vgg16,
        vgg19 as vgg19,
        vgg_block as vgg_block,
    )

# What a file offers beside its networks, it lists in `__all__`.
_found: dict[str, object] = {}
for _file in pkgutil.iter_modules(__path__):
    if not _file.name.startswith("_"):
        _module = importlib.import_module(f"{__name__}.{_file.name}")
        _found.update({name: getattr(_module, name) for name in getattr(_module, "__all__", ())})

# A network's function stands in the place of the file of that name, as it does in torchvision.
_found.update({name: get(name).function for name in available()})
globals().update(_found)

__all__ = ["ModelInfo", "Network", "available", "create", "get", "register", *_found]  # noqa: PLE0604
