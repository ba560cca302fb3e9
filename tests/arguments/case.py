"""How a case is written down: tensors by shape and kind, dtypes by name, an operation as a table of arguments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class T:
    """A tensor that both libraries get, with the same numbers.

    Attributes:
        shape: its shape.
        kind: which numbers: "normal", "positive" (0.5 to 2), "unit" (0.05 to 0.95), "ties" (-2 to 2 in halves, many
            equal), "special" (with NaN and infinities), "apart" (no two equal), "below N" (integers 0 to N - 1),
            "flags", or the numbers themselves.
        dtype: by name.
        lie: how it lies in memory: "plain", "transposed", "strided" (every second), "channels_last".
        grad: whether a gradient is wanted, where the dtype has one.
    """

    shape: tuple[int, ...]
    kind: Any = "normal"
    dtype: str = "float64"
    lie: str = "plain"
    grad: bool = True

    @property
    def in_numpy(self) -> str:
        """The dtype of the array, which the tensor is made from: PyTorch makes none from bfloat16."""
        return "float32" if self.dtype == "bfloat16" else self.dtype

    def array(self, random: np.random.Generator) -> np.ndarray:
        shape = self.shape[::-1] if self.lie == "transposed" else self.shape
        if self.lie == "strided":
            shape = (*shape[:-1], 2 * shape[-1])
        if self.lie == "channels_last":
            shape = tuple(shape[i] for i in (0, 2, 3, 1))
        out = np.array(self._numbers(random, shape)).astype(self.in_numpy)  # a copy: in C order
        if self.lie == "transposed":
            return out.T
        if self.lie == "strided":
            return out[..., ::2]
        return out.transpose(0, 3, 1, 2) if self.lie == "channels_last" else out

    def _numbers(self, random: np.random.Generator, shape: tuple[int, ...]) -> Any:
        kind = self.kind
        if not isinstance(kind, str):
            return np.array(kind, dtype=self.in_numpy).reshape(shape)
        if kind.startswith("below"):
            return random.integers(0, int(kind.split()[1]), shape)
        if kind == "flags":
            return random.random(shape) < 0.5
        if kind == "ties":
            return random.integers(-4, 5, shape) / 2
        if kind == "apart":
            return (random.permutation(int(np.prod(shape))).reshape(shape) - 3.5) * 0.3
        if kind == "special":
            return random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5], shape)
        if kind in {"positive", "unit"}:
            low, high = (0.5, 2.0) if kind == "positive" else (0.05, 0.95)
            return random.random(shape) * (high - low) + low
        numbers = random.standard_normal(shape)
        return np.round(3 * numbers) if self.dtype.startswith(("int", "uint")) else numbers

    def __str__(self) -> str:
        parts = ["x".join(map(str, self.shape)) or "0-d"]
        parts += [str(self.kind)] if self.kind != "normal" else []
        parts += [what for what, usual in ((self.dtype, "float64"), (self.lie, "plain")) if what != usual]
        return "<" + " ".join(parts) + ">"

    __repr__ = __str__


def X(*shape: int, **how: Any) -> T:
    """Normal numbers, float64, with a gradient."""
    return T(shape, **how)


def labels(high: int, *shape: int, **how: Any) -> T:
    """int64 numbers below high."""
    return T(shape, f"below {high}", **({"dtype": "int64"} | how))


def flags(*shape: int) -> T:
    """True and False."""
    return T(shape, "flags", "bool")


def given(values: Any, dtype: str = "float64", **how: Any) -> T:
    """These numbers."""
    return T(np.shape(values), values, dtype, **how)


@dataclass(frozen=True)
class Named:
    """An object of either library, by its name there: a dtype, a memory format."""

    name: str

    def __repr__(self) -> str:
        return self.name


BF16, F16, F32, F64 = map(Named, ("bfloat16", "float16", "float32", "float64"))
I64, I32, U8, BOOL = map(Named, ("int64", "int32", "uint8", "bool"))
CHANNELS_LAST, CONTIGUOUS, PRESERVE = map(Named, ("channels_last", "contiguous_format", "preserve_format"))
ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()


def varied(tensor: T) -> list[T]:
    """The tensor, and beside it: other ways to lie in memory, no dimensions, nothing in it, other dtypes."""
    out = [tensor, replace(tensor, lie="transposed"), replace(tensor, lie="strided")]
    if len(tensor.shape) == 4:
        out.append(replace(tensor, lie="channels_last"))
    out += [replace(tensor, shape=()), replace(tensor, shape=(0, *tensor.shape[1:]))]
    return out + [replace(tensor, dtype=dtype) for dtype in ("float32", "bfloat16", "int64", "uint8", "bool")]


Arguments = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One operation, and the arguments it is to be called with.

    Attributes:
        name: PyTorch's name; those in `also` are the same operation.
        bases: the arguments that must be there, several ways. The first is combined with everything in `values`, one
            argument at a time and two at a time; the others with one value at a time.
        values: the other arguments, and what to give for each.
        alone: whole calls, as they stand.
        random: whether the results are random, so that only shapes and dtypes can be compared.
        spread: the argument whose numbers can be given one by one.
        differs: of which cases (by a part of their text) the answer is another than PyTorch's: "raises" says that they
            raise here only, "answers" that they raise in PyTorch only ("more": some of them), "other" that the result
            differs, "gradient" that at most the gradient does, "either" that it is left open. The first part that is
            found counts: "same" excepts cases from a wider part after it.
        pairs: whether values are combined two at a time.
        function, method: whether it is called so. By default where both libraries have it.
        names: whether the arguments have names.
        by_name: the arguments that can be given by name only, though PyTorch has a place for them.
    """

    name: str
    bases: Sequence[Arguments]
    values: dict[str, Sequence[Any]] = field(default_factory=dict)
    alone: Sequence[Arguments] = ()
    also: tuple[str, ...] = ()
    random: bool = False
    spread: str | None = None
    differs: dict[str, str] = field(default_factory=dict)
    pairs: bool = True
    function: bool = True
    method: bool = True
    names: bool = True
    by_name: tuple[str, ...] = ()

    def cases(self) -> Iterator[Arguments]:
        """Every call's arguments."""
        yield from self.alone
        for i, base in enumerate(self.bases):
            yield dict(base)
            for name, values in self.values.items():
                for value in values:
                    yield base | {name: value}
            if i == 0 and self.pairs:
                for (a, of_a), (b, of_b) in itertools.combinations(self.values.items(), 2):
                    for x, y in itertools.product(of_a, of_b):
                        yield base | {a: x, b: y}

    def exercised(self) -> set[str]:
        """The names of all arguments that some case gives."""
        return {name for case in self.cases() for name in case}


@dataclass(frozen=True)
class Layer:
    """A layer: what its constructor is called with (as an `Entry`'s arguments), and what the layer is called with.

    Attributes:
        inputs: the tensors for forward, several ways.
        settings: attributes to set on the made layer before it is called.
    """

    name: str
    bases: Sequence[Arguments]
    inputs: Sequence[Sequence[Any]]
    values: dict[str, Sequence[Any]] = field(default_factory=dict)
    alone: Sequence[Arguments] = ()
    random: bool = False
    differs: dict[str, str] = field(default_factory=dict)
    pairs: bool = True

    cases = Entry.cases
    exercised = Entry.exercised
