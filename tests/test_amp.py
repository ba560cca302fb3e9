"""Mixed precision: which operation runs in which precision, and the scaling of losses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, amp, nn
from tinycnn.nn import functional as F
from tinycnn.ops import autocast as tables
from tinycnn.ops.registry import all_ops

HALF, BFLOAT16, SINGLE = tinycnn.float16, tinycnn.bfloat16, tinycnn.float32


def data(*shape: int, dtype: Any = SINGLE) -> Tensor:
    return (tinycnn.rand(*shape) * 0.5 + 0.25).to(dtype)


# By the tables of torch.amp's documentation, "CUDA Ops that can autocast".
RULES: list[tuple[str, Callable[[Any], Any], Any, Any]] = [  # what, call with tensors of a dtype, single -> half ->
    ("conv2d", lambda d: F.conv2d(data(1, 2, 4, 4, dtype=d), data(3, 2, 2, 2), data(3)), HALF, HALF),
    ("conv_transpose2d", lambda d: F.conv_transpose2d(data(1, 2, 4, 4, dtype=d), data(2, 3, 2, 2)), HALF, HALF),
    ("linear", lambda d: F.linear(data(2, 3, dtype=d), data(4, 3), data(4)), HALF, HALF),
    ("@", lambda d: data(2, 3, dtype=d) @ data(3, 2), HALF, HALF),
    ("bmm", lambda d: tinycnn.bmm(data(2, 3, 2, dtype=d), data(2, 2, 3)), HALF, HALF),
    ("softmax", lambda d: data(2, 3, dtype=d).softmax(1), SINGLE, SINGLE),
    ("exp", lambda d: data(2, dtype=d).exp(), SINGLE, SINGLE),
    ("sum", lambda d: data(2, dtype=d).sum(), SINGLE, SINGLE),
    ("**", lambda d: data(2, dtype=d) ** 2, SINGLE, SINGLE),
    ("cross_entropy", lambda d: F.cross_entropy(data(2, 3, dtype=d), tinycnn.tensor([0, 2])), SINGLE, SINGLE),
    ("mse_loss", lambda d: F.mse_loss(data(2, dtype=d), data(2)), SINGLE, SINGLE),
    ("layer_norm", lambda d: F.layer_norm(data(2, 3, dtype=d), (3,), data(3), data(3)), SINGLE, SINGLE),
    ("relu", lambda d: data(2, dtype=d).relu(), SINGLE, HALF),
    ("max_pool2d", lambda d: F.max_pool2d(data(1, 1, 4, 4, dtype=d), 2), SINGLE, HALF),
    ("mean", lambda d: data(2, dtype=d).mean(), SINGLE, HALF),
    ("+", lambda d: data(2, dtype=d) + data(2, dtype=d), SINGLE, HALF),
    ("+ mixed", lambda d: data(2, dtype=d) + data(2), SINGLE, SINGLE),
    ("cat", lambda d: tinycnn.cat([data(2, dtype=d), data(2)]), SINGLE, SINGLE),
    ("stack", lambda d: tinycnn.stack([data(2, dtype=d), data(2, dtype=d)]), SINGLE, HALF),
    ("dot", lambda d: data(3, dtype=d).dot(data(3)), SINGLE, SINGLE),
    ("batch_norm", lambda d: nn.BatchNorm2d(2)(data(3, 2, 2, 2, dtype=d)), SINGLE, HALF),
    ("double", lambda d: data(2, 3).double() @ data(3, 2).double(), tinycnn.float64, tinycnn.float64),
]


@pytest.mark.parametrize("dtype", [HALF, BFLOAT16])
@pytest.mark.parametrize(("what", "call", "single", "half"), RULES, ids=[r[0] for r in RULES])
def test_precisions(what: str, call: Callable[[Any], Any], single: Any, half: Any, dtype: Any) -> None:
    with tinycnn.autocast("cpu", dtype=dtype):
        assert call(SINGLE).dtype is (dtype if single is HALF else single)
        assert call(dtype).dtype is (dtype if half is HALF else half)
    with tinycnn.autocast("cuda"):  # somewhere else
        if what not in ("double", "+ mixed"):
            assert data(2, 3).softmax(1).dtype is SINGLE
            assert (data(2, 3) @ data(3, 2)).dtype is SINGLE


def test_every_name_in_the_tables_is_an_operation() -> None:
    lists = [tables.LOWER, tables.SINGLE, tables.WIDEST, tables.NORMS, frozenset(tables.REFUSED)]
    names = {op.name for op in all_ops()}
    assert frozenset().union(*lists) <= names
    assert sum(map(len, lists)) == len(frozenset().union(*lists))  # each in one


def test_blocks_nest_and_end() -> None:
    x, w = data(2, 3), data(3, 2)
    assert not tinycnn.is_autocast_enabled("cpu")
    assert tinycnn.get_autocast_dtype("cpu") is BFLOAT16
    assert tinycnn.get_autocast_dtype("cuda") is HALF
    with tinycnn.autocast("cpu", dtype=tinycnn.float16):
        assert tinycnn.is_autocast_enabled("cpu")
        assert not tinycnn.is_autocast_enabled("cuda")
        assert tinycnn.get_autocast_dtype("cpu") is HALF
        with tinycnn.autocast("cpu", enabled=False):
            assert (x @ w).dtype is SINGLE
        assert (x @ w).dtype is HALF
    assert (x @ w).dtype is SINGLE
    with pytest.raises(ZeroDivisionError), tinycnn.autocast("cpu"):
        raise ZeroDivisionError
    assert not tinycnn.is_autocast_enabled("cpu")

    @tinycnn.autocast("cpu")
    def product() -> Tensor:
        return x @ w

    assert product().dtype is BFLOAT16
    assert (x @ w).dtype is SINGLE


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="device_type must be 'cpu' or 'cuda', got 'gpu'"):
        tinycnn.autocast("gpu")
    for dtype in ("int8", tinycnn.float32):
        with pytest.raises(TypeError, match=r"dtype must be tinycnn\.float16 or tinycnn\.bfloat16, got"):
            tinycnn.autocast("cpu", dtype=dtype)
    with tinycnn.autocast("cpu"), pytest.raises(RuntimeError, match="use binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(data(2), data(2))


@pytest.mark.parametrize(("dtype", "tolerance"), [(HALF, 5e-3), (BFLOAT16, 4e-2)])
def test_gradients_come_back_in_the_weights_precision(dtype: Any, tolerance: float) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    x, y = data(5, 1, 4, 4), tinycnn.tensor([0, 1, 2, 1, 0])
    F.cross_entropy(net(x), y).backward()
    right = [p.grad for p in net.parameters()]
    net.zero_grad()
    with tinycnn.autocast("cpu", dtype=dtype):
        loss = F.cross_entropy(net(x), y)
    (loss * 1024).backward()
    for p, exact in zip(net.parameters(), right, strict=True):
        assert p.grad is not None
        assert exact is not None
        assert p.grad.dtype is SINGLE
        error = float((p.grad / 1024 - exact).abs().max().item())
        assert error < tolerance * max(1e-1, float(exact.abs().max().item()))
    assert net[1].running_mean.dtype is SINGLE


def test_a_weight_is_cast_once() -> None:
    w = data(3, 3).requires_grad_()
    x = data(2, 3)
    with tinycnn.autocast("cpu", dtype=HALF):
        a, b = x @ w, x @ w
        with tinycnn.no_grad():
            w.mul_(2.0)
        c = x @ w
    casts = [y.grad_fn.next_functions[1][0] for y in (a, b, c)]  # type: ignore[union-attr]
    assert casts[0] is casts[1]
    assert casts[2] is not casts[0]
    assert np.allclose(c.detach().numpy(), 2 * a.detach().numpy(), rtol=1e-2)
    with tinycnn.autocast("cpu", cache_enabled=False):
        casts = [(x @ w).grad_fn.next_functions[1][0] for _ in range(2)]  # type: ignore[union-attr]
        assert casts[0] is not casts[1]
    with tinycnn.autocast("cpu"):
        with tinycnn.no_grad():
            x @ w
        assert (x @ w).requires_grad  # what was cast without history is not kept


# ---- scaling ---------------------------------------------------------------------------------------------------------


def scaled(values: list[float]) -> tuple[Tensor, tinycnn.optim.SGD]:
    w = tinycnn.zeros(2).requires_grad_()
    w.grad = tinycnn.tensor(values)
    return w, tinycnn.optim.SGD([w], lr=1.0)


def test_a_step_with_infinities_is_left_out() -> None:
    scaler = amp.GradScaler(init_scale=4.0, growth_interval=2)
    for values, moved, scale in (
        ([4.0, 8.0], [-1.0, -2.0], 4.0),
        ([float("inf"), 8.0], [0.0, 0.0], 2.0),
        ([2.0, 2.0], [-1.0, -1.0], 2.0),
        ([2.0, float("nan")], [0.0, 0.0], 1.0),
        ([1.0, 1.0], [-1.0, -1.0], 1.0),
        ([1.0, 1.0], [-1.0, -1.0], 2.0),  # the second in a row without
    ):
        w, optimizer = scaled(values)
        scaler.step(optimizer)
        scaler.update()
        assert w.tolist() == moved
        assert scaler.get_scale() == scale


def test_unscaling_comes_before_clipping() -> None:
    scaler = amp.GradScaler(init_scale=8.0)
    w, optimizer = scaled([24.0, 32.0])
    scaler.unscale_(optimizer)
    assert w.grad is not None
    assert w.grad.tolist() == [3.0, 4.0]
    with pytest.raises(RuntimeError, match="already been called on this optimizer since the last update"):
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([w], 1.0)
    scaler.step(optimizer)
    assert np.allclose(w.tolist(), [-0.6, -0.8])
    with pytest.raises(RuntimeError, match="being called after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called since the last update"):
        scaler.step(optimizer)
    scaler.update()
    w.grad = None
    with pytest.raises(RuntimeError, match="has no gradients"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="no inf checks"):
        amp.GradScaler().update()


def test_half_weights_are_refused() -> None:
    w = tinycnn.zeros(2, dtype="float16").requires_grad_()
    w.grad = tinycnn.ones(2, dtype="float16")
    with pytest.raises(ValueError, match="keep the weights float32"):
        amp.GradScaler().unscale_(tinycnn.optim.SGD([w], lr=0.1))


def test_a_scaler_that_is_off_does_nothing() -> None:
    scaler = amp.GradScaler(enabled=False)
    w, optimizer = scaled([1.0, float("inf")])
    loss = tinycnn.ones(1)
    assert scaler.scale(loss) is loss
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [-1.0, float("-inf")]
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1.0
    assert not scaler.is_enabled()


def test_state_of_a_scaler() -> None:
    scaler = amp.GradScaler(init_scale=4.0, growth_interval=3)
    scaler.step(scaled([1.0, 1.0])[1])
    scaler.update()
    state = json.loads(json.dumps(scaler.state_dict()))
    other = amp.GradScaler()
    other.load_state_dict(state)
    assert other.state_dict() == state
    with pytest.raises(RuntimeError, match="lacks growth_factor"):
        other.load_state_dict({k: v for k, v in state.items() if k != "growth_factor"})
    losses = scaler.scale([tinycnn.ones(1), tinycnn.ones(1) * 2])
    assert [x.item() for x in losses] == [4.0, 8.0]
    with pytest.raises(ValueError, match="expected a tensor"):
        scaler.scale(3)  # type: ignore[call-overload]
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            amp.GradScaler(**wrong)  # type: ignore[arg-type]


@pytest.mark.parity
def test_the_scale_moves_as_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    settings = {"init_scale": 64.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}
    ours, theirs = amp.GradScaler("cpu", **settings), torch.amp.GradScaler("cpu", **settings)
    w, v = tinycnn.zeros(3).requires_grad_(), torch.zeros(3, requires_grad=True)
    a, b = tinycnn.optim.SGD([w], lr=0.5, momentum=0.9), torch.optim.SGD([v], lr=0.5, momentum=0.9)
    ours.scale(tinycnn.ones(1))
    theirs.scale(torch.ones(1))  # PyTorch makes its scale here
    for _ in range(25):
        grad = rng.standard_normal(3).astype("float32")
        grad[rng.integers(3)] *= np.inf if rng.random() < 0.25 else 1
        w.grad, v.grad = tinycnn.tensor(grad), torch.tensor(grad)
        for scaler, optimizer in ((ours, a), (theirs, b)):
            scaler.step(optimizer)
            scaler.update()
        assert ours.get_scale() == theirs.get_scale()
        assert np.allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-6)
    state, other = ours.state_dict(), theirs.state_dict()
    assert state == other


# ---- training --------------------------------------------------------------------------------------------------------


def test_lenet_learns_digits_in_mixed_precision() -> None:
    """Six passes over 1,000 digits: as good as in single precision, by steps of which none went wrong."""
    digits, unseen = tinycnn.data.load("digits")
    accuracies = []
    for dtype in (HALF, BFLOAT16, SINGLE):
        tinycnn.manual_seed(0)
        net = tinycnn.models.lenet(activation="relu")
        optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
        scaler = amp.GradScaler("cpu", enabled=dtype is HALF)
        loader = tinycnn.data.DataLoader(tinycnn.data.Subset(digits, range(1000)), 50, shuffle=True)
        for _ in range(6):
            for X, y in loader:
                optimizer.zero_grad()
                with tinycnn.autocast("cpu", None if dtype is SINGLE else dtype, enabled=dtype is not SINGLE):
                    scores = net(X)
                    assert scores.dtype is dtype
                    loss = F.cross_entropy(scores, y)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        assert all(p.dtype is SINGLE for p in net.parameters())
        found = tinycnn.train.measure(net, tinycnn.data.DataLoader(unseen, 200))
        accuracies.append(found.accuracy)
    assert min(accuracies) > 0.8
    assert max(accuracies) - min(accuracies) < 0.08
