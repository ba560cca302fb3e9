"""A layer and the activation behind it in one operation: the numbers of all apart, in networks too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "weight", "rest"),
    [
        ((2, 16, 9, 9), (20, 16, 3, 3), {"padding": 1}),
        ((2, 16, 9, 9), (20, 16, 3, 3), {"padding": 1, "stride": 2}),
        ((2, 6, 8, 8), (8, 6, 1, 1), {}),
        ((2, 1, 12, 12), (4, 1, 5, 5), {"padding": "same"}),
        ((2, 4, 7, 7), (8, 1, 3, 3), {"groups": 4}),
        ((3, 5, 5), (2, 3, 2, 2), {"dilation": 2}),
    ],
)
def test_convolution_and_relu(shape: Any, weight: Any, rest: Any, dtype: str, kernel_set: str) -> None:
    """The values to the bit, the gradients to rounding, and the same second derivatives."""
    leaves = [image(*sizes, dtype=dtype).requires_grad_() for sizes in (shape, weight, weight[:1])]
    together, apart = F.conv2d_relu(*leaves, **rest), F.relu(F.conv2d(*leaves, **rest))
    assert 0 < float((together > 0).float().mean().item()) < 1
    assert_alike(together, apart, leaves)


def assert_alike(together: Tensor, apart: Tensor, leaves: list[Tensor]) -> None:
    """To the bit; their gradients, recorded and not, and the gradients of these to rounding."""
    assert np.array_equal(together.detach().numpy(), apart.detach().numpy())
    single = together.dtype == tinycnn.float32
    g = image(*together.shape, dtype="float32" if single else "float64")
    for create_graph in (False, True):
        ours, theirs = (tinycnn.autograd.grad(y, leaves, g, retain_graph=True, create_graph=create_graph)
                        for y in (together, apart))  # fmt: skip
        for a, b in zip(ours, theirs, strict=True):
            assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-4 if single else 1e-12)
    twice = [tinycnn.autograd.grad((d[0] * d[1].sum()).sum(), leaves[:2]) for d in (ours, theirs)]
    for a, b in zip(*twice, strict=True):
        assert np.allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-2 if single else 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "weight", "rest"),
    [
        ((2, 6, 10, 10), (16, 6, 5, 5), {}),
        ((1, 1, 8, 8), (6, 1, 5, 5), {"padding": 2, "stride": (1, 2)}),
        ((4, 7, 7), (8, 1, 3, 3), {"groups": 4, "padding": "same"}),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_and_sigmoid(shape: Any, weight: Any, rest: Any, bias: bool, dtype: str, kernel_set: str) -> None:
    leaves = [image(*sizes, dtype=dtype) for sizes in (shape, weight, weight[:1])[: 3 if bias else 2]]
    assert_alike(F.conv2d_sigmoid(*leaves, **rest), F.sigmoid(F.conv2d(*leaves, **rest)), leaves)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["relu", "sigmoid"])
def test_linear_and_its_activation(name: str, shape: Any, bias: bool, dtype: str, kernel_set: str) -> None:
    leaves = [image(*sizes, dtype=dtype) for sizes in (shape, (5, 7), (5,))[: 3 if bias else 2]]
    together, apart = getattr(F, f"linear_{name}")(*leaves), getattr(F, name)(F.linear(*leaves))
    assert_alike(together, apart, leaves)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, w, b = image(3, 4).detach(), image(2, 4), image(2).detach()
    y = F.linear_sigmoid(x, w, b)
    assert y.grad_fn.needs_input_grad == (False, True, False)
    (gw,) = tinycnn.autograd.grad(y.sum(), (w,))
    assert np.allclose(gw.numpy(), tinycnn.autograd.grad(F.sigmoid(F.linear(x, w, b)).sum(), (w,))[0].numpy())
    assert not F.linear_sigmoid(x, w.detach(), b).requires_grad


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 8, 3), nn.Linear(7, 5)], ids=["conv", "linear"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Sigmoid()], ids=["relu", "sigmoid"])
def test_half_precision_and_autocast(
    layer: nn.Module, activation: nn.Module, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, net = getattr(tinycnn, dtype), nn.Sequential(layer, activation)
    x = image(2, 3, 7, 7, dtype="float32")
    found = []
    for run in (net, lambda x: activation(layer(x))):
        with tinycnn.autocast("cpu", dtype=kind):
            y = run(x)
        assert y.dtype == kind
        found.append([y.detach(), *tinycnn.autograd.grad(y, (x, *net.parameters()), tinycnn.ones_like(y))])
    assert count_fused(monkeypatch, lambda: net(x), type(layer)) == 1
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a.float().numpy(), b.float().numpy())


@pytest.mark.parametrize("name", ["linear_relu", "linear_sigmoid"])
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_numbers_that_are_not_floating_are_refused(dtype: str, name: str) -> None:
    x, w = (tinycnn.ones(2, 2, dtype=getattr(tinycnn, dtype)) for _ in "xw")
    with pytest.raises(TypeError, match=f"{name}: input must be floating, got"):
        getattr(F, name)(x, w)


@pytest.mark.parametrize("name", ["conv2d_sigmoid", "linear_relu", "linear_sigmoid"])
def test_errors_name_the_operation(name: str) -> None:
    x, w = (image(1, 2, 4, 4), image(3, 5, 2, 2)) if name == "conv2d_sigmoid" else (image(4, 2), image(3, 5))
    with pytest.raises((ValueError, RuntimeError), match=rf"{name}: .*2.* (channels|features).*5"):
        getattr(F, name)(x, w)


def test_a_saved_output_that_was_written_into_is_found_out() -> None:
    x, w = image(3, 4), image(2, 4)
    y = F.linear_sigmoid(x, w)
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.sum().backward()


def test_a_gradient_that_is_a_part_of_another_passes_the_gate() -> None:
    """As behind joined branches."""
    x, w, b = (image(*sizes).requires_grad_() for sizes in ((2, 4, 6, 6), (5, 4, 3, 3), (5,)))
    found = []
    for branch in (F.conv2d_relu(x, w, b, padding=1), F.relu(F.conv2d(x, w, b, padding=1))):
        joined = tinycnn.cat((branch, x, branch), 1)
        found.append(tinycnn.autograd.grad(joined, (x, w, b), image(*joined.shape)))
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours.numpy(), theirs.numpy(), atol=1e-12)


def count_fused(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], object], layer: type[nn.Module] = nn.BatchNorm2d
) -> int:
    """How often a layer of this class did its activation's work too."""
    calls = []
    with monkeypatch.context() as patch:
        for name in ("forward_relu", "forward_sigmoid"):
            if fused := getattr(layer, name, None):
                patch.setattr(layer, name, lambda *args, fused=fused: calls.append(1) or fused(*args))
        run()
    return len(calls)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alexnet", (2, 2)),
        ("vgg11", (3, 2)),
        ("nin", (12, 0)),
        ("googlenet", (55, 0)),
        ("lenet", (2, 2)),
        ("mlp", (0, 1)),
    ],
)
def test_networks_bend_as_they_go(name: str, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    small = name in ("lenet", "mlp")
    net = models.create(name, **({} if small else {"ratio": 16})).eval()
    size = 28 if small else 96 if name == "googlenet" else 224
    x = tinycnn.randn(1, *net.input_shape[:1], size, size)
    with tinycnn.no_grad():
        found = tuple(count_fused(monkeypatch, lambda: net(x), layer) for layer in (nn.Conv2d, nn.Linear))
        assert found == expected
        step = x
        for layer in net:  # as a reader goes through it, layer by layer
            step = layer(step)
        assert np.array_equal(net(x).numpy(), step.numpy())


def test_hooks_see_what_a_convolution_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    x, net = tinycnn.randn(2, 3, 5, 5), nn.Sequential(nn.Conv2d(3, 4, 3, padding_mode="reflect", padding=1), nn.ReLU())
    expected = net(x).detach().numpy()
    assert count_fused(monkeypatch, lambda: net(x), nn.Conv2d) == 1
    seen: list[Tensor] = []
    net[0].register_forward_hook(lambda module, args, y: seen.append(y))
    assert np.allclose(net(x).detach().numpy(), expected, atol=1e-6)
    assert count_fused(monkeypatch, lambda: net(x), nn.Conv2d) == 0
    assert float(seen[0].min().item()) < 0  # before the ReLU


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), nn.Conv2d(2, 3, 2)], ids=["linear", "conv"])
def test_hooks_see_what_a_layer_gave_its_sigmoid(layer: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    x, net = tinycnn.randn(1, 2, 4, 5, requires_grad=True), nn.Sequential(layer, nn.Sigmoid())
    seen: list[Tensor] = []
    expected = net(x).detach().numpy()
    assert count_fused(monkeypatch, lambda: net(x), type(layer)) == 1
    with net[0].register_forward_hook(lambda module, args, y: seen.append(y)):
        assert count_fused(monkeypatch, lambda: net(x), type(layer)) == 0
    with net[1].register_forward_hook(lambda module, args, y: seen.append(args[0])):
        assert count_fused(monkeypatch, lambda: net(x), type(layer)) == 0
    gradients: list[Tensor] = []
    with net[1].register_full_backward_hook(lambda module, g_in, g_out: gradients.extend([*g_in, *g_out])):
        net(x).sum().backward()
    assert np.allclose(gradients[0].numpy(), expected * (1 - expected), atol=1e-6)
    assert (gradients[1].numpy() == 1).all()
    for y in seen:
        assert np.array_equal(F.sigmoid(y).detach().numpy(), expected)
    net[0].forward = lambda x: x - 100
    assert float(net(x).max().item()) < 1e-6


def test_a_layer_of_a_class_of_its_own_is_called() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    class Halved(nn.Sigmoid):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) / 2

    x, plain = tinycnn.randn(4, 3), nn.Linear(3, 2)
    doubled = Doubled(3, 2)
    doubled.load_state_dict(plain.state_dict())
    expected = F.sigmoid(2 * plain(x)).detach().numpy()
    assert np.array_equal(nn.Sequential(doubled, nn.Sigmoid())(x).detach().numpy(), expected)
    assert np.array_equal(nn.Sequential(doubled, Halved())(x).detach().numpy(), expected / 2)


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


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)])
def test_pooling_before_the_relu_is_pooling_behind_it(pool: nn.MaxPool2d, kernel_set: str) -> None:
    """To the bit, also where a window has nothing above zero, where it is padded, and where it has a NaN."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), pool)
    x = tinycnn.randn(2, 2, 9, 9, requires_grad=True)
    net[0].weight.data -= 0.2
    found = [
        (y.detach(), *tinycnn.autograd.grad(y, (x, *net.parameters()), tinycnn.ones_like(y)))
        for y in (net(x), pool(F.relu(net[0](x))))
    ]
    assert 0.1 < float((found[0][0] == 0).float().mean().item()) < 0.9
    for a, b in zip(*found, strict=True):
        assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)
    assert np.array_equal(found[0][0].numpy(), found[1][0].numpy())
    with tinycnn.no_grad():
        x[0, 0, 4, 4] = float("nan")
    assert np.array_equal(net(x).detach().numpy(), pool(F.relu(net[0](x))).detach().numpy(), equal_nan=True)


def test_hooks_on_what_changes_places(monkeypatch: pytest.MonkeyPatch) -> None:
    x, seen = tinycnn.randn(1, 1, 6, 6), []
    for watched, sizes in ((1, [(1, 1, 6, 6), (1, 1, 6, 6)]), (2, [(1, 1, 6, 6), (1, 1, 3, 3)])):
        net = nn.Sequential(nn.Identity(), nn.ReLU(), nn.MaxPool2d(2))
        net[watched].register_forward_hook(lambda module, args, y: seen.extend([args[0], y]))
        net(x)
        assert [tuple(t.shape) for t in seen] == sizes
        assert float(seen[-1].min().item()) >= 0
        seen.clear()
    places = nn.Sequential(nn.Identity(), nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
    y, where = places(-tinycnn.ones(1, 1, 2, 2))
    assert (y.item(), where.item()) == (0, 0)
