"""Writes README's table of the networks: what they are by `tinycnn.inspect`, how long a step takes by the benchmark.

    python tools/network_table.py          rewrites the table between the marks in README.md
    python tools/network_table.py --print  only prints it

The step times are those of benchmarks/results/networks/bench.json, made by

    tinycnn bench NETWORK ... --against torch --out benchmarks/results/networks

with all networks; VGG-11 is there at a quarter of its width too.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re

from tinycnn import models, nn, use_kernels
from tinycnn.bench import milliseconds
from tinycnn.inspect import Summary, summary

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- networks -->", "<!-- /networks -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--print", action="store_true")
    if parser.parse_args().print:
        print(table())
        return
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def table() -> str:
    """The table, in Markdown."""
    measured = json.loads((ROOT / "benchmarks/results/networks/bench.json").read_text(encoding="utf-8"))["steps"]
    lines = [
        "| network | parameters | MACs | input | stages | step: tinycnn / PyTorch, ms (side, batch) |",
        "|---|---|---|---|---|---|",
    ]
    seen = set()
    for row in measured:
        name, options = row["network"], row["options"]
        if (name, str(options)) in seen:  # at the first of its sizes
            continue
        seen.add((name, str(options)))
        info = models.get(name)
        with nn.init.no_init(), use_kernels("reference"):
            found = summary(info.function(**options), info.input_shape, 1)
        label = f"`{name}`" + "".join(f" {key}={value}" for key, value in options.items())
        step = f"{milliseconds(row['median'])} / {milliseconds(row['pytorch_median'])} ({row['size']}, {row['batch']})"
        size = "x".join(map(str, info.input_shape))
        cells = [label, _short(found.parameters), _short(found.macs), size, _stages(found), step]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _stages(found: Summary) -> str:
    """The shapes behind each stage: parts of several layers, poolings, and the output."""
    stages = [
        row for row in found.rows if row.kind in ("Sequential", "DenseBlock") or re.search("Pool|Linear", row.kind)
    ]
    shapes = ["x".join(map(str, row.output_shape)) for row in stages]
    return ", ".join(shape for shape, before in zip(shapes, ["", *shapes], strict=False) if shape != before)


def _short(n: int) -> str:
    for power, unit in ((9, "G"), (6, "M"), (3, "K")):
        if n >= 10**power:
            return f"{n / 10**power:#.3g}".rstrip(".") + f" {unit}"
    return str(n)


if __name__ == "__main__":
    main()
