"""models: the registry, and of every network what is known of it."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import models, nn


def small(name: str, **options: Any) -> models.Network:
    """A network as narrow and for images as small as its options let it be."""
    info = models.get(name)
    least = {"ratio": 16, "hidden": 16, "image_size": info.smallest, "num_channels": 8, "growth_rate": 4}
    net = models.create(name, **{k: v for k, v in least.items() if k in info.options}, **options)
    assert isinstance(net, models.Network)
    return net


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture
def _unfilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers leave their parameters as they find them: memory that is not written to costs nothing."""
    monkeypatch.setattr(nn.init, "default_", lambda *_: None)


# ---- every network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.available())
def test_every_network_runs_and_round_trips(name: str) -> None:
    info = models.get(name)
    assert info.summary.endswith(".")
    assert getattr(models, name) is info.function
    net = small(name, num_classes=7)
    assert net.name == name
    side = net.smallest if net.exact else max(net.smallest, 8)  # batch normalisation wants more than 1x1
    x = tinycnn.randn(2, 1, side, side)
    y = net(x)
    assert y.shape == (2, 7)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())
    tinycnn.manual_seed(1)
    other = small(name, num_classes=7)
    other.load_state_dict(net.state_dict())
    net.eval()
    other.eval()
    with tinycnn.no_grad():
        np.testing.assert_array_equal(other(x).numpy(), net(x).numpy())


@pytest.mark.parametrize("name", models.available())
def test_the_smallest_image_is_the_smallest(name: str) -> None:
    info = models.get(name)
    smallest = info.smallest
    net = small(name, in_channels=3).eval()
    assert net.smallest == smallest
    with tinycnn.no_grad():
        assert net(tinycnn.zeros(1, 3, smallest, smallest)).shape == (1, 10)
        if not net.exact:
            assert net(tinycnn.zeros(2, 3, smallest, smallest + 3)).shape == (2, 10)
    least = f"{name}: .*the smallest .*is {smallest}x{smallest}"
    for height, width in ((smallest - 1, smallest), (smallest, smallest - 1)):
        with pytest.raises(ValueError, match=least):
            net(tinycnn.zeros(1, 3, height, width))
    if net.exact and smallest > 1:
        with pytest.raises(ValueError, match=least):
            models.create(name, image_size=smallest - 1)
    if smallest > 1:  # without the check the layers themselves come to an end
        flat = next(i for i, layer in enumerate([*net, nn.Flatten()]) if isinstance(layer, nn.Flatten))
        with pytest.raises((ValueError, RuntimeError)), tinycnn.no_grad():
            net[:flat](tinycnn.zeros(1, 3, smallest - 1, smallest - 1))


# ---- how many parameters --------------------------------------------------------------------------------------------


def conv(c: int, k: int, size: int) -> int:
    return k * (c * size * size + 1)


def norm(*channels: int) -> int:
    return 2 * sum(channels)


def linear(*widths: int) -> int:
    return sum(m * n + n for m, n in itertools.pairwise(widths))


def convs(*channels: int) -> int:
    return sum(conv(c, k, 3) for c, k in itertools.pairwise(channels))


def inception(c: int, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int) -> int:
    branch_2 = conv(c, c2[0], 1) + conv(*c2, 3)
    branch_3 = conv(c, c3[0], 1) + conv(*c3, 5)
    return conv(c, c1, 1) + branch_2 + branch_3 + conv(c, c4, 1)


def residual(c: int, k: int) -> int:
    return convs(c, k, k) + norm(k, k) + (conv(c, k, 1) if c != k else 0)


def dense(c: int) -> int:
    return sum(norm(i) + conv(i, 32, 3) for i in range(c, c + 128, 32))


