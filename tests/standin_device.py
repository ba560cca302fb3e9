"""The device behind cupy_standin.py: devices, streams, events, memory pools, captured graphs, and what went on there.

Everything is done at once, on the host. What a GPU would do later, or at the same time, is followed by bookkeeping:

- Order. Every stream has a vector clock, every piece of memory its last accesses. An access that no event, stream or
  host synchronisation puts behind an earlier one that it conflicts with is a race, and raises. Freed memory passes its
  accesses on to what is allocated next on the same stream, as CuPy's pool would give that memory away again.
- Devices. An array used while another device is the current one raises, as CuPy does where devices have no peer access.
- Capture. What is launched on a capturing stream is noted, done to see shapes, and undone at the end; `launch` does it
  again in the same memory. Whatever waits for the device, copies from the host or comes from a library that refuses
  capture raises.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

DEVICES = 1  # how many there are; `cupy_standin.install` sets it
CAPACITY = 1 << 34  # bytes of each


class CUDARuntimeError(RuntimeError):
    """What every call fails with where there is no device, or where a capture forbids it."""


class OutOfMemoryError(MemoryError):
    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class DeviceSynchronized(RuntimeError):  # noqa: N818 - CuPy's name
    """Raised by a wait inside `allow_synchronize(False)`."""


class Traffic:
    """What went between host and device, how often the host waited, and how much was launched."""

    def __init__(self) -> None:
        self.to_device = self.to_host = self.waits = self.launches = 0

    def __repr__(self) -> str:
        return (
            f"{self.to_device} copies to the device, {self.to_host} to the host, {self.waits} waits, "
            f"{self.launches} launches"
        )


class _Here(threading.local):
    """What is current in a thread."""

    device = 0
    may_wait = True
    allocator: Callable[[int], Any] | None = None

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}


here = _Here()
traffic = Traffic()


@contextlib.contextmanager
def counted() -> Iterator[Traffic]:
    """The traffic of a block."""
    global traffic
    before, traffic = traffic, Traffic()
    try:
        yield traffic
    finally:
        traffic = before


def wait(stream: Stream | None = None) -> None:
    """The host waits for a stream; without one, for the current one."""
    stream = stream or current_stream()
    if not here.may_wait:
        raise DeviceSynchronized("Device synchronization is not allowed here")
    if stream.capture is not None:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
    traffic.waits += 1
    merge(_host, stream.clock)


def copied_in() -> None:
    """Something comes from the host's memory."""
    if current_stream().capture is not None:
        raise CUDARuntimeError("a copy from the host is captured: replaying would read memory that is long gone")
    traffic.to_device += 1


def not_captured(what: str) -> None:
    if current_stream().capture is not None:
        raise NotImplementedError(f"{what} does not support stream capture")


# ---- streams and events ----------------------------------------------------------------------------------------------

Clock = dict[int, int]  # of each stream, how far
_host: Clock = {}
_stream_ids = itertools.count(1)


def merge(clock: Clock, other: Clock) -> None:
    for stream, time in other.items():
        if clock.get(stream, 0) < time:
            clock[stream] = time


