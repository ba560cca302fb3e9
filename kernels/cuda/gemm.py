"""Matrix products: by the array library, or by `gemm.cu` where that cannot be used, as in a captured CUDA graph."""

from __future__ import annotations

import math

import numpy as np

from . import tensor_core
from .conv_choice import choose, library_multiplies, tf32_products
from .conv_geometry import geometry
from .implicit_gemm import SMALL, tiles
from .loader import Array, Kernel, driver

# Along which index the threads that are beside each other read A and B: k and k, k and n, m and n.
_gemm = Kernel("gemm", "gemm", only=[(*SMALL, *along) for along in ((True, True), (True, False), (False, False))])

_COMPUTE_TYPE_TF32 = 7  # in CuPy's list

_product = np.dtype(
    [(name, np.int64) for name in ("a_batch", "a_m", "a_k", "b_batch", "b_k", "b_n")]
    + [(name, np.int32) for name in ("m", "n", "k", "unused")]
)


def matmul(a: Array, b: Array) -> Array:
    """(..., M, K) @ (..., K, N) -> (..., M, N), by whichever may be used.

    In 16 bits a large product runs on tensor cores, as a 1x1 convolution; so does one of float32 if that may be rounded
    to TF32, which it may not by default, as in PyTorch.
    """
    tf32 = a.dtype.name == "float32" and tf32_products()
    if library_multiplies(a.dtype):
        return _library_in_tf32(a, b) if tf32 else driver().xp.matmul(a, b)
    if a.ndim == b.ndim == 2 and (a.dtype.itemsize == 2 or tf32) and min(*a.shape, b.shape[1]):
        (m, k), n = a.shape, b.shape[1]
        x, w = a.reshape(m, k, 1, 1), b.T.reshape(n, k, 1, 1)
        of = geometry(x.shape, w.shape, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
        if choose("forward", of, a.dtype, tf32).algorithm == "tensor_core":
            return tensor_core.forward(x, w, None, of)[:, :, 0, 0]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if len(lead) <= 1 and a.shape[:-2] == b.shape[:-2]:
        return gemm(a, b)
    shapes = [x.shape[-2:] for x in (a, b)]
    x, y = (
        driver().xp.broadcast_to(x, (*lead, *shape)).reshape(math.prod(lead), *shape)
        for x, shape in zip((a, b), shapes, strict=True)
    )
    return gemm(x, y).reshape(*lead, shapes[0][0], shapes[1][1])


def _library_in_tf32(a: Array, b: Array) -> Array:
    """The array library's product, with float32 rounded to TF32; CuPy has that as a state, for what it does next."""
    xp = driver().xp
    core = getattr(xp, "_core", None)
    if core is None:
        return xp.matmul(a, b)
    before = core.get_compute_type(a.dtype)
    core.set_compute_type(a.dtype, _COMPUTE_TYPE_TF32)
    try:
        return xp.matmul(a, b)
    finally:
        core.set_compute_type(a.dtype, before)


def gemm(a: Array, b: Array, bias: Array | None = None) -> Array:
    """(M, K) @ (K, N) + (N,) -> (M, N), or (B, M, K) @ (B, K, N) -> (B, M, N), for arrays of any strides.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if the dtypes differ.
    """
    fits = a.ndim == b.ndim and a.ndim in (2, 3) and a.shape[-1] == b.shape[-2] and a.shape[:-2] == b.shape[:-2]
    if not fits or (bias is not None and bias.shape != b.shape[-1:]):
        given = f" + {bias.shape}" if bias is not None else ""
        raise ValueError(f"gemm: expected (M, K) @ (K, N) + (N,), perhaps in a batch, got {a.shape} @ {b.shape}{given}")
    if a.dtype != b.dtype or (bias is not None and bias.dtype != a.dtype):
        raise TypeError(f"gemm: the arrays must have one dtype, got {a.dtype} and {b.dtype}")
    (m, k), n = a.shape[-2:], b.shape[-1]
    c = driver().xp.empty((*a.shape[:-1], n), a.dtype)
    if c.size == 0:
        return c
    steps_a, steps_b = ([step // x.dtype.itemsize for step in x.strides] for x in (a, b))
    batch = a.shape[0] if a.ndim == 3 else 1
    first_a, first_b = (steps[0] if a.ndim == 3 else 0 for steps in (steps_a, steps_b))
    it = np.array([(first_a, *steps_a[-2:], first_b, *steps_b[-2:], m, n, k, 0)], _product)
    along_b = steps_b[-2] == 1 and steps_b[-1] != 1
    along_a = steps_a[-1] == 1 or along_b  # (m, k) is not compiled: a rare pair, and as right with any other
    bias = bias if bias is None or bias.flags.c_contiguous else bias.copy()
    grid = (tiles(m, n, SMALL), 1, batch)
    _gemm.launch((a.dtype, *SMALL, along_a, along_b), grid, (SMALL.threads,), a, b, bias, c, it)
    return c
