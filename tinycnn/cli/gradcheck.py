"""`tinycnn gradcheck`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import tinycnn
from tinycnn import models, nn
from tinycnn.autograd.gradcheck import GradcheckReport, check_gradients, check_second_gradients
from tinycnn.backend import get_backend, use_kernels
from tinycnn.ops.checks import checks
from tinycnn.ops.registry import OpInfo, all_ops, get_op

from .console import FAILED, fail, make_console


def run(names: list[str], every_op: bool, second: bool, kernels: str | None, seed: int) -> None:
    """Check and print a table; the exit status is 1 if a gradient is wrong."""
    if not names and not every_op:
        fail("gradcheck: name operations or networks, or say --all (see: tinycnn gradcheck --help)")
    tasks = [_find(name) for name in names]
    if every_op:
        tasks += [op for op in all_ops() if op not in tasks]
    choice = choose_kernels(kernels)
    console = make_console()
    width = max(len(task.name) for task in tasks)
    console.print(f"{'name':<{width}} {'checks':>6} {'slopes':>7} {'error/budget':>12} {'time':>7}")
    wrong: list[tuple[str, str]] = []
    with choice:
        for task in tasks:
            planned = _op_checks(task, second, seed) if isinstance(task, OpInfo) else _model_checks(task, second, seed)
            start = time.perf_counter()
            reports = []
            for what, check in planned:
                try:
                    reports.append(check())
                except Exception as error:  # a crash in one check must not hide the others
                    reports.append(GradcheckReport(problems=[f"{type(error).__name__}: {error}"]))
                if not reports[-1].passed:
                    wrong.append((f"{_name_with_kinks(task)}, {what}", str(reports[-1])))
            line, passed = _line(reports, time.perf_counter() - start)
            console.print(
                f"{task.name:<{width}} {line}",
                "[green]ok[/]" if passed is True else "[red]WRONG[/]" if passed is False else passed,
            )
    for title, report in wrong:
        console.print(f"\n{title}:\n{report}", markup=False)
    console.print(f"\n{len(tasks)} checked, " + (f"{len(wrong)} checks failed" if wrong else "all right"))
    if wrong:
        raise SystemExit(FAILED)


def choose_kernels(kernels: str | None) -> AbstractContextManager[None]:
    """The block in which that set of kernels runs; None leaves the one in use."""
    try:
        return use_kernels(kernels) if kernels is not None else nullcontext()
    except (ValueError, RuntimeError) as error:
        fail(error)


def _find(name: str) -> OpInfo | models.ModelInfo:
    if name in models.available():
        return models.get(name)
    try:
        return get_op(name)
    except KeyError as error:
        fail(f"gradcheck: {error.args[0]}; networks are {', '.join(models.available())}")


def _name_with_kinks(task: OpInfo | models.ModelInfo) -> str:
    """The name in a failing report's title: a sample near a kink is the first suspect."""
    kinks = task.kinks if isinstance(task, OpInfo) else ""
    return f"{task.name} (kinks: {kinks})" if kinks else task.name


def _line(reports: list[GradcheckReport], seconds: float) -> tuple[str, bool | str]:
    rows = [row for report in reports for row in report.rows]
    slopes = sum(row.checked for row in rows)
    worst = max((row.error / row.budget if row.budget else row.error for row in rows), default=None)
    ratio = "" if worst is None else f"{worst:.1e}"
    line = f"{len(reports):>6} {slopes:>7} {ratio:>12} {seconds:>6.1f}s"
    if not reports:
        return line, "no gradient"
    return line, all(report.passed for report in reports)


Check = tuple[str, Callable[[], GradcheckReport]]
_SIDE = 48  # networks for images larger than this are checked on images of this size


def _op_checks(info: OpInfo, second: bool, seed: int) -> Iterator[Check]:
    for check in checks(info, second=second, seed=seed):
        yield check.title, check.run


def _model_checks(info: models.ModelInfo, second: bool, seed: int) -> Iterator[Check]:
    source = get_backend("cpu").random
    source.seed(seed)
    channels, height, width = info.input_shape
    if max(height, width) > _SIDE:
        yield from _large_model_checks(info, second, seed)
        return
    net = info.function().to(tinycnn.float64)
    pixels = tinycnn.from_numpy(source.normal((2, channels, height, width), "float64"))
    function = partial(_loss, net, pixels, seed)
    params = list(net.parameters())
    yield "all parameters", partial(check_gradients, function, params, fast_mode=True, seed=seed)
    if second:
        yield "second order", partial(check_second_gradients, function, params, fast_mode=True, seed=seed)


def _large_model_checks(info: models.ModelInfo, second: bool, seed: int) -> Iterator[Check]:
    """A network for large images is checked narrower, on images as small as it takes, in one direction a parameter.

    Among its many ReLUs and poolings there is always one near its kink, so the steps are short, and the slopes known to
    fewer digits.
    """
    source = get_backend("cpu").random
    side = max(info.smallest, _SIDE)
    options = {"image_size": side, "ratio": 8, "hidden": 64}
    net = info.function(**{name: x for name, x in options.items() if name in info.options}).to(tinycnn.float64)
    for p in net.parameters():
        if p.ndim > 1:  # as they start, the first layers' slopes would be lost in the last ones' errors
            nn.init.kaiming_normal_(p, nonlinearity="relu")
    pixels = tinycnn.from_numpy(source.normal((4, info.input_shape[0], side, side), "float64"))
    places = [(m, name, p) for m in net.modules() for name, p in m._parameters.items() if p is not None]
    directions = [tinycnn.from_numpy(source.normal(p.shape, "float64")) for _, _, p in places]
    steps = tinycnn.zeros(len(places), dtype=tinycnn.float64, requires_grad=True)

    def function(steps: Any, *_: Any) -> Any:
        moved = zip(places, directions, steps.unbind(), strict=True)
        try:
            for (module, name, p), direction, step in moved:
                module._parameters[name] = p.detach() + step * direction
            return _loss(net, pixels, seed)
        finally:
            for module, name, p in places:
                module._parameters[name] = p

    limits: dict[str, Any] = {"eps": 2.0**-17, "rtol": 1e-5, "atol": 1e-7, "full_size": len(places), "seed": seed}
    yield "all parameters", partial(check_gradients, function, [steps], **limits)
    if second:
        yield "second order", partial(check_second_gradients, function, [steps], **limits)


def _loss(net: nn.Module, pixels: Any, seed: int, *_: Any) -> Any:
    get_backend("cpu").random.seed(seed)  # dropout draws the same mask each time
    return nn.functional.cross_entropy(net(pixels), tinycnn.arange(len(pixels)) % 2)
