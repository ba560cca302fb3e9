"""Images joined in place: what `cat` gives, in value, gradient and meaning, and nobody can write over it unnoticed."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, models, nn
from tinycnn.autograd import grad
from tinycnn.backend.cpu import CpuBackend
from tinycnn.ops.joined import Joined
from tinycnn.utils.checkpoint import checkpoint

Build = Callable[..., models.DenseBlock]


def block(**options: Any) -> models.DenseBlock:
    """A dense block whose images are wide enough for the fast kernels to read them where they lie."""
    tinycnn.manual_seed(1)
    return models.DenseBlock(3, 33, 5, **options)


def image(*shape: int, dtype: str = "float32") -> Tensor:
    rng = np.random.default_rng(sum(shape))
    return tinycnn.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True)


def both_ways(monkeypatch: pytest.MonkeyPatch, run: Callable[[], list[Any]]) -> tuple[list[Any], list[Any]]:
    """What run() gives where images are joined in place, and where `cat` joins them."""
    found = []
    for in_place in (True, False):
        monkeypatch.setattr(CpuBackend, "joins_in_place", in_place)
        tinycnn.manual_seed(0)
        found.append([x.detach().float().numpy() if isinstance(x, Tensor) else x for x in run()])
    return found[0], found[1]


def assert_same(a: list[Any], b: list[Any], error: float) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=error, atol=error * np.abs(y).max(initial=0))


def first_order(net: nn.Module, x: Tensor) -> list[Tensor]:
    y = net(x)
    leaves = [x, *(p for p in net.parameters() if p.requires_grad)]
    return [y, *grad((y * image(*y.shape).to(y.dtype)).sum(), leaves), *net.buffers()]


WAYS: dict[str, Callable[[], list[Any]]] = {
    "training": lambda: first_order(block(), image(2, 33, 6, 5)),
    "bottleneck": lambda: first_order(block(bottleneck=True, bias=False), image(2, 33, 6, 5)),
    "float64": lambda: first_order(block().double(), image(2, 33, 6, 5, dtype="float64")),
    "few channels": lambda: first_order(models.DenseBlock(3, 2, 3), image(2, 2, 6, 5)),
    "large": lambda: first_order(block(), image(4, 33, 24, 25)),
    "evaluation": lambda: first_order(block().eval(), image(2, 33, 6, 5)),
    "memory-efficient": lambda: first_order(block(memory_efficient=True), image(2, 33, 6, 5)),
    "checkpoint": lambda: first_order(Checkpointed(block()), image(2, 33, 6, 5)),
    "layers in checkpoints": lambda: first_order(with_layers(block(), Checkpointed), image(2, 33, 6, 5)),
    "frozen": lambda: first_order(block().requires_grad_(False), image(2, 33, 6, 5)),
    "planes": lambda: first_order(block(), image(2, 33, 6, 5).permute(0, 1, 3, 2).detach().requires_grad_()),
    "no images": lambda: first_order(block().eval(), image(0, 33, 6, 5)),
}


class Checkpointed(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.inner, x)
        return y


def with_layers(net: models.DenseBlock, wrapped: Callable[[nn.Module], nn.Module]) -> models.DenseBlock:
    net.net = nn.Sequential(*map(wrapped, net.net))
    return net


@pytest.mark.parametrize("way", WAYS)
def test_a_dense_block_is_the_same(way: str, kernel_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = both_ways(monkeypatch, WAYS[way])
    to_the_bit = kernel_set == "fast" and way != "few channels"  # whose pixels are folded when they are copied
    assert_same(a, b, 0 if to_the_bit else 1e-5)


def test_a_second_order(kernel_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        net, x = block().double(), image(2, 33, 4, 3, dtype="float64")
        leaves = [x, *net.parameters()]
        slopes = grad((net(x) ** 3).sum(), leaves, create_graph=True)
        return [*slopes, *grad(sum(((s * s).sum() for s in slopes), tinycnn.zeros(())), leaves, allow_unused=True)]

    a, b = both_ways(monkeypatch, run)
    assert_same([x for x in a if x is not None], [x for x in b if x is not None], 1e-9)


@pytest.mark.parametrize("twice", [False, True])
def test_gradients_by_finite_differences(twice: bool, kernel_set: str) -> None:
    def run(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        joined = Joined(x * x, 6)
        first = joined.append(y * y)
        joined.append(z * joined.images.sum(1, keepdim=True) + first[:, :1])
        return joined.images * joined.images

    tensors = [image(2, c, 2, 2, dtype="float64") for c in (2, 3, 1)]
    check = tinycnn.autograd.gradgradcheck if twice else tinycnn.autograd.gradcheck
    assert check(run, tensors)


def test_backward_twice_over_one_graph() -> None:
    net, x = block(), image(2, 33, 6, 5)
    loss = (net(x) ** 2).sum()
    leaves = [x, *net.parameters()]
    for a, b in zip(grad(loss, leaves, retain_graph=True), grad(loss, leaves), strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_without_a_graph(kernel_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        with tinycnn.no_grad():
            return [block()(image(2, 33, 6, 5)), block().eval()(image(2, 33, 6, 5))]

    a, b = both_ways(monkeypatch, run)
    assert_same(a, b, 0 if kernel_set == "fast" else 1e-5)


@pytest.mark.parametrize("dtype", [tinycnn.bfloat16, tinycnn.float16])
def test_under_autocast(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions give half precision, which is joined to single: that is no reason to copy."""

    def run() -> list[Any]:
        net, x = block(), image(2, 33, 6, 5)
        with tinycnn.autocast("cpu", dtype):
            y = net(x)
        assert y.dtype is tinycnn.float32
        return [y, *grad((y * y).sum(), [x, *net.parameters()])]

    a, b = both_ways(monkeypatch, run)
    assert_same(a, b, 0)
    half = block().to(dtype)
    assert half(image(2, 33, 6, 5).to(dtype)).dtype is dtype


