"""CudaBackend: one NVIDIA device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..base import Array, Backend, Kernels
from ..dtypes import FLOATING
from .checks import Checks
from .memory import Memory
from .random import CudaRandom
from .status import check_index, device_count


@functools.cache
def process_memory() -> Memory:
    """The memory of all devices, kept count of from the first call on."""
    import cupy

    return Memory(cupy)


class _CudaKernels(Kernels):
    """Kernels that run on one device, whichever is the current one."""

    def __init__(self, xp: Any, on_device: Callable[..., Any] | None) -> None:
        super().__init__(xp, "tinycnn.kernels.cuda", FLOATING)
        self._on_device = on_device

    def _bind(self, name: str) -> Callable[..., Any]:
        kernel = super()._bind(name)
        return kernel if self._on_device is None else functools.partial(self._on_device, kernel)


class CudaBackend(Backend):
    """Arrays on one GPU.

    CuPy works on the device that is current in the thread; where there are several, everything here first makes its
    own the current one, and then the one before again.
    """

    name = "cupy"
    device_type = "cuda"
    waits_to_look = True
    index: int
    random: CudaRandom
    capturing: list[tuple[Any, Any]] | None = None  # while a graph is captured: the host's numbers that it takes over

    def __init__(self, index: int) -> None:
        self.index = check_index(index)
        import cupy

        self._runtime = cupy.cuda.runtime
        self.memory = process_memory()
        self._alone = device_count() == 1
        self.on_device(super().__init__, cupy, "tinycnn.kernels.cuda")
        self.kernels = _CudaKernels(cupy, None if self._alone else self.on_device)
        self.checks: Checks = self.on_device(Checks, cupy)

    def on_device(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._alone:
            return function(*args, **kwargs)
        before = self._runtime.getDevice()
        if before == self.index:
            return function(*args, **kwargs)
        self._runtime.setDevice(self.index)
        try:
            return function(*args, **kwargs)
        finally:
            self._runtime.setDevice(before)

    def quietly(self, function: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        return self.on_device(function, *args)

    def _array_function(self, name: str) -> Callable[..., Any]:
        function = self._asarray if name == "asarray" else super()._array_function(name)
        return function if self._alone else functools.partial(self.on_device, function)

    def _asarray(self, data: Any, dtype: Any = None) -> Array:
        if isinstance(data, bool | int | float | complex):  # a kernel writes it; a copy would make the host wait
            return self._xp.full((), data, dtype)
        if not isinstance(data, self._xp.ndarray):
            self._refuse_copies()
        return self._xp.asarray(data, dtype)

    def _refuse_copies(self) -> None:
        if self.capturing is not None:
            raise RuntimeError(
                "cuda.graph: the captured code copies from the host, whose memory would be gone when the graph runs; "
                "make the tensor before, or give it to the step as an argument"
            )

    def constant(self, read: Callable[[], Any]) -> None:
        if self.capturing is not None:
            self.capturing.append((read, read()))

    def scipy_special(self, name: str) -> Callable[[Array], Array]:
        import cupyx.scipy.special

        return functools.partial(self.on_device, getattr(cupyx.scipy.special, name))

    def new_random(self, seed: int | None) -> CudaRandom:
        return CudaRandom(self._xp, seed, self.on_device)

    def add_at(self, target: Array, index: Any, value: Array) -> None:
        self.on_device(self._add_at, target, index, value)

    def _add_at(self, target: Array, index: Any, value: Array) -> None:
        # The hardware adds atomically in a few formats only; CuPy refuses the others.
        add, kind = self._xp.add.at, target.dtype
        if kind.kind == "c":
            for part in ("real", "imag"):
                add(getattr(target, part), index, getattr(value, part))
        elif kind.kind == "f" or kind.name in ("int32", "uint32", "uint64"):
            add(target, index, value)
        elif kind.name == "int64":  # in two's complement a sum has the same bits with a sign and without
            value = value.astype(kind).view("uint64") if hasattr(value, "dtype") else value
            add(target.view("uint64"), index, value)
        else:
            wide = target.astype("int32")
            add(wide, index, value.astype("int32"))
            target[...] = wide.astype(kind)

    def orthonormal(self, matrix: Array) -> Array:
        return self.on_device(super().orthonormal, matrix)

    def check(self, what: str, code: Array, error: Callable[[int], Exception]) -> None:
        self.on_device(self.checks.add, what, code, error)

    @contextmanager
    def checking(self, what: str, error: Callable[[int], Exception]) -> Iterator[Array]:
        yield self.on_device(self.checks.cell, what, error)
        self.on_device(self.checks.asked)

    def check_dtype(self, kind: Any) -> None:
        version = self._xp.__version__
        if np.dtype(kind).char == "E" and int(version.partition(".")[0]) < 14:
            raise TypeError(f"bfloat16 on a GPU needs CuPy 14, installed is {version}; take float16")

    def from_numpy(self, array: np.ndarray) -> Array:
        self._refuse_copies()
        self.check_dtype(array.dtype)
        return self.on_device(self._xp.asarray, array)

    def send(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[Array]]:
        return self._sender.send(arrays)

    @functools.cached_property
    def _sender(self) -> Any:
        from .streams import Sender

        return Sender(self)

    def to_numpy(self, array: Array) -> np.ndarray:
        return self.on_device(self._read, array)

    def _read(self, array: Array) -> np.ndarray:
        if self.capturing is not None:
            raise RuntimeError(
                "cuda.graph: the captured code reads from the device (item(), tolist(), cpu(), a print): nothing has "
                "been computed there yet; return the tensor and read it after the step"
            )
        self.checks.look()
        host: np.ndarray = self._xp.asnumpy(array)
        return host

    def synchronize(self) -> None:
        self.on_device(self._wait)

    def _wait(self) -> None:
        self._xp.cuda.get_current_stream().synchronize()
        self.checks.look()

    @property
    def capability(self) -> str:
        """The compute capability, such as "90"."""
        return str(self._xp.cuda.Device(self.index).compute_capability)

    def describe(self) -> dict[str, str]:
        name = self._runtime.getDeviceProperties(self.index)["name"].decode()
        return {"CuPy": self._xp.__version__, "device": name}
