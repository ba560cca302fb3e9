"""Convolution with the ReLU that often stands behind it: y = max(0, conv2d(x, w, b)), in fewer passes over memory.

A convolution that writes its sums can bend them on the way. Backward, one pass takes g where y is above zero and adds
it up for the bias.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_kernel
from .conv import convolved, differentiable_gradients
from .geometry import Pair
from .registry import Make, Sample, op

__all__ = ["conv2d_relu"]


class Conv2dReLU(Op):
    """Where y is above zero g passes, to Conv2d."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, geometry: Any) -> Any:
        y = ctx.backend.kernels.conv2d(x, w, b, *geometry, True)
        if True in ctx.needs_input_grad:
            ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, w if ctx.needs_input_grad[0] else None, y)
            ctx.shapes, ctx.geometry = (x.shape, w.shape), geometry
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, w, y = ctx.saved_tensors
        if is_grad_enabled():
            return *differentiable_gradients(ctx, g * (y > 0), x, w), None
        to_x, to_w, to_b, _ = ctx.needs_input_grad
        passed, db = run_kernel("conv2d_relu_gate", g, y)
        dx, dw, _ = run_kernel("conv2d_backward", passed, x, w, *ctx.shapes, *ctx.geometry, (to_x, to_w, False))
        return dx, dw, db if to_b else None, None


def _samples(make: Make) -> list[Sample]:
    # Of pixels and taps above zero no sum is near ReLU's kink, and a bias far below takes one of two channels under it.
    bias = make.apart(2, gap=50.0)
    return [
        make.sample(make.positive(2, 1, 4, 4), make.positive(2, 1, 3, 3), bias, padding=1),
        make.sample(make.positive(1, 2, 5, 4), make.positive(2, 1, 2, 2), bias.detach(), stride=2, groups=2),
        make.sample(make.positive(3, 3, 3), make.positive(2, 3, 1, 1)),
    ]


@op(_samples, method=False, kinks="0 before the ReLU")
def conv2d_relu(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """relu(conv2d(input, ...)): the same numbers, in fewer passes over memory.

    Args:
        input, weight, bias, stride, padding, dilation, groups: as of `conv2d`.

    Returns:
        what `conv2d` returns, with zeros for what is below zero.

    Raises:
        ValueError, TypeError: as `conv2d`.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([[[-1.0, 2.0]]])
        >>> tinycnn.nn.functional.conv2d_relu(x, tinycnn.ones(1, 1, 1, 1))
        tensor([[[0., 2.]]])
    """
    return convolved(Conv2dReLU, "conv2d_relu", input, weight, bias, stride, padding, dilation, groups)
