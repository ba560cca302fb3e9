"""The kernels: the reference against six plain loops, the fast set against the reference, in every layout."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS as STORED, joined, read_only
from poison import poison_fresh_memory

from tinycnn.kernels import reference
from tinycnn.kernels.reference import loops

try:
    from tinycnn.kernels import cpu
except ImportError:  # Numba is not installed
    cpu = None  # type: ignore[assignment]

needs_numba = pytest.mark.skipif(cpu is None, reason="the fast CPU kernels need Numba")
Array = Any
DTYPES = [np.float32, np.float64]


def fast(name: str, *args: Any) -> Any:
    return cpu.KERNELS[name](*args)


def plain(name: str, *args: Any) -> Any:
    return getattr(reference, name)(np, *args)


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    return rng.standard_normal(shape).astype(dtype)


def as_tuple(result: Any) -> tuple[Array, ...]:
    return tuple(np.asarray(r) for r in result if r is not None) if isinstance(result, tuple) else (result,)


def assert_close(actual: Any, expected: Any, terms: int = 1, scale: float = 1.0) -> None:
    """Equal within the rounding of a sum of `terms` numbers of about `scale`, which grows as its root."""
    actual, expected = as_tuple(actual), as_tuple(expected)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        assert a.dtype == e.dtype or a.dtype.kind == e.dtype.kind == "i"  # int32 will do where int64 is plain
        if a.dtype.kind == "i":
            np.testing.assert_array_equal(a, e)
            continue
        eps = np.finfo(a.dtype).eps
        np.testing.assert_allclose(a, e, rtol=16 * eps, atol=16 * eps * scale * math.sqrt(max(1, terms)))


# ---------------------------------------------------------------------------------------------------------- layouts


# A kernel may be given what cannot be written into, and the first channels of images that are joined in place.
LAYOUTS = {**STORED, "read-only": read_only, "joined": joined}


def check(
    name: str, *args: Any, terms: int = 1, scale: float = 1.0, layouts: tuple[str, ...] = ("planes",), other: str = ""
) -> None:
    """The fast kernel agrees with the reference, leaves its arguments alone and returns memory of its own.

    The first array comes in each of `layouts`; the others in `other`, or in the same.
    """
    expected = plain(name, *args)
    for layout in layouts:
        laid_out = list(args)
        for i, a in enumerate(args):
            if isinstance(a, np.ndarray) and a.ndim > 1:
                laid_out[i] = LAYOUTS[other if i and other else layout](a)
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in laid_out]
        actual = fast(name, *laid_out)
        assert_close(actual, expected, terms, scale)
        for a, b in zip(laid_out, before, strict=True):
            if isinstance(a, np.ndarray):
                np.testing.assert_array_equal(a, b)
                for result in as_tuple(actual):
                    assert not np.shares_memory(result, a)
                    assert result.flags.writeable


# ------------------------------------------------------------------------------------------------------ convolution

NO_PADS = ((0, 0), (0, 0))
ONES = (1, 1)

# x (N, C, H, W), w (K, C/G, R, S), stride, padding, dilation, groups
GEOMETRIES: dict[str, tuple[Any, ...]] = {
    "3x3 same": ((2, 3, 6, 5), (4, 3, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1),
    "5x5 valid": ((2, 2, 7, 8), (3, 2, 5, 5), ONES, NO_PADS, ONES, 1),
    "more kernels than channels": ((2, 1, 6, 6), (5, 1, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1),
    "1x1": ((2, 3, 4, 5), (6, 3, 1, 1), ONES, NO_PADS, ONES, 1),
    "1x1 stride 2": ((2, 3, 5, 6), (4, 3, 1, 1), (2, 2), NO_PADS, ONES, 1),
    "1x1 padded": ((1, 3, 3, 3), (4, 3, 1, 1), ONES, ((1, 1), (0, 1)), ONES, 1),
    "stride above kernel": ((2, 2, 9, 8), (3, 2, 2, 2), (3, 4), NO_PADS, ONES, 1),
    "kernel above stride": ((2, 2, 9, 8), (3, 2, 4, 3), (2, 2), ((1, 1), (1, 1)), ONES, 1),
    "remainder": ((2, 2, 8, 7), (3, 2, 3, 3), (3, 2), NO_PADS, ONES, 1),
    "one-sided padding": ((2, 2, 5, 6), (3, 2, 2, 3), ONES, ((0, 1), (2, 0)), ONES, 1),
    "one-sided padding, stride": ((2, 2, 5, 6), (3, 2, 2, 3), (2, 3), ((2, 1), (0, 3)), ONES, 1),
    "dilated": ((2, 2, 9, 10), (3, 2, 3, 2), ONES, ((2, 2), (1, 1)), (2, 3), 1),
    "dilated, stride": ((2, 2, 9, 10), (3, 2, 3, 2), (2, 3), ((2, 2), (1, 1)), (3, 2), 1),
    "padding above kernel": ((1, 2, 3, 3), (2, 2, 2, 2), ONES, ((3, 3), (3, 3)), ONES, 1),
    "kernel of the image's size": ((3, 4, 4, 3), (5, 4, 4, 3), ONES, NO_PADS, ONES, 1),
    "kernel above the image": ((1, 2, 2, 2), (2, 2, 4, 4), ONES, ((1, 2), (1, 1)), ONES, 1),
    "groups": ((2, 4, 6, 5), (6, 2, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 2),
    "groups, stride": ((2, 4, 6, 5), (6, 2, 3, 2), (2, 1), ((1, 0), (0, 1)), (1, 2), 2),
    "groups 1x1": ((2, 6, 4, 4), (6, 2, 1, 1), ONES, NO_PADS, ONES, 3),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 4),
    "depthwise, stride": ((2, 3, 7, 6), (3, 1, 3, 2), (2, 3), ((1, 0), (2, 1)), (2, 1), 3),
    "depthwise, two kernels each": ((2, 3, 6, 5), (6, 1, 2, 3), (1, 2), ((1, 1), (1, 1)), ONES, 3),
    "one image": ((1, 2, 5, 5), (3, 2, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), ONES, NO_PADS, ONES, 1),
    "no image": ((0, 2, 5, 5), (3, 2, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1),
    "no image, depthwise": ((0, 2, 5, 5), (2, 1, 3, 3), (2, 2), NO_PADS, ONES, 2),
}


def conv_arrays(geometry: tuple[Any, ...], dtype: Any = np.float64) -> tuple[Array, Array, Array, Array]:
    """Random x, w, bias and g for a geometry."""
    x_shape, w_shape, stride, padding, dilation, _ = geometry
    rng = np.random.default_rng(0)
    size = loops._out_size(x_shape, w_shape, stride, padding, dilation)
    shapes = (x_shape, w_shape, (w_shape[0],), (x_shape[0], w_shape[0], *size))
    x, w, bias, g = (random(rng, shape, dtype) for shape in shapes)
    return x, w, bias, g


each_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())


@each_geometry
def test_reference_conv2d_is_the_six_loops(geometry: tuple[Any, ...]) -> None:
    x, w, bias, g = conv_arrays(geometry)
    window = geometry[2:]
    terms = x.size + w.size
    assert_close(plain("conv2d", x, w, None, *window), loops.conv2d(x, w, *window), terms)
    assert_close(plain("conv2d", x, w, bias, *window), loops.conv2d(x, w, *window) + bias.reshape(-1, 1, 1), terms)
    assert_close(
        plain("conv2d_input_grad", g, w, x.shape, *window), loops.conv2d_input_grad(g, w, x.shape, *window), terms
    )
    assert_close(
        plain("conv2d_weight_grad", g, x, w.shape, *window), loops.conv2d_weight_grad(g, x, w.shape, *window), terms
    )
    gradients = loops.conv2d_input_grad(g, w, x.shape, *window), loops.conv2d_weight_grad(g, x, w.shape, *window)
    found = plain("conv2d_backward", g, x, w, x.shape, w.shape, *window, (True, True, True))
    assert_close(found, (*gradients, g.sum((0, 2, 3))), terms)


@needs_numba
@each_geometry
def test_fast_conv2d_is_the_six_loops(geometry: tuple[Any, ...]) -> None:
    x, w, bias, g = conv_arrays(geometry)
    window = geometry[2:]
    terms = x.size + w.size
    assert_close(fast("conv2d", x, w, bias, *window), loops.conv2d(x, w, *window) + bias.reshape(-1, 1, 1), terms)
    assert_close(
        fast("conv2d_input_grad", g, w, x.shape, *window), loops.conv2d_input_grad(g, w, x.shape, *window), terms
    )
    assert_close(
        fast("conv2d_weight_grad", g, x, w.shape, *window), loops.conv2d_weight_grad(g, x, w.shape, *window), terms
    )
    gradients = loops.conv2d_input_grad(g, w, x.shape, *window), loops.conv2d_weight_grad(g, x, w.shape, *window)
    for wanted in itertools.product((False, True), repeat=3):
        needed = [a if want else None for a, want in zip((x, w), wanted[1::-1], strict=True)]
        found = fast("conv2d_backward", g, *needed, x.shape, w.shape, *window, wanted)
        assert [a is not None for a in found] == list(wanted)
        expected = [a for a, want in zip((*gradients, g.sum((0, 2, 3))), wanted, strict=True) if want]
        assert_close(found, tuple(expected), terms)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@each_geometry
def test_fast_conv2d_in_every_layout(geometry: tuple[Any, ...], dtype: Any) -> None:
    x, w, bias, g = conv_arrays(geometry, dtype)
    window = geometry[2:]
    terms = x.size + w.size
    for layout in LAYOUTS:
        for b, relu in ((bias, False), (bias, True), (None, True)):
            check("conv2d", x, w, b, *window, relu, terms=terms, layouts=(layout,))
        check("conv2d_input_grad", g, w, x.shape, *window, terms=terms, layouts=(layout,))
        check("conv2d_weight_grad", g, x, w.shape, *window, terms=terms, layouts=(layout,), other="planes")
        backward = g, x, w, x.shape, w.shape, *window, (True, True, True)
        check("conv2d_backward", *backward, terms=terms, layouts=(layout,), other="planes")


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (3, 40, 7, 7), (1, 1, 3, 3), (0, 4, 2, 2), (2, 64, 20, 20)])
def test_the_gate_behind_a_convolution(shape: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    g, y = random(rng, shape, dtype), random(rng, shape, dtype)
    y.reshape(-1)[:1], y.reshape(-1)[-1:] = 0, np.nan  # neither is above zero
    terms = g[:, 0].size
    check("conv2d_relu_gate", g, y, terms=terms, layouts=tuple(LAYOUTS))
    check("conv2d_relu_gate", g, y, terms=terms, layouts=tuple(LAYOUTS), other="channels-last")
    n, c, h, w = shape
    joined = np.full((n, h, w, c + 5), np.nan, dtype)
    joined[..., 3 : 3 + c] = g.transpose(0, 2, 3, 1)
    part = joined[..., 3 : 3 + c].transpose(0, 3, 1, 2)
    assert_close(fast("conv2d_relu_gate", part, y), plain("conv2d_relu_gate", g, y), terms)


@needs_numba
@pytest.mark.parametrize("way", [True, False], ids=["planes", "windows"])
@each_geometry
def test_both_ways_of_fast_conv2d(geometry: tuple[Any, ...], way: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which way a convolution takes is a matter of speed alone."""
    from tinycnn.kernels.cpu import planes

    monkeypatch.setattr(planes, "suits", lambda *_: way)
    x, w, bias, g = conv_arrays(geometry)
    window = geometry[2:]
    terms = x.size + w.size
    check("conv2d", x, w, bias, *window, terms=terms, layouts=("planes", "channels-last"))
    check("conv2d_input_grad", g, w, x.shape, *window, terms=terms, layouts=("planes", "channels-last"))
    check("conv2d_weight_grad", g, x, w.shape, *window, terms=terms, layouts=("planes", "channels-last"))


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@each_geometry
def test_fast_windows(geometry: tuple[Any, ...], dtype: Any) -> None:
    x_shape, w_shape, *window, _ = geometry
    x = conv_arrays(geometry, dtype)[0]
    check("im2col", x, w_shape[2:], *window, layouts=tuple(LAYOUTS))
    cols = random(np.random.default_rng(1), plain("im2col", x, w_shape[2:], *window).shape, dtype)
    check("col2im", cols, x_shape, w_shape[2:], *window, terms=w_shape[2] * w_shape[3], layouts=("planes", "spread"))


