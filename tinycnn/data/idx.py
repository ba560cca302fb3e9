"""The IDX format of MNIST and Fashion-MNIST, read with the distrust that a file from elsewhere deserves.

An IDX file is a header and then the elements: two zero bytes, a byte for the element type, a byte for the number of
dimensions, each dimension as a big-endian 32-bit integer; elements in C order, big-endian. (Y. LeCun, "The MNIST
database of handwritten digits", section "File formats".) It may be compressed by gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import pathlib
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from .download import Progress, RemoteFile
from .published import PublishedImages
from .streams import MAX_DEFLATE_RATIO, read_exactly

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str], shape: Sequence[int | None] | None = None) -> np.ndarray:
    """The array in an IDX file, plain or `.gz`, in the machine's byte order.

    What the header claims is checked against `shape` and against the size of the file before any memory is taken for
    it, and never more than the claimed bytes, and one to see that they end there, are unpacked.

    Args:
        path: the file; it is taken for gzip if it begins as gzip does.
        shape: what the dimensions must be, None for one that may be anything.

    Raises:
        ValueError: if it is no IDX file, has another shape, is damaged, or is longer or shorter than its header claims.
        OSError: if it cannot be opened.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    return _parse(path, stream, shape, size * MAX_DEFLATE_RATIO, exact=False)
            return _parse(path, raw, shape, size, exact=True)
        except EOFError:
            raise ValueError(f"{path}: the file is truncated: its gzip stream has no end") from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the file is corrupt: {error}") from None


def _parse(
    path: pathlib.Path, stream: BinaryIO | gzip.GzipFile, shape: Sequence[int | None] | None, room: int, exact: bool
) -> np.ndarray:
    """Read an IDX stream of which at most (exactly, if exact) `room` bytes can come."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 8:
        raise ValueError(f"{path}: not an IDX file: it begins with {magic.hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(_TYPES[magic[2]]), magic[3]
    if shape is not None and (ndim != len(shape) or magic[2] != 0x08):
        raise ValueError(
            f"{path}: wrong magic number {magic.hex(' ')}: expected unsigned bytes in {len(shape)} dimensions, "
            f"00 00 08 {len(shape):02x}"
        )
    header = stream.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise ValueError(f"{path}: the file is truncated inside its header")
    dims = struct.unpack(f">{ndim}I", header)
    claim = " x ".join(f"{n:,}" for n in dims)
    if shape is not None and any(want is not None and n != want for n, want in zip(dims, shape, strict=True)):
        wanted = " x ".join("any" if n is None else f"{n:,}" for n in shape)
        raise ValueError(f"{path}: the header claims {claim} elements, expected {wanted}")
    size = math.prod(dims) * dtype.itemsize
    there = room - 4 - 4 * ndim
    if math.prod(n or 1 for n in dims) * dtype.itemsize > np.iinfo(np.intp).max:  # also beside a 0 NumPy takes no more
        raise ValueError(f"{path}: the header claims {claim} elements, which no array can have")
    if exact and size < there:
        raise ValueError(f"{path}: the header claims {claim} elements in {size:,} bytes, but {there:,} follow it")
    if size > there:
        limit = f"{there:,} follow it" if exact else "a gzip file of this size cannot hold so many"
        raise ValueError(
            f"{path}: the file is truncated or corrupt: the header claims {claim} elements in {size:,} bytes, "
            f"but {limit}"
        )
    complaint = f"{path}: the file is truncated: the header claims {claim} elements in {size:,} bytes"
    data = read_exactly(stream, size, complaint)
    if stream.read(1):  # at the end of a gzip stream this also verifies its checksum
        raise ValueError(f"{path}: more data follow the {claim} elements that the header claims")
    return data.view(dtype).reshape(dims).astype(dtype.newbyteorder("="), copy=False)


class _IdxImages(PublishedImages):
    """Two published pairs of IDX files: images 28x28 and their labels."""

    class_names: ClassVar[tuple[str, ...]]
    files: ClassVar[tuple[RemoteFile, ...]]
    sizes: ClassVar[dict[str, int]] = {"train": 60_000, "t10k": 10_000}

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
        folder, part = self.find(root, train), _part(train)
        n = self.sizes[part]
        images = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), (n, 28, 28))
        labels = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"), (n,))
        if labels.max() > 9:
            path = _file(folder, f"{part}-labels-idx1-ubyte")
            raise ValueError(f"{path}: label {labels.max()} found, classes are 0 to 9")
        super().__init__(images[:, None], labels, self.class_names, transform)

    @classmethod
    def missing_files(cls, folder: pathlib.Path, train: bool) -> list[RemoteFile]:
        """What a folder lacks of one part; a file may be there unpacked."""
        return [
            file
            for file in cls.files
            if file.name.startswith(_part(train)) and not _file(folder, file.name.removesuffix(".gz")).is_file()
        ]


def _part(train: bool) -> str:
    """What the names of one part's files begin with."""
    return "train" if train else "t10k"


