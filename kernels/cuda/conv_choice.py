"""Which algorithm convolves: the rules, in words and in code.

    depthwise       every channel on its own: too little arithmetic for a matrix product, a small kernel reads each
                    pixel once (`conv_depthwise.cu`)
    tensor_core     implicit GEMM by mma.sync, in TF32 or 16 bits (`tensor_core.cu`)
    implicit_gemm   implicit GEMM on the plain arithmetic units, for every dtype and geometry (`implicit_gemm.cu`)
    pointwise       a 1x1 kernel that slides by one: a product of two matrices that lie there already, by the array
                    library (cuBLAS)
    im2col          windows written to memory, then a product by the array library: the one to read (`im2col.cu`)

The tensor cores are taken where the chip has them (sm_80 and later), float32 may be rounded to TF32 (`set_precision`),
a window consists of whole vectors of 16 bytes, and the work is large enough to care: a launch costs some microseconds,
in which the plain units do a few million multiply-adds. A first layer's 3 channels are filled up with zeros; that
copies the images, so the work has to be larger still.

A plain product of matrices is rounded to TF32 only if `allow_tf32_products` was told so, as in PyTorch.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .conv_geometry import Geometry
from .loader import driver

ALGORITHMS = ("depthwise", "implicit_gemm", "im2col", "pointwise", "tensor_core")
DIRECTIONS = ("forward", "input_grad", "weight_grad")

_WORTH_TENSOR_CORES = 1 << 24  # multiply-adds
_WORTH_FILLING_UP = 1 << 28
_MOST_PARTS = 65535  # blocks along the third axis of a grid


class Choice(NamedTuple):
    """An algorithm, and why it was taken."""

    algorithm: str
    reason: str


class _Settings(threading.local):
    algorithm: str | None = None
    library = True


_settings = _Settings()


class _Precision:
    name = "fast"
    tf32_products = False


def set_precision(name: str) -> None:
    """How float32 is multiplied: "fast" (TF32 on tensor cores, as PyTorch's convolutions by default) or "strict".

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in ("fast", "strict"):
        raise ValueError(f"set_precision: expected 'fast' or 'strict', got {name!r}")
    _Precision.name = name


def get_precision() -> str:
    """What `set_precision` has chosen."""
    return _Precision.name


def allow_tf32_products(allowed: bool) -> None:
    """Whether a product of float32 matrices may round them to TF32."""
    _Precision.tf32_products = allowed


def tf32_products() -> bool:
    """What `allow_tf32_products` has chosen."""
    return _Precision.tf32_products


@contextmanager
def use_algorithm(name: str | None) -> Iterator[None]:
    """Force one algorithm in a block, where it applies at all; None: choose again.

    Raises:
        ValueError: if the name is unknown.
    """
    if name is not None and name not in ALGORITHMS:
        raise ValueError(f"use_algorithm: expected one of {', '.join(ALGORITHMS)} or None, got {name!r}")
    before, _settings.algorithm = _settings.algorithm, name
    try:
        yield
    finally:
        _settings.algorithm = before


@contextmanager
def own_products() -> Iterator[None]:
    """Leave the array library's matrix product alone in a block: it refuses to be captured in a CUDA graph."""
    before, _settings.library = _settings.library, False
    try:
        yield
    finally:
        _settings.library = before


def library_multiplies(dtype: Any) -> bool:
    """Whether the array library's matrix product may be used. Its arithmetic on bfloat16 is young and has gaps (batches
    of matrices): of such arrays it is only asked to move and to convert them."""
    return _settings.library and dtype.name != "bfloat16"


def capability() -> int:
    """Of the GPU in use: 90 for sm_90; 0 where there is none, as in a test on the CPU."""
    cuda = getattr(driver().xp, "cuda", None)
    return 0 if cuda is None else _capability(cuda.Device)(cuda.Device().id)


@functools.cache
def _capability(device: Any) -> Callable[[int], int]:
    """That of a GPU by its number, asked for once: the driver takes longer to answer than a kernel to start."""
    return functools.cache(lambda index: int(device(index).compute_capability))


def vector(dtype: Any) -> int:
    """How many numbers are 16 bytes."""
    return 16 // int(dtype.itemsize)


def _missing(name: str, direction: str, of: Geometry, dtype: Any, library: bool) -> str | None:
    """Why an algorithm cannot do it; None if it can."""
    if name == "im2col":
        is_left_alone = direction == "forward" and dtype.name == "bfloat16"
        return "the array library is not asked to add bfloat16" if is_left_alone else None
    if name == "pointwise":
        slides = (of.r, of.s, of.stride_h, of.stride_w, of.padding_h, of.padding_w) == (1, 1, 1, 1, 0, 0)
        if not slides or of.groups > 1 or (of.h, of.w) != (of.p, of.q):
            return "it is not 1x1 with stride 1 and no padding"
        return None if library and dtype.name != "bfloat16" else "the array library's product cannot be used"
    if name == "depthwise":
        return None if of.channels == 1 and of.groups > 1 else "a filter sees more than one channel"
    if direction == "input_grad" and of.groups * of.classes > _MOST_PARTS:
        return f"{of.groups * of.classes} groups and remainders are more than a grid has places for"
    if name == "tensor_core":
        wide = dtype.itemsize == 8
        return "tensor cores multiply no float64 here" if wide else _vectors_missing(direction, of, dtype)
    return None


def _vectors_missing(direction: str, of: Geometry, dtype: Any) -> str | None:
    """What is no multiple of 16 bytes, of that which a kernel reads; channels without groups can be filled up."""
    size = vector(dtype)
    if direction != "input_grad" and of.channels % size and of.groups > 1:
        return f"{of.channels} channels a group are not whole vectors of {size}"
    if direction != "forward" and of.filters % size:
        return f"{of.filters} filters are not whole vectors of {size}"
    return None


def _worth_tensor_cores(direction: str, of: Geometry, dtype: Any) -> bool:
    fills_up = direction != "input_grad" and of.channels % vector(dtype) != 0
    return of.multiply_adds >= (_WORTH_FILLING_UP if fills_up else _WORTH_TENSOR_CORES)


def choose(direction: str, of: Geometry, dtype: Any, tf32: bool | None = None) -> Choice:
    """The algorithm for a direction ("forward", "input_grad" or "weight_grad"), a geometry and a dtype, and why.
    Whether float32 may be rounded to TF32 is what `set_precision` has chosen unless it is given."""
    strict = get_precision() == "strict" if tf32 is None else not tf32
    return _choose(direction, of, dtype, _settings.algorithm, strict, _settings.library, capability())


@functools.lru_cache(4096)
def _choose(
    direction: str, of: Geometry, dtype: Any, forced: str | None, strict: bool, library: bool, chip: int
) -> Choice:
    def missing(name: str) -> str | None:
        return _missing(name, direction, of, dtype, library)

    if forced is not None and missing(forced) is None:
        return Choice(forced, "it was asked for")
    if missing("implicit_gemm") is not None:
        return Choice("im2col", str(missing("implicit_gemm")))
    if missing("depthwise") is None:
        return Choice("depthwise", "every filter sees one channel")
    if dtype.itemsize == 8 or missing("tensor_core") is not None:
        reason = str(missing("tensor_core"))
    elif dtype.itemsize == 4 and strict:
        reason = "float32 was asked to be strict"
    elif not _worth_tensor_cores(direction, of, dtype):
        reason = f"{of.multiply_adds:,} multiply-adds are few"
    elif chip < 80:
        reason = "the chip has no tensor cores that these kernels know"
    else:
        return Choice("tensor_core", "whole vectors, and enough to do")
    if of.multiply_adds >= _WORTH_TENSOR_CORES and missing("pointwise") is None:
        return Choice("pointwise", f"{reason}; the windows are the image itself")
    return Choice("implicit_gemm", reason)
