"""What tinycnn does on a GPU, in one run of ten minutes: it works, it is clean, and how fast it is beside PyTorch.

    python benchmarks/gpu.py --out benchmarks/results/gpu-h200

needs a Python with CuPy, and for its parts pytest, compute-sanitizer and PyTorch; what is missing is said and left out.
Nothing is installed or downloaded: the project is taken from the folder that this file is in.

    facts       the device, the driver, the versions, and what the device reaches: copies, matrix products
    tests       pytest -m gpu
    sanitizer   a small program under compute-sanitizer: memcheck, racecheck, initcheck
    steps       training steps of every network, beside PyTorch eager: float32 (TF32 convolutions) and half precision
    graph       LeNet's step captured as a CUDA graph, beside PyTorch eager and PyTorch's own graph

Every part has a share of the time and is stopped when that is over. Behind every piece the results so far are written,
results.json and results.md, and the logs of tests and sanitizer as they come: whatever ends the run loses little.

Without a GPU, `--device cpu --quick` walks through all of it at tiny sizes; `--stand-in` runs the CUDA side on the
stand-in for CuPy of the tests. Neither measures anything.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ("facts", "tests", "sanitizer", "steps", "graph")

# Network, side of the images, batch, options: as the book trains them (chapters 5, 7 and 8), and larger ones.
CASES: list[tuple[str, int, int, dict[str, Any]]] = [
    ("lenet", 28, 128, {}),
    ("alexnet", 224, 128, {}),
    ("resnet18", 96, 128, {}),
    ("vgg11", 224, 128, {"ratio": 4}),
    ("nin", 224, 128, {}),
    ("googlenet", 96, 128, {}),
    ("densenet", 96, 128, {}),
    ("lenet_bn", 28, 256, {}),
    ("mlp", 28, 256, {}),
    ("resnet18", 224, 128, {}),
    ("vgg11", 224, 64, {}),
]
SHARES = {"facts": 0.08, "tests": 0.3, "sanitizer": 0.17, "steps": 0.35, "graph": 0.1}  # of the time


# ---- in the processes ------------------------------------------------------------------------------------------------


def worker(name: str, settings: dict[str, Any]) -> Any:
    """One piece of work; returns what JSON can hold."""
    sys.path.insert(0, str(ROOT))
    if settings["stand_in"]:
        sys.path.insert(0, str(ROOT / "tests"))
        import cupy_standin

        cupy_standin.install()
    return {"facts": facts, "program": program, "step": step, "graph": graph}[name](settings)


def facts(settings: dict[str, Any]) -> dict[str, Any]:
    import tinycnn
    from tinycnn.bench import describe_machine

    found: dict[str, Any] = {"machine": describe_machine(), "cuda": list(tinycnn.cuda_status())}
    if settings["device"] == "cuda" and tinycnn.cuda.is_available():
        import cupy

        free, total = tinycnn.cuda.mem_get_info()
        found["device"] = {
            "name": tinycnn.cuda.get_device_name(),
            "capability": list(tinycnn.cuda.get_device_capability()),
            "memory": total,
            "free": free,
            "driver": _said(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]),
            "cupy": cupy.__version__,
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
        }
    if settings["torch"]:
        with contextlib.suppress(Exception):
            found["ceilings"] = ceilings(settings)
    return found


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"


def ceilings(settings: dict[str, Any]) -> dict[str, float]:
    """What PyTorch reaches on the device: GB/s of a copy (read and written), TFLOP/s of products of random matrices."""
    import torch

    device = settings["device"]
    n = 256 if settings["quick"] else 8192
    found = {}
    source = torch.rand(n * n * 4, device=device)
    target = torch.empty_like(source)
    seconds = _median_time(lambda: target.copy_(source), 10, _waiter(settings))
    found["copy, GB/s"] = 2 * source.numel() * 4 / seconds / 1e9
    for name, dtype, tf32 in (
        ("float32", torch.float32, False), ("tf32", torch.float32, True),
        ("float16", torch.float16, False), ("bfloat16", torch.bfloat16, False),
    ):  # fmt: skip
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        found[f"{name} product, TFLOP/s"] = 2 * n**3 / _median_time(lambda: a @ b, 5, _waiter(settings)) / 1e12  # noqa: B023
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def _waiter(settings: dict[str, Any]) -> Callable[[], Any]:
    import torch

    return torch.cuda.synchronize if settings["device"] == "cuda" else lambda: None


def _median_time(call: Callable[[], Any], repeats: int, wait: Callable[[], Any]) -> float:
    times = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def half_precision(settings: dict[str, Any]) -> str:
    """bfloat16, on both sides, if arrays can have it here; else float16."""
    import tinycnn

    try:
        tinycnn.ones(2).to(settings["device"]).bfloat16().tolist()
    except (ImportError, TypeError):
        return "float16"
    return "bfloat16"


def program(settings: dict[str, Any]) -> str:
    """A small program that goes through the kernels: one training step each of small networks."""
    import tinycnn
    from tinycnn import nn

    done = []
    for name, size, half in (("lenet", 28, False), ("resnet18", 32, False), ("resnet18", 32, True)):
        net = tinycnn.models.create(name).to(settings["device"])
        optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        X = tinycnn.randn(3, 1, size, size).to(settings["device"])
        y = tinycnn.tensor([1, 2, 3]).to(settings["device"])
        with tinycnn.autocast(settings["device"], half_precision(settings), enabled=half):
            loss = nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
        done.append(f"{name}: {loss.item():.4f}")
        print(f"through {name}{' in half precision' * half}", flush=True)
    return ", ".join(done)


def step(settings: dict[str, Any]) -> dict[str, Any]:
    """A network's training step in each precision: seconds and bytes of both engines, measured by turns."""
    import tinycnn
    from tinycnn.bench import Case

    case = Case(settings["network"], settings["size"], settings["batch"], settings["options"])
    tinycnn.set_default_device(settings["device"])
    found: dict[str, Any] = {"case": case.label, "precisions": {}}
    for key in ("single", half_precision(settings)):
        found["precisions"][key] = {}
        engines: dict[str, Callable[[], Any]] = {}
        makers = {"tinycnn": our_step} | ({"torch": their_step} if settings["torch"] else {})
        for engine, make in makers.items():
            try:
                engines[engine], memory = make(case, key, settings)
                found["precisions"][key][engine] = {"peak_bytes": memory}
            except Exception as error:
                found["precisions"][key][engine] = {"error": _short(error)}
        limit = settings["seconds"] / 2 - 1
        for engine, times in by_turns(engines, limit, settings).items():
            entry = found["precisions"][key][engine]
            entry |= {"seconds": statistics.median(times), "all": times}
        del engines
        _free(settings)
    return found


