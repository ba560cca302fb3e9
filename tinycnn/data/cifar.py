"""CIFAR-10 and CIFAR-100 in their binary version: records of labels and pixels, in an archive or taken out of it.

A record of CIFAR-10 is one byte of label, one of CIFAR-100 a byte of coarse and a byte of fine label; then 3,072 bytes
of pixels, 1,024 red, green and blue each, row by row. (A. Krizhevsky, "The CIFAR-10 dataset", section "Dataset layout,
binary version".)

The published .tar.gz is read as it is: nothing of it is written to disk, so that no name in it can point anywhere. An
archive with a link, a device or a name that climbs out is refused all the same, and so is one that holds more than the
published bytes.
"""

from __future__ import annotations

import functools
import gzip
import os
import pathlib
import zlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypeVar

import numpy as np

from .download import Progress, RemoteFile
from .published import PublishedImages
from .streams import CHUNK, MAX_DEFLATE_RATIO, read_exactly

if TYPE_CHECKING:
    import tarfile

_T = TypeVar("_T")
_PIXELS = 3 * 32 * 32
_SPARE = 1 << 20  # what an archive may hold besides its records: headers, texts, padding


class _Cifar(PublishedImages):
    """A published archive of binary records, or the folder that was taken out of it."""

    archive: ClassVar[RemoteFile]
    folder: ClassVar[str]  # inside the archive
    parts: ClassVar[dict[bool, dict[str, int]]]  # file names and their numbers of records, for train True and False
    label_bytes: ClassVar[int]

    def _read(self, root: str | os.PathLike[str] | None, train: bool) -> tuple[np.ndarray, np.ndarray, str]:
        """Images (N, 3, 32, 32) uint8, labels (N, label_bytes) and where they were found."""
        place = self.find(root, train)
        if not self._lacks_records(place, train):
            found = {name: self._read_file(place / name, n) for name, n in self.parts[train].items()}
        else:
            place /= self.archive.name
            found = self._read_archive(place, self.parts[train])
        files, start = [found[name] for name in self.parts[train]], self.label_bytes
        images = np.concatenate([records[:, start:] for records in files]).reshape(-1, 3, 32, 32)
        return images, np.concatenate([records[:, :start] for records in files]), str(place)

    @classmethod
    def missing_files(cls, folder: pathlib.Path, train: bool) -> list[RemoteFile]:
        """What a folder lacks: nothing if it holds either the archive or the records of one part."""
        there = (folder / cls.archive.name).is_file() or not cls._lacks_records(folder, train)
        return [] if there else [cls.archive]

    @classmethod
    def _lacks_records(cls, folder: pathlib.Path, train: bool) -> bool:
        return not all((folder / name).is_file() for name in cls.parts[train])

    def _record_size(self) -> int:
        return self.label_bytes + _PIXELS

    def _read_file(self, path: pathlib.Path, n: int) -> np.ndarray:
        expected = n * self._record_size()
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != expected:
                raise ValueError(
                    f"{path}: the file has {size:,} bytes, {n:,} records of {self.title} have {expected:,}"
                )
            return read_exactly(stream, size, f"{path}: {size:,} bytes expected").reshape(n, -1)

    def _read_archive(self, path: pathlib.Path, wanted: dict[str, int]) -> dict[str, np.ndarray]:
        """The records of the files of these names in the archive."""
        import tarfile

        sizes = {name: n * self._record_size() for part in self.parts.values() for name, n in part.items()}
        most = path.stat().st_size * MAX_DEFLATE_RATIO
        if most < sum(sizes.values()):
            raise ValueError(f"{path}: the file is truncated: a gzip file of this size cannot hold {self.title}")
        with open(path, "rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked:
            stream = _Allowance(unpacked, path)
            try:
                # Opening reads the first header.
                opened = functools.partial(tarfile.open, fileobj=stream, mode="r|", bufsize=CHUNK)
                with _header_read(opened, path) as archive:
                    found = self._read_members(archive, stream, path, sizes, wanted)
                while stream.read(CHUNK):  # to the end, where the checksum is
                    pass
            except EOFError:
                raise ValueError(f"{path}: the file is truncated: its gzip stream has no end") from None
            except (zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"{path}: the file is corrupt: {error}") from None
            except tarfile.TarError as error:
                raise ValueError(f"{path}: not a whole tar archive: {error}") from None
        absent = [name for name in wanted if name not in found]
        if absent:
            raise ValueError(f"{path}: the archive lacks {', '.join(absent)}")
        return found

    def _read_members(
        self,
        archive: tarfile.TarFile,
        stream: _Allowance,
        path: pathlib.Path,
        sizes: dict[str, int],
        wanted: Collection[str],
    ) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        seen = set()
        for member in iter(lambda: _header_read(archive.next, path), None):
            name = pathlib.PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or "\\" in member.name:
                raise ValueError(f"{path}: the archive names a path outside itself, {member.name!r}")
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise ValueError(f"{path}: {member.name!r} in the archive is a link or a device; {self.title} has none")
            if not member.isreg() or name.name not in sizes or str(name.parent) not in (".", self.folder):
                if member.size > _SPARE:  # tarfile would read so much to pass it over
                    raise ValueError(f"{path}: the archive holds more than the published one, {member.name!r}")
                continue
            size = sizes[name.name]
            if member.size != size:
                raise ValueError(
                    f"{path}: {name.name} in the archive claims {member.size:,} bytes, {self.title} has {size:,} there"
                )
            if name.name in seen:
                raise ValueError(f"{path}: the archive holds {name.name} twice")
            seen.add(name.name)
            stream.allow(size)
            if name.name in wanted:
                content = archive.extractfile(member)
                assert content is not None  # only members that are no files have none
                records = read_exactly(content, size, f"{path}: the file is truncated: {name.name} has {size:,} bytes")
                found[name.name] = records.reshape(-1, self._record_size())
        return found


class _TooMuchError(ValueError):
    """The archive unpacks to more than the published one."""


def _header_read(read: Callable[[], _T], path: pathlib.Path) -> _T:
    """What tarfile reads; what it stumbles over in a header, or in a chain of a thousand, becomes one line."""
    try:
        return read()
    except _TooMuchError:
        raise
    except (ValueError, ArithmeticError, RecursionError):
        raise ValueError(f"{path}: not a whole tar archive: it has a header that makes no sense") from None


class _Allowance:
    """A stream of which only so much may be read, so that a bomb does not go off."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, path: pathlib.Path) -> None:
        self._stream, self._path, self._left = stream, path, _SPARE + CHUNK  # tarfile reads a chunk ahead

    def allow(self, size: int) -> None:
        self._left += size

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise _TooMuchError(f"{self._path}: the archive holds more than the published one")
        return data


class CIFAR10(_Cifar):
    """CIFAR-10: 50,000 and 10,000 colour pictures in ten classes; sample i is (float32 (3, 32, 32) in [0, 1], label).

    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: the folder with cifar-10-binary.tar.gz or the .bin files in it, or one above; by default TINYCNN_DATA,
            as $TINYCNN_DATA/cifar-10/cifar-10-binary.tar.gz, else ~/.cache/tinycnn/data.
        train: the training part, or else the test part.
        transform: changes the images, see `tinycnn.data.transforms`.
        download: fetch the archive if neither it nor the .bin files are there (170 MB).
        progress: called while downloading with the bytes that are there and their total.

    Raises:
        FileNotFoundError: if the files are not found.
        DownloadError: if they cannot be downloaded.
        ValueError: if one of them is damaged.
    """

    name = "cifar-10"
    title = "CIFAR-10"
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    folder = "cifar-10-batches-bin"
    other_folders = (f"cifar-10/{folder}", folder)
    archive = RemoteFile(
        "cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    )
    parts: ClassVar = {
        True: {f"data_batch_{i}.bin": 10_000 for i in range(1, 6)},
        False: {"test_batch.bin": 10_000},
    }
    label_bytes = 1
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if download:
            self.fetch(root, progress)
        images, labels, place = self._read(root, train)
        _check_labels(labels[:, 0], 10, place)
        super().__init__(images, labels[:, 0], self.class_names, transform)


class CIFAR100(_Cifar):
    """CIFAR-100: 50,000 and 10,000 colour pictures; sample i is (float32 (3, 32, 32) in [0, 1], label).

    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: the folder with cifar-100-binary.tar.gz or train.bin and test.bin, or one above; by default TINYCNN_DATA,
            as $TINYCNN_DATA/cifar-100/cifar-100-binary.tar.gz, else ~/.cache/tinycnn/data.
        train: the training part, or else the test part.
        coarse: label by the 20 superclasses instead of the 100 classes.
        transform: changes the images, see `tinycnn.data.transforms`.
        download: fetch the archive if neither it nor the .bin files are there (169 MB).
        progress: called while downloading with the bytes that are there and their total.

    Raises:
        FileNotFoundError: if the files are not found.
        DownloadError: if they cannot be downloaded.
        ValueError: if one of them is damaged.
    """

    name = "cifar-100"
    title = "CIFAR-100"
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    folder = "cifar-100-binary"
    other_folders = (f"cifar-100/{folder}", folder)
    archive = RemoteFile(
        "cifar-100-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
        168_513_733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    )
    parts: ClassVar = {True: {"train.bin": 50_000}, False: {"test.bin": 10_000}}
    label_bytes = 2
    fine_names = tuple(
        """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
        castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
        elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
        man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
        pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
        tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
        """.split()
    )
    coarse_names = tuple(
        """
        aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
        household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
        large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
        vehicles_1 vehicles_2
        """.split()
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        coarse: bool = False,
        transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if download:
            self.fetch(root, progress)
        images, labels, place = self._read(root, train)
        for column, names in enumerate((self.coarse_names, self.fine_names)):
            _check_labels(labels[:, column], len(names), place)
        if coarse:
            super().__init__(images, labels[:, 0], self.coarse_names, transform)
        else:
            super().__init__(images, labels[:, 1], self.fine_names, transform)


def _check_labels(labels: np.ndarray, classes: int, place: str) -> None:
    if labels.max() >= classes:
        raise ValueError(f"{place}: label {labels.max()} found, classes are 0 to {classes - 1}")
