"""Reductions: many numbers become one, along some dimensions or all.

Every function takes `dim` (a number, for some a tuple; None means all) and `keepdim` (leave the dimension there with
size 1). Numbers are added up in the next wider format and rounded once at the end, so that a float32 mean over a
million images is as exact as float32 can say it.
"""

from __future__ import annotations

import builtins
import itertools
import math
import operator
from typing import Any, NamedTuple

from ..autograd import Op, Tensor
from ..backend.dtypes import (
    INEXACT,
    as_dtype,
    dtype as DType,  # noqa: N812
    int64,
)
from .arithmetic import maximum, minimum, where
from .broadcast import WIDER, Expand, add_up, cast
from .elementwise import abs as absolute, expect_tensor, floating, isnan, sign, sqrt
from .registry import Make, Sample, op

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "sum",
    "var",
    "var_mean",
]

Axes = tuple[int, ...]


def one_dim(name: str, dim: Any, ndim: int) -> int:
    """dim counted from the front; 0 and -1 will do for a tensor of no dimensions.

    Raises:
        IndexError: if there is no such dimension.
        TypeError: if dim is no whole number.
    """
    n = ndim or 1
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: dim must be a whole number, got {dim!r}") from None
    if not -n <= d < n:
        raise IndexError(f"{name}: Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return d % n


def axes_of(name: str, dim: Any, ndim: int) -> Axes:
    """The axes that dim names, in rising order: all for None and for an empty tuple.

    Raises:
        IndexError: if there is no such dimension.
        RuntimeError: if a dimension is named twice.
    """
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    axes = sorted(one_dim(name, d, ndim) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    for a, b in itertools.pairwise(axes):
        if a == b:
            raise RuntimeError(f"{name}: dim {a} appears multiple times in the list of dims {tuple(dim)}")
    return tuple(axes) if ndim else ()


def as_optional_dtype(value: Any) -> DType | None:
    return None if value is None else as_dtype(value)


def count(shape: tuple[int, ...], axes: Axes) -> int:
    """How many numbers become one."""
    return math.prod(shape[a] for a in axes)


def with_ones(x: Tensor, shape: tuple[int, ...], axes: Axes) -> Tensor:
    """A reduced tensor with its dimensions put back, of size 1; it may have them already."""
    if x.array.ndim == len(shape):
        return x
    return x.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def spread(g: Tensor, shape: tuple[int, ...], axes: Axes) -> Tensor:
    """A reduced tensor repeated over what was reduced: the gradient of a sum."""
    return Expand.apply(with_ones(g, shape, axes), shape)


class Sum(Op):
    """The sum over axes; dx = g, repeated."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        if x.dtype.kind in "biu":
            return x.sum(axis=axes, keepdims=keepdim, dtype="int64")
        return add_up(ctx.backend, x, axes, keepdim).astype(x.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return spread(g, ctx.shape, ctx.axes), None, None


class Mean(Op):
    """The sum over axes by the number n of what is added; dx = g / n, repeated. The mean of nothing is NaN."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        total = add_up(ctx.backend, x, axes, keepdim)
        return ctx.backend.divide(total, count(x.shape, axes)).astype(x.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        n = count(ctx.shape, ctx.axes)
        return spread(g / n if n else g, ctx.shape, ctx.axes), None, None


class Var(Op):
    """sum((x - mean)^2) / (n - correction) over axes; dx = g * 2 * (x - mean) / (n - correction).

    Two passes: the squares are of differences, never differences of squares.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool, correction: float) -> Any:
        be = ctx.backend
        ctx.axes, ctx.degrees = axes, builtins.max(count(x.shape, axes) - correction, 0)
        ctx.save_for_backward(x)
        middle = be.divide(
            add_up(be, x, axes, keepdim=True), count(x.shape, axes)
        )  # in the wider format, as what follows
        squares = be.square(be.subtract(x, middle))
        return be.divide(add_up(be, squares, axes, keepdim), ctx.degrees).astype(x.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        factor = 2 / ctx.degrees if ctx.degrees else math.inf
        apart = x - Mean.apply(x, ctx.axes, True)
        return with_ones(g * factor, x.array.shape, ctx.axes) * apart, None, None, None


class Extreme(Op):
    """The greatest or the least over axes; dx = g in equal parts to all that are it, and 0 elsewhere. NaN wins."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool, function: str) -> Any:
        ctx.axes = axes
        y = ctx.backend.asarray(getattr(ctx.backend, function)(x, axis=axes, keepdims=keepdim))
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, y = ctx.saved_tensors
        shape, axes = x.array.shape, ctx.axes
        chosen = (x == with_ones(y, shape, axes)) | (x != x)
        share = cast(chosen, g.dtype) / Sum.apply(chosen, axes, True)
        return share * with_ones(g, shape, axes), None, None, None


class ArgExtreme(Op):
    """The index of the first greatest or least; it has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int | None, function: str) -> Any:
        return ctx.backend.asarray(getattr(ctx.backend, function)(x, axis=axis), dtype="int64")


class LogSumExp(Op):
    """y = log(sum(e^x)) over axes; dx = g * e^(x - y)."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool) -> Any:
        be = ctx.backend
        ctx.axes = axes
        if count(x.shape, axes) == 0:
            y = be.log(add_up(be, x, axes, keepdim)).astype(x.dtype, copy=False)  # the sum of nothing is 0
        else:
            top = x.real.max(axis=axes, keepdims=True)
            top = be.where(be.isfinite(top), top, be.zeros((), top.dtype))  # an infinite x is not shifted
            y = be.log(add_up(be, be.exp(x - top), axes, keepdim=True)) + top
            y = (y if keepdim else y.squeeze(axis=axes)).astype(x.dtype, copy=False)
        y = be.asarray(y)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, y = ctx.saved_tensors
        shape, axes = x.array.shape, ctx.axes
        y = where(y == -math.inf, 0.0, y)  # where every x is -inf all gradients are 0
        return with_ones(g, shape, axes) * (x - with_ones(y, shape, axes)).exp(), None, None


class CumSum(Op):
    """y_i = x_1 + ... + x_i along an axis; its adjoint adds from the other end, and is of the same kind."""

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int, from_end: bool) -> Any:
        be = ctx.backend
        ctx.axis, ctx.from_end = axis, from_end
        kind = "int64" if x.dtype.kind in "biu" else x.dtype
        total = be.cumsum(be.flip(x, axis) if from_end else x, axis=axis, dtype=WIDER.get(x.dtype.char, kind))
        return (be.flip(total, axis) if from_end else total).astype(kind, copy=False)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return CumSum.apply(g, ctx.axis, not ctx.from_end), None, None


class Holds(Op):
    """Whether all elements over axes, or any of them, are not 0; it has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Axes, keepdim: bool, function: str) -> Any:
        return getattr(ctx.backend, function)(x, axis=axes, keepdims=keepdim)


class MaxMin(NamedTuple):
    """What max and min return along a dimension: the values, and the index of each."""

    values: Tensor
    indices: Tensor


def _any_dim(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3)),
        make.sample(make(2, 3, 2), 1),
        make.sample(make(2, 3, 2), dim=(0, -1), keepdim=True),
        make.sample(make()),
    ]


def _any_dim_no_ties(make: Make) -> list[Sample]:
    return [
        make.sample(make.apart(2, 3)),
        make.sample(make.apart(2, 3, 2), 1),
        make.sample(make.apart(2, 3, 2), dim=(0, -1), keepdim=True),
        make.sample(make.apart()),
    ]


def _one_dim_no_ties(make: Make) -> list[Sample]:
    return [
        make.sample(make.apart(2, 3)),
        make.sample(make.apart(2, 3, 2), 1),
        make.sample(make.apart(2, 3), dim=-1, keepdim=True),
    ]


@op(_any_dim, linear=True)
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum; 0 of nothing. Integers and booleans add up to int64.

    Args:
        input: any shape.
        dim: which dimensions to add along, a number or a tuple; None means all.
        keepdim: whether they stay, with size 1.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x.sum(), x.sum(0)
        (tensor(10.), tensor([4., 6.]))
    """
    x = _as_kind("sum", input, dtype)
    return Sum.apply(x, axes_of("sum", dim, x.array.ndim), keepdim)


@op(_any_dim, linear=True)
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean; NaN of nothing.

    Args:
        input: any shape.
        dim: which dimensions to average over, a number or a tuple; None means all.
        keepdim: whether they stay, with size 1.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.
        RuntimeError: if input holds integers and no floating dtype is given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=1)
        tensor([1.5000, 3.5000])
    """
    x = _as_kind("mean", input, dtype)
    _check_floating("mean", x)
    return Mean.apply(x, axes_of("mean", dim, x.array.ndim), keepdim)


def _as_kind(name: str, input: Tensor, dtype: Any) -> Tensor:
    kind = as_optional_dtype(dtype)
    return expect_tensor(name, input) if kind is None else cast(expect_tensor(name, input), kind)


def _check_floating(name: str, x: Tensor) -> None:
    if x.array.dtype.char not in INEXACT:
        raise RuntimeError(
            f"{name}: the input dtype must be floating or complex, got {x.dtype!r}; convert it with .float() before"
        )


def _spread_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3)),
        make.sample(make(2, 3, 2), 1, unbiased=False),
        make.sample(make(2, 3, 2), dim=(0, -1), correction=0, keepdim=True),
        make.sample(make(2, 4), -1, correction=2),
    ]


def _spread_arguments(
    name: str, input: Tensor, dim: Any, unbiased: bool | None, correction: float | None
) -> tuple[Axes, float]:
    _check_floating(name, expect_tensor(name, input))
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    elif unbiased is not None:
        raise TypeError(f"{name}: give unbiased or correction, not both")
    return axes_of(name, dim, input.array.ndim), correction


@op(_spread_samples, analytic=True)
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance, sum((x - mean)^2) / (n - correction).

    Args:
        input: any shape.
        dim: which dimensions to go over, a number or a tuple; None means all.
        unbiased: True for the correction 1 (the default), False for 0.
        keepdim: whether the dimensions stay, with size 1.
        correction: what to take off the number of elements.

    Raises:
        IndexError: if there is no such dimension.
        RuntimeError: if input holds integers.
        TypeError: if both unbiased and correction are given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1.0, 2.0, 3.0, 4.0]).var(correction=0)
        tensor(1.2500)
    """
    axes, taken = _spread_arguments("var", input, dim, unbiased, correction)
    return Var.apply(input, axes, keepdim, taken)


@op(_spread_samples, analytic=True)
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation, the square root of `var` with the same arguments.

    Where all elements are equal it is 0 and has no derivative; its gradient there is taken as 0.

    Raises:
        IndexError: if there is no such dimension.
        RuntimeError: if input holds integers.
        TypeError: if both unbiased and correction are given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1.0, 2.0, 3.0, 4.0]).std(unbiased=False)
        tensor(1.1180)
    """
    axes, taken = _spread_arguments("std", input, dim, unbiased, correction)
    return _root(Var.apply(input, axes, keepdim, taken), 2)


def _root(x: Tensor, degree: float) -> Tensor:
    """x^(1/degree), of a sum that is 0 only where all its parts are: there the gradient is taken as 0, not infinite."""
    is_zero = x == 0
    safe = where(is_zero, 1.0, x)
    return where(is_zero, 0.0, sqrt(safe) if degree == 2 else safe ** (1 / degree))


@op(_spread_samples, analytic=True, method=False)
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean, with the arguments of `var`.

    Raises:
        IndexError: if there is no such dimension.
        RuntimeError: if input holds integers.
        TypeError: if both unbiased and correction are given.

    Example:
        >>> import tinycnn
        >>> tinycnn.var_mean(tinycnn.tensor([1.0, 3.0]))
        (tensor(2.), tensor(2.))
    """
    axes, taken = _spread_arguments("var_mean", input, dim, unbiased, correction)
    return Var.apply(input, axes, keepdim, taken), Mean.apply(input, axes, keepdim)


