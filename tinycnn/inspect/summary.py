"""A network as a table: a row for each layer in the order in which they are called.

The shapes come from a forward pass, and every operation finds the shape of its result also for a batch of no images:
so none are passed through, nothing is computed, and VGG-19 takes as long as LeNet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from ..ops import zeros
from .macs import count_macs
from .table import format_table


@dataclass(frozen=True)
class Row:
    """A layer, or with `depth` a part of the network, in one of its calls.

    Attributes:
        name: its dotted name; "" for the network itself.
        kind: its class.
        output_shape: what it gives for one image, such as (C, H, W).
        parameters: how many numbers it learns, without those that a row above has counted.
        macs: multiply-accumulates for one image; see `count_macs`.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; `str` makes a table of it that is at most 80 columns wide.

    Attributes:
        rows: the layers in the order of their calls.
        input_shape: of one image.
        parameters: how many numbers the network learns; one that is shared counts once.
        macs: multiply-accumulates for one image, over all calls.
        activations: how many numbers the layers give for one image in all: about what training keeps of it.
    """

    rows: tuple[Row, ...]
    input_shape: tuple[int, ...]
    parameters: int
    macs: int
    activations: int

    def __str__(self) -> str:
        shape = _shown(self.input_shape)
        lines = [
            (r.name or r.kind, r.kind, _shown(r.output_shape), _count(r.parameters), _count(r.macs)) for r in self.rows
        ]
        head = ("name", "layer", "output", "parameters", "MACs")
        total = ("total", "", "", f"{self.parameters:,}", f"{self.macs:,}")
        table = format_table([head, *lines, total], "<<<>>", shrink=0)
        rule = "-" * max(map(len, table))
        megabytes = 4 * self.activations / 2**20
        note = f"One image {shape}: its layers give {self.activations:,} numbers, {megabytes:.2f} MiB in float32."
        return "\n".join([table[0], rule, *table[1:-1], rule, table[-1], note])


def summary(model: nn.Module, input_shape: Sequence[int], depth: int | None = None) -> Summary:
    """What each layer of a network gives, learns and computes.

    The network is called in evaluation mode on an empty batch; if it cannot take one, on one image of zeros. Its
    lazy layers get their sizes thereby; all else is as before. Layers show if they are called as modules: operations
    of `functional` have no row.

    Args:
        model: the network.
        input_shape: the shape of one image, (C, H, W), without the batch.
        depth: how deep to look into modules of modules: 1 gives a row to each part that the network itself calls, with
            the sums over what is inside. By default down to the single layers.

    Raises:
        ValueError: if input_shape is not of positive integers, or depth is negative; and what the network raises if it
            cannot take such an image.

    Example:
        >>> from tinycnn import nn
        >>> print(summary(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2704, 10)), (1, 28, 28)))
        name   layer    output   parameters    MACs
        -------------------------------------------
        0      Conv2d   4x26x26          40  24,336
        1      ReLU     4x26x26           -       -
        2      Flatten  2704              -       -
        3      Linear   10           27,050  27,040
        -------------------------------------------
        total                        27,090  51,376
        One image 1x28x28: its layers give 8,122 numbers, 0.03 MiB in float32.
    """
    shape = tuple(input_shape)
    if not shape or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in shape):
        raise ValueError(f"summary: input_shape must be the shape of one image, such as (3, 224, 224), got {shape}")
    if depth is not None and depth < 0:
        raise ValueError(f"summary: depth must be 0 or more, got {depth}")
    calls = _calls(model, shape)
    counted: set[int] = set()
    rows = []
    for call in calls:
        if call.is_layer if depth is None or call.level < depth else call.level == depth:
            parameters = list(call.module.parameters())
        elif depth is None or call.level < depth:  # it holds layers; has it parameters of its own?
            parameters = list(call.module.parameters(recurse=False))
            if not parameters:
                continue
        else:
            continue
        new = {id(p): p.numel() for p in parameters if id(p) not in counted}
        counted.update(new)
        macs = call.macs if call.is_layer or call.level == depth else 0
        rows.append(Row(call.name, type(call.module).__name__, call.output_shape, sum(new.values()), macs))
    return Summary(
        rows=tuple(rows),
        input_shape=shape,
        parameters=sum(p.numel() for p in model.parameters()),
        macs=calls[-1].macs,
        activations=sum(math.prod(call.output_shape) for call in calls if call.is_layer),
    )


@dataclass
class _Call:
    """One call of a module; `macs` includes those of the calls inside it, of which a layer has none."""

    module: nn.Module
    name: str
    level: int
    is_layer: bool = True
    output_shape: tuple[int, ...] = ()
    macs: int = 0


def _calls(model: nn.Module, shape: tuple[int, ...]) -> list[_Call]:
    """The calls of modules in a forward pass, in the order in which they end; the last is the model's own."""
    like: Any = next(model.parameters(), None)
    options = {} if like is None else {"device": like.device, "dtype": like.dtype}
    with _evaluating(model), no_grad():
        with suppress(Exception):  # a network may need an image, as `x.view(len(x), -1)` does
            return _record(model, zeros(0, *shape, **options))
        return _record(model, zeros(1, *shape, **options))


def _record(model: nn.Module, images: Tensor) -> list[_Call]:
    names = {module: name for name, module in model.named_modules()}
    under_way: list[_Call] = []
    done: list[_Call] = []

    def begin(module: nn.Module, args: Any) -> None:
        if under_way:
            under_way[-1].is_layer = False
        under_way.append(_Call(module, names[module], len(under_way)))

    def end(module: nn.Module, args: Any, output: Any) -> None:
        call = under_way.pop()
        first = _first_tensor(output)
        call.output_shape = () if first is None else tuple(first.shape[1:])
        if call.is_layer and first is not None and args:
            call.macs = count_macs(module, args[0].shape, first.shape)
        if under_way:
            under_way[-1].macs += call.macs
        done.append(call)

    handles = []
    try:
        for module in names:
            handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return done


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards each of its modules in the mode it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else ()
    return next((found for part in parts if (found := _first_tensor(part)) is not None), None)


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _count(n: int) -> str:
    return f"{n:,}" if n else "-"
