"""What operations on images should give, by loops that are too plain to be wrong: results, gradients, and how much
rounding they may carry.

Each oracle takes float64 arrays, the gradient g of its first result and the operation's keyword arguments. A
convolution is the six loops of `tinycnn.kernels.reference.loops`; the others walk their windows in the same manner, or
apply a definition to one row after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels.reference import loops

Array = Any
Pair = tuple[int, int]


class Expected(NamedTuple):
    """Results and gradients (one an argument), and for each of their elements the sum of its terms' absolute values.

    A sum of K rounded terms of size t is wrong by some eps * K * t at most, where random signs leave sqrt(K) * t of it:
    a relative error of sqrt(K) * eps. So eps times these sums is what rounding may do, element by element.
    """

    results: list[Array]
    gradients: list[Array | None]
    result_sizes: list[Array]
    gradient_sizes: list[Array | None]


Oracle = Callable[..., Expected]
Answer = tuple[Array, list[Array | None]]


def multilinear(answer: Callable[..., Answer]) -> Oracle:
    """The oracle of an operation that is linear in each argument: absolute values give the sizes of its terms."""

    @functools.wraps(answer)
    def oracle(*arrays: Array | None, g: Array, **kwargs: Any) -> Expected:
        y, gradients = answer(*arrays, g=g, **kwargs)
        size, sizes = answer(*(None if x is None else abs(x) for x in arrays), g=abs(g), **kwargs)
        return Expected([y], gradients, [abs(size)], [None if s is None else abs(s) for s in sizes])

    return oracle


def batched(answer: Callable[..., Answer]) -> Callable[..., Answer]:
    """A function of (N, C, H, W) that takes (C, H, W) too."""

    @functools.wraps(answer)
    def of_either(x: Array, *others: Array | None, g: Array, **kwargs: Any) -> Answer:
        if x.ndim == 4:
            return answer(x, *others, g=g, **kwargs)
        y, (gx, *rest) = answer(x[None], *others, g=g[None], **kwargs)
        return y[0], [gx[0], *rest]

    return of_either


def both(value: Any) -> Pair:
    """An integer for both directions, or a pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


# ------------------------------------------------------------------------------------------------------ convolution


@multilinear
@batched
def conv2d(
    x: Array, w: Array, b: Array | None, *, g: Array, stride: Any, padding: Any, dilation: Any, groups: int
) -> Answer:
    gaps = both(dilation)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(gaps, w.shape[2:], strict=True)]
        pads = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pads = tuple((p, p) for p in both(0 if padding == "valid" else padding))
    geometry = both(stride), pads, gaps, groups
    y = loops.conv2d(x, w, *geometry)
    gx = loops.conv2d_input_grad(g, w, x.shape, *geometry)
    gw = loops.conv2d_weight_grad(g, x, w.shape, *geometry)
    return (y, [gx, gw, None]) if b is None else (y + b[:, None, None], [gx, gw, g.sum((0, 2, 3))])


@multilinear
@batched
def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    g: Array,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Answer:
    pads = tuple((p, p) for p in both(padding))
    geometry = both(stride), pads, both(dilation), groups
    y = loops.conv2d_input_grad(x, w, g.shape, *geometry)
    gx = loops.conv2d(g, w, *geometry)[:, :, : x.shape[2], : x.shape[3]]  # output_padding may leave room for more
    gw = loops.conv2d_weight_grad(x, g, w.shape, *geometry)
    return (y, [gx, gw, None]) if b is None else (y + b[:, None, None], [gx, gw, g.sum((0, 2, 3))])


# ---------------------------------------------------------------------------------------------------------- windows


def starts(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False) -> list[int]:
    """Where windows begin along an axis; with ceil_mode a last one may stick out, if it begins before the end."""
    found: list[int] = []
    start, extent, end = -padding, dilation * (kernel - 1) + 1, size + padding
    while start + extent <= end or (ceil_mode and start < size and (not found or found[-1] + extent < end)):
        found.append(start)
        start += stride
    return found


class Window(NamedTuple):
    """The window of output (p, q): the pixels of the image that it sees, as (r, s, h, w), and where it begins."""

    p: int
    q: int
    top: int
    left: int
    pixels: list[tuple[int, int, int, int]]


