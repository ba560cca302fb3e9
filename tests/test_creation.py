"""New tensors: dtypes, shared memory, seeds and states, exchange with NumPy and PyTorch, conversions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import grad
from tinycnn.backend import registry
from tinycnn.backend.cpu import CpuBackend

EXPRESSIONS = """
L.zeros(2, 3) | L.zeros((2, 3)) | L.zeros([2, 3]) | L.zeros(()) | L.zeros(2, dtype=L.int64)
L.ones(2, requires_grad=True) | L.full((2,), 1) | L.full((2,), 1.5) | L.full((2,), True) | L.full([], 2)
L.full((2,), 1, dtype=L.float64) | L.arange(5) | L.arange(5.0) | L.arange(1, 5) | L.arange(1, 2, 0.25)
L.arange(5, 1, -2) | L.arange(0) | L.arange(3, dtype=L.float32) | L.arange(0, 1, 0.1) | L.arange(0, 10, 3)
L.arange(start=1, end=4) | L.linspace(0, 1, 5) | L.linspace(0, 1, 1) | L.linspace(0, 1, 0)
L.linspace(0, 10, 4, dtype=L.int64) | L.eye(3) | L.eye(2, 3) | L.eye(3, 2, dtype=L.int64) | L.tensor(1)
L.tensor(1.0) | L.tensor(True) | L.tensor([1, 2.0]) | L.tensor([True, False]) | L.tensor([])
L.tensor([[1, 2], [3, 4]], dtype=L.float64) | L.tensor(np.float64(2)) | L.tensor(np.arange(3.0))
L.tensor(np.arange(3, dtype="i4")) | L.tensor(1 + 2j) | L.tensor([L.tensor(1.0), L.tensor(2.0)])
L.tensor([1.5], dtype=L.int64) | L.tensor(np.float32(1.5)) | L.tensor(2**40) | L.zeros_like(L.ones(2, 3))
L.ones_like(L.ones(2, dtype=L.int64)) | L.full_like(L.ones(2, dtype=L.int64), 7)
L.zeros_like(L.ones(2), dtype=L.int64) | L.ones(2).new_zeros(3) | L.ones(2, dtype=L.float64).new_ones((3, 2))
L.ones(2).new_full((3,), 2) | L.ones(2).new_tensor([1, 2]) | L.ones(2, dtype=L.int64).new_full((2,), 2)
L.from_numpy(np.arange(3)) | L.as_tensor([1, 2]) | L.as_tensor(np.arange(3), dtype=L.float32)
L.asarray(np.arange(3.0), copy=True) | L.ones(2).to(L.float64) | L.ones(2).double() | L.ones(2).half()
L.ones(2).long() | L.ones(2).int() | L.ones(2).bool() | L.ones(2).to("cpu", L.int64)
L.ones(2).to(L.ones(1, dtype=L.float64)) | L.ones(2).to(dtype=L.float64, device="cpu") | L.ones(2).type(L.float64)
L.ones(2).type_as(L.ones(1).double()) | L.ones(2, requires_grad=True).double() | L.tensor([1.7, -1.7]).to(L.int64)
L.normal(L.zeros(3), 0.0) | L.normal(L.ones(3), L.zeros(3)) | L.normal(2.0, L.zeros(2, 2)) | L.normal(1.0, 0.0, (3,))
L.bernoulli(L.tensor([0.0, 1.0])) | L.randint(3, 4, (2,)) | L.randint(1, (2,)) | L.randint(low=3, high=4, size=(2,))
L.randint(1, (2,), dtype=L.float32) | L.randperm(1) | L.rand(0)
"""


@pytest.mark.parity
@pytest.mark.parametrize("expression", [e.strip() for e in EXPRESSIONS.replace("\n", "|").split("|") if e.strip()])
def test_as_pytorch_does(expression: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (eval(expression, {"L": library, "np": np}) for library in (tinycnn, torch))
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert ours.requires_grad == theirs.requires_grad
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: tinycnn.zeros(-1), ValueError, "zeros: sizes must not be negative"),
    (lambda: tinycnn.zeros(1.5), TypeError, "zeros: sizes must be ints"),
    (lambda: tinycnn.arange(5, 1), ValueError, "arange: a step of 1 does not lead from 5 to 1"),
    (lambda: tinycnn.arange(1, 3, 0), ValueError, "arange: a step of 0"),
    (lambda: tinycnn.linspace(0, 1, -1), ValueError, "linspace: steps must not be negative"),
    (lambda: tinycnn.full((2,), "a"), TypeError, "full: expected a number, got str"),
    (lambda: tinycnn.tensor([[1], [2, 3]]), ValueError, "rows differ in length"),
    (lambda: tinycnn.tensor("a"), TypeError, "tensor: cannot hold elements of type"),
    (lambda: tinycnn.tensor([1], requires_grad=True), RuntimeError, "only floating tensors can require gradients"),
    (lambda: tinycnn.from_numpy([1]), TypeError, "from_numpy: expected a numpy.ndarray, got list"),
    (lambda: tinycnn.from_numpy(np.zeros(1, ">f4")), TypeError, "no dtype"),
    (lambda: tinycnn.from_dlpack([1]), TypeError, "from_dlpack: list has no __dlpack__"),
    (lambda: tinycnn.asarray([1], copy=False), ValueError, "asarray: copy=False, but list"),
    (lambda: tinycnn.rand(2, dtype=tinycnn.int64), TypeError, "need a floating dtype"),
    (lambda: tinycnn.randint(3, 3, (2,)), ValueError, "randint: low=3 must be less than high=3"),
    (lambda: tinycnn.randint(3), TypeError, "randint: expected"),
    (lambda: tinycnn.normal(0.0, -1.0, (2,)), ValueError, "normal: standard deviations"),
    (lambda: tinycnn.normal(0.0, 1.0), TypeError, "normal: size must be given"),
    (lambda: tinycnn.bernoulli(tinycnn.ones(2) * 2), ValueError, "probabilities must lie in"),
    (lambda: tinycnn.manual_seed(2**64), ValueError, "manual_seed: the seed must lie in"),
    (lambda: tinycnn.ones(1).to("float32", "float64"), TypeError, "to: dtype was given twice"),
    (lambda: tinycnn.ones(1).to("float31"), TypeError, "no dtype 'float31'"),
    (lambda: tinycnn.finfo(tinycnn.int64), TypeError, "finfo: tinycnn.int64 is not floating"),
    (lambda: tinycnn.iinfo(tinycnn.float32), TypeError, "iinfo: tinycnn.float32 is not an integer dtype"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS)
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.arange(3.0)
    copy, shared, as_is = tinycnn.tensor(array), tinycnn.from_numpy(array), tinycnn.as_tensor(array)
    array[0] = 7
    assert copy[0].item() == 0
    assert shared[0].item() == as_is[0].item() == 7
    shared[1] = 8
    assert array[1] == 8
    assert shared.array is not array  # the engine tells tensors apart by their arrays
    x = tinycnn.ones(2, requires_grad=True)
    assert tinycnn.as_tensor(x) is x
    copy = tinycnn.tensor(x)
    assert not copy.requires_grad
    copy[0] = 7
    assert x.tolist() == [1, 1]
    assert tinycnn.tensor([x[0], 2.0, x.sum()]).tolist() == [1, 2, 2]  # tensors with a history too
    with pytest.raises(TypeError, match="has no dtype dtype\\('uint16'\\)"):
        tinycnn.tensor(np.arange(3, dtype="uint16"))


def test_new_tensors_want_no_gradient_unless_asked() -> None:
    x = tinycnn.ones(2, requires_grad=True)
    for made in (x.new_zeros(2), x.new_ones(2), x.new_empty(2), x.new_full((2,), 3.0), x.new_tensor([1.0])):
        assert not made.requires_grad
    assert x.new_zeros(2, requires_grad=True).requires_grad


def test_to_reads_its_flags_by_their_places() -> None:
    x = tinycnn.ones(2)
    for same in (x.to(tinycnn.float32, True), x.to("cpu", tinycnn.float32, True), x.to("cpu", True)):
        assert same is x  # True is non_blocking
    for copy in (x.to(tinycnn.float32, False, True), x.to("cpu", tinycnn.float32, False, True)):
        assert copy is not x
        assert not np.shares_memory(copy.array, x.array)
    assert x.to(other=tinycnn.ones(1, dtype=tinycnn.float64)).dtype is tinycnn.float64


def test_random_integers_fill_the_range_that_a_dtype_holds() -> None:
    for dtype, least in ((tinycnn.float32, 2**22), (tinycnn.float64, 2**51), (tinycnn.float16, 2**9)):
        drawn = tinycnn.zeros(100, dtype=dtype).random_()
        assert drawn.max().item() > least
        assert (drawn == drawn.round()).all()
    assert set(tinycnn.zeros(100, dtype=tinycnn.bool).random_().tolist()) == {True, False}
    assert tinycnn.zeros(100, dtype=tinycnn.int64).random_().max().item() > 2**61


def test_numpy_sees_the_memory_unless_it_wants_a_copy() -> None:
    x = tinycnn.arange(3.0)
    assert np.shares_memory(np.asarray(x), x.array)
    assert np.shares_memory(np.array(x, copy=None), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    assert np.asarray(x, dtype="int64").tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="a copy is needed"):
        np.array(x, dtype="int64", copy=False)


def test_the_default_dtype_is_that_of_floats_alone() -> None:
    tinycnn.set_default_dtype(tinycnn.float64)
    try:
        made = [tinycnn.tensor(1.0), tinycnn.zeros(1), tinycnn.rand(1), tinycnn.arange(1.0), tinycnn.full((1,), 1.0)]
        whole = tinycnn.tensor([1])
    finally:
        tinycnn.set_default_dtype(tinycnn.float32)
    assert {x.dtype for x in made} == {tinycnn.float64}
    assert whole.dtype is tinycnn.int64
    assert tinycnn.tensor(1.0).dtype is tinycnn.float32


DRAWS: dict[str, Callable[[Any], Tensor]] = {
    "rand": lambda g: tinycnn.rand(2, 3, generator=g),
    "randn": lambda g: tinycnn.randn(2, 3, generator=g),
    "half": lambda g: tinycnn.randn(2, 3, generator=g, dtype=tinycnn.float16),
    "rand_like": lambda g: tinycnn.rand_like(tinycnn.zeros(3), generator=g),
    "randn_like": lambda g: tinycnn.randn_like(tinycnn.zeros(3), generator=g),
    "randint": lambda g: tinycnn.randint(1000, (5,), generator=g),
    "randperm": lambda g: tinycnn.randperm(50, generator=g),
    "bernoulli": lambda g: tinycnn.bernoulli(tinycnn.full((60,), 0.5), generator=g),
    "normal": lambda g: tinycnn.normal(tinycnn.zeros(3), 2.0, generator=g),
    "uniform_": lambda g: tinycnn.zeros(3).uniform_(generator=g),
    "normal_": lambda g: tinycnn.zeros(3).normal_(generator=g),
    "random_": lambda g: tinycnn.zeros(3).random_(1000, generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_random_numbers_follow_the_seed_and_the_state(draw: Callable[[Any], Tensor]) -> None:
    tinycnn.manual_seed(3)
    state = tinycnn.get_rng_state()
    first, second = draw(None).tolist(), draw(None).tolist()
    assert first != second
    tinycnn.manual_seed(3)
    assert draw(None).tolist() == first
    tinycnn.set_rng_state(json.loads(json.dumps(state)))
    assert [draw(None).tolist(), draw(None).tolist()] == [first, second]
    tinycnn.manual_seed(4)
    assert draw(None).tolist() != first


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_a_generator_is_a_stream_of_its_own(draw: Callable[[Any], Tensor]) -> None:
    g = tinycnn.Generator().manual_seed(3)
    state = tinycnn.get_rng_state()
    first = draw(g).tolist()
    assert tinycnn.get_rng_state() == state
    later = json.loads(json.dumps(g.get_state()))
    second = draw(g).tolist()
    assert draw(tinycnn.Generator("cpu").manual_seed(3)).tolist() == first != second
    assert draw(tinycnn.Generator().set_state(later)).tolist() == second
    assert tinycnn.Generator().set_state(later).initial_seed() == 3


def test_seeds() -> None:
    tinycnn.manual_seed(-1)
    assert tinycnn.initial_seed() == 2**64 - 1
    a = tinycnn.rand(3)
    fresh = tinycnn.seed()
    assert tinycnn.initial_seed() == fresh
    assert (tinycnn.rand(3) != a).any()
    tinycnn.manual_seed(fresh)
    assert tinycnn.Generator().seed() != tinycnn.Generator().seed()


def test_devices_that_come_into_use_later_follow_the_last_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(CpuBackend):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    monkeypatch.setattr(registry, "_cuda", {})
    monkeypatch.setattr(registry, "CudaBackend", Late)
    tinycnn.manual_seed(11)
    drawn = registry.get_backend("cuda:1").random.uniform((3,), "float64")
    assert drawn.tolist() == tinycnn.rand(3, dtype=tinycnn.float64).tolist()


def test_distributions() -> None:
    tinycnn.manual_seed(0)
    for dtype in ("float16", "float32", "float64"):
        u, n = tinycnn.rand(10000, dtype=dtype).double(), tinycnn.randn(10000, dtype=dtype).double()
        assert abs(u.mean().item() - 0.5) < 0.02 and 0 <= u.min().item() < 0.01 and u.max().item() > 0.99
        assert abs(n.mean().item()) < 0.05 and abs(n.std().item() - 1) < 0.05
    assert tinycnn.randperm(100).sort().values.tolist() == list(range(100))
    assert set(tinycnn.randint(-2, 2, (200,)).tolist()) == {-2, -1, 0, 1}


def test_dlpack_with_numpy() -> None:
    x = tinycnn.arange(6.0).reshape(2, 3).T
    array = np.from_dlpack(x)
    assert array.shape == (3, 2)
    assert np.shares_memory(array, x.array)
    source = np.arange(4.0)
    y = tinycnn.from_dlpack(source)
    y[0] = 9.0
    assert source[0] == 9
    repeated = tinycnn.ones(1, 1).expand(2, 3)  # its strides are 0
    assert np.from_dlpack(repeated).tolist() == [[1.0] * 3] * 2
    with pytest.raises(BufferError, match="requires a gradient"):
        np.from_dlpack(x.requires_grad_())
    backwards = tinycnn.from_numpy(np.arange(3.0)[::-1])
    with pytest.raises(BufferError, match="contiguous"):
        np.from_dlpack(backwards)
    assert np.from_dlpack(backwards.contiguous()).tolist() == [2.0, 1.0, 0.0]


def test_numpy_numbers_on_the_left() -> None:
    x = tinycnn.ones(2, requires_grad=True)
    for y in (np.float64(2) * x, np.float32(2) * x, np.int64(1) + x):
        assert isinstance(y, tinycnn.Tensor)
        assert y.dtype is tinycnn.float32
        assert y.tolist() == [2.0, 2.0]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_dlpack_with_pytorch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = tinycnn.tensor([[0, 1, 1], [1, 0, 1]], dtype=dtype).T
    there = torch.from_dlpack(x)
    assert tuple(there.shape) == (3, 2)
    there[0, 1] = 0
    assert not x[0, 1].item()
    back = tinycnn.from_dlpack(there)
    assert back.dtype is x.dtype
    back[2, 1] = 0
    assert x.tolist() == there.tolist() == back.tolist()
    assert not x[2, 1].item()


def test_to_gives_back_what_is_right_already() -> None:
    x = tinycnn.ones(2, requires_grad=True)
    for same in (x.to("float32"), x.to("cpu"), x.to(x), x.float(), x.cpu(), x.type_as(x), x.to("cpu", tinycnn.float32)):
        assert same is x
    copy = x.to("float32", copy=True)
    assert copy is not x
    assert not np.shares_memory(copy.array, x.array)
    assert x.type() == "tinycnn.float32"
    assert x.detach().type("tinycnn.int64").dtype is tinycnn.int64


def test_gradients_come_back_in_the_dtype_they_left() -> None:
    x = tinycnn.ones(2, dtype=tinycnn.float64, requires_grad=True)
    (g,) = grad((x.float() * 3).sum(), x)
    assert g.dtype is tinycnn.float64
    assert g.tolist() == [3, 3]
    assert not x.long().requires_grad


def test_dtype_facts() -> None:
    for name in ("float16", "float32", "float64"):
        ours, theirs = tinycnn.finfo(name), np.finfo(name)
        assert (ours.eps, ours.max, ours.min, ours.tiny, ours.bits) == (
            theirs.eps, theirs.max, theirs.min, theirs.tiny, theirs.bits,
        )  # fmt: skip
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        assert (tinycnn.iinfo(name).min, tinycnn.iinfo(name).max) == (np.iinfo(name).min, np.iinfo(name).max)
    x = tinycnn.zeros(2, 3)
    assert tinycnn.is_tensor(x) and not tinycnn.is_tensor(x.array)
    assert tinycnn.numel(x) == 6
    assert tinycnn.is_floating_point(x) and not tinycnn.is_complex(x)
    assert x.get_device() == -1
