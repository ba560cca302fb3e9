"""Kernels of the second kind: one job each, on numbers alone, compiled in a fraction of the time.

A `kernel` of `_jit.py` takes arrays and holds its own loop over jobs; Numba compiles it for every combination of
types. What the fast convolutions do between their vector instructions is arithmetic on addresses, so they
are written as functions of one job, and of a list of integers that is the same for all jobs:

    class Copy(NamedTuple):
        source: int
        target: int
        size: int

    @jobs
    def copy_rows(job, thread, at):
        c = fields(at, Copy)
        copy(c.target + job * c.size, c.source + job * c.size, c.size)

    copy_rows(10, Plan(Copy(Place(1), Place(2), 64)).at(address(x), address(y)))

The list may hold several records, one after another; how it is made is told in `_plan.py`. Such a function is compiled
once; the loop over jobs, with threads and without, is the same for all of them (`run_jobs`). `thread` counts from 0
below the number of threads: a job may use that part of some memory as its own.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeAlias

import numba.core.event
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from ._cache import FunctionCache
from ._jit import OPTIONS, Array, compiled, run_jobs
from ._progress import functions

Numbers: TypeAlias = "array[int]"  # 64 bits each: NumPy's arrays take longer to make
_SIGNATURE = (types.int64, types.int64, types.int64), types.void
_INT, _BYTE, _FLOAT = ir.IntType(64), ir.IntType(8), ir.FloatType()


class _Function(CFunc):
    """Says when it is compiled, as Numba's other functions do."""

    py_func: FunctionType
    _cache: Any
    address: int

    def _compile_uncached(self) -> Any:
        self.py_func = self._pyfunc  # type: ignore[attr-defined]
        with numba.core.event.trigger_event("numba:compile", data={"dispatcher": self}):
            return super()._compile_uncached()  # type: ignore[misc]


class Jobs:
    """A function of one job, compiled when it is first needed: `f(count, numbers)` runs jobs 0 ... count - 1.

    `threads`: whether there is enough to do that waking them is worth it. `first`: which number its fields begin with.
    """

    def __init__(self, function: FunctionType) -> None:
        self.__doc__ = function.__doc__
        self.compiled: _Function | None = None
        self._function = function
        self._address = 0
        functions.add(function)

    def __call__(self, count: int, numbers: Numbers, threads: bool = True, first: int = 0) -> None:
        if self.compiled is None:
            function = _Function(self._function, _SIGNATURE, locals={}, options=OPTIONS)
            function._cache = FunctionCache(self._function)
            function.compile()
            self.compiled, self._address = function, function.address
        run_jobs(self._address, numbers.buffer_info()[0] + 8 * first, count, threads)


def jobs(function: Callable[[int, int, int], None]) -> Jobs:
    """Make a function (job, thread, address of the fields) a kernel; see Jobs for how it is then called."""
    assert isinstance(function, FunctionType)
    return Jobs(function)


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call. It becomes part of them."""
    assert isinstance(function, FunctionType)
    return compiled(function)


# Of an array's C structure, which begins with what every Python object has, the address of its numbers comes first.
# Asking for `__array_interface__` makes a dictionary of all there is to know, which takes six times as long.
ADDRESS = object.__basicsize__
_pointer_at = ctypes.c_void_p.from_address


def address(x: Array) -> int:
    """Where the numbers of an array begin."""
    return _pointer_at(id(x) + ADDRESS).value or 0


@intrinsic  # type: ignore[untyped-decorator]
def fields(context: Any, at: Any, kind: Any) -> Any:
    """fields(address, Kind): the integers at an address as a NamedTuple of this kind."""
    cls = kind.instance_class
    result = types.NamedUniTuple(types.int64, len(cls._fields), cls)  # type: ignore[attr-defined]

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        array = builder.inttoptr(values[0], ir.ArrayType(_INT, len(cls._fields)).as_pointer())
        return target.make_tuple(builder, result, cgutils.unpack_tuple(builder, builder.load(array)))

    return result(at, kind), write


@intrinsic  # type: ignore[untyped-decorator]
def copy(context: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes from one address to another."""

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        to, at, size = values
        pointers = [builder.inttoptr(value, _BYTE.as_pointer()) for value in (to, at)]
        cgutils.raw_memcpy(builder, *pointers, size, 1)
        return target.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), write


@intrinsic  # type: ignore[untyped-decorator]
def clear(context: Any, at: Any, size: Any) -> Any:
    """Write `size` bytes of zeros to an address."""

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(values[0], _BYTE.as_pointer()), values[1], 0)
        return target.get_dummy_value()

    return types.void(types.int64, types.int64), write


@intrinsic  # type: ignore[untyped-decorator]
def move(context: Any, target: Any, source: Any) -> Any:
    """Copy one float from an address to another."""

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        to, at = (builder.inttoptr(value, _FLOAT.as_pointer()) for value in values)
        builder.store(builder.load(at), to)
        return target.get_dummy_value()

    return types.void(types.int64, types.int64), write


@intrinsic  # type: ignore[untyped-decorator]
def number(context: Any, at: Any) -> Any:
    """The integer at an address."""

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], _INT.as_pointer()))

    return types.int64(types.int64), write