@each_geometry
@pytest.mark.parametrize("run", [plain, pytest.param(fast, marks=needs_numba)])
def test_conv2d_gradients_are_adjoints(geometry: tuple[Any, ...], run: Callable[..., Any]) -> None:
    """<conv2d(x, w), g> = <x, input_grad(g, w)> = <w, weight_grad(g, x)>, and likewise for im2col and col2im."""
    x, w, _, g = conv_arrays(geometry)
    window = geometry[2:]
    product = np.vdot(run("conv2d", x, w, None, *window), g)
    tolerance = 1e-12 * (1 + x.size * w.size)
    assert abs(product - np.vdot(x, run("conv2d_input_grad", g, w, x.shape, *window))) < tolerance
    assert abs(product - np.vdot(w, run("conv2d_weight_grad", g, x, w.shape, *window))) < tolerance
    cols = run("im2col", x, w.shape[2:], *window[:3])
    other = random(np.random.default_rng(1), cols.shape)
    back = run("col2im", other, x.shape, w.shape[2:], *window[:3])
    assert abs(np.vdot(cols, other) - np.vdot(x, back)) < tolerance


@needs_numba
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [ONES, (2, 2)])
def test_fast_conv2d_in_many_blocks(groups: int, stride: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Images far larger than a block of windows, so that blocks end within an image."""
    from tinycnn.kernels.cpu import conv

    monkeypatch.setattr(conv, "_BLOCK_BYTES", 5000)
    geometry = ((3, 4, 19, 17), (6, 4 // groups, 3, 3), stride, ((1, 1), (1, 1)), ONES, groups)
    x, w, bias, g = conv_arrays(geometry)
    window = geometry[2:]
    check("conv2d", x, w, bias, *window, terms=1000)
    check("conv2d_input_grad", g, w, x.shape, *window, terms=1000)
    check("conv2d_weight_grad", g, x, w.shape, *window, terms=1000)


@needs_numba
def test_fast_conv2d_that_is_worth_threads() -> None:
    geometry = ((4, 16, 30, 30), (24, 16, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1)
    x, w, bias, g = conv_arrays(geometry, np.float32)
    window = geometry[2:]
    check("conv2d", x, w, bias, *window, terms=144, scale=4)
    check("conv2d_input_grad", g, w, x.shape, *window, terms=216, scale=4)
    check("conv2d_weight_grad", g, x, w.shape, *window, terms=3600, scale=4)
    strided = ((2, 2), *window[1:])
    g = g[:, :, :15, :15]
    check("conv2d_input_grad", g, w, x.shape, *strided, terms=216, scale=4)


@needs_numba
def test_fast_conv2d_stores_its_results_channels_last() -> None:
    geometry = GEOMETRIES["3x3 same"]
    x, w, bias, g = conv_arrays(geometry)
    window = geometry[2:]
    assert fast("conv2d", x, w, bias, *window).transpose(0, 2, 3, 1).flags.c_contiguous
    assert fast("conv2d_input_grad", g, w, x.shape, *window).transpose(0, 2, 3, 1).flags.c_contiguous


@needs_numba
def test_a_broadcast_gradient() -> None:
    """What the gradient of a sum looks like: one number seen everywhere."""
    geometry = GEOMETRIES["3x3 same"]
    x, w, _, g = conv_arrays(geometry, np.float32)
    window = geometry[2:]
    everywhere = np.broadcast_to(np.float32(2), g.shape)
    expected = plain("conv2d_weight_grad", everywhere, x, w.shape, *window)
    assert_close(fast("conv2d_weight_grad", everywhere, x, w.shape, *window), expected, 100)
    assert_close(fast("relu_backward", everywhere, g), plain("relu_backward", everywhere, g))
    assert_close(fast("relu", everywhere), everywhere)


# ---------------------------------------------------------------------------------------------------------- pooling

# x (N, C, H, W), kernel, stride, padding, dilation, output size
POOLS: dict[str, tuple[Any, ...]] = {
    "2x2": ((2, 3, 6, 8), (2, 2), (2, 2), (0, 0), ONES, (3, 4)),
    "3x3 stride 2": ((2, 3, 7, 9), (3, 3), (2, 2), (1, 1), ONES, (4, 5)),
    "overlapping": ((2, 2, 5, 6), (3, 2), (1, 1), (1, 0), ONES, (5, 5)),
    "stride above kernel": ((2, 2, 9, 8), (2, 1), (3, 3), (0, 0), ONES, (3, 3)),
    "remainder": ((2, 2, 8, 7), (3, 2), (3, 2), (0, 0), ONES, (2, 3)),
    "last window sticks out": ((2, 2, 6, 7), (3, 2), (2, 2), (0, 0), ONES, (3, 4)),
    "dilated": ((2, 2, 9, 8), (3, 2), (2, 1), (1, 1), (2, 3), (4, 7)),
    "nothing but padding": ((1, 1, 2, 2), (2, 2), (1, 1), (1, 1), (3, 3), (1, 1)),
    "whole image": ((2, 5, 4, 3), (4, 3), (1, 1), (0, 0), ONES, (1, 1)),
    "many channels": ((2, 70, 4, 4), (2, 2), (2, 2), (0, 0), ONES, (2, 2)),
    "worth threads": ((4, 16, 32, 32), (3, 3), (2, 2), (1, 1), ONES, (16, 16)),
    "no image": ((0, 3, 6, 8), (2, 2), (2, 2), (0, 0), ONES, (3, 4)),
}
each_pool = pytest.mark.parametrize("geometry", POOLS.values(), ids=POOLS.keys())


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@each_pool
def test_fast_max_pool2d(geometry: tuple[Any, ...], dtype: Any) -> None:
    x_shape, *window = geometry
    x = random(np.random.default_rng(0), x_shape, dtype)
    check("max_pool2d", x, *window, layouts=tuple(LAYOUTS))
    check("max_pool2d", np.rint(x), *window, layouts=("planes", "channels-last"))  # many ties
    x[np.random.default_rng(1).random(x_shape) < 0.2] = np.nan
    x[np.random.default_rng(2).random(x_shape) < 0.3] = -np.inf
    check("max_pool2d", x, *window, layouts=("planes", "channels-last"))


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out_size", [(1, 1), (2, 3), (5, 4), (7, 9)])
def test_fast_adaptive_max_pool2d(out_size: tuple[int, int], dtype: Any) -> None:
    x = random(np.random.default_rng(0), (2, 3, 7, 6), dtype)
    check("adaptive_max_pool2d", x, out_size, layouts=tuple(LAYOUTS))
    x = np.rint(x)
    x[0, :, 2:4, ::2] = np.nan
    check("adaptive_max_pool2d", x, out_size, layouts=tuple(LAYOUTS))
    check("adaptive_max_pool2d", x[:0], out_size)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@each_pool
def test_fast_gather_and_scatter(geometry: tuple[Any, ...], dtype: Any) -> None:
    x_shape, *window = geometry
    rng = np.random.default_rng(0)
    x = random(rng, x_shape, dtype)
    where = plain("max_pool2d", x, *window)[1]
    g = random(rng, where.shape, dtype)
    check("gather_plane", x, where, layouts=tuple(LAYOUTS), other="channels-last")
    check("gather_plane", x, where, layouts=("planes", "fortran"))
    check("scatter_plane", g, where, x_shape[2:], None, terms=9, layouts=tuple(LAYOUTS), other="channels-last")
    check("scatter_plane", g, where, x_shape[2:], None, terms=9, layouts=("planes", "fortran"))


@pytest.mark.parametrize("run", [plain, pytest.param(fast, marks=needs_numba)])
def test_no_place_in_a_plane(run: Callable[..., Any]) -> None:
    """A window of nothing but padding has the place -1: it takes nothing and gives nothing."""
    y, where = run("max_pool2d", np.ones((2, 1, 2, 2)), *POOLS["nothing but padding"][1:])
    assert (y == -np.inf).all()
    assert (where == -1).all()
    assert (run("scatter_plane", np.ones(where.shape), where, (2, 2), None) == 0).all()
    assert (run("gather_plane", np.ones((2, 1, 2, 2)), where) == 0).all()


@needs_numba
@pytest.mark.parametrize("name", ["gather_plane", "scatter_plane"])
def test_an_index_outside_the_plane_raises(name: str) -> None:
    index = np.array([[[[0, 4]]]])
    args = (np.ones((1, 1, 2, 2)), index) if name == "gather_plane" else (np.ones((1, 1, 1, 2)), index, (2, 2), None)
    with pytest.raises(IndexError, match=f"{name}: an index is too large for planes of 2 x 2 pixels"):
        fast(name, *args)


def divisor_of(geometry: tuple[Any, ...], dtype: Any) -> Array:
    rng = np.random.default_rng(3)
    return rng.integers(1, 10, geometry[5]).astype(dtype)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@each_pool
def test_fast_avg_pool2d(geometry: tuple[Any, ...], dtype: Any) -> None:
    x_shape, kernel, stride, padding, _, out_size = geometry
    rng = np.random.default_rng(0)
    x, g = random(rng, x_shape, dtype), random(rng, (*x_shape[:2], *out_size), dtype)
    for divisor in (divisor_of(geometry, dtype), 3.0):
        window, terms = (kernel, stride, padding), kernel[0] * kernel[1]
        check("avg_pool2d", x, *window, out_size, divisor, terms=terms, layouts=tuple(LAYOUTS))
        check("avg_pool2d_backward", g, x_shape[2:], *window, divisor, terms=terms, layouts=tuple(LAYOUTS))


@pytest.mark.parametrize("run", [plain, pytest.param(fast, marks=needs_numba)])
@each_pool
def test_pool_gradients_are_adjoints(geometry: tuple[Any, ...], run: Callable[..., Any]) -> None:
    x_shape, kernel, stride, padding, dilation, out_size = geometry
    rng = np.random.default_rng(0)
    x, g = random(rng, x_shape), random(rng, (*x_shape[:2], *out_size))
    window, divisor = (kernel, stride, padding), divisor_of(geometry, x.dtype)
    back = run("avg_pool2d_backward", g, x_shape[2:], *window, divisor)
    assert np.vdot(run("avg_pool2d", x, *window, out_size, divisor), g) == pytest.approx(
        np.vdot(x, back), rel=1e-9, abs=1e-9
    )
    where = run("max_pool2d", x, kernel, stride, padding, dilation, out_size)[1]
    back = run("scatter_plane", g, where, x_shape[2:], None)
    assert np.vdot(run("gather_plane", x, where), g) == pytest.approx(np.vdot(x, back), rel=1e-9, abs=1e-9)


# ---------------------------------------------------------------------------------------------------- normalisation

NORM_SHAPES = [(4, 3, 5, 6), (2, 1, 3, 3), (1, 8, 1, 1), (5, 33, 2, 1), (3, 7, 1, 1), (8, 16, 20, 20), (6, 1, 128, 128)]
NORM_SHAPES += [(4, 40, 16, 18)]  # rows that are long enough to be read where they lie, for several jobs


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", NORM_SHAPES)
def test_fast_batch_norm(shape: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, g = random(rng, shape, dtype) * 3 + 2, random(rng, shape, dtype)
    weight, bias = random(rng, shape[1:2], dtype), random(rng, shape[1:2], dtype)
    count = x.size // shape[1]
    mean, variance = fast("channel_moments", x)
    exact_mean, exact_variance = plain("channel_moments", x.astype(np.float64))
    assert mean.dtype == variance.dtype == np.float64
    np.testing.assert_allclose(mean, exact_mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variance, exact_variance, rtol=1e-12, atol=1e-12)
    check("channel_moments", x.astype(np.float64), terms=count, scale=4, layouts=tuple(LAYOUTS))
    check("channel_sum", x, terms=count, scale=4, layouts=tuple(LAYOUTS))
    inv_std = 1 / np.sqrt(variance + 1e-2)
    for w, b in ((weight, bias), (weight, None), (None, None)):
        check("batch_norm_backward", g, x, mean, inv_std, w, terms=count, scale=40, layouts=tuple(LAYOUTS))
        check("batch_norm_backward", g, x, mean, inv_std, w, terms=count, scale=40, other="channels-last")
        for shortcut in (None, g):
            for relu in (True, False) if shortcut is None else (True,):
                given = x, mean, variance, w, b, 1e-2, relu, shortcut
                check("batch_norm_eval", *given, scale=40, layouts=tuple(LAYOUTS))
                check("batch_norm_eval", x, *[a.astype(dtype) for a in given[1:3]], *given[3:], scale=40)
                train = x, w, b, 1e-2, relu, shortcut, None
                check("batch_norm_train", *train, terms=count, scale=40, layouts=tuple(LAYOUTS))
            y, _ = plain("batch_norm_eval", x, mean, variance, w, b, 1e-2, True, shortcut)
            args = (g, y, x, mean, inv_std, w, b, shortcut is not None)
            check("batch_norm_relu_backward", *args, terms=count, scale=40, layouts=tuple(LAYOUTS))


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_reads_joined_images_where_they_lie(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No copy is made, the results are those of a copy to the bit, and the other channels stay as they are."""
    from tinycnn.kernels.cpu import norm

    rng = np.random.default_rng(0)
    plain_x, g = random(rng, (4, 40, 16, 18), dtype), random(rng, (4, 40, 16, 18), dtype)
    copy, part = STORED["channels-last"](plain_x), joined(plain_x)
    mean, inv_std = random(rng, (40,)), np.abs(random(rng, (40,)))

    def results(x: Array) -> list[Array]:
        found = list(fast("channel_moments", x))
        for relu, shortcut in ((False, None), (True, None), (True, g)):
            found += fast("batch_norm_train", x, None, None, 1e-5, relu, shortcut, None)
            found += fast("batch_norm_eval", x, mean, inv_std, None, mean, 1e-5, relu, shortcut)
        found += fast("batch_norm_backward", g, x, mean, inv_std, None)
        for shortcut in (True, False):
            found += as_tuple(fast("batch_norm_relu_backward", g, g, x, mean, inv_std, None, mean, shortcut))
        return found

    expected = results(copy)
    read = norm.channels_last
    monkeypatch.setattr(norm, "channels_last", lambda x: pytest.fail("copied") if x is part else read(x))
    for a, b in zip(results(part), expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, part) and a.flags.writeable
    assert np.isnan(part.base[..., 40:]).all()


@needs_numba
def test_which_images_are_the_first_channels_of_others() -> None:
    from tinycnn.kernels.cpu.rows import whole_image

    whole = np.zeros((3, 5, 6, 40), np.float32)
    images = whole.transpose(0, 3, 1, 2)
    frozen = np.zeros_like(whole)
    frozen.flags.writeable = False
    assert whole_image(images[:, :7]) is whole
    assert whole_image(images[:, :1][...]) is whole
    others = {
        "all of them": images,
        "later channels": images[:, 1:9],
        "every other channel": images[:, ::2],
        "backwards": images[:, ::-1],
        "some images": images[:2, :7],
        "images backwards": images[::-1, :7],
        "some lines": images[:, :7, :4],
        "some pixels": images[:, :7, :, ::2],
        "upside down": images[:, :7, ::-1],
        "no channel": images[:, :0],
        "one dimension less": whole.reshape(3, 30, 40)[:, None].transpose(0, 3, 1, 2)[:, :7],
        "another dtype": whole.view(np.int32).transpose(0, 3, 1, 2)[:, :7],
        "repeated": np.broadcast_to(images[:1, :7], (3, 7, 5, 6)),
        "another order": whole.transpose(0, 3, 2, 1)[:, :7],
        "planes": np.zeros((3, 40, 5, 6), np.float32)[:, :7],
        "read-only": frozen.transpose(0, 3, 1, 2)[:, :7],
        "a copy": images[:, :7].copy(),
    }
    assert [name for name, x in others.items() if whole_image(x) is not None] == []


@needs_numba
def test_moments_keep_their_digits_far_from_zero() -> None:
    """One pass of sums and squares in single precision would leave nothing of this variance."""
    x = random(np.random.default_rng(0), (8, 2, 64, 64)) * 1e-3 + 1e4
    mean, variance = fast("channel_moments", x)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(variance, x.var(axis=(0, 2, 3)), rtol=1e-9)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.25, 0.0, 1.0])
