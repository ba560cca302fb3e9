"""The CPU: NumPy arrays, Numba kernels where Numba is installed."""

from __future__ import annotations

import contextvars
import importlib.util
import os
import pathlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import memory
from .base import Array, Backend, RandomSource, Shape


class CpuRandom(RandomSource):
    def __init__(self, seed: int | None) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))
        _sources.add(self)

    @property
    def lock(self) -> Any:
        """NumPy's, which whoever draws holds."""
        return self._rng.bit_generator.lock

    def seed(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, shape: Shape, dtype: Any) -> Array:
        return self._rng.random(tuple(shape), dtype)

    def normal(self, shape: Shape, dtype: Any) -> Array:
        return self._rng.standard_normal(tuple(shape), dtype)

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        return self._rng.integers(low, high, tuple(shape), np.int64)

    def permutation(self, n: int) -> Array:
        return self._rng.permutation(n)

    def get_state(self) -> dict[str, Any]:
        return dict(self._rng.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state


# A process forked while another thread draws would find NumPy's lock taken, by a thread that it does not have. So a
# fork waits until nobody draws.
_sources: weakref.WeakSet[CpuRandom] = weakref.WeakSet()
_held: list[Any] = []


def _hold_sources() -> None:
    for source in list(_sources):
        lock = source.lock
        lock.acquire()
        _held.append(lock)


def _release_sources() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_sources, after_in_parent=_release_sources, after_in_child=_release_sources)


# NumPy's functions of numbers one by one, whose results have the type and the shape of their arguments.
_ELEMENTWISE = frozenset(
    """
    abs add arctan cos cosh divide exp expm1 log log1p maximum minimum multiply negative power reciprocal sign sin sinh
    sqrt square subtract tan tanh
    """.split()
)


_is_quiet = contextvars.ContextVar("_is_quiet", default=False)  # a context cannot be entered twice


class _Quiet(threading.local):
    """A context of this thread in which NumPy gives no warnings: a tensor's log(0) is silent, as in PyTorch and on a
    GPU. It is kept, because making one takes longer than a small operation."""

    def __init__(self) -> None:
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        context.run(_is_quiet.set, True)
        self.run = context.run


_quiet = _Quiet()


def _quietly(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args) if _is_quiet.get() else _quiet.run(function, *args)


def _pooled(function: Callable[..., Any]) -> Callable[..., Any]:
    """An element-wise function whose large results lie in memory from the pool."""

    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[0]
        if type(first) is not np.ndarray or first.nbytes < memory.LEAST or first.dtype.char not in "fd" or kwargs:
            return function(*args, **kwargs)
        for other in args[1:]:
            kind = type(other)
            if kind is np.ndarray:
                if other.shape != first.shape or other.dtype != first.dtype:
                    return function(*args)
            elif kind is not float and kind is not int:
                return function(*args)
        return function(*args, out=memory.empty_like(first))

    return call


class CpuBackend(Backend):
    name = "numpy"
    device_type = "cpu"
    joins_in_place = True
    quietly = staticmethod(_quietly)

    def __init__(self) -> None:
        has_numba = importlib.util.find_spec("numba") is not None
        super().__init__(np, "tinycnn.kernels.cpu" if has_numba else None)

    def _array_function(self, name: str) -> Callable[..., Any]:
        if name in ("empty", "empty_like", "zeros"):
            function: Callable[..., Any] = getattr(memory, name)
            return function
        function = super()._array_function(name)
        return _pooled(function) if name in _ELEMENTWISE else function

    def owner(self, array: Array) -> Array:
        base = array.base
        return base if type(base) is np.ndarray else array  # a block of the pool is no array of anybody's

    def scipy_special(self, name: str) -> Callable[[Array], Array]:
        import scipy.special

        function: Callable[[Array], Array] = getattr(scipy.special, name)
        return function

    def new_random(self, seed: int | None) -> CpuRandom:
        return CpuRandom(seed)

    def from_numpy(self, array: np.ndarray) -> Array:
        return array

    def to_numpy(self, array: Array) -> np.ndarray:
        return array

    def synchronize(self) -> None:
        return None

    def describe(self) -> dict[str, str]:
        facts = {"NumPy": np.__version__, "BLAS": blas(), "cores": str(available_cores())}
        if importlib.util.find_spec("numba") is not None:
            import numba

            facts["Numba"] = numba.__version__
        else:
            facts["Numba"] = "not installed: the reference kernels run (pip install numba)"
        return facts


def blas() -> str:
    """What does NumPy's matrix products, and the kind of processor whose kernels it has chosen."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "unknown (pip install threadpoolctl)"
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    own = [library for library in found if "numpy" in pathlib.Path(library["filepath"]).parent.name]  # SciPy brings one
    names = [f"{blas['internal_api']} {blas['version']} for {blas.get('architecture', '?')}" for blas in own or found]
    return ", ".join(names) or "unknown"


def available_cores() -> int:
    """The cores this process may use, which in a container can be fewer than the machine has."""
    from tinycnn.kernels import cores

    return int(cores.available_cores())
