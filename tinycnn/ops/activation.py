"""Activations: the bends between a network's linear layers.

The forward pass of the common ones is a kernel, and so is their backward, unless the graph of the backward is wanted:
then it is the same formula made of recorded operations.
"""

from __future__ import annotations

import warnings
from typing import Any

from ..autograd import Op, Tensor, is_grad_enabled, run_kernel
from .broadcast import cast
from .elementwise import exp, expect_tensor, floating
from .pointwise import Pointwise
from .reduce import as_optional_dtype, one_dim
from .registry import Make, Sample, op

__all__ = [
    "elu",
    "gelu",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


class ReLU(Pointwise):
    """y = max(x, 0); dx = g where y > 0, else 0."""

    kernel, gradients, keeps = "relu", ("relu_backward",), (-1,)


class LeakyReLU(Pointwise):
    """x where x > 0, else slope * x; dx = g where x > 0, else slope * g."""

    kernel, gradients = "leaky_relu", ("leaky_relu_backward",)


class Sigmoid(Pointwise):
    """y = 1 / (1 + e^-x); dx = g * y * (1 - y)."""

    kernel, gradients, keeps = "sigmoid", ("sigmoid_backward",), (-1,)


class Tanh(Pointwise):
    """y = tanh(x); dx = g * (1 - y^2)."""

    kernel, gradients, keeps = "tanh", ("tanh_backward",), (-1,)


class GELU(Pointwise):
    """x * Phi(x), Phi the normal distribution function; dx = g * (Phi(x) + x * phi(x)), phi its density."""

    kernel, gradients = "gelu", ("gelu_backward",)


class SiLU(Pointwise):
    """x * s with s = 1 / (1 + e^-x); dx = g * (s + x * s * (1 - s))."""

    kernel, gradients = "silu", ("silu_backward",)


class GELUTanh(Pointwise):
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))), which is near GELU."""

    kernel, gradients = "gelu_tanh", ("gelu_tanh_backward",)


class Softplus(Pointwise):
    """log(1 + e^(beta x)) / beta, or x itself where beta x > threshold; dx = g / (1 + e^(-beta x)), or g there."""

    kernel, gradients = "softplus", ("softplus_backward",)


class LogSigmoid(Pointwise):
    """-log(1 + e^-x); dx = g / (1 + e^x)."""

    kernel, gradients = "logsigmoid", ("logsigmoid_backward",)


class ELU(Pointwise):
    """y = x where x > 0, else alpha * (e^x - 1); dx = g where x > 0, else g * (y + alpha)."""

    kernel, gradients, keeps = "elu", ("elu_backward",), (0, -1)


class HardTanh(Pointwise):
    """x held between low and high; dx = g where x is between them, else 0, also on the bounds themselves."""

    kernel, gradients, keeps = "hardtanh", ("hardtanh_backward",), (-1,)


class Softmax(Op):
    """y = e^x / sum(e^x) along an axis; dx = y * (g - sum(g * y))."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        ctx.axis = axis
        y = ctx.backend.kernels.softmax(x, axis) if x.size else x.copy()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (y,) = ctx.saved_tensors
        if is_grad_enabled() or not y.numel():
            return y * (g - (g * y).sum(ctx.axis, keepdim=True)), None
        return run_kernel("softmax_backward", g, y, ctx.axis), None


class LogSoftmax(Op):
    """y = x - log(sum(e^x)) along an axis; dx = g - e^y * sum(g)."""

    takes_bfloat16 = True

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        ctx.axis = axis
        y = ctx.backend.kernels.log_softmax(x, axis) if x.size else x.copy()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (y,) = ctx.saved_tensors
        if is_grad_enabled() or not y.numel():
            return g - exp(y) * g.sum(ctx.axis, keepdim=True), None
        return run_kernel("log_softmax_backward", g, y, ctx.axis), None


def _no_kinks(make: Make) -> list[Sample]:
    return [make.sample(make.apart(2, 3)), make.sample(make.apart())]


def _anywhere(make: Make) -> list[Sample]:
    return [make.sample(make(2, 3)), make.sample(make()), make.sample(make(0, 3))]


