"""`tinycnn models`: the table of networks, and one network's stages, layers and options."""

from __future__ import annotations

from typing import Any

import pytest

from tinycnn import models

typer_testing = pytest.importorskip("typer.testing")


def run(*args: str) -> Any:
    from tinycnn.cli.app import app

    return typer_testing.CliRunner().invoke(app, ["models", *args])


def test_every_network_has_a_line() -> None:
    result = run()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["name", "params", "MACs", "input", "min"]
    assert ".." not in result.stdout  # no line is cut
    listed = [line.split()[0] for line in lines[1:] if line and line[0].islower() and line.split()[0] != "side"]
    assert sorted(set(listed) & set(models.available())) == models.available()
    assert listed.index("resnet50") < listed.index("resnet101")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("lenet", ["61.71", "K", "416.5", "K", "1x28x28", "12"]),
        ("vgg19", ["139.6", "M", "19.57", "G", "1x224x224", "32"]),
    ],
)
def test_a_line_of_the_table(name: str, facts: list[str]) -> None:
    (line,) = [line for line in run().stdout.splitlines() if line.split()[:1] == [name]]
    assert line.split()[1:7] == facts


def test_a_network_with_its_stages_and_options() -> None:
    result = run("resnet50")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "num_classes=10, in_channels=1" in result.stdout
    assert "256x56x56" in result.stdout
    assert "23,522,250" in result.stdout
    assert "conv1" not in result.stdout


def test_every_layer() -> None:
    assert "b2.0.conv1" in run("resnet50", "--layers").stdout


def test_several_networks() -> None:
    text = run("lenet", "mlp").stdout
    assert text.index("lenet: ") < text.index("mlp: ")


def test_an_unknown_network_is_one_line_that_names_near_ones() -> None:
    result = run("resnet51")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tinycnn: no network is called 'resnet51'; did you mean resnet50")
    assert result.stderr.count("\n") == 1