@op(
    lambda make: [
        make.sample(make(2, 3)),
        make.sample(make(2, 5, 2), 1),
        make.sample(make(2, 3), dim=-1, keepdim=True),
        make.sample(make()),
    ],
    analytic=True,
)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product; 1 of nothing. Integers and booleans multiply to int64.

    It is a tournament: each round multiplies the first half with the second. So its gradient is made of products too,
    with no division, and is right where elements are 0.

    Args:
        input: any shape.
        dim: which dimension to multiply along; None means all.
        keepdim: whether it stays, with size 1.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]).prod(dim=1)
        tensor([ 2., 12.])
    """
    x = _as_kind("prod", input, dtype)
    x = cast(x, int64) if x.array.dtype.kind in "biu" else x
    shape = x.array.shape
    axis = 0 if dim is None else one_dim("prod", dim, len(shape))
    if dim is None or not shape:
        x = x.reshape(-1)
    before = (slice(None),) * axis
    left_over = None
    while (n := x.array.shape[axis]) > 1:
        if n % 2:
            last = x[(*before, slice(n - 1, n))]
            left_over = last if left_over is None else left_over * last
        x = x[(*before, slice(n // 2))] * x[(*before, slice(n // 2, n // 2 * 2))]
    if left_over is not None:
        x = x * left_over
    elif x.array.shape[axis] == 0:
        x = Sum.apply(x, (axis,), True) + 1  # the sum of nothing is 0
    elif x.array.size == input.array.size:
        x = x * 1  # not a view of input
    ones = tuple(1 if dim is None or i == axis else n for i, n in enumerate(shape))
    wanted = ones if keepdim else () if dim is None else shape[:axis] + shape[axis + 1 :]
    return x.reshape(wanted)


@op(_any_dim_no_ties, kinks="ties")
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The greatest element; NaN if there is one. Where several are equal, each gets an equal part of the gradient.

    Args:
        input: any shape.
        dim: which dimensions to look along, a number or a tuple; () means all.
        keepdim: whether they stay, with size 1.

    Raises:
        IndexError: if there is no such dimension, or its size is 0.
        RuntimeError: if input is empty and no dim is given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 5.0], [3.0, 4.0]]).amax(dim=(0, 1))
        tensor(5.)
    """
    return _extreme("amax", "max", input, dim, keepdim)


