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
from collections.abc import Sequence
from typing import BinaryIO, ClassVar

import numpy as np

from .dataset import ImageDataset

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DEFLATE_RATIO = 1032  # deflate codes at most 258 bytes in 2 bits
_CHUNK = 1 << 20


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
                    return _parse(path, stream, shape, size * _MAX_DEFLATE_RATIO, exact=False)
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
    if exact and size < there:
        raise ValueError(f"{path}: the header claims {claim} elements in {size:,} bytes, but {there:,} follow it")
    if size > there:
        limit = f"{there:,} follow it" if exact else "a gzip file of this size cannot hold so many"
        raise ValueError(
            f"{path}: the file is truncated or corrupt: the header claims {claim} elements in {size:,} bytes, "
            f"but {limit}"
        )
    data = bytearray()
    while len(data) < size:
        chunk = stream.read(min(size - len(data), _CHUNK))
        if not chunk:
            raise ValueError(
                f"{path}: the file is truncated: the header claims {claim} elements in {size:,} bytes, "
                f"{len(data):,} are there"
            )
        data += chunk
    if stream.read(1):  # at the end of a gzip stream this also verifies its checksum
        raise ValueError(f"{path}: more data follow the {claim} elements that the header claims")
    return np.frombuffer(data, dtype).reshape(dims).astype(dtype.newbyteorder("="), copy=False)


class _IdxImages(ImageDataset):
    """A published pair of IDX files: images 28x28 and their labels."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    sizes: ClassVar[dict[str, int]] = {"train": 60_000, "t10k": 10_000}

    def __init__(self, root: str | os.PathLike[str] | None = None, train: bool = True) -> None:
        part = "train" if train else "t10k"
        folder = self._find_folder(root, part)
        n = self.sizes[part]
        images = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), (None, 28, 28))
        labels = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"), (None,))
        if not len(images) == len(labels) == n:
            raise ValueError(
                f"{folder}: {part} has {len(images):,} images and {len(labels):,} labels, "
                f"{self.title} has {n:,} of each"
            )
        if labels.max() > 9:
            path = _file(folder, f"{part}-labels-idx1-ubyte")
            raise ValueError(f"{path}: label {labels.max()} found, classes are 0 to 9")
        super().__init__(images[:, None], labels, self.class_names)

    @classmethod
    def _find_folder(cls, root: str | os.PathLike[str] | None, part: str) -> pathlib.Path:
        if root is not None:
            base = pathlib.Path(root)
            candidates = [base / cls.name, base / cls.__name__ / "raw", base]
        elif os.environ.get("TINYCNN_DATA"):
            base = pathlib.Path(os.environ["TINYCNN_DATA"])
            candidates = [base / cls.name, base / cls.__name__ / "raw"]
        else:
            raise FileNotFoundError(
                f"{cls.title}: no folder given. Set TINYCNN_DATA to (or give as root or --data-dir) a folder with "
                f"{cls.name}/train-images-idx3-ubyte.gz and its three companions, from {cls.source}"
            )
        needed = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        for folder in candidates:
            if all(_file(folder, name).is_file() for name in needed):
                return folder
        looked = ", ".join(str(folder) for folder in candidates)
        raise FileNotFoundError(
            f"{cls.title}: {needed[0]} and {needed[1]} (plain or .gz) are not in {looked}; get them from {cls.source}"
        )


def _file(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The plain file if it is there, else its compressed form."""
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


class FashionMNIST(_IdxImages):
    """Fashion-MNIST: 60,000 and 10,000 grey pictures of clothes; sample i is (float32 (1, 28, 28) in [0, 1], label).

    Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.

    Args:
        root: the folder with the four published files, or the one above it; by default TINYCNN_DATA, as
            $TINYCNN_DATA/fashion-mnist/train-images-idx3-ubyte.gz.
        train: the training part, or else the test part.

    Raises:
        FileNotFoundError: if the files are not found.
        ValueError: if one of them is damaged.
    """

    name = "fashion-mnist"
    title = "Fashion-MNIST"
    source = "https://github.com/zalandoresearch/fashion-mnist"
    class_names = (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip


class MNIST(_IdxImages):
    """MNIST: 60,000 and 10,000 handwritten digits; sample i is (float32 (1, 28, 28) in [0, 1], label).

    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.

    Args:
        root: the folder with the four published files, or the one above it; by default TINYCNN_DATA, as
            $TINYCNN_DATA/mnist/train-images-idx3-ubyte.gz.
        train: the training part, or else the test part.

    Raises:
        FileNotFoundError: if the files are not found.
        ValueError: if one of them is damaged.
    """

    name = "mnist"
    title = "MNIST"
    source = "https://yann.lecun.com/exdb/mnist"
    class_names = tuple(str(digit) for digit in range(10))