def windows(
    size: Pair, kernel: Any, stride: Any, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Iterator[Window]:
    kernel, padding, dilation = both(kernel), both(padding), both(dilation)
    stride = both(kernel if stride is None else stride)
    rows, columns = (starts(size[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in (0, 1))
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            places = [
                (r, s, top + r * dilation[0], left + s * dilation[1])
                for r in range(kernel[0])
                for s in range(kernel[1])
            ]
            inside = [t for t in places if 0 <= t[2] < size[0] and 0 <= t[3] < size[1]]
            yield Window(p, q, top, left, inside)


def adaptive_windows(size: Pair, output_size: Any) -> Iterator[Window]:
    wanted = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    rows, columns = (n if w is None else w for w, n in zip(wanted, size, strict=True))
    for p in range(rows):
        for q in range(columns):
            (top, bottom), (left, right) = (
                (i * n // m, -(-(i + 1) * n // m)) for i, n, m in ((p, size[0], rows), (q, size[1], columns))
            )
            pixels = [(h - top, w - left, h, w) for h in range(top, bottom) for w in range(left, right)]
            yield Window(p, q, top, left, pixels)


Tap = tuple[Any, Any, float]


def through(taps: Iterable[Tap], x: Array, g: Array) -> Answer:
    """A linear map as a list of taps (into y, into x, factor), and its adjoint."""
    y, gx = np.zeros_like(g), np.zeros_like(x)
    for into_y, into_x, factor in taps:
        y[into_y] += factor * x[into_x]
        gx[into_x] += factor * g[into_y]
    return y, [gx]


@multilinear
def avg_pool2d(
    x: Array,
    *,
    g: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Answer:
    (height, width), kernel, pads = x.shape[-2:], both(kernel_size), both(padding)

    def taps() -> Iterator[Tap]:
        for at in windows((height, width), kernel, stride, pads, 1, ceil_mode):
            rows = min(at.top + kernel[0], height + pads[0]) - at.top
            columns = min(at.left + kernel[1], width + pads[1]) - at.left
            counted = rows * columns if count_include_pad else len(at.pixels)
            for _, _, h, w in at.pixels:
                yield (..., at.p, at.q), (..., h, w), 1 / (divisor_override or counted)

    return through(taps(), x, g)


@multilinear
def adaptive_avg_pool2d(x: Array, *, g: Array, output_size: Any) -> Answer:
    return through(
        (
            ((..., at.p, at.q), (..., h, w), 1 / len(at.pixels))
            for at in adaptive_windows(x.shape[-2:], output_size)
            for _, _, h, w in at.pixels
        ),
        x,
        g,
    )


def _max_over(x: Array, g: Array, seen: list[Window]) -> Expected:
    """The first of the greatest pixels of each window gives the result and gets the gradient."""
    y, where = np.full(g.shape, -np.inf), np.full(g.shape, -1)
    gx, size = np.zeros_like(x), np.zeros_like(x)
    for plane in np.ndindex(x.shape[:-2]):
        for at in seen:
            for _, _, h, w in at.pixels:
                here = (*plane, at.p, at.q)
                if where[here] < 0 or x[(*plane, h, w)] > y[here]:
                    y[here], where[here] = x[(*plane, h, w)], h * x.shape[-1] + w
            if at.pixels:
                into_x = (*plane, where[here] // x.shape[-1], where[here] % x.shape[-1])
                gx[into_x] += g[here]
                size[into_x] += abs(g[here])
    return Expected([y, where], [gx], [np.zeros(y.shape), np.zeros(y.shape)], [size])


def max_pool2d(
    x: Array, *, g: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Expected:
    return _max_over(x, g, list(windows(x.shape[-2:], kernel_size, stride, padding, dilation, ceil_mode)))


def adaptive_max_pool2d(x: Array, *, g: Array, output_size: Any) -> Expected:
    return _max_over(x, g, list(adaptive_windows(x.shape[-2:], output_size)))


def _unfold_taps(size: Pair, channels: int, kernel_size: Any, **geometry: Any) -> Iterator[tuple[Any, Any]]:
    """(into the columns, into the image)."""
    kernel = both(kernel_size)
    seen = list(windows(size, kernel, **geometry))
    columns = max((at.q for at in seen), default=0) + 1
    for at in seen:
        for c in range(channels):
            for r, s, h, w in at.pixels:
                yield (..., (c * kernel[0] + r) * kernel[1] + s, at.p * columns + at.q), (..., c, h, w)


@multilinear
def unfold(x: Array, *, g: Array, **geometry: Any) -> Answer:
    return through(((y, at, 1.0) for y, at in _unfold_taps(x.shape[-2:], x.shape[-3], **geometry)), x, g)


@multilinear
def fold(x: Array, *, g: Array, output_size: Any, **geometry: Any) -> Answer:
    return through(((at, y, 1.0) for y, at in _unfold_taps(both(output_size), g.shape[-3], **geometry)), x, g)


# ------------------------------------------------------------------------------------------------- elements elsewhere


@multilinear
def pad(x: Array, *, g: Array, pad: tuple[int, ...], mode: str, value: float | None) -> Answer:
    """By a map of places: padding an array that holds the number of each element shows where each comes from."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    cut = tuple(slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, widths, strict=True))
    places = np.arange(x.size).reshape(x.shape)[cut]
    more = [(max(0, b), max(0, a)) for b, a in widths]
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    fill: dict[str, Any] = {"constant_values": -1} if mode == "constant" else {}
    places = np.pad(places, more, names[mode], **fill)
    y = np.full(places.shape, 0.0 if value is None else value)
    y[places >= 0] = x.ravel()[places[places >= 0]]
    gx = np.zeros(x.size)
    np.add.at(gx, places[places >= 0], g[places >= 0])
    return y, [gx.reshape(x.shape)]


@multilinear
def cat(*xs: Array, g: Array, dim: int) -> Answer:
    ends = np.cumsum([x.shape[dim] for x in xs])[:-1]
    return np.concatenate(xs, dim), list(np.split(g, ends, dim))
