"""What a training run shows while it works."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ..train import Callback, EpochResult, Trainer

_REFRESH = 0.1  # seconds; between refreshes the loss is not read, which on a GPU would wait for it


class ShowProgress(Callback):
    """A bar on a terminal, with loss, accuracy, images/s and time left; and a line for each epoch anywhere.

    `compiling(name)` is to be called when a kernel is about to be compiled.

    Args:
        console: where to.
        measured: what the data are called that each epoch is evaluated on.
    """

    def __init__(self, console: Console, measured: str = "test") -> None:
        self.console, self.measured = console, measured
        self._bar: Progress | None = None
        self._task: Any = None
        self._rate_from = (0.0, 0.0)  # the time and the images seen from which images/s are counted
        self._last = 0.0
        self._compiled = 0

    def compiling(self, name: str) -> None:
        """Say that a kernel is being compiled, so that nobody wonders why the first step takes so long."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"compiling {name} (first run only)", facts="")
            self._bar.refresh()
        elif not self._compiled:
            self.console.print("compiling the kernels for this machine (first run only; they are kept)")
        self._compiled += 1

    def on_fit_start(self, trainer: Trainer) -> None:
        self._rate_from = (0.0, 0.0)
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(compact=True),
                TextColumn("left"),
                console=self.console,
                transient=True,
                refresh_per_second=8,
            )
            total = (trainer.epochs - trainer.epoch) * trainer.steps_per_epoch - trainer.batch
            self._task = self._bar.add_task("loading kernels", total=total, facts="")
            self._bar.start()

    def on_step_end(self, trainer: Trainer) -> None:
        if self._bar is None:
            return
        self._bar.advance(self._task)
        now = time.perf_counter()
        since, seen = self._rate_from
        if not since:  # the very first step, which loads the kernels or compiles them, says nothing of the speed
            self._rate_from = now, trainer.loss.weight
            return
        if now - self._last < _REFRESH:
            return
        self._last = now
        rate = (trainer.loss.weight - seen) / max(now - since, 1e-9)
        self._bar.update(
            self._task,
            description=f"epoch {trainer.epoch + 1}/{trainer.epochs}",
            facts=f"loss {trainer.loss.value:.3f}  acc {trainer.accuracy.value:5.1%}  {rate:,.0f} img/s",
        )

    def on_epoch_end(self, trainer: Trainer, result: EpochResult) -> None:
        width = len(str(trainer.epochs))
        test = ""
        if result.test_accuracy is not None:
            test = f"   {self.measured} {result.test_loss:.3f} {result.test_accuracy:6.1%}"
        self.console.print(
            f"epoch {result.epoch:>{width}}/{trainer.epochs}   loss {result.train_loss:.3f}   "
            f"accuracy {result.train_accuracy:6.1%}{test}   {result.images_per_second:,.0f} images/s"
        )
        self._rate_from = time.perf_counter(), 0.0

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextlib.contextmanager
def show_download(console: Console) -> Iterator[Callable[[int, int | None], None]]:
    """Gives a function to call with the bytes that are there and their total, None if it is unknown: a bar on a
    terminal, one line elsewhere."""
    bar: Progress | None = None
    task: Any = None

    def progress(there: int, total: int | None) -> None:
        nonlocal bar, task
        if bar is None:
            columns = TextColumn("downloading"), BarColumn(bar_width=16), DownloadColumn()
            bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
            task = bar.add_task("", total=total)
            bar.start()
            if not console.is_terminal:
                console.print("downloading" if total is None else f"downloading {total / 1e6:,.1f} MB")
        bar.update(task, completed=there, total=total)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.stop()