def by_turns(engines: dict[str, Callable[[], Any]], limit: float, settings: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds a step of each engine: blocks of steps by turns, each waited for at its end, for at most so long."""
    import tinycnn

    def wait() -> None:
        if settings["device"] == "cuda":
            tinycnn.cuda.synchronize()
            if settings["torch"]:
                _waiter(settings)()

    times: dict[str, list[float]] = {name: [] for name in engines}
    lengths = {}
    end = time.perf_counter() + limit
    for name, call in engines.items():
        wait()
        start = time.perf_counter()
        call()
        wait()
        one = max(time.perf_counter() - start, 1e-5)
        lengths[name] = 1 if settings["quick"] else max(1, min(100, round(0.1 / one)))
    for repeat in range(3 if settings["quick"] else 15):
        if repeat >= 3 and time.perf_counter() > end:
            break
        for name, call in engines.items():
            wait()
            start = time.perf_counter()
            for _ in range(lengths[name]):
                call()
            wait()
            times[name].append((time.perf_counter() - start) / lengths[name])
    return times


def our_step(case: Any, precision: str, settings: dict[str, Any]) -> tuple[Callable[[], Any], int]:
    import tinycnn
    from tinycnn import nn
    from tinycnn.bench.step import prepare

    net, X, y = prepare(case)
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=1e-4)
    device, half = settings["device"], precision if precision != "single" else None

    def run() -> None:
        optimizer.zero_grad()
        with tinycnn.autocast(device, half, enabled=half is not None):
            loss = nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()

    run()
    tinycnn.cuda.reset_peak_memory_stats()
    for _ in range(2):
        run()
    return run, tinycnn.cuda.max_memory_allocated()


def their_step(case: Any, precision: str, settings: dict[str, Any]) -> tuple[Callable[[], Any], int]:
    import torch

    from tinycnn.bench.torch_networks import build

    device = settings["device"]
    net = build(case.network, **case.arguments).to(device)
    X = torch.randn(*case.image_shape(), device=device)
    y = torch.randint(0, 10, (case.batch,), device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    half = getattr(torch, precision) if precision != "single" else None

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=half, enabled=half is not None):
            loss = torch.nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()

    run()
    if device != "cuda":
        return run, 0
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        run()
    return run, torch.cuda.max_memory_allocated()


def graph(settings: dict[str, Any]) -> dict[str, Any]:
    """LeNet's step: ours eager and captured, PyTorch's eager and captured; batch 128 and 256."""
    import tinycnn
    from tinycnn.bench import Case

    tinycnn.set_default_device(settings["device"])
    found: dict[str, Any] = {}
    for batch in (2,) if settings["quick"] else (128, 256):
        case = Case("lenet", 28, batch)
        engines: dict[str, Callable[[], Any]] = {}
        row: dict[str, Any] = found.setdefault(case.label, {})
        makers: dict[str, Callable[[], Callable[[], Any]]] = {
            "tinycnn eager": lambda: our_step(case, False, settings)[0],  # noqa: B023
        }
        if settings["device"] == "cuda":
            makers["tinycnn graph"] = lambda: our_graph(case)  # noqa: B023
        if settings["torch"]:
            makers["torch eager"] = lambda: their_step(case, False, settings)[0]  # noqa: B023
            if settings["device"] == "cuda":
                makers["torch graph"] = lambda: their_graph(case)  # noqa: B023
        for name, make in makers.items():
            try:
                engines[name] = make()
            except Exception as error:
                row[name] = {"error": _short(error)}
        for name, times in by_turns(engines, settings["seconds"] / 3, settings).items():
            row[name] = {"seconds": statistics.median(times), "all": times}
    return found


def our_graph(case: Any) -> Callable[[], Any]:
    import tinycnn
    from tinycnn import nn
    from tinycnn.bench.step import prepare

    net, X, y = prepare(case)
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=1e-4)

    def run(X: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
        return loss

    captured = tinycnn.cuda.graph(run)
    for _ in range(5):
        captured(X, y)
    return lambda: captured(X, y)


def their_graph(case: Any) -> Callable[[], Any]:
    import torch

    from tinycnn.bench.torch_networks import build

    net = build(case.network, **case.arguments).cuda()
    X = torch.randn(*case.image_shape(), device="cuda")
    y = torch.randint(0, 10, (case.batch,), device="cuda")
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(captured):
        run()

    def replay() -> None:
        X.copy_(X)  # a batch comes in at each step, as in ours
        captured.replay()

    return replay


def _free(settings: dict[str, Any]) -> None:
    import gc

    import tinycnn

    gc.collect()
    tinycnn.cuda.empty_cache()
    if settings["torch"] and settings["device"] == "cuda":
        import torch

        torch.cuda.empty_cache()


def _short(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:400]} ({pathlib.Path(where.filename).name}:{where.lineno})"


# ---- in the process that starts them ---------------------------------------------------------------------------------


class Run:
    """The whole: starts the pieces, watches the time, writes what was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.start = time.monotonic()
        self.end = self.start + 60 * options.minutes
        self.folder = pathlib.Path(options.out)
        self.settings = {
            "device": options.device, "quick": options.quick, "stand_in": options.stand_in,
            "torch": not options.without_torch and importlib.util.find_spec("torch") is not None,
        }  # fmt: skip
        self.results: dict[str, Any] = {
            "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "settings": self.settings,
            "parts": {},
        }

    def left(self) -> float:
        return self.end - time.monotonic()

    def work(self, name: str, limit: float, **more: Any) -> dict[str, Any]:
        """A worker's result, or {"error": ...}; it is stopped after so many seconds."""
        request = json.dumps({**self.settings, "seconds": limit, **more})
        found = self.call([sys.executable, __file__, "--worker", name, "--settings", request], limit + 30)
        if found["rc"] == 0:
            with contextlib.suppress(ValueError, IndexError):
                value: dict[str, Any] = json.loads(found["out"].splitlines()[-1])
                return value
        return {"error": (found["err"] or found["out"]).strip()[-1500:] or f"ended with {found['rc']}"}

    def call(self, command: list[str], limit: float, log: str = "") -> dict[str, Any]:
        """What a process said, and how it ended; with a log, it says it into that file of the folder, at once."""
        limit = max(1.0, min(limit, self.left()))
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            target: Any = subprocess.PIPE
            if log:
                target = stack.enter_context(open(self.folder / log, "w", encoding="utf-8"))
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, text=True, stdout=target,
                stderr=subprocess.STDOUT if log else target, start_new_session=True,
            )  # fmt: skip
            stopped = ""
            try:
                out, err = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, 9)  # it, and what it started
                out, err = process.communicate()
                stopped = f"\nstopped after {limit:.0f} s"
            except BaseException:  # Ctrl-C, or a signal from whoever lent the machine
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, 9)
                raise
        if log:
            out, err = (self.folder / log).read_text(encoding="utf-8", errors="replace"), ""
        err += stopped
        return {"rc": process.returncode, "out": out, "err": err, "seconds": round(time.monotonic() - begin, 1)}

    def part(self, name: str) -> None:
        share = SHARES[name] * 60 * self.options.minutes
        print(f"{name}: up to {min(share, max(self.left(), 0)):.0f} s", flush=True)
        begin = time.monotonic()
        try:
            found = getattr(self, name)(share) if self.left() > 5 else {"error": "no time was left"}
        except Exception as error:
            found = {"error": _short(error)}
        self.results["parts"][name] = {"result": found, "seconds": round(time.monotonic() - begin, 1)}
        self.write()

    def facts(self, share: float) -> Any:
        return self.work("facts", share)

    def tests(self, share: float) -> Any:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "gpu",
            "-v",
            "--durations=10",
            "-p",
            "no:cacheprovider",
            "-W",
            "default",
            "tests/test_gpu.py",
        ]
        found = self.call(command, share, "pytest.log")
        lines = found["out"].strip().splitlines()
        ends = {word: [line for line in lines if f" {word} " in f" {line} "] for word in ("PASSED", "FAILED", "ERROR")}
        summary = lines[-1].strip("= ") if lines else found["err"].strip()[-300:]
        if "stopped after" in found["err"]:
            summary = (
                f"{len(ends['PASSED'])} passed and {len(ends['FAILED'])} failed when it was {found['err'].strip()}"
            )
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or ends["FAILED"] + ends["ERROR"]
        skipped = [line for line in lines if line.startswith("SKIPPED")]
        return {
            "rc": found["rc"],
            "summary": summary,
            "failed": failed,
            "skipped": skipped[:5],
            "stopped": "stopped after" in found["err"],
        }

    def sanitizer(self, share: float) -> Any:
        tool = shutil.which("compute-sanitizer") or next(
            (str(p) for p in pathlib.Path("/usr/local").glob("cuda*/bin/compute-sanitizer")), None
        )
        if tool is None:
            return {"error": "compute-sanitizer is not installed"}
        request = json.dumps({**self.settings, "seconds": share})
        plain = [sys.executable, __file__, "--worker", "program", "--settings", request]
        self.call(plain, share)  # compiles the kernels, which are then kept
        found = {}
        for check in ("memcheck", "racecheck", "initcheck"):
            done = self.call([tool, "--tool", check, "--error-exitcode", "9", *plain], share / 3, f"{check}.log")
            lines = [line for line in done["out"].splitlines() if line.startswith("========")]
            through = [line for line in done["out"].splitlines() if line.startswith("through ")]
            found[check] = {
                "rc": done["rc"],
                "said": [*(lines[-1:] or [done["out"].strip()[-300:]]), *through, *done["err"].split("\n")],
                "seconds": done["seconds"],
            }
            self.results["parts"]["sanitizer"] = {"result": found}
            self.write()
        return found

    def steps(self, share: float) -> Any:
        rows = []
        cases = CASES[:3] if self.options.quick else CASES
        begin = time.monotonic()
        for number, (network, size, batch, options) in enumerate(cases):
            rest = share - (time.monotonic() - begin)
            if rest < 10 and number:
                rows.append({"case": f"{network} {size}x{size}, {batch}", "error": "no time was left"})
                continue
            limit = max(8.0, rest / (len(cases) - number))
            if self.options.quick:
                size, batch = max(28, min(size, 72)), 2
            row = self.work("step", limit, network=network, size=size, batch=batch, options=options)
            row.setdefault("case", f"{network} {size}x{size}, {batch}")
            rows.append(row)
            self.results["parts"]["steps"] = {"result": rows}
            self.write()
        return rows

    def graph(self, share: float) -> Any:
        return self.work("graph", share / 2)

    def write(self) -> None:
        self.results["seconds"] = round(time.monotonic() - self.start, 1)
        for name, text in (
            ("results.json", json.dumps(self.results, indent=1)),
            ("results.md", markdown(self.results)),
        ):
            (self.folder / name).write_text(text + "\n", encoding="utf-8")


