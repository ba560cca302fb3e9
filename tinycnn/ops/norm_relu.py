"""Batch normalisation with the ReLU that nearly always stands behind it, and the shortcut that may be added between.

    y = max(0, (x - mean) / sqrt(var + eps) * weight + bias + shortcut)

Three operations in one, because a CPU spends longer on fetching an image from memory than on any of them.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_arrays, run_kernel
from ..backend.dtypes import FLOATING
from .geometry import check_flag
from .norm import BatchNorm, batch_norm, by_running, check_batch_norm, mark_moved, moving
from .registry import Make, Sample, op

__all__ = ["batch_norm_relu"]


class BatchNormReLU(Op):
    """Training; running statistics move on the way. Where y is above zero g passes, to BatchNorm and the shortcut."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, eps: float, shortcut: Any, moving: Any) -> Any:
        y, mean, inv_std = ctx.backend.kernels.batch_norm_train(x, weight, bias, eps, True, shortcut, moving)
        ctx.eps, ctx.has_shortcut = eps, shortcut is not None
        ctx.save_for_backward(x, weight, mean, inv_std, y, bias)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, weight, mean, inv_std, y, bias = ctx.saved_tensors
        _, to_weight, to_bias, _, to_shortcut, _ = ctx.needs_input_grad
        if is_grad_enabled():
            passed = g * (y > 0)
            found = BatchNorm.differentiable(ctx, passed, x, weight)
            return *found, None, passed if to_shortcut else None, None
        gx, gweight, gbias, gshortcut = run_kernel(
            "batch_norm_relu_backward", g, y, x, mean, inv_std, weight, bias, ctx.has_shortcut
        )
        found = gx, gweight if to_weight else None, gbias if to_bias else None
        return *found, None, gshortcut if to_shortcut else None, None


def _samples(make: Make) -> list[Sample]:
    # A channel's values lie apart, so that after normalisation none is near ReLU's kink.
    x, shortcut = make.apart(4, 2, 2, 2), make.apart(4, 2, 2, 2)
    moments = make(2).detach(), make.positive(2).detach()
    return [
        make.sample(make.apart(4, 2, 2, 2), None, None, make.positive(2), None, True),
        make.sample(x, None, None, make.positive(2), make(2), True, shortcut=shortcut),
        make.sample(make.apart(3, 2, 2, 2), *moments, make.positive(2), make(2), False),
    ]


@op(_samples, method=False, kinks="0 before the ReLU")
def batch_norm_relu(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    shortcut: Tensor | None = None,
) -> Tensor:
    """relu(batch_norm(input, ...) + shortcut): the same numbers, in fewer passes over memory.

    Args:
        input: (N, C, H, W).
        running_mean, running_var, weight, bias, training, momentum, eps: as of `batch_norm`.
        shortcut: (N, C, H, W), or None for none.

    Returns:
        the shape of input.

    Raises:
        ValueError: as `batch_norm`; or if shortcut has another shape than input.
        TypeError: if training is neither True nor False.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
        >>> tinycnn.nn.functional.batch_norm_relu(x, None, None, training=True).flatten()
        tensor([0.0000, 1.0000])
    """
    check_flag("batch_norm_relu", "training", training)
    shape = input.array.shape
    if shortcut is not None and shortcut.array.shape != shape:
        raise ValueError(f"batch_norm_relu: shortcut has shape {shortcut.array.shape}, input has {shape}")
    can_fuse = len(shape) == 4 and input.array.dtype.char in FLOATING and input.array.size > shape[1]
    if can_fuse and not training and running_mean is not None and running_var is not None:
        tensors = (input, weight, bias, shortcut)
        if not is_grad_enabled() or not any(t is not None and t.requires_grad for t in tensors):
            check_batch_norm("batch_norm_relu", input, running_mean, running_var, weight, bias, eps)
            return run_arrays(by_running, input, running_mean, running_var, weight, bias, eps, True, shortcut)[0]
    if not (can_fuse and training):
        y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        return (y if shortcut is None else y + shortcut).relu()
    check_batch_norm("batch_norm_relu", input, running_mean, running_var, weight, bias, eps)
    y = BatchNormReLU.apply(input, weight, bias, eps, shortcut, moving(running_mean, running_var, momentum))
    mark_moved(running_mean, running_var)
    return y
