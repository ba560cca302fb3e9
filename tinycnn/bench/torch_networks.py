"""The networks of `tinycnn.models` in plain PyTorch, for measurements and tests that put the two side by side.

They follow "Dive into Deep Learning" (Zhang, Lipton, Li, Smola, 2023, chapters 5, 7 and 8), and where the book stops
(the bottleneck, pre-activation, DenseNet-121 and its like) the papers and torchvision's published layout. They were
written from those alone, so that a mistake in one library's network is not in the other's.

Modules are made in the order in which the book makes them: the n-th of `parameters()` here is the n-th there, with the
same shape. `copy_weights` rests on that.

    theirs = build("resnet18", in_channels=3)
    copy_weights(tinycnn.models.resnet18(in_channels=3), theirs)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_Size = int | tuple[int, int]
_networks: dict[str, Callable[..., nn.Module]] = {}


def available() -> list[str]:
    """The names that `build` knows."""
    return sorted(_networks)


def build(name: str, **options: Any) -> nn.Module:
    """A new network; names, options and defaults are those of tinycnn.models."""
    return _networks[name](**options)


def copy_weights(ours: Any, theirs: nn.Module) -> None:
    """Give a PyTorch network the parameters and buffers of a tinycnn one."""
    with torch.no_grad():
        for mine, other in _pairs(ours, theirs):
            other.copy_(torch.tensor(mine.detach().cpu().numpy()))


def copy_to_ours(theirs: nn.Module, ours: Any) -> None:
    """Give a tinycnn network the parameters and buffers of a PyTorch one."""
    names = dict(_named(ours))
    values = {id(mine): other for mine, other in _pairs(ours, theirs)}
    ours.load_state_dict({name: values[id(tensor)].detach().cpu().numpy() for name, tensor in names.items()})


def _named(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _pairs(ours: Any, theirs: nn.Module) -> list[tuple[Any, Tensor]]:
    """What belongs together: parameters in their order, buffers in theirs."""
    pairs: list[tuple[Any, Tensor]] = []
    for what in ("parameters", "buffers"):
        mine, others = list(getattr(ours, what)()), list(getattr(theirs, what)())
        if len(mine) != len(others):
            raise ValueError(f"{len(mine)} {what} in tinycnn's network, {len(others)} in PyTorch's")
        for i, (a, b) in enumerate(zip(mine, others, strict=True)):
            if tuple(a.shape) != tuple(b.shape):
                raise ValueError(f"{what}[{i}]: {tuple(a.shape)} in tinycnn's network, {tuple(b.shape)} in PyTorch's")
        pairs += zip(mine, others, strict=True)
    return pairs


def _network(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    _networks[function.__name__] = function
    return function


def _flattened(body: nn.Module, channels: int, size: _Size) -> int:
    """How many features an image of this size has behind the body."""
    height, width = (size, size) if isinstance(size, int) else size
    with torch.no_grad():
        return int(body.eval()(torch.zeros(1, channels, height, width)).numel())


def _with_head(body: nn.Sequential, head: Sequence[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*body, nn.Flatten(), *head).train()


# ---- chapters 5 and 7: perceptron and LeNet --------------------------------------------------------------------------


@_network
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: _Size = 28,
    hidden: int | Sequence[int] = 256,
    dropout: float = 0,
) -> nn.Module:
    body = nn.Sequential()
    width, layers = _flattened(body, in_channels, image_size), []
    for features in [hidden] if isinstance(hidden, int) else hidden:
        layers += [nn.Linear(width, features), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = features
    return _with_head(body, [*layers, nn.Linear(width, num_classes)])


_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


@_network
def lenet(
    num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid", image_size: _Size = 28
) -> nn.Module:
    act = _ACTIVATIONS[activation]
    body = nn.Sequential(
        nn.Conv2d(in_channels, 6, kernel_size=5, padding=2), act(), nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), act(), nn.AvgPool2d(kernel_size=2, stride=2),
    )  # fmt: skip
    features = _flattened(body, in_channels, image_size)
    return _with_head(body, [nn.Linear(features, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, num_classes)])


@_network
def lenet_bn(
    num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid", image_size: _Size = 28
) -> nn.Module:
    act = _ACTIVATIONS[activation]
    body = nn.Sequential(
        nn.Conv2d(in_channels, 6, kernel_size=5), nn.BatchNorm2d(6), act(), nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), nn.BatchNorm2d(16), act(), nn.AvgPool2d(kernel_size=2, stride=2),
    )  # fmt: skip
    features = _flattened(body, in_channels, image_size)
    head = [nn.Linear(features, 120), nn.BatchNorm1d(120), act(), nn.Linear(120, 84), nn.BatchNorm1d(84), act()]
    return _with_head(body, [*head, nn.Linear(84, num_classes)])


# ---- sections 8.1 to 8.4: AlexNet, VGG, NiN, GoogLeNet ---------------------------------------------------------------


def _dense_head(features: int, hidden: int, num_classes: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    ]  # fmt: skip


@_network
def alexnet(
    num_classes: int = 10,
    in_channels: int = 1,
    dropout: float = 0.5,
    local_response_norm: bool = False,
    ratio: int = 1,
    hidden: int = 4096,
    image_size: _Size = 224,
) -> nn.Module:
    # Krizhevsky, Sutskever, Hinton 2012, section 3.3; PyTorch divides alpha by the size, the paper does not.
    norm = [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if local_response_norm else []
    c1, c2, c3 = 96 // ratio, 256 // ratio, 384 // ratio
    body = nn.Sequential(
        nn.Conv2d(in_channels, c1, kernel_size=11, stride=4, padding=1), nn.ReLU(), *norm,
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(c1, c2, kernel_size=5, padding=2), nn.ReLU(), *norm,
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(c2, c3, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(c3, c3, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(c3, c2, kernel_size=3, padding=1), nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )  # fmt: skip
    return _with_head(body, _dense_head(_flattened(body, in_channels, image_size), hidden, num_classes, dropout))


def _vgg(name: str, depths: tuple[int, int, int, int, int]) -> None:
    def vgg(
        num_classes: int = 10,
        in_channels: int = 1,
        ratio: int = 1,
        dropout: float = 0.5,
        hidden: int = 4096,
        image_size: _Size = 224,
    ) -> nn.Module:
        body, channels = nn.Sequential(), in_channels
        for convs, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(convs):
                body.extend([nn.Conv2d(channels, width // ratio, kernel_size=3, padding=1), nn.ReLU()])
                channels = width // ratio
            body.append(nn.MaxPool2d(kernel_size=2, stride=2))
        return _with_head(body, _dense_head(_flattened(body, in_channels, image_size), hidden, num_classes, dropout))

    _networks[name] = vgg


_vgg("vgg11", (1, 1, 2, 2, 2))
_vgg("vgg13", (2, 2, 2, 2, 2))
_vgg("vgg16", (2, 2, 3, 3, 3))
_vgg("vgg19", (2, 2, 4, 4, 4))


@_network
def nin(num_classes: int = 10, in_channels: int = 1, dropout: float = 0.5, ratio: int = 1) -> nn.Module:
    def block(before: int, after: int, size: int, stride: int, padding: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(before, after, size, stride, padding), nn.ReLU(),
            nn.Conv2d(after, after, kernel_size=1), nn.ReLU(),
            nn.Conv2d(after, after, kernel_size=1), nn.ReLU(),
        )  # fmt: skip

    c1, c2, c3 = 96 // ratio, 256 // ratio, 384 // ratio
    return nn.Sequential(
        block(in_channels, c1, 11, 4, 0), nn.MaxPool2d(3, stride=2),
        block(c1, c2, 5, 1, 2), nn.MaxPool2d(3, stride=2),
        block(c2, c3, 3, 1, 1), nn.MaxPool2d(3, stride=2),
        nn.Dropout(dropout),
        block(c3, num_classes, 3, 1, 1),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
    )  # fmt: skip


class _Inception(nn.Module):
    """Four branches; the pairs are the widths of the 1x1 convolution and of the one behind it."""

    def __init__(self, before: int, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int) -> None:
        super().__init__()
        self.b1_1 = nn.Conv2d(before, c1, kernel_size=1)
        self.b2_1 = nn.Conv2d(before, c2[0], kernel_size=1)
        self.b2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.Conv2d(before, c3[0], kernel_size=1)
        self.b3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.Conv2d(before, c4, kernel_size=1)
        self.width = c1 + c2[1] + c3[1] + c4

    def forward(self, x: Tensor) -> Tensor:
        b1 = F.relu(self.b1_1(x))
        b2 = F.relu(self.b2_2(F.relu(self.b2_1(x))))
        b3 = F.relu(self.b3_2(F.relu(self.b3_1(x))))
        b4 = F.relu(self.b4_2(self.b4_1(x)))
        return torch.cat((b1, b2, b3, b4), dim=1)


@_network
def googlenet(num_classes: int = 10, in_channels: int = 1, ratio: int = 1) -> nn.Module:
    c = 64 // ratio
    net = nn.Sequential(
        nn.Conv2d(in_channels, c, kernel_size=7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(c, c, kernel_size=1), nn.ReLU(),
        nn.Conv2d(c, 192 // ratio, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
    )  # fmt: skip
    stages: list[list[tuple[int, tuple[int, int], tuple[int, int], int]]] = [
        [(64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)],
        [
            (192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64), (128, (128, 256), (24, 64), 64),
            (112, (144, 288), (32, 64), 64), (256, (160, 320), (32, 128), 128),
        ],
        [(256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)],
    ]  # fmt: skip
    channels = 192 // ratio
    for i, stage in enumerate(stages):
        for c1, c2, c3, c4 in stage:
            pair2, pair3 = (c2[0] // ratio, c2[1] // ratio), (c3[0] // ratio, c3[1] // ratio)
            block = _Inception(channels, c1 // ratio, pair2, pair3, c4 // ratio)
            net.append(block)
            channels = block.width
        if i < 2:
            net.append(nn.MaxPool2d(3, 2, padding=1))
    return net.extend([nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(channels, num_classes)])


# ---- section 8.6: residual networks ----------------------------------------------------------------------------------


class _Residual(nn.Module):
    """The book's block: a bare 1x1 convolution on the shortcut where shapes change.

    Without biases it is the paper's, with normalisation on the shortcut. With v2 (He et al. 2016b) normalisation and
    ReLU come before each convolution, and what the shortcut's convolution gets is activated too.
    """

    def __init__(self, before: int, width: int, stride: int, project: bool, bias: bool, v2: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, kernel_size=3, padding=1, stride=stride, bias=bias)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)
        self.conv3 = nn.Conv2d(before, width, kernel_size=1, stride=stride, bias=bias) if project else nn.Identity()
        self.bn1 = nn.BatchNorm2d(before if v2 else width)
        self.bn2 = nn.BatchNorm2d(width)
        self.bn3 = nn.BatchNorm2d(width) if project and not bias and not v2 else nn.Identity()
        self.v2, self.project = v2, project

    def forward(self, x: Tensor) -> Tensor:
        if self.v2:
            y = self.bn1(x).relu()
            shortcut = self.conv3(y) if self.project else x
            return torch.add(self.conv2(self.bn2(self.conv1(y)).relu()), shortcut)
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.bn3(self.conv3(x)))


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a quarter of the width between; parts in the order of the book's ResNeXt block."""

    def __init__(self, before: int, width: int, stride: int, project: bool, bias: bool, v2: bool) -> None:
        super().__init__()
        inner = width // 4
        self.conv1 = nn.Conv2d(before, inner, kernel_size=1, bias=bias)
        self.conv2 = nn.Conv2d(inner, inner, kernel_size=3, stride=stride, padding=1, bias=bias)
        self.conv3 = nn.Conv2d(inner, width, kernel_size=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(before if v2 else inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.bn3 = nn.BatchNorm2d(inner if v2 else width)
        self.conv4 = nn.Conv2d(before, width, kernel_size=1, stride=stride, bias=bias) if project else nn.Identity()
        self.bn4 = nn.BatchNorm2d(width) if project and not bias and not v2 else nn.Identity()
        self.v2, self.project = v2, project

    def forward(self, x: Tensor) -> Tensor:
        if self.v2:
            y = self.bn1(x).relu()
            shortcut = self.conv4(y) if self.project else x
            y = self.conv2(self.bn2(self.conv1(y)).relu())
            return torch.add(self.conv3(self.bn3(y).relu()), shortcut)
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.bn4(self.conv4(x)))


def _stem(kind: str, in_channels: int, width: int, bias: bool, norm: bool) -> nn.Sequential:
    """The first layers: the book's, or for images of 32x32 one 3x3 convolution (He et al. 2016, section 4.2)."""
    if kind == "cifar":
        stem = nn.Sequential(nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=bias))
    else:
        stem = nn.Sequential(nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=bias))
    if norm:
        stem.extend([nn.BatchNorm2d(width), nn.ReLU()])
    if kind != "cifar":
        stem.append(nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    return stem


def _resnet(name: str, depths: tuple[int, int, int, int], bottleneck: bool) -> None:
    block, expansion = (_Bottleneck, 4) if bottleneck else (_Residual, 1)

    def resnet(
        num_classes: int = 10,
        in_channels: int = 1,
        bias: bool = not bottleneck,
        preactivation: bool = False,
        stem: str = "imagenet",
        ratio: int = 1,
    ) -> nn.Module:
        channels = 64 // ratio
        net = _stem(stem, in_channels, channels, bias, norm=not preactivation)
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage * expansion // ratio
            for i in range(depth):
                stride = 2 if i == 0 and stage > 0 else 1
                net.append(block(channels, width, stride, channels != width, bias, preactivation))
                channels = width
        if preactivation:
            net.extend([nn.BatchNorm2d(channels), nn.ReLU()])
        return net.extend([nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(channels, num_classes)])

    _networks[name] = resnet


_resnet("resnet18", (2, 2, 2, 2), bottleneck=False)
_resnet("resnet34", (3, 4, 6, 3), bottleneck=False)
_resnet("resnet50", (3, 4, 6, 3), bottleneck=True)
_resnet("resnet101", (3, 4, 23, 3), bottleneck=True)
_resnet("resnet152", (3, 8, 36, 3), bottleneck=True)


# ---- section 8.7: densely connected networks -------------------------------------------------------------------------


class _DenseBlock(nn.Module):
    """Each layer sees what all before it made; with bottleneck a 1x1 convolution to 4 growth stands before the 3x3."""

    def __init__(self, layers: int, before: int, growth: int, bottleneck: bool, bias: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(layers):
            channels, layer = before + i * growth, nn.Sequential()
            if bottleneck:
                layer.extend([nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 4 * growth, 1, bias=bias)])
                channels = 4 * growth
            layer.extend([nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1, bias=bias)])
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return x


