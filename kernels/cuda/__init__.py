"""Raw CUDA kernels, for speed on a GPU.

A kernel is a small `.cu` file that explains itself on top; beside it lies a Python file of the same name with the
functions that shape its launch: the reference's names, with the reference's arguments less `xp`. `loader.py` says how
one becomes the other, `layout.py` which memory layouts the kernels know, `common.cuh` what they share. What is missing
here runs on the reference kernels, with CuPy as their array library.

`KERNELS` holds what the reference has too. Random numbers, which have no reference, are in `dropout.py`.
"""

from __future__ import annotations

from ..reference import kernels_of
from . import concat, conv, elementwise, gemm, gradients, norm, optim, pool, softmax

KERNELS = kernels_of(concat, conv, elementwise, gemm, gradients, norm, optim, pool, softmax)

__all__ = ["KERNELS"]
