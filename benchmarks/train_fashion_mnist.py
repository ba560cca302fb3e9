"""Every network trained on Fashion-MNIST, tinycnn beside PyTorch with the same settings.

    TINYCNN_DATA=... python benchmarks/train_fashion_mnist.py [NETWORK ...] [--seeds 0 1 2] [--threads 1]
    python benchmarks/train_fashion_mnist.py --report

For each seed both engines start from the same weights and see the same images in the same order, each in a process of
its own, one after the other. Dropout draws its masks from each engine's own generator. `SETTINGS` says how each network
is trained: full data at 28x28 for the small ones; images resized, and a part of them only, for the networks that are
made for 224x224, because two cores train them no further in reasonable time.

Each run is written to results/fashion_mnist/NETWORK-SEED.json as soon as it is done, so that a series may be taken in
parts; `--report` makes results/fashion_mnist.md and the pictures of the curves from all there are. Needs PyTorch (CPU).
"""

from __future__ import annotations

import argparse
import dataclasses
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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
RUNS = HERE / "results" / "fashion_mnist"
PICTURES = HERE.parent / "docs" / "curves"
ENGINES = ("tinycnn", "pytorch")


@dataclass(frozen=True)
class Settings:
    """How a network is trained; `images` and `tests` are how many of the data are used, from the front.

    Each epoch is measured in so many `parts`, a point on the curves each.
    """

    epochs: int
    batch_size: int
    lr: float
    optimizer: str = "sgd"
    momentum: float = 0.0
    init: str = "xavier"
    size: int = 28
    images: int = 60_000
    tests: int = 10_000
    parts: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        options = "".join(f", {name} {value}" for name, value in self.options.items() if name != "image_size")
        return f"{self.optimizer} lr {self.lr:g}{momentum}, batch {self.batch_size}, {self.init} weights{options}"


