"""NVIDIA GPUs: CuPy arrays. CuPy is imported only when CUDA is asked for; nothing here fails where it is missing."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array, Backend, RandomSource, Shape


@functools.cache
def cuda_status() -> tuple[bool, str]:
    """Whether CUDA can be used here, and a line that says what was found or what is missing. Never raises.

    CuPy imports on machines where nothing of it works, so the answer comes from use: one compiled kernel, one matrix
    product and one copy back.
    """
    if importlib.util.find_spec("cupy") is None:
        return False, "CuPy is not installed (pip install 'tinycnn[cuda12]' or 'tinycnn[cuda13]', as your driver is)"
    try:
        import cupy
    except Exception as error:  # a missing library surfaces as one of many types
        return False, f"CuPy is installed but does not import: {error}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return False, f"CuPy {cupy.__version__} is installed, but there is no usable driver: {error}"
    if count < 1:
        return False, f"CuPy {cupy.__version__} is installed, but the driver reports no device"
    try:
        fill = cupy.RawKernel('extern "C" __global__ void fill(float* x) { x[threadIdx.x] = 2.0f; }', "fill")
        x = cupy.empty(4, cupy.float32)
        fill((1,), (4,), (x,))
        if float((x.reshape(1, 4) @ x.reshape(4, 1))[0, 0]) != 16.0:
            return False, "a GPU was found, but it computed a wrong result"
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        capability = cupy.cuda.Device(0).compute_capability
    except Exception as error:
        return False, f"a GPU was found, but it cannot be used ({type(error).__name__}): {error}"
    return True, f"{count} x {name}, compute capability {capability}, CuPy {cupy.__version__}"


def device_count() -> int:
    """The number of devices that can be used, 0 where CUDA cannot."""
    if not cuda_status()[0]:
        return 0
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


class CudaRandom(RandomSource):
    """Draw number i comes from a generator seeded by (seed, i): the state is two integers, kept on the host."""

    def __init__(self, cupy: Any, seed: int | None) -> None:
        self._cupy = cupy
        self._seed = np.random.SeedSequence(seed).entropy
        self._draws = 0

    def _next(self) -> Any:
        self._draws += 1
        entropy: Any = [self._seed, self._draws]
        words = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        return self._cupy.random.default_rng(int(words[0]))

    def seed(self, seed: int) -> None:
        self._seed, self._draws = seed, 0

    def uniform(self, shape: Shape, dtype: Any) -> Array:
        return self._next().random(tuple(shape), dtype)

    def normal(self, shape: Shape, dtype: Any) -> Array:
        return self._next().standard_normal(tuple(shape), dtype)

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        return self._next().integers(low, high, tuple(shape), np.int64)

    def permutation(self, n: int) -> Array:
        return self._cupy.argsort(self.uniform((n,), np.float64))

    def get_state(self) -> dict[str, Any]:
        return {"seed": self._seed, "draws": self._draws}

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed, self._draws = state["seed"], state["draws"]


class CudaBackend(Backend):
    name = "cupy"
    device_type = "cuda"

    def __init__(self, index: int) -> None:
        usable, reason = cuda_status()
        if not usable:
            raise RuntimeError(f"CUDA cannot be used: {reason}")
        import cupy

        count = device_count()
        if index >= count:
            raise RuntimeError(
                f"device 'cuda:{index}' was asked for, but this machine has {count} (cuda:0 is the first)"
            )
        self.index = index
        cupy.cuda.Device(index).use()
        super().__init__(cupy, "tinycnn.kernels.cuda")

    def scipy_special(self, name: str) -> Callable[[Array], Array]:
        import cupyx.scipy.special

        function: Callable[[Array], Array] = getattr(cupyx.scipy.special, name)
        return function

    def new_random(self, seed: int | None) -> CudaRandom:
        return CudaRandom(self._xp, seed)

    def _array_function(self, name: str) -> Callable[..., Any]:
        return self._asarray if name == "asarray" else super()._array_function(name)

    def _asarray(self, data: Any, dtype: Any = None) -> Array:
        if isinstance(data, bool | int | float | complex):  # a kernel writes it; a copy would make the host wait
            return self._xp.full((), data, dtype)
        return self._xp.asarray(data, dtype)

    def add_at(self, target: Array, index: Any, value: Array) -> None:
        # The hardware adds atomically in a few formats only; CuPy refuses the others.
        kind = target.dtype
        if kind.kind == "c":
            for part in ("real", "imag"):
                super().add_at(getattr(target, part), index, getattr(value, part))
        elif kind.kind == "f" or kind.name in ("int32", "uint32", "uint64"):
            super().add_at(target, index, value)
        elif kind.name == "int64":  # in two's complement a sum has the same bits with a sign and without
            super().add_at(target.view("uint64"), index, value.astype(kind).view("uint64"))
        else:
            wide = target.astype("int32")
            super().add_at(wide, index, value.astype("int32"))
            target[...] = wide.astype(kind)

    def from_numpy(self, array: np.ndarray) -> Array:
        return self._xp.asarray(array)

    def to_numpy(self, array: Array) -> np.ndarray:
        return self._xp.asnumpy(array)

    def synchronize(self) -> None:
        self._xp.cuda.get_current_stream().synchronize()

    def describe(self) -> dict[str, str]:
        name = self._xp.cuda.runtime.getDeviceProperties(self.index)["name"].decode()
        return {"CuPy": self._xp.__version__, "device": name}
