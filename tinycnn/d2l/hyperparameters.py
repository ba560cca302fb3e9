"""What the book's classes are written with: methods added from later cells, and arguments that become attributes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def add_to_class(cls: type) -> Callable[[_F], _F]:
    """Make a function a method of a class that is there already: `@add_to_class(A)`.

    Example:
        >>> class A:
        ...     b = 1
        >>> a = A()
        >>> @add_to_class(A)
        ... def do(self):
        ...     return self.b
        >>> a.do()
        1
    """

    def add(function: _F) -> _F:
        setattr(cls, function.__name__, function)
        return function

    return add


class HyperParameters:
    """Gives a class `save_hyperparameters`."""

    def save_hyperparameters(self, ignore: Sequence[str] = ()) -> None:
        """Make attributes of the arguments of the method that calls this, usually `__init__`.

        Args:
            ignore: the names of those to leave out; names that begin with _ are left out too.

        Example:
            >>> class B(HyperParameters):
            ...     def __init__(self, a, b, c):
            ...         self.save_hyperparameters(ignore=["c"])
            >>> b = B(a=1, b=2, c=3)
            >>> b.a, b.b, b.hparams, hasattr(b, "c")
            (1, 2, {'a': 1, 'b': 2}, False)
        """
        frame = inspect.currentframe()
        caller = None if frame is None else frame.f_back
        if caller is None:
            raise RuntimeError("save_hyperparameters: it must be called by a method")
        names = inspect.getargvalues(caller).locals
        left_out = {"self", *ignore}
        self.hparams = {k: v for k, v in names.items() if k not in left_out and not k.startswith("_")}
        for name, value in self.hparams.items():
            setattr(self, name, value)
