"""What must hold of captured steps on the device "cuda"."""

from __future__ import annotations

from typing import Any

import numpy as np
from device_checks import batch, check, host, refuses

import tinycnn
from tinycnn import nn

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "Adam": {"capturable": True},
    "AdamW": {"capturable": True, "amsgrad": True},
    "RMSprop": {"capturable": True, "centered": True},
}


def training(captured: bool, dropout: bool = False, name: str = "SGD") -> tuple[list[float], list[np.ndarray], Any]:
    """Eight steps on changing batches, with a learning rate that changes once."""
    tinycnn.manual_seed(0)
    parts = [nn.Conv2d(1, 4, 5, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    net = nn.Sequential(*parts, *([nn.Dropout(0.5)] * dropout), nn.Linear(4 * 36, 10)).double().cuda()
    optimizer = getattr(tinycnn.optim, name)(net.parameters(), lr=0.1, **OPTIMIZERS[name])
    X, y = batch("cuda")

    def step(X: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
        return loss

    run = tinycnn.cuda.graph(step, warmup=2) if captured else step
    losses = []
    for i in range(8):
        if i == 6:
            optimizer.param_groups[0]["lr"] = 0.01
        losses.append(run(X * (1 + i), (y + i) % 10).item())
    return losses, [host(p) for p in (*net.parameters(), *net.buffers())], run


@check
def a_captured_step_trains_as_an_eager_one() -> None:
    for dropout, name in ((True, "SGD"), *((False, name) for name in OPTIMIZERS)):
        losses, parameters, run = training(True, dropout, name)
        right, right_parameters, _ = training(False, dropout, name)
        assert run.captures == 2  # the second for the new learning rate
        assert np.allclose(losses, right, rtol=1e-8), (losses, right)
        for a, b in zip(parameters, right_parameters, strict=True):
            assert np.allclose(a, b, rtol=1e-8, atol=1e-10)


@check
def another_shape_runs_as_it_is() -> None:
    double = tinycnn.cuda.graph(lambda x: x * 2, warmup=1)
    for n in (3, 3, 3, 2, 3):
        x = tinycnn.arange(float(n), device="cuda")
        assert double(x).tolist() == (2 * x).tolist()
    assert double.captures == 1
    refuses(TypeError, "takes tensors on a GPU", lambda: double(3))
    refuses(ValueError, "at least 1", lambda: tinycnn.cuda.graph(abs, warmup=0))
    refuses(TypeError, "expected a function", lambda: tinycnn.cuda.graph(3))  # type: ignore[call-overload]


@check
def a_graph_as_pytorch_has_it() -> None:
    x = tinycnn.ones(4, device="cuda")
    graph = tinycnn.cuda.CUDAGraph()
    refuses(RuntimeError, "nothing was captured", graph.replay)
    with tinycnn.cuda.graph(graph):
        y = x * 3 + 1
    x.fill_(2.0)
    graph.replay()
    assert y.tolist() == [7.0] * 4
    graph.reset()
    refuses(RuntimeError, "nothing was captured", graph.replay)


@check
def a_capture_refuses_what_a_graph_cannot_hold() -> None:
    x = tinycnn.ones(4, device="cuda")
    adam = tinycnn.optim.Adam([w := tinycnn.ones(4, device="cuda", requires_grad=True)], lr=0.1)

    def adam_step(x: Any) -> None:
        adam.zero_grad()
        (w * x).sum().backward()
        adam.step()

    def first_step(x: Any) -> None:
        fresh = tinycnn.optim.SGD([w], lr=0.1, momentum=0.9)
        w.grad = x.clone()
        fresh.step()

    for words, step in (
        ("reads from the device", lambda x: x.sum().item()),
        ("reads from the device", lambda x: x.cpu()),
        ("waits for the device", lambda x: x[x > 0]),
        ("copies from the host", lambda x: x + tinycnn.tensor([1.0, 2.0, 3.0, 4.0], device="cuda")),
        ("only uniform ones", lambda x: x + tinycnn.randn(4, device="cuda")),
        ("make it with capturable=True", adam_step),
        ("begins with a step that is not captured", first_step),
    ):
        run = tinycnn.cuda.graph(step, warmup=1)
        run(x)
        refuses(RuntimeError, words, lambda: run(x))  # noqa: B023
        assert (x + 1).tolist() == [2.0] * 4  # and work goes on


@check
def a_wrong_label_in_a_graph_is_told() -> None:
    step = tinycnn.cuda.graph(nn.functional.cross_entropy, warmup=1)
    scores = tinycnn.zeros(2, 3, device="cuda")
    right, wrong = (tinycnn.tensor(labels, device="cuda") for labels in ([0, 2], [0, 3]))
    for _ in range(3):
        assert np.isclose(step(scores, right).item(), np.log(3))
    refuses(IndexError, "target 3 is out of range for 3 classes", step(scores, wrong).item)
    assert np.isclose(step(scores, right).item(), np.log(3))
