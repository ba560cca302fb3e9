"""Reading and writing parts of a tensor: x[...], gather and scatter, masks, sorting.

An index has two halves. Numbers, slices, `...` and None choose a regular part, which is a view of the same memory
(`Slice`). Arrays of integers and masks, applied to that view, choose elements one by one and copy (`Pick`). Each has
its adjoint: `Place` lays a regular part into zeros, `AddInto` adds elements where they were picked, twice where they
were picked twice.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

from ..autograd import Op, Tensor, is_grad_enabled, wrap
from ..autograd.conversion import as_array
from ..backend import Backend, backend_of
from .arithmetic import where
from .broadcast import cast, holds, scalar_of, sum_to
from .registry import Make, add_method, op

__all__ = [
    "argsort",
    "gather",
    "index_add",
    "index_put",
    "index_select",
    "masked_fill",
    "masked_select",
    "nonzero",
    "one_hot",
    "scatter",
    "scatter_add",
    "sort",
    "take_along_dim",
    "topk",
]

_ALL = slice(None)


class ValuesIndices(NamedTuple):
    """What `sort` and `topk` return: values, and the places they came from."""

    values: Tensor
    indices: Tensor


class Slice(Op):
    """x[index] for a basic index (numbers, slices, None), a view; the gradient is laid into zeros."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, index: tuple[Any, ...]) -> Any:
        ctx.shape, ctx.index = x.shape, index
        return x[(*index, ...)]  # with `...` even a single element comes as a view

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Place.apply(g, ctx.shape, ctx.index), None


class Place(Op):
    """Zeros of a shape with x laid at a basic index: the adjoint of Slice."""

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...], index: tuple[Any, ...]) -> Any:
        ctx.index = index
        out = _zeros(ctx.backend, x, shape)
        out[index] = x
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Slice.apply(g, ctx.index), None, None


class Pick(Op):
    """x[index] for index arrays, a copy; the gradients of elements picked twice add up. `once` says none is."""

    @staticmethod
    def forward(ctx: Any, x: Any, index: tuple[Any, ...], once: bool) -> Any:
        ctx.shape, ctx.index, ctx.once = x.shape, index, once
        return x[index]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return AddInto.apply(g, ctx.shape, ctx.index, ctx.once), None, None


class AddInto(Op):
    """Zeros of a shape with x added at index arrays: the adjoint of Pick."""

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...], index: tuple[Any, ...], once: bool) -> Any:
        ctx.index, ctx.once = index, once
        out = _zeros(ctx.backend, x, shape)
        if once:
            out[index] = x
        else:
            ctx.backend.add_at(out, index, x)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return Pick.apply(g, ctx.index, ctx.once), None, None, None


class IndexPut(Op):
    """A copy of x with v written at index arrays; the gradient of what was written over is zero."""

    @staticmethod
    def forward(ctx: Any, x: Any, v: Any, index: tuple[Any, ...]) -> Any:
        ctx.index, ctx.shape = index, getattr(v, "shape", None)
        out = x.copy(order="K")
        out[index] = v
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        g_x = IndexPut.apply(g, 0, ctx.index) if ctx.needs_input_grad[0] else None
        g_v = sum_to(Pick.apply(g, ctx.index, False), ctx.shape) if ctx.needs_input_grad[1] else None
        return g_x, g_v, None


class IndexAdd(Op):
    """A copy of x with v added at index arrays."""

    @staticmethod
    def forward(ctx: Any, x: Any, v: Any, index: tuple[Any, ...]) -> Any:
        ctx.index, ctx.shape = index, v.shape
        out = x.copy(order="K")
        ctx.backend.add_at(out, index, v)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        g_v = sum_to(Pick.apply(g, ctx.index, False), ctx.shape) if ctx.needs_input_grad[1] else None
        return g if ctx.needs_input_grad[0] else None, g_v, None


