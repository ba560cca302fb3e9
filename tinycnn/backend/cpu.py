"""The CPU: NumPy arrays, Numba kernels where Numba is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array, Backend, RandomSource, Shape


class CpuRandom(RandomSource):
    def __init__(self, seed: int | None) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

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


# Where a result is infinite or NaN these warn in NumPy. A tensor's own log(0) is silent, as in PyTorch and on a GPU.
_WARNING_FUNCTIONS = frozenset(
    """
    arccos arcsin cos cosh cumsum divide exp expm1 floor_divide log log10 log1p log2 logaddexp matmul multiply
    power prod reciprocal remainder sin sinh sqrt square subtract sum tan
    """.split()
)


_silent: Callable[[Callable[..., Any]], Callable[..., Any]] = np.errstate(all="ignore")  # as a decorator


@_silent
def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


class CpuBackend(Backend):
    name = "numpy"
    device_type = "cpu"
    quietly = staticmethod(_call)

    def __init__(self) -> None:
        has_numba = importlib.util.find_spec("numba") is not None
        super().__init__(np, "tinycnn.kernels.cpu" if has_numba else None)

    def _array_function(self, name: str) -> Callable[..., Any]:
        function = super()._array_function(name)
        return _silent(function) if name in _WARNING_FUNCTIONS else function

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
        facts = {"NumPy": np.__version__, "cores": str(available_cores())}
        if importlib.util.find_spec("numba") is not None:
            import numba

            facts["Numba"] = numba.__version__
        else:
            facts["Numba"] = "not installed: the reference kernels run (pip install numba)"
        return facts


def available_cores() -> int:
    """The cores this process may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
