"""The CUDA convolutions, run on the CPU: every algorithm, tile and dtype beside the reference, on random geometries.

The numbers are such that bfloat16 and TF32 hold them, and every product of two, exactly: only the order of a sum is
left to differ, and a tolerance for float32 sums finds a single wrong number. What nobody has written is NaN.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import geometries
import numpy as np
import pytest
from cases import Case
from cuda_proof.checks import loaded, numbers, same, stored
from cuda_proof.runner import FORWARD, RANDOM, REVERSE, CpuDriver, LaunchError, without_barriers
from hypothesis import HealthCheck, Phase, given, settings
from layouts import LAYOUTS

from tinycnn.kernels import reference
from tinycnn.kernels.cuda import conv, conv_choice, implicit_gemm, loader, tensor_core
from tinycnn.kernels.cuda.gemm import gemm, matmul

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="kernels are compiled for the CPU by g++")

Sizes = tuple[int, ...]
Slide = tuple[Any, ...]  # stride, padding, dilation, groups
DTYPES = ("float32", "float64", "float16", "bfloat16")
ROUNDING = ("float32", "float16", "bfloat16")
NONE = ((0, 0), (0, 0))
PLAIN: Slide = ((1, 1), NONE, (1, 1), 1)


@contextmanager
def on_cpu(algorithm: str | None, order: int = FORWARD, change: Any = None) -> Iterator[None]:
    with loader.use_driver(CpuDriver(order=order, change=change)), conv_choice.use_algorithm(algorithm):
        yield


def run(algorithm: str | None, dtype: str, x_shape: Sizes, w_shape: Sizes, slide: Slide, **how: Any) -> list[Any]:
    """A convolution with a bias and its gradients, each compared with the reference."""
    x, w, bias = numbers(*x_shape), numbers(*w_shape, seed=1), numbers(w_shape[0], seed=2)
    y = reference.conv2d(np, x, w, bias, *slide)
    g = numbers(*y.shape, seed=3)
    gx, gw, gb = reference.conv2d_backward(np, g, x, w, x_shape, w_shape, *slide, (True,) * 3)
    x_, w_, bias_, g_ = (stored(a, dtype) for a in (x, w, bias, g))
    x_, g_ = LAYOUTS["channels-last"](x_), LAYOUTS["channels-last"](g_)
    with on_cpu(algorithm, **how):
        found = [
            conv.conv2d(x_, w_, bias_, *slide),
            *conv.conv2d_backward(g_, x_, w_, x_shape, w_shape, *slide, (True,) * 3),
        ]
    terms = [64 * w[0].size, 64 * w.size, 64 * y[:, 0].size, 64 * y[:, 0].size]
    for name, a, b, n in zip(("y", "gx", "gw", "gb"), found, (y, gx, gw, gb), terms, strict=True):
        same(f"{algorithm}, {dtype}: {name} of {x_shape} * {w_shape}, {slide}", a, b, n, dtype)
    return found


def pads(kwargs: dict[str, Any], kernel: Sizes, dilation: Sizes) -> Any:
    if kwargs["padding"] == "same":
        return tuple((d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation, strict=True))
    return tuple((p, p) for p in both(0 if kwargs["padding"] == "valid" else kwargs["padding"]))


def both(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def explore(examples: int, visit: Callable[[Sizes, Sizes, Slide], object]) -> None:
    """Visit random convolutions, the same ones in every run."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(geometries.conv2d())
    def every(case: Case) -> None:
        first, second = case.tensors[0], case.tensors[1]
        assert first is not None
        assert second is not None
        x_shape, w_shape, kwargs = first[0], second[0], case.kwargs
        stride, dilation = both(kwargs["stride"]), both(kwargs["dilation"])
        slide = (stride, pads(kwargs, w_shape[2:], dilation), dilation, kwargs["groups"])
        visit(x_shape if len(x_shape) == 4 else (1, *x_shape), w_shape, slide)

    every()


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "im2col", None])
def test_random_geometries(algorithm: str | None) -> None:
    turn = iter(range(10**6))

    def visit(x_shape: Sizes, w_shape: Sizes, slide: Slide) -> None:
        i = next(turn)
        # im2col rounds to the dtype in between, so in 16 bits it differs by more than the last bit
        run(
            algorithm,
            DTYPES[i % (2 if algorithm == "im2col" else 4)],
            x_shape,
            w_shape,
            slide,
            order=(FORWARD, RANDOM, REVERSE)[i % 3],
        )

    explore(50, visit)