@_network
def densenet(
    num_classes: int = 10,
    in_channels: int = 1,
    num_channels: int = 64,
    growth_rate: int = 32,
    arch: Sequence[int] = (4, 4, 4, 4),
    bottleneck: bool = False,
    bias: bool = True,
) -> nn.Module:
    net, width = _stem("imagenet", in_channels, num_channels, bias, norm=True), num_channels
    for i, depth in enumerate(arch):
        net.append(_DenseBlock(depth, width, growth_rate, bottleneck, bias))
        width += depth * growth_rate
        if i < len(arch) - 1:
            net.extend([nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, kernel_size=1, bias=bias)])
            net.append(nn.AvgPool2d(kernel_size=2, stride=2))
            width //= 2
    net.extend([nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()])
    return net.append(nn.Linear(width, num_classes))


def _published_densenet(name: str, depths: tuple[int, int, int, int], growth: int, width: int) -> None:
    def published(num_classes: int = 10, in_channels: int = 1) -> nn.Module:
        return densenet(num_classes, in_channels, width, growth, depths, bottleneck=True, bias=False)

    _networks[name] = published


_published_densenet("densenet121", (6, 12, 24, 16), growth=32, width=64)
_published_densenet("densenet161", (6, 12, 36, 24), growth=48, width=96)
_published_densenet("densenet169", (6, 12, 32, 32), growth=32, width=64)
_published_densenet("densenet201", (6, 12, 48, 32), growth=32, width=64)
