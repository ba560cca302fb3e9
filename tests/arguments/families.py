"""All tables together: which calls are compared, and in which forms."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import torch

import tinycnn
from arguments import (
    activation,
    arithmetic,
    conversion,
    convolution,
    creation,
    elementwise,
    indexing,
    layers,
    linalg,
    loss,
    normalisation,
    reduce,
    shape,
)
from arguments.case import Entry
from arguments.compare import place

MODULES: tuple[ModuleType, ...] = (
    activation, arithmetic, conversion, convolution, creation, elementwise, indexing, linalg, loss,
    normalisation, reduce, shape,
)  # fmt: skip
LAYERS = {layer.name: layer for layer in layers.TABLE}

# Switches and states, none of them an operation; their own tests are elsewhere.
NO_OPERATIONS = set(
    "enable_grad no_grad set_grad_enabled is_grad_enabled manual_seed seed initial_seed get_rng_state set_rng_state "
    "get_default_device set_default_device get_default_dtype set_default_dtype get_num_threads set_num_threads "
    "get_float32_matmul_precision set_float32_matmul_precision "
    "backward register_hook numpy cuda from_numpy pin_memory is_pinned get_autocast_dtype is_autocast_enabled".split()
)
CONTAINERS = set("Sequential ModuleList ModuleDict ParameterList ParameterDict Module Parameter".split())
CONTAINERS |= {"UninitializedParameter", "UninitializedBuffer"}


class Form(NamedTuple):
    """One way of calling one name: as a function of a module or as a method, by name, by position, number by number."""

    space: str
    name: str
    form: str
    entry: Entry

    @property
    def first(self) -> bool:
        """Whether this is the form in which all cases are run."""
        return self.name == self.entry.name and self.form == ("names" if self.entry.names else "positions")

    def __str__(self) -> str:
        return f"{self.space}.{self.name}-{self.form}"


def both_have(space: str, name: str) -> bool:
    return all(hasattr(place(library, space), name) for library in (tinycnn, torch))


def forms(module: ModuleType, entry: Entry) -> Iterator[Form]:
    """All ways of calling the operation that both libraries have."""
    space = getattr(module, "SPACE", "torch")
    for name in (entry.name, *entry.also):
        for kind in ("names", "positions", "spread"):
            if (kind == "names" and not entry.names) or (kind == "spread" and not entry.spread):
                continue
            if entry.function and both_have(space, name):
                yield Form(space, name, kind, entry)
            if entry.method and kind != "names" and both_have("Tensor", name):
                yield Form("Tensor", name, kind, entry)


FORMS = [form for module in MODULES for entry in module.TABLE for form in forms(module, entry)]
ENTRIES: dict[str, list[Entry]] = {}
for _form in FORMS:
    if _form.entry not in ENTRIES.setdefault(_form.name, []):
        ENTRIES[_form.name].append(_form.entry)

IN_PLACE = sorted(
    name
    for name in dir(tinycnn.Tensor)
    if name.endswith("_")
    and not name.startswith("_")
    and name not in ENTRIES
    and name[:-1] in ENTRIES
    and hasattr(torch.Tensor, name)
)
