"""New tensors: from data, filled, counted, random; and the random generators."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor, wrap
from ..autograd.conversion import as_array
from ..backend import Backend, get_backend
from ..backend.dtypes import (
    as_dtype,
    dtype as DType,  # noqa: N812
    from_numpy_dtype,
    get_default_dtype,
    int64,
)
from ..backend.generator import (
    Generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    random_source,
    seed,
    set_rng_state,
)
from ..backend.layout import channels_last, contiguous_format, copy_as, lies_as, memory_format, preserve_format
from .broadcast import check_broadcast, scalar_of
from .registry import add_method

__all__ = [
    "Generator",
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "get_rng_state",
    "initial_seed",
    "linspace",
    "manual_seed",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
    "tensor",
    "zeros",
    "zeros_like",
]


def _made(array: Any, backend: Backend, requires_grad: bool = False) -> Tensor:
    out = wrap(array, backend)
    return out.requires_grad_() if requires_grad else out


# ---- from data -------------------------------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor of a copy of data: numbers, nested lists, arrays.

    Args:
        dtype: by default the one that data imply: int64, bool, the default dtype for Python floats, that of an array.
        device: by default that of data if they are a tensor, else the default device.

    Raises:
        TypeError, ValueError: if data make no array of numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
        >>> tinycnn.tensor([1.0, 2.0], dtype=tinycnn.float64)
        tensor([1., 2.], dtype=tinycnn.float64)
    """
    backend = _backend_for(data, device)
    return _made(as_array(data, dtype, backend), backend, requires_grad)


