"""Pooling: max, average, and the adaptive forms that choose their windows by the size that is wanted.

A max-pool knows where each maximum stood. Its gradient scatters to those places, the gradient of a scatter gathers from
them, and so on for any order: `ScatterPlane` and `GatherPlane` are each other's derivative. An average pool is linear,
and so is its gradient: those two Ops are each other's derivative as well.
"""

from __future__ import annotations

import functools
from typing import Any

from ..autograd import Op, Tensor, wrap
from ..backend import Array, Backend
from ..backend.dtypes import from_numpy_dtype, int64
from .arithmetic import where
from .broadcast import cast
from .geometry import Pair, as_batch, check_flag, check_floating, pair, pairs, pool_size
from .indexing import Pick
from .registry import Make, Sample, op

__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "max_pool2d", "max_unpool2d"]


class MaxPool2d(Op):
    """The maximum of each window, and its place: an index into the image's H * W pixels."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair) -> Any:
        y, where = ctx.backend.kernels.max_pool2d(x, kernel, stride, padding, dilation, out_size)
        if True in ctx.needs_input_grad:
            ctx.windows = kernel, stride, padding, dilation
            _keep_places(ctx, x, where)
        return y, where

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
        gx = ScatterPlane.apply(g, ctx.saved_tensors[0], ctx.size, ctx.windows)
        return gx, None, None, None, None, None


class AdaptiveMaxPool2d(Op):
    """The maximum of each of P x Q windows that divide the image, and its place."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, out_size: Pair) -> Any:
        y, where = ctx.backend.kernels.adaptive_max_pool2d(x, out_size)
        if True in ctx.needs_input_grad:
            _keep_places(ctx, x, where)
        return y, where

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
        return ScatterPlane.apply(g, ctx.saved_tensors[0], ctx.size, None), None


def _keep_places(ctx: Any, x: Any, where: Any) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(where)
    ctx.save_for_backward(where)
    ctx.size = x.shape[2:]


class ScatterPlane(Op):
    """x[n, c].flat[index[n, c, p, q]] += g[n, c, p, q]; `windows` are those that the places come from, if they do."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, g: Any, index: Any, size: Pair, windows: tuple[Pair, Pair, Pair, Pair] | None) -> Any:
        ctx.save_for_backward(index)
        return ctx.backend.kernels.scatter_plane(g, index, size, windows)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Any, ...]:
        return GatherPlane.apply(c, ctx.saved_tensors[0]), None, None, None


class GatherPlane(Op):
    """y[n, c, p, q] = x[n, c].flat[index[n, c, p, q]]."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, index: Any) -> Any:
        ctx.save_for_backward(index)
        ctx.size = x.shape[2:]
        return ctx.backend.kernels.gather_plane(x, index)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return ScatterPlane.apply(g, ctx.saved_tensors[0], ctx.size, None), None


class AvgPool2d(Op):
    """The sum of each window over its divisor: a number, or an array (P, Q)."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Any) -> Any:
        if True in ctx.needs_input_grad:
            ctx.geometry, ctx.size = (kernel, stride, padding), x.shape[2:]
            _keep_divisor(ctx, divisor)
        return ctx.backend.kernels.avg_pool2d(x, kernel, stride, padding, out_size, divisor)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        gx = AvgPool2dBackward.apply(g, ctx.size, *ctx.geometry, divisor_of(ctx))
        return gx, None, None, None, None, None


class AvgPool2dBackward(Op):
    """Each value over its divisor, added to every pixel of its window: the adjoint of AvgPool2d."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, g: Any, size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Any) -> Any:
        if True in ctx.needs_input_grad:
            ctx.geometry = kernel, stride, padding, g.shape[2:]
            _keep_divisor(ctx, divisor)
        return ctx.backend.kernels.avg_pool2d_backward(g, size, kernel, stride, padding, divisor)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Any, ...]:
        return AvgPool2d.apply(c, *ctx.geometry, divisor_of(ctx)), None, None, None, None, None


def _keep_divisor(ctx: Any, divisor: Any) -> None:
    ctx.number = divisor if isinstance(divisor, float) else None
    ctx.save_for_backward(divisor if ctx.number is None else None)


def divisor_of(ctx: Any) -> Any:
    """What an average pool's windows are divided by: a number, or a tensor (P, Q)."""
    return ctx.saved_tensors[0] if ctx.number is None else ctx.number


