"""The folder of a training run, and its record."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from tinycnn import train as training
from tinycnn.train.files import is_left_over, remove_left_over
from tinycnn.train.log import plain

from .console import fail

RECORD = "run.json"


def new_folder(wanted: Path) -> Path:
    """Make the folder, or if it holds something already the first free one of wanted-2, wanted-3, ..."""
    try:
        if wanted.is_dir() and all(map(is_left_over, wanted.iterdir())):
            remove_left_over(wanted)
            return wanted
        number = 1
        while True:
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        fail(f"--out: cannot make the folder {wanted}: {error.strerror}")


def write_record(folder: Path, facts: dict[str, Any]) -> None:
    """Write run.json."""
    training.write_atomically(folder / RECORD, (json.dumps(plain(facts), indent=2) + "\n").encode())


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings in a run's record; ends with a line if there is none."""
    if folder.is_file():
        fail(f"--resume: {folder} is a file; give the folder of a run, such as {folder.parent}")
    try:
        remove_left_over(folder)
        text = (folder / RECORD).read_text(encoding="utf-8")
    except FileNotFoundError:
        fail(f"--resume: {folder} holds no run (there is no {RECORD} in it)")
    except OSError as error:
        fail(f"--resume: cannot read {folder}: {error.strerror}")
    try:
        settings = json.loads(text)["settings"]
        if isinstance(settings, dict):
            return settings
    except (ValueError, KeyError, TypeError):
        pass
    return fail(f"--resume: {folder / RECORD} is damaged, or no record of a run")


def remove_unused(folder: Path) -> None:
    """Remove the folder of a run that has trained nothing."""
    with contextlib.suppress(OSError):
        (folder / RECORD).unlink(missing_ok=True)
        folder.rmdir()
