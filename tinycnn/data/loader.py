"""DataLoader: a dataset, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend
from ..backend.generator import Generator, random_source
from .dataset import Dataset


class DataLoader:
    """Iterates over a dataset in batches; each `for` is one epoch.

    Args:
        dataset: has `__len__` and `__getitem__`; if it has `batch(indices)` and no collate_fn is given, a batch is
            fetched by one call of that.
        batch_size: samples a batch; the last may be smaller.
        shuffle: go through the samples in a new random order at each epoch.
        sampler: numbers of samples in the order to take them, instead of shuffle.
        drop_last: leave the last batch out if it is smaller.
        collate_fn: makes a batch of a list of samples; by default `default_collate`.
        generator: where the order comes from, a `tinycnn.Generator` of the CPU; by default the CPU's own random
            numbers, which `manual_seed` starts.

    Raises:
        ValueError: if batch_size is not positive, or both shuffle and sampler are given.

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
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be an integer of 1 or more, got {batch_size!r}")
        if shuffle and sampler is not None:
            raise ValueError("DataLoader: give either shuffle=True or a sampler, not both")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.sampler, self.drop_last, self.generator = sampler, drop_last, generator
        self.collate_fn = collate_fn
        self._fetch: Callable[[np.ndarray], Any]
        if collate_fn is None and hasattr(dataset, "batch"):
            self._fetch = dataset.batch
        else:
            collate = collate_fn or default_collate
            self._fetch = lambda indices: collate([dataset[i] for i in indices.tolist()])

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _order(self) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter((int(i) for i in self.sampler), np.int64)
        if self.shuffle:
            return np.asarray(random_source(get_backend("cpu"), self.generator).permutation(len(self.dataset)))
        return np.arange(len(self.dataset))

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            if self.drop_last and len(indices) < self.batch_size:
                return
            yield self._fetch(indices)


def default_collate(samples: list[Any]) -> Any:
    """One batch of a list of samples: tensors and arrays are stacked, numbers become a tensor, and tuples, lists and
    dicts of these are collated field by field.

    Raises:
        ValueError: if tensors differ in shape, or samples in their number of fields.
        TypeError: if a sample is of a kind that it cannot collate.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.default_collate([(tinycnn.zeros(2), 1), (tinycnn.ones(2), 7)])
        [tensor([[0., 0.],
                [1., 1.]]), tensor([1, 7])]
    """
    first = samples[0]
    if isinstance(first, Tensor):
        shapes = {s.array.shape for s in samples}
        if len(shapes) > 1:
            raise ValueError(f"default_collate: the tensors of a batch must have one shape, got {sorted(shapes)}")
        return wrap(first.backend.stack([s.array for s in samples]), first.backend)
    if isinstance(first, Mapping):
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(s) for s in samples}) > 1:
            raise ValueError("default_collate: the samples of a batch must have equally many fields")
        return [default_collate(list(field)) for field in zip(*samples, strict=True)]
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, (np.ndarray, np.generic, int, float)):
        if isinstance(first, np.ndarray) and len({s.shape for s in samples}) > 1:
            raise ValueError(
                f"default_collate: the arrays of a batch must have one shape, got {sorted({s.shape for s in samples})}"
            )
        return wrap(np.stack([np.asarray(s) for s in samples]), get_backend("cpu"))
    raise TypeError(f"default_collate: cannot make a batch of {type(first).__name__}; give the DataLoader a collate_fn")
