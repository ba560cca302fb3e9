"""Implicit GEMM on the plain arithmetic units: tiles and grids for `implicit_gemm.cu`."""

from __future__ import annotations

from typing import Any, NamedTuple

from .conv_geometry import Geometry, channels_last, kernels_backward, kernels_forward
from .layout import blocks_for, new_image, wide, widened
from .loader import Array, Kernel, driver

FILL = 264  # blocks that keep a large GPU busy: two for each of an H200's 132 multiprocessors
_SHORTEST = 128  # pixels that a part of the kernels' gradient sums up at least


class Tile(NamedTuple):
    """A block's tile, rows x columns x depth, and each thread's sums in it."""

    rows: int
    columns: int
    depth: int
    sums_down: int
    sums_across: int

    @property
    def threads(self) -> int:
        return self.rows // self.sums_down * (self.columns // self.sums_across)


LARGE, SMALL = Tile(128, 64, 8, 8, 4), Tile(64, 64, 16, 4, 4)
_FEW_COLUMNS, _FEW_ROWS = Tile(128, 16, 16, 4, 4), Tile(16, 128, 16, 4, 4)  # for a handful of filters

_correlate = Kernel("implicit_gemm", "implicit_gemm_correlate", only=[tuple(t) for t in (LARGE, SMALL, _FEW_COLUMNS)])
_weight_grad = Kernel("implicit_gemm", "implicit_gemm_weight_grad", only=[tuple(t) for t in (LARGE, SMALL, _FEW_ROWS)])
_sum_parts = Kernel("implicit_gemm", "implicit_gemm_sum_parts")


def tiles(rows: int, columns: int, tile: Any) -> int:
    """How many tiles cover so many rows and columns."""
    return -(-rows // tile.rows) * -(-columns // tile.columns)


def correlate_tile(pixels: int, filters: int) -> Tile:
    """For many pixels and `filters` filters: a large tile if enough of them remain to fill the chip."""
    if filters <= 16:
        return _FEW_COLUMNS
    return LARGE if tiles(pixels, filters, LARGE) >= FILL else SMALL


def weight_tile(filters: int, length: int) -> Tile:
    if filters <= 16:
        return _FEW_ROWS
    return LARGE if filters >= 128 else SMALL


def forward(x: Array, w: Array, bias: Array | None, of: Geometry) -> Array:
    """(N, C, H, W) * (K, C/G, R, S) + (K,) -> (N, K, P, Q)."""
    y = new_image((of.n, of.k, of.p, of.q), x.dtype, True)
    tile = correlate_tile(of.pixels, of.filters)
    grid = (tiles(of.pixels, of.filters, tile), 1, of.groups)
    arrays = channels_last(x), kernels_forward(w), widened(bias, x.dtype), y
    _correlate.launch((x.dtype, *tile), grid, (tile.threads,), *arrays, False, of.argument)
    return y


def input_grad(g: Array, w: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (K, C/G, R, S) -> (N, C, H, W)."""
    gx = new_image((of.n, of.c, of.h, of.w), g.dtype, True)
    tile = correlate_tile(of.class_pixels, of.channels)
    grid = (tiles(of.class_pixels, of.channels, tile), 1, of.groups * of.classes)
    arrays = channels_last(g), kernels_backward(w, of.groups), None, gx
    _correlate.launch((g.dtype, *tile), grid, (tile.threads,), *arrays, True, of.argument)
    return gx


def weight_grad(g: Array, x: Array, of: Geometry) -> Array:
    """(N, K, P, Q) * (N, C, H, W) -> (K, C/G, R, S)."""
    tile = weight_tile(of.filters, of.length)
    across = tiles(of.filters, of.length, tile)
    count, chunk = cut(of.pixels, across * of.groups)
    parts = new_parts(count, of, g.dtype)
    arrays = channels_last(g), channels_last(x), parts
    _weight_grad.launch((g.dtype, *tile), (across, count, of.groups), (tile.threads,), *arrays, chunk, of.argument)
    return sum_parts(parts, of, g.dtype)


def cut(pixels: int, blocks: int) -> tuple[int, int]:
    """Cut the sum over all pixels so that `blocks` blocks a part fill the chip twice: how many parts, of how many.

    It depends on the geometry alone, not on the chip: the parts are added in order, and the same sums give the same
    bits everywhere.
    """
    wanted = max(1, min(2 * FILL // blocks, pixels // _SHORTEST))
    chunk = -(-pixels // (32 * wanted)) * 32
    return -(-pixels // chunk), chunk


def new_parts(count: int, of: Geometry, dtype: Any) -> Array:
    """(parts, K, R*S*C/G), in the dtype that sums are made in."""
    return driver().xp.empty((count, of.k, of.length), wide(dtype))


def sum_parts(parts: Array, of: Geometry, dtype: Any) -> Array:
    """(parts, K, R*S*C/G) -> (K, C/G, R, S)."""
    gw = driver().xp.empty((of.k, of.channels, of.r, of.s), dtype)
    sizes = of.k, of.r * of.s, of.channels
    _sum_parts.launch(dtype, (blocks_for(gw.size, most=1 << 22),), (256,), parts, gw, parts.shape[0], *sizes)
    return gw
