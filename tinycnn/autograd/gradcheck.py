"""Whether gradients are right: `gradcheck`, `gradgradcheck`, `adjoint_check`, and the report underneath.

A backward computes v^T J for a cotangent v: the product of v, one number an output element, with the Jacobian J of the
function. The check draws v at random (all ones would hide much: through softmax or batch norm, the gradient of a plain
sum is zero whatever the backward says), takes the backward's answer, and compares it with the slope of <v, f(x)>
measured from f alone:

- Richardson: central differences at steps h, h/2, h/4, ..., extrapolated to h = 0 (Ridders 1982), with an estimate of
  their own error. Slopes from the left and from the right that disagree in the limit mean a kink.
- the complex step: Im f(x + ih) / h with h = 1e-20. It subtracts nothing and so has no step error, but f must run on
  complex numbers and be analytic (Squire and Trapp 1998).

An error counts against the greatest slope of its argument, never against itself or against a norm of everything.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend.dtypes import FLOATING, float_info
from .engine import backward, grad
from .function import Node
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .tensor import Tensor, wrap

Func = Callable[..., Any]
_TINY_STEP = 1e-20  # of the complex step: its square vanishes beside any float64
_LEVELS = 12  # how often the step is halved at most
_ORDERS = 5  # how many columns the extrapolation has
_DEFAULTS = {"richardson": (1e-9, 1e-11), "complex": (1e-9, 1e-12)}  # rtol, atol


class GradcheckError(RuntimeError):
    """What `gradcheck` and `gradgradcheck` raise; its text is the report."""


@dataclass(frozen=True)
class GradientCheck:
    """One input's gradient for one output: the place where backward and measurement differ most.

    Attributes:
        input, output: which of them, counted from 0.
        index: the worst element of the input, or "direction 2" where many elements were moved at once.
        analytic: what backward says there.
        numeric: what was measured.
        error: how far they are apart.
        budget: how far they may be.
        method: "richardson" or "complex".
        checked: how many slopes were compared.
        kinks: how many more were left out because the function has a kink there.
        problem: why it failed if not for its error, else "".
    """

    input: int
    output: int
    index: tuple[int, ...] | str
    analytic: float
    numeric: float
    error: float
    budget: float
    method: str
    checked: int
    kinks: int = 0
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error keeps within the budget and nothing else was wrong."""
        return self.error <= self.budget and not self.problem  # False for a NaN too


