"""Datasets: things with a length that give sample i, and, where it is quicker, a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend
from ..backend.generator import Generator, random_source

_T = TypeVar("_T", covariant=True)


class Dataset(Generic[_T]):
    """A collection of samples by number: subclass it and write `__len__` and `__getitem__`.

    A dataset that can fetch many samples in one go also writes `batch(indices)`, which returns what collating these
    samples would; `DataLoader` then uses that.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__(self)")

    def __getitem__(self, index: int) -> _T:
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(self, index)")


def checked_index(index: Any, length: int, what: str) -> int:
    """A sample's number, counted from the end if negative.

    Raises:
        IndexError: if there is no such sample.
    """
    i = int(index)
    if not -length <= i < length:
        raise IndexError(f"{what}: index {i} is out of range, there are {length} samples")
    return i + length if i < 0 else i


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the tensors' i-th entries.

    Args:
        tensors: at least one, all with the same first dimension.

    Raises:
        ValueError: if there is none, or their first dimensions differ.

    Example:
        >>> import tinycnn
        >>> data = tinycnn.data.TensorDataset(tinycnn.zeros(5, 2), tinycnn.arange(5))
        >>> len(data), data[3]
        (5, (tensor([0., 0.]), tensor(3)))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: needs at least one tensor")
        shapes = [t.array.shape for t in tensors]
        if any(not s for s in shapes) or len({s[0] for s in shapes}) != 1:
            raise ValueError(f"TensorDataset: all tensors need the same first dimension, got shapes {shapes}")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def batch(self, indices: np.ndarray) -> list[Tensor]:
        """The samples of these numbers, stacked: one indexing a tensor."""
        found = []
        for t in self.tensors:
            on_device = t.backend.from_numpy(np.ascontiguousarray(indices))
            found.append(wrap(t.array[on_device], t.backend))
        return found


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Labelled images held in memory as they were stored; sample i is (image, label).

    Args:
        images: (N, C, H, W), uint8 from 0 to 255 or floating from 0 to 1.
        labels: (N,), integers from 0.
        classes: the names of the classes, in the order of their labels.

    A sample's image is a float32 tensor (C, H, W) in [0, 1], its label an int. 8-bit pixels are divided by 255 when
    they are asked for, so that a data set takes no more memory than its file.

    Raises:
        ValueError: if shapes, dtypes or labels do not fit together.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: expected images (N, C, H, W) and labels (N,), "
                f"got {images.shape} and {labels.shape}"
            )
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise ValueError(f"{type(self).__name__}: images must be uint8 or floating, got {images.dtype}")
        self.images = images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)
        self.labels = labels.astype(np.int64)
        self.classes = tuple(classes)
        if len(labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(
                f"{type(self).__name__}: labels must be from 0 to {len(self.classes) - 1}, "
                f"got {self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def _pixels(self, index: Any) -> Tensor:
        found = self.images[index]
        scaled = np.multiply(found, np.float32(1 / 255), dtype=np.float32) if found.dtype == np.uint8 else found.copy()
        return wrap(scaled, get_backend("cpu"))

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        i = checked_index(index, len(self), type(self).__name__)
        return self._pixels(i), int(self.labels[i])

    def batch(self, indices: np.ndarray) -> list[Tensor]:
        """The samples of these numbers: images (B, C, H, W) float32 and labels (B,) int64."""
        return [self._pixels(indices), wrap(self.labels[indices], get_backend("cpu"))]

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        return f"{type(self).__name__}({n} images {c}x{h}x{w}, {len(self.classes)} classes)"


class Subset(Dataset[Any]):
    """The samples of a dataset that have these numbers, in this order.

    Raises:
        IndexError: if a number is out of range.
    """

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = np.asarray([checked_index(i, len(dataset), "Subset") for i in indices], np.int64)
        if hasattr(dataset, "batch"):
            self.batch = self._batch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[checked_index(index, len(self), "Subset")])]

    def _batch(self, indices: np.ndarray) -> Any:
        return self.dataset.batch(self.indices[indices])  # type: ignore[attr-defined]


def random_split(
    dataset: Dataset[Any], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """Deal a dataset out into random subsets that do not overlap.

    Args:
        dataset: what to split.
        lengths: the size of each part, or the share of each if they sum to 1; samples left over by rounding the shares
            down go to the parts one by one.
        generator: where the order comes from; by default the CPU's source, which `manual_seed` sets.

    Raises:
        ValueError: if the lengths sum neither to 1 nor to the dataset's length, or one is negative.

    Example:
        >>> import tinycnn
        >>> data = tinycnn.data.TensorDataset(tinycnn.arange(10))
        >>> [len(part) for part in tinycnn.data.random_split(data, [0.75, 0.25])]
        [8, 2]
    """
    n = len(dataset)
    sizes = list(lengths)
    if any(size < 0 for size in sizes):
        raise ValueError(f"random_split: lengths must be 0 or more, got {sizes}")
    if math.isclose(sum(sizes), 1) and any(isinstance(size, float) for size in sizes):
        counts = [math.floor(n * share) for share in sizes]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(size) for size in sizes]
    if sum(counts) != n or (counts != sizes and not any(isinstance(size, float) for size in sizes)):
        raise ValueError(f"random_split: lengths {sizes} sum neither to 1 nor to the dataset's length {n}")
    order = random_source(get_backend("cpu"), generator).permutation(n)
    ends = np.cumsum(counts)
    host = np.asarray(order)
    return [Subset(dataset, host[end - count : end]) for end, count in zip(ends, counts, strict=True)]  # type: ignore[arg-type]