def _file(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The plain file if it is there, else its compressed form."""
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _published(mirrors: Sequence[str], facts: dict[str, tuple[int, str]]) -> tuple[RemoteFile, ...]:
    """The files of a table of sizes and checksums, at each of the addresses."""
    return tuple(
        RemoteFile(f"{name}.gz", tuple(f"{mirror}{name}.gz" for mirror in mirrors), size, sha256)
        for name, (size, sha256) in facts.items()
    )


class FashionMNIST(_IdxImages):
    """Fashion-MNIST: 60,000 and 10,000 grey pictures of clothes; sample i is (float32 (1, 28, 28) in [0, 1], label).

    Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.

    Args:
        root: the folder with the four published files, or the one above it; by default TINYCNN_DATA, as
            $TINYCNN_DATA/fashion-mnist/train-images-idx3-ubyte.gz, else ~/.cache/tinycnn/data.
        train: the training part, or else the test part.
        transform: changes the images, see `tinycnn.data.transforms`.
        download: fetch the files that are not there (31 MB in all).
        progress: called while downloading with the bytes that are there and their total.

    Raises:
        FileNotFoundError: if the files are not found.
        DownloadError: if they cannot be downloaded.
        ValueError: if one of them is damaged.
    """

    name = "fashion-mnist"
    title = "Fashion-MNIST"
    source = "https://github.com/zalandoresearch/fashion-mnist"
    other_folders = ("FashionMNIST/raw",)
    class_names = (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip
    files = _published(
        [
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        {
            "train-images-idx3-ubyte": (
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            "train-labels-idx1-ubyte": (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            "t10k-images-idx3-ubyte": (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            "t10k-labels-idx1-ubyte": (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        },
    )


class MNIST(_IdxImages):
    """MNIST: 60,000 and 10,000 handwritten digits; sample i is (float32 (1, 28, 28) in [0, 1], label).

    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.

    Args:
        root: the folder with the four published files, or the one above it; by default TINYCNN_DATA, as
            $TINYCNN_DATA/mnist/train-images-idx3-ubyte.gz, else ~/.cache/tinycnn/data.
        train: the training part, or else the test part.
        transform: changes the images, see `tinycnn.data.transforms`.
        download: fetch the files that are not there (12 MB in all).
        progress: called while downloading with the bytes that are there and their total.

    Raises:
        FileNotFoundError: if the files are not found.
        DownloadError: if they cannot be downloaded.
        ValueError: if one of them is damaged.
    """

    name = "mnist"
    title = "MNIST"
    source = "https://yann.lecun.com/exdb/mnist"
    other_folders = ("MNIST/raw",)
    class_names = tuple(str(digit) for digit in range(10))
    files = _published(
        ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://yann.lecun.com/exdb/mnist/"],
        {
            "train-images-idx3-ubyte": (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            "train-labels-idx1-ubyte": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            "t10k-images-idx3-ubyte": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            "t10k-labels-idx1-ubyte": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        },
    )
