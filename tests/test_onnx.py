"""ONNX's backend tests of single operations, forward: the inputs and outputs that the onnx package makes.

A test is a small graph: one node, or, in those called *_expanded, the nodes that ONNX says the operation stands for.
Every test whose nodes are ours (onnx_operations.OPS) is run, with both sets of kernels, but for what
onnx_operations/skipped.py lists.
"""

from __future__ import annotations

import fnmatch
import functools
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import tinycnn

onnx = pytest.importorskip("onnx", minversion="1.23", reason="needs the onnx package and its tests")

from onnx_operations import OPS  # noqa: E402
from onnx_operations.layers import dropout  # noqa: E402
from onnx_operations.skipped import OTHERS, SKIPPED  # noqa: E402
from onnx_operations.values import RefusedError, kind_of  # noqa: E402

RTOL, ATOL = (
    {"float16": 2e-3, "bfloat16": 8e-3},
    {"float16": 1e-3, "bfloat16": 8e-3},
)  # else 1e-5 and 2e-6; ONNX asks for 1e-3
FOUR_DIGITS = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}  # its outputs are written so


# ---- a small interpreter ---------------------------------------------------------------------------------------------


def tensor_of(value: Any) -> tinycnn.Tensor | None:
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    if value is None or isinstance(value, list):
        raise RefusedError("sequences and optional values")
    value = np.asarray(value)
    return tinycnn.tensor(value, dtype=kind_of(value.dtype))


def attribute_of(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return tensor_of(value) if isinstance(value, onnx.TensorProto) else value


def run_graph(graph: Any, inputs: list[Any]) -> list[Any]:
    """The graph's outputs, by our operations."""
    known = {"": None, **{i.name: tensor_of(x) for i, x in zip(graph.input, inputs, strict=True)}}
    for node in graph.node:
        if node.op_type not in OPS:
            raise RefusedError(f"operation {node.op_type}")
        attributes = {a.name: attribute_of(a) for a in node.attribute}
        if node.op_type == "Split":
            attributes["outputs"] = len(node.output)
        results = OPS[node.op_type](*[known[name] for name in node.input], **attributes)
        known.update(zip(node.output, results if isinstance(results, tuple) else (results,), strict=False))
    return [known[o.name] for o in graph.output]


def check(case: Any) -> None:
    """Run a test, and compare shapes, element types and values."""
    inputs, expected = case.data_sets[0]
    wanted = [tensor_of(x) for x in expected]
    for got, want in zip(run_graph(case.model.graph, inputs), wanted, strict=True):
        kind = want.dtype
        assert (got.dtype, got.shape) == (kind, want.shape)
        a, b = ((x.float() if kind is tinycnn.bfloat16 else x).numpy() for x in (got, want))
        if b.dtype.kind in "fc":
            rtol = 1e-3 if case.name in FOUR_DIGITS else RTOL.get(kind.name, 1e-5)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=ATOL.get(kind.name, 2e-6))
        else:
            np.testing.assert_array_equal(a, b)


@functools.cache
def cases() -> dict[str, list[Any]]:
    """ONNX's tests, by the operation that each is of; making them takes seconds."""
    from onnx.backend.test.case.node import collect_testcases

    state = np.random.get_state()  # noqa: NPY002
    with warnings.catch_warnings():  # ONNX's own casts overflow
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    np.random.set_state(state)  # noqa: NPY002
    types = {c.name: c.model.graph.node[0].op_type for c in found if "_expanded" not in c.name}
    by_type = defaultdict(list)
    for case in found:
        by_type[types[case.name.partition("_expanded")[0]]].append(case)
    return by_type


def is_listed(name: str, reason: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in SKIPPED.get(reason, "").split())


def run_cases(op: str, ours: bool = True) -> dict[str, str]:
    """Run an operation's tests: for each "passed", "failed: ..." or the reason why it cannot be run.

    If the operation itself is not ours, those tests of it count whose graphs are made of ours.
    """
    outcomes = {}
    for case in cases()[op]:
        if not ours and not {node.op_type for node in case.model.graph.node} <= OPS.keys():
            continue
        try:
            check(case)
            outcomes[case.name] = "passed"
        except RefusedError as error:
            outcomes[case.name] = str(error)
        except Exception as error:  # an operation of ours that raises has failed
            outcomes[case.name] = f"failed: {type(error).__name__}: {error}"
    return outcomes


def without_reason(outcomes: dict[str, str]) -> list[str]:
    return [f"{n}: {text}" for n, text in outcomes.items() if text != "passed" and not is_listed(n, text)]


# ---- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_operation(op: str, kernel_set: str) -> None:
    outcomes = run_cases(op)
    assert outcomes
    assert not without_reason(outcomes)


def test_what_other_operations_stand_for(kernel_set: str) -> None:
    """An attention of ONNX's, say, is a graph of forty nodes that are ours."""
    outcomes = {name: text for op in cases() if op not in OPS for name, text in run_cases(op, ours=False).items()}
    assert sum(text == "passed" for text in outcomes.values()) > 150
    assert not without_reason(outcomes)


def test_every_operation_is_ours_or_has_a_reason() -> None:
    others = [op for names in OTHERS.values() for op in names.split()]
    assert len(others) == len(set(others))
    assert not set(others) & OPS.keys()
    assert set(cases()) == {*OPS, *others}


def test_every_reason_is_needed() -> None:
    outcomes = {}
    for op in cases():
        outcomes.update(run_cases(op, op in OPS))
    unused = [
        (reason, pattern)
        for reason, patterns in SKIPPED.items()
        for pattern in patterns.split()
        if not any(text == reason and fnmatch.fnmatchcase(name, pattern) for name, text in outcomes.items())
    ]
    assert not unused


def test_dropout_up_to_its_random_numbers() -> None:
    """The tests that only ONNX's own mask can pass: an element that both keep is scaled alike."""
    seen = 0
    for case in cases()["Dropout"]:
        if is_listed(case.name, "random numbers"):
            inputs, (expected, *_) = case.data_sets[0]
            x, ratio, training = map(tensor_of, inputs)
            assert x is not None
            y, kept = dropout(x, ratio, training, random=True)
            both = kept.numpy() & (expected != 0)
            assert 0 < both.sum() < both.size
            np.testing.assert_allclose(y.numpy()[both], expected[both], rtol=1e-6)
            assert not y.numpy()[~kept.numpy()].any()
            seen += 1
    assert seen == 4
