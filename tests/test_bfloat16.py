"""bfloat16: the upper half of a float32, computed in float32 and rounded once, with the dtypes that PyTorch gives."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from device_checks import mapped, random_like, tensors_in

import tinycnn
from tinycnn import Tensor, nn, optim, train
from tinycnn.autograd import grad
from tinycnn.nn import functional as F
from tinycnn.ops.registry import OpInfo, all_ops

BF16, SINGLE = tinycnn.bfloat16, tinycnn.float32
EPS = 2.0**-8  # half the step from 1 to the next number: what rounding changes at most, as a share


# ---- every operation -------------------------------------------------------------------------------------------------

# These are made of several operations, each of which rounds, as those of a user would be.
_ROUNDED_OFTEN = {
    "binary_cross_entropy_with_logits", "conv_transpose2d", "cross_entropy", "smooth_l1_loss",
}  # fmt: skip


def results(op: OpInfo, sample: Any, kind: Any) -> tuple[list[Tensor], list[Tensor]]:
    """What an operation gives, and its gradients, on numbers that bfloat16 holds, stored in a dtype."""
    leaves: list[Tensor] = []

    def moved(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        leaves.append(x.detach().bfloat16().to(kind).requires_grad_(x.requires_grad))
        return leaves[-1]

    tinycnn.manual_seed(0)
    args, kwargs = mapped((sample.args, sample.kwargs), moved)
    out = [*tensors_in(op.function(*args, **kwargs))]
    live, wanted = [o for o in out if o.requires_grad], [x for x in leaves if x.requires_grad]
    if not live or not wanted:
        return out, []
    cotangents = [c.bfloat16().to(o.dtype) for c, o in zip(random_like(live, 1), live, strict=True)]
    return out, [*grad(live, wanted, cotangents, materialize_grads=True)]


def difference(x: Tensor, right: Tensor) -> float:
    """The greatest, as a share of the greatest number."""
    a, b = (t.detach().to(tinycnn.complex128 if t.is_complex() else tinycnn.float64).numpy() for t in (x, right))
    finite = np.isfinite(b)
    assert (np.isfinite(a) == finite).all()
    return float(abs(a - b)[finite].max(initial=0) / max(1e-30, abs(b[finite]).max(initial=0)))


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.name)
def test_every_operation_is_computed_in_single_precision_and_rounded(op: OpInfo) -> None:
    for sample in op.make_samples():
        (out, grads), (right, right_grads) = results(op, sample, BF16), results(op, sample, SINGLE)
        for x, y in zip(out + grads, right + right_grads, strict=True):
            assert x.shape == y.shape
            assert x.dtype is (BF16 if y.dtype is SINGLE else y.dtype)
        for x, y in zip(out, right, strict=True):
            assert difference(x, y) <= EPS * (2 if op.name in _ROUNDED_OFTEN else 1)
        for x, y in zip(grads, right_grads, strict=True):
            assert difference(x, y) <= 8 * EPS  # a backward rounds after each of its operations


# ---- dtypes ----------------------------------------------------------------------------------------------------------


def test_what_it_is() -> None:
    assert (BF16.itemsize, BF16.is_floating_point, BF16.is_complex) == (2, True, False)
    assert tinycnn.zeros(2, dtype="bfloat16").dtype is BF16
    x = tinycnn.tensor([1.0, 2.5, -3.0], dtype=BF16)
    assert repr(x) == "tensor([ 1.0000,  2.5000, -3.0000], dtype=tinycnn.bfloat16)"
    assert repr(x.requires_grad_()[0]).startswith("tensor(1., dtype=tinycnn.bfloat16, grad_fn=")
    assert x.is_floating_point()
    assert x.tolist() == [1.0, 2.5, -3.0]
    assert x.element_size() == 2
    info = tinycnn.finfo(BF16)
    assert (info.bits, info.eps, info.tiny, info.dtype) == (16, 2 * EPS, 2.0**-126, "bfloat16")
    assert info.max == (2 - 2 * EPS) * 2.0**127
    with pytest.raises(TypeError, match=r"NumPy has no bfloat16; use tensor\.float\(\)\.numpy\(\)"):
        x.detach().numpy()
    assert tinycnn.tensor([x.detach(), x.detach()]).tolist() == 2 * [[1.0, 2.5, -3.0]]


def test_rounding_is_to_the_nearest_and_to_even() -> None:
    step = 2 * EPS
    x = tinycnn.tensor([1 + step / 2, 1 + 3 * step / 2, 1 + step * 0.51, 3.395e38, 3.4e38, float("nan")]).bfloat16()
    assert x.tolist()[:3] == [1.0, 1 + 2 * step, 1 + step]
    assert x[3].item() == tinycnn.finfo(BF16).max
    assert x[4].item() == float("inf")
    assert bool(x[5].isnan())


def test_in_place() -> None:
    x = tinycnn.ones(3, dtype=BF16)
    x += 1
    x *= 2.5
    x[0] = 7
    x[1:] = tinycnn.tensor([0.1, 0.2])
    assert x.dtype is BF16
    assert x.tolist() == [7.0, 0.10009765625, 0.2001953125]
    x.add_(tinycnn.ones(3)).div_(2).clamp_(max=3.0)
    assert x.tolist() == [3.0, 0.55078125, 0.6015625]
    with pytest.raises(RuntimeError, match=r"complex64 can't be cast to tinycnn\.bfloat16"):
        x.add_(tinycnn.ones(3, dtype=tinycnn.complex64))
    for fill in ("uniform_", "normal_", "random_"):
        y = getattr(tinycnn.zeros(200, dtype=BF16), fill)()
        assert y.dtype is BF16
        assert len(set(y.tolist())) > 50
    assert max(tinycnn.zeros(500, dtype=BF16).random_().tolist()) <= 256
    assert tinycnn.randn(3, dtype=BF16).dtype is tinycnn.rand(3, dtype=BF16).dtype is BF16


def test_without_the_package_that_tells_numpy_of_it() -> None:
    """Everything else works, and whoever wants the dtype is told what is missing."""
    program = """
