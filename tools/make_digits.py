"""Make tinycnn/data/files/digits.npz from scikit-learn's copy of the UCI digits; the same bytes at every run.

    pip install scikit-learn && python tools/make_digits.py

The arrays are written as they are: `images` (1797, 8, 8) uint8 from 0 to 16, `labels` (1797,) uint8 from 0 to 9, in the
order of the source. numpy.savez_compressed would stamp the time into the file, so the archive is written by hand.
"""

from __future__ import annotations

import hashlib
import io
import pathlib
import zipfile

import numpy as np
from sklearn.datasets import load_digits

TARGET = pathlib.Path(__file__).resolve().parent.parent / "tinycnn" / "data" / "files" / "digits.npz"


def make() -> bytes:
    """The archive's bytes."""
    source = load_digits()
    images, labels = source.images.astype(np.uint8), source.target.astype(np.uint8)
    assert images.shape == (1797, 8, 8) and (images == source.images).all() and images.max() == 16
    assert labels.shape == (1797,) and sorted(set(labels.tolist())) == list(range(10))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, array in (("images", images), ("labels", labels)):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1998, 7, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            out.writestr(entry, member.getvalue())
    return archive.getvalue()


if __name__ == "__main__":
    data = make()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