def _window(name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> tuple[Pair, Pair, Pair, Pair]:
    """kernel, stride, padding and dilation, checked; the stride is the kernel's size unless given."""
    steps = kernel_size if stride is None or stride == () else stride
    numbers = ("kernel_size", kernel_size, 1), ("stride", steps, 1), ("padding", padding, 0), ("dilation", dilation, 1)
    kernel, steps, pads, gaps = pairs(name, *numbers)
    return kernel, steps, pads, gaps


_FAR = 4096  # places of a window beyond the image: what is more would take for ever


@functools.lru_cache(1024)  # a network calls with the same few sizes again and again
def _fitted(name: str, size: Pair, window: tuple[Pair, Pair, Pair, Pair], ceil_mode: bool) -> tuple[Pair, Pair, Pair]:
    """The output's size; and the kernel and the padding without the taps that see no pixel from any of the windows.

    Raises:
        ValueError: if no window fits, or taps are left that lie far beyond the image.
    """
    out_size = pool_size(name, size, *window, ceil_mode)
    taps, pads = [], []
    for n, count, k, s, p, d in zip(size, out_size, *window, strict=True):
        before = max(0, p - (count - 1) * s) // d  # the last window begins furthest to the right
        pad = p - before * d
        tap = min(k - before, (n + pad - 1) // d + 1)  # and the first one furthest to the left
        if tap > n + _FAR:
            raise ValueError(f"{name}: a window of {k} places in a border of {p} is too large for an image of {n}")
        taps.append(tap)
        pads.append(pad)
    return out_size, (taps[0], taps[1]), (pads[0], pads[1])


def _max_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make.apart(2, 2, 4, 4), 2),
        make.sample(make.apart(1, 2, 5, 6), 3, stride=2, padding=1),
        make.sample(make.apart(1, 1, 6, 5), (3, 2), stride=(1, 2), dilation=(2, 1)),
        make.sample(make.apart(1, 2, 5, 5), 2, ceil_mode=True),
        make.sample(make.apart(2, 3, 3), 2, stride=1),
    ]


@op(_max_samples, method=False, kinks="ties in a window")
def max_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window: y[n, c, p, q] = max over r, s of x[n, c, p * stride + r * dilation - padding, ...].

    Of equal maxima the first, row by row, gets the gradient. A NaN in a window makes its maximum NaN.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, stride, padding, dilation: an integer or (vertical, horizontal). The stride is kernel_size unless
            given; padding counts as minus infinity and is at most half of kernel_size.
        ceil_mode: let a last window reach beyond the image.
        return_indices: also return the places of the maxima, int64 indices into H * W, for `max_unpool2d`.

    Returns:
        (N, C, P, Q), or (C, P, Q); a pair of such with return_indices.

    Raises:
        ValueError: if no window fits, or padding is too large; if a window reaches thousands of places beyond the
            image, there where another one sees it.
        TypeError: if input is not floating.

    Example:
        >>> import tinycnn
        >>> tinycnn.max_pool2d(tinycnn.arange(16.0).reshape(1, 1, 4, 4), 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """
    check_floating("max_pool2d", input=input)
    x, single = as_batch("max_pool2d", input)
    window = _window("max_pool2d", kernel_size, stride, padding, dilation)
    check_flag("max_pool2d", "ceil_mode", ceil_mode)
    out_size, kernel, pads = _fitted("max_pool2d", x.array.shape[2:], window, ceil_mode)
    places = MaxPool2d.apply(x, kernel, window[1], pads, window[3], out_size)
    return _result(places, single, return_indices)


def _result(values_and_places: tuple[Tensor, Tensor], single: bool, return_indices: bool) -> Any:
    y, where = values_and_places
    if single:
        y, where = y.squeeze(0), where.squeeze(0)
    return (y, where.to(int64)) if return_indices else y


@op(
    lambda make: [
        make.sample(make.apart(2, 2, 5, 7), (2, 3)),
        make.sample(make.apart(1, 2, 3, 3), 1),
        make.sample(make.apart(1, 4, 4), (None, 2)),
        make.sample(make.apart(1, 1, 2, 2), 3),
    ],
    method=False,
    kinks="ties in a window",
)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maximum of each of P x Q windows: window p spans the rows floor(p * H / P) to ceil((p + 1) * H / P) - 1.

    Args:
        input: (N, C, H, W) or (C, H, W).
        output_size: P = Q, or (P, Q); None keeps the input's size.
        return_indices: also return the places of the maxima, as in `max_pool2d`.

    Returns:
        (N, C, P, Q), or (C, P, Q); a pair of such with return_indices.

    Raises:
        ValueError: if the input has no pixels or a size is below 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.adaptive_max_pool2d(tinycnn.arange(9.0).reshape(1, 1, 3, 3), 2)
        tensor([[[[4., 5.],
                  [7., 8.]]]])
    """
    check_floating("adaptive_max_pool2d", input=input)
    x, single = as_batch("adaptive_max_pool2d", input)
    out_size = _adaptive_size("adaptive_max_pool2d", x, output_size)
    return _result(AdaptiveMaxPool2d.apply(x, out_size), single, return_indices)


def _adaptive_size(name: str, x: Tensor, output_size: Any) -> Pair:
    size = x.array.shape[2:]
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2:
        raise ValueError(f"{name}: output_size must be a number or a pair, got {output_size!r}")
    out = pair(name, "output_size", tuple(n if w is None else w for w, n in zip(wanted, size, strict=True)), 1)
    if 0 in size:
        raise ValueError(f"{name}: input has no pixels, shape {x.array.shape}")
    return out


def _avg_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 2, 4, 4), 2),
        make.sample(make(1, 2, 5, 6), 3, stride=2, padding=1),
        make.sample(make(1, 2, 5, 6), 3, stride=2, padding=1, count_include_pad=False),
        make.sample(make(1, 1, 5, 5), (2, 3), stride=(2, 1), ceil_mode=True),
        make.sample(make(1, 1, 5, 5), 2, padding=1, ceil_mode=True, count_include_pad=False),
        make.sample(make(2, 4, 3), 2, stride=3, divisor_override=5),
    ]


