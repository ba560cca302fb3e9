"""Products of matrices: the BLAS, and three loops of our own where one side has few rows.

A fully connected layer of a small batch multiplies a few rows by a large matrix of weights. A BLAS brings its operands
into panels first, so that it can use every number many times; here the weights are used once for each of the few rows,
and bringing them into panels takes longer than the product. These loops read (or write) the weights once, as they lie,
and are as fast as the memory:

    Y = X W^T     rows of W: each times the rows of X, a dot product          (forward)
    dX = G W      rows of W: each times numbers of G, added to rows of dX     (the input's gradient)
    dW = G^T X    rows of dW: sums of rows of X, times numbers of G           (the weights' gradient)
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from ..memory import empty
from . import gemm
from ._jit import Array, kernel, prange

_FEW = 16  # rows; from here on the BLAS uses the weights often enough
_LARGE = 1 << 16  # numbers; a smaller matrix is in the cache
_BLOCK = 1024  # numbers of a row at a time: with those of a few other rows they fit into the first cache
_ROWS = 16  # of the weights a job


@kernel
def _dot_rows(x: Array, w: Array, y: Array) -> None:
    """x (M, I), w (O, I) -> y (M, O) = x w^T; four rows of x at a time, and at the end those that are left."""
    m_count, length = x.shape
    total = w.shape[0]
    for job in prange((total + _ROWS - 1) // _ROWS):
        end = min(total, (job + 1) * _ROWS)
        for m in range(m_count):
            y[m, job * _ROWS : end] = 0
        for start in range(0, length, _BLOCK):
            at, size = uint64(start), uint64(min(_BLOCK, length - start))
            for o in range(job * _ROWS, end):
                row = w[o]
                for m in range(0, m_count - 3, 4):
                    x0, x1, x2, x3 = x[m], x[m + 1], x[m + 2], x[m + 3]
                    y0, y1, y2, y3 = y[m, o], y[m + 1, o], y[m + 2, o], y[m + 3, o]
                    for i in range(size):
                        value = row[at + i]
                        y0 += value * x0[at + i]
                        y1 += value * x1[at + i]
                        y2 += value * x2[at + i]
                        y3 += value * x3[at + i]
                    y[m, o], y[m + 1, o], y[m + 2, o], y[m + 3, o] = y0, y1, y2, y3
                for m in range(m_count - m_count % 4, m_count):
                    x0, y0 = x[m], y[m, o]
                    for i in range(size):
                        y0 += row[at + i] * x0[at + i]
                    y[m, o] = y0


@kernel
def _add_rows(g: Array, w: Array, gx: Array) -> None:
    """g (M, O), w (O, I) -> gx (M, I) = g w; a job does some columns, four rows of w at a time."""
    m_count, rows = g.shape
    length = w.shape[1]
    for job in prange((length + _BLOCK - 1) // _BLOCK):
        at, size = uint64(job * _BLOCK), uint64(min(_BLOCK, length - job * _BLOCK))
        gx[:, job * _BLOCK : job * _BLOCK + _BLOCK] = 0
        for o in range(0, rows - 3, 4):
            w0, w1, w2, w3 = w[o], w[o + 1], w[o + 2], w[o + 3]
            for m in range(m_count):
                g0, g1, g2, g3, line = g[m, o], g[m, o + 1], g[m, o + 2], g[m, o + 3], gx[m]
                for i in range(size):
                    line[at + i] += g0 * w0[at + i] + g1 * w1[at + i] + g2 * w2[at + i] + g3 * w3[at + i]
        for o in range(rows - rows % 4, rows):
            w0 = w[o]
            for m in range(m_count):
                g0, line = g[m, o], gx[m]
                for i in range(size):
                    line[at + i] += g0 * w0[at + i]


@kernel
def _outer_rows(g: Array, x: Array, gw: Array) -> None:
    """g (M, O), x (M, I) -> gw (O, I) = g^T x; first what does not fill four rows of x, then four at a time."""
    m_count, total = g.shape
    length = x.shape[1]
    for job in prange((total + _ROWS - 1) // _ROWS):
        for start in range(0, length, _BLOCK):
            at, size = uint64(start), uint64(min(_BLOCK, length - start))
            for o in range(job * _ROWS, min(total, (job + 1) * _ROWS)):
                line = gw[o]
                first = m_count % 4
                if first == 0:
                    first = 4
                    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
                    g0, g1, g2, g3 = g[0, o], g[1, o], g[2, o], g[3, o]
                    for i in range(size):
                        line[at + i] = g0 * x0[at + i] + g1 * x1[at + i] + g2 * x2[at + i] + g3 * x3[at + i]
                else:
                    x0, g0 = x[0], g[0, o]
                    for i in range(size):
                        line[at + i] = g0 * x0[at + i]
                    for m in range(1, first):
                        x0, g0 = x[m], g[m, o]
                        for i in range(size):
                            line[at + i] += g0 * x0[at + i]
                for m in range(first, m_count, 4):
                    x0, x1, x2, x3 = x[m], x[m + 1], x[m + 2], x[m + 3]
                    g0, g1, g2, g3 = g[m, o], g[m + 1, o], g[m + 2, o], g[m + 3, o]
                    for i in range(size):
                        line[at + i] += g0 * x0[at + i] + g1 * x1[at + i] + g2 * x2[at + i] + g3 * x3[at + i]


def matmul(a: Array, b: Array) -> Array:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or a.dtype != b.dtype:
        return np.matmul(a, b)
    (rows, inner), columns = a.shape, b.shape[1]
    out = empty((rows, columns), a.dtype)
    if 1 <= rows <= _FEW and inner * columns >= _LARGE and _lies_plainly(a):
        work = 2 * rows * inner * columns
        if _lies_plainly(b.T):
            _dot_rows(work, a, b.T, out)
            return out
        if _lies_plainly(b):
            _add_rows(work, a, b, out)
            return out
    if 1 <= inner <= _FEW and rows * columns >= _LARGE and _lies_plainly(a.T) and _lies_plainly(b):
        _outer_rows(2 * rows * inner * columns, a.T, b, out)
        return out
    gemm.multiply(a, b, out)
    return out


def _lies_plainly(x: Array) -> bool:
    return bool(x.flags.c_contiguous and x.flags.writeable)  # read-only is one more type to compile for