def transition(c: int) -> int:
    return norm(c) + conv(c, c // 2, 1)


# Of the notes' networks, for 10 classes and one channel, summed up from the notes' and papers' tables.
NOTES_COUNTS = {
    "mlp": linear(784, 256, 10),
    "lenet": conv(1, 6, 5) + conv(6, 16, 5) + linear(400, 120, 84, 10),
    "lenet_bn": conv(1, 6, 5) + conv(6, 16, 5) + linear(256, 120, 84, 10) + norm(6, 16, 120, 84),
    "alexnet": conv(1, 96, 11) + conv(96, 256, 5) + convs(256, 384, 384, 256) + linear(6400, 4096, 4096, 10),
    "nin": sum(
        conv(c, k, size) + 2 * conv(k, k, 1) for c, k, size in ((1, 96, 11), (96, 256, 5), (256, 384, 3), (384, 10, 3))
    ),
    "googlenet": conv(1, 64, 7)
    + conv(64, 64, 1)
    + conv(64, 192, 3)
    + inception(192, 64, (96, 128), (16, 32), 32)  # 3a
    + inception(256, 128, (128, 192), (32, 96), 64)
    + inception(480, 192, (96, 208), (16, 48), 64)  # 4a
    + inception(512, 160, (112, 224), (24, 64), 64)
    + inception(512, 128, (128, 256), (24, 64), 64)
    + inception(512, 112, (144, 288), (32, 64), 64)
    + inception(528, 256, (160, 320), (32, 128), 128)
    + inception(832, 256, (160, 320), (32, 128), 128)  # 5a
    + inception(832, 384, (192, 384), (48, 128), 128)
    + linear(1024, 10),
    "vgg11": convs(1, 64, 128, 256, 256, 512, 512, 512, 512) + linear(25088, 4096, 4096, 10),
    "resnet18": conv(1, 64, 7)
    + norm(64)
    + 2 * residual(64, 64)
    + sum(residual(c, 2 * c) + residual(2 * c, 2 * c) for c in (64, 128, 256))
    + linear(512, 10),
    "densenet": conv(1, 64, 7)
    + norm(64)
    + sum(map(dense, (64, 96, 112, 120)))
    + sum(map(transition, (192, 224, 240)))
    + norm(248)
    + linear(248, 10),
}

# Published with the weights for ImageNet: 1000 classes and three channels.
PUBLISHED_COUNTS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}


@pytest.mark.usefixtures("_unfilled")
@pytest.mark.parametrize("name", NOTES_COUNTS)
def test_parameter_counts_of_the_notes(name: str) -> None:
    assert count(models.create(name)) == NOTES_COUNTS[name]


@pytest.mark.usefixtures("_unfilled")
@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_parameter_counts_as_published(name: str) -> None:
    options = {"bias": False} if name.startswith("resnet") else {}
    assert count(models.create(name, num_classes=1000, in_channels=3, **options)) == PUBLISHED_COUNTS[name]


@pytest.mark.usefixtures("_unfilled")
@pytest.mark.parametrize("name", models.available())
def test_the_summary_has_the_count(name: str) -> None:
    assert f" {count(models.create(name)):,} parameters." in models.get(name).summary


def test_a_bottleneck_has_an_eighth_of_the_weights() -> None:
    def weights(block: nn.Module) -> int:
        return sum(p.numel() for p in block.parameters() if p.ndim == 4)

    assert weights(models.Bottleneck(256, 256)) == 256 * 64 + 64 * 64 * 9 + 64 * 256 == 69_632
    assert weights(nn.Conv2d(256, 256, kernel_size=3)) == 589_824


# ---- the shape after every stage ------------------------------------------------------------------------------------

# (side of the image, shape after each layer without the batch), as the notes print them.
VGG_SHAPES = [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7), (25088,)]
DENSE_SHAPES = [(192, 24, 24), (96, 12, 12), (224, 12, 12), (112, 6, 6), (240, 6, 6), (120, 3, 3), (248, 3, 3)]
DENSE_121_SHAPES = [(256, 16, 16), (128, 8, 8), (512, 8, 8), (256, 4, 4), (1024, 4, 4), (512, 2, 2), (1024, 2, 2)]
HIDDEN, OUTPUT = [(4096,)] * 6, [(10,)]
STAGES: dict[str, tuple[int, list[tuple[int, ...]]]] = {
    "alexnet": (
        224,
        [(96, 54, 54)] * 2
        + [(96, 26, 26)]
        + [(256, 26, 26)] * 2
        + [(256, 12, 12)]
        + [(384, 12, 12)] * 4
        + [(256, 12, 12)] * 2
        + [(256, 5, 5), (6400,)]
        + HIDDEN
        + OUTPUT,
    ),
    "vgg11": (224, VGG_SHAPES + HIDDEN + OUTPUT),
    "nin": (
        224,
        [(96, 54, 54), (96, 26, 26), (256, 26, 26), (256, 12, 12), (384, 12, 12)]
        + [(384, 5, 5)] * 2
        + [(10, 5, 5), (10, 1, 1), (10,)],
    ),
    "googlenet": (96, [(64, 24, 24), (192, 12, 12), (480, 6, 6), (832, 3, 3), (1024,), (10,)]),
    "resnet18": (224, [(64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7), (10,)]),
    "resnet50": (96, [(64, 24, 24), (256, 24, 24), (512, 12, 12), (1024, 6, 6), (2048, 3, 3), (10,)]),
    "densenet": (96, [(64, 24, 24), *DENSE_SHAPES, (10,)]),
    "densenet121": (64, [(64, 16, 16), *DENSE_121_SHAPES, (10,)]),
}


