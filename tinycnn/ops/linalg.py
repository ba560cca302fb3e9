"""Matrix products. Every gradient of a product is a product again."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_arrays
from ..backend import Backend
from ..backend.dtypes import HALVES
from .broadcast import check_broadcast, sum_to
from .elementwise import expect_tensor
from .registry import Make, Sample, add_method, op

__all__ = ["bmm", "dot", "linear", "matmul", "mm", "mv", "outer"]


class MatMul(Op):
    """A B for (..., M, K) and (..., K, N), with broadcasting of `...`; dA = G B^T, dB = A^T G."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.save_for_backward(a if ctx.needs_input_grad[1] else None, b if ctx.needs_input_grad[0] else None)
        ctx.shapes = a.shape, b.shape
        return ctx.backend.kernels.matmul(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        a, b = ctx.saved_tensors
        to_a, to_b = ctx.needs_input_grad
        g_a = sum_to(MatMul.apply(g, b.transpose(-2, -1)), ctx.shapes[0]) if to_a else None
        return g_a, sum_to(MatMul.apply(a.transpose(-2, -1), g), ctx.shapes[1]) if to_b else None


class Linear(Op):
    """Y = X W^T + b for X (..., I), W (O, I), b (O); dX = G W, dW = G^T X and db = sum G over all rows of `...`."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> Any:
        shape = x.shape
        if True in ctx.needs_input_grad:
            to_x, to_weight, _ = ctx.needs_input_grad
            ctx.save_for_backward(x if to_weight else None, weight if to_x else None)
            ctx.x_shape = shape
        flat = len(shape) == 2
        y = ctx.backend.kernels.matmul(x if flat else _rows(x), weight.T)
        if bias is not None:
            y += bias
        return y if flat else y.reshape(*shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, weight = ctx.saved_tensors[:2]  # an activation behind it has its output there, too
        to_x, to_weight, to_bias = ctx.needs_input_grad
        if not is_grad_enabled():
            return run_arrays(_linear_gradients, g, x, weight, ctx.x_shape, to_bias)
        rows = _rows(g)
        g_x = MatMul.apply(rows, weight).reshape(ctx.x_shape) if to_x else None
        g_weight = MatMul.apply(rows.transpose(0, 1), _rows(x)) if to_weight else None
        return g_x, g_weight, rows.sum(0) if to_bias else None


def _linear_gradients(backend: Backend, g: Any, x: Any, weight: Any, x_shape: Any, to_bias: bool) -> tuple[Any, ...]:
    """The gradients as arrays; x is None where the weights', weight where the input's is not wanted."""
    rows = _rows(g)
    g_x = None if weight is None else backend.kernels.matmul(rows, weight).reshape(x_shape)
    g_weight = None if x is None else backend.kernels.matmul(rows.T, _rows(x))
    return g_x, g_weight, _column_sums(backend, rows) if to_bias else None


def _column_sums(backend: Backend, rows: Any) -> Any:
    if rows.dtype.char in HALVES:  # added up in a wider format
        return backend.kernels.channel_sum(rows[:, :, None, None])
    return rows.sum(0)


def _rows(x: Any) -> Any:
    """(..., I) as (rows, I), an array or a tensor."""
    return x if len(x.shape) == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _check(name: str, *operands: Any) -> None:
    """Raise unless all are tensors of one dtype."""
    kind = None
    for x in operands:
        if not isinstance(x, Tensor):
            expect_tensor(name, x)
        if kind is None:
            kind = x.array.dtype
        elif x.array.dtype != kind:
            of_first = operands[0].dtype
            raise RuntimeError(f"{name}: expected tensors of one dtype, got {of_first!r} and {x.dtype!r}; convert one")


def _check_dims(name: str, a: Tensor, b: Tensor, dims: tuple[int, int]) -> None:
    _check(name, a, b)
    if (a.array.ndim, b.array.ndim) != dims:
        raise RuntimeError(
            f"{name}: expected tensors of {dims[0]} and {dims[1]} dimensions, "
            f"got {a.array.shape} and {b.array.shape}; matmul takes others"
        )


@op(
    lambda make: [
        make.sample(make(3), make(3)),
        make.sample(make(2, 3), make(3)),
        make.sample(make(2), make(2, 3)),
        make.sample(make(2, 3), make(3, 4)),
        make.sample(make(3, 3), make(3, 3)),  # where a transpose that is missing fits nevertheless
        make.sample(make(2, 2, 3), make(3, 2)),
        make.sample(make(2, 2, 3), make(3)),
        make.sample(make(3), make(2, 3, 2)),
        make.sample(make(2, 1, 2, 3), make(3, 3, 2)),
        make.sample(make(0, 3), make(3, 2)),
    ],
    analytic=True,
    method=("matmul", "__matmul__"),
)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product (..., M, K) (..., K, N) -> (..., M, N), where `...` broadcast.

    A first operand (K) counts as one row, a second one (K) as one column; that dimension is not in the result.

    Raises:
        RuntimeError: if an operand has no dimensions, the dtypes differ, or the sizes K do.
        ValueError: if the leading dimensions do not broadcast.

    Example:
        >>> import tinycnn
        >>> tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]) @ tinycnn.tensor([1.0, 10.0])
        tensor([21., 43.])
    """
    _check("matmul", input, other)
    return _matmul("matmul", input, other)


def _matmul(name: str, a: Tensor, b: Tensor) -> Tensor:
    left, right = a.array.shape, b.array.shape
    if not left or not right:
        raise RuntimeError(f"{name}: both tensors need at least one dimension, got {left} and {right}")
    inner = right[0] if len(right) == 1 else right[-2]
    if left[-1] != inner:
        raise RuntimeError(f"{name}: {left} and {right} do not fit: the inner sizes {left[-1]} and {inner} differ")
    check_broadcast(name, left[:-2], right[:-2])
    if len(right) <= 2 and len(left) != 2:  # one product, whatever the number of leading dimensions
        matrix = b if len(right) == 2 else b.unsqueeze(1)
        return MatMul.apply(_rows(a), matrix).reshape(left[:-1] + right[1:])
    if len(right) == 1:
        return MatMul.apply(a, b.unsqueeze(1)).squeeze(-1)
    if len(left) == 1:
        return MatMul.apply(a.unsqueeze(0), b).squeeze(-2)
    return MatMul.apply(a, b)


@op(lambda make: [make.sample(make(2, 3), make(3, 4))], analytic=True)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (M, K) (K, N) -> (M, N).

    Raises:
        RuntimeError: if one is no matrix, the dtypes differ, or the sizes K do.

    Example:
        >>> import tinycnn
        >>> tinycnn.mm(tinycnn.eye(2), tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    _check_dims("mm", input, mat2, (2, 2))
    return _matmul("mm", input, mat2)


@op(lambda make: [make.sample(make(2, 2, 3), make(2, 3, 2))], analytic=True)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of matrices in pairs, (B, M, K) (B, K, N) -> (B, M, N).

    Raises:
        RuntimeError: if one has not three dimensions, the dtypes differ, or the sizes B or K do.

    Example:
        >>> import tinycnn
        >>> tinycnn.bmm(tinycnn.ones(2, 1, 3), tinycnn.ones(2, 3, 1)).shape
        tinycnn.Size([2, 1, 1])
    """
    _check_dims("bmm", input, mat2, (3, 3))
    if input.array.shape[0] != mat2.array.shape[0]:
        raise RuntimeError(
            f"bmm: {input.array.shape} and {mat2.array.shape} do not fit: they are {input.array.shape[0]} and "
            f"{mat2.array.shape[0]} matrices"
        )
    return _matmul("bmm", input, mat2)


@op(lambda make: [make.sample(make(3), make(3)), make.sample(make(0), make(0))], analytic=True)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors, (K) (K) -> ().

    Raises:
        RuntimeError: if one is no vector, the dtypes differ, or the sizes do.

    Example:
        >>> import tinycnn
        >>> tinycnn.dot(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([3.0, 4.0]))
        tensor(11.)
    """
    _check_dims("dot", input, tensor, (1, 1))
    return _matmul("dot", input, tensor)


@op(lambda make: [make.sample(make(2, 3), make(3))], analytic=True)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector, (M, K) (K) -> (M).

    Raises:
        RuntimeError: if the shapes are others, the dtypes differ, or the sizes K do.

    Example:
        >>> import tinycnn
        >>> tinycnn.mv(tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]]), tinycnn.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    _check_dims("mv", input, vec, (2, 1))
    return _matmul("mv", input, vec)


