"""Sizes, strides and paddings of windows that slide over an image: read, checked, and turned into plain integers."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend.dtypes import INEXACT, from_numpy_dtype

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def pairs(op: str, *given: tuple[str, Any, int]) -> list[Pair]:
    """`pair` of each (name, value, least)."""
    found = []
    for name, value, least in given:
        if type(value) is int and value >= least:
            found.append((value, value))
        elif type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
            found.append(value if value[0] >= least <= value[1] else pair(op, name, value, least))
        else:
            found.append(pair(op, name, value, least))
    return found


def pair(op: str, name: str, value: Any, least: int) -> Pair:
    """value as (vertical, horizontal): one integer for both, or two.

    Raises:
        TypeError: if it is no integer and no pair of them.
        ValueError: if one is below `least`.
    """
    both = (value, value) if _is_int(value) else tuple(value) if isinstance(value, (tuple, list)) else None
    if both is not None and len(both) == 1:
        both = both * 2
    if both is None or len(both) != 2 or not all(_is_int(n) for n in both):
        raise TypeError(f"{op}: {name} must be an integer or a pair of integers, got {value!r}")
    if min(both) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def as_batch(op: str, x: Any) -> tuple[Tensor, bool]:
    """x as (N, C, H, W), and whether it came without the batch dimension.

    Raises:
        TypeError: if x is no tensor.
        ValueError: if it has neither three nor four dimensions.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: input must be a Tensor, got {type(x).__name__}")
    if x.array.ndim == 3:
        return x.unsqueeze(0), True
    if x.array.ndim != 4:
        raise ValueError(f"{op}: input must be (N, C, H, W) or (C, H, W), got shape {x.array.shape}")
    return x, False


def check_floating(op: str, **tensors: Tensor | None) -> None:
    """Raise a TypeError unless all tensors hold floating numbers of one dtype."""
    first, kind = "", None
    for name, x in tensors.items():
        if x is None:
            continue
        if not isinstance(x, Tensor):
            raise TypeError(f"{op}: {name} must be a Tensor, got {type(x).__name__}")
        if x.array.dtype is kind:
            continue
        if x.array.dtype.char not in INEXACT:
            raise TypeError(f"{op}: {name} must be floating, got {x.dtype!r}; convert it with .float()")
        if kind is None:
            first, kind = name, x.array.dtype
        elif x.array.dtype != kind:
            wanted = from_numpy_dtype(kind)
            raise TypeError(f"{op}: {first} is {wanted!r} but {name} is {x.dtype!r}; convert one of them")


def check_count(op: str, **numbers: Any) -> None:
    """Raise a TypeError unless all numbers, of channels, say, are integers, and a ValueError if one is negative."""
    for name, value in numbers.items():
        if not _is_int(value):
            raise TypeError(f"{op}: {name} must be an integer, got {value!r}")
        if value < 0:
            raise ValueError(f"{op}: {name} must not be negative, got {value}")


def check_probability(op: str, p: Any) -> None:
    """Raise unless p is a number between 0 and 1."""
    if not isinstance(p, int | float):
        raise TypeError(f"{op}: p must be a number, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: p must be a probability between 0 and 1, got {p!r}")


def check_flag(op: str, name: str, value: Any) -> None:
    """Raise a TypeError unless value is True or False: a word would count as True, whatever it says."""
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be True or False, got {value!r}")


def window_count(size: int, kernel: int, stride: int, pads: int, dilation: int = 1) -> int:
    """How many windows fit: floor((size + pads - dilation * (kernel - 1) - 1) / stride) + 1."""
    return (size + pads - dilation * (kernel - 1) - 1) // stride + 1


def pool_size(op: str, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Pair:
    """The output size (P, Q) of a pooling.

    With ceil_mode a last, partial window counts too, if it starts inside the image or its left padding.

    Raises:
        ValueError: if padding is over half the kernel, no window fits, or the image has no pixels.
    """
    if 0 in size:
        raise ValueError(f"{op}: an image of {size[0]} x {size[1]} has no pixels")
    counts = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if 2 * p > k:
            raise ValueError(
                f"{op}: padding must be at most half of kernel_size, got padding {padding}, kernel {kernel}"
            )
        free = n + 2 * p - d * (k - 1) - 1
        count = (-(-free // s) if ceil_mode else free // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    if min(counts) < 1:
        raise ValueError(
            f"{op}: an image of {size[0]} x {size[1]} with padding {padding} is smaller than the window: kernel_size "
            f"{kernel}, dilation {dilation}"
        )
    return counts[0], counts[1]