@pytest.mark.parametrize("name", STAGES)
def test_shapes_of_the_stages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(weight: Any, bias: Any = None) -> None:
        weight.fill_(0)
        if bias is not None:
            bias.fill_(0)

    with tinycnn.no_grad():
        monkeypatch.setattr(nn.init, "default_", zeros)  # quicker than drawing 129 million numbers
        side, expected = STAGES[name]
        x, shapes = tinycnn.zeros(1, 1, side, side), []
        for layer in models.create(name).eval():
            x = layer(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == expected


def test_lenet_is_the_notes() -> None:
    net = models.lenet()
    assert [tuple(p.shape) for p in net.parameters()] == [
        (6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,), (10, 84), (10,),
    ]  # fmt: skip
    x, shapes = tinycnn.randn(1, 1, 28, 28), []
    for layer in net:
        x = layer(x)
        shapes.append((type(layer).__name__, tuple(x.shape)))
    assert shapes == [  # the notes print these
        ("Conv2d", (1, 6, 28, 28)),
        ("Sigmoid", (1, 6, 28, 28)),
        ("AvgPool2d", (1, 6, 14, 14)),
        ("Conv2d", (1, 16, 10, 10)),
        ("Sigmoid", (1, 16, 10, 10)),
        ("AvgPool2d", (1, 16, 5, 5)),
        ("Flatten", (1, 400)),
        ("Linear", (1, 120)),
        ("Sigmoid", (1, 120)),
        ("Linear", (1, 84)),
        ("Sigmoid", (1, 84)),
        ("Linear", (1, 10)),
    ]


def test_lenet_bn_normalises_behind_every_layer_but_the_last() -> None:
    kinds = [type(layer).__name__ for layer in models.lenet_bn()]
    part = ["Conv2d", "BatchNorm2d", "Sigmoid", "AvgPool2d"]
    end = ["Linear", "BatchNorm1d", "Sigmoid"]
    assert kinds == [*part, *part, "Flatten", *end, *end, "Linear"]


# ---- the order of the parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (lambda: models.Residual(4, 8, use_1x1conv=True), "conv1 conv2 conv3 bn1 bn2"),
        (lambda: models.Residual(4, 8, use_1x1conv=True, bias=False), "conv1 conv2 conv3 bn1 bn2 bn3"),
        (lambda: models.Residual(8, 8, preactivation=True), "conv1 conv2 bn1 bn2"),
        (lambda: models.Bottleneck(4, 8, use_1x1conv=True), "conv1 conv2 conv3 bn1 bn2 bn3 conv4 bn4"),
        (lambda: models.Inception(4, 1, (2, 3), (4, 5), 6), "b1_1 b2_1 b2_2 b3_1 b3_2 b4_2"),
        (lambda: models.vgg_block(2, 4, 8), "0 2"),
        (lambda: models.nin_block(4, 8, 3, 1, 1), "0 2 4"),
        (lambda: models.DenseBlock(2, 4, 8), "net.0.0 net.0.2 net.1.0 net.1.2"),
        (lambda: models.transition_block(4, 2), "0 2"),
    ],
)
def test_parameters_come_in_the_order_of_the_notes(block: Any, names: str) -> None:
    layers = [name.rpartition(".")[0] for name, _ in block().named_parameters()]
    assert list(dict.fromkeys(layers)) == names.split()


