"""The data sets that have a name: what `tinycnn train --data NAME` can say."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .cifar import CIFAR10, CIFAR100
from .digits import Digits
from .download import Progress
from .folder import ImageFolder, class_folders, split_folders
from .idx import MNIST, FashionMNIST
from .published import PublishedImages
from .synthetic import Synthetic

_Folder = str | os.PathLike[str] | None


def _make(source: Callable[..., Any], data_dir: _Folder, train: bool, options: dict[str, Any]) -> Any:
    """One part of a data set whose class says which part it wants, and of which folder if it needs files."""
    folder = {"root": data_dir} if "root" in inspect.signature(source).parameters else {}
    return source(**folder, train=train, **options)


def _make_folder(source: Callable[..., Any], data_dir: _Folder, train: bool, options: dict[str, Any]) -> Any:
    folders = split_folders(data_dir)
    return source(folders[not train], **options, classes=class_folders(folders[0]))


def _make_synthetic(source: Callable[..., Any], data_dir: _Folder, train: bool, options: dict[str, Any]) -> Any:
    whole = source(**options)
    return whole if train else source(**{**options, "n": -(-len(whole) // 4), "train": False})


@dataclass(frozen=True)
class DataInfo:
    """What is known of a data set before it is loaded.

    Attributes:
        name: for `load`.
        summary: one line.
        source: the class that holds it.
        image_shape: (C, H, W) of its images without options; None if that is up to the files.
        num_classes: without options; None if that is up to the files.
        make: gives a part of it from source, data_dir, train and options.
    """

    name: str
    summary: str
    source: Callable[..., Any]
    image_shape: tuple[int, int, int] | None
    num_classes: int | None
    make: Callable[[Callable[..., Any], _Folder, bool, dict[str, Any]], Any] = _make

    @property
    def needs_files(self) -> bool:
        """Whether it is read from files that tinycnn does not carry."""
        return "root" in inspect.signature(self.source).parameters

    @property
    def can_download(self) -> bool:
        """Whether `load` can fetch these files."""
        return isinstance(self.source, type) and issubclass(self.source, PublishedImages)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that `load` takes for it."""
        own = ("root", "train", "download", "progress", "classes")
        return tuple(name for name in inspect.signature(self.source).parameters if name not in own)


_SETS = {
    info.name: info
    for info in (
        DataInfo("cifar-10", "60,000 colour pictures in 10 classes", CIFAR10, (3, 32, 32), 10),
        DataInfo("cifar-100", "60,000 colour pictures in 100 classes", CIFAR100, (3, 32, 32), 100),
        DataInfo("digits", "1,797 handwritten digits, carried by tinycnn", Digits, (1, 28, 28), 10),
        DataInfo("fashion-mnist", "70,000 grey pictures of clothes", FashionMNIST, (1, 28, 28), 10),
        DataInfo("folder", "JPEG and PNG pictures, a folder a class", ImageFolder, None, None, _make_folder),
        DataInfo("mnist", "70,000 handwritten digits", MNIST, (1, 28, 28), 10),
        DataInfo("synthetic", "shapes and textures of any size", Synthetic, (3, 224, 224), 10, _make_synthetic),
    )
}


def available() -> list[str]:
    """The names that `load` knows.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.available()
        ['cifar-10', 'cifar-100', 'digits', 'fashion-mnist', 'folder', 'mnist', 'synthetic']
    """
    return sorted(_SETS)


def get(name: str) -> DataInfo:
    """What is known of the data set of this name.

    Raises:
        ValueError: if there is none.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.get("cifar-100").image_shape
        (3, 32, 32)
    """
    if name not in _SETS:
        near: list[Any] = difflib.get_close_matches(name, _SETS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no data set is called {name!r}, there are {', '.join(available())}{hint}")
    return _SETS[name]


def load(
    name: str, data_dir: _Folder = None, download: bool = False, progress: Progress | None = None, **options: Any
) -> tuple[Any, Any]:
    """A data set by name, as (train, test).

    Args:
        name: one of `available()`.
        data_dir: the folder of the data sets that tinycnn does not carry; by default that of TINYCNN_DATA, else
            tinycnn/data in the user's cache. For "folder" the one that holds train and test (or val).
        download: fetch published files that are missing; files that are there stay as they are.
        progress: called while downloading with the bytes that are there and their total.
        options: what the data set's class takes, for both parts: `transform` (all of them), `coarse` (cifar-100),
            `size`, `mode` (folder), `size`, `channels`, `num_classes`, `seed` and `n` (synthetic: n pictures for
            training, and a quarter as many for testing).

    Raises:
        ValueError: if the name or an option is unknown, or a file is damaged.
        FileNotFoundError: if the files are not there; it says where it looked and where to get them.
        DownloadError: if they cannot be downloaded.

    Example:
        >>> import tinycnn
        >>> train, test = tinycnn.data.load("synthetic", n=200, size=32)
        >>> len(train), len(test), tuple(train[0][0].shape)
        (200, 50, (3, 32, 32))
    """
    info = get(name)
    for option in options:
        if option not in info.options:
            raise ValueError(f"data set {name} has no option {option!r}, it has {', '.join(info.options)}")
    if download and info.can_download:
        info.source.fetch(data_dir, progress)  # type: ignore[attr-defined]
    try:
        return info.make(info.source, data_dir, True, options), info.make(info.source, data_dir, False, options)
    except ValueError as error:
        if not (download and info.can_download):
            raise
        raise ValueError(f"{error}; to download it again, remove it first") from None
