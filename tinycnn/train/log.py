"""A log of training that programs can read."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from typing import Any

from .callback import Callback, EpochResult
from .files import write_atomically
from .trainer import Trainer


class JsonLines(Callback):
    """Appends each epoch's result to a file, as a line of JSON, as soon as it is known.

    A run that goes on first puts the file in step with its history, so that no epoch stands there twice or is lacking.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.path.exists() or trainer.history:
            write_atomically(self.path, "".join(map(_line, trainer.history)).encode())

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(result))


def plain(value: Any) -> Any:
    """The value with None for every number that is not finite, which JSON has not."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(result: EpochResult) -> str:
    return json.dumps(plain(dataclasses.asdict(result))) + "\n"
