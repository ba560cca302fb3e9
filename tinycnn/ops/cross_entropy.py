"""The loss of nearly every classifier in one operation: what `loss.cross_entropy` does if nothing special is asked."""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_arrays, run_kernel
from ..backend import Array, Backend
from ..backend.base import widened
from .activation import softmax


class CrossEntropy(Op):
    """L = -s sum over n of log softmax(x)_n[t_n], for x (N, C) and classes t (N,); s is 1, for a mean 1 / N.

    dx_nc = dL s (softmax(x)_nc - [c = t_n]) (Goodfellow et al. 2016, section 6.2.2.3).

    What is ignored, and on a GPU what is no class, does not count: not in N, and its dx_n is 0. `worst` is where the
    latter is told.
    """

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, labels: Any, ignored: int | None, mean: bool, worst: Any) -> Any:
        loss, logp, ctx.scale = ctx.backend.kernels.cross_entropy(x, labels, ignored, mean, worst)
        ctx.save_for_backward(x, logp)
        ctx.labels, ctx.ignored = labels, ignored
        return loss

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, logp = ctx.saved_tensors
        if is_grad_enabled():
            wanted, scales = run_arrays(_targets, logp, ctx.labels, ctx.scale, ctx.ignored)
            gx = (softmax(x, 1) - wanted) * (g * scales)
        else:
            gx = run_kernel("cross_entropy_backward", g, logp, ctx.labels, ctx.scale, ctx.ignored)
        return gx, None, None, None, None


def _targets(backend: Backend, logp: Array, labels: Array, scale: Any, ignored: int | None) -> tuple[Array, Array]:
    """[c = t_n] as (N, C); and s as (N, 1), 0 where t_n does not count."""
    logp = widened(logp)
    counts = (labels >= 0) & (labels < logp.shape[1])
    if ignored is not None:
        counts &= labels != ignored
    wanted = backend.zeros_like(logp)
    wanted[backend.arange(len(wanted)), labels * counts] = 1
    scales = backend.asarray(scale, logp.real.dtype)
    return wanted, backend.where(counts[:, None], scales, backend.zeros_like(scales))
