"""optim: the steps are PyTorch's, groups and state behave, and mistakes end in a sentence."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import optim

OPTIONS = [
    {"momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in itertools.product((0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True), (False, True))
    if not (n and (m == 0 or d != 0))
]


def leaf(array: Any) -> tinycnn.Tensor:
    return tinycnn.tensor(array, requires_grad=True)


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items() if v) or "plain")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sgd_is_pytorchs_over_20_steps(options: dict[str, Any], dtype: str, kernel_set: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(shape).astype(dtype) for shape in ((4, 3), (5,), ())]
    grads = [[rng.standard_normal(s.shape).astype(dtype) for s in starts] for _ in range(20)]
    ours, theirs = [leaf(s.copy()) for s in starts], [torch.tensor(s, requires_grad=True) for s in starts]
    a, b = optim.SGD(ours, lr=0.1, **options), torch.optim.SGD(theirs, lr=0.1, **options)
    for step in grads:
        for p, q, g in zip(ours, theirs, step, strict=True):
            p.grad, q.grad = tinycnn.tensor(g), torch.tensor(g)
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        tolerance = 1e-6 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_gradients_and_buffers_are_left_as_they_were() -> None:
    p = leaf([1.0, 2.0])
    g = tinycnn.tensor([3.0, 4.0])
    p.grad = g
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5, weight_decay=0.1, nesterov=True)
    optimizer.step()
    assert g.tolist() == [3.0, 4.0]
    before = optimizer.state[p]["momentum_buffer"].array
    assert not np.shares_memory(before, g.array)


def test_a_parameter_keeps_its_memory_and_any_strides() -> None:
    memory = np.arange(24, dtype=np.float32).reshape(2, 3, 4).copy()
    view = tinycnn.from_numpy(memory).detach().permute(2, 0, 1).requires_grad_()
    view.grad = tinycnn.ones(4, 2, 3)
    optim.SGD([view], lr=1.0, momentum=0.9).step()
    np.testing.assert_array_equal(memory, np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 1)


def test_float16_parameters_move() -> None:
    p = tinycnn.ones(3, dtype=tinycnn.float16).requires_grad_()
    p.grad = tinycnn.ones(3, dtype=tinycnn.float16)
    optimizer = optim.SGD([p], lr=0.25, momentum=0.5)
    optimizer.step()
    optimizer.step()
    assert p.tolist() == [0.375] * 3  # 1 - 0.25 * 1 - 0.25 * 1.5
    assert p.dtype is tinycnn.float16


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_what_is_not_offered_is_named(name: str) -> None:
    make = getattr(optim, name)
    arguments = {"foreach", "differentiable", "fused"} & set(inspect.signature(make).parameters)
    assert {"foreach", "differentiable"} <= arguments
    for argument in arguments:
        make([leaf([1.0])], **{argument: False})
        with pytest.raises(NotImplementedError, match=f"{name}: {argument}=True is not offered"):
            make([leaf([1.0])], **{argument: True})


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
def test_capturable_counts_in_a_tensor(name: str) -> None:
    """The steps are the same, the count can be saved, and may change from one kind to the other."""
    rng = np.random.default_rng(0)
    starts, grads = ([rng.standard_normal(shape) for shape in ((3, 2), (4,), ())] for _ in range(2))
    plain, counted = [leaf(s.copy()) for s in starts], [leaf(s.copy()) for s in starts]
    a, b = (getattr(optim, name)(params, lr=0.1, capturable=c) for params, c in ((plain, False), (counted, True)))
    for t in range(1, 7):
        for p, q, g in zip(plain, counted, grads, strict=True):
            p.grad, q.grad = tinycnn.tensor(g * t), tinycnn.tensor(g * t)
        if t == 2:
            counted[1].grad = plain[1].grad = None  # this one counts one step less than the others
        if t == 4:
            a.load_state_dict(b.state_dict())
            assert a.param_groups[0]["capturable"]
        if t == 5:
            b.param_groups[0]["capturable"] = False
        a.step()
        b.step()
        assert isinstance(b.state[counted[0]]["step"], tinycnn.Tensor) == (t < 5)
        assert [int(b.state[q]["step"]) for q in counted] == [t, t - (t > 1), t]
    for p, q in zip(plain, counted, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-13)


def test_a_state_from_before_there_was_a_switch_loads() -> None:
    p = leaf([1.0])
    optimizer = optim.Adam([p], capturable=True)
    state = optimizer.state_dict()
    del state["param_groups"][0]["capturable"]
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["capturable"] is False


def test_parameters_of_a_kind_are_stepped_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of a kernel for all parameters that share their numbers, one more for each other set of numbers."""
    calls: list[int] = []
    kernels = leaf([1.0]).backend.kernels
    step = kernels.adam_steps
    monkeypatch.setattr(kernels, "adam_steps", lambda params, *rest: (calls.append(len(params)), step(params, *rest)))
    params = [leaf(np.ones(3)) for _ in range(4)]
    optimizer = optim.Adam([{"params": params[:2]}, {"params": params[2:]}])
    for p in params:
        p.grad = tinycnn.ones(3, dtype=tinycnn.float64)
    optimizer.step()
    params[0].grad = None
    optimizer.step()
    params[0].grad = params[1].grad
    optimizer.step()  # one of them is a step behind
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    assert calls == [4, 3, 1, 3, 1, 1, 2]