@op(_any_dim_no_ties, kinks="ties")
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The least element; NaN if there is one. Where several are equal, each gets an equal part of the gradient.

    Args:
        input: any shape.
        dim: which dimensions to look along, a number or a tuple; () means all.
        keepdim: whether they stay, with size 1.

    Raises:
        IndexError: if there is no such dimension, or its size is 0.
        RuntimeError: if input is empty and no dim is given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 5.0], [3.0, 4.0]]).amin(dim=(0, 1))
        tensor(1.)
    """
    return _extreme("amin", "min", input, dim, keepdim)


def _extreme(name: str, function: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    axes = axes_of(name, dim, expect_tensor(name, input).array.ndim)
    _check_not_empty(name, input, axes, dim in (None, ()))
    return Extreme.apply(input, axes, keepdim, function)


def _check_not_empty(name: str, x: Tensor, axes: Axes, over_all: bool) -> None:
    """Raise if there is nothing to choose from: as in PyTorch a RuntimeError over all, an IndexError along a dim."""
    shape = x.array.shape
    if over_all and x.array.size == 0:
        raise RuntimeError(f"{name}: a tensor of shape {shape} has no elements to choose from; give a dim of size > 0")
    for axis in axes:
        if shape[axis] == 0:
            raise IndexError(f"{name}: dim {axis} of a tensor of shape {shape} is empty, expected a size > 0")


@op(_one_dim_no_ties, kinks="ties")
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The greatest element; or, along dim, a pair (values, indices); or, of two tensors, the greater by element.

    NaN is greater than all. Without dim the gradient goes in equal parts to all that are greatest; along dim it goes
    to the one whose index is returned, the first.

    Args:
        input: any shape.
        dim: which dimension to look along, or the other tensor, as for `maximum`.
        keepdim: whether that dimension stays, with size 1.

    Raises:
        IndexError: if there is no such dimension, or its size is 0.
        RuntimeError: if input is empty and no dim is given.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1.0, 5.0], [3.0, 4.0]])
        >>> x.max()
        tensor(5.)
        >>> values, indices = x.max(dim=1)
        >>> values, indices
        (tensor([5., 4.]), tensor([1, 1]))
    """
    if isinstance(dim, Tensor) or other is not None:
        return maximum(input, dim if other is None else other)
    return _extreme("max", "max", input, (), keepdim) if dim is None else _along("max", input, dim, keepdim)


