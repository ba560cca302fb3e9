"""optim: every optimiser's steps are PyTorch's, and so are the names of what it remembers."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import optim

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
pytestmark = pytest.mark.parity


def options(**choices: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Every combination of the choices."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


ADAM = [
    *options(betas=((0.9, 0.999), (0.5, 0.6)), weight_decay=(0.0, 0.1), amsgrad=(False, True), maximize=(False, True)),
    *[{"eps": 0.1}, {"betas": (0.0, 0.9)}],
]
CASES = [
    *[("Adam", {"lr": 0.05, **o}) for o in ADAM],
    *[("AdamW", {"lr": 0.05, **o}) for o in ADAM],
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    *[
        ("RMSprop", {"lr": 0.01, **o})
        for o in options(
            alpha=(0.99, 0.6),
            weight_decay=(0.0, 0.1),
            momentum=(0.0, 0.9),
            centered=(False, True),
            maximize=(False, True),
        )
    ],
    ("RMSprop", {"eps": 0.1}),
    *[
        ("Adagrad", {"lr": 0.1, **o})
        for o in options(
            lr_decay=(0.0, 0.1), weight_decay=(0.0, 0.1), initial_accumulator_value=(0.0, 0.5), maximize=(False, True)
        )
    ],
    ("Adagrad", {"eps": 0.1}),
    *[("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}), ("SGD", {})],
    *[(name, {}) for name in ("Adam", "AdamW", "RMSprop", "Adagrad")],
]
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
EVERY = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {"lr_decay": 0.1},
}  # with all the state that it can have


def name_of(case: Any) -> str:
    return case if isinstance(case, str) else ",".join(f"{k}={v}" for k, v in case.items() if v) or "defaults"


def close(ours: tinycnn.Tensor, theirs: Any, dtype: str = "float64") -> None:
    """Equal to within the tolerance, relative to the largest entry: a velocity of 10 is rounded as a 10 is."""
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1.0, np.abs(b).max(initial=0)))


class Pair:
    """The same parameters in both libraries, with an optimiser each."""

    def __init__(self, name: str, starts: list[np.ndarray], **given: Any) -> None:
        self.rng = np.random.default_rng(1)
        self.ours = [tinycnn.tensor(s, requires_grad=True) for s in starts]
        self.theirs = [torch.tensor(s, requires_grad=True) for s in starts]
        self.a = getattr(optim, name)(self.ours, **given)
        self.b = getattr(torch.optim, name)(self.theirs, **given)

    def steps(self, n: int) -> None:
        for _ in range(n):
            for p, q in zip(self.ours, self.theirs, strict=True):
                g = np.asarray(self.rng.standard_normal(p.shape)).astype(p.numpy(force=True).dtype)
                p.grad, q.grad = tinycnn.tensor(g), torch.tensor(g)
            self.a.step()
            self.b.step()

    def agree(self, dtype: str = "float64") -> None:
        for p, q in zip(self.ours, self.theirs, strict=True):
            close(p, q, dtype)
            ours, theirs = self.a.state.get(p, {}), self.b.state[q]
            assert ours.keys() == {k for k in theirs if theirs[k] is not None}
            for key, value in ours.items():
                if key == "step":
                    assert value == theirs[key]
                else:
                    close(value, theirs[key], dtype)


def starts(dtype: str = "float64") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in ((4, 3), (2, 3, 2, 2), (5,), (), (0, 2))]


@pytest.mark.parametrize(("name", "given"), CASES, ids=name_of)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("kernel_set")
def test_twenty_steps(name: str, given: dict[str, Any], dtype: str) -> None:
    pair = Pair(name, starts(dtype), **given)
    pair.steps(20)
    pair.agree(dtype)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.usefixtures("kernel_set")
def test_any_memory_layout(name: str) -> None:
    """Parameters and gradients channels-last, transposed, or slices of something larger."""
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((4, 6, 8, 10))

    def layouts() -> list[tinycnn.Tensor]:
        x = tinycnn.tensor(whole)
        return [x.contiguous(memory_format=tinycnn.channels_last), x.permute(3, 1, 0, 2).clone(), x[::2, 1:, ::3]]

    given = {"lr": 0.01, "weight_decay": 0.1, **EVERY[name]}
    for start in layouts():
        for shape_of_grad in (lambda g: g, lambda g: g.contiguous(memory_format=tinycnn.channels_last)):
            p = start.detach().requires_grad_()
            memory, strides = p.array, p.array.strides
            q = torch.tensor(p.detach().numpy().copy(), requires_grad=True)
            a, b = getattr(optim, name)([p], **given), getattr(torch.optim, name)([q], **given)
            for _ in range(3):
                g = rng.standard_normal(p.shape)
                p.grad, q.grad = shape_of_grad(tinycnn.tensor(g)), torch.tensor(g)
                a.step()
                b.step()
            close(p, q)
            assert p.array is memory
            assert p.array.strides == strides


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.usefixtures("kernel_set")
def test_float16_is_stored_and_float32_computed(name: str) -> None:
    """As PyTorch in float32 whose parameters are rounded to float16 after every step."""
    start = np.random.default_rng(0).standard_normal(50).astype("float16")
    p = tinycnn.tensor(start, requires_grad=True)
    q = torch.tensor(start.astype("float32"), requires_grad=True)
    a = getattr(optim, name)([p], lr=0.05, **EVERY[name])
    b = getattr(torch.optim, name)([q], lr=0.05, **EVERY[name])
    rng = np.random.default_rng(1)
    for _ in range(20):
        g = (rng.standard_normal(50) * 1e-3).astype("float16")  # the square of most is 0 in float16
        p.grad, q.grad = tinycnn.tensor(g), torch.tensor(g.astype("float32"))
        a.step()
        b.step()
        with torch.no_grad():
            q.copy_(q.half().float())
    assert p.dtype is tinycnn.float16
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", EVERY)
def test_groups(name: str) -> None:
    """Groups with options of their own, one of them added on the way, a learning rate set from outside."""
    a_starts = starts()
    a = [tinycnn.tensor(s, requires_grad=True) for s in a_starts]
    b = [torch.tensor(s, requires_grad=True) for s in a_starts]

    def make(module: Any, p: list[Any]) -> Any:
        return getattr(module, name)([{"params": p[:2], "weight_decay": 0.1}, {"params": p[2:4], "lr": 0.5}], lr=0.01)

    pair = (make(optim, a), make(torch.optim, b))
    rng = np.random.default_rng(0)
    for i in range(6):
        if i == 3:
            for optimizer, params in zip(pair, (a, b), strict=True):
                optimizer.add_param_group({"params": params[4:], "maximize": True})
                optimizer.param_groups[0]["lr"] = 0.2
        for p, q in zip(a, b, strict=True):
            g = np.asarray(rng.standard_normal(p.shape))
            p.grad, q.grad = tinycnn.tensor(g), torch.tensor(g)
        for optimizer in pair:
            optimizer.step()
    for p, q in zip(a, b, strict=True):
        close(p, q)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("back", [False, True], ids=["from PyTorch", "to PyTorch"])
def test_state_dicts_cross_over(name: str, back: bool) -> None:
    """Ten steps in one library, ten in the other: as twenty in one."""
    whole = Pair(name, starts(), lr=0.05, **EVERY[name])
    whole.steps(10)
    halves = Pair(name, starts(), lr=0.3)
    halves.rng = whole.rng
    if back:
        state = whole.a.state_dict()
        for values in state["state"].values():
            values.update((k, torch.tensor(v.numpy())) for k, v in values.items() if isinstance(v, tinycnn.Tensor))
        halves.b.load_state_dict(state)
        halves.a.load_state_dict(whole.a.state_dict())
    else:
        halves.a.load_state_dict(whole.b.state_dict())
        halves.b.load_state_dict(whole.b.state_dict())
    for p, q, r, s in zip(halves.ours, halves.theirs, whole.ours, whole.theirs, strict=True):
        p.detach().copy_(r.detach())
        q.detach().copy_(s.detach())
    halves.steps(10)
    halves.agree()


@pytest.mark.parametrize("name", EVERY)
def test_defaults_and_order_of_the_arguments(name: str) -> None:
    import inspect

    ours = inspect.signature(getattr(optim, name)).parameters
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    assert list(ours) == list(theirs)
    for key, parameter in ours.items():
        assert (parameter.default, parameter.kind) == (theirs[key].default, theirs[key].kind), key


@pytest.mark.parametrize("name", EVERY)
def test_a_resumed_run_goes_on_to_the_bit(name: str) -> None:
    """Through JSON, as a checkpoint has it, with parameters that lie channels-last."""

    def steps(p: tinycnn.Tensor, optimizer: optim.Optimizer, grads: np.ndarray) -> None:
        for g in grads:
            p.grad = tinycnn.tensor(g)
            optimizer.step()

    grads = np.random.default_rng(0).standard_normal((10, 2, 3, 4, 5)).astype("float32")
    whole = tinycnn.ones(2, 3, 4, 5).contiguous(memory_format=tinycnn.channels_last).requires_grad_()
    steps(whole, getattr(optim, name)([whole], lr=0.1, **EVERY[name]), grads)

    p = tinycnn.ones(2, 3, 4, 5).contiguous(memory_format=tinycnn.channels_last).requires_grad_()
    first = getattr(optim, name)([p], lr=0.1, **EVERY[name])
    steps(p, first, grads[:5])
    saved = first.state_dict()
    second = getattr(optim, name)([p], lr=7.0)
    state = {  # the arrays come back in C order
        0: {
            k: np.ascontiguousarray(v.numpy()) if isinstance(v, tinycnn.Tensor) else v
            for k, v in saved["state"][0].items()
        }
    }
    second.load_state_dict({"state": state, "param_groups": json.loads(json.dumps(saved["param_groups"]))})
    assert second.param_groups[0].items() >= {k: v for k, v in first.param_groups[0].items() if k != "params"}.items()
    steps(p, second, grads[5:])
    assert np.array_equal(p.detach().numpy(), whole.detach().numpy())
