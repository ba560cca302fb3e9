"""What runs CUDA kernels on the CPU (`cuda_proof`), and what launches them (`kernels/cuda/loader.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_proof import runner
from cuda_proof.runner import FORWARD, RANDOM, REVERSE, LaunchError

from tinycnn.kernels.cuda import loader
from tinycnn.kernels.cuda.layout import around, dense, empty, image, in_order, order_of

pytestmark = pytest.mark.skipif(runner.compiler() is None, reason="needs g++ on Linux, to compile kernels for the CPU")

SOURCE = """
struct Pair { int a; float b; };

template <typename T, int N>
__global__ void indices(T* x, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    x[j * width + i] = T(N * (i + 100 * j + 10000 * blockIdx.z));
}
__global__ void arguments(const half16* a, bfloat16* b, bool c, unsigned long long d, Pair e, double f, double* out) {
    out[0] = float(a[0]);
    out[1] = c;
    out[2] = d;
    out[3] = e.a + e.b;
    out[4] = f;
    b[0] = bfloat16(1.5f);
}
__global__ void neighbours(float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = shared[63 - threadIdx.x];
}
__global__ void unwritten(float* x) {
    __shared__ float shared[4];
    extern __shared__ float more[];
    x[threadIdx.x] = shared[threadIdx.x];
    x[4 + threadIdx.x] = more[threadIdx.x];
    shared[threadIdx.x] = more[threadIdx.x] = 1;
}
__global__ void count(int* order, int* counter) { order[threadIdx.x] = atomicAdd(counter, 1); }
__global__ void exchange(int* x, unsigned* votes) {
    int lane = threadIdx.x % 32, own = threadIdx.x;
    x[threadIdx.x] = __shfl_sync(0xffffffffu, own, 5);
    x[64 + threadIdx.x] = __shfl_xor_sync(0xffffffffu, own, 3);
    x[128 + threadIdx.x] = __shfl_down_sync(0xffffffffu, own, 4);
    x[192 + threadIdx.x] = __shfl_up_sync(0xffffffffu, own, 2, 8);
    votes[threadIdx.x] = __ballot_sync(0xffffffffu, lane % 3 == 0);
    if (lane < 8) x[256 + threadIdx.x] = __shfl_sync(0xffu, own, 1);
    __syncwarp();
}
__global__ void sums_twice(const float* x, float* y) {
    float own = x[threadIdx.x];
    y[threadIdx.x] = block_sum(own);
    y[threadIdx.x + blockDim.x] = block_sum(2 * own);
    y[threadIdx.x + 2 * blockDim.x] = block_max(own);
    y[threadIdx.x + 3 * blockDim.x] = -block_max(-own);
}
__global__ void divergent(float* x) { if (threadIdx.x % 2) __syncthreads(); else { x[0] = 1;
    __syncthreads(); } }
