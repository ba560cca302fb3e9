"""Hypothesis strategies: geometries that convolution networks meet, and those that they never should but may.

Strides above the kernel and below it, windows that leave a remainder, padding up to the limit, dilation, groups,
depthwise kernels, 1 x 1, one image and none, rows and columns that differ; and every tensor in any memory layout.
"""

from __future__ import annotations

import math
from typing import Any

from cases import Case, Shape
from hypothesis import strategies as st
from layouts import BROADCASTS, LAYOUTS

BATCHES = st.sampled_from([2, 1, 3, 0])
SEEDS = st.integers(0, 99)
layouts = st.sampled_from([*LAYOUTS, *BROADCASTS])
in_place = st.sampled_from(list(LAYOUTS))  # of what is written into


def tensor(draw: st.DrawFn, shape: Shape, layout: st.SearchStrategy[str] = layouts) -> tuple[Shape, str]:
    return shape, draw(layout)


def maybe(draw: st.DrawFn, shape: Shape) -> tuple[Shape, str] | None:
    return tensor(draw, shape) if draw(st.booleans()) else None


def wanted(draw: st.DrawFn, tensors: tuple[Any, ...], candidates: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Mostly all tensors want a gradient; a backward has its branches for when some do not."""
    there = [i for i in candidates or range(len(tensors)) if tensors[i] is not None]
    if draw(st.integers(0, 3)):
        return tuple(there)
    return tuple(i for i in there if draw(st.booleans())) or (there[0],)


def finish(
    draw: st.DrawFn, op: str, tensors: tuple[Any, ...], kwargs: dict[str, Any], candidates: Any = None, **more: Any
) -> Case:
    return Case(op, tensors, kwargs, draw(SEEDS), draw(layouts), wanted(draw, tensors, candidates), **more)


def as_argument(draw: st.DrawFn, pair: tuple[int, int]) -> Any:
    """An equal pair may be written as one number."""
    return pair[0] if pair[0] == pair[1] and draw(st.booleans()) else pair


def axis(
    draw: st.DrawFn, *, kernel: int, stride: int, dilation: int, padding: int, most: int = 4, ceil_mode: bool = False
) -> int:
    """A size that at least one window fits, with a remainder or none: up to `most` rows more than the smallest."""
    least = dilation * (kernel - 1) + 1 - 2 * padding - (stride - 1 if ceil_mode else 0)
    return max(1, least) + draw(st.integers(0, most))


sides = st.integers(1, 3)
strides = st.integers(1, 4)


@st.composite
def conv2d(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = draw(st.sampled_from([1, 2]))
    kernels_per_group = draw(st.sampled_from([1, 2]))
    pointwise = draw(st.integers(0, 5)) == 0
    kernel = (1, 1) if pointwise else (draw(st.integers(1, 4)), draw(sides))
    dilation = (draw(sides), draw(sides)) if draw(st.booleans()) else (1, 1)
    how = draw(st.sampled_from(["numbers", "numbers", "numbers", "same", "valid"]))
    stride = (1, 1) if how == "same" else (draw(strides), draw(strides))
    limit = 1 + max(
        d * (k - 1) for d, k in zip(dilation, kernel, strict=True)
    )  # a whole window of padding, and one more
    padding = (draw(st.integers(0, limit)), draw(st.integers(0, limit))) if how == "numbers" else (0, 0)
    if how == "same":
        size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    else:
        size = tuple(
            axis(draw, kernel=k, stride=s, dilation=d, padding=p)
            for k, s, d, p in zip(kernel, stride, dilation, padding, strict=True)
        )
    batch = () if draw(st.integers(0, 7)) == 0 else (draw(BATCHES),)
    tensors = (
        tensor(draw, (*batch, groups * per_group, *size)),
        tensor(draw, (groups * kernels_per_group, per_group, *kernel)),
        maybe(draw, (groups * kernels_per_group,)),
    )
    kwargs = {
        "stride": as_argument(draw, stride),
        "padding": as_argument(draw, padding) if how == "numbers" else how,
        "dilation": as_argument(draw, dilation),
        "groups": groups,
    }
    return finish(draw, "conv2d", tensors, kwargs)


@st.composite
def conv_transpose2d(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, kernels = groups * draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2]))
    kernel, stride = (draw(st.integers(1, 4)), draw(sides)), (draw(strides), draw(sides))
    dilation = (draw(sides), draw(sides)) if draw(st.booleans()) else (1, 1)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    size, padding = [], []
    for k, s, d, e in zip(kernel, stride, dilation, extra, strict=True):
        size.append(draw(st.integers(1, 4)))
        whole = (size[-1] - 1) * s + d * (k - 1) + e + 1
        padding.append(draw(st.integers(0, min((whole - 1) // 2, d * (k - 1) + 1))))  # one pixel is left at least
    batch = () if draw(st.integers(0, 7)) == 0 else (draw(BATCHES),)
    tensors = (
        tensor(draw, (*batch, channels, *size)),
        tensor(draw, (channels, kernels, *kernel)),
        maybe(draw, (kernels * groups,)),
    )
    kwargs = {
        "stride": as_argument(draw, stride),
        "padding": as_argument(draw, (padding[0], padding[1])),
        "output_padding": as_argument(draw, (extra[0], extra[1])),
        "groups": groups,
        "dilation": as_argument(draw, dilation),
    }
    return finish(draw, "conv_transpose2d", tensors, kwargs)


def planes(draw: st.DrawFn, size: tuple[int, ...]) -> tuple[Shape, str]:
    """(N, C, H, W) or (C, H, W)."""
    channels = draw(st.integers(1, 3))
    return tensor(draw, (channels, *size) if draw(st.integers(0, 7)) == 0 else (draw(BATCHES), channels, *size))


def pooling(draw: st.DrawFn, dilated: bool) -> tuple[tuple[Shape, str], dict[str, Any]]:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    dilation = (draw(sides), draw(sides)) if dilated and draw(st.booleans()) else (1, 1)
    own = draw(st.booleans())
    stride = kernel if own else (draw(strides), draw(strides))
    ceil_mode = draw(st.booleans())
    size = tuple(
        axis(draw, kernel=k, stride=s, dilation=d, padding=p, ceil_mode=ceil_mode)
        for k, s, d, p in zip(kernel, stride, dilation, padding, strict=True)
    )
    kwargs = {
        "kernel_size": as_argument(draw, kernel),
        "stride": None if own else as_argument(draw, stride),
        "padding": as_argument(draw, (padding[0], padding[1])),
        "ceil_mode": ceil_mode,
    }
    if dilated:
        kwargs["dilation"] = as_argument(draw, dilation)
    return planes(draw, size), kwargs


@st.composite
def max_pool2d(draw: st.DrawFn) -> Case:
    x, kwargs = pooling(draw, dilated=True)
    return finish(draw, "max_pool2d", (x,), kwargs)


@st.composite
def avg_pool2d(draw: st.DrawFn) -> Case:
    x, kwargs = pooling(draw, dilated=False)
    kwargs["count_include_pad"] = draw(st.booleans())
    kwargs["divisor_override"] = draw(st.sampled_from([None, None, 1, 7, -2]))
    return finish(draw, "avg_pool2d", (x,), kwargs)


output_sizes = st.one_of(st.integers(1, 5), st.tuples(*[st.one_of(st.none(), st.integers(1, 6))] * 2))


@st.composite
def adaptive_avg_pool2d(draw: st.DrawFn, op: str = "adaptive_avg_pool2d") -> Case:
    x = planes(draw, (draw(st.integers(1, 7)), draw(st.integers(1, 7))))
    return finish(draw, op, (x,), {"output_size": draw(output_sizes)})


def adaptive_max_pool2d() -> st.SearchStrategy[Case]:
    return adaptive_avg_pool2d("adaptive_max_pool2d")


def sliding(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """An image's size, and the windows of an unfold that fit it."""
    kernel, stride = (draw(sides), draw(sides)), (draw(strides), draw(strides))
    dilation = (draw(sides), draw(sides)) if draw(st.booleans()) else (1, 1)
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    size = tuple(
        axis(draw, kernel=k, stride=s, dilation=d, padding=p)
        for k, s, d, p in zip(kernel, stride, dilation, padding, strict=True)
    )
    names = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return size, {name: as_argument(draw, pair) for name, pair in names.items()}


@st.composite
def unfold(draw: st.DrawFn) -> Case:
    size, kwargs = sliding(draw)
    return finish(draw, "unfold", (planes(draw, size),), kwargs)


@st.composite
def fold(draw: st.DrawFn) -> Case:
    from oracles import both, starts

    size, kwargs = sliding(draw)
    kernel, stride, padding, dilation = (both(kwargs[n]) for n in ("kernel_size", "stride", "padding", "dilation"))
    p, q = (len(starts(size[i], kernel[i], stride[i], padding[i], dilation[i])) for i in (0, 1))
    columns = (draw(st.integers(1, 3)) * kernel[0] * kernel[1], p * q)
    shape = columns if draw(st.integers(0, 7)) == 0 else (draw(BATCHES), *columns)
    return finish(
        draw, "fold", (tensor(draw, shape),), {"output_size": as_argument(draw, (size[0], size[1])), **kwargs}
    )


@st.composite
def pad(draw: st.DrawFn) -> Case:
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    if mode == "constant":
        shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
        value = draw(st.sampled_from([None, 0.0, -1.5]))
        padded = draw(st.integers(0, len(shape)))
    else:
        shape = (draw(BATCHES), draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        value, padded = None, 2
    widths: list[int] = []
    for n in shape[len(shape) - padded :][::-1]:
        most = {"constant": 3, "reflect": n - 1, "replicate": 3, "circular": n}[mode]
        before = draw(st.integers(-n if mode == "constant" else 0, most))
        widths += [before, draw(st.integers(-n - min(0, before) if mode == "constant" else 0, most))]
    return finish(draw, "pad", (tensor(draw, shape),), {"pad": tuple(widths), "mode": mode, "value": value})


@st.composite
def cat(draw: st.DrawFn) -> Case:
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    tensors = []
    for _ in range(draw(st.integers(1, 4))):
        shape[dim] = draw(st.integers(0, 3))
        tensors.append(tensor(draw, tuple(shape)))
    return finish(draw, "cat", tuple(tensors), {"dim": dim})


# Deviations near the root of eps, far above it and far below it: only the first shows a forgotten eps.
spreads = st.sampled_from([1.0, 1e-2, 1e-3, 1e2])


@st.composite
def batch_norm(draw: st.DrawFn) -> Case:
    channels, training = draw(st.integers(1, 4)), draw(st.booleans())
    inner = tuple(draw(st.lists(st.integers(1, 4), max_size=2)))
    batch = draw(BATCHES)
    if training and batch * (inner[0] if inner else 1) < 2:
        batch = 2  # one value has no variance
    running = not training or draw(st.booleans())
    statistics = tensor(draw, (channels,), in_place) if running else None
    tensors = (
        tensor(draw, (batch, channels, *inner)),
        statistics,
        statistics,
        maybe(draw, (channels,)),
        maybe(draw, (channels,)),
    )
    kwargs = {"training": training, "momentum": draw(st.sampled_from([0.1, 0.0, 1.0])), "eps": draw(epsilons)}
    return finish(draw, "batch_norm", tensors, kwargs, (0, 3, 4), spread=draw(spreads))


epsilons = st.sampled_from([1e-5, 1e-3, 0.5])


@st.composite
def layer_norm(draw: st.DrawFn) -> Case:
    inner = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=2)))
    outer = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    tensors = (tensor(draw, (*outer, *inner)), maybe(draw, inner), maybe(draw, inner))
    written = inner[0] if len(inner) == 1 and draw(st.booleans()) else inner
    kwargs = {"normalized_shape": written, "eps": draw(epsilons)}
    return finish(draw, "layer_norm", tensors, kwargs, spread=draw(spreads))