def markdown(results: dict[str, Any]) -> str:
    """The results for reading."""
    parts = {name: part["result"] for name, part in results["parts"].items()}
    lines = ["# tinycnn on a GPU", "", f"{results['when']}, `{results['command']}`, {results['seconds']:.0f} s", ""]
    about = parts.get("facts", {})
    for name, value in (about.get("device") or {}).items():
        lines.append(f"- {name}: {value}")
    lines.append(f"- CUDA: {about.get('cuda', about.get('error'))}")
    lines += [f"- {name}: {value:.3g}" for name, value in (about.get("ceilings") or {}).items()]
    if "tests" in parts:
        tests = parts["tests"]
        lines += ["", "## Tests", "", str(tests.get("summary", tests.get("error")))]
        lines += [f"- {_cell(line)}" for line in (*tests.get("failed", []), *tests.get("skipped", []))]
    if "sanitizer" in parts:
        lines += ["", "## compute-sanitizer", ""]
        found = parts["sanitizer"]
        lines += [found["error"]] if "error" in found else [
            f"- {name}: exit {done['rc']}, {', '.join(filter(None, done['said']))}" for name, done in found.items()
        ]  # fmt: skip
    if "steps" in parts:
        lines += ["", "## Training steps beside PyTorch eager", ""]
        lines += [
            "Single: float32, with TF32 in convolutions, PyTorch's default. Half precision: autocast, on both sides.",
            "",
        ]
        lines += ["| case | precision | tinycnn, ms | PyTorch, ms | PyTorch / tinycnn | tinycnn, MiB | PyTorch, MiB |"]
        lines += ["|---|---|---:|---:|---:|---:|---:|"]
        found = parts["steps"]
        for row in found if isinstance(found, list) else [{"case": "-", **found}]:
            lines += _rows(row)
    if "graph" in parts:
        lines += ["", "## LeNet captured", "", "| case | what | ms |", "|---|---|---:|"]
        for case, row in parts["graph"].items():
            if case == "error":
                lines.append(f"| - | {_cell(row)} | |")
                continue
            lines += [f"| {case} | {name} | {_number(entry)} |" for name, entry in row.items()]
    return "\n".join(lines)