def test_fast_running_statistics(dtype: Any, momentum: float) -> None:
    """They are moved in place, also where they lie apart in memory, are of another dtype, or one is not there."""
    rng = np.random.default_rng(0)
    x = random(rng, (2, 5, 3, 4), dtype)
    other = np.float64 if dtype == np.float32 else np.float32
    for mean, var in (
        (random(rng, (5,), dtype), rng.random(5).astype(dtype)),
        (np.zeros((5, 2), dtype)[:, 0], np.ones(10, dtype)[::2]),
        (np.zeros(5, other), np.ones(5, other)),
        (np.zeros(5, dtype), None),
        (None, np.ones(5, dtype)),
    ):
        expected = [None if a is None else a.copy() for a in (mean, var)]
        rest = x, None, None, 1e-3, False, None
        plain("batch_norm_train", *rest, (*expected, momentum))
        fast("batch_norm_train", *rest, (mean, var, momentum))
        for moved, wanted in zip((mean, var), expected, strict=True):
            if wanted is not None:
                assert moved.dtype == wanted.dtype
                eps = 8 * np.finfo(moved.dtype).eps
                np.testing.assert_allclose(moved, wanted, rtol=eps, atol=eps)


@needs_numba
def test_batch_norm_of_no_images() -> None:
    x = np.zeros((0, 3, 4, 4), np.float32)
    one = np.ones(3)
    gx, gweight, gbias = fast("batch_norm_backward", x, x, one, one, None)
    assert gx.shape == x.shape
    assert (gweight == 0).all()
    assert (gbias == 0).all()
    for shortcut in (None, x):
        for relu in (True, False):
            y, inv_std = fast("batch_norm_eval", x, one, one, None, None, 3.0, relu, shortcut)
            assert y.shape == x.shape
            assert (inv_std == 0.5).all()
        gx, _, gbias, gshortcut = fast("batch_norm_relu_backward", x, x, x, one, one, None, None, shortcut is not None)
        assert gx.shape == x.shape
        assert (gbias == 0).all()
        assert (gshortcut is None) == (shortcut is None)
    assert all(np.isnan(part).all() for part in fast("channel_moments", x))
    assert (fast("channel_sum", x) == 0).all()


