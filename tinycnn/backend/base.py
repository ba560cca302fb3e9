"""What every backend offers to the layers above it: arrays, random numbers, devices and kernel entry points.

Above this folder nobody names NumPy or CuPy: an op writes `backend.exp(x)` or `backend.kernels.conv2d(x, w, ...)` and
runs on either. A new backend is one file beside this one and, if it is to be fast, one folder of kernels.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from .dtypes import HALVES

Array = Any  # numpy.ndarray or cupy.ndarray
Shape = Sequence[int]

# The functions that NumPy and CuPy share, under NumPy's names, that the ops are written with.
ARRAY_FUNCTIONS = frozenset(
    """
    abs add all any arange arccos arcsin arctan arctan2 argmax argmin argsort asarray bitwise_and bitwise_or
    bitwise_xor broadcast_to ceil concatenate copy copyto cos cosh count_nonzero cumsum diagonal divide empty
    empty_like equal exp expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater greater_equal
    invert isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not
    logical_or logical_xor matmul max maximum may_share_memory min minimum moveaxis multiply negative nonzero
    not_equal ones ones_like power prod reciprocal remainder repeat rint roll sign sin sinh sort sqrt square stack
    subtract sum take_along_axis tan tanh tile tril triu trunc unravel_index where zeros zeros_like
    """.split()
)

_MODES = ("fast", "reference")


class _KernelMode(threading.local):
    """Which kernel set this thread uses; None until `use_kernels` or TINYCNN_KERNELS has said."""

    mode: str | None = None


_local = _KernelMode()
_default_mode = "fast"


def kernel_mode() -> str:
    """The kernel set in use, "fast" or "reference"."""
    return _local.mode or _default_mode


def default_kernel_mode() -> str:
    return _default_mode


def set_default_kernel_mode(mode: str) -> None:
    """Choose the kernel set of every thread that has not entered a `use_kernels` block."""
    global _default_mode
    _default_mode = check_kernel_mode(mode)


def check_kernel_mode(mode: str) -> str:
    if mode not in _MODES:
        raise ValueError(f"use_kernels: unknown kernel set {mode!r}, expected one of {', '.join(map(repr, _MODES))}")
    return mode


@contextmanager
def kernel_mode_as(mode: str) -> Iterator[None]:
    previous, _local.mode = _local.mode, check_kernel_mode(mode)
    try:
        yield
    finally:
        _local.mode = previous


class Kernels:
    """The kernel entry points of a backend: `kernels.conv2d(x, w, ...)` runs the chosen set's conv2d.

    The fast set runs float32 and float64, and on a GPU float16 and bfloat16. What it lacks, and other dtypes (complex
    numbers for the complex-step check), run on the reference. float16 and bfloat16 are storage formats: they are
    computed in float32 and rounded once at the end, by the fast set's own code or, where it has none, here. The
    optimisers' kernels, which change lists of arrays in place, keep what they remember in float32.
    """

    def __init__(self, xp: ModuleType, fast_module: str | None, fast_kinds: str = "fd") -> None:
        self._xp = xp
        self._fast_kinds = fast_kinds  # NumPy's letters
        self._fast_module = fast_module
        self._fast: dict[str, Callable[..., Any]] | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = self._bind(name)
        setattr(self, name, entry)  # the next use finds it at once
        return entry

    def fast_kernels(self) -> dict[str, Callable[..., Any]]:
        """The fast set's functions by name; empty when it cannot be used here."""
        if self._fast is None:
            self._fast = {} if self._fast_module is None else dict(importlib.import_module(self._fast_module).KERNELS)
        return self._fast

    @staticmethod
    def formula(name: str) -> Callable[..., Any]:
        """The reference's function of that name, which takes the array library first."""
        function: Callable[..., Any] = getattr(importlib.import_module("tinycnn.kernels.reference"), name)
        return function

    def _bind(self, name: str) -> Callable[..., Any]:
        module = importlib.import_module("tinycnn.kernels.reference")
        if name not in module.KERNELS:
            raise AttributeError(f"no kernel is called {name!r}")
        xp, reference, kinds = self._xp, getattr(module, name), self._fast_kinds

        def call(*args: Any) -> Any:  # an array first
            kind = args[0].dtype.char
            if kind in kinds and (_local.mode or _default_mode) == "fast":
                fast = (self._fast or self.fast_kernels()).get(name)
                if fast is not None:
                    return fast(*args)
            if kind in HALVES:
                return rounded(call(*map(widened, args)), args[0].dtype)
            return reference(xp, *args)

        def call_on_lists(arrays: Sequence[Array], *args: Any) -> Any:
            kind = arrays[0].dtype.char
            wanted = kind in kinds and kernel_mode() == "fast"
            fast = self.fast_kernels().get(name) if wanted else None
            if fast is not None:
                return fast(arrays, *args)
            if kind not in HALVES:
                return reference(xp, arrays, *args)
            wide = [*map(widened, arrays)]
            found = call_on_lists(wide, *([*map(widened, a)] if isinstance(a, list) else a for a in args))
            if found is None:  # they were changed in place
                for array, result in zip(arrays, wide, strict=True):
                    array[...] = result
            return found

        chosen: Callable[..., Any] = call_on_lists if name in module.ON_LISTS else call
        chosen.__name__ = chosen.__qualname__ = name
        return chosen


def widened(value: Any) -> Any:
    """A half-precision array in float32; anything else as it is."""
    is_half = hasattr(value, "dtype") and value.dtype.char in HALVES
    return value.astype(np.float32) if is_half else value