@op(_one_dim_no_ties, kinks="ties")
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The least element; or, along dim, a pair (values, indices); or, of two tensors, the smaller by element.

    NaN is less than all. Without dim the gradient goes in equal parts to all that are least; along dim it goes to the
    one whose index is returned, the first.

    Args:
        input: any shape.
        dim: which dimension to look along, or the other tensor, as for `minimum`.
        keepdim: whether that dimension stays, with size 1.

    Raises:
        IndexError: if there is no such dimension, or its size is 0.
        RuntimeError: if input is empty and no dim is given.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 5.0], [3.0, 4.0]]).min(dim=0).indices
        tensor([0, 1])
    """
    if isinstance(dim, Tensor) or other is not None:
        return minimum(input, dim if other is None else other)
    return _extreme("min", "min", input, (), keepdim) if dim is None else _along("min", input, dim, keepdim)


def _along(name: str, input: Tensor, dim: int, keepdim: bool) -> MaxMin:
    """max or min along one dimension: the index decides, and the value is what lies there."""
    axis = one_dim(name, dim, expect_tensor(name, input).array.ndim)
    indices = _arg_extreme(name, f"arg{name}", input, axis, True)
    if input.array.ndim == 0:
        return MaxMin(Extreme.apply(input, (), False, name), indices)
    values = input.gather(axis, indices)
    return MaxMin(values, indices) if keepdim else MaxMin(values.squeeze(axis), indices.squeeze(axis))


@op(_one_dim_no_ties, differentiable=False)
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the greatest element, the first if there are several.

    Args:
        input: any shape.
        dim: which dimension to look along; None means all elements in their order, as one row.
        keepdim: whether that dimension stays, with size 1.

    Raises:
        IndexError: if there is no such dimension, or nothing to choose from.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 5.0], [7.0, 4.0]]).argmax(dim=1)
        tensor([1, 0])
    """
    axis = None if dim is None else one_dim("argmax", dim, expect_tensor("argmax", input).array.ndim)
    return _arg_extreme("argmax", "argmax", input, axis, keepdim)


