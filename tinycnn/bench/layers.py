"""Each layer by itself, at the shapes at which its network calls it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import inspect, nn
from ..autograd import Tensor, no_grad
from ..ops import randn
from .cases import Case
from .step import prepare


@dataclass(frozen=True)
class LayerTime:
    """One layer's times in seconds, and how much it multiplies.

    Attributes:
        name: its dotted name in the network.
        kind: its class.
        shapes: of its input and its output.
        macs: multiply-accumulates of the forward pass over the batch; backward does twice as many, less those for the
            images' own gradient in the first layer.
        forward, backward: medians.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    macs: int
    forward: float
    backward: float

    @property
    def rates(self) -> tuple[float, float]:
        """Multiply-accumulates a second, forward and backward."""
        return self.macs / self.forward, 2 * self.macs / self.backward


def time_layers(case: Case, repeats: int = 7) -> list[LayerTime]:
    """Time every layer that the network calls as a module, in the order of the calls.

    Each gets a random input of its shape and a random cotangent, alone, again and again: its data are as warm in the
    caches as they can be. What a network computes between layers (the sum behind a shortcut, a concatenation) has no
    row, so the rows add up to less than a step.

    Example:
        >>> rows = time_layers(Case("mlp", 28, 4), repeats=1)
        >>> [(row.name, row.kind, row.macs) for row in rows if row.macs]
        [('1', 'Linear', 802816), ('3', 'Linear', 10240)]
    """
    net, images, _ = prepare(case)
    calls: list[tuple[str, nn.Module, tuple[int, ...], tuple[int, ...]]] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            calls.append((name, layer, tuple(inputs[0].shape), tuple(output.shape)))

        return hook

    leaves = {name: module for name, module in net.named_modules() if not list(module.children())}
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves.items()]
    try:
        with no_grad():
            net(images)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for i, (name, layer, before, after) in enumerate(calls):
        macs = before[0] * inspect.count_macs(layer, before, after)
        forward, backward = _time_layer(layer, before, needs_input_grad=i > 0, repeats=repeats)
        found.append(LayerTime(name, type(layer).__name__, (before, after), macs, forward, backward))
    return found


def _time_layer(layer: nn.Module, shape: tuple[int, ...], needs_input_grad: bool, repeats: int) -> tuple[float, float]:
    x = randn(*shape, requires_grad=needs_input_grad)
    wait = x.backend.synchronize
    cotangent: Tensor | None = None
    times: tuple[list[float], list[float]] = [], []
    for repeat in range(repeats + 1):
        x.grad = None
        layer.zero_grad()
        start = time.perf_counter()
        y = layer(x)
        wait()
        middle = time.perf_counter()
        if cotangent is None:
            cotangent = randn(*y.shape)
        between = time.perf_counter()
        if y.requires_grad:
            y.backward(cotangent)
        wait()
        end = time.perf_counter()
        if repeat:  # the first compiles
            times[0].append(middle - start)
            times[1].append(end - between)
    return statistics.median(times[0]), statistics.median(times[1])
