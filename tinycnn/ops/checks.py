"""The gradient checks of an operation over its sample inputs: what the tests and `tinycnn gradcheck` run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from ..autograd import (
    GradcheckError,
    GradcheckReport,
    Tensor,
    adjoint_check,
    check_gradients,
    check_second_gradients,
    wrap,
)
from ..backend.dtypes import FLOATING, INEXACT
from .registry import OpInfo, Sample

_MASK_SEED = 3  # a random operation draws the same numbers at each call


class Call:
    """An operation at a sample, as a function of the tensors anywhere in the sample.

    Attributes:
        op, sample: what is called with what.
        tensors: the sample's tensors, in order; the call takes as many in their place.
    """

    def __init__(self, op: OpInfo, sample: Sample) -> None:
        self.op, self.sample = op, sample
        self.tensors: list[Tensor] = []
        self._map((sample.args, sample.kwargs), self.tensors.append)

    def _map(self, value: Any, visit: Callable[[Tensor], Any]) -> Any:
        if isinstance(value, Tensor):
            return visit(value)
        if isinstance(value, dict):
            return {k: self._map(v, visit) for k, v in value.items()}
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return type(value)(self._map(v, visit) for v in value)
        return value

    def __call__(self, *tensors: Tensor) -> Any:
        given = iter(tensors)
        args, kwargs = self._map((self.sample.args, self.sample.kwargs), lambda _: next(given))
        if self.op.random:
            self.tensors[0].backend.random.seed(_MASK_SEED)
        return self.op.function(*args, **kwargs)

    def __repr__(self) -> str:
        shown = [*map(repr, self._map(self.sample.args, _Shown))]
        shown += [f"{k}={v!r}" for k, v in self._map(self.sample.kwargs, _Shown).items()]
        return f"{self.op.name}({', '.join(shown)})"

    def wanted(self) -> list[Tensor]:
        """The tensors whose gradients are checked."""
        return [x for x in self.tensors if x.requires_grad]

    def results(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The results that can have gradients; an index or a mask has none."""
        found = self(*tensors)
        every = found if isinstance(found, (tuple, list)) else (found,)
        return tuple(x for x in every if isinstance(x, Tensor) and x.array.dtype.char in INEXACT)


class _Shown:
    def __init__(self, x: Tensor) -> None:
        self.text = f"{x.dtype!r}{tuple(x.shape)}"

    def __repr__(self) -> str:
        return self.text


class Check(NamedTuple):
    """One check of one sample, still to be run.

    Attributes:
        kind: "slopes" (of the operation, measured), "adjoint" or "second order".
        sample: which sample, counted from 0.
        run: runs it.
    """

    kind: str
    sample: int
    run: Callable[[], GradcheckReport]

    @property
    def title(self) -> str:
        return f"sample {self.sample}, {self.kind}"


def calls(op: OpInfo, seed: int = 0) -> list[Call]:
    """An operation at each of its samples, made anew from a seed."""
    return [Call(op, sample) for sample in op.make_samples(seed)]


def checks(
    op: OpInfo, *, second: bool = False, seed: int = 0, full_size: int = 200, second_full_size: int = 200
) -> Iterator[Check]:
    """The checks that apply to an operation: first the slopes of every sample, then adjoints, then second order.

    Args:
        op: an operation; one without a gradient has no checks.
        second: whether second derivatives are checked too, where the operation has them.
        seed: of the samples, the cotangents and the directions.
        full_size, second_full_size: inputs of up to so many elements are checked in every one.

    Example:
        >>> from tinycnn.ops.checks import checks
        >>> from tinycnn.ops.registry import get_op
        >>> [(check.title, check.run().passed) for check in checks(get_op("flip"))][-2:]
        [('sample 0, adjoint', True), ('sample 1, adjoint', True)]
    """
    if not op.differentiable:
        return
    found = [(i, call) for i, call in enumerate(calls(op, seed)) if call.wanted()]
    method = "complex" if op.analytic else "richardson"
    for i, call in found:
        run = partial(check_gradients, call.results, call.tensors, method=method, seed=seed, full_size=full_size)
        yield Check("slopes", i, run)
    if op.linear:
        for i, call in found:
            yield Check("adjoint", i, partial(_adjoint, call, seed))
    if second and op.twice:
        for i, call in found:
            run = partial(check_second_gradients, call.results, call.tensors, seed=seed, full_size=second_full_size)
            yield Check("second order", i, run)


def in_dtype(call: Call, dtype: str) -> list[Tensor]:
    """A call's tensors, the floating ones in another dtype."""
    return [
        wrap(x.array.astype(dtype), x.backend).requires_grad_(x.requires_grad) if x.array.dtype.char in FLOATING else x
        for x in call.tensors
    ]


def _adjoint(call: Call, seed: int) -> GradcheckReport:
    """The adjoint test of a linear operation in the first of its tensors that wants a gradient. It needs no steps, so
    float32 will do as well as float64."""
    place = next(i for i, x in enumerate(call.tensors) if x.requires_grad)
    report = GradcheckReport()
    for dtype in ("float32", "float64"):
        tensors = in_dtype(call, dtype)

        def in_first(x: Tensor, tensors: list[Tensor] = tensors) -> tuple[Tensor, ...]:
            return call.results(*tensors[:place], x, *tensors[place + 1 :])

        try:
            adjoint_check(in_first, tensors[place], seed=seed)
        except GradcheckError as error:
            report.problems.append(f"{dtype}: {error}")
    return report
