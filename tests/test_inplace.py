"""Writing in place: the tensor, its base and its views see it, gradients are right, and wrong writes are refused."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import grad

Program = Callable[[Any, Any, Any, Any], Any]


def lines(text: str) -> Program:
    """A program on b = 1.5 x (3, 4), y (4,), z (3, 4) and a library L; it gives b."""
    names: dict[str, Any] = {}
    body = "".join(f"    {line.strip()}\n" for line in text.split(";"))
    exec(f"def program(L, x, y, z):\n    b = x * 1.5\n{body}    return b", names)
    program: Program = names["program"]
    return program


RECORDED = [
    "b += y", "b -= y", "b *= y", "b /= z", "b **= 2", "b.add_(y, alpha=2)", "b.sub_(z, alpha=-1.5)", "b.add_(b)",
    "b.div_(3)", "b.mul_(y[0])", "b.clamp_(-0.5, 0.5)", "b.exp_()", "b.lerp_(z, 0.3)", "b.tril_()",
    "b.masked_fill_(z.detach() > 0, 1.5)", "b.index_add_(0, L.tensor([0, 0]), z[:2])",
    "b.scatter_(1, L.tensor([[1], [2], [0]]), z[:, :1])", "b.scatter_add_(1, L.tensor([[1, 1]]), z[:1, :2])",
    "b.index_put_((L.tensor([0, 0]),), y, accumulate=True)",
    # a tensor whose old value counts no more
    "b.zero_()", "b.fill_(3.0)", "b.fill_(y[0])", "b.copy_(z)", "b.copy_(y)", "b.copy_(z.detach()); b.mul_(y)",
    "b.uniform_(1.0, 1.0)", "b.normal_(1.0, 0.0)", "b.bernoulli_(0.0)",
    "b = L.zeros_like(b.detach()); b.copy_(y); b = b * b",
    # writing to a view is seen by the base
    "b[0] += y", "b[:, 1:3] *= 2", "b[:, 1:3] *= z[:, :2]", "v = b.view(-1); v.mul_(2); v[3] = y[0]", "b.T.add_(z.T)",
    "b.t()[1] = z[:, 1]", "b[0, 1] = y[2]", "b[z.detach() > 0] = 0.5", "b[z.detach() > 0] *= 2",
    "b[[0, 2]] = z[[1, 1]]",
    "b[[0, 2]] += y", "b[:, [1, 0]] = z[:, :2]", "b.T[:, [0, 2]] = z.T[:, [1, 1]]", "b.unsqueeze(0)[0, 1].exp_()",
    "b.view(-1)[2:7].view(5, 1).mul_(3)", "b.permute(1, 0)[1:3].zero_()", "b.expand(3, 4).mul_(2)",
    "b[:, 2:] = b[:, :2]", "b[0] = b[1]; b[1] = b[2]; b[2] = y", "b.reshape(12)[::5].sub_(y[:3])",
    # and by other views
    "v = b[1]; w = v[1:3]; w.mul_(z[0, :2]); v.add_(y)",
    "v = b[1]; w = v[1:3]; v.add_(y); w.mul_(z[0, :2]); b.mul_(2.0); w.add_(1)",
    "v = b.view(2, 6); w = b.T; v[0].mul_(3); w[1].add_(z[:, 0])",
    "v = b[1]; b.mul_(z); b = b * 1; b = b + v", "v = b[1]; b.mul_(z); b[0].add_(v)", "v = b[0]; b[0] = y; b = b * v",
    # a base that began without a gradient
    "c = L.zeros_like(b.detach()); c[1] = b[0]; c[2, 1:] = y[1:]; b = c",
    "c = L.zeros_like(b.detach()); v = c[0]; c.add_(b); b = c * 1; b = b + v * 2",
    "c = L.zeros_like(b.detach()); v = c[0]; u = c[:, 0]; v.add_(y); b = b * u.unsqueeze(1)",
    # copies are apart
    "c = b.clone(); c[0] = 0; b = b + c", "c = b.T.reshape(-1); c[0] = 0; b = b * 1", "b.T.contiguous().mul_(2)",
    # what nobody needs for backward may be overwritten
    "q = b * 2; b.mul_(2); b = b + q", "b.data.mul_(2)",
]  # fmt: skip


def inputs(torch: Any) -> tuple[list[Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((3, 4), (4,), (3, 4))]
    return (
        [tinycnn.from_numpy(a.copy()).requires_grad_() for a in arrays],
        [torch.from_numpy(a.copy()).requires_grad_() for a in arrays],
    )


def zeros_for_none(gradients: Any, like: list[Any]) -> list[np.ndarray]:
    return [np.zeros(tuple(x.shape)) if g is None else g.detach().numpy() for g, x in zip(gradients, like, strict=True)]


@pytest.mark.parity
@pytest.mark.parametrize("text", RECORDED)
def test_values_and_gradients_are_those_of_pytorch(text: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = inputs(torch)
    b, b_torch = lines(text)(tinycnn, *ours), lines(text)(torch, *theirs)
    np.testing.assert_allclose(b.detach().numpy(), b_torch.detach().numpy(), rtol=1e-12)
    assert b.requires_grad == b_torch.requires_grad
    g = grad((b**3).sum(), ours, create_graph=True, allow_unused=True)
    g_torch = torch.autograd.grad((b_torch**3).sum(), theirs, create_graph=True, allow_unused=True)
    for found, expected in zip(zeros_for_none(g, ours), zeros_for_none(g_torch, theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    total = sum((x * x).sum() for x in g if x is not None)
    total_torch = sum((x * x).sum() for x in g_torch if x is not None)
    if isinstance(total, Tensor) and total.requires_grad and total_torch.requires_grad:
        h = zeros_for_none(grad(total, ours, allow_unused=True), ours)
        h_torch = zeros_for_none(torch.autograd.grad(total_torch, theirs, allow_unused=True), theirs)
        for found, expected in zip(h, h_torch, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parity
@pytest.mark.parametrize("text", RECORDED)
def test_values_without_gradients_are_those_of_pytorch(text: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = inputs(torch)
    with tinycnn.no_grad(), torch.no_grad():
        b, b_torch = lines(text)(tinycnn, *ours), lines(text)(torch, *theirs)
    np.testing.assert_allclose(b.numpy(), b_torch.numpy(), rtol=1e-12)
    assert not b.requires_grad


LOST = [
    "q = b * b; b.mul_(2); b = b + q", "q = b.exp(); q.mul_(2); b = q", "v = b[0]; k = v * v; b[1] = y; b = b + k",
    "q = b * b; b.detach().mul_(2); b = q", "v = b.T; q = b * b; v.zero_(); b = b + q",
]  # fmt: skip


@pytest.mark.parametrize("text", LOST)
def test_backward_notices_that_what_it_needs_was_overwritten(text: str) -> None:
    x, y, z = (tinycnn.randn(*s, dtype=tinycnn.float64, requires_grad=True) for s in ((3, 4), (4,), (3, 4)))
    b = lines(text)(tinycnn, x, y, z)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        b.sum().backward()


def test_a_product_with_itself_in_place() -> None:
    x = tinycnn.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    assert grad(y.sum(), x)[0].tolist() == [4, 6]


@pytest.mark.parametrize(
    "write",
    ["x.mul_(2)", "x[0] = 1.0", "x.view(-1).mul_(2)", "x.zero_()", "x += 1", "x.copy_(y)", "x.normal_()", "x[[0]] = y"],
)
def test_leaves_that_require_gradients_are_not_written(write: str) -> None:
    x = tinycnn.ones(3, 4, requires_grad=True)
    names = {"x": x, "y": tinycnn.zeros(4)}
    with pytest.raises(RuntimeError, match="leaf"):
        exec(write, names)
    assert (x == 1).all()
    with tinycnn.no_grad():
        exec(write, names)
    assert names["x"] is x
    assert x.is_leaf
    assert x.requires_grad


def test_expanded_and_read_only_memory_is_not_written() -> None:
    x = tinycnn.zeros(4)
    for write in (lambda v: v.add_(1), lambda v: v.fill_(1), lambda v: v.__setitem__([0], 1.0)):
        with pytest.raises(RuntimeError, match=r"expanded tensor \(shape \(3, 4\)\) share their memory; clone"):
            write(x.expand(3, 4))
    array = np.zeros(2)
    array.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only memory; clone"):
        tinycnn.from_numpy(array).add_(1)
    assert not x.any()


def test_the_same_memory_is_written() -> None:
    x = tinycnn.ones(4)
    memory, before = x.array, x._version[0]
    x += 1
    x *= x
    x /= 2
    x -= 0.5
    x **= 2
    x.neg_().exp_().clamp_(0, 1).zero_().copy_(tinycnn.arange(4)).fill_(3).relu_()
    assert x.array is memory
    assert x.tolist() == [3] * 4
    assert x._version[0] == before + 12


def test_operands_that_overlap() -> None:
    x = tinycnn.arange(9.0).reshape(3, 3)
    expected = x.numpy() + x.numpy().T
    assert (x.clone().add_(x.clone().T).numpy() == expected).all()
    assert (x.add_(x.T).numpy() == expected).all()
    y = tinycnn.arange(4)
    y[1:] = y[:-1]
    assert y.tolist() == [0, 0, 1, 2]


DTYPES: list[tuple[str, str, Any]] = [
    ("int64", "x.add_(2)", "int64"),
    ("int64", "x.add_(1.5)", RuntimeError),
    ("int64", "x.div_(2)", RuntimeError),
    ("int64", "x.exp_()", RuntimeError),
    ("int64", "x.copy_(tinycnn.tensor(2.7))", "int64"),
    ("uint8", "x.add_(tinycnn.tensor([1]))", "uint8"),
    ("float32", "x.add_(tinycnn.ones(3, dtype=tinycnn.float64))", "float32"),
    ("float32", "x.mul_(1j)", RuntimeError),
    ("bool", "x.__iand__(tinycnn.tensor([True]))", "bool"),
    ("bool", "x.mul_(2)", RuntimeError),
    ("int64", "x.uniform_()", TypeError),
    ("int64", "x.normal_()", TypeError),
]


@pytest.mark.parametrize(("dtype", "write", "result"), DTYPES)
def test_the_dtype_stays_or_the_write_is_refused(dtype: str, write: str, result: Any) -> None:
    x = tinycnn.ones(3, dtype=dtype)
    if isinstance(result, str):
        exec(write)
    else:
        with pytest.raises(result, match=r"can't be cast to|only floating tensors"):
            exec(write)
        assert (x == 1).all()
    assert x.dtype.name == dtype


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        ("x.add_(tinycnn.ones(2, 3))", RuntimeError, r"a result of shape .*\(\[2, 3\]\) does not fit .*\(\[3\]\)"),
        ("x.copy_(tinycnn.ones(2))", ValueError, r"copy_: a value of shape \(2,\) does not broadcast to \(3,\)"),
        ("x.fill_(tinycnn.ones(2))", TypeError, "fill_: value must be a number or have no dimensions"),
        ("x.fill_('a')", TypeError, "fill_: value must be a number, got str"),
        ("x.uniform_(1, 0)", ValueError, r"uniform_: expected bounds in order, got \[1, 0\)"),
        ("x.normal_(0, -1)", ValueError, "normal_: std must not be negative, got -1"),
        ("x.bernoulli_(2)", ValueError, r"bernoulli_: probabilities must lie in \[0, 1\]"),
        ("x.random_(3, 3)", ValueError, "random_: from=3 must be less than to=3"),
    ],
)
def test_errors_say_what_is_wrong(write: str, kind: type[Exception], message: str) -> None:
    x = tinycnn.ones(3)
    with pytest.raises(kind, match=message):
        exec(write)
    assert (x == 1).all()


def test_a_zeroed_tensor_keeps_its_place_in_the_graph() -> None:
    x = tinycnn.ones(2, requires_grad=True)
    y = x * 3
    y.zero_()
    assert not y.is_leaf
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0]


def test_the_gradient_of_a_written_view_does_not_depend_on_layouts() -> None:
    """The view was one of the base's memory; the gradient that comes back lies otherwise in memory."""
    x = tinycnn.randn(2, 3, 4, 5, dtype=tinycnn.float64, requires_grad=True)
    y = x * 1
    y.view(6, 20)[1:3].mul_(2.0)
    g = tinycnn.ones(2, 3, 4, 5, dtype=tinycnn.float64).contiguous(memory_format=tinycnn.channels_last)
    y.backward(g)
    assert x.grad is not None
    assert x.grad.reshape(6, 20)[:, 0].tolist() == [1, 2, 2, 1, 1, 1]


