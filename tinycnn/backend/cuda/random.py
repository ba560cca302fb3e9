"""Random numbers of a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base import Array, RandomSource, Shape
from ..dtypes import FLOATING


class CudaRandom(RandomSource):
    """Draw number i follows from (seed, i) alone: the state is two integers, kept on the host.

    Uniform numbers, dropout's, come from Philox: a kernel hashes (seed, draw, place). In a captured graph the draw is
    the sum of one that is noted in the graph and one in device memory, which each replay moves on. J. K. Salmon et al.,
    "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
    """

    def __init__(self, cupy: Any, seed: int | None, on_device: Callable[..., Any]) -> None:
        self._cupy, self._on_device = cupy, on_device
        self._seed: int = int(np.random.SeedSequence(seed).entropy) % 2**64  # type: ignore[arg-type]
        self._draws = 0
        self._counter: Array | None = None  # the draw in device memory that graphs begin from
        self._captured: int | None = None  # while a graph is captured: how many draws are in it

    def _next(self) -> Any:
        if self._captured is not None:
            raise RuntimeError("cuda.graph: of random numbers only uniform ones, such as dropout's, can be captured")
        self._draws += 1
        entropy: Any = [self._seed, self._draws]
        words = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        return self._cupy.random.default_rng(int(words[0]))

    def _draw(self, kind: str, *args: Any) -> Array:
        return self._on_device(lambda: getattr(self._next(), kind)(*args))

    def seed(self, seed: int) -> None:
        self._seed, self._draws = seed % 2**64, 0

    def uniform(self, shape: Shape, dtype: Any) -> Array:
        kind = np.dtype(dtype)
        if kind.itemsize == 2:
            return self._on_device(lambda: self._philox(shape, np.float32).astype(kind))
        return self._on_device(self._philox, shape, kind)

    def _philox(self, shape: Shape, dtype: Any) -> Array:
        from tinycnn.kernels.cuda.dropout import uniform

        return uniform(tuple(shape), dtype, *self._place())

    def _place(self) -> tuple[int, int, Array | None]:
        """The next draw as the kernels take it: seed, number, and what is added to that in a captured graph."""
        if self._captured is None:
            self._draws += 1
            return self._seed, self._draws, None
        self._captured += 1
        return self._seed, self._captured, self._counter

    def dropout(self, x: Array, p: float) -> tuple[Array, Callable[[Array], Array]] | None:
        if x.dtype.char not in FLOATING:
            return None
        from tinycnn.kernels.cuda.dropout import dropout
        from tinycnn.kernels.cuda.layout import dense

        seed, draw, counter = self._place()

        def again(x: Array, order: Any = None) -> Array:
            return self._on_device(dropout, x, p, seed, draw, counter, order)

        order = dense(x)[1]
        return again(x, order), functools.partial(again, order=order)

    def normal(self, shape: Shape, dtype: Any) -> Array:
        return self._draw("standard_normal", tuple(shape), dtype)

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        return self._draw("integers", low, high, tuple(shape), np.int64)

    def permutation(self, n: int) -> Array:
        return self._on_device(lambda: self._cupy.argsort(self.uniform((n,), np.float64)))

    def begin_capture(self) -> None:
        """From here on draws are noted in a graph."""
        if self._counter is None:
            self._counter = self._on_device(self._cupy.zeros, 1, "uint64")
        self._captured = 0

    def end_capture(self) -> int:
        """How many draws were noted."""
        draws, self._captured = self._captured or 0, None
        return draws

    def before_replay(self, draws: int) -> None:
        """Let a graph with so many draws go on from here."""
        if draws:
            assert self._counter is not None
            self._counter.fill(self._draws)
            self._draws += draws

    def get_state(self) -> dict[str, Any]:
        return {"seed": self._seed, "draws": self._draws}

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed, self._draws = state["seed"], state["draws"]