@op(_one_dim_no_ties, differentiable=False)
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the least element, the first if there are several.

    Args:
        input: any shape.
        dim: which dimension to look along; None means all elements in their order, as one row.
        keepdim: whether that dimension stays, with size 1.

    Raises:
        IndexError: if there is no such dimension, or nothing to choose from.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 5.0], [7.0, 4.0]]).argmin(dim=1)
        tensor([0, 1])
    """
    axis = None if dim is None else one_dim("argmin", dim, expect_tensor("argmin", input).array.ndim)
    return _arg_extreme("argmin", "argmin", input, axis, keepdim)


def _arg_extreme(name: str, function: str, input: Tensor, axis: int | None, keepdim: bool) -> Tensor:
    shape = expect_tensor(name, input).array.shape
    axes = tuple(range(len(shape))) if axis is None or not shape else (axis,)
    _check_not_empty(name, input, axes, False)
    index: Tensor = ArgExtreme.apply(input, axis if shape else None, function)
    return with_ones(index, shape, axes) if keepdim and shape else index


@op(
    lambda make: [
        make.sample(make(2, 3), 1),
        make.sample(make(2, 3, 2), dim=(0, -1), keepdim=True),
        make.sample(make(), 0),
    ],
    analytic=True,
)
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(e^input)), whatever the size of input: the greatest element is taken out before.

    Args:
        input: any shape.
        dim: which dimensions to add along, a number or a tuple.
        keepdim: whether they stay, with size 1.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([100.0, 100.0]).logsumexp(dim=0)
        tensor(100.6931)
    """
    x = floating("logsumexp", input)
    return LogSumExp.apply(x, axes_of("logsumexp", dim, x.array.ndim), keepdim)


