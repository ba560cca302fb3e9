"""GPUs, under the names of torch.cuda. Questions never raise where CUDA is missing; what needs one says why not.

for step in range(3):
    train(net, batch)
print(tinycnn.cuda.memory_summary())
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, overload

from .autograd import Tensor
from .backend import (
    cuda as backend_cuda,
    cuda_status,
    device as Device,  # noqa: N812
    get_backend,
)
from .backend.cuda import CudaBackend, OutOfMemoryError, status
from .backend.cuda.graph import CUDAGraph, capture
from .backend.cuda.memory import in_words
from .backend.cuda.streams import Event, Stream as _Stream, current_stream as _current, default_stream as _default

__all__ = [
    "CUDAGraph",
    "CapturedStep",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "graph",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
]

Where = int | str | Device | None


def is_available() -> bool:
    """Whether a GPU can be used: CuPy is installed and a kernel has run on a device. `cuda_status()` says why not.

    Example:
        >>> import tinycnn
        >>> place = tinycnn.device("cuda" if tinycnn.cuda.is_available() else "cpu")
    """
    return cuda_status()[0]


def device_count() -> int:
    """The number of GPUs that can be used."""
    return backend_cuda.device_count()


def current_device() -> int:
    """The number of the GPU that "cuda" stands for in this thread.

    Raises:
        RuntimeError: if CUDA cannot be used; it says why.
    """
    return status.current_device()


def set_device(device: Where) -> None:
    """Make a GPU the one that "cuda" stands for in this thread.

    Args:
        device: its number, "cuda:1" or a device.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used, or has no such device; it says why.
    """
    status.set_device(_index("set_device", device))


class device:  # noqa: N801 - PyTorch's name
    """A `with` block in which "cuda" stands for another GPU.

    Args:
        device: its number, "cuda:1" or a device; None changes nothing.
    """

    def __init__(self, device: Where) -> None:
        self._index = None if device is None else _index("device", device)
        self._before: list[int] = []

    def __enter__(self) -> None:
        if self._index is not None:
            self._before.append(status.current_device())
            status.set_device(self._index)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._index is not None:
            status.set_device(self._before.pop())


def get_device_name(device: Where = None) -> str:
    """What a GPU calls itself.

    Args:
        device: its number, "cuda:1" or a device; by default the current one.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """
    return _gpu("get_device_name", device).describe()["device"]


def get_device_capability(device: Where = None) -> tuple[int, int]:
    """A GPU's compute capability, such as (9, 0); it raises as `get_device_name` does."""
    digits = _gpu("get_device_capability", device).capability
    return int(digits[:-1]), int(digits[-1])


def synchronize(device: Where = None) -> None:
    """Wait until a GPU has done all that was asked of it on the current stream.

    Args:
        device: its number, "cuda:1" or a device; by default the current one.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
        IndexError: if an earlier loss was given a label that is no class.
    """
    _gpu("synchronize", device).synchronize()


def manual_seed(seed: int) -> None:
    """Start the current GPU's random numbers anew from a seed; nothing where CUDA cannot be used."""
    if is_available():
        _gpu("manual_seed", None).random.seed(seed)


def manual_seed_all(seed: int) -> None:
    """Start every GPU's random numbers anew from a seed."""
    for index in range(device_count()):
        _gpu("manual_seed_all", index).random.seed(seed)


# ---- streams ---------------------------------------------------------------------------------------------------------


class Stream(_Stream):
    """A queue of work of its own on a GPU; in a `with`, where this thread's work goes.

    Args:
        device: its number, "cuda:1" or a device; by default the current one.
        priority: lower numbers go first.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """

    def __init__(self, device: Where = None, priority: int = 0) -> None:
        super().__init__(_gpu("Stream", device), priority=priority)


def stream(stream: _Stream) -> _Stream:
    """The stream itself, for `with tinycnn.cuda.stream(s):`."""
    return stream


def current_stream(device: Where = None) -> _Stream:
    """Where this thread's work on a GPU goes."""
    return _current(_gpu("current_stream", device))


def default_stream(device: Where = None) -> _Stream:
    """Where work on a GPU goes unless said otherwise."""
    return _default(_gpu("default_stream", device))


# ---- graphs ----------------------------------------------------------------------------------------------------------


@overload
def graph(step: CUDAGraph) -> capture: ...
@overload
def graph(step: Callable[..., Any], *, warmup: int = 3) -> CapturedStep: ...
def graph(step: Any, *, warmup: int = 3) -> Any:
    """Capture work on a GPU once, and replay it: a small network's step is then one launch instead of a hundred.

    Given a function of tensors, it returns one that does the same. Its first calls run as they are; then one is
    captured, and from there on a call copies its arguments in place and replays:

        def train_step(X, y):
            optimizer.zero_grad()
            loss = loss_fn(net(X), y)
            loss.backward()
            optimizer.step()
            return loss

        step = tinycnn.cuda.graph(train_step)
        for X, y in batches:
            loss = step(X, y)       # the same tensor at each call, with a new value

    The function's Python runs no more after that: what it prints or counts happens once. It must do the same work at
    each call, and read nothing from the device. A call with other shapes runs as it is. When an optimiser's options are
    changed, by a scheduler for example, the step is captured anew.

    Given a `CUDAGraph`, it is a `with` block whose work is captured there, as torch.cuda.graph is; `replay()` does it.

    Args:
        step: a function of tensors on one GPU, or a CUDAGraph.
        warmup: how many calls run as they are, at least one: kernels are compiled and optimisers make their state.

    Raises:
        ValueError: if warmup is below 1.
        RuntimeError: from the call that captures, if the step reads from the device or copies to it.
    """
    if isinstance(step, CUDAGraph):
        return capture(step, _gpu("graph", None))
    if not callable(step):
        raise TypeError(f"cuda.graph: expected a function or a CUDAGraph, got {type(step).__name__}")
    if warmup < 1:
        raise ValueError(f"cuda.graph: warmup must be at least 1, got {warmup}")
    return CapturedStep(step, warmup)


