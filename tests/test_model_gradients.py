"""Whole networks: the gradients of every parameter of every network, narrowed, against measured slopes in float64.

A network's parameters p_i and its images move together along random directions d_i, each with a knob of its own:
f(t) = net(p_i + t_i d_i). `check_gradients` then compares backward's d<v, f>/dt_i with slopes measured from f alone.
The directions are scaled so that all those slopes are of a size: an error in the smallest of gradients shows as much
as one in the largest. Small networks are checked in every knob or in random mixtures of all; deep ones in three
mixtures.

Networks of sigmoids and tanhs are analytic and take the complex step. The others have kinks where a ReLU meets zero:
Richardson, from small steps, so that few of a hundred thousand ReLUs change sides, and a probe that meets one says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import models, nn
from tinycnn.autograd import check_gradients, check_second_gradients

Build = Callable[[], nn.Module]


def vgg(*depths: int) -> Build:
    arch = [(depth, width) for depth, width in zip(depths, (2, 3, 4, 4, 4), strict=True)]
    return lambda: models.vgg(arch, dropout=0, hidden=6, image_size=32)


def resnet(name: str, ratio: int, **options: Any) -> Build:
    return lambda: models.create(name, ratio=ratio, **options)


def densenet(*arch: int, growth_rate: int = 2) -> Build:
    """Of the published form: bottlenecks, no biases."""
    return lambda: models.densenet(num_channels=4, growth_rate=growth_rate, arch=arch, bottleneck=True, bias=False)


# Each network's own depth and form, a few channels wide, and the smallest of its images (or a little more, where batch
# normalisation would be left with single pixels).
NARROW: dict[str, tuple[Build, int]] = {
    "mlp": (lambda: models.mlp(hidden=(12, 8), image_size=6), 6),
    "lenet": (models.lenet, 28),
    "lenet_bn": (models.lenet_bn, 28),
    "alexnet": (lambda: models.alexnet(ratio=32, hidden=6, dropout=0, local_response_norm=True, image_size=65), 65),
    "vgg11": (vgg(1, 1, 2, 2, 2), 32),
    "vgg13": (vgg(2, 2, 2, 2, 2), 32),
    "vgg16": (vgg(2, 2, 3, 3, 3), 32),
    "vgg19": (vgg(2, 2, 4, 4, 4), 32),
    "nin": (lambda: models.nin(ratio=32, dropout=0), 67),
    "googlenet": (lambda: models.googlenet(ratio=16), 33),
    "resnet18": (resnet("resnet18", 16), 33),
    "resnet34": (resnet("resnet34", 16), 33),
    "resnet50": (resnet("resnet50", 16), 33),
    "resnet101": (resnet("resnet101", 16), 33),
    "resnet152": (resnet("resnet152", 16), 33),
    "densenet": (lambda: models.densenet(num_channels=4, growth_rate=2), 33),
    "densenet121": (densenet(6, 12, 24, 16), 33),
    "densenet161": (densenet(6, 12, 36, 24, growth_rate=3), 33),
    "densenet169": (densenet(6, 12, 32, 32), 33),
    "densenet201": (densenet(6, 12, 48, 32), 33),
}
VARIANTS: dict[str, tuple[Build, int]] = {
    "lenet-tanh": (lambda: models.lenet(activation="tanh"), 28),
    "resnet18-v2": (resnet("resnet18", 16, preactivation=True), 33),
    "resnet18-cifar": (resnet("resnet18", 16, stem="cifar", bias=False), 12),
    "resnet50-v2": (resnet("resnet50", 16, preactivation=True), 33),
}
ANALYTIC = {"lenet", "lenet_bn", "lenet-tanh"}
EPS, RTOL = 2**-14, 1e-6  # for the others: steps long beside rounding, and short beside the way to the next kink


class Knobs:
    """A network as a function of one vector t: parameter i is p_i + t_i d_i, and the last entry moves the images."""

    def __init__(self, build: Build, side: int, training: bool) -> None:
        rng = np.random.default_rng(0)
        self.net = prepared(build().double(), rng)
        self.mixing: tinycnn.Tensor | None = None
        self.images = tinycnn.tensor(rng.standard_normal((3, 1, side, side)))
        if not training:  # with moving statistics that are not those of this batch
            self.net(tinycnn.tensor(rng.standard_normal((3, 1, side, side))))
            self.net.eval()
        modules = list(self.net.modules())
        self.places = [(m._parameters, key) for m in modules for key, p in m._parameters.items() if p is not None]
        self.values = [members[key].detach() for members, key in self.places] + [self.images]
        draws = [tinycnn.tensor(rng.standard_normal(p.shape)) for p in self.values]
        self.directions = draws
        self.directions = [d / max(steepness, 1e-2) for d, steepness in zip(draws, self._steepness(rng), strict=True)]

    def __call__(self, t: tinycnn.Tensor) -> tinycnn.Tensor:
        if self.mixing is not None:
            t = self.mixing @ t
        moved = [p + t[i] * d for i, (p, d) in enumerate(zip(self.values, self.directions, strict=True))]
        for (members, key), p in zip(self.places, moved, strict=False):
            members[key] = p
        return self.net(moved[-1])

    def knobs(self) -> tinycnn.Tensor:
        """t = 0, one entry a parameter and one for the images."""
        return tinycnn.zeros(len(self.values), dtype=tinycnn.float64, requires_grad=True)

    def mixtures(self, count: int = 3) -> tinycnn.Tensor:
        """From now on f takes so many numbers, each of which turns all knobs, some up and some down."""
        signs = np.random.default_rng(1).choice([-1.0, 1.0], (len(self.values), count))
        self.mixing = tinycnn.tensor(signs / len(self.values) ** 0.5)
        return tinycnn.zeros(count, dtype=tinycnn.float64, requires_grad=True)

    def _steepness(self, rng: np.random.Generator) -> list[float]:
        """How long each gradient of a random mixture of the outputs is."""
        for p in self.values:
            p.requires_grad = True
        for (members, key), p in zip(self.places, self.values, strict=False):
            members[key] = p
        y = self.net(self.images)
        (y * tinycnn.tensor(rng.standard_normal(y.shape))).sum().backward()
        for p in self.values:
            p.requires_grad = False
        return [float((p.grad * p.grad).sum() ** 0.5) for p in self.values]


def prepared(net: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Weights that neither fade nor explode, and batch normalisation that scales and shifts."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.weight.data = tinycnn.tensor(rng.uniform(0.2, 0.6, module.weight.shape))
            module.bias.data = tinycnn.tensor(rng.normal(0, 0.2, module.bias.shape))
            module.momentum = 1.0  # the moving statistics are the last batch's
    return net


def test_every_network_is_checked() -> None:
    assert sorted(NARROW) == models.available()


NORMALISED = ("lenet_bn", "resnet", "densenet")
CASES = [(name, "train") for name in [*NARROW, *VARIANTS]]
CASES += [(name, "eval") for name, _ in CASES if name.startswith(NORMALISED)]  # for the others both are the same


@pytest.mark.parametrize(("name", "mode"), CASES, ids=map("-".join, CASES))
def test_gradients(name: str, mode: str) -> None:
    f = Knobs(*(NARROW | VARIANTS)[name], training=mode == "train")
    assert ("running_mean" in "".join(key for key, _ in f.net.named_buffers())) == name.startswith(NORMALISED)
    if name in ANALYTIC:
        report = check_gradients(f, f.knobs(), method="complex")
    else:
        deep = len(f.values) > 100
        report = check_gradients(f, f.mixtures() if deep else f.knobs(), eps=EPS, rtol=RTOL, full_size=16)
    assert report.passed, report


@pytest.mark.parametrize("name", ["lenet", "lenet_bn", "resnet18", "densenet"])
def test_second_derivatives(name: str) -> None:
    """Hessian times vector, for all parameters and the images at once."""
    f = Knobs(*NARROW[name], training=True)
    eps = 16 * EPS if name.startswith("lenet") else EPS  # without kinks; differences of gradients round more
    report = check_second_gradients(lambda t: f(t)[:, :1], f.mixtures(2), eps=eps, rtol=RTOL)
    assert report.passed, report


def test_a_detached_shortcut_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, x: tinycnn.Tensor) -> tinycnn.Tensor:
        y = nn.functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return nn.functional.relu(y + (x.detach() if self.conv3 is None else self.conv3(x)))

    assert not fails("resnet18")
    monkeypatch.setattr(models.Residual, "forward", forward)
    assert fails("resnet18")


def test_a_batch_norm_that_forgets_a_mean_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.ops.norm import BatchNorm
    from tinycnn.ops.norm_relu import BatchNormReLU

    def forgetful(right: Any) -> Any:
        def backward(ctx: Any, g: tinycnn.Tensor, *rest: Any) -> Any:
            """Without its mean, g's own contribution to the gradient's mean is left in."""
            gx, *others = right(ctx, g, *rest)
            _, weight, _, inv_std, *output = ctx.saved_tensors
            for y in output[:1]:  # ReLU's, before the bias
                g = g * (y > 0)
            return gx + (weight * inv_std * g.mean((0, 2, 3))).reshape(1, -1, 1, 1), *others

        return staticmethod(backward)

    assert not fails("lenet_bn")
    assert not fails("densenet")
    for op in (BatchNorm, BatchNormReLU):
        monkeypatch.setattr(op, "backward", forgetful(op.backward))
    assert fails("lenet_bn")
    assert fails("densenet")


def test_branches_joined_in_another_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backward that hands the gradients of two equally wide branches to each other."""
    relu = nn.functional.relu

    class Swapped(tinycnn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: tinycnn.Tensor, b: tinycnn.Tensor) -> Any:
            return a.clone(), b.clone()

        @staticmethod
        def backward(ctx: Any, ga: tinycnn.Tensor, gb: tinycnn.Tensor) -> Any:
            return gb, ga

    def forward(self: Any, x: tinycnn.Tensor) -> tinycnn.Tensor:
        b1, b2 = relu(self.b1_1(x)), relu(self.b2_2(relu(self.b2_1(x))))
        b3, b4 = relu(self.b3_2(relu(self.b3_1(x)))), relu(self.b4_2(self.b4_1(x)))
        if b3.shape == b4.shape:
            b3, b4 = Swapped.apply(b3, b4)
        return tinycnn.cat((b1, b2, b3, b4), dim=1)

    assert not fails("googlenet")
    monkeypatch.setattr(models.Inception, "forward", forward)
    assert fails("googlenet")


def fails(name: str) -> bool:
    """Whether a single mixture of all parameters, measured along one line, shows a wrong gradient."""
    f = Knobs(*NARROW[name], training=True)
    (row,) = check_gradients(f, f.mixtures(1), eps=EPS, rtol=RTOL).rows
    return not row.passed
