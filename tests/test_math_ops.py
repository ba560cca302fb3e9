"""Element-wise functions, comparison, activations, reductions and matrix products: what the suite over all operations
cannot see, such as dtypes, error messages, ties, empty tensors, and values known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.nn import functional as F

INF, NAN = math.inf, math.nan

FLOATING = "exp expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh erf".split()


def tensor(data: Any, **kwargs: Any) -> Tensor:
    return tinycnn.tensor(data, **kwargs)


def gradient(function: Callable[[Tensor], Tensor], data: Any) -> list[Any]:
    """The gradient of y_1 + 2 y_2 + 3 y_3 + ... at data, y being function's results."""
    x = tensor(data, dtype=tinycnn.float64, requires_grad=True)
    y = function(x)
    y.backward(tinycnn.arange(1, y.numel() + 1, dtype=tinycnn.float64).reshape(y.shape))
    assert x.grad is not None
    return x.grad.tolist()  # type: ignore[no-any-return]


# ---- element-wise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FLOATING, "sigmoid", "tanh"])
@pytest.mark.parametrize("data", [[1, 1], [True, True]])
def test_integers_and_booleans_become_floating(name: str, data: list[Any]) -> None:
    function = getattr(tinycnn, name)
    got = function(tensor(data))
    assert got.dtype is tinycnn.float32
    assert got.tolist() == function(tensor([1.0, 1.0])).tolist()


@pytest.mark.parametrize("name", [*FLOATING, "abs", "neg", "square", "floor", "sigmoid", "relu", "sum", "mean"])
@pytest.mark.parametrize("dtype", [tinycnn.float16, tinycnn.float32, tinycnn.float64])
def test_floating_dtypes_stay(name: str, dtype: Any) -> None:
    x = tensor([0.25, 0.5], dtype=dtype, requires_grad=True)
    y = getattr(tinycnn, name)(x)
    (dx,) = tinycnn.autograd.grad(y, x, tinycnn.ones_like(y))
    assert (y.dtype, dx.dtype) == (dtype, dtype)


@pytest.mark.parametrize("name", ["abs", "neg", "square", "sign", "floor", "ceil", "round", "trunc", "relu"])
def test_integers_stay_integers(name: str) -> None:
    x = tensor([-3, 2])
    y = getattr(tinycnn, name)(x)
    assert y.dtype is tinycnn.int64
    y[0] = 77
    assert x.tolist() == [-3, 2], "the result must not share the input's memory"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("round", [0.5, 1.5, 2.5, -0.5, -1.5], [0, 2, 2, 0, -2]),
        ("trunc", [1.9, -1.9], [1, -1]),
        ("floor", [1.9, -1.1], [1, -2]),
        ("ceil", [1.1, -1.9], [2, -1]),
        ("sign", [-2.0, 0.0, 3.0], [-1, 0, 1]),
        ("log", [0.0, 1.0], [-INF, 0]),
        ("isnan", [NAN, INF, 1.0], [True, False, False]),
        ("isinf", [NAN, -INF, 1.0], [False, True, False]),
        ("isfinite", [NAN, INF, 1.0], [False, False, True]),
        ("nan_to_num", [NAN, 1.0], [0, 1]),
        ("square", [True, False], [1, 0]),
        ("positive", [1.0, -1.0], [1, -1]),
    ],
)
def test_values_known_by_hand(name: str, data: list[Any], expected: list[Any]) -> None:
    assert getattr(tinycnn, name)(tensor(data)).tolist() == expected


def test_round_to_decimals() -> None:
    x = tensor([1.256, -123.4], dtype=tinycnn.float64)
    assert x.round(decimals=1).tolist() == [1.3, -123.4]
    assert x.round(decimals=-1).tolist() == [0, -120]


def test_nan_to_num_replaces_infinities() -> None:
    x = tensor([NAN, INF, -INF])
    limits = np.finfo(np.float32)
    assert x.nan_to_num().tolist() == [0, float(limits.max), float(limits.min)]
    assert x.nan_to_num(1.0, posinf=2.0, neginf=3.0).tolist() == [1, 2, 3]
    assert tensor([1, 2]).nan_to_num().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (tinycnn.abs, [-2.0, 0.0, 3.0], [-1, 0, 1]),
        (tinycnn.floor, [0.5, 2.0], [0, 0]),
        (tinycnn.sign, [0.0, 2.0], [0, 0]),
        (tinycnn.nan_to_num, [NAN, INF, 1.0], [0, 0, 1]),
        (tinycnn.relu, [-1.0, 0.0, 1.0], [0, 0, 1]),
        (F.relu6, [0.0, 3.0, 6.0, 7.0], [0, 1, 0, 0]),
        (F.hardtanh, [-1.0, 0.5, 1.0], [0, 1, 0]),
        (F.elu, [-1000.0, 1000.0], [0, 1]),
        (lambda x: F.leaky_relu(x, 0.5), [-1.0, 0.0, 1.0], [0.5, 0.5, 1]),
        (lambda x: F.softplus(x, threshold=1.0), [30.0], [1]),
        (F.logsigmoid, [-1000.0, 0.0, 1000.0], [1, 0.5, 0]),
    ],
)
def test_gradients_where_functions_bend(function: Any, data: list[float], expected: list[float]) -> None:
    assert gradient(function, data) == [n * slope for n, slope in enumerate(expected, 1)]