def test_stages_are_named_as_in_the_notes() -> None:
    assert [name for name, _ in small("resnet18").named_children()] == ["0", "b2", "b3", "b4", "b5", "last"]
    assert [name for name, _ in small("googlenet").named_children()] == list("012345")
    assert [name for name, _ in small("densenet").named_children()] == [
        "0", "dense_blk1", "tran_blk1", "dense_blk2", "tran_blk2", "dense_blk3", "tran_blk3", "dense_blk4", "last",
    ]  # fmt: skip


# ---- what the blocks compute ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [models.Residual, models.Bottleneck])
def test_a_block_adds_to_its_input(block: Any) -> None:
    x = tinycnn.randn(2, 8, 5, 5)
    first, second = block(8, 8), block(8, 8, bias=True, preactivation=True)
    with tinycnn.no_grad():
        list(first.modules())[-1].weight.fill_(0)  # the last normalisation, so that f(x) = 0
        last = second.conv2 if block is models.Residual else second.conv3
        last.weight.fill_(0)
        last.bias.fill_(0)
    np.testing.assert_array_equal(first(x).detach().numpy(), x.relu().numpy())
    np.testing.assert_array_equal(second(x).detach().numpy(), x.numpy())  # the identity mapping


@pytest.mark.parametrize("preactivation", [False, True])
def test_residual_is_its_equation(preactivation: bool) -> None:
    x = tinycnn.randn(4, 3, 6, 6)
    net = models.Residual(3, 6, use_1x1conv=True, strides=2, preactivation=preactivation)
    relu = nn.functional.relu
    if preactivation:
        a = relu(net.bn1(x))
        expected = net.conv3(a) + net.conv2(relu(net.bn2(net.conv1(a))))
    else:
        expected = relu(net.bn2(net.conv2(relu(net.bn1(net.conv1(x))))) + net.conv3(x))
    assert net(x).shape == (4, 6, 3, 3)
    np.testing.assert_array_equal(net(x).detach().numpy(), expected.detach().numpy())


def test_bottleneck_is_its_equation() -> None:
    x = tinycnn.randn(4, 3, 6, 6)
    relu = nn.functional.relu
    net = models.Bottleneck(3, 8, use_1x1conv=True, strides=2)
    y = relu(net.bn2(net.conv2(relu(net.bn1(net.conv1(x))))))
    expected = relu(net.bn3(net.conv3(y)) + net.bn4(net.conv4(x)))
    np.testing.assert_array_equal(net(x).detach().numpy(), expected.detach().numpy())
    net = models.Bottleneck(3, 8, use_1x1conv=True, strides=2, preactivation=True)
    a = relu(net.bn1(x))
    expected = net.conv3(relu(net.bn3(net.conv2(relu(net.bn2(net.conv1(a))))))) + net.conv4(a)
    np.testing.assert_array_equal(net(x).detach().numpy(), expected.detach().numpy())
    assert net.conv2.stride == (2, 2)
    assert net.conv1.stride == (1, 1)


def test_version_2_ends_in_normalisation_and_relu() -> None:
    one, two = small("resnet50"), small("resnet50", preactivation=True)
    kinds = [
        [type(layer).__name__ for layer in net.get_submodule(part)] for net in (one, two) for part in ("0", "last")
    ]
    end = ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert kinds == [
        ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"], end,
        ["Conv2d", "MaxPool2d"], ["BatchNorm2d", "ReLU", *end],
    ]  # fmt: skip


def test_a_stem_for_small_images() -> None:
    net = small("resnet18", stem="cifar")
    x, sides = tinycnn.zeros(1, 1, 32, 32), []
    for layer in net.eval()[:-1]:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [32, 32, 16, 8, 4]
    assert net.input_shape == (1, 32, 32)


def test_inception_joins_its_branches_in_order() -> None:
    net = models.Inception(2, 1, (2, 3), (4, 5), 6)
    assert net.out_channels == 15
    with tinycnn.no_grad():
        for number, layer in enumerate((net.b1_1, net.b2_2, net.b3_2, net.b4_2), 1):
            layer.weight.fill_(0)
            layer.bias.fill_(number)
        y = net(tinycnn.randn(1, 2, 4, 4))
    assert y[0, :, 0, 0].tolist() == [1.0] + [2.0] * 3 + [3.0] * 5 + [4.0] * 6


