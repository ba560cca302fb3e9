"""Dropout as layers."""

from __future__ import annotations

from ..autograd import Tensor
from ..ops.geometry import check_probability
from . import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(type(self).__name__, p)
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element is 0 with probability p and else x / (1 - p); in evaluation nothing happens.

    Any shape. N. Srivastava et al., "Dropout" (2014).

    Args:
        p: the probability of zero.
        inplace: accepted for PyTorch's sake; the result is always new.

    Raises:
        ValueError: if p is no probability.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Dropout(0.5).eval()(tinycnn.ones(3))
        tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, with zeros in training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels: x (N, C, H, W) or (C, H, W) -> y the same. J. Tompson et al. (2015), section 4.1.

    Args:
        p, inplace: as in `Dropout`.

    Raises:
        ValueError: if p is no probability.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> y = nn.Dropout2d(0.5)(tinycnn.ones(1, 4, 2, 2))
        >>> bool((y == y[:, :, :1, :1]).all())
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, with channels of zeros in training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)
