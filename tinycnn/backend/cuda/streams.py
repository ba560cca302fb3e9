"""Queues of work on a GPU, and batches that are sent while it works.

Work of one stream is done in order; work of two streams at the same time, unless an event says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from ..base import Array
from .backend import CudaBackend


class Event:
    """A mark in a stream, under torch.cuda.Event's names.

    Args:
        enable_timing: whether `elapsed_time` can be asked of it.
        blocking: whether waiting for it lets the processor sleep.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        from .status import require_cuda

        require_cuda()
        import cupy

        self._event = cupy.cuda.Event(block=blocking, disable_timing=not enable_timing)
        self._elapsed = cupy.cuda.get_elapsed_time
        self._timed = enable_timing

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark behind all that the stream (by default the current one) was asked for so far."""
        self._event.record(None if stream is None else stream.cupy)

    def wait(self, stream: Stream) -> None:
        """Let a stream go on only when the mark is reached."""
        stream.wait_event(self)

    def query(self) -> bool:
        """Whether the mark is reached."""
        return bool(self._event.done)

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to another.

        Raises:
            RuntimeError: if one of them was made without enable_timing=True.
        """
        if not (self._timed and end_event._timed):
            raise RuntimeError("Event.elapsed_time: both events must be made with enable_timing=True")
        return float(self._elapsed(self._event, end_event._event))


class Stream:
    """A queue of work on one GPU, under torch.cuda.Stream's names; in a `with`, where this thread's work goes.

    Attributes:
        cupy: CuPy's stream.
    """

    def __init__(self, backend: CudaBackend, cupy_stream: Any = None, priority: int | None = None) -> None:
        self._backend = backend
        if cupy_stream is None:
            make = backend._xp.cuda.Stream
            cupy_stream = backend.on_device(
                make, non_blocking=True, **({} if priority is None else {"priority": priority})
            )
        self.cupy = cupy_stream
        self._before: list[tuple[int, Any]] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    @property
    def cuda_stream(self) -> int:
        """Its address, as other libraries take it."""
        return int(self.cupy.ptr)

    def synchronize(self) -> None:
        """Wait until all is done that this stream was asked for."""
        self.cupy.synchronize()
        self._backend.on_device(self._backend.checks.look)

    def query(self) -> bool:
        """Whether all is done that it was asked for."""
        return bool(self.cupy.done)

    def record_event(self, event: Event | None = None) -> Event:
        """A mark behind all that it was asked for so far."""
        event = event or self._backend.on_device(Event)
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Go on only when a mark in another stream is reached."""
        self.cupy.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Go on only when another stream has done all that it was asked for so far."""
        self.wait_event(stream.record_event())

    def __enter__(self) -> Stream:
        runtime, cuda = self._backend._runtime, self._backend._xp.cuda
        device = runtime.getDevice()
        runtime.setDevice(self._backend.index)
        self._before.append((device, cuda.get_current_stream()))
        self.cupy.use()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        device, stream = self._before.pop()
        stream.use()
        self._backend._runtime.setDevice(device)


def current_stream(backend: CudaBackend) -> Stream:
    """Where this thread's work on a GPU goes."""
    return Stream(backend, backend.on_device(backend._xp.cuda.get_current_stream))


def default_stream(backend: CudaBackend) -> Stream:
    """Where it goes unless said otherwise."""
    return Stream(backend, backend._xp.cuda.Stream.null)


class Sender:
    """Sends arrays of the host to a GPU on a stream of its own, while other streams work.

    The memory comes from the stream that is current at `send`, which is where the arrays will be used and freed. What
    was there before may still be in use by work that this stream was asked for already: so the copy waits for that, and
    for nothing that is asked for later.
    """

    def __init__(self, backend: CudaBackend) -> None:
        self._backend = backend
        self._side = Stream(backend)
        self._on_the_way: list[tuple[Event, list[np.ndarray]]] = []  # the host's memory must stay until it is read

    def send(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[Array]]:
        """Begin to copy arrays; returns what gives the copies, to be called on the stream that will use them."""
        return self._backend.on_device(self._send, arrays)

    def _send(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[Array]]:
        self._on_the_way = [(event, held) for event, held in self._on_the_way if not event.query()]
        pinned = [pin(np.ascontiguousarray(a)) for a in arrays]
        xp, backend = self._backend._xp, self._backend
        copies = [xp.empty(a.shape, a.dtype) for a in pinned]
        self._side.wait_stream(current_stream(backend))
        for copy, source in zip(copies, pinned, strict=True):
            copy.set(source, stream=self._side.cupy)
        arrived = self._side.record_event()
        self._on_the_way.append((arrived, pinned))

        def take() -> list[Array]:
            current_stream(backend).wait_event(arrived)
            return copies

        return take


def pin(array: np.ndarray) -> np.ndarray:
    """The array in page-locked memory of the host, from which a GPU copies while the host goes on: itself if it is."""
    if is_pinned(array):
        return array
    import cupyx

    copy: np.ndarray = cupyx.empty_pinned(array.shape, array.dtype)
    copy[...] = array
    return copy


def is_pinned(array: np.ndarray) -> bool:
    """Whether an array of the host lies in page-locked memory that CuPy gave."""
    import cupy

    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    held = base.obj if isinstance(base, memoryview) else base
    return isinstance(held, cupy.cuda.PinnedMemoryPointer)
