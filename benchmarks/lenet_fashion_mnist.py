"""LeNet on Fashion-MNIST, as in "Dive into Deep Learning", section 7.6: tinycnn beside PyTorch.

    TINYCNN_DATA=... python benchmarks/lenet_fashion_mnist.py [--epochs 10] [--seeds 0 1 2] [--threads 2]

Settings of the notes: batches of 256, learning rate 0.9, plain SGD, Xavier-uniform weights, sigmoids, average pooling.
For each seed both engines start from the same weights and see the same images in the same order. Each run has a process
to itself, one after another, with the same number of threads. An epoch's seconds are those of its training steps alone.

It writes results/lenet_fashion_mnist.json and .md beside this file. Needs PyTorch (CPU).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

BATCH, LR = 256, 0.9
HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir", default=os.environ.get("TINYCNN_DATA"))
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results")
    parser.add_argument("--note", default="", help="a sentence for the results, such as what else ran meanwhile")
    parser.add_argument("--worker", nargs=3, metavar=("ENGINE", "SEED", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.data_dir:
        parser.error("set TINYCNN_DATA or give --data-dir")
    if args.worker:
        engine, seed, folder = args.worker
        result = {"tinycnn": run_tinycnn, "pytorch": run_pytorch}[engine](args, int(seed), pathlib.Path(folder))
        (pathlib.Path(folder) / f"{engine}.json").write_text(json.dumps(result))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            for engine in ("tinycnn", "pytorch"):
                command = [sys.executable, __file__, "--worker", engine, str(seed), folder]
                command += [
                    "--epochs",
                    str(args.epochs),
                    "--threads",
                    str(args.threads),
                    "--data-dir",
                    str(args.data_dir),
                ]
                threads = {name: str(args.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
                threads["OPENBLAS_THREAD_TIMEOUT"] = "4"  # as tinycnn sets it, but here NumPy is imported first
                subprocess.run(command, check=True, env={**os.environ, **threads})
                found = json.loads((pathlib.Path(folder) / f"{engine}.json").read_text())
                runs.append({"engine": engine, "seed": seed, **found})
                print(engine, "seed", seed, "test accuracy", found["test_accuracy"][-1], flush=True)
    write(args, runs)


def run_tinycnn(args: argparse.Namespace, seed: int, folder: pathlib.Path) -> dict[str, Any]:
    """Train with tinycnn; leaves the starting weights and the orders of the images in folder for PyTorch."""
    import tinycnn
    from tinycnn import backend, data, models, nn, optim, train

    backend.set_num_threads(args.threads)
    training, test = data.load("fashion-mnist", args.data_dir)
    tinycnn.manual_seed(seed)
    net = train.initialize(models.lenet(), "xavier")
    source = tinycnn.Generator().manual_seed(seed)
    orders = [tinycnn.randperm(len(training), generator=source).numpy() for _ in range(args.epochs)]
    np.savez(folder / "start.npz", *orders, **{name: t.numpy() for name, t in net.state_dict().items()})
    trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=LR), nn.CrossEntropyLoss())
    result = new_result(f"tinycnn {tinycnn.__version__}, {backend.get_kernels()} kernels")
    test_loader = data.DataLoader(test, 1000)
    for order in orders:
        trainer.loss, trainer.accuracy = train.Mean(), train.Mean()
        net.train()
        start = time.perf_counter()
        for X, y in data.DataLoader(training, BATCH, sampler=order.tolist()):
            trainer.train_step(X, y)
        seconds = time.perf_counter() - start
        test_loss, test_accuracy = trainer.evaluate(test_loader)
        add(result, seconds, trainer.loss.value, trainer.accuracy.value, test_loss, test_accuracy)
    return result


def run_pytorch(args: argparse.Namespace, seed: int, folder: pathlib.Path) -> dict[str, Any]:
    """Train with PyTorch from the same weights in the same order."""
    import torch
    from torch import nn

    from tinycnn import data

    torch.set_num_threads(args.threads)
    sets = data.load("fashion-mnist", args.data_dir)
    (x_train, y_train), (x_test, y_test) = ((torch.tensor(s.images), torch.tensor(s.labels)) for s in sets)
    net = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        nn.Flatten(), nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip
    with np.load(folder / "start.npz") as start_file:
        orders = [torch.tensor(start_file[f"arr_{i}"]) for i in range(args.epochs)]
        net.load_state_dict({name: torch.tensor(start_file[name]) for name in net.state_dict()})
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)
    result = new_result(f"PyTorch {torch.__version__}")
    for order in orders:
        losses, correct = [], []
        net.train()
        start = time.perf_counter()
        for indices in order.split(BATCH):
            X, y = x_train[indices].float().mul_(1 / 255), y_train[indices]
            logits = net(X)
            loss = nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((loss.detach(), len(y)))
            correct.append((logits.detach().argmax(1) == y).sum())
        train_loss = sum(float(loss) * n for loss, n in losses) / len(y_train)
        train_accuracy = sum(map(int, correct)) / len(y_train)
        seconds = time.perf_counter() - start
        net.eval()
        with torch.no_grad():
            logits = net(x_test.float().mul_(1 / 255))
            test_loss = float(nn.functional.cross_entropy(logits, y_test))
            test_accuracy = float((logits.argmax(1) == y_test).float().mean())
        add(result, seconds, train_loss, train_accuracy, test_loss, test_accuracy)
    return result


def new_result(version: str) -> dict[str, Any]:
    columns = ("seconds", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return {"version": version, **{name: [] for name in columns}}


def add(result: dict[str, Any], *values: float) -> None:
    for name, value in zip(list(result)[1:], values, strict=True):
        result[name].append(round(value, 6))


def machine() -> str:
    """The processor and the number of its cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"


