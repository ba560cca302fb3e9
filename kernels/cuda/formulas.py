"""Formulas of the reference kernels as CUDA C++: one text in Python, from which the header `formulas.cuh` is written.

A formula is a function such as `silu(xp, x)` that treats every element alike. It is called once, with symbols for the
arrays and numbers and with `Tracer` for the array library. Each operation on symbols becomes a line of C++:

    def silu_backward(xp, g, x):               struct silu_backward {
        s = sigmoid(xp, x)                         static const int inputs = 2;
        return g * (s + x * s * (1 - s))           template <typename W> static __device__ W of(...) {
                                                       const W t0 = ::sigmoid(in[1]);
                                                       const W t1 = in[1] * t0;
                                                       ...
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

# The library's functions of one number that C++ has too, by its names, and those that elementwise.cu defines.
_UNARY = {"abs": "fabs"} | {name: name for name in "erf exp expm1 log log1p sigmoid sign sqrt tanh".split()}
_BINARY = {"maximum": "larger", "minimum": "smaller", "logaddexp": "log_sum_exp"}


class Symbol:
    """A number, or a truth value, of a formula: its name in C++."""

    dtype = SimpleNamespace(kind="f")

    def __init__(self, tracer: Tracer, name: str) -> None:
        self.tracer, self.name = tracer, name

    @property
    def real(self) -> Symbol:
        return self

    def __neg__(self) -> Symbol:
        return self.tracer.line(f"-{self.name}")

    def __invert__(self) -> Symbol:
        return self.tracer.line(f"!{self.name}", "bool")


def _operator(sign: str, kind: str, swapped: bool = False) -> Callable[[Symbol, Any], Symbol]:
    def apply(self: Symbol, other: Any) -> Symbol:
        a, b = self.name, self.tracer.spelled(other)
        return self.tracer.line(f"{b} {sign} {a}" if swapped else f"{a} {sign} {b}", kind)

    return apply


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    setattr(Symbol, f"__{_name}__", _operator(_sign, "W"))
    setattr(Symbol, f"__r{_name}__", _operator(_sign, "W", swapped=True))
for _name, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("and", "&&"), ("or", "||")):
    setattr(Symbol, f"__{_name}__", _operator(_sign, "bool"))


class Tracer:
    """Stands where a formula expects its array library, and writes down what is asked of it."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}  # expression: its name; what is computed already is not computed again
        self.declared: list[str] = []

    def line(self, expression: str, kind: str = "W") -> Symbol:
        name = self.lines.get(expression)
        if name is None:
            name = self.lines[expression] = f"t{len(self.lines)}"
            self.declared.append(f"const {kind} {name} = {expression};")
        return Symbol(self, name)

    def spelled(self, value: Any) -> str:
        """A symbol's name, or a Python number as C++ writes it."""
        if isinstance(value, Symbol):
            return value.name
        if isinstance(value, (int, float)) and math.isfinite(value):
            return f"W({float(value)!r})"
        raise TypeError(f"a formula for CUDA cannot hold {value!r}")

    def where(self, condition: Symbol, a: Any, b: Any) -> Symbol:
        return self.line(f"{condition.name} ? {self.spelled(a)} : {self.spelled(b)}")

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        function, arguments = _UNARY.get(name) or _BINARY.get(name), 1 if name in _UNARY else 2
        if function is None:
            raise AttributeError(f"a formula for CUDA cannot call {name!r}")

        def call(*values: Any) -> Symbol:
            if len(values) != arguments:
                raise TypeError(f"{name} takes {arguments} arguments, got {len(values)}")
            return self.line(f"::{function}({', '.join(map(self.spelled, values))})")

        return call


def arguments_of(formula: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The names of a formula's arrays and of its numbers."""
    parameters = list(inspect.signature(formula).parameters.values())[1:]
    arrays = [p.name for p in parameters if p.annotation in ("Array", Any)]
    return arrays, [p.name for p in parameters[len(arrays) :]]


def written(formula: Callable[..., Any]) -> str:
    """The formula as a C++ structure of its name."""
    tracer = Tracer()
    arrays, numbers = arguments_of(formula)
    names = [*(f"in[{i}]" for i in range(len(arrays))), *(f"number[{i}]" for i in range(len(numbers)))]
    result = formula(tracer, *(Symbol(tracer, name) for name in names))
    body = "\n".join(f"        {line}" for line in (*tracer.declared, f"return {result.name};"))
    return (
        f"struct {formula.__name__} {{\n    static const int inputs = {len(arrays)};\n"
        "    template <typename W>\n"
        "    static __device__ __forceinline__ W of(const W* in, const W* number) {\n"
        f"{body}\n    }}\n}};\n"
    )


def header(formulas: Iterable[Callable[..., Any]]) -> str:
    """All of them, as the text of `formulas.cuh`."""
    return "namespace formula {\n" + "".join(map(written, formulas)) + "}  // namespace formula\n"
