"""optim.lr_scheduler: what schedules do, and how mistakes end; test_scheduler_parity.py has the rates."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import tinycnn
from tinycnn import optim
from tinycnn.optim import lr_scheduler


def optimizer(*lrs: float, name: str = "SGD", **options: Any) -> optim.Optimizer:
    """An optimiser with a group for each rate."""
    groups = [{"params": [tinycnn.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    made: optim.Optimizer = getattr(optim, name)(groups, **options)
    return made


def test_rates_are_set_when_it_is_made() -> None:
    o = optimizer(1.0, 0.5)
    scheduler = lr_scheduler.LinearLR(o, start_factor=0.5)
    assert [g["lr"] for g in o.param_groups] == scheduler.get_last_lr() == [0.5, 0.25]
    assert [g["initial_lr"] for g in o.param_groups] == scheduler.base_lrs == [1.0, 0.5]
    assert scheduler.last_epoch == 0


def test_a_step_before_the_optimisers_is_warned_of() -> None:
    o = optimizer(1.0)
    scheduler = lr_scheduler.StepLR(o, 1)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) came before optimizer.step\(\)") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step()  # once is enough
    o = optimizer(1.0)
    lr_scheduler.ReduceLROnPlateau(o).step(1.0)

    class Own(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return None

    scheduler = lr_scheduler.StepLR(Own([tinycnn.zeros(1, requires_grad=True)]), 1)
    scheduler.step()  # its step is not ours to watch
    o = optimizer(1.0)
    scheduler = lr_scheduler.StepLR(o, 1)
    o.step()
    scheduler.step()


def test_a_rate_changed_by_hand_stays_changed_in_proportion() -> None:
    o = optimizer(1.0)
    scheduler = lr_scheduler.ExponentialLR(o, 0.5)
    o.step()
    scheduler.step()
    o.param_groups[0]["lr"] *= 10
    scheduler.step()
    assert scheduler.get_last_lr() == [2.5]


def test_the_tutorials_loop() -> None:
    """Schedulers of the library are stepped; plain objects are called, and their number is written into the groups."""

    class Warmup:
        def __call__(self, epoch: int) -> float:
            return 0.1 * (epoch + 1)

    rates = []
    for make in (lambda o: lr_scheduler.MultiStepLR(o, milestones=[1, 2], gamma=0.5), lambda o: Warmup()):
        trainer = optimizer(0.5)
        scheduler = make(trainer)
        for epoch in range(3):
            rates.append(trainer.param_groups[0]["lr"])
            trainer.step()
            if scheduler.__module__ == lr_scheduler.__name__:
                scheduler.step()
            else:
                for param_group in trainer.param_groups:
                    param_group["lr"] = scheduler(epoch)
    assert rates == [0.5, 0.25, 0.125, 0.5, 0.1, 0.2]
    assert {getattr(lr_scheduler, name).__module__ for name in lr_scheduler.__all__} == {"tinycnn.optim.lr_scheduler"}


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_one_cycle_moves_momentum_through_a_saved_state(name: str) -> None:
    def momentum(o: optim.Optimizer) -> float:
        group = o.param_groups[0]
        return float(group["betas"][0] if "betas" in group else group["momentum"])

    o = optimizer(1.0, name=name)
    scheduler = lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=10, pct_start=0.5)
    assert momentum(o) == pytest.approx(0.95)
    for _ in range(4):
        o.step()
        scheduler.step()
    assert momentum(o) == pytest.approx(0.85)
    saved = json.loads(json.dumps([o.state_dict(), scheduler.state_dict()]))
    other = optimizer(7.0, name=name)
    again = lr_scheduler.OneCycleLR(other, max_lr=7.0, total_steps=3)
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for _ in range(5):
        o.step()
        scheduler.step()
        again.step()
        assert again.get_last_lr() == scheduler.get_last_lr()
        assert other.param_groups[0]["lr"] == o.param_groups[0]["lr"]
        assert momentum(other) == momentum(o)
    assert momentum(o) == pytest.approx(0.95)
    last = scheduler.get_last_lr()
    scheduler.step()  # a loop of 10 steps comes to this: no rate beyond the last
    assert scheduler.get_last_lr() == pytest.approx(last)
    with pytest.raises(ValueError, match="step 11 of a cycle of 10 steps"):
        scheduler.step()


def test_one_cycle_at_its_edges() -> None:
    for pct in (0.0, 0.1, 1.0):
        for three in (False, True):
            for strategy in ("cos", "linear"):
                o = optimizer(1.0)
                scheduler = lr_scheduler.OneCycleLR(
                    o, 1.0, epochs=2, steps_per_epoch=5, pct_start=pct, three_phase=three,
                    anneal_strategy=strategy,  # type: ignore[arg-type]
                )  # fmt: skip
                o.step()
                for _ in range(10):
                    assert 0 < o.param_groups[0]["lr"] <= 1
                    scheduler.step()


def test_options_of_schedulers_are_options_of_groups() -> None:
    p = tinycnn.zeros(1, requires_grad=True)
    o = optim.SGD([{"params": [p], "initial_lr": 1.0}], lr=0.25)
    scheduler = lr_scheduler.StepLR(o, 1, gamma=0.5, last_epoch=2)
    assert scheduler.last_epoch == 3
    assert scheduler.get_last_lr() == [0.125]
    assert scheduler.base_lrs == [1.0]
    with pytest.raises(KeyError, match="group 0 has no 'initial_lr' to go on with from epoch 2"):
        lr_scheduler.StepLR(optimizer(1.0), 1, last_epoch=2)


def test_plateau_counts_patience_cooldown_and_floor() -> None:
    o = optimizer(1.0, 0.3)
    scheduler = lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0, cooldown=1, min_lr=[0.0, 0.2])
    rates = []
    for loss in (1.0, 1.0, 1.0, 1.0, 0.5, math.nan):
        scheduler.step(tinycnn.tensor(loss))
        rates.append(tuple(scheduler.get_last_lr()))
    assert rates == [(1.0, 0.3), (0.5, 0.2), (0.5, 0.2), (0.25, 0.2), (0.25, 0.2), (0.125, 0.2)]
    assert scheduler.best == 0.5


def test_plateau_knows_no_best_before_its_first_metric() -> None:
    for mode, worst in (("min", math.inf), ("max", -math.inf)):
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer(1.0), mode=mode)  # type: ignore[arg-type]
        assert scheduler.best == worst
        state = json.loads(json.dumps(scheduler.state_dict(), allow_nan=False))
        scheduler.step(1.0)
        scheduler.load_state_dict(state)
        assert scheduler.best == worst
        scheduler.step(2.0)
        assert scheduler.best == 2.0


def test_a_function_with_memory_is_saved() -> None:
    class Halving:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, epoch: int) -> float:
            self.calls += 1
            return 0.5**epoch

    scheduler = lr_scheduler.LambdaLR(optimizer(1.0, 2.0), [Halving(), lambda epoch: 1.0])
    state = json.loads(json.dumps(scheduler.state_dict()))
    assert state["lr_lambdas"] == [{"calls": 1}, None]
    own = Halving()
    other = lr_scheduler.LambdaLR(optimizer(1.0, 2.0), [own, lambda epoch: 1.0])
    own.calls = 99
    other.load_state_dict(state)
    assert own.calls == 1
    assert "lr_lambdas" in state


def test_a_sequence_within_a_sequence() -> None:
    o = optimizer(1.0)
    inner = lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.5, 100), lr_scheduler.ExponentialLR(o, 0.5)], milestones=[2]
    )
    scheduler = lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o, 0.25, 100), inner], milestones=[2])
    rates = []
    for _ in range(7):
        rates += scheduler.get_last_lr()
        o.step()
        scheduler.step()
    assert rates == [0.25, 0.25, 0.5, 0.5, 1.0, 0.5, 0.25]


def test_mistakes_end_in_a_sentence() -> None:
    o, two = optimizer(1.0), optimizer(1.0, 2.0)
    for make, error, words in [
        (lambda: lr_scheduler.StepLR(o.param_groups, 1), TypeError, "StepLR: expected an optimiser, got list"),
        (lambda: lr_scheduler.StepLR(o, 0), ValueError, "step_size must be positive, got 0"),
        (lambda: lr_scheduler.ConstantLR(o, 2.0), ValueError, "factor must be between 0 and 1, got 2.0"),
        (lambda: lr_scheduler.LinearLR(o, 0.0), ValueError, "start_factor must be above 0 and at most 1, got 0.0"),
        (lambda: lr_scheduler.LinearLR(o, 0.5, 2.0), ValueError, "end_factor must be between 0 and 1, got 2.0"),
        (lambda: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max must be positive, got 0"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(o, 2.5), ValueError, "T_0 must be a positive integer, got 2"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "must be 0 or more, got -1"),
        (lambda: lr_scheduler.LambdaLR(two, [len]), ValueError, "a function for each of the 2 parameter groups, got 1"),
        (lambda: lr_scheduler.LambdaLR(o, 0.5), TypeError, "expected functions of the epoch, got float"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "give total_steps, or epochs and steps_per_epoch"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 0), ValueError, "total_steps must be a positive integer, got 0"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2), ValueError, "must be between 0 and 1, got 2"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="up"), ValueError, "'cos' or 'linear', got 'up'"),
        (lambda: lr_scheduler.OneCycleLR(o, [1.0, 2.0], 9), ValueError, "max_lr: expected one for each of the 1"),
        (lambda: lr_scheduler.OneCycleLR(optimizer(1.0, name="Adagrad"), 1.0, 9), ValueError, "has no momentum"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be below 1, got 1.0"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, "low"), ValueError, "mode must be 'min' or 'max', got 'low'"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="a"), ValueError, "must be 'rel' or 'abs', got 'a'"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0, 0]), ValueError, "expected one for each of the 1"),
        (lambda: lr_scheduler.SequentialLR(o, [], []), ValueError, "got no schedulers"),
        (lambda: lr_scheduler.SequentialLR(o, [len], []), TypeError, r"schedulers\[0\] is a builtin_function"),
        (lambda: lr_scheduler.SequentialLR(o, [lr_scheduler.ReduceLROnPlateau(o)], []), ValueError, "waits for"),
        (lambda: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(two, 1)], []), ValueError, "is another optimiser's"),
        (lambda: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [1]), ValueError, "expected 0 rising"),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            make()  # type: ignore[no-untyped-call]


def test_a_state_of_another_scheduler_is_refused() -> None:
    o = optimizer(1.0)
    scheduler = lr_scheduler.StepLR(o, 3)
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match=r"StepLR.load_state_dict: another scheduler's state: it lacks 'step_size'"):
        scheduler.load_state_dict(lr_scheduler.ExponentialLR(o, 0.5).state_dict())
    with pytest.raises(ValueError, match="for 2 parameter groups, ours are 1"):
        scheduler.load_state_dict(lr_scheduler.StepLR(optimizer(1.0, 1.0), 3).state_dict())
    assert scheduler.state_dict() == before

    def sequence(*schedulers: lr_scheduler.LRScheduler) -> lr_scheduler.SequentialLR:
        return lr_scheduler.SequentialLR(o, schedulers, [5] * (len(schedulers) - 1))

    short, long = sequence(scheduler), sequence(scheduler, lr_scheduler.StepLR(o, 3))
    with pytest.raises(ValueError, match="the state has 2 schedulers, ours are 1"):
        short.load_state_dict(long.state_dict())
    with pytest.raises(ValueError, match="StepLR.load_state_dict: another scheduler's"):
        short.load_state_dict(sequence(lr_scheduler.ExponentialLR(o, 0.5)).state_dict())


def test_a_group_that_came_later_is_noticed() -> None:
    o = optimizer(1.0)
    scheduler = lr_scheduler.ExponentialLR(o, 0.0)
    fixed = lr_scheduler.LambdaLR(o, lambda epoch: 1.0)
    o.add_param_group({"params": [tinycnn.zeros(1, requires_grad=True)]})
    o.step()
    with pytest.raises(ValueError, match="LambdaLR: made for 1 parameter groups, the optimiser has 2 now"):
        fixed.step()
    plateau = lr_scheduler.ReduceLROnPlateau(o, patience=0, factor=0.5)
    o.add_param_group({"params": [tinycnn.zeros(1, requires_grad=True)]})
    plateau.step(math.nan)
    assert plateau.get_last_lr() == [0.5, 0.0005, 0.0005]
    assert scheduler.get_last_lr() == [1.0]


def test_adding_a_schedule_to_none_is_zero_from_then_on() -> None:
    """A share of 0 has no ratio to the next: the curve is taken up again from the initial rate."""
    o = optimizer(1.0)
    scheduler = lr_scheduler.ConstantLR(o, factor=0.0, total_iters=2)
    rates = []
    for _ in range(4):
        rates += scheduler.get_last_lr()
        o.step()
        scheduler.step()
    assert rates == [0.0, 0.0, 1.0, 1.0]