def test_hooks_see_and_change_what_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        seen: list[Any] = []
        net, x = nn.Sequential(nn.Conv2d(33, 33, 1), block()), image(2, 33, 6, 5)
        layers = net[1].net
        layers[1].register_forward_pre_hook(lambda _, args: (args[0] * 2,))
        layers[2].register_forward_hook(lambda _, args, y: y.clamp(-1, 1))

        def look(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            args[0].retain_grad()
            args[0].register_hook(lambda g: seen.append(g) or g * 0.5)
            seen.append(args[0])

        for layer in layers:
            layer.register_forward_pre_hook(look)
        found = first_order(net, x)
        return [*found, *seen, *(s.grad for s in seen[:3])]

    a, b = both_ways(monkeypatch, run)
    assert_same(a, b, 0)


def inputs_of_layers(net: models.DenseBlock, x: Tensor) -> tuple[list[Tensor], Tensor]:
    seen: list[Tensor] = []
    handles = [layer.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for layer in net.net]
    y = net(x)
    for handle in handles:
        handle.remove()
    return seen, y


def test_layers_see_the_beginning_of_one_memory(kernel_set: str) -> None:
    x = image(2, 33, 6, 5)
    seen, y = inputs_of_layers(block(), x)
    assert [s.shape[1] for s in seen] == [33, 38, 43] and y.shape[1] == 48
    assert y.is_contiguous(memory_format=tinycnn.channels_last)
    assert not np.shares_memory(y.array, x.array)
    for s in seen:
        assert np.shares_memory(s.array, y.array)
        assert np.array_equal(s.array, y.array[:, : s.shape[1]])


@pytest.mark.parametrize("recorded", [True, False])
def test_what_a_layer_sees_cannot_be_written(recorded: bool) -> None:
    """It lies in the memory of what other layers saw, and will see."""
    net, x = block(), image(2, 33, 6, 5)
    net.net[1].register_forward_pre_hook(lambda _, args: args[0].mul_(2) and None)
    with tinycnn.set_grad_enabled(recorded), pytest.raises(RuntimeError, match=r"read-only memory; clone\(\) it"):
        net(x)
    seen, _ = inputs_of_layers(block(), x)
    for write in (lambda s: s[:, :1].zero_(), lambda s: s.detach().add_(1), lambda s: s.data.fill_(0)):
        with tinycnn.no_grad(), pytest.raises(RuntimeError, match=r"read-only memory; clone\(\) it"):
            write(seen[0])
    with pytest.raises(ValueError, match="read-only"):
        seen[0].detach().numpy()[...] = 0
    seen[0].clone().mul_(2)


def test_writing_the_output_is_noticed_where_it_matters() -> None:
    """What the layers saw changes with it, as a view would: backward must not take it for what it was."""
    net, x = block(), image(2, 33, 6, 5)
    y = net(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.sum().backward()
    y = net(x).clone()
    y.mul_(2)
    y.sum().backward()
    with tinycnn.no_grad():
        before = net(x)
        assert np.array_equal(net(x).mul_(2).numpy(), (before * 2).numpy())


def test_writing_the_input_afterwards_does_not_matter() -> None:
    net = block()
    hidden = image(2, 33, 6, 5) * 1
    expected = grad((net(hidden) ** 2).sum(), list(net.parameters()))
    y = net(hidden)
    hidden.zero_()
    for a, b in zip(grad((y**2).sum(), list(net.parameters())), expected, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_a_block_is_copied_and_called_again() -> None:
    net, x = block(), image(2, 33, 6, 5)
    y = net(x)
    before = y.detach().clone()
    twin = copy.deepcopy(net)
    other = twin(x * 3)
    assert not np.shares_memory(other.array, y.array)
    assert np.array_equal(y.detach().numpy(), before.numpy())
    assert np.array_equal(twin(x).detach().numpy(), before.numpy())


def test_memory_that_nobody_wrote_is_not_read(kernel_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tinycnn.backend.get_backend("cpu").empty

    def poisoned(*args: Any) -> Any:
        array = empty(*args)
        array.fill(np.nan)
        return array

    expected = first_order(block(), image(2, 33, 6, 5))
    monkeypatch.setattr(tinycnn.backend.get_backend("cpu"), "empty", poisoned)
    for a, b in zip(first_order(block(), image(2, 33, 6, 5)), expected, strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_nan_stays_where_it_is() -> None:
    joined = Joined(tinycnn.full((1, 1, 2, 2), float("nan")), 3)
    joined.append(tinycnn.ones(1, 1, 2, 2))
    joined.append(tinycnn.full((1, 1, 2, 2), float("nan")))
    assert joined.images.isnan().all(dim=3).all(dim=2).tolist() == [[True, False, True]]


def test_less_memory_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    if tinycnn.get_kernels() != "fast":
        pytest.skip("the reference kernels' arrays are not the pool's")

    def run() -> list[Any]:
        net, x = models.DenseBlock(8, 64, 16), nn.Conv2d(1, 64, 1)(image(4, 1, 16, 16))
        gc.collect()
        before = tinycnn.memory_stats()["allocated_bytes.all.current"]
        y = net(x)
        held = tinycnn.memory_stats()["allocated_bytes.all.current"] - before
        return [held] if y.requires_grad else []

    (in_place,), (by_cat,) = both_ways(monkeypatch, run)
    copies = sum(4 * 16 * 16 * 4 * (64 + 16 * i) for i in range(1, 8))  # of what layers see; x is copied once
    assert by_cat - in_place > 0.9 * (copies - 4 * 16 * 16 * 4 * 64)


def test_checkpoints_keep_no_more_than_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = block(memory_efficient=True), image(2, 33, 6, 5)
    seen: list[Any] = []
    module = sys.modules[models.DenseBlock.__module__]
    monkeypatch.setattr(module, "checkpoint", lambda layer, *xs: seen.append(xs) or checkpoint(layer, *xs))
    y = net(x)
    assert [len(xs) for xs in seen] == [1, 1, 1]
    assert all(np.shares_memory(xs[0].array, y.array) for xs in seen)


def test_joined_by_hand() -> None:
    x, y, z = image(2, 3, 4, 5), image(2, 2, 4, 5), image(2, 1, 4, 5)
    joined = Joined(x, 6)
    for more in (y, z):
        before = joined.images
        assert joined.append(more) is joined.images
        assert np.shares_memory(before.array, joined.images.array)
    assert np.array_equal(joined.images.detach().numpy(), tinycnn.cat((x, y, z), 1).detach().numpy())
    assert joined.in_place and joined.images.grad_fn.name == "Cat"


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (lambda: image(2, 3, 4, 5), lambda: image(2, 4, 4, 5)),  # no room
        (lambda: image(2, 3, 4, 5), lambda: image(2, 2, 4, 5, dtype="float64")),
        (lambda: image(2, 3, 4, 5).half(), lambda: image(2, 2, 4, 5).half()),
        (lambda: image(2, 3, 4, 5).to(tinycnn.bfloat16), lambda: image(2, 2, 4, 5)),
        (lambda: tinycnn.ones(2, 3, 4, 5, dtype=tinycnn.int64), lambda: image(2, 2, 4, 5)),
        (lambda: image(2, 6, 4, 5), lambda: image(2, 1, 4, 5)),  # full already
        (lambda: image(2, 7, 4, 5), lambda: image(2, 1, 4, 5)),
        (lambda: image(2, 3, 4), lambda: image(2, 2, 4)),
        (lambda: image(2, 3, 4, 5), lambda: tinycnn.zeros(0)),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_in_place_is_copied(first: Callable[[], Tensor], more: Callable[[], Tensor]) -> None:
    x, y = first(), more()
    joined = Joined(x, 6)
    joined.append(y)
    again = joined.append(y)
    expected = tinycnn.cat((x, y, y), 1)
    assert again.dtype is expected.dtype
    assert np.array_equal(again.detach().float().numpy(), expected.detach().float().numpy())
    assert not np.shares_memory(again.array, x.array)
    again.detach().zero_()
    assert np.array_equal(joined.images.detach().float().numpy(), 0 * expected.detach().float().numpy())


def test_single_precision_takes_what_is_narrower() -> None:
    joined = Joined(image(1, 2, 3, 3), 4)
    before = joined.images
    halves = image(1, 1, 3, 3).half().detach().requires_grad_()
    y = joined.append(halves)
    assert np.shares_memory(before.array, y.array)
    assert grad(y.sum(), [halves])[0].dtype is tinycnn.float16
    assert np.shares_memory(before.array, joined.append(tinycnn.ones(1, 1, 3, 3, dtype=tinycnn.int64)).array)


def test_mistakes() -> None:
    for wrong, error, message in (
        (image(2, 2, 4, 4), ValueError, r"cat: shapes \(2, 3, 4, 5\), \(2, 2, 4, 4\) differ elsewhere"),
        (image(1, 2, 4, 5), ValueError, "differ elsewhere than in dimension 1"),
        (image(2, 2, 4), ValueError, "differ elsewhere than in dimension 1"),
        ((image(2, 2, 4, 5),), TypeError, "cat: expected a list or tuple of tensors, got Tensor, tuple"),
    ):
        with pytest.raises(error, match=message):
            Joined(image(2, 3, 4, 5), 9).append(wrong)  # type: ignore[arg-type]
