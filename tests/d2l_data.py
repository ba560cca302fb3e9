"""Fashion-MNIST in small for tests: files of the published format, with digits in the place of clothes."""

from __future__ import annotations

import pathlib
import struct

import numpy as np
import pytest

from tinycnn import data

TRAIN, TEST = 320, 96


def write_small_fashion_mnist(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 320 and 96 pictures, which `data.FashionMNIST` then takes for the whole of it."""
    base = folder / "fashion-mnist"
    base.mkdir()
    digits = data.Digits(train=True)
    pictures = np.rint(255 * digits.images[:, 0]).astype(np.uint8)
    for part, rows in (("train", slice(0, TRAIN)), ("t10k", slice(TRAIN, TRAIN + TEST))):
        x, y = pictures[rows], digits.labels[rows].astype(np.uint8)
        header = struct.pack(">BBBBIII", 0, 0, 8, 3, *x.shape)
        (base / f"{part}-images-idx3-ubyte").write_bytes(header + x.tobytes())
        (base / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, len(y)) + y.tobytes())
    monkeypatch.setattr(data.FashionMNIST, "sizes", {"train": TRAIN, "t10k": TEST})
    monkeypatch.setenv("TINYCNN_DATA", str(folder))
