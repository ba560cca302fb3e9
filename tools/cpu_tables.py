"""Writes the tables of docs/cpu.md from benchmarks/results.

python tools/cpu_tables.py          rewrites what stands between the marks
python tools/cpu_tables.py --print  only prints it
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
from typing import Any

from tinycnn.bench import Case, milliseconds

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "cpu.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--print", action="store_true")
    if parser.parse_args().print:
        print("\n\n".join(table() for table in TABLES.values()))
        return
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """The page with its tables made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table()}\n{end}{rest.partition(end)[2]}"
    return text


def _load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name / "bench.json").read_text(encoding="utf-8"))
    return found


def _label(step: dict[str, Any]) -> str:
    return Case(step["network"], step["size"], step["batch"], step["options"]).label


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _ratio(step: dict[str, Any]) -> str:
    low, high = step["ratio_quartiles"]
    return f"{step['ratio']:.2f} ({low:.2f} to {high:.2f})"


def training() -> str:
    """The step of every network: two threads, and one, and PyTorch in channels_last; and on another machine."""
    names = "one-thread", "channels-last", "xeon/networks"
    others = [{_label(step): step for step in _load(name)["steps"]} for name in names]
    steps = _load("networks")["steps"]
    rows = []
    for step in steps:
        label = _label(step)
        times = [milliseconds(step[name]) for name in ("median", "pytorch_median")]
        rest = [f"{found[label]['ratio']:.2f}" if label in found else "" for found in others]
        rows.append([label, *times, _ratio(step), *rest])
    mean = statistics.geometric_mean(step["ratio"] for step in steps)
    means = [f"{statistics.geometric_mean(step['ratio'] for step in found.values()):.2f}" for found in others]
    rows.append(["geometric mean", "", "", f"{mean:.2f}", *means])
    head = ["network, input, batch", "tinycnn, ms", "PyTorch, ms", "ratio", "1 thread", "channels_last", "Xeon"]
    return _table(head, rows)


def inference() -> str:
    """A forward pass without a tape, for one image and for 32; and on another machine."""
    here, there = (_by_network(_load(name)["steps"]) for name in ("inference", "xeon/inference"))
    rows = []
    for label, found in here.items():
        cells = [label]
        for batch in (1, 32):
            step = found[batch]
            cells += [milliseconds(step["median"]), milliseconds(step["pytorch_median"]), f"{step['ratio']:.2f}"]
            cells.append(f"{there[label][batch]['ratio']:.2f}")
        rows.append(cells)
    head = ["network, input"]
    for batch in ("1 image", "32 images"):
        head += [f"{batch}: tinycnn, ms", "PyTorch, ms", "ratio", "Xeon"]
    return _table(head, rows)


def _by_network(steps: list[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """The steps of a network and size by their number of images."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for step in steps:
        found.setdefault(_label({**step, "batch": 0}).removesuffix(", 0"), {})[step["batch"]] = step
    return found


def memory() -> str:
    """The peak of a training step above what the process had before."""
    found: dict[str, dict[str, float]] = {}
    for row in _load("memory")["memory"]:
        found.setdefault(row["case"], {})[row["engine"]] = row["peak"] - row["before"]
    rows = [[case, f"{peaks['tinycnn']:.0f}", f"{peaks['torch']:.0f}"] for case, peaks in found.items()]
    return _table(["network, input, batch", "tinycnn, MiB", "PyTorch, MiB"], rows)


def checkpoints() -> str:
    """DenseNet with and without checkpoints."""
    rows = []
    for label, name in (("keeps everything", "checkpoint-without"), ("`memory_efficient=True`", "checkpoint")):
        found = _load(name)
        (step,) = [step for step in found["steps"] if step["network"] == "densenet"]
        (row,) = [row for row in found["memory"] if row["case"] == _label(step)]
        rows.append([label, milliseconds(step["median"]), f"{row['peak'] - row['before']:.0f}"])
    return _table(["densenet 96x96, 16", "step, ms", "peak, MiB"], rows)


def scaling() -> str:
    """Ratios over batch, image and width."""
    rows = []
    for title, name, what in (
        ("LeNet 28x28, batch", "scaling-lenet", "batch"),
        ("ResNet-18 96x96, batch", "scaling-batch", "batch"),
        ("ResNet-18, 4 images, side", "scaling-size", "size"),
    ):
        steps = _load(name)["steps"]
        for threads in sorted({step["threads"] for step in steps}):
            of = [step for step in steps if step["threads"] == threads]
            cells = ", ".join(f"{step[what]}: {milliseconds(step['median'])} ({step['ratio']:.2f})" for step in of)
            rows.append([f"{title}, {threads} thread{'s' * (threads > 1)}", cells])
    widths = []
    for ratio in (8, 4, 2, 1):
        (step,) = _load(f"scaling-width-{ratio}")["steps"]
        widths.append(f"1/{ratio}: {milliseconds(step['median'])} ({step['ratio']:.2f})")
    rows.append(["VGG-11 96x96, 4 images, width, 2 threads", ", ".join(widths)])
    return _table(["what grows", "ms a training step (ratio)"], rows)


TABLES = {
    "training": training, "inference": inference, "memory": memory, "checkpoints": checkpoints, "scaling": scaling,
}  # fmt: skip

if __name__ == "__main__":
    main()