def test_states_are_wide_enough_for_small_squares() -> None:
    """The square of 1e-4 is 0 in float16; the step is lr nevertheless, before and after a saved state."""
    p = tinycnn.ones(2, dtype=tinycnn.float16).requires_grad_()
    p.grad = tinycnn.tensor([1e-4, 0.0], dtype=tinycnn.float16)
    optimizer = optim.Adam([p], lr=0.125)
    for expected in (0.875, 0.75, 0.625):
        optimizer.step()
        assert p.tolist() == [expected, 1.0]
        optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[p]["exp_avg_sq"].dtype is tinycnn.float32


def test_complex_parameters_are_for_sgd() -> None:
    p = leaf(np.array([1.0 + 1j]))
    with pytest.raises(TypeError, match="Adam: parameter 0 is tinycnn.complex128, expected real numbers"):
        optim.Adam([p])
    p.grad = tinycnn.tensor(np.array([1j]))
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [1.0]


def test_options_can_be_switched_on_later() -> None:
    """What an option needs to remember begins at zero when it is first needed."""
    p = leaf([1.0])
    for optimizer, option, value, key in (
        (optim.SGD([p], lr=0.1), "momentum", 0.9, "momentum_buffer"),
        (optim.RMSprop([p]), "momentum", 0.9, "momentum_buffer"),
        (optim.RMSprop([p]), "centered", True, "grad_avg"),
        (optim.Adam([p]), "amsgrad", True, "max_exp_avg_sq"),
    ):
        p.grad = tinycnn.ones(1)
        optimizer.step()
        assert key not in optimizer.state.get(p, {})
        optimizer.param_groups[0][option] = value
        optimizer.step()
        assert key in optimizer.state[p]
        assert np.isfinite(p.item())


def test_a_step_is_noticed_by_a_waiting_backward() -> None:
    p = leaf([2.0])
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        loss.backward()


def test_parameters_without_gradient_stay() -> None:
    p, q = leaf([1.0]), leaf([1.0])
    q.grad = tinycnn.ones(1)
    optimizer = optim.SGD([p, q], lr=0.5, momentum=0.9, weight_decay=1.0)
    optimizer.step()
    assert p.tolist() == [1.0]
    assert q.tolist() == [0.0]
    assert p not in optimizer.state


def test_zero_grad() -> None:
    p = leaf([1.0])
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.zero_grad()
    (p * 3).sum().backward()
    kept = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.tolist() == [0.0]
    assert kept is not None
    assert np.shares_memory(p.grad.array, kept.array)
    optimizer.zero_grad()
    assert p.grad is None


def test_a_closure_runs_with_recording_on_and_its_loss_comes_back() -> None:
    p = leaf([3.0])
    optimizer = optim.SGD([p], lr=0.5)

    def closure() -> tinycnn.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tinycnn.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9.0
    assert p.tolist() == [0.0]


def test_groups_have_their_own_options() -> None:
    p, q, r = leaf([1.0]), leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 1.0}], lr=0.5)
    optimizer.add_param_group({"params": [r], "momentum": 0.9})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 1.0, 0.5]
    for x in (p, q, r):
        x.grad = tinycnn.ones(1)
    optimizer.step()
    assert [x.item() for x in (p, q, r)] == [0.5, 0.0, 0.5]
    assert list(optimizer.state) == [r]
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert p.item() == 0.25