@op(_avg_samples, method=False, linear=True)
def avg_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: y[n, c, p, q] = (sum over r, s of x[n, c, p * stride + r - padding, ...]) / divisor.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, stride, padding: as in `max_pool2d`; padding counts as zero.
        ceil_mode: let a last window reach beyond the padded image; what is beyond is never counted.
        count_include_pad: whether the divisor counts padding (R * S inside) or image pixels only.
        divisor_override: the divisor itself.

    Returns:
        (N, C, P, Q), or (C, P, Q).

    Raises:
        ValueError: if no window fits, padding is too large, or divisor_override is zero.
        TypeError: if input is not floating.

    Example:
        >>> import tinycnn
        >>> tinycnn.avg_pool2d(tinycnn.arange(16.0).reshape(1, 1, 4, 4), 2)
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])
    """
    check_floating("avg_pool2d", input=input)
    x, single = as_batch("avg_pool2d", input)
    window = _window("avg_pool2d", kernel_size, stride, padding)
    size = x.array.shape[2:]
    if not (type(ceil_mode) is type(count_include_pad) is bool):
        check_flag("avg_pool2d", "ceil_mode", ceil_mode)
        check_flag("avg_pool2d", "count_include_pad", count_include_pad)
    out_size, kernel, pads = _fitted("avg_pool2d", size, window, ceil_mode)
    if divisor_override is not None and (not isinstance(divisor_override, int) or divisor_override == 0):
        raise ValueError(f"avg_pool2d: divisor_override must be a nonzero integer, got {divisor_override!r}")
    counts = _divisors(out_size, size, window, count_include_pad, divisor_override)
    divisor = counts if isinstance(counts, float) else x.backend.asarray(counts, dtype=x.array.real.dtype)
    y = AvgPool2d.apply(x, kernel, window[1], pads, out_size, divisor)
    return y.squeeze(0) if single else y


@functools.lru_cache(256)
def _divisors(
    out_size: Pair, size: Pair, window: tuple[Pair, Pair, Pair, Pair], include_pad: bool, override: int | None
) -> float | tuple[tuple[float, ...], ...]:
    """What the sum of each window is divided by, (P, Q); one number if it is the same for all."""
    kernel, stride, padding, _ = window
    rows, columns = (_counted(out_size[i], size[i], kernel[i], stride[i], padding[i], include_pad) for i in (0, 1))
    counts = tuple(tuple(float(override or r * c) for c in columns) for r in rows)
    return counts[0][0] if len({n for row in counts for n in row}) == 1 else counts


def _counted(windows: int, size: int, kernel: int, stride: int, pad: int, include_pad: bool) -> list[int]:
    """How many places of each window count along one axis."""
    counts = []
    for i in range(windows):
        first = i * stride - pad
        last = min(first + kernel, size + pad)
        counts.append(last - first if include_pad else max(0, min(last, size) - max(first, 0)))
    return counts


@op(
    lambda make: [
        make.sample(make(2, 2, 5, 7), (2, 3)),
        make.sample(make(1, 2, 4, 6), 2),
        make.sample(make(1, 2, 3, 3), 1),
        make.sample(make(1, 4, 4), (None, 3)),
        make.sample(make(1, 1, 2, 2), 3),
    ],
    method=False,
    linear=True,
)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of P x Q windows: window p spans the rows floor(p * H / P) to ceil((p + 1) * H / P) - 1.

    Rows and columns can be averaged one after the other. With one window it is global average pooling (Lin, Chen, Yan,
    "Network In Network", 2013, section 3.2).

    Args:
        input: (N, C, H, W) or (C, H, W).
        output_size: P = Q, or (P, Q); None keeps the input's size.

    Returns:
        (N, C, P, Q), or (C, P, Q).

    Raises:
        ValueError: if the input has no pixels or a size is below 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.adaptive_avg_pool2d(tinycnn.arange(9.0).reshape(1, 1, 3, 3), 1)
        tensor([[[[4.]]]])
    """
    check_floating("adaptive_avg_pool2d", input=input)
    x, single = as_batch("adaptive_avg_pool2d", input)
    out_size = _adaptive_size("adaptive_avg_pool2d", x, output_size)
    size = x.array.shape[2:]
    if all(n % p == 0 for n, p in zip(size, out_size, strict=True)):
        y = avg_pool2d(x, tuple(n // p for n, p in zip(size, out_size, strict=True)))
    else:
        x.backend.empty((*x.array.shape[:2], *out_size), x.array.dtype)  # raises at once if that is too large
        y = _means(_means(x, 2, out_size[0]), 3, out_size[1])
    return y.squeeze(0) if single else y


def _means(x: Tensor, axis: int, windows: int) -> Tensor:
    """The means of so many windows that divide an axis. Each takes its own pixels alone: as a product with a matrix, an
    infinite pixel would meet the zeros of all other windows."""
    backend, shape = x.backend, x.array.shape
    length, places, inside = backend.on_device(_mean_windows, backend, shape[axis], windows)
    taken = Pick.apply(x, (*(slice(None),) * axis, places), False)
    behind = (1,) * (len(shape) - axis - 1)
    inside = inside.reshape(*inside.shape, *behind)
    total = where(wrap(inside, backend), taken, 0.0).sum(axis + 1)
    return total / cast(wrap(length.reshape(windows, *behind), backend), from_numpy_dtype(x.array.real.dtype))


def _mean_windows(backend: Backend, size: int, windows: int) -> tuple[Array, Array, Array]:
    """Of each of so many windows of an axis: its length; its pixels, as many as the longest has; which are its own."""
    start = backend.arange(windows) * size // windows
    length = -(-(backend.arange(windows) + 1) * size // windows) - start
    each = backend.arange(min(size, -(-size // windows) + 1))
    return length, backend.minimum(start[:, None] + each, size - 1), each < length[:, None]


@op(
    lambda make: [
        make.sample(make(1, 1, 2, 2), _corner_indices(make), 2),
        make.sample(make(1, 2, 2), _corner_indices(make).squeeze(0), 2, output_size=(5, 4)),
    ],
    method=False,
    linear=True,
)
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    output_size: Any = None,
) -> Tensor:
    """Put values back where a `max_pool2d` took them from, zeros elsewhere; values put to one place add up.

    Args:
        input: (N, C, P, Q) or (C, P, Q).
        indices: of the same shape, from max_pool2d(..., return_indices=True).
        kernel_size, stride, padding: of that pooling; they give the output size (P - 1) * stride - 2 * padding + R.
        output_size: (H, W), when that rule does not give the size that was pooled.

    Returns:
        (N, C, H, W), or (C, H, W).

    Raises:
        ValueError: if the shapes differ.
        IndexError: if an index lies outside the output.

    Example:
        >>> import tinycnn
        >>> y, where = tinycnn.max_pool2d(tinycnn.arange(4.0).reshape(1, 1, 2, 2), 2, return_indices=True)
        >>> tinycnn.max_unpool2d(y, where, 2)
        tensor([[[[0., 0.],
                  [0., 3.]]]])
    """
    check_floating("max_unpool2d", input=input)
    if isinstance(indices, Tensor) and indices.array.dtype.kind not in "iu":
        raise TypeError(f"max_unpool2d: indices must hold integers, got {indices.dtype!r}")
    x, single = as_batch("max_unpool2d", input)
    index, _ = as_batch("max_unpool2d", indices)
    if index.array.shape != x.array.shape:
        raise ValueError(f"max_unpool2d: input is {input.array.shape} but indices are {indices.array.shape}")
    kernel, steps, pads, _ = _window("max_unpool2d", kernel_size, stride, padding)
    size = usual = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(x.array.shape[2:], steps, pads, kernel, strict=True)
    )
    if output_size is not None:
        size = tuple(output_size)[-2:]
        if len(size) != 2 or any(abs(n - m) >= s for n, m, s in zip(size, usual, steps, strict=True)):
            raise ValueError(
                f"max_unpool2d: output_size must be within a stride {steps} of {usual}, got {tuple(output_size)}"
            )
    lowest, highest = (int(f(index.array)) if index.array.size else 0 for f in (x.backend.min, x.backend.max))
    if lowest < 0 or highest >= size[0] * size[1] > 0:
        raise IndexError(f"max_unpool2d: an index lies outside the output of {size[0]} x {size[1]} pixels")
    y = ScatterPlane.apply(x, index, size, None)
    return y.squeeze(0) if single else y


def _corner_indices(make: Make) -> Tensor:
    return wrap(make.backend.asarray([[[[0, 3], [9, 14]]]]), make.backend)