@op(_no_kinks, kinks="0")
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0): the rectified linear unit; its gradient at 0 is 0 (Nair, Hinton 2010).

    Args:
        inplace: accepted for PyTorch's sake here and in the functions below; the result is always new.

    Example:
        >>> import tinycnn
        >>> tinycnn.relu(tinycnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if expect_tensor("relu", input).array.dtype.kind == "b":
        raise RuntimeError("relu: a boolean tensor has nothing to rectify")
    return ReLU.apply(input)


@op(
    lambda make: [make.sample(make.apart(2, 3)), make.sample(make.apart(4), negative_slope=0.2)],
    method=False,
    kinks="0",
)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input (Maas, Hannun, Ng 2013).

    Example:
        >>> import tinycnn
        >>> tinycnn.leaky_relu(tinycnn.tensor([-1.0, 2.0]), 0.25)
        tensor([-0.2500,  2.0000])
    """
    return LeakyReLU.apply(floating("leaky_relu", input), float(negative_slope))


@op(_anywhere, analytic=True)
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-input), between 0 and 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.sigmoid(tinycnn.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """
    return Sigmoid.apply(floating("sigmoid", input))


@op(_anywhere, analytic=True)
def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, between -1 and 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.tanh(tinycnn.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return Tanh.apply(floating("tanh", input))


@op(
    lambda make: [make.sample(make(2, 3)), make.sample(make()), make.sample(make(2, 3), approximate="tanh")],
    analytic=True,
    method=False,
)
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """input * Phi(input), Phi the normal distribution function (Hendrycks, Gimpel 2016).

    Args:
        approximate: "none", or "tanh" for x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))).

    Raises:
        RuntimeError: if approximate is neither.

    Example:
        >>> import tinycnn
        >>> tinycnn.gelu(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """
    x = floating("gelu", input)
    if approximate == "none":
        return GELU.apply(x)
    if approximate != "tanh":
        raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return GELUTanh.apply(x)


@op(
    lambda make: [
        make.sample(make(2, 3)),
        make.sample(make(4), beta=2.0, threshold=50.0),
        make.sample(make.apart(8), beta=2.0, threshold=1.2),
    ],
    analytic=True,
    method=False,
    kinks="the threshold",
)
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta * input)) / beta, a smooth relu.

    Args:
        threshold: where beta * input is above it, the result is input itself.

    Example:
        >>> import tinycnn
        >>> tinycnn.softplus(tinycnn.tensor([0.0, 30.0]))
        tensor([ 0.6931, 30.0000])
    """
    return Softplus.apply(floating("softplus", input), float(beta), float(threshold))


@op(_anywhere, analytic=True, method=False)
def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e^-input)), exact where the sigmoid itself would round to 0 or 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.logsigmoid(tinycnn.tensor([0.0, -100.0]))
        tensor([  -0.6931, -100.0000])
    """
    return LogSigmoid.apply(floating("logsigmoid", input))


@op(_anywhere, analytic=True, method=False)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input), also called swish (Elfwing, Uchibe, Doya 2017).

    Example:
        >>> import tinycnn
        >>> tinycnn.silu(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    return SiLU.apply(floating("silu", input))


@op(lambda make: [make.sample(make.apart(2, 3)), make.sample(make.apart(4), alpha=0.5)], method=False, kinks="0")
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, else alpha * (e^input - 1) (Clevert, Unterthiner, Hochreiter 2016).

    Example:
        >>> import tinycnn
        >>> tinycnn.elu(tinycnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return ELU.apply(floating("elu", input), float(alpha))


@op(
    lambda make: [make.sample(make.apart(2, 3, gap=0.6)), make.sample(make.apart(6), min_val=-0.2, max_val=0.4)],
    method=False,
    kinks="min_val and max_val",
)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input held between min_val and max_val. Unlike clamp's, its gradient on the bounds is 0.

    Raises:
        ValueError: if min_val is above max_val.

    Example:
        >>> import tinycnn
        >>> tinycnn.hardtanh(tinycnn.tensor([-2.0, 0.5, 2.0]))
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    number = int if expect_tensor("hardtanh", input).array.dtype.kind in "iu" else float
    return HardTanh.apply(input, number(min_val), number(max_val))


@op(lambda make: [make.sample(make.apart(2, 3)), make.sample(make.apart(8, gap=1.1))], method=False, kinks="0 and 6")
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6); its gradient at 0 and at 6 is 0 (Krizhevsky 2010).

    Example:
        >>> import tinycnn
        >>> tinycnn.relu6(tinycnn.tensor([-1.0, 2.0, 8.0]))
        tensor([0., 2., 6.])
    """
    return HardTanh.apply(expect_tensor("relu6", input), 0, 6)


def _along_a_dim(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), 1),
        make.sample(make(2, 3, 2), dim=1),
        make.sample(make(3, 2), dim=-2),
        make.sample(make(), dim=0),
    ]


def _softmax(name: str, function: type[Op], input: Tensor, dim: int | None, dtype: Any) -> Tensor:
    kind = as_optional_dtype(dtype)
    x = floating(name, input if kind is None else cast(expect_tensor(name, input), kind))
    if dim is None:
        dim = 0 if x.array.ndim in (0, 1, 3) else 1
        warnings.warn(f"{name}: dim={dim} was chosen; choosing is deprecated, write dim=...", UserWarning, stacklevel=3)
    axis = one_dim(name, dim, x.array.ndim)
    if x.array.ndim == 0:
        return function.apply(x.reshape(1), 0).reshape(())
    return function.apply(x, axis)


@op(_along_a_dim, analytic=True)
def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """e^input / sum(e^input) along dim: positive numbers that add up to 1.

    Args:
        input: any shape.
        dim: the dimension to add along. Without it, PyTorch's old choice, 0 for 0, 1 or 3 dimensions and else 1, and
            a warning.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.softmax(tinycnn.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.0900, 0.2447, 0.6652])
    """
    return _softmax("softmax", Softmax, input, dim, dtype)


@op(_along_a_dim, analytic=True)
def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """input - log(sum(e^input)) along dim: the logarithm of softmax, exact where that would be 0.

    Args:
        input: any shape.
        dim: the dimension to add along. Without it, PyTorch's old choice, 0 for 0, 1 or 3 dimensions and else 1, and
            a warning.
        dtype: cast input to this first.

    Raises:
        IndexError: if there is no such dimension.

    Example:
        >>> import tinycnn
        >>> tinycnn.log_softmax(tinycnn.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([-2.4076, -1.4076, -0.4076])
    """
    return _softmax("log_softmax", LogSoftmax, input, dim, dtype)