def _zeros(backend: Backend, like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape; they lie in memory as `like` does if the dimensions are as many."""
    if like.ndim == len(shape):
        return backend.zeros_like(like, shape=shape)
    return backend.zeros(shape, like.dtype)


# ---- understanding an index ------------------------------------------------------------------------------------------


def dim_of(name: str, dim: Any, ndim: int) -> int:
    """dim counted from the front.

    Raises:
        IndexError: if there is no such dimension.
    """
    n = max(ndim, 1)
    dim = operator.index(dim)
    if not -n <= dim < n:
        raise IndexError(f"{name}: dim {dim} is out of range for {ndim} dimensions, expected {-n} to {n - 1}")
    return dim % n


def _whole(name: str, index: Any, size: int, dim: int, lowest: int | None = None) -> Any:
    """An integer array as indices of a dimension, counted from the front, in memory of its own."""
    return backend_of(index).on_device(_whole_here, name, index, size, dim, lowest)


def _whole_here(name: str, index: Any, size: int, dim: int, lowest: int | None) -> Any:
    lowest = -size if lowest is None else lowest
    if index.size and (int(index.min()) < lowest or int(index.max()) >= size):
        bad = index[(index < lowest) | (index >= size)].reshape(-1)[0]
        raise IndexError(f"{name}: index {int(bad)} is out of range for dimension {dim} with size {size}")
    index = index.astype("int64", copy=True)
    if lowest < 0 and index.size:
        index += size * (index < 0)
    return index


def _item_of(name: str, item: Any, backend: Backend) -> Any:
    """One item of an index as an int, a slice, None, Ellipsis, or an array of integers or booleans."""
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        start, stop, step = (None if x is None else operator.index(x) for x in (item.start, item.stop, item.step))
        if step is not None and step <= 0:
            raise ValueError(f"{name}: a slice's step must be greater than zero, got {step}; see flip")
        return slice(start, stop, step)
    if isinstance(item, bool):
        return backend.asarray(item)
    if isinstance(item, int):
        return item
    if isinstance(item, Tensor) and item.backend is backend:
        array = item.array
    elif isinstance(item, (Tensor, list, tuple, range)) or hasattr(item, "dtype"):
        array = as_array(list(item) if isinstance(item, range) else item, None, backend)
        if array.size == 0 and not hasattr(item, "dtype"):
            array = array.astype("int64")
    elif hasattr(item, "__index__"):
        return operator.index(item)
    else:
        raise TypeError(f"{name}: an index is made of ints, slices, ..., None, tensors and lists, not {item!r}")
    if array.dtype.kind not in "biu" or array.dtype.name == "uint8":
        raise IndexError(f"{name}: tensors used as indices must be int64, int32 or bool, got {array.dtype.name}")
    return int(array.item()) if array.ndim == 0 and array.dtype.kind != "b" else array


class _Index(NamedTuple):
    """An index of a tensor: first the basic half, then, on what that gives, the arrays (None if there are none)."""

    basic: tuple[Any, ...]
    arrays: tuple[Any, ...] | None
    once: bool  # whether no element is picked twice


def _understand(name: str, x: Tensor, index: Any) -> _Index:
    backend, shape = x.backend, x.array.shape
    items = [_item_of(name, i, backend) for i in (index if isinstance(index, tuple) else (index,))]
    used = sum(getattr(i, "ndim", 1) if getattr(i, "dtype", None) == "bool" else 1 for i in items if i is not None)
    dots = sum(i is Ellipsis for i in items)
    if dots > 1:
        raise IndexError(f"{name}: an index can hold only one '...'")
    missing = len(shape) - used + dots
    if missing < 0:
        raise IndexError(f"{name}: too many indices for a tensor of shape {shape}: {used - dots}")
    place = next((n for n, i in enumerate(items) if i is Ellipsis), len(items))
    items[place : place + 1] = [_ALL] * missing

    basic: list[Any] = []
    arrays: list[Any] = []  # one entry for each dimension that the basic half leaves
    masks = numbers = dim = 0
    for item in items:
        if item is None or isinstance(item, slice):
            basic.append(item)
            arrays.append(_ALL)
            dim += item is not None
        elif isinstance(item, int):
            if not -shape[dim] <= item < shape[dim]:
                raise IndexError(f"{name}: index {item} is out of range for dimension {dim} with size {shape[dim]}")
            basic.append(item)
            dim += 1
        elif item.dtype != "bool":
            basic.append(_ALL)
            arrays.append(_whole(name, item, shape[dim], dim))
            numbers += 1
            dim += 1
        elif item.ndim == 0:  # True keeps a new dimension of size 1, False empties it
            basic.append(None)
            arrays.append(backend.zeros(int(item), "int64"))
            masks += 1
        else:
            part = shape[dim : dim + item.ndim]
            if item.shape != part:
                raise IndexError(
                    f"{name}: a mask of shape {item.shape} does not fit dimensions {dim} to {dim + item.ndim - 1} of a "
                    f"tensor of shape {shape}"
                )
            basic += [_ALL] * item.ndim
            arrays += backend.nonzero(item)
            masks += 1
            dim += item.ndim
    if masks + numbers:
        _common_shape(name, [a.shape for a in arrays if not isinstance(a, slice)])  # raises
        return _Index(tuple(basic), tuple(arrays), masks == 1 and numbers == 0)
    return _Index(tuple(basic), None, True)


def _common_shape(name: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that index arrays of these shapes broadcast to."""
    ndim = max(map(len, shapes))
    common = []
    for column in zip(*((1,) * (ndim - len(s)) + tuple(s) for s in shapes), strict=True):
        sizes = {n for n in column if n != 1}
        if len(sizes) > 1:
            raise IndexError(f"{name}: index arrays of shapes {', '.join(map(str, shapes))} do not broadcast")
        common.append(sizes.pop() if sizes else 1)
    return tuple(common)


def _getitem(self: Tensor, index: Any) -> Tensor:
    """The part of a tensor at an index: a view for ints, slices, `...` and None; a copy for tensors, lists and masks.

    Raises:
        IndexError: if an index is out of range, or a mask or the number of indices does not fit.
        ValueError: if a slice's step is not positive.
    """
    if isinstance(index, int) and not isinstance(index, bool) and self.array.ndim:  # the loop over a first dimension
        n = self.array.shape[0]
        if not -n <= index < n:
            raise IndexError(f"getitem: index {index} is out of range for dimension 0 with size {n}")
        return Slice.apply(self, (index,))
    basic, arrays, once = _understand("getitem", self, index)
    if arrays is None:
        return Slice.apply(self, basic)
    return Pick.apply(_part(self, basic), arrays, once)


def _part(x: Tensor, basic: tuple[Any, ...]) -> Tensor:
    """x at a basic index; x itself if that is all of it."""
    return x if all(i == _ALL for i in basic) else Slice.apply(x, basic)


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """Write value, which broadcasts, to the part of a tensor at an index; recorded where gradients are.

    Raises:
        IndexError: as reading does.
        ValueError: if value does not broadcast to that part.
        RuntimeError: if the tensor is a leaf that requires a gradient; or, for elements picked by tensors or masks, if
            value has a dtype that they cannot hold, as floating numbers for integers.
    """
    basic, arrays, _ = _understand("setitem", self, index)
    part = _part(self, basic)
    if arrays is None:
        if not isinstance(value, Tensor) and scalar_of(value) is None:
            value = wrap(as_array(value, None, self.backend), self.backend)
        if isinstance(value, Tensor):
            value = _without_leading_ones(value, part.array.ndim)
            check_fits("setitem", value.array.shape, part.array.shape)
            part.copy_(value)
        else:
            part.fill_(value)
        return
    if isinstance(value, Tensor) and value.dtype.category > part.dtype.category:
        raise RuntimeError(f"setitem: {value.dtype!r} cannot be written to elements of {part.dtype!r}; cast it first")
    value = value_for(part, value)
    value = _without_leading_ones(value, len(_picked_shape(part, arrays)))
    check_fits("setitem", value.array.shape, _picked_shape(part, arrays))
    part.check_writable()
    part.bring_up_to_date()
    if is_grad_enabled() and (part.requires_grad or value.requires_grad):
        part.assign_(IndexPut.apply(part.snapshot(), value, arrays))
    else:
        part.array[arrays] = value.array
        part._version[0] += 1


def value_for(x: Tensor, value: Any) -> Tensor:
    """value as a tensor of x's dtype on x's device."""
    if not isinstance(value, Tensor):
        return wrap(as_array(value, x.dtype, x.backend), x.backend)
    value = value if value.backend is x.backend else value.to(x.device)
    return cast(value, x.dtype)


def _without_leading_ones(value: Tensor, ndim: int) -> Tensor:
    extra = value.array.ndim - ndim
    if extra > 0 and all(n == 1 for n in value.array.shape[:extra]):
        return value[(0,) * extra]
    return value


def _picked_shape(x: Tensor, arrays: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of x[arrays]: the arrays' dimensions stand in the place of the first if they are neighbours, else in
    front."""
    places = [i for i, a in enumerate(arrays) if not isinstance(a, slice)]
    common = _common_shape("setitem", [arrays[i].shape for i in places])
    rest = [n for i, n in enumerate(x.array.shape) if i not in places]
    first = places[0] if places[-1] - places[0] == len(places) - 1 else 0
    return (*rest[:first], *common, *rest[first:])


def check_fits(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    short = target[len(target) - len(shape) :]
    if len(shape) > len(target) or any(m not in (1, n) for m, n in zip(shape, short, strict=True)):
        raise ValueError(f"{name}: a value of shape {tuple(shape)} does not broadcast to {tuple(target)}")


add_method("__getitem__", _getitem)
add_method("__setitem__", _setitem)


# ---- picking along one dimension -------------------------------------------------------------------------------------


def _index_array(name: str, x: Tensor, index: Any) -> Any:
    """An index tensor's array, of integers."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}: index must be a tensor, got {type(index).__name__}")
    if index.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: index must hold integers, got {index.dtype!r}")
    if index.backend is not x.backend:
        raise RuntimeError(f"{name}: input is on {x.device}, index on {index.device}; move one with .to(device)")
    return index.array


def _line(name: str, x: Tensor, dim: Any, index: Any) -> tuple[Any, ...]:
    """x[result] are the entries of dim that a one-dimensional index names."""
    dim = dim_of(name, dim, x.array.ndim)
    array = _index_array(name, x, index)
    if array.ndim > 1:
        raise IndexError(f"{name}: index must have at most one dimension, got shape {array.shape}")
    size = x.array.shape[dim] if x.array.ndim else 1
    array = _whole(name, array.reshape(-1), size, dim, lowest=0)
    return (_ALL,) * dim + (array,)


def _along(name: str, x: Tensor, dim: Any, index: Any) -> tuple[Any, ...]:
    """x[result] is, at each place of index, the element of x at that place, but for dim, where index says which."""
    dim = dim_of(name, dim, x.array.ndim)
    array = _index_array(name, x, index)
    shape = x.array.shape
    pairs = list(zip(array.shape, shape, strict=False))
    if array.ndim != len(shape) or any(m > n for i, (m, n) in enumerate(pairs) if i != dim):
        raise ValueError(
            f"{name}: an index of shape {array.shape} does not fit a tensor of shape {shape}: it needs as many "
            f"dimensions, none but dim {dim} longer"
        )
    if not shape:
        return ()
    array = _whole(name, array, shape[dim], dim, lowest=0)
    line = [1] * len(shape)
    places = [x.backend.arange(n).reshape((*line[:i], n, *line[i + 1 :])) for i, n in enumerate(array.shape)]
    places[dim] = array
    return tuple(places)


@op(
    lambda make: [
        make.sample(make(3, 4), 1, make.integers(4, 5)),
        make.sample(make(3, 2, 2), 0, make.integers(3, 2)),
    ],
    linear=True,
)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries of dimension dim that index (one dimension, integers) names, copied; one named twice comes twice.

    Raises:
        IndexError: if an index is out of range.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1, 2, 3], [4, 5, 6]])
        >>> x.index_select(1, tinycnn.tensor([2, 0]))
        tensor([[3, 1],
                [6, 4]])
    """
    if input.array.ndim == 0:
        return index_select(input.reshape(1), dim, index).reshape(())
    return Pick.apply(input, _line("index_select", input, dim, index), False)


@op(
    lambda make: [
        make.sample(make(3, 4), 1, make.integers(4, 3, 5)),
        make.sample(make(3, 4, 2), 0, make.integers(3, 2, 3, 2)),
    ],
    linear=True,
)
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, input[i][index[i][j]] for dim 1, and so on; out has index's shape.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if index has not as many dimensions as input, or one other than dim is longer.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[1, 2], [3, 4]])
        >>> x.gather(1, tinycnn.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
    """
    return Pick.apply(input, _along("gather", input, dim, index), False)


