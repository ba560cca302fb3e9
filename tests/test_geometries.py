"""Random geometries and memory layouts: both kernel sets and both dtypes against plain loops, forward and gradients."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cases
import numpy as np
import oracles
import pytest
from cases import Case, check
from geometries import STRATEGIES
from hypothesis import HealthCheck, Phase, given, settings
from layouts import BROADCASTS, LAYOUTS

from tinycnn.backend import get_backend

ROOT = pathlib.Path(__file__).resolve().parent.parent


def explore(op: str, examples: int, visit: Callable[[Case], object], shrink: bool = True) -> None:
    """Visit random cases of an operation, the same ones in every run."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(STRATEGIES[op])
    def every(case: Case) -> None:
        visit(case)

    every()


@pytest.mark.parametrize("op", STRATEGIES)
def test_random_geometries(op: str) -> None:
    explore(op, 100, check)


@pytest.mark.slow
@pytest.mark.parametrize("op", STRATEGIES)
def test_many_random_geometries(op: str) -> None:
    explore(op, 3000, check)


# ---------------------------------------------------------------------------------- do the strategies reach everywhere


def features(case: Case) -> Iterator[str]:
    """What is special about a case."""
    shape = next(t[0] for t in case.tensors if t is not None)
    yield from (t[1] for t in case.tensors if t is not None)
    yield f"cotangent {case.cotangent}"
    if len(shape) == 4:
        yield {0: "no image", 1: "one image"}.get(shape[0], "images")
    if len(shape) >= 3:
        yield "square" if shape[-1] == shape[-2] else "not square"
    if "stride" in case.kwargs and case.op != "fold":
        yield from window_features(case, shape)
    if case.op == "conv2d" and case.kwargs["groups"] > 1 and case.kwargs["groups"] == shape[-3]:
        yield "depthwise"


def window_features(case: Case, shape: tuple[int, ...]) -> Iterator[str]:
    kernel = oracles.both(case.kwargs["kernel_size"]) if "kernel_size" in case.kwargs else case.tensors[1][0][2:]
    stride = oracles.both(kernel if case.kwargs["stride"] is None else case.kwargs["stride"])
    dilation = oracles.both(case.kwargs.get("dilation", 1))
    yield "kernel 1x1" if kernel == (1, 1) else "kernel"
    for name, value in case.kwargs.items():
        if name in ("ceil_mode", "count_include_pad", "groups", "output_padding", "divisor_override"):
            yield f"{name} {value is True or value not in (None, False, 1, (0, 0), (1, 1))}"
    if isinstance(case.kwargs["padding"], str):
        yield f"padding {case.kwargs['padding']}"
        return
    padding = oracles.both(case.kwargs["padding"])
    for n, k, s, p, d in zip(shape[-2:], kernel, stride, padding, dilation, strict=True):
        yield "stride > kernel" if s > k else "kernel > stride" if k > s else "tiles"
        yield "dilation" if d > 1 and k > 1 else "dense"
        if "pool" in case.op and p and 2 * p == k:
            yield "padding at its limit"
        if "conv" in case.op and p >= d * (k - 1) + 1:
            yield "padding of a whole window"
        if case.op != "conv_transpose2d":
            yield "remainder" if (n + 2 * p - d * (k - 1) - 1) % s else "no remainder"
    yield "padding" if padding[0] == padding[1] else "padding that differs"


EVERYWHERE = {*LAYOUTS, *BROADCASTS, *(f"cotangent {name}" for name in (*LAYOUTS, *BROADCASTS))}
OF_IMAGES = {"no image", "one image", "images", "square", "not square"}
OF_WINDOWS = {"stride > kernel", "kernel > stride", "tiles", "kernel 1x1", "kernel", "padding that differs"}
OF_POOLS = {"padding at its limit", "ceil_mode True", "ceil_mode False", "remainder", "no remainder"}
OF_CONVOLUTIONS = {"dilation", "dense", "groups True", "groups False", "padding of a whole window"}
REACHED: dict[str, set[str]] = {
    "conv2d": OF_WINDOWS | OF_CONVOLUTIONS | {"depthwise", "padding same", "padding valid", "remainder"},
    "conv_transpose2d": OF_WINDOWS | OF_CONVOLUTIONS | {"output_padding True", "output_padding False"},
    "max_pool2d": OF_WINDOWS | OF_POOLS | {"dilation", "dense"},
    "avg_pool2d": OF_WINDOWS
    | OF_POOLS
    | {"count_include_pad True", "count_include_pad False", "divisor_override True"},
    "unfold": OF_WINDOWS | {"remainder", "no remainder", "dilation"},
}
PLANAR = [*REACHED, "adaptive_avg_pool2d", "adaptive_max_pool2d"]


