"""The time of a training step of every network, tinycnn beside PyTorch.

    python benchmarks/step_time.py [NETWORK ...] [--threads 2] [--repeats 7]

A step is zero_grad, forward, cross entropy, backward and a plain SGD step, on random images. For each network both
engines run in one process by turns, after two steps of warm-up each; the table shows the medians, the ratio of the two,
and the quartiles of the ratio step by step. Writes results/step_time.json and .md. Needs PyTorch (CPU).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # NumPy's idle threads must not spin beside PyTorch's

import argparse
import datetime as dt
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch_networks import build, copy_weights
from train_fashion_mnist import machine

# network, options, image size, batch size
CASES: list[tuple[str, dict[str, Any], int, int]] = [
    ("mlp", {}, 28, 256),
    ("lenet", {}, 28, 256),
    ("lenet_bn", {}, 28, 256),
    ("alexnet", {}, 224, 8),
    ("vgg11", {"ratio": 4}, 224, 8),
    ("vgg11", {}, 96, 4),
    ("vgg13", {}, 96, 4),
    ("vgg16", {}, 96, 4),
    ("vgg19", {}, 96, 4),
    ("nin", {}, 224, 8),
    ("googlenet", {}, 96, 16),
    ("resnet18", {}, 96, 16),
    ("resnet34", {}, 96, 8),
    ("resnet50", {}, 96, 8),
    ("resnet101", {}, 96, 4),
    ("resnet152", {}, 96, 4),
    ("densenet", {}, 96, 16),
    ("densenet121", {}, 96, 4),
    ("densenet161", {}, 96, 4),
    ("densenet169", {}, 96, 4),
    ("densenet201", {}, 96, 4),
]
HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="else all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--note", default="", help="a sentence for the results, such as what else ran meanwhile")
    args = parser.parse_args()
    import torch

    import tinycnn

    tinycnn.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    rows = []
    for name, options, size, batch in CASES:
        if args.networks and name not in args.networks:
            continue
        rows.append(measure(name, options, size, batch, args.repeats))
        print(
            "{network} {options} {size} {batch}: {tinycnn:.1f} ms, PyTorch {pytorch:.1f}".format(**rows[-1]), flush=True
        )
    write(args, rows)


def measure(name: str, options: dict[str, Any], size: int, batch: int, repeats: int) -> dict[str, Any]:
    """Median times in milliseconds and what the ratio of the two spreads over."""
    import tinycnn
    from tinycnn import models

    wants_size = "image_size" in models.get(name).options
    options = {**options, "image_size": size} if wants_size else options
    ours, theirs = models.create(name, **options), build(name, **options)
    copy_weights(ours, theirs)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, 1, size, size), np.float32)
    labels = rng.integers(0, 10, batch)
    steps = [_tinycnn_step(ours, images, labels), _pytorch_step(theirs, images, labels)]
    for step in steps * 2:
        step()
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            found.append(1e3 * (time.perf_counter() - start))
    ratios = [theirs / ours for ours, theirs in zip(*times, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "network": name,
        "options": {key: value for key, value in options.items() if key != "image_size"},
        "size": size,
        "batch": batch,
        "tinycnn": statistics.median(times[0]),
        "pytorch": statistics.median(times[1]),
        "ratio": statistics.median(times[1]) / statistics.median(times[0]),
        "ratio_quartiles": [low, high],
        "parameters": sum(p.numel() for p in ours.parameters()),
        "device": str(tinycnn.get_default_device()),
    }


def _tinycnn_step(net: Any, images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    import tinycnn
    from tinycnn import nn, optim

    X, y = tinycnn.tensor(images), tinycnn.tensor(labels)
    optimizer = optim.SGD(net.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()

    return step


def _pytorch_step(net: Any, images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    import torch

    X, y = torch.tensor(images), torch.tensor(labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()

    return step


def write(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """The results as JSON and as a page."""
    import numba
    import torch

    import tinycnn

    versions = {
        "tinycnn": tinycnn.__version__, "PyTorch": torch.__version__, "Python": platform.python_version(),
        "NumPy": np.__version__, "Numba": numba.__version__,
    }  # fmt: skip
    command = f"python benchmarks/step_time.py --threads {args.threads} --repeats {args.repeats}"
    facts = {"command": command, "date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": machine()}
    (HERE / "results" / "step_time.json").write_text(
        json.dumps({**facts, "versions": versions, "note": args.note, "rows": rows}, indent=1) + "\n"
    )
    lines = [
        "# The time of a training step, tinycnn beside PyTorch",
        "",
        f"    {command}",
        "",
        f"{facts['machine']}, {args.threads} threads each; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; {facts['date']}. zero_grad, forward, cross entropy, backward, SGD step, both engines by turns in one",
        f"process; medians of {args.repeats} steps. {args.note}".rstrip(),
        "",
        "| network | image | batch | tinycnn, ms | PyTorch, ms | PyTorch / tinycnn (quartiles) |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        options = "".join(f", {key} {value}" for key, value in row["options"].items())
        low, high = row["ratio_quartiles"]
        lines.append(
            f"| {row['network']}{options} | {row['size']} | {row['batch']} | {row['tinycnn']:.1f} | "
            f"{row['pytorch']:.1f} | {row['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
        )
    mean = statistics.geometric_mean(row["ratio"] for row in rows)
    lines += ["", f"Geometric mean of the ratios: {mean:.2f}. Above 1, tinycnn is the faster.", ""]
    (HERE / "results" / "step_time.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
