"""Calls of operations with one argument or two spoilt: of another rank, dtype, kind, sign or size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import no_grad
from tinycnn.nn import functional as F
from tinycnn.ops.registry import OpInfo, all_ops

HUGE = 2**40  # of bytes, a thousand times what a machine has; so large a number of steps would never end either
NOT_PUBLIC = {"contiguous", "expand", "to"}  # methods of a tensor, which a tensor of another type has not

OPS: dict[str, OpInfo] = {op.name: op for op in all_ops() if op.name not in NOT_PUBLIC}


def public(op: str) -> Callable[..., Any]:
    """The function as a user finds it."""
    found: Callable[..., Any] = getattr(F, op, None) or getattr(tinycnn, op)
    return found


@dataclass(frozen=True)
class Spoiled:
    """A call, and what is wrong with it: "input rank", say."""

    op: str
    wrong: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        with no_grad():
            return public(self.op)(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        shown = [*map(_shown, self.args), *(f"{k}={_shown(v)}" for k, v in self.kwargs.items())]
        return f"{self.op}({', '.join(shown)})  # {self.wrong}"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor({value.tolist()}, dtype={value.dtype!r})" if value.numel() else f"zeros{tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value)


def wrongs(value: Any) -> Iterator[tuple[str, Any]]:
    """What may stand wrongly where a value stands, each with its name."""
    if isinstance(value, Tensor):
        yield from _wrong_tensors(value.detach())
    elif isinstance(value, bool):
        yield from (("word", "no"), ("None", None))
    elif isinstance(value, int | float):
        numbers = (-1, 0, -7, HUGE, 2**63, 2**70, 1.5, -0.5, float("nan"), float("inf"))
        yield from ((str(n), n) for n in numbers)
        yield from (("word", "x"), ("None", None), ("tuple", (1, 2, 3)), ("list", []), ("True", True))
    elif isinstance(value, list | tuple) and value and all(isinstance(n, int) for n in value):
        yield from ((f"{n} inside", (n, *value[1:])) for n in (-1, 0, HUGE, 2**63, 1.5, "x", None))
        yield from (("longer", (*value, 1, 1)), ("empty", ()), ("None", None), ("word", "x"))
    elif isinstance(value, str):
        yield from (("word", "foo"), ("None", None), ("number", 3))
    elif value is None:
        yield from (("-1", -1), ("0", 0), ("0.5", 0.5), ("word", "x"), ("tuple", (1, 2, 3)))


def _wrong_tensors(x: Tensor) -> Iterator[tuple[str, Any]]:
    kind = x.dtype
    yield "rank", x.unsqueeze(0).unsqueeze(0)
    yield "no dimension", tinycnn.tensor(1.0, dtype=tinycnn.float64)
    yield "one dimension", tinycnn.ones(7, dtype=tinycnn.float64)
    yield "nothing", tinycnn.zeros(0, dtype=tinycnn.float64)
    if x.dim():
        yield "longer", tinycnn.ones(*(n + 1 for n in x.shape), dtype=kind)
        yield "no columns", tinycnn.ones(*x.shape[:-1], 0, dtype=kind)
    yield "integers", (x * 3).long()
    yield "booleans", x > 0
    yield "float32", x.float()
    yield "NaN" if x.is_floating_point() else "far off", x * float("nan") if x.is_floating_point() else x - 10**6
    if x.is_floating_point():
        yield "infinity", x / 0
        yield "1e300", x * 1e300
    yield from (("None", None), ("list", x.tolist()), ("word", "x"), ("number", 0.5))


def places(op: str, sample: int) -> list[int | str]:
    """Which arguments a sample has: positions and keywords."""
    given = OPS[op].make_samples()[sample]
    return [*range(len(given.args)), *given.kwargs]


def spoil(
    op: str, sample: int, choose: Callable[[int | str, list[tuple[str, Any]]], tuple[str, Any] | None]
) -> Spoiled:
    """A sample with some arguments replaced: `choose` is asked at each, and answers None to leave it."""
    given = OPS[op].make_samples()[sample]
    args = [a.detach() if isinstance(a, Tensor) else a for a in given.args]
    kwargs = {k: v.detach() if isinstance(v, Tensor) else v for k, v in given.kwargs.items()}
    labels = []
    for place in places(op, sample):
        value = args[place] if isinstance(place, int) else kwargs[place]
        chosen = choose(place, list(wrongs(value)))
        if chosen is None:
            continue
        labels.append(f"{place} {chosen[0]}")
        if isinstance(place, int):
            args[place] = chosen[1]
        else:
            kwargs[place] = chosen[1]
    return Spoiled(op, ", ".join(labels), tuple(args), kwargs)


def every(op: str) -> Iterator[Spoiled]:
    """All calls with one argument spoilt."""
    for sample in range(len(OPS[op].make_samples())):
        for place in places(op, sample):
            given = OPS[op].make_samples()[sample]
            value = given.args[place] if isinstance(place, int) else given.kwargs[place]
            for label, _ in wrongs(value):
                yield spoil(
                    op,
                    sample,
                    lambda at, found, place=place, label=label: (  # type: ignore[misc]
                        next(w for w in found if w[0] == label) if at == place else None
                    ),
                )
