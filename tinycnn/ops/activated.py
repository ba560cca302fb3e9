"""A convolution or a linear map and the activation behind it as one operation: y = f(A(x, w, b)).

An operation has its price whatever it computes: arguments to check, a node to make, a tensor to wrap. Where a network
sees one small image, that is most of its time, and here it is paid once for two. The numbers are those of both apart.

f has to be one whose gradient follows from its output, as sigmoid' = y (1 - y): then y is all that is kept of it.
A convolution with its ReLU has kernels of its own, see `conv_relu.py`.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor
from .activation import ReLU, Sigmoid
from .conv import Conv2d, convolved
from .geometry import Pair, check_floating
from .linalg import Linear, mapped
from .pointwise import Pointwise, gradient
from .registry import Make, Sample, op

__all__ = ["conv2d_sigmoid", "linear_relu", "linear_sigmoid"]


class Activated(Op):
    """y = f(A(...)); dA = g f'(y), and from there on as A.

    Attributes:
        inner: the operation A. What it saves comes first, behind it y.
        outer: the activation f.
    """

    takes_bfloat16 = True
    inner: type[Op]
    outer: type[Pointwise]

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        kernels, inner, outer = ctx.backend.kernels, ctx.fn.inner, ctx.fn.outer
        y = getattr(kernels, outer.kernel)(inner.forward(ctx, *args))
        if True in ctx.needs_input_grad:
            ctx.save_for_backward(*ctx.saved_arrays, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        inner, outer = ctx.fn.inner, ctx.fn.outer
        found: tuple[Any, ...] = inner.backward(ctx, gradient(outer.gradients[0], g, ctx.saved_tensors[-1]))
        return found


class Conv2dSigmoid(Activated):
    inner, outer = Conv2d, Sigmoid


class LinearReLU(Activated):
    inner, outer = Linear, ReLU


class LinearSigmoid(Activated):
    inner, outer = Linear, Sigmoid


def _conv_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3, 5, 6), make(4, 3, 3, 2), make(4)),
        make.sample(make(1, 2, 5, 4), make(2, 1, 2, 2), stride=2, padding=1, groups=2),
        make.sample(make(2, 4, 4), make(2, 1, 3, 3), make(2).detach(), padding="same", groups=2),
    ]


@op(_conv_samples, method=False, analytic=True)
def conv2d_sigmoid(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """sigmoid(conv2d(input, ...)): the same numbers by one operation.

    Args:
        input, weight, bias, stride, padding, dilation, groups: as of `conv2d`.

    Returns:
        The shape that `conv2d` returns.

    Raises:
        ValueError, TypeError: as `conv2d`.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[[-100.0, 0.0]]])
        >>> tinycnn.nn.functional.conv2d_sigmoid(x, tinycnn.ones(1, 1, 1, 1))
        tensor([[[0.0000, 0.5000]]])
    """
    return convolved(Conv2dSigmoid, "conv2d_sigmoid", input, weight, bias, stride, padding, dilation, groups)


def _linear_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), make(4, 3), make(4)),
        make.sample(make(3), make(2, 3)),
        make.sample(make(2, 2, 3), make(2, 3), make(2).detach()),
    ]


@op(_linear_samples, method=False, analytic=True)
def linear_sigmoid(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sigmoid(linear(input, weight, bias)): the same numbers by one operation, (..., I) (O, I) (O) -> (..., O).

    Raises:
        RuntimeError: as `linear`.
        TypeError: if input is not floating.

    Example:
        >>> import tinycnn
        >>> x, weight = tinycnn.tensor([[1.0, 2.0]]), tinycnn.tensor([[3.0, 4.0], [2.0, -1.0]])
        >>> tinycnn.nn.functional.linear_sigmoid(x, weight)
        tensor([[1.0000, 0.5000]])
    """
    check_floating("linear_sigmoid", input=input)
    return mapped(LinearSigmoid, "linear_sigmoid", input, weight, bias)


def _linear_relu_samples(make: Make) -> list[Sample]:
    # Sums of positive products are not near the kink, and a bias far below takes one of two outputs under it.
    bias = make.apart(2, gap=50.0)
    return [
        make.sample(make.positive(2, 3), make.positive(2, 3), bias),
        make.sample(make.positive(2, 2, 3), make.positive(2, 3), bias.detach()),
        make.sample(make.positive(3), make.positive(2, 3)),
    ]


@op(_linear_relu_samples, method=False, kinks="0 before the ReLU")
def linear_relu(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """relu(linear(input, weight, bias)): the same numbers by one operation, (..., I) (O, I) (O) -> (..., O).

    Raises:
        RuntimeError: as `linear`.
        TypeError: if input is not floating.

    Example:
        >>> import tinycnn
        >>> x, weight = tinycnn.tensor([[1.0, 2.0]]), tinycnn.tensor([[3.0, 4.0], [1.0, -1.0]])
        >>> tinycnn.nn.functional.linear_relu(x, weight)
        tensor([[11.,  0.]])
    """
    check_floating("linear_relu", input=input)
    return mapped(LinearReLU, "linear_relu", input, weight, bias)