def test_stale_views_are_brought_up_to_date_when_used() -> None:
    base, w = tinycnn.zeros(2, 2), tinycnn.ones(2, requires_grad=True)
    view = base[0]
    base.add_(w)
    view.backward(tinycnn.tensor([1.0, 2.0]))
    assert w.grad is not None
    assert w.grad.tolist() == [1, 2]


def test_writing_leaves_no_cycle() -> None:
    x = tinycnn.ones(3, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = x * 1
        y[0] = 5.0
        y.view(-1).mul_(2)
        y += 1
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_random_fillings_follow_the_seed_and_the_bounds() -> None:
    def draw() -> list[Any]:
        tinycnn.manual_seed(5)
        x = tinycnn.empty(500)
        return [
            x.uniform_(-2, 3).tolist(),
            x.normal_(4, 0.1).tolist(),
            x.bernoulli_(0.25).tolist(),
            x.random_(3, 6).tolist(),
        ]

    uniform, normal, coins, integers = draw()
    assert draw() == [uniform, normal, coins, integers]
    assert -2 <= min(uniform) < -1.8 and 2.8 < max(uniform) < 3
    assert abs(np.mean(normal) - 4) < 0.03 and abs(np.std(normal) - 0.1) < 0.02
    assert set(coins) == {0, 1} and abs(np.mean(coins) - 0.25) < 0.1
    assert set(integers) == {3, 4, 5}
    assert set(tinycnn.zeros(200, dtype=tinycnn.bool).random_().tolist()) == {True, False}
    assert int(tinycnn.zeros(4000, dtype=tinycnn.uint8).random_().max()) == 255
