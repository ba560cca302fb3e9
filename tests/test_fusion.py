"""Batch norm, shortcut and ReLU in one operation: the numbers of the three apart, wherever a network does so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, models, nn
from tinycnn.nn import functional as F


def image(*shape: int, dtype: str = "float64") -> Tensor:
    rng = np.random.default_rng(sum(shape))
    return tinycnn.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True)


def gradients(y: Tensor, *leaves: Tensor) -> list[np.ndarray]:
    cotangent = np.random.default_rng(5).standard_normal(y.shape).astype(y.detach().numpy().dtype)
    found = tinycnn.autograd.grad(y, leaves, tinycnn.tensor(cotangent))
    return [y.detach().numpy(), *(g.numpy() for g in found)]


@pytest.mark.parametrize("shape", [(2, 1, 3, 3), (3, 5, 4, 2), (2, 40, 5, 5), (1, 3, 7, 7)])
@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("float64", 1e-12)])
def test_it_is_the_three_apart(
    shape: tuple[int, ...], with_shortcut: bool, dtype: str, error: float, kernel_set: str
) -> None:
    channels = shape[1]
    leaves = [
        image(*shape, dtype=dtype),
        image(channels, dtype=dtype),
        image(channels, 1, dtype=dtype).reshape(channels),
    ]
    leaves[2] = leaves[2].detach().requires_grad_()
    shortcut = image(*shape, dtype=dtype) if with_shortcut else None
    every = [*leaves, *([shortcut] if shortcut is not None else [])]
    running = [
        [tinycnn.zeros(channels, dtype=leaves[0].dtype), tinycnn.ones(channels, dtype=leaves[0].dtype)] for _ in "ab"
    ]
    together = F.batch_norm_relu(leaves[0], *running[0], *leaves[1:], True, shortcut=shortcut)
    y = F.batch_norm(leaves[0], *running[1], *leaves[1:], True)
    apart = F.relu(y if shortcut is None else y + shortcut)
    for a, b in zip(gradients(together, *every), gradients(apart, *every), strict=True):
        assert np.abs(a - b).max() <= error * max(1, np.abs(b).max())
    for a, b in zip(*running, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_nan_stays() -> None:
    x = image(2, 3, 2, 2).detach()
    x[0, 1] = float("nan")
    y = F.batch_norm_relu(x, None, None, training=True).numpy()
    assert np.isnan(y[:, 1]).all()
    assert not np.isnan(y[:, [0, 2]]).any()


def test_an_image_of_other_strides_and_a_read_only_one() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    expected = F.batch_norm_relu(tinycnn.tensor(x), None, None, training=True).numpy()
    turned = tinycnn.from_numpy(np.ascontiguousarray(x[:, :, ::-1])).flip(2)
    assert np.allclose(F.batch_norm_relu(turned, None, None, training=True).numpy(), expected, atol=1e-14)
    shortcut = tinycnn.tensor(x[:1]).expand(2, 3, 4, 4)
    y = F.batch_norm_relu(tinycnn.tensor(x), None, None, training=True, shortcut=shortcut)
    plain = F.batch_norm_relu(tinycnn.tensor(x), None, None, training=True, shortcut=shortcut.clone())
    assert np.array_equal(y.numpy(), plain.numpy())


def test_a_shortcut_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shortcut has shape \(2, 3, 1, 1\), input has \(2, 3, 2, 2\)"):
        F.batch_norm_relu(image(2, 3, 2, 2), None, None, training=True, shortcut=image(2, 3, 1, 1))
    with pytest.raises(ValueError, match="weight has shape"):
        F.batch_norm_relu(image(2, 3, 2, 2), None, None, image(2), training=True)


@pytest.mark.parametrize("training", ["no", 1, None])
def test_training_is_true_or_false(training: object) -> None:
    with pytest.raises(TypeError, match="batch_norm_relu: training must be True or False"):
        F.batch_norm_relu(image(2, 3, 4, 4), None, None, training=training)


def count_fused(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> int:
    calls = []
    fused = nn.BatchNorm2d.forward_relu
    monkeypatch.setattr(nn.BatchNorm2d, "forward_relu", lambda *args: calls.append(1) or fused(*args))
    run()
    return len(calls)


@pytest.mark.parametrize(("name", "expected"), [("resnet18", 17), ("resnet50", 49), ("densenet", 21), ("vgg11", 0)])
def test_networks_use_it(name: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = models.create(name, ratio=16) if name != "densenet" else models.densenet()
    x = tinycnn.zeros(2, *net.input_shape[:1], 224, 224) if name == "vgg11" else tinycnn.randn(2, 1, 64, 64)
    assert count_fused(monkeypatch, lambda: net(x)) == expected


def test_hooks_and_subclasses_see_their_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tinycnn.randn(4, 3, 5, 5)
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())
    seen: list[Tensor] = []
    assert count_fused(monkeypatch, lambda: net(x)) == 1
    handle = net[0].register_forward_hook(lambda module, args, y: seen.append(y))
    y = net(x)
    assert float(seen[-1].min().item()) < 0  # before the ReLU
    assert np.array_equal(F.relu(seen[-1]).detach().numpy(), y.detach().numpy())
    handle.remove()
    net[1].register_forward_hook(lambda module, args, y: seen.append(args[0]))
    net(x)
    assert float(seen[-1].min().item()) < 0

    class Doubled(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    doubled = nn.Sequential(Doubled(3), nn.ReLU())
    assert np.allclose(doubled(x).detach().numpy(), 2 * nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())(x).detach().numpy())
    patched = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())
    patched[0].forward = lambda x: x - 100
    assert float(patched(x).max().item()) == 0


def test_evaluation_adds_the_shortcut() -> None:
    x, shortcut = image(2, 3, 4, 4), image(2, 3, 4, 4)
    mean, var = tinycnn.zeros(3, dtype=x.dtype), tinycnn.ones(3, dtype=x.dtype)
    expected = F.relu(F.batch_norm(x, mean, var) + shortcut)
    assert F.batch_norm_relu(x, mean, var, shortcut=shortcut).tolist() == expected.tolist()


def test_evaluation_uses_the_running_statistics() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()).eval()
    x = image(2, 3, 4, 4, dtype="float32")
    expected = F.relu(x / (1 + 1e-5) ** 0.5).detach().numpy()
    assert np.allclose(net(x).detach().numpy(), expected, atol=1e-6)
    assert net[0].num_batches_tracked.item() == 0
