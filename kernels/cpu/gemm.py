"""Products of matrices by NumPy's BLAS, one thread of it, on threads of our own.

A BLAS that starts threads keeps them awake for some hundredths of a second, waiting for its next product. Meanwhile
they take the cores from the kernels of this folder, which on a machine shared with others made networks of many 1x1
convolutions a fifth slower. So a large product of many rows is cut into as many jobs as there are threads, and each job
is a call of `gemm` that stays in its thread. A small product is done by the thread that wants it: before another one is
awake it is over, and where the other core is taken, a BLAS waits milliseconds for its thread.

C = A B, with C (M, N), is cut along the longer side of C or, if K is much longer, as it is in the gradient of weights,
along K, and then the parts are added up; into how many follows from the shapes alone. In memory all three are seen as
Fortran sees them, transposed: C^T = B^T A^T.

J. Dongarra, J. Du Croz, S. Hammarling, I. Duff, "A Set of Level 3 Basic Linear Algebra Subprograms" (1990).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..memory import empty
from ._jit import Array, get_num_threads
from ._jobs import address, fields, jobs
from ._plan import Place, Plan, planned
from ._simd import call
from .layout import Pair
from .sums import add_parts

_LITTLE_ENDIAN = sys.byteorder == "little"  # gemm reads the first half of an integer
_SMALL, _LARGE = 1 << 18, 1 << 22  # multiplications; with fewer a BLAS, and here too, one thread does them
_LONG = 64  # the longer side of a larger one that is shared out: each job makes panels of the other matrix for itself
_ROWS, _DEPTH = 32, 1024  # the least of a job
_MOST_PARTS = 4


class _Gemm(NamedTuple):
    """The arguments of gemm lie here, as integers and floats of which it is given the addresses."""

    trans_b: int  # letters
    trans_a: int
    n: int
    n_last: int  # of the last job
    m: int
    m_last: int
    k: int
    k_last: int
    one: int
    zero: int
    ldb: int
    lda: int
    ldc: int
    function: int
    jobs: int
    a: int
    a_step: int  # bytes from job to job
    b: int
    b_step: int
    c: int
    c_step: int


_AT = {name: 8 * i for i, name in enumerate(_Gemm._fields)}
_TRANS_B, _TRANS_A, _LDB, _LDA, _LDC = (_AT[name] for name in ("trans_b", "trans_a", "ldb", "lda", "ldc"))
_N, _M, _K, _ONE, _ZERO = (_AT[name] for name in ("n", "m", "k", "one", "zero"))


@jobs
def _multiply(job: int, thread: int, at: int) -> None:
    f = fields(at, _Gemm)
    last = 8 if job == f.jobs - 1 else 0
    call(
        f.function,
        (
            at + _TRANS_B, at + _TRANS_A, at + _N + last, at + _M + last, at + _K + last, at + _ONE,
            f.b + job * f.b_step, at + _LDB, f.a + job * f.a_step, at + _LDA, at + _ZERO,
            f.c + job * f.c_step, at + _LDC,
        ),
    )  # fmt: skip


@functools.cache
def _library() -> Any:
    """NumPy's BLAS as threadpoolctl knows it; None if that is not to be found out."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return None
    from threadpoolctl import ThreadpoolController

    found = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
    if len(found) > 1:
        found = [library for library in found if "numpy" in pathlib.Path(library.filepath).parent.name]
    return found[0] if len(found) == 1 and _LITTLE_ENDIAN else None


def _symbol(name: str) -> Any:
    """A function of NumPy's BLAS, whose wheels rename what they bring; None if there is none."""
    library = _library()
    for prefix in ("scipy_", ""):
        for suffix in ("64_", ""):
            function = getattr(library and library.dynlib, f"{prefix}{name}{suffix}", None)
            if function is not None:
                return function
    return None


@functools.cache
def _function(kind: str) -> int:
    """The address of sgemm or dgemm, for a letter of NumPy's dtypes; 0 if there is none."""
    name = {"f": "sgemm_", "d": "dgemm_"}.get(kind)
    function = _symbol(name) if name else None
    return ctypes.cast(function, ctypes.c_void_p).value or 0 if function else 0


@functools.cache
def _thread_functions() -> tuple[Callable[[], int], Callable[[int], None]]:
    """How to ask for the number of the BLAS's threads, and how to set it.

    Of OpenBLAS itself, where it can be: threadpoolctl takes ten times as long as a small product, and obeys the first
    thread that asked only.
    """
    ours = [_symbol(f"openblas_{verb}_num_threads") for verb in ("get", "set")]
    get, set_ = ours if all(ours) else (_library().get_num_threads, _library().set_num_threads)
    return get, set_