def _source_part(name: str, x: Tensor, index: Tensor, src: Any) -> Tensor:
    """The part of src that index covers, in x's dtype."""
    shape = index.array.shape
    if src.array.ndim != len(shape) or any(m > n for m, n in zip(shape, src.array.shape, strict=True)):
        raise ValueError(f"{name}: an index of shape {shape} does not fit a source of shape {src.array.shape}")
    if src.array.dtype != x.array.dtype:
        raise TypeError(f"{name}: input has dtype {x.dtype!r}, src {src.dtype!r}; they must be one")
    return _part(src, tuple(slice(0, n) if n != m else _ALL for n, m in zip(shape, src.array.shape, strict=True)))


def _permutations(make: Make, rows: int, n: int, keep: int) -> Tensor:
    """Indices (rows, keep) in [0, n), no two in a row the same."""
    array = make.backend.stack([make.random.permutation(n)[:keep] for _ in range(rows)])
    return wrap(array, make.backend)


@op(
    lambda make: [
        make.sample(make(2, 4), 1, _permutations(make, 2, 4, 3), make(3, 3)),
        make.sample(make(2, 4), 1, _permutations(make, 2, 4, 3), 2.5),
    ],
    analytic=True,
)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """A copy of input with out[i][index[i][j]] = src[i][j] (for dim 1): gather, the other way round.

    Args:
        src: a tensor at least as large as index, or a number. Of elements written twice, one stays; which one is left
            open, and all of their sources get its gradient.
        value: a number for src, by PyTorch's other name.
        reduce: "add" adds, as `scatter_add` does; "multiply" is not offered.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if the shapes do not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3).scatter(1, tinycnn.tensor([[2], [0]]), 1.0)
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    if reduce not in (None, "add"):
        raise ValueError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter: src is missing: a tensor, or a number")
    if not isinstance(src, Tensor):
        src = wrap(input.backend.full(index.array.shape, src, input.array.dtype), input.backend)
    if reduce == "add":
        return scatter_add(input, dim, index, src)
    places = _along("scatter", input, dim, index)
    return IndexPut.apply(input, _source_part("scatter", input, index, src), places)


@op(
    lambda make: [
        make.sample(make(2, 4), 1, make.integers(4, 2, 5), make(3, 5)),
        make.sample(make(4), 0, make.integers(4, 6), make(6)),
    ],
    analytic=True,
)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of input with out[i][index[i][j]] += src[i][j] (for dim 1); an element named twice gets both.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if the shapes do not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(3).scatter_add(0, tinycnn.tensor([0, 0, 2]), tinycnn.tensor([1.0, 2.0, 3.0]))
        tensor([3., 0., 3.])
    """
    places = _along("scatter_add", input, dim, index)
    return IndexAdd.apply(input, _source_part("scatter_add", input, index, src), places)