class Stream:
    """A queue of work. The null stream waits for the others and they for it, unless they are made non-blocking."""

    null: Stream
    ptds = None

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.ptr = 0 if null else next(_stream_ids)
        self.clock: Clock = {}
        self.device_id = -1 if null else here.device
        self.is_non_blocking = non_blocking
        self.capture: Graph | None = None
        self._before: list[Stream] = []
        if not null:
            _streams.add(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def __enter__(self) -> Stream:
        self._before.append(current_stream())
        return self.use()

    def __exit__(self, *error: object) -> None:
        here.streams[here.device] = self._before.pop()

    def use(self) -> Stream:
        if self.device_id not in (-1, here.device):
            raise RuntimeError("The device that the stream is created on does not match with the current device")
        here.streams[here.device] = self
        return self

    done = True

    def synchronize(self) -> None:
        wait(self)

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        merge(self.clock, event.clock)

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.capture = Graph.__new__(Graph)
        self.capture.begin()

    def end_capture(self) -> Graph:
        graph, self.capture = self.capture, None
        assert graph is not None
        graph.end()
        return graph

    def is_capturing(self) -> bool:
        return self.capture is not None


_streams: weakref.WeakSet[Stream] = weakref.WeakSet()
Stream.null = Stream(null=True)


class Event:
    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.clock: Clock = {}
        self.timed = not disable_timing

    def record(self, stream: Stream | None = None) -> None:
        self.clock = dict((stream or current_stream()).clock)

    def synchronize(self) -> None:
        traffic.waits += 1
        merge(_host, self.clock)


def get_elapsed_time(start: Event, end: Event) -> float:
    if not (start.timed and end.timed):
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: the events do not measure time")
    return 1.0


def current_stream(device_id: int = -1) -> Stream:
    return here.streams.get(here.device if device_id == -1 else device_id, Stream.null)


def tick() -> tuple[int, Clock]:
    """One more thing on the current stream: its stream, and all that is done before."""
    stream = current_stream()
    clock = stream.clock
    merge(clock, _host)
    if stream.ptr == 0:
        for other in _streams:
            if not other.is_non_blocking:
                merge(clock, other.clock)
    elif not stream.is_non_blocking:
        merge(clock, Stream.null.clock)
    clock[stream.ptr] = clock.get(stream.ptr, 0) + 1
    return stream.ptr, clock


def settle() -> None:
    """Let everything be done, whatever was left undone by a check that failed."""
    for stream in (*_streams, Stream.null):
        merge(_host, stream.clock)
    for piece in _pieces.values():
        piece.writes, piece.reads = {}, {}
    default_pool.forget()


# ---- memory ----------------------------------------------------------------------------------------------------------


class Piece:
    """A piece of memory: its size, and its accesses that nothing has superseded."""

    def __init__(self, size: int, pool: MemoryPool, stream: int, device: int) -> None:
        self.size, self.pool, self.stream, self.device = size, pool, stream, device
        self.writes: Clock = {}
        self.reads: Clock = {}

    def touch(self, stream: int, clock: Clock, write: bool) -> None:
        for accesses in (self.writes, self.reads) if write else (self.writes,):
            for other, time in accesses.items():
                if clock.get(other, 0) < time:
                    kind = "writes" if write else "reads"
                    raise RuntimeError(f"race: stream {stream} {kind} memory that stream {other} may still be using")
        if write:
            self.writes, self.reads = {stream: clock[stream]}, {}
        else:
            self.reads[stream] = clock[stream]


class MemoryPool:
    def __init__(self, allocator: Any = None) -> None:
        self._used: Counter[int] = Counter()
        self._held: Counter[int] = Counter()
        self._freed: dict[tuple[int, int], tuple[Clock, Clock]] = {}

    def malloc(self, size: int) -> Piece:
        size = -(-size // 512) * 512
        device, stream = here.device, current_stream().ptr
        if self._used[device] + size > CAPACITY:
            raise OutOfMemoryError(size, self._used[device])
        self._used[device] += size
        self._held[device] = max(self._held[device], self._used[device])
        piece = Piece(size, self, stream, device)
        writes, reads = self._freed.get((device, stream), ({}, {}))
        piece.writes, piece.reads = dict(writes), dict(reads)
        return piece

    def free(self, piece: Piece) -> None:
        self._used[piece.device] -= piece.size
        writes, reads = self._freed.setdefault((piece.device, piece.stream), ({}, {}))
        merge(writes, piece.writes)
        merge(reads, piece.reads)

    def forget(self) -> None:
        """Forget who used what was freed."""
        self._freed.clear()

    def used_bytes(self) -> int:
        return self._used[here.device]

    def total_bytes(self) -> int:
        return self._held[here.device]

    def free_bytes(self) -> int:
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        self._held[here.device] = self._used[here.device]


default_pool = MemoryPool()
_allocator: Callable[[int], Any] = default_pool.malloc
_pieces: dict[int, Piece] = {}
_roots: dict[int, weakref.ref[np.ndarray]] = {}


def set_allocator(allocator: Callable[[int], Any]) -> None:
    global _allocator
    _allocator = allocator


def get_allocator() -> Callable[[int], Any]:
    return here.allocator or _allocator


@contextlib.contextmanager
def using_allocator(allocator: Callable[[int], Any]) -> Iterator[None]:
    before, here.allocator = here.allocator, allocator
    try:
        yield
    finally:
        here.allocator = before


def make_room(size: int) -> None:
    """Raise, as the allocator does, if there is less memory."""
    if size > CAPACITY:
        get_allocator()(size)


def _root(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def piece_of(array: np.ndarray) -> Piece:
    """The memory behind an array; allocated now if it is new."""
    root = _root(array)
    piece = _pieces.get(id(root))
    if piece is None:
        piece = _pieces[id(root)] = get_allocator()(root.nbytes)
        _roots[id(root)] = weakref.ref(root)
        weakref.finalize(root, _forget, id(root)).atexit = False
    return piece


def _forget(key: int) -> None:
    piece = _pieces.pop(key)
    _roots.pop(key)
    piece.pool.free(piece)


def launched(work: Callable[[], None], reads: list[np.ndarray], writes: list[np.ndarray]) -> None:
    """Something runs on the current stream, that reads and writes memory; work does it (again) in place."""
    traffic.launches += 1
    stream, clock = tick()
    for array in reads:
        piece_of(array).touch(stream, clock, write=False)
    for array in writes:
        piece_of(array).touch(stream, clock, write=True)
    capture = current_stream().capture
    if capture is not None:
        capture.note(work)


# ---- captured graphs -------------------------------------------------------------------------------------------------


class Graph:
    """What was launched while a stream was capturing."""

    def begin(self) -> None:
        self._work: list[Callable[[], None]] = []
        # All that is there, for a kernel may write to what it finds in a table of addresses.
        found = [root for root in (ref() for ref in _roots.values()) if root is not None]
        self._before = [(root, root.copy()) for root in found]

    def note(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def end(self) -> None:
        """Capturing did nothing: what was there is as it was, what is new holds nothing yet."""
        for root, content in self._before:
            root[...] = content
        self._before.clear()

    def launch(self, stream: Stream | None = None) -> None:
        if stream is not None and stream != current_stream():
            with stream:
                self.launch()
            return
        traffic.launches += 1
        tick()
        for work in self._work:
            work()

    def upload(self, stream: Stream | None = None) -> None:
        return None


# ---- devices ---------------------------------------------------------------------------------------------------------


class Device:
    def __init__(self, index: int | None = None) -> None:
        self.id, self.compute_capability = here.device if index is None else index, "90"
        self._before: list[int] = []

    def use(self) -> None:
        set_device(self.id)

    def __enter__(self) -> Device:
        self._before.append(here.device)
        self.use()
        return self

    def __exit__(self, *error: object) -> None:
        set_device(self._before.pop())

    def synchronize(self) -> None:
        wait()

    @property
    def mem_info(self) -> tuple[int, int]:
        with self:
            return memory_info()


def set_device(index: int) -> None:
    if not 0 <= index < runtime.getDeviceCount():
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    here.device = index


def memory_info() -> tuple[int, int]:
    return CAPACITY - default_pool.total_bytes(), CAPACITY


@contextlib.contextmanager
def allow_synchronize(allow: bool) -> Iterator[None]:
    before, here.may_wait = here.may_wait, allow
    try:
        yield
    finally:
        here.may_wait = before


class PinnedMemoryPointer(bytearray):
    """Page-locked memory of the host."""


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array: np.ndarray = np.ndarray(shape, dtype, PinnedMemoryPointer(size), order=order)  # type: ignore[call-overload]
    return array


def is_pinned(array: np.ndarray) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return isinstance(base, PinnedMemoryPointer)


runtime = types.SimpleNamespace(
    getDeviceCount=lambda: DEVICES,
    getDeviceProperties=lambda i: {"name": b"stand-in", "totalGlobalMem": CAPACITY, "multiProcessorCount": math.inf},
    getDevice=lambda: here.device,
    setDevice=set_device,
    memGetInfo=memory_info,
    runtimeGetVersion=lambda: 13000,
    driverGetVersion=lambda: 13000,
    streamCaptureModeThreadLocal=1,
    CUDARuntimeError=CUDARuntimeError,
)
