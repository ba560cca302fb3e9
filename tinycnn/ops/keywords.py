"""The keywords of PyTorch that our signatures do not spell out: the other names of an argument, `out`, the old
`size_average` and `reduce` of losses, and those that are not supported, which are refused by name.

`ops/__init__` puts `with_pytorch_keywords` around every public function, and around the methods that need it; the
functions call each other without it.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from ..autograd import Tensor, is_grad_enabled
from ..autograd.autocast import modes
from .mistakes import MISTAKES, explained

_F = TypeVar("_F", bound=Callable[..., Any])

# Arguments under a second name: NumPy's, or that of one of PyTorch's overloads.
ALIASES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "axis0": "dim0",
    "axis1": "dim1",
    "split_size": "split_size_or_sections",
}
_OF_FUNCTIONS = {
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
    "tensor": "input",
}  # NumPy's; in functions, not in methods

_MAKERS = "arange empty empty_like eye full full_like linspace ones ones_like rand rand_like randint randn randn_like"
_MAKERS += " randperm zeros zeros_like new_empty new_full new_ones new_tensor new_zeros"

# What is not supported: which functions of PyTorch take it, and what to do instead. None and False are no request.
UNSUPPORTED: dict[str, tuple[frozenset[str], str]] = {
    "layout": (frozenset((_MAKERS + " normal").split()), "tensors are always dense"),
    "pin_memory": (frozenset((_MAKERS + " normal tensor").split()), "call .pin_memory() on the result"),
    "sparse_grad": (frozenset(["gather"]), "gradients are always dense"),
    "out_dtype": (frozenset(["bmm", "mm"]), "cast the operands or the result with .to(dtype)"),
    "dtype": (frozenset(["view"]), "memory cannot be read as another dtype; convert the values with .to(dtype)"),
    "min_value": (frozenset(["Hardtanh"]), "PyTorch has withdrawn it: write min_val"),
    "max_value": (frozenset(["Hardtanh"]), "PyTorch has withdrawn it: write max_val"),
}


def refuse(function: str, argument: str) -> NoReturn:
    """Raise what an unsupported argument of PyTorch raises.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(f"{function}: the argument {argument} is not supported; {UNSUPPORTED[argument][1]}")


def with_pytorch_keywords(function: _F, *, name: str = "", method: bool = False) -> _F:
    """function, taking the keywords of PyTorch's function of the same name that its own signature does not have.

    Args:
        name: what PyTorch calls it, if not as function is called.
        method: whether it becomes a method: these take no `out` and keep to the aliases of their own.
    """
    name = name or function.__name__
    parameters = inspect.signature(function).parameters
    kinds = {p.kind: p.name for p in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:  # it hands on what it gets
        return function
    rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)  # f(input, *dims): PyTorch takes dims=(0, 1) too
    leading = list(parameters)[: list(parameters).index(rest)] if rest else []
    own = frozenset(parameters) - {rest}
    known = ALIASES if method else ALIASES | _OF_FUNCTIONS
    aliases = {other: one for other, one in known.items() if one in own and other not in own}
    refused = frozenset(argument for argument, (functions, _) in UNSUPPORTED.items() if name in functions) - own
    reduces = "reduction" in own
    if method and not (rest or aliases or refused or reduces):
        return function

    def translated(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for given in [k for k in kwargs if k not in own]:
            if given in aliases:
                one = aliases[given]
                if one in kwargs:
                    raise TypeError(f"{name}: {given} and {one} are the same argument, give one")
                kwargs[one] = kwargs.pop(given)
            elif given in refused:
                if kwargs.pop(given) not in (None, False):
                    refuse(name, given)
            elif given == rest:
                before = [kwargs.pop(p) for p in leading[len(args) :] if p in kwargs]
                args = (*args, *before, kwargs.pop(given))
        if reduces:
            _translate_reduction(name, kwargs)
        out = None if method else kwargs.pop("out", None)
        result = function(*args, **kwargs)
        return result if out is None else _write_out(name, out, result)

    plain = getattr(function, "outside_autocast", function)  # where autocast is off, this is the only layer around it

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            if not kwargs or kwargs.keys() <= own:
                return function(*args, **kwargs) if modes.dtypes else plain(*args, **kwargs)
            return translated(args, kwargs)
        except MISTAKES as error:
            clear = explained(name, error, args, kwargs)
            if clear is error:
                raise
            raise clear from error

    return called  # type: ignore[return-value]


def _translate_reduction(name: str, kwargs: dict[str, Any]) -> None:
    """Turn a loss's old `size_average` and `reduce` into `reduction`."""
    average, reduce = kwargs.pop("size_average", None), kwargs.pop("reduce", None)
    if average is None and reduce is None:
        return
    kwargs["reduction"] = "none" if reduce is False else "sum" if average is False else "mean"
    new = f"reduction={kwargs['reduction']!r}"
    warnings.warn(f"{name}: size_average and reduce are deprecated, write {new}", DeprecationWarning, stacklevel=4)


def _write_out(name: str, out: Any, result: Any) -> Any:
    """Write what a function returned into the tensor, or the tensors, given as `out`.

    Raises:
        TypeError: if out is no tensor, or not as many as there are results.
        RuntimeError: if a gradient is wanted, or a result does not fit.
    """
    if isinstance(result, tuple):
        if not isinstance(out, tuple | list) or len(out) != len(result):
            raise TypeError(f"{name}: out must be {len(result)} tensors, one for each result")
        written = [_write_out(name, one, value) for one, value in zip(out, result, strict=True)]
        return type(result)(*written) if hasattr(result, "_fields") else tuple(written)
    if not isinstance(out, Tensor) or not isinstance(result, Tensor):
        raise TypeError(f"{name}: out must be a tensor for a result that is one, got {type(out).__name__}")
    if is_grad_enabled() and (out.requires_grad or result.requires_grad):
        raise RuntimeError(f"{name}: out is a tensor to write to, through which no gradient goes; leave it out")
    if not out.array.size and result.array.size:  # as PyTorch does, an empty tensor takes on the result's shape
        out.array = out.backend.empty(result.array.shape, out.array.dtype)
    return out.assign_(result)