def seen_in(op: str) -> set[str]:
    seen: set[str] = set()
    explore(op, 200, lambda case: seen.update(features(case)))
    return seen


@pytest.mark.parametrize("op", PLANAR)
def test_the_strategies_reach_every_kind_of_geometry(op: str) -> None:
    assert (OF_IMAGES | REACHED.get(op, set())) - seen_in(op) == set()


def test_the_strategies_reach_every_layout() -> None:
    assert EVERYWHERE - set().union(*map(seen_in, ("conv2d", "conv_transpose2d", "batch_norm"))) == set()


# -------------------------------------------------------------------------------------------- a failure shows itself


def wrong(name: str, change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a kernel in its place that gives something else, whichever set runs."""
    kernels = get_backend("cpu").kernels
    right = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, lambda *args: change(right(*args)))


def shifted(gx: Any) -> Any:
    """As if the padding at the left were one too many."""
    return np.roll(gx, 1, -1)


def in_one(i: int, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same with one of several results, where it was wanted."""
    return lambda found: tuple(change(a) if j == i and a is not None else a for j, a in enumerate(found))


def test_a_failure_ends_in_a_line_to_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        wrong("conv2d_backward", in_one(0, shifted), patch)
        with pytest.raises(AssertionError) as failure:
            explore("conv2d", 100, check)
        message = str(failure.value)
        assert message.startswith("conv2d, ")
        assert "gradient 0[" in message
        assert "rounding explains" in message
        (line,) = (text for text in message.splitlines() if text.startswith("import sys"))
        with pytest.raises(AssertionError, match=r"gradient 0\["):
            exec(line, {})
    exec(line, {})  # the kernel is right again
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_case_shown_is_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong("conv2d_backward", in_one(0, shifted), monkeypatch)
    failed: list[Case] = []

    def keep(case: Case) -> None:
        try:
            check(case)
        except AssertionError:
            failed.append(case)
            raise

    with pytest.raises(AssertionError):
        explore("conv2d", 100, keep)
    (shape, layout), weight, bias = failed[-1].tensors
    assert np.prod(shape) <= 4
    assert layout == "planes"
    assert bias is None


@pytest.mark.parametrize(
    ("name", "op", "change"),
    [
        ("conv2d", "conv2d", lambda y: y * (1 + 1e-12)),
        ("conv2d_backward", "conv2d", in_one(1, lambda g: g[..., ::-1].copy())),
        ("col2im", "fold", lambda x: x * (1 + 1e-12)),
        ("im2col", "unfold", lambda x: x[..., ::-1].copy()),
        ("max_pool2d", "max_pool2d", lambda pair: (pair[0], pair[1] + (pair[1] == 1))),
        ("avg_pool2d_backward", "avg_pool2d", shifted),
        ("adaptive_max_pool2d", "adaptive_max_pool2d", lambda pair: (pair[0], pair[1] * 0)),
        ("batch_norm_backward", "batch_norm", lambda g: (g[0] + 1e-9, g[1], g[2])),
        ("batch_norm_train", "batch_norm", lambda found: (found[0] * (1 + 1e-9), *found[1:])),
        ("conv2d_backward", "conv2d", in_one(2, lambda g: g * (1 + 1e-10))),
    ],
)
def test_a_kernel_that_is_hardly_wrong_is_seen(
    name: str, op: str, change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(name, change, monkeypatch)
    with pytest.raises(AssertionError, match=f"^{op}, "):
        explore(op, 100, check, shrink=False)


def test_writing_into_an_argument_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(x: Any, **_: Any) -> Any:
        x.array[...] = 0
        return x * 1

    monkeypatch.setitem(cases.FUNCTIONS, "avg_pool2d", greedy)
    case = Case("avg_pool2d", (((1, 1, 2, 2), "planes"),), {"kernel_size": 1})
    with pytest.raises(AssertionError, match="argument 0 was written into"):
        check(case, ("reference", "float64"))
