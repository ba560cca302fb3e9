"""CUDA graphs: what a stretch of code asks of the GPU, noted once and then launched as one piece.

A small network's step is a hundred launches of a few microseconds each, and the host needs longer to ask for them than
the GPU to do them. Replaying a graph asks once.

While capturing nothing runs. So nothing can be read from the device, and nothing be copied from the host, whose memory
would be gone when the graph runs. Memory comes from a pool that belongs to the graph: a replay finds every array where
the capture put it.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from .backend import CudaBackend
from .streams import Stream, current_stream


class CUDAGraph:
    """Work on a GPU that was captured by `tinycnn.cuda.graph`, to be replayed."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._backend: CudaBackend | None = None
        self._pool: Any = None
        self._draws = 0
        self.constants: list[tuple[Any, Any]] = []

    def replay(self) -> None:
        """Do the captured work again, on what its input tensors hold now.

        Raises:
            RuntimeError: if nothing was captured.
        """
        backend = self._backend
        if backend is None or self._graph is None:
            raise RuntimeError("CUDAGraph.replay: nothing was captured; see tinycnn.cuda.graph")
        backend.on_device(self._replay, backend)

    def _replay(self, backend: CudaBackend) -> None:
        backend.random.before_replay(self._draws)
        self._graph.launch()
        backend.checks.pending = True  # it may have had one

    def reset(self) -> None:
        """Forget the captured work, and give its memory back once no tensor uses it."""
        self._graph = None
        if self._backend is not None:
            self._backend.memory.drop_pool(self._pool)
        self._backend = self._pool = None

    def outdated(self) -> bool:
        """Whether a number of the host that the graph has taken over, such as a learning rate, is another now."""
        return any(read() != value for read, value in self.constants)


class capture:  # noqa: N801 - reads as a function
    """A `with` block whose work on a GPU becomes a graph.

    Raises:
        RuntimeError: from the block, if it reads from the device or copies to it, or draws from a generator of its own.
    """

    def __init__(self, graph: CUDAGraph, backend: CudaBackend) -> None:
        self._graph, self._backend = graph, backend

    def __enter__(self) -> None:
        import cupyx

        from tinycnn.kernels.cuda.conv_choice import own_products

        backend, graph = self._backend, self._graph
        if backend.capturing is not None:
            raise RuntimeError("cuda.graph: a capture is under way already")
        graph.reset()
        graph._backend, graph._pool, graph.constants = backend, backend.memory.new_pool(), []
        backend.on_device(backend.checks.look)
        backend.random.begin_capture()
        self._stack = contextlib.ExitStack()
        self._stream = Stream(backend)
        self._stream.wait_stream(current_stream(backend))
        self._stack.enter_context(self._stream)
        using = backend._xp.cuda.using_allocator
        self._stack.enter_context(using(backend.memory.allocator_of(graph._pool)))
        self._stack.enter_context(cupyx.allow_synchronize(False))
        self._stack.enter_context(own_products())  # cuBLAS, by way of CuPy, cannot be captured
        backend.capturing = graph.constants
        self._stream.cupy.begin_capture()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        import cupyx

        backend, graph = self._backend, self._graph
        try:
            graph._draws = backend.random.end_capture()
            if value is None:
                graph._graph = self._stream.cupy.end_capture()
            else:
                with contextlib.suppress(Exception):  # an invalid capture says so once more
                    self._stream.cupy.end_capture()
        finally:
            backend.capturing = None
            self._stack.close()
        if value is not None:
            graph.reset()
            with contextlib.suppress(Exception):
                current_stream(backend).wait_stream(self._stream)
        if isinstance(value, (cupyx.DeviceSynchronized, backend._runtime.CUDARuntimeError)):
            raise RuntimeError(
                "cuda.graph: the captured code waits for the device, or does something else that a graph cannot hold: "
                f"{value}. No number may be read from the device in it: no item(), no mask as an index, no printing"
            ) from value
        current_stream(backend).wait_stream(self._stream)
