"""Every argument of every function, method and layer that PyTorch has too, against PyTorch.

Compared are value, shape, dtype, and all gradients for a random cotangent. The tables of calls are in the folder
`arguments`; `python -m arguments` beside it prints how many calls of each operation agree.
"""

from __future__ import annotations

import itertools
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the tests against PyTorch need PyTorch")

import numpy as np  # noqa: E402
from arguments import differences, document  # noqa: E402
from arguments.compare import LIBRARIES, check, check_in_place, difference, make, outcome, run_layer  # noqa: E402
from arguments.families import CONTAINERS, ENTRIES, FORMS, IN_PLACE, LAYERS, NO_OPERATIONS, Form, both_have  # noqa: E402
from arguments.signatures import arguments, layer_arguments, signatures  # noqa: E402

import tinycnn  # noqa: E402
from tinycnn.ops.keywords import UNSUPPORTED  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.unmeasured]


def _report(count: int, failures: list[str]) -> None:
    assert count, "no case was run"
    assert not failures, f"{len(failures)} of {count} calls differ:\n" + "\n".join(failures[:20])


def _step(form: Form) -> int:
    """Every so many cases are run: all of small tables in the first form, a part of them otherwise."""
    cases = sum(1 for _ in form.entry.cases())
    return 1 + cases // (120 if form.first else 15)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_arguments(form: Form) -> None:
    _report(*check(form.entry, form.space, form.name, form.form, _step(form)))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_all_pairs_of_arguments(form: Form) -> None:
    _report(*check(form.entry, form.space, form.name, form.form))


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    layer = LAYERS[name]
    _report(*run_layer(layer, 1 + sum(1 for _ in layer.cases()) * len(layer.inputs) // 80))


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_all_pairs_of_layers(name: str) -> None:
    _report(*run_layer(LAYERS[name]))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str) -> None:
    for entry in ENTRIES[name[:-1]]:
        _report(*check_in_place(entry, name, 1 + sum(1 for _ in entry.cases()) // 40))


def _public() -> Iterator[tuple[str, str]]:
    """All names that both libraries have: of functions, and of methods."""
    functional = set(tinycnn.nn.functional.__all__)
    for name in dir(tinycnn):
        function = getattr(tinycnn, name)
        if not name.startswith("_") and isinstance(function, types.FunctionType) and name not in functional:
            yield "torch", name
    yield from (("functional", name) for name in sorted(functional))
    for name in dir(tinycnn.Tensor):
        if not name.startswith("_") and isinstance(getattr(tinycnn.Tensor, name), types.FunctionType):
            yield "Tensor", name


NAMES = [(space, name) for space, name in _public() if both_have(space, name) and name not in NO_OPERATIONS]


@pytest.mark.parametrize(("space", "name"), NAMES)
def test_no_argument_is_forgotten(space: str, name: str) -> None:
    entries = ENTRIES.get(name) or (ENTRIES[name[:-1]] if name in IN_PLACE else None)
    assert entries, f"no table has {name}"
    assert signatures(space, name) or name in {"nelement", "tolist", *UNTOLD}, (
        f"PyTorch does not tell the arguments of {name}"
    )
    exercised = set().union(*(entry.exercised() for entry in entries))
    refused = {argument for argument, (functions, _) in UNSUPPORTED.items() if name in functions}
    assert arguments(space, name) - exercised - refused - {"out"} == set()


UNTOLD = {"half", "bfloat16", "float", "double", "byte", "char", "short", "int", "long", "bool", "type"}


@pytest.mark.parametrize(
    "name", [n for n in tinycnn.nn.__all__ if isinstance(getattr(tinycnn.nn, n), type) and n not in CONTAINERS]
)
def test_no_argument_of_a_layer_is_forgotten(name: str) -> None:
    refused = {argument for argument, (functions, _) in UNSUPPORTED.items() if name in functions}
    assert layer_arguments(name) - LAYERS[name].exercised() - refused == set()


@pytest.mark.parametrize(
    ("argument", "name"), [(a, f) for a, (functions, _) in UNSUPPORTED.items() for f in sorted(functions)]
)
def test_what_is_not_supported_is_refused_by_name(argument: str, name: str) -> None:
    if name in LAYERS:
        assert argument in layer_arguments(name)
        with pytest.raises(NotImplementedError, match=f"{name}: the argument {argument} is not supported"):
            getattr(tinycnn.nn, name)(**{argument: 1})
        return
    spaces = [s for s in ("torch", "Tensor") if both_have(s, name) and argument in arguments(s, name)]
    assert spaces, f"PyTorch's {name} has no {argument}"
    base = dict(ENTRIES[name][0].bases[0])
    given = make(tinycnn, base, np.random.default_rng(0), [])
    for space in spaces:
        function = getattr({"torch": tinycnn, "Tensor": tinycnn.Tensor}[space], name)
        first = [given[k] for k in ("input",) if k in given]
        rest = {k: v for k, v in given.items() if k != "input"}
        with pytest.raises(NotImplementedError, match=f"{name}: the argument {argument} is not supported"):
            function(*first, tinycnn.int32) if name == "view" else function(*first, **rest | {argument: 1})


# PyTorch's documents copy `out` where it is not taken.
WITHOUT_OUT = {"full_like", "ones_like", "zeros_like", "var_mean"}
WITH_OUT = sorted(
    {n for s, n in NAMES if s == "torch" and "out=" in (getattr(torch, n).__doc__ or "") and not ENTRIES[n][0].random}
    - WITHOUT_OUT
)


@pytest.mark.parametrize("name", WITH_OUT)
def test_out(name: str) -> None:
    """A result written to tensors given as `out`, empty ones and ones that hold something."""

    def call(library: Any, given: dict[str, Any], held: bool) -> Any:
        with library.no_grad():
            plain = getattr(library, name)(**given)
            tensors = list(plain) if isinstance(plain, tuple | list) else [plain]
            out = [
                t.clone() * 0 if held and t.dtype != library.bool else library.empty(0, dtype=t.dtype) for t in tensors
            ]
            back = getattr(library, name)(**given, out=tuple(out) if len(out) > 1 else out[0])
            same = all(a is b for a, b in zip(out, back if len(out) > 1 else [back], strict=True))
            return [*tensors, *out, same or library is torch]  # PyTorch's tuples hold other objects on the same memory

    for held in (False, True):
        for case in itertools.islice(ENTRIES[name][0].cases(), 12):
            ours, theirs = (
                outcome(library, lambda lib, given, held=held: call(lib, given, held), zlib.crc32(name.encode()), case)
                for library in LIBRARIES
            )
            if theirs.error is None:  # not each of PyTorch's overloads takes it
                break
        assert theirs.error is None
        assert ours.error is None
        assert difference(ours, theirs, False) is None
        half = len(ours.results) // 2
        for plain, written in zip(ours.results[:half], ours.results[half : 2 * half], strict=True):
            np.testing.assert_array_equal(plain[0], written[0])
        assert ours.results[-1]


def test_out_takes_no_gradient() -> None:
    x, out = tinycnn.ones(2, requires_grad=True), tinycnn.empty(0)
    with pytest.raises(RuntimeError, match="exp: out is a tensor to write to"):
        tinycnn.exp(x, out=out)
    with pytest.raises(RuntimeError, match="does not fit"):
        tinycnn.exp(x.detach(), out=tinycnn.empty(3))
    with pytest.raises(TypeError, match="exp: out must be a tensor"):
        tinycnn.exp(x, out=[1])


@pytest.mark.parametrize("row", differences.TABLE, ids=lambda row: row.code)
def test_known_differences(row: differences.Difference) -> None:
    assert differences.answer(torch, row.code) == row.torch
    assert differences.answer(tinycnn, row.code) == row.here


def test_the_document_is_that_of_the_tables() -> None:
    path = Path(__file__).parent.parent / "docs" / "pytorch.md"
    assert path.read_text(encoding="utf-8") == document.text(), "write it anew: cd tests; python -m arguments --docs"


def test_what_is_missing_is_listed() -> None:
    """Of PyTorch's layers and functions of layers, each is here or stands in the list of those that are not."""
    for place, theirs, missing in document.missing():
        for name in missing:
            assert not hasattr(place, name), name
        assert {n for n in document.public(theirs) if not hasattr(place, n)} <= set(missing)
