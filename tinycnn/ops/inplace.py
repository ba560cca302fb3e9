"""Writing in place: add_, copy_, x += y, and filling with random numbers.

Where gradients are recorded, `x.add_(y)` computes `add(old x, y)` out of place and gives the tensor x that value and
its history (`Tensor.assign_`, which also tells the base and the views of x). Where they are not, the array is written
at once, with no array made on the way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd import Tensor, is_grad_enabled, no_grad, wrap
from ..backend.dtypes import FLOATING
from ..backend.generator import random_source
from .arithmetic import times
from .broadcast import check_broadcast, holds, result_type, scalar_of
from .convert import finfo, iinfo
from .creation import random_array
from .indexing import check_fits, value_for
from .registry import add_method

__all__: list[str] = []  # all of it becomes methods


def _recorded(x: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether writing to x from args is recorded."""
    if not is_grad_enabled():
        return False
    x.bring_up_to_date()
    return x.requires_grad or any(isinstance(a, Tensor) and a.requires_grad for a in args)


def _fits(x: Tensor, value: Any) -> bool:
    """Whether an operation on x and value has x's dtype and shape, and value lies in memory of its own."""
    if not isinstance(value, Tensor):
        number = scalar_of(value)
        return number is not None and result_type(x, number) is x.dtype and holds(x.array.dtype, number)
    a, b = x.array, value.array
    if value is x:
        return True
    if value.backend is not x.backend or a.dtype != b.dtype or b.ndim > a.ndim:
        return False
    short = a.shape[a.ndim - b.ndim :]
    return all(n in (1, m) for m, n in zip(short, b.shape, strict=True)) and not x.backend.may_share_memory(a, b)


def in_place(name: str, function: str | None = None, kinds: str = "iufc") -> Callable[..., Tensor]:
    """The in-place form of the Tensor method called name.

    Args:
        function: the backend's function that computes the same and can write its result straight into x, for dtypes of
            these kinds.
    """

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.check_writable()
        if _recorded(self, (*args, *kwargs.values())):
            old = self.snapshot()
            return self.assign_(getattr(old, name)(*(old if a is self else a for a in args), **kwargs))
        if function and not kwargs and self.array.dtype.kind in kinds and all(_fits(self, a) for a in args):
            arrays = [a.array if isinstance(a, Tensor) else scalar_of(a) for a in args]
            write = functools.partial(getattr(self.backend, function), out=self.array)
            self.backend.quietly(write, self.array, *arrays)
            self._version[0] += 1
            return self
        with no_grad():
            return self.assign_(getattr(self, name)(*args, **kwargs))

    method.__doc__ = f"`{name}`, written into this tensor itself; returns the tensor."
    return method


_FLOATING = "fc"
_IN_PLACE: dict[str, tuple[str, ...]] = {  # the method it is the in-place form of, and how it is written at once
    "mul_": ("mul", "multiply"),
    "multiply_": ("mul", "multiply"),
    "__imul__": ("mul", "multiply"),
    "div_": ("div", "divide", _FLOATING),
    "divide_": ("div", "divide", _FLOATING),
    "__itruediv__": ("div", "divide", _FLOATING),
    "pow_": ("pow", "power", _FLOATING),
    "__ipow__": ("pow", "power", _FLOATING),
    "floor_divide_": ("floor_divide",),
    "__ifloordiv__": ("floor_divide",),
    "remainder_": ("remainder",),
    "__imod__": ("remainder",),
    "__iand__": ("__and__",),
    "__ior__": ("__or__",),
    "__ixor__": ("__xor__",),
    "neg_": ("neg", "negative"),
    "abs_": ("abs", "abs"),
    "exp_": ("exp", "exp", _FLOATING),
    "log_": ("log", "log", _FLOATING),
    "sqrt_": ("sqrt", "sqrt", _FLOATING),
    "rsqrt_": ("rsqrt",),
    "reciprocal_": ("reciprocal",),
    "square_": ("square", "square"),
    "sin_": ("sin", "sin", _FLOATING),
    "cos_": ("cos", "cos", _FLOATING),
    "tanh_": ("tanh", "tanh", _FLOATING),
    "sigmoid_": ("sigmoid",),
    "relu_": ("relu",),
    "floor_": ("floor", "floor", _FLOATING),
    "ceil_": ("ceil", "ceil", _FLOATING),
    "round_": ("round",),
    "trunc_": ("trunc", "trunc", _FLOATING),
    "clamp_": ("clamp",),
    "clip_": ("clamp",),
    "lerp_": ("lerp",),
    "masked_fill_": ("masked_fill",),
    "index_add_": ("index_add",),
    "index_put_": ("index_put",),
    "scatter_": ("scatter",),
    "scatter_add_": ("scatter_add",),
    "tril_": ("tril",),
    "triu_": ("triu",),
}
for _name, _how in _IN_PLACE.items():
    add_method(_name, in_place(*_how))


