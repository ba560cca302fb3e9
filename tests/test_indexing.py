"""Reading and writing by index: what NumPy and PyTorch give, gradients that add up, errors that name the index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import grad
from tinycnn.nn import functional as F

ALL = slice(None)
MASK = np.arange(60).reshape(3, 4, 5) % 7 < 3
BASIC: list[Any] = [
    0, -1, (1, 2), (1, 2, 3), slice(1, 3), slice(None, None, 2), slice(5, 2), (ALL, 1), (..., 0), (0, ..., 1),
    None, (0, None, ALL, None), ..., (), (slice(0, 2), slice(1, None), slice(None, None, 3)),
]  # fmt: skip
ADVANCED: list[Any] = [
    [0, 2], [0, 0, -1], ([0, 1], [1, 2]), ([0, 1], ALL, [1, 2]), (ALL, [0, 1, 1]), (..., [0, 1]),
    ([[0], [1]], [1, 2]), (None, [0, 1]), [], (ALL, []), [True, False, True],
    ([True, False, True], [0, 1]), True, MASK, MASK[0, :, 0].tolist()[:3], (0, MASK[0]), (ALL, MASK[0]),
    np.array([[0, 1], [2, 2]]), (np.array([0, 2], "int32"), 1), (MASK[:, 0, 0], slice(0, 2)),
]  # fmt: skip
INDICES = BASIC + ADVANCED


def name_of(index: Any) -> str:
    return str(index).replace("slice", "").replace("\n", "")[:50]


def for_library(index: Any, library: Any) -> Any:
    """The index with arrays as tensors of a library."""
    if isinstance(index, tuple):
        return tuple(for_library(i, library) for i in index)
    return library.tensor(index.tolist()) if isinstance(index, np.ndarray) else index


@pytest.fixture
def x() -> Tensor:
    return tinycnn.randn(3, 4, 5, dtype=tinycnn.float64)


@pytest.mark.parametrize("index", INDICES, ids=name_of)
def test_reading_gives_what_numpy_gives(x: Tensor, index: Any) -> None:
    expected = x.numpy()[index]
    found = x[for_library(index, tinycnn)]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


def test_numbers_are_taken_before_lists(x: Tensor) -> None:
    """As in PyTorch; NumPy counts a number beside a list as a list, and puts the dimension elsewhere."""
    assert (x[0, :, [1, 1]] == x[0][:, [1, 1]]).all()
    assert (x[:2, [1], None, 0] == x[:2, :, 0][:, [1], None]).all()


@pytest.mark.parametrize("index", INDICES, ids=name_of)
def test_the_gradient_counts_how_often_an_element_was_read(x: Tensor, index: Any) -> None:
    x.requires_grad_()
    y = x[for_library(index, tinycnn)]
    places = tinycnn.arange(60).reshape(3, 4, 5)[for_library(index, tinycnn)]
    (g,) = grad(y.sum(), x)
    np.testing.assert_array_equal(g.numpy().ravel(), np.bincount(places.numpy().ravel(), minlength=60))


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("index", INDICES, ids=name_of)
def test_writing_changes_that_part_alone(x: Tensor, index: Any, recorded: bool) -> None:
    """Also with gradients: what was written over gets none, what was written gets its own."""
    places = tinycnn.arange(60).reshape(3, 4, 5)[for_library(index, tinycnn)]
    value = tinycnn.randn(*places.shape, dtype=tinycnn.float64)
    y = x * 1
    if recorded:
        x.requires_grad_()
        value.requires_grad_()
        y = x * 1
    y[for_library(index, tinycnn)] = value
    untouched = np.setdiff1d(np.arange(60), places.numpy())
    new, old = y.detach().numpy().ravel(), x.detach().numpy().ravel()
    np.testing.assert_array_equal(new[untouched], old[untouched])
    once = len(set(places.numpy().ravel())) == places.numel()
    if once:
        np.testing.assert_array_equal(new[places.numpy()], value.detach().numpy())
    if recorded:
        g_x, g_value = grad((y * y).sum(), (x, value), allow_unused=True, materialize_grads=True)
        expected = 2 * old
        expected[places.numpy()] = 0
        np.testing.assert_allclose(g_x.numpy().ravel(), expected)
        if once:
            np.testing.assert_allclose(g_value.numpy(), 2 * value.detach().numpy())


@pytest.mark.parametrize("index", [1, (ALL, 2), [0, 2], MASK], ids=name_of)
@pytest.mark.parametrize("value", [7, 7.5, True, np.float32(2.5), np.array(3.0)], ids=repr)
def test_writing_a_number(x: Tensor, index: Any, value: Any) -> None:
    x[for_library(index, tinycnn)] = value
    assert (x.numpy()[index] == float(value)).all()
    assert (x == float(value)).sum().item() == x.numpy()[index].size


@pytest.mark.parametrize("index", [ALL, [0, 1, 2], (..., slice(0, 5))], ids=name_of)
def test_written_values_broadcast_and_leading_ones_do_not_matter(x: Tensor, index: Any) -> None:
    row = tinycnn.randn(5, dtype=tinycnn.float64)
    for value in (row, row.reshape(1, 1, 1, 1, 5), row.tolist()):
        x.zero_()
        x[index] = value
        np.testing.assert_allclose(x.numpy(), np.broadcast_to(row.numpy(), (3, 4, 5)), rtol=1e-6)


def test_written_dtypes() -> None:
    i = tinycnn.arange(3)
    i[0] = 2.9  # a number or a slice's value is cut, as PyTorch does
    i[1:] = tinycnn.tensor([1.5, 2.5])
    assert i.tolist() == [2, 1, 2]
    with pytest.raises(RuntimeError, match=r"setitem: tinycnn.float32 cannot be written to elements of tinycnn.int64"):
        i[[0]] = tinycnn.tensor([1.5])


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (3, IndexError, "index 3 is out of range for dimension 0 with size 3"),
    ((ALL, -5), IndexError, "index -5 is out of range for dimension 1 with size 4"),
    ([0, 3], IndexError, "index 3 is out of range for dimension 0 with size 3"),
    ((ALL, [-5]), IndexError, "index -5 is out of range for dimension 1 with size 4"),
    ((0, 0, 0, 0), IndexError, r"too many indices for a tensor of shape \(3, 4, 5\): 4"),
    ((..., ...), IndexError, "only one '...'"),
    (slice(None, None, -1), ValueError, "step must be greater than zero, got -1; see flip"),
    ([True, False], IndexError, r"a mask of shape \(2,\) does not fit dimensions 0 to 0 of a tensor of shape"),
    (([0, 1], [0, 1, 2]), IndexError, r"index arrays of shapes \(2,\), \(3,\) do not broadcast"),
    ([1.0], IndexError, "must be int64, int32 or bool, got float32"),
    (np.array([1], "uint8"), IndexError, "must be int64, int32 or bool, got uint8"),
    (1.0, TypeError, "an index is made of ints, .* not 1.0"),
    ("a", TypeError, "not 'a'"),
]


@pytest.mark.parametrize(("index", "kind", "message"), ERRORS)
def test_index_errors(x: Tensor, index: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match="getitem: .*" + message):
        x[index]
    before = x.clone()
    with pytest.raises(kind, match="setitem: .*" + message):
        x[index] = 1.0
    assert (x == before).all()


def test_a_value_that_does_not_broadcast(x: Tensor) -> None:
    for index, part in ((0, r"\(4, 5\)"), ([0], r"\(1, 4, 5\)")):
        with pytest.raises(ValueError, match=r"a value of shape \(3, 5\) does not broadcast to " + part):
            x[index] = tinycnn.zeros(3, 5, dtype=tinycnn.float64)
    with pytest.raises(IndexError, match=r"too many indices for a tensor of shape \(\): 1"):
        tinycnn.tensor(1.0)[0]


def test_tensors_as_numbers(x: Tensor) -> None:
    i = tinycnn.tensor(1)
    assert np.shares_memory(x[i].array, x.array)  # as an int would: a view
    assert (x[i : i + 1, -i] == x[1:2, -1]).all()
    assert (x[np.int64(2)] == x[2]).all()
    assert x[[tinycnn.tensor(0), tinycnn.tensor(1)]].shape == (2, 4, 5)


def test_the_index_may_change_after_the_read() -> None:
    x = tinycnn.tensor([1.0, 2.0], requires_grad=True)
    i = tinycnn.tensor([0, 0])
    y = x[i]
    i[:] = 1
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 0]


def test_leaves_are_not_written() -> None:
    x = tinycnn.zeros(2, requires_grad=True)
    for index in (0, [0], ALL):
        with pytest.raises(RuntimeError, match="leaf"):
            x[index] = 1.0
    with tinycnn.no_grad():
        x[0] = 1.0
    assert x.tolist() == [1, 0]


OPS_ERRORS: list[tuple[Callable[[Tensor], Any], type[Exception], str]] = [
    (lambda x: x.index_select(0, tinycnn.tensor([3])), IndexError, "index_select: index 3 .* dimension 0 with size 3"),
    (lambda x: x.index_select(0, tinycnn.tensor([-1])), IndexError, "index_select: index -1"),
    (lambda x: x.index_select(0, [0]), TypeError, "index_select: index must be a tensor, got list"),
    (lambda x: x.index_select(0, tinycnn.tensor([0.0])), TypeError, "index must hold integers, got tinycnn.float32"),
    (lambda x: x.index_select(0, tinycnn.zeros(1, 1).long()), IndexError, "at most one dimension"),
    (lambda x: x.gather(1, tinycnn.zeros(3, 4).long()), ValueError, r"gather: an index of shape \(3, 4\)"),
    (lambda x: x.gather(1, tinycnn.zeros(4, 1, 1).long()), ValueError, "none but dim 1 longer"),
    (lambda x: x.gather(1, tinycnn.full((1, 1, 1), 4)), IndexError, "gather: index 4 .* dimension 1 with size 4"),
    (lambda x: x.scatter(0, tinycnn.full((1, 1, 1), 3), 1.0), IndexError, "scatter: index 3"),
    (lambda x: x.scatter(0, tinycnn.zeros(2, 2, 2).long(), x[:1]), ValueError, "does not fit a source of shape"),
    (lambda x: x.scatter(0, tinycnn.zeros(1, 1, 1).long(), x.float()), TypeError, "they must be one"),
    (lambda x: x.scatter(0, tinycnn.zeros(1, 1, 1).long(), x, reduce="multiply"), ValueError, "got 'multiply'"),
    (lambda x: x.index_add(0, tinycnn.tensor([0]), x), ValueError, r"source has shape \(3, 4, 5\), .* \(1, 4, 5\)"),
    (lambda x: x.index_put((tinycnn.tensor([0]),), x), ValueError, "index_put: a value of shape"),
    (lambda x: tinycnn.take_along_dim(x, tinycnn.zeros(1).long(), 0), ValueError, "as many dimensions"),
    (lambda x: tinycnn.take_along_dim(x, tinycnn.zeros(1, 3, 5).long(), 0), ValueError, "do not broadcast at dim 1"),
    (lambda x: x.masked_fill(x, 0.0), TypeError, "masked_fill: mask must be a boolean tensor, got tinycnn.float64"),
    (lambda x: x.masked_fill(x > 0, x), ValueError, "value must have no dimensions"),
    (lambda x: x.masked_select([True]), TypeError, "masked_select: mask must be a boolean tensor, got list"),
    (lambda x: x.masked_select(tinycnn.tensor([True, False])), ValueError, "masked_select: shapes"),
    (lambda x: x.topk(6), ValueError, "topk: k=6 is out of range for dimension 2 with size 5"),
    (lambda x: F.one_hot(x), TypeError, "one_hot: classes must be integers"),
    (lambda x: F.one_hot(tinycnn.tensor([3]), 3), ValueError, "below num_classes=3, got 3 to 3"),
    (lambda x: F.one_hot(tinycnn.tensor([-1])), ValueError, "must not be negative, got -1 to -1"),
    (lambda x: F.one_hot(tinycnn.zeros(0).long()), ValueError, "an empty tensor needs num_classes"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), OPS_ERRORS)
def test_errors_say_what_is_wrong(
    x: Tensor, wrong: Callable[[Tensor], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        wrong(x)


def test_masked_fill_keeps_the_dtype() -> None:
    x = tinycnn.arange(3)
    assert x.masked_fill(x > 1, 9.7).tolist() == [0, 1, 9]
    assert x.masked_fill(x > 1, 9.7).dtype is tinycnn.int64


def test_nonzero_and_one_hot_shapes() -> None:
    x = tinycnn.tensor([[0, 1], [2, 0]])
    assert [i.tolist() for i in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert tinycnn.tensor(5).nonzero().shape == (1, 0)
    hot = F.one_hot(x)
    assert hot.shape == (2, 2, 3)
    assert hot.dtype is tinycnn.int64
    assert (hot.argmax(-1) == x).all()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool"])
def test_sort_is_stable_and_puts_nan_last(dtype: str, descending: bool) -> None:
    x = tinycnn.randint(0, 4, (50,)).to(dtype)
    if dtype == "float32":
        x[7] = float("nan")
    values, indices = tinycnn.sort(x, descending=descending)
    numbers = [(-1 if descending else 1) * (9.0 if v != v else float(v)) for v in x.tolist()]
    assert indices.tolist() == sorted(range(50), key=lambda i: numbers[i])
    np.testing.assert_array_equal(values.numpy(), x[indices].numpy())
    assert (x.argsort(descending=descending) == indices).all()
    top = x.topk(5, largest=descending)
    assert top.indices.tolist() == indices[:5].tolist()
    np.testing.assert_array_equal(top.values.numpy(), values[:5].numpy())


PARITY: dict[str, Callable[..., Any]] = {
    "mixed": lambda L, x: x[0, :, L.tensor([1, 1])] * x[:, L.tensor([0, 3]), None, 1:3].sum(),
    "gather": lambda L, x: x.gather(1, L.tensor([[[0, 3, 3], [1, 1, 0]]])),
    "scatter_add": lambda L, x: x.scatter_add(2, L.tensor([[[0, 0, 4], [1, 1, 1]]]), x[:1, :2, :3] * 2),
    "scatter": lambda L, x: x.scatter(0, L.tensor([[[2, 0, 1]]]), x[1:2, :1, :3] * 3),
    "index_add": lambda L, x: x.index_add(1, L.tensor([0, 0]), x[:, 1:3], alpha=2),
    "index_put": lambda L, x: x.index_put((L.tensor([0, 0]), L.tensor([1, 1])), x[1, :2], accumulate=True),
    "take_along_dim": lambda L, x: L.take_along_dim(x, L.tensor([[[0], [3]]]), 1),
    "masked": lambda L, x: x.masked_fill(x > 0.5, 2.0).masked_select(x[0] < 0),
    "topk": lambda L, x: x.topk(2, dim=1, largest=False).values,
    "sort": lambda L, x: L.sort(x, dim=0, descending=True)[0] * x,
}


@pytest.mark.parity
@pytest.mark.parametrize("program", PARITY.values(), ids=PARITY.keys())
def test_as_pytorch_does(x: Tensor, program: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    x_torch = torch.from_numpy(x.numpy().copy()).requires_grad_()
    y, y_torch = program(tinycnn, x.requires_grad_()), program(torch, x_torch)
    np.testing.assert_allclose(y.detach().numpy(), y_torch.detach().numpy(), rtol=1e-12)
    (g,), (g_torch,) = (
        grad((y**3).sum(), x, create_graph=True),
        torch.autograd.grad((y_torch**3).sum(), x_torch, create_graph=True),
    )
    np.testing.assert_allclose(g.detach().numpy(), g_torch.detach().numpy(), rtol=1e-12)
    (h,), (h_torch,) = grad((g * g).sum(), x), torch.autograd.grad((g_torch * g_torch).sum(), x_torch)
    np.testing.assert_allclose(h.numpy(), h_torch.numpy(), rtol=1e-10)
