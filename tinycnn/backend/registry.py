"""Which backend runs: devices by name, the default device, and the kernel set."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from . import base
from .base import Array, Backend
from .cpu import CpuBackend, available_cores
from .cuda import CudaBackend, cuda_status
from .cuda.status import current_device


class device:  # noqa: N801 - PyTorch's name
    """A place where tensors live: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)`.

    Making one asks nothing of the hardware; using it does.

    Raises:
        ValueError: if the name is none of these.

    Example:
        >>> import tinycnn
        >>> tinycnn.device("cuda:1")
        device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | device, index: int | None = None) -> None:
        self.type: str
        self.index: int | None
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        kind, _, number = str(type).partition(":")
        if number and index is None and number.isdecimal():
            index = int(number)
        elif number or (index is not None and index < 0):
            raise ValueError(f"device: {type!r}, {index!r} names no device; say 'cpu', 'cuda' or 'cuda:1'")
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device: {type!r} is unknown; say 'cpu', 'cuda' or 'cuda:1'")
        self.type, self.index = kind, index

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)


_cpu = CpuBackend()
_cuda: dict[int, CudaBackend] = {}
_default: Backend | None = None
_seed = int.from_bytes(os.urandom(8), "big") >> 1  # what every device's random numbers follow from
_cpu.random.seed(_seed)


def get_backend(where: str | device | Backend | None = None) -> Backend:
    """The backend of a device, or the default one.

    Raises:
        ValueError: if the name is unknown.
        RuntimeError: if CUDA is asked for and cannot be used; it says why.
    """
    if where is None:
        return _default or _first_default()
    if isinstance(where, Backend):
        return where
    place = where if isinstance(where, device) else device(where)
    if place.type == "cpu":
        return _cpu
    index = current_device() if place.index is None else place.index
    if index not in _cuda:
        _cuda[index] = CudaBackend(index)
        _cuda[index].random.seed(_seed)
    return _cuda[index]


def _first_default() -> Backend:
    global _default
    name = os.environ.get("TINYCNN_DEVICE") or "cpu"
    try:
        _default = get_backend(name)
    except (ValueError, RuntimeError) as error:
        raise type(error)(f"TINYCNN_DEVICE={name}: {error}") from None
    return _default


def backend_of(array: Array) -> Backend:
    """The backend that an array belongs to."""
    if isinstance(array, np.ndarray):
        return _cpu
    return get_backend(f"cuda:{array.device.id}")


_BACKENDS = {"numpy": "cpu", "cpu": "cpu", "cupy": "cuda", "cuda": "cuda"}


def set_backend(name: str) -> None:
    """Make new tensors live on a backend: "numpy" (the CPU) or "cupy" (the GPU; "cpu" and "cuda" say the same).

    Raises:
        ValueError: if the name is unknown.
        RuntimeError: if CUDA cannot be used here; it says why.
    """
    global _default
    if name not in _BACKENDS:
        raise ValueError(f"set_backend: {name!r} is unknown, expected 'numpy' or 'cupy'")
    _default = get_backend(_BACKENDS[name])


def set_default_device(device: Any) -> None:
    """Make new tensors live on a device, such as "cuda:1"."""
    global _default
    _default = get_backend(device)


def get_default_device() -> device:
    """The device that new tensors get."""
    return device_of(get_backend())


def device_of(backend: Backend) -> device:
    return device(backend.device_type, backend.index)


def active_random_sources() -> dict[str, base.RandomSource]:
    """The default random source of every device in use, by device name."""
    return {str(device_of(b)): b.random for b in (_cpu, *_cuda.values())}


def seed_random_sources(seed: int) -> None:
    """Start the default random source of every device anew from a seed, and of those that come into use later."""
    global _seed
    _seed = seed
    for source in active_random_sources().values():
        source.seed(seed)


def random_seed() -> int:
    """The seed that the default random sources started from."""
    return _seed


def pinned(array: np.ndarray) -> np.ndarray:
    """The array in page-locked memory of the host; as it is, where CUDA cannot be used."""
    if not cuda_status()[0]:
        return array
    from .cuda.streams import pin

    return pin(array)


def is_pinned(array: Array) -> bool:
    """Whether an array lies in page-locked memory of the host."""
    if not isinstance(array, np.ndarray) or not cuda_status()[0]:
        return False
    from .cuda import streams

    return streams.is_pinned(array)


class use_kernels:  # noqa: N801 - reads as a function, and is a context manager too
    """Choose the kernels: "fast" (Numba, CUDA) or "reference" (array code, for reading and for comparing).

    As a call it holds from now on; in a `with` it holds for the block, in this thread. TINYCNN_KERNELS sets the
    start value.

    Raises:
        ValueError: if the set is unknown.
        RuntimeError: if "fast" is asked for on the CPU and Numba is not installed.

    Example:
        >>> import tinycnn
        >>> with tinycnn.use_kernels("reference"):
        ...     tinycnn.get_kernels()
        'reference'
    """

    def __init__(self, mode: str) -> None:
        base.check_kernel_mode(mode)
        if mode == "fast" and not _cpu.kernels.fast_kernels() and not _cuda:
            raise RuntimeError("use_kernels('fast'): Numba is not installed (pip install numba)")
        self._mode = mode
        self._before: str = base.default_kernel_mode()
        self._context: Any = None
        base.set_default_kernel_mode(mode)

    def __enter__(self) -> None:
        base.set_default_kernel_mode(self._before)
        self._context = base.kernel_mode_as(self._mode)
        self._context.__enter__()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._context.__exit__(kind, value, tb)


def get_kernels() -> str:
    """The kernel set that runs: "fast" or "reference", which is also what runs where there is no fast one."""
    return base.kernel_mode() if get_backend().kernels.fast_kernels() else "reference"


@contextmanager
def on_compile(callback: Callable[[str], object]) -> Iterator[None]:
    """Within the block, call callback(name) whenever a CPU kernel is about to be compiled, which takes seconds and is
    done once a machine; where Numba is not installed nothing ever is."""
    if not _cpu.kernels.fast_kernels():
        yield
        return
    from tinycnn.kernels import cpu

    with cpu.on_compile(callback):
        yield


def kernels_are_kept(label: str, now: bool = False) -> bool:
    """Whether the compiled CPU kernels of what the label names are on the disk; with `now`, note that they are.

    The note stands beside the kernels, so it ends with them: when they are deleted, or their sources change.
    """
    if not _cpu.kernels.fast_kernels():
        return False
    from tinycnn.kernels.cpu import _cache

    note = f"{label}-{_cache.sources('__init__')}"
    if now:
        _cache.write(note, b"")
    return _cache.read(note) is not None


def set_num_threads(n: int) -> None:
    """Let the CPU's kernels use n threads; the matrix products of NumPy too, if threadpoolctl is installed.

    It holds for this Python thread, and for those that have called no kernel yet. At first there are as many as the
    process may use cores, by its affinity and by the quota of its container; TINYCNN_NUM_THREADS says fewer.

    Raises:
        ValueError: if n is not between 1 and the cores that this process may use.
    """
    cores = available_cores()
    if not 1 <= n <= cores:
        raise ValueError(f"set_num_threads: expected 1 to {cores}, the cores of this process, got {n}")
    if _cpu.kernels.fast_kernels():
        from tinycnn.kernels import cpu

        cpu.set_num_threads(n)
    _hold_blas(n)


def _hold_blas(n: int) -> None:
    """Let the matrix products of NumPy use n threads, if threadpoolctl is installed."""
    if importlib.util.find_spec("threadpoolctl") is not None:
        import threadpoolctl

        threadpoolctl.threadpool_limits(n, user_api="blas")


def get_num_threads() -> int:
    """The threads that the CPU's kernels use; 1 for the reference kernels, whose array code has none of its own."""
    if not _cpu.kernels.fast_kernels():
        return 1
    from tinycnn.kernels import cpu

    return cpu.get_num_threads()


def set_precision(name: str) -> None:
    """Choose how fast float32 convolutions may round, in this process. On a GPU "fast" is TF32 on tensor cores, as in
    PyTorch, and "strict" float32 throughout; what follows is the CPU's.

    "fast", the default, takes Winograd's algorithm with tiles of up to 4x4, whose largest error is about 1e-5 of the
    root mean square of an output; an infinite or NaN pixel can also reach the rest of its tile. "strict" takes tiles
    of 2x2 or plain sums: 3e-6, as other engines have. Reference kernels and float64 are not concerned.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> import tinycnn
        >>> tinycnn.set_precision("strict")
        >>> tinycnn.get_precision()
        'strict'
        >>> tinycnn.set_precision("fast")
    """
    if name not in ("fast", "strict"):
        raise ValueError(f"set_precision: expected 'fast' or 'strict', got {name!r}")
    if _cpu.kernels.fast_kernels():
        from tinycnn.kernels import cpu

        cpu.set_precision(name)
    gpu_rounding().set_precision(name)


def gpu_rounding() -> Any:
    """Where it is chosen how kernels on a GPU round: set_precision(name), allow_tf32_products(value), and what they say
    now."""
    from tinycnn.kernels.cuda import conv_choice

    return conv_choice


def get_precision() -> str:
    """What `set_precision` has chosen; always "strict" where there are only reference kernels."""
    if not _cpu.kernels.fast_kernels():
        return "strict"
    from tinycnn.kernels import cpu

    return cpu.get_precision()


def _read_environment() -> None:
    from tinycnn.kernels import cores

    threads = cores.starting_threads()
    # The BLAS knows nothing of a container's quota. Its own variables may say less, and are then left alone.
    said = [os.environ.get(f"{name}_NUM_THREADS", "") for name in ("OPENBLAS", "MKL", "OMP", "VECLIB")]
    if threads < (os.cpu_count() or 1) and not any(text.isdecimal() and int(text) <= threads for text in said):
        _hold_blas(threads)
    name = os.environ.get("TINYCNN_KERNELS")
    if name:
        try:
            base.set_default_kernel_mode(name)
        except ValueError as error:
            raise ValueError(f"TINYCNN_KERNELS: {error}") from None


_read_environment()

__all__ = [
    "active_random_sources",
    "backend_of",
    "cuda_status",
    "device",
    "device_of",
    "get_backend",
    "get_default_device",
    "get_kernels",
    "get_num_threads",
    "get_precision",
    "kernels_are_kept",
    "on_compile",
    "pinned",
    "random_seed",
    "seed_random_sources",
    "set_backend",
    "set_default_device",
    "set_num_threads",
    "set_precision",
    "use_kernels",
]