__global__ void left_early(float* x) { if (threadIdx.x < 3) return; __syncthreads(); x[0] = 1; }
__global__ void lonely(float* x) { if (threadIdx.x % 32 < 5) x[0] = __shfl_xor_sync(0xffffffffu, x[0], 1); }
__global__ void conversions(const float* x, half16* halves, bfloat16* words, const half16* y, float* back, int n) {
    for (long long i = first_index(); i < n; i += index_step()) {
        halves[i] = half16(x[i]);
        words[i] = bfloat16(x[i]);
        if (i < 65536) back[i] = y[i];
    }
}
"""
NAMES = (
    "indices<float, 1>", "indices<double, 3>", "arguments", "neighbours", "unwritten", "count", "exchange",
    "sums_twice", "divergent", "left_early", "lonely", "conversions",
)  # fmt: skip


@pytest.fixture(scope="module")
def library() -> runner.Library:
    return runner.Library(common() + SOURCE, NAMES)


def common() -> str:
    return loader._inlined("common.cuh", set())


ORDERS = pytest.mark.parametrize("order", [FORWARD, REVERSE, RANDOM])


@ORDERS
def test_threads_know_where_they_are(library: runner.Library, order: int) -> None:
    x = np.zeros((2, 6, 8), np.float64)
    library.launch("indices<double, 3>", (2, 3, 1), (4, 2), (x[0], np.int32(8)), order=order)
    np.testing.assert_array_equal(x[0], 3.0 * (np.arange(8) + 100 * np.arange(6)[:, None]))
    assert not x[1].any()


def test_arguments_arrive(library: runner.Library) -> None:
    pair = np.zeros(1, [("a", np.int32), ("b", np.float32)])
    pair["a"], pair["b"] = 3, 0.25
    word, out = np.zeros(1, "bfloat16"), np.zeros(5)
    numbers = np.bool_(True), np.uint64(2**40), pair, np.float64(0.1), out
    library.launch("arguments", (1,), (1,), (np.array([-2.5], np.float16), word, *numbers))
    assert out.tolist() == [-2.5, 1, 2**40, 3.25, 0.1]
    assert word[0] == 1.5
    assert library.signature("arguments") == ["<f2", "*V2", "b1", "u8", "V8", "f8", "*f8"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(48, np.float32), 8), "takes i4, got int"),
        ((np.zeros(48, np.float32), np.int64(8)), "takes i4, got i8"),
        ((np.zeros(48, np.float64), np.int32(8)), "takes a pointer to f4, got an array of f8"),
        ((np.float32(0), np.int32(8)), "takes a pointer"),
        ((np.zeros(48, np.float32),), "takes 2 arguments, got 1"),
    ],
)
def test_wrong_arguments_are_refused(library: runner.Library, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        library.launch("indices<float, 1>", (1,), (1,), arguments)


@ORDERS
def test_a_barrier_holds_all(library: runner.Library, order: int) -> None:
    x = np.arange(64, dtype=np.float32)
    library.launch("neighbours", (1,), (64,), (x,), order=order)
    np.testing.assert_array_equal(x, np.arange(64)[::-1])


def test_a_missing_barrier_shows() -> None:
    found = runner.Library(runner.without_barriers(common() + SOURCE), ("neighbours", "sums_twice"), optimize=False)
    for order in (FORWARD, REVERSE, RANDOM):
        x = np.arange(64, dtype=np.float32)
        found.launch("neighbours", (1,), (64,), (x,), order=order)
        assert np.isnan(x).any()


@ORDERS
def test_shared_memory_begins_as_nan_in_every_block(library: runner.Library, order: int) -> None:
    x = np.zeros(8, np.float32)
    library.launch("unwritten", (3,), (4,), (x,), shared=16, order=order)
    assert np.isnan(x).all()


def test_the_order_of_threads(library: runner.Library) -> None:
    found = {}
    for order in (FORWARD, REVERSE, RANDOM, RANDOM + 1):
        turn = np.zeros(100, np.int32)
        library.launch("count", (1,), (100,), (turn, np.zeros(1, np.int32)), order=order)
        found[order] = turn.tolist()
    assert found[FORWARD] == list(range(100))
    assert found[REVERSE] == list(range(100))[::-1]
    assert sorted(found[RANDOM]) == list(range(100))
    assert len({tuple(turn) for turn in found.values()}) == 4


@ORDERS
def test_warps_exchange(library: runner.Library, order: int) -> None:
    x, votes = np.full(320, -1, np.int32), np.zeros(64, np.uint32)
    library.launch("exchange", (1,), (64,), (x, votes), order=order)
    thread = np.arange(64)
    lane, warp = thread % 32, thread // 32 * 32
    np.testing.assert_array_equal(x[:64], warp + 5)
    np.testing.assert_array_equal(x[64:128], thread ^ 3)
    np.testing.assert_array_equal(x[128:192], np.where(lane < 28, thread + 4, thread))
    np.testing.assert_array_equal(x[192:256], np.where(lane % 8 < 2, thread, thread - 2))
    np.testing.assert_array_equal(x[256:], np.where(lane < 8, warp + 1, -1))
    assert set(votes.tolist()) == {sum(1 << k for k in range(0, 32, 3))}


def sums_are_right(library: runner.Library, threads: int, order: int) -> bool:
    x, y = np.linspace(-1, 2, threads).astype(np.float32), np.zeros((4, threads), np.float32)
    library.launch("sums_twice", (1,), (threads,), (x, y), order=order)
    return np.allclose(y, np.array([x.sum(), 2 * x.sum(), x.max(), x.min()])[:, None], rtol=1e-5)


@ORDERS
@pytest.mark.parametrize("threads", [32, 96, 256])
def test_sums_over_a_block(library: runner.Library, threads: int, order: int) -> None:
    assert sums_are_right(library, threads, order)


@pytest.mark.parametrize("number", range(4))
def test_sums_over_a_block_need_every_barrier(number: int) -> None:
    parts = (common() + SOURCE).split("__syncthreads();")
    text = "__syncthreads();".join(parts[: number + 1]) + ";" + "__syncthreads();".join(parts[number + 1 :])
    found = runner.Library(text, ("sums_twice",), optimize=False)
    assert not all(sums_are_right(found, 96, order) for order in (FORWARD, REVERSE, RANDOM))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("divergent", "threads wait at different __syncthreads"),
        ("left_early", r"threads have ended that others wait for at __syncthreads\(\): block \(0, 0, 0\): 61 threads"),
        ("lonely", "not all lanes of a warp reach its shuffle"),
    ],
)
@ORDERS
def test_deadlocks_are_reported(library: runner.Library, name: str, message: str, order: int) -> None:
    with pytest.raises(LaunchError, match=message):
        library.launch(name, (1,), (64,), (np.zeros(64, np.float32),), order=order)
    x = np.arange(64, dtype=np.float32)
    library.launch("neighbours", (1,), (64,), (x,), order=order)  # and the next kernel runs
    assert x[0] == 63


@pytest.mark.parametrize(("grid", "block"), [((0,), (1,)), ((1,), (1025,)), ((1, 65536), (1,)), ((1,), (1, 1, 65))])
def test_impossible_grids_are_refused(library: runner.Library, grid: Any, block: Any) -> None:
    with pytest.raises(LaunchError, match="no GPU takes grid"):
        library.launch("neighbours", grid, block, (np.zeros(64, np.float32),))


def test_sixteen_bits_round_as_they_should(library: runner.Library) -> None:
    """Every half there is, each midpoint between two, random floats of all sizes; bfloat16 by its definition."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    known = np.sort(halves[np.isfinite(halves)].astype(np.float32))
    middles = (known[1:] + known[:-1]) / 2
    wild = np.random.default_rng(0).integers(0, 2**32, 50000, dtype=np.uint32).view(np.float32)
    edge = np.array([65504, 65519.996, 65520, -65520, np.inf, -np.inf, np.nan, 0, -0.0, 2.0**-25], np.float32)
    x = np.concatenate([known, middles, np.nextafter(middles, np.float32(0)), wild, edge])
    to, short, back = np.empty(x.size, np.float16), np.empty(x.size, "bfloat16"), np.empty(65536, np.float32)
    library.launch("conversions", (9,), (128,), (x, to, short, halves, back, np.int32(x.size)))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(to, x.astype(np.float16))
        np.testing.assert_array_equal(back, halves.astype(np.float32))
    number, words = ~np.isnan(x), short.view(np.uint16)
    np.testing.assert_array_equal(np.signbit(to[number]), np.signbit(x[number]))
    bits = x.view(np.uint32)
    expected = (bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)) >> 16  # to nearest, ties to even
    np.testing.assert_array_equal(words[number], expected[number])
    assert np.isnan((words[~number].astype(np.uint32) << 16).view(np.float32)).all()


