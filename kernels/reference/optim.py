"""The optimisers' updates: one step, in place.

Unlike the other kernels these change their arguments: the parameter and what is remembered of it. The gradient is only
read. Numbers that differ from step to step (lr, step) are Python's, so that nothing has to be read from a device; only
a step that is captured in a CUDA graph counts in the device's memory (`count`).

`sgd_step` and its like step one parameter. The kernels, `sgd_steps` and its like, step many that share their numbers:
they take a list for each array, or None where none of the parameters has such a state. The fast sets do that in one
launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Array = Any
Arrays = Sequence[Array]


def each(params: Arrays, *columns: Arrays | None) -> Iterator[tuple[Any, ...]]:
    """The arrays of one parameter after the other; None from a column that is None."""
    return zip(params, *([None] * len(params) if some is None else some for some in columns), strict=True)


def sgd_step(
    xp: Any,
    param: Array,
    grad: Array,
    buffer: Array | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """One step of stochastic gradient descent, in place on `param` and on `buffer` (the velocity, None without one).

    d = grad + weight_decay * param;  buffer = momentum * buffer + (1 - dampening) * d;
    param -= lr * (d + momentum * buffer if nesterov else buffer)     (Sutskever et al. 2013, PyTorch's form)
    """
    step = grad + weight_decay * param if weight_decay else grad
    if buffer is not None:
        buffer *= momentum
        buffer += (1 - dampening) * step
        step = step + momentum * buffer if nesterov else buffer
    param -= lr * step


def adam_step(
    xp: Any,
    param: Array,
    grad: Array,
    mean: Array,
    square: Array,
    peak: Array | None,
    count: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Step number `step` (from 1) of Adam, in place on `param`, on `mean` and `square`, the moving averages of the
    gradient and of its square, and on `peak`, the greatest `square` so far (AMSGrad) or None. If there is a `count`,
    an array of no dimensions, that is the number of the step.

    mean = beta1 * mean + (1 - beta1) * grad;  square = beta2 * square + (1 - beta2) * grad^2;
    param -= lr * m / (sqrt(s) + eps),  m = mean / (1 - beta1^step),  s = (square or peak) / (1 - beta2^step)

    Weight decay adds weight_decay * param to grad first; decoupled, it shrinks param by lr * weight_decay of itself.
    (Kingma, Ba 2015; Reddi, Kale, Kumar 2018; Loshchilov, Hutter 2019)
    """
    if decoupled:
        param *= 1 - lr * weight_decay
    elif weight_decay:
        grad = grad + weight_decay * param
    mean *= beta1
    mean += (1 - beta1) * grad
    square *= beta2
    square += (1 - beta2) * (grad * grad)
    if peak is not None:
        peak[...] = xp.maximum(peak, square)
        square = peak
    number = step if count is None else count.astype("float64")
    root = xp.sqrt(square)
    root /= (1 - beta2**number) ** 0.5
    root += eps
    param -= (lr / (1 - beta1**number)) * (mean / root)


def rmsprop_step(
    xp: Any,
    param: Array,
    grad: Array,
    square: Array,
    mean: Array | None,
    buffer: Array | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
) -> None:
    """One step of RMSprop, in place on `param`, on `square` and `mean`, the moving averages of the gradient's square
    and (centred; else None) of the gradient, and on `buffer`, the velocity (None without one).

    d = grad + weight_decay * param;  square = alpha * square + (1 - alpha) * d^2;  mean the same of d;
    d = d / (sqrt(square - mean^2) + eps);  buffer = momentum * buffer + d;  param -= lr * (buffer or d)
    (Tieleman, Hinton 2012; centred: Graves 2013)
    """
    if weight_decay:
        grad = grad + weight_decay * param
    square *= alpha
    square += (1 - alpha) * (grad * grad)
    variance = square
    if mean is not None:
        mean *= alpha
        mean += (1 - alpha) * grad
        variance = square - mean * mean
    root = xp.sqrt(variance)
    root += eps
    step = grad / root
    if buffer is not None:
        buffer *= momentum
        buffer += step
        step = buffer
    param -= lr * step


def adagrad_step(xp: Any, param: Array, grad: Array, total: Array, lr: float, eps: float, weight_decay: float) -> None:
    """One step of Adagrad, in place on `param` and on `total`, the sum of the gradient's squares.

    d = grad + weight_decay * param;  total += d^2;  param -= lr * d / (sqrt(total) + eps)     (Duchi et al. 2011)
    """
    if weight_decay:
        grad = grad + weight_decay * param
    total += grad * grad
    root = xp.sqrt(total)
    root += eps
    param -= lr * (grad / root)


def sgd_steps(xp: Any, params: Arrays, grads: Arrays, buffers: Arrays | None, *numbers: Any) -> None:
    """`sgd_step` for each of some parameters."""
    for arrays in each(params, grads, buffers):
        sgd_step(xp, *arrays, *numbers)


def adam_steps(
    xp: Any,
    params: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    peaks: Arrays | None,
    counts: Arrays | None,
    *numbers: Any,
) -> None:
    """`adam_step` for each of some parameters."""
    for arrays in each(params, grads, means, squares, peaks, counts):
        adam_step(xp, *arrays, *numbers)


def rmsprop_steps(
    xp: Any,
    params: Arrays,
    grads: Arrays,
    squares: Arrays,
    means: Arrays | None,
    buffers: Arrays | None,
    *numbers: Any,
) -> None:
    """`rmsprop_step` for each of some parameters."""
    for arrays in each(params, grads, squares, means, buffers):
        rmsprop_step(xp, *arrays, *numbers)


def adagrad_steps(xp: Any, params: Arrays, grads: Arrays, totals: Arrays, *numbers: Any) -> None:
    """`adagrad_step` for each of some parameters."""
    for arrays in each(params, grads, totals):
        adagrad_step(xp, *arrays, *numbers)


def count_up(xp: Any, counts: Arrays) -> None:
    """Add one to each of some numbers in memory, the steps of parameters."""
    for count in counts:
        count += 1