def test_random_geometries_depthwise() -> None:
    """The same with a channel a group: as many groups as there were channels, and one or two filters for each."""
    turn = iter(range(10**6))

    def visit(x_shape: Sizes, w_shape: Sizes, slide: Slide) -> None:
        i, c = next(turn), max(2, x_shape[1])
        wide = (x_shape[0], c, *x_shape[2:])
        run(
            "depthwise",
            DTYPES[i % 4],
            wide,
            (c * (1 + i % 2), 1, *w_shape[2:]),
            (*slide[:3], c),
            order=(FORWARD, RANDOM)[i % 2],
        )

    explore(40, visit)


def test_random_geometries_on_tensor_cores() -> None:
    """The same with whole vectors of channels and filters, where there are groups, and any number where not."""
    turn = iter(range(10**6))

    def visit(x_shape: Sizes, w_shape: Sizes, slide: Slide) -> None:
        i = next(turn)
        dtype, groups = ROUNDING[i % 3], slide[3]
        size = conv_choice.vector(np.dtype(dtype)) if groups > 1 or i % 2 else 1
        wide_x = (x_shape[0], size * x_shape[1], *x_shape[2:])
        wide_w = (size * w_shape[0], size * w_shape[1], *w_shape[2:])
        run("tensor_core", dtype, wide_x, wide_w, slide, order=(FORWARD, RANDOM)[i % 2])

    explore(25, visit)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_tile_of_implicit_gemm(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the edge of each tile along each axis: more pixels, filters and window places than one holds."""
    slide: Slide = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    for tile, weight_tile in zip(implicit_gemm._correlate.variants, implicit_gemm._weight_grad.variants, strict=True):
        monkeypatch.setattr(implicit_gemm, "correlate_tile", lambda *_, t=tile: implicit_gemm.Tile(*t))
        monkeypatch.setattr(implicit_gemm, "weight_tile", lambda *_, t=weight_tile: implicit_gemm.Tile(*t))
        columns = int(tile[1]) + 3
        run("implicit_gemm", dtype, (1, 5, 13, 11), (columns, 5, 3, 3), slide, order=RANDOM)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_every_tile_of_tensor_cores(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and more steps than the pipeline has stages."""
    slide: Slide = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    for tile in tensor_core._TILES:
        monkeypatch.setattr(tensor_core, "_tile", lambda *_, t=tile: tensor_core.Tile(*t))
        run("tensor_core", dtype, (1, 24, 13, 11), (int(tile[1]) + 8, 24, 3, 3), slide)


def test_forced_algorithm_applies_where_it_can() -> None:
    run("pointwise", "float32", (2, 8, 3, 4), (5, 8, 1, 1), PLAIN)
    run("pointwise", "bfloat16", (2, 8, 3, 4), (5, 8, 1, 1), PLAIN)  # implicit GEMM instead
    run("depthwise", "float32", (2, 8, 3, 4), (5, 8, 2, 1), PLAIN)
    run("tensor_core", "float32", (2, 6, 3, 4), (4, 3, 2, 1), ((1, 1), NONE, (1, 1), 2))
    with pytest.raises(ValueError, match="expected one of depthwise"), conv_choice.use_algorithm("fft"):
        pass


def test_more_windows_than_outputs() -> None:
    """A transposed convolution's output_padding leaves rows that no window reaches, and windows that g lacks."""
    g, x, w = numbers(1, 4, 3, 2), numbers(1, 8, 6, 5, seed=1), numbers(4, 8, 2, 2, seed=2)
    slide: Slide = ((2, 2), NONE, (1, 1), 1)
    bigger = ((1, 1), NONE, (1, 1), 1)
    for algorithm in ("implicit_gemm", "im2col", "tensor_core"):
        with on_cpu(algorithm):
            gx = conv.conv2d_input_grad(stored(g, "float32"), stored(w, "float32"), (1, 8, 7, 5), *slide)
            gw = conv.conv2d_weight_grad(stored(g, "float32"), stored(x, "float32"), (4, 8, 2, 2), *bigger)
        same(algorithm, gx, reference.conv2d_input_grad(np, g, w, (1, 8, 7, 5), *slide), 4096, "float32")
        same(algorithm, gw, reference.conv2d_weight_grad(np, g, x, (4, 8, 2, 2), *bigger), 4096, "float32")


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "tensor_core", "depthwise"])
def test_parts_of_a_sum_are_added_in_order(algorithm: str) -> None:
    """The same bits whatever order the threads run in, with a sum over pixels that is cut into several parts."""
    groups = 8 if algorithm == "depthwise" else 1
    args = "float32", (5, 8, 13, 11), (8, 8 // groups, 3, 3), ((1, 1), NONE, (1, 1), groups)
    assert implicit_gemm.cut(5 * 11 * 9, 1)[0] > 2
    for a, b in zip(run(algorithm, *args, order=FORWARD), run(algorithm, *args, order=RANDOM), strict=True):
        np.testing.assert_array_equal(a, b)


def test_cut_covers_all_pixels() -> None:
    for pixels in (1, 31, 129, 4096, 1_000_003):
        for blocks in (1, 7, 1000):
            count, chunk = implicit_gemm.cut(pixels, blocks)
            assert (count - 1) * chunk < pixels <= count * chunk


def without_wait(text: str) -> str:
    return text.replace("copies.template wait<STAGES - 2>();", "")


def one_stage_early(text: str) -> str:
    """Copies go to the stage that is being multiplied."""
    return text.replace("loader.order(copies, ahead % STAGES)", "loader.order(copies, step % STAGES)")


def swapped_fragment(text: str) -> str:
    return text.replace("word + k / 2 * 4 + tile.t", "word + k % 2 * 4 + tile.t")


def forward_taps(text: str) -> str:
    """The gradient of the input takes the taps of the wrong remainder."""
    return text.replace("(remainder + padding - first * dilation) % stride", "(remainder - first * dilation) % stride")


@pytest.mark.parametrize(
    ("algorithm", "change"),
    [
        ("implicit_gemm", without_barriers),
        ("tensor_core", without_wait),
        ("tensor_core", one_stage_early),
        pytest.param("tensor_core", without_barriers, marks=pytest.mark.slow),
        pytest.param("tensor_core", swapped_fragment, marks=pytest.mark.slow),
        pytest.param("implicit_gemm", forward_taps, marks=pytest.mark.slow),
        pytest.param("depthwise", without_barriers, marks=pytest.mark.slow),
    ],
)
def test_a_broken_kernel_is_found(algorithm: str, change: Callable[[str], str]) -> None:
    groups = 16 if algorithm == "depthwise" else 1
    slide: Slide = ((2, 2), ((1, 1), (1, 1)), (1, 1), groups)
    args = algorithm, "float32", (2, 16, 9, 9), (16, 16 // groups, 3, 3), slide
    run(*args)
    found = []
    for order in (FORWARD, REVERSE, RANDOM):
        try:
            run(*args, order=order, change=change)
        except (AssertionError, LaunchError) as error:
            found.append(str(error))
    assert found, "every order of the threads gave the right result"


@pytest.mark.parametrize("dtype", DTYPES)
def test_windows_and_back(dtype: str) -> None:
    slide: Any = ((3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2))
    x = numbers(2, 3, 7, 6)
    cols = reference.im2col(np, x, *slide)
    for layout in LAYOUTS.values():
        with on_cpu(None):
            found = conv.im2col(layout(stored(x, dtype)), *slide)
            back = conv.col2im(stored(cols, dtype), x.shape, *slide)
        same("im2col", found, cols, 1, dtype)
        same("col2im", back, reference.col2im(np, cols, x.shape, *slide), 64, dtype)
    with on_cpu(None):
        assert not conv.col2im(np.zeros((0, 5, 5, 1, 1, 2)), (0, 2, 5, 5), (1, 1), (1, 1), NONE, (1, 1)).size


@pytest.mark.parametrize("dtype", DTYPES)
def test_gemm(dtype: str) -> None:
    """Over the edges of its tile, for every pair of transposed and plain matrices, in a batch and with gaps."""
    for m, k, n in ((65, 17, 70), (1, 1, 1), (64, 0, 3), (3, 5, 0), (70, 33, 2)):
        a, b, bias = numbers(m, k), numbers(k, n, seed=1), numbers(n, seed=2)
        for turned_a in (False, True):
            for turned_b in (False, True):
                x = stored(a.T.copy(), dtype).T if turned_a else stored(a, dtype)
                y = stored(b.T.copy(), dtype).T if turned_b else stored(b, dtype)
                with on_cpu(None, order=RANDOM), conv_choice.own_products():
                    same("gemm", matmul(x, y), loaded(x) @ loaded(y), 64 * k, dtype)
                    same("gemm", gemm(x, y, stored(bias, dtype)), a @ b + bias, 64 * k + 64, dtype)
    a, b = stored(numbers(3, 5, 8), dtype)[:, :, ::2], stored(numbers(3, 4, 6, seed=1), dtype)
    with on_cpu(None):
        same("gemm", gemm(a, b), loaded(a) @ loaded(b), 256, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_matmul_on_tensor_cores(dtype: str) -> None:
    a, b = stored(numbers(33, 20), dtype), stored(numbers(20, 18, seed=1), dtype)
    for x in (a, np.asfortranarray(a)):
        with on_cpu("tensor_core"), conv_choice.own_products():
            same("matmul", matmul(x, b), loaded(a) @ loaded(b), 64 * 20, dtype)


def test_gemm_refuses_what_does_not_fit() -> None:
    a = np.zeros((2, 3), np.float32)
    for b, bias in ((a, None), (np.zeros((3, 2, 2), np.float32), None), (a.T, np.zeros(3, np.float32))):
        with pytest.raises(ValueError, match=r"expected \(M, K\) @ \(K, N\)"):
            gemm(a, b, bias)
    with pytest.raises(TypeError, match="one dtype"):
        gemm(a, a.T.astype(float))


def test_more_remainders_than_a_grid_has_places() -> None:
    """Strides of hundreds: a class of pixels for each remainder no longer fits along the grid's third axis."""
    of = conv.geometry((1, 1, 300, 300), (1, 1, 2, 2), None, (257, 257), NONE, (1, 1), 1)
    with on_cpu(None):
        assert conv_choice.choose("input_grad", of, np.dtype("float32")).algorithm == "im2col"
    run(None, "float32", (1, 1, 260, 260), (1, 1, 2, 2), ((257, 257), NONE, (1, 1), 1))


def test_too_many_pixels() -> None:
    with pytest.raises(ValueError, match="smaller batch"):
        conv.geometry((1 << 20, 3, 64, 64), (1, 3, 1, 1), None, (1, 1), NONE, (1, 1), 1)


MIXED = ("implicit_gemm", "tensor_core", "implicit_gemm")  # by 3 channels a group, and 32 filters
CHOICES = [
    # x, w, slide, dtype, capability -> forward, input_grad, weight_grad
    ((128, 64, 56, 56), (64, 64, 3, 3), PLAIN, "float32", 90, ("tensor_core",) * 3),
    ((128, 64, 56, 56), (64, 64, 3, 3), PLAIN, "bfloat16", 80, ("tensor_core",) * 3),
    ((128, 64, 56, 56), (64, 64, 3, 3), PLAIN, "float64", 90, ("implicit_gemm",) * 3),
    ((128, 64, 56, 56), (64, 64, 3, 3), PLAIN, "float32", 75, ("implicit_gemm",) * 3),
    ((128, 64, 56, 56), (64, 64, 1, 1), PLAIN, "float64", 90, ("pointwise",) * 3),
    ((128, 3, 224, 224), (64, 3, 7, 7), PLAIN, "float32", 90, ("tensor_core", "tensor_core", "tensor_core")),
    ((128, 3, 224, 224), (65, 3, 7, 7), PLAIN, "float32", 90, ("tensor_core", "implicit_gemm", "implicit_gemm")),
    ((256, 1, 28, 28), (6, 1, 5, 5), PLAIN, "float32", 90, ("implicit_gemm",) * 3),
    ((128, 64, 56, 56), (64, 1, 3, 3), (*PLAIN[:3], 64), "float16", 90, ("depthwise",) * 3),
    (
        (128, 6, 56, 56),
        (64, 3, 3, 3),
        (*PLAIN[:3], 2),
        "float32",
        90,
        ("implicit_gemm", "tensor_core", "implicit_gemm"),
    ),
    ((0, 64, 56, 56), (64, 64, 3, 3), PLAIN, "float32", 90, ("implicit_gemm",) * 3),
]


@pytest.mark.parametrize(("x", "w", "slide", "dtype", "chip", "expected"), CHOICES)
def test_choice(
    x: Sizes, w: Sizes, slide: Slide, dtype: str, chip: int, expected: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_choice, "capability", lambda: chip)
    of = conv.geometry(x, w, None, *slide)
    chosen = [conv_choice.choose(direction, of, np.dtype(dtype)) for direction in conv_choice.DIRECTIONS]
    assert tuple(c.algorithm for c in chosen) == expected
    assert all(c.reason for c in chosen)
    try:
        conv_choice.set_precision("strict")
        strict = conv_choice.choose("forward", of, np.dtype(dtype)).algorithm
        assert strict != "tensor_core" or dtype != "float32"
    finally:
        conv_choice.set_precision("fast")


def test_a_products_precision_is_its_own() -> None:
    """What is said of convolutions is not said of products, as PyTorch has two switches; PyTorch's names move them."""
    import tinycnn

    switches = tinycnn.backends
    assert (switches.cudnn.allow_tf32, switches.cuda.matmul.allow_tf32) == (True, False)
    try:
        for precision, allowed in (("medium", True), ("highest", False), ("high", True)):
            tinycnn.set_float32_matmul_precision(precision)
            assert tinycnn.get_float32_matmul_precision() == precision
            assert switches.cuda.matmul.allow_tf32 is conv_choice.tf32_products() is allowed
        switches.cudnn.allow_tf32 = False
        assert conv_choice.get_precision() == "strict"
        assert switches.cuda.matmul.allow_tf32
        switches.cuda.matmul.allow_tf32 = False
        assert tinycnn.get_float32_matmul_precision() == "highest"
    finally:
        switches.cudnn.allow_tf32, switches.cuda.matmul.allow_tf32 = True, False
    with pytest.raises(ValueError, match="expected one of 'highest', 'high', 'medium', got 'low'"):
        tinycnn.set_float32_matmul_precision("low")
    for switch in (switches.cudnn, switches.cuda.matmul):
        with pytest.raises(TypeError, match="expected True or False, got 'yes'"):
            switch.allow_tf32 = "yes"
        with pytest.raises(AttributeError):
            switch.allow_tf = True


def test_precision_names() -> None:
    assert conv_choice.get_precision() == "fast"
    with pytest.raises(ValueError, match="'fast' or 'strict'"):
        conv_choice.set_precision("tf32")


def test_tensor_core_rounds_to_nearest() -> None:
    """TF32 keeps 10 bits of the fraction: halfway and above goes up."""
    bits = np.float32(1) + np.arange(0, 40, dtype=np.float32) * np.float32(2**-13)
    x = np.zeros((1, 40, 1, 40), np.float32)
    x[0, np.arange(40), 0, np.arange(40)] = bits
    w = np.ones((4, 40, 1, 1), np.float32)
    with on_cpu("tensor_core"):
        y = conv.conv2d(x, w, None, *PLAIN)
    exact = np.floor(bits.astype(float) * 1024 + 0.5) / 1024
    np.testing.assert_array_equal(y[0, 0, 0], exact)


def test_not_a_number_and_infinity_pass_through_tensor_cores() -> None:
    x = np.ones((1, 8, 1, 3), np.float32)
    x[0, 3, 0, 0], x[0, 4, 0, 1] = np.nan, np.inf
    for dtype in ROUNDING:
        with on_cpu("tensor_core"):
            y = loaded(conv.conv2d(stored(x, dtype), stored(np.ones((8, 8, 1, 1)), dtype), None, *PLAIN))
        assert np.isnan(y[0, :, 0, 0]).all()
        assert np.isposinf(y[0, :, 0, 1]).all()
        np.testing.assert_array_equal(y[0, :, 0, 2], 8)