# ------------------------------------------------------------------------------------------------------ activations

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2), (0, 3), (2, 0, 3, 3), (300, 400)]
ONE_ARRAY: dict[str, tuple[Any, ...]] = {"relu": (), "leaky_relu": (0.1,), "sigmoid": (), "gelu": (), "silu": ()}
TWO_ARRAYS: dict[str, tuple[Any, ...]] = {
    "relu_backward": (),
    "leaky_relu_backward": (0.1,),
    "sigmoid_backward": (),
    "tanh_backward": (),
    "gelu_backward": (),
    "silu_backward": (),
}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 100.0, -100.0, 1e30, -1e30]


def layouts_of(shape: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(LAYOUTS) if len(shape) > 1 and math.prod(shape) < 1000 else ("planes",)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fast_activations(shape: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, g = random(rng, shape, dtype), random(rng, shape, dtype)
    x, g = np.asarray(x * 3, dtype), np.asarray(g, dtype)
    for name, rest in ONE_ARRAY.items():
        check(name, x, *rest, layouts=layouts_of(shape))
    for name, rest in TWO_ARRAYS.items():
        check(name, g, x, *rest, scale=10, layouts=layouts_of(shape))
        check(name, g, x, *rest, scale=10, layouts=layouts_of(shape), other="channels-last" if len(shape) > 2 else "")


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ONE_ARRAY, *TWO_ARRAYS])
@pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")
def test_fast_activations_of_special_numbers(name: str, dtype: Any) -> None:
    x = np.array(SPECIAL, dtype)
    rest = {**ONE_ARRAY, **TWO_ARRAYS}[name]
    args = (x, *rest) if name in ONE_ARRAY else (np.ones_like(x), x, *rest)
    assert_close(fast(name, *args), plain(name, *args), scale=name in ("sigmoid", "silu", "silu_backward"))


