"""A stand-in for CuPy on NumPy memory, for running the CUDA backend where there is no GPU.

It computes with NumPy and refuses what CuPy refuses: arrays of the host and of the "device" do not mix, nothing turns
into a NumPy array by itself, only CuPy's own functions, parameters, methods and dtypes exist (`cupy_surface.json`),
every result is an array on the device, uninitialised memory holds NaN. It counts copies and synchronisations.

What it cannot show: that a kernel compiles and is right on a GPU, CuPy's own rounding and bugs, races between streams,
several devices, speed. `install()` puts it in the place of CuPy for the rest of the process.
"""

from __future__ import annotations

import importlib.machinery
import json
import math
import operator
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import standin_device as device
from standin_device import counted

_SURFACE = json.loads((pathlib.Path(__file__).parent / "cupy_surface.json").read_text(encoding="utf-8"))
_FUNCTIONS: dict[str, str] = _SURFACE["functions"]
_UFUNCS: dict[str, str] = _SURFACE["ufuncs"]
_METHODS: dict[str, str | None] = _SURFACE["ndarray"]

# Their results keep, or may share, their input's memory order; everything else is written in C order, as CuPy does.
_KEEP_ORDER = frozenset(
    """
    T astype broadcast_to copy diagonal empty_like flip full_like imag mT moveaxis ones_like ravel real reshape squeeze
    swapaxes transpose view zeros_like
    """.split()
)
_VIEWS = frozenset("ravel".split())  # may share it, but in C order
# The little that CuPy is asked to do with bfloat16: to make, move and convert such arrays, and to add, multiply and
# negate them. It can do more, but that is young.
_OF_BFLOAT16 = _KEEP_ORDER | frozenset(
    "add ascontiguousarray full full_like may_share_memory multiply negative ones ravel zeros".split()
)
# What atomicAdd serves, after CuPy's scatter_add.
_ATOMIC = frozenset(map(np.dtype, ("int32", "uint32", "uint64", "float16", "float32", "float64")))


# ---- from wrapper to memory and back ---------------------------------------------------------------------------------


def _memory(value: Any, anywhere: bool = False) -> Any:
    """The NumPy memory of device arrays in an argument; TypeError for an array of the host, ValueError for one of
    another device, unless it may be anywhere."""
    if isinstance(value, ndarray):
        if not anywhere and value._home != device.here.device:
            raise ValueError(
                f"Array device must be same as the current device: array device = {value._home} while current = "
                f"{device.here.device}"
            )
        return value._memory
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: an array of the host in a device operation")
    if isinstance(value, (list, tuple)):
        return type(value)(_memory(v, anywhere) for v in value)
    return value


def _on_device(result: Any, home: int | None = None) -> Any:
    if isinstance(result, (np.ndarray, np.generic)):
        array = ndarray.__new__(ndarray)
        array._memory = np.asarray(result)
        array._home = device.here.device if home is None else home
        device.piece_of(array._memory)
        return array
    if isinstance(result, (list, tuple)):
        return tuple(_on_device(r, home) for r in result)
    return result


