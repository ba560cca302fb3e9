"""Memory formats: in which order the elements of an array lie in memory. Shapes and indices do not depend on it."""

from __future__ import annotations

from typing import Any

from .base import Array


class memory_format:  # noqa: N801 - PyTorch's name
    """An order of elements in memory: `tinycnn.contiguous_format`, `channels_last` or `preserve_format`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"tinycnn.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # the one object of that name in this module


contiguous_format = memory_format("contiguous_format")  # (N, C, H, W) lies as its indices count
channels_last = memory_format("channels_last")  # (N, C, H, W) lies as (N, H, W, C) would
preserve_format = memory_format("preserve_format")  # as the input lies


def _check(array: Array, order: Any) -> None:
    if order not in (contiguous_format, channels_last, preserve_format):
        raise TypeError(
            f"memory_format: expected tinycnn.contiguous_format, channels_last or preserve_format, got {order!r}"
        )
    if order is channels_last and array.ndim != 4:
        raise RuntimeError(f"memory_format: channels_last needs (N, C, H, W), got a tensor of shape {array.shape}")


def lies_as(array: Array, order: memory_format) -> bool:
    """Whether the array's elements lie in that order.

    Raises:
        TypeError: if order is no memory format.
        RuntimeError: if it is channels_last and the array does not have 4 dimensions.
    """
    _check(array, order)
    if order is channels_last:
        return bool(array.transpose(0, 2, 3, 1).flags.c_contiguous)
    return order is preserve_format or bool(array.flags.c_contiguous)


def copy_as(array: Array, order: memory_format) -> Array:
    """A copy whose elements lie in that order; it raises as `lies_as` does."""
    _check(array, order)
    if order is channels_last:
        return array.transpose(0, 2, 3, 1).copy(order="C").transpose(0, 3, 1, 2)
    return array.copy(order="K" if order is preserve_format else "C")
