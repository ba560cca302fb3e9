"""From a kernel in a `.cu` file to its launch.

A kernel is described once, by what its source already says: `Kernel("pool", "max_pool")` finds the template in
`pool.cu` and reads its parameters. The description serves whoever runs or checks it:

* on a GPU, `CupyDriver` compiles the instance that is asked for by NVRTC, through cupy.RawModule, and keeps it;
* in the tests another driver compiles the same text for the CPU, and the compiler for GPUs goes over every instance.

The arguments of a launch are wrapped here, for CUDA takes untyped bytes: an `int` parameter that gets Python's number
as eight bytes reads half of them, without a word.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = Any
Dims = tuple[int, ...]

_FOLDER = Path(__file__).parent
OPTIONS = ("--std=c++17",)

# The types that arrays may have in memory, and what C++ calls them (common.cuh).
TYPES = {"float32": "float", "float64": "double", "float16": "half16", "bfloat16": "bfloat16"}
SCALARS: dict[str, type[np.generic]] = {
    "bool": np.bool_,
    "int": np.int32,
    "unsigned": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
}

# Headers that are no files: what writes each of them.
GENERATED: dict[str, Callable[[], str]] = {}


class Driver(Protocol):
    """What runs kernels: CuPy on a GPU, or a test's machinery."""

    @property
    def xp(self) -> Any:
        """The array library in whose memory the kernels work."""

    def address(self, array: Array) -> int:
        """Where an array begins, for tables of pointers."""

    def launch(self, instance: Instance, grid: Dims, block: Dims, args: Sequence[Any], shared: int) -> None:
        """Run `instance` with arguments of exactly its parameters' types."""


class CupyDriver:
    """Kernels on the GPU in use, compiled when they are first asked for."""

    def __init__(self) -> None:
        import cupy

        self.xp: Any = cupy
        self._functions: dict[tuple[Instance, int], Any] = {}

    def address(self, array: Array) -> int:
        return int(array.data.ptr)

    def launch(self, instance: Instance, grid: Dims, block: Dims, args: Sequence[Any], shared: int) -> None:
        function = self._functions.get((instance, shared))
        if function is None:
            module = self.xp.RawModule(
                code=source(instance.file), options=OPTIONS, name_expressions=(instance.expression,)
            )
            function = module.get_function(instance.expression)
            if shared > 48 << 10:  # more has to be asked for
                function.max_dynamic_shared_size_bytes = shared
            self._functions[instance, shared] = function
        function(grid, block, tuple(args), shared_mem=shared)


_driver: Driver | None = None


def driver() -> Driver:
    """The driver in use: CuPy's unless another was set.

    Raises:
        ImportError: if CuPy is not installed.
    """
    global _driver
    if _driver is None:
        _driver = CupyDriver()
    return _driver


def set_driver(new: Driver | None) -> None:
    """Let `new` run the kernels from now on; None: CuPy's."""
    global _driver
    _driver = new


@contextmanager
def use_driver(new: Driver) -> Iterator[Driver]:
    """Let `new` run the kernels in a block."""
    global _driver
    before, _driver = _driver, new
    try:
        yield new
    finally:
        _driver = before


@functools.cache
def source(name: str) -> str:
    """`<name>.cu` of this folder as one text, each header that it includes in its place.

    CuPy keeps what it has compiled under the text it was given, and would not notice that a header has changed.

    Raises:
        FileNotFoundError: if no such file is here.
    """
    return _inlined(f"{name}.cu", set())


def _inlined(name: str, seen: set[str]) -> str:
    path = _FOLDER / name
    if name not in GENERATED and not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.cu")))
        raise FileNotFoundError(f"source: no CUDA source is called {name!r}, known are: {known}")
    seen.add(name)
    lines = [f'#line 1 "{name}"']
    text = GENERATED[name]() if name in GENERATED else path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        include = re.match(r'\s*#include "(\w+\.cuh)"', line)
        if include is None:
            lines.append(line)
        elif include[1] not in seen:
            lines += [_inlined(include[1], seen), f'#line {number + 1} "{name}"']
        else:
            lines.append("")
    return "\n".join(lines) + "\n"


class Instance(NamedTuple):
    """One instance of a kernel: the file, the expression that names it, its parameters' C++ types ("float*", "int")."""

    file: str
    expression: str
    parameters: tuple[str, ...]


