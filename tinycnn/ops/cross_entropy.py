"""The loss of nearly every classifier in one operation: what `loss.cross_entropy` does if nothing special is asked."""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_arrays, wrap
from ..backend import Array, Backend
from .activation import softmax


class CrossEntropy(Op):
    """L = -sum over n of log softmax(x)_n[t_n], for x (N, C) and classes t (N,), over N for a mean.

    dx_nc = dL (softmax(x)_nc - [c = t_n]), over N for a mean (Goodfellow et al. 2016, section 6.2.2.3).
    """

    @staticmethod
    def forward(ctx: Any, x: Any, labels: Any, mean: bool) -> Any:
        logp = ctx.backend.kernels.log_softmax(x, 1)
        ctx.save_for_backward(x, logp)
        ctx.labels, ctx.scale = labels, 1 / len(x) if mean else 1.0
        return -logp[ctx.backend.arange(len(x)), labels].sum() * ctx.scale

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, logp = ctx.saved_tensors
        if not is_grad_enabled():
            return *run_arrays(_gradient, g, logp, ctx.labels, ctx.scale), None, None
        wanted = g.backend.zeros_like(logp.array)
        wanted[g.backend.arange(len(wanted)), ctx.labels] = 1
        return (softmax(x, 1) - wrap(wanted, g.backend)) * (g * ctx.scale), None, None


def _gradient(backend: Backend, g: Array, logp: Array, labels: Array, scale: float) -> tuple[Array]:
    p = backend.exp(logp)
    p[backend.arange(len(p)), labels] -= 1
    p *= g * scale
    return (p,)
