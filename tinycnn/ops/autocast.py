"""Which operations `autocast` runs in which precision: PyTorch's tables for CUDA, here for every device.

`op` (registry.py) puts `choosing` around the functions named here, so that they obey also when another operation calls
them. Within a backward nothing is chosen: it runs in the precision of its forward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ..autograd import Tensor
from ..autograd.autocast import modes, remembered
from ..autograd.grad_mode import state
from ..backend.dtypes import dtype, float32, promote_types

_F = TypeVar("_F", bound=Callable[..., Any])

# Sums of products: fast in half precision, and accumulated in single.
LOWER = frozenset(
    "conv2d conv2d_relu conv2d_sigmoid conv_transpose2d linear linear_relu linear_sigmoid matmul mm bmm mv".split()
)

# Their results or their intermediate numbers have a range or a resolution that half precision lacks.
SINGLE = frozenset(
    """
    acos asin binary_cross_entropy_with_logits cosh cross_entropy cumsum exp expm1 group_norm l1_loss layer_norm log
    log10 log1p log2 log_softmax logsumexp mse_loss nll_loss norm pow prod reciprocal rsqrt sinh smooth_l1_loss softmax
    softplus sum tan
    """.split()
)

# Several tensors, none of which may lose digits.
WIDEST = frozenset("atan2 cat dot index_add index_put scatter_add stack".split())

# Moments in single precision, the result in that of the input.
NORMS = frozenset("batch_norm batch_norm_relu instance_norm".split())
_MIXED = frozenset("batch_norm batch_norm_relu".split())  # on a GPU their kernels do just that, in one pass

REFUSED = {
    "binary_cross_entropy": "its gradient overflows in half precision; use binary_cross_entropy_with_logits, or a "
    "block with autocast(..., enabled=False)"
}


def choosing(name: str, function: _F) -> _F:
    """The function, with its arguments cast as the tables say where autocast is on."""
    rule = (
        _lower if name in LOWER else _single if name in SINGLE else _widest if name in WIDEST
        else _norm if name in NORMS else _refused if name in REFUSED else None
    )  # fmt: skip
    if rule is None:
        return function

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not modes.dtypes or state.in_backward:
            return function(*args, **kwargs)
        lower = _lower_dtype(args, kwargs)
        return function(*args, **kwargs) if lower is None else rule(name, function, lower, args, kwargs)

    called.outside_autocast = function  # type: ignore[attr-defined]
    return called  # type: ignore[return-value]


def _lower_dtype(args: Any, kwargs: Any) -> dtype | None:
    """The dtype to choose for tensors where these are; None where autocast is off."""
    for x in (*args, *kwargs.values()):
        if isinstance(x, (list, tuple)) and x:
            x = x[0]
        if isinstance(x, Tensor):
            return modes.dtypes.get(x.backend.device_type)
    return None


def _mapped(value: Any, visit: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return visit(value) if value.array.dtype.char in "efE" else value
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        return type(value)(_mapped(v, visit) for v in value)
    return value


def _cast_all(to: dtype, args: Any, kwargs: Any) -> tuple[Any, Any]:
    from .broadcast import cast

    def visit(x: Tensor) -> Tensor:
        return x if x.array.dtype == to.numpy else remembered(x, to, cast)

    return tuple(_mapped(a, visit) for a in args), {k: _mapped(v, visit) for k, v in kwargs.items()}


def _lower(name: str, function: Any, lower: dtype, args: Any, kwargs: Any) -> Any:
    args, kwargs = _cast_all(lower, args, kwargs)
    return function(*args, **kwargs)


def _single(name: str, function: Any, lower: dtype, args: Any, kwargs: Any) -> Any:
    args, kwargs = _cast_all(float32, args, kwargs)
    return function(*args, **kwargs)


def _widest(name: str, function: Any, lower: dtype, args: Any, kwargs: Any) -> Any:
    kinds: list[dtype] = []

    def look(x: Tensor) -> Tensor:
        kinds.append(x.dtype)
        return x

    for value in (*args, *kwargs.values()):
        _mapped(value, look)
    if len(set(kinds)) > 1:
        args, kwargs = _cast_all(functools.reduce(promote_types, kinds), args, kwargs)
    return function(*args, **kwargs)


def _norm(name: str, function: Any, lower: dtype, args: Any, kwargs: Any) -> Any:
    x = args[0] if args else kwargs["input"]
    if name in _MIXED and x.is_cuda and _alike(x, kwargs.get("shortcut")):
        return function(*args, **kwargs)
    y = _single(name, function, lower, args, kwargs)
    return y.to(x.dtype) if x.dtype.itemsize == 2 else y


def _alike(x: Tensor, shortcut: Tensor | None) -> bool:
    return x.dtype.itemsize == 2 and (shortcut is None or shortcut.dtype is x.dtype)


def _refused(name: str, function: Any, lower: dtype, args: Any, kwargs: Any) -> Any:
    raise RuntimeError(f"{name}: not within autocast: {REFUSED[name]}")
