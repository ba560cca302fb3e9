"""Ctrl-C and the signal to end: the first lets the step that runs finish, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from typing import Any

from tinycnn import train as training

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Within the block the first Ctrl-C or SIGTERM stops the trainer after its step; a second one raises
    KeyboardInterrupt at once.

    Attributes:
        number: the signal that came; None if none did.
    """

    def __init__(self, trainer: training.Trainer) -> None:
        self.trainer = trainer
        self.number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def code(self) -> int:
        """What the program ends with: 128 and the signal's number, 130 for Ctrl-C."""
        return 128 + (signal.SIGINT if self.number is None else self.number)

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {number: signal.signal(number, self._first) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _first(self, number: int, frame: Any) -> None:
        self.number = number
        self.trainer.stop("interrupted")
        for each in SIGNALS:
            signal.signal(each, _second)


def _second(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