@op(lambda make: [make.sample(make(2), make(3))], analytic=True)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every element of one vector times every element of another, (M) (N) -> (M, N).

    Raises:
        RuntimeError: if one is no vector.

    Example:
        >>> import tinycnn
        >>> tinycnn.outer(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([3.0, 4.0]))
        tensor([[3., 4.],
                [6., 8.]])
    """
    if expect_tensor("outer", input).array.ndim != 1 or expect_tensor("outer", vec2).array.ndim != 1:
        raise RuntimeError(f"outer: expected two vectors, got shapes {input.array.shape} and {vec2.array.shape}")
    column: Tensor = input.unsqueeze(1)
    return column * vec2


def _linear_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(4, 3), make(2, 3), make(2)),
        make.sample(make(4, 3), make(2, 3)),
        make.sample(make(2, 2, 3), make(2, 3), make(2)),
        make.sample(make(3), make(2, 3), make(2)),
        make.sample(make(0, 3), make(2, 3), make(2)),
    ]


@op(_linear_samples, analytic=True, method=False)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weight^T + bias, a fully connected layer: (..., I) (O, I) (O) -> (..., O).

    Raises:
        RuntimeError: if the shapes do not fit or the dtypes differ.

    Example:
        >>> import tinycnn
        >>> x, weight = tinycnn.tensor([[1.0, 2.0]]), tinycnn.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
        >>> tinycnn.nn.functional.linear(x, weight, tinycnn.tensor([0.0, 0.0, 100.0]))
        tensor([[ 11.,  17., 123.]])
    """
    return mapped(Linear, "linear", input, weight, bias)


def mapped(how: type[Op], name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `linear` does with its arguments, for an Op that takes what Linear takes."""
    _check(name, *((input, weight) if bias is None else (input, weight, bias)))
    shape, wanted = input.array.shape, weight.array.shape
    if len(wanted) != 2:
        raise RuntimeError(f"{name}: weight must be (out_features, in_features), got {wanted}")
    if not shape or shape[-1] != wanted[1]:
        raise RuntimeError(
            f"{name}: input of shape {shape} has {shape[-1] if shape else 'no'} features, "
            f"weight {wanted} wants (..., {wanted[1]})"
        )
    if bias is not None and bias.array.shape != wanted[:1]:
        raise RuntimeError(f"{name}: bias has shape {bias.array.shape}, weight {wanted} wants ({wanted[0]},)")
    y: Tensor = how.apply(input, weight, bias)
    return y


def _reflected_matmul(self: Tensor, other: Any) -> Tensor:
    """other @ self."""
    return matmul(other, self)


add_method("__rmatmul__", _reflected_matmul)
