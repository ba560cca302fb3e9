"""The fast kernels for a CPU: Numba, with NumPy's BLAS for the matrix products.

The same functions as in `reference`, less `xp`, for float32 and float64; `KERNELS` maps their names to them. Importing
this package imports Numba. How a kernel is compiled and launched is in `_jit.py`, which memory layouts the kernels
know in `layout.py`.
"""

from __future__ import annotations

from ..reference import kernels_of
from . import conv, elementwise, gate, join, norm, norm_relu, optim, pool, products, softmax
from ._jit import get_num_threads, set_num_threads, warm_up
from ._progress import on_compile
from .winograd import get_precision, set_precision

KERNELS = kernels_of(conv, elementwise, gate, join, norm, norm_relu, optim, pool, products, softmax)

__all__ = [
    "KERNELS",
    "get_num_threads",
    "get_precision",
    "on_compile",
    "set_num_threads",
    "set_precision",
    "warm_up",
]
