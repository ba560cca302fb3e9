"""The pool of memory that arrays on the CPU live in."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.kernels import memory
from tinycnn.kernels.memory import Pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool of this test's own."""
    gc.collect()
    memory.pool.stats()  # takes in what others left
    own = Pool()
    monkeypatch.setattr(memory, "pool", own)
    return own


def used(pool: Pool) -> int:
    return pool.stats()["allocated_bytes.all.current"]


def kept(pool: Pool) -> int:
    return pool.stats()["reserved_bytes.all.current"] - used(pool)


def where(x: Any) -> int:
    return int(x.__array_interface__["data"][0])


@pytest.mark.parametrize("shape", [(300, 200), 70000, (0, 5), (), (3,), (2, 3, 70, 50)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex128"])
def test_arrays_are_numpys(shape: Any, dtype: str) -> None:
    x = memory.empty(shape, dtype)
    assert type(x) is np.ndarray and x.shape == np.empty(shape, dtype).shape and x.dtype == dtype
    assert x.flags.c_contiguous and x.flags.writeable and x.flags.aligned
    assert not memory.zeros(shape, dtype).any()


def test_large_memory_begins_with_a_cache_line(pool: Pool) -> None:
    for size in (1 << 14, 20001, 1 << 20, (1 << 20) + 1):
        assert where(memory.empty(size, np.float32)) % 64 == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_like_another_in_its_memory_order(order: tuple[int, ...]) -> None:
    x = np.empty((20, 30, 11, 12), np.float32).transpose(order)
    y = memory.empty_like(x)
    assert y.shape == x.shape and y.strides == x.strides and y.dtype == x.dtype


def test_memory_comes_back_with_the_last_view(pool: Pool) -> None:
    x = memory.empty((1000, 100), np.float32)
    size, place = used(pool), where(x)
    assert size >= x.nbytes
    view = x[10:].reshape(-1)[5:].view(np.int32)
    del x
    assert used(pool) == size
    del view
    assert used(pool) == 0 and kept(pool) == size
    again = memory.empty((990, 100), np.float32)  # a little less is as good
    assert where(again) == place and used(pool) == size and pool.stats()["segment.all.allocated"] == 1


def test_no_two_arrays_share_memory(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    live: list[tuple[Any, int]] = []
    for i in range(400):
        x = memory.empty(int(rng.integers(1 << 16, 1 << 19)), np.uint8)
        x.fill(i % 251)
        live.append((x, i % 251))
        if rng.random() < 0.55:
            live.pop(int(rng.integers(len(live))))
        assert all((a == value).all() for a, value in live[-3:])
    assert all((a == value).all() for a, value in live)
    del x, live
    assert used(pool) == 0


def test_what_is_kept_is_bounded(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other sizes every time: old ones are let go, those nobody asked for longest first."""
    monkeypatch.setattr(memory, "_SLACK", 1 << 20)
    for i in range(60):
        del_me = memory.empty((1 << 20) + (i << 17), np.uint8)
        largest = del_me.nbytes
        del del_me
    stats = pool.stats()
    assert stats["reserved_bytes.all.current"] <= 1.25 * 1.125 * largest + (1 << 20)
    assert stats["reserved_bytes.all.peak"] <= 1.25 * 1.125 * largest + (1 << 20)


def test_the_cache_can_be_emptied(pool: Pool) -> None:
    x, y = memory.empty(1 << 20, np.uint8), memory.empty(1 << 21, np.uint8)
    del y
    assert kept(pool) > 0
    pool.empty_cache()
    assert kept(pool) == 0 and used(pool) == 1 << 20
    pool.reset_peak()
    assert pool.stats()["allocated_bytes.all.peak"] == 1 << 20
    x.fill(1)


def test_more_than_there_is() -> None:
    with pytest.raises(MemoryError, match="Unable to allocate"):
        memory.empty(1 << 60, np.float64)
    with pytest.raises(ValueError):
        memory.empty((3, -1), np.float32)


def test_many_threads_at_once(pool: Pool) -> None:
    wrong: list[int] = []

    def work(me: int) -> None:
        rng = np.random.default_rng(me)
        for _ in range(200):
            x = memory.empty(int(rng.integers(1 << 14, 1 << 17)), np.float32)
            x.fill(me)
            y = x[5:]
            del x
            if not (y == me).all():
                wrong.append(me)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and used(pool) == 0


def test_a_cycle_returns_its_memory_in_the_collector(pool: Pool) -> None:
    class Ring:
        pass

    ring = Ring()
    ring.self, ring.x = ring, memory.empty(1 << 20, np.uint8)  # type: ignore[attr-defined]
    del ring
    gc.collect()
    assert used(pool) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_memory_of_its_own() -> None:
    x = memory.empty(1 << 20, np.uint8)
    x.fill(7)
    with memory.pool._lock:  # whoever holds it now is not in the child
        child = os.fork()
        if child == 0:
            y = memory.empty(1 << 20, np.uint8)
            y.fill(8)
            x.fill(9)
            os._exit(0 if (y == 8).all() and (x == 9).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (x == 7).all()


def test_a_gradient_is_kept_without_a_copy_only_if_nobody_else_sees_it() -> None:
    w = tinycnn.randn(200, 300, requires_grad=True)
    seen = []
    (w * 2).sum().backward()
    assert w.grad is not None
    first = w.grad
    w.grad = None
    g = tinycnn.randn(200, 300)
    for y in (w + 0, w.t().t() + 0, w.reshape(300, 200).reshape(200, 300)):
        w.grad = None
        y.backward(g)
        assert w.grad is not None and not np.shares_memory(w.grad.array, g.array)
        assert not np.shares_memory(w.grad.array, first.array)
        seen.append(w.grad)
    v = tinycnn.randn(200, 300, requires_grad=True)
    w.grad = None
    (w + v).backward(g)
    assert w.grad is not None and v.grad is not None and not np.shares_memory(w.grad.array, v.grad.array)
    for other in seen:
        assert not np.shares_memory(other.array, w.grad.array)


def test_a_training_step_uses_the_memory_of_the_one_before() -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
    x, y = tinycnn.randn(8, 3, 32, 32), tinycnn.randint(0, 4, (8,))
    net(x)
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    before = tinycnn.memory_stats()
    for _ in range(5):
        step()
    after = tinycnn.memory_stats()
    assert after["segment.all.allocated"] == before["segment.all.allocated"]
    assert after["reserved_bytes.all.current"] == before["reserved_bytes.all.current"]
    assert after["allocation.all.allocated"] > before["allocation.all.allocated"]
