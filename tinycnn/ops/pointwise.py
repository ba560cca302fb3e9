"""Operations that are one formula an element: one kernel forward and one kernel for each gradient.

The formulas are in kernels/reference/elementwise.py, under the kernels' names. A gradient that is to be differentiated
again is the same formula, worked out on recorded tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_kernel
from .registry import get_op


class _Recorded:
    """The operations of this package under the names that a formula asks its array library for."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return get_op(name).function
        except KeyError:
            raise AttributeError(f"no operation is called {name!r}") from None


class Pointwise(Op):
    """f(x, ..., numbers) element by element, for tensors of one shape.

    Attributes:
        kernel: what computes it.
        gradients: for each tensor, the kernel that computes its gradient.
        keeps: what these take after the gradient: the numbers of inputs, and -1 for the output.
    """

    takes_bfloat16 = True
    kernel: str
    gradients: tuple[str, ...]
    keeps: tuple[int, ...] = (0,)

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        cls, backend = ctx.fn, ctx.backend
        y = backend.asarray(getattr(backend.kernels, cls.kernel)(*args))
        if True in ctx.needs_input_grad:
            ctx.numbers = args[len(cls.gradients) :]
            ctx.save_for_backward(*map((*args, y).__getitem__, cls.keeps))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        args = (g, *ctx.saved_tensors, *ctx.numbers)
        found: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        for k, name in enumerate(ctx.fn.gradients):
            if ctx.needs_input_grad[k]:
                found[k] = gradient(name, *args)
        return tuple(found)


def gradient(kernel: str, g: Tensor, *args: Any) -> Tensor:
    """What a gradient's kernel gives; where it is to be differentiated again, its formula on recorded tensors."""
    if is_grad_enabled():
        return g.backend.kernels.formula(kernel)(_Recorded(), g, *args)
    return run_kernel(kernel, g, *args)
