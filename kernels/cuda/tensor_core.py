"""Implicit GEMM on tensor cores: tiles, grids and shared memory for `tensor_core.cu`."""

from __future__ import annotations

from typing import NamedTuple

from .conv_choice import vector
from .conv_geometry import Geometry, channels_last, kernels_backward, kernels_forward
from .implicit_gemm import FILL, cut, new_parts, sum_parts, tiles
from .layout import CHANNELS_LAST, empty, new_image, widened
from .loader import Array, Kernel

_TYPES = ("float32", "float16", "bfloat16")


class Tile(NamedTuple):
    """A block's tile, each warp's part of it, and how many stages its pipeline has."""

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    stages: int

    @property
    def threads(self) -> int:
        return 32 * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)


LARGE, TALL, SMALL = Tile(128, 128, 64, 64, 4), Tile(128, 64, 64, 32, 4), Tile(64, 64, 32, 32, 4)
_TILES = [tuple(tile) for tile in (LARGE, TALL, SMALL)]

_correlate = Kernel("tensor_core", "tensor_core_correlate", types=_TYPES, only=_TILES)
_weight_grad = Kernel("tensor_core", "tensor_core_weight_grad", types=_TYPES, only=_TILES)


def _tile(rows: int, columns: int, blocks: int) -> Tile:
    """The largest tile that is not mostly empty and leaves enough of them, `blocks`, to fill the chip."""
    if min(rows, columns) > 64 and tiles(rows, columns, LARGE) >= blocks:
        return LARGE
    return TALL if rows > 64 and tiles(rows, columns, TALL) >= blocks else SMALL


def _window_bytes(tile: Tile) -> int:
    return tile.stages * (tile.rows + tile.columns) * 80  # rows of 16 words, and 4 that keep the banks apart


def _pixel_bytes(tile: Tile, itemsize: int) -> int:
    return tile.stages * (64 // itemsize) * (tile.rows + tile.columns + 16) * itemsize


def _filled_up(x: Array, channels: int) -> Array:
    """(N, C, H, W) with channels of zeros added."""
    n, c, h, w = x.shape
    wider = empty((n, channels, h, w), x.dtype, CHANNELS_LAST)
    wider[:, :c] = x
    wider[:, c:] = 0
    return wider


def _whole_vectors(x: Array, of: Geometry) -> tuple[Array, Geometry]:
    """x with as many channels as whole vectors have, and its geometry."""
    size = vector(x.dtype)
    channels = -(-of.c // size) * size
    return (x, of) if of.channels % size == 0 else (_filled_up(x, channels), of._replace(c=channels))


def forward(x: Array, w: Array, bias: Array | None, of: Geometry) -> Array:
    """(N, C, H, W) * (K, C/G, R, S) + (K,) -> (N, K, P, Q)."""
    x, of = _whole_vectors(x, of)
    w = w if w.shape[1] == of.channels else _filled_up(w, of.channels)
    y = new_image((of.n, of.k, of.p, of.q), x.dtype, True)
    tile = _tile(of.pixels, of.filters, FILL)
    grid = (tiles(of.pixels, of.filters, tile), 1, of.groups)
    arrays = channels_last(x), kernels_forward(w), widened(bias, x.dtype), y
    which = (x.dtype, *tile)
    _correlate.launch(which, grid, (tile.threads,), *arrays, False, of.argument, shared=_window_bytes(tile))
    return y


def input_grad(g: Array, w: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W)."""
    gx = new_image((of.n, of.c, of.h, of.w), g.dtype, True)
    tile = _tile(of.class_pixels, of.channels, FILL)
    grid = (tiles(of.class_pixels, of.channels, tile), 1, of.groups * of.classes)
    arrays = channels_last(g), kernels_backward(w, of.groups), None, gx
    which = (g.dtype, *tile)
    _correlate.launch(which, grid, (tile.threads,), *arrays, True, of.argument, shared=_window_bytes(tile))
    return gx


def weight_grad(g: Array, x: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S)."""
    channels = of.channels
    x, of = _whole_vectors(x, of)
    tile = _tile(of.filters, of.length, 1)
    across = tiles(of.filters, of.length, tile)
    count, chunk = cut(of.pixels, across * of.groups)
    parts = new_parts(count, of, g.dtype)
    arrays = channels_last(g), channels_last(x), parts
    which, shared = (g.dtype, *tile), _pixel_bytes(tile, g.dtype.itemsize)
    _weight_grad.launch(which, (across, count, of.groups), (tile.threads,), *arrays, chunk, of.argument, shared=shared)
    gw = sum_parts(parts, of, g.dtype)
    return gw if channels == of.channels else gw[:, :channels].copy(order="C")
