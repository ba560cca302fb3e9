"""Mistakes that only the device can see, such as a label that is no class.

To look at once would make the host wait for all that the device has been asked to do. So a check leaves its finding in
a cell of device memory, and whatever next reads from the device looks there first: as PyTorch's assertions on the
device do, but with the words of the check, and the device stays usable. With CUDA_LAUNCH_BLOCKING=1 in the environment
every check looks at once, which tells the line where the mistake is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_CELLS = 64


class Checks:
    """The cells of one device. A cell holds 0, or the greatest code that its check found."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._cells = xp.zeros(_CELLS, "int64")
        self._number: dict[str, int] = {}  # what is checked: its cell
        self._errors: list[Callable[[int], Exception]] = []
        self.pending = False  # whether a check was asked for since the last look

    def add(self, what: str, code: Any, error: Callable[[int], Exception]) -> None:
        """Remember a check.

        Args:
            what: tells checks apart: those of one name share a cell.
            code: an array of no dimensions, int64, 0 if all is well.
            error: makes the exception from a code.
        """
        cell = self.cell(what, error)
        self._xp.maximum(cell, code, out=cell)
        self.asked()

    def cell(self, what: str, error: Callable[[int], Exception]) -> Any:
        """The cell of a check, an array of one number; whoever writes a code there says so by `asked`."""
        if what not in self._number:
            if len(self._errors) == _CELLS:
                self.look()
                self._number.clear()
                self._errors.clear()
            self._number[what] = len(self._errors)
            self._errors.append(error)
        place = self._number[what]
        return self._cells[place : place + 1]

    def asked(self) -> None:
        """Note that a cell may hold a code."""
        self.pending = True
        if os.environ.get("CUDA_LAUNCH_BLOCKING") == "1":
            self.look()

    def look(self) -> None:
        """Raise what the checks have found since the last look, if anything; it waits for the device."""
        if not self.pending:
            return
        self.pending = False
        for place, code in enumerate(self._xp.asnumpy(self._cells).tolist()):
            if code:
                self._cells.fill(0)
                found = self._errors[place](code)
                found.add_note("A check on the GPU found this earlier; CUDA_LAUNCH_BLOCKING=1 raises it in its place.")
                raise found
