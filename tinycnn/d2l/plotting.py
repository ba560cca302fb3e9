"""The book's pictures. In a notebook they show and redraw themselves; elsewhere they are figures of pyplot, which need
no screen, and `d2l.plt.savefig("curves.png")` writes the last one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor

FORMATS = ("-", "m--", "g-.", "r:")


def pyplot() -> Any:
    """matplotlib.pyplot, which takes a second to load."""
    return importlib.import_module("matplotlib.pyplot")


def notebook_display() -> Any:
    """IPython.display if this code runs in IPython, else None."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return None
    return importlib.import_module("IPython.display")


def show_again(figure: Any) -> None:
    """In a notebook, show a figure in the place of the one shown before."""
    display = notebook_display()
    if display is not None:
        display.display(figure)
        display.clear_output(wait=True)


def use_svg_display() -> None:
    """In a notebook, show figures as SVG."""
    if notebook_display() is not None:
        importlib.import_module("matplotlib_inline.backend_inline").set_matplotlib_formats("svg")


def set_figsize(figsize: tuple[float, float] = (3.5, 2.5)) -> None:
    """Set the size of the figures to come, in inches: width and height."""
    use_svg_display()
    pyplot().rcParams["figure.figsize"] = figsize


def set_axes(
    axes: Any, xlabel: Any, ylabel: Any, xlim: Any, ylim: Any, xscale: str, yscale: str, legend: Sequence[str] | None
) -> None:
    """Set the labels, limits and scales of a plot, and its legend if there is one."""
    axes.set_xlabel(xlabel or "")
    axes.set_ylabel(ylabel or "")
    axes.set_xscale(xscale)
    axes.set_yscale(yscale)
    if xlim is not None:
        axes.set_xlim(xlim)
    if ylim is not None:
        axes.set_ylim(ylim)
    if legend:
        axes.legend(legend)
    axes.grid(True)


def plot(
    X: Any,
    Y: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: Sequence[str] = (),
    xlim: Any = None,
    ylim: Any = None,
    xscale: str = "linear",
    yscale: str = "linear",
    fmts: Sequence[str] = FORMATS,
    figsize: tuple[float, float] = (3.5, 2.5),
    axes: Any = None,
) -> None:
    """Draw one line or several.

    Args:
        X: the abscissae of all lines, or a list with those of each; without Y, the ordinates.
        Y: the ordinates of a line, or a list with those of each.
        xlabel, ylabel, legend, xlim, ylim, xscale, yscale: see `set_axes`.
        fmts: matplotlib's formats of the lines, in turn.
        figsize: width and height in inches.
        axes: where to draw, instead of the current axes.
    """
    set_figsize(figsize)
    axes = pyplot().gca() if axes is None else axes
    xs, ys = (None, _lines(X)) if Y is None else (_lines(X), _lines(Y))
    if xs is not None and len(xs) not in (1, len(ys)):
        raise ValueError(f"plot: there are {len(ys)} lines in Y and abscissae for {len(xs)} in X")
    axes.cla()
    for i, y in enumerate(ys):
        along = range(len(y)) if xs is None else xs[i % len(xs)]
        axes.plot(along, y, fmts[i % len(fmts)])
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def _lines(values: Any) -> list[Any]:
    """One line, or each of several, as matplotlib takes it."""
    values = _on_host(values)
    nested = values.ndim > 1 if hasattr(values, "ndim") else hasattr(_on_host(values[0]), "__len__")
    return [_on_host(line) for line in values] if nested else [values]


def _on_host(x: Any) -> Any:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else x


class Animator:
    """Curves that grow while a network is trained.

    Args:
        xlabel, ylabel, legend, xlim, ylim, xscale, yscale: see `set_axes`.
        fmts: matplotlib's formats of the curves.
        nrows, ncols: how many plots there are; the curves are in the first.
        figsize: width and height in inches.

    Attributes:
        fig: the figure; `animator.fig.savefig("curves.png")` writes it.
        axes: its plots.
        X, Y: for each curve its points so far.
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: Sequence[str] | None = None,
        xlim: Any = None,
        ylim: Any = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: Sequence[str] = FORMATS,
        nrows: int = 1,
        ncols: int = 1,
        figsize: tuple[float, float] = (3.5, 2.5),
    ) -> None:
        use_svg_display()
        self.fig, grid = pyplot().subplots(nrows, ncols, figsize=figsize, squeeze=False, layout="constrained")
        self.axes = list(grid.flat)
        self.fmts = fmts
        self.X: list[list[float]] = []
        self.Y: list[list[float]] = []
        self._look = (xlabel, ylabel, xlim, ylim, xscale, yscale, legend)

    def add(self, x: Any, y: Any) -> None:
        """Add a point to each curve.

        Args:
            x: the abscissa, or one for each curve.
            y: the ordinate of each curve, None for a curve that gets no point; one number if there is one curve.
        """
        ys = list(y) if hasattr(y, "__len__") else [y]
        xs = list(x) if hasattr(x, "__len__") else [x] * len(ys)
        while len(self.X) < len(ys):
            self.X.append([])
            self.Y.append([])
        for i, (a, b) in enumerate(zip(xs, ys, strict=True)):
            if a is not None and b is not None:
                self.X[i].append(float(a))
                self.Y[i].append(float(b))
        axes = self.axes[0]
        axes.cla()
        for i, (a, b) in enumerate(zip(self.X, self.Y, strict=True)):
            axes.plot(a, b, self.fmts[i % len(self.fmts)])
        set_axes(axes, *self._look)
        show_again(self.fig)

    def _ipython_display_(self) -> None:
        """Nothing more: as the result of a notebook's cell it has been shown already."""


def show_images(
    imgs: Any, num_rows: int, num_cols: int, titles: Sequence[str] | None = None, scale: float = 1.5
) -> list[Any]:
    """Draw images in rows and columns; returns their axes, row by row.

    Args:
        imgs: tensors (H, W) or (C, H, W), arrays (H, W) or (H, W, C), or pictures of Pillow.
        num_rows, num_cols: how many rows and columns; there may be fewer images than places.
        titles: what stands above each.
        scale: the side of an image in inches.
    """
    size = (num_cols * scale, num_rows * scale)
    _, grid = pyplot().subplots(num_rows, num_cols, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for place in axes:
        place.set_axis_off()
    for i, (place, image) in enumerate(zip(axes, imgs, strict=False)):
        if isinstance(image, Tensor) and image.ndim == 3:
            image = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
        place.imshow(_on_host(image))
        if titles is not None and i < len(titles):
            place.set_title(titles[i])
    return axes
