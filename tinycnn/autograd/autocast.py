"""Whether operations choose their precision themselves: the state behind `tinycnn.autocast`.

Which operations run in half precision and which in single is said by `ops/autocast.py`; here is only what a `with`
block sets, and a memory of the weights that were cast in it.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..backend.dtypes import as_dtype, bfloat16, dtype as DType, float16, float32  # noqa: N812

if TYPE_CHECKING:
    from .tensor import Tensor

_F = TypeVar("_F", bound=Callable[..., Any])
_DEFAULTS = {"cpu": bfloat16, "cuda": float16}  # of each kind of device


class _Modes(threading.local):
    """What holds in this thread."""

    def __init__(self) -> None:
        self.dtypes: dict[str, DType] = {}  # the kinds of device for which autocast is on, with its dtype
        self.cache: dict[int, tuple[weakref.ref[Tensor], int, Tensor]] | None = None
        self.depth = 0


modes = _Modes()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operations on a kind of device choose their precision now, in this thread."""
    return _kind(device_type) in modes.dtypes


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype of the operations that autocast runs in lower precision on a kind of device."""
    return modes.dtypes.get(_kind(device_type), _DEFAULTS[_kind(device_type)])


def _kind(device_type: Any) -> str:
    kind = getattr(device_type, "type", device_type)
    if kind not in _DEFAULTS:
        raise ValueError(f"autocast: device_type must be 'cpu' or 'cuda', got {device_type!r}")
    return str(kind)


class autocast:  # noqa: N801 - PyTorch's name
    """A `with` block, or a decorator, in which convolutions and matrix products run in half precision.

    The operations that need it run in float32: the losses, exponentials and logarithms, softmax, sums. All others take
    what they are given, so that a network's activations stay in half precision between its convolutions, at half the
    memory. The weights stay float32, and so do their gradients. Call backward outside the block. With float16, scale
    the loss with `GradScaler`: gradients are small, and float16 has nothing below 6e-8. bfloat16 has the range of
    float32, and fewer digits: nothing has to be scaled.

    Args:
        device_type: "cuda" or "cpu": where. On the CPU either is a way to store numbers, computed in float32.
        dtype: float16 or bfloat16; by default, as in PyTorch, bfloat16 on the CPU and float16 on a GPU.
        enabled: False for a block in which it is off.
        cache_enabled: cast each weight once in the block, not at each use.

    Raises:
        ValueError: if device_type is neither.
        TypeError: if dtype is another.

    P. Micikevicius et al., "Mixed Precision Training" (2018).

    Example:
        >>> import tinycnn
        >>> net, x = tinycnn.nn.Linear(3, 2), tinycnn.ones(1, 3)
        >>> with tinycnn.autocast("cpu"):
        ...     y = net(x)
        ...     y.dtype, y.softmax(1).dtype
        (tinycnn.bfloat16, tinycnn.float32)
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = _kind(device_type)
        self.fast_dtype = _DEFAULTS[self.device] if dtype is None else _half(dtype)
        self._enabled, self._caches = enabled, cache_enabled is not False
        self._before: list[tuple[dict[str, DType], Any]] = []

    def __enter__(self) -> autocast:
        self._before.append((modes.dtypes, modes.cache))
        others = {kind: d for kind, d in modes.dtypes.items() if kind != self.device}
        modes.dtypes = {**others, self.device: self.fast_dtype} if self._enabled else others
        if not self._caches:
            modes.cache = None
        elif modes.cache is None:
            modes.cache = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        modes.dtypes, modes.cache = self._before.pop()

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with autocast(self.device, self.fast_dtype, self._enabled, self._caches):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _half(dtype: Any) -> DType:
    kind = as_dtype(dtype)
    if kind not in (float16, bfloat16):
        raise TypeError(f"autocast: dtype must be tinycnn.float16 or tinycnn.bfloat16, got {dtype!r}")
    return kind


def remembered(x: Tensor, to: DType, cast: Callable[[Tensor, DType], Tensor]) -> Tensor:
    """cast(x, to); a weight that was cast before in the block is taken as it is, unless it was written since."""
    if modes.cache is None or not x.requires_grad or x._grad_fn is not None or x.dtype is not float32:
        return cast(x, to)
    found = modes.cache.get(id(x))
    if found is not None and found[0]() is x and found[1] == x._version[0] and found[2].dtype is to:
        return found[2]
    new = cast(x, to)
    if new.requires_grad:  # under no_grad it has no history, and would be no good later
        modes.cache[id(x)] = weakref.ref(x), x._version[0], new
    return new
