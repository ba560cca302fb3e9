"""ONNX's operations element by element, by ours."""

from __future__ import annotations

from collections.abc import Callable

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import Tensor


def variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def over(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return over


def div(a: Tensor, b: Tensor) -> Tensor:
    """Of whole numbers towards zero."""
    return a / b if a.is_floating_point() else tinycnn.div(a, b, rounding_mode="trunc")


def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """With the sign of b, as ours; fmod, which is PyTorch's too and not ours, takes that of a."""
    return a - b * tinycnn.trunc(a / b).to(a.dtype) if fmod else a % b


def power(a: Tensor, b: Tensor) -> Tensor:
    return (a**b).to(a.dtype)


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clone() if low is None and high is None else tinycnn.clamp(x, low, high)


def is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    found = tinycnn.isinf(x)
    found = found if detect_negative else found & (x > 0)
    return found if detect_positive else found & (x < 0)


def softsign(x: Tensor) -> Tensor:
    return x / (1 + x.abs())


def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.silu(alpha * x) / alpha


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return tinycnn.where(condition, a, b)
