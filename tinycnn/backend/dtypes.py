"""dtypes with PyTorch's names and PyTorch's rules for mixing them."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

with contextlib.suppress(ImportError):  # then there is no bfloat16, and whoever asks for it is told why
    import ml_dtypes  # tells NumPy of it

# NumPy's letters of the floating dtypes. Its `kind` will not do: bfloat16, which NumPy did not make, is a "V" to it.
HALVES = "eE"
FLOATING = "efdE"
INEXACT = "efdEFD"  # and the complex ones


class dtype:  # noqa: N801 - PyTorch's name
    """The type of a tensor's elements, such as `tinycnn.float32`. One object a type: compare with `is` or `==`.

    Attributes:
        itemsize: bytes an element takes.
        is_floating_point, is_complex: what kind of numbers it holds.

    Example:
        >>> import tinycnn
        >>> tinycnn.float16.itemsize, tinycnn.int64.is_floating_point
        (2, False)
    """

    __slots__ = ("category", "is_complex", "is_floating_point", "itemsize", "name", "numpy")

    def __init__(self, name: str) -> None:
        self.name = name
        kind = "f"
        if name == "bfloat16":
            self.itemsize = 2
            with contextlib.suppress(TypeError):  # without ml_dtypes
                self.numpy = np.dtype(name)
        else:
            self.numpy = np.dtype(name)
            self.itemsize, kind = self.numpy.itemsize, self.numpy.kind.replace("u", "i")
        self.is_floating_point, self.is_complex = kind == "f", kind == "c"
        self.category = "bifc".index(kind)  # bool < integer < float < complex

    def __getattr__(self, name: str) -> Any:  # of what is not there
        if name == "numpy":
            raise ImportError("bfloat16 needs the package ml_dtypes, which tells NumPy of it: pip install ml_dtypes")
        raise AttributeError(f"a dtype has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"tinycnn.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


_NAMES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128".split()
_BY_NUMPY = {np.dtype(name): dtype(name) for name in _NAMES}
bfloat16 = dtype("bfloat16")
_ALIASES = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
}

bool_, uint8, int8, int16, int32, int64, float16, float32, float64, complex64, complex128 = _BY_NUMPY.values()

_NAMES.insert(_NAMES.index("float16"), "bfloat16")
with contextlib.suppress(ImportError):
    _BY_NUMPY[bfloat16.numpy] = bfloat16

_PYTHON_TYPES = {bool: bool_, int: int64, float: float32, complex: complex64}
_default = float32


def as_dtype(value: Any) -> dtype:
    """The dtype that value names: a tinycnn or NumPy dtype, a name, or the Python types bool, int, float.

    Raises:
        TypeError: if tinycnn has no such dtype.
    """
    if isinstance(value, dtype):
        return value
    if isinstance(value, type) and value in _PYTHON_TYPES:
        return _default if value is float else _PYTHON_TYPES[value]
    name = value.removeprefix("tinycnn.") if isinstance(value, str) else value
    if name == "bfloat16":
        return bfloat16
    try:
        return _BY_NUMPY[np.dtype(_ALIASES.get(name, name) if isinstance(name, str) else name)]
    except (TypeError, KeyError):
        raise TypeError(f"tinycnn has no dtype {value!r}; it has {', '.join(_NAMES)}") from None


def from_numpy_dtype(numpy_dtype: Any) -> dtype:
    """The dtype of an array's elements (quick: for `Tensor.dtype`)."""
    return _BY_NUMPY[numpy_dtype]


def get_default_dtype() -> dtype:
    """The floating dtype that new tensors get; float32 unless `set_default_dtype` changed it."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Make d the dtype of new floating tensors.

    Raises:
        TypeError: if d is not a floating dtype.
    """
    global _default
    new = as_dtype(d)
    if not new.is_floating_point:
        raise TypeError(f"set_default_dtype: only floating dtypes are supported, got {new!r}")
    _default = new


def float_info(kind: dtype) -> Any:
    """NumPy's facts about a floating or complex dtype, a `numpy.finfo`."""
    finfo: Any = ml_dtypes.finfo if kind is bfloat16 else np.finfo
    return finfo(kind.numpy)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds both, by PyTorch's table: a higher category wins as it is, so int64 and float16
    give float16; within a category the wider wins, and float16 with bfloat16 gives float32, which holds both.

    Example:
        >>> import tinycnn
        >>> tinycnn.promote_types(tinycnn.int64, tinycnn.float32)
        tinycnn.float32
    """
    a, b = type1, type2
    if a is b:
        return a
    if a.category == b.category:
        if a.itemsize == b.itemsize == 2 and bfloat16 in (a, b):
            return float32
        return _BY_NUMPY[np.promote_types(a.numpy, b.numpy)]
    low, high = (a, b) if a.category < b.category else (b, a)
    if high is complex64 and low is float64:
        return complex128
    return high