class CapturedStep:
    """What `graph` makes of a function.

    Attributes:
        captures: how often it was captured.
    """

    def __init__(self, step: Callable[..., Any], warmup: int) -> None:
        functools.update_wrapper(self, step)
        self._step, self._warmup = step, warmup
        self._graph: CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: Any = None
        self.captures = 0

    def __call__(self, *inputs: Tensor) -> Any:
        if not inputs or any(not isinstance(x, Tensor) or not x.is_cuda for x in inputs):
            raise TypeError(
                f"cuda.graph: {getattr(self._step, '__name__', 'a step')} takes tensors on a GPU, got {inputs!r:.80}"
            )
        if self._warmup > 0:
            self._warmup -= 1
            return self._step(*inputs)
        if self._graph is not None and not _alike(inputs, self._inputs):
            return self._step(*inputs)
        if self._graph is None or self._graph.outdated():
            self._capture(inputs)
        else:
            for static, x in zip(self._inputs, inputs, strict=True):
                if x is not static:
                    static.backend.on_device(static.array.__setitem__, ..., x.array)
        assert self._graph is not None
        self._graph.replay()
        return self._outputs

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
        self._outputs, self._graph = None, CUDAGraph()
        backend = inputs[0].backend
        assert isinstance(backend, CudaBackend)
        try:
            with capture(self._graph, backend):
                outputs = self._step(*self._inputs)
        except BaseException:
            self._graph = None
            raise
        self._outputs = _detached(outputs)
        self.captures += 1


def _alike(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> bool:
    return len(a) == len(b) and all(
        x.backend is y.backend and x.array.shape == y.array.shape and x.array.dtype == y.array.dtype
        for x, y in zip(a, b, strict=True)
    )


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(v) for key, v in value.items()}
    return type(value)(map(_detached, value)) if isinstance(value, (list, tuple)) else value


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory_allocated(device: Where = None) -> int:
    """Bytes that arrays take on a GPU; 0 where CUDA cannot be used."""
    return _memory(device, "allocated")


def max_memory_allocated(device: Where = None) -> int:
    """The most bytes that arrays took at a time, since the start or `reset_peak_memory_stats`."""
    return _memory(device, "peak")


def memory_reserved(device: Where = None) -> int:
    """Bytes that this process has from the driver: arrays, and what its pool keeps for the next ones."""
    return _memory(device, "reserved")


def max_memory_reserved(device: Where = None) -> int:
    """The most bytes that this process had from the driver. The pool gives nothing back by itself, so that it is what
    the process has, or its arrays took, whichever is more."""
    return max(memory_reserved(device), max_memory_allocated(device))


def reset_peak_memory_stats(device: Where = None) -> None:
    """Forget the peak: `max_memory_allocated` starts from what is allocated now."""
    _memory(device, "reset_peak")


def empty_cache() -> None:
    """Give back to the driver what the pools keep for the next arrays; nothing that is in use."""
    for index in range(device_count()):
        _memory(index, "release")


def mem_get_info(device: Where = None) -> tuple[int, int]:
    """(bytes that are free on a GPU, bytes that it has), whoever uses the others.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """
    gpu = _gpu("mem_get_info", device)
    return gpu.memory.of_device(gpu.index)


def memory_summary(device: Where = None) -> str:
    """What is in use on a GPU, in a few lines.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """
    gpu = _gpu("memory_summary", device)
    memory, index = gpu.memory, gpu.index
    free, total = memory.of_device(index)
    rows = {
        "in arrays": memory.allocated(index),
        "in arrays, at most": memory.peak(index),
        "held by this process": memory.reserved(index),
        "free on the device": free,
        "of": total,
    }
    lines = [f"cuda:{index}, {gpu.describe()['device']}"]
    return "\n".join([*lines, *(f"  {name:<22}{in_words(size):>12}" for name, size in rows.items())])


def _memory(where: Where, name: str) -> Any:
    if not is_available():
        return 0
    gpu = _gpu(name, where)
    return getattr(gpu.memory, name)(gpu.index)


def _index(name: str, where: Where) -> int:
    if where is None:
        return status.current_device()
    place = Device(f"cuda:{where}") if isinstance(where, int) else Device(where)
    if place.type != "cuda":
        raise ValueError(f"cuda.{name}: expected a GPU, got {str(place)!r}")
    return status.current_device() if place.index is None else place.index


def _gpu(name: str, where: Where) -> CudaBackend:
    gpu = get_backend(f"cuda:{_index(name, where)}")
    assert isinstance(gpu, CudaBackend)
    return gpu
