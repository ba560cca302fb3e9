"""What a mutant is, how one is written down, and how the checks are put to it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinycnn import Tensor
from tinycnn.autograd import GradcheckReport
from tinycnn.ops import registry
from tinycnn.ops.checks import checks
from tinycnn.ops.registry import get_op

# The sizes up to which inputs are checked in every element: small, so that all mutants take seconds.
FULL_SIZE, SECOND_FULL_SIZE = 60, 8


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A wrong backward, put in the right one's place for as long as `applied` lasts.

    Attributes:
        name: unique.
        op: the operation over whose samples it must be found.
        wrong: what is wrong, in a few words.
        why: what the part that it breaks is for, one sentence.
        family: the file it stands in.
        place: puts the wrong one in place.
    """

    name: str
    op: str
    wrong: str
    why: str
    family: str
    place: Callable[[], Any]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it, the wrong backward runs."""
        with self.place():
            yield


class Finding(NamedTuple):
    """The first check that found a mutant: its kind, the sample's number, and its report."""

    kind: str
    sample: int
    report: GradcheckReport


def first_finding(op: str, seed: int = 0, kinds: tuple[str, ...] = ("slopes", "adjoint", "second order")) -> Any:
    """The first check of an operation that fails, as a Finding; None if all pass. A check that crashes raises."""
    second = "second order" in kinds
    found = checks(get_op(op), second=second, seed=seed, full_size=FULL_SIZE, second_full_size=SECOND_FULL_SIZE)
    for check in found:
        if check.kind in kinds:
            report = check.run()
            if not report.passed:
                return Finding(check.kind, check.sample, report)
    return None


# ---- writing mutants down -------------------------------------------------------------------------------------------

MUTANTS: list[Mutant] = []
Wrong = Callable[..., Any]


def mutant(owner: Any, attribute: str = "backward", *, op: str, wrong: str) -> Callable[[Wrong], Wrong]:
    """Register the function below as a wrong `owner.attribute`: by default, the backward of an Op.

    It is called with the right one, and then with what that is called with: `(right, ctx, g)`.
    """
    return _register(lambda function: functools.partial(_patched, owner, attribute, function), op, wrong)


def mutant_of(op: str, *, wrong: str) -> Callable[[Wrong], Wrong]:
    """Register the function below as a wrong version of an operation that is composed of others, and has no backward.

    It is called with the right operation, and then with the sample's arguments. Its result must have the right value:
    see `with_gradient_of`.
    """
    return _register(lambda function: functools.partial(_replaced, op, function), op, wrong)


def _register(place: Callable[[Wrong], Callable[[], Any]], op: str, wrong: str) -> Callable[[Wrong], Wrong]:
    def register(function: Wrong) -> Wrong:
        why = " ".join((function.__doc__ or "").split())
        family = function.__module__.rpartition(".")[2]
        MUTANTS.append(Mutant(function.__name__, op, wrong, why, family, place(function)))
        return function

    return register


@contextmanager
def _patched(owner: Any, attribute: str, wrong: Wrong) -> Iterator[None]:
    before = inspect.getattr_static(owner, attribute)
    right = getattr(owner, attribute)
    inherited = attribute not in vars(owner)

    @functools.wraps(right)
    def replacement(*args: Any) -> Any:
        return wrong(right, *args)

    setattr(owner, attribute, staticmethod(replacement) if isinstance(before, staticmethod) else replacement)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, before)


@contextmanager
def _replaced(op: str, wrong: Wrong) -> Iterator[None]:
    before = get_op(op)
    registry._ops[op] = dataclasses.replace(before, function=functools.partial(wrong, before.function))
    try:
        yield
    finally:
        registry._ops[op] = before


# ---- what several mutants do ----------------------------------------------------------------------------------------


def change(grads: Any, place: int, how: Callable[[Tensor], Tensor]) -> Any:
    """A backward's gradients with one of them changed, if that one was wanted at all."""
    every = list(grads)
    if every[place] is not None:
        every[place] = how(every[place])
    return tuple(every)


def with_gradient_of(right: Tensor, wrong: Tensor) -> Tensor:
    """A tensor with the value of one and the gradient of another."""
    return right.detach() + (wrong - wrong.detach())