@op(lambda make: [make.sample(make(2, 3), 1), make.sample(make(3, 2), dim=-2), make.sample(make(), 0)], linear=True)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums x_1, x_1 + x_2, x_1 + x_2 + x_3, ... along dim.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([1, 2, 3]).cumsum(dim=0)
        tensor([1, 3, 6])
    """
    x = _as_kind("cumsum", input, dtype)
    axis = one_dim("cumsum", dim, x.array.ndim)
    return CumSum.apply(x, axis, False) if x.array.ndim else sum(x)


@op(
    lambda make: [
        make.sample(make.apart(2, 3)),
        make.sample(make.apart(2, 3, 2), dim=(0, 2), keepdim=True),
        make.sample(make.apart(2, 3), 1, 1),
        make.sample(make.apart(2, 3), 3, -1),
        make.sample(make.apart(2, 3), 1.5),
        make.sample(make.apart(2, 3), math.inf, dim=1),
        make.sample(make.apart(2, 3), -math.inf),
    ],
    kinks="0; for infinite p also ties of |input|",
)
def norm(
    input: Tensor, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The p-norm of the elements, sum(|x|^p)^(1/p); its gradient where all are 0 is taken as 0, for p < 1 at each 0.

    Args:
        input: any shape.
        p: "fro" or 2 for the Euclidean norm, math.inf for the greatest |x|, -math.inf for the least, 0 for how many
            are not 0 (NaN is not).
        dim: which dimensions to go over, a number or a tuple; None means all.
        keepdim: whether they stay, with size 1.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.
        NotImplementedError: if p is "nuc", the nuclear norm.
        RuntimeError: if input holds integers.
        ValueError: if p is another word.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([3.0, 4.0]).norm()
        tensor(5.)
    """
    x = _as_kind("norm", input, dtype)
    _check_floating("norm", x)
    if isinstance(p, str) and p == "nuc":
        raise NotImplementedError("norm: the nuclear norm, p='nuc', is not supported; p must be a number or 'fro'")
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    degree = 2.0 if p is None or isinstance(p, str) else float(p)
    axes = axes_of("norm", dim, x.array.ndim)
    if degree == 2:
        return _root(Sum.apply(x * x, axes, keepdim), 2)
    size = absolute(x)
    if math.isinf(degree):
        return _extreme("norm", "max" if degree > 0 else "min", size, axes, keepdim)
    if degree == 0:
        return Sum.apply(where(isnan(size), 1.0, sign(size)), axes, keepdim)
    if degree == 1:
        return Sum.apply(size, axes, keepdim)
    powers = _power_of_size(size, degree) if degree < 1 else size**degree
    total = Sum.apply(powers, axes, keepdim)
    return _root(total, degree) if degree > 0 else total ** (1 / degree)


def _power_of_size(size: Tensor, degree: float) -> Tensor:
    """|x|^degree for a degree below 1. The slope, infinite at 0, is taken as 1: that of |x| is 0 there."""
    is_zero = size == 0
    return where(is_zero, size if degree > 0 else size + math.inf, where(is_zero, 1.0, size) ** degree)


def _truth(make: Make) -> list[Sample]:
    return [
        make.sample(make.booleans(2, 3)),
        make.sample(make.integers(2, 2, 3), 1),
        make.sample(make.booleans(2, 3), dim=0, keepdim=True),
    ]


def _holds(name: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    ndim = expect_tensor(name, input).array.ndim
    axes = () if dim == () else axes_of(name, dim, ndim)
    out = Holds.apply(input, axes, keepdim, name)
    return cast(out, input.dtype) if input.array.dtype.name == "uint8" else out  # as in PyTorch, once its boolean


@op(_truth, differentiable=False)
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are true, that is not 0; True of nothing.

    Args:
        input: any shape.
        dim: which dimensions to look along, a number or a tuple; None means all, () none.
        keepdim: whether they stay, with size 1.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[True, False], [True, True]]).all(dim=1)
        tensor([False,  True])
    """
    return _holds("all", input, dim, keepdim)


@op(_truth, differentiable=False)
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether at least one element is true, that is not 0; False of nothing.

    Args:
        input: any shape.
        dim: which dimensions to look along, a number or a tuple; None means all, () none.
        keepdim: whether they stay, with size 1.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[True, False], [False, False]]).any(dim=1)
        tensor([ True, False])
    """
    return _holds("any", input, dim, keepdim)


@op(
    lambda make: [make.sample(make.integers(2, 2, 3)), make.sample(make.integers(2, 2, 3), dim=1)],
    differentiable=False,
)
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not 0.

    Args:
        input: any shape.
        dim: which dimensions to count along, a number or a tuple; None means all.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[0, 1], [2, 3]]).count_nonzero(dim=0)
        tensor([1, 2])
    """
    axes = axes_of("count_nonzero", dim, expect_tensor("count_nonzero", input).array.ndim)
    return Sum.apply(input != 0, axes, False)
