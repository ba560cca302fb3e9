"""data: datasets, the loader, the digits, and IDX files that are not what they claim."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import pathlib
import struct
import tracemalloc

import numpy as np
import pytest

import tinycnn
from tinycnn import data

# ---- the digits -----------------------------------------------------------------------------------------------------


def test_digits_are_the_published_ones() -> None:
    raw = (importlib.resources.files("tinycnn.data") / "files" / "digits.npz").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == "b44a66a939e00cfb4f3facd6b246a146e897c2a24cb08abfcde13732d3b41f23"
    train, test = data.Digits(), data.Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    counts = np.bincount(train.labels) + np.bincount(test.labels)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as the source's documentation says
    image, label = train[0]
    assert image.shape == (1, 28, 28)
    assert image.dtype is tinycnn.float32
    assert isinstance(label, int)
    assert (train.images.min(), train.images.max()) == (0.0, 1.0)
    # The split is the same on every machine, for good.
    assert train.labels[:12].tolist() == SPLIT
    assert test.classes == tuple("0123456789")


SPLIT = [3, 3, 8, 8, 7, 2, 2, 4, 4, 2, 7, 9]


def test_digits_agree_with_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    archive = np.load(str(importlib.resources.files("tinycnn.data") / "files" / "digits.npz"))
    published = datasets.load_digits()
    np.testing.assert_array_equal(archive["images"], published.images)
    np.testing.assert_array_equal(archive["labels"], published.target)


# ---- IDX files ------------------------------------------------------------------------------------------------------


def idx(array: np.ndarray, dims: tuple[int, ...] | None = None) -> bytes:
    """An IDX file of bytes, whose header may claim other dimensions."""
    claimed = array.shape if dims is None else dims
    return bytes([0, 0, 8, len(claimed)]) + struct.pack(f">{len(claimed)}I", *claimed) + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_read_idx(tmp_path: pathlib.Path, packed: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx(IMAGES)) if packed else idx(IMAGES))
    np.testing.assert_array_equal(data.read_idx(path), IMAGES)
    np.testing.assert_array_equal(data.read_idx(path, (None, 28, 28)), IMAGES)
    doubles = tmp_path / "doubles"
    doubles.write_bytes(b"\0\0\x0e\x01" + struct.pack(">I2d", 2, 0.5, -3.0))
    assert data.read_idx(doubles).tolist() == [0.5, -3.0]
    assert data.read_idx(doubles).dtype == np.float64


GOOD = idx(IMAGES)
PACKED = gzip.compress(GOOD)
BAD_FILES = {
    "empty": (b"", "not an IDX file: it begins with nothing"),
    "an HTML page": (b"<html>404</html>", "not an IDX file: it begins with 3c 68 74 6d"),
    "packed nonsense": (gzip.compress(b"hello world"), "not an IDX file"),
    "labels for images": (idx(np.zeros(7, np.uint8)), "wrong magic number 00 00 08 01"),
    "floats": (b"\0\0\x0d\x03" + GOOD[4:], "wrong magic number 00 00 0d 03"),
    "unknown type": (b"\0\0\x07\x03" + GOOD[4:], "not an IDX file"),
    "no dimensions": (b"\0\0\x08\x00", "not an IDX file"),
    "half a header": (GOOD[:9], "truncated inside its header"),
    "wrong size of image": (idx(IMAGES[:, :27]), "the header claims 7 x 27 x 28 elements, expected any x 28 x 28"),
    "truncated": (GOOD[:-1], "truncated or corrupt"),
    "too long": (GOOD + b"\0", "but 5,489 follow it"),
    "2^31 images": (idx(IMAGES, (2**31, 28, 28)), "the header claims 2,147,483,648 x 28 x 28 elements"),
    "packed, truncated": (PACKED[:-20], "truncated"),
    "packed, no end": (PACKED[:-8], "truncated: its gzip stream has no end"),
    "packed, cut inside the header": (PACKED[:6], "truncated"),
    "packed, checksum": (PACKED[:-8] + b"abcd" + PACKED[-4:], "corrupt: CRC check failed"),
    "packed, flipped bits": (PACKED[:40] + bytes(b ^ 255 for b in PACKED[40:90]) + PACKED[90:], "corrupt|truncated"),
    "packed, too few": (gzip.compress(GOOD[:-500]), "truncated: the header claims 7 x 28 x 28 elements in 5,488 bytes"),
    "packed, too many": (gzip.compress(GOOD + b"x"), "more data follow the 7 x 28 x 28 elements"),
    "packed, 2^31 images": (
        gzip.compress(idx(IMAGES, (2**31, 28, 28))),
        "a gzip file of this size cannot hold so many",
    ),
    "packed, trailing garbage": (PACKED + b"garbage", "corrupt: Not a gzipped file"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_end_in_one_line(tmp_path: pathlib.Path, kind: str) -> None:
    content, message = BAD_FILES[kind]
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.read_idx(path, (None, 28, 28))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_shape_that_no_array_can_have(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x08\x08" + struct.pack(">8I", 0, *[2**32 - 1] * 7))
    with pytest.raises(ValueError, match="x: the header claims 0 x 4,294,967,295 .* which no array can have"):
        data.read_idx(path)
    path.write_bytes(b"\0\0\x08\x02" + struct.pack(">2I", 0, 28))
    assert data.read_idx(path).shape == (0, 28)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(100 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more data follow"):
            data.read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 << 20


@pytest.fixture
def small_sets(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with a Fashion-MNIST of 7 and 3 images, which is then taken for the whole set."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for part, n in (("train", 7), ("t10k", 3)):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:n])))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8)))
    monkeypatch.setattr(data.FashionMNIST, "sizes", {"train": 7, "t10k": 3})
    return tmp_path


def test_fashion_mnist_is_found(small_sets: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    for root in (small_sets, small_sets / "fashion-mnist"):
        dataset = data.FashionMNIST(root)
        assert (len(dataset), dataset.classes[9]) == (7, "ankle boot")
    monkeypatch.setenv("TINYCNN_DATA", str(small_sets))
    image, label = data.FashionMNIST(train=False)[2]
    np.testing.assert_allclose(image.numpy()[0], IMAGES[2] / 255, atol=1e-7)
    assert label == 2
    train, test = data.load("fashion-mnist")
    assert (len(train), len(test)) == (7, 3)


def test_what_is_missing_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(
        FileNotFoundError, match=r"get it from https://github.com/zalandoresearch.*set TINYCNN_DATA"
    ) as caught:
        data.FashionMNIST()
    assert str(tmp_path / "cache" / "tinycnn" / "data" / "fashion-mnist") in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"MNIST/raw.*--download \(download=True\)") as caught:
        data.MNIST(tmp_path)
    assert str(tmp_path / "mnist") in str(caught.value)
    assert "get it from https://yann.lecun.com" in str(caught.value)
    with pytest.raises(ValueError, match=r"no data set is called 'fashion', .*did you mean 'fashion-mnist'"):
        data.load("fashion")


def test_a_bomb_with_a_fitting_header_is_not_unpacked(small_sets: pathlib.Path) -> None:
    path = small_sets / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(100_000 * 28 * 28, np.uint8), (100_000, 28, 28))))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="the header claims 100,000 x 28 x 28 elements, expected 7 x 28 x 28"):
            data.FashionMNIST(small_sets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 << 20


def test_counts_and_labels_are_checked(small_sets: pathlib.Path) -> None:
    labels = small_sets / "fashion-mnist" / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.arange(6, dtype=np.uint8)))
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte: the header claims 6 elements, expected 7"):
        data.FashionMNIST(small_sets)
    labels.write_bytes(idx(np.full(7, 10, np.uint8)))
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte: label 10 found, classes are 0 to 9"):
        data.FashionMNIST(small_sets)


@pytest.mark.parametrize(("name", "mean"), [("fashion-mnist", 72.94), ("mnist", 33.32)])
def test_the_published_files(data_dir: pathlib.Path, name: str, mean: float) -> None:
    train, test = data.load(name, data_dir)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.mean() == pytest.approx(mean, abs=0.005)
    assert np.bincount(test.labels, minlength=10).sum() == 10_000
