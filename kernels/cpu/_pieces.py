"""Many parameters in one launch: all their numbers, cut into jobs of about the same size.

A network has a hundred parameters, of which most are a few dozen numbers: to launch a kernel for each takes longer than
what it does. So a kernel can take lists of parameters, gradients and whatever else belongs to a parameter, one column
each, as two tables:

    objects (parameters, columns)    the arrays, as the addresses of Python's objects
    pieces (pieces, 3)               of which parameter a piece is, its first number, how many numbers it has
    starts (jobs + 1)                the first piece of each job

    @kernel
    def subtract(objects: Array, pieces: Array, starts: Array, factor: float) -> None:
        for job in prange(starts.size - 1):
            for piece in range(starts[job], starts[job + 1]):
                ps, gs = lines(2, objects, pieces, piece, factor)
                for i in range(ps.size):
                    ps[i] -= factor * gs[i]

    left = launch(subtract, 1, (params, grads), (0.1,))

Pieces follow from the sizes alone, so no result depends on the number of threads; they are found once for a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._jit import Array, Kernel
from ._jobs import ADDRESS
from ._plan import planned
from .layout import memory_order

Column = Sequence[Array]

_JOB = 8192  # numbers of a job: a few arrays of them fit into a core's cache
_STEP = 64  # a parameter is cut at multiples of so many numbers, which are whole cache lines
_INT = ir.IntType(64)


@planned
def _cut(sizes: tuple[int, ...]) -> tuple[Array, Array, int]:
    """The pieces of parameters of these sizes, the first of each job, and all numbers together."""
    pieces: list[tuple[int, int, int]] = []
    starts, room = [0], _JOB
    for owner, size in enumerate(sizes):
        first = 0
        while first < size:
            count = size - first if size - first <= room else room // _STEP * _STEP
            pieces.append((owner, first, count))
            first, room = first + count, room - count
            if first < size or room < _STEP:
                starts.append(len(pieces))
                room = _JOB
    if starts[-1] < len(pieces):
        starts.append(len(pieces))
    return np.array(pieces, np.int64).reshape(-1, 3), np.array(starts, np.int64), sum(sizes)


def _in_one_order(kind: Any, param: Array, grad: Array, *states: Array) -> list[Array] | None:
    """The arrays of one parameter, transposed so that the parameter is C-contiguous; the gradient is copied if it is
    not so then. None if the parameter or a state is not: what is changed in place cannot be copied."""
    order = memory_order(param)
    if order is None or any(a.shape != param.shape or a.dtype != kind for a in (param, grad, *states)):
        return None
    changed = [a.transpose(order) for a in (param, *states)]
    if not all(a.flags.carray for a in changed):
        return None
    return [changed[0], np.require(grad.transpose(order), requirements=["C", "A"]), *changed[1:]]


def launch(kernel: Kernel, cost: int, columns: Sequence[Column], numbers: Sequence[float], *flags: bool) -> list[int]:
    """Run a kernel on parameters, their gradients and states.

    Args:
        kernel: takes (objects, pieces, starts, *numbers, *flags).
        cost: about how many simple operations it does with a number of a parameter.
        columns: the parameters, their gradients, then states; one array of each column belongs to one parameter.
        numbers: are converted to the parameters' type.

    Returns:
        Which parameters were left out: those of which an array has another type or size than it should, or of which
        parameter and states do not lie in memory in the same order without gaps.
    """
    kind = columns[0][0].dtype
    arrays: list[Array] = []  # they live until the kernel has run: it knows where they are, no more
    sizes: list[int] = []
    left: list[int] = []
    for i, row in enumerate(zip(*columns, strict=True)):
        found: Sequence[Array] | None = row
        size = row[0].size
        for a in row:  # `carray`: C-contiguous, aligned, writable; no number of NumPy's is, which is no array either
            if not a.flags.carray or a.dtype is not kind or a.size != size:
                found = _in_one_order(kind, *row)
                break
        if found is None:
            left.append(i)
        else:
            arrays += found
            sizes.append(size)
    pieces, starts, total = _cut(tuple(sizes))
    if total:
        objects = np.fromiter(map(id, arrays), np.int64, len(arrays)).reshape(-1, len(columns))
        kernel(total * cost, objects, pieces, starts, *map(kind.type, numbers), *flags)
    return left


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def lines(context: Any, columns: Any, objects: Any, pieces: Any, piece: Any, like: Any) -> Any:
    """lines(columns, objects, pieces, piece, like): a piece of each of the parameter's arrays, whose numbers are of the
    type of `like`."""
    kind, count = types.Array(like, 1, "C"), columns.literal_value
    result: Any = types.UniTuple(kind, count)  # type: ignore[attr-defined]

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        def number(table: Any, index: Any) -> Any:
            return builder.load(builder.gep(table, [index]))

        def plus(a: Any, b: int) -> Any:
            return builder.add(a, ir.Constant(_INT, b))

        def times(a: Any, b: int) -> Any:
            return builder.mul(a, ir.Constant(_INT, b))

        tables = zip((objects, pieces), values[1:3], strict=True)
        table, cut = (target.make_array(t)(target, builder, value=value).data for t, value in tables)
        owner, first, size = (number(cut, plus(times(values[3], 3), i)) for i in range(3))
        number_type = target.get_data_type(like)
        itemsize = ir.Constant(_INT, target.get_abi_sizeof(number_type))
        made = []
        for column in range(count):
            place = plus(number(table, plus(times(owner, count), column)), ADDRESS)
            begin = builder.load(builder.inttoptr(place, number_type.as_pointer().as_pointer()))
            array = target.make_array(kind)(target, builder)
            data = builder.gep(begin, [first])
            populate_array(array, data=data, shape=[size], strides=[itemsize], itemsize=itemsize, meminfo=None)
            made.append(array._getvalue())
        return target.make_tuple(builder, result, made)

    return result(columns, objects, pieces, types.int64, like), write


__all__ = ["launch", "lines"]
