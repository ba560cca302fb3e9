"""Fashion-MNIST as the book loads it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .. import data
from ..data import DataLoader, transforms

Folder = str | os.PathLike[str] | None


def load_fashion_mnist(resize: int | tuple[int, int] | None = None, root: Folder = None) -> tuple[Any, Any]:
    """The data sets (train, test), with images resized if asked for; see `load_data_fashion_mnist`."""
    if resize in (None, 28, (28, 28)):
        return data.load("fashion-mnist", root)
    return data.load("fashion-mnist", root, transform=transforms.Resize(resize))


def load_data_fashion_mnist(
    batch_size: int, resize: int | tuple[int, int] | None = None, root: Folder = None
) -> tuple[DataLoader, DataLoader]:
    """Loaders of the 60,000 training images of Fashion-MNIST, in a new order at each epoch, and of the 10,000 others.

    Args:
        batch_size: images a batch; one is (X float32 (N, 1, H, W) in [0, 1], y int64 (N,)).
        resize: H and W, or both in one number, instead of 28.
        root: the folder of the data sets; by default that of TINYCNN_DATA. See `tinycnn.data.load`.

    Raises:
        FileNotFoundError: if the files are not there; it says where it looked and where to get them.
    """
    train, test = load_fashion_mnist(resize, root)
    workers = get_dataloader_workers()
    return (
        DataLoader(train, batch_size, shuffle=True, num_workers=workers),
        DataLoader(test, batch_size, shuffle=False, num_workers=workers),
    )


def get_dataloader_workers() -> int:
    """4, what the book gives a DataLoader as num_workers; here one thread prepares batches whatever the number."""
    return 4


def get_fashion_mnist_labels(labels: Iterable[Any]) -> list[str]:
    """The names of Fashion-MNIST's classes with these numbers.

    Example:
        >>> get_fashion_mnist_labels([0, 9])
        ['t-shirt', 'ankle boot']
    """
    return [data.FashionMNIST.class_names[int(i)] for i in labels]