@st.composite
def group_norm(draw: st.DrawFn) -> Case:
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 3))
    inner = draw(st.lists(st.integers(1, 3), max_size=3))
    batch = draw(BATCHES)
    if batch * math.prod(inner) * channels == groups:
        batch = 2  # one value has no variance
    tensors = (tensor(draw, (batch, channels, *inner)), maybe(draw, (channels,)), maybe(draw, (channels,)))
    return finish(draw, "group_norm", tensors, {"num_groups": groups, "eps": draw(epsilons)}, spread=draw(spreads))


@st.composite
def instance_norm(draw: st.DrawFn) -> Case:
    channels = draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), channels, draw(st.integers(2, 4)), *draw(st.lists(st.integers(1, 3), max_size=1)))
    tensors = (tensor(draw, shape), maybe(draw, (channels,)), maybe(draw, (channels,)))
    return finish(draw, "instance_norm", tensors, {"eps": draw(epsilons)}, spread=draw(spreads))


@st.composite
def local_response_norm(draw: st.DrawFn) -> Case:
    shape = (draw(BATCHES), draw(st.integers(1, 6)), *draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    kwargs = {
        "size": draw(st.integers(1, 7)),
        "alpha": draw(st.sampled_from([1e-4, 0.7])),
        "beta": draw(st.sampled_from([0.75, 1.0, 0.3])),
        "k": draw(st.sampled_from([1.0, 2.0])),
    }
    return finish(draw, "local_response_norm", (tensor(draw, shape),), kwargs)


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    make.__name__: make()
    for make in (
        conv2d,
        conv_transpose2d,
        max_pool2d,
        avg_pool2d,
        adaptive_max_pool2d,
        adaptive_avg_pool2d,
        unfold,
        fold,
        pad,
        cat,
        batch_norm,
        layer_norm,
        group_norm,
        instance_norm,
        local_response_norm,
    )
}
