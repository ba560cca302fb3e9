"""`tinycnn evaluate`: how good a trained network is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tinycnn import data, train as training

from . import build
from .console import fail, make_console
from .progress import show_download
from .settings import Settings

_LONGEST = 24  # of a class's name in the table


def run(path: Path, given: dict[str, Any], download: bool) -> None:
    """Print loss, accuracy, top-5 and a table of the classes on the test data.

    Args:
        path: a checkpoint, or the folder of a run, of which the best is taken if there is one.
        given: "data", "data_dir", "device", "kernels", "threads", "batch_size" where they are not the run's own.
        download: whether data that are missing may be fetched.
    """
    facts, path = _facts_of(path)
    settings, classes = _adapted(facts["settings"], given), facts["classes"]
    device, _ = build.machine_or_fail(settings.device, settings.kernels, settings.threads)
    console = make_console()
    try:
        with show_download(console) as progress:
            found = build.load_data(settings, download, progress)
        if len(found.classes) != len(classes):
            fail(f"{path}: was trained on {len(classes)} classes, {settings.data} has {len(found.classes)}")
        network = training.load_weights(build.make_network(settings, found), path)
        result = training.measure(network, data.DataLoader(found.test, settings.batch_size), device=device)
    except (ValueError, RuntimeError, OSError) as error:
        fail(error)
    console.print(f"{path}: {settings.network} on the {len(found.test):,} test images of {settings.data}", markup=False)
    top = "" if result.top5 is None else f"   top-5 {result.top5:.2%}"
    console.print(f"loss {result.loss:.4f}   accuracy {result.accuracy:.2%}{top}\n")
    console.print("\n".join(_table(result, found.classes)), markup=False)


def _facts_of(path: Path) -> tuple[dict[str, Any], Path]:
    """What a checkpoint says of its run, and the checkpoint's path."""
    if path.is_dir():
        names = (training.Checkpoints.BEST, training.Checkpoints.LAST)
        there = [path / name for name in names if (path / name).is_file()]
        if not there:
            fail(f"{path}: there is no checkpoint in this folder ({' or '.join(names)})")
        path = there[0]
    try:
        facts = training.load_checkpoint(path).facts
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except ValueError as error:
        fail(error)
    if "settings" not in facts or "classes" not in facts:
        fail(f"{path}: does not say which network it is of; it was not written by tinycnn train")
    return facts, path


def _adapted(saved: dict[str, Any], given: dict[str, Any]) -> Settings:
    """The run's settings, for the whole test data and the machine at hand."""
    try:
        settings = Settings(**saved)
    except TypeError:
        fail("the checkpoint was written by another version of tinycnn")
    whole = {"limit": None, "validation": None, "augment": False, "init": "default", "device": None, "kernels": None}
    return dataclasses.replace(settings, **{**whole, **given})


def _table(result: training.Evaluation, classes: tuple[str, ...]) -> list[str]:
    """A line for each class: how many, how many right, and what it is most often taken for."""
    rows: list[list[int]] = result.confusion.tolist()
    names = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in classes]
    width = max(len("class"), *map(len, names))
    lines = [f"{'class':<{width}}  images  accuracy  most often taken for"]
    for i, (row, share) in enumerate(zip(rows, result.class_accuracy, strict=True)):
        wrong = [0 if j == i else n for j, n in enumerate(row)]
        worst = wrong.index(max(wrong))
        other = f"{names[worst]} ({wrong[worst]})" if wrong[worst] else ""
        accuracy = f"{share:8.1%}" if sum(row) else f"{'-':>8}"
        lines.append(f"{names[i]:<{width}}  {sum(row):6,}  {accuracy}  {other}".rstrip())
    return lines
