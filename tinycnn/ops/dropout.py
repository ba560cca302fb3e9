"""Dropout: zeroing at random while training, so that units cannot rely on each other.

N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014), in its inverted form:
what is kept is scaled by 1 / (1 - p), and evaluation does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Op, Tensor
from .geometry import check_floating, check_probability
from .registry import op

__all__ = ["dropout", "dropout2d"]


class Dropout(Op):
    """x * mask, the mask being 0 with probability p and 1 / (1 - p) otherwise, one number for each of `shape`.

    Where random numbers can be drawn again by their place nobody keeps a mask: `again` is then the function that drops
    what was dropped before. It is linear and its own adjoint.
    """

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, p: float, shape: tuple[int, ...], again: Callable[[Any], Any] | None) -> Any:
        mask = None
        found = ctx.backend.random.dropout(x, p) if again is None and shape == x.shape else None
        if again is not None:
            y = again(x)
        elif found is not None:
            y, again = found
        else:
            kept = ctx.backend.random.uniform(shape, "float32") >= p  # the same draw for every dtype
            scale = 0.0 if p == 1 else 1 / (1 - p)
            kind = x.real.dtype
            mask = kept.astype("float32" if kind.itemsize == 2 else kind) * scale
            mask = mask.astype(kind, copy=False)
            y = x * mask
        ctx.again, ctx.p = again, p
        ctx.save_for_backward(mask)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        gx = Dropout.apply(g, ctx.p, g.array.shape, ctx.again) if mask is None else g * mask
        return gx, None, None, None


@op(
    lambda make: [make.sample(make(4, 5)), make.sample(make(3, 4), 0.2), make.sample(make(3), 1.0)],
    method=False,
    analytic=True,
    random=True,
)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p); without training, do nothing.

    Args:
        input: any shape.
        p: the probability of zero.
        training: whether to do anything.
        inplace: accepted for PyTorch's sake; the result is always new.

    Raises:
        ValueError: if p is no probability.

    Example:
        >>> import tinycnn
        >>> _ = tinycnn.manual_seed(0)
        >>> tinycnn.nn.functional.dropout(tinycnn.ones(6), 0.5)
        tensor([2., 2., 2., 0., 0., 0.])
    """
    check_probability("dropout", p)
    check_floating("dropout", input=input)
    if not training or p == 0:
        return input
    return Dropout.apply(input, p, input.array.shape, None)


@op(
    lambda make: [make.sample(make(3, 4, 2, 2)), make.sample(make(3, 2, 2), 0.3)],
    method=False,
    analytic=True,
    random=True,
)
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels with probability p and scale the others by 1 / (1 - p) (Tompson et al. 2015, section 4.1).

    Args:
        input: (N, C, H, W), or (C, H, W).
        p, training, inplace: as in `dropout`.

    Raises:
        ValueError: if p is no probability or the rank is another.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.dropout2d(tinycnn.ones(1, 8, 2, 2)).amax((0, 2, 3)).shape
        tinycnn.Size([8])
    """
    check_probability("dropout2d", p)
    check_floating("dropout2d", input=input)
    shape = input.array.shape
    if len(shape) not in (3, 4):
        raise ValueError(f"dropout2d: input must be (N, C, H, W) or (C, H, W), got shape {shape}")
    if not training or p == 0:
        return input
    return Dropout.apply(input, p, (*shape[:-2], 1, 1), None)