@needs_numba
def test_activations_keep_the_layout() -> None:
    x = random(np.random.default_rng(0), (2, 3, 4, 5), np.float32)
    for axes in itertools.permutations(range(4)):
        laid_out = np.ascontiguousarray(x.transpose(axes)).transpose(tuple(np.argsort(axes)))
        assert fast("relu", laid_out).strides == laid_out.strides
        assert fast("relu_backward", x, laid_out).strides == laid_out.strides


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((7,), 0),
        ((3, 5), 1),
        ((3, 5), 0),
        ((2, 4, 3, 3), 1),
        ((2, 4, 3, 3), -2),
        ((0, 5), 1),
        ((2, 3, 0), 1),
        ((400, 30), 1),
    ],
)
def test_fast_softmax(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, g = random(rng, shape, dtype) * 5, random(rng, shape, dtype)
    for name in ("softmax", "log_softmax"):
        check(name, x, axis, scale=10, layouts=layouts_of(shape))
        y = plain(name, x, axis)
        check(f"{name}_backward", g, y, axis, terms=shape[axis], scale=10, layouts=layouts_of(shape))
        check(f"{name}_backward", g, y, axis, terms=shape[axis], scale=10, other="fortran")


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_fast_softmax_of_special_numbers(name: str, dtype: Any) -> None:
    inf, nan = np.inf, np.nan
    rows = [
        [1, -inf, 2],
        [-inf, -inf, -inf],
        [inf, 1, -inf],
        [inf, inf, 0],
        [nan, 1, 2],
        [1, nan, inf],
        [1e30, 0, -1e30],
    ]
    x = np.array(rows, dtype)
    assert_close(fast(name, x, 1), plain(name, x, 1))


# -------------------------------------------------------------------------------------------------------- optimiser


# The optimisers' kernels: how many arrays they remember, and numbers to call them with. A None takes an array's place.
STEPS: dict[str, list[tuple[tuple[bool, ...], tuple[Any, ...]]]] = {
    "sgd_steps": [
        ((remembers,), (0.1, 0.9 * remembers, *rest))
        for remembers in (False, True)
        for rest in ((0.0, 0.0, False), (0.3, 0.1, False), (0.0, 0.1, True))
    ],
    "adam_steps": [
        ((True, True, peak, False), (7, 0.1, 0.9, 0.99, 1e-8, decay, decoupled))
        for peak in (False, True)
        for decay, decoupled in ((0.0, False), (0.1, False), (0.1, True))
    ],
    "rmsprop_steps": [
        ((True, mean, velocity), (0.1, 0.9, 1e-2, 0.9 * velocity, decay))
        for mean, velocity in itertools.product((False, True), repeat=2)
        for decay in (0.0, 0.1)
    ],
    "adagrad_steps": [((True,), (0.1, 1e-10, decay)) for decay in (0.0, 0.1)],
}
STATES = {name: len(cases[0][0]) for name, cases in STEPS.items()}
ALL_STEPS = [(name, *case) for name, cases in STEPS.items() for case in cases]


def stepped(run: Callable[..., Any], name: str, *args: Any) -> Any:
    """One step of two parameters, of which the second is a copy that comes out the same."""
    arrays, rest = (list(a) for a in (args[: 2 + STATES[name]], args[2 + STATES[name] :]))
    copies = [None if a is None else a.copy() for a in arrays]
    columns = [None if a is None else [a, b] for a, b in zip(arrays, copies, strict=True)]
    result = run(name, *columns, *rest)
    for a, b in zip(arrays, copies, strict=True):
        if a is not None:
            assert_close(a, b)
    return result


def states_of(name: str, remembers: tuple[bool, ...], rng: np.random.Generator, shape: Any, dtype: Any) -> list[Any]:
    """What an optimiser may remember: squares that are no less than the mean's."""
    states = [np.asarray(random(rng, shape, dtype), dtype) * dtype(0.1) for _ in remembers]
    if name != "sgd_steps":
        for i in (1, 2) if name == "adam_steps" else (0,):
            states[i] = abs(states[i]) + dtype(0.5)
    return [s if present else None for s, present in zip(states, remembers, strict=True)]


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (4, 3, 2, 2), (300, 400)], ids=str)
@pytest.mark.parametrize(("name", "remembers", "numbers"), ALL_STEPS)
def test_fast_optimiser_steps(
    name: str, remembers: tuple[bool, ...], numbers: tuple[Any, ...], shape: tuple[int, ...], dtype: Any
) -> None:
    rng = np.random.default_rng(0)
    param, grad = (np.asarray(random(rng, shape, dtype), dtype) for _ in range(2))
    states = states_of(name, remembers, rng, shape, dtype)
    layouts = ["planes", "channels-last", "backwards", "spread"] if len(shape) == 4 else ["planes"]
    for of_param, of_grad, of_state in itertools.product(layouts, repeat=3):
        results = []
        for run in (fast, plain):
            p, g = LAYOUTS[of_param](param.copy()), LAYOUTS[of_grad](grad)
            memory = [None if s is None else LAYOUTS[of_state](s.copy()) for s in states]
            assert stepped(run, name, p, g, *memory, *numbers) is None
            np.testing.assert_array_equal(g, grad)
            results.append((p, *(m for m in memory if m is not None)))
        assert_close(*results, scale=2)
        if param.size:
            assert not np.array_equal(results[0][0], param)


