"""Every gradient that any backward returns is looked at: scaled by a half, zeroed or negated, some check tells.

The mutants of tests/mutants are written by hand; these are made from the list of all Functions, so that none is
forgotten, whatever is added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from mutants.mutant import _patched, change, first_finding

from tinycnn.autograd import Function, Op, Tensor, engine, grad, wrap
from tinycnn.ops.arithmetic import DivideWhole
from tinycnn.ops.checks import Call, calls, in_dtype
from tinycnn.ops.elementwise import Sign, Step
from tinycnn.ops.registry import all_ops

pytestmark = pytest.mark.unmeasured

WAYS: dict[str, Callable[[Any], Any]] = {
    "halved": lambda g: g * 0.5,
    "zeroed": lambda g: g * 0,
    "negated": lambda g: -g,
}
STEPS = {Step, Sign, DivideWhole}  # flat between their jumps
OPS = [op for op in all_ops() if op.differentiable]
TRIES = 4  # operations to look for a wrong gradient in; the first that reach it


def subclasses(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def functions() -> list[type]:
    """The Functions of tinycnn.ops with a backward; a class with subclasses is what these have in common."""
    found = {c for c in subclasses(Op) if c.__module__.startswith("tinycnn.ops") and not c.__subclasses__()}
    return sorted((c for c in found if c.backward is not Function.backward), key=lambda c: c.__name__)  # type: ignore[attr-defined]


Place = tuple[str, int]  # the name of a Function and which of its gradients


@functools.cache
def reached() -> dict[Place, list[tuple[str, str]]]:
    """For each gradient of a backward that is not just zero, the operations and checks in which it is wanted."""
    found: dict[str, dict[Place, list[tuple[str, str]]]] = {kind: {} for kind in KINDS}
    run_node = engine._run_node
    seen: set[Place] = set()

    def spy(node: Any, grads: Any) -> Any:
        result = run_node(node, grads)
        for i, g in enumerate(result):
            if g is not None and (g.array != 0).any():
                seen.add((node.fn.__name__, i))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_run_node", spy)
        for op in OPS:
            for kind, run in KINDS.items():
                seen.clear()
                for call in calls(op):
                    run(call)
                for place in seen:
                    found[kind].setdefault(place, []).append((op.name, kind))
    places = {place for kind in KINDS for place in found[kind]}
    return {place: [pair for kind in KINDS for pair in found[kind].get(place, [])] for place in places}


def _first_order(call: Call, tensors: list[Tensor] | None = None) -> list[Tensor]:
    given = call.tensors if tensors is None else tensors
    outs = [o for o in call.results(*given) if o.requires_grad]
    vs = [_random(o).requires_grad_() for o in outs]
    if not outs:
        return []
    wanted = [x for x in given if x.requires_grad]
    gradients = grad(outs, wanted, vs, create_graph=call.op.twice, allow_unused=True)
    return [*vs, *(g for g in gradients if g is not None and g.requires_grad)]


def _adjoint(call: Call) -> None:
    if call.op.linear:
        _first_order(call, in_dtype(call, "float32"))


def _random(like: Tensor) -> Tensor:
    rng = np.random.default_rng(0)
    return wrap(np.asarray(rng.standard_normal(like.array.shape)).astype(like.array.dtype), like.backend)


def _second_order(call: Call) -> None:
    if call.op.twice:
        found = _first_order(call)
        live = [g for g in found if g.grad_fn is not None]
        if live:
            wanted = [*call.wanted(), *(v for v in found if v.grad_fn is None)]
            grad(live, wanted, [_random(g) for g in live], allow_unused=True)


KINDS: dict[str, Callable[[Call], Any]] = {"slopes": _first_order, "adjoint": _adjoint, "second order": _second_order}


@pytest.mark.parametrize("function", functions(), ids=lambda c: c.__name__)
def test_each_gradient_is_looked_at(function: type) -> None:
    places = [place for place in reached() if place[0] == function.__name__]
    assert places or function in STEPS, f"in no operation's samples has {function.__name__} a gradient but zero"
    for place in places:
        for way, how in WAYS.items():

            def wrong(right: Any, *args: Any, i: int = place[1], how: Any = how) -> Any:
                result = right(*args)
                grads = result if isinstance(result, tuple) else (result,)
                return change(grads, i, how) if i < len(grads) else grads

            assert any(_is_found(function, wrong, op, kind) for op, kind in reached()[place][:TRIES]), (
                f"{function.__name__}: gradient {place[1]} {way}, and no check tells ({reached()[place][:TRIES]})"
            )


def _is_found(function: type, wrong: Any, op: str, kind: str) -> bool:
    with _patched(function, "backward", wrong):
        return first_finding(op, kinds=(kind,)) is not None
