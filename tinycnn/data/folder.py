"""A folder of class folders of pictures, read one by one as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .lazy import LazyImages
from .pictures import read_picture
from .transforms.base import from_bytes

SUFFIXES = (".jpeg", ".jpg", ".png")
TEST_FOLDERS = ("test", "val", "valid", "validation")


class ImageFolder(LazyImages):
    """Labelled JPEG and PNG pictures, a folder a class; sample i is (image float32 (C, H, W) in [0, 1], label).

    The classes are the folders in `root`, in the order of their names; their pictures are found at any depth, in the
    order of their paths. Files that end otherwise than in .jpg, .jpeg or .png, in any case of letters, and hidden files
    and folders (.name) are passed over; a picture that cannot be read is an error when it is asked for. Pictures stand
    upright as their EXIF orientation says. Nothing is kept in memory but the list of files.

    Args:
        root: the folder of class folders.
        transform: changes the images, see `tinycnn.data.transforms`; it sees them one by one, as they differ in size.
        size: side of a square, or (height, width): each picture is scaled until it covers this, and its centre cut out.
        mode: "RGB" for three channels, "L" for one of grey.
        classes: the folders that count, in the order of their labels; by default all.

    Raises:
        FileNotFoundError: if there is no folder, no class folder in it, or one without a picture.
        ValueError: if mode, size or classes cannot be.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        size: int | tuple[int, int] | None = None,
        mode: str = "RGB",
        classes: Sequence[str] | None = None,
    ) -> None:
        if mode not in ("RGB", "L"):
            raise ValueError(f"ImageFolder: mode must be 'RGB' or 'L', got {mode!r}")
        self.root, self.mode, self.size = Path(root), mode, _checked_size(size)
        names = class_folders(self.root) if classes is None else _checked_classes(self.root, classes)
        self.class_to_idx = {name: label for label, name in enumerate(names)}
        self.samples: list[tuple[Path, int]] = []
        empty = []
        for name, label in self.class_to_idx.items():
            found = _pictures_in(self.root / name)
            self.samples += [(path, label) for path in found]
            if not found:
                empty.append(name)
        if empty:
            raise FileNotFoundError(f"{self.root}: no {', '.join(SUFFIXES)} file in the class folders {_listed(empty)}")
        super().__init__(np.array([label for _, label in self.samples]), names, transform)

    def image(self, index: int) -> np.ndarray:
        """Picture (C, H, W), float32 in [0, 1], before the transform.

        Raises:
            ValueError: if the file is no picture, or a damaged one.
            OSError: if it cannot be opened.
        """
        return from_bytes(read_picture(self.samples[index][0], self.mode, self.size))

    def describe(self, index: int) -> str:
        """The picture's path."""
        return str(self.samples[index][0])

    def __repr__(self) -> str:
        return f"ImageFolder({len(self)} pictures in {self.root}, {len(self.classes)} classes)"


def split_folders(root: str | os.PathLike[str] | None) -> tuple[Path, Path]:
    """The folders of the training and the test pictures in `root`: train, and test, val, valid or validation.

    Raises:
        FileNotFoundError: if one of them is not there.
    """
    if root is None:
        raise FileNotFoundError(
            "folder: no folder given. Give as --data-dir (data_dir=) one that holds train and test (or val), each a "
            "folder of class folders of .jpg or .png files"
        )
    base = Path(root)
    if not (base / "train").is_dir():
        raise FileNotFoundError(f"{base}: there is no folder train in it, which should hold a folder a class")
    for name in TEST_FOLDERS:
        if (base / name).is_dir():
            return base / "train", base / name
    raise FileNotFoundError(
        f"{base}: there is no folder {', '.join(TEST_FOLDERS)} beside train, to hold the pictures to test with"
    )


def _checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) of a size as it was given."""
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in pair):
        raise ValueError(f"ImageFolder: size must be a side or (height, width), each 1 or more, got {size!r}")
    return pair[0], pair[1]


def class_folders(root: Path) -> tuple[str, ...]:
    """The names of the class folders in `root`, sorted.

    Raises:
        FileNotFoundError: if there is no such folder, or no folder in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"ImageFolder: there is no folder {root}")
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise FileNotFoundError(f"{root}: there are no class folders in it; pictures must lie in a folder a class")
    return tuple(names)


def _checked_classes(root: Path, classes: Sequence[str]) -> tuple[str, ...]:
    there = class_folders(root)
    if isinstance(classes, str) or not classes or len(set(classes)) != len(classes):
        raise ValueError(f"ImageFolder: classes must be different names of folders, got {classes!r}")
    absent = [name for name in classes if name not in there]
    if absent:
        raise FileNotFoundError(f"{root}: there is no class folder {_listed(absent)}")
    return tuple(classes)


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures at any depth; a folder that a link leads back to is not entered twice."""
    found = []
    entered = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
