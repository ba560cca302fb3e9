"""`tinycnn train`: everything is checked first, then trained, then saved."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

import tinycnn
from tinycnn import backend, data, nn, train as training

from . import build
from .console import FAILED, INTERRUPTED, fail, make_console
from .folder import RECORD, new_folder, read_settings, remove_unused, write_record
from .interrupt import Interrupts
from .progress import ShowProgress, show_download
from .settings import AMP, Settings, settle, settle_again

_EVALUATED_BATCH = 256  # the least, when nothing is kept for a gradient


def run(given: dict[str, Any]) -> None:
    """Train as asked. Exits with 2 if something is wrong with the request, 130 after Ctrl-C, 1 if the loss diverged.

    Args:
        given: the options that were given, by name; the recipe or the record of the run decides the others.
    """
    out, resume, download = given.pop("out", None), given.pop("resume", None), given.pop("download", False)
    if resume is not None and out is not None:
        fail(f"--out {out} contradicts --resume {resume}: a run goes on in its own folder")
    settings = settle(given) if resume is None else settle_again(read_settings(resume), given, resume)
    device, kernels = build.machine_or_fail(settings.device, settings.kernels, settings.threads)
    settings = dataclasses.replace(settings, device=device, kernels=kernels)
    console = make_console()
    try:
        with show_download(console) as progress:
            found = build.load_data(settings, download, progress)
        network = build.make_network(settings, found)
    except (ValueError, RuntimeError, OSError) as error:
        fail(error)
    if settings.data_dir is not None:  # whoever goes on may stand elsewhere
        settings = dataclasses.replace(settings, data_dir=str(Path(settings.data_dir).absolute()))
    task = _Task(console, settings, found, network)
    task.begin(resume or new_folder(out or Path("runs") / settings.network), go_on=resume is not None)
    task.train()
    task.finish()


class _Task:
    """One run: what it works on, where it stands, and what it says."""

    def __init__(self, console: Console, settings: Settings, found: build.Data, network: nn.Module) -> None:
        self.console, self.settings, self.found = console, settings, found
        self.measured = "test" if found.validation is None else "validation"
        # The order of the data has a generator of its own, so that it is the same for every network.
        order = tinycnn.Generator().manual_seed(settings.seed)
        size = settings.batch_size
        self.train_data = data.DataLoader(found.train, size, shuffle=True, generator=order, prefetch=settings.prefetch)
        self.measured_data = self._all(found.test if found.validation is None else found.validation)
        optimizer = build.make_optimizer(settings, network)
        scheduler, interval = build.make_scheduler(settings, optimizer, len(self.train_data))
        self.trainer = training.Trainer(
            network,
            optimizer,
            device=settings.device,
            scheduler=scheduler,
            scheduler_interval=interval,
            clip_norm=settings.clip,
            amp_dtype=AMP[settings.amp],
        )
        self.early_stop = None if settings.early_stop is None else training.EarlyStop(settings.early_stop)
        self.progress = ShowProgress(console, self.measured)
        self.seconds = 0.0  # spent before this process
        self.start = time.perf_counter()

    def _all(self, dataset: Any) -> data.DataLoader:
        return data.DataLoader(dataset, max(self.settings.batch_size, _EVALUATED_BATCH))

    def begin(self, folder: Path, go_on: bool) -> None:
        """Say what is to be done, and take up the run in the folder or leave the record of a new one there."""
        self.folder = folder
        self.checkpoints = training.Checkpoints(folder, self.facts, self.settings.checkpoint_every)
        stops = [] if self.early_stop is None else [self.early_stop]
        log = training.JsonLines(folder / "log.jsonl")
        self.trainer.callbacks = [self.progress, log, *stops, self.checkpoints]
        if go_on and (folder / self.checkpoints.LAST).exists():
            try:
                saved = training.load_checkpoint(folder / self.checkpoints.LAST)
                self.trainer.restore(saved)
            except (ValueError, OSError) as error:
                fail(error)
            self.seconds = saved.facts["seconds"]
        for line in _description(self.settings, self.found, self.trainer):
            self.console.print(line, markup=False)
        if go_on:
            place = f"{_count(self.trainer.epoch, 'epoch')} and {_count(self.trainer.batch, 'step')}"
            self.console.print(f"going on in {folder} after {place}", markup=False)
        self.start = time.perf_counter()
        try:
            self.write_record()
        except OSError as error:
            fail(f"{folder}: cannot be written to: {error.strerror}")

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        stopped = self.early_stop is not None and self.early_stop.is_over
        return stopped or self.trainer.epoch >= self.settings.epochs

    def facts(self) -> dict[str, Any]:
        """What stands in each checkpoint beside the states."""
        return {
            "tinycnn": tinycnn.__version__,
            "network": self.settings.network,
            "data": self.settings.data,
            "seed": self.settings.seed,
            "device": self.settings.device,
            "kernels": self.settings.kernels,
            "settings": dataclasses.asdict(self.settings),
            "classes": list(self.found.classes),
            "image_shape": list(self.found.shape),
            "measured_on": self.measured,
            "step": self.trainer.step,
            "epoch": self.trainer.epoch,
            "seconds": self.seconds + time.perf_counter() - self.start,
        }

    def write_record(self, **more: Any) -> None:
        """Write run.json."""
        history = [dataclasses.asdict(result) for result in self.trainer.history]
        write_record(self.folder, {**self.facts(), "finished": self.is_over, **more, "history": history})

    def train(self) -> None:
        """Train to the end, or leave."""
        interrupts = Interrupts(self.trainer)
        try:
            with interrupts, backend.on_compile(self.progress.compiling):
                if not self.is_over:
                    epochs = self.settings.epochs - self.trainer.epoch
                    self.trainer.fit(self.train_data, self.measured_data, epochs)
                if interrupts.number is not None and self.trainer.step:
                    self.checkpoints.save_last(self.trainer)
                    self.write_record()
        except training.TrainingDivergedError as error:
            fail(error, FAILED)
        except KeyboardInterrupt:  # there is no knowing how far the step came: what was saved before must do
            self.leave(self.checkpoints.saved_step, interrupts.code)
        except (ValueError, OSError) as error:  # a picture that is broken, a disk that is full
            fail(error, FAILED)
        if interrupts.number is not None:
            self.leave(self.trainer.step or None, interrupts.code)

    def leave(self, saved_step: int | None, code: int = INTERRUPTED) -> None:
        """End an interrupted run."""
        done = f"interrupted after {_count(self.trainer.step, 'step')}"
        if not (self.folder / self.checkpoints.LAST).exists():
            remove_unused(self.folder)
            fail(f"{done}; nothing was trained, nothing is saved", code)
        where = "" if saved_step == self.trainer.step else " is older, it"
        fail(f"{done}; the checkpoint{where} is in {self.folder}", code)

    def finish(self) -> None:
        """Measure, draw and record what came of it."""
        trainer, best = self.trainer, self.checkpoints.best
        seconds = self.seconds + time.perf_counter() - self.start
        last = trainer.history[-1]
        if trainer.stop_reason is not None:
            self.console.print(f"stopped early: {trainer.stop_reason.replace('test', self.measured)}")
        epochs = _count(last.epoch, "epoch")
        self.console.print(f"{self.measured} accuracy {last.test_accuracy:.2%} after {epochs} in {seconds:.1f} s")
        more: dict[str, Any] = {}
        if self.found.validation is not None and best.value is not None:
            training.load_weights(trainer.model, self.folder / self.checkpoints.BEST)
            loss, accuracy = trainer.evaluate(self._all(self.found.test))
            more["test_of_best"] = {"epoch": best.epoch, "loss": loss, "accuracy": accuracy}
            self.console.print(
                f"test accuracy {accuracy:.2%} with the weights of epoch {best.epoch}, the best of these"
            )
        files = [self.checkpoints.LAST, self.checkpoints.BEST, RECORD, "log.jsonl"]
        if importlib.util.find_spec("matplotlib") is None:
            typer.echo("no curves: matplotlib is not installed (pip install matplotlib)", err=True)
        else:
            title = f"{self.settings.network} on {self.settings.data}"
            training.plot_history(trainer.history, self.folder / "curves.png", title, self.measured)
            files.append("curves.png")
        self.write_record(best_epoch=best.epoch, **more)
        there = [name for name in files if (self.folder / name).exists()]
        self.console.print(f"saved in {self.folder}: {', '.join(there)}", markup=False)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _description(settings: Settings, found: build.Data, trainer: training.Trainer) -> list[str]:
    """What is trained on what and how, in a few lines."""
    parameters = sum(p.numel() for p in trainer.model.parameters())
    options = "".join(f", {key} {value}" for key, value in settings.options.items())
    parts = [f"{len(found.train):,} images to train on"]
    if settings.limit is not None:
        parts[0] = f"{len(found.train):,} of {found.whole:,} images to train on, drawn by the seed"
    if found.validation is not None:
        parts.append(f"{len(found.validation):,} to validate")
    parts.append(f"{len(found.test):,} to test")
    if settings.resize is not None:
        parts.append("at " + "x".join(map(str, found.shape[1:])))
    if settings.augment:
        parts.append(
            "cropped at random" if settings.data in build.MEANT_AS_THEY_STAND else "cropped and flipped at random"
        )
    how = [f"{type(trainer.optimizer).__name__} with lr {settings.lr:g}"]
    if settings.momentum is not None:
        how.append(f"momentum {settings.momentum:g}")
    how.append(f"weight decay {settings.weight_decay:g}")
    if settings.clip is not None:
        how.append(f"gradients clipped at {settings.clip:g}")
    if settings.amp != "off":
        how.append(f"in mixed precision ({settings.amp})")
    lines = [
        f"{settings.network}{options}: {parameters:,} parameters, {settings.init} init, seed {settings.seed}",
        f"{settings.data}: {', '.join(parts)}, on {settings.device} with {settings.kernels} kernels",
        f"{_count(settings.epochs, 'epoch')}, batch {settings.batch_size}, {', '.join(how)}",
    ]
    schedule = []
    if settings.warmup:
        schedule.append(f"warm-up over {_count(settings.warmup, 'epoch')}")
    if settings.scheduler != "none":
        schedule.append(settings.scheduler)
    if settings.decay is not None:
        schedule.append(f"decay {settings.decay:g}")
    if settings.decay_at is not None:
        schedule.append("at " + ",".join(map(str, settings.decay_at)))
    if schedule:
        lines.append(f"learning rate: {', '.join(schedule)}")
    return lines