@op(
    lambda make: [
        make.sample(make(3, 4), 1, make.integers(4, 2), make(3, 2)),
        make.sample(make(3, 2), 0, make.integers(3, 5), make(5, 2), alpha=2.0),
    ],
    analytic=True,
)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy of input with alpha * source added to the entries of dimension dim that index names.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if source does not have the shape of those entries.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(3).index_add(0, tinycnn.tensor([0, 0]), tinycnn.tensor([1.0, 2.0]))
        tensor([3., 0., 0.])
    """
    places = _line("index_add", input, dim, index)
    wanted = _picked_shape(input, places)
    if source.array.shape != wanted:
        raise ValueError(f"index_add: source has shape {source.array.shape}, the entries named have {wanted}")
    source = source if alpha == 1 else source * alpha
    return IndexAdd.apply(input, cast(source, input.dtype), places)


@op(
    lambda make: [
        make.sample(make(4, 3), (_permutations(make, 1, 4, 2).reshape(2),), make(2, 3)),
        make.sample(make(4, 3), (make.integers(4, 5), make.integers(3, 5)), make(5), accumulate=True),
    ],
    analytic=True,
)
def index_put(input: Tensor, indices: tuple[Any, ...], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of input with values written to (accumulate: added to) input[indices].

    Raises:
        IndexError: if an index is out of range.
        ValueError: if values do not broadcast to input[indices].

    Example:
        >>> import tinycnn
        >>> i = tinycnn.tensor([1, 1])
        >>> tinycnn.zeros(3).index_put((i,), tinycnn.tensor([2.0, 3.0]), accumulate=True)
        tensor([0., 5., 0.])
    """
    arrays = _understand("index_put", input, tuple(_ALL if i is None else i for i in indices)).arrays
    if arrays is None:
        raise TypeError("index_put: indices must hold at least one tensor")
    values = value_for(input, values)
    check_fits("index_put", values.array.shape, _picked_shape(input, arrays))
    return (IndexAdd if accumulate else IndexPut).apply(input, values, arrays)