@pytest.mark.parametrize("function", [tinycnn.floor, tinycnn.round, tinycnn.sign])
def test_zero_gradients_can_be_differentiated_again(function: Any) -> None:
    x = tensor([0.3], requires_grad=True)
    g = tensor([1.0], requires_grad=True)
    (dx,) = tinycnn.autograd.grad(function(x), x, g, create_graph=True)
    (again,) = tinycnn.autograd.grad(dx, g)
    assert (dx.tolist(), again.tolist()) == ([0], [0])


@pytest.mark.parametrize("name", ["neg", "positive", "floor", "round", "relu"])
def test_booleans_have_no_sign_and_nothing_to_round(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}: a boolean tensor"):
        getattr(tinycnn, name)(tensor([True]))


@pytest.mark.parametrize("name", ["exp", "abs", "isnan", "sum", "max", "all", "softmax", "relu", "norm", "cumsum"])
def test_what_is_no_tensor_is_refused_by_name(name: str) -> None:
    arguments = ([1.0, 2.0], 0) if name in ("softmax", "cumsum") else ([1.0, 2.0],)
    with pytest.raises(TypeError, match=f"{name}: expected a tensor, got list"):
        getattr(tinycnn, name)(*arguments)


# ---- comparison ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [None, "a", [1, 2], {}])
def test_a_tensor_equals_nothing_but_tensors_and_numbers(other: Any) -> None:
    x = tensor([1, 2])
    assert (x == other) is False
    assert (x != other) is True
    with pytest.raises(TypeError, match="not supported between"):
        bool(x < other)


def test_comparisons_mirror_numbers_on_the_left() -> None:
    x = tensor([1, 2, 3])
    assert (2 < x).tolist() == [False, False, True]
    assert (2 >= x).tolist() == [True, True, False]
    assert tinycnn.lt(2, x).tolist() == [False, False, True]
    assert (x == 1.5).tolist() == [False] * 3
    assert (x > 1.5).tolist() == [False, True, True]


def test_tensors_stay_hashable() -> None:
    a, b = tensor([1.0]), tensor([1.0])
    assert len({a, b, a}) == 2


def test_bitwise_operators() -> None:
    a, b = tensor([True, True, False]), tensor([True, False, False])
    assert [(a & b).tolist(), (a | b).tolist(), (a ^ b).tolist(), (~a).tolist()] == [
        [True, False, False],
        [True, True, False],
        [False, True, False],
        [False, False, True],
    ]
    x = tensor([6, 5])
    assert [(3 & x).tolist(), (3 | x).tolist(), (3 ^ x).tolist(), (~x).tolist()] == [[2, 1], [7, 7], [5, 6], [-7, -6]]
    assert (a & 1).dtype is tinycnn.int64
    for function in (lambda: x & 1.5, lambda: tensor([1.0]) | 1, lambda: ~tensor([1.0])):
        with pytest.raises(RuntimeError, match=r"expected booleans or integers, got tinycnn\.float32"):
            function()


@pytest.mark.parametrize(
    ("a", "b", "keywords", "expected"),
    [
        ([1.0, 1.0], [1.0 + 1e-6, 1.1], {}, [True, False]),
        ([INF, INF, NAN], [INF, -INF, NAN], {}, [True, False, False]),
        ([NAN, 1.0], [NAN, NAN], {"equal_nan": True}, [True, False]),
        ([100], [101], {"rtol": 0.01}, [True]),
        ([1.0], [INF], {"rtol": 1.0}, [False]),
        (np.uint8([3, 250]), np.uint8([5, 3]), {"atol": 2, "rtol": 0}, [True, False]),  # no difference wraps round
    ],
)
def test_isclose(a: Any, b: Any, keywords: dict[str, Any], expected: list[bool]) -> None:
    assert tinycnn.isclose(tensor(a), tensor(b), **keywords).tolist() == expected
    assert tinycnn.allclose(tensor(a), tensor(b), **keywords) is all(expected)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [(tinycnn.uint8, -255, 255), (tinycnn.int8, -128, 127), (tinycnn.int16, -(2**15), 2**15 - 1)],
)
def test_a_number_must_fit_the_integers_it_meets(dtype: Any, least: int, most: int) -> None:
    x = tensor([0], dtype=dtype)
    assert (x + most).item() == most
    assert (x + least).item() == (1 if dtype is tinycnn.uint8 else least)  # unsigned ones count from the other end
    for number in (most + 1, least - 1):
        with pytest.raises(RuntimeError, match=f"cannot hold the number {number}"):
            x + number