import sys
sys.modules["ml_dtypes"] = None
import tinycnn
assert (tinycnn.ones(2) + 1).tolist() == [2.0, 2.0]
assert tinycnn.promote_types(tinycnn.bfloat16, tinycnn.float16) is tinycnn.float32
with tinycnn.autocast("cpu", dtype=tinycnn.float16):
    tinycnn.ones(2, 2) @ tinycnn.ones(2, 2)
for make in (lambda: tinycnn.ones(2, dtype=tinycnn.bfloat16), lambda: tinycnn.ones(2, 2) @ tinycnn.ones(2, 2)):
    try:
        with tinycnn.autocast("cpu"):
            make()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=pathlib.Path(tinycnn.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == 2 * [
        "bfloat16 needs the package ml_dtypes, which tells NumPy of it: pip install ml_dtypes"
    ]


# ---- networks --------------------------------------------------------------------------------------------------------


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(144, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4),
    )  # fmt: skip


def batch() -> tuple[Tensor, Tensor]:
    """Images of which each class is bright in another quarter."""
    y = tinycnn.arange(32) % 4
    x = tinycnn.rand(32, 1, 20, 20)
    for i, label in enumerate(y.tolist()):
        x[i, 0, 10 * (label // 2) :][:10, 10 * (label % 2) :][:, :10] += 1.0
    return x, y


def test_autocast_lowers_the_loss() -> None:
    tinycnn.manual_seed(0)
    net, (x, y) = lenet(), batch()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    trainer = train.Trainer(net, optimizer, amp_dtype=BF16)
    assert trainer.scaler is None
    losses = [float(trainer.train_step(x, y)) for _ in range(12)]
    assert losses[-1] < 0.3 * losses[0]
    assert {p.dtype for p in net.parameters()} == {SINGLE}


def test_a_network_of_it_trains_and_is_saved(tmp_path: pathlib.Path) -> None:
    tinycnn.manual_seed(0)
    net, (x, y) = lenet().bfloat16(), batch()
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(net(x.bfloat16()), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    assert {p.dtype for p in net.parameters()} == {BF16}
    assert {s.dtype for state in optimizer.state.values() for s in state.values() if isinstance(s, Tensor)} == {SINGLE}
    train.save_checkpoint(tmp_path / "net.safetensors", net, optimizer)
    found = train.load_checkpoint(tmp_path / "net.safetensors").model
    for name, tensor in net.state_dict().items():
        assert found[name].dtype is tensor.dtype
        assert bool((found[name] == tensor).all())
    single = train.load_weights(lenet(), tmp_path / "net.safetensors")  # rounded numbers are as good as any
    assert {p.dtype for p in single.parameters()} == {SINGLE}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_optimizers_step_in_single_precision(name: str) -> None:
    steps = {}
    for kind in (BF16, SINGLE):
        w = tinycnn.tensor([1.0, -2.0, 0.5, 3.0]).to(kind).requires_grad_()
        optimizer = getattr(optim, name)([w], lr=0.25, weight_decay=0.5)
        (w * w).sum().backward()
        optimizer.step()
        steps[kind] = w.detach().float()
    assert bool((steps[BF16] == steps[SINGLE].bfloat16().float()).all())


def test_gradients_are_unscaled_without_a_word() -> None:
    """As by PyTorch's scaler: bfloat16 does not need one, and float16 parameters are what it refuses."""
    w = tinycnn.tensor([1.0, 2.0], dtype=BF16, requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=0.5), tinycnn.amp.GradScaler(init_scale=8.0)
    scaler.scale((w * w).sum()).backward()
    scaler.step(optimizer)
    assert w.tolist() == [0.0, 0.0]
