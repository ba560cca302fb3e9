"""The arguments of PyTorch's functions, methods and layers, taken from PyTorch itself."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch

# Arguments that no user is meant to give.
HIDDEN = {"_stacklevel", "implicit", "args", "kwargs", "self"}
_HIDDEN_OF = {"copy_": {"other"}, "result_type": {"scalar"}, "normal": {"input"}, "to": {"layout", "pin_memory"}}
MAKERS = set("arange empty eye full linspace ones rand randint randn randperm zeros normal".split())
# These hand on to one of two functions, the second with the same arguments but for return_indices.
_DISPATCHED = {"max_pool2d": "max_pool2d_with_indices", "adaptive_max_pool2d": "adaptive_max_pool2d_with_indices"}


@dataclass(frozen=True)
class Signature:
    """One way of calling: the arguments that may be given by position, in order, and those by name only."""

    positional: tuple[str, ...]
    by_name: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        return {*self.positional, *self.by_name}


def _of_python(function: Any) -> Signature | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional, by_name, hidden = [], [], False
    for p in parameters:
        hidden = hidden or (p.name in HIDDEN and p.name != "self")  # what comes after it is out of a user's reach
        if p.name == "self" or p.name not in HIDDEN:
            (by_name if hidden or p.kind is p.KEYWORD_ONLY else positional).append(
                "input" if p.name == "self" else p.name
            )
    return Signature(tuple(positional), tuple(by_name))


def _of_schemas(name: str) -> list[Signature]:
    """The overloads of a function written in C++, as its Python bindings are made from them."""
    found = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        first = schema.arguments[0] if schema.arguments else None
        text = str(schema)
        if first is None or "Dimname" in text or schema.overload_name == "hacked_twin":
            continue
        tensors = [a for a in schema.arguments if "Tensor" in str(a.type)]
        of_script = first.name in {"a", "t", "l", "list"} or (
            first.name == "self" and str(first.type).startswith("List")
        )
        if of_script or (not tensors and name not in MAKERS):
            continue
        positional, by_name = [], []
        for a in schema.arguments:
            out = a.is_out or (a.alias_info is not None and a.alias_info.is_write and a.name != "self")
            called = "out" if out else "input" if a.name == "self" else a.name
            (by_name if a.kwarg_only or out else positional).append(called)
        if name in MAKERS:
            by_name.append("requires_grad")
        found.append(Signature(tuple(positional), tuple(dict.fromkeys(by_name))))
    return found


def _of_docs(function: Any) -> list[Signature]:
    """The arguments in the first line of the documentation."""
    match = re.search(r"\w+\((.*?)\)\s*->", function.__doc__ or "", re.DOTALL)
    if not match:
        return []
    plain = re.sub(r":\s*[\w.]+(\[[^\]]*\])?(\s*\|\s*\w+)*", "", match.group(1))  # without annotations
    before, _, after = plain.partition("*,")
    return [Signature(*(tuple(re.findall(r"(\w+)(?:\s*=[^,]*)?(?:,|$)", part)) for part in (before, after)))]


@functools.cache
def signatures(space: str, name: str) -> tuple[Signature, ...]:
    """All ways to call torch.name, torch.Tensor.name or torch.nn.functional.name."""
    place = {"torch": torch, "Tensor": torch.Tensor, "functional": torch.nn.functional}[space]
    if space == "functional" and name in _DISPATCHED:
        of = _of_python(getattr(torch.nn.functional, _DISPATCHED[name]))
        assert of is not None
        return (of,)
    function = getattr(place, name)
    of_python = _of_python(function)
    if of_python is not None:
        return (of_python,)
    found = _of_schemas(name) or _of_docs(function)
    if space == "Tensor":
        found = [Signature(s.positional, tuple(n for n in s.by_name if n != "out")) for s in found]
    return tuple(found)


def arguments(space: str, name: str) -> set[str]:
    """The names of all arguments that a user may give."""
    return {n for s in signatures(space, name) for n in s.names} - HIDDEN - _HIDDEN_OF.get(name, set())


def layer_arguments(name: str) -> set[str]:
    """The names of the arguments of a layer's constructor."""
    of = _of_python(getattr(torch.nn, name).__init__)
    assert of is not None
    return of.names - HIDDEN - {"input"}


def by_position(space: str, name: str, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What is given, as far as possible by position in PyTorch's order."""
    if name.startswith("__"):
        return list(given.values()), {}
    fitting = [s for s in signatures(space, name) if set(given) <= s.names]
    if not fitting:  # the tensor first, at least
        first = [n for n in ("input", "tensor") if n in given][:1]
        return [given[n] for n in first], {n: v for n, v in given.items() if n not in first}
    longest = max(fitting, key=lambda s: next((i for i, n in enumerate(s.positional) if n not in given), 99))
    args, rest = [], dict(given)
    for n in longest.positional:
        if n not in rest:
            break
        args.append(rest.pop(n))
    return args, rest
