"""What the tests of the command line share."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tinycnn import backend
from tinycnn.backend import base


def run(*args: str) -> Any:
    """The command with these arguments, within this process: exit_code, stdout, stderr, output."""
    from typer.testing import CliRunner

    from tinycnn.cli.app import app

    return CliRunner().invoke(app, list(args))


def in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For an autouse fixture: nothing of the user's surroundings counts, and nothing of the command's choices stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}-cache")
    for name in ("TINYCNN_DATA", "TINYCNN_DEVICE", "TINYCNN_KERNELS"):
        monkeypatch.delenv(name, raising=False)
    mode, device = base.default_kernel_mode(), backend.get_default_device()
    yield
    base.set_default_kernel_mode(mode)
    backend.set_default_device(device)
