"""What every CUDA kernel must compute, beside the reference kernels: functions of a dtype in `CHECKS`.

They run under whatever driver `kernels/cuda/loader.py` has at the time, on NumPy's arrays: the CPU in any order of
threads, with sanitizers, or with barriers struck out to see that they are missed. Every array comes in several layouts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from layouts import LAYOUTS

from tinycnn.backend.dtypes import FLOATING
from tinycnn.kernels import cuda, reference
from tinycnn.kernels.cuda.dropout import dropout as drop
from tinycnn.kernels.cuda.formulas import arguments_of
from tinycnn.kernels.cuda.layout import axes_of, dense, order_of

Array = Any
CHECKS: dict[str, Callable[[str], None]] = {}
SHAPES = ((2, 3, 5, 4), (1, 1, 1, 1), (3, 40, 3, 3), (0, 2, 3, 3), (2, 300, 1, 2))


def check(function: Callable[[str], None]) -> Callable[[str], None]:
    CHECKS[function.__name__] = function
    return function


def numbers(*shape: int, seed: int = 0) -> Array:
    """Random float64 numbers that float16 and bfloat16 hold exactly: eighths below 16."""
    rng = np.random.default_rng((seed, *shape))
    return rng.integers(-127, 128, shape).astype(float) / 16


def stored(x: Array, dtype: str) -> Array:
    """float64 numbers in a dtype."""
    return x.astype(dtype)


def loaded(x: Array) -> Array:
    """The numbers of an array, in float64; of whole numbers themselves."""
    return x.astype(float) if x.dtype.char in FLOATING else x


def eps(dtype: Any) -> float:
    dtype = np.dtype(dtype)
    return 2.0**-8 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def same(what: str, found: Any, expected: Any, terms: int = 1, dtype: Any = None) -> None:
    """Equal within the rounding of the stored dtype and of a sum of `terms` numbers in the one computed in."""
    if expected is None:
        assert found is None, f"{what} should be None"
        return
    assert found.shape == expected.shape, f"{what} has shape {found.shape}, expected {expected.shape}"
    if dtype is not None:
        assert found.dtype == dtype, f"{what} is {found.dtype}, expected {dtype}"
    values, wanted = loaded(found), np.asarray(expected)
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(values, wanted, what)
        return
    computed = max(eps(np.float32), 0.0) if found.dtype.itemsize < 8 else eps(np.float64)
    finite = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    tolerance = 4 * eps(found.dtype) * np.abs(wanted) + 8 * computed * math.sqrt(terms) * (1 + finite)
    with np.errstate(invalid="ignore"):
        off = np.abs(values - wanted)
    fine = (off <= tolerance) | (values == wanted) | (np.isnan(values) & np.isnan(wanted))
    assert fine.all(), f"{what} is off by {off[~fine].max()} at {np.argwhere(~fine)[0]}: {values[~fine][0]}"


def laid_out(x: Array) -> Iterator[Array]:
    for name in ("planes", "channels-last", "spread"):
        yield LAYOUTS[name](x)


def against_reference(
    name: str, dtype: str, *args: Any, terms: int = 1, exact: Sequence[int] = (), results: Sequence[str | None] = ()
) -> None:
    """A kernel of the set beside the reference's, which gets what the stored numbers are, in float64.

    Args:
        exact: which arguments are not stored in the dtype, but given as they are.
        results: the dtypes of the results, where they are not that of the arguments.
    """
    in_memory = [stored(a, dtype) if _is_numbers(a) and i not in exact else a for i, a in enumerate(args)]
    plain = [loaded(a) if isinstance(a, np.ndarray) and a.dtype.kind != "i" else a for a in in_memory]
    with np.errstate(all="ignore"):
        expected = getattr(reference, name)(np, *plain)
    for k, first in enumerate(laid_out(in_memory[0]) if in_memory[0].ndim == 4 else [in_memory[0]]):
        others = [LAYOUTS["channels-last"](a) if _is_image(a) and k == 2 else a for a in in_memory[1:]]
        before = first.copy()
        found = cuda.KERNELS[name](first, *others)
        np.testing.assert_array_equal(loaded(first), loaded(before), f"{name} writes into its argument")
        _compare(name, found, expected, terms, dtype, results)


def _compare(name: str, found: Any, expected: Any, terms: int, dtype: str, results: Sequence[str | None]) -> None:
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        kind = (results[i] if i < len(results) else None) or (dtype if b is None or b.dtype.kind == "f" else "int64")
        same(f"{name}, result {i}", a, b, terms, kind)


def _is_numbers(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def _is_image(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.ndim == 4


# ---- element-wise ----------------------------------------------------------------------------------------------------


NUMBERS = {
    "leaky_relu": (0.25,),
    "softplus": (2.0, 3.0),
    "elu": (0.75,),
    "hardtanh": (-1.5, 2.0),
    "smooth_error": (0.5,),
}


def _formula(formula: Callable[..., Any]) -> None:
    """A chain of operations: every array of any layout, also with infinities; probabilities where it wants them."""
    name = formula.__name__
    inputs, numbers_of = arguments_of(formula)
    rest = NUMBERS[name.removesuffix("_backward").removesuffix("_target")] if numbers_of else ()

    @functools.wraps(_formula)
    def run(dtype: str) -> None:
        for shape in (*SHAPES, (37,), (), (0,)):
            arrays = [np.asarray(numbers(*shape, seed=k)) for k in range(len(inputs))]
            if "binary" in name:
                least = 0.25 * (dtype == "float16")  # 1 / x is soon too large for it
                arrays[-2:] = [np.asarray(abs(x) / 16 + least) for x in arrays[-2:]]
            elif arrays[-1].size > 20:
                arrays[-1].flat[[3, 7, 11]] = np.nan, np.inf, -np.inf
            terms = 64 if name == "gelu_tanh_backward" else 1  # 1 - tanh^2 loses digits where it is small
            against_reference(name, dtype, *arrays, *rest, terms=terms)

    CHECKS[name] = run


for _each in reference.FORMULAS:
    _formula(_each)


@check
def misaligned_arrays(dtype: str) -> None:
    """A view that does not begin at a multiple of 16 bytes, and lengths that are no multiple of what 16 bytes hold."""
    for begin in (0, 1, 3):
        for n in (1, 7, 64, 1029):
            whole = stored(numbers(n + begin), dtype)
            same("relu", cuda.KERNELS["relu"](whole[begin:]), np.maximum(loaded(whole[begin:]), 0), dtype=dtype)


@check
def chains_of_any_shapes(dtype: str) -> None:
    """A gradient that is one number for all, as that of a sum; one that has to be repeated; some channels of a larger
    image; an axis that is cut, or runs backwards."""
    for c in (3, 16):
        x = numbers(2, c, 5, 4)
        larger = stored(numbers(2, 48, 7, 4, seed=2), dtype)
        cuts = [lay(larger)[:, 16 : 16 + c, 1:6] for lay in LAYOUTS.values()]
        cuts += [lay(larger)[:, ::-1, :5][:, :c] for lay in LAYOUTS.values()]
        for shape in ((), (1,), (1, 1, 1, 1), (c, 1, 1), (2, 1, 1, 1), (5, 1), (2, 1, 5, 4), (4,), x.shape):
            g = stored(np.asarray(numbers(*shape, seed=1)), dtype)
            cuts += [g, np.broadcast_to(g, x.shape)]
        for laid in (*laid_out(stored(x, dtype)), cuts[0], cuts[1], cuts[-3]):
            for g in cuts:
                found = cuda.KERNELS["silu_backward"](g, laid)
                same("silu_backward", found, reference.silu_backward(np, loaded(g), loaded(laid)), 8, dtype)
                assert not all(laid.strides) or order_of(found) == axes_of(laid)
    one = stored(np.asarray(numbers(1)), dtype)
    same("relu_backward", cuda.KERNELS["relu_backward"](one, one), loaded(one) * (loaded(one) > 0), dtype=dtype)


# ---- pooling ---------------------------------------------------------------------------------------------------------

# size, kernel, stride, padding, dilation, size of the result
WINDOWS = [
    ((5, 4), (2, 2), (2, 2), (0, 0), (1, 1), (2, 2)),
    ((5, 6), (3, 2), (2, 1), (1, 1), (1, 1), (3, 7)),
    ((4, 5), (3, 3), (1, 2), (1, 0), (2, 1), (2, 2)),
    ((5, 5), (2, 3), (3, 2), (1, 1), (1, 1), (3, 3)),  # with a window that begins in the padding behind
    ((1, 1), (2, 2), (1, 1), (1, 1), (2, 2), (1, 1)),  # nothing but padding
    ((7, 3), (1, 1), (2, 4), (0, 0), (1, 1), (4, 1)),
]


@check
def max_pool2d(dtype: str) -> None:
    for size, *window, out_size in WINDOWS:
        for n, c in ((2, 3), (1, 33), (0, 2)):
            x = np.rint(numbers(n, c, *size))  # many are equal: the first counts
            if x.size > 9:
                x.flat[4] = np.nan
            against_reference("max_pool2d", dtype, x, *window, out_size)
            y, where = cuda.KERNELS["max_pool2d"](stored(x, dtype), *window, out_size)
            g = numbers(*y.shape, seed=2)
            for windows in (None, tuple(window)):
                against_reference("scatter_plane", dtype, g, where, size, windows, terms=9)
            against_reference("gather_plane", dtype, x, where)


@check
def planes_by_index(dtype: str) -> None:
    """Any places, in any order, some of them none."""
    index = np.random.default_rng(0).integers(-1, 12, (2, 40, 3, 4))
    against_reference("gather_plane", dtype, numbers(2, 40, 4, 3), index)
    against_reference("scatter_plane", dtype, numbers(2, 40, 3, 4), index, (4, 3), None, terms=12)
    far = np.full((1, 1, 1, 2), 99)
    assert not cuda.KERNELS["gather_plane"](stored(numbers(1, 1, 2, 2), dtype), far).any()
    assert not cuda.KERNELS["scatter_plane"](stored(numbers(1, 1, 1, 2), dtype), far, (2, 2), None).any()


@check
def adaptive_max_pool2d(dtype: str) -> None:
    for size, out_size in (((5, 4), (3, 4)), ((3, 7), (5, 2)), ((6, 6), (1, 1))):
        x = np.rint(numbers(2, 3, *size))
        x[1, 1, 1, 1] = np.nan
        against_reference("adaptive_max_pool2d", dtype, x, out_size)


@check
def avg_pool2d(dtype: str) -> None:
    for size, kernel, stride, padding, dilation, (p, q) in WINDOWS:
        if dilation != (1, 1):
            continue
        window = kernel, stride, padding
        for n, c, divisor in ((2, 3, np.abs(numbers(p, q)) + 1), (1, 33, 6.0), (0, 2, 6.0)):
            x, g = numbers(n, c, *size), numbers(n, c, p, q)
            against_reference("avg_pool2d", dtype, x, *window, (p, q), divisor, terms=9, exact=(5,))
            against_reference("avg_pool2d_backward", dtype, g, size, *window, divisor, terms=9, exact=(5,))


# ---- batch norm ------------------------------------------------------------------------------------------------------

IMAGES = ((2, 3, 5, 4), (1, 1, 1, 1), (0, 2, 3, 3), (2, 70, 9, 5), (3, 3, 40, 31))


def wide(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"


@check
def channel_moments(dtype: str) -> None:
    for shape in IMAGES:
        for far in (0, 96):  # a mean that is large beside the spread
            x = np.clip(numbers(*shape), -4, 4) + far
            against_reference("channel_moments", dtype, x, results=("float64", "float64"))
        against_reference("channel_sum", dtype, numbers(*shape), terms=x[:, 0].size if x.size else 1)


@check
def moments_far_from_zero(dtype: str) -> None:
    """Six digits of the variance are left where squares about zero would leave none."""
    if dtype in ("float32", "float64"):
        x = (1e4 + numbers(3, 2, 30, 30) / 16).astype(dtype)
        mean, var = cuda.KERNELS["channel_moments"](x)
        exact = x.astype(np.longdouble)
        np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-13)
        np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=1e-10)


def _by_channel(c: int) -> tuple[Array, Array, Array, Array]:
    mean, inv_std, weight, bias = (numbers(c, seed=k) for k in range(4))
    return mean / 8, np.abs(inv_std) / 4 + 0.5, weight, bias


@check
def batch_norm(dtype: str) -> None:
    """With weights that are stored as the image is."""
    for shape in IMAGES:
        mean, inv_std, weight, bias = _by_channel(shape[1])
        x, g, shortcut = (numbers(*shape, seed=k) for k in range(3))
        terms = 256 * (x[:, 0].size if x.size else 1)
        for w, b, other in ((weight, bias, shortcut), (None, None, None), (weight, bias, None)):
            for relu in (True, False) if other is None else (True,):
                moments = [v.astype(wide(dtype)) for v in (mean, inv_std)]  # the second is as good as any variance
                given = x, *moments, w, b, 0.125, relu, other
                kinds = {"exact": (1, 2), "results": (dtype, wide(dtype))}
                against_reference("batch_norm_eval", dtype, *given, terms=256, **kinds)
            against_reference("batch_norm_backward", dtype, g, x, mean, inv_std, w, exact=(2, 3), terms=terms)
            rest = shortcut, x, mean, inv_std, w, b, other is not None
            against_reference("batch_norm_relu_backward", dtype, g, *rest, exact=(3, 4), terms=terms)


@check
def batch_norm_train(dtype: str) -> None:
    """Running statistics in the dtype of the moments, which move with them, and in that of the image."""
    for shape in ((2, 3, 5, 4), (3, 40, 3, 3)):
        x, shortcut = numbers(*shape), numbers(*shape, seed=1)
        for kind, there in ((wide(dtype), (1, 1)), (wide(dtype), (1, 0)), (wide(dtype), (0, 1)), (dtype, (1, 1))):
            moved = [abs(numbers(shape[1], seed=2 + k)) if there[k] else None for k in range(2)]
            found = [None if r is None else stored(r, kind) for r in moved]
            args = None, None, 0.125, True
            got = cuda.KERNELS["batch_norm_train"](stored(x, dtype), *args, stored(shortcut, dtype), (*found, 0.25))
            expected = reference.batch_norm_train(np, x, *args, shortcut, (*moved, 0.25))
            for k, (a, b) in enumerate(zip((*got, *found), (*expected, *moved), strict=True)):
                same(f"batch_norm_train, {k}", a, b, 256)


@check
def running_moments(dtype: str) -> None:
    """Moments and weights in float32 for images of fewer bits, as in evaluation."""
    x = numbers(2, 3, 5, 4)
    vectors = [v.astype(wide(dtype)) for v in _by_channel(3)]
    rest = 0.125, True, None
    expected, _ = reference.batch_norm_eval(np, x, *(v.astype(float) for v in vectors), *rest)
    found, _ = cuda.KERNELS["batch_norm_eval"](stored(x, dtype), *vectors, *rest)
    same("batch_norm_eval", found, expected, 256, dtype)
    mean, inv_std, weight, _ = vectors
    _, gweight, gbias = cuda.KERNELS["batch_norm_backward"](stored(x, dtype), stored(x, dtype), mean, inv_std, weight)
    assert gweight.dtype == gbias.dtype == wide(dtype)


# ---- convolution and ReLU; the convolutions themselves are in tests/test_cuda_conv.py --------------------------------


@check
def conv2d_relu(dtype: str) -> None:
    for shape in IMAGES:
        g, y = numbers(*shape), numbers(*shape, seed=1)
        terms = y[:, 0].size if y.size else 1
        against_reference("conv2d_relu_gate", dtype, g, y, terms=256 * terms)
    x, w, bias = (stored(numbers(*shape), dtype) for shape in ((2, 3, 5, 4), (4, 3, 2, 2), (4,)))
    slide = x, w, bias, (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    plain, bent = (loaded(cuda.KERNELS["conv2d"](*slide, relu)) for relu in (False, True))
    np.testing.assert_array_equal(bent, np.maximum(plain, 0))


# ---- softmax ---------------------------------------------------------------------------------------------------------


@check
def softmax(dtype: str) -> None:
    for shape in (*SHAPES, (3, 10), (2, 1000), (4, 33), (7,)):
        x, g = numbers(*shape), numbers(*shape, seed=1) / 8
        if x.size > 50:
            x.reshape(-1)[5] = -np.inf
        for axis in {0 if shape[0] else 1, 1 % len(shape), len(shape) - 1}:
            for name in ("softmax", "log_softmax"):
                against_reference(name, dtype, x, axis, terms=64)
                y = getattr(reference, name)(np, numbers(*shape, seed=2), axis) if x.size else x
                against_reference(f"{name}_backward", dtype, g, y, axis, terms=64 * max(1, shape[axis]))


@check
def numbers_of_channels(dtype: str) -> None:
    for channels in (1, 40, 5000):
        moments = numbers(channels), abs(numbers(channels, seed=1))
        variance = stored(moments[1], dtype)
        expected = reference.norm.inverse_std(np, loaded(variance), 0.125)
        same("inverse_std", cuda.norm.inverse_std(variance, 0.125), expected, 1, dtype)
        for layout in (np.asarray, lambda x: np.repeat(x, 2)[::2]):
            running = [layout(stored(numbers(channels, seed=k), dtype)) for k in (2, 3)]
            if dtype == "bfloat16" and not running[0].flags.c_contiguous:
                continue  # with gaps the array library moves them, whose arithmetic on bfloat16 is left alone
            expected = [loaded(x).copy() for x in running]
            cuda.norm.move_statistics((*running, 0.25), *moments, 3)
            reference.norm.move_statistics(np, (*expected, 0.25), *moments, 3)
            for a, b in zip(running, expected, strict=True):
                same("move_statistics", a, b, 4, dtype)


@check
def cross_entropy(dtype: str) -> None:
    for n, classes in ((6, 10), (3, 100), (300, 3), (1, 1)):
        x = numbers(n, classes)
        x[0] += 1000 * (dtype == "float32")  # of which nothing may be lost
        given = stored(x, dtype)
        g = numbers(1, seed=1).reshape(())
        classes_of = np.random.default_rng(0).integers(0, classes, n)
        for ignored, wrong in ((None, 0), (-100, 0), (1, 0), (-100, -7), (1, classes)):
            labels = classes_of.copy()
            if ignored is not None and n > 1:
                labels[0], labels[1] = ignored, wrong or labels[1]
            for mean in (False, True):
                worst, told = (None if ignored is None else np.full(1, 3) for _ in range(2))
                loss, logp, scale = cuda.KERNELS["cross_entropy"](given, labels, ignored, mean, worst)
                right = reference.cross_entropy(np, loaded(given), labels, ignored, mean, told)
                same("cross_entropy", loss, np.asarray(right[0]), 64 * n, dtype)
                same("its log-probabilities", logp, right[1], 64, dtype)
                same("its scale", scale, np.asarray(right[2]), 1, wide(dtype))
                assert worst == told
                found = cuda.KERNELS["cross_entropy_backward"](stored(g, dtype), logp, labels, scale, ignored)
                slopes = reference.cross_entropy_backward(np, g, loaded(logp), labels, right[2], ignored)
                same("cross_entropy_backward", found, slopes, 64, dtype)


# ---- random numbers --------------------------------------------------------------------------------------------------


@check
def dropout(dtype: str) -> None:
    x = numbers(2, 3, 50, 17) + 100  # nowhere 0
    counter = np.array([5], np.uint64)
    for layout in LAYOUTS.values():
        y = drop(layout(stored(x, dtype)), 0.25, 7, 3)
        kept = loaded(y) != 0
        same("dropout", y, kept * loaded(stored(x, dtype)) / 0.75, 64, dtype)
        assert abs(kept.mean() - 0.75) < 0.02
        order = dense(layout(x))[1]
        for other in LAYOUTS.values():  # the gradient's, of another layout than the input's
            np.testing.assert_array_equal(y, drop(other(stored(x, dtype)), 0.25, 7, 3, order=order))
    other = drop(stored(x, dtype), 0.25, 7, 8)
    counted = drop(stored(x, dtype), 0.25, 7, 3, counter)
    np.testing.assert_array_equal(other, counted)
    assert (loaded(other) != loaded(drop(stored(x, dtype), 0.25, 8, 8))).any()
    assert (loaded(drop(stored(x, dtype), 0.0, 1, 1)) == loaded(stored(x, dtype))).all()
    assert not loaded(drop(stored(x, dtype), 1.0, 1, 1)).any()


# ---- optimisers ------------------------------------------------------------------------------------------------------

STEPS: dict[str, list[tuple[Any, ...]]] = {
    # states (may there be none of it?), numbers
    "sgd": [(("none",), (0.1, 0.0, 0.0, 0.0, False)), (("signed",), (0.1, 0.9, 0.1, 0.01, True)),
            (("signed",), (0.1, 0.9, 0.0, 0.0, False))],
    "adam": [(("signed", "positive", "none", "none"), (1, 0.01, 0.9, 0.999, 1e-8, 0.0, False)),
             (("signed", "positive", "positive", "none"), (3, 0.01, 0.9, 0.99, 1e-8, 0.1, False)),
             (("signed", "positive", "none", "count"), (0, 0.01, 0.9, 0.99, 1e-8, 0.1, True))],
    "rmsprop": [(("positive", "none", "none"), (0.01, 0.99, 1e-8, 0.0, 0.0)),
                (("large", "signed", "signed"), (0.01, 0.9, 1e-8, 0.9, 0.1))],
    "adagrad": [(("positive",), (0.01, 1e-10, 0.1))],
}  # fmt: skip


def _state(kind: str, shape: tuple[int, ...], seed: int, dtype: str) -> Array | None:
    if kind == "none":
        return None
    if kind == "count":
        return np.asarray(1 + sum(shape) % 9, np.float32)
    x = numbers(*shape, seed=seed).astype(wide(dtype))
    return {"signed": x, "positive": abs(x) + 1, "large": abs(x) + 100}[kind]


@check
def optimizer_steps(dtype: str) -> None:
    for name, cases in STEPS.items():
        for kinds, rest in cases:
            shapes = [(3,), (5000,), (2, 3, 4, 4), (0,), *((k % 7 + 1,) for k in range(70))]
            params = [stored(numbers(*s, seed=1), dtype) for s in shapes]
            params[2] = LAYOUTS["channels-last"](params[2])
            grads = [stored(numbers(*s, seed=2), dtype) for s in shapes]
            states = [[_state(kind, s, 3 + k, dtype) for s in shapes] for k, kind in enumerate(kinds)]
            for some in states:
                some[2] = some[2] if some[2] is None or not some[2].ndim else LAYOUTS["channels-last"](some[2])
            expected = []
            for i, param in enumerate(params):
                arrays = [
                    loaded(a).copy() if a is not None else None for a in (param, grads[i], *(s[i] for s in states))
                ]
                getattr(reference.optim, f"{name}_step")(np, *arrays, *rest)
                expected.append(arrays)
            lists = [None if some[0] is None else some for some in states]
            cuda.KERNELS[f"{name}_steps"](params, grads, *lists, *rest)
            for i, param in enumerate(params):
                same(f"{name}, parameter {i}", param, expected[i][0], 64, dtype)
                for k, some in enumerate(states):
                    if some[i] is not None and kinds[k] != "count":
                        same(f"{name}, state {k} of {i}", some[i], expected[i][2 + k], 64, wide(dtype))


def _gradients(dtype: str) -> list[Array]:
    shapes = [(3,), (5000,), (2, 3, 4, 4), (0,), (), *((k % 7 + 1,) for k in range(70))]
    found = [stored(np.asarray(numbers(*s, seed=2)), dtype) for s in shapes]
    found[2] = LAYOUTS["channels-last"](found[2])
    if dtype != "uint16":
        found.append(LAYOUTS["spread"](stored(numbers(2, 3, 4, 4), dtype)))
    return found


@check
def norm_of_gradients(dtype: str) -> None:
    for p in (2.0, 1.0, math.inf, 3.0, 0.5):
        grads = _gradients(dtype)
        for some in (grads, grads[3:4], grads[:1]):
            expected = reference.norm_of(np, [loaded(g) for g in some], p)
            same(f"norm_of, p = {p}", cuda.KERNELS["norm_of"](some, p), expected, 64, wide(dtype))
        if dtype != "uint16":
            grads[7][0] = np.nan
            assert np.isnan(cuda.KERNELS["norm_of"](grads, p))


@check
def scaled_gradients(dtype: str) -> None:
    for norm, most in ((8.0, 2.0), (1.0, 2.0), (np.nan, 1.0)):
        found, expected = _gradients(dtype), [loaded(g).copy() for g in _gradients(dtype)]
        cuda.KERNELS["clip_to_norm"](found, np.asarray(norm, wide(dtype)), most)
        reference.clip_to_norm(np, expected, np.asarray(norm), most)
        for a, b in zip(found, expected, strict=True):
            same("clip_to_norm", a, b, 4, dtype)
    for wrong in (None, np.inf, -np.inf, np.nan):
        grads = _gradients(dtype)
        if wrong is not None:
            grads[9][-1:] = stored(np.asarray([wrong]), dtype)
        expected, bad, told = [loaded(g).copy() for g in grads], np.zeros((), np.int32), np.zeros((), np.int32)
        cuda.KERNELS["unscale"](grads, 0.125, bad)
        reference.unscale(np, expected, 0.125, told)
        assert bad == told == (wrong is not None)
        for a, b in zip(grads, expected, strict=True):
            same("unscale", a, b, 4, dtype)


@check
def steps_in_any_layout(dtype: str) -> None:
    """One with gaps in memory is stepped by the reference."""
    if dtype not in ("float32", "float64"):
        return
    for name, cases in STEPS.items():
        for kinds, rest in cases:
            for layout in LAYOUTS.values():
                arrays = [numbers(2, 3, 4, 4, seed=k).astype(dtype) for k in (1, 2)]
                arrays += [_state(kind, (2, 3, 4, 4), 3 + k, dtype) for k, kind in enumerate(kinds)]
                expected = [None if a is None else a.astype(float) for a in arrays]
                getattr(reference.optim, f"{name}_step")(np, *expected, *rest)
                found = [None if a is None else layout(a) if a.ndim else a for a in arrays]
                cuda.KERNELS[f"{name}_steps"](*(None if a is None else [a] for a in found), *rest)
                for k, (a, b) in enumerate(zip(found, expected, strict=True)):
                    same(f"{name}_steps, array {k}", a, b, 64, None if a is None or not a.ndim else dtype)


@check
def count_up(dtype: str) -> None:
    counts = [np.asarray(k, np.float32) for k in range(70)]
    cuda.KERNELS["count_up"](counts)
    assert counts == [*range(1, 71)]


# ---- concatenation ---------------------------------------------------------------------------------------------------


@check
def concatenate(dtype: str) -> None:
    for layout in LAYOUTS.values():
        for axis, widths in ((1, (3, 1, 0, 4)), (0, (2, 1)), (-1, (1,)), (2, (2, 2, 1)), (1, (1,) * 66)):
            shapes = [[2, 3, 2, 5] for _ in widths]
            for shape, width in zip(shapes, widths, strict=True):
                shape[axis] = width
            first, *others = (layout(stored(numbers(*s, seed=k), dtype)) for k, s in enumerate(shapes))
            found = cuda.KERNELS["concatenate"](first, tuple(others), axis)
            np.testing.assert_array_equal(found, np.concatenate([first, *others], axis))
            out = np.zeros_like(found)
            cuda.KERNELS["concatenate"](first, tuple(others), axis, out)
            np.testing.assert_array_equal(out, found)
