"""Who hears of it when a kernel is compiled.

Compiling takes seconds, and the first training step on a machine compiles a dozen kernels: whoever waits wants to know
what for. `on_compile` tells a program. A person at a terminal, whose program has not asked, sees one line on the
standard error while a kernel is compiled, which then vanishes; in a notebook, where nothing can vanish, one line once.
A log gets nothing, nor does anyone if TINYCNN_COMPILE_PROGRESS is 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any

import numba.core.event

functions: set[FunctionType] = set()  # of which it is told that they are compiled
_ERASE = "\r\x1b[2K"


class _Listener(numba.core.event.Listener):  # type: ignore[misc]
    """Tells those who asked, or else the terminal."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[str], object]] = []
        self.compiled = 0

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if function not in functions:
            return
        name = function.__name__.removeprefix("_")
        for callback in self.callbacks:
            callback(name)
        if not self.callbacks:
            self._show(name)
        self.compiled += 1

    def on_end(self, event: Any) -> None:
        if not self.callbacks and event.data["dispatcher"].py_func in functions and _place() == "terminal":
            _write(_ERASE)

    def _show(self, name: str) -> None:
        place = _place()
        if place == "terminal":
            _write(f"{_ERASE}tinycnn: compiling {name} for this machine (first run only; it is kept)")
        elif place == "notebook" and not self.compiled:
            _write("tinycnn: compiling kernels for this machine (first run only; they are kept)\n")


def _place() -> str:
    """Where the standard error goes, as far as it matters here: "terminal", "notebook" or "" for anything else."""
    if os.environ.get("TINYCNN_COMPILE_PROGRESS") == "0":
        return ""
    if "ipykernel" in sys.modules:
        return "notebook"
    try:
        return "terminal" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else ""
    except (AttributeError, ValueError):  # none, or closed
        return ""


def _write(text: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


_listener = _Listener()
numba.core.event.register("numba:compile", _listener)


@contextmanager
def on_compile(callback: Callable[[str], object]) -> Iterator[None]:
    """Within the block, call callback(name) whenever a kernel is about to be compiled; loading it from disk is silent.

    A name can come more than once, for another dtype.
    """
    _listener.callbacks.append(callback)
    try:
        yield
    finally:
        _listener.callbacks.remove(callback)


__all__ = ["functions", "on_compile"]
