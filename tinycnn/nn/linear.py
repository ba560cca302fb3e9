"""Linear and Identity."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..ops import empty
from . import functional as F, init
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """y = x; takes and ignores any arguments, so that it can stand in for any layer.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Identity(54, unused=True)(tinycnn.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    """An affine map: y = x W^T + b.

    Shapes: x (..., in_features) -> y (..., out_features); weight (out_features, in_features), bias (out_features,).
    Both start uniform on [-1 / sqrt(in_features), 1 / sqrt(in_features)].

    Args:
        in_features, out_features: sizes of the last dimension.
        bias: whether there is a b.
        device, dtype: of the parameters.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Linear(3, 2)(tinycnn.zeros(5, 3)).shape
        tinycnn.Size([5, 2])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """x W^T + b."""
        return F.linear(input, *self._own("weight", "bias"))

    def forward_relu(self, input: Tensor) -> Tensor:
        """relu(forward(input)) in one operation; `Sequential` calls it where that is the same."""
        return F.linear_relu(input, *self._own("weight", "bias"))

    def forward_sigmoid(self, input: Tensor) -> Tensor:
        """sigmoid(forward(input)) in one operation; `Sequential` calls it where that is the same."""
        return F.linear_sigmoid(input, *self._own("weight", "bias"))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