@op(
    lambda make: [
        make.sample(make(3, 4), make.integers(4, 3, 2), 1),
        make.sample(make(3, 1), make.integers(3, 1, 4), 0),
        make.sample(make(3, 2), make.integers(6, 4)),
    ],
    linear=True,
)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather, with the other dimensions broadcast; without dim, of both flattened.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if the shapes do not fit.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[30, 10, 20]])
        >>> tinycnn.take_along_dim(x, x.argsort(dim=1), dim=1)
        tensor([[10, 20, 30]])
    """
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    dim = dim_of("take_along_dim", dim, input.array.ndim)
    a, b = list(input.array.shape), list(indices.array.shape)
    if len(a) != len(b):
        raise ValueError(f"take_along_dim: input {tuple(a)} and indices {tuple(b)} must have as many dimensions")
    for i, (m, n) in enumerate(zip(a, b, strict=True)):
        if i != dim:
            if m != n and 1 not in (m, n):
                raise ValueError(f"take_along_dim: input {tuple(a)} and indices {tuple(b)} do not broadcast at dim {i}")
            a[i] = b[i] = n if m == 1 else m
    return gather(input.expand(*a), dim, indices.expand(*b))


# ---- masks -----------------------------------------------------------------------------------------------------------


def _mask(name: str, mask: Any) -> Tensor:
    if not isinstance(mask, Tensor) or mask.array.dtype.kind != "b":
        kind = repr(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}: mask must be a boolean tensor, got {kind}")
    return mask


@op(
    lambda make: [
        make.sample(make(3, 4), make.booleans(3, 4), 2.0),
        make.sample(make(3, 4), make.booleans(4), 0.0),
        make.sample(make(3, 4), make.booleans(3, 1), make()),
    ],
    analytic=True,
)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of input with value (a number, or a tensor of no dimensions) where mask, which broadcasts, is true.

    Raises:
        TypeError: if mask is not boolean, or value no number.
        ValueError: if the shapes do not broadcast, or value has dimensions.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([1.0, -1.0])
        >>> x.masked_fill(x < 0, 0.0)
        tensor([1., 0.])
    """
    _mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise ValueError(f"masked_fill: value must have no dimensions, got shape {value.array.shape}; see where")
        value = cast(value, input.dtype)
    else:
        number = scalar_of(value)
        if number is None:
            raise TypeError(f"masked_fill: value must be a number or a tensor, got {type(value).__name__}")
        if input.array.dtype.kind in "iu" and not (math.isfinite(number) and holds(input.array.dtype, int(number))):
            raise RuntimeError(f"masked_fill: {input.dtype!r} cannot hold the number {number}")
        value = wrap(input.backend.asarray(number, dtype=input.array.dtype), input.backend)
    return where(mask, value, input)


