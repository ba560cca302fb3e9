"""What a test of ONNX's holds, as ours: element types, and numbers that come as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

import tinycnn
from tinycnn import Tensor


class RefusedError(Exception):
    """What a test asks for and tinycnn does not have."""


KINDS = "bool uint8 int8 int16 int32 int64 bfloat16 float16 float32 float64 complex64 complex128".split()


def kind_of(dtype: Any) -> Any:
    """Our element type for NumPy's, or for ONNX's number of it."""
    name = (onnx.helper.tensor_dtype_to_np_dtype(dtype) if isinstance(dtype, int) else dtype).name
    if name not in KINDS:
        raise RefusedError(f"element type {'string' if name == 'object' else name.partition('_')[0]}")
    return getattr(tinycnn, name)


def ints(x: Tensor | Sequence[int] | None) -> list[int] | None:
    """Axes or sizes, which came as attributes in old versions and come as inputs in new ones."""
    if x is None:
        return None
    values = x.tolist() if isinstance(x, Tensor) else list(x)
    return values if isinstance(values, list) else [values]