def test_named_parameters() -> None:
    p = leaf([1.0])
    optimizer = optim.SGD([("weight", p)], lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
    with pytest.raises(ValueError, match="'bias' occurs twice"):
        optimizer.add_param_group({"params": [("bias", p)]})


def test_state_dict_continues_the_run() -> None:
    grads = np.random.default_rng(0).standard_normal((10, 3))

    def steps(p: tinycnn.Tensor, optimizer: optim.SGD, some: np.ndarray) -> None:
        for g in some:
            p.grad = tinycnn.tensor(g)
            optimizer.step()

    p = leaf(np.ones(3))
    whole = optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    steps(p, whole, grads)

    q = leaf(np.ones(3))
    first = optim.SGD([q], lr=0.1, momentum=0.9, nesterov=True)
    steps(q, first, grads[:5])
    saved = first.state_dict()
    assert saved["param_groups"][0]["params"] == [0]
    r = leaf(q.detach().numpy().copy())
    second = optim.SGD([r], lr=55.0)
    second.load_state_dict(saved)
    copied = second.state[r]["momentum_buffer"].array.copy()
    steps(q, first, grads[5:])  # the loaded state is a copy: the first optimiser's steps leave it alone
    np.testing.assert_array_equal(second.state[r]["momentum_buffer"].array, copied)
    steps(r, second, grads[5:])
    np.testing.assert_array_equal(r.detach().numpy(), p.detach().numpy())


def test_load_state_dict_refuses_what_does_not_fit() -> None:
    p = leaf(np.ones(3))
    p.grad = tinycnn.tensor(np.ones(3))
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()
    saved = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"groups of \[1\] parameters, ours are \[2\]"):
        optim.SGD([leaf([1.0]), leaf([2.0])], lr=0.1).load_state_dict(saved)
    other = optim.SGD([leaf([1.0])], lr=0.1)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 has shape \(3,\), the parameter has \(1,\)"):
        other.load_state_dict(saved)
    assert not other.state
    with pytest.raises(ValueError, match="for parameter 7, which no group has"):
        optimizer.load_state_dict({**saved, "state": {7: {}}})
    with pytest.raises(ValueError, match="a group lacks dampening, lr"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0]}]})
    with pytest.raises(ValueError, match="no optimiser's state"):
        optimizer.load_state_dict({})


def test_mistakes_end_in_a_sentence() -> None:
    p = leaf([1.0])
    with pytest.raises(ValueError, match="SGD: got no parameters"):
        optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match="a parameter group is empty"):
        optim.SGD([{"params": []}], lr=0.1)
    with pytest.raises(TypeError, match="got one Tensor; wrap it in"):
        optim.SGD(p, lr=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="parameter 1 is a float, expected a Tensor"):
        optim.SGD([p, 1.0], lr=0.1)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"parameter 0 \(shape \(1,\)\) is the result of an operation, not a leaf"):
        optim.SGD([p * 2], lr=0.1)
    with pytest.raises(ValueError, match="occurs twice"):
        optim.SGD([p, p], lr=0.1)
    with pytest.raises(ValueError, match="unknown option 'learning_rate'"):
        optim.SGD([{"params": [p], "learning_rate": 1}], lr=0.1)
    with pytest.raises(TypeError, match="must be a dict with 'params'"):
        optim.SGD([p], lr=0.1).add_param_group({"lr": 1})
    with pytest.raises(ValueError, match="name all parameters of a group or none"):
        optim.SGD([("w", p), leaf([1.0])], lr=0.1)  # type: ignore[list-item]
    for option in ("lr", "momentum", "weight_decay"):
        for value in (-0.1, float("nan"), None, "0.1"):
            with pytest.raises(ValueError, match=f"SGD: {option} must be 0 or more, got {value!r}"):
                optim.SGD([p], **{option: value})
    with pytest.raises(ValueError, match="nesterov needs momentum above 0 and dampening 0"):
        optim.SGD([p], lr=0.1, nesterov=True)
    for name, options in (
        ("Adam", ("lr", "eps", "weight_decay")),
        ("RMSprop", ("lr", "alpha", "eps", "weight_decay", "momentum")),
        ("Adagrad", ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")),
    ):
        for option in options:
            with pytest.raises(ValueError, match=f"{name}: {option} must be 0 or more, got -1"):
                getattr(optim, name)([p], **{option: -1})
    for betas in ((0.9, 1.0), (-0.1, 0.9), (0.9,), 0.9):
        with pytest.raises(ValueError, match="AdamW: betas must be two numbers of 0 or more and below 1, got"):
            optim.AdamW([p], betas=betas)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_lazy_layer_may_see_its_first_batch_later(name: str) -> None:
    net = tinycnn.nn.LazyLinear(3)
    optimizer = getattr(optim, name)(net.parameters(), lr=0.1)
    optimizer.step()  # nothing has a gradient yet
    net(tinycnn.ones(2, 5)).sum().backward()
    before = net.weight.detach().clone()
    optimizer.step()
    assert net.weight.shape == (3, 5)
    assert bool((net.weight != before).all())


def test_repr_lists_the_options() -> None:
    assert "lr: 0.1" in repr(optim.SGD([leaf([1.0])], lr=0.1))
    assert repr(optim.SGD([leaf([1.0])], lr=0.1)).startswith("SGD (\nParameter Group 0\n    dampening: 0")
