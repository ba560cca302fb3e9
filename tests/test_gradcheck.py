"""gradcheck itself: it finds wrong backwards, it has no false alarms, and its report names the place.

Each mutant below is a right operation with one thing wrong in its backward, and one sentence on why it
is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn.autograd import (
    Function,
    GradcheckError,
    Op,
    adjoint_check,
    check_gradients,
    check_second_gradients,
    gradcheck,
    gradgradcheck,
    is_grad_enabled,
    once_differentiable,
)

SEEDS = range(20)
EPS = 1e-5  # of batch norm: the inputs' variance is of its size, so that forgetting it shows


def make(seed: int, *shape: int, scale: float = 1.0) -> tinycnn.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape) * scale
    return tinycnn.tensor(values, dtype=tinycnn.float64, requires_grad=True)


def constant(values: Any) -> tinycnn.Tensor:
    return tinycnn.tensor(np.asarray(values, dtype=np.float64))


def function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """A Function that saves its inputs."""

    class Case(Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return forward(*xs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(g, *ctx.saved_tensors)

    return Case.apply


# ---- right operations -----------------------------------------------------------------------------------------------


def bn_parts(x: Any, eps: float = EPS) -> tuple[Any, Any]:
    centred = x - x.mean(0, keepdim=True)
    inv = ((centred * centred).mean(0, keepdim=True) + eps) ** -0.5
    return centred * inv, inv


def bn_forward(x: Any, w: Any, b: Any) -> Any:
    return bn_parts(x)[0] * w + b


def bn_backward(
    g: Any, x: Any, w: Any, b: Any, *, eps: float = EPS, n: int = 0, first: int = 1, second: int = 1
) -> Any:
    xhat, inv = bn_parts(x, eps)
    n = n or x.shape[0]
    gx = g * w
    mean_g, mean_gx = gx.sum(0, keepdim=True) / n, (gx * xhat).sum(0, keepdim=True) / n
    return inv * (gx - first * mean_g - second * xhat * mean_gx), (g * xhat).sum(0), g.sum(0)


def bn_backward_with_deviation_held(g: Any, x: Any, w: Any, b: Any) -> Any:
    xhat, inv = bn_parts(x)
    gx = g * w
    g_x = inv.detach() * (gx - gx.mean(0, keepdim=True) - xhat * (gx * xhat).mean(0, keepdim=True))
    return g_x, (g * xhat).sum(0), g.sum(0)


def softmax(x: Any) -> Any:
    e = x.exp()
    return e / e.sum(1, keepdim=True)


def softmax_backward(g: Any, x: Any) -> Any:
    y = softmax(x)
    return y * (g - (g * y).sum(1, keepdim=True))


def places(stride: int, shift: int = 0, taps: int = 3, out: int = 4, size: int = 10) -> tinycnn.Tensor:
    """places[k, o, i] is 1 where tap k of output o reads input i: a strided correlation as a constant."""
    e = np.zeros((taps, out, size))
    for k in range(taps):
        for o in range(out):
            if 0 <= o * stride + k + shift < size:
                e[k, o, o * stride + k + shift] = 1
    return constant(e)


def banded(w: Any, stride: int = 2, shift: int = 0) -> Any:
    return (w.reshape(3, 1, 1) * places(stride, shift)).sum(0)


def conv(x: Any, w: Any) -> Any:
    return (banded(w) * x).sum(1)


def conv_backward(g: Any, x: Any, w: Any, *, stride: int = 2, shift: int = 0, turn: bool = False) -> Any:
    reader = banded(w.flip(0) if turn else w, stride, shift)
    return (g.reshape(4, 1) * reader).sum(0), ((places(2) * x).sum(2) * g).sum(1)


def largest(x: Any) -> np.ndarray:
    return np.eye(x.shape[1])[x.detach().numpy().argmax(1)]


def cross_entropy(x: Any) -> Any:
    return -(softmax(x).log() * constant(np.eye(4)[[0, 3, 1]])).sum() / 3


RIGHT: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[[int], list[tinycnn.Tensor]]]] = {
    "batch_norm": (
        bn_forward,
        bn_backward,
        lambda s: [make(s, 6, 3, scale=EPS**0.5), make(s + 1, 3), make(s + 2, 3)],
    ),
    "softmax": (softmax, softmax_backward, lambda s: [make(s, 4, 4)]),
    "conv": (conv, conv_backward, lambda s: [make(s, 10), make(s + 1, 3)]),
    "matmul": (
        lambda a, b: a @ b,
        lambda g, a, b: (g @ b.transpose(0, 1), a.transpose(0, 1) @ g),
        lambda s: [make(s, 4, 4), make(s + 1, 4, 4)],
    ),
    "tanh": (lambda x: x.tanh(), lambda g, x: g * (1 - x.tanh() ** 2), lambda s: [make(s, 5)]),
    "mean": (
        lambda x: x.mean(1),
        lambda g, x: (g.reshape(3, 1) / 5).expand(3, 5),
        lambda s: [make(s, 3, 5)],
    ),
    "cross_entropy": (
        cross_entropy,
        lambda g, x: g * (softmax(x) - constant(np.eye(4)[[0, 3, 1]])) / 3,
        lambda s: [make(s, 3, 4)],
    ),
    "max": (
        lambda x: (x * constant(largest(x))).sum(1),
        lambda g, x: g.reshape(4, 1) * constant(largest(x)),
        lambda s: [make(s, 4, 6)],
    ),
    "dropout": (
        lambda x: x * constant([0, 1, 1, 0, 1]) / 0.6,
        lambda g, x: g * constant([0, 1, 1, 0, 1]) / 0.6,
        lambda s: [make(s, 5)],
    ),
    "scale_shift": (
        lambda x, w, b: x * w + b,
        lambda g, x, w, b: (g * w, (g * x).sum(0), g.sum(0)),
        lambda s: [make(s, 5, 3), make(s + 1, 3), make(s + 2, 3)],
    ),
    "cube": (lambda x: x**3, lambda g, x: 3 * x * x * g, lambda s: [make(s, 6, 7)]),
    "large": (lambda x: x**3, lambda g, x: 3 * x * x * g, lambda s: [make(s, 6, 7, 8)]),
}


def with_backward(name: str, backward: Callable[..., Any]) -> Callable[[int], Any]:
    forward, _, inputs = RIGHT[name]
    return lambda seed: (function(forward, backward), inputs(seed))


def only_at(index: tuple[int, ...]) -> Callable[..., Any]:
    """x^3's backward with one element a thousandth too large."""

    def backward(g: Any, x: Any) -> Any:
        off = np.ones(x.shape)
        off[index] += 1e-3
        return 3 * x * x * g * constant(off)

    return backward


