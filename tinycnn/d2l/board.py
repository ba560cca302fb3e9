"""The curves of the book's second edition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .hyperparameters import HyperParameters
from .plotting import pyplot, set_axes, show_again, use_svg_display


class Point(NamedTuple):
    """A point of a curve."""

    x: float
    y: float


class ProgressBoard(HyperParameters):
    """Plots points as they come in.

    Args:
        xlabel, ylabel, xlim, ylim, xscale, yscale: see `set_axes`.
        ls: matplotlib's line styles of the curves, in turn.
        colors: their colours.
        fig, axes: where to draw; by default a new figure at the first point.
        figsize: its width and height in inches.
        display: whether to draw at all.

    Attributes:
        data: for each label the points drawn.

    Example:
        >>> board = ProgressBoard("x", display=False)
        >>> for x in range(4):
        ...     board.draw(x, x**2, "square", every_n=2)
        >>> board.data["square"]
        [Point(x=0.5, y=0.5), Point(x=2.5, y=6.5)]
    """

    display: bool

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: Any = None,
        ylim: Any = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = ("-", "--", "-.", ":"),
        colors: Sequence[str] = ("C0", "C1", "C2", "C3"),
        fig: Any = None,
        axes: Any = None,
        figsize: tuple[float, float] = (3.5, 2.5),
        display: bool = True,
    ) -> None:
        self.xlabel, self.ylabel, self.xlim, self.ylim = xlabel, ylabel, xlim, ylim
        self.xscale, self.yscale, self.ls, self.colors = xscale, yscale, ls, colors
        self.fig, self.axes, self.figsize, self.display = fig, axes, figsize, display
        self.data: dict[str, list[Point]] = {}
        self._waiting: dict[str, list[Point]] = {}

    def draw(self, x: float, y: Any, label: str, every_n: int = 1) -> None:
        """Add a point to the curve of a label; of every n points their mean is drawn."""
        waiting = self._waiting.setdefault(label, [])
        points = self.data.setdefault(label, [])
        waiting.append(Point(float(x), float(y)))
        if len(waiting) < every_n:
            return
        points.append(Point(*(sum(values) / len(waiting) for values in zip(*waiting, strict=True))))
        waiting.clear()
        if self.display:
            self._redraw()

    def _redraw(self) -> None:
        if self.axes is None:
            use_svg_display()
            self.fig, self.axes = pyplot().subplots(figsize=self.figsize, layout="constrained")
        self.axes.cla()
        drawn = {label: points for label, points in self.data.items() if points}
        for i, points in enumerate(drawn.values()):
            style, color = self.ls[i % len(self.ls)], self.colors[i % len(self.colors)]
            self.axes.plot([p.x for p in points], [p.y for p in points], linestyle=style, color=color)
        look = (self.xlabel, self.ylabel, self.xlim, self.ylim, self.xscale, self.yscale)
        set_axes(self.axes, *look, legend=list(drawn))
        if self.fig is not None:
            show_again(self.fig)
