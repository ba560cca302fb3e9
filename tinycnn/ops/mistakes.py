"""Errors that say which function was called, and with what.

An operation checks what it can foresee. What it cannot, a list where a tensor belongs, a word for a number, more memory
than there is, ends in an error of Python or NumPy that knows neither: at the edge of the package it gets both.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor

# Which error of Python's stands for which of ours: a user's tensor that is None has no attribute, but a wrong type.
_KINDS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (AttributeError, TypeError),
    (OverflowError, ValueError),
    (ZeroDivisionError, ValueError),
    (MemoryError, MemoryError),
    (IndexError, IndexError),
    (TypeError, TypeError),
    (ValueError, ValueError),
)
MISTAKES = tuple(kind for kind, _ in _KINDS)


def explained(name: str, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception:
    """The error to raise for one that came out of a function: itself if it names the function, else one that does.

    Example:
        >>> from tinycnn.ops.mistakes import explained
        >>> explained("exp", AttributeError("'str' object has no attribute 'array'"), ("x",), {})
        TypeError("exp('x'): 'str' object has no attribute 'array'")
    """
    text = str(error)
    if text.startswith((f"{name}:", f"{name}(")):
        return error
    kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
    given = [*map(_shown, args), *(f"{k}={_shown(v)}" for k, v in kwargs.items())]
    return kind(f"{name}({', '.join(given)}): {text or type(error).__name__}")


def _shown(value: Any) -> str:
    """An argument in a few words: a tensor by its dtype and shape."""
    if isinstance(value, Tensor):
        return f"{value.dtype!r}{tuple(value.array.shape)}"
    if isinstance(value, list | tuple) and any(isinstance(x, Tensor) for x in value):
        return f"[{', '.join(map(_shown, value[:4]))}{', ...' if len(value) > 4 else ''}]"
    try:
        text = repr(value)
    except AttributeError:  # a layer whose constructor failed
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
