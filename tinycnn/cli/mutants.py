"""`tinycnn gradcheck --mutants`: wrong backwards, put to the checks. They live with the tests, in a source checkout."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import tinycnn
from tinycnn.autograd import GradcheckReport
from tinycnn.ops.registry import get_op

from .console import FAILED, fail, make_console
from .gradcheck import choose_kernels

_NAME = "tinycnn_mutants"


def run(names: list[str], kernels: str | None, seed: int) -> None:
    """Put every mutant, or those of the operations named, to the checks; the exit status is 1 if one passes them, or
    if the checks find something wrong without a mutant."""
    package = _load(Path(tinycnn.__file__).resolve().parent.parent / "tests" / "mutants")
    for name in names:
        try:
            get_op(name)
        except KeyError as error:
            fail(f"gradcheck: {error.args[0]}")
    chosen = [m for m in package.MUTANTS if not names or m.op in names]
    if not chosen:
        fail(f"gradcheck: there are no mutants of {', '.join(names)}")
    choice = choose_kernels(kernels)
    console = make_console()
    width = max(len(m.name) for m in chosen)
    console.print(f"{'wrong backward':<{width}}  {'found by':<12}  error/budget  worst index")
    missed: list[str] = []
    with choice:
        for m in chosen:
            with m.applied():
                finding = package.first_finding(m.op, seed)
            if finding is None:
                missed.append(m.name)
                console.print(f"{m.name:<{width}}  [red]NOT FOUND[/]")
            else:
                ratio, place = _worst(finding.report)
                console.print(f"{m.name:<{width}}  {finding.kind:<12}  {ratio:>12}  {place}", markup=False)
            console.print(f"  {m.op}: {m.wrong}", markup=False)
        operations = sorted({m.op for m in chosen})
        alarms = [name for name in operations if package.first_finding(name, seed) is not None]
    families = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in Counter(m.family for m in chosen).items())
    console.print(f"\n{families}")
    console.print(
        f"{len(chosen)} wrong backwards, {len(chosen) - len(missed)} found; "
        f"{len(operations)} operations as they are, {len(alarms)} false alarms"
    )
    if missed or alarms:
        console.print(f"not found: {', '.join(missed) or 'none'}; false alarms: {', '.join(alarms) or 'none'}")
        raise SystemExit(FAILED)


def _load(folder: Path) -> ModuleType:
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    if not (folder / "__init__.py").is_file():
        fail("gradcheck --mutants: they are in tests/mutants of a source checkout, and this is an installed copy")
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


def _worst(report: GradcheckReport) -> tuple[str, str]:
    """By how much the worst slope is wrong, and where; or what is wrong if it is no slope."""
    worst = report.worst()
    if worst is not None and not worst.passed:
        return f"{worst.error / worst.budget:.1e}", f"{worst.index} of input {worst.input}"
    return "", report.problems[0]
