"""data: CIFAR archives, folders of pictures, and files of these kinds that are not what they claim."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import data
from tinycnn.data.pictures import read_picture

RNG = np.random.default_rng(0)


# ---- CIFAR ----------------------------------------------------------------------------------------------------------


def records(n: int, label_bytes: int) -> np.ndarray:
    found = RNG.integers(0, 256, (n, label_bytes + 3072), np.uint8)
    found[:, :label_bytes] %= 10
    return found


TEN = {f"data_batch_{i}.bin": records(4, 1) for i in range(1, 6)} | {"test_batch.bin": records(3, 1)}
HUNDRED = {"train.bin": records(5, 2), "test.bin": records(3, 2)}


def tar(members: Iterable[tuple[Any, bytes]], packed: bool = True) -> bytes:
    """An archive of members: a name or a TarInfo, and its content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if packed else "w") as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def ten(change: dict[str, bytes] | None = None, more: Iterable[tuple[Any, bytes]] = ()) -> bytes:
    """The archive of CIFAR-10, of 20 and 3 pictures, with other members put in place of its own or added."""
    contents = {name: found.tobytes() for name, found in TEN.items()} | (change or {})
    folder = "cifar-10-batches-bin"
    directory = tarfile.TarInfo(folder)
    directory.type = tarfile.DIRTYPE
    whole = [(directory, b""), *((f"{folder}/{name}", found) for name, found in contents.items() if found)]
    return tar([*whole, (f"{folder}/readme.html", b"<a>"), *more])


@pytest.fixture(autouse=True)
def _small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives of a few pictures are taken for the published ones."""
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    names = [name for name in TEN if name != "test_batch.bin"]
    monkeypatch.setattr(data.CIFAR10, "parts", {True: dict.fromkeys(names, 4), False: {"test_batch.bin": 3}})
    monkeypatch.setattr(data.CIFAR100, "parts", {True: {"train.bin": 5}, False: {"test.bin": 3}})


def put(folder: Path, contents: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.tobytes())


@pytest.mark.parametrize("place", ["cifar-10", "cifar-10-batches-bin", "cifar-10/cifar-10-batches-bin", "."])
def test_cifar_10_from_a_folder(tmp_path: Path, place: str) -> None:
    put(tmp_path / place, TEN)
    train, test = data.load("cifar-10", tmp_path)
    assert (len(train), len(test)) == (20, 3)
    image, label = train[5]  # the second of the second file
    expected = TEN["data_batch_2.bin"][1]
    assert label == expected[0]
    np.testing.assert_allclose(image.numpy().ravel(), expected[1:] / 255, atol=1e-7)
    assert image.shape == (3, 32, 32)
    assert train.classes[:3] == ("airplane", "automobile", "bird")
    assert repr(test) == "CIFAR10(3 images 3x32x32, 10 classes)"


@pytest.mark.parametrize("place", ["cifar-10", "."])
def test_cifar_10_from_the_archive(tmp_path: Path, place: str) -> None:
    put(tmp_path / place, {"cifar-10-binary.tar.gz": ten()})
    put(tmp_path / "files", TEN)
    for train in (True, False):
        packed, plain = data.CIFAR10(tmp_path, train), data.CIFAR10(tmp_path / "files", train)
        np.testing.assert_array_equal(packed.images, plain.images)
        np.testing.assert_array_equal(packed.labels, plain.labels)
    assert sorted(p.name for p in (tmp_path / place).rglob("*.bin") if "files" not in p.parts) == []


def test_an_archive_with_its_files_at_the_top_in_any_order(tmp_path: Path) -> None:
    put(tmp_path, {"cifar-10-binary.tar.gz": tar((f"./{n}", TEN[n].tobytes()) for n in sorted(TEN, reverse=True))})
    np.testing.assert_array_equal(data.CIFAR10(tmp_path).labels[:4], TEN["data_batch_1.bin"][:, 0])


def test_cifar_100(tmp_path: Path) -> None:
    put(tmp_path / "cifar-100", HUNDRED)
    fine, _ = data.load("cifar-100", tmp_path)
    coarse, _ = data.load("cifar-100", tmp_path, coarse=True)
    assert fine.labels.tolist() == HUNDRED["train.bin"][:, 1].tolist()
    assert coarse.labels.tolist() == HUNDRED["train.bin"][:, 0].tolist()
    np.testing.assert_array_equal(fine.images.reshape(5, -1), HUNDRED["train.bin"][:, 2:])
    assert (len(fine.classes), fine.classes[0], fine.classes[99]) == (100, "apple", "worm")
    assert (len(coarse.classes), coarse.classes[0], coarse.classes[19]) == (20, "aquatic_mammals", "vehicles_2")
    assert list(fine.classes) == sorted(fine.classes)


def test_what_is_missing_of_cifar_is_said(tmp_path: Path) -> None:
    put(tmp_path / "cifar-10", {name: found for name, found in TEN.items() if name != "data_batch_3.bin"})
    with pytest.raises(FileNotFoundError, match=r"CIFAR-10: cifar-10-binary.tar.gz is not in .*--download"):
        data.CIFAR10(tmp_path)
    assert len(data.CIFAR10(tmp_path, train=False)) == 3


def link(kind: bytes, name: str = "x", target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def claiming(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def extended(text: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A header that says more of the next one (POSIX.1-2001, pax), or gives its long name (GNU)."""
    info = claiming("x", len(text))
    info.type = kind
    return info.tobuf(tarfile.USTAR_FORMAT) + text.ljust(512, b"\0")