class _Held:
    """Within the block NumPy's BLAS starts no threads; another Python thread may be in such a block, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                get, set_ = _thread_functions()
                self._before = get()
                set_(1)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _thread_functions()[1](self._before)

    def after_fork(self) -> None:
        """In the child: whoever was in a block is not here to leave it."""
        self._lock = threading.Lock()
        if self._inside:
            self._inside = 0
            _thread_functions()[1](self._before)


_held = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.after_fork)


def _parts(m: int, n: int, k: int) -> int:
    """Into how many sums C is cut along K, whatever the threads, so that rounding is the same for any number."""
    parts = max(1, min(_MOST_PARTS, k // _DEPTH)) if k >= 4 * max(m, n) else 1
    return -(-k // -(-k // parts)) if k else 1  # none of them empty


_A, _B, _C = 1, 2, 3  # the arrays of a plan


@planned
def _plan(
    function: int, kind: str, shape: tuple[int, int, int], a: Pair, b: Pair, c: Pair, parts: int, threads: int
) -> tuple[Plan, int]:
    """For C (M, N) = A (M, K) B (K, N) with these strides, in bytes; and the number of jobs."""
    m, n, k = shape
    size = 4 if kind == "f" else 8
    cut = parts if parts > 1 else max(1, min(threads, max(m, n) // _ROWS))
    rows, columns, depth = m, n, k
    if parts > 1:
        depth = -(-k // cut)
        cut = -(-k // depth)
        steps = depth * a[1], depth * b[0], m * n * size
        c = n * size, size
    elif m >= n:
        rows = -(-m // cut)
        cut = -(-m // rows)
        steps = rows * a[0], 0, rows * c[0]
    else:
        columns = -(-n // cut)
        cut = -(-n // columns)
        steps = 0, columns * b[1], columns * c[1]
    before = cut - 1
    gemm = _Gemm(
        ord("N" if b[1] == size else "T"), ord("N" if a[1] == size else "T"),
        columns, n - before * columns if columns < n else n, rows, m - before * rows if rows < m else m,
        depth, k - before * depth if depth < k else k,
        int(np.array(1, kind).view(np.int32 if kind == "f" else np.int64)), 0,
        (b[0] if b[1] == size else b[1]) // size, (a[0] if a[1] == size else a[1]) // size, c[0] // size,
        function, cut, Place(_A), steps[0], Place(_B), steps[1], Place(_C), steps[2],
    )  # fmt: skip
    return Plan(gemm), cut


def _strides(x: Array) -> Pair | None:
    """The strides of a matrix if gemm can read it, that is, if its rows or its columns are lines of memory."""
    (rows, columns), (down, across), size = x.shape, x.strides, x.itemsize
    if columns == 1:  # the strides of an axis of length 1 say nothing
        across = size
    if rows == 1:
        down = max(columns * size, size)
    if across == size and down >= columns * size and down % size == 0:
        return down, across
    if columns == 1:
        across = rows * size
    if down == size and across >= rows * size and across % size == 0:
        return down, across
    return None


def multiply(a: Array, b: Array, out: Array) -> None:
    """out (M, N) = a (M, K) b (K, N), of one dtype; out has its rows as lines of memory."""
    (m, k), n = a.shape, b.shape[1]
    work = m * n * k
    if work < _SMALL:
        if a.size > 1 < b.size and out.flags.c_contiguous:
            np.dot(a, b, out)  # begins sooner than matmul, but takes a single 0 times infinity for 0
        else:
            np.matmul(a, b, out=out)
        return
    threads = get_num_threads()
    if work >= _LARGE and _share_out(a, b, out, (m, n, k), threads):
        return
    if _library() and (work < _LARGE or threads == 1):
        with _held:
            np.matmul(a, b, out=out)
    else:
        np.matmul(a, b, out=out)


def _share_out(a: Array, b: Array, out: Array, shape: tuple[int, int, int], threads: int) -> bool:
    """Multiply in jobs, if that is possible and there is something to share out; whether it was done."""
    (m, n, k), kind = shape, a.dtype.char
    parts, strides, function = _parts(*shape), (_strides(a), _strides(b)), _function(kind)
    worth = parts > 1 or (threads > 1 and max(m, n) >= _LONG)
    if not (worth and function and strides[0] and strides[1] and out.strides[1] == out.itemsize):
        return False
    plan, cut = _plan(function, kind, (m, n, k), strides[0], strides[1], out.strides, parts, threads)
    target = out if parts == 1 else empty(parts * m * n, out.dtype)
    numbers = plan.at(address(a), address(b), address(target))
    with _held:
        _multiply(cut, numbers)
    if parts > 1:
        add_parts(target, parts, m * n)
        out[...] = target[: m * n].reshape(m, n)
    return True
