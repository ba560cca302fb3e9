"""DataLoader: a dataset, batch by batch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..backend.generator import Generator
from .collate import default_collate
from .dataset import Dataset
from .prefetch import Prefetcher
from .randomness import drawing_from, fresh_seed
from .sending import pin_batch, send_ahead


class DataLoader:
    """Iterates over a dataset in batches; each `for` is one epoch.

    Batches come from this process. With `prefetch` or `num_workers` one thread in the background makes them ahead; the
    batches are the same, bit for bit. The thread ends with the epoch, or as soon as the loop is left.

    Args:
        dataset: has `__len__` and `__getitem__`; if it has `batch(indices)` and no collate_fn is given, a batch is
            fetched by one call of that.
        batch_size: samples a batch; the last may be smaller.
        shuffle: go through the samples in a new random order at each epoch.
        sampler: numbers of samples in the order to take them, instead of shuffle; read whole as an epoch begins.
        batch_sampler: lists of numbers of samples, one for each batch, instead of batch_size, shuffle, sampler and
            drop_last.
        num_workers: if not 0, a thread in the background (never more than one) makes `prefetch_factor` batches ahead.
        collate_fn: makes a batch of a list of samples; by default `default_collate`.
        pin_memory: put batches in page-locked memory, from which a GPU takes them while the host goes on; nothing where
            CUDA cannot be used.
        drop_last: leave the last batch out if it is smaller.
        timeout: seconds that the background may take for a batch; 0 is any time.
        worker_init_fn: called with 0 at the beginning of the thread.
        multiprocessing_context: nothing here.
        generator: where an epoch's seed comes from, a `tinycnn.Generator` of the CPU; by default the CPU's own random
            numbers, which `manual_seed` starts.
        prefetch_factor: 2 by default.
        persistent_workers: nothing here, for a thread starts quickly.
        prefetch: how many batches to make ahead, 0 for none; by default what num_workers and prefetch_factor say.
        device: send the batches there, each while the one before is used; see `send_ahead`.

    At the beginning of an epoch one seed is drawn, unless nothing is random: no shuffle, and a dataset that calls
    itself `deterministic`. The seed gives the order, and with a batch's number the random numbers of its transforms:
    see `current_rng`.

    Raises:
        ValueError: if an argument is out of range, or two contradict each other.

    Example:
        >>> import tinycnn
        >>> data = tinycnn.data.TensorDataset(tinycnn.arange(5))
        >>> [x.tolist() for (x,) in tinycnn.data.DataLoader(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Iterable[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        prefetch: int | None = None,
        device: Any = None,
    ) -> None:
        _check_integer("batch_size", batch_size, 1)
        _check_integer("num_workers", num_workers, 0)
        if shuffle and sampler is not None:
            raise ValueError("DataLoader: give either shuffle=True or a sampler, not both")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: a batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if prefetch is None:
            if num_workers == 0 and (prefetch_factor is not None or persistent_workers):
                raise ValueError("DataLoader: prefetch_factor and persistent_workers need num_workers above 0")
            prefetch = 0 if num_workers == 0 else 2 if prefetch_factor is None else prefetch_factor
            _check_integer("prefetch_factor", prefetch, 0 if num_workers == 0 else 1)
        _check_integer("prefetch", prefetch, 0)
        if not timeout >= 0:
            raise ValueError(f"DataLoader: timeout must be 0 or more seconds, got {timeout!r}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.sampler, self.batch_sampler, self.drop_last = sampler, batch_sampler, drop_last
        self.generator, self.collate_fn = generator, collate_fn
        self.prefetch, self.timeout, self.worker_init_fn = prefetch, timeout, worker_init_fn
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.persistent_workers, self.pin_memory = persistent_workers, pin_memory
        self.device = device
        self._epochs = 0  # begun so far: tells the epoch under way from others that are still being iterated
        self._seed: int | None = None  # of the epoch under way
        self._batch = 0  # batches handed out in it
        self._resuming = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """The batches of a new epoch, or what remains of the one that `load_state_dict` set."""
        if not self._resuming:
            self._seed = fresh_seed(self.generator) if self._is_random else None
            self._batch = 0
        indices = self._indices()
        if self._batch > len(indices):
            raise ValueError(f"DataLoader: the state to go on from is of batch {self._batch}, there are {len(indices)}")
        self._resuming = False
        self._epochs += 1
        return _Epoch(self, self._epochs, self._batches(indices))

    @property
    def _is_random(self) -> bool:
        return self.shuffle or not getattr(self.dataset, "deterministic", False)

    def _indices(self) -> list[np.ndarray]:
        """The numbers of the samples of each batch."""
        if self.batch_sampler is not None:
            return [np.fromiter(map(operator.index, batch), np.int64) for batch in self.batch_sampler]
        if self.sampler is not None:
            order = np.fromiter(map(operator.index, self.sampler), np.int64)
        elif self.shuffle:
            order = np.random.default_rng(self._seed).permutation(len(self.dataset))
        else:
            order = np.arange(len(self.dataset))
        end = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        return [order[start : start + self.batch_size] for start in range(0, end, self.batch_size)]

    def _batches(self, indices: list[np.ndarray]) -> Iterator[Any]:
        source = _make_batches(self._fetcher(), indices, self._seed, self._batch)
        if self.pin_memory:
            source = map(pin_batch, source)
        if self.prefetch:
            start = self.worker_init_fn
            source = Prefetcher(source, self.prefetch, self.timeout, None if start is None else lambda: start(0))
        return source if self.device is None else send_ahead(source, self.device)

    def _fetcher(self) -> Callable[[np.ndarray], Any]:
        """What makes a batch; it does not know the loader, so that a thread in it keeps no loader alive."""
        dataset, collate = self.dataset, self.collate_fn
        if collate is None and hasattr(dataset, "batch"):
            fetch: Callable[[np.ndarray], Any] = dataset.batch
            return fetch
        return lambda indices: (collate or default_collate)([dataset[i] for i in indices.tolist()])

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch is that was begun last, of things that JSON can hold.

        `epoch_seed` is its seed, or None if nothing is random; `batch` counts the batches handed out, whatever was
        prefetched behind them; `generator` is the state of the loader's own generator, None if it has none. Between
        epochs `batch` is 0 and `epoch_seed` None.

        Example:
            >>> import tinycnn
            >>> from tinycnn.data import DataLoader, TensorDataset
            >>> loader = DataLoader(TensorDataset(tinycnn.arange(6)), 2, shuffle=True)
            >>> epoch = iter(loader)
            >>> _, state = next(epoch), loader.state_dict()
            >>> rest = [x.tolist() for (x,) in epoch]
            >>> loader.load_state_dict(state)
            >>> rest == [x.tolist() for (x,) in loader]
            True
        """
        state = None if self.generator is None else self.generator.get_state()
        return {"epoch_seed": self._seed, "batch": self._batch, "generator": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next `for` go on with the epoch that a state is of, behind the batches already handed out.

        These are not fetched again. A sampler must give the same order again.

        Raises:
            ValueError: if it is no state of such a loader.
        """
        missing = {"epoch_seed", "batch", "generator"} - set(state_dict)
        if missing:
            raise ValueError(f"DataLoader.load_state_dict: the state lacks {', '.join(sorted(missing))}")
        seed, batch, generator = state_dict["epoch_seed"], state_dict["batch"], state_dict["generator"]
        for name, value in (("batch", batch), ("epoch_seed", 0 if seed is None else seed)):
            _check_integer(name, value, 0)
        if (generator is None) != (self.generator is None):
            has, lacks = ("loader", "state") if generator is None else ("state", "loader")
            raise ValueError(f"DataLoader.load_state_dict: the {has} has a generator, the {lacks} has none")
        if batch > 0 and (seed is None) == self._is_random:
            has, lacks = ("the loader", "the state") if seed is None else ("the state", "the loader")
            raise ValueError(f"DataLoader.load_state_dict: {has} is of random batches, {lacks} is not")
        if self.generator is not None:
            self.generator.set_state(generator)
        self._seed, self._batch = seed, batch
        self._resuming = batch > 0 or seed is not None
        self._epochs += 1  # an epoch still being iterated no longer counts here


class _Epoch(Iterator[Any]):
    """One pass over a loader, which it tells how far it is."""

    def __init__(self, loader: DataLoader, number: int, batches: Iterator[Any]) -> None:
        self._loader, self._number, self._batches = loader, number, batches

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        loader = self._loader
        try:
            batch = next(self._batches)
        except StopIteration:
            if loader._epochs == self._number:
                loader._seed, loader._batch = None, 0
            raise
        if loader._epochs == self._number:
            loader._batch += 1
        return batch


def _make_batches(
    fetch: Callable[[np.ndarray], Any], indices: list[np.ndarray], seed: int | None, first: int
) -> Iterator[Any]:
    for b in range(first, len(indices)):
        with drawing_from(None if seed is None else np.random.default_rng([seed, 1, b])):
            batch = fetch(indices[b])
        yield batch
        del batch  # the consumer's alone


def _check_integer(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"DataLoader: {name} must be an integer of {least} or more, got {value!r}")