def test_a_dense_block_keeps_what_it_got() -> None:
    net = models.DenseBlock(3, 4, 5)
    x = tinycnn.randn(2, 4, 6, 6)
    y = net(x)
    assert y.shape == (2, net.out_channels, 6, 6) == (2, 19, 6, 6)
    np.testing.assert_array_equal(y[:, :4].detach().numpy(), x.numpy())
    np.testing.assert_array_equal(y[:, 4:9].detach().numpy(), net.net[0](x).detach().numpy())
    np.testing.assert_array_equal(y[:, 14:].detach().numpy(), net.net[2](y[:, :14]).detach().numpy())


def test_alexnets_normalisation_is_the_papers() -> None:
    net = small("alexnet", local_response_norm=True)
    layers = [layer for layer in net if isinstance(layer, nn.LocalResponseNorm)]
    assert [i for i, layer in enumerate(net) if layer in layers] == [2, 6]
    a = np.random.default_rng(0).normal(0, 30, (1, 9, 2, 2)).astype("float32")
    sums = np.stack([(a[:, max(i - 2, 0) : i + 3] ** 2).sum(1) for i in range(9)], axis=1)
    np.testing.assert_allclose(layers[0](tinycnn.from_numpy(a)).numpy(), a / (2 + 1e-4 * sums) ** 0.75, rtol=1e-5)


# ---- knobs ----------------------------------------------------------------------------------------------------------


def test_lenets_knobs() -> None:
    net = models.create("lenet", in_channels=3, num_classes=4, activation="relu")
    assert net(tinycnn.zeros(2, 3, 28, 28)).shape == (2, 4)
    assert sum(isinstance(layer, nn.ReLU) for layer in net.modules()) == 4
    with pytest.raises(ValueError, match="activation 'swoosh' is unknown, there are sigmoid, tanh, relu"):
        models.lenet(activation="swoosh")
    with pytest.raises(ValueError, match="lenet_bn: activation 'swoosh' is unknown"):
        models.lenet_bn(activation="swoosh")


@pytest.mark.parametrize(
    ("name", "options", "features"),
    [
        ("mlp", {}, 32 * 40),
        ("lenet", {}, 16 * 6 * 8),
        ("lenet_bn", {}, 16 * 5 * 7),
        ("alexnet", {"image_size": (96, 70), "ratio": 8}, 32 * 1 * 1),
        ("alexnet", {"image_size": (224, 128), "ratio": 8}, 32 * 5 * 2),
        ("vgg11", {"image_size": (70, 32), "ratio": 8}, 64 * 2 * 1),
    ],
)
def test_other_image_sizes(name: str, options: dict[str, Any], features: int) -> None:
    size = options.get("image_size", (32, 40))
    net = models.create(name, **{"image_size": size, **options, **({} if "lenet" in name else {"hidden": 8})})
    assert next(layer for layer in net if isinstance(layer, nn.Linear)).in_features == features
    assert net.eval()(tinycnn.zeros(2, 1, *size)).shape == (2, 10)


@pytest.mark.usefixtures("_unfilled")
def test_the_notes_small_vgg() -> None:
    net = models.vgg11(ratio=4)
    channels = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert channels == [16, 32, 64, 64, 128, 128, 128, 128]
    assert [m.out_features for m in net.modules() if isinstance(m, nn.Linear)] == [4096, 4096, 10]
    assert repr(net) == repr(models.vgg(((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))))


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "nin", "mlp"])
def test_dropout_is_what_was_said(name: str) -> None:
    rates = [layer.p for layer in small(name, dropout=0.25).modules() if isinstance(layer, nn.Dropout)]
    assert set(rates) == {0.25}