def test_a_source_that_does_not_compile_says_why() -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        runner.Library("__global__ void f() { nowhere(); }", ["f"])


# ---- the loader ------------------------------------------------------------------------------------------------------


def test_parameters_are_read_from_the_source() -> None:
    for kernel in loader.Kernel.registry.values():
        assert kernel.instances(), kernel.name
        for instance in kernel.instances():
            assert all(p.endswith("*") or p in loader.SCALARS or p[0].isupper() for p in instance.parameters), instance


@pytest.mark.parametrize("file", ["concat", "dropout", "elementwise", "gradients", "norm", "optim", "pool", "softmax"])
def test_the_compiler_reads_the_same_parameters(file: str) -> None:
    codes = {"float": "f4", "double": "f8", "half16": "f2", "bfloat16": "V2", "int": "i4", "unsigned": "u4",
             "long long": "i8", "unsigned long long": "u8", "bool": "b1", "void": "any"}  # fmt: skip
    library = runner.library_of(file)
    for kernel in loader.Kernel.registry.values():
        for instance in kernel.instances() if kernel.file == file else ():
            found = library.signature(instance.expression)
            for code, parameter in zip(found, instance.parameters, strict=True):
                if code.startswith("V"):
                    assert parameter == "Tensors"
                else:
                    pointer = parameter.endswith("*")
                    assert code.lstrip("*<") == codes[parameter.removesuffix("*")]
                    assert (code[0] in "*<") == pointer


