"""nn.utils: gradients are clipped as PyTorch clips them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

SHAPES = [(3, 2), (4,), (), (0, 3), (2, 3, 2, 2)]


def parameters(module: Any, dtype: str = "float64", scale: float = 1.0) -> list[Any]:
    """Parameters with gradients, the last without."""
    rng = np.random.default_rng(0)
    kind = getattr(module, dtype)
    ps = [module.zeros(shape, dtype=kind, requires_grad=True) for shape in [*SHAPES, (5,)]]
    for p in ps[:-1]:
        p.grad = module.tensor((np.asarray(rng.standard_normal(tuple(p.shape))) * scale).astype(dtype))
    return ps


def gradients(ps: list[Any]) -> list[np.ndarray]:
    assert ps[-1].grad is None
    return [p.grad.numpy() for p in ps[:-1]]


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf, "inf", 0.5])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0, 0.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6), ("float16", 2e-3)])
def test_clipping_by_norm(norm_type: Any, max_norm: float, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")
    ours, theirs = parameters(tinycnn, dtype), parameters(torch, dtype)
    if norm_type in (math.inf, "inf"):  # PyTorch knows no maximum of nothing
        ours, theirs = ([p for p in ps if p.numel()] for ps in (ours, theirs))
    a = nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(iter(theirs), max_norm, norm_type)
    assert a.shape == ()
    assert a.item() == pytest.approx(b.item(), rel=tolerance)
    for x, y in zip(gradients(ours), gradients(theirs), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parity
def test_norm_and_clipping_apart() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")
    results = []
    for module in (tinycnn, torch):
        ps = parameters(module)
        total = module.nn.utils.get_total_norm([p.grad for p in ps[:-1]])
        module.nn.utils.clip_grads_with_norm_(ps[:2], 0.5, total)
        results.append([np.asarray(total.item()), *gradients(ps)])
    for x, y in zip(*results, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parity
def test_clipping_by_value() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")
    ours, theirs = parameters(tinycnn), parameters(torch)
    nn.utils.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for x, y in zip(gradients(ours), gradients(theirs), strict=True):
        np.testing.assert_array_equal(x, y)


def test_large_float16_gradients_have_a_norm() -> None:
    ps = parameters(tinycnn, "float16", scale=1000.0)
    before = np.concatenate([g.astype("float64").ravel() for g in gradients(ps)])
    total = nn.utils.clip_grad_norm_(ps, 1.0)
    assert total.item() == pytest.approx(np.linalg.norm(before), rel=1e-3)
    after = np.concatenate([g.astype("float64").ravel() for g in gradients(ps)])
    assert np.linalg.norm(after) == pytest.approx(1.0, rel=1e-2)


def test_clipping_keeps_the_memory_and_infinite_norms_show() -> None:
    p = tinycnn.zeros(3, requires_grad=True)
    p.grad = tinycnn.tensor([1.0, math.inf, -2.0])
    memory = p.grad.array
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == math.inf
    assert p.grad.array is memory
    np.testing.assert_array_equal(p.grad.numpy(), [0.0, math.nan, -0.0])
    with pytest.raises(
        RuntimeError, match="clip_grad_norm_: the norm of the gradients is nan, so they cannot be clipped"
    ):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    with pytest.raises(RuntimeError, match="get_total_norm: the norm"):
        nn.utils.get_total_norm(p.grad, error_if_nonfinite=True)


def test_nothing_to_clip() -> None:
    p = tinycnn.zeros(3, requires_grad=True)
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 0
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad is None
    empty = tinycnn.zeros(0, dtype=tinycnn.float64)
    for norm_type in (2.0, math.inf):
        total = nn.utils.get_total_norm([empty], norm_type)
        assert total.item() == 0
        assert total.dtype is tinycnn.float64


def test_the_tutorials_own_clipping() -> None:
    net = nn.Linear(2, 1)
    (net(tinycnn.ones(1, 2)) * 10).sum().backward()

    def grad_clipping(net: nn.Module, theta: float) -> None:
        params = [p for p in net.parameters() if p.requires_grad]
        norm = tinycnn.sqrt(sum(tinycnn.sum(p.grad**2) for p in params))
        if norm > theta:
            for param in params:
                param.grad[:] *= theta / norm

    grad_clipping(net, 1.0)
    assert nn.utils.get_total_norm([p.grad for p in net.parameters()]).item() == pytest.approx(1.0, rel=1e-5)


def test_foreach_is_refused() -> None:
    p = tinycnn.zeros(3, requires_grad=True)
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        clip(p, 1.0, foreach=False)
        with pytest.raises(NotImplementedError, match=f"{clip.__name__}: foreach=True is not offered"):
            clip(p, 1.0, foreach=True)