def test_a_network_of_any_depth() -> None:
    net = models.vgg([(1, 4), (3, 6)], image_size=9, hidden=5, num_classes=3)
    assert net.smallest == 4
    assert net(tinycnn.zeros(1, 1, 9, 9)).shape == (1, 3)
    assert models.densenet(arch=(1, 1, 1, 1, 1), num_channels=32, growth_rate=2).smallest == 61
    assert models.resnet([(1, 16)], block=models.Bottleneck, ratio=4)(tinycnn.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.vgg11(ratio=0), "vgg11: ratio must be a positive integer, got 0"),
        (lambda: models.vgg16(ratio=65), "vgg16: ratio 65 leaves nothing of a layer of 64 channels"),
        (lambda: models.vgg19(dropout=2), "vgg19: dropout must be a probability from 0 to 1, got 2"),
        (lambda: models.vgg13(hidden=-1), "vgg13: hidden must be a positive integer, got -1"),
        (lambda: models.vgg([]), "vgg: conv_arch must name at least one stage .convolutions, channels., got "),
        (lambda: models.vgg([(0, 64)]), r"vgg: each stage of conv_arch is \(convolutions, channels\), got \(0, 64\)"),
        (lambda: models.vgg([64]), r"vgg: each stage of conv_arch is \(convolutions, channels\), got 64"),
        (lambda: models.vgg11(image_size=31), "vgg11: images of 31x31 are too small; the smallest image_size is 32x32"),
        (lambda: models.vgg_block(0, 1, 1), "vgg_block: num_convs must be a positive integer, got 0"),
        (lambda: models.alexnet(dropout="half"), "alexnet: dropout must be a probability from 0 to 1, got 'half'"),
        (lambda: models.alexnet(image_size=(224, 64)), "images of 224x64 are too small; .* 65x65"),
        (lambda: models.alexnet(image_size=0), "alexnet: image_size must be a positive integer or a pair"),
        (lambda: models.lenet(num_classes=0), "lenet: num_classes must be a positive integer, got 0"),
        (lambda: models.lenet_bn(in_channels=True), "lenet_bn: in_channels must be a positive integer, got True"),
        (lambda: models.lenet(image_size=(28, 28, 28)), r"lenet: image_size must be .*, got \(28, 28, 28\)"),
        (lambda: models.mlp(hidden=(64, 0)), "mlp: hidden must be a positive integer, got 0"),
        (lambda: models.mlp(dropout=-0.1), "mlp: dropout must be a probability"),
        (lambda: models.nin(num_classes=2.5), "nin: num_classes must be a positive integer, got 2.5"),
        (lambda: models.nin(dropout=float("nan")), "nin: dropout must be a probability from 0 to 1, got nan"),
        (lambda: models.nin_block(1, 8, 3, 0, 1), "nin_block: strides must be a positive integer, got 0"),
        (lambda: models.googlenet(ratio=17), "googlenet: ratio 17 leaves nothing of a layer of 16 channels"),
        (lambda: models.googlenet(num_classes=0), "googlenet: num_classes must be"),
        (lambda: models.Inception(4, 1, (2, 0), (1, 1), 1), "Inception: c2 must be a positive integer, got 0"),
        (lambda: models.Inception(4, 1, (2, 2), 3, 1), "Inception: c3 must be a pair of positive integers, got 3"),
        (lambda: models.resnet18(stem="big"), "resnet18: stem 'big' is unknown, there are imagenet, cifar"),
        (lambda: models.resnet([]), "resnet: arch must name at least one stage"),
        (lambda: models.resnet50(ratio=1000), "resnet50: ratio 1000 leaves nothing"),
        (lambda: models.resnet50(ratio=128), "resnet50: ratio 128 leaves nothing of a layer of 64 channels"),
        (lambda: models.Residual(4, 8), "Residual: from 4 to 8 channels with strides 1, .* say use_1x1conv=True"),
        (lambda: models.Residual(8, 8, strides=2), "say use_1x1conv=True"),
        (lambda: models.Bottleneck(6, 6), "Bottleneck: num_channels must be a multiple of 4, got 6"),
        (lambda: models.densenet(growth_rate=0), "densenet: growth_rate must be a positive integer, got 0"),
        (lambda: models.densenet(arch=()), r"densenet: arch must be the number of convolutions .*, got \(\)"),
        (lambda: models.densenet(arch=(4, 0)), r"densenet: arch must be .*, got \(4, 0\)"),
        (lambda: models.densenet121(ratio=33), "densenet121: ratio 33 leaves nothing of a layer of 32 channels"),
        (lambda: models.densenet201(num_classes=None), "densenet201: num_classes must be .*, got None"),
        (lambda: models.DenseBlock(0, 3, 3), "DenseBlock: num_convs must be a positive integer, got 0"),
        (lambda: models.transition_block(3, 0), "transition_block: num_channels must be a positive integer"),
        (lambda: models.conv_block(0, 3), "conv_block: in_channels must be a positive integer"),
    ],
)
def test_bad_options_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---- Network: what it takes, and that it is a Sequential ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet", (28, 28), r"lenet: expected images \(N, 1, 12, 12\), got input of shape \(28, 28\)"),
        ("nin", (3, 224, 224), r"nin: expected images \(N, 1, H, W\), got input of shape \(3, 224, 224\)"),
        ("nin", (1, 3, 224, 224), r"nin: expected images of 1 channel, got .* has 3; make it with in_channels=3"),
        ("lenet", (2, 1, 28, 28), r"lenet: expected images of 12x12, got .*; make it with image_size=28$"),
        ("vgg11", (2, 1, 64, 48), r"expected images of 32x32, got .*; make it with image_size=\(64, 48\)$"),
        ("vgg11", (2, 1, 64, 28), r"vgg11: .*\(2, 1, 64, 28\); the smallest it can be made for is 32x32$"),
        ("densenet", (2, 1, 40, 28), r"images of 40x28 are too small; the smallest it takes is 29x29, got .*40, 28\)$"),
        ("resnet18", (2, 1, 0, 9), "resnet18: images of 0x9 are too small; the smallest it takes is 1x1"),
    ],
)
def test_a_wrong_input_is_named(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(name)(tinycnn.zeros(*shape))


def test_a_network_wants_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"lenet: expected a tensor \(N, 1, 28, 28\), got ndarray"):
        models.lenet()(np.zeros((1, 1, 28, 28)))


