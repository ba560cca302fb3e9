"""Summaries of networks: shapes, parameters, multiply-accumulates, the printed table."""

from __future__ import annotations

import pytest

import tinycnn
from tinycnn import models, nn
from tinycnn.inspect import count_macs, summary
from tinycnn.inspect.table import format_table

# Of the table of torchvision's classification models: 3x224x224, 1000 classes, in units of 10^9.
PUBLISHED = {
    "vgg11": (7.61, 132_863_336),
    "vgg16": (15.47, 138_357_544),
    "resnet18": (1.81, 11_689_512),
    "resnet34": (3.66, 21_797_672),
    "resnet50": (4.09, 25_557_032),
    "resnet101": (7.80, 44_549_160),
    "resnet152": (11.51, 60_192_808),
    "densenet121": (2.83, 7_978_856),
    "densenet161": (7.73, 28_681_000),
    "densenet169": (3.36, 14_149_480),
    "densenet201": (4.29, 20_013_928),
}

LENET = """\
name   layer      output    parameters     MACs
-----------------------------------------------
0      Conv2d     6x28x28          156  117,600
1      Sigmoid    6x28x28            -        -
2      AvgPool2d  6x14x14            -        -
3      Conv2d     16x10x10       2,416  240,000
4      Sigmoid    16x10x10           -        -
5      AvgPool2d  16x5x5             -        -
6      Flatten    400                -        -
7      Linear     120           48,120   48,000
8      Sigmoid    120                -        -
9      Linear     84            10,164   10,080
10     Sigmoid    84                 -        -
11     Linear     10               850      840
-----------------------------------------------
total                           61,706  416,520
One image 1x28x28: its layers give 15,002 numbers, 0.06 MiB in float32."""


def test_lenet_prints_as_it_did():
    assert str(summary(models.lenet(), (1, 28, 28))) == LENET


def test_lenet_by_hand():
    found = summary(models.lenet(), (1, 28, 28))
    by_hand = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert found.macs == by_hand == 416_520
    assert found.parameters == sum(row.parameters for row in found.rows) == 61_706
    shapes = [(6, 28, 28)] * 2 + [(6, 14, 14)] + [(16, 10, 10)] * 2 + [(16, 5, 5), (400,)] + [(120,)] * 2
    assert [row.output_shape for row in found.rows] == [*shapes, (84,), (84,), (10,)]
    assert found.activations == sum([4704, 4704, 1176, 1600, 1600, 400, 400, 120, 120, 84, 84, 10])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_macs_and_parameters(name):
    # The notes' ResNet-18 and -34 have biases; torchvision's, as the paper's, have none.
    options = {"bias": False} if name in ("resnet18", "resnet34") else {}
    with nn.init.no_init():
        net = models.create(name, num_classes=1000, in_channels=3, **options)
    found = summary(net, (3, 224, 224))
    giga, parameters = PUBLISHED[name]
    assert round(found.macs / 1e9, 2) == pytest.approx(giga, abs=0.011)  # torchvision cuts or rounds
    assert found.parameters == parameters


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (4, 8, 8), 8 * 8 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 8, 8), 8 * 8 * 6 * 2 * 9),
        (nn.Conv2d(4, 4, (1, 3), stride=2, groups=4), (4, 9, 9), 5 * 4 * 4 * 1 * 3),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 5 * 5 * 4 * 6 * 9),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (4, 5, 5), 5 * 5 * 4 * 3 * 9),
        (nn.Linear(7, 3, bias=False), (7,), 21),
        (nn.Linear(7, 3), (5, 7), 5 * 21),
        (nn.BatchNorm2d(4), (4, 5, 5), 0),
        (nn.MaxPool2d(2), (4, 6, 6), 0),
    ],
)
def test_macs_of_a_layer(layer, shape, macs):
    (row,) = summary(layer, shape).rows
    assert row.macs == macs
    assert row.name == ""
    output = layer(tinycnn.zeros(2, *shape))
    assert row.output_shape == tuple(output.shape[1:])
    assert count_macs(layer, (2, *shape), output.shape) == macs


