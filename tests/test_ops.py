"""Every registered operation over its sample inputs: gradients, second gradients, adjoints, dtypes, memory layouts,
kernel sets. A new operation is in all of these from its first day; one without samples fails."""

from __future__ import annotations

import ast
import math
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import Function, Op, adjoint_check, check_gradients, check_second_gradients, engine, grad, wrap
from tinycnn.backend import get_backend
from tinycnn.backend.base import Kernels
from tinycnn.ops.checks import Call, calls, in_dtype
from tinycnn.ops.registry import OpInfo, all_ops, get_op

OPS = all_ops()
CASTS = {"to"}  # between dtypes, and so nothing happens to what is float64 already
ROUNDING = 1e-12  # float64, two ways to the same sum


def floats(result: Any) -> list[Tensor]:
    """The floating tensors among an operation's results."""
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [r for r in results if isinstance(r, Tensor) and r.array.dtype.kind in "fc"]


def cotangents(outs: list[Tensor], seed: int = 1) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [wrap(np.asarray(rng.standard_normal(o.array.shape) * 1.0).astype(o.array.dtype), o.backend) for o in outs]


def results_and_gradients(call: Call, tensors: list[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    outs = floats(call(*tensors))
    live = [o for o in outs if o.requires_grad]
    wanted = [x for x in tensors if x.requires_grad]
    if not live or not wanted:
        return [o.array for o in outs], []
    grads = grad(live, wanted, cotangents(live), materialize_grads=True)
    return [o.detach().array for o in outs], [g.array for g in grads]


@contextmanager
def kernels_used() -> Iterator[list[str]]:
    names: list[str] = []
    find, kernels = Kernels.__getattr__, vars(get_backend("cpu").kernels)

    def spy(self: Kernels, name: str) -> Any:
        names.append(name)
        return find(self, name)

    for bound in [name for name in kernels if not name.startswith("_")]:
        del kernels[bound]  # those that were used before would not be looked for again
    Kernels.__getattr__ = spy  # type: ignore[method-assign]
    try:
        yield names
    finally:
        Kernels.__getattr__ = find  # type: ignore[method-assign]


def uses_kernels(op: OpInfo) -> bool:
    with tinycnn.use_kernels("reference"), kernels_used() as names:
        try:
            for call in calls(op):
                results_and_gradients(call, call.tensors)
        except Exception:  # the tests below will tell, one operation apart from the others
            return True
    return bool(names)


DIFFERENTIABLE = [op for op in OPS if op.differentiable]
WITH_KERNELS = [op for op in DIFFERENTIABLE if uses_kernels(op)]
# What runs no kernel runs the same under either set.
ON_EACH_SET = [
    pytest.param(op, name, id=f"{op.name}-{name}")
    for op in DIFFERENTIABLE
    for name in (("fast", "reference") if op in WITH_KERNELS else ("any",))
]


def use(name: str) -> Any:
    try:
        return nullcontext() if name == "any" else tinycnn.use_kernels(name)
    except RuntimeError as error:
        pytest.skip(str(error))


def each(ops: list[OpInfo]) -> Any:
    return pytest.mark.parametrize("op", ops, ids=[op.name for op in ops])


@each(OPS)
def test_has_samples(op: OpInfo) -> None:
    samples = calls(op)
    assert samples, f"{op.name} has no sample inputs: nothing of it would be checked"
    if op.differentiable:
        assert all(call.wanted() for call in samples), "a sample without a gradient to check"


def test_only_floating_results_have_gradients() -> None:
    call = calls(get_op("sort"))[0]
    assert [r.dtype for r in call.results(*call.tensors)] == [tinycnn.float64]  # and not the indices


@each(OPS)
def test_says_where_its_kinks_are(op: OpInfo) -> None:
    """The complex step sees no kink; what cannot take it must be smooth by being linear, or say where it is not."""
    if op.linear or not op.differentiable:
        assert not op.kinks, f"{op.name} is linear, or has no slope, and so no kinks"
    elif not op.analytic:
        assert op.kinks, f"{op.name} must be checked by the complex step, or say where its kinks are"


@each(OPS)
def test_samples_are_the_same_at_each_call(op: OpInfo) -> None:
    for one, two in zip(calls(op, 5), calls(op, 5), strict=True):
        for a, b in zip(one.tensors, two.tensors, strict=True):
            assert a is not b
            assert np.array_equal(a.array, b.array)


@pytest.mark.unmeasured
@pytest.mark.parametrize(("op", "kernel_set"), ON_EACH_SET)
def test_gradients(op: OpInfo, kernel_set: str) -> None:
    with use(kernel_set):
        for call in calls(op):
            method = "complex" if op.analytic else "richardson"
            report = check_gradients(call, call.tensors, method=method, full_size=60)
            assert report.passed, f"{call}\n{report}"


@pytest.mark.unmeasured
@pytest.mark.parametrize(("op", "kernel_set"), ON_EACH_SET)
def test_second_gradients(op: OpInfo, kernel_set: str) -> None:
    with use(kernel_set):
        for call in calls(op):
            if op.twice:
                report = check_second_gradients(call, call.tensors, full_size=8)
                assert report.passed, f"{call}\n{report}"
                continue
            outs = [o for o in floats(call(*call.tensors)) if o.requires_grad]
            with pytest.raises(RuntimeError, match="cannot be differentiated again"):
                grad(outs, call.wanted(), cotangents(outs), create_graph=True, allow_unused=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "kernel_set"), [p for p in ON_EACH_SET if p.values[0].linear])
def test_linear_operations_are_adjoint_to_their_backward(op: OpInfo, kernel_set: str, dtype: str) -> None:
    with use(kernel_set):
        for call in calls(op):
            tensors = in_dtype(call, dtype)
            place = next(i for i, x in enumerate(call.tensors) if x.requires_grad)

            def in_first(x: Tensor, call: Call = call, tensors: list[Tensor] = tensors, place: int = place) -> Any:
                return tuple(floats(call(*tensors[:place], x, *tensors[place + 1 :])))

            assert adjoint_check(in_first, tensors[place]), str(call)


@pytest.mark.parametrize(("op", "kernel_set"), ON_EACH_SET)
def test_float32_is_near_float64(op: OpInfo, kernel_set: str) -> None:
    with use(kernel_set):
        for call in calls(op):
            single = in_dtype(call, "float32")
            exact = [  # of the same numbers, so that only the arithmetic differs
                wrap(x.array.astype("float64"), x.backend).requires_grad_(x.requires_grad)
                if x.array.dtype.kind == "f"
                else x
                for x in single
            ]
            results, gradients = results_and_gradients(call, single)
            wanted, wanted_gradients = results_and_gradients(call, exact)
            if op.name != "to":
                assert {str(r.dtype) for r in results} <= {"float32"}, f"{call} widens float32"
            assert [g.dtype for g in gradients] == [x.array.dtype for x in single if x.requires_grad][: len(gradients)]
            if op.random:  # each dtype draws its own numbers
                continue
            size = max((x.array.size for x in single), default=1)
            budget = 32 * math.sqrt(size) * float(np.finfo("float32").eps)
            for what, found, right in (("result", results, wanted), ("gradient", gradients, wanted_gradients)):
                for i, (a, b) in enumerate(zip(found, right, strict=True)):
                    scale = max(1e-3, float(abs(b).max(initial=0.0, where=np.isfinite(b))))
                    assert np.allclose(a, b, rtol=0, atol=budget * scale, equal_nan=True), f"{call}: {what} {i}"


# These give views of an input's memory, and say so where its strides allow none; PyTorch's do the same.
NEEDS_FITTING_STRIDES = {"view"}


@pytest.mark.unmeasured
@pytest.mark.parametrize(("op", "kernel_set"), ON_EACH_SET)
def test_memory_layout_changes_nothing(op: OpInfo, kernel_set: str) -> None:
    with use(kernel_set):
        for call in calls(op):
            wanted, wanted_gradients = results_and_gradients(call, call.tensors)
            for layout, stored in LAYOUTS.items():
                tensors = [
                    wrap(stored(x.array), x.backend).requires_grad_(x.requires_grad) if x.array.ndim else x
                    for x in call.tensors
                ]
                try:
                    results, gradients = results_and_gradients(call, tensors)
                except RuntimeError:
                    assert op.name in NEEDS_FITTING_STRIDES
                    continue
                for a, b in zip([*results, *gradients], [*wanted, *wanted_gradients], strict=True):
                    assert a.shape == b.shape
                    scale = float(abs(b).max(initial=0.0, where=np.isfinite(b)))
                    assert np.allclose(a, b, rtol=0, atol=ROUNDING * scale, equal_nan=True), f"{call} {layout}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each(WITH_KERNELS)
def test_kernel_sets_agree(op: OpInfo, dtype: str) -> None:
    for call in calls(op):
        tensors = in_dtype(call, dtype)
        with use("fast"):
            fast, fast_gradients = results_and_gradients(call, tensors)
        with use("reference"):
            reference, reference_gradients = results_and_gradients(call, tensors)
        size = max(x.array.size for x in tensors)
        budget = 32 * math.sqrt(size) * float(np.finfo(dtype).eps)
        for a, b in zip([*fast, *fast_gradients], [*reference, *reference_gradients], strict=True):
            assert a.dtype == b.dtype
            scale = max(1e-3, float(abs(b).max(initial=0.0)))
            assert np.allclose(a, b, rtol=0, atol=budget * scale), f"{call}: off by {abs(a - b).max():.1e}"


@each(OPS)
def test_without_recording(op: OpInfo) -> None:
    for call in calls(op):
        recorded = floats(call(*call.tensors))
        with tinycnn.no_grad():
            plain = floats(call(*call.tensors))
        for a, b in zip(recorded, plain, strict=True):
            assert np.array_equal(a.array, b.array, equal_nan=True)
            assert b is a or not b.requires_grad or any(b is x for x in call.tensors)
            assert b.grad_fn is None


@each([op for op in OPS if not op.differentiable])
def test_what_has_no_gradient_gives_none(op: OpInfo) -> None:
    for call in calls(op):
        before = [x.array.copy() for x in call.tensors]
        assert not any(o.requires_grad for o in floats(call(*call.tensors))), str(call)
        for x, old in zip(call.tensors, before, strict=True):
            assert np.array_equal(x.array, old), f"{call} changed its input"


@each(DIFFERENTIABLE)
def test_what_backward_needs_is_saved_where_it_is_freed(op: OpInfo) -> None:
    """An array kept as an attribute would outlive backward, and a write to it would pass unseen."""
    for call in calls(op):
        stack = [o.grad_fn for o in floats(call(*call.tensors)) if o.grad_fn is not None]
        while stack:
            node = stack.pop()
            for name, value in vars(node).items():
                array = value.array if isinstance(value, Tensor) else value
                kept = isinstance(array, np.ndarray) and array.dtype.kind in "fc" and array.ndim > 0
                assert not kept, f"{call}: {node.name} keeps ctx.{name}; use ctx.save_for_backward"
            stack += [n for n, _ in node.next_functions if n is not None]


def subclasses(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_samples_reach_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Function in tinycnn.ops runs forward in some sample, and backward in some sample's first or second order."""
    forward: set[type] = set()
    backward: set[type] = set()
    apply, run_node = Function.apply.__func__, engine._run_node  # type: ignore[attr-defined]

    def spying_apply(cls: type, *args: Any) -> Any:
        forward.add(cls)
        return apply(cls, *args)

    def spying_run(node: Any, grads: Any) -> Any:
        backward.add(node.fn)
        return run_node(node, grads)

    monkeypatch.setattr(Function, "apply", classmethod(spying_apply))
    monkeypatch.setattr(engine, "_run_node", spying_run)
    for op in OPS:
        for call in calls(op):
            tensors = in_dtype(call, "float32") if op.name in CASTS else call.tensors
            wanted = [x for x in tensors if x.requires_grad]
            outs = [o for o in floats(call(*tensors)) if o.requires_grad]
            if not outs:
                continue
            vs = [v.requires_grad_() for v in cotangents(outs)]
            grads = grad(outs, wanted, vs, create_graph=op.twice, allow_unused=True)
            live = [g for g in grads if g is not None and g.grad_fn is not None]
            if live:
                grad(live, [*wanted, *vs], cotangents(live), allow_unused=True)
    # A class with subclasses is what these have in common.
    ours = {c for c in subclasses(Op) if c.__module__.startswith("tinycnn.ops") and not c.__subclasses__()}
    assert {cls.__name__ for cls in ours - forward} == set(), "no sample runs their forward"
    with_gradient = {cls for cls in ours if cls.backward is not Function.backward}
    assert {cls.__name__ for cls in with_gradient - backward} == set(), "no sample runs their backward"


def reads_gradients(function: ast.FunctionDef) -> bool:
    """Whether it looks at a `.grad` beyond its shape and whether it is None."""
    idle = [n.value for n in ast.walk(function) if isinstance(n, ast.Attribute) and n.attr in ("shape", "dtype")]
    idle += [
        n.left for n in ast.walk(function) if isinstance(n, ast.Compare) and isinstance(n.ops[0], (ast.Is, ast.IsNot))
    ]
    found = [n for n in ast.walk(function) if isinstance(n, ast.Attribute) and n.attr == "grad"]
    return any(not any(n is i for i in idle) for n in found)


def bare_sums(path: pathlib.Path) -> Iterator[str]:
    """Where a file checks gradients, or seeds a comparison, with the gradient of a plain sum."""
    tree = ast.parse(path.read_text(), str(path))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)}
        compares = names & {"torch", "gradcheck", "assert_allclose", "allclose", "check_gradients", "finite_difference"}
        compares = compares and reads_gradients(function)
        for node in ast.walk(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            inner = node.func.value
            if (
                compares
                and node.func.attr == "backward"
                and isinstance(inner, ast.Call)
                and isinstance(inner.func, ast.Attribute)
                and inner.func.attr in ("sum", "mean")
                and not inner.args
                and not isinstance(inner.func.value, ast.BinOp)  # (y * v).sum() has a cotangent
            ):
                yield f"{path.name}:{node.lineno}"


def test_no_gradient_is_compared_under_a_bare_sum() -> None:
    """A sum seeds backward with ones: through softmax or batch norm the true gradient is then zero, and any backward
    passes. Comparisons take a random cotangent: `y.backward(v)` or `(y * v).sum().backward()`."""
    root = pathlib.Path(__file__).parent
    files = [*root.rglob("*.py"), *(root.parent / "benchmarks").rglob("*.py")]
    assert [place for path in files for place in bare_sums(path)] == []


def test_bare_sums_are_seen(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(
        "def test_a():\n    y.sum().backward()\n    assert np.allclose(x.grad, 1)\n"
        "def test_b():\n    (y * v).sum().backward()\n    assert np.allclose(x.grad, 1)\n"
    )
    assert list(bare_sums(file)) == ["test_it.py:2"]
