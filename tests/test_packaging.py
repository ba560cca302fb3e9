"""The ways in: a wheel, an editable install, a bare checkout, and a wheel while the checkout is the current folder."""

from __future__ import annotations

import email.message
import email.parser
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import tinycnn

ROOT = Path(__file__).resolve().parent.parent

# Runs a reference kernel through the backend, and says where the package and its kernels came from.
USE = """
import tinycnn
import tinycnn.kernels.reference.conv
y = tinycnn.nn.functional.conv2d(tinycnn.ones(1, 1, 3, 3), tinycnn.ones(1, 1, 2, 2))
assert y.shape == (1, 1, 2, 2) and y.sum().item() == 16.0, y
print(tinycnn.__file__)
print(tinycnn.kernels.reference.conv.__file__)
"""


def run_python(code: str, *, path: Sequence[Path], folder: Path, options: Sequence[str] = ()) -> list[str]:
    """The lines that code prints in a new Python, which sees the given folders before what is installed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TINYCNN_", "PYTHON", "COV"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "TINYCNN_KERNELS": "reference"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def use_from(*, path: Sequence[Path], folder: Path, options: Sequence[str] = ()) -> tuple[Path, Path]:
    package, kernel = run_python(USE, path=path, folder=folder, options=options)
    return Path(package).resolve(), Path(kernel).resolve()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that building leaves nothing behind in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    junk = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    for name in ("tinycnn", "kernels"):
        shutil.copytree(ROOT / name, copy / name, ignore=junk)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel by setuptools ("wheel" or "editable") and unpack it as an installer does."""
    code = f"import setuptools.build_meta as b; b.build_{kind}({str(out)!r})"
    run_python(code, path=[], folder=source)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(installed: Path) -> email.message.Message:
    (info,) = installed.glob("*.dist-info")
    return email.parser.Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))


def test_bare_checkout(tmp_path: Path) -> None:
    package, kernel = use_from(path=[ROOT], folder=tmp_path)
    assert package == ROOT / "tinycnn" / "__init__.py"
    assert kernel == ROOT / "kernels" / "reference" / "conv.py"


def test_wheel(installed: Path, tmp_path: Path) -> None:
    package, kernel = use_from(path=[installed], folder=tmp_path)
    assert package == installed / "tinycnn" / "__init__.py"
    assert kernel == installed / "tinycnn" / "kernels" / "reference" / "conv.py"


def test_wheel_run_from_the_root_of_the_repository(installed: Path) -> None:
    # `python -c` puts the current folder first: the package is the checkout's, and so are the kernels.
    package, kernel = use_from(path=[installed], folder=ROOT)
    assert package == ROOT / "tinycnn" / "__init__.py"
    assert kernel == ROOT / "kernels" / "reference" / "conv.py"
    # A script does not, as `python -P` does not: all comes from the wheel.
    package, kernel = use_from(path=[installed], folder=ROOT, options=["-P"])
    assert package == installed / "tinycnn" / "__init__.py"
    assert kernel == installed / "tinycnn" / "kernels" / "reference" / "conv.py"


def test_editable_install(source: Path, tmp_path: Path) -> None:
    # A Python with no site-packages but NumPy and the editable install, whatever tinycnn this one has.
    site = build("editable", source, tmp_path)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("numpy", "numpy.libs"):
        folder = Path(np.__file__).resolve().parent.parent / name
        if folder.exists():
            (libraries / name).symlink_to(folder)
    enter = f"import site; site.addsitedir({str(site)!r})"
    package, kernel = run_python(f"{enter}\n{USE}", path=[libraries], folder=tmp_path, options=["-S"])
    assert Path(package) == source / "tinycnn" / "__init__.py"
    assert Path(kernel) == source / "kernels" / "reference" / "conv.py"


def test_wheel_holds_every_file_of_the_package(source: Path, installed: Path) -> None:
    wanted = {
        prefix + path.relative_to(source / folder).as_posix()
        for folder, prefix in (("tinycnn", "tinycnn/"), ("kernels", "tinycnn/kernels/"))
        for path in (source / folder).rglob("*")
        if path.is_file()
    }
    found = {path.relative_to(installed).as_posix() for path in (installed / "tinycnn").rglob("*") if path.is_file()}
    assert found == wanted
    assert {"tinycnn/py.typed", "tinycnn/data/files/digits.npz"} <= found
    assert [p.name for p in installed.iterdir() if p.name != "tinycnn" and p.suffix != ".dist-info"] == []


def test_version_is_said_once(metadata: email.message.Message) -> None:
    assert metadata["Version"] == tinycnn.__version__


def test_wheel_names_its_command_and_its_licences(installed: Path, metadata: email.message.Message) -> None:
    (info,) = installed.glob("*.dist-info")
    assert "tinycnn = tinycnn.cli:main" in (info / "entry_points.txt").read_text(encoding="utf-8").splitlines()
    assert callable(importlib.import_module("tinycnn.cli").main)
    assert "MIT" in metadata["License-Expression"]
    licences = {path.name for path in (info / "licenses").rglob("*") if path.is_file()}
    assert licences == {"LICENSE", "DIGITS-LICENSE.md"}


def test_what_the_wheel_wants(metadata: email.message.Message) -> None:
    wanted = metadata.get_all("Requires-Dist") or []
    plain = {re.split(r"[^\w-]", line)[0] for line in wanted if "extra ==" not in line}
    libraries = "matplotlib ml_dtypes numba numpy pillow rich safetensors scipy threadpoolctl typer"
    assert plain == set(libraries.split())
    assert not [line for line in wanted if line.startswith(("torch", "cupy>", "cupy="))]
    assert set(metadata.get_all("Provides-Extra") or []) == {"cuda12", "cuda13", "dev", "test"}


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = (
        "PIL",
        "cupy",
        "cupyx",
        "llvmlite",
        "matplotlib",
        "numba",
        "rich",
        "safetensors",
        "threadpoolctl",
        "scipy",
        "torch",
        "typer",
    )
    code = f"import sys, tinycnn\nprint(sorted(set({heavy}) & set(sys.modules)))"
    assert run_python(code, path=[ROOT], folder=tmp_path) == ["[]"]


def test_without_numba_the_reference_kernels_run(tmp_path: Path) -> None:
    code = f"import sys; sys.modules['numba'] = None\nimport os; del os.environ['TINYCNN_KERNELS']\n{USE}"
    assert len(run_python(code, path=[ROOT], folder=tmp_path)) == 2