def test_numpys_booleans_are_numbers() -> None:
    assert (tensor([1.0, 2.0]) * np.bool_(True)).tolist() == [1, 2]
    assert (tensor([1.0, 2.0]) == np.bool_(True)).tolist() == [True, False]


def test_powers_of_integers_and_booleans() -> None:
    with pytest.raises(RuntimeError, match="integers to negative integer powers"):
        tensor([2, 2]) ** tensor([1, -1])
    assert (tensor([True, False]) ** False).tolist() == [True, True]
    assert (tensor([True, False]) ** True).tolist() == [True, False]


def test_out_may_be_of_a_higher_category() -> None:
    out = tinycnn.zeros(2)
    assert tinycnn.add(tensor([1, 2]), 1, out=out) is out
    assert out.tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="can't be cast to"):
        tinycnn.add(out, 1, out=tensor([1, 2]))


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d])
def test_dropout_of_everything_and_of_nothing(function: Any) -> None:
    x = tinycnn.ones(2, 3, 4, 4)
    assert function(x, 1.0).sum().item() == 0
    assert function(x, 0.0).tolist() == function(x, 1.0, training=False).tolist() == x.tolist()


def test_a_certain_probability_costs_at_most_100() -> None:
    """Each logarithm is held at -100, in the gradient of the target too."""
    x, target = tensor([1.0, 0.0]), tensor([0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, target, reduction="none")
    assert loss.tolist() == [100, 100]
    loss.backward(tensor([1.0, 2.0]))
    assert target.grad is not None
    assert target.grad.tolist() == [-100, 200]


def test_the_old_names_of_reduction_are_blamed_on_the_caller() -> None:
    with pytest.warns(DeprecationWarning, match="size_average and reduce are deprecated") as found:
        F.mse_loss(tensor([1.0]), tensor([2.0]), size_average=False)
    assert found[0].filename == __file__


def test_products_save_only_what_their_gradients_need() -> None:
    weight = tinycnn.ones(2, 2)
    for product in (lambda x: x @ weight, lambda x: F.linear(x, weight)):
        x = tinycnn.ones(1, 2, requires_grad=True)
        y = x * 1
        z = product(y)
        y.add_(1)  # no harm: only the weight's gradient would need y
        z.sum().backward()
        assert x.grad.tolist() == [[2.0, 2.0]]


def test_comparing_with_an_array() -> None:
    x = tinycnn.tensor([1.0, 2.0])
    for y in (x == np.array([1.0, 3.0]), np.array([1.0, 3.0]) == x, np.array([0, 2]) < x):
        assert isinstance(y, tinycnn.Tensor)
        assert y.tolist() == [True, False]


def test_equal_wants_one_shape() -> None:
    assert tinycnn.equal(tensor([1.0, 2.0]), tensor([1, 2])) is True
    assert tinycnn.equal(tensor([1.0, 2.0]), tensor([1, 3])) is False
    assert tinycnn.equal(tensor([1.0]), tensor([1.0, 1.0])) is False


@pytest.mark.parametrize("name", ["eq", "lt", "logical_and", "isclose"])
def test_shapes_that_do_not_broadcast_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: shapes \(2, 3\) and \(2,\) do not broadcast"):
        getattr(tinycnn, name)(tinycnn.ones(2, 3), tinycnn.ones(2))


# ---- activations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [tinycnn.softmax, tinycnn.log_softmax])
def test_softmax_of_large_numbers_and_of_nothing(function: Any, kernel_set: str) -> None:
    x = tensor([[1000.0, 1000.0], [-INF, 0.0]])
    y = function(x, 1)
    expected = [[0.5, 0.5], [0.0, 1.0]]
    if function is tinycnn.log_softmax:
        y = y.exp()
    np.testing.assert_allclose(y.tolist(), expected, rtol=1e-6)
    empty = tinycnn.zeros(2, 0, requires_grad=True)
    (dx,) = tinycnn.autograd.grad(function(empty, 1), empty, empty.detach())
    assert dx.shape == (2, 0)


def test_softmax_takes_a_dtype() -> None:
    y = tinycnn.softmax(tensor([1, 1]), 0, dtype=tinycnn.float64)
    assert y.dtype is tinycnn.float64
    assert y.tolist() == [0.5, 0.5]


def test_activations_do_not_overflow() -> None:
    x = tensor([-1000.0, 1000.0])
    assert tinycnn.sigmoid(x).tolist() == [0, 1]
    assert F.softplus(x).tolist() == [0, 1000]
    assert F.softplus(x, threshold=1e9).tolist() == [0, 1000]
    assert F.logsigmoid(x).tolist() == [-1000, 0]
    assert F.elu(x).tolist() == [-1, 1000]
    assert F.silu(x).tolist() == [0, 1000]


def test_activation_arguments_are_checked() -> None:
    with pytest.raises(RuntimeError, match="gelu: approximate must be 'none' or 'tanh', got 'erf'"):
        F.gelu(tensor([1.0]), approximate="erf")
    with pytest.raises(ValueError, match="hardtanh: min_val 2 is above max_val 1"):
        F.hardtanh(tensor([1.0]), 2, 1)
    with pytest.raises(IndexError, match=r"softmax: Dimension out of range \(expected .* \[-2, 1\], but got 2\)"):
        tinycnn.softmax(tinycnn.ones(2, 3), 2)


# ---- reductions ------------------------------------------------------------------------------------------------------

ONE_DIM = "max min argmax argmin prod cumsum".split()
REDUCTIONS = ["sum", "mean", "var", "std", "amax", "amin", "all", "any", "logsumexp", "norm", "count_nonzero", *ONE_DIM]


def call(name: str, x: Tensor, dim: Any) -> Any:
    return x.norm(dim=dim) if name == "norm" else getattr(x, name)(dim)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dim", [2, -3])
def test_a_dim_out_of_range_is_an_index_error(name: str, dim: int) -> None:
    with pytest.raises(
        IndexError, match=rf"{name}: Dimension out of range \(expected to be in range of \[-2, 1\], but got {dim}\)"
    ):
        call(name, tinycnn.ones(2, 3), dim)


@pytest.mark.parametrize("name", [n for n in REDUCTIONS if n not in ONE_DIM])
def test_a_dim_is_named_once(name: str) -> None:
    with pytest.raises(RuntimeError, match=rf"{name}: dim 1 appears multiple times in the list of dims \(1, -1\)"):
        call(name, tinycnn.ones(2, 3), (1, -1))


@pytest.mark.parametrize("dim", [0.5, "0", None])
def test_a_dim_is_a_whole_number(dim: Any) -> None:
    with pytest.raises(TypeError, match="cumsum: dim must be a whole number"):
        tinycnn.ones(2).cumsum(dim)


@pytest.mark.parametrize("name", [n for n in REDUCTIONS if n not in ("max", "min", "var", "std")])
@pytest.mark.parametrize("dim", [0, -1])
def test_a_tensor_of_no_dimensions_has_dim_0(name: str, dim: int) -> None:
    y = call(name, tensor(3.0), dim)
    expected = {"all": True, "any": True, "argmax": 0, "argmin": 0, "count_nonzero": 1}.get(name, 3)
    assert (y.shape, y.item()) == ((), expected)


@pytest.mark.parametrize(
    ("name", "expected"), [("sum", 0), ("prod", 1), ("all", True), ("any", False), ("logsumexp", -INF)]
)
def test_reductions_of_nothing(name: str, expected: Any) -> None:
    y = call(name, tinycnn.zeros(0, 2), 0)
    assert y.tolist() == [expected] * 2
    assert call(name, tinycnn.zeros(2, 0), 0).shape == (0,)


def test_moments_of_nothing_are_nan() -> None:
    assert math.isnan(tinycnn.zeros(0).mean().item())
    assert math.isnan(tinycnn.zeros(0).var().item())
    assert math.isnan(tinycnn.ones(1).std().item())


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_nothing_has_no_extreme(name: str) -> None:
    function = getattr(tinycnn, name)
    with pytest.raises((RuntimeError, IndexError), match=rf"{name}: .*\(2, 0\)"):
        function(tinycnn.zeros(2, 0))
    with pytest.raises(IndexError, match=rf"{name}: dim 1 of a tensor of shape \(2, 0\) is empty"):
        function(tinycnn.zeros(2, 0), 1)


@pytest.mark.parametrize("dtype", [tinycnn.bool, tinycnn.uint8, tinycnn.int32])
@pytest.mark.parametrize(("name", "expected"), [("sum", 300), ("prod", 1), ("cumsum", 300)])
def test_integers_add_up_to_int64(dtype: Any, name: str, expected: int) -> None:
    x = tinycnn.ones(300, dtype=dtype)
    y = x.cumsum(0)[-1] if name == "cumsum" else getattr(x, name)()
    assert (y.dtype, y.item()) == (tinycnn.int64, expected)


def test_integers_have_a_mean_only_in_a_floating_dtype() -> None:
    x = tensor([1, 2])
    for name in ("mean", "var", "std", "norm"):
        with pytest.raises(
            RuntimeError, match=f"{name}: the input dtype must be floating or complex, got tinycnn.int64"
        ):
            getattr(x, name)()
    assert x.mean(dtype=tinycnn.float32).item() == 1.5
    assert x.sum(dtype=tinycnn.float64).dtype is tinycnn.float64


def test_float32_sums_are_as_exact_as_float32_can_say() -> None:
    x = np.random.default_rng(0).random((40_000, 3), dtype=np.float32) + 1
    exact = x.astype(np.float64)
    ours = tinycnn.from_numpy(x)
    for got, expected in [
        (ours.sum(0), exact.sum(0)),
        (ours.mean(0), exact.mean(0)),
        (ours.var(0), exact.var(0, ddof=1)),
        (ours.cumsum(0)[-1], exact.sum(0)),
        (ours.logsumexp(0), np.log(np.exp(exact).sum(0))),
    ]:
        np.testing.assert_allclose(got.numpy(), expected, rtol=3e-7)


def test_float16_adds_up_in_float32() -> None:
    assert tinycnn.ones(4096, dtype=tinycnn.float16).sum().item() == 4096
    assert tinycnn.ones(4096, 2, dtype=tinycnn.float16).mean(0).tolist() == [1, 1]


def test_max_has_three_forms() -> None:
    x = tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 0.0]])
    assert x.max().item() == 7
    pair = x.max(1)
    assert (pair.values.tolist(), pair.indices.tolist()) == ([5, 7], [1, 0])
    values, indices = x.min(dim=0, keepdim=True)
    assert (values.tolist(), indices.tolist()) == ([[1, 2, 0]], [[0, 1, 1]])
    assert indices.dtype is tinycnn.int64
    assert tinycnn.max(x, tensor([3.0, 3.0, 3.0])).tolist() == [[3, 5, 5], [7, 3, 3]]
    assert tinycnn.min(x, other=tensor(3.0)).tolist() == [[1, 3, 3], [3, 2, 0]]
    assert tuple(t.item() for t in tensor(4.0).max(0)) == (4, 0)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.amax(1), [[0, 0.5, 0.5], [2 / 3, 2 / 3, 2 / 3]]),
        (lambda x: x.max(), [[0, 0.5, 0.5], [0, 0, 0]]),
        (lambda x: x.amin(), [[1, 0, 0], [0, 0, 0]]),
        (lambda x: x.max(1).values, [[0, 1, 0], [2, 0, 0]]),
        (lambda x: x.min(0)[0], [[1, 0, 0], [0, 2, 3]]),
    ],
)
def test_gradients_of_ties(function: Any, expected: Any) -> None:
    assert gradient(function, [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]) == expected