def _backend_for(data: Any, device: Any) -> Backend:
    return data.backend if device is None and isinstance(data, Tensor) else get_backend(device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """data as a tensor, with no copy if it can be: a tensor as it is, with its history; an array in shared memory.

    Example:
        >>> import numpy, tinycnn
        >>> a = numpy.zeros(2)
        >>> tinycnn.as_tensor(a)[0] = 5.0
        >>> a
        array([5., 0.])
    """
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    backend = get_backend(device)
    kind: Any = backend.array_type
    if isinstance(data, kind) and (dtype is None or data.dtype == as_dtype(dtype).numpy):
        as_dtype(data.dtype)
        return wrap(data[...], backend)
    return wrap(as_array(data, dtype, backend), backend)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """obj as a tensor: shared if it can be, or always (copy=True) or never (copy=False) copied.

    Raises:
        ValueError: if copy is False and a copy is needed.

    Example:
        >>> import tinycnn
        >>> tinycnn.asarray([1, 2], dtype=tinycnn.float32)
        tensor([1., 2.])
    """
    if copy:
        out = tensor(obj, dtype=dtype, device=device)
    else:
        out = as_tensor(obj, dtype, device)
        source = getattr(obj, "array", obj)
        kind: Any = out.backend.array_type
        shared = isinstance(source, kind) and (source.size == 0 or out.backend.may_share_memory(source, out.array))
        if copy is False and not shared:
            raise ValueError(f"asarray: copy=False, but {type(obj).__name__} cannot be a tensor so without a copy")
        out = out.detach() if isinstance(obj, Tensor) and requires_grad and not out.requires_grad else out
    return out.requires_grad_() if requires_grad else out


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor on the memory of a NumPy array: writing to either is seen in the other.

    Raises:
        TypeError: if it is no NumPy array, or of a dtype that tensors cannot have.

    Example:
        >>> import numpy, tinycnn
        >>> tinycnn.from_numpy(numpy.arange(3.0))
        tensor([0., 1., 2.], dtype=tinycnn.float64)
    """
    backend = get_backend("cpu")
    kind: Any = backend.array_type
    if not isinstance(ndarray, kind):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(ndarray).__name__}")
    as_dtype(ndarray.dtype)
    return wrap(ndarray[...], backend)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of an array of another library that speaks DLPack, with no copy.

    Args:
        device: where it is to be; by default where ext_tensor is.
        copy: whether to copy: True always, False never, None if the device asks for it.

    Raises:
        TypeError: if ext_tensor does not speak DLPack.
        ValueError: if copy is False and a copy is needed.

    Example:
        >>> import numpy, tinycnn
        >>> tinycnn.from_dlpack(numpy.ones(2))
        tensor([1., 1.], dtype=tinycnn.float64)
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__")
    kind, index = ext_tensor.__dlpack_device__()
    backend = get_backend("cpu" if kind == 1 else f"cuda:{index}")
    array = backend.from_dlpack(ext_tensor)
    as_dtype(array.dtype)
    shared = wrap(array, backend)
    out = shared if device is None else shared.to(device=device)
    if copy is False and out is not shared:
        raise ValueError(f"from_dlpack: copy=False, but the array is on {shared.device}, not on {device}")
    return out.clone() if copy and out is shared else out


# ---- filled ----------------------------------------------------------------------------------------------------------


def _size(name: str, size: tuple[Any, ...], keyword: Any = None) -> tuple[int, ...]:
    """A shape given as numbers or as one tuple."""
    if keyword is not None:
        size = (keyword,)
    if len(size) == 1 and isinstance(size[0], Sequence):
        size = tuple(size[0])
    try:
        shape = tuple(map(operator.index, size))
    except TypeError:
        raise TypeError(f"{name}: sizes must be ints, or one tuple of them, got {size}") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: sizes must not be negative, got {shape}")
    return shape


def _kind(dtype: Any) -> DType:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    Args:
        sizes: the shape, as numbers or as one tuple.
        size: the shape, by name.
        dtype: the default dtype if not given.

    Raises:
        ValueError: if a size is negative.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3)
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    backend = get_backend(device)
    return _made(backend.zeros(_size("zeros", sizes, size), _kind(dtype).numpy), backend, requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones; arguments as of `zeros`.

    Example:
        >>> import tinycnn
        >>> tinycnn.ones(2, dtype=tinycnn.int64)
        tensor([1, 1])
    """
    backend = get_backend(device)
    return _made(backend.ones(_size("ones", sizes, size), _kind(dtype).numpy), backend, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: memory_format = contiguous_format,
) -> Tensor:
    """A tensor of whatever its memory held before; arguments as of `zeros`.

    Example:
        >>> import tinycnn
        >>> tinycnn.empty(2, 3).shape
        tinycnn.Size([2, 3])
    """
    backend = get_backend(device)
    array = backend.empty(_size("empty", sizes, size), _kind(dtype).numpy)
    return _made(_lying(array, memory_format), backend, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of that shape with one value everywhere, whose dtype it has by default.

    Example:
        >>> import tinycnn
        >>> tinycnn.full((2, 2), 7)
        tensor([[7, 7],
                [7, 7]])
    """
    backend = get_backend(device)
    value = _number("full", fill_value)
    kind = as_dtype(type(value)) if dtype is None else as_dtype(dtype)
    return _made(backend.full(_size("full", (size,)), value, kind.numpy), backend, requires_grad)


def _number(name: str, value: Any) -> Any:
    number = value.item() if isinstance(value, Tensor) else scalar_of(value)
    if number is None:
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return number


def _lying(array: Any, order: memory_format) -> Any:
    return array if lies_as(array, order) else copy_as(array, order)


def _like(
    function: str, input: Tensor, dtype: Any, device: Any, requires_grad: bool, order: memory_format, *value: Any
) -> Tensor:
    """A tensor of input's shape made by a backend function; by default its memory lies as input's does."""
    backend = input.backend if device is None else get_backend(device)
    kind = input.array.dtype if dtype is None else as_dtype(dtype).numpy
    if backend is input.backend:
        array = getattr(backend, f"{function}_like")(input.array, *value, dtype=kind)
    else:
        array = getattr(backend, function)(input.array.shape, *value, dtype=kind)
    return _made(_lying(array, order), backend, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """Zeros in the shape of input; by default of its dtype, on its device, in its memory layout.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros_like(tinycnn.tensor([1, 2]))
        tensor([0, 0])
    """
    return _like("zeros", input, dtype, device, requires_grad, memory_format)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """Ones in the shape of input; by default of its dtype, on its device, in its memory layout.

    Example:
        >>> import tinycnn
        >>> tinycnn.ones_like(tinycnn.tensor([3, 4]), dtype=tinycnn.float32)
        tensor([1., 1.])
    """
    return _like("ones", input, dtype, device, requires_grad, memory_format)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """A tensor in the shape of input, of whatever its memory held before."""
    return _like("empty", input, dtype, device, requires_grad, memory_format)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """One value everywhere in the shape of input; by default of its dtype, on its device, in its memory layout.

    Example:
        >>> import tinycnn
        >>> tinycnn.full_like(tinycnn.zeros(2), 7)
        tensor([7., 7.])
    """
    return _like("full", input, dtype, device, requires_grad, memory_format, _number("full_like", fill_value))


def _check_count(name: str, count: int) -> None:
    """Raise if so many elements have no indices: from 2^63 on NumPy's own count begins again, at none."""
    if count >= 2**62:
        raise ValueError(f"{name}: {count} elements are more than a tensor can hold")


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to end, which is left out; arange(end) counts from 0.

    Args:
        dtype: by default int64 if all numbers are integers, else the default dtype.

    Raises:
        ValueError: if step is 0 or leads away from end.

    Example:
        >>> import tinycnn
        >>> tinycnn.arange(4), tinycnn.arange(1, 2, 0.5)
        (tensor([0, 1, 2, 3]), tensor([1.0000, 1.5000]))
    """
    if end is None:
        start, end = 0, start
    begin, stop, by = (_number("arange", x) for x in (0 if start is None else start, end, step))
    if dtype is not None and as_dtype(dtype).category < 2:
        begin, stop, by = int(begin), int(stop), int(by)
    if by == 0 or (stop - begin) * by < 0:
        raise ValueError(f"arange: a step of {by} does not lead from {begin} to {stop}")
    whole = all(isinstance(x, int) for x in (begin, stop, by))
    kind = (int64 if whole else get_default_dtype()) if dtype is None else as_dtype(dtype)
    count = -((begin - stop) // by) if whole else math.ceil((stop - begin) / by)
    _check_count("arange", count)
    backend = get_backend(device)
    array = backend.arange(count, dtype="int64" if whole else "float64") * by + begin
    return _made(array.astype(kind.numpy), backend, requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers evenly spaced from start to end, both included.

    Raises:
        ValueError: if steps is negative.

    Example:
        >>> import tinycnn
        >>> tinycnn.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if steps < 0:
        raise ValueError(f"linspace: steps must not be negative, got {steps}")
    _check_count("linspace", steps)
    backend = get_backend(device)
    array = backend.linspace(_number("linspace", start), _number("linspace", end), steps, dtype="float64")
    return _made(array.astype(_kind(dtype).numpy), backend, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A matrix (n, m), square by default, with ones on the diagonal and zeros elsewhere.

    Example:
        >>> import tinycnn
        >>> tinycnn.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    backend = get_backend(device)
    shape = _size("eye", (n, n if m is None else m))
    return _made(backend.eye(*shape, dtype=_kind(dtype).numpy), backend, requires_grad)


def _new(function: str) -> Any:
    def method(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        backend = self.backend if device is None else get_backend(device)
        kind = self.array.dtype if dtype is None else as_dtype(dtype).numpy
        return _made(getattr(backend, function)(_size(f"new_{function}", size), dtype=kind), backend, requires_grad)

    method.__doc__ = f"A tensor by `{function}`, by default of this tensor's dtype and on its device."
    return method


def _new_full(
    self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor by `full`, by default of this tensor's dtype and on its device."""
    kind, where = dtype or self.dtype, self.device if device is None else device
    return full(size, fill_value, dtype=kind, device=where, requires_grad=requires_grad)


def _new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of a copy of data, by default of this tensor's dtype and on its device."""
    kind, where = dtype or self.dtype, self.device if device is None else device
    return tensor(data, dtype=kind, device=where, requires_grad=requires_grad)


add_method("new_zeros", _new("zeros"))
add_method("new_ones", _new("ones"))
add_method("new_empty", _new("empty"))
add_method("new_full", _new_full)
add_method("new_tensor", _new_tensor)


# ---- random numbers --------------------------------------------------------------------------------------------------


def random_array(
    distribution: str, backend: Backend, shape: tuple[int, ...], kind: DType, generator: Generator | None
) -> Any:
    """An array of "uniform" or "normal" numbers; half precision is drawn as float32 and rounded.

    Raises:
        TypeError: if the dtype is not floating.
    """
    if not kind.is_floating_point:
        raise TypeError(f"random: {distribution} numbers need a floating dtype, got {kind!r}")
    drawn = "float32" if kind.itemsize < 4 else kind.name
    array = getattr(random_source(backend, generator), distribution)(shape, drawn)
    return array.astype(kind.numpy, copy=False)


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random numbers, uniform on [0, 1).

    Example:
        >>> import tinycnn
        >>> tinycnn.rand(2, 3).shape
        tinycnn.Size([2, 3])
    """
    backend = get_backend(device)
    array = random_array("uniform", backend, _size("rand", sizes, size), _kind(dtype), generator)
    return _made(array, backend, requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.randn(2, 3).shape
        tinycnn.Size([2, 3])
    """
    backend = get_backend(device)
    array = random_array("normal", backend, _size("randn", sizes, size), _kind(dtype), generator)
    return _made(array, backend, requires_grad)


def _laid(out: Tensor, like: Tensor, order: memory_format, requires_grad: bool) -> Tensor:
    """out in that memory format; to preserve it is to lie as `like` does."""
    if order is preserve_format:
        last = like.array.ndim == 4 and lies_as(like.array, channels_last)
        order = channels_last if last else contiguous_format
    return _made(_lying(out.array, order), out.backend, requires_grad)


def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Any = None,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """`rand` in the shape of input, by default of its dtype and on its device."""
    where = input.device if device is None else device
    kind = dtype or input.dtype
    out = rand(input.array.shape, generator=generator, dtype=kind, device=where)
    return _laid(out, input, memory_format, requires_grad)


def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Any = None,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """`randn` in the shape of input, by default of its dtype and on its device."""
    where = input.device if device is None else device
    kind = dtype or input.dtype
    out = randn(input.array.shape, generator=generator, dtype=kind, device=where)
    return _laid(out, input, memory_format, requires_grad)


def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers in [low, high): randint(high, size) or randint(low, high, size).

    Raises:
        TypeError: if high or size is missing.
        ValueError: if the range is empty.

    Example:
        >>> import tinycnn
        >>> tinycnn.randint(10, (2, 3)).shape
        tinycnn.Size([2, 3])
    """
    given = list(args)
    if given and isinstance(given[-1], Sequence):
        size = given.pop()
    if len(given) == 2:
        low, high = given
    elif len(given) == 1:
        if high is None:
            high = given[0]
        else:
            low = given[0]
    if high is None or size is None or len(given) > 2:
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    if low >= high:
        raise ValueError(f"randint: low={low} must be less than high={high}")
    backend = get_backend(device)
    kind = int64 if dtype is None else as_dtype(dtype)
    array = random_source(backend, generator).integers(low, high, _size("randint", (size,)))
    return _made(array.astype(kind.numpy, copy=False), backend, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 to n - 1 in random order.

    Example:
        >>> import tinycnn
        >>> tinycnn.randperm(4).sort().values
        tensor([0, 1, 2, 3])
    """
    backend = get_backend(device)
    (count,) = _size("randperm", (n,))
    kind = int64 if dtype is None else as_dtype(dtype)
    array = random_source(backend, generator).permutation(count)
    return _made(array.astype(kind.numpy, copy=False), backend, requires_grad)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that input holds at each place (or p everywhere), else 0, in input's dtype; a constant for
    backward.

    Raises:
        ValueError: if a probability is outside [0, 1].

    Example:
        >>> import tinycnn
        >>> tinycnn.bernoulli(tinycnn.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    out = empty_like(input)
    return out.bernoulli_(input.detach() if p is None else p, generator=generator)


add_method("bernoulli", bernoulli)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers: normal(mean, std, size) with numbers, or with tensors, which broadcast, for either.

    Raises:
        TypeError: if size is missing though both are numbers.
        ValueError: if a standard deviation is negative, or the shapes do not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.normal(10.0, 0.0, (2,))
        tensor([10., 10.])
    """
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if bool((std < 0).any()) if isinstance(std, Tensor) else std < 0:
        raise ValueError("normal: standard deviations must not be negative")
    if not given:
        if size is None:
            raise TypeError("normal: size must be given if mean and std are numbers")
        noise = randn(size, generator=generator, dtype=dtype, device=device)
        out = noise * std + mean
    else:
        if len(given) == 2:
            check_broadcast("normal", given[0].array.shape, given[1].array.shape)
        where = (given[0] + given[1] if len(given) == 2 else given[0]).detach()
        kind = from_numpy_dtype(where.array.dtype)
        noise = randn(where.array.shape, generator=generator, dtype=kind, device=where.device)
        out = noise * (std.detach() if isinstance(std, Tensor) else std)
        out = out + (mean.detach() if isinstance(mean, Tensor) else mean)
    return out.requires_grad_() if requires_grad else out
