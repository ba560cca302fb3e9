"""Every network at full width beside the same network in PyTorch: logits, loss, all gradients, moving statistics.

PyTorch's networks are those of tinycnn/bench/torch_networks.py. What makes the comparison fair:

- An error counts against the largest entry of its own tensor. A convolution's bias in front of batch normalisation has
  a gradient of exactly zero, and what remains of it is rounding: it counts against the network's largest gradient.
- ReLU's slope jumps at zero. A rounding error that turns one of a million pixels over changes a gradient that sums over
  sixteen of them by a sixteenth: PyTorch's own float32 gradients of a ResNet-50 are up to 0.2 away from its float64
  ones. In float32, therefore, biases are such that no pixel lies within rounding of the kink, and the test asserts that
  PyTorch itself keeps within half the budget there. Over several steps, pixels cannot be kept where they are: there
  most channels are on as a whole, or off. In float64 biases are ordinary.
- The greatest of a window jumps too, where two are nearly equal. Which way such a pair falls depends on the order in
  which a processor's BLAS adds up: in float32, a network that differs is drawn anew, twice. What is wrong is so in
  every draw.
- A deep network of full-sized residual branches magnifies every rounding error: the branches are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from cases import kernel_sets

import tinycnn
from tinycnn import models

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests (pip install torch==2.13.0)")
torch_networks = pytest.importorskip("tinycnn.bench.torch_networks")
pytestmark = [pytest.mark.parity, pytest.mark.unmeasured]


BUDGET = {"float32": 1e-4, "float64": 1e-9}
DRAWS = {"float32": 3, "float64": 1}
ZERO = 1e-9  # a gradient of this part of the network's largest is nothing but rounding
# Small images, of which a deep network still leaves 2x2 pixels at its end: batch normalisation over fewer would magnify
# every rounding error. (33 is halved five times, rounding up: 17, 9, 5, 3, 2.)
IMAGES = {name: (4, 1, 64, 64) if name.startswith("densenet") else (4, 1, 33, 33) for name in models.available()} | {
    "mlp": (8, 1, 28, 28),
    "lenet": (8, 1, 28, 28),
    "lenet_bn": (16, 1, 28, 28),
    "alexnet": (4, 1, 65, 65),
    "nin": (4, 1, 67, 67),
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19"), (2, 1, 32, 32)),
}
NORMALISED = [name for name in models.available() if name.startswith(("lenet_bn", "resnet", "densenet"))]
HEAVY = {"resnet101", "resnet152", "densenet161", "densenet169", "densenet201"}


def case(name: str, shape: tuple[int, ...] | None = None, **options: Any) -> Any:
    """Options under which the network takes images of the shape, without dropout."""
    shape = shape or IMAGES[name]
    known = models.get(name).options
    if "dropout" in known:
        options["dropout"] = 0.0
    if "image_size" in known:
        options["image_size"] = shape[2:]
    if shape[1] != 1:
        options["in_channels"] = shape[1]
    return name, shape, options


def both(
    name: str, shape: tuple[int, ...], options: dict[str, Any], dtype: str, steps: int = 1, seed: int = 0
) -> tuple[Any, ...]:
    """The two networks with the same weights, fit for so many steps, and images with labels."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    images, labels = rng.standard_normal(shape), rng.integers(0, options.get("num_classes", 10), shape[0])
    theirs = torch_networks.build(name, **options).double()
    for module in theirs.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
    quieten_branches(theirs)
    if dtype == "float32" and not name.startswith("lenet"):  # sigmoids have no kink
        if steps == 1:
            keep_off_kinks(theirs, images)
        else:
            switch_channels(theirs)
    theirs = theirs.to(getattr(torch, dtype))
    ours = models.create(name, **options).to(getattr(tinycnn, dtype))
    torch_networks.copy_to_ours(theirs, ours)
    return ours, theirs, images.astype(dtype), labels


def quieten_branches(net: Any) -> None:
    """Make each residual branch small beside its shortcut, the smaller the more of them there are.

    Otherwise the slope grows by a factor a block, and with it every rounding error, up to 1e6 in a ResNet-152.
    """
    blocks = residual_blocks(net)
    for block in blocks:
        torch.nn.init.uniform_(last_norm(block).weight, 0.5 / len(blocks), 1.5 / len(blocks))


