"""Published data sets: where their files are looked for, and how they get there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from .dataset import ImageDataset
from .download import DownloadError, Progress, RemoteFile, fetch_all


def default_folder() -> Path:
    """The folder of the data sets when none is given: that of TINYCNN_DATA, else tinycnn/data in the user's cache
    (XDG_CACHE_HOME, by default ~/.cache)."""
    if os.environ.get("TINYCNN_DATA"):
        return Path(os.environ["TINYCNN_DATA"])
    cache = os.environ.get("XDG_CACHE_HOME")
    return Path(cache or os.path.expanduser("~/.cache")) / "tinycnn" / "data"


class PublishedImages(ImageDataset):
    """Images in files that others publish. A data set names itself and its files, and says what a folder lacks."""

    name: ClassVar[str]  # for `load`, and the folder that its files are put into
    title: ClassVar[str]
    source: ClassVar[str]  # a page for people
    other_folders: ClassVar[tuple[str, ...]] = ()  # where others put the same files

    @classmethod
    def missing_files(cls, folder: Path, train: bool) -> list[RemoteFile]:
        """What a folder lacks of the training or the test part."""
        raise NotImplementedError

    @classmethod
    def find(cls, root: str | os.PathLike[str] | None, train: bool) -> Path:
        """The folder that has one part.

        Raises:
            FileNotFoundError: if there is none; it says where the files were looked for and how to get them.
        """
        candidates = cls._candidates(root)
        for folder in candidates:
            if not cls.missing_files(folder, train):
                return folder
        names = " and ".join(file.name for file in cls.missing_files(candidates[0], train))
        verb = "are" if " and " in names else "is"
        raise FileNotFoundError(
            f"{cls.title}: {names} {verb} not in {', '.join(map(str, candidates))}; --download (download=True) fetches "
            f"what is missing, or get it from {cls.source} and set TINYCNN_DATA (or give --data-dir) to the folder "
            f"above {cls.name}"
        )

    @classmethod
    def fetch(cls, root: str | os.PathLike[str] | None = None, progress: Progress | None = None) -> None:
        """Download what is missing of both parts, into the folder of the data set's name; files that are there stay.

        Args:
            root: the folder of the data sets.
            progress: called with the bytes that are there and the bytes of all files that are missing.

        Raises:
            DownloadError: if a file cannot be had; it says how to get it by hand.
        """
        candidates = cls._candidates(root)
        target = candidates[0]
        wanted = {}
        for train in (True, False):
            if all(cls.missing_files(folder, train) for folder in candidates):
                wanted.update({file.name: file for file in cls.missing_files(target, train)})
        try:
            fetch_all(list(wanted.values()), target, progress)
        except DownloadError as error:
            raise DownloadError(
                f"{cls.title}: {error}; check the network, or get {' and '.join(wanted)} from {cls.source} "
                f"into {target}"
            ) from None

    @classmethod
    def _candidates(cls, root: str | os.PathLike[str] | None) -> list[Path]:
        base = default_folder() if root is None else Path(root)
        folders = [base / name for name in (cls.name, *cls.other_folders)]
        return folders if root is None else [*folders, base]
