"""The convolutions in vector code: each geometry that selects one, and those just outside, at each width of vectors."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from poison import poison_fresh_memory

pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

import tinycnn
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.cpu import (
    _examples,
    _jobs,
    _plan,
    _simd,
    conv,
    direct,
    direct_weights,
    layout,
    spread,
    winograd,
    winograd_weights,
)

Array = Any
CHIPS = _simd.available()
if not CHIPS:
    pytest.skip("this chip has no vectors that the kernels know", allow_module_level=True)

each_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


@pytest.fixture(autouse=True)
def _nothing_is_zero_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory and the memory to work in are full of NaN: whoever reads what nobody wrote is found out."""

    def scratch_floats(count: int) -> tuple[Array, int]:
        memory, address = layout.scratch_floats(count)
        memory.fill(np.nan)
        return memory, address

    poison_fresh_memory(monkeypatch)
    for module in (direct, direct_weights, spread, winograd, winograd_weights):
        monkeypatch.setattr(module, "scratch_floats", scratch_floats)


@pytest.fixture(autouse=True)
def _small_ones_run_on_threads_too(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the large ones do: here even the smallest is cut into jobs for all threads."""
    monkeypatch.setattr(winograd, "_MANY_WEIGHTS", 0)
    monkeypatch.setattr(winograd, "_MANY_SUMS", 0)
    _plan.forget_plans()
    yield
    _plan.forget_plans()


def arrays(x_shape: Any, w_shape: Any, stride: Any, pads: Any, seed: int = 0) -> tuple[Array, ...]:
    """x, w, bias, g as float32."""
    rng = np.random.default_rng(seed)
    n, _, *image = x_shape
    k, _, *kernel = w_shape
    size = [(image[i] + sum(pads[i]) - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    shapes = x_shape, w_shape, (k,), (n, k, *size)
    x, w, bias, g = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, w, bias, g


def error(actual: Array, expected: Array, terms: int) -> float:
    """The largest difference, in units of the rounding of a sum of so many terms: sqrt(terms) * eps * their size."""
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert np.isfinite(actual).all()
    return float(np.abs(actual - expected).max() / (math.sqrt(terms) * np.finfo(np.float32).eps))


def errors(x_shape: Any, w_shape: Any, stride: Any, pads: Any) -> list[float]:
    """Of y, gx, gw and gb, beside the reference in float64."""
    x, w, bias, g = arrays(x_shape, w_shape, stride, pads)
    geometry = stride, pads, (1, 1), 1
    exact = [a.astype(np.float64) for a in (x, w, bias, g)]
    y = cpu.KERNELS["conv2d"](x, w, bias, *geometry)
    np.testing.assert_array_equal(cpu.KERNELS["conv2d"](x, w, bias, *geometry, True), np.maximum(y, 0))
    backward = cpu.KERNELS["conv2d_backward"]
    gx, gw, gb = backward(g, x, w, x.shape, w.shape, *geometry, (True,) * 3)
    np.testing.assert_array_equal(cpu.KERNELS["conv2d_input_grad"](g, w, x.shape, *geometry), gx)
    np.testing.assert_array_equal(cpu.KERNELS["conv2d_weight_grad"](g, x, w.shape, *geometry), gw)
    larger = np.full((g.shape[0], *g.shape[2:], g.shape[1] + 40), np.nan, np.float32)
    larger[..., 8 : 8 + g.shape[1]] = g.transpose(0, 2, 3, 1)  # some channels of a larger image
    part = larger[..., 8 : 8 + g.shape[1]].transpose(0, 3, 1, 2)
    for a, b in zip(backward(part, x, w, x.shape, w.shape, *geometry, (True,) * 3), (gx, gw, gb), strict=True):
        np.testing.assert_array_equal(a, b)
    taps = w_shape[2] * w_shape[3]
    return [
        error(y, reference.conv2d(np, exact[0], exact[1], exact[2], *geometry), w_shape[1] * taps),
        error(gx, reference.conv2d_input_grad(np, exact[3], exact[1], x_shape, *geometry), w_shape[0] * taps),
        error(gw, reference.conv2d_weight_grad(np, exact[3], exact[0], w_shape, *geometry), g[:, 0].size),
        error(gb, exact[3].sum((0, 2, 3)), g[:, 0].size),
    ]


ONE = (1, 1)
SAME, NONE = ((1, 1), (1, 1)), ((0, 0), (0, 0))

# x (N, C, H, W), w (K, C, R, S), stride, padding
WINOGRAD: dict[str, tuple[Any, ...]] = {
    "fewest channels": ((1, 16, 8, 8), (16, 16, 3, 3), ONE, SAME),
    "odd channels and sizes": ((2, 37, 9, 11), (21, 37, 3, 3), ONE, SAME),
    "not padded": ((1, 17, 5, 6), (80, 17, 3, 3), ONE, NONE),
    "padded on one side": ((1, 16, 7, 5), (18, 16, 3, 3), ONE, ((0, 2), (1, 0))),
    "padded above the kernel": ((1, 16, 4, 5), (16, 16, 3, 3), ONE, ((3, 4), (5, 3))),
    "one pixel": ((3, 40, 1, 1), (48, 40, 3, 3), ONE, SAME),
    "one output": ((2, 16, 3, 3), (33, 16, 3, 3), ONE, NONE),
    "tiles of 3": ((2, 20, 6, 6), (32, 20, 3, 3), ONE, SAME),
    "tiles of 2": ((2, 20, 2, 2), (32, 20, 3, 3), ONE, SAME),
    "many tiles": ((3, 48, 28, 27), (70, 48, 3, 3), ONE, SAME),
    "few tiles, many weights": ((2, 300, 7, 7), (130, 300, 3, 3), ONE, SAME),
    "5x5": ((2, 37, 9, 8), (21, 37, 5, 5), ONE, ((2, 2), (2, 2))),
    "5x5, few tiles": ((2, 120, 7, 7), (250, 120, 5, 5), ONE, ((2, 2), (2, 2))),
    "5x5, one output": ((2, 24, 3, 3), (24, 24, 5, 5), ONE, SAME),
    "few tiles in many blocks": ((4, 160, 21, 21), (160, 160, 3, 3), ONE, SAME),
}


@each_chip
@pytest.mark.parametrize("geometry", WINOGRAD.values(), ids=WINOGRAD.keys())
def test_winograd(geometry: tuple[Any, ...], chip: _simd.Chip) -> None:
    with _simd.use(chip):
        assert max(errors(*geometry)) < 150


def random_geometry(rng: np.random.Generator) -> tuple[Any, ...] | None:
    """Any sizes: images smaller than the stride, padding above the kernel, few and many channels; None if none fits."""
    channels = int(rng.choice([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 48]))
    out_channels = int(rng.choice([1, 3, 4, 5, 6, 8, 10, 15, 16, 17, 32, 33, 47]))
    kernel = [3, 3] if rng.random() < 0.3 else [int(n) for n in rng.integers(1, 8, 2)]
    stride = [int(n) for n in rng.integers(1, 5, 2)] if rng.random() < 0.4 else [int(rng.integers(1, 3))] * 2
    pads = rng.integers(0, max(kernel) + 2, (2, 2)).tolist()
    image = [int(n) for n in rng.integers(1, 4 if rng.random() < 0.3 else 20, 2)]
    if any(size + sum(pad) < taps for size, pad, taps in zip(image, pads, kernel, strict=True)):
        return None
    shapes = (int(rng.integers(1, 4)), channels, *image), (out_channels, channels, *kernel)
    return *shapes, tuple(stride), tuple(map(tuple, pads))


@each_chip
@pytest.mark.parametrize("seed", range(8))
def test_random_geometries(seed: int, chip: _simd.Chip) -> None:
    rng = np.random.default_rng(seed)
    with _simd.use(chip):
        for geometry in filter(None, (random_geometry(rng) for _ in range(30))):
            assert max(errors(*geometry)) < 150, geometry


@each_chip
@pytest.mark.parametrize(
    "geometry",
    [
        ((2, 16, 1, 1), (32, 16, 3, 3), (2, 2), SAME),  # no pixel that the first tap reaches
        ((1, 8, 1, 1), (6, 8, 2, 2), (3, 3), ((2, 2), (2, 2))),  # no pixel that any tap reaches
    ],
)
def test_pixels_that_no_tap_reaches(geometry: tuple[Any, ...], chip: _simd.Chip) -> None:
    with _simd.use(chip):
        assert max(errors(*geometry)) < 40


@each_chip
@pytest.mark.parametrize("name", ["odd channels and sizes", "few tiles, many weights", "5x5"])
def test_strict_winograd(name: str, chip: _simd.Chip) -> None:
    assert cpu.get_precision() == "fast"
    cpu.set_precision("strict")
    try:
        with _simd.use(chip):
            assert max(errors(*WINOGRAD[name])) < 40
    finally:
        cpu.set_precision("fast")


def test_a_precision_that_there_is_not() -> None:
    for set_precision in (cpu.set_precision, tinycnn.set_precision):
        with pytest.raises(ValueError, match="set_precision: expected 'fast' or 'strict', got 'exact'"):
            set_precision("exact")


def test_the_public_switch_is_the_kernels_own() -> None:
    tinycnn.set_precision("strict")
    try:
        assert cpu.get_precision() == tinycnn.get_precision() == "strict"
    finally:
        tinycnn.set_precision("fast")
    assert cpu.get_precision() == tinycnn.get_precision() == "fast"


DIRECT: dict[str, tuple[Any, ...]] = {
    "stem": ((2, 3, 19, 21), (20, 3, 7, 7), (2, 2), ((3, 3), (3, 3))),
    "stem of AlexNet": ((2, 3, 40, 45), (24, 3, 11, 11), (4, 4), SAME),
    "5x5 same": ((2, 5, 11, 9), (37, 5, 5, 5), ONE, ((2, 2), (2, 2))),
    "LeNet, first": ((2, 1, 12, 12), (6, 1, 5, 5), ONE, ((2, 2), (2, 2))),
    "LeNet, second": ((3, 6, 14, 14), (16, 6, 5, 5), ONE, NONE),
    "3x3 stride 2": ((2, 32, 13, 14), (64, 32, 3, 3), (2, 2), SAME),
    "3x3 few channels in": ((2, 15, 9, 8), (32, 15, 3, 3), ONE, SAME),
    "3x3 few channels out": ((2, 32, 9, 8), (15, 32, 3, 3), ONE, SAME),
    "uneven": ((1, 33, 9, 9), (65, 33, 3, 2), (2, 3), ((1, 0), (0, 2))),
    "stride above kernel": ((1, 8, 9, 8), (8, 8, 2, 2), (3, 4), NONE),
    "a remainder": ((2, 8, 10, 12), (9, 8, 3, 2), (4, 3), ((0, 1), (1, 0))),
    "padded above the kernel": ((2, 8, 3, 3), (8, 8, 2, 2), ONE, ((3, 3), (3, 3))),
    "kernel above the image": ((1, 9, 2, 2), (8, 9, 4, 4), ONE, ((1, 2), (1, 1))),
    "one output": ((3, 8, 5, 4), (9, 8, 5, 4), ONE, NONE),
    "pixels together": ((2, 7, 9, 12), (5, 7, 4, 5), (2, 3), ((1, 1), (2, 3))),
    "three pixels together": ((2, 5, 9, 14), (5, 5, 3, 3), ONE, ((1, 1), (0, 0))),
    "fewest channels": ((2, 5, 6, 7), (5, 5, 2, 2), ONE, NONE),
    "too few channels": ((2, 4, 6, 7), (4, 4, 2, 2), ONE, NONE),
    "runs of more than a panel": ((2, 8, 9, 19), (9, 8, 3, 5), ONE, ((0, 1), (3, 2))),
    "runs of a panel": ((2, 8, 6, 11), (16, 8, 2, 4), ONE, NONE),
    "rows of many runs": ((2, 3, 4, 75), (5, 3, 2, 2), ONE, ((1, 1), (0, 3))),
    "window above the image": ((3, 4, 2, 3), (6, 4, 5, 5), ONE, ((2, 2), (3, 2))),
    "1x1 stride 2": ((2, 16, 9, 8), (32, 16, 1, 1), (2, 2), NONE),
}


@each_chip
@pytest.mark.parametrize("geometry", DIRECT.values(), ids=DIRECT.keys())
def test_direct(geometry: tuple[Any, ...], chip: _simd.Chip) -> None:
    with _simd.use(chip):
        assert max(errors(*geometry)) < 40


@each_chip
def test_direct_in_many_chunks(chip: _simd.Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces of large images, and one image at a time."""
    monkeypatch.setattr(direct, "_LINES_BYTES", 5000)
    monkeypatch.setattr(direct_weights, "_SUMS_BYTES", 5000)
    monkeypatch.setattr(direct_weights, "_PANEL_BYTES", 5000)
    with _simd.use(chip):
        assert max(errors((3, 9, 23, 24), (40, 9, 5, 4), (1, 2), ((2, 1), (0, 2)))) < 40


@each_chip
@pytest.mark.parametrize("geometry", [((3, 20, 13, 15), (40, 20, 3, 3)), ((2, 33, 9, 9), (17, 33, 3, 3))])
@pytest.mark.parametrize("own", [True, False])
def test_sums_of_a_jobs_own(
    own: bool, geometry: tuple[Any, ...], chip: _simd.Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Winograd's gradient of the weights, with sums for each part of the tiles and with one for all."""
    monkeypatch.setattr(winograd_weights, "_OWN_SUMS_BYTES", 1 << 30 if own else 0)
    for name, value in (("_LEAST_PART", 4), ("_OWN_PATCHES_BYTES", 5000), ("_LEAST_BYTES", 5000)):
        monkeypatch.setattr(winograd_weights, name, value)
    with _simd.use(chip):
        assert max(errors(*geometry, ONE, SAME)) < 40


@pytest.mark.parametrize("name", [*WINOGRAD, *DIRECT])
def test_without_vectors(name: str) -> None:
    with _simd.use(None):
        assert max(errors(*{**WINOGRAD, **DIRECT}[name])) < 40


@pytest.mark.parametrize("width", ["float64", "groups", "dilation"])
def test_what_is_left_to_other_kernels(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vector code is for float32, one group and no dilation."""

    def never(*_: Any) -> None:
        raise AssertionError("vector code ran")

    for module, name in [
        (direct, "correlate"),
        (direct, "input_grad"),
        (spread, "input_grad"),
        (winograd, "correlate"),
    ]:
        monkeypatch.setattr(module, name, never)
    for module in (direct_weights, winograd_weights):
        monkeypatch.setattr(module, "weight_grad", never)
    groups, gap = (2 if width == "groups" else 1), (2 if width == "dilation" else 1)
    dtype = np.float64 if width == "float64" else np.float32
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 32, 8, 8)).astype(dtype), rng.standard_normal((32, 32 // groups, 3, 3)).astype(dtype)
    geometry = ONE, ((gap, gap), (gap, gap)), (gap, gap), groups
    y = conv.conv2d(x, w, None, *geometry)
    conv.conv2d_input_grad(y, w, x.shape, *geometry)
    conv.conv2d_weight_grad(y, x, w.shape, *geometry)
    np.testing.assert_allclose(y, reference.conv2d(np, x, w, None, *geometry), atol=1e-4)


@pytest.mark.parametrize("name", ["LeNet, first", "stem", "3x3 few channels out"])
def test_a_bias_of_any_strides(name: str) -> None:
    x_shape, w_shape, stride, pads = DIRECT[name]
    x, w, bias, _ = arrays(x_shape, w_shape, stride, pads)
    expected = cpu.KERNELS["conv2d"](x, w, bias, stride, pads, (1, 1), 1)
    apart = np.full(3 * bias.size, np.nan, np.float32)
    for view in (apart[::3], apart[::-3]):
        view[...] = bias
        np.testing.assert_array_equal(cpu.KERNELS["conv2d"](x, w, view, stride, pads, (1, 1), 1), expected)


def test_a_nan_reaches_only_its_window() -> None:
    _, w, _, g = arrays((1, 6, 14, 14), (16, 6, 5, 5), ONE, NONE)
    g[0, 3, 4, 7] = np.nan
    gx = cpu.KERNELS["conv2d_input_grad"](g, w, (1, 6, 14, 14), ONE, NONE, (1, 1), 1)
    reached = np.zeros((14, 14), bool)
    reached[4:9, 7:12] = True
    np.testing.assert_array_equal(np.isnan(gx[0]), np.broadcast_to(reached, (6, 14, 14)))


def test_the_examples_compile_all_of_it() -> None:
    _examples._vector_convolutions()
    found = 0
    for module in (direct, direct_weights, spread, winograd, winograd_weights):
        for name, function in vars(module).items():
            if name == "pack_few" and CHIPS[0].lanes < 2 * direct._FEWEST:
                continue  # no two pixels fit into a vector
            if isinstance(function, _jobs.Jobs):
                found += 1
                assert function.compiled is not None, name
    assert found > 10


@pytest.mark.parametrize("name", ["many tiles", "few tiles in many blocks", "stem", "5x5 same"])
def test_threads_change_no_bit(name: str) -> None:
    x_shape, w_shape, stride, pads = {**WINOGRAD, **DIRECT}[name]
    x, w, bias, g = arrays(x_shape, w_shape, stride, pads)
    geometry = stride, pads, (1, 1), 1
    most = cpu.get_num_threads()
    found = []
    try:
        for threads in (1, most, most):
            cpu.set_num_threads(threads)
            found.append(
                [
                    cpu.KERNELS["conv2d"](x, w, bias, *geometry),
                    *cpu.KERNELS["conv2d_backward"](g, x, w, x.shape, w.shape, *geometry, (True,) * 3),
                ]
            )
    finally:
        cpu.set_num_threads(most)
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


def test_machine_code_is_kept_on_the_disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path))
    chip, made = CHIPS[0], []
    real = _simd.binding.create_pass_builder
    monkeypatch.setattr(_simd.binding, "create_pass_builder", lambda *args: made.append(args) or real(*args))

    def write(writer: _simd.Writer, source: Any, target: Any) -> None:
        writer.store(writer.load(source), target)

    for expected in (1, 1):
        assert _simd._compile(chip, 2, write, ()) > 0
        assert len(made) == expected
    [path] = tmp_path.rglob("*.o")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])  # what a full disk might leave
    assert _simd._compile(chip, 2, write, ()) > 0
    assert len(made) == 2
    assert path.read_bytes() == whole