def write(args: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    """The results as JSON and as a page."""
    import numba

    command = (
        f"TINYCNN_DATA=... python benchmarks/lenet_fashion_mnist.py --epochs {args.epochs} "
        f"--seeds {' '.join(map(str, args.seeds))} --threads {args.threads}"
    )
    facts = {
        "command": command,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "threads": args.threads,
        "note": args.note,
        "versions": {
            "python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__,
            **{run["engine"]: run["version"] for run in runs},
        },
        "settings": {"batch_size": BATCH, "lr": LR, "momentum": 0, "init": "xavier_uniform", "epochs": args.epochs},
    }  # fmt: skip
    (args.out / "lenet_fashion_mnist.json").write_text(json.dumps({**facts, "runs": runs}, indent=1) + "\n")

    by_seed = [[r for r in runs if r["seed"] == seed] for seed in args.seeds]
    lines = [
        "# LeNet on Fashion-MNIST, tinycnn beside PyTorch",
        "",
        'Settings of "Dive into Deep Learning", section 7.6: batches of 256, learning rate 0.9, plain SGD,',
        "Xavier-uniform weights, sigmoids, average pooling; 60,000 images to train on, 10,000 to test. For each seed",
        "both engines start from the same weights and see the same images in the same order, each in a process of its",
        "own.",
        "",
        f"    {command}",
        "",
        f"{facts['machine']}, {args.threads} {'thread' if args.threads == 1 else 'threads'} each; " + ", ".join(
            f"{v}" if k in ("tinycnn", "pytorch") else f"{k} {v}" for k, v in facts["versions"].items()  # type: ignore[attr-defined]
        ) + f"; {facts['date']}.",
        "",
        "| seed | tinycnn, test accuracy | PyTorch, test accuracy | tinycnn, s/epoch | PyTorch, s/epoch |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for ours, theirs in by_seed:
        cells = [f"{ours['test_accuracy'][-1]:.2%}", f"{theirs['test_accuracy'][-1]:.2%}"]
        cells += [f"{statistics.median(r['seconds']):.2f}" for r in (ours, theirs)]
        lines.append(f"| {ours['seed']} | " + " | ".join(cells) + " |")
    lines += ["", f"Seconds are the median over the epochs, training steps alone. {args.note}".rstrip(), ""]
    ours, theirs = by_seed[0]
    lines += [
        f"Every epoch of seed {ours['seed']}, tinycnn / PyTorch:",
        "",
        "| epoch | training loss | training accuracy | test accuracy | seconds |",
        "|---|---|---|---|---|",
    ]
    for i in range(args.epochs):
        a, b = ({k: v[i] for k, v in r.items() if isinstance(v, list)} for r in (ours, theirs))
        lines.append(
            f"| {i + 1} | {a['train_loss']:.4f} / {b['train_loss']:.4f} | {a['train_accuracy']:.2%} / "
            f"{b['train_accuracy']:.2%} | {a['test_accuracy']:.2%} / {b['test_accuracy']:.2%} | "
            f"{a['seconds']:.2f} / {b['seconds']:.2f} |"
        )
    (args.out / "lenet_fashion_mnist.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
