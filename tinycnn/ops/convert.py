"""Other dtypes and other devices, and what a dtype can hold."""

from __future__ import annotations

import builtins
from typing import Any

from ..autograd import Function, Tensor, wrap
from ..backend import Backend, cuda_status, device, device_of, get_backend, pinned, registry
from ..backend.dtypes import as_dtype, dtype, float_info
from ..backend.layout import channels_last, lies_as, memory_format, preserve_format
from .broadcast import cast
from .registry import add_method, op
from .shape import clone

__all__ = ["finfo", "iinfo", "is_complex", "is_floating_point", "is_tensor", "numel"]


class ToDevice(Function):
    """A copy of x on another device; the gradient comes back to x's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Backend) -> Tensor:
        ctx.home = x.backend
        return wrap(to.from_numpy(x.backend.to_numpy(x.array)), to)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return ToDevice.apply(g, ctx.home), None


def _is_device(value: Any) -> bool:
    return isinstance(value, device) or (isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda"))


@op(
    lambda make: [
        make.sample(make(2, 3), "float64", copy=True),
        make.sample(make(2, 3), "cpu"),
        make.sample(make(2, 3, 2, 2), memory_format=channels_last),
    ],
    linear=True,
    analytic=False,  # a cast to a real dtype drops the imaginary part
)
def to(
    input: Tensor,
    *args: Any,
    other: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """input with another dtype, on another device, or in another memory format: itself if it is that already.

    Args:
        args: a dtype, a device, a device and a dtype, or a tensor to take both from.
        other: that tensor, by name.
        non_blocking: accepted for PyTorch's sake: the host does not wait for a copy to a GPU without it either.
        copy: copy even if nothing changes.

    Raises:
        TypeError: if an argument is none of these, or given twice.
        RuntimeError: if the device cannot be used.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1.5, -1.5]).to(tinycnn.int64)
        tensor([ 1, -1])
    """
    given: dict[str, Any] = {"dtype": dtype, "device": device}
    for position, value in enumerate((*args, other) if other is not None else args):
        if isinstance(value, Tensor):
            found = {"dtype": value.dtype, "device": value.device}
        elif isinstance(value, builtins.bool) and position > 0:  # to(device, dtype, non_blocking, copy)
            copy = value if position == 3 or (position == 2 and not _is_device(args[0])) else copy
            continue
        elif value is None:
            continue
        else:
            found = {"device" if _is_device(value) else "dtype": value}
        for name, what in found.items():
            if given[name] is not None:
                raise TypeError(f"to: {name} was given twice, as {given[name]!r} and {what!r}")
            given[name] = what
    return _to(input, given["dtype"], given["device"], copy, memory_format)


def _to(input: Tensor, kind: Any, place: Any, copy: bool, order: memory_format) -> Tensor:
    out = input
    wanted = None if kind is None else as_dtype(kind)
    backend = input.backend if place is None else get_backend(place)
    smaller = wanted is not None and wanted.itemsize < out.array.itemsize
    if wanted is not None and (smaller or backend is out.backend):  # send the fewer bytes
        out = cast(out, wanted)
    if backend is not out.backend:
        out = ToDevice.apply(out, backend)
    if wanted is not None:
        out = cast(out, wanted)
    if not lies_as(out.array, order) or (copy and out is input):
        out = clone(out, memory_format=order)
    return out


def _type(self: Tensor, dtype: Any = None, non_blocking: builtins.bool = False) -> Any:
    """This tensor in another dtype (one of tinycnn's, or a name); without one, the name of its own."""
    return repr(self.dtype) if dtype is None else cast(self, as_dtype(dtype))


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor with the dtype of other and on its device."""
    return to(self, other)


def _cpu(self: Tensor) -> Tensor:
    """This tensor on the CPU: itself if it is there."""
    return to(self, device="cpu")


def _cuda(self: Tensor, device: Any = None) -> Tensor:
    """This tensor on a GPU (by default the current one if it is on one, else the first): itself if it is there."""
    where = "cuda" if device is None else f"cuda:{device}" if isinstance(device, builtins.int) else device
    return self if device is None and self.is_cuda else to(self, device=where)


def _caster(name: str) -> Any:
    kind: dtype = as_dtype(name)

    def method(self: Tensor, memory_format: memory_format = preserve_format) -> Tensor:
        return _to(self, kind, None, False, memory_format)

    method.__doc__ = f"This tensor in {kind!r}: itself if it is that already."
    return method


for _name, _kind in {
    "half": "float16",
    "bfloat16": "bfloat16",
    "float": "float32",
    "double": "float64",
    "byte": "uint8",
    "char": "int8",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "bool": "bool",
}.items():
    add_method(_name, _caster(_kind))
add_method("type", _type)
add_method("type_as", _type_as)
add_method("cpu", _cpu)
add_method("cuda", _cuda)


def get_device(input: Tensor) -> builtins.int:
    """The number of the GPU a tensor is on, -1 for the CPU."""
    return -1 if not input.is_cuda else device_of(input.backend).index or 0


add_method("get_device", get_device)


def pin_memory(input: Tensor) -> Tensor:
    """input in page-locked memory of the host, from which `to("cuda")` copies while the host goes on: itself if it is.

    Raises:
        RuntimeError: if it is on a GPU, or CUDA cannot be used; it says why.
    """
    if input.is_cuda:
        raise RuntimeError(f"pin_memory: only memory of the CPU can be pinned, this tensor is on {input.device}")
    usable, reason = cuda_status()
    if not usable:
        raise RuntimeError(f"pin_memory: CUDA cannot be used: {reason}")
    return input if registry.is_pinned(input.array) else wrap(pinned(input.array), input.backend)


def is_pinned(input: Tensor) -> builtins.bool:
    """Whether the tensor lies in page-locked memory of the host."""
    return registry.is_pinned(input.array)


add_method("pin_memory", pin_memory)
add_method("is_pinned", is_pinned)


# ---- what something is -----------------------------------------------------------------------------------------------


def is_tensor(obj: Any) -> builtins.bool:
    """Whether obj is a tensor.

    Example:
        >>> import tinycnn
        >>> tinycnn.is_tensor(tinycnn.zeros(2)), tinycnn.is_tensor([0.0, 0.0])
        (True, False)
    """
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether the elements are real floating numbers."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> builtins.bool:
    """Whether the elements are complex numbers."""
    return input.is_complex()


def numel(input: Tensor) -> builtins.int:
    """The number of elements."""
    return input.numel()


class finfo:  # noqa: N801 - PyTorch's name
    """What a floating dtype (the default one if none is given) can hold.

    Attributes:
        bits: how many bits an element has.
        eps: the step from 1 to the next number.
        max, min: the greatest and the smallest number.
        tiny, smallest_normal: the smallest positive number at full precision.
        resolution: the decimal step that numbers near 1 are told apart by.

    Raises:
        TypeError: if the dtype is not floating.

    Example:
        >>> import tinycnn
        >>> tinycnn.finfo(tinycnn.float64).eps
        2.220446049250313e-16
    """

    def __init__(self, type: Any = float) -> None:
        kind = as_dtype(type)
        if not (kind.is_floating_point or kind.is_complex):
            raise TypeError(f"finfo: {kind!r} is not floating; see iinfo")
        info = float_info(kind)
        self.bits: builtins.int = info.bits
        self.dtype: str = info.dtype.name
        self.eps, self.max, self.min = (builtins.float(x) for x in (info.eps, info.max, info.min))
        self.tiny = self.smallest_normal = builtins.float(info.tiny)
        self.resolution = builtins.float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(min={self.min:g}, max={self.max:g}, eps={self.eps:g}, tiny={self.tiny:g}, dtype={self.dtype})"


class iinfo:  # noqa: N801 - PyTorch's name
    """What an integer dtype can hold.

    Attributes:
        bits: how many bits an element has.
        max, min: the greatest and the smallest number.

    Raises:
        TypeError: if the dtype is not one of integers.

    Example:
        >>> import tinycnn
        >>> tinycnn.iinfo(tinycnn.uint8).max
        255
    """

    def __init__(self, type: Any) -> None:
        kind = as_dtype(type)
        if kind.category != 1:
            raise TypeError(f"iinfo: {kind!r} is not an integer dtype; see finfo")
        self.bits = 8 * kind.itemsize
        signed = kind.numpy.kind == "i"
        self.min = -(2 ** (self.bits - 1)) if signed else 0
        self.max = 2 ** (self.bits - signed) - 1
        self.dtype = kind.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