@pytest.mark.parametrize("run", [plain, pytest.param(fast, marks=needs_numba)])
def test_steps_counted_in_memory(run: Callable[..., Any]) -> None:
    """Adam's number of the step, given in an array or as it is; the arrays are counted up one by one."""
    counts = [np.asarray(start, np.float32) for start in (2, 6)]
    run("count_up", counts)
    assert counts == [3, 7]
    for count in counts:
        params = [np.ones(3), np.ones(3)]
        for param, by in zip(params, ((count, 0), (None, int(count))), strict=True):
            states = [np.full(3, 0.5)], [np.full(3, 0.25)], None, None if by[0] is None else [by[0]]
            run("adam_steps", [param], [np.ones(3)], *states, by[1], 0.1, 0.9, 0.99, 1e-8, 0.1, True)
        assert_close(*params)


@needs_numba
@pytest.mark.parametrize("name", STEPS)
def test_steps_without_decay_leave_infinity_alone(name: str) -> None:
    decay = {"sgd_steps": 3, "adam_steps": 5, "rmsprop_steps": 4, "adagrad_steps": 2}[name]
    for remembers, numbers in STEPS[name]:
        if numbers[decay] == 0:
            param = np.array([np.inf, 1.0])
            stepped(fast, name, param, np.ones(2), *(np.ones(2) if r else None for r in remembers), *numbers)
            assert param[0] == np.inf