def residual_blocks(net: Any) -> list[Any]:
    return [m for m in net.modules() if type(m).__name__ in {"_Residual", "_Bottleneck"}]


def last_norm(block: Any) -> Any:
    return block.bn2 if type(block).__name__ == "_Residual" else block.bn3


def keep_off_kinks(net: Any, images: Any) -> None:
    """Shift what comes before each ReLU so that no pixel lies within rounding of zero."""

    def middles(y: Any) -> Any:
        """Per channel the middle of the widest gap between its values, those at the ends left out."""
        values = y.transpose(0, 1).flatten(1).sort(dim=1).values
        end = values.shape[1] // 4
        inner = values[:, end : values.shape[1] - end]
        where = inner.diff(dim=1).argmax(dim=1, keepdim=True)
        return (inner.gather(1, where) + inner.gather(1, where + 1)).flatten() / 2

    def shift(layer: Any, _: Any, y: Any) -> Any:
        middle = middles(y)
        layer.bias -= middle
        return y - middle.reshape(1, -1, *(1,) * (y.ndim - 2))

    def shift_sum(block: Any, inputs: Any, _: Any) -> Any:
        """The same for the ReLU behind the sum of shortcut and branch, far above zero to see what it is."""
        last_norm(block).bias += 1e3
        total = type(block).forward(block, *inputs) - 1e3
        middle = middles(total)
        last_norm(block).bias -= 1e3 + middle
        return (total - middle.reshape(1, -1, 1, 1)).relu()

    blocks, modules = residual_blocks(net), list(net.modules())
    summed = {part for block in blocks for part in (last_norm(block), getattr(block, "bn4", block.bn3))}
    norms = [m for m in modules if isinstance(m, torch.nn.BatchNorm2d) and m not in summed]
    linear = [m for m in modules if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [layer.register_forward_hook(shift) for layer in norms or linear[:-1]]
    hooks += [block.register_forward_hook(shift_sum) for block in blocks]
    with torch.no_grad():
        net(torch.tensor(images))
    for hook in hooks:
        hook.remove()


def switch_channels(net: Any) -> None:
    """Give each channel a bias beside which its deviations are small: it is on for nearly all pixels, or off."""
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        off, size = torch.rand(norm.num_features) < 0.25, 1 + torch.rand(norm.num_features)
        norm.bias.data = torch.where(off, -size, size).double()
        norm.weight.data /= 3


def run(library: Any, net: Any, images: Any, labels: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Logits, loss and gradients; library is tinycnn or torch."""
    net.zero_grad()
    x = library.tensor(images, requires_grad=True)
    logits = net(x)
    loss = library.nn.functional.cross_entropy(logits, library.tensor(labels))
    loss.backward()
    found = {"logits": logits.detach(), "loss": loss.detach(), "images": x.grad}
    found |= {name: p.grad for name, p in zip(names, net.parameters(), strict=True)}
    return {name: np.asarray(value) for name, value in found.items()}


def worst_error(found: Any, expected: Any, truth: Any) -> tuple[float, str]:
    """The largest difference against the largest entry of its tensor; the float64 truth says which tensors are zero."""
    sizes = {name: np.abs(value).max() for name, value in truth.items()}
    steepest = max(size for name, size in sizes.items() if name not in {"logits", "loss"})
    worst = 0.0, ""
    for name, size in sizes.items():
        scale = steepest if size < ZERO * steepest else size
        error = float(np.abs(found[name] - expected[name]).max() / scale)
        worst = max(worst, (np.inf if np.isnan(error) else error, name))
    return worst


def check(name: str, shape: tuple[int, ...], options: dict[str, Any], dtype: str, sets: Sequence[str] = ("",)) -> None:
    """The comparison, with each of the sets of kernels; "" is that in use."""
    for seed in range(DRAWS[dtype]):
        different = difference(name, shape, options, dtype, sets, seed)
        if not different:
            return
    pytest.fail(different)


def difference(
    name: str, shape: tuple[int, ...], options: dict[str, Any], dtype: str, sets: Sequence[str], seed: int
) -> str:
    """What differs by more than rounding in the networks of a draw; nothing if all agrees."""
    ours, theirs, images, labels = both(name, shape, options, dtype, seed=seed)
    assert bool(list(theirs.buffers())) == (name in NORMALISED)
    names = [key for key, _ in ours.named_parameters()]
    expected = truth = run(torch, theirs, images, labels, names)
    if dtype == "float32":
        truth = run(torch, theirs.double(), images.astype("float64"), labels, names)
        loss, where = worst_error(expected, truth, truth)
        if loss >= BUDGET[dtype] / 2:
            return f"no fair comparison: PyTorch's own float32 loses {loss:.1e} at {where}"
    for kernels in sets:
        with tinycnn.use_kernels(kernels) if kernels else nullcontext():
            found = run(tinycnn, ours, images, labels, names)
        assert all(p.grad.dtype is p.dtype for p in ours.parameters())
        error, where = worst_error(found, expected, truth)
        if error >= BUDGET[dtype]:
            return f"{name}, {kernels or 'the'} kernels: relative error {error:.1e} at {where}"
    return ""


def test_pytorch_has_every_network() -> None:
    assert torch_networks.available() == models.available()


@pytest.mark.parametrize(
    ("name", "shape", "options"), [case(name) for name in models.available()], ids=models.available()
)
def test_float64(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    check(name, shape, options, "float64")


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [pytest.param(*case(name), id=name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in models.available()],
)
def test_float32(name: str, shape: tuple[int, ...], options: dict[str, Any], request: pytest.FixtureRequest) -> None:
    # What larger tiles round is enough to turn over one of VGG's 4,096 neurons, that nearest to its ReLU's kink.
    tinycnn.set_precision("strict")
    request.addfinalizer(lambda: tinycnn.set_precision("fast"))
    check(name, shape, options, "float32", kernel_sets())


VARIANTS = {
    "mlp-deep": case("mlp", (8, 3, 12, 10), hidden=(64, 32), num_classes=7),
    "lenet-tanh": case("lenet", (8, 3, 20, 24), activation="tanh"),
    "lenet_bn-relu": case("lenet_bn", (8, 3, 32, 28), activation="relu"),
    "alexnet-norm": case("alexnet", (2, 3, 67, 65), local_response_norm=True, ratio=4, hidden=64),
    "vgg11-narrow": case("vgg11", (2, 3, 40, 32), ratio=4, hidden=64, num_classes=7),
    "nin-narrow": case("nin", (2, 3, 71, 67), ratio=4, num_classes=7),
    "googlenet-narrow": case("googlenet", (2, 3, 48, 65), ratio=4, num_classes=7),
    "resnet18-v2": case("resnet18", preactivation=True, ratio=4),
    "resnet18-paper": case("resnet18", bias=False, ratio=4),
    "resnet18-cifar": case("resnet18", (2, 3, 32, 32), stem="cifar", ratio=4),
    "resnet50-v2": case("resnet50", preactivation=True, ratio=4, num_classes=7),
    "resnet50-biases": case("resnet50", bias=True, ratio=4),
    "resnet50-cifar-v2": case("resnet50", (2, 3, 32, 32), stem="cifar", preactivation=True, ratio=4),
    "densenet-narrow": case("densenet", (2, 3, 48, 65), num_channels=16, growth_rate=8, arch=(2, 3, 1), num_classes=7),
    "densenet-bottleneck": case("densenet", arch=(2, 2), growth_rate=8, bottleneck=True, bias=False),
}


@pytest.mark.parametrize(("name", "shape", "options"), VARIANTS.values(), ids=VARIANTS)
def test_variants(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    check(name, shape, options, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in HEAVY)) for n in NORMALISED])
def test_moving_statistics_after_five_steps(name: str, dtype: str) -> None:
    ours, theirs, images, labels = both(*case(name), dtype, steps=5)
    settings = {"lr": 1e-3, "momentum": 0.9}
    for library, net in ((tinycnn, ours), (torch, theirs)):
        optimizer = library.optim.SGD(net.parameters(), **settings)
        for _ in range(5):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(net(library.tensor(images)), library.tensor(labels))
            loss.backward()
            optimizer.step()
        net.eval()
    worst = 0.0, ""
    with torch.no_grad(), tinycnn.no_grad():
        pairs = [("eval logits", ours(tinycnn.tensor(images)), theirs(torch.tensor(images)))]
    pairs += [(key, a, b) for (key, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True)]
    for key, a, b in pairs:
        found, expected = np.asarray(a), b.numpy()
        error = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
        worst = max(worst, (np.inf if np.isnan(error) else error, key))
    assert worst[0] < BUDGET[dtype], f"{name}: relative error {worst[0]:.1e} at {worst[1]}"