def test_nan_is_the_greatest_and_the_least() -> None:
    x = tensor([1.0, NAN, 2.0])
    assert [x.argmax().item(), x.argmin().item()] == [1, 1]
    assert all(math.isnan(y.item()) for y in (x.max(), x.amin(), x.max(0).values))
    assert gradient(lambda x: x.max(), [1.0, NAN, 2.0]) == [0, 1, 0]


def test_argmax_counts_all_elements_in_their_order() -> None:
    x = tensor([[1.0, 9.0], [3.0, 4.0]])
    assert x.argmax().item() == 1
    assert x.transpose(0, 1).argmax().item() == 2
    assert x.argmax(keepdim=True).shape == (1, 1)
    assert x.argmin(-1, keepdim=True).tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [([2.0, 3.0, 4.0], [12, 8, 6]), ([2.0, 0.0, 4.0], [0, 8, 0]), ([0.0, 3.0, 0.0], [0, 0, 0]), ([5.0], [1])],
)
def test_prod_has_a_gradient_at_zeros(data: list[float], expected: list[float]) -> None:
    assert gradient(lambda x: x.prod(), data) == expected
    assert gradient(lambda x: x.reshape(1, -1).prod(dim=1, keepdim=True), data) == expected


def test_prod_has_second_derivatives_at_zeros() -> None:
    x = tensor([2.0, 0.0, 0.0, 5.0], requires_grad=True)
    (g,) = tinycnn.autograd.grad(x.prod(), x, create_graph=True)
    (h,) = tinycnn.autograd.grad(g[1], x)
    assert h.tolist() == [0, 0, 10, 0]