class Recorder:
    """A driver that only writes down what it is told."""

    xp = np

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def address(self, array: Any) -> int:
        return 0

    def launch(self, instance: Any, grid: Any, block: Any, args: Any, shared: int) -> None:
        self.calls.append((instance.expression, grid, block, args, shared))


def test_numbers_are_wrapped_in_their_parameters_types() -> None:
    kernel, leaky = loader.Kernel.registry["elementwise", "chain"], "formula::leaky_relu"
    args = np.zeros(3), None, None, np.zeros(3), 3, 3, 0, 0, 0, 0, 1, 0
    with loader.use_driver(Recorder()) as driver:
        kernel.launch((np.dtype("float64"), leaky), (2,), (32,), *args)
        kernel.launch(("bfloat16", leaky), (2,), (32,), *args)
        kernel.launch(("float32", leaky), (0,), (32,), *args)
    assert [call[0] for call in driver.calls] == [f"chain<double, {leaky}>", f"chain<bfloat16, {leaky}>"]
    arrays = [np.ndarray, np.uint64, np.uint64, np.ndarray, *[np.int64] * 5, np.uint32]
    types = [[type(a) for a in call[3]] for call in driver.calls]
    assert types == [[*arrays, np.float64, np.float64], [*arrays, np.float32, np.float32]]
    with loader.use_driver(Recorder()), pytest.raises(TypeError, match=f"chain<float, {leaky}> takes 12 .*, got 1"):
        kernel.launch(("float32", leaky), (1,), (32,), 1)
    with loader.use_driver(Recorder()), pytest.raises(OverflowError):
        loader.Kernel.registry["pool", "max_pool2d"].launch(("float32", True), (1,), (1,), *[None] * 3, *[2**40] * 14)


def test_unknown_sources_and_kernels_are_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no CUDA source is called 'pol.cu', known are: .*pool"):
        loader.source("pol")
    with pytest.raises(ValueError, match=r"pool.cu has no kernel 'mean_pool'"):
        loader.parameters_of("pool", "mean_pool", ())
    with pytest.raises(ValueError, match=r"chain has template parameters \['T', 'F'\], got values \[\]"):
        loader.parameters_of("elementwise", "chain", ())


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_memory_orders() -> None:
    with loader.use_driver(runner.CpuDriver()):
        check_memory_orders()


def check_memory_orders() -> None:
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    assert order_of(x) == (0, 1, 2, 3)
    assert order_of(x.transpose(0, 3, 1, 2)) is not None
    assert order_of(x[..., ::2]) is None
    assert order_of(x[..., ::-1]) is None
    assert order_of(np.broadcast_to(x[..., :1], x.shape)) is None
    last = in_order(x, (0, 2, 3, 1))
    assert last.transpose(0, 2, 3, 1).flags.c_contiguous
    assert in_order(last, (0, 2, 3, 1)) is last
    assert image(last)[1]
    assert not image(x)[1]
    assert around(x.shape, (0, 2, 3, 1), 1) == (12, 2, 1)
    assert around(x.shape, (0, 1, 2, 3), 1) == (1, 2, 12)
    assert dense(x[..., ::2])[0].flags.c_contiguous
    assert empty((2, 3), np.float32, (1, 0)).strides == (4, 8)
