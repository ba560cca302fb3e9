"""How the kernels of this folder are compiled and launched.

A kernel is a plain function whose outer loop is `for job in prange(jobs)`. `@kernel` compiles it when it is first
needed, for the types of its arguments, into a function that does any part of the jobs (`_parts.py`). It runs with its
jobs spread over threads, or with one after another, because starting the threads costs about as much as adding up a
hundred thousand numbers. Results never depend on which of the two it is, nor on the number of threads: every job
writes to a place of its own, and partial sums are cut by the shape of the data.

Compiled code is kept on the disk (`_cache.py`). `_FAST_MATH` allows only what keeps NaN and infinity: fused
multiply-add, and adding up in another order.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

# Idle OpenMP threads that spin for long would fight with those of the BLAS for the cores; those that sleep at once take
# longer to wake than a small kernel to run. So they spin for about a tenth of a millisecond. OpenMP reads these when it
# is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import numba
import numpy as np
from numba import prange
from numba.core.compiler_lock import global_compiler_lock

from ..cores import starting_threads
from ._cache import FunctionCache
from ._parts import MOST_NUMBERS, in_parts
from ._progress import functions
from ._simd import call

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

Array = Any

_FAST_MATH = {"contract", "reassoc"}
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": _FAST_MATH, "nogil": True}
# Of Numba's parallel rewritings only prange: the others (array expressions, assignments to slices) triple compile time.
_ONLY_PRANGE = {
    name: name == "prange"
    for name in ("comprehension", "fusion", "inplace_binop", "numpy", "prange", "reduction", "setitem", "stencil")
}
_WORTH_THREADS = 1 << 16  # simple operations; less than this is done before the threads have started


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """A function that Numba compiles when it is first called, and that is then kept on the disk."""
    assert isinstance(function, FunctionType)
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    dispatcher._cache = FunctionCache(function)
    return dispatcher


class _Threads:
    """How many there are, and when they may be started: by one caller at a time, for they use all cores anyway and
    Numba's `workqueue` layer bears no second one; and never in a forked process, where GNU's OpenMP would end the
    process."""

    most = int(numba.config.NUMBA_NUM_THREADS)
    count = min(most, starting_threads())
    allowed = True
    lock = threading.Lock()
    arguments = np.empty(MOST_NUMBERS, np.int64)  # of the kernel that is launched; who holds the lock may write here

    @classmethod
    def after_fork(cls) -> None:
        cls.allowed = False
        cls.lock = threading.Lock()


_ARGUMENTS_ADDRESS = int(_Threads.arguments.__array_interface__["data"][0])

if hasattr(os, "register_at_fork"):
    # A process forked while another thread compiles would find Numba's lock taken, by a thread that it does not have.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=lambda: (global_compiler_lock.release(), _Threads.after_fork()),
    )


class _ThisThread(threading.local):
    count = 0  # the threads that its kernels use, once it has called one


_this_thread = _ThisThread()


def set_num_threads(n: int) -> None:
    """Let kernels use n threads, called from this Python thread or from one that has called none yet.

    Raises:
        ValueError: if n is not between 1 and the number of cores that this process may use.
    """
    if not 1 <= n <= _Threads.most:
        raise ValueError(f"set_num_threads: expected 1 to {_Threads.most} threads, got {n}")
    _Threads.count = _this_thread.count = n
    numba.set_num_threads(n)


def get_num_threads() -> int:
    """The threads that kernels called from this Python thread use; at first every core that this process may use, or
    TINYCNN_NUM_THREADS. No other Python thread changes it, so that a kernel's memory can be cut by it beforehand."""
    if not _this_thread.count:
        _this_thread.count = _Threads.count
        numba.set_num_threads(_Threads.count)
    return _this_thread.count


def _on_threads(function: int, arguments: int, count: int) -> None:
    for i in prange(count):
        call(function, (i, numba.get_thread_id(), arguments))


def _in_turn(function: int, arguments: int, count: int) -> None:
    for i in range(count):
        call(function, (i, 0, arguments))


_run_on_threads = compiled(_on_threads, parallel=_ONLY_PRANGE)
_run_in_turn = compiled(_in_turn)


def run_jobs(function: int, arguments: int, count: int, threads: bool = True) -> None:
    """Call the function at an address with (i, thread, arguments), the last an address, for i = 0 ... count - 1."""
    if count == 1 or not threads or not _Threads.allowed or get_num_threads() == 1:
        _run_in_turn(function, arguments, count)
    else:
        with _Threads.lock:
            _run_on_threads(function, arguments, count)


class Kernel:
    """A compiled function: `k(work, *args)`, where work is about the number of simple operations that it will do."""

    def __init__(self, function: FunctionType) -> None:
        self.__doc__ = function.__doc__
        self.function = function
        self._compiled: Any = None

    @property
    def compiled(self) -> Any:
        """The function of (part, parts, *args)."""
        if self._compiled is None:
            function = in_parts(self.function)
            functions.add(function)
            self._compiled = compiled(function)
        return self._compiled

    def __call__(self, work: int, *args: Any) -> None:
        run = self._compiled or self.compiled
        if work < _WORTH_THREADS or not _Threads.allowed or (parts := get_num_threads()) == 1:
            run(0, 1, *args)
            return
        with _Threads.lock:
            arguments = _Threads.arguments
            run(-1, _ARGUMENTS_ADDRESS, *args)
            arguments[1] = parts
            _run_on_threads(int(arguments[0]), _ARGUMENTS_ADDRESS, parts)


def kernel(function: Callable[..., None]) -> Kernel:
    """Compile a function whose outer loop is a prange; see Kernel for how it is then called."""
    assert isinstance(function, FunctionType)
    return Kernel(function)


def warm_up(dtypes: Iterable[Any] = ("float32",)) -> None:
    """Compile every kernel for these dtypes, or load it from the disk, by running it once on a tiny input."""
    from ._examples import run_all

    for run in (_run_on_threads, _run_in_turn):
        run(0, 0, 0)
    for dtype in dtypes:
        run_all(np.dtype(dtype))


__all__ = [
    "OPTIONS",
    "Array",
    "Kernel",
    "compiled",
    "get_num_threads",
    "kernel",
    "prange",
    "run_jobs",
    "set_num_threads",
    "warm_up",
]