def test_prod_of_one_element_is_no_view() -> None:
    x = tensor([3.0])
    y = x.prod()
    y += 1
    assert x.tolist() == [3]
    assert tinycnn.ones(2, 0, requires_grad=True).prod(1).tolist() == [1, 1]


def test_var_takes_pytorchs_forms() -> None:
    x = tensor([[1.0, 2.0, 3.0, 6.0]])
    assert x.var().item() == pytest.approx(14 / 3)
    assert x.var(False).item() == x.var(unbiased=False).item() == x.var(correction=0).item() == 3.5
    assert x.var(1, False, True).tolist() == [[3.5]]
    assert x.var(dim=1, correction=2).tolist() == [7]
    assert x.std(correction=0).item() == pytest.approx(math.sqrt(3.5))
    var, mean = tinycnn.var_mean(x, 1, keepdim=True)
    assert (mean.tolist(), var.shape) == ([[3]], (1, 1))
    with pytest.raises(TypeError, match="var: give unbiased or correction, not both"):
        x.var(unbiased=True, correction=1)


def test_roots_of_zero_have_zero_gradients() -> None:
    assert gradient(lambda x: x.std(), [2.0, 2.0]) == [0, 0]
    assert gradient(lambda x: x.norm(), [0.0, 0.0]) == [0, 0]
    assert gradient(lambda x: x.norm(3.0), [0.0, 0.0]) == [0, 0]


