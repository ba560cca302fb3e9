"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any moment, a power cut included, its old or its new content is there whole.

    The new content is on the disk before it gets its name, and the folder that holds the name after that.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        _to_disk(temporary, os.O_RDWR)
        os.replace(temporary, path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _to_disk(path.parent, os.O_RDONLY)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def is_left_over(path: pathlib.Path) -> bool:
    """Whether a file is what a program that was killed left while it wrote another."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def remove_left_over(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files of programs that were killed; nobody may be writing to the folder."""
    for path in pathlib.Path(folder).iterdir():
        if is_left_over(path):
            path.unlink(missing_ok=True)


def _to_disk(path: pathlib.Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
