"""models: the registry, and of every network what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

import tinycnn
from tinycnn import models, nn


@pytest.mark.parametrize("name", models.available())
def test_every_network_runs_and_round_trips(name: str) -> None:
    info = models.get(name)
    assert info.summary.endswith(".")
    assert getattr(models, name) is info.function
    net = models.create(name, num_classes=7)
    x = tinycnn.randn(2, *info.input_shape)
    y = net(x)
    assert y.shape == (2, 7)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())
    tinycnn.manual_seed(1)
    other = models.create(name, num_classes=7)
    other.load_state_dict(net.state_dict())
    net.eval()
    other.eval()
    np.testing.assert_array_equal(other(x).detach().numpy(), net(x).detach().numpy())


def test_lenet_is_the_notes() -> None:
    net = models.lenet()
    assert sum(p.numel() for p in net.parameters()) == 61_706
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


def test_lenets_knobs() -> None:
    net = models.create("lenet", in_channels=3, num_classes=4, activation="relu")
    assert net(tinycnn.zeros(2, 3, 28, 28)).shape == (2, 4)
    assert sum(isinstance(layer, nn.ReLU) for layer in net.modules()) == 4
    with pytest.raises(ValueError, match="activation 'swoosh' is unknown, there are sigmoid, tanh, relu"):
        models.lenet(activation="swoosh")


def test_the_registry_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"no network is called 'lenett'; did you mean lenet\?"):
        models.create("lenett")
    with pytest.raises(ValueError, match="no network is called 'xyzxyz'; there are lenet"):
        models.get("xyzxyz")
    with pytest.raises(TypeError, match="lenet: no option is called 'depth'; there are num_classes, in_channels"):
        models.create("lenet", depth=3)
    with pytest.raises(ValueError, match="'lenet' is registered already"):
        models.register(models.lenet)


def test_a_network_is_a_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycnn.models import _registry

    monkeypatch.setattr(_registry, "_models", {})

    @models.register(input_shape=(3, 8, 8))
    def tiny(num_classes: int = 10) -> nn.Module:
        """The smallest of networks."""
        return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))

    assert models.available() == ["tiny"]
    assert models.get("tiny").options == ("num_classes",)
    assert models.get("tiny").input_shape == (3, 8, 8)
    assert models.create("tiny", num_classes=3)(tinycnn.zeros(1, 3, 8, 8)).shape == (1, 3)