@op(
    lambda make: [make.sample(make(3, 4), make.booleans(3, 4)), make.sample(make(3, 4), make.booleans(4))],
    linear=True,
)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of input where mask is true, in one dimension; the two broadcast.

    Raises:
        TypeError: if mask is not boolean.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([3.0, -1.0, 2.0])
        >>> x.masked_select(x > 0)
        tensor([3., 2.])
    """
    shape = input.backend.broadcast_to(_mask("masked_select", mask).array, _joint("masked_select", input, mask)).shape
    return input.expand(*shape)[mask.expand(*shape)]


def _joint(name: str, a: Tensor, b: Tensor) -> tuple[int, ...]:
    try:
        return _common_shape(name, [a.array.shape, b.array.shape])
    except IndexError:
        raise ValueError(f"{name}: shapes {a.array.shape} and {b.array.shape} do not broadcast") from None


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero, in order: (n, ndim), or as_tuple one tensor for each dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[0, 1], [2, 0]]).nonzero()
        tensor([[0, 1],
                [1, 0]])
    """
    backend, x = input.backend, input.array
    found = backend.nonzero(x.reshape(1) if x.ndim == 0 else x)
    if as_tuple:
        return tuple(wrap(i, backend) for i in found)
    if x.ndim == 0:
        return wrap(backend.zeros((int(found[0].size), 0), "int64"), backend)
    return wrap(backend.stack(found, axis=1), backend)


