"""Datasets: things with a length that give sample i, and, where it is quicker, a whole batch at once."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend
from ..backend.generator import Generator, random_source
from .collate import default_collate
from .transforms import as_transform
from .transforms.base import from_bytes

_T = TypeVar("_T", covariant=True)


class Dataset(Generic[_T]):
    """A collection of samples by number: subclass it and write `__len__` and `__getitem__`.

    A dataset that can fetch many samples in one go also writes `batch(indices)`, for an array of numbers from 0, which
    returns what collating these samples would; `DataLoader` then uses that.

    A sample may be random, an image cropped by chance for example. Transforms see to it themselves; a dataset that
    draws on its own draws from `current_rng()`, in `__getitem__` as in `batch`. A `DataLoader` sets it anew for each
    batch, so that a batch is the same whether it was prefetched or not, and in a resumed run.

    Attributes:
        deterministic: true promises that no sample is ever random, so that a loader needs to draw no seed.
    """

    deterministic: bool = False

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__(self)")

    def __getitem__(self, index: int) -> _T:
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(self, index)")


def checked_index(index: Any, length: int, what: str) -> int:
    """A sample's number, counted from the end if negative.

    Raises:
        TypeError: if it is no integer.
        IndexError: if there is no such sample.
    """
    try:
        i = operator.index(index)
    except TypeError:
        raise TypeError(f"{what}: a sample's index is an integer, got {index!r:.80}; Subset takes many") from None
    if not -length <= i < length:
        raise IndexError(f"{what}: index {i} is out of range, there are {length} samples")
    return i + length if i < 0 else i


def checked_indices(indices: Any, length: int, what: str) -> np.ndarray:
    """Samples' numbers, counted from the end if negative: an array of int64.

    Raises:
        TypeError: if they are not integers; a mask is none either.
        IndexError: if one of these samples is not there.
    """
    found = np.asarray(indices)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
        raise TypeError(f"{what}: indices are integers in one dimension, got {found.dtype} of shape {found.shape}")
    found = found.astype(np.int64, copy=False)
    wrong = found[(found < -length) | (found >= length)]
    if len(wrong):
        checked_index(wrong[0], length, what)
    return np.where(found < 0, found + length, found)


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

    deterministic = True

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
        indices = checked_indices(indices, len(self), "TensorDataset")
        found = []
        for t in self.tensors:
            on_device = t.backend.from_numpy(np.ascontiguousarray(indices))
            found.append(wrap(t.array[on_device], t.backend))
        return found


class LabelledImages(Dataset[tuple[Any, int]]):
    """What data sets of labelled images share: a subclass gives `image`; sample i is (image, label).

    Args:
        labels: (N,), integers from 0.
        classes: the names of the classes, in the order of their labels.
        transform: what is done to an image when it is asked for: one of `tinycnn.data.transforms`, or any function of
            a tensor (C, H, W).

    Raises:
        ValueError: if labels are not integers, or there are some without a class.
        TypeError: if the transform is not callable.
    """

    def __init__(
        self, labels: np.ndarray, classes: Sequence[str], transform: Callable[[Any], Any] | None = None
    ) -> None:
        if labels.dtype.kind not in "biu" and labels.size:
            raise ValueError(f"{type(self).__name__}: labels must be integers, got {labels.dtype}")
        self.labels = labels.astype(np.int64)
        self.classes = tuple(classes)
        self.transform = _checked_transform(transform)
        if len(labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(
                f"{type(self).__name__}: labels must be from 0 to {len(self.classes) - 1}, "
                f"got {self.labels.min()} to {self.labels.max()}"
            )

    def image(self, index: int) -> np.ndarray:
        """Image (C, H, W), float32 in [0, 1], of a number from 0, before the transform; it may be written to."""
        raise NotImplementedError(f"{type(self).__name__} needs a method image(self, index)")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        """Whether the transform, if there is one, draws no random numbers."""
        return self.transform is None or not as_transform(self.transform).random

    def with_transform(self, transform: Callable[[Any], Any] | None) -> Self:
        """The same images and labels, which are shared and not copied, with this transform instead.

        Example:
            >>> from tinycnn.data import Digits, transforms
            >>> Digits().with_transform(transforms.Resize(32))[0][0].shape
            tinycnn.Size([1, 32, 32])
        """
        other = copy.copy(self)
        other.transform = _checked_transform(transform)
        return other

    def __getitem__(self, index: int) -> tuple[Any, int]:
        i = checked_index(index, len(self), type(self).__name__)
        image = wrap(self.image(i), get_backend("cpu"))
        return image if self.transform is None else self.transform(image), int(self.labels[i])


def _checked_transform(transform: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if transform is not None:
        as_transform(transform)  # says so if it is none
    return transform


class ImageDataset(LabelledImages):
    """Labelled images held in memory as they were stored; sample i is (image, label).

    Args:
        images: (N, C, H, W), uint8 from 0 to 255 or floating from 0 to 1.
        labels: (N,), integers from 0.
        classes: the names of the classes, in the order of their labels.
        transform: what is done to an image when it is asked for: one of `tinycnn.data.transforms`, or any function of
            a tensor (C, H, W).

    A sample's image is a float32 tensor (C, H, W) in [0, 1], which the transform is then given; its label is an int.
    8-bit pixels are divided by 255 when they are asked for, so that a data set takes no more memory than its file.

    Raises:
        ValueError: if shapes, dtypes or labels do not fit together.
        TypeError: if the transform is not callable.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: expected images (N, C, H, W) and labels (N,), "
                f"got {images.shape} and {labels.shape}"
            )
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise ValueError(f"{type(self).__name__}: images must be uint8 or floating, got {images.dtype}")
        super().__init__(labels, classes, transform)
        self.images = images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)

    def image(self, index: Any) -> np.ndarray:
        """Image (C, H, W), float32 in [0, 1], before the transform; images (B, C, H, W) of many numbers."""
        found: np.ndarray = self.images[index]
        return from_bytes(found) if found.dtype == np.uint8 else found.copy()

    def batch(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> list[Any]:
        """The samples of these numbers: images (B, C, H, W) float32 and labels (B,) int64.

        Args:
            indices: (B,), integers.
            rng: what a random transform draws from; by default `current_rng()`.
        """
        indices = checked_indices(indices, len(self), type(self).__name__)
        images: Any = self.image(indices)
        if self.transform is not None:
            images = as_transform(self.transform)(images, rng)
        cpu = get_backend("cpu")
        return [wrap(images, cpu) if isinstance(images, np.ndarray) else images, wrap(self.labels[indices], cpu)]

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
        self.indices = checked_indices(indices, len(dataset), "Subset")

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the dataset's classes.

        Raises:
            AttributeError: if it has none.
        """
        found: tuple[str, ...] = self.dataset.classes  # type: ignore[attr-defined]
        return found

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        """Whether the dataset is."""
        return getattr(self.dataset, "deterministic", False)

    def with_transform(self, transform: Callable[[Any], Any] | None) -> Subset:
        """The same samples of the dataset with another transform."""
        return Subset(self.dataset.with_transform(transform), self.indices)  # type: ignore[attr-defined,arg-type]

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[checked_index(index, len(self), "Subset")])]

    def batch(self, indices: np.ndarray) -> Any:
        """The samples of these numbers in the subset, fetched at once if the dataset can."""
        chosen = self.indices[checked_indices(indices, len(self), "Subset")]
        if hasattr(self.dataset, "batch"):
            return self.dataset.batch(chosen)
        return default_collate([self.dataset[i] for i in chosen.tolist()])


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
