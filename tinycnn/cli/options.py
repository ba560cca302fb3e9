"""`--option NAME=VALUE`: what a network's function takes, typed as its signature says."""

from __future__ import annotations

import ast
import inspect
import typing
from typing import Any

from tinycnn import models

from .console import fail

# What the data and other options of the command decide.
_DECIDED = {
    "num_classes": "it is the number of the data's classes",
    "in_channels": "it is the number of the images' channels",
    "image_size": "it is the size of the images, see --resize",
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS = {bool: "yes or no", int: "an integer", float: "a number"}


def parse_options(network: str, given: list[str]) -> dict[str, Any]:
    """The arguments for a network's function; ends with a line that says what is wrong."""
    info = models.get(network)
    hints = typing.get_type_hints(info.function)
    names = [name for name in info.options if name not in _DECIDED]
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator:
            fail(f"--option: expected NAME=VALUE, got {text!r}")
        if name in _DECIDED and name in info.options:
            fail(f"--option {name}: cannot be set, {_DECIDED[name]}")
        if name not in names:
            fail(f"--option: {network} has no option {name!r}, {_those(names)}")
        if name in found:
            fail(f"--option {name}: given twice")
        default = inspect.signature(info.function).parameters[name].default
        found[name] = _typed(name, value.strip(), hints.get(name, type(default)))
    return found


def _those(names: list[str]) -> str:
    return f"there are {', '.join(names)}" if names else "it has none to choose"


def _typed(name: str, value: str, hint: Any) -> Any:
    if hint is str:
        return value
    if hint is bool:
        if value.lower() in _WORDS:
            return _WORDS[value.lower()]
    elif hint in (int, float):
        try:
            return hint(value)
        except ValueError:
            pass
    else:  # a tuple, a list, one of several types: as Python writes it; the function looks at it itself
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return fail(f"--option {name}: expected {_KINDS[hint]}, got {value!r}")
