"""How parameters start. Every function fills the tensor it is given, unrecorded, and returns it.

n_in and n_out are the numbers of values that one output depends on and that one input reaches: for a weight
(K, C, R, S), n_in = C * R * S and n_out = K * R * S.

Xavier: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
Kaiming: K. He et al., "Delving Deep into Rectifiers" (2015). Orthogonal: A. M. Saxe et al., "Exact solutions to the
nonlinear dynamics of learning in deep linear neural networks" (2013).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from ..autograd import Tensor, no_grad, wrap
from ..backend.dtypes import float32, float64
from ..ops import empty

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}

_F = TypeVar("_F", bound=Callable[..., Tensor])
_skipping = ContextVar("_skipping", default=False)


@contextmanager
def no_init() -> Iterator[None]:
    """Inside it the functions of this file leave the tensors they are given as they are.

    A network made so has arbitrary parameters, and takes no time to make however large it is: for counting its
    parameters, or where values are loaded into it at once.

    Example:
        >>> import tinycnn.nn as nn
        >>> with nn.init.no_init():
        ...     layer = nn.Linear(3000, 3000)
        >>> layer.weight.numel()
        9000000
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def _fills(function: _F) -> _F:
    """What fills the tensor that is its first argument: unrecorded, and not at all inside `no_init`."""
    unrecorded = no_grad()(function)

    @functools.wraps(function)
    def fill(*args: Any, **kwargs: Any) -> Tensor:
        if _skipping.get():
            return args[0] if args else kwargs["tensor"]
        return unrecorded(*args, **kwargs)

    return fill  # type: ignore[return-value]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a weight's deviation is to grow so that values keep theirs through an activation.

    1 for "linear", "conv2d", ... and "sigmoid", 5/3 for "tanh", sqrt(2) for "relu", sqrt(2 / (1 + param^2)) for
    "leaky_relu" (param is the slope, 0.01 if not given), 3/4 for "selu".

    Raises:
        ValueError: if the name is none of these.

    Example:
        >>> import tinycnn.nn as nn
        >>> round(nn.init.calculate_gain("leaky_relu", 0.2), 4)
        1.3868
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the slope of leaky_relu must be a number, got {param!r}")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}, expected one of {known}")
    return _GAINS[nonlinearity]


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(n_in, n_out) of a weight (n_out, n_in, ...)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"this one has shape {tuple(tensor.shape)}"
        )
    n_out, n_in, *window = tensor.shape
    return n_in * math.prod(window), n_out * math.prod(window)


@_fills
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with uniform numbers from [a, b).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = nn.init.uniform_(tinycnn.empty(1000), -2, 3)
        >>> bool((w >= -2).all()) and bool((w <= 3).all())
        True
    """
    return tensor.uniform_(a, b, generator=generator)


@_fills
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers of this mean and this standard deviation.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.normal_(tinycnn.empty(2, 3), std=0.01).shape
        tinycnn.Size([2, 3])
    """
    return tensor.normal_(mean, std, generator=generator)


