"""The optimisers' kernels on many parameters at once: whole, cut or left out, each is stepped as it would be alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from layouts import LAYOUTS, read_only

import tinycnn
from tinycnn import optim
from tinycnn.kernels import reference

pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu import _pieces

Array = Any
DTYPES = [np.float32, np.float64]
JOB, CUT = _pieces._JOB, _pieces._STEP

# The kernels, how many arrays each remembers of a parameter, and numbers to call them with.
STEPS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "sgd": ("sgd_steps", 0, (0.1, 0.0, 0.0, 0.1, False)),
    "sgd with momentum": ("sgd_steps", 1, (0.1, 0.9, 0.3, 0.1, False)),
    "adam": ("adam_steps", 2, (7, 0.1, 0.9, 0.99, 1e-8, 0.1, True)),
    "amsgrad": ("adam_steps", 3, (7, 0.1, 0.9, 0.99, 1e-8, 0.1, False)),
    "rmsprop": ("rmsprop_steps", 1, (0.1, 0.9, 1e-2, 0.0, 0.1)),
    "rmsprop, centred, with momentum": ("rmsprop_steps", 3, (0.1, 0.9, 1e-2, 0.9, 0.1)),
    "adagrad": ("adagrad_steps", 1, (0.1, 1e-10, 0.1)),
}
# How many lists of such arrays each takes, and Adam's numbers of steps; what is not given is None.
_STATES = {"sgd_steps": 1, "adam_steps": 4, "rmsprop_steps": 3, "adagrad_steps": 1}
each_step = pytest.mark.parametrize("step", STEPS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

Row = list[Array]  # a parameter, its gradient, its states


def rows(step: str, shapes: Sequence[tuple[int, ...]], dtype: Any) -> list[Row]:
    """Parameters of these shapes. What is remembered is positive, and a square no less than any mean's."""
    rng = np.random.default_rng(len(shapes))
    found = []
    for shape in shapes:
        row = [np.asarray(rng.standard_normal(shape), dtype) for _ in range(2)]
        row += [np.asarray(rng.uniform(0.5, 0.7, shape), dtype) for _ in range(STEPS[step][1])]
        found.append(row)
    return found


def fast(name: str, *args: Any) -> None:
    cpu.KERNELS[name](*args)


def plain(name: str, *args: Any) -> None:
    getattr(reference, name)(np, *args)


def take(step: str, members: list[Row], run: Callable[..., None] = fast) -> None:
    """One step of all of them."""
    name, _, numbers = STEPS[step]
    columns: list[Any] = [list(column) for column in zip(*members, strict=True)]
    columns += [None] * (2 + _STATES[name] - len(columns))
    run(name, *columns, *numbers)


def copies(members: list[Row]) -> list[Row]:
    """The same numbers in memory of their own, in the same order."""
    return [[a.copy(order="K") for a in row] for row in members]


def assert_alike(actual: list[Row], expected: list[Row]) -> None:
    """Equal up to rounding."""
    for row, right in zip(actual, expected, strict=True):
        for a, b in zip(row, right, strict=True):
            tolerance = 64 * np.finfo(a.dtype).eps
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same_bits(actual: list[Row], expected: list[Row]) -> None:
    for row, right in zip(actual, expected, strict=True):
        for a, b in zip(row, right, strict=True):
            np.testing.assert_array_equal(a, b)


# ----------------------------------------------------------------------------------------------------------- pieces

_SIZE = st.one_of(st.integers(0, 200), st.integers(JOB - CUT - 1, JOB + CUT + 1), st.integers(0, 5 * JOB))


@settings(max_examples=200, deadline=None)
@given(st.lists(_SIZE, max_size=12))
def test_pieces_are_every_number_once(sizes: list[int]) -> None:
    """In order; jobs are no larger than they may be, and all but the last nearly as large."""
    pieces, starts, total = _pieces._cut(tuple(sizes))
    assert total == sum(sizes) == pieces[:, 2].sum()
    ahead = [(owner, 0) for owner, size in enumerate(sizes) if size]
    for owner, first, count in pieces:
        assert (owner, first) == ahead[0]
        assert count > 0
        assert first % CUT == 0
        done = first + count == sizes[owner]
        ahead[:1] = [] if done else [(owner, first + count)]
    assert not ahead
    assert starts[0] == 0
    assert starts[-1] == len(pieces)
    jobs = [pieces[a:b, 2].sum() for a, b in itertools.pairwise(starts)]
    assert all(0 < job <= JOB for job in jobs)
    assert all(job > JOB - CUT for job in jobs[:-1])


# ------------------------------------------------------------------------------------------------------------ steps

# Around a job's size and around the places where parameters are cut, with the smallest there are between them.
SHAPES = [(), (0,), (1,), (CUT - 1,), (JOB - 130,), (CUT + 1,), (2, 0, 3), (JOB,), (3,), (JOB + 1,), (2 * JOB - 1,),
          (5, 3, 3, 3), (64, 32, 3, 3), (7,)]  # fmt: skip


