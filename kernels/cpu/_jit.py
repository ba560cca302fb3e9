"""How the kernels of this folder are compiled and launched.

A kernel is a plain function whose outer loop is `for job in prange(jobs)`. `@kernel` compiles it twice, each time only
when it is first needed: with its jobs spread over threads, and with its jobs one after another, because starting the
threads costs about as much as adding up a hundred thousand numbers. Results never depend on which of the two ran, nor
on the number of threads: every job writes to a place of its own, and partial sums are cut by the shape of the data.

Compiled code is cached on disk (`cache=True`), in the `__pycache__` beside the source, or in the user's cache folder
when that cannot be written to. `_FAST_MATH` allows only what keeps NaN and infinity: fused multiply-add, and adding up
in another order.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

# Idle OpenMP threads that spin would fight with those of the BLAS for the cores. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numba
import numba.core.event
import numpy as np
from numba import prange

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

Array = Any

_FAST_MATH = {"contract", "reassoc"}
OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": _FAST_MATH, "nogil": True}
# Of Numba's parallel rewritings only prange: the others (array expressions, assignments to slices) triple compile time.
_ONLY_PRANGE = {
    name: name == "prange"
    for name in ("comprehension", "fusion", "inplace_binop", "numpy", "prange", "reduction", "setitem", "stencil")
}
_WORTH_THREADS = 1 << 16  # simple operations; less than this is done before the threads have started

functions: set[FunctionType] = set()  # all that were made kernels


class _Launch:
    """When threads may be started: by one caller at a time, for they use all cores anyway and Numba's `workqueue` layer
    bears no second one; and never in a forked process, where GNU's OpenMP would end the process."""

    lock = threading.Lock()
    allowed = True

    @classmethod
    def after_fork(cls) -> None:
        cls.allowed = False
        cls.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Launch.after_fork)


class Kernel:
    """A compiled function: `k(work, *args)`, where work is about the number of simple operations that it will do."""

    run_both = False  # set by warm_up

    def __init__(self, function: FunctionType) -> None:
        self.__doc__ = function.__doc__
        # Numba's cache goes by a function's name: the second compilation needs a name of its own.
        name = f"{function.__name__}_serial"
        serial = FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
        serial.__qualname__ = name
        serial.__module__ = function.__module__
        functions.update((function, serial))
        self._serial = numba.njit(**OPTIONS)(serial)
        self._parallel = numba.njit(parallel=_ONLY_PRANGE, **OPTIONS)(function)

    def __call__(self, work: int, *args: Any) -> None:
        if Kernel.run_both:
            self._serial(*args)
            with _Launch.lock:
                self._parallel(*args)
        elif work < _WORTH_THREADS or not _Launch.allowed or numba.get_num_threads() == 1:
            self._serial(*args)
        else:
            with _Launch.lock:
                self._parallel(*args)


def kernel(function: Callable[..., None]) -> Kernel:
    """Compile a function whose outer loop is a prange; see Kernel for how it is then called."""
    assert isinstance(function, FunctionType)
    return Kernel(function)


def set_num_threads(n: int) -> None:
    """Let kernels called from this thread use n threads.

    Raises:
        ValueError: if n is not between 1 and the number of cores that this process may use.
    """
    most = int(numba.config.NUMBA_NUM_THREADS)
    if not 1 <= n <= most:
        raise ValueError(f"set_num_threads: expected 1 to {most} threads, got {n}")
    numba.set_num_threads(n)


def get_num_threads() -> int:
    """The threads that kernels called from this thread use; at first every core that this process may use."""
    return int(numba.get_num_threads())


class _CompileListener(numba.core.event.Listener):  # type: ignore[misc]
    def __init__(self, callback: Callable[[str], object]) -> None:
        self._callback = callback

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if function in functions:
            self._callback(function.__name__.removeprefix("_").removesuffix("_serial"))

    def on_end(self, event: Any) -> None:
        return None


@contextmanager
def on_compile(callback: Callable[[str], object]) -> Iterator[None]:
    """Within the block, call callback(name) whenever a kernel is about to be compiled; loading it from disk is silent.

    A name can come more than once: for another dtype, and for one thread or many.
    """
    with numba.core.event.install_listener("numba:compile", _CompileListener(callback)):
        yield


def warm_up(dtypes: Iterable[Any] = ("float32",)) -> None:
    """Compile every kernel for these dtypes, or load it from the disk, by running it once on a tiny input."""
    from ._examples import run_all

    Kernel.run_both = True
    try:
        for dtype in dtypes:
            run_all(np.dtype(dtype))
    finally:
        Kernel.run_both = False


__all__ = [
    "OPTIONS",
    "Array",
    "Kernel",
    "functions",
    "get_num_threads",
    "kernel",
    "on_compile",
    "prange",
    "set_num_threads",
    "warm_up",
]