@_fills
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Fill with normal numbers that lie between a and b: others do not occur.

    A uniform number between the distribution function's values at a and b, put through that function's inverse.

    Raises:
        ValueError: if std is not positive, or a is not below b.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = nn.init.trunc_normal_(tinycnn.empty(1000), std=0.5, a=-1, b=1)
        >>> bool((w.abs() <= 1).all())
        True
    """
    if std <= 0 or a >= b:
        raise ValueError(f"trunc_normal_: std must be positive and a below b, got std={std}, a={a}, b={b}")
    low, high = (math.erf((x - mean) / std / math.sqrt(2)) for x in (a, b))
    draw = empty(*tensor.shape, device=tensor.device, dtype=float64).uniform_(low, high, generator=generator)
    inverse = wrap(tensor.backend.scipy_special("erfinv")(draw.array), tensor.backend)
    return tensor.copy_((inverse * (std * math.sqrt(2)) + mean).clamp(a, b))


@_fills
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.constant_(tinycnn.empty(2), 0.3)
        tensor([0.3000, 0.3000])
    """
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.ones_(tinycnn.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.zeros_(tinycnn.empty(2))
        tensor([0., 0.])
    """
    return constant_(tensor, 0)


@_fills
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on the diagonal and zeros elsewhere, so that a linear layer hands its input on.

    Raises:
        ValueError: if tensor is no matrix.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.eye_(tinycnn.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a tensor with 2 dimensions, got shape {tuple(tensor.shape)}")
    tensor.zero_()
    for i in range(min(tensor.shape)):
        tensor[i, i] = 1
    return tensor


@_fills
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight (K, C / groups, R, S) so that it hands on as many input channels as it can.

    Raises:
        ValueError: if tensor has not 3 to 5 dimensions, or groups does not divide K.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.dirac_(tinycnn.empty(1, 1, 3, 3))
        tensor([[[[0., 0., 0.],
                  [0., 1., 0.],
                  [0., 0., 0.]]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected a tensor with 3, 4 or 5 dimensions, got shape {tuple(tensor.shape)}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: groups={groups} does not divide the {tensor.shape[0]} output channels")
    tensor.zero_()
    middle = [n // 2 for n in tensor.shape[2:]]
    per_group = tensor.shape[0] // groups
    for start in range(0, tensor.shape[0], per_group or 1):
        for i in range(min(per_group, tensor.shape[1])):
            tensor[(start + i, i, *middle)] = 1
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with uniform numbers from [-a, a), a = gain * sqrt(6 / (n_in + n_out)).

    Raises:
        ValueError: if tensor has fewer than 2 dimensions.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = nn.init.xavier_uniform_(tinycnn.empty(3, 3))
        >>> bool((w.abs() <= 1).all())
        True
    """
    std = gain * _xavier_std(tensor)
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers of deviation gain * sqrt(2 / (n_in + n_out)).

    Raises:
        ValueError: if tensor has fewer than 2 dimensions.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.xavier_normal_(tinycnn.empty(3, 5), gain=nn.init.calculate_gain("relu")).shape
        tinycnn.Size([3, 5])
    """
    return normal_(tensor, 0.0, gain * _xavier_std(tensor), generator)


def _xavier_std(tensor: Tensor) -> float:
    n_in, n_out = _calculate_fan_in_and_fan_out(tensor)
    return math.sqrt(2 / (n_in + n_out)) if n_in + n_out else 0.0


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    n_in, n_out = _calculate_fan_in_and_fan_out(tensor)
    n = n_in if mode == "fan_in" else n_out
    return calculate_gain(nonlinearity, a) / math.sqrt(n) if n else 0.0


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Fill with uniform numbers from [-b, b), b = gain * sqrt(3 / n).

    Args:
        tensor: the weight.
        a: the slope of a leaky ReLU behind the layer; 0 is ReLU.
        mode: "fan_in" (n = n_in, the forward pass keeps its deviation) or "fan_out" (n = n_out, the backward pass).
        nonlinearity: what is behind the layer; see `calculate_gain`.
        generator: where the random numbers come from.

    Raises:
        ValueError: if tensor has fewer than 2 dimensions, or mode or nonlinearity is unknown.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = nn.init.kaiming_uniform_(tinycnn.empty(8, 6))
        >>> bool((w.abs() <= 1).all())
        True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Fill with normal numbers of deviation gain / sqrt(n); the arguments are those of `kaiming_uniform_`.

    Raises:
        ValueError: if tensor has fewer than 2 dimensions, or mode or nonlinearity is unknown.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.init.kaiming_normal_(tinycnn.empty(8, 3, 3, 3), mode="fan_out", nonlinearity="relu").shape
        tinycnn.Size([8, 3, 3, 3])
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@_fills
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with a matrix (the last dimensions taken as one) whose rows or columns, the fewer, are orthonormal.

    It is Q of the QR decomposition of a normal matrix, with signs such that every orthogonal matrix is as likely.

    Raises:
        ValueError: if tensor has fewer than 2 dimensions.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> w = nn.init.orthogonal_(tinycnn.empty(2, 5))
        >>> bool(((w @ w.T - tinycnn.eye(2)).abs() < 1e-5).all())
        True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected a tensor with 2 or more dimensions, got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    dtype = float64 if tensor.dtype is float64 else float32
    tall = empty(max(rows, columns), min(rows, columns), device=tensor.device, dtype=dtype).normal_(generator=generator)
    q = wrap(tensor.backend.orthonormal(tall.array), tensor.backend)
    return tensor.copy_((gain * (q.T if rows < columns else q)).reshape(tensor.shape))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's start of Linear and the convolutions: weight and bias uniform on [-b, b), b = 1 / sqrt(n_in).

    It is `kaiming_uniform_` with a = sqrt(5) for the weight.
    """
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        n_in, _ = _calculate_fan_in_and_fan_out(weight)
        if weight.numel():
            uniform_(bias, -1 / math.sqrt(n_in), 1 / math.sqrt(n_in))
        else:
            zeros_(bias)
