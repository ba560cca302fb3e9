"""Data of any kind (numbers, nested lists, arrays, tensors) as an array of a backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, Backend
from ..backend.dtypes import FLOATING, INEXACT, as_dtype, get_default_dtype
from .tensor import Tensor


def as_array(data: Any, dtype: Any, backend: Backend) -> Array:
    """data (numbers, nested sequences, arrays, tensors) as a new array, in dtype or in the one that data implies.

    Raises:
        TypeError, ValueError: if data is no array: ragged lists, strings, objects.
    """
    wanted = None if dtype is None else as_dtype(dtype).numpy
    if isinstance(data, Tensor):
        array = data.array if data.backend is backend else backend.from_numpy(data.backend.to_numpy(data.array))
        return backend.on_device(array.astype, wanted or array.dtype, copy=True)
    if isinstance(data, backend.array_type):
        array = data
    else:
        try:
            array = np.asarray(_without_tensors(data))
        except ValueError as error:
            raise ValueError(f"tensor: the data make no array, rows differ in length: {error}") from None
        if wanted is None and not hasattr(data, "dtype") and array.dtype.char in INEXACT:
            complex_default = "complex64" if get_default_dtype().itemsize <= 4 else "complex128"
            wanted = get_default_dtype().numpy if array.dtype.char in FLOATING else np.dtype(complex_default)
        array = backend.from_numpy(array)
    if array.dtype.kind not in "biu" and array.dtype.char not in INEXACT:
        raise TypeError(f"tensor: cannot hold elements of type {array.dtype}; numbers and booleans only")
    as_dtype(wanted or array.dtype)
    return backend.on_device(array.astype, wanted or array.dtype, copy=True)


def _without_tensors(data: Any) -> Any:
    """Nested lists with tensors in them, as nested lists of arrays."""
    if isinstance(data, Tensor):
        return data.backend.to_numpy(data.array)
    if isinstance(data, (list, tuple)) and any(isinstance(x, (Tensor, list, tuple)) for x in data):
        return [_without_tensors(x) for x in data]
    return data