@pytest.mark.parametrize(
    ("p", "expected"), [("fro", 5), (None, 5), (2, 5), (1, 7), (0, 2), (INF, 4), (-INF, 0), (3, 91 ** (1 / 3))]
)
def test_norms(p: Any, expected: float) -> None:
    x = tensor([[3.0, 0.0, -4.0]])
    assert x.norm(p).item() == pytest.approx(expected)
    assert x.norm(p, dim=1, keepdim=True).shape == (1, 1)
    with pytest.raises(ValueError, match="norm: p must be a number or 'fro', got 'other'"):
        x.norm("other")
    with pytest.raises(NotImplementedError, match="norm: the nuclear norm, p='nuc', is not supported"):
        x.norm("nuc")


def test_norms_of_degrees_below_1_have_zero_gradients_at_0() -> None:
    assert gradient(lambda x: x.norm(0.5), [0.0, 1.0, -4.0]) == pytest.approx([0, 3, -1.5])
    assert gradient(lambda x: x.norm(0.5), [0.0, 0.0]) == [0, 0]
    assert gradient(lambda x: x.norm(-1.0), [0.0, 2.0]) == [0, 0]
    assert tensor([0.0, 2.0]).norm(-1.0).item() == 0
    assert tensor([INF, -INF]).norm(-1.0).item() == INF
    assert tensor([float("nan"), 0.0, INF]).norm(0).item() == 2


def test_logsumexp_of_infinities() -> None:
    assert tensor([-INF, -INF]).logsumexp(0).item() == -INF
    assert tensor([INF, 1.0]).logsumexp(0).item() == INF
    assert tensor([-INF, 1000.0]).logsumexp(0).item() == 1000
    assert gradient(lambda x: x.logsumexp(0), [-INF, -INF]) == [0, 0]
    assert gradient(lambda x: x.logsumexp(0), [-INF, 2.0]) == [0, 1]


def test_all_and_any_of_no_dim_ask_each_element() -> None:
    x = tensor([[0, 2], [0, 0]])
    assert (x.all().item(), x.any().item()) == (False, True)
    assert (x.all(1).tolist(), x.any(0, keepdim=True).tolist()) == ([False, False], [[False, True]])
    assert x.any(()).tolist() == [[False, True], [False, False]]
    assert (x.count_nonzero().item(), x.count_nonzero(0).tolist()) == (1, [0, 1])