class TwoPaths(nn.Module):
    """Has a parameter of its own, a list that is never called, a layer called twice and one never."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(tinycnn.ones(3))
        self.twice = nn.Conv2d(2, 2, 1, bias=False)
        self.rest = nn.ModuleList([nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU()), nn.Conv2d(2, 3, 1)])
        self.rest[1].weight = self.rest[0][0].weight
        self.unused = nn.Linear(100, 1)

    def forward(self, x):
        x = self.twice(self.twice(x))
        return sum(part(x) for part in self.rest) * self.scale.reshape(3, 1, 1)


def test_shared_repeated_unused_and_own_parameters():
    net = TwoPaths()
    found = summary(net, (2, 4, 4))
    assert [(row.name, row.parameters, row.macs) for row in found.rows] == [
        ("twice", 4, 64),
        ("twice", 0, 64),
        ("rest.0.0", 9, 96),
        ("rest.0.1", 0, 0),
        ("rest.1", 3, 96),
        ("", 3, 0),
    ]
    assert found.macs == 320
    assert found.parameters == sum(p.numel() for p in net.parameters()) == 120


def test_depth_sums_over_what_is_inside():
    net = TwoPaths()
    stages = summary(net, (2, 4, 4), depth=1)
    assert [(row.name, row.kind, row.parameters, row.macs) for row in stages.rows] == [
        ("twice", "Conv2d", 4, 64),
        ("twice", "Conv2d", 0, 64),
        ("rest.0", "Sequential", 9, 96),
        ("rest.1", "Conv2d", 3, 96),
        ("", "TwoPaths", 3, 0),
    ]
    (whole,) = summary(net, (2, 4, 4), depth=0).rows
    assert (whole.parameters, whole.macs, whole.output_shape) == (120, 320, (3, 4, 4))
    assert summary(net, (2, 4, 4), depth=9).rows == summary(net, (2, 4, 4)).rows


def test_stages_of_resnet():
    rows = summary(models.resnet18(), (1, 224, 224), depth=1).rows
    sizes = [(64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7), (10,)]
    assert [row.output_shape for row in rows] == sizes


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 1))
    net[0].eval()
    net[0].register_forward_hook(lambda module, args, output: None)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    summary(net, (2, 2, 2))
    assert [module.training for module in net] == [False, True, True, True]
    assert [len(module._forward_hooks) for module in net] == [1, 0, 0, 0]
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert all(tinycnn.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_lazy_layers_get_their_sizes():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10)).double()
    found = summary(net, (3, 6, 6))
    assert [row.kind for row in found.rows] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert [row.parameters for row in found.rows] == [112, 8, 0, 650]
    assert bool(tinycnn.isfinite(net[0].weight).all())


class NeedsAnImage(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 2)

    def forward(self, x):
        return {"logits": self.fc(x.view(x.size(0), -1)), "sizes": [3]}


def test_a_network_that_cannot_take_an_empty_batch():
    found = summary(NeedsAnImage(), (3, 2, 2))
    assert [row.output_shape for row in found.rows] == [(2,)]
    assert summary(NeedsAnImage(), (3, 2, 2), depth=0).rows[0].output_shape == (2,)


def test_the_network_says_what_it_has_against_an_image_and_is_left_clean():
    net = models.lenet()
    with pytest.raises(ValueError, match="lenet: expected images of 28x28"):
        summary(net, (1, 32, 32))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert net.training


@pytest.mark.parametrize("shape", [(), (1, 0, 28), (1, 28.0, 28), (True, 28, 28), (-1, 28, 28)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"summary: input_shape must be the shape of one image"):
        summary(nn.ReLU(), shape)


def test_wrong_depth():
    with pytest.raises(ValueError, match="depth must be 0 or more, got -1"):
        summary(nn.ReLU(), (1,), depth=-1)


def test_tables_fit_a_terminal():
    with nn.init.no_init():
        net = nn.Sequential(models.densenet201(), nn.Identity())
    lines = str(summary(net, (1, 224, 224))).splitlines()
    assert max(map(len, lines)) <= 80
    assert len({line.rstrip()[-1] for line in lines[2:-3]}) > 1
    ends = {len(line) for line in lines[2:-3]}
    assert len(ends) == 1  # the last column is in line


def test_a_column_gives_way():
    rows = [("a" * 30, "xy"), ("b", "z")]
    assert format_table(rows, "<>", shrink=0, width=24) == [".." + "a" * 18 + "  xy".rjust(4), "b".ljust(22) + " z"]
    assert format_table([("xy", "a" * 30)], "<<", shrink=1, width=24) == ["xy  " + "a" * 18 + ".."]
    assert format_table([("a" * 30, "x" * 40)], "<<", shrink=0, width=24) == [".." + "a" * 10 + "  " + "x" * 40]


def test_no_init_leaves_values_and_random_numbers_alone():
    tinycnn.manual_seed(3)
    expected = tinycnn.rand(4)
    tinycnn.manual_seed(3)
    weight = tinycnn.full((3, 3), 7.0)
    with nn.init.no_init():
        nn.Linear(50, 50)
        for fill in (
            nn.init.uniform_,
            nn.init.normal_,
            nn.init.ones_,
            nn.init.eye_,
            nn.init.orthogonal_,
            nn.init.trunc_normal_,
            nn.init.kaiming_normal_,
            nn.init.xavier_uniform_,
        ):
            assert fill(tensor=weight) is weight
    assert bool((weight == 7).all())
    assert tinycnn.equal(tinycnn.rand(4), expected)
    nn.init.ones_(weight)
    assert bool((weight == 1).all())
