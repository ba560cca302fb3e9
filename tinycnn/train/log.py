"""A log of training that programs can read."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

from .trainer import Callback, EpochResult, Trainer


class JsonLines(Callback):
    """Appends each epoch's result to a file, as a line of JSON, as soon as it is known."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**dataclasses.asdict(result), "step": trainer.step}) + "\n")
