"""What the readers of published formats share: bytes from streams that may end too soon."""

from __future__ import annotations

import gzip
from typing import IO

import numpy as np

CHUNK = 1 << 20
MAX_DEFLATE_RATIO = 1032  # deflate codes at most 258 bytes in 2 bits


def read_exactly(stream: IO[bytes] | gzip.GzipFile, size: int, complaint: str) -> np.ndarray:
    """The next `size` bytes, as an array; memory is taken as they come.

    Raises:
        ValueError: if the stream ends before: the complaint, and how many bytes are there.
    """
    data = bytearray()
    while len(data) < size:
        chunk = stream.read(min(size - len(data), CHUNK))
        if not chunk:
            raise ValueError(f"{complaint}, {len(data):,} are there")
        data += chunk
    return np.frombuffer(data, np.uint8)
