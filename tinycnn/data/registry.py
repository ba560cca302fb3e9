"""The data sets that have a name: what `tinycnn train --data NAME` can say."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from typing import Any

from .dataset import ImageDataset
from .digits import Digits
from .idx import MNIST, FashionMNIST

_Folder = str | os.PathLike[str] | None

_LOADERS: dict[str, Callable[[_Folder, bool], ImageDataset]] = {
    "digits": lambda data_dir, train: Digits(train),
    "fashion-mnist": FashionMNIST,
    "mnist": MNIST,
}


def available() -> list[str]:
    """The names that `load` knows.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.available()
        ['digits', 'fashion-mnist', 'mnist']
    """
    return sorted(_LOADERS)


def load(name: str, data_dir: _Folder = None) -> tuple[ImageDataset, ImageDataset]:
    """A data set by name, as (train, test).

    Args:
        name: one of `available()`.
        data_dir: the folder of the data sets that tinycnn does not carry; by default that of TINYCNN_DATA.

    Raises:
        ValueError: if the name is unknown, or a file is damaged.
        FileNotFoundError: if the files are not there; it says where it looked and where to get them.
    """
    if name not in _LOADERS:
        near: list[Any] = difflib.get_close_matches(name, _LOADERS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no data set is called {name!r}, there are {', '.join(available())}{hint}")
    make = _LOADERS[name]
    return make(data_dir, True), make(data_dir, False)
