"""Where a sample's random numbers come from: a generator for each batch, so that no thread and no pause changes them.

Batch b of an epoch draws from a NumPy generator that is started from the epoch's seed and b alone. So a batch is the
same whether a background thread makes it or the training loop, early or late, in one run or in a resumed one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..backend import get_backend
from ..backend.generator import Generator, random_source


class _State(threading.local):
    rng: np.random.Generator | None = None


_state = _State()


def current_rng() -> np.random.Generator:
    """The NumPy generator to draw a sample's random numbers from.

    While a `DataLoader` makes a batch this is the batch's own. Anywhere else it is a new one, seeded by a draw from the
    CPU's random numbers, which `manual_seed` starts.

    Example:
        >>> import tinycnn
        >>> tinycnn.manual_seed(0)
        >>> a = tinycnn.data.current_rng().random()
        >>> tinycnn.manual_seed(0)
        >>> a == tinycnn.data.current_rng().random()
        True
    """
    return np.random.default_rng(fresh_seed(None)) if _state.rng is None else _state.rng


@contextmanager
def drawing_from(rng: np.random.Generator | None) -> Iterator[None]:
    """Within the block, in this thread, `current_rng` is this generator."""
    before, _state.rng = _state.rng, rng
    try:
        yield
    finally:
        _state.rng = before


def fresh_seed(generator: Generator | None) -> int:
    """A seed drawn from a generator of the CPU, or from the CPU's own random numbers."""
    return int(random_source(get_backend("cpu"), generator).integers(0, 2**63 - 1, ()))