def _arrays(value: Any) -> list[np.ndarray]:
    """The memory anywhere in an argument or a result."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in _arrays(v)]
    return []


def _homes(value: Any) -> Iterator[int]:
    if isinstance(value, ndarray):
        yield value._home
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _homes(v)


def _fresh(result: Any, args: Any) -> Any:
    """A computed result in C order, or in Fortran order if all arrays it came from are."""
    if not isinstance(result, np.ndarray) or result.flags.c_contiguous:
        return result
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    if result.flags.f_contiguous and arrays and all(a.flags.f_contiguous for a in arrays):
        return result
    return result.copy(order="C")


def _run(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ndarray | Any:
    out = kwargs.get("out")
    home = next(_homes(args), None)
    views = name in _KEEP_ORDER or name in _VIEWS
    plain, named = _memory(args, views), {key: _memory(value) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):  # a GPU says nothing of infinities
        result = function(*plain, **named)
    read = [*_arrays(plain), *_arrays(tuple(v for key, v in named.items() if key != "out"))]
    _refuse_bfloat16(name, read)
    if out is not None:
        device.launched(lambda: _again(function, plain, named), read, [out._memory])
        return out
    if views and read and _shares(result, read):
        return _on_device(result, home)
    _memory(args)  # nothing of another device
    if name not in _KEEP_ORDER:
        result = _fresh(result, plain)
    found = _on_device(result)
    written = [x._memory for x in (found if isinstance(found, tuple) else (found,)) if isinstance(x, ndarray)]
    if written:
        device.launched(lambda: _refill(written, function, plain, named), read, written)
    return found


def _refuse_bfloat16(name: str, arrays: list[np.ndarray]) -> None:
    if name not in _OF_BFLOAT16 and any(a.dtype.char == "E" for a in arrays):
        raise TypeError(f"cupy.{name}: CuPy's arithmetic on bfloat16 is left alone")


def _shares(result: Any, read: list[np.ndarray]) -> bool:
    return all(any(np.may_share_memory(r, x) for x in read) for r in _arrays(result))


def _again(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


def _refill(written: list[np.ndarray], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """A captured computation once more, into the memory that it got."""
    result = _again(function, args, kwargs)
    for memory, value in zip(written, result if isinstance(result, (list, tuple)) else (result,), strict=True):
        memory[...] = value


def _check_parameters(name: str, known: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    parameters = known.split()
    starred = any(p.startswith("*") for p in parameters)
    unknown = set(kwargs) - set(parameters)
    if unknown or (len(args) > len(parameters) and not starred):
        raise TypeError(f"cupy: {name}({', '.join(parameters)}) takes no {unknown or f'{len(args)} arguments'}")


def _poison(array: np.ndarray) -> np.ndarray:
    """Uninitialised memory: whoever reads it before writing is found out."""
    array[...] = {"f": np.nan, "V": np.nan, "c": complex(np.nan, np.nan), "b": True, "i": -1}.get(array.dtype.kind, 255)
    return array


# ---- arrays ----------------------------------------------------------------------------------------------------------


class _Flags:
    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:  # noqa: N801 - CuPy's name
    """An array that only CuPy's functions can touch: a wrapper, no subclass of NumPy's."""

    __slots__ = ("__weakref__", "_home", "_memory")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _memory: np.ndarray
    _home: int

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> None:
        device.make_room(math.prod(shape if isinstance(shape, (tuple, list)) else (shape,)) * np.dtype(dtype).itemsize)
        self._memory = _poison(np.empty(shape, dtype, order))  # type: ignore[call-overload]
        self._home = device.here.device
        device.piece_of(self._memory)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_function__(self, function: Any, *rest: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was called with an array of the device")

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or any(isinstance(x, np.ndarray) for x in inputs):
            raise TypeError(f"numpy.{function.__name__}: host and device arrays do not mix")
        return ufunc(function.__name__)(*inputs)  # a NumPy scalar stands on the left

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS or not hasattr(np.ndarray, name):
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        value = getattr(self._memory, name)
        if not callable(value):
            return _on_device(value, self._home) if isinstance(value, np.ndarray) else value

        def method(*args: Any, **kwargs: Any) -> Any:
            _check_parameters(f"ndarray.{name}", _METHODS[name] or "", args, kwargs)
            return _run(name, lambda own, *a, **k: getattr(own, name)(*a, **k), (self, *args), kwargs)

        return method

    flags = property(lambda self: _Flags(self._memory.flags))
    device = property(lambda self: device.Device(self._home))
    data = property(lambda self: types.SimpleNamespace(ptr=self._memory.ctypes.data, device_id=self._home))

    # Leaving the device: each of these waits for it.

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        device.piece_of(self._memory).touch(*device.tick(), write=False)
        if blocking:
            device.wait(stream)
        device.traffic.to_host += 1
        if out is None:
            return self._memory.copy(order)  # type: ignore[arg-type]
        out[...] = self._memory
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError("Shape or dtype mismatch")
        _memory(self)
        with stream or device.current_stream():
            device.copied_in()
            device.piece_of(self._memory).touch(*device.tick(), write=True)
            if not device.is_pinned(arr):
                device.wait()  # until the driver has the bytes
        self._memory[...] = arr

    def fill(self, value: Any) -> None:
        self[...] = value

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def nonzero(self) -> Any:
        device.wait()  # for the number of them
        return _on_device(self._memory.nonzero())

    # Indexing: numbers, slices, ..., None and device arrays.

    def _index(self, key: Any) -> Any:
        for item in key if isinstance(key, tuple) else (key,):
            if isinstance(item, ndarray):
                if item.dtype.kind == "b":
                    device.wait()  # a mask's length is read back
            elif isinstance(item, (list, np.ndarray)):
                raise TypeError(f"cupy: an index of the host, {item!r}, would be copied to the device each time")
        return _memory(key)

    def __getitem__(self, key: Any) -> ndarray:
        index = self._index(key)
        picked = any(isinstance(i, ndarray) for i in (key if isinstance(key, tuple) else (key,)))
        try:
            if picked:
                return _run("getitem", lambda memory, i: memory[i], (self, key), {})
            result = self._memory[index]
            # NumPy gives a number where CuPy gives a view of one element.
            if isinstance(result, np.generic):
                result = self._memory[(*(index if isinstance(index, tuple) else (index,)), ...)]
        except IndexError as error:
            self._refuse_wrapping(picked, error)
            raise
        return _on_device(result, self._home)

    def __setitem__(self, key: Any, value: Any) -> None:
        index = self._index(key)
        if isinstance(value, (list, tuple)):
            raise TypeError("cupy: a list cannot be written to a device array")
        try:
            _write(self, lambda memory, i, v: memory.__setitem__(i, v), index, _memory(value))
        except IndexError as error:
            self._refuse_wrapping(
                any(isinstance(i, ndarray) for i in (key if isinstance(key, tuple) else (key,))), error
            )
            raise

    @staticmethod
    def _refuse_wrapping(picked: bool, error: IndexError) -> None:
        if picked and "out of bounds" in str(error):
            raise RuntimeError(f"CuPy would take this index modulo the size, without a word: {error}")

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator[ndarray]:
        if self._memory.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<device {self._memory!r}>"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._memory.__array_interface__, "version": 3}


def _write(target: ndarray, change: Callable[..., Any], *args: Any) -> None:
    """change(memory, *args), in place."""
    memory = _memory(target)
    _again(change, (memory, *args), {})
    device.launched(lambda: _again(change, (memory, *args), {}), _arrays(args), [memory])


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


def _add_operators() -> None:
    def call(name: str, *args: Any) -> Any:
        return (matmul if name == "matmul" else ufunc(name))(*args)

    for mark, name in _OPERATORS.items():
        setattr(ndarray, f"__{mark}__", lambda x, y, name=name: call(name, x, y))
        setattr(ndarray, f"__r{mark}__", lambda x, y, name=name: call(name, y, x))
        if mark != "matmul":
            in_memory = getattr(operator, f"i{mark}")

            def in_place(x: ndarray, y: Any, step: Any = in_memory, name: str = name) -> ndarray:
                ufunc(name).resolve((x, y))
                _write(x, lambda memory, other: step(memory, other), _memory(y))
                return x

            setattr(ndarray, f"__i{mark}__", in_place)
    for mark, name in _COMPARISONS.items():
        setattr(ndarray, f"__{mark}__", lambda x, y, name=name: call(name, x, y))
    for mark, name in _UNARY.items():
        setattr(ndarray, f"__{mark}__", lambda x, name=name: call(name, x))


# ---- functions -------------------------------------------------------------------------------------------------------


class ufunc:  # noqa: N801 - CuPy's name
    """One of CuPy's elementwise functions, for the dtypes that CuPy has it for."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.types = [kind.split("->") for kind in _UFUNCS[name].split()]

    def resolve(self, args: tuple[Any, ...]) -> Any:
        """The dtype of the result: of the first of CuPy's signatures that all arguments can be cast to safely."""
        for x in args:
            if not isinstance(x, (ndarray, np.generic, bool, int, float, complex)):
                raise TypeError(f"cupy.{self.__name__}: Unsupported type {type(x)}")
        _refuse_bfloat16(self.__name__, [x._memory for x in args if isinstance(x, ndarray)])
        if any(isinstance(x, ndarray) and x.dtype.char == "E" for x in args):
            if all(isinstance(x, ndarray) and x.dtype.char == "E" for x in args):
                return args[0].dtype
            raise TypeError(f"cupy.{self.__name__}: bfloat16 with {[getattr(x, 'dtype', type(x)) for x in args]}")
        strong = [np.dtype(x.dtype) for x in args if isinstance(x, (ndarray, np.generic))]
        base = np.result_type(*strong) if strong else np.dtype("bool")
        kinds = [np.dtype(x.dtype) if isinstance(x, (ndarray, np.generic)) else np.result_type(base, x) for x in args]
        if not strong:
            kinds = [np.asarray(x).dtype for x in args]
        for inputs, output in self.types:
            if len(inputs) == len(kinds) and all(map(np.can_cast, kinds, inputs)):
                return np.dtype(output)
        raise TypeError(f"cupy.{self.__name__} does not support {', '.join(map(str, kinds))}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        unknown = set(kwargs) - {"out", "dtype", "casting"}
        if unknown:
            raise TypeError(f"cupy.{self.__name__} takes no {unknown}")
        function = getattr(np, self.__name__)
        if kwargs:
            return _run(self.__name__, function, args, kwargs)
        kind = self.resolve(args)
        return _run(self.__name__, lambda *a: np.asarray(function(*a)).astype(kind, copy=False), args, {})

    def at(self, array: ndarray, index: Any, values: Any) -> None:
        if self.__name__ != "add":
            raise NotImplementedError(f"cupy.{self.__name__}.at")
        if array.dtype not in _ATOMIC:
            raise TypeError(
                f"scatter_add only supports int32, float16, float32, float64, uint32, uint64: {array.dtype}"
            )
        _write(array, np.add.at, array._index(index), _memory(values))


def _function(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        _check_parameters(name, _FUNCTIONS[name], args, kwargs)
        first = _FUNCTIONS[name].split()[:1]
        if first in (["a"], ["x"], ["m"], ["condition"], ["array"], ["indices"]) and not isinstance(args[0], ndarray):
            raise TypeError(f"cupy.{name}: Unsupported type {type(args[0])}")
        return _run(name, function, args, kwargs)

    call.__name__ = call.__qualname__ = name
    return call


class Core:
    """What of `cupy._core` is used: the state that says how products of a dtype may round."""

    types: ClassVar[dict[str, int]] = {}
    used: ClassVar[list[int]] = []  # the states that products of float32 ran in

    @classmethod
    def get_compute_type(cls, dtype: Any) -> int:
        return cls.types.get(np.dtype(dtype).name, 1)

    @classmethod
    def set_compute_type(cls, dtype: Any, compute_type: int) -> None:
        if not 0 <= compute_type <= 7:
            raise ValueError(f"Unknown compute type: {compute_type}")
        cls.types[np.dtype(dtype).name] = compute_type


def matmul(x1: ndarray, x2: ndarray, *, out: ndarray | None = None) -> ndarray:
    if not (isinstance(x1, ndarray) and isinstance(x2, ndarray)):
        raise TypeError(f"cupy.matmul: Unsupported types {type(x1)}, {type(x2)}")
    device.not_captured("cuBLAS")
    if x1.dtype == "float32":
        Core.used.append(Core.get_compute_type("float32"))
    return _run("matmul", np.matmul, (x1, x2), {} if out is None else {"out": out})


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    if isinstance(a, (list, tuple)) and any(isinstance(x, ndarray) for x in a):
        raise TypeError("cupy.asarray: device arrays in a list; stack them")
    device.copied_in()
    memory = np.array(a, dtype=dtype, copy=True, order="K")
    fortran = memory.flags.f_contiguous and not memory.flags.c_contiguous
    copy = np.array(memory, order="F" if fortran else "C")
    device.piece_of(copy).touch(*device.tick(), write=True)
    return _on_device(copy)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    return obj.astype(dtype or obj.dtype, copy=copy) if isinstance(obj, ndarray) else asarray(obj, dtype)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(shape, dtype, order=order)


def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: None = None, shape: Any = None) -> ndarray:
    return _on_device(_poison(np.empty_like(_memory(prototype), dtype, order, shape=shape)))  # type: ignore[call-overload]


def unravel_index(indices: ndarray, dims: Any, order: str = "C") -> Any:
    device.wait()  # CuPy says that it may
    return _run("unravel_index", np.unravel_index, (indices, dims, order), {})


def nonzero(a: ndarray) -> Any:
    return a.nonzero()


# ---- random numbers, kernels, devices --------------------------------------------------------------------------------


class Generator:
    """Of CuPy's generator what deep learning needs."""

    def __init__(self, seed: Any) -> None:
        device.not_captured("cuRAND")
        self._rng = np.random.Generator(np.random.Philox(seed))

    def random(self, size: Any = None, dtype: Any = np.float64) -> ndarray:
        return _on_device(self._rng.random(size, np.dtype(dtype)))  # type: ignore[arg-type]

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> ndarray:
        return _on_device(self._rng.standard_normal(size, np.dtype(dtype)))  # type: ignore[arg-type]

    def integers(self, low: int, high: Any = None, size: Any = None, dtype: Any = np.int64) -> ndarray:
        return _on_device(self._rng.integers(low, high, size, dtype))


def _fill(block: tuple[int, ...], x: np.ndarray) -> None:
    x[: block[0]] = 2.0


KERNELS: dict[str, Callable[..., None]] = {"fill": _fill}  # what stands for a raw kernel: its name is all that counts


class RawModule:
    """Raw kernels, from the same source as on a GPU, by the machinery that runs it on the CPU."""

    def __init__(self, **facts: Any) -> None:
        from cuda_proof.runner import RawModule as OnCpu

        self._module = OnCpu(**facts)

    def get_function(self, name: str) -> _Function:
        return _Function(self._module.get_function(name))


class _Function:
    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid: Any, block: Any, args: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise device.CUDARuntimeError("CUDA_ERROR_INVALID_VALUE: more shared memory than was asked for")
        _launch(lambda: self._function(grid, block, args, shared_mem=shared_mem), args)


def _launch(work: Callable[[], None], args: tuple[Any, ...]) -> None:
    """Run a raw kernel; it may write whatever it is given."""
    for x in args:
        if not isinstance(x, (ndarray, np.generic)) and not (isinstance(x, np.ndarray) and x.dtype.fields):
            raise TypeError(f"a kernel's scalars must have a dtype, {x!r} has none")
    arrays = [_memory(x) for x in args if isinstance(x, ndarray)]
    work()
    device.launched(work, arrays, arrays)


class RawKernel:
    """A kernel by name: its source is not read."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), **kwargs: Any) -> None:
        self._run = KERNELS[name]

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        plain = [x._memory if isinstance(x, ndarray) else x for x in args]
        _launch(lambda: self._run(block, *plain), args)


# ---- the module ------------------------------------------------------------------------------------------------------


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module


def _scipy_special(name: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        import scipy.special

        return _run(name, getattr(scipy.special, name), (x,), {})

    return call


_DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()


def install(devices: int = 1) -> types.ModuleType:
    """Be `cupy` from now on, with so many devices; returns that module."""
    device.DEVICES = devices
    own = (
        ndarray,
        ufunc,
        matmul,
        asarray,
        array,
        asnumpy,
        empty,
        empty_like,
        unravel_index,
        nonzero,
        RawKernel,
        RawModule,
    )
    contents: dict[str, Any] = {name: ufunc(name) for name in _UFUNCS if hasattr(np, name)}
    contents |= {name: _function(name) for name in _FUNCTIONS if hasattr(np, name)}
    contents |= {x.__name__: x for x in own}
    contents |= {name: getattr(np, name) for name in "inf nan newaxis pi e dtype finfo iinfo promote_types".split()}
    contents |= {name: np.dtype(name).type for name in _DTYPES}
    linalg = _module("cupy.linalg", qr=lambda a, mode="reduced": _run("qr", np.linalg.qr, (a, mode), {}))
    strides = _module("cupy.lib.stride_tricks", as_strided=_as_strided)
    lib = _module("cupy.lib", stride_tricks=strides)
    random = _module("cupy.random", default_rng=Generator, Generator=Generator)
    memory = _module("cupy.cuda.memory", OutOfMemoryError=device.OutOfMemoryError)
    names = (
        "Device runtime Stream Event Graph MemoryPool PinnedMemoryPointer set_allocator get_allocator using_allocator "
        "get_elapsed_time"
    )
    cuda = _module(
        "cupy.cuda",
        memory=memory,
        get_current_stream=device.current_stream,
        **{name: getattr(device, name) for name in names.split()},
    )
    special = {name: _scipy_special(name) for name in ("erf", "erfc", "erfinv", "gammaln", "ndtr")}
    _module(
        "cupyx",
        scipy=_module("cupyx.scipy", special=_module("cupyx.scipy.special", **special)),
        empty_pinned=device.empty_pinned,
        allow_synchronize=device.allow_synchronize,
        DeviceSynchronized=device.DeviceSynchronized,
    )
    contents["get_default_memory_pool"] = lambda: device.default_pool
    return _module(
        "cupy", __version__="14.2.0", linalg=linalg, lib=lib, random=random, cuda=cuda, _core=Core, **contents
    )


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return _on_device(np.lib.stride_tricks.as_strided(x._memory, shape, strides))


_add_operators()
__all__ = ["counted", "install"]