# ---- matrix products -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "shape"),
    [
        ((3,), (3,), ()),
        ((2, 3), (3,), (2,)),
        ((3,), (3, 2), (2,)),
        ((4, 2, 3), (3,), (4, 2)),
        ((3,), (4, 3, 2), (4, 2)),
        ((4, 2, 3), (3, 5), (4, 2, 5)),
        ((2, 3), (4, 3, 5), (4, 2, 5)),
        ((2, 1, 2, 3), (4, 3, 5), (2, 4, 2, 5)),
        ((2, 0), (0, 3), (2, 3)),
        ((0, 3), (3, 2), (0, 2)),
    ],
)
def test_matmul_shapes(left: tuple[int, ...], right: tuple[int, ...], shape: tuple[int, ...]) -> None:
    a, b = tinycnn.randn(*left, dtype=tinycnn.float64), tinycnn.randn(*right, dtype=tinycnn.float64)
    got = a @ b
    assert got.shape == shape
    np.testing.assert_allclose(got.numpy(), np.matmul(a.numpy(), b.numpy()), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "left", "right", "error", "message"),
    [
        ("matmul", (2, 3), (4, 5), RuntimeError, r"matmul: \(2, 3\) and \(4, 5\) .*: the inner sizes 3 and 4 differ"),
        ("matmul", (3,), (4,), RuntimeError, r"matmul: .*the inner sizes 3 and 4 differ"),
        ("matmul", (), (3,), RuntimeError, r"matmul: both tensors need at least one dimension, got \(\) and \(3,\)"),
        ("matmul", (2, 2, 3), (3, 3, 2), ValueError, r"matmul: shapes \(2,\) and \(3,\) do not broadcast"),
        ("mm", (3,), (3, 2), RuntimeError, r"mm: expected tensors of 2 and 2 dimensions, got \(3,\) and \(3, 2\)"),
        ("bmm", (2, 2, 3), (3, 3, 2), RuntimeError, r"bmm: .* they are 2 and 3 matrices"),
        ("dot", (2,), (3,), RuntimeError, r"dot: .*the inner sizes 2 and 3 differ"),
        ("mv", (2, 3), (3, 1), RuntimeError, r"mv: expected tensors of 2 and 1 dimensions"),
        ("outer", (2, 1), (3,), RuntimeError, r"outer: expected two vectors, got shapes \(2, 1\) and \(3,\)"),
        ("linear", (2, 3), (5, 4), RuntimeError, r"linear: input of shape \(2, 3\) has 3 .* wants \(\.\.\., 4\)"),
        ("linear", (), (5, 4), RuntimeError, r"linear: input of shape \(\) has no features"),
        ("linear", (4,), (4,), RuntimeError, r"linear: weight must be \(out_features, in_features\), got \(4,\)"),
    ],
)
def test_products_say_what_does_not_fit(name: str, left: Any, right: Any, error: Any, message: str) -> None:
    function = F.linear if name == "linear" else getattr(tinycnn, name)
    with pytest.raises(error, match=message):
        function(tinycnn.ones(left), tinycnn.ones(right))


def test_products_want_one_dtype() -> None:
    a, b = tinycnn.ones(2, 2), tinycnn.ones(2, 2, dtype=tinycnn.float64)
    for function in (tinycnn.matmul, tinycnn.mm, F.linear):
        with pytest.raises(
            RuntimeError, match=r"expected tensors of one dtype, got tinycnn.float32 and tinycnn.float64"
        ):
            function(a, b)
    with pytest.raises(RuntimeError, match=r"linear: bias has shape \(3,\), weight \(2, 2\) wants \(2,\)"):
        F.linear(a, a, tinycnn.ones(3))
    with pytest.raises(TypeError, match="matmul: expected a tensor, got list"):
        a @ [1.0, 2.0]


def test_integers_and_float16_multiply() -> None:
    assert (tensor([[1, 2]]) @ tensor([[3], [4]])).tolist() == [[11]]
    a = tinycnn.ones(1, 4096, dtype=tinycnn.float16)
    product = a @ a.transpose(0, 1)
    assert (product.dtype, product.item()) == (tinycnn.float16, 4096)


def test_linear_is_one_operation() -> None:
    x = tinycnn.randn(2, 3, 4, requires_grad=True)
    y = F.linear(x, tinycnn.randn(5, 4, requires_grad=True), tinycnn.zeros(5, requires_grad=True))
    assert y.shape == (2, 3, 5)
    assert repr(y.grad_fn) == "<LinearBackward>"
    assert all(node is None for node, _ in y.grad_fn.next_functions)