def damaged(action: Callable[[Any, Any], None]) -> Callable[..., Any]:
    """x^3's backward that does something to the memory of g or x on its way."""

    def backward(g: Any, x: Any) -> Any:
        result = (3 * x * x * g).detach()
        action(g, x)
        return result

    return backward


def scaled_in_place(t: Any) -> None:
    t.array *= 1.5


def random_factor(g: Any, x: Any) -> Any:
    return 3 * x * x * g * (1 + 1e-12 * float(np.random.default_rng().standard_normal()))


def single_precision(g: Any, x: Any) -> Any:
    return (3 * x * x * g).to(tinycnn.float32).to(tinycnn.float64)


class HiddenView(Op):
    """An output that shares the input's memory, undeclared: writing to one would silently change the other."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.reshape(-1)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g.reshape(2, 3)


class WritesInput(Op):
    """A forward that works in its input's own memory."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        x *= 2
        return x + 0

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


class FusedDiffers(Function):
    """The fast path of a backward and the one for higher orders, which have come apart."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return (3.0 if not is_grad_enabled() else 3.001) * x * x * g


class NeedsBoth(Function):
    """A product that saves what it needs only if both gradients are wanted."""

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.save_for_backward(a, b if all(ctx.needs_input_grad) else b * 0)
        return a * b

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        a, b = ctx.saved_tensors
        return g * b, g * a


FIRST_ORDER: dict[str, Callable[[int], Any]] = {
    # eps is in the root, so it is in the derivative of the root too; only a small variance shows it.
    "batch_norm_forgets_eps": with_backward("batch_norm", lambda g, *a: bn_backward(g, *a, eps=0.0)),
    # The mean moves with every x, which takes the mean of g away.
    "batch_norm_drops_the_mean_term": with_backward("batch_norm", lambda g, *a: bn_backward(g, *a, first=0)),
    # The variance moves with every x, which takes g's part along xhat away.
    "batch_norm_drops_the_variance_term": with_backward("batch_norm", lambda g, *a: bn_backward(g, *a, second=0)),
    # Normalisation divides by n; only the running variance is unbiased.
    "batch_norm_has_n_minus_1": with_backward("batch_norm", lambda g, *a: bn_backward(g, *a, n=5)),
    # The scale multiplies what comes back too.
    "batch_norm_forgets_weight": with_backward(
        "batch_norm", lambda g, x, w, b: (bn_backward(g, x, w * 0 + 1, b)[0], *bn_backward(g, x, w, b)[1:])
    ),
    # The weight met xhat, not x.
    "batch_norm_weight_grad_from_x": with_backward(
        "batch_norm", lambda g, x, w, b: (bn_backward(g, x, w, b)[0], (g * x).sum(0), g.sum(0))
    ),
    # Probabilities sum to one, so raising one lowers the others.
    "softmax_drops_the_sum": with_backward("softmax", lambda g, x: softmax(x) * g),
    # The sum runs over the classes, not over the batch.
    "softmax_sums_the_wrong_axis": with_backward(
        "softmax", lambda g, x: softmax(x) * (g - (g * softmax(x)).sum(0, keepdim=True))
    ),
    # Forward correlates, so backward convolves: the taps run the other way.
    "conv_kernel_flipped_once_too_often": with_backward("conv", lambda g, x, w: conv_backward(g, x, w, turn=True)),
    # Output o starts at o * stride.
    "conv_stride_off_by_one": with_backward("conv", lambda g, x, w: conv_backward(g, x, w, stride=1)),
    # The padding shifts where a window starts.
    "conv_shifted_by_one": with_backward("conv", lambda g, x, w: conv_backward(g, x, w, shift=1)),
    # Overlapping windows add up in dw over every output.
    "conv_weight_misses_the_last_window": with_backward(
        "conv",
        lambda g, x, w: (conv_backward(g, x, w)[0], conv_backward(g * constant([1, 1, 1, 0]), x, w)[1]),
    ),
    # da = g b^T: square matrices hide a missing transpose from shape checks.
    "matmul_not_transposed": with_backward("matmul", lambda g, a, b: (g @ b, a.transpose(0, 1) @ g)),
    # The factors of db stand in the order of the product.
    "matmul_factors_swapped": with_backward("matmul", lambda g, a, b: (g @ b.transpose(0, 1), g @ a.transpose(0, 1))),
    # tanh' = 1 - tanh^2.
    "tanh_forgets_the_square": with_backward("tanh", lambda g, x: g * (1 - x.tanh())),
    # The mean of n numbers moves by 1 / n.
    "mean_divides_by_n_minus_1": with_backward("mean", lambda g, x: (g.reshape(3, 1) / 4).expand(3, 5)),
    # A mean over the batch divides the gradient too.
    "cross_entropy_forgets_the_mean": with_backward(
        "cross_entropy", lambda g, x: g * (softmax(x) - constant(np.eye(4)[[0, 3, 1]]))
    ),
    # A loss is a link in a chain: what came from above multiplies.
    "cross_entropy_ignores_g": with_backward(
        "cross_entropy", lambda g, x: (softmax(x) - constant(np.eye(4)[[0, 3, 1]])) / 3
    ),
    # The gradient belongs to this input's argmax.
    "max_has_a_stale_argmax": with_backward("max", lambda g, x: g.reshape(4, 1) * constant(np.eye(6)[[0, 1, 2, 3]])),
    # Inverted dropout divides by the probability to stay, both ways.
    "dropout_forgets_the_scale": with_backward("dropout", lambda g, x: g * constant([0, 1, 1, 0, 1])),
    # A broadcast operand gets the sum over its copies.
    "broadcast_takes_the_mean": with_backward("scale_shift", lambda g, x, w, b: (g * w, (g * x).mean(0), g.sum(0))),
    "broadcast_takes_the_first": with_backward("scale_shift", lambda g, x, w, b: (g * w, (g * x)[0], g.sum(0))),
    # An input left out has no gradient at all.
    "gradient_missing": with_backward("scale_shift", lambda g, x, w, b: (g * w, (g * x).sum(0), None)),
    # In a large input, one element wrong by a thousandth: at the border, and inside.
    "one_border_element": with_backward("large", only_at((0, 3, 7))),
    "one_inner_element": with_backward("large", only_at((2, 3, 4))),
    # What backward is given belongs to others, and what forward saved to the next backward.
    "backward_writes_into_its_gradient": with_backward("cube", damaged(lambda g, x: scaled_in_place(g))),
    "backward_writes_into_what_was_saved": with_backward("cube", damaged(lambda g, x: scaled_in_place(x))),
    # The same inputs give the same gradient.
    "backward_is_random": with_backward("cube", random_factor),
    # float64 comes back as float64, without a detour.
    "backward_rounds_to_float32": with_backward("cube", single_precision),
    "output_is_a_hidden_view": lambda s: (HiddenView.apply, [make(s, 2, 3)]),
    "forward_writes_into_its_input": lambda s: (WritesInput.apply, [make(s, 2, 3)]),
    "fused_and_composite_backward_differ": lambda s: (FusedDiffers.apply, [make(s, 5)]),
    "wrong_when_only_one_gradient_is_wanted": lambda s: (NeedsBoth.apply, [make(s, 5), make(s + 1, 5)]),
}

# Right to first order, wrong to second: something that moves with x was held still.
SECOND_ORDER: dict[str, Callable[[int], Any]] = {
    # The inverse deviation depends on x.
    "batch_norm_deviation_held": with_backward("batch_norm", bn_backward_with_deviation_held),
    # The probabilities depend on x.
    "softmax_output_held": with_backward("softmax", lambda g, x: softmax_backward(g, x.detach())),
    # The slope of tanh depends on x.
    "tanh_slope_held": with_backward("tanh", lambda g, x: g * (1 - x.detach().tanh() ** 2)),
    # The gradient is linear in g, so a derivative with respect to g exists.
    "cotangent_held": with_backward("tanh", lambda g, x: g.detach() * (1 - x.tanh() ** 2)),
    # dx depends on w.
    "conv_weight_held": with_backward(
        "conv", lambda g, x, w: (conv_backward(g, x, w.detach())[0], conv_backward(g, x, w)[1])
    ),
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_wrong_gradients_are_found(name: str) -> None:
    for seed in range(5):
        func, inputs = FIRST_ORDER[name](seed)
        assert not check_gradients(func, inputs, seed=seed).passed, f"seed {seed}: the mutant lives"
        with pytest.raises(GradcheckError):
            gradcheck(func, FIRST_ORDER[name](seed)[1], seed=seed)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_wrong_second_gradients_are_found(name: str) -> None:
    for seed in range(5):
        func, inputs = SECOND_ORDER[name](seed)
        assert gradcheck(func, inputs, seed=seed), "to first order nothing is wrong"
        assert not gradgradcheck(func, inputs, seed=seed, raise_exception=False), f"seed {seed}: the mutant lives"


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_raise_no_alarm(name: str) -> None:
    forward, backward, inputs = RIGHT[name]
    for seed in SEEDS:
        func = function(forward, backward)
        assert gradcheck(func, inputs(seed), seed=seed)
        if name not in ("max",):
            assert gradcheck(func, inputs(seed), seed=seed, method="complex")
        if seed < 5:
            assert gradgradcheck(func, inputs(seed), seed=seed, fast_mode=True)


# ---- the report -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [(0, 0, 0), (0, 3, 7), (2, 3, 4), (5, 6, 7)])
@pytest.mark.parametrize("fast_mode", [False, True])
def test_report_names_the_worst_index(index: tuple[int, ...], fast_mode: bool) -> None:
    report = check_gradients(function(RIGHT["large"][0], only_at(index)), make(3, 6, 7, 8), fast_mode=fast_mode)
    assert [row.index for row in report.rows] == [index]
    row = report.rows[0]
    assert row.error > row.budget
    assert row.analytic == pytest.approx(row.numeric * 1.001, rel=1e-6)
    assert str(index) in str(report)


def test_report_is_a_table_within_80_columns() -> None:
    func, inputs = FIRST_ORDER["batch_norm_forgets_eps"](0)
    report = check_gradients(func, inputs)
    text = str(report)
    assert "WRONG" in text
    assert max(map(len, text.splitlines())) <= 80
    assert [row.passed for row in report.rows] == [False, False, True]
    worst = report.worst()
    assert worst is report.rows[0] or worst is report.rows[1]
    assert worst is not None
    assert worst.input in (0, 1)


def test_report_of_a_right_gradient_says_so() -> None:
    report = check_gradients(lambda a, b: a * b, [make(0, 2, 3), make(1, 2, 3)])
    assert report.passed
    assert str(report).startswith("gradients are right (richardson, 12 slopes compared)")


def test_error_carries_the_report() -> None:
    func, inputs = FIRST_ORDER["tanh_forgets_the_square"](0)
    with pytest.raises(GradcheckError, match="worst index") as caught:
        gradcheck(func, inputs)
    assert isinstance(caught.value, RuntimeError)


def test_each_output_is_checked_apart() -> None:
    # The two errors would cancel in a sum of the outputs.
    class Pair(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g * 3 + h * 2

    report = check_gradients(Pair.apply, make(0, 4))
    assert [(row.input, row.output, row.passed) for row in report.rows] == [(0, 0, False), (0, 1, False)]


# ---- what the check must cope with ----------------------------------------------------------------------------------


def test_kinks_are_found_not_averaged() -> None:
    # The central difference of |x| at 0 is 0 and of relu 1/2 at every step: only one-sided slopes tell.
    x = tinycnn.tensor([0.0, 0.0, 1.0], dtype=tinycnn.float64, requires_grad=True)
    report = check_gradients(lambda x: x.abs(), x)
    assert not report.passed
    assert report.rows[0].kinks == 2
    assert "kinks" in str(report)


def test_few_kinks_are_left_out_and_told() -> None:
    values = np.linspace(1, 2, 40)
    values[7] = 0.0
    report = check_gradients(lambda x: x.relu(), tinycnn.tensor(values, requires_grad=True))
    assert report.passed
    assert (report.rows[0].checked, report.rows[0].kinks) == (39, 1)
    assert "1 slopes left out" in str(report)


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4])
def test_a_kink_nearby_is_stepped_around(distance: float) -> None:
    x = tinycnn.tensor([distance, -distance, 1.0], dtype=tinycnn.float64, requires_grad=True)
    report = check_gradients(lambda x: x.relu() * x.relu() + 3 * x.relu(), x)
    assert report.passed
    assert report.rows[0].kinks == 0


def test_jumps_count_as_kinks() -> None:
    x = tinycnn.tensor([1.0, 2.0], dtype=tinycnn.float64, requires_grad=True)
    report = check_gradients(lambda x: x - x.detach().floor(), x)
    assert not report.passed
    assert report.rows[0].kinks == 2


def test_steep_and_flat_arguments_are_judged_apart() -> None:
    # b's slopes are a million times smaller than a's: its error must not hide behind them.
    steep = function(lambda a, b: a * 1e3 + b * 1e-3, lambda g, a, b: (g * 1e3, g * 1.00001e-3))
    report = check_gradients(steep, [make(0, 3), make(1, 3)])
    assert [row.passed for row in report.rows] == [True, False]


def test_zero_gradients_are_checked_against_zero() -> None:
    assert gradcheck(lambda x: softmax(x).sum(1), make(0, 3, 4))
    wrong = function(lambda x: softmax(x).sum(1), lambda g, x: g.reshape(3, 1).expand(3, 4) * 1e-6)
    assert not gradcheck(wrong, make(0, 3, 4), raise_exception=False)


def test_detached_functions_have_slopes_but_no_gradient() -> None:
    assert not gradcheck(lambda x: x.detach() * 2, make(0, 3), raise_exception=False)
    assert gradcheck(lambda x: x.detach() * 0.0, make(0, 3))


def test_nan_fails() -> None:
    nowhere = function(lambda x: x * 2, lambda g, x: g * 2 * float("nan"))
    assert not gradcheck(nowhere, make(0, 3), raise_exception=False)


def test_other_outputs_and_arguments_are_passed_by() -> None:
    def func(x: Any, scale: float, index: Any) -> Any:
        return (x * scale)[index], x.detach().numpy().shape and index, x * x

    inputs = [make(0, 4), 2.5, tinycnn.tensor([0, 2])]
    report = check_gradients(func, inputs)
    assert report.passed
    assert [(row.input, row.output) for row in report.rows] == [(0, 0), (0, 2)]


def test_empty_and_scalar_inputs() -> None:
    assert gradcheck(lambda x: x * 3, make(0, 0, 4))
    assert gradcheck(lambda x: x * x, make(0))


def test_one_tensor_given_twice() -> None:
    x = make(0, 3)
    assert gradcheck(lambda a, b: a * b * b, [x, x])


def test_results_of_operations_can_be_inputs() -> None:
    x = make(0, 3)
    assert gradcheck(lambda y: y * y, x * 2)
    assert x.grad is None


def test_functions_may_hold_the_tensor_they_are_checked_in() -> None:
    w = make(0, 3, 3)
    assert gradcheck(lambda _: make(1, 2, 3) @ w, w)


def test_nothing_of_the_callers_is_changed() -> None:
    x, w = make(0, 4), make(1, 4)
    x.grad = constant([1.0, 2.0, 3.0, 4.0])
    grad, array, values = x.grad, x.array, x.array.copy()
    for method in ("richardson", "complex"):
        gradcheck(lambda x, w: x * w, [x, w], method=method)
    gradgradcheck(lambda x, w: x * w, [x, w])
    assert x.grad is grad
    assert x.array is array
    assert (x.array == values).all()
    assert w.grad is None
    assert w.requires_grad
    assert (grad.numpy() == [1, 2, 3, 4]).all()


def test_arrays_are_restored_when_the_function_raises() -> None:
    x = make(0, 4)
    array = x.array

    def func(x: Any) -> Any:
        if x.array.dtype.kind == "c":
            raise TypeError("no complex numbers here")
        return x * 2

    with pytest.raises(TypeError, match="does not run on complex numbers"):
        gradcheck(func, x, method="complex")
    assert x.array is array


def test_random_functions_must_seed_themselves() -> None:
    def noisy(x: Any) -> Any:
        return x * tinycnn.randn(4, dtype=tinycnn.float64)

    def seeded(x: Any) -> Any:
        tinycnn.manual_seed(7)
        return noisy(x)

    assert "second run" in str(check_gradients(noisy, make(0, 4)))
    assert gradcheck(seeded, make(0, 4))


def test_nondet_tol_lets_runs_differ() -> None:
    func, inputs = FIRST_ORDER["backward_is_random"](0)
    assert gradcheck(func, inputs, nondet_tol=1e-9)


def test_the_complex_step_is_sharper() -> None:
    # Wrong by five parts in ten billion, which differences are too rough to see.
    slightly = function(lambda x: x**3, lambda g, x: (3 + 1.5e-9) * x * x * g)
    assert gradcheck(slightly, make(0, 5))
    assert gradcheck(RIGHT["cube"][0], make(0, 5), method="complex", rtol=1e-14)
    assert not gradcheck(slightly, make(0, 5), method="complex", rtol=1e-14, raise_exception=False)


def test_the_complex_step_refuses_what_is_not_analytic() -> None:
    assert not gradcheck(lambda x: x.abs(), make(0, 5), method="complex", raise_exception=False)


def test_backwards_that_cannot_be_recorded() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    assert gradcheck(Once.apply, make(0, 5))
    with pytest.raises(RuntimeError, match="Once: its backward cannot be differentiated again"):
        gradgradcheck(Once.apply, make(0, 5))


def test_gradgradcheck_takes_cotangents() -> None:
    v = constant([1.0, -2.0, 3.0])
    assert gradgradcheck(lambda x: x**3, make(0, 3), v)
    assert not v.requires_grad
    report = check_second_gradients(lambda x: x**3, make(0, 3), v)
    assert [(row.input, row.output) for row in report.rows] == [(0, 0), (1, 0)]
    with pytest.raises(ValueError, match="2 grad_outputs for 1"):
        gradgradcheck(lambda x: x**3, make(0, 3), [v, v])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "forward"}, "method must be 'richardson' or 'complex', got 'forward'"),
        ({"eps": 0.0}, "eps must be positive"),
        ({"directions": 0}, "directions must be at least 1"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck(lambda x: x * 2, make(0, 3), **options)


def test_inputs_must_be_float64_and_want_a_gradient() -> None:
    with pytest.raises(ValueError, match=r"input 1 is tinycnn\.float32"):
        gradcheck(lambda a, b: a + b, [make(0, 3), tinycnn.ones(3, requires_grad=True)])
    with pytest.raises(ValueError, match="none of the inputs"):
        gradcheck(lambda a: a, constant([1.0]))
    with pytest.raises(ValueError, match="output 0 of the function is float"):
        gradcheck(lambda a: 1.0, make(0, 3))


# ---- the adjoint ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [tinycnn.float32, tinycnn.float64])
def test_adjoint_check(dtype: Any) -> None:
    x = tinycnn.ones(10, dtype=dtype)
    reader = places(2).to(dtype)
    assert adjoint_check(lambda x: (reader[0] * x).sum(1), x)
    assert adjoint_check(lambda x: (x[:3], x[3:] * 2), x)

    right = function(lambda x: x * 3, lambda g, x: g * 3)
    wrong = function(lambda x: x * 3, lambda g, x: g * 3.001)
    for seed in SEEDS:
        assert adjoint_check(right, x, seed=seed)
        assert not adjoint_check(wrong, x, seed=seed, raise_exception=False)
    with pytest.raises(GradcheckError, match="not the adjoint or the function is not linear"):
        adjoint_check(lambda x: x * x, x)
    with pytest.raises(GradcheckError, match="not the adjoint or the function is not linear"):
        adjoint_check(lambda x: x.relu(), x)
    with pytest.raises(GradcheckError, match="0 of 1 floating outputs require a gradient"):
        adjoint_check(lambda x: x.detach() * 2, x)
    with pytest.raises(ValueError, match="must be floating"):
        adjoint_check(lambda x: x, tinycnn.tensor([1, 2]))


def test_adjoint_check_of_what_gives_no_gradient() -> None:
    """None stands for zeros: right of a function that gives zeros, wrong of another."""
    x = tinycnn.ones(3, dtype=tinycnn.float64)
    assert adjoint_check(function(lambda x: x * 0, lambda g, x: None), x)
    assert not adjoint_check(function(lambda x: x * 2, lambda g, x: None), x, raise_exception=False)


# ---- where it looks, and how sharp -----------------------------------------------------------------------------------


def test_a_large_input_is_checked_in_directions_and_at_its_borders() -> None:
    seen: list[np.ndarray] = []

    def watched(x: tinycnn.Tensor) -> tinycnn.Tensor:
        if x.array.dtype.kind == "c":
            seen.append(x.array.imag / abs(x.array.imag).max())
        return x * x

    shape = (5, 4, 6)
    assert check_gradients(watched, [make(0, *shape)], method="complex", full_size=10).passed
    directions = [step for step in seen if np.count_nonzero(step) == step.size]
    assert len(directions) == 3
    for step in directions:
        assert 0.2 < (step > 0).mean() < 0.8
        assert abs(step).min() > 0.3  # no element is too little moved to be seen
    places = [tuple(map(int, np.argwhere(step)[0])) for step in seen if np.count_nonzero(step) == 1]
    assert len(places) == len(set(places)) == len(seen) - 3
    corners = {(i, j, k) for i in (0, 4) for j in (0, 3) for k in (0, 5)}
    assert corners | {(2, 2, 3)} <= set(places)
    assert len(places) >= 12


def test_the_steepest_element_of_a_large_input_is_checked() -> None:
    factor = np.ones(1000)
    factor[123] = 5
    wrong = function(lambda x: x * constant(factor), lambda g, x: g * constant(np.where(factor == 5, 5.001, factor)))
    report = check_gradients(wrong, [make(0, 1000)], full_size=10)
    assert not report.passed
    assert report.rows[0].index == (123,)


@pytest.mark.parametrize("seed", range(4))
def test_differences_are_extrapolated(seed: int) -> None:
    """The error of a central difference is a series in h^2; with two of its terms gone, and with a large step, a
    polynomial of degree 5 is exact. A weight that is off leaves a term."""
    right = check_gradients(lambda x: x**5 + 3 * x**4, make(seed, 6), eps=0.25, rtol=1e-13, atol=1e-14)
    assert right.rows[0].error < 3e-13 * max(abs(right.rows[0].numeric), 1.0)
    smooth = check_gradients(lambda x: (3 * x).sin(), make(seed, 6), eps=0.25, rtol=1e-12, atol=1e-13)
    assert smooth.rows[0].error < 1e-12


def test_rounding_is_no_kink() -> None:
    """Results of a million have the rounding of a million, which a small step magnifies."""
    for seed in range(4):
        report = check_gradients(lambda x: x.sin() + 1e6, make(seed, 8), rtol=1e-6, atol=1e-8)
        assert report.passed, str(report)
        assert report.rows[0].kinks == 0


def test_backward_may_round_otherwise_when_it_is_recorded() -> None:
    def other(g: tinycnn.Tensor, x: tinycnn.Tensor) -> tinycnn.Tensor:
        return g * 0.3 + g * 0.7 if is_grad_enabled() else g

    assert gradcheck(function(lambda x: x * 1, other), make(0, 30))


def test_a_gradient_that_is_shared_or_forgotten_is_told() -> None:
    """Two runs must give the same bits, unless nondet_tol allows more."""
    number = iter(range(1000))
    uneven = function(lambda x: x * 1, lambda g, x: g * (1 + 1e-13 * next(number)))
    assert not gradcheck(uneven, make(0, 30), raise_exception=False)
    number = iter(range(1000))
    assert gradcheck(uneven, make(0, 30), nondet_tol=1e-9, raise_exception=False)
