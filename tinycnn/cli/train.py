"""`tinycnn train`: everything is checked first, then trained, then saved."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer

import tinycnn
from tinycnn import backend, data, models, nn, optim, train as training

from .console import FAILED, INTERRUPTED, fail, make_console
from .progress import ShowProgress


@dataclass(frozen=True)
class Request:
    """The options of the command; None where the recipe decides."""

    network: str
    data: str
    data_dir: Path | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    momentum: float | None
    weight_decay: float | None
    init: str | None
    activation: str | None
    seed: int
    device: str | None
    kernels: str | None
    threads: int | None
    out: Path | None


def run(request: Request) -> None:
    """Train as asked. Exits with 2 if something is wrong with the request, 130 after Ctrl-C, 1 if the loss diverged."""
    recipe = _settle(request)
    device, network, (train_data, test_data) = _prepare(request, recipe)
    folder = _new_folder(request.out or Path("runs") / request.network)

    console = make_console()
    parameters = sum(p.numel() for p in network.parameters())
    options = "".join(f", {key} {value}" for key, value in recipe.options.items())
    console.print(f"{request.network}{options}: {parameters:,} parameters, {recipe.init} init, seed {request.seed}")
    console.print(
        f"{request.data}: {len(train_data):,} images to train on, {len(test_data):,} to test, on {device} "
        f"with {backend.get_kernels()} kernels"
    )
    console.print(
        f"{_count(recipe.epochs, 'epoch')}, batch {recipe.batch_size}, SGD with lr {recipe.lr:g}, "
        f"momentum {recipe.momentum:g}, weight decay {recipe.weight_decay:g}"
    )

    progress = ShowProgress(console)
    optimizer = optim.SGD(network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    log = training.JsonLines(folder / "log.jsonl")
    trainer = training.Trainer(network, optimizer, device=device, callbacks=[progress, log])
    # The order of the data has a generator of its own, so that it is the same for every network.
    order = tinycnn.Generator().manual_seed(request.seed)
    train_loader = data.DataLoader(train_data, recipe.batch_size, shuffle=True, generator=order)
    test_loader = data.DataLoader(test_data, max(recipe.batch_size, 256))

    start = time.perf_counter()
    try:
        with backend.on_compile(progress.compiling), _stop_on_interrupt(trainer):
            trainer.fit(train_loader, test_loader, recipe.epochs)
    except training.TrainingDivergedError as error:
        fail(error, FAILED)
    except KeyboardInterrupt:
        trainer.stop()
    seconds = time.perf_counter() - start

    saved = _save(request, recipe, trainer, folder, seconds)
    if trainer.stopped:
        if not trainer.step:
            _remove_if_empty(folder)
        kept = f"the checkpoint is in {folder}" if trainer.step else "nothing was trained, nothing is saved"
        fail(f"interrupted after {_count(trainer.step, 'step')}; {kept}", INTERRUPTED)
    last = trainer.history[-1]
    console.print(f"test accuracy {last.test_accuracy:.2%} after {_count(last.epoch, 'epoch')} in {seconds:.1f} s")
    console.print(f"saved in {folder}: {', '.join(saved)}", markup=False)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _settle(request: Request) -> training.Recipe:
    """The recipe for the network and the data with what the request overrides, or an error before any work."""
    if request.network not in models.available():
        _refuse(lambda: models.get(request.network))
    if request.data not in data.available():
        _refuse(lambda: data.load(request.data))
    recipe = training.recipe_for(request.network, request.data)
    given = {
        name: getattr(request, name)
        for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay", "init")
        if getattr(request, name) is not None
    }
    options = dict(recipe.options)
    if request.activation is not None:
        if "activation" not in models.get(request.network).options:
            fail(f"--activation: {request.network} has no choice of activation")
        options["activation"] = request.activation
    recipe = dataclasses.replace(recipe, **given, options=options)
    for name, low in (("epochs", 1), ("batch_size", 1), ("lr", 0), ("momentum", 0), ("weight_decay", 0)):
        value = getattr(recipe, name)
        if not value >= low or not math.isfinite(value):
            fail(f"--{name.replace('_', '-')} must be {low} or more, got {value:g}")
    if recipe.momentum >= 1:
        fail(f"--momentum must be below 1, got {recipe.momentum:g}")
    if recipe.init not in training.INITS:
        fail(f"--init: {recipe.init!r} is unknown, there are {', '.join(training.INITS)}")
    if request.seed < 0:
        fail(f"--seed must be 0 or more, got {request.seed}")
    return recipe


def _prepare(request: Request, recipe: training.Recipe) -> tuple[Any, nn.Module, tuple[Any, Any]]:
    """Device, network and data: all that can fail for want of something."""
    try:
        if request.kernels is not None:
            backend.use_kernels(request.kernels)
        if request.device is not None:
            backend.set_default_device(request.device)
        device = backend.get_default_device()
        if request.threads is not None:
            backend.set_num_threads(request.threads)
        loaded = data.load(request.data, request.data_dir)
        backend.get_backend("cpu").random.seed(request.seed)
        backend.get_backend(device).random.seed(request.seed)
        network = models.create(request.network, num_classes=len(loaded[0].classes), **recipe.options)
    except (ValueError, RuntimeError, OSError) as error:
        fail(error)
    return device, training.initialize(network, recipe.init), loaded


def _refuse(attempt: Any) -> NoReturn:
    """End with the message of the error that attempt raises."""
    try:
        attempt()
    except ValueError as error:
        fail(error)
    raise AssertionError("unreachable")


def _new_folder(wanted: Path) -> Path:
    """Make the folder, or if it holds something already the first free one of wanted-2, wanted-3, ..."""
    try:
        if wanted.is_dir() and not any(wanted.iterdir()):
            return wanted
        number = 1
        while True:
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        fail(f"--out: cannot make the folder {wanted}: {error.strerror}")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _stop_on_interrupt(trainer: training.Trainer) -> Iterator[None]:
    """Ctrl-C lets the step that runs finish, so that what is saved is whole; a second one leaves at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: Any) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _save(
    request: Request, recipe: training.Recipe, trainer: training.Trainer, folder: Path, seconds: float
) -> list[str]:
    """Write checkpoint, record and curves; returns the names of the files."""
    if not trainer.step:
        return []
    history = [dataclasses.asdict(result) for result in trainer.history]
    facts = {
        "tinycnn": tinycnn.__version__,
        "network": request.network,
        "data": request.data,
        "seed": request.seed,
        "recipe": dataclasses.asdict(recipe),
        "device": str(backend.get_default_device()),
        "kernels": backend.get_kernels(),
        "step": trainer.step,
        "seconds": seconds,
        "history": history,
    }
    training.save_checkpoint(folder / "checkpoint.safetensors", trainer.model, trainer.optimizer, facts)
    training.write_atomically(folder / "run.json", (json.dumps(facts, indent=2) + os.linesep).encode())
    saved = ["checkpoint.safetensors", "run.json"]
    if trainer.history:
        saved.append("log.jsonl")
        if importlib.util.find_spec("matplotlib") is None:
            typer.echo("no curves: matplotlib is not installed (pip install matplotlib)", err=True)
        else:
            training.plot_history(trainer.history, folder / "curves.png", f"{request.network} on {request.data}")
            saved.append("curves.png")
    return saved
