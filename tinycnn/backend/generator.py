"""Random generators: streams of one's own, and the seed and state of every device's.

`RandomSource` (in `base.py`) is what a backend draws from; `Generator` is what a user holds.
"""

from __future__ import annotations

import operator
import os
from typing import Any

from .base import Backend, RandomSource
from .registry import active_random_sources, device, device_of, get_backend, random_seed, seed_random_sources


def _checked_seed(name: str, seed: Any) -> int:
    number = operator.index(seed)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{name}: the seed must lie in [-2^63, 2^64), got {number}")
    return number % 2**64


class Generator:
    """A stream of random numbers of its own, for the `generator` argument of random functions.

    Example:
        >>> import tinycnn
        >>> a = tinycnn.rand(2, generator=tinycnn.Generator().manual_seed(0))
        >>> b = tinycnn.rand(2, generator=tinycnn.Generator().manual_seed(0))
        >>> (a == b).all()
        tensor(True)
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._backend = get_backend(device)
        self.source: RandomSource = self._backend.new_random(None)
        self._seed = 0
        self.seed()

    @property
    def device(self) -> device:
        """Where it draws."""
        return device_of(self._backend)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed; returns the generator."""
        self._seed = _checked_seed("manual_seed", seed)
        self.source.seed(self._seed)
        return self

    def seed(self) -> int:
        """Start anew from a seed nobody can foresee; returns it."""
        return self.manual_seed(_fresh_seed()).initial_seed()

    def initial_seed(self) -> int:
        """The seed it started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """The state, of things that JSON can hold."""
        return {"seed": self._seed, "source": self.source.get_state()}

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Go on from a state that `get_state` gave; returns the generator."""
        self._seed = state["seed"]
        self.source.set_state(state["source"])
        return self


def _fresh_seed() -> int:
    return int.from_bytes(os.urandom(8), "big") >> 1


def manual_seed(seed: int) -> None:
    """Start the random numbers of every device anew from a seed, also of devices that come into use later.

    Raises:
        ValueError: if the seed does not fit 64 bits.

    Example:
        >>> import tinycnn
        >>> tinycnn.manual_seed(0)
        >>> a = tinycnn.rand(3)
        >>> tinycnn.manual_seed(0)
        >>> (a == tinycnn.rand(3)).all()
        tensor(True)
    """
    seed_random_sources(_checked_seed("manual_seed", seed))


def seed() -> int:
    """Start the random numbers of every device anew from a seed nobody can foresee; returns it."""
    manual_seed(_fresh_seed())
    return random_seed()


def initial_seed() -> int:
    """The seed that the random numbers of every device started from."""
    return random_seed()


def get_rng_state() -> dict[str, Any]:
    """The state of the random numbers of every device in use, of things that JSON can hold.

    Example:
        >>> import tinycnn
        >>> state = tinycnn.get_rng_state()
        >>> a = tinycnn.rand(3)
        >>> tinycnn.set_rng_state(state)
        >>> (a == tinycnn.rand(3)).all()
        tensor(True)
    """
    return {where: source.get_state() for where, source in active_random_sources().items()}


def set_rng_state(new_state: dict[str, Any]) -> None:
    """Go on from a state that `get_rng_state` gave; devices that it does not name, or that are not in use, stay."""
    sources = active_random_sources()
    for where, state in new_state.items():
        if where in sources:
            sources[where].set_state(state)


def random_source(backend: Backend, generator: Generator | None) -> RandomSource:
    """Where to draw random numbers for a backend.

    Raises:
        RuntimeError: if the generator belongs to another device.
    """
    if generator is None:
        return backend.random
    if generator.device != device_of(backend):
        raise RuntimeError(f"generator: expected one for {device_of(backend)}, got one for {generator.device}")
    return generator.source
