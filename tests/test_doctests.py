"""Every example in a docstring runs and prints what it says.

The examples are found in the source, not in the imported objects: so those of compiled kernels, of decorated functions
and of properties run too, and the kernels are imported under their one name, tinycnn.kernels.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import pathlib
from collections.abc import Iterator

import pytest

import tinycnn

ROOT = pathlib.Path(tinycnn.__file__).resolve().parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
Place = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def source_folders() -> dict[str, pathlib.Path]:
    """The package's folders by name; the kernels stand beside it in a checkout, and inside it once installed."""
    inside = ROOT / "kernels"
    return {"tinycnn": ROOT, "tinycnn.kernels": inside if inside.is_dir() else ROOT.parent / "kernels"}


def docstrings(node: Place, name: str) -> Iterator[tuple[str, int, str]]:
    """(name, line, docstring) of a module and of all that is defined in it."""
    text = ast.get_docstring(node, clean=False)
    if text:
        yield name, node.body[0].lineno, text
    for child in definitions(node):
        yield from docstrings(child, f"{name}.{child.name}")


def definitions(node: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The classes and functions right inside a node, also those under an if or a with."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from definitions(child)


def examples() -> list[tuple[str, str, int, str]]:
    """(module, name, line, docstring) of every docstring that holds an example."""
    found = []
    for package, folder in source_folders().items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "tinycnn" and parts[0] == "kernels":
                continue
            module = ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [(module, *d) for d in docstrings(tree, module) if ">>>" in d[2]]
    return found


EXAMPLES = examples()


@pytest.fixture
def _own_state(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An example may write files and change defaults; the next test sees nothing of it."""
    monkeypatch.chdir(tmp_path)
    dtype, device, kernels = tinycnn.get_default_dtype(), tinycnn.get_default_device(), tinycnn.get_kernels()
    yield
    tinycnn.set_default_dtype(dtype)
    tinycnn.set_default_device(device)
    if tinycnn.get_kernels() != kernels:
        tinycnn.use_kernels(kernels)


def test_there_are_examples() -> None:
    assert len({module for module, *_ in EXAMPLES}) > 10


@pytest.mark.usefixtures("_own_state")
@pytest.mark.parametrize(
    ("module", "name", "line", "text"), EXAMPLES, ids=[name.removeprefix("tinycnn.") for _, name, *_ in EXAMPLES]
)
def test_example(module: str, name: str, line: int, text: str) -> None:
    names = dict(vars(importlib.import_module(module)), __name__="__main__")
    test = doctest.DocTestParser().get_doctest(text, names, name, module, line - 1)
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert tried > 0
    assert failed == 0, "".join(said)
