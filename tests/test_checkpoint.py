"""Checkpoints of activations: the same numbers for less memory."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import tinycnn
from tinycnn import models, nn, no_grad
from tinycnn.autograd import grad, gradcheck, gradgradcheck
from tinycnn.utils.checkpoint import checkpoint, checkpoint_sequential


def _net() -> nn.Sequential:
    tinycnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 3, 3), nn.Tanh()
    )


def _step(net: nn.Sequential, x: tinycnn.Tensor, segments: int) -> tuple[Any, ...]:
    tinycnn.manual_seed(1)
    x = x.detach().requires_grad_()
    y = net(x) if segments == 0 else checkpoint_sequential(net, segments, x)
    (y * y).sum().backward()
    assert x.grad is not None
    return (y, x.grad, *(p.grad for p in net.parameters()), *net.buffers())


@pytest.mark.parametrize("segments", [1, 2, 3, 6])
def test_everything_is_the_same_to_the_bit(segments: int) -> None:
    """Outputs, gradients, the mask of dropout, moving statistics and the number of batches."""
    x = tinycnn.randn(2, 2, 6, 6)
    for a, b in zip(_step(_net(), x, 0), _step(_net(), x, segments), strict=True):
        assert (a == b).all()


def test_random_numbers_go_on_as_without() -> None:
    x = tinycnn.ones(100, requires_grad=True)
    drawn = []
    for run in (lambda f, x: f(x), checkpoint):
        tinycnn.manual_seed(3)
        y = run(lambda x: nn.functional.dropout(x), x)
        between = tinycnn.rand(3)
        y.sum().backward()
        drawn.append((between, tinycnn.rand(3)))
    for a, b in zip(*drawn, strict=True):
        assert (a == b).all()


def test_without_random_state_the_mask_is_another() -> None:
    x = tinycnn.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: nn.functional.dropout(x), x, preserve_rng_state=False)
    y.sum().backward()
    assert x.grad is not None and not (x.grad == y).all()


def test_gradients_of_all_orders() -> None:
    w = tinycnn.randn(3, 3, dtype=tinycnn.float64, requires_grad=True)
    x = tinycnn.randn(2, 3, dtype=tinycnn.float64, requires_grad=True)

    def f(x: tinycnn.Tensor) -> tinycnn.Tensor:
        return checkpoint(lambda x: (x @ w).tanh() ** 2, x)

    assert gradcheck(f, (x,)) and gradgradcheck(f, (x,))
    (plain,) = grad(((x @ w).tanh() ** 2).sum(), w)
    (again,) = grad(f(x).sum(), w)
    assert (plain == again).all()


def test_arguments_of_all_kinds() -> None:
    def f(x: tinycnn.Tensor, factor: float, indices: tinycnn.Tensor, *, shift: Any = None) -> tuple[Any, ...]:
        return x * factor + (0 if shift is None else shift), indices + 1, "words", x.detach()

    x, shift = tinycnn.ones(3, requires_grad=True), tinycnn.ones(3)
    y, indices, words, constant = checkpoint(f, x, 2.0, tinycnn.arange(3), shift=shift)
    assert indices.tolist() == [1, 2, 3] and words == "words" and not constant.requires_grad
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 2.0, 2.0]
    assert isinstance(checkpoint(lambda x: [x * 2], x), list)


def test_parameters_alone_get_gradients() -> None:
    layer = nn.Linear(3, 2)
    checkpoint(layer, tinycnn.ones(1, 3)).sum().backward()
    assert layer.weight.grad is not None and (layer.weight.grad == 1).all()


def test_nothing_is_recorded_without_gradients() -> None:
    layer = nn.Linear(3, 2)
    with no_grad():
        assert not checkpoint(layer, tinycnn.ones(1, 3)).requires_grad
    assert not checkpoint(lambda x: x * 2, tinycnn.ones(3)).requires_grad


def test_hooks_of_parameters_run_once() -> None:
    layer, seen = nn.Linear(3, 2), []
    layer.weight.register_hook(lambda g: seen.append(1) or g * 2)
    checkpoint(layer, tinycnn.ones(1, 3)).sum().backward()
    assert len(seen) == 1 and layer.weight.grad is not None and (layer.weight.grad == 2).all()


def test_nested() -> None:
    w = tinycnn.randn(4, 4, requires_grad=True)
    x = tinycnn.randn(2, 4, requires_grad=True)

    def inner(x: tinycnn.Tensor) -> tinycnn.Tensor:
        return (x @ w).relu()

    def outer(x: tinycnn.Tensor) -> tinycnn.Tensor:
        return checkpoint(inner, checkpoint(inner, x)).sum()

    plain = grad(inner(inner(x)).sum(), (x, w))
    for a, b in zip(plain, grad(checkpoint(outer, x), (x, w)), strict=True):
        assert (a == b).all()


def test_a_shared_parameter() -> None:
    w = tinycnn.randn(3, requires_grad=True)
    y = checkpoint(lambda x: x * w, w) + w
    y.sum().backward()
    assert w.grad is not None
    assert ((w.grad - (2 * w + 1)).abs() < 1e-6).all()


def test_mistakes() -> None:
    x = tinycnn.ones(3, requires_grad=True)
    hidden = x * 2
    with pytest.raises(RuntimeError, match="checkpoint: the function uses a result of Mul that is not among its arg"):
        checkpoint(lambda x: x * hidden, x)
    with pytest.raises(NotImplementedError, match="use_reentrant=True"):
        checkpoint(lambda x: x, x, use_reentrant=True)
    with pytest.raises(ValueError, match="segments must be between 1 and 2, got 3"):
        checkpoint_sequential([nn.ReLU(), nn.ReLU()], 3, x)
    y = checkpoint(lambda x: x * x, hidden)
    hidden.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.sum().backward()
    z = checkpoint(lambda x: x * x, x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        z.backward()


def _held(net: nn.Module, x: tinycnn.Tensor) -> int:
    """The bytes that the graph of a forward pass holds."""
    gc.collect()
    before = tinycnn.memory_stats()["allocated_bytes.all.current"]
    y = net(x)
    held = tinycnn.memory_stats()["allocated_bytes.all.current"] - before
    del y
    return held


def test_a_dense_block_keeps_less() -> None:
    tinycnn.manual_seed(0)
    dense = models.DenseBlock(6, 16, 16)
    efficient = models.DenseBlock(6, 16, 16, memory_efficient=True)
    efficient.load_state_dict(dense.state_dict())
    x = tinycnn.randn(4, 16, 24, 24, requires_grad=True)
    results = []
    for block in (dense, efficient):
        y = block(x)
        results.append((y, *grad((y * y).mean(), [x, *block.parameters()])))
    for a, b in zip(*results, strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()
    if tinycnn.get_kernels() == "fast":
        assert _held(efficient, x) < 0.4 * _held(dense, x)
