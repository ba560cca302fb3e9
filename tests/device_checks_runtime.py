"""What must hold of memory, streams and errors on the device "cuda": checks beside those of device_checks.py."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from device_checks import check, refuses

import tinycnn
from tinycnn import nn

MB = 1 << 20


@check
def memory_is_counted() -> None:
    cuda = tinycnn.cuda
    cuda.reset_peak_memory_stats()
    before = cuda.memory_allocated()
    assert cuda.max_memory_allocated() == before
    x = tinycnn.zeros(MB, device="cuda")
    assert cuda.memory_allocated() == before + 4 * MB
    y = x + 1
    del y
    assert cuda.memory_allocated() == before + 4 * MB
    assert cuda.max_memory_allocated() == before + 8 * MB
    for _ in range(5):  # the same again is no new peak
        y = x + 1
        del y
    assert cuda.max_memory_allocated() == before + 8 * MB
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == before + 4 * MB
    held = cuda.memory_reserved()
    assert held >= cuda.memory_allocated()
    assert cuda.max_memory_reserved() >= held
    del x
    cuda.empty_cache()
    assert cuda.memory_allocated() == before
    assert cuda.memory_reserved() < held
    free, total = cuda.mem_get_info()
    assert 0 < free <= total
    summary = cuda.memory_summary()
    assert summary.startswith(f"cuda:{cuda.current_device()}, ")
    assert "in arrays, at most" in summary


@check
def too_large_an_array_is_explained() -> None:
    huge = 1 << 44  # numbers, 64 TiB
    refuses(tinycnn.cuda.OutOfMemoryError, "64.0 TiB were asked for", lambda: tinycnn.empty(huge, device="cuda"))
    with pytest.raises(RuntimeError, match="smaller batch") as caught:
        tinycnn.empty(huge, device="cuda")
    assert str(caught.value).startswith(f"CUDA out of memory on cuda:{tinycnn.cuda.current_device()}: ")
    assert caught.value.__suppress_context__
    assert tinycnn.ones(3, device="cuda").sum().item() == 3  # and work goes on


@check
def a_wrong_label_is_told_at_the_next_read() -> None:
    logits = tinycnn.zeros(2, 3, device="cuda", requires_grad=True)
    wrong, right = (tinycnn.tensor(labels, device="cuda") for labels in ([0, 7], [0, 2]))
    loss = nn.functional.cross_entropy(logits, wrong)
    loss.backward()
    refuses(IndexError, "cross_entropy: target 7 is out of range for 3 classes", tinycnn.cuda.synchronize)
    assert np.isclose(nn.functional.cross_entropy(logits, right).item(), np.log(3))  # it is told once
    negative = nn.functional.nll_loss(logits, tinycnn.tensor([-3, 1], device="cuda"))
    refuses(IndexError, "nll_loss: target -3 is out of range", logits.tolist)
    assert negative.shape == ()
    ignored = nn.functional.cross_entropy(logits, tinycnn.tensor([-100, 1], device="cuda"))
    assert np.isclose(ignored.item(), np.log(3))


@check
def streams_and_events() -> None:
    cuda = tinycnn.cuda
    x = tinycnn.ones(1000, device="cuda")
    side = cuda.Stream()
    assert side != cuda.default_stream()
    side.wait_stream(cuda.current_stream())
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    with cuda.stream(side):
        assert cuda.current_stream() == side
        start.record()
        y = x * 2
        end.record()
    assert cuda.current_stream() == cuda.default_stream()
    cuda.current_stream().wait_stream(side)
    assert (y + x).sum().item() == 3000
    end.synchronize()
    assert end.query()
    assert side.query()
    assert start.elapsed_time(end) >= 0
    refuses(RuntimeError, "enable_timing=True", lambda: cuda.Event().elapsed_time(end))
    side.synchronize()
    with cuda.device(cuda.current_device()):
        assert cuda.current_device() == x.get_device()
    assert cuda.get_device_capability() >= (5, 0)
    cuda.manual_seed(3)
    a = tinycnn.rand(4, device="cuda").tolist()
    cuda.manual_seed_all(3)
    assert tinycnn.rand(4, device="cuda").tolist() == a
    refuses(ValueError, "cuda.synchronize: expected a GPU, got 'cpu'", functools.partial(cuda.synchronize, "cpu"))


@check
def batches_are_sent_ahead() -> None:
    """Each batch is sent on another stream while the one before is used, and arrives whole."""
    batches: list[tuple[Any, Any]] = [(tinycnn.full((50, 40), float(i)), tinycnn.tensor([i, -i])) for i in range(6)]
    found = []
    for image, label in tinycnn.data.send_ahead(iter(batches), "cuda"):
        assert image.is_cuda
        square = image @ image.T
        found.append((square.sum(), label))
    assert [s.item() for s, _ in found] == [50 * 50 * 40.0 * i * i for i in range(6)]
    assert [label.tolist() for _, label in found] == [[i, -i] for i in range(6)]
    assert list(tinycnn.data.send_ahead(iter([]), "cuda")) == []


@check
def pinned_memory() -> None:
    x = tinycnn.arange(12.0).reshape(3, 4)
    assert not x.is_pinned()
    p = x.pin_memory()
    assert p.is_pinned()
    assert p.pin_memory() is p
    assert p.tolist() == x.tolist()
    assert p.to("cuda", non_blocking=True).tolist() == x.tolist()
    assert p.T.to("cuda", non_blocking=True).tolist() == x.T.tolist()
    refuses(RuntimeError, "cuda:", x.cuda().pin_memory)
    data = tinycnn.data.TensorDataset(x, tinycnn.arange(3))
    for prefetch in (0, 2):
        for image, label in tinycnn.data.DataLoader(data, 2, pin_memory=True, prefetch=prefetch):
            assert image.is_pinned()
            assert label.is_pinned()