def _with_alpha(write: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
        return write(self, times(name, self, other, alpha))

    method.__doc__ = f"`{name}`, written into this tensor itself; returns the tensor."
    return method


_add, _sub = (_with_alpha(in_place(*how), how[0]) for how in (("add", "add"), ("sub", "subtract")))
for _name, _method in {"add_": _add, "__iadd__": _add, "sub_": _sub, "subtract_": _sub, "__isub__": _sub}.items():
    add_method(_name, _method)


# ---- new contents ----------------------------------------------------------------------------------------------------


def _copy(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Take on the values of src, which broadcasts and may have another dtype or be on another device.

    Raises:
        ValueError: if src does not broadcast to this shape.
        RuntimeError: if this is a leaf that requires a gradient and operations are recorded.
    """
    self.check_writable()
    recorded = _recorded(self, (src,))
    if recorded or not isinstance(src, Tensor) or src.backend is not self.backend:
        src = value_for(self, src)
    shape = self.array.shape
    check_fits("copy_", src.array.shape, shape)
    if src.array is not self.array and self.backend.may_share_memory(src.array, self.array):
        src = src.clone()
    if recorded:
        return self.assign_(src if src.array.shape == shape else src.expand(shape))
    self.array[...] = src.array
    self._version[0] += 1
    return self


def _fill(self: Tensor, value: Any) -> Tensor:
    """Set all elements to value, a number or a tensor of no dimensions.

    Raises:
        TypeError: if value is neither.
        RuntimeError: if this is a leaf that requires a gradient and operations are recorded.
    """
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise TypeError(f"fill_: value must be a number or have no dimensions, got shape {value.array.shape}")
        return _copy(self, value)
    number = scalar_of(value)
    if number is None:
        raise TypeError(f"fill_: value must be a number, got {type(value).__name__}")
    self.check_writable()
    if _recorded(self, ()):
        return self.assign_(wrap(self.backend.full_like(self.array, number), self.backend))
    self.array[...] = number
    self._version[0] += 1
    return self


def _zero(self: Tensor) -> Tensor:
    """Set all elements to 0."""
    return _fill(self, 0)


def _floating_only(name: str, x: Tensor) -> None:
    if x.array.dtype.char not in FLOATING:
        raise TypeError(f"{name}: only floating tensors can be filled so, this one is {x.dtype!r}")


def _uniform(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with random numbers, uniform on [from_, to).

    Raises:
        TypeError: if the tensor is not floating.
        ValueError: if from_ is greater than to.
    """
    _floating_only("uniform_", self)
    if from_ > to:
        raise ValueError(f"uniform_: expected bounds in order, got [{from_}, {to})")
    values = self.backend.widened(random_array("uniform", self.backend, self.array.shape, self.dtype, generator))
    return _copy(self, wrap(values * (to - from_) + from_, self.backend))


def _normal(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal random numbers of that mean and standard deviation.

    Raises:
        TypeError: if the tensor is not floating.
        ValueError: if std is negative.
    """
    _floating_only("normal_", self)
    if std < 0:
        raise ValueError(f"normal_: std must not be negative, got {std}")
    values = self.backend.widened(random_array("normal", self.backend, self.array.shape, self.dtype, generator))
    return _copy(self, wrap(values * std + mean, self.backend))


def _bernoulli(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1, with probability p (a number, or a tensor that broadcasts), and 0.

    Raises:
        ValueError: if a probability is outside [0, 1].
    """
    chance = p.array if isinstance(p, Tensor) else p
    if not (p >= 0).all() or not (p <= 1).all() if isinstance(p, Tensor) else not 0 <= p <= 1:
        raise ValueError("bernoulli_: probabilities must lie in [0, 1]")
    if isinstance(p, Tensor):
        check_broadcast("bernoulli_", self.array.shape, p.array.shape)
    drawn = random_source(self.backend, generator).uniform(self.array.shape, "float64")
    return _copy(self, wrap(drawn < chance, self.backend))


def _random(self: Tensor, *bounds: int, to: int | None = None, generator: Any = None) -> Tensor:
    """Fill with random integers: random_() up to what the dtype holds exactly, random_(to), random_(from, to), to
    excluded.

    Raises:
        ValueError: if the range is empty.
    """
    bounds = bounds if to is None else (*bounds, to)
    kind = self.dtype
    if kind.is_floating_point:
        most = round(2 / finfo(kind).eps) + 1
    else:
        most = 2 if kind.name == "bool" else min(iinfo(kind).max + 1, 2**63 - 1)
    low, high = (0, most) if not bounds else (0, *bounds) if len(bounds) == 1 else bounds
    if low >= high:
        raise ValueError(f"random_: from={low} must be less than to={high}")
    drawn = random_source(self.backend, generator).integers(low, high, self.array.shape)
    return _copy(self, wrap(drawn, self.backend))


_filling: dict[str, Callable[..., Tensor]] = {
    "copy_": _copy,
    "fill_": _fill,
    "zero_": _zero,
    "uniform_": _uniform,
    "normal_": _normal,
    "bernoulli_": _bernoulli,
    "random_": _random,
}
for _name, _method in _filling.items():
    add_method(_name, _method)
