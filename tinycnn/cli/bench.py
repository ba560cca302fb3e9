"""`tinycnn bench`."""

from __future__ import annotations

import datetime as dt
import itertools
import shlex
import sys
from pathlib import Path
from typing import Any

import tinycnn
from tinycnn import backend, bench, get_default_device, models, set_default_device
from tinycnn.bench import Case

from .console import fail, make_console
from .options import parse_options


def run(
    networks: list[str],
    against: str | None,
    channels_last: bool,
    evaluation: bool,
    sizes: str | None,
    batches: str | None,
    threads: str | None,
    options: list[str],
    repeats: int,
    layers: bool,
    memory: bool,
    device: str | None,
    out: Path | None,
) -> None:
    """Measure, print, and leave the results in a folder."""
    if against not in (None, "torch"):
        fail(f"bench: --against takes torch, got {against}")
    if against and not bench.load_torch():
        fail("bench: --against torch needs PyTorch, which is not installed (pip install torch)")
    if channels_last and not against:
        fail("bench: --channels-last says how PyTorch is to run; it needs --against torch")
    if options and not networks:
        fail("bench: --option needs the name of a network")
    if repeats < 1:
        fail(f"bench: --repeats must be at least 1, got {repeats}")
    given = {network: parse_options(network, options) for network in networks if network in models.available()}
    try:
        if device is not None:
            set_default_device(device)
        cases = _cases(networks, _numbers("size", sizes), _numbers("batch", batches), given)
        counts = [n for n in _numbers("threads", threads) if n is not None] or [backend.get_num_threads()]
        for count in counts:
            backend.set_num_threads(count)
    except (ValueError, RuntimeError) as error:
        fail(error)
    folder = out or Path("runs") / f"bench-{dt.datetime.now():%Y%m%d-%H%M%S}"
    if folder.exists():
        fail(f"bench: {folder} is there already; say another --out")
    console = make_console()
    steps: list[tuple[int, bench.StepTime]] = []
    others: dict[str, Any] = {"tinycnn": tinycnn.__version__}
    mode: bench.Mode = "eval" if evaluation else "train"
    for case, count in itertools.product(cases, counts):
        bench.set_num_threads(count, torch_too=against is not None)
        label = f"{case.label}, {mode}, {count} thread{'s' * (count != 1)}"
        with console.status(label) as status, backend.on_compile(lambda name: status.update(f"compiling {name}")):
            found = bench.time_step(case, against is not None, mode, repeats, channels_last)
        steps.append((count, found))
        beside = f", PyTorch / tinycnn {found.ratio:.2f}" if found.theirs else ""
        console.print(f"{label}: {bench.milliseconds(found.median)} ms{beside}", markup=False)
    console.print("\n".join(["", *bench.step_table(steps)]), markup=False)
    if layers:
        bench.set_num_threads(counts[-1])
        peak = bench.measure_peak()
        for case in cases:
            rows = bench.time_layers(case, repeats)
            console.print(f"\n{case.label}, layer by layer, {counts[-1]} threads", markup=False)
            console.print("\n".join(bench.layer_table(rows, peak)), markup=False)
            others.setdefault("layers", {})[case.label] = [_layer(row) for row in rows]
    if memory:
        others["memory"] = _memory(cases, ["tinycnn", "torch"] if against else ["tinycnn"], counts[-1], console)
    folder.mkdir(parents=True)
    bench.write_json(folder / "bench.json", shlex.join(["tinycnn", *sys.argv[1:]]), steps, **others)
    bench.write_plot(folder / "bench.png", steps)
    console.print(f"saved in {folder}: bench.json, bench.png", markup=False)


def _cases(
    networks: list[str], sizes: list[int | None], batches: list[int | None], options: dict[str, dict[str, Any]]
) -> list[Case]:
    networks = networks or list(dict.fromkeys(case.network for case in bench.CASES))
    found: list[Case] = []
    for network, size, batch in itertools.product(networks, sizes, batches):
        for case in bench.find_case(network, size, batch):
            if options.get(network):
                case = Case(network, case.size, case.batch, options[network])
            if case not in found:
                found.append(case)
    return found


def _numbers(name: str, text: str | None) -> list[int | None]:
    """The numbers of 1,2,8; one None if nothing was said."""
    if text is None:
        return [None]
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise ValueError(f"bench: --{name} takes positive integers, such as 2 or 1,2, got {text}")
    return list(found)


def _layer(row: bench.LayerTime) -> dict[str, Any]:
    return {
        "name": row.name, "kind": row.kind, "input": list(row.shapes[0]), "output": list(row.shapes[1]),
        "macs": row.macs, "forward": row.forward, "backward": row.backward,
    }  # fmt: skip


def _memory(cases: list[Case], engines: list[Any], threads: int, console: Any) -> list[dict[str, Any]]:
    from tinycnn.inspect.table import format_table

    place = get_default_device()
    where = "" if place.type == "cpu" else f" on {place}"
    rows, found = [[f"peak of a training step{where}, MiB", *engines]], []
    for case in cases:
        cells = []
        for engine in engines:
            try:
                facts = bench.measure_memory(case, engine, threads)
            except (NotImplementedError, RuntimeError) as error:
                fail(error)
            found.append({"case": case.label, "engine": engine, "threads": threads, "device": str(place), **facts})
            cells.append(f"{facts['peak'] - facts['before']:.0f}")
        rows.append([case.label, *cells])
    console.print("\n".join(["", *format_table(rows, "<" + ">" * len(engines), shrink=0)]), markup=False)
    return found
