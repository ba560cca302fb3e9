"""The gradient checks find every wrong backward in tests/mutants, and nothing without them."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from cli_tools import run
from mutants import MUTANTS, Mutant, first_finding

from tinycnn.cli import mutants as command
from tinycnn.ops.activation import Softmax
from tinycnn.ops.checks import calls
from tinycnn.ops.elementwise import Cos
from tinycnn.ops.registry import OpInfo, all_ops, get_op

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIRST_ORDER = ("slopes", "adjoint")
OPS = [op for op in all_ops() if op.differentiable]
FAMILIES = {
    "activations",
    "arithmetic",
    "arrangement",
    "convolution",
    "dropout",
    "elementwise",
    "engine",
    "linear_algebra",
    "losses",
    "normalization",
    "pooling",
    "reductions",
}


def each(mutants: list[Mutant]) -> Any:
    return pytest.mark.parametrize("mutant", mutants, ids=[m.name for m in mutants])


def each_op(ops: list[OpInfo]) -> Any:
    return pytest.mark.parametrize("op", ops, ids=[op.name for op in ops])


@pytest.mark.unmeasured
@each(MUTANTS)
def test_is_found(mutant: Mutant) -> None:
    with mutant.applied():
        assert first_finding(mutant.op) is not None, f"{mutant.name} passes all checks of {mutant.op}: {mutant.wrong}"


@pytest.mark.unmeasured
@each(MUTANTS)
def test_is_wrong_in_its_backward_only(mutant: Mutant) -> None:
    for seed in (0, 1):
        for right, wrong in zip(calls(get_op(mutant.op), seed), _calls_of(mutant, seed), strict=True):
            with mutant.applied():
                found = wrong.results(*wrong.tensors)
            for a, b in zip(found, right.results(*right.tensors), strict=True):
                assert np.array_equal(a.array, b.array, equal_nan=True), f"{mutant.name} changes the forward: {right}"
                assert a.requires_grad == b.requires_grad


def _calls_of(mutant: Mutant, seed: int) -> list[Any]:
    with mutant.applied():
        return calls(get_op(mutant.op), seed)


# What is no matter of the slopes, and so none of the adjoint test.
LINEAR = [m for m in MUTANTS if get_op(m.op).linear and not m.wrong.startswith("second order")]


@pytest.mark.unmeasured
@each(LINEAR)
def test_the_adjoint_check_alone_finds_those_of_linear_operations(mutant: Mutant) -> None:
    with mutant.applied():
        assert first_finding(mutant.op, kinds=("adjoint",)) is not None


@pytest.mark.unmeasured
@each([m for m in MUTANTS if m.wrong.startswith("second order")])
def test_only_the_second_order_shows_what_is_wrong_there(mutant: Mutant) -> None:
    with mutant.applied():
        assert first_finding(mutant.op, kinds=FIRST_ORDER) is None


@pytest.mark.unmeasured
@each_op(OPS)
def test_no_false_alarm_over_ten_seeds(op: OpInfo) -> None:
    for seed in range(10):
        _no_alarm(op, seed, FIRST_ORDER)


@pytest.mark.unmeasured
@pytest.mark.slow
@each_op(OPS)
def test_no_false_alarm_over_twenty_seeds(op: OpInfo) -> None:
    """The ten after those of the test above. The second order of the first is in test_ops.py, of four more here."""
    for seed in range(1, 5):
        _no_alarm(op, seed, ("second order",))
    for seed in range(10, 20):
        _no_alarm(op, seed, FIRST_ORDER)


def _no_alarm(op: OpInfo, seed: int, kinds: tuple[str, ...]) -> None:
    finding = first_finding(op.name, seed, kinds)
    assert finding is None, f"{op.name}, seed {seed}, {finding.kind}, sample {finding.sample}:\n{finding.report}"


def test_there_are_some_of_every_family() -> None:
    assert len(MUTANTS) >= 120
    counts = Counter(m.family for m in MUTANTS)
    assert set(counts) == FAMILIES
    assert set(counts) == {path.stem for path in (ROOT / "tests" / "mutants").glob("*.py")} - {"__init__", "mutant"}
    assert min(counts.values()) >= 3


def test_each_has_a_name_and_a_sentence() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    for m in MUTANTS:
        assert 8 < len(m.wrong) <= 72, m.name  # a line of the table
        assert re.fullmatch(r"[A-Za-z][^\n]{20,220}\.", m.why), f"{m.name}: one sentence should say why the term exists"


@each([m for m in MUTANTS if m.name in ("softmax_diagonal_only", "cos_sign_lost", "silu_gate_constant")])
def test_leaves_nothing_behind(mutant: Mutant) -> None:
    """One of an Op's own backward, one of an inherited one, one of a composed operation; also if the check crashes."""
    before = (vars(Softmax)["backward"], "backward" in vars(Cos), get_op("silu"))

    def crash() -> None:
        with mutant.applied():
            assert before != (vars(Softmax)["backward"], "backward" in vars(Cos), get_op("silu"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert before == (vars(Softmax)["backward"], "backward" in vars(Cos), get_op("silu"))


def test_what_slips_through_is_told() -> None:
    """A mutant that the checks cannot find fails: here one that is not wrong."""
    right = Mutant("right", "flip", "nothing is wrong", "", "arrangement", nullcontext)
    with pytest.raises(AssertionError, match="right passes all checks of flip"):
        test_is_found(right)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_shows_those_of_an_operation() -> None:
    result = run("gradcheck", "flip", "exp", "--mutants", "--kernels", "reference")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "wrong backward             found by      error/budget  worst index",
        "flip_not_undone            slopes             1.4e+09  (0, 2) of input 0",
        "  flip: not flipped back",
        "engine_saved_tensors_kept  slopes                      backward did not free what forward saved",
        "  exp: saved tensors are never freed",
        "",
        "arrangement 1, engine 1",
        "2 wrong backwards, 2 found; 2 operations as they are, 0 false alarms",
    ]


@pytest.mark.unmeasured
@pytest.mark.slow
def test_the_command_shows_all() -> None:
    result = run("gradcheck", "--mutants")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 2 * len(MUTANTS) + 4
    assert lines[-1].startswith(f"{len(MUTANTS)} wrong backwards, {len(MUTANTS)} found; ")
    assert lines[-1].endswith(", 0 false alarms")


def test_the_command_fails_if_one_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    package = command._load(ROOT / "tests" / "mutants")
    monkeypatch.setattr(package, "first_finding", lambda *_: None)
    result = run("gradcheck", "flip", "--mutants")
    assert result.exit_code == 1
    assert "flip_not_undone  NOT FOUND" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "not found: flip_not_undone; false alarms: none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("multiply",), "no operation is called 'multiply'"),
        (("logsumexp", "ceil"), None),
        (("ceil",), "there are no mutants of ceil"),
        (("flip", "--kernels", "quick"), "unknown kernel set 'quick'"),
    ],
)
def test_the_command_with_wrong_arguments(arguments: tuple[str, ...], message: str | None) -> None:
    result = run("gradcheck", *arguments, "--mutants")
    assert result.exit_code == (0 if message is None else 2), result.output
    assert message is None or message in result.stderr


def test_an_installed_copy_says_where_the_mutants_are(tmp_path: pathlib.Path) -> None:
    shutil.copytree(ROOT / "tinycnn", tmp_path / "tinycnn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "kernels", tmp_path / "tinycnn" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tinycnn.cli import main; "
        "sys.argv[1:] = ['gradcheck', '--mutants']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "tinycnn: gradcheck --mutants: they are in tests/mutants of a source checkout, and this is an installed copy\n"
    )
