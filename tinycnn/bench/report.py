"""What was measured, as a table for a terminal, as JSON and as a picture."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from ..inspect.table import format_table
from .layers import LayerTime
from .machine import describe_machine
from .step import StepTime


def step_table(rows: Sequence[tuple[int, StepTime]]) -> list[str]:
    """Lines of a table of steps; each comes with the threads it ran on.

    The last line is the geometric mean of the ratios, where PyTorch was measured.

    Example:
        >>> from tinycnn.bench import Case
        >>> found = StepTime(Case("lenet", 28, 256), "train", (0.02, 0.02), (0.03, 0.03))
        >>> print("\\n".join(step_table([(2, found)])))
        case              step   threads  tinycnn, ms  PyTorch, ms  ratio  quartiles
        lenet 28x28, 256  train        2         20.0         30.0   1.50  1.50-1.50
    """
    beside = any(found.theirs for _, found in rows)
    head = ["case", "step", "threads", "tinycnn, ms"] + ["PyTorch, ms", "ratio", "quartiles"] * beside
    cells = [head]
    for threads, found in rows:
        cells.append([found.case.label, found.mode, str(threads), milliseconds(found.median)])
        if found.theirs:
            low, high = found.quartiles
            cells[-1] += [milliseconds(found.their_median), f"{found.ratio:.2f}", f"{low:.2f}-{high:.2f}"]
    lines = format_table(cells, "<<>>" + ">>>" * beside, shrink=0)
    ratios = [found.ratio for _, found in rows if found.theirs]
    if len(ratios) > 1:
        lines.append(f"Geometric mean of the ratios PyTorch / tinycnn: {statistics.geometric_mean(ratios):.2f}")
    return lines


def layer_table(rows: Sequence[LayerTime], peak: float) -> list[str]:
    """Lines of a table of layers: times, billions of multiply-accumulates a second, share of the peak.

    Args:
        rows: what `time_layers` found.
        peak: the machine's, from `measure_peak`.
    """
    total = sum(row.forward + row.backward for row in rows)
    cells = [["layer", "kind", "output", "forward", "backward", "share", "GMAC/s", "of peak"]]
    for row in rows:
        rates = [f"{rate / 1e9:.0f}" for rate in row.rates] if row.macs else []
        of_peak = [f"{rate / peak:.0%}" for rate in row.rates] if row.macs else []
        cells.append(
            [
                row.name, row.kind, "x".join(map(str, row.shapes[1])), milliseconds(row.forward),
                milliseconds(row.backward), f"{(row.forward + row.backward) / total:.0%}",
                "/".join(rates), "/".join(of_peak),
            ]
        )  # fmt: skip
    lines = format_table(cells, "<<<>>>>>", shrink=1)
    note = "Times in ms, rates forward/backward; peak, of a "
    return [*lines, f"{note}1024x1024 product: {peak / 1e9:.0f} GMAC/s."]


def milliseconds(seconds: float) -> str:
    """Three digits that count: 0.42, 6.6, 123."""
    value = 1e3 * seconds
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def write_json(path: pathlib.Path, command: str, rows: Sequence[tuple[int, StepTime]], **others: Any) -> None:
    """Every time that was measured, with the command, the machine and the versions."""
    steps = []
    for threads, found in rows:
        facts: dict[str, Any] = {**dataclasses.asdict(found.case), "mode": found.mode, "threads": threads}
        facts |= {"tinycnn_seconds": list(found.ours), "median": found.median}
        if found.theirs:
            facts |= {"pytorch_seconds": list(found.theirs), "pytorch_median": found.their_median}
            facts |= {"ratio": found.ratio, "ratio_quartiles": list(found.quartiles)}
        steps.append(facts)
    text = json.dumps({"command": command, "machine": describe_machine(), "steps": steps, **others}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def write_plot(path: pathlib.Path, rows: Sequence[tuple[int, StepTime]]) -> None:
    """A bar for each case: the ratio PyTorch / tinycnn with its quartiles, or the times where PyTorch has none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    beside = all(found.theirs for _, found in rows)
    values = [found.ratio if beside else 1e3 * found.median for _, found in rows]
    labels = [_bar_label(threads, found) for threads, found in rows]
    figure = Figure(figsize=(7.5, 1.2 + 0.32 * len(rows)), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(rows))
    axes.barh(places, values, color="#2563a8", height=0.62)
    if beside:
        for place, (_, found) in zip(places, rows, strict=True):
            axes.plot(found.quartiles, (place, place), color="#111827", linewidth=1.5)
        axes.axvline(1, color="#d9541e", linewidth=1.2)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:.2f}" if beside else milliseconds(value / 1e3), (0, place), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8, color="white",
        )  # fmt: skip
    axes.set_yticks(list(places), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("PyTorch's time / tinycnn's: right of the line tinycnn is the faster" if beside else "ms a step")
    figure.savefig(path)


def _bar_label(threads: int, found: StepTime) -> str:
    return f"{found.case.label}, {found.mode}, {threads} thread{'s' * (threads != 1)}"