# ---- against PyTorch -------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "atan2": lambda m, x: m.atan2(x, x[0] + 3),
    "cumsum": lambda m, x: m.cumsum(x, -1),
    "elu": lambda m, x: m.nn.functional.elu(x, 0.7),
    "erf": lambda m, x: m.erf(x),
    "gelu": lambda m, x: m.nn.functional.gelu(x),
    "gelu tanh": lambda m, x: m.nn.functional.gelu(x, approximate="tanh"),
    "hardtanh": lambda m, x: m.nn.functional.hardtanh(x, -0.3, 0.4),
    "leaky_relu": lambda m, x: m.nn.functional.leaky_relu(x, 0.1),
    "linear": lambda m, x: m.nn.functional.linear(x, x[0], x[0, :, 0]),
    "log_softmax": lambda m, x: m.log_softmax(x, 1),
    "logsigmoid": lambda m, x: m.nn.functional.logsigmoid(x),
    "logsumexp": lambda m, x: m.logsumexp(x, (0, 2), keepdim=True),
    "matmul": lambda m, x: x @ x.transpose(-1, -2),
    "matmul broadcast": lambda m, x: x[0] @ x.transpose(1, 2),
    "max": lambda m, x: m.max(x, 1)[0],
    "mean": lambda m, x: m.mean(x, (0, -1)),
    "min": lambda m, x: m.min(x),
    "norm": lambda m, x: x.norm(dim=(1, 2)),
    "norm 3": lambda m, x: x.norm(3, dim=0),
    "prod": lambda m, x: m.prod(x, 2, keepdim=True),
    "prod all": lambda m, x: m.prod(x),
    "relu": lambda m, x: m.relu(x),
    "rsqrt": lambda m, x: m.rsqrt(x * x + 1),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "silu": lambda m, x: m.nn.functional.silu(x),
    "softmax": lambda m, x: m.softmax(x, -1),
    "softplus": lambda m, x: m.nn.functional.softplus(x, 2.0, 1.0),
    "std": lambda m, x: m.std(x, dim=1, correction=0),
    "tanh": lambda m, x: m.tanh(x),
    "var": lambda m, x: m.var(x, (0, 2), unbiased=False, keepdim=True),
    "var_mean": lambda m, x: sum(part.sum() for part in m.var_mean(x, 1)),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", CALLS)
def test_values_and_two_derivatives_agree_with_pytorch(name: str, kernel_set: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    data = rng.standard_normal((2, 3, 3))
    results = []
    for module in (tinycnn, torch):
        x = module.tensor(data, dtype=module.float64, requires_grad=True)
        y = CALLS[name](module, x)
        weights = module.tensor(np.cos(np.arange(y.numel()).reshape(tuple(y.shape))))
        (dx,) = module.autograd.grad(y, x, weights, retain_graph=True)
        (recorded,) = module.autograd.grad(y, x, weights, create_graph=True)
        total = (recorded * recorded).sum()
        # A constant first derivative may or may not be connected to x: zero in either case.
        ddx = module.zeros_like(x)
        if total.requires_grad:
            (ddx,) = module.autograd.grad(total, x, allow_unused=True, materialize_grads=True)
        results.append([t.detach().numpy() for t in (y, dx, recorded, ddx)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_numpy_names_of_dim_and_keepdim() -> None:
    x = tinycnn.arange(6.0).reshape(2, 3)
    assert x.sum(axis=0).tolist() == [3.0, 5.0, 7.0]
    assert x.mean(axis=1, keepdims=True).shape == (2, 1)
    assert tinycnn.cat([x, x], axis=1).shape == (2, 6)
    assert x.argmax(axis=1).tolist() == [2, 2]
    with pytest.raises(TypeError, match="axis and dim are the same argument"):
        x.sum(axis=0, dim=0)


def test_instance_norm_moves_the_statistics_by_the_mean_over_the_samples() -> None:
    mean, var = tinycnn.zeros(2), tinycnn.ones(2)
    x = tinycnn.arange(12.0).reshape(2, 2, 3)
    F.instance_norm(x, mean, var, use_input_stats=True, momentum=0.1)
    np.testing.assert_allclose(mean.numpy(), [0.4, 0.7], rtol=1e-6)  # a tenth of (1 + 7) / 2 and of (4 + 10) / 2
    np.testing.assert_allclose((tinycnn.ones(2) * 0.9 + 0.1).numpy(), var.numpy(), rtol=1e-6)
    F.instance_norm(x, mean, var, use_input_stats=False)
    np.testing.assert_allclose(mean.numpy(), [0.4, 0.7], rtol=1e-6)


def test_norms_of_negative_degree_are_zero_at_a_zero() -> None:
    for degree in (-0.5, -1.0, -2.0):
        assert tensor([0.0, 2.0]).norm(degree).item() == 0
    assert tensor([0.0, 2.0, -3.0]).norm(0).item() == 2
    assert tensor([2.0, -3.0]).norm(1).item() == 5


def test_a_pair_may_be_given_as_one() -> None:
    x, w = tinycnn.ones(1, 1, 5, 5), tinycnn.ones(1, 1, 1, 1)
    assert F.conv2d(x, w, stride=[2]).shape == F.conv2d(x, w, stride=2).shape == (1, 1, 3, 3)