def test_a_network_is_a_sequential() -> None:
    net = small("lenet_bn")
    layers = nn.Sequential(*net)
    assert repr(net) == repr(layers)
    assert list(net.state_dict()) == list(layers.state_dict())
    assert type(net[2:]) is nn.Sequential
    assert repr(net[2:]) == repr(layers[2:])
    assert type(net + layers) is nn.Sequential
    assert len(net + layers) == 2 * len(net)
    x = tinycnn.randn(3, 1, 16, 16)
    twin = copy.deepcopy(net)
    np.testing.assert_array_equal(twin(x).detach().numpy(), layers(x).detach().numpy())
    assert (twin.name, twin.input_shape, twin.smallest, twin.exact) == ("lenet_bn", (1, 16, 16), 16, True)


def test_another_first_layer() -> None:
    net = small("resnet18", in_channels=1).eval()
    net[0][0] = nn.Conv2d(3, 4, kernel_size=7, stride=2, padding=3)
    net.input_shape = 3, 224, 224
    assert net(tinycnn.zeros(1, 3, 32, 32)).shape == (1, 10)


# ---- the registry ---------------------------------------------------------------------------------------------------


def test_the_registry_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"no network is called 'lenett'; did you mean lenet"):
        models.create("lenett")
    with pytest.raises(ValueError, match="no network is called 'xyzxyz'; there are alexnet, .*, lenet"):
        models.get("xyzxyz")
    with pytest.raises(TypeError, match="lenet: no option is called 'depth'; there are num_classes, in_channels"):
        models.create("lenet", depth=3)
    with pytest.raises(ValueError, match="'lenet' is registered already"):
        models.register(models.lenet)


def test_a_network_is_a_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.models import _registry

    monkeypatch.setattr(_registry, "_models", {})

    @models.register(input_shape=(3, 8, 8), smallest=8)
    def tiny(num_classes: int = 10) -> nn.Module:
        """The smallest of networks."""
        return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))

    assert models.available() == ["tiny"]
    assert models.get("tiny").options == ("num_classes",)
    assert models.get("tiny").input_shape == (3, 8, 8)
    assert models.get("tiny").smallest == 8
    assert models.create("tiny", num_classes=3)(tinycnn.zeros(1, 3, 8, 8)).shape == (1, 3)


def test_everything_is_offered_under_its_own_name() -> None:
    assert set(models.__all__) >= {
        *("vgg_block", "nin_block", "Inception", "Residual", "Bottleneck", "DenseBlock", "transition_block"),
        *("Network", "vgg", "resnet", *models.available()),
    }
    for name in models.__all__:
        assert getattr(models, name).__name__ == name
    assert "DenseNet" in (models.densenet.__doc__ or "")  # the function, not the file of that name
