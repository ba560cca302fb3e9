"""Parameter: a tensor that a module owns and an optimiser moves; and its form before its size is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..autograd import Tensor
from ..autograd.tensor import wrap
from ..backend import (
    device as Device,  # noqa: N812
    device_of,
    get_backend,
)
from ..backend.dtypes import (
    as_dtype,
    dtype as DType,  # noqa: N812
    get_default_dtype,
)
from ..ops import empty


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module it is assigned to.

    It shares the memory of data and is a leaf, whatever the history of data.

    Args:
        data: its value; nothing gives an empty one.
        requires_grad: whether it is to be learnt.

    Raises:
        TypeError: if data is no tensor.
        RuntimeError: if a gradient is wanted of integers.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.Parameter(tinycnn.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, got {type(data).__name__}")
        wrap(data.array[...], data.backend, self)
        if requires_grad:
            self.requires_grad_()


class _Uninitialized(Tensor if TYPE_CHECKING else object):  # type: ignore[misc]
    """What a parameter and a buffer of unknown size share: a device and a dtype, but no array.

    The slot `array` is left empty. Reading it, and so every operation, ends in `__getattr__`, which says what to do.
    """

    def _start(self, device: str | Device | None, dtype: Any) -> None:
        wrap(None, get_backend(device), self)
        del self.array
        self.__dict__["_kind"] = get_default_dtype() if dtype is None else as_dtype(dtype)

    def _too_early(self) -> ValueError:
        return ValueError(
            f"this {type(self).__name__} belongs to a lazy layer and has no shape or value yet; call the model once "
            "with a batch of its input, and the layer will infer its size"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name == "array":
            raise self._too_early()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def dtype(self) -> DType:
        """The type its elements will have."""
        return self.__dict__["_kind"]

    @property
    def device(self) -> Device:
        """Where it will live."""
        return device_of(self.backend)

    @property
    def data(self) -> Tensor:
        """A tensor of no elements, as PyTorch gives: what is drawn into it is drawn for none."""
        return empty(0, device=self.device, dtype=self.dtype)

    @data.setter
    def data(self, value: Tensor) -> None:
        raise self._too_early()

    def is_floating_point(self) -> bool:
        """Whether its elements will be floating numbers."""
        return self.dtype.is_floating_point

    def to(self, where: Any) -> Any:
        """Change the device or the dtype it will have; returns itself."""
        if isinstance(where, (str, Device)):
            self.backend = get_backend(where)
        else:
            self.__dict__["_kind"] = as_dtype(where)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        out = type(self)(device=self.device, dtype=self.dtype)
        out.requires_grad = self.requires_grad
        memo[id(self)] = out
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_again, (type(self), str(self.device), self.dtype, self.requires_grad)


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter of a lazy layer before the first call: all that is known is its device and its dtype.

    Every use of its value raises a ValueError that says so, but for `data`, which has no elements.
    """

    def __init__(self, requires_grad: bool = True, device: str | Device | None = None, dtype: Any = None) -> None:
        self._start(device, dtype)
        self.requires_grad = requires_grad

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether a gradient will be wanted; returns the parameter."""
        self.requires_grad = requires_grad
        return self

    def materialize(self, shape: tuple[int, ...]) -> Parameter:
        """Become a Parameter of this shape, with arbitrary values; it stays the same object."""
        self.array = empty(*shape, device=self.device, dtype=self.dtype).array
        del self.__dict__["_kind"]
        self.__class__ = Parameter  # type: ignore[assignment]
        return self


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer of a lazy layer before the first call."""

    def __init__(self, device: str | Device | None = None, dtype: Any = None) -> None:
        self._start(device, dtype)

    def materialize(self, shape: tuple[int, ...]) -> Tensor:
        """A tensor of this shape, with arbitrary values, to take its place."""
        return empty(*shape, device=self.device, dtype=self.dtype)


def is_uninitialized(tensor: Any) -> bool:
    """Whether tensor is a parameter or buffer of a lazy layer that has not been called yet."""
    return isinstance(tensor, _Uninitialized)


def _make_again(kind: type[Any], device: str, dtype: Any, requires_grad: bool) -> Any:
    out = kind(device=device, dtype=dtype)
    out.requires_grad = requires_grad
    return out
