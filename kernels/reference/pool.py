"""Pooling: the best, or the mean, of every window.

A max-pool remembers *where* each maximum stood, as an index into the image's H*W pixels: its gradient is then a
scatter to those places, and the gradient of a scatter is a gather from them. Both serve adaptive pooling and
unpooling too. An average pool is linear: its gradient spreads each value evenly over its window.
"""

from typing import Any

Array = Any
Pair = tuple[int, int]
Windows = tuple[Pair, Pair, Pair, Pair]
Pads = tuple[Pair, Pair]


def _span(i: int, stride: int, pad: int, size: int, count: int) -> tuple[slice, slice]:
    """Where tap offset `i` of a window meets the image: (outputs, inputs) as slices along one axis.

    Output p sees input p * stride + i - pad; only p with 0 <= that < size are kept.
    """
    first = max(0, -((i - pad) // stride))  # ceil((pad - i) / stride)
    last = min(count - 1, (size - 1 - i + pad) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + i - pad
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)


def max_pool2d(
    xp: Any, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
) -> tuple[Array, Array]:
    """(N, C, H, W) -> the maxima (N, C, P, Q) and their places (N, C, P, Q), indices into H*W: int64, or less memory.

    Padding counts as minus infinity. Of equal maxima the first in row order wins; a NaN wins over every number. A
    window of nothing but padding (dilation can make one) has the place -1, which takes and gives nothing below.
    """
    n, c, h, w = x.shape
    p, q = out_size
    y = xp.full((n, p, q, c), -xp.inf, x.dtype).transpose(0, 3, 1, 2)
    where = xp.full((n, p, q, c), -1, "int64").transpose(0, 3, 1, 2)
    for r in range(kernel[0]):
        out_rows, in_rows = _span(r * dilation[0], stride[0], padding[0], h, p)
        for s in range(kernel[1]):
            out_cols, in_cols = _span(s * dilation[1], stride[1], padding[1], w, q)
            best, place = y[:, :, out_rows, out_cols], where[:, :, out_rows, out_cols]
            seen = x[:, :, in_rows, in_cols]
            index = xp.arange(h * w).reshape(h, w)[in_rows, in_cols]
            better = (seen > best) | ((seen != seen) & (best == best)) | (place < 0)
            y[:, :, out_rows, out_cols] = xp.where(better, seen, best)
            where[:, :, out_rows, out_cols] = xp.where(better, index, place)
    return y, where


def adaptive_max_pool2d(xp: Any, x: Array, out_size: Pair) -> tuple[Array, Array]:
    """(N, C, H, W) -> maxima (N, C, P, Q) and their places, over windows [floor(p H / P), ceil((p + 1) H / P))."""
    n, c, h, w = x.shape
    p, q = out_size
    y = xp.empty((n, p, q, c), x.dtype).transpose(0, 3, 1, 2)
    where = xp.empty((n, p, q, c), "int64").transpose(0, 3, 1, 2)
    for i in range(p):
        top, bottom = i * h // p, -(-(i + 1) * h // p)
        for j in range(q):
            left, right = j * w // q, -(-(j + 1) * w // q)
            window = x[:, :, top:bottom, left:right].reshape(n, c, (bottom - top) * (right - left))
            best = window.argmax(axis=2)
            y[:, :, i, j] = xp.take_along_axis(window, best[:, :, None], axis=2)[:, :, 0]
            where[:, :, i, j] = (top + best // (right - left)) * w + left + best % (right - left)
    return y, where


def gather_plane(xp: Any, x: Array, index: Array) -> Array:
    """(N, C, H, W), (N, C, P, Q) -> (N, C, P, Q): y[n, c, p, q] = x[n, c].flat[index[n, c, p, q]]; 0 for index < 0."""
    n, c, p, q = index.shape
    h, w = x.shape[2:]
    y = xp.take_along_axis(x.reshape(n, c, h * w), index.reshape(n, c, p * q), axis=2).reshape(n, c, p, q)
    return xp.where(index < 0, xp.zeros((), x.dtype), y)


def scatter_plane(xp: Any, g: Array, index: Array, size: Pair, windows: Windows | None) -> Array:
    """(N, C, P, Q), (N, C, P, Q) -> (N, C, H, W): the adjoint of gather_plane; equal indices add up.

    If the indices are those of a max_pool2d, `windows` (its kernel, stride, padding and dilation) says where each can
    lie: with that a GPU collects what comes to a place, instead of adding to it from many threads at once.
    """
    n, c, _, _ = g.shape
    h, w = size
    planes = xp.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    x = xp.zeros(n * c * h * w, g.dtype)
    inside = index >= 0  # not as a mask: to count its elements, a GPU would have to be waited for
    xp.add.at(x, xp.where(inside, index, 0) + planes, xp.where(inside, g, xp.zeros((), g.dtype)))
    return x.reshape(n, c, h, w)


def avg_pool2d(
    xp: Any, x: Array, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Array | float
) -> Array:
    """(N, C, H, W) -> (N, C, P, Q): the sum of each window over a number, or over its entry of divisor (P, Q)."""
    n, c, h, w = x.shape
    p, q = out_size
    y = xp.zeros((n, p, q, c), x.dtype).transpose(0, 3, 1, 2)
    for r in range(kernel[0]):
        out_rows, in_rows = _span(r, stride[0], padding[0], h, p)
        for s in range(kernel[1]):
            out_cols, in_cols = _span(s, stride[1], padding[1], w, q)
            y[:, :, out_rows, out_cols] += x[:, :, in_rows, in_cols]
    y /= divisor
    return y


def avg_pool2d_backward(
    xp: Any, g: Array, size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Array | float
) -> Array:
    """(N, C, P, Q) -> (N, C, H, W): the adjoint of avg_pool2d."""
    n, c, p, q = g.shape
    h, w = size
    share = g / divisor
    gx = xp.zeros((n, h, w, c), g.dtype).transpose(0, 3, 1, 2)
    for r in range(kernel[0]):
        out_rows, in_rows = _span(r, stride[0], padding[0], h, p)
        for s in range(kernel[1]):
            out_cols, in_cols = _span(s, stride[1], padding[1], w, q)
            gx[:, :, in_rows, in_cols] += share[:, :, out_rows, out_cols]
    return gx
