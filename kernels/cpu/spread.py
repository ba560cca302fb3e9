"""The gradient of the input at stride 1 where it has few channels: a pixel of g gives to all of its window at once.

    gx[p + r - top, q + s - left, c]  +=  sum over k of  g[p, q, k] * w[k, c, r, s]

A walk over the image (`direct.py`) makes a pixel's few channels at a time, and most lanes of a vector stay idle. But
what a pixel of g gives to one row of gx is a run of S * C numbers, and the pixel S places further right gives the next
run. So the micro-kernel takes every S-th pixel of a few rows of g, multiplies, and adds to the runs where they lie, in
R * S turns; in none of them two runs overlap. From 16 channels to 6 with a kernel of 5 x 5, as in LeNet, 30 of 32 lanes
are at work, and it takes a third of the multiplications.

A job does an image: g gets so many pixels of zeros that all turns are alike, and gx is added up with its padding. Both
stay in the cache. The weights lie as (r, panel, k, 2 lanes), lanes counting s * C + c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import Array, get_num_threads
from ._jobs import address, clear, copy, fields, jobs
from ._plan import Layout, Place, Plan, planned
from ._simd import FLOAT_BYTES, Chip, call
from ._tile import tile
from .layout import Pair, scratch_floats
from .winograd import Shape, share


class _Image(NamedTuple):
    """Steps and sizes are in bytes."""

    g: int  # (N, P, Q, K)
    rows: int
    row: int  # Q * K numbers
    pixel: int  # K numbers
    channels: int  # K
    g_line: int  # of the copy of g
    g_size: int
    x: int  # (N, H, W, C)
    height: int
    x_row: int  # W * C numbers
    x_pixel: int
    x_line: int  # of gx with its padding
    x_size: int
    first: int  # where gx begins there,
    x_rows: int  # how many of its rows there are,
    inside: int  # and how much of a row
    kernel_rows: int
    kernel_columns: int
    down: int  # blocks of rows
    lines: int  # rows of a block
    across: int  # blocks of pixels of a row
    together: int  # pixels of a block, kernel_columns apart
    weights: int
    panels: int
    panel: int
    lanes: int
    whole: int  # the micro-kernels
    last: int
    last_lanes: int
    work: int
    work_step: int


@jobs
def _spread(job: int, thread: int, at: int) -> None:
    f = fields(at, _Image)
    g = f.work + thread * f.work_step
    x = g + f.g_size
    for p in range(f.rows):
        copy(g + p * f.g_line, f.g + (job * f.rows + p) * f.row, f.row)
        clear(g + p * f.g_line + f.row, f.g_line - f.row)
    clear(g + f.rows * f.g_line, f.g_size - f.rows * f.g_line)
    clear(x, f.x_size)
    for r in range(f.kernel_rows):
        for p in range(0, f.down * f.lines, f.lines):
            for block in range(f.across):
                for turn in range(f.kernel_columns):
                    q = block * f.together * f.kernel_columns + turn
                    source, target = g + p * f.g_line + q * f.pixel, x + (p + r) * f.x_line + q * f.x_pixel
                    for panel in range(f.panels):
                        weights = f.weights + (r * f.panels + panel) * f.panel
                        to = target + panel * 2 * f.lanes * FLOAT_BYTES
                        call(
                            f.last if panel == f.panels - 1 else f.whole,
                            (
                                source, f.kernel_columns * f.pixel, 0, weights, 0, 0, to,
                                f.kernel_columns * f.x_pixel, f.channels, 1, f.last_lanes, f.g_line, f.x_line, 0,
                            ),
                        )  # fmt: skip
    for h in range(f.height):
        to = f.x + (job * f.height + h) * f.x_row
        inside = f.inside if h < f.x_rows else 0
        copy(to, x + f.first + h * f.x_line, inside)
        clear(to + inside, f.x_row - inside)


def suits(chip: Chip, channels: int, kernel_size: Pair, stride: Pair) -> bool:
    """Whether this is faster than a walk over the image; `channels` are the input's."""
    return stride == (1, 1) and kernel_size != (1, 1) and 2 * channels <= chip.lanes


_G, _WEIGHTS, _X, _WORK = 1, 2, 3, 4  # the arrays of a plan


@planned
def _plan(
    chip: Chip, w_shape: Shape, g_shape: Shape, x_shape: Shape, origin: Pair, threads: int
) -> tuple[Plan, int, tuple[int, int]]:
    """And the floats of memory to work in, and into how many panels of how many numbers weights of a row r go."""
    k, c, r, s = w_shape
    _, p, q, _ = g_shape
    _, height, width, _ = x_shape
    wanted = -(-q // s)
    together = share(wanted, chip.rows)
    across = -(-wanted // together)
    lines = share(p, max(1, chip.rows // together))
    down = -(-p // lines)
    pixel, x_pixel = k * FLOAT_BYTES, c * FLOAT_BYTES
    g_line, x_line = across * together * s * pixel, (across * together * s + s - 1) * x_pixel
    double = 2 * chip.lanes
    panels = -(-s * c // double)
    rest = s * c - (panels - 1) * double
    g_size = -(-down * lines * g_line // 64) * 64
    x_size = -(-((down * lines + r - 1) * x_line + double * FLOAT_BYTES) // 64) * 64
    top, left = origin
    memory = Layout(_WORK, threads * (g_size + x_size))
    (work,) = memory.places
    image = _Image(
        Place(_G), p, q * pixel, pixel, k, g_line, g_size, Place(_X), height, width * x_pixel, x_pixel, x_line, x_size,
        top * x_line + left * x_pixel, max(0, p + r - 1 - top), max(0, min(width, q + s - 1 - left)) * x_pixel, r, s,
        down, lines, across, together, Place(_WEIGHTS), panels, k * double * FLOAT_BYTES, chip.lanes,
        tile(chip, lines * together, 2, "rows", lines=lines, onto=True),
        tile(chip, lines * together, -(-rest // chip.lanes), "rows", rest % chip.lanes != 0, lines, onto=True),
        (rest - 1) % chip.lanes + 1, work, g_size + x_size,
    )  # fmt: skip
    return Plan(image), memory.floats, (panels, double)


def input_grad(chip: Chip, g: Array, w: Array, x: Array, origin: Pair) -> None:
    """g (N, P, Q, K), w (K, C, R, S) -> x (N, H, W, C)."""
    k, c, r, s = w.shape
    plan, floats, (panels, double) = _plan(chip, w.shape, g.shape, x.shape, origin, get_num_threads())
    _, work = scratch_floats(floats)
    lines = np.zeros((r, k, panels * double), w.dtype)
    lines[:, :, : s * c] = w.transpose(2, 0, 3, 1).reshape(r, k, s * c)
    weights = np.ascontiguousarray(lines.reshape(r, k, panels, double).transpose(0, 2, 1, 3))
    _spread(g.shape[0], plan.at(address(g), address(weights), address(x), work))


__all__ = ["input_grad", "suits"]