def rounded(value: Any, kind: Any) -> Any:
    """A float32 array, and each in a tuple, in a half-precision dtype; anything else as it is."""
    if isinstance(value, tuple):
        return tuple([rounded(v, kind) for v in value])
    is_single = getattr(value, "dtype", None) == np.float32
    return value.astype(kind) if is_single else value


class RandomSource:
    """One stream of random numbers on one device; `get_state` and `set_state` carry it through a checkpoint."""

    def seed(self, seed: int) -> None:
        raise NotImplementedError

    def uniform(self, shape: Shape, dtype: Any) -> Array:
        """Uniform on [0, 1)."""
        raise NotImplementedError

    def dropout(self, x: Array, p: float) -> tuple[Array, Callable[[Array], Array]] | None:
        """x with each number 0 with probability p and divided by 1 - p otherwise, and the function that does the same
        to the same places of another array; None from a source that cannot draw again, so that a mask is needed."""
        return None

    def normal(self, shape: Shape, dtype: Any) -> Array:
        """Standard normal."""
        raise NotImplementedError

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        """Integers in [low, high), int64."""
        raise NotImplementedError

    def permutation(self, n: int) -> Array:
        """0 ... n - 1 in random order, int64."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """The state, of things that JSON can hold."""
        raise NotImplementedError

    def set_state(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


class Backend:
    """One device and the array library behind it."""

    name: str  # "numpy" or "cupy"
    device_type: str  # "cpu" or "cuda"
    index: int | None = None
    joins_in_place = False  # whether kernels read the first channels of a wider image without copying them
    waits_to_look = False  # whether reading an array waits for the device; then `check` is answered later

    def __init__(self, xp: ModuleType, fast_module: str | None) -> None:
        self._xp = xp
        self.array_type: type = xp.ndarray
        self.kernels = Kernels(xp, fast_module)
        self.random = self.new_random(None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in ARRAY_FUNCTIONS:
            raise AttributeError(f"{type(self).__name__} offers no {name!r}")
        function = self._array_function(name)
        setattr(self, name, function)  # the next use finds it at once
        return function

    def _array_function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._xp, name)
        return function

    def on_device(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """function(*args, **kwargs) with this backend's device as the current one. The backend's own functions and
        kernels see to that themselves, as does an Op's forward; arithmetic on arrays elsewhere needs it."""
        return function(*args, **kwargs)

    @staticmethod
    def quietly(function: Callable[..., Any], *args: Any) -> Any:
        """function(*args), in which arithmetic that overflows or has no answer gives infinity or NaN and no warning."""
        return function(*args)

    def check(self, what: str, code: Array, error: Callable[[int], Exception]) -> None:
        """Raise error(code) unless code is 0: at once on the CPU. On a GPU, where looking would make the host wait, no
        later than at the next time that something is read from it; `what` then tells this check from others.

        Args:
            what: a name for it, with all that error's words depend on.
            code: an integer array of no dimensions.
            error: makes the exception from a code that is not 0.
        """
        found = int(code)
        if found:
            raise error(found)

    @contextmanager
    def checking(self, what: str, error: Callable[[int], Exception]) -> Iterator[Array]:
        """A block whose kernels leave the code of a `check` themselves, in an int64 array of one number, which may hold
        that of an earlier one: the greatest counts."""
        code = self.zeros(1, "int64")
        yield code
        self.check(what, code[0], error)

    def owner(self, array: Array) -> Array:
        """The array that an array is a view of; the array itself if it is no view."""
        return array if array.base is None else array.base

    capturing: Any = None  # not None while work on the device is noted for later, not done

    def constant(self, read: Callable[[], Any]) -> None:
        """Say that what is asked of the device depends on a number of the host, such as a learning rate: a captured
        graph is made anew when read() gives another one."""

    def add_at(self, target: Array, index: Any, value: Array) -> None:
        """target[index] += value in place, where an index met twice adds twice."""
        self._xp.add.at(target, index, value)

    def orthonormal(self, matrix: Array) -> Array:
        """Orthonormal columns that span those of a matrix with no fewer rows: its QR decomposition's Q, with the signs
        that make R's diagonal positive."""
        q, r = self._xp.linalg.qr(matrix)
        return q * self._xp.sign(self._xp.diagonal(r))

    def scipy_special(self, name: str) -> Callable[[Array], Array]:
        """A function of scipy.special for this backend's arrays."""
        raise NotImplementedError

    def new_random(self, seed: int | None) -> RandomSource:
        """A new stream of random numbers; from the operating system's entropy if seed is None."""
        raise NotImplementedError

    def from_numpy(self, array: np.ndarray) -> Array:
        """The array on this device: itself on the CPU, a copy on a GPU."""
        raise NotImplementedError

    def send(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[Array]]:
        """Begin to copy arrays to this device, while it works; returns what gives the copies."""
        copies = [self.from_numpy(array) for array in arrays]
        return lambda: copies

    def to_numpy(self, array: Array) -> np.ndarray:
        """The array on the CPU: itself on the CPU, a copy from a GPU."""
        raise NotImplementedError

    def widened(self, array: Array) -> Array:
        """A half-precision array in float32; any other as it is."""
        return self.on_device(widened, array)

    def check_dtype(self, kind: Any) -> None:
        """Raise a TypeError if arrays here cannot have this dtype of NumPy's."""

    def synchronize(self) -> None:
        """Wait for all work queued on the device."""
        raise NotImplementedError

    def describe(self) -> dict[str, str]:
        """Facts for `tinycnn info`."""
        raise NotImplementedError