@dataclass
class GradcheckReport:
    """All that a check found. `str(report)` is a table within 80 columns.

    Attributes:
        rows: one an input and output.
        problems: what else was wrong, a sentence each: a changed input, a gradient of the wrong dtype, ...
    """

    rows: list[GradientCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything is right."""
        return not self.problems and all(row.passed for row in self.rows)

    def worst(self) -> GradientCheck | None:
        """The row whose error is largest against its budget; a failed one first."""

        def badness(row: GradientCheck) -> tuple[bool, float]:
            ratio = row.error / row.budget if row.budget > 0 else row.error
            return not row.passed, math.inf if math.isnan(ratio) else ratio

        return max(self.rows, key=badness, default=None)

    def __str__(self) -> str:
        methods = " and ".join(sorted({row.method for row in self.rows})) or "nothing to compare"
        checked = sum(row.checked for row in self.rows)
        lines = [f"gradients are {'right' if self.passed else 'WRONG'} ({methods}, {checked} slopes compared)"]
        if self.rows:
            lines.append(
                f"{'input':>5} {'output':>6} {'worst index':<15} {'analytic':>13} {'numeric':>13} "
                f"{'error':>8} {'budget':>8}  "
            )
        for row in self.rows:
            index = row.index if isinstance(row.index, str) else str(row.index)
            lines.append(
                f"{row.input:>5} {row.output:>6} {_shorten(index, 15):<15} {row.analytic:>13.6e} "
                f"{row.numeric:>13.6e} {row.error:>8.1e} {row.budget:>8.1e} {'ok' if row.passed else 'NO'}"
            )
        for row in self.rows:
            if row.problem or row.kinks:
                what = row.problem or f"{row.kinks} slopes left out: the function has a kink there"
                lines += _paragraph(f"input {row.input}, output {row.output}: {what}")
        for problem in self.problems:
            lines += _paragraph(problem)
        return "\n".join(lines)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, 80, initial_indent="- ", subsequent_indent="  ")


# ---- the public checks ----------------------------------------------------------------------------------------------


def gradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1 / 64,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    method: str = "richardson",
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """Check the gradients of a function against slopes measured from the function alone.

    v^T J of backward is compared with d<v, func(x + t d)>/dt, for a random v an output, in every element of inputs of
    up to 200 elements; in larger ones in random directions d, and in the corners and some other elements. Checked too:
    inputs are not changed, gradients have their input's shape and dtype and memory of their own, saved tensors are
    freed, two runs give the same, `create_graph=True` gives the same, and so does each input alone.

    Args:
        func: takes the inputs; returns a tensor or several. Outputs that do not require a gradient are not looked at,
            but if none does, all slopes must be zero. If it is random, it has to seed its generator itself.
        inputs: float64 tensors; those that require a gradient are checked. Others, and other things, are passed on.
        eps: the first, largest step of the Richardson method; it is halved until the extrapolation settles.
        rtol: the error allowed, against the greatest slope of the same input, 1e-9.
        atol: the error allowed in addition, for gradients that are zero: 1e-11, or 1e-12 for the complex step.
        raise_exception: raise if the check fails; otherwise return False.
        nondet_tol: how far two runs on the same inputs may differ.
        fast_mode: use random directions whatever the size of the inputs.
        method: "richardson" for any function; "complex", which is sharper, for one that is analytic and runs on
            complex numbers.
        directions: how many random directions for inputs that are not checked in every element.
        seed: of the cotangents and directions.

    Returns:
        True, or False if the check failed and raise_exception is False.

    Raises:
        GradcheckError: if the check fails; the text is the report and names the worst index.
        ValueError: if no input requires a gradient, one that does is not float64, or an argument is out of its range.

    Example:
        >>> import tinycnn
        >>> from tinycnn.autograd import gradcheck
        >>> x = tinycnn.tensor([0.5, -1.0, 2.0], dtype=tinycnn.float64, requires_grad=True)
        >>> gradcheck(lambda x: x * x * 3, x)
        True
        >>> gradcheck(lambda x: x * x.detach() * 3, x, raise_exception=False)
        False
    """
    report = check_gradients(
        func,
        inputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        fast_mode=fast_mode,
        method=method,
        directions=directions,
        seed=seed,
    )
    return _verdict(report, raise_exception)


def gradgradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1 / 64,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """Check the second derivatives of a function: `gradcheck` of (inputs, v) -> v^T J, which must itself be right.

    The gradient is differentiated with respect to inputs and cotangent, by backward through the backward, and compared
    with slopes of the first gradient by the Richardson method.

    Args:
        grad_outputs: the cotangents v, one an output that requires a gradient; random ones by default.
        func, inputs, and the others: as of `gradcheck`.

    Raises:
        GradcheckError: if the check fails.
        ValueError: as `gradcheck`.
        RuntimeError: if the function cannot be differentiated twice.

    Example:
        >>> import tinycnn
        >>> from tinycnn.autograd import gradgradcheck
        >>> x = tinycnn.tensor([0.5, -1.0, 2.0], dtype=tinycnn.float64, requires_grad=True)
        >>> gradgradcheck(lambda x: x * x * x, x)
        True
    """
    report = check_second_gradients(
        func,
        inputs,
        grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        fast_mode=fast_mode,
        directions=directions,
        seed=seed,
    )
    return _verdict(report, raise_exception)


def adjoint_check(
    func: Func,
    x: Tensor,
    *,
    rtol: float | None = None,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Check that a linear function A and its backward are adjoint: <A z, y> = <z, A^T y> for random z and y.

    There is no step and no step error, so it holds to rounding in any floating dtype and on any device. z is another
    point than the x where backward was recorded, so a function that is not linear fails.

    Args:
        func: takes one tensor; returns one or several.
        x: says shape, dtype and device.
        rtol: the error allowed, against the sum of |A z * y| and |z * A^T y|: 64 times the dtype's rounding unit.
        raise_exception: raise if the check fails; otherwise return False.
        seed: of z and y.

    Raises:
        GradcheckError: if the check fails.
        ValueError: if x is not floating.

    Example:
        >>> import tinycnn
        >>> from tinycnn.autograd import adjoint_check
        >>> adjoint_check(lambda x: x.permute(2, 0, 1) * 3.0, tinycnn.ones(2, 3, 4))
        True
    """
    if x.array.dtype.char not in FLOATING:
        raise ValueError(f"adjoint_check: x must be floating, got {x.dtype!r}")
    rng = np.random.default_rng(seed)
    be, dtype = x.backend, x.array.dtype
    leaf = wrap(be.from_numpy(rng.standard_normal(x.array.shape).astype(dtype)), be).requires_grad_()
    z = wrap(be.from_numpy(rng.standard_normal(x.array.shape).astype(dtype)), be)
    with enable_grad():
        outs = [o for o in _as_tuple(func(leaf)) if o.requires_grad]
    ys = [wrap(be.from_numpy(rng.standard_normal(o.array.shape).astype(o.array.dtype)), be) for o in outs]
    (back,) = grad(outs, leaf, ys, materialize_grads=True) if outs else (wrap(be.zeros_like(leaf.array), be),)
    with no_grad():
        forth = [o for o in _as_tuple(func(z)) if o.array.dtype.char in FLOATING]
    if len(forth) != len(outs):
        raise GradcheckError(f"adjoint_check: {len(outs)} of {len(forth)} floating outputs require a gradient")
    left_terms = [_host(a).astype(np.float64) * _host(y) for a, y in zip(forth, ys, strict=True)]
    right_terms = _host(z).astype(np.float64) * _host(back)
    left, right = sum(float(t.sum()) for t in left_terms), float(right_terms.sum())
    scale = sum(float(abs(t).sum()) for t in left_terms) + float(abs(right_terms).sum())
    budget = (64 * float(float_info(x.dtype).eps) if rtol is None else rtol) * scale
    if abs(left - right) <= budget:
        return True
    if raise_exception:
        raise GradcheckError(
            f"adjoint_check: <A z, y> = {left:.9e}, but <z, A^T y> = {right:.9e}: apart by {abs(left - right):.1e}, "
            f"allowed are {budget:.1e}; either backward is not the adjoint or the function is not linear"
        )
    return False


def check_gradients(
    func: Func,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1 / 64,
    atol: float | None = None,
    rtol: float | None = None,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    method: str = "richardson",
    directions: int = 3,
    seed: int = 0,
    full_size: int = 200,
) -> GradcheckReport:
    """What `gradcheck` finds, as a report; it raises only for wrong use.

    Args:
        full_size: inputs of up to so many elements are checked in every one.
        func, inputs, and the others: as of `gradcheck`.

    Example:
        >>> import tinycnn
        >>> from tinycnn.autograd import check_gradients
        >>> x = tinycnn.tensor([0.5, -1.0], dtype=tinycnn.float64, requires_grad=True)
        >>> report = check_gradients(lambda x: x * x, x, method="complex")
        >>> report.passed, report.rows[0].checked
        (True, 2)
    """
    _check_arguments(method, eps, directions)
    case = _Case(func, inputs, seed, nondet_tol)
    case.look_at_invariants()
    full = 0 if fast_mode else full_size
    case.measure(_Settings(method, eps, *_tolerances(method, rtol, atol), directions, full))
    return case.report


def check_second_gradients(
    func: Func,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1 / 64,
    atol: float | None = None,
    rtol: float | None = None,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    directions: int = 3,
    seed: int = 0,
    full_size: int = 200,
) -> GradcheckReport:
    """What `gradgradcheck` finds, as a report. Inputs are numbered as given, followed by the cotangents.

    Args:
        full_size: inputs of up to so many elements are checked in every one.
        func, inputs, and the others: as of `gradgradcheck`.
    """
    _check_arguments("richardson", eps, directions)
    args = _as_tuple(inputs)
    targets = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
    with enable_grad():
        outs = [o for o in _as_tuple(func(*args)) if o.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        cotangents = [wrap(o.backend.from_numpy(_away_from_zero(rng, o.array.shape)), o.backend) for o in outs]
    else:
        cotangents = [v.detach() for v in _as_tuple(grad_outputs)]
    if len(cotangents) != len(outs):
        raise ValueError(f"gradgradcheck: got {len(cotangents)} grad_outputs for {len(outs)} differentiable outputs")
    del outs
    for v in cotangents:
        v.requires_grad_()

    def gradients(*both: Any) -> tuple[Tensor, ...]:
        # Recorded, this is the composite backward; unrecorded, for measuring, it is the fused one.
        record = is_grad_enabled()
        with enable_grad():
            outputs = [o for o in _as_tuple(func(*both[: len(args)])) if o.requires_grad]
        with set_grad_enabled(record):
            return grad(outputs, targets, both[len(args) :], create_graph=record, materialize_grads=True)

    case = _Case(gradients, (*args, *cotangents), seed, nondet_tol)
    case.look_at_invariants(of_gradients=True)
    full = 0 if fast_mode else full_size
    case.measure(_Settings("richardson", eps, *_tolerances("richardson", rtol, atol), directions, full))
    return case.report


def _verdict(report: GradcheckReport, raise_exception: bool) -> bool:
    if not report.passed and raise_exception:
        raise GradcheckError(str(report))
    return report.passed


def _check_arguments(method: str, eps: float, directions: int) -> None:
    if method not in _DEFAULTS:
        raise ValueError(f"gradcheck: method must be 'richardson' or 'complex', got {method!r}")
    if not eps > 0:
        raise ValueError(f"gradcheck: eps must be positive, got {eps!r}")
    if directions < 1:
        raise ValueError(f"gradcheck: directions must be at least 1, got {directions!r}")


def _tolerances(method: str, rtol: float | None, atol: float | None) -> tuple[float, float]:
    default_rtol, default_atol = _DEFAULTS[method]
    return default_rtol if rtol is None else rtol, default_atol if atol is None else atol


# ---- one check ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Settings:
    method: str
    eps: float
    rtol: float
    atol: float
    directions: int
    full_size: int


@dataclass
class _Slope:
    """A measured slope: one number an output."""

    value: np.ndarray
    uncertainty: np.ndarray
    kink: bool = False


@dataclass
class _Probe:
    """A direction in which one input was moved, what was measured, and what backward says."""

    index: tuple[int, ...] | str
    slope: _Slope
    analytic: np.ndarray


class _Case:
    """A function at its inputs, with random cotangents and the gradients that backward gives for them."""

    def __init__(self, func: Func, inputs: Tensor | Sequence[Any], seed: int, nondet_tol: float) -> None:
        self.func = func
        self.args = _as_tuple(inputs)
        self.rng = np.random.default_rng(seed)
        self.nondet_tol = nondet_tol
        self.report = GradcheckReport()
        self.numbers = _targets(self.args)
        self.targets: list[Tensor] = [self.args[i] for i in self.numbers]

        before = [None if not isinstance(x, Tensor) else x.array.copy() for x in self.args]
        outs = self.run()
        self.which = [k for k, o in enumerate(outs) if o.requires_grad]
        self.differentiable = bool(self.which)
        if not self.which:
            self.which = [k for k, o in enumerate(outs) if o.array.dtype.char in FLOATING]
        self.at_zero = [_host(outs[k]).copy() for k in self.which]
        self.cotangents = [_away_from_zero(self.rng, y.shape).astype(y.dtype) for y in self.at_zero]
        self.vs = [
            wrap(outs[k].backend.from_numpy(v.copy()), outs[k].backend)
            for k, v in zip(self.which, self.cotangents, strict=True)
        ]
        self.grads: list[list[np.ndarray]] = []  # by output, by target
        for k, v in zip(self.which, self.vs, strict=True):
            self.grads.append(self.gradients([outs[k]], [v], retain_graph=True))
        self._look_at_changes(before, outs)

    def run(self) -> tuple[Tensor, ...]:
        with enable_grad():
            outs: Any = _as_tuple(self.func(*self.args))
        for k, o in enumerate(outs):
            if not isinstance(o, Tensor):
                raise ValueError(f"gradcheck: output {k} of the function is {type(o).__name__}, expected a Tensor")
        return tuple(outs)

    def gradients(self, outs: Sequence[Tensor], vs: Sequence[Tensor], **options: Any) -> list[np.ndarray]:
        """v^T J for each target: zeros where it is unused."""
        if not self.differentiable:
            return [np.zeros(x.array.shape) for x in self.targets]
        found = grad(outs, self.targets, vs, allow_unused=True, **options)
        result = []
        for number, x, g in zip(self.numbers, self.targets, found, strict=True):
            if g is None:
                result.append(np.zeros(x.array.shape))
                continue
            if g.array.shape != x.array.shape:
                self.problem(f"the gradient of input {number} has shape {g.array.shape}, not {x.array.shape}")
            if g.array.dtype != x.array.dtype:
                self.problem(f"the gradient of input {number} is {g.dtype!r}, its input is {x.dtype!r}")
            result.append(_host(g).copy())
        return result

    def problem(self, text: str) -> None:
        if text not in self.report.problems:
            self.report.problems.append(text)

    # -- what must hold around every gradient

    def _look_at_changes(self, before: list[Any], outs: tuple[Tensor, ...]) -> None:
        for i, (x, old) in enumerate(zip(self.args, before, strict=True)):
            if isinstance(x, Tensor) and not _identical(x.array, old):
                self.problem(f"input {i} was changed by forward or backward")
        for k, y in zip(self.which, self.at_zero, strict=True):
            if not _identical(_host(outs[k]), y):
                self.problem(f"output {k} was changed by backward")
        for k, v, old in zip(self.which, self.vs, self.cotangents, strict=True):
            if not _identical(_host(v), old):
                self.problem(f"the gradient that came to output {k} was changed by backward")
        for k, o in enumerate(outs):
            for i, x in enumerate(self.args):
                if not isinstance(x, Tensor) or o._version is x._version or not o.array.size:
                    continue
                if x.backend.may_share_memory(x.array, o.array):
                    self.problem(f"output {k} shares the memory of input {i}, but is not declared a view of it")

    def look_at_invariants(self, of_gradients: bool = False) -> None:
        """Everything but the numbers: memory, freeing, repeatability, `create_graph`, one input at a time.

        Args:
            of_gradients: whether the function gives gradients itself; then the last two are left out: they would need
                third derivatives, and gradients for inputs that do not want any.
        """
        if not self.differentiable:
            return
        together = [np.asarray(sum(gs)) for gs in zip(*self.grads, strict=True)]

        outs = self.run()
        for k, y in zip(self.which, self.at_zero, strict=True):
            self._compare(f"output {k} of a second run", _host(outs[k]), y, self.nondet_tol)
        outs = tuple(outs[k] for k in self.which)
        nodes = _nodes_between(outs, self.targets)
        self._compare_all("of a second run", self._accumulated(outs), together, self.nondet_tol, len(outs) > 1)
        if any(node._saved for node in nodes):
            self.problem("backward did not free what forward saved")

        if of_gradients:
            return
        if not any(getattr(node.fn.backward, "once_differentiable", False) for node in nodes):
            outs = self.run()
            outs = tuple(outs[k] for k in self.which)
            recorded = self.gradients(outs, self.vs, create_graph=True)
            self._compare_all("with create_graph=True", recorded, together, self.nondet_tol, True)
        if len(self.targets) > 1:
            for j, x in enumerate(self.targets):
                with _frozen([y for y in self.targets if y is not x]):
                    outs = self.run()
                    live = [(outs[k], v) for k, v in zip(self.which, self.vs, strict=True) if outs[k].requires_grad]
                    if not live:
                        continue
                    (g,) = grad([o for o, _ in live], x, [v for _, v in live], allow_unused=True)
                alone = np.zeros(x.array.shape) if g is None else _host(g)
                label = f"the gradient of input {self.numbers[j]} when no other input requires one"
                self._compare(label, alone, together[j], max(self.nondet_tol, _rounding(together[j])))

    def _accumulated(self, outs: tuple[Tensor, ...]) -> list[np.ndarray]:
        """The gradients as `backward` leaves them in `.grad`, which must be memory of their own, and to which a second
        backward must add."""
        kept = [x.grad for x in self.targets]
        try:
            for x in self.targets:
                x.grad = None
            backward(outs, self.vs, inputs=self.targets)
            grads = [x.grad for x in self.targets]
            self._look_at_ownership(outs, grads)
            once = [np.zeros(x.array.shape) if x.grad is None else _host(x.grad).copy() for x in self.targets]
            again = self.run()
            backward([again[k] for k in self.which], self.vs, inputs=self.targets)
            twice = [np.zeros(x.array.shape) if x.grad is None else _host(x.grad) for x in self.targets]
        finally:
            for x, g in zip(self.targets, kept, strict=True):
                x.grad = g
        self._compare_all("after a second backward", twice, [g + g for g in once], self.nondet_tol, True)
        return once

    def _look_at_ownership(self, outs: tuple[Tensor, ...], grads: list[Tensor | None]) -> None:
        """Nobody else may hold the memory of a leaf's gradient."""
        others: list[tuple[str, Tensor, Tensor | None]]
        others = [(f"input {i}", x, None) for i, x in enumerate(self.args) if isinstance(x, Tensor)]
        others += [(f"output {k}", o, None) for k, o in zip(self.which, outs, strict=True)]
        others += [(f"the gradient given for output {k}", v, None) for k, v in zip(self.which, self.vs, strict=True)]
        for number, x, g in zip(self.numbers, self.targets, grads, strict=True):
            if g is None:
                continue
            for name, other, of in others:
                # The same tensor given twice has one gradient.
                if of is not x and g.array.size and g.backend.may_share_memory(g.array, other.array):
                    self.problem(f"the gradient of input {number} shares the memory of {name}")
            others.append((f"the gradient of input {number}", g, x))

    def _compare_all(
        self, what: str, found: list[np.ndarray], wanted: list[np.ndarray], tol: float, rounding: bool
    ) -> None:
        for number, a, b in zip(self.numbers, found, wanted, strict=True):
            allowed = max(tol, _rounding(b)) if rounding else tol
            self._compare(f"the gradient of input {number} {what}", a, b, allowed)

    def _compare(self, what: str, found: np.ndarray, wanted: np.ndarray, allowed: float) -> None:
        if found.shape != wanted.shape:
            self.problem(f"{what} has shape {found.shape}, not {wanted.shape}")
            return
        apart = np.where(found == wanted, 0, abs(found - wanted))
        apart = np.where(np.isnan(found) & np.isnan(wanted), 0, apart)
        if apart.size and not apart.max() <= allowed:
            worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
            self.problem(f"{what} differs by {apart.max():.1e} at {worst} (allowed: {allowed:.1e})")

    # -- the numbers

    def measure(self, settings: _Settings) -> None:
        """Compare every target's gradient with measured slopes, and write the rows of the report."""
        for j, x in enumerate(self.targets):
            probes = self._probes_of(j, settings)
            if x.array.size == 0 or not self.which:
                continue
            for row, k in enumerate(self.which):
                self.report.rows.append(self._judge(j, row, k, probes, settings))

    def _probes_of(self, j: int, settings: _Settings) -> list[_Probe]:
        x = self.targets[j]
        n = x.array.size
        probes: list[_Probe] = []
        if not self.which:
            return probes
        if n <= settings.full_size:
            return [self._probe_at(j, np.unravel_index(i, x.array.shape), settings) for i in range(n)]
        tries, found = 0, 0
        while found < settings.directions and tries < 3 * settings.directions:
            tries += 1
            direction = _away_from_zero(self.rng, x.array.shape) / 1.5
            probe = self._probe(j, f"direction {tries}", direction, settings)
            probes.append(probe)
            found += not probe.slope.kink
        probes += [self._probe_at(j, index, settings) for index in self._interesting(j)]
        if self._fails(j, probes, settings):
            probes.append(self._search(j, settings))
        return probes

    def _interesting(self, j: int) -> list[tuple[int, ...]]:
        """The corners, the middle, the steepest element, and some at random, half of them on a border."""
        shape = self.targets[j].array.shape
        long = [d for d, n in enumerate(shape) if n > 1]
        corners = itertools.product(*[(n - 1, 0) if n > 1 else (0,) for n in shape])
        places = [*itertools.islice(corners, 16), (0,) * len(shape), tuple(n // 2 for n in shape)]
        steepest = [np.unravel_index(int(np.argmax(abs(gs[j]))), shape) for gs in self.grads]
        places += [tuple(int(i) for i in place) for place in steepest]
        for i in range(6):
            place = [int(self.rng.integers(n)) for n in shape]
            if i % 2 and long:
                d = int(self.rng.choice(long))
                place[d] = int(self.rng.choice([0, shape[d] - 1]))
            places.append(tuple(place))
        return list(dict.fromkeys(places))

    def _probe_at(self, j: int, index: Any, settings: _Settings) -> _Probe:
        place = tuple(int(i) for i in index)
        direction = np.zeros(self.targets[j].array.shape)
        direction[place] = 1.0
        return self._probe(j, place, direction, settings)

    def _probe(self, j: int, index: Any, direction: np.ndarray, settings: _Settings) -> _Probe:
        analytic = np.array([float(np.vdot(direction, gs[j])) for gs in self.grads])
        if settings.method == "complex":
            slope = self._complex_step(j, direction)
        else:
            scale = np.array([abs(gs[j]).max(initial=0.0) for gs in self.grads])
            slope = self._richardson(j, direction, np.maximum(abs(analytic), scale), settings)
        return _Probe(index, slope, analytic)

    def _fails(self, j: int, probes: list[_Probe], settings: _Settings) -> bool:
        return not all(self._judge(j, row, k, probes, settings).passed for row, k in enumerate(self.which))

    def _search(self, j: int, settings: _Settings) -> _Probe:
        """An element that is wrong, by halving: the half whose direction is off more has it."""
        shape, n = self.targets[j].array.shape, self.targets[j].array.size
        signs = _away_from_zero(self.rng, (n,)) / 1.5
        low, high = 0, n
        while high - low > 1:
            middle = (low + high) // 2
            errors = []
            for a, b in ((low, middle), (middle, high)):
                direction = np.zeros(n)
                direction[a:b] = signs[a:b]
                probe = self._probe(j, "", direction.reshape(shape), settings)
                errors.append(float(np.nan_to_num(abs(probe.slope.value - probe.analytic), nan=np.inf).max()))
            low, high = (low, middle) if errors[0] >= errors[1] else (middle, high)
        return self._probe_at(j, np.unravel_index(low, shape), settings)

    def _judge(self, j: int, row: int, k: int, probes: list[_Probe], settings: _Settings) -> GradientCheck:
        """One row of the report from the probes of target j, for output k."""
        smooth = [p for p in probes if not p.slope.kink]
        kinks = len(probes) - len(smooth)
        problem = ""
        if kinks > max(len(probes) // 8, 1 if len(smooth) > 2 else 0):
            problem = (
                f"{kinks} of {len(probes)} slopes differ from the left and from the right: the function has kinks (or "
                "jumps) at this input; choose inputs away from them"
            )
        shown = smooth or probes
        numeric = np.array([p.slope.value[row] for p in shown])
        analytic = np.array([p.analytic[row] for p in shown])
        uncertain = np.nan_to_num([p.slope.uncertainty[row] for p in shown], nan=np.inf)
        errors = np.nan_to_num(abs(numeric - analytic), nan=np.inf)
        budget = settings.rtol * float(abs(numeric).max()) + settings.atol
        # Of the elements and directions that are wrong, an element tells more.
        single = np.array([e if isinstance(p.index, tuple) else -1.0 for e, p in zip(errors, shown, strict=True)])
        worst = int(np.argmax(single if single.max() > budget else errors))
        vaguest = int(np.argmax(uncertain))
        if not problem and errors[worst] <= budget < uncertain[vaguest]:
            problem = (
                f"the slope at {shown[vaguest].index} could be measured only to {uncertain[vaguest]:.1e}, which is "
                "more than the budget: scale the inputs, choose another eps, or allow more"
            )
        return GradientCheck(
            input=self.numbers[j],
            output=k,
            index=shown[worst].index,
            analytic=float(analytic[worst]),
            numeric=float(numeric[worst]),
            error=float(errors[worst]),
            budget=budget,
            method=settings.method,
            checked=len(smooth),
            kinks=kinks,
            problem=problem,
        )

    # -- measuring

    def _values(self, replaced: dict[int, Any]) -> list[np.ndarray]:
        """The outputs with other arrays in some of the arguments."""
        with _swapped({id(self.args[i]): (self.args[i], a) for i, a in replaced.items()}), no_grad():
            outs = _as_tuple(self.func(*self.args))
            return [_host(outs[k]) for k in self.which]

    def _moved(self, j: int, direction: np.ndarray, step: float) -> list[np.ndarray]:
        x = self.targets[j]
        return self._values({self.numbers[j]: x.array + x.backend.from_numpy(step * direction)})

    def _complex_step(self, j: int, direction: np.ndarray) -> _Slope:
        replaced = {
            i: x.array.astype(np.complex128)
            for i, x in enumerate(self.args)
            if isinstance(x, Tensor) and x.array.dtype.char in FLOATING
        }
        number, x = self.numbers[j], self.targets[j]
        moved = replaced[number] + x.backend.from_numpy(1j * _TINY_STEP * direction)
        for i, other in enumerate(self.args):
            if other is x:
                replaced[i] = moved
        try:
            outs = self._values(replaced)
        except TypeError as error:
            raise TypeError(
                f"gradcheck: the function does not run on complex numbers, use method='richardson': {error}"
            ) from error
        for k, y, real in zip(self.which, outs, self.at_zero, strict=True):
            self._compare(f"output {k} on complex numbers", np.real(y), real, _rounding(real))
        slopes = [float(np.vdot(v, np.imag(y))) / _TINY_STEP for v, y in zip(self.cotangents, outs, strict=True)]
        return _Slope(np.array(slopes), np.zeros(len(slopes)))

    def _richardson(self, j: int, direction: np.ndarray, scale: np.ndarray, settings: _Settings) -> _Slope:
        """The slopes along a direction by central differences, extrapolated to step 0."""
        best, uncertainty = np.zeros(len(self.which)), np.full(len(self.which), np.inf)
        previous: list[np.ndarray] = []
        bends: list[np.ndarray] = []
        kink = False
        for level in range(_LEVELS):
            h = settings.eps / 2**level
            up, down = self._moved(j, direction, h), self._moved(j, direction, -h)
            right, left = self._project(up, self.at_zero) / h, self._project(self.at_zero, down) / h
            row = [(right + left) / 2]
            for order, coarse in enumerate(previous[: _ORDERS - 1], start=1):
                finer = row[-1] + (row[-1] - coarse) / (4**order - 1)
                apart = np.maximum(abs(finer - row[-1]), abs(finer - coarse))
                better = apart < uncertainty
                best, uncertainty = np.where(better, finer, best), np.where(better, apart, uncertainty)
                row.append(finer)
            previous = row
            # right - left is h f'' + h^3 f''''/12 + ...: extrapolated, it vanishes unless there is a kink.
            bends.append(right - left)
            if level < 2:
                continue
            a, b, c = bends[-3:]
            jump = abs((8 * (2 * c - b) - (2 * b - a)) / 7)
            size = np.maximum(scale, abs(best))
            kink = bool((jump > 1e-5 * size + settings.atol).any())
            if kink:  # or is it rounding?
                kink = bool((jump > 1e-5 * size + settings.atol + 64 * self._noise(up, down) / h).any())
            if not kink and (uncertainty <= 0.1 * (settings.rtol * size + settings.atol)).all():
                break
        return _Slope(best, uncertainty, kink)

    def _project(self, a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
        # Subtracting first, elements that the step does not reach cancel without a rounding error.
        return np.array([float(np.vdot(v, p - q)) for v, p, q in zip(self.cotangents, a, b, strict=True)])

    def _noise(self, up: list[np.ndarray], down: list[np.ndarray]) -> np.ndarray:
        """The rounding error that the outputs may carry."""
        unit = float(np.finfo(np.float64).eps)
        return np.array(
            [
                unit * float((abs(v) * abs(p) * (p != q)).sum())
                for v, p, q in zip(self.cotangents, up, down, strict=True)
            ]
        )


# ---- small things ---------------------------------------------------------------------------------------------------


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _targets(args: tuple[Any, ...]) -> list[int]:
    numbers = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    if not numbers:
        raise ValueError("gradcheck: none of the inputs is a tensor that requires a gradient")
    for i in numbers:
        if args[i].array.dtype != np.float64:
            raise ValueError(
                f"gradcheck: input {i} is {args[i].dtype!r}; differences need float64 inputs (use .double())"
            )
    return numbers


def _host(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.backend.to_numpy(tensor.array)
    return array


def _away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of both signs with sizes in [0.5, 1.5): none so small that it would hide an error."""
    sizes = rng.random(shape) + 0.5
    return np.where(rng.random(shape) < 0.5, -sizes, sizes)


def _identical(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def _rounding(values: np.ndarray) -> float:
    """How far two ways to compute the same may be apart."""
    return 1e-10 * float(abs(values).max(initial=0.0)) + 1e-13


@contextmanager
def _swapped(arrays: dict[int, tuple[Tensor, Any]]) -> Iterator[None]:
    """Give tensors other arrays for a while. Their own memory is not written to, and whoever else holds the tensor, as
    a module its parameter, sees the change."""
    before = [(x, x.array) for x, _ in arrays.values()]
    try:
        for x, array in arrays.values():
            x.array = array
        yield
    finally:
        for x, array in before:
            x.array = array


@contextmanager
def _frozen(tensors: list[Tensor]) -> Iterator[None]:
    """Let tensors not require a gradient for a while."""
    try:
        for x in tensors:
            x.requires_grad = False
        yield
    finally:
        for x in tensors:
            x.requires_grad = True


def _nodes_between(outs: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Node]:
    """The nodes through which gradients pass on their way from outs to targets."""
    leaves = {id(x) for x in targets if x.grad_fn is None}
    ends = {x.grad_fn for x in targets if x.grad_fn is not None}
    seen: set[Node] = set()
    stack = [o.grad_fn for o in outs if o.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [edge[0] for edge in node.edges if isinstance(edge, tuple)]
    useful: set[Node] = set()
    for node in sorted(seen, key=lambda n: n.seq):
        for edge in node.edges:
            if (edge[0] in useful or edge[0] in ends) if isinstance(edge, tuple) else id(edge) in leaves:
                useful.add(node)
    return list(useful)