RECORD_FILE = TEN["data_batch_1.bin"].tobytes()
GOOD = ten()
BAD_ARCHIVES = {
    "empty": (b"", "truncated"),
    "an HTML page": (b"<html>404</html>" * 5, "corrupt: Not a gzipped file"),
    "packed nonsense": (gzip.compress(RNG.bytes(20_000)), "not a whole tar archive"),
    "truncated": (GOOD[:-2000], "truncated: its gzip stream has no end"),
    "cut to a stub": (GOOD[:30], "truncated: a gzip file of this size cannot hold CIFAR-10"),
    "flipped bits": (
        GOOD[:5000] + bytes(b ^ 255 for b in GOOD[5000:5100]) + GOOD[5100:],
        "corrupt|whole tar|truncated",
    ),
    "checksum": (GOOD[:-8] + b"abcd" + GOOD[-4:], "corrupt: CRC check failed"),
    "a tar that ends early": (
        gzip.compress(tar([("data_batch_1.bin", RECORD_FILE)], packed=False)[:9000]),
        "whole|truncated",
    ),
    "a file is missing": (ten({"data_batch_3.bin": b""}), "the archive lacks data_batch_3.bin"),
    "a file is short": (
        ten({"data_batch_3.bin": RECORD_FILE[:-1]}),
        "data_batch_3.bin in the archive claims 12,291 bytes, CIFAR-10 has 12,292 there",
    ),
    "a file is twice there": (ten(more=[("data_batch_1.bin", RECORD_FILE)]), "holds data_batch_1.bin twice"),
    "a path climbs out": (ten(more=[("../../data_batch_1.bin", b"x")]), "names a path outside itself, '../../data"),
    "a path climbs out inside": (ten(more=[("a/../../x", b"x")]), "names a path outside itself"),
    "an absolute path": (ten(more=[("/tmp/x", b"x")]), "names a path outside itself, '/tmp/x'"),
    "a path of Windows": (ten(more=[("..\\x", b"x")]), "names a path outside itself"),
    "a symbolic link": (ten(more=[(link(tarfile.SYMTYPE), b"")]), "'x' in the archive is a link or a device"),
    "a hard link": (ten(more=[(link(tarfile.LNKTYPE), b"")]), "is a link or a device"),
    "a device": (ten(more=[(link(tarfile.CHRTYPE), b"")]), "is a link or a device"),
    "a pipe": (ten(more=[(link(tarfile.FIFOTYPE), b"")]), "is a link or a device"),
    "a file that is a link": (ten({"test_batch.bin": b""}, [(link(tarfile.SYMTYPE, "test_batch.bin"), b"")]), "a link"),
    "wrong labels": (ten({"data_batch_2.bin": b"\xff" * 12_292}), "label 255 found, classes are 0 to 9"),
    "a bomb": (ten(more=[("zeros", bytes(100 << 20))]), "the archive holds more than the published one"),
    "a file of exbibytes": (
        gzip.compress(claiming("readme.html", 1 << 60).tobuf(tarfile.GNU_FORMAT) + bytes(20_480)),
        "holds more than the published one, 'readme.html'",
    ),
    "a file that claims exbibytes": (
        gzip.compress(claiming("test_batch.bin", 1 << 60).tobuf(tarfile.GNU_FORMAT) + bytes(20_480)),
        "test_batch.bin in the archive claims 1,152,921,504,606,846,976 bytes",
    ),
    "a bomb behind the end": (
        gzip.compress(gzip.decompress(GOOD) + bytes(100 << 20)),
        "the archive holds more than the published one",
    ),
    "a thousand long names for one file": (
        gzip.compress(extended(b"x\0", tarfile.GNUTYPE_LONGNAME) * 1000 + bytes(20_480)),
        "a header that makes no sense",
    ),
    "a sparse file without a map": (
        gzip.compress(
            extended(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + tar([("x", b"x" * 512)], packed=False)
        ),
        "a header that makes no sense",
    ),
    "a bomb of a name": (
        ten(more=[("n" * (20 << 20), b"")]),
        "the archive holds more than the published one",
    ),
}


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
def test_bad_archives_end_in_one_line(tmp_path: Path, kind: str) -> None:
    content, message = BAD_ARCHIVES[kind]
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            data.CIFAR10(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert peak < 10 << 20
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_archive_that_claims_much_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes are those of the published set here, and the file is small."""
    monkeypatch.undo()
    header = claiming("cifar-10-batches-bin/data_batch_1.bin", 30_730_000).tobuf()
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(header + bytes(20_000)) + RNG.bytes(200_000))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="truncated|corrupt"):
            data.CIFAR10(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20


def test_bad_record_files_end_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, TEN)
    (tmp_path / "data_batch_5.bin").write_bytes(RECORD_FILE + b"x")
    with pytest.raises(ValueError, match=r"data_batch_5.bin: the file has 12,293 bytes, 4 records of CIFAR-10 have 12"):
        data.CIFAR10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + TEN["test_batch.bin"].tobytes()[1:])
    with pytest.raises(ValueError, match="label 10 found, classes are 0 to 9"):
        data.CIFAR10(tmp_path, train=False)
    wrong = HUNDRED["train.bin"].copy()
    wrong[0, 0] = 20
    put(tmp_path, {"train.bin": wrong, "test.bin": HUNDRED["test.bin"]})
    with pytest.raises(ValueError, match="label 20 found, classes are 0 to 19"):
        data.CIFAR100(tmp_path)


# ---- pictures -------------------------------------------------------------------------------------------------------

Image = pytest.importorskip("PIL.Image")


def picture(height: int, width: int, mode: str = "RGB") -> Any:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    return Image.fromarray(RNG.integers(0, 256, shape, np.uint8))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of three and two pictures, among things that are none."""
    root = tmp_path / "pets"
    for name in ("cat", "dog/puppies", ".hidden", "cat/.hidden"):
        (root / name).mkdir(parents=True)
    picture(20, 30).save(root / "cat" / "b.png")
    picture(20, 30).save(root / "cat" / "a.JPG", "JPEG")
    picture(20, 30, "L").save(root / "cat" / "c.jpeg")
    picture(20, 30).save(root / "dog" / "z.png")
    picture(40, 10).save(root / "dog" / "puppies" / "tall.png")
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / "cat" / "._b.png").write_bytes(b"a resource of macOS")
    (root / "cat" / ".hidden" / "d.png").write_bytes(b"")
    (root / "README.md").write_text("no class")
    return root


def test_image_folder(pets: Path) -> None:
    dataset = data.ImageFolder(pets)
    assert dataset.classes == ("cat", "dog")
    assert dataset.class_to_idx == {"cat": 0, "dog": 1}
    names = [(path.relative_to(pets).as_posix(), label) for path, label in dataset.samples]
    assert names == [
        ("cat/a.JPG", 0),
        ("cat/b.png", 0),
        ("cat/c.jpeg", 0),
        ("dog/puppies/tall.png", 1),
        ("dog/z.png", 1),
    ]
    image, label = dataset[1]
    expected = np.asarray(Image.open(pets / "cat" / "b.png")).transpose(2, 0, 1)
    np.testing.assert_allclose(image.numpy(), expected / 255, atol=1e-7)
    assert (image.dtype, label, dataset[2][0].shape, len(dataset)) == (tinycnn.float32, 0, (3, 20, 30), 5)
    assert repr(dataset) == f"ImageFolder(5 pictures in {pets}, 2 classes)"
    with pytest.raises(IndexError, match="index 5 is out of range"):
        dataset[5]


def test_pictures_of_different_sizes(pets: Path) -> None:
    numbers = np.arange(5)
    with pytest.raises(ValueError, match=r"must have one shape .*tall.png has \(3, 40, 10\), .*a.JPG \(3, 20, 30\)"):
        data.ImageFolder(pets).batch(numbers)
    images, labels = data.ImageFolder(pets, size=(16, 24)).batch(numbers)
    assert (images.shape, labels.tolist()) == ((5, 3, 16, 24), [0, 0, 0, 1, 1])
    images, _ = data.ImageFolder(pets, size=16, mode="L").batch(numbers)
    assert images.shape == (5, 1, 16, 16)
    top = data.ImageFolder(pets, transform=lambda image: image[:, :10, :10])
    batch, _ = next(iter(data.DataLoader(top, 5)))
    assert batch.shape == (5, 3, 10, 10)
    np.testing.assert_array_equal(batch.numpy()[1], top[1][0].numpy())
    assert data.ImageFolder(pets).with_transform(lambda image: image[:1])[0][0].shape == (1, 20, 30)


def test_size_cuts_out_the_centre(tmp_path: Path) -> None:
    striped = np.zeros((10, 30, 3), np.uint8)
    striped[:, 10:20] = 255
    (tmp_path / "c").mkdir()
    Image.fromarray(striped).save(tmp_path / "c" / "x.png")
    image, _ = data.ImageFolder(tmp_path, size=10)[0]
    assert (image.numpy() == 1).all()


def test_links_do_not_loop(pets: Path) -> None:
    try:
        os.symlink(pets / "dog", pets / "dog" / "puppies" / "again", target_is_directory=True)
        os.symlink(pets / "cat", pets / "kitten", target_is_directory=True)
    except OSError:
        pytest.skip("needs symbolic links")
    dataset = data.ImageFolder(pets)
    assert dataset.classes == ("cat", "dog", "kitten")
    assert np.bincount(dataset.labels).tolist() == [3, 2, 3]


def test_what_is_wrong_with_a_folder_is_said(pets: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        data.ImageFolder(pets / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no class folders in it"):
        data.ImageFolder(pets / "dog" / "puppies")
    (pets / "owl").mkdir()
    (pets / "owl" / "hoot.webp").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"no .jpeg, .jpg, .png file in the class folders owl$"):
        data.ImageFolder(pets)
    assert data.ImageFolder(pets, classes=["dog", "cat"]).labels.tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(FileNotFoundError, match="there is no class folder cow"):
        data.ImageFolder(pets, classes=["dog", "cow"])
    with pytest.raises(ValueError, match="different names of folders"):
        data.ImageFolder(pets, classes=["dog", "dog"])
    with pytest.raises(ValueError, match="mode must be 'RGB' or 'L', got 'CMYK'"):
        data.ImageFolder(pets, mode="CMYK")
    for size in (0, (3, 0), (1, 2, 3), 2.5):
        with pytest.raises(ValueError, match="size must be a side or"):
            data.ImageFolder(pets, size=size)  # type: ignore[arg-type]


def test_load_a_folder(pets: Path) -> None:
    root = pets.parent / "split"
    (root).mkdir()
    pets.rename(root / "train")
    with pytest.raises(FileNotFoundError, match="no folder test, val, valid, validation beside train"):
        data.load("folder", root)
    (root / "val" / "dog").mkdir(parents=True)
    (root / "val" / "cat").mkdir()
    picture(8, 8).save(root / "val" / "dog" / "a.png")
    picture(8, 8).save(root / "val" / "cat" / "a.png")
    train, test = data.load("folder", root, size=8)
    assert (len(train), len(test), test.labels.tolist(), test.classes) == (5, 2, [0, 1], train.classes)
    (root / "val" / "cat" / "a.png").unlink()
    (root / "val" / "cat").rmdir()
    with pytest.raises(FileNotFoundError, match=r"val: there is no class folder cat"):
        data.load("folder", root)
    with pytest.raises(FileNotFoundError, match="no folder given"):
        data.load("folder")
    with pytest.raises(FileNotFoundError, match="there is no folder train in it"):
        data.load("folder", root / "val")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255
    # How a camera stores it, from the definition of the tag: which side of what is stored is the scene's top and left.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("x.jpg", "x.png"):
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif)
        np.testing.assert_allclose(read_picture(tmp_path / name, "L")[0], upright, atol=3)


def test_a_picture_with_broken_exif_data_is_whole_all_the_same(tmp_path: Path) -> None:
    source = Image.fromarray(RNG.integers(0, 256, (5, 7), np.uint8))
    source.save(tmp_path / "x.png", exif=b"Exif\0\0garbage and more of it")
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png", "L")[0], np.asarray(source))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_is_read(tmp_path: Path, mode: str) -> None:
    grey = RNG.integers(0, 256, (9, 7), np.uint8)
    if mode == "1":
        grey = np.where(grey > 127, 255, 0).astype(np.uint8)
    if mode == "I;16":
        source = Image.fromarray(grey.astype(np.uint16) * 256 + 77)
    elif mode == "P":
        source = Image.fromarray(grey).convert("P")
        source.info["transparency"] = bytes([0, 128] * 128)
    else:
        source = Image.fromarray(grey).convert(mode)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    source.save(path, **({"quality": 100} if mode == "CMYK" else {}))
    for wanted, channels in (("RGB", 3), ("L", 1)):
        found = read_picture(path, wanted)
        assert (found.shape, found.dtype) == ((channels, 9, 7), np.uint8)
        np.testing.assert_allclose(found, np.broadcast_to(grey, found.shape), atol=4 if mode == "CMYK" else 0)


def encoded(image: Any, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def png(width: int, height: int, content: bytes) -> bytes:
    """A PNG file of grey pixels that claims this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


PNG, JPEG = encoded(picture(50, 60), "PNG"), encoded(picture(50, 60), "JPEG")
BAD_PICTURES = {
    "empty": (b"", "not a JPEG or PNG picture: it begins with nothing"),
    "text": (b"hello world", "not a JPEG or PNG picture: it begins with 68 65"),
    "a GIF": (encoded(picture(5, 5, "L"), "GIF"), "not a JPEG or PNG picture"),
    "truncated PNG": (PNG[: len(PNG) // 2], "the picture is damaged: image file is truncated"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "the picture is damaged: image file is truncated"),
    "header of a PNG": (PNG[:20], "the picture is damaged"),
    "header of a JPEG": (JPEG[:20], "the picture is damaged"),
    "broken PNG": (PNG[:1000] + bytes(500) + PNG[1500:], "the picture is damaged"),
    "PNG of nothing": (png(0, 0, b""), "the picture is damaged"),
    "PNG bomb": (png(60_000, 60_000, bytes(4000)), "claims 60,000 x 60,000 pixels, at most 89,478,485 are decoded"),
    "large PNG": (png(10_000, 10_000, bytes(4000)), "claims 10,000 x 10,000 pixels"),
    "JPEG bomb": (
        JPEG.replace(struct.pack(">HBHH", 17, 8, 50, 60), struct.pack(">HBHH", 17, 8, 65_000, 65_000)),
        "claims 65,000 x 65,000 pixels",
    ),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_bad_pictures_end_in_one_line(tmp_path: Path, kind: str) -> None:
    content, message = BAD_PICTURES[kind]
    path = tmp_path / "c" / "bad.png"
    put(path.parent, {path.name: content})
    dataset = data.ImageFolder(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            dataset[0]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert peak < 5 << 20


def test_damaged_bytes_never_end_in_a_traceback_of_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content = bytearray(PNG if seed % 2 else JPEG)
        for at in rng.integers(0, min(len(content), 900), 4):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            outcome = str(read_picture(path, "RGB", (8, 8)).shape)
        except ValueError as error:
            outcome = str(error)
        assert outcome == "(3, 8, 8)" or outcome.startswith(f"{path}: ")  # some damage cannot be seen


def test_a_picture_that_vanishes(pets: Path) -> None:
    dataset = data.ImageFolder(pets)
    (pets / "cat" / "a.JPG").unlink()
    with pytest.raises(FileNotFoundError, match="a.JPG"):
        dataset[0]


# ---- the registry ---------------------------------------------------------------------------------------------------


def test_what_is_known_of_each_data_set() -> None:
    assert [data.get(name).name for name in data.available()] == data.available()
    assert [name for name in data.available() if not data.get(name).needs_files] == ["digits", "synthetic"]
    assert [name for name in data.available() if data.get(name).needs_files and not data.get(name).can_download] == [
        "folder"
    ]
    for name, options in (("digits", {}), ("synthetic", {"n": 4})):
        train, _ = data.load(name, **options)
        assert train[0][0].shape == data.get(name).image_shape
        assert len(train.classes) == data.get(name).num_classes
    assert data.get("cifar-100").options == ("coarse", "transform")


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="data set digits has no option 'size', it has transform$"):
        data.load("digits", size=3)
    with pytest.raises(ValueError, match="data set folder has no option 'classes'"):
        data.load("folder", classes=["a"])
    with pytest.raises(ValueError, match="did you mean 'cifar-100'"):
        data.load("cifar100")
    train, test = data.load("digits", transform=lambda image: image[:, :5])
    assert train[0][0].shape == test[0][0].shape == (1, 5, 28)
