"""The curves of a training run, as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

from .callback import EpochResult
from .files import write_atomically

_TRAIN, _TEST = "#2563a8", "#d9541e"
_INK, _GREY, _GRID = "#22272e", "#6b7280", "#e5e7eb"


def plot_history(
    history: Sequence[EpochResult], path: str | os.PathLike[str], title: str = "", measured: str = "test"
) -> None:
    """Draw loss and accuracy, training and test, over the epochs, into a PNG file.

    Args:
        history: what `Trainer.fit` returned, one epoch at least.
        path: the file to write; it is replaced if it is there.
        title: stands above the panels.
        measured: what the second curve is called: what `fit` was given as test data.

    Raises:
        ValueError: if the history is empty.
        ImportError: if matplotlib is not installed.
    """
    if not history:
        raise ValueError("plot_history: the history is empty, there is nothing to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4.2), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, 2)
    epochs = [r.epoch for r in history]
    columns = (
        ("Loss", [r.train_loss for r in history], [r.test_loss for r in history], "{:.3f}"),
        (
            "Accuracy (%)",
            [100 * r.train_accuracy for r in history],
            [None if r.test_accuracy is None else 100 * r.test_accuracy for r in history],
            "{:.1f} %",
        ),
    )
    for axes, (label, train, test, form) in zip(panels, columns, strict=True):
        dots: dict[str, Any] = {"marker": "o", "markersize": 4.5, "clip_on": False} if len(history) <= 30 else {}
        axes.plot(epochs, train, color=_TRAIN, linewidth=1.8, label=f"training  {form.format(train[-1])}", **dots)
        if all(value is not None for value in test):
            axes.plot(epochs, test, color=_TEST, linewidth=1.8, label=f"{measured}  {form.format(test[-1])}", **dots)
        axes.set_xlabel("Epoch", color=_INK)
        axes.set_title(label, fontsize=11, color=_INK, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True, color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_GREY, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_GRID)
        axes.legend(frameon=False, fontsize=9, labelcolor=_INK, title="last epoch", title_fontsize=8, alignment="left")
    panels[0].set_ylim(bottom=0)
    if title:
        figure.suptitle(title, fontsize=13, color=_INK, x=0.01, ha="left")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
