"""Networks, one file a family. A file here that registers a function has added a network; no other is to be touched.

`models.lenet(num_classes=10)` makes one, and so does `models.create("lenet", num_classes=10)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from ._registry import ModelInfo, available, create, get, register

if TYPE_CHECKING:  # for type checkers and editors, which cannot see what the loop below finds
    from .lenet import lenet as lenet

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

# A network's function stands in the place of the file of that name, as it does in torchvision.
globals().update({name: get(name).function for name in available()})

__all__ = ["ModelInfo", "available", "create", "get", "register", *available()]  # noqa: PLE0604
