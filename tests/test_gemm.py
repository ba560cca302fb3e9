"""Products of matrices on our own threads, by calls of NumPy's BLAS."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the fast kernels need Numba")

from tinycnn.kernels.cpu import gemm, get_num_threads, set_num_threads

Array = Any
SHAPES = [
    (70, 80, 90), (300, 40, 64), (40, 300, 64), (1, 700, 600), (600, 1, 700), (9, 129, 1529), (30, 40, 2050),
    (99, 7, 400),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _all_threads() -> Any:
    before = get_num_threads()
    yield
    set_num_threads(before)


def matrices(rng: np.random.Generator, rows: int, columns: int, dtype: Any) -> list[Array]:
    """By rows, by columns, and parts of larger ones; and what gemm cannot read."""

    def random(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    return [
        random(rows, columns), random(columns, rows).T, random(rows, columns + 3)[:, 1:-2],
        random(columns, rows + 5)[:, 5:].T, random(2 * rows, 2 * columns)[::2, ::2], random(rows, columns)[::-1],
    ]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_products(shape: tuple[int, int, int], dtype: Any, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    m, n, k = shape
    monkeypatch.setattr(gemm, "_LARGE", 1)
    monkeypatch.setattr(gemm, "_LONG", 1)
    monkeypatch.setattr(gemm, "get_num_threads", lambda: threads)
    rng = np.random.default_rng(0)
    for a in matrices(rng, m, k, dtype):
        for b in matrices(rng, k, n, dtype):
            wide = np.full((m, n + 4), np.nan, dtype)
            gemm.multiply(a, b, wide[:, 2:-2])
            exact = a.astype(np.float64) @ b
            error = np.abs(wide[:, 2:-2] - exact).max() / np.sqrt(k) / np.finfo(dtype).eps
            assert error < 60
            assert np.isnan(wide[:, :2]).all()
            assert np.isnan(wide[:, -2:]).all()


def test_the_blas_of_numpy_is_found() -> None:
    """Where this fails, products are still right, but start the threads of the BLAS."""
    if gemm._library() is None or gemm._library().internal_api != "openblas":
        pytest.skip("NumPy's BLAS is another, or not to be told from others")
    assert gemm._function("f") and gemm._function("d") and not gemm._function("e")


def test_without_it_numpy_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "_function", lambda _: 0)
    a, out = np.ones((300, 300), np.float32), np.empty((300, 300), np.float32)
    gemm.multiply(a, a, out)
    assert (out == 300).all()


@pytest.mark.skipif(gemm._library() is None, reason="no BLAS whose threads can be counted")
@pytest.mark.parametrize("size", [100, 200])  # by one thread, and by several
def test_the_threads_of_the_blas_are_as_before(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when several Python threads multiply at the same time."""
    monkeypatch.setattr(gemm, "get_num_threads", lambda: 2)
    count, set_count = gemm._thread_functions()
    before = count()
    set_count(2)
    try:
        rng = np.random.default_rng(0)
        a = rng.standard_normal((size, size))
        with ThreadPoolExecutor(4) as pool:

            def product(_: int) -> Array:
                out = np.empty_like(a)
                gemm.multiply(a, a, out)
                return out

            results = list(pool.map(product, range(64)))
        assert count() == 2
        for result in results:
            np.testing.assert_array_equal(result, results[0])
        np.testing.assert_allclose(results[0], a @ a, rtol=1e-9)
    finally:
        set_count(before)


@pytest.mark.skipif(gemm._library() is None, reason="no BLAS whose threads can be counted")
@pytest.mark.parametrize("rows", [4, 400])  # the second is large
def test_one_thread_is_one_of_the_blas_too(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it may use otherwise: with more it adds up in another order."""
    count, set_count = gemm._thread_functions()
    before, seen, product = count(), [], np.matmul
    monkeypatch.setattr(gemm, "get_num_threads", lambda: 1)
    monkeypatch.setattr(gemm.np, "matmul", lambda *args, **rest: seen.append(count()) or product(*args, **rest))
    set_count(2)
    try:
        a, b = np.ones((rows, 1000), np.float32), np.ones((1000, 140), np.float32)
        gemm.multiply(a, b, np.empty((rows, 140), np.float32))
        assert seen == [1]
        assert count() == 2
    finally:
        set_count(before)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1, 1), (1, 1, 1), (1, 4, 1), (2, 3, 4)])
@pytest.mark.parametrize("zeros", ["left", "right"])
def test_zero_times_infinity(zeros: str, shape: tuple[int, int, int]) -> None:
    """Is no number, also where there is a single zero."""
    m, k, n = shape
    a, b, out = np.zeros((m, k), np.float32), np.zeros((k, n), np.float32), np.empty((m, n), np.float32)
    (b if zeros == "left" else a).fill(np.inf)
    with np.errstate(invalid="ignore"):
        gemm.multiply(a, b, out)
    assert np.isnan(out).all()


@pytest.mark.skipif(gemm._library() is None, reason="no BLAS whose threads can be counted")
def test_a_small_product_starts_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "get_num_threads", lambda: 2)
    count, set_count = gemm._thread_functions()
    before, seen = count(), []
    set_count(2)

    def watched(product: Any) -> Any:
        return lambda *args, **rest: seen.append(count()) or product(*args, **rest)

    for name in ("dot", "matmul"):
        monkeypatch.setattr(gemm.np, name, watched(getattr(np, name)))
    try:
        a = np.ones((100, 100), np.float32)
        gemm.multiply(a, a, np.empty_like(a))
        monkeypatch.setattr(gemm, "_SMALL", 1 << 30)  # so small that the BLAS does not think of it
        gemm.multiply(a, a, np.empty_like(a))
        gemm.multiply(a, a, np.empty((100, 200), np.float32)[:, :100])  # where rows lie apart
    finally:
        set_count(before)
    assert seen == [1, 2, 2]