@needs_numba
def test_an_amsgrad_step_keeps_nan() -> None:
    param, square, peak = (np.full(2, start) for start in (1.0, 0.0, 0.5))
    for run in (fast, plain):
        states = np.zeros(2), square, peak, None
        stepped(run, "adam_steps", param, np.array([np.nan, 1.0]), *states, *STEPS["adam_steps"][0][1])
        assert np.isnan(param).tolist() == np.isnan(square).tolist() == np.isnan(peak).tolist() == [True, False]


# -------------------------------------------------------------------------------------------- what holds for them all


def every_kernel(dtype: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """One call of each kernel, of a size that is worth threads."""
    rng = np.random.default_rng(0)
    x, g = (random(rng, (4, 16, 32, 32), dtype) for _ in range(2))
    w, depthwise = random(rng, (16, 16, 3, 3), dtype), random(rng, (16, 1, 3, 3), dtype)
    pads = ((1, 1), (1, 1))
    few = w[:4]
    for weights, groups in ((w, 1), (few, 1), (depthwise, 16)):
        k = weights.shape[0]
        yield "conv2d", (x, weights, random(rng, (k,), dtype), ONES, pads, ONES, groups)
        yield "conv2d", (x, weights, random(rng, (k,), dtype), ONES, pads, ONES, groups, True)
        yield "conv2d_input_grad", (g[:, :k], weights, x.shape, ONES, pads, ONES, groups)
        yield "conv2d_input_grad", (g[:, :k, ::2, ::2], weights, x.shape, (2, 2), pads, ONES, groups)
        yield "conv2d_weight_grad", (g[:, :k], x, weights.shape, ONES, pads, ONES, groups)
        shapes = x.shape, weights.shape
        yield "conv2d_backward", (g[:, :k], x, weights, *shapes, ONES, pads, ONES, groups, (True, True, True))
        yield "conv2d_weight_grad", (g[:, :k, ::2, ::2], x, weights.shape, (2, 2), pads, ONES, groups)
    yield "conv2d_relu_gate", (g, x)
    window = (3, 3), ONES, pads, ONES
    yield "im2col", (x, *window)
    yield "col2im", (plain("im2col", x, *window), x.shape, *window)
    pool = (3, 3), (2, 2), (1, 1)
    divisor = np.full((16, 16), 9, dtype)
    where = plain("max_pool2d", x, *pool, ONES, (16, 16))[1]
    yield "max_pool2d", (x, *pool, ONES, (16, 16))
    yield "adaptive_max_pool2d", (x, (5, 5))
    yield "avg_pool2d", (x, *pool, (16, 16), divisor)
    yield "avg_pool2d_backward", (g[:, :, :16, :16], (32, 32), *pool, divisor)
    tiles = (3, 2), (3, 2), (0, 0)
    yield "avg_pool2d", (x, *tiles, (10, 16), 6.0)
    yield "avg_pool2d_backward", (g[:, :, :10, :16], (32, 32), *tiles, 6.0)
    yield "gather_plane", (x, where)
    yield "scatter_plane", (g[:, :, :16, :16], where, (32, 32), None)
    mean, inv_std = random(rng, (16,)), np.abs(random(rng, (16,)))
    rows, matrix = random(rng, (5, 1500), dtype), random(rng, (1500, 300), dtype)
    yield "matmul", (rows, matrix)
    part = np.concatenate([x, g], axis=1)[:, 3:19]
    yield "concatenate", (x, (part, g), 1)
    yield "add", (part, x)
    yield "channel_moments", (x,)
    yield "channel_sum", (x,)
    yield "batch_norm_backward", (g, x, mean, inv_std, None)
    for relu, shortcut in ((False, None), (True, None), (True, g)):
        yield "batch_norm_train", (x, None, None, 1e-5, relu, shortcut, None)
        yield "batch_norm_eval", (x, mean, inv_std, None, None, 1e-5, relu, shortcut)
    for shortcut in (True, False):
        yield "batch_norm_relu_backward", (g, x, x, mean, inv_std, None, mean, shortcut)
    for name, rest in ONE_ARRAY.items():
        yield name, (x, *rest)
    for name, rest in TWO_ARRAYS.items():
        yield name, (g, x, *rest)
    for name in ("softmax", "log_softmax"):
        yield name, (x, 1)
        yield f"{name}_backward", (g, plain(name, x, 1), 1)
    for step, remembers, numbers in ALL_STEPS:
        yield step, (x.copy(), g, *states_of(step, remembers, rng, x.shape, dtype), *numbers)
    labels = np.arange(4) % 3
    yield "cross_entropy", (x[:, :, 0, 0], labels, None, True, None)
    yield "cross_entropy_backward", (x[0, 0, 0, 0], x[:, :, 0, 0], labels, 0.25, None)
    yield "count_up", ([np.zeros((), np.float32)],)


def run_fresh(name: str, args: tuple[Any, ...]) -> tuple[Array, ...]:
    """Run a fast kernel; those that work in place give the arrays that they change."""
    if name == "count_up":
        fast(name, [count.copy() for count in args[0]])
        return ()
    if name not in STEPS:
        return as_tuple(fast(name, *args))
    args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    stepped(fast, name, *args)
    return tuple(a for a in args if isinstance(a, np.ndarray))


@needs_numba
def test_the_fast_set_is_complete() -> None:
    formulas = {formula.__name__ for formula in reference.FORMULAS}
    of_numpy = formulas | {"clip_to_norm", "norm_of", "unscale"}  # it does those that nobody wrote a loop for
    assert set(cpu.KERNELS) | of_numpy == set(reference.KERNELS)
    assert {name for name, _ in every_kernel(np.float32)} == set(cpu.KERNELS)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_fast_kernels_repeat_to_the_bit(dtype: Any) -> None:
    """Again, and with one thread, the same bits come out."""
    threads = cpu.get_num_threads()
    for name, args in every_kernel(dtype):
        first, again = run_fresh(name, args), run_fresh(name, args)
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
        cpu.set_num_threads(1)
        alone = run_fresh(name, args)
        cpu.set_num_threads(threads)
        for a, b in zip(first, alone, strict=True):
            assert_close(a, b)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_leaks_from_uninitialised_memory(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every np.empty full of NaN (and the scratch memory, too) the results are as before."""
    from tinycnn.kernels.cpu import layout

    calls = list(every_kernel(dtype))
    expected = [run_fresh(name, args) for name, args in calls]
    poison_fresh_memory(monkeypatch, numpys_too=True)
    for (name, args), results in zip(calls, expected, strict=True):
        layout._scratch.memory.fill(255)  # all bits set: a NaN
        for a, e in zip(run_fresh(name, args), results, strict=True):
            np.testing.assert_array_equal(a, e, err_msg=name)


@needs_numba
def test_kernels_run_in_several_threads_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    geometry = ((4, 16, 30, 30), (24, 16, 3, 3), ONES, ((1, 1), (1, 1)), ONES, 1)
    x, w, _, _ = conv_arrays(geometry, np.float32)
    inputs = [x * i for i in range(8)]
    expected = [fast("conv2d", each, w, None, *geometry[2:]) for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda each: fast("conv2d", each, w, None, *geometry[2:]), inputs))
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, 144)


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_computes_too() -> None:
    """As a data loader's worker would, from a process that has started its threads."""
    import multiprocessing

    x = random(np.random.default_rng(0), (300, 400))
    expected = float(fast("relu", x).sum())
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_sum_of_relu, (x,)) == expected


def _sum_of_relu(x: Array) -> float:
    return float(fast("relu", x).sum())


@needs_numba
@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_every_threading_layer_bears_several_callers(layer: str) -> None:
    """What is taken where OpenMP is missing ends the process at a second caller; the launcher lets in one at a time."""
    script = (
        "from concurrent.futures import ThreadPoolExecutor\nimport numpy as np\nfrom tinycnn.kernels import cpu\n"
        "x = np.ones((300, 400))\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    assert all(y.sum() == x.size for y in pool.map(lambda _: cpu.KERNELS['relu'](x), range(200)))\n"
    )
    run_python(script, NUMBA_THREADING_LAYER_PRIORITY=" ".join([layer, *{"workqueue", "omp", "tbb"} - {layer}]))


@needs_numba
def test_number_of_threads() -> None:
    most = cpu.get_num_threads()
    cpu.set_num_threads(1)
    assert cpu.get_num_threads() == 1
    cpu.set_num_threads(most)
    for n in (0, 100_000):
        with pytest.raises(ValueError, match=f"set_num_threads: expected 1 to .* threads, got {n}"):
            cpu.set_num_threads(n)


def run_python(script: str, **environment: str) -> str:
    """What a new Python process prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@needs_numba
def test_on_compile_tells_what_is_compiled_and_the_disk_remembers(tmp_path: Any) -> None:
    """In two new processes with an empty cache folder: the first compiles, the second only loads."""
    script = (
        "from tinycnn.kernels import cpu\nimport numpy as np\n"
        "names = []\n"
        "with cpu.on_compile(names.append):\n"
        "    cpu.KERNELS['relu'](np.ones(3, np.float32))\n"
        "print(names)"
    )
    for expected in ("['relu']", "[]"):
        assert run_python(script, TINYCNN_CACHE_DIR=str(tmp_path)) == expected


@needs_numba
def test_warm_up_compiles_every_kernel() -> None:
    script = (
        "from tinycnn.kernels import cpu\n"
        "from tinycnn.kernels.cpu import _jit, conv, elementwise, layout, norm, optim, planes, pool, softmax\n"
        "cpu.warm_up()\n"
        "for module in (conv, elementwise, layout, norm, optim, planes, pool, softmax):\n"
        "    for name, kernel in vars(module).items():\n"
        "        if isinstance(kernel, _jit.Kernel):\n"
        "            assert len(kernel.compiled.signatures) == 1, (name, kernel.compiled.signatures)\n"
    )
    run_python(script)


@needs_numba
@pytest.mark.parametrize("worth_jobs", [0, 1 << 30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_images(dtype: Any, worth_jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images joined and added that are whole, in planes, or a part of a larger one in every way."""
    from tinycnn.kernels.cpu import rows

    monkeypatch.setattr(rows, "_WORTH_JOBS", worth_jobs)
    rng = np.random.default_rng(0)
    shape = 2, 25, 26, 24

    def channels_last(*sizes: int) -> Array:
        return random(rng, sizes, dtype).copy(order="C").transpose(0, 3, 1, 2)

    wide, frozen = channels_last(2, 26, 24, 61), channels_last(2, 26, 24, 25)
    frozen.flags.writeable = False
    kinds = [
        random(rng, shape, dtype).copy(order="C"),
        channels_last(2, 26, 24, 25),
        wide[:, 3:28],
        wide[:, 60:10:-2],
        channels_last(2, 30, 30, 25)[:, :, 2:28, 1:25],
        frozen,
        np.broadcast_to(channels_last(1, 26, 24, 25), shape),
    ]
    for a, b in itertools.product(kinds, repeat=2):
        assert a.shape == b.shape == shape
        np.testing.assert_array_equal(fast("add", a, b), a + b)
        for axis in (1, 2):
            joined = fast("concatenate", a, (b, a), axis)
            np.testing.assert_array_equal(joined, np.concatenate([a, b, a], axis=axis))
        whole = channels_last(shape[0], *shape[2:], 60).astype(a.dtype)
        whole[...] = -1
        fast("concatenate", a, (b,), 1, whole[:, 3 : 3 + 2 * shape[1]])
        np.testing.assert_array_equal(whole[:, 3 : 3 + 2 * shape[1]], np.concatenate([a, b], axis=1))
        assert (whole[:, :3] == -1).all()
        assert (whole[:, 3 + 2 * shape[1] :] == -1).all()
