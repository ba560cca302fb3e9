"""Which networks there are, by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from .. import nn

_F = TypeVar("_F", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class ModelInfo:
    """A network as the command line sees it.

    Attributes:
        name: the name of its function.
        function: makes the network.
        input_shape: (C, H, W) of the images it is usually given.
        smallest: the shortest side of an image that it takes, or that it can be made for if it has an `image_size`.
        summary: the first line of its docstring; `tinycnn models` shows what stands there behind the colon, up to the
            first semicolon.
    """

    name: str
    function: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    smallest: int
    summary: str

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the function's arguments."""
        return tuple(inspect.signature(self.function).parameters)


_models: dict[str, ModelInfo] = {}


@overload
def register(function: _F, /) -> _F: ...
@overload
def register(*, input_shape: tuple[int, int, int] = ..., smallest: int = ...) -> Callable[[_F], _F]: ...
def register(
    function: _F | None = None, /, *, input_shape: tuple[int, int, int] = (1, 28, 28), smallest: int = 1
) -> Any:
    """Make a function that returns a network known under its name: `@register`, `@register(input_shape=(3, 64, 64))`.

    Args:
        function: makes the network; its arguments have defaults.
        input_shape: (C, H, W) of the images it is usually given.
        smallest: the shortest side of an image that it takes, or that it can be made for if it has an `image_size`.

    Raises:
        ValueError: if there is a network of that name.
    """

    def add(function: _F) -> _F:
        name = function.__name__
        if name in _models:
            raise ValueError(f"a network called {name!r} is registered already")
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        _models[name] = ModelInfo(name, function, input_shape, smallest, summary)
        return function

    return add if function is None else add(function)


def available() -> list[str]:
    """The names of all networks.

    Example:
        >>> import tinycnn
        >>> "lenet" in tinycnn.models.available()
        True
    """
    return sorted(_models)


def get(name: str) -> ModelInfo:
    """What is known of a network.

    Raises:
        ValueError: if there is none of that name; the message lists near names.
    """
    if name not in _models:
        near = difflib.get_close_matches(name, _models, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(available())}"
        raise ValueError(f"no network is called {name!r}; {hint}")
    return _models[name]


def create(name: str, **options: Any) -> nn.Module:
    """A new network by name.

    Args:
        name: one of `available()`.
        options: the arguments of its function.

    Raises:
        ValueError: if the name is unknown.
        TypeError: if the network has no such option.

    Example:
        >>> import tinycnn
        >>> net = tinycnn.models.create("lenet", num_classes=26)
        >>> net(tinycnn.zeros(2, 1, 28, 28)).shape
        tinycnn.Size([2, 26])
    """
    info = get(name)
    unknown = sorted(set(options) - set(info.options))
    if unknown:
        wrong, right = ", ".join(map(repr, unknown)), ", ".join(info.options)
        raise TypeError(f"{name}: no option is called {wrong}; there are {right}")
    return info.function(**options)
