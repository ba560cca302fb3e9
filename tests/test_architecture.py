"""The arrows between the layers, read from the source: who may import whom, and where array libraries may be named.

import-linter holds the installed package to the same arrows (`[tool.importlinter]` in pyproject.toml), through chains
of imports too. These checks need no installation, and see what it does not: imports by name and the use of `xp`.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each layer may import. "" is the package itself: `import tinycnn`, as a user does.
ARROWS = {
    "kernels": set(),
    "backend": {"kernels"},
    "cuda": {"autograd", "backend"},
    "amp": {"autograd", "backend"},
    "backends": {"backend"},
    "autograd": {"backend"},
    "ops": {"autograd", "backend"},
    "nn": {"ops", "autograd", "backend"},
    "models": {"nn", "ops", "autograd", "backend"},
    "inspect": {"nn", "ops", "autograd", "backend"},
    "optim": {"autograd", "backend"},
    "data": {"ops", "autograd", "backend"},
    "utils": {"data", "autograd"},
    "train": {"amp", "data", "optim", "models", "nn", "ops", "autograd", "backend"},
    "bench": {"cuda", "optim", "models", "inspect", "nn", "ops", "autograd", "backend"},
    "d2l": {"train", "data", "optim", "models", "inspect", "nn", "ops", "autograd", "cuda", "backend"},
    "cli": {"", "bench", "train", "inspect", "data", "optim", "models", "nn", "ops", "autograd", "cuda", "backend"},
    "": {
        "amp",
        "backends",
        "train",
        "utils",
        "inspect",
        "data",
        "optim",
        "models",
        "nn",
        "ops",
        "autograd",
        "cuda",
        "backend",
    },
}

# The modules and packages, without "tinycnn.", that may import a library at all.
LIBRARIES = {
    "numpy": {
        "backend",
        "kernels",
        "autograd.conversion",  # reads nested lists
        "autograd.formatting",  # prints
        "autograd.gradcheck",  # measures on the host
        "autograd.tensor",  # numpy(), item() and the array protocols
        "data",
        "train.checkpoint",
    },
    "scipy": {"backend", "kernels"},
    "numba": {"backend.cpu", "kernels.cpu"},
    "llvmlite": {"kernels.cpu"},
    "cupy": {"backend.cuda", "kernels.cuda"},
    "cupyx": {"backend.cuda", "kernels.cuda", "kernels.reference"},
    "cupy_backends": {"backend.cuda", "kernels.cuda"},
    "matplotlib": {"bench", "train", "cli", "d2l"},
    "PIL": {"data", "train", "cli", "d2l"},
    "ml_dtypes": {"backend.dtypes"},
    "safetensors": {"train"},
    "rich": {"cli"},
    "typer": {"cli"},
    "torch": {"bench"},
}

# Libraries that take long to load, and the packages that may import them when they are imported themselves.
HEAVY = {
    "scipy": set(),
    "numba": {"kernels.cpu"},
    "llvmlite": {"kernels.cpu"},
    "cupy": set(),
    "cupyx": set(),
    "cupy_backends": set(),
    "matplotlib": set(),
    "torch": {"bench.torch_networks"},
    "PIL": set(),
    "safetensors": set(),
    "rich": {"cli"},
    "typer": {"cli"},
}


class Module(NamedTuple):
    name: str  # without "tinycnn.": "nn.conv"; "" is the package itself
    is_package: bool
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]


class Import(NamedTuple):
    target: str  # as the importing file could write it absolutely: "tinycnn.nn.conv", "numpy.linalg"
    line: int
    lazy: bool  # inside a function


def module_of(name: str, source: str, is_package: bool = False) -> Module:
    return Module(name, is_package, ast.parse(source))


def read_modules() -> list[Module]:
    found = []
    for folder, prefix in (("tinycnn", ()), ("kernels", ("kernels",))):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = (*prefix, *path.relative_to(ROOT / folder).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found.append(module_of(name, path.read_text(encoding="utf-8"), is_package))
    return found


MODULES = read_modules()
NAMES = {m.name for m in MODULES}


def imports_of(module: Module, names: set[str] = NAMES) -> Iterator[Import]:
    """Every import in a module: statements, relative ones resolved, and importlib.import_module("a name")."""
    lazy_nodes = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        lazy = id(node) in lazy_nodes
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["tinycnn", *filter(None, module.name.split("."))]
                here = here[: len(here) - node.level + module.is_package]
                base = ".".join([*here, *filter(None, [node.module])])
            for (
                alias
            ) in node.names:  # `from .. import nn` imports tinycnn.nn; `from ..nn import Linear`, tinycnn.nn too
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner.removeprefix("tinycnn.") in names else base, node.lineno, lazy)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(first.value, node.lineno, lazy)


def layer_of(target: str) -> str | None:
    """The layer of tinycnn that an import names; None if it is of another library."""
    top, _, rest = target.partition(".")
    if top == "kernels":  # found so from the repository's root
        return "kernels"
    return rest.partition(".")[0] if top == "tinycnn" else None


def lies_in(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


def against_arrows(module: Module, names: set[str] = NAMES) -> list[str]:
    allowed = ARROWS.get(module.layer, set()) | ({module.layer} if module.layer else set())
    found = []
    for target, line, _ in imports_of(module, names):
        layer = layer_of(target)
        if layer is not None and layer not in allowed:
            found.append(f"tinycnn.{module.name}:{line} imports {target}")
        elif layer == module.layer == "kernels" and module.name.count("."):
            mine, theirs = module.name.split(".")[1], target.removeprefix("tinycnn.").split(".")[1:2]
            if theirs not in ([mine], ["reference"], ["cores"], ["memory"]):  # the reference to fall back on, and tools
                found.append(f"tinycnn.{module.name}:{line} imports {target}, of another set of kernels")
    return found


def against_libraries(module: Module) -> list[str]:
    found = []
    for target, line, lazy in imports_of(module):
        library = target.partition(".")[0]
        if library in LIBRARIES and not lies_in(module.name, LIBRARIES[library]):
            found.append(f"tinycnn.{module.name}:{line} imports {library}")
        elif library in HEAVY and not lazy and not lies_in(module.name, HEAVY[library]):
            found.append(f"tinycnn.{module.name}:{line} imports {library} outside a function")
    return found


def uses_of_xp(module: Module) -> list[str]:
    """Where a module above the backend names an array module."""
    if module.layer in ("kernels", "backend"):
        return []
    lines = set()
    for node in ast.walk(module.tree):
        name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
        if name in ("xp", "_xp"):
            lines.add(node.lineno)
    return [f"tinycnn.{module.name}:{line} uses xp" for line in sorted(lines)]


def test_imports_follow_the_arrows() -> None:
    assert not [line for module in MODULES for line in against_arrows(module)]


def test_libraries_are_imported_where_they_belong_and_heavy_ones_late() -> None:
    assert not [line for module in MODULES for line in against_libraries(module)]


def test_xp_stays_below_the_backend() -> None:
    assert not [line for module in MODULES for line in uses_of_xp(module)]


def test_every_part_of_the_package_has_its_arrows() -> None:
    assert {m.layer for m in MODULES} == set(ARROWS)


def test_every_folder_is_installed() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {path.parent for top in ("tinycnn", "kernels") for path in (ROOT / top).rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    packages = {"tinycnn." + p if p.partition(".")[0] == "kernels" else p for p in packages}
    assert sorted(packages) == configuration["tool"]["setuptools"]["packages"]
    assert not [f"{folder} has no __init__.py" for folder in folders if not (folder / "__init__.py").is_file()]


def test_import_linter_knows_every_layer() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = configuration["tool"]["importlinter"]["contracts"]
    named = {
        name
        for c in contracts
        for key in ("layers", "source_modules")
        for names in c.get(key, [])
        for name in names.split(" | ")
    }
    assert {f"tinycnn.{layer}" for layer in ARROWS if layer} <= named


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("nn.conv", "from ..models import lenet"),
        ("nn.conv", "from .. import models"),
        ("nn.conv", "def late():\n    from tinycnn.train import Trainer"),
        ("nn.conv", "import tinycnn"),
        ("ops.conv", "from ..nn.conv import Conv2d"),
        ("ops.conv", "from ..kernels.reference import conv"),
        ("autograd.tensor", "from .. import ops"),
        ("optim.sgd", "from ..ops import arithmetic"),
        ("data.loader", "from ..nn import Module"),
        ("nn.functional", "import importlib\nimportlib.import_module('tinycnn.kernels.reference')"),
        ("kernels.reference.conv", "from tinycnn.backend import base"),
        ("kernels.reference.conv", "from ..cpu import conv"),
        ("kernels.cpu.conv", "from ..cuda import loader"),
        ("kernels.cpu.conv", "import kernels.cuda"),
        ("backend.cpu", "from ..autograd import Tensor"),
    ],
)
def test_an_import_against_an_arrow_is_found(name: str, source: str) -> None:
    names = NAMES | {"models", "ops", "nn", "kernels.cpu", "kernels.cuda", "kernels.reference"}
    assert against_arrows(module_of(name, source), names)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("nn.conv", "from ..ops import conv2d\nfrom .module import Module\nimport math"),
        ("models.lenet", "from .. import nn"),
        ("kernels.cpu.conv", "from .layout import channels_last\nfrom . import _jit"),
        ("kernels.cpu.conv", "from ..reference import conv"),
        ("cli.app", "import tinycnn"),
    ],
)
def test_an_import_along_an_arrow_is_allowed(name: str, source: str) -> None:
    assert not against_arrows(module_of(name, source), NAMES | {"nn", "ops", "kernels.reference"})


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("ops.conv", "import numpy as np"),
        ("nn.init", "from numpy import random"),
        ("backend.base", "import cupy"),
        ("backend.cpu", "import numba"),
        ("backend.cpu", "import scipy.special"),
        ("train.plot", "import matplotlib.pyplot as plt"),
        ("train.trainer", "def show():\n    import rich"),
        ("backend.cuda", "import cupy"),
        ("data.idx", "def read():\n    import torch"),
    ],
)
def test_a_library_out_of_place_is_found(name: str, source: str) -> None:
    assert against_libraries(module_of(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("kernels.cpu.conv", "import numba"),
        ("backend.cpu", "def describe():\n    import numba"),
        ("train.plot", "def plot():\n    import matplotlib.pyplot"),
    ],
)
def test_a_library_in_its_place_is_allowed(name: str, source: str) -> None:
    assert not against_libraries(module_of(name, source))


@pytest.mark.parametrize("source", ["y = xp.exp(x)", "def f(xp): ...", "y = backend._xp.exp(x)"])
def test_a_use_of_xp_is_found_above_the_backend_only(source: str) -> None:
    assert uses_of_xp(module_of("ops.conv", source))
    assert not uses_of_xp(module_of("backend.base", source))