add_method("nonzero", nonzero)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """For class numbers (...), int64 of shape (..., num_classes): 1 at the class, 0 elsewhere.

    Args:
        num_classes: -1 takes one more than the greatest class there is.

    Raises:
        TypeError: if input does not hold integers.
        ValueError: if a class is negative, or not below num_classes; or if input is empty and num_classes not given.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.one_hot(tinycnn.tensor([0, 2]), num_classes=3)
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    classes, backend = input.array, input.backend
    if classes.dtype.kind not in "iu":
        raise TypeError(f"one_hot: classes must be integers, got {input.dtype!r}")
    if classes.size:
        low, high = int(classes.min()), int(classes.max())
        if low < 0 or 0 <= num_classes <= high:
            bound = "" if num_classes < 0 else f" and below num_classes={num_classes}"
            raise ValueError(f"one_hot: classes must not be negative{bound}, got {low} to {high}")
        num_classes = high + 1 if num_classes < 0 else num_classes
    elif num_classes <= 0:
        raise ValueError("one_hot: an empty tensor needs num_classes greater than 0")
    hot = classes[..., None] == backend.arange(num_classes)
    return wrap(hot.astype("int64"), backend)


# ---- order -----------------------------------------------------------------------------------------------------------


def _order(x: Tensor, dim: int, descending: bool) -> Any:
    """The indices (an array) that sort x along dim, NaN greatest; equal elements keep their order."""
    backend, array = x.backend, x.backend.widened(x.array)
    if not descending:
        return backend.argsort(array, axis=dim, kind="stable")
    backwards = backend.flip(array, dim)  # sorted up and read from behind: down, and ties still in their order
    places = backend.argsort(backwards, axis=dim, kind="stable")
    return backend.subtract(array.shape[dim] - 1, backend.flip(places, dim))


@op(
    lambda make: [make.sample(make.apart(3, 4)), make.sample(make.apart(3, 4), 0, True), make.sample(make.apart(4))],
    kinks="ties",
)
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements in order along dim, and where they stood: a named tuple (values, indices).

    NaN counts as the greatest. Equal elements always keep their order, whatever stable says.

    Example:
        >>> import tinycnn
        >>> values, indices = tinycnn.sort(tinycnn.tensor([3.0, 1.0, 2.0]), descending=True)
        >>> values, indices
        (tensor([3., 2., 1.]), tensor([0, 2, 1]))
    """
    dim = dim_of("sort", dim, input.array.ndim)
    if input.array.ndim == 0:
        return ValuesIndices(input.clone(), wrap(input.backend.zeros((), "int64"), input.backend))
    indices = wrap(_order(input, dim, descending), input.backend)
    return ValuesIndices(gather(input, dim, indices), indices)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort input along dim; see `sort`.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([3.0, 1.0, 2.0]).argsort()
        tensor([1, 2, 0])
    """
    return sort(input.detach(), dim, descending, stable).indices


add_method("argsort", argsort)


@op(lambda make: [make.sample(make.apart(3, 5), 2), make.sample(make.apart(4, 3), 1, 0, False)], kinks="ties")
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k greatest (or smallest) elements along dim, in order, and where they stood: (values, indices).

    Raises:
        ValueError: if dim has fewer than k elements.

    Example:
        >>> import tinycnn
        >>> values, indices = tinycnn.topk(tinycnn.tensor([1.0, 5.0, 3.0]), 2)
        >>> values, indices
        (tensor([5., 3.]), tensor([1, 2]))
    """
    dim = dim_of("topk", dim, input.array.ndim)
    size = input.array.shape[dim] if input.array.ndim else 1
    if not 0 <= k <= size:
        raise ValueError(f"topk: k={k} is out of range for dimension {dim} with size {size}")
    if input.array.ndim == 0:
        return sort(input)
    first = (_ALL,) * dim + (slice(0, k),)
    indices = wrap(_order(input, dim, largest)[first], input.backend)
    return ValuesIndices(gather(input, dim, indices), indices)
