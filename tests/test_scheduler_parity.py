"""optim.lr_scheduler: rates and momenta are PyTorch's over 40 steps, straight through and from a saved state on."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

import tinycnn
from tinycnn import optim

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
pytestmark = pytest.mark.parity

STEPS = 40


def build(name: str, *args: Any, **kwargs: Any) -> Callable[[Any, Any], Any]:
    return lambda module, optimizer: getattr(module, name)(optimizer, *args, **kwargs)


def sequence(milestones: list[int], *makers: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda module, o: module.SequentialLR(o, [make(module, o) for make in makers], milestones=milestones)


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "lambda": build("LambdaLR", lambda epoch: 0.9**epoch),
    "lambdas": build("LambdaLR", [lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]),
    "step": build("StepLR", 7),
    "step of 1": build("StepLR", 1, gamma=0.8),
    "milestones": build("MultiStepLR", [25, 4, 9, 9], gamma=0.5),
    "exponential": build("ExponentialLR", 0.9),
    "constant": build("ConstantLR"),
    "constant, long": build("ConstantLR", factor=0.1, total_iters=100),
    "linear": build("LinearLR"),
    "linear, down": build("LinearLR", start_factor=0.9, end_factor=0.1, total_iters=13),
    "linear, to 0": build("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=20),
    "polynomial": build("PolynomialLR"),
    "polynomial, square": build("PolynomialLR", total_iters=30, power=2.0),
    "cosine": build("CosineAnnealingLR", 60),
    "cosine, up again": build("CosineAnnealingLR", 11, eta_min=0.01),
    "restarts": build("CosineAnnealingWarmRestarts", 6),
    "longer restarts": build("CosineAnnealingWarmRestarts", 4, T_mult=2, eta_min=0.01),
    "one cycle": build("OneCycleLR", 0.5, total_steps=41),
    "one cycle, linear": build("OneCycleLR", [0.5, 1.0], epochs=6, steps_per_epoch=7, anneal_strategy="linear"),
    "one cycle, three phases": build("OneCycleLR", 0.5, total_steps=50, three_phase=True, pct_start=0.4),
    "one cycle, three straight phases": build(
        "OneCycleLR", 0.5, total_steps=41, three_phase=True, anneal_strategy="linear", base_momentum=[0.5, 0.6]
    ),
    "one cycle, rates only": build("OneCycleLR", 0.5, 41, cycle_momentum=False, div_factor=10, final_div_factor=100),
    "warm-up, cosine": sequence([5], build("LinearLR", 0.1, total_iters=5), build("CosineAnnealingLR", 30)),
    "constant, step, exponential": sequence(
        [3, 20], build("ConstantLR", 0.5, 100), build("StepLR", 5, 0.5), build("ExponentialLR", 0.9)
    ),
    "from 0": sequence([0], build("ConstantLR", 0.5), build("LinearLR")),
    "warm-up, restarts": sequence([4], build("LinearLR"), build("CosineAnnealingWarmRestarts", 5, 2)),
    "restarts, polynomial": sequence([10], build("CosineAnnealingWarmRestarts", 5), build("PolynomialLR", 20)),
    "function, one cycle": sequence([9], build("LambdaLR", lambda t: 0.1 * t), build("OneCycleLR", 0.5, 32)),
}


class Run:
    """A scheduler on an optimiser with two groups, of either library."""

    def __init__(self, library: Any, make: Callable[[Any, Any], Any], optimizer: str = "SGD", **options: Any) -> None:
        groups = [{"params": [library.zeros(1, requires_grad=True)], **o} for o in ({"lr": 0.3}, {"lr": 2.0})]
        self.optimizer = getattr(library.optim, optimizer)(groups, **options)
        self.scheduler = make(library.optim.lr_scheduler, self.optimizer)

    def now(self) -> list[float]:
        numbers = list(self.scheduler.get_last_lr())
        for group in self.optimizer.param_groups:
            numbers += [group["lr"], group["betas"][0] if "betas" in group else group.get("momentum", 0)]
        return numbers

    def step(self) -> None:
        self.optimizer.step()
        self.scheduler.step()


def close(a: list[float], b: list[float]) -> None:
    assert a == pytest.approx(b, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_forty_steps(schedule: str, optimizer: str) -> None:
    ours, theirs = (Run(library, SCHEDULES[schedule], optimizer) for library in (tinycnn, torch))
    close(ours.now(), theirs.now())
    for _ in range(STEPS):
        ours.step()
        theirs.step()
        close(ours.now(), theirs.now())
    assert ours.scheduler.last_epoch == theirs.scheduler.last_epoch


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("at", [1, 4, 9, 17])
def test_going_on_from_a_saved_state(schedule: str, at: int) -> None:
    """To the bit, through JSON, with a scheduler and an optimiser that were made anew."""
    whole, theirs = Run(tinycnn, SCHEDULES[schedule]), Run(torch, SCHEDULES[schedule])
    for _ in range(at):
        whole.step()
        theirs.step()
    saved = json.dumps([whole.optimizer.state_dict(), whole.scheduler.state_dict()], allow_nan=False)
    resumed = Run(tinycnn, SCHEDULES[schedule])
    states = json.loads(saved)
    resumed.optimizer.load_state_dict(states[0])
    resumed.scheduler.load_state_dict(states[1])
    for _ in range(STEPS - at):
        for run in (whole, theirs, resumed):
            run.step()
        assert resumed.now() == whole.now()
        close(resumed.now(), theirs.now())
    assert resumed.scheduler.state_dict() == whole.scheduler.state_dict()


@pytest.mark.parametrize(
    "schedule",
    [s for s in SCHEDULES if "restarts" not in s and s not in ("from 0",) and not s.startswith("linear, to")],
)
def test_two_on_one_optimiser_multiply(schedule: str) -> None:
    def both(module: Any, o: Any) -> Any:
        extra = module.ExponentialLR(o, 0.95)
        main = SCHEDULES[schedule](module, o)
        main.extra = extra
        return main

    ours, theirs = Run(tinycnn, both), Run(torch, both)
    for _ in range(15):
        for run in (ours, theirs):
            run.step()
            run.scheduler.extra.step()
        close(ours.now()[2:], theirs.now()[2:])


@pytest.mark.parametrize("last_epoch", [3, 5, 8])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("LambdaLR", (lambda epoch: 0.9**epoch,)),
        ("StepLR", (3,)),
        ("MultiStepLR", ([4, 6],)),
        ("ExponentialLR", (0.9,)),
        ("ConstantLR", (0.5, 6)),
        ("LinearLR", (0.5, 1.0, 6)),
        ("PolynomialLR", (20,)),
        ("CosineAnnealingLR", (20,)),
        ("CosineAnnealingWarmRestarts", (4,)),
    ],
)
def test_going_on_from_last_epoch(name: str, args: tuple[Any, ...], last_epoch: int) -> None:
    runs = []
    for library in (tinycnn, torch):
        group = {"params": [library.zeros(1, requires_grad=True)], "lr": 0.2, "initial_lr": 0.3}
        optimizer = library.optim.SGD([group])
        scheduler = getattr(library.optim.lr_scheduler, name)(optimizer, *args, last_epoch=last_epoch)
        rates = scheduler.get_last_lr()
        for _ in range(10):
            optimizer.step()
            scheduler.step()
            rates = rates + scheduler.get_last_lr()
        runs.append(rates)
    close(*runs)


def test_restarts_at_fractions_of_epochs() -> None:
    ours, theirs = (Run(lib, build("CosineAnnealingWarmRestarts", 3, 2, 0.01)) for lib in (tinycnn, torch))
    for epoch in [0.25, 1.5, 2.75, 3.0, 4.5, 8.75, 9.0, 2.5, None, None, None]:
        for run in (ours, theirs):
            run.optimizer.step()
            run.scheduler.step(epoch)
        close(ours.now(), theirs.now())
        assert ours.scheduler.last_epoch == theirs.scheduler.last_epoch


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [{}, {"patience": 2, "cooldown": 3}, {"patience": 0, "min_lr": [0.01, 0.5], "factor": 0.3}, {"threshold": 0.2}],
    ids=str,
)
@pytest.mark.parametrize("resumed_at", [None, 0, 13])
def test_plateaus(mode: str, threshold_mode: str, options: dict[str, Any], resumed_at: int | None) -> None:
    make = build("ReduceLROnPlateau", **{"mode": mode, "threshold_mode": threshold_mode, "patience": 1, **options})
    ours, theirs = Run(tinycnn, make), Run(torch, make)
    for i in range(STEPS):
        if i == resumed_at:
            states = json.loads(json.dumps([ours.optimizer.state_dict(), ours.scheduler.state_dict()], allow_nan=False))
            ours = Run(tinycnn, make)
            ours.optimizer.load_state_dict(states[0])
            ours.scheduler.load_state_dict(states[1])
        metric = math.nan if i == 20 else 2 + math.sin(i / 3) * 0.9**i + (i % 5) * 0.01
        ours.scheduler.step(metric)
        theirs.scheduler.step(metric)
        close(ours.now(), theirs.now())
        assert ours.scheduler.best == theirs.scheduler.best
        assert ours.scheduler.num_bad_epochs == theirs.scheduler.num_bad_epochs


@pytest.mark.parametrize("name", optim.lr_scheduler.__all__)
def test_names_defaults_and_order_of_the_arguments(name: str) -> None:
    ours = inspect.signature(getattr(optim.lr_scheduler, name)).parameters
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    assert [(k, p.default) for k, p in ours.items()] == [(k, p.default) for k, p in theirs.items()]
