"""Whether operations are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`, and the anomaly mode."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


class _State(threading.local):
    enabled = True
    anomaly = False
    recomputing = False  # a checkpoint's second call, which must leave no trace but its result
    in_backward = False  # then a NaN is reported as the backward's, not as that of an operation it is made of


state = _State()  # of this thread


def is_recomputing() -> bool:
    """Whether a checkpoint is calling its function for the second time, in this thread: batch normalisation has counted
    this batch already."""
    return state.recomputing


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require a gradient are recorded now, in this thread."""
    return state.enabled


class _Mode:
    """Sets one flag of `state` for a `with` block or, as a decorator, for a function's calls."""

    _flag = "enabled"

    def __init__(self, value: bool) -> None:
        self._value = value
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(getattr(state, self._flag))
        setattr(state, self._flag, self._value)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        setattr(state, self._flag, self._before.pop())

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before = getattr(state, self._flag)
            setattr(state, self._flag, self._value)
            try:
                return function(*args, **kwargs)
            finally:
                setattr(state, self._flag, before)

        return wrapped  # type: ignore[return-value]


class _Switch(_Mode):
    """A mode that also acts as a plain call: the flag is set as soon as the object is made."""

    def __init__(self, value: bool) -> None:
        super().__init__(bool(value))
        super().__enter__()
        self._entered = True

    def __enter__(self) -> None:
        if self._entered:  # by being made: a `with` ends what began there
            self._entered = False
        else:
            super().__enter__()

    def __call__(self, function: _F) -> _F:
        if self._entered:  # a decorator acts in the function's calls only
            self._entered = False
            setattr(state, self._flag, self._before.pop())
        return super().__call__(function)


class no_grad(_Mode):  # noqa: N801 - PyTorch's name
    """A `with` block, or a decorator, in which nothing is recorded: results do not require a gradient.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.ones(2, requires_grad=True)
        >>> with tinycnn.no_grad():
        ...     (w * 2).requires_grad
        False
    """

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__(False)

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = super().__new__(cls)
        if function is None:
            return mode
        cls.__init__(mode)  # used as a bare decorator: @no_grad
        return mode(function)


class enable_grad(_Mode):  # noqa: N801
    """A `with` block, or a decorator, in which operations are recorded even inside a `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Switch):  # noqa: N801
    """Turn recording on or off: for good as a call, for a `with` block, or as a decorator for a function's calls."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)


class detect_anomaly(_Mode):  # noqa: N801
    """A `with` block that raises at the first NaN, in a forward or a backward, and names the operation that made it.

    It looks at every result, so training is slower in it.

    Raises:
        RuntimeError: inside the block, from the operation whose result has a NaN while its inputs had none.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([-1.0], requires_grad=True)
        >>> with tinycnn.autograd.detect_anomaly():
        ...     x.log()
        Traceback (most recent call last):
            ...
        RuntimeError: Log returned nan in its output 0 (shape (1,)); its inputs had none
    """

    _flag = "anomaly"

    def __init__(self, mode: bool = True) -> None:
        super().__init__(mode)


class set_detect_anomaly(_Switch):  # noqa: N801
    """Turn anomaly detection on or off: for good as a call, for a `with` block, or as a decorator."""

    _flag = "anomaly"

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
