"""The geometry of a convolution, as its kernels get it (`conv_geometry.cuh`), and the layouts of images and kernels."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .layout import CHANNELS_LAST, in_order
from .loader import Array, driver

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # ((top, bottom), (left, right))


class Geometry(NamedTuple):
    """Letters as in `kernels/reference`; padding is that above and at the left, the rest follows from the sizes."""

    n: int
    c: int
    h: int
    w: int
    k: int
    p: int
    q: int
    r: int
    s: int
    stride_h: int
    stride_w: int
    padding_h: int
    padding_w: int
    dilation_h: int
    dilation_w: int
    groups: int

    @property
    def argument(self) -> Any:
        """The structure of the same name in CUDA."""
        return _structure(self)

    @property
    def channels(self) -> int:
        """Of one group: how many numbers of a pixel a filter sees."""
        return self.c // self.groups

    @property
    def filters(self) -> int:
        """Of one group."""
        return self.k // self.groups

    @property
    def pixels(self) -> int:
        """Of the result."""
        return self.n * self.p * self.q

    @property
    def length(self) -> int:
        """How many products one number of the result sums up."""
        return self.r * self.s * self.channels

    @property
    def classes(self) -> int:
        """Of pixels of the image by their remainders, which the gradient of the input treats one after another."""
        return self.stride_h * self.stride_w

    @property
    def class_pixels(self) -> int:
        """Of the largest class."""
        return self.n * -(-self.h // self.stride_h) * -(-self.w // self.stride_w)

    @property
    def multiply_adds(self) -> int:
        return self.pixels * self.k * self.length


@functools.lru_cache(4096)
def _structure(of: Geometry) -> Any:
    return np.array([tuple(of)], [(name, np.int32) for name in of._fields])


def geometry(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    out_size: Pair | None,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
) -> Geometry:
    """The geometry of images x (N, C, H, W) and kernels w (K, C/G, R, S); without `out_size`, as many places as fit.

    Raises:
        ValueError: if there are more pixels than the kernels' 32-bit indices can count.
    """
    n, c, h, w = x_shape
    k, _, r, s = w_shape
    p, q = out_size or (
        (x_shape[2 + i] + sum(padding[i]) - dilation[i] * (w_shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    if max(n * h * w, n * p * q) >= 1 << 31:
        raise ValueError(
            f"convolution on CUDA: images of {tuple(x_shape)} give {n} x {p} x {q} places; "
            f"{n * h * w:,} and {n * p * q:,} pixels must be fewer than 2**31: use a smaller batch"
        )
    return Geometry(n, c, h, w, k, p, q, r, s, *stride, padding[0][0], padding[1][0], *dilation, groups)


def channels_last(x: Array) -> Array:
    """(N, C, H, W), or a copy of it, with its channels lying side by side and every vector of 16 bytes on its place."""
    x = in_order(x, CHANNELS_LAST)
    return x.copy(order="K") if driver().address(x) % 16 else x


def kernels_forward(w: Array) -> Array:
    """(K, C/G, R, S) -> (K, R, S, C/G): a filter's numbers in the order in which a window is read."""
    return driver().xp.ascontiguousarray(w.transpose(0, 2, 3, 1))


def kernels_backward(w: Array, groups: int) -> Array:
    """(K, C/G, R, S) -> (C, R, S, K/G): the same for the gradient of the input, whose windows hold filters."""
    k, c, r, s = w.shape
    split = w.reshape(groups, k // groups, c, r, s).transpose(0, 2, 3, 4, 1)
    return driver().xp.ascontiguousarray(split).reshape(groups * c, r, s, k // groups)