def _rows(row: dict[str, Any]) -> list[str]:
    if "precisions" not in row:
        return [f"| {row['case']} | | {_cell(row.get('error', ''))} | | | | |"]
    lines = []
    for precision, engines in row["precisions"].items():
        ours, theirs = engines.get("tinycnn", {}), engines.get("torch", {})
        ratio = f"{theirs['seconds'] / ours['seconds']:.2f}" if "seconds" in ours and "seconds" in theirs else ""
        memory = [f"{e['peak_bytes'] / 2**20:.0f}" if e.get("peak_bytes") else "" for e in (ours, theirs)]
        lines.append(
            f"| {row['case']} | {precision} | {_number(ours)} | {_number(theirs)} | {ratio} | {' | '.join(memory)} |"
        )
    return lines


def _number(entry: dict[str, Any]) -> str:
    return f"{1e3 * entry['seconds']:.3g}" if "seconds" in entry else _cell(entry.get("error", ""))


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "/").split())[-160:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", default=f"runs/gpu-{dt.datetime.now():%Y%m%d-%H%M%S}", help="the folder for the results"
    )
    parser.add_argument("--minutes", type=float, default=9.5, help="the whole run takes no longer")
    parser.add_argument("--parts", default=",".join(PARTS), help="which parts, with commas")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--stand-in", action="store_true", help="the CUDA side on the tests' stand-in for CuPy")
    parser.add_argument("--without-torch", action="store_true", help="measure tinycnn alone")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print("\n" + json.dumps(worker(options.worker, json.loads(options.settings))))
        return
    unknown = set(options.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))} is unknown, there are {', '.join(PARTS)}")
    run = Run(options)
    run.folder.mkdir(parents=True, exist_ok=True)
    for name in options.parts.split(","):
        run.part(name)
    print(markdown(run.results))
    print(f"\nsaved in {run.folder}: results.json, results.md", flush=True)


if __name__ == "__main__":
    main()