class Kernel:
    """A kernel of a `.cu` file: a template over a type of memory, then perhaps over more, or a plain function.

    Args:
        file: the name of the file, without `.cu`.
        name: that of the function.
        types: the dtypes in `TYPES` that its first template parameter may be; none for a function that has no such.
        variants: the values that its other template parameters may take, in order: the instances that exist are all
            their combinations.
        only: tuples of all the other template parameters, where not every combination makes sense.
    """

    registry: dict[tuple[str, str], Kernel] = {}  # noqa: RUF012

    def __init__(
        self,
        file: str,
        name: str,
        types: Sequence[str] = tuple(TYPES),
        variants: Sequence[Sequence[Any]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
    ) -> None:
        self.file, self.name, self.types = file, name, tuple(types)
        self.variants = tuple(itertools.product(*variants)) if only is None else tuple(only)
        self._prepared: dict[Any, tuple[Instance, list[Callable[[Any], Any]]]] = {}
        self.registry[file, name] = self

    def instances(self) -> list[Instance]:
        """All that exist."""
        firsts: Sequence[tuple[Any, ...]] = [(kind,) for kind in self.types] or [()]
        return [self.instance(*first, *rest) for first in firsts for rest in self.variants]

    def instance(self, *values: Any) -> Instance:
        """The instance for a dtype's name and values of the other template parameters.

        Raises:
            ValueError: if there is none for them.
        """
        kind, rest = (values[:1], values[1:]) if self.types else ((), values)
        if (kind and kind[0] not in self.types) or rest not in self.variants:
            raise ValueError(
                f"{self.file}.cu: {self.name} exists for {', '.join(self.types) or 'no dtype'} "
                f"and {' or '.join(map(str, self.variants))}, got {values}"
            )
        spelled = [*(TYPES[k] for k in kind), *(str(v).lower() for v in rest)]
        expression = f"{self.name}<{', '.join(spelled)}>" if spelled else self.name
        return Instance(self.file, expression, parameters_of(self.file, self.name, spelled))

    def launch(self, which: Any, grid: Dims, block: Dims, *args: Any, shared: int = 0) -> None:
        """Run the instance for `which`, a dtype or a tuple that begins with one, on a grid of blocks of threads.

        A grid without blocks is nothing to do (CUDA would refuse it, CuPy run one block). Arrays go as pointers, None
        as the null pointer, numbers in their parameter's type, a NumPy array of one structure as that structure.
        """
        prepared = self._prepared.get(which)
        if prepared is None:
            prepared = self._prepared[which] = self._prepare(which)
        if 0 in grid:
            return
        instance, converters = prepared
        if len(args) != len(converters):
            raise TypeError(f"{instance.expression} takes {len(converters)} arguments, got {len(args)}")
        driver().launch(
            instance, grid, block, [convert(x) for convert, x in zip(converters, args, strict=True)], shared
        )

    def _prepare(self, which: Any) -> tuple[Instance, list[Callable[[Any], Any]]]:
        values = which if isinstance(which, tuple) else (which,)
        if self.types:
            values = (np.dtype(values[0]).name, *values[1:])
        instance = self.instance(*values)
        return instance, [_converter(parameter) for parameter in instance.parameters]


def _pointer(array: Array | None) -> Any:
    return np.uint64(0) if array is None else array


def _structure(value: Any) -> Any:
    return value


def _converter(parameter: str) -> Callable[[Any], Any]:
    return _pointer if parameter.endswith("*") else SCALARS.get(parameter, _structure)


def parameters_of(file: str, name: str, values: Sequence[str]) -> tuple[str, ...]:
    """The C++ types of a kernel's parameters, read from its source, for the given values of its template parameters.

    Raises:
        ValueError: if the file has no such kernel, or not with as many template parameters.
    """
    text = re.sub(r"//[^\n]*", "", source(file))
    found = re.search(
        rf"(?:template\s*<([^{{}};]*?)>\s*)?__global__\s+void\s+(?:__launch_bounds__\([^()]*\)\s*)?{name}\s*\(([^()]*)\)",
        text,
    )
    if found is None:
        raise ValueError(f"{file}.cu has no kernel {name!r}")
    declared = [words.split()[-1] for words in found[1].split(",")] if found[1] else []
    if len(declared) != len(values):
        raise ValueError(f"{file}.cu: {name} has template parameters {declared}, got values {list(values)}")
    known = dict(zip(declared, values, strict=True))
    return tuple(_type_of(parameter, known) for parameter in found[2].split(",") if parameter.strip())


def _type_of(parameter: str, known: dict[str, str]) -> str:
    """ "const T* __restrict__ x" -> "float*", where T is float; Wide<T> is double for a double and float otherwise."""
    words = re.sub(r"\b(const|__restrict__)\b", " ", parameter).replace("*", " * ").split()[:-1]
    pointer = "*" if "*" in words else ""
    spelled = " ".join(word for word in words if word != "*")
    wide = re.fullmatch(r"Wide\s*<\s*(\w+)\s*>", spelled)
    if wide:
        return ("double" if known.get(wide[1], wide[1]) == "double" else "float") + pointer
    return known.get(spelled, spelled) + pointer