@each_step
@each_dtype
def test_parameters_of_many_sizes(step: str, dtype: Any) -> None:
    members = rows(step, SHAPES, dtype)
    expected, before = copies(members), copies(members)
    take(step, members)
    take(step, expected, plain)
    assert_alike(members, expected)
    for row, old in zip(members, before, strict=True):
        np.testing.assert_array_equal(row[1], old[1])


@each_step
@each_dtype
def test_company_and_threads_change_no_bit(step: str, dtype: Any) -> None:
    """A parameter is stepped to the bit as it would be alone, on one thread and on all."""
    members = rows(step, SHAPES, dtype)
    alone, on_one = copies(members), copies(members)
    take(step, members)
    for row in alone:
        take(step, [row])
    threads = cpu.get_num_threads()
    cpu.set_num_threads(1)
    take(step, on_one)
    cpu.set_num_threads(threads)
    assert_same_bits(alone, members)
    assert_same_bits(on_one, members)


@each_step
def test_parameters_of_many_layouts(step: str) -> None:
    """Parameter, gradient and states stored in every combination of ways, all in one call; where they do not fit
    together the reference steps that parameter."""
    stored = list(itertools.product(("planes", "channels-last", "fortran", "backwards", "spread"), repeat=3))
    members = []
    for ways, row in zip(stored, rows(step, [(4, 3, 2, 5)] * len(stored), np.float32), strict=True):
        of_param, of_grad, of_state = (LAYOUTS[way] for way in ways)
        members.append([of_param(row[0]), of_grad(row[1]), *map(of_state, row[2:])])
    expected = copies(members)
    take(step, members)
    take(step, expected, plain)
    assert_alike(members, expected)


@each_step
def test_what_does_not_fit_is_left_to_the_reference(step: str) -> None:
    """A parameter, or what is remembered of it, of another type than the first, beside those that fit."""
    members = rows(step, [(300,), (40, 5), (7,), (300,), (9,)], np.float32)
    members[1] = [a.astype(np.float64) for a in members[1]]
    members[2][1] = members[2][1].astype(np.float64)
    members[3][2:] = [a.astype(np.float64) for a in members[3][2:]]
    expected = copies(members)
    take(step, members)
    take(step, expected, plain)
    for row, right in zip(members, expected, strict=True):
        for a, b in zip(row, right, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@each_step
def test_gradients_may_be_read_only_or_a_number(step: str) -> None:
    members = rows(step, [(20,), (4, 3), ()], np.float32)
    expected = copies(members)
    members[0][1], members[1][1] = read_only(members[0][1]), np.broadcast_to(np.float32(0.5), (4, 3))
    members[2][1] = np.float32(members[2][1])
    expected[1][1] = np.full((4, 3), 0.5, np.float32)
    take(step, members)
    take(step, expected, plain)
    assert_alike([[a for i, a in enumerate(row) if i != 1] for row in members],
                 [[a for i, a in enumerate(row) if i != 1] for row in expected])  # fmt: skip


@each_step
def test_what_cannot_be_written_to_is_refused(step: str) -> None:
    for column in (0, *range(2, 2 + STEPS[step][1])):
        members = rows(step, [(20,), (5,)], np.float32)
        before = members[1][column] = read_only(members[1][column])
        with pytest.raises(ValueError, match="read-only"):
            take(step, members)
        assert members[1][column] is before


def test_adams_steps_are_counted_apart() -> None:
    """Parameters that began at different steps, in one call."""
    members = rows("adam", [(30,), (4, 4), (5,), (3,)], np.float32)
    expected = copies(members)
    counts = [np.asarray(n, np.float32) for n in (3, 1, 3, 8)]
    numbers = STEPS["adam"][2][1:]
    columns = [list(column) for column in zip(*members, strict=True)]
    fast("adam_steps", *columns, None, counts, 0, *numbers)
    for row, count in zip(expected, counts, strict=True):
        plain("adam_steps", *([a] for a in row), None, None, int(count), *numbers)
    assert_alike(members, expected)
    assert [int(count) for count in counts] == [3, 1, 3, 8]


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_step_is_one_launch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched = []
    call = cpu._jit.Kernel.__call__
    monkeypatch.setattr(cpu._jit.Kernel, "__call__", lambda *args: (launched.append(args), call(*args))[1])
    params = [tinycnn.ones(n, requires_grad=True) for n in (3, 40_000, 1)]
    for p in params:
        p.grad = tinycnn.ones_like(p)
    with tinycnn.use_kernels("fast"):
        getattr(optim, name)(params, lr=0.1).step()
    assert len(launched) == 1


def test_a_network_that_is_cast_after_its_first_step() -> None:
    """What the optimiser remembers stays in the type it began with; the step is the same up to rounding."""
    first, second = tinycnn.nn.Linear(40, 30), tinycnn.nn.Linear(40, 30)
    second.load_state_dict(first.state_dict())
    for net, cast in ((first, False), (second, True)):
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            for p in net.parameters():
                p.grad = tinycnn.ones_like(p)
            optimizer.step()
            if cast:
                net.double()
                optimizer.zero_grad()
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert q.dtype is tinycnn.float64
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)
