"""Activation functions as layers: each works element by element on any shape, except the softmaxes."""

from __future__ import annotations

import functools

from ..autograd import Tensor
from ..ops.keywords import with_pytorch_keywords
from . import functional as F
from .module import Module


class _Inplace(Module):
    """An activation that takes PyTorch's `inplace`; the result is new all the same, which only costs memory."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """y = max(x, 0). V. Nair and G. E. Hinton (2010).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.ReLU()(tinycnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """max(x, 0)."""
        return F.relu(input)


class Hardtanh(Module):
    """y = x held between min_val and max_val.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Hardtanh()(tinycnn.tensor([-3.0, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """

    @functools.partial(with_pytorch_keywords, name="Hardtanh", method=True)
    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if min_val >= max_val:
            raise ValueError(f"{type(self).__name__}: min_val must be below max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x, clamped."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6). A. Howard et al., "MobileNets" (2017).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.ReLU6()(tinycnn.tensor([-1.0, 3.0, 9.0]))
        tensor([0., 3., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope * x. A. L. Maas et al. (2013).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.LeakyReLU(0.1)(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x, or negative_slope * x."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """y = x where x > 0, else alpha * (exp(x) - 1). D.-A. Clevert et al. (2015).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.ELU()(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x, or alpha * (exp(x) - 1)."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """y = x * Phi(x), Phi being the normal distribution function. D. Hendrycks and K. Gimpel (2016).

    Args:
        approximate: "none", or "tanh" for 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.GELU()(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """x * Phi(x)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Sigmoid()(tinycnn.zeros(1))
        tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""
        return F.sigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Tanh()(tinycnn.zeros(1))
        tensor([0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """tanh(x)."""
        return F.tanh(input)


class SiLU(_Inplace):
    """y = x / (1 + exp(-x)), also called swish. S. Elfwing et al. (2017).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.SiLU()(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        """x / (1 + exp(-x))."""
        return F.silu(input)


class Softplus(Module):
    """y = log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Softplus()(tinycnn.zeros(1))
        tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """log(1 + exp(beta * x)) / beta."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """y = exp(x) / sum of exp(x) along dim: positive numbers that add up to 1.

    Args:
        dim: the dimension of the sum; `functional.softmax` says which is taken if it is not given.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Softmax(dim=1)(tinycnn.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """exp(x) / sum of exp(x)."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """y = x - log(sum of exp(x) along dim): the logarithm of softmax, exact where softmax would be 0.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.LogSoftmax(dim=1)(tinycnn.zeros(1, 4))
        tensor([[-1.3863, -1.3863, -1.3863, -1.3863]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """x - log(sum of exp(x))."""
        return F.log_softmax(input, self.dim)