SETTINGS = {
    "mlp": Settings(10, 256, 0.1),
    "lenet": Settings(10, 256, 0.9),
    "lenet_bn": Settings(10, 256, 0.1),
    "resnet18": Settings(1, 128, 0.05, parts=4),
    # The networks made for 224x224: small images and a part of the data; so few steps want Adam where no batch
    # normalisation helps.
    "alexnet": Settings(3, 32, 3e-4, "adam", size=96, images=2_000, tests=2_000, options={"image_size": 96}),
    "vgg11": Settings(3, 32, 5e-4, "adam", size=64, images=2_000, tests=2_000, options={"ratio": 4, "image_size": 64}),
    "nin": Settings(6, 16, 5e-4, "adam", size=72, images=2_000, tests=2_000),
    "googlenet": Settings(3, 16, 3e-4, "adam", init="kaiming", size=64, images=2_000, tests=2_000),
    "densenet": Settings(3, 32, 0.03, size=64, images=2_000, tests=2_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data-dir", default=os.environ.get("TINYCNN_DATA"))
    parser.add_argument("--report", action="store_true", help="only write the page and the pictures")
    parser.add_argument("--worker", nargs=3, metavar=("ENGINE", "SEED", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = [name for name in args.networks if name not in SETTINGS]
    if unknown:
        parser.error(f"no settings for {', '.join(unknown)}; there are {', '.join(SETTINGS)}")
    if not args.report:
        if not args.data_dir:
            parser.error("set TINYCNN_DATA or give --data-dir")
        if args.worker:
            work(args)
            return
        for seed in args.seeds:  # so that a series that ends early has every network
            for name in args.networks:
                run_pair(args, name, seed)
    report()


def run_pair(args: argparse.Namespace, name: str, seed: int) -> None:
    """Train one network from one seed with both engines, and write what came of it."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            command = [sys.executable, __file__, name, "--worker", engine, str(seed), folder]
            command += ["--threads", str(args.threads), "--data-dir", str(args.data_dir)]
            threads = {variable: str(args.threads) for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
            threads["OPENBLAS_THREAD_TIMEOUT"] = "4"  # as tinycnn sets it, but here NumPy is imported first
            subprocess.run(command, check=True, env={**os.environ, **threads})
            found[engine] = json.loads((pathlib.Path(folder) / f"{engine}.json").read_text())
            accuracy, seconds = found[engine]["test_accuracy"][-1], statistics.median(found[engine]["seconds"])
            print(f"{name} seed {seed} {engine}: {accuracy:.2%}, {seconds:.1f} s an epoch", flush=True)
    from tinycnn.bench import describe_machine

    facts = {
        "network": name,
        "seed": seed,
        "threads": args.threads,
        "settings": dataclasses.asdict(SETTINGS[name]),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": "{processor}, {cores} cores".format(**describe_machine()),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        **found,
    }
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / f"{name}-{seed}.json").write_text(json.dumps(facts, indent=1) + "\n")


def work(args: argparse.Namespace) -> None:
    """One engine's run, in this process."""
    engine, seed, folder = args.worker[0], int(args.worker[1]), pathlib.Path(args.worker[2])
    run = {"tinycnn": run_tinycnn, "pytorch": run_pytorch}[engine]
    result = run(args.networks[0], SETTINGS[args.networks[0]], seed, args.threads, args.data_dir, folder)
    (folder / f"{engine}.json").write_text(json.dumps(result))


def load_images(settings: Settings, data_dir: str) -> list[np.ndarray]:
    """Training images (N, 1, H, W) float32, labels (N,), test images, test labels, as both engines get them."""
    from tinycnn import data

    found: list[np.ndarray] = []
    for part, n in zip(data.load("fashion-mnist", data_dir), (settings.images, settings.tests), strict=True):
        images = np.asarray(part.images[:n], np.float32) / 255
        if settings.size != 28:
            resize = data.transforms.Resize(settings.size)
            images = np.concatenate([resize(block) for block in np.array_split(images, -(-n // 500))])
        found += [images, np.asarray(part.labels[:n])]
    return found


def run_tinycnn(
    name: str, settings: Settings, seed: int, threads: int, data_dir: str, folder: pathlib.Path
) -> dict[str, Any]:
    """Train with tinycnn; leaves the starting weights and the orders of the images in folder for PyTorch."""
    import tinycnn
    from tinycnn import backend, data, models, nn, optim, train

    backend.set_num_threads(threads)
    x_train, y_train, x_test, y_test = (tinycnn.from_numpy(a) for a in load_images(settings, data_dir))
    tinycnn.manual_seed(seed)
    net = train.initialize(models.create(name, **settings.options), settings.init)
    source = tinycnn.Generator().manual_seed(seed)
    orders = [tinycnn.randperm(len(x_train), generator=source).numpy() for _ in range(settings.epochs)]
    np.savez(folder / "start.npz", orders=orders, **{n: t.numpy() for n, t in net.state_dict().items()})
    make = {"sgd": lambda p: optim.SGD(p, settings.lr, settings.momentum), "adam": lambda p: optim.Adam(p, settings.lr)}
    trainer = train.Trainer(net, make[settings.optimizer](net.parameters()), nn.CrossEntropyLoss())
    result = new_result(f"tinycnn {tinycnn.__version__}, {backend.get_kernels()} kernels")
    training, testing = data.TensorDataset(x_train, y_train), data.TensorDataset(x_test, y_test)
    for order in (part for epoch in orders for part in np.array_split(epoch, settings.parts)):
        trainer.loss, trainer.accuracy = train.Mean(), train.Mean()
        net.train()
        start = time.perf_counter()
        for X, y in data.DataLoader(training, settings.batch_size, sampler=order.tolist()):
            trainer.train_step(X, y)
        loss, accuracy = trainer.loss.value, trainer.accuracy.value
        seconds = time.perf_counter() - start
        add(result, seconds, loss, accuracy, *trainer.evaluate(data.DataLoader(testing, 250)))
    return result


def run_pytorch(
    name: str, settings: Settings, seed: int, threads: int, data_dir: str, folder: pathlib.Path
) -> dict[str, Any]:
    """Train with PyTorch from the same weights in the same order."""
    import torch

    from tinycnn import models
    from tinycnn.bench.torch_networks import build, copy_weights

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    x_train, y_train, x_test, y_test = (torch.from_numpy(a) for a in load_images(settings, data_dir))
    net, ours = build(name, **settings.options), models.create(name, **settings.options)
    with np.load(folder / "start.npz") as start_file:
        orders = [torch.tensor(order) for order in start_file["orders"]]
        ours.load_state_dict({key: start_file[key] for key in ours.state_dict()})
    copy_weights(ours, net)
    if settings.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD(net.parameters(), settings.lr, settings.momentum)
    else:
        optimizer = torch.optim.Adam(net.parameters(), settings.lr)
    result = new_result(f"PyTorch {torch.__version__}")
    for order in (part for epoch in orders for part in epoch.tensor_split(settings.parts)):
        total, correct = 0.0, 0
        net.train()
        start = time.perf_counter()
        for indices in order.split(settings.batch_size):
            X, y = x_train[indices], y_train[indices]
            logits = net(X)
            loss = torch.nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(y)
            correct += int((logits.detach().argmax(1) == y).sum())
        seconds = time.perf_counter() - start
        net.eval()
        with torch.no_grad():
            logits = torch.cat([net(X) for X in x_test.split(250)])
            test_loss = float(torch.nn.functional.cross_entropy(logits, y_test))
            test_accuracy = float((logits.argmax(1) == y_test).float().mean())
        add(result, seconds, total / len(order), correct / len(order), test_loss, test_accuracy)
    return result


def new_result(version: str) -> dict[str, Any]:
    columns = ("seconds", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return {"version": version, **{name: [] for name in columns}}


def add(result: dict[str, Any], *values: float) -> None:
    for name, value in zip(list(result)[1:], values, strict=True):
        result[name].append(round(value, 6))
    print("   ", *(f"{name} {values:g}" for name, values in zip(list(result)[1:], values, strict=True)), flush=True)


def report() -> None:
    """The page and the pictures, of all runs that are there."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for name in SETTINGS:
        files = sorted(RUNS.glob(f"{name}-[0-9]*.json"))
        if files:
            runs[name] = [json.loads(path.read_text()) for path in files]
    if not runs:
        sys.exit(f"no runs in {RUNS}")
    first = next(iter(runs.values()))[0]
    lines = [
        "# Every network on Fashion-MNIST, tinycnn beside PyTorch",
        "",
        "    TINYCNN_DATA=... python benchmarks/train_fashion_mnist.py",
        "",
        f"{first['machine']}; {first['tinycnn']['version']}, {first['pytorch']['version']}, "
        + ", ".join(f"{k} {v}" for k, v in first["versions"].items())
        + f"; {first['date']}.",
        "",
        "For each seed both engines start from the same weights and see the same images in the same order; dropout",
        "draws from each engine's own generator. Accuracy is on the test images after the last epoch: the mean over",
        "the seeds, and each seed's. How long steps take is measured by itself, see `docs/cpu.md`: other work ran on",
        "the machine here.",
        "",
        "Where the curves of one seed part, rounding has grown from step to step: in float64 the engines stay together",
        "(`tests/test_parity_models.py`). So few steps leave a network far from its best, where the seed matters more",
        "than the engine.",
        "",
        "| network | data | settings | tinycnn | PyTorch |",
        "|---|---|---|---|---|",
    ]
    for name, series in runs.items():
        settings = Settings(**series[0]["settings"])
        data = f"{settings.images:,} at {settings.size}x{settings.size}, {_epochs(settings)}"
        cells = [_accuracies([run[engine]["test_accuracy"][-1] for run in series]) for engine in ENGINES]
        lines.append(f"| {name} | {data} | {settings} | {cells[0]} | {cells[1]} |")
    lines += ["", "Curves: test loss and accuracy after each epoch, a line a seed.", ""]
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, series in runs.items():
        draw(name, series)
        lines += [f"![{name}](../../docs/curves/{name}.png)", ""]
    (HERE / "results" / "fashion_mnist.md").write_text("\n".join(lines).rstrip() + "\n")


def _epochs(settings: Settings) -> str:
    return "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"


def _accuracies(values: list[float]) -> str:
    each = ", ".join(f"{100 * value:.1f}" for value in values)
    return f"**{statistics.mean(values):.1%}** ({each})"


def draw(name: str, series: list[dict[str, Any]]) -> None:
    """Test loss and accuracy over the epochs, both engines and all seeds, as docs/curves/NAME.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    looks = {"tinycnn": ("#2563a8", "-", "tinycnn"), "pytorch": ("#d9541e", "--", "PyTorch")}
    settings = Settings(**series[0]["settings"])
    figure = Figure(figsize=(9, 3.4), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, 3)
    columns = (("training loss", "train_loss", 1), ("test loss", "test_loss", 1))
    columns += (("test accuracy (%)", "test_accuracy", 100),)
    for axes, (title, column, scale) in zip(panels, columns, strict=True):
        for engine, (colour, style, label) in looks.items():
            for i, run in enumerate(series):
                values = [scale * v for v in run[engine][column]]
                epochs = [(point + 1) / settings.parts for point in range(len(values))]
                axes.plot(
                    epochs, values, style, color=colour, linewidth=1.5, marker="o", markersize=3,
                    alpha=0.85, label=label if i == 0 else None,
                )  # fmt: skip
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=settings.parts == 1))
        axes.grid(True, color="#e5e7eb", linewidth=0.8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
    panels[0].legend(frameon=False, fontsize=9)
    figure.suptitle(
        f"{name}: {settings.images:,} images at {settings.size}x{settings.size}, {settings}, {len(series)} seeds",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
