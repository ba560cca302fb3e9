"""Losses: one number for how wrong a prediction is.

All take `reduction`: "mean" (the default), "sum", or "none" for a loss an element.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Op, Tensor
from ..backend.dtypes import INEXACT, int64
from .activation import log_softmax, logsigmoid
from .arithmetic import where
from .broadcast import cast, operands
from .cross_entropy import CrossEntropy
from .geometry import check_floating
from .indexing import Pick
from .pointwise import Pointwise
from .registry import Make, Sample, op

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _reduce(name: str, loss: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _reduce_weighted(name: str, loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduce a loss an element, each weighted: the mean is by the sum of the weights."""
    if weight is None:
        return _reduce(name, loss, reduction)
    if weight.array.shape != loss.array.shape:
        raise ValueError(f"{name}: weight has shape {weight.array.shape}, input has {loss.array.shape}")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduce(name, loss, reduction)


def _check_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}: target must be a Tensor, got {type(target).__name__}")
    if input.array.shape != target.array.shape:
        raise ValueError(f"{name}: input has shape {input.array.shape}, target has {target.array.shape}")


def _check_factors(name: str, input: Tensor, **factors: Tensor | None) -> None:
    """Raise unless each factor is None, or a floating tensor that broadcasts to input's shape."""
    shape = input.array.shape
    for what, x in factors.items():
        check_floating(name, **{what: x})
        if x is None:
            continue
        sizes = x.array.shape
        if len(sizes) > len(shape) or any(m not in (1, n) for m, n in zip(sizes[::-1], shape[::-1], strict=False)):
            raise ValueError(f"{name}: {what} has shape {sizes}, which does not broadcast to {shape}")


def _classes_last(name: str, x: Tensor) -> Tensor:
    """(C,), (N, C) or (N, C, d1, ...) as (elements, C), elements in the order of the target's."""
    if x.array.ndim <= 2:
        return x.reshape(-1, x.array.shape[-1])
    return x.movedim(1, -1).reshape(-1, x.array.shape[1])


def _check_scores(name: str, input: Tensor, weight: Tensor | None) -> None:
    check_floating(name, input=input, weight=weight)
    if input.array.ndim == 0:
        raise ValueError(f"{name}: input must be (C,), (N, C) or (N, C, d1, ...), got a single number")


def _check_class_weight(name: str, input: Tensor, weight: Tensor | None) -> None:
    shape = input.array.shape
    classes = shape[0] if len(shape) == 1 else shape[1]
    if weight is not None and weight.array.shape != (classes,):
        raise ValueError(f"{name}: weight has shape {weight.array.shape}, input {shape} wants ({classes},)")


def _check_target(name: str, input: Tensor, target: Tensor, weight: Tensor | None) -> int:
    """Raise unless target holds an integer for every element of input; returns the number of classes."""
    shape = input.array.shape
    classes = shape[0] if len(shape) == 1 else shape[1]
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    if target.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must hold class numbers as integers, got {target.dtype!r}")
    if target.array.shape != wanted:
        raise ValueError(f"{name}: input of shape {shape} wants a target of shape {wanted}, got {target.array.shape}")
    _check_class_weight(name, input, weight)
    for what, x in (("target", target), ("weight", weight)):
        if x is not None and x.backend is not input.backend:
            raise RuntimeError(f"{name}: input is on {input.device}, {what} on {x.device}; move one with .to(device)")
    return classes


def _check_classes(name: str, target: Tensor, classes: int, ignore_index: int) -> bool:
    """Raise unless target holds classes or ignore_index; returns whether any may be ignored.

    On the CPU both are told by one number. On a GPU nothing is read, so that nothing waits: a label that is no class is
    reported at the next time that something is, and meanwhile counts as the nearest class.
    """
    if not target.array.size:
        return False
    backend = target.backend
    if backend.waits_to_look:
        code = backend.quietly(_worst_label, target.array, classes, ignore_index)
        backend.check(*_told_later(name, classes, ignore_index, code))
        return True
    labels = target.array
    if labels.size and labels.min() >= 0 and labels.max() < classes and not 0 <= ignore_index < classes:
        return False
    ignored = labels == ignore_index
    bad = ((labels < 0) | (labels >= classes)) & ~ignored
    found = int((ignored + 2 * bad).max())
    if found == 2:
        raise _no_class(name, int(labels[bad].ravel()[0]), classes)
    return found == 1


def _told_later(name: str, classes: int, ignore_index: int, *code: Any) -> tuple[Any, ...]:
    """A backend's arguments for the check of labels, with `_worst_label`'s code between."""
    what = f"{name}: {classes} classes, {ignore_index} ignored"
    return what, *code, lambda code: _no_class(name, (code - 1) // 2 if code % 2 else -code // 2, classes)


def _no_class(name: str, label: int, classes: int) -> IndexError:
    return IndexError(f"{name}: target {label} is out of range for {classes} classes")


def _worst_label(labels: Any, classes: int, ignore_index: int) -> Any:
    """0 if all labels are classes or ignored; else a label t that is not, as 2 t + 1, or -2 t if it is negative."""
    labels = labels.astype("int64")
    bad = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    return (bad * abs(2 * labels + (labels >= 0))).max()


def _picked(
    logp: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, some_ignored: bool
) -> tuple[Tensor, Tensor | None]:
    """For (elements, C) and checked targets (elements,): -logp[target], 0 where ignored, and each element's weight
    (None: all 1)."""
    labels = target
    weights: Tensor | None = None
    if some_ignored:
        kept = target != ignore_index
        weights = cast(kept, logp.dtype)
        labels = cast(target, int64).clamp(0, logp.array.shape[1] - 1)
    places = cast(labels, int64).array
    if weight is not None:
        each = Pick.apply(weight, (places,), False)
        weights = each if weights is None else each * weights
    rows = logp.backend.arange(places.size)
    loss = -Pick.apply(logp, (rows, places), True)  # one element of each row: none is picked twice
    return where(kept, loss, 0.0) if some_ignored else loss, weights


def _weighted(name: str, loss: Tensor, weights: Tensor | None, target: Tensor, reduction: str) -> Tensor:
    """Reduce a loss an element; the mean is weighted."""
    _check_reduction(name, reduction)
    if weights is not None:
        loss = loss * weights
    if reduction == "none":
        return loss.reshape(target.array.shape)
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if weights is None else loss.sum() / weights.sum()


def _class_samples(make: Make) -> list[Sample]:
    labels = make.integers(3, 4)
    ignored = labels.detach().clone()
    ignored.array[0] = -100
    weight = make.positive(3).detach()
    return [
        make.sample(make(4, 3), labels),
        make.sample(make(4, 3), ignored, weight),
        make.sample(make(4, 3), labels, reduction="sum"),
        make.sample(make(3), make.integers(3)),
        make.sample(make(2, 3, 2, 2), make.integers(3, 2, 2, 2), weight, reduction="none"),
    ]


@op(_class_samples, method=False, linear=False, analytic=True)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood: -weight[t] * input[t] for each element, t being its target.

    Args:
        input: log-probabilities (N, C), (C,) or (N, C, d1, ...).
        target: class numbers (N,), () or (N, d1, ...).
        weight: (C,), or None; the mean is then weighted by weight[t].
        ignore_index: a target that counts for nothing.
        reduction: "mean", "sum" or "none".

    Returns:
        a scalar, or the shape of target.

    Raises:
        ValueError, TypeError, IndexError: if shapes, dtypes or class numbers do not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.nll_loss(tinycnn.tensor([[-1.0, -3.0]]), tinycnn.tensor([1]))
        tensor(3.)
    """
    _check_scores("nll_loss", input, weight)
    classes = _check_target("nll_loss", input, target, weight)
    ignored = _check_classes("nll_loss", target, classes, ignore_index)
    loss, weights = _picked(_classes_last("nll_loss", input), target.reshape(-1), weight, ignore_index, ignored)
    return _weighted("nll_loss", loss, weights, target, reduction)


def _cross_entropy_samples(make: Make) -> list[Sample]:
    probabilities = make.positive(4, 3).detach()
    return [
        *_class_samples(make),
        make.sample(make(4, 3), make.integers(3, 4), label_smoothing=0.1),
        make.sample(make(4, 3), make.integers(3, 4), make.positive(3).detach(), label_smoothing=0.2),
        make.sample(make(4, 3), probabilities / probabilities.sum(1, keepdim=True)),
        make.sample(make(2, 3, 2), make.positive(2, 3, 2), make.positive(3).detach(), label_smoothing=0.1),
    ]


@op(_cross_entropy_samples, method=False, analytic=True)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input) with the target: -log softmax(input)[t] for each element.

    With label_smoothing e the target is (1 - e) on its class and e / C on all (Szegedy et al. 2016, section 7).

    Args:
        input: unnormalised scores, "logits", (N, C), (C,) or (N, C, d1, ...).
        target: class numbers (N,), () or (N, d1, ...), or floating probabilities in the shape of input.
        weight: (C,), or None; for class numbers the mean is then weighted by weight[t].
        ignore_index: a target that counts for nothing (class numbers only).
        reduction: "mean", "sum" or "none".
        label_smoothing: e, between 0 and 1.

    Returns:
        a scalar, or the shape of target (without C for probabilities).

    Raises:
        ValueError, TypeError, IndexError: if shapes, dtypes or class numbers do not fit.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.cross_entropy(tinycnn.zeros(1, 10), tinycnn.tensor([3]))
        tensor(2.3026)
    """
    _check_scores("cross_entropy", input, weight)
    _check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing!r}")
    if not isinstance(target, Tensor):
        raise TypeError(f"cross_entropy: target must be a Tensor, got {type(target).__name__}")
    if target.array.dtype.char in INEXACT:
        return _with_probabilities(input, target, weight, reduction, label_smoothing)
    classes = _check_target("cross_entropy", input, target, weight)
    if weight is None and not label_smoothing and reduction != "none" and input.array.ndim == 2 and input.array.size:
        labels, mean = target.array, reduction == "mean"
        if input.backend.waits_to_look:
            with input.backend.checking(*_told_later("cross_entropy", classes, ignore_index)) as worst:
                return CrossEntropy.apply(input, labels, ignore_index, mean, worst)
        ignored = _check_classes("cross_entropy", target, classes, ignore_index)
        return CrossEntropy.apply(input, labels, ignore_index if ignored else None, mean, None)
    ignored = _check_classes("cross_entropy", target, classes, ignore_index)
    logp = log_softmax(_classes_last("cross_entropy", input), 1)
    loss, weights = _picked(logp, target.reshape(-1), weight, ignore_index, ignored)
    if not label_smoothing:
        return _weighted("cross_entropy", loss, weights, target, reduction)
    hard = _weighted("cross_entropy", loss, weights, target, reduction)
    every = -(logp if weight is None else logp * weight).sum(1)
    if ignored:
        every = where(target.reshape(-1) != ignore_index, every, 0.0)
    smooth = _weighted("cross_entropy", every, None, target, "none" if reduction == "none" else "sum")
    if reduction == "mean":
        smooth = smooth / (every.array.size if weights is None else weights.sum())
    return (1 - label_smoothing) * hard + label_smoothing / logp.array.shape[1] * smooth


def _with_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    _check_same_shape("cross_entropy", input, target)
    _check_class_weight("cross_entropy", input, weight)
    logp = log_softmax(_classes_last("cross_entropy", input), 1)
    wanted = _classes_last("cross_entropy", target)
    if label_smoothing:
        wanted = wanted * (1 - label_smoothing) + label_smoothing / logp.array.shape[1]
    product = logp * wanted
    loss = -(product if weight is None else product * weight).sum(1)
    shape = input.array.shape
    return _reduce("cross_entropy", loss.reshape(() if len(shape) == 1 else (shape[0], *shape[2:])), reduction)


def _pair_loss(name: str, function: type[Op], input: Tensor, target: Tensor, *numbers: float) -> Tensor:
    """A loss of one formula for each element."""
    check_floating(name, input=input)
    _check_same_shape(name, input, target)
    return function.apply(*operands(name, input, target), *numbers)


class SquaredError(Pointwise):
    """(x - t)^2; dx = 2 g (x - t), dt its opposite."""

    kernel, keeps = "squared_error", (0, 1)
    gradients = "squared_error_backward", "squared_error_target"


class AbsoluteError(Pointwise):
    """|x - t|; dx = g sign(x - t), dt its opposite."""

    kernel, keeps = "absolute_error", (0, 1)
    gradients = "absolute_error_backward", "absolute_error_target"


class SmoothError(Pointwise):
    """With d = |x - t|: d^2 / (2 beta) where d < beta, else d - beta / 2; dx = g (x - t) / beta, or g sign(x - t)."""

    kernel, keeps = "smooth_error", (0, 1)
    gradients = "smooth_error_backward", "smooth_error_target"


class BinaryCrossEntropy(Pointwise):
    """-(t * log(x) + (1 - t) * log(1 - x)), each logarithm held at -100 or above; dx = g * (x - t) / (x * (1 - x)), the
    product held at 1e-12 or above, dt = g * (log(1 - x) - log(x))."""

    kernel, keeps = "binary_cross_entropy", (0, 1)
    gradients = "binary_cross_entropy_backward", "binary_cross_entropy_target"


class LogitsCrossEntropy(Pointwise):
    """The same of sigmoid(x): (1 - t) * x - log(sigmoid(x)); dx = g * (sigmoid(x) - t), dt = -g * x."""

    kernel, keeps = "logits_cross_entropy", (0, 1)
    gradients = "logits_cross_entropy_backward", "logits_cross_entropy_target"


def _pair_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), make(2, 3)),
        make.sample(make(4), make(4), reduction="sum"),
        make.sample(make(2, 2), make(2, 2), reduction="none"),
    ]


@op(_pair_samples, method=False, analytic=True)
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """Squared error: weight * (input - target)^2 for each element.

    Args:
        input, target: of one shape.
        reduction: "mean" (by the sum of the weights), "sum" or "none".
        weight: of that shape too, or None for 1 everywhere.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.mse_loss(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.0, 4.0]))
        tensor(2.)
    """
    return _reduce_weighted("mse_loss", _pair_loss("mse_loss", SquaredError, input, target), weight, reduction)


def _distant_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make.apart(2, 3), make(2, 3) * 0.01),
        make.sample(make.apart(4), make(4) * 0.01, reduction="sum"),
        make.sample(make.apart(2, 2), make(2, 2) * 0.01, reduction="none"),
    ]


@op(_distant_samples, method=False, kinks="input = target")
def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """Absolute error: weight * |input - target| for each element; the gradient is 0 where they are equal.

    Args:
        input, target: of one shape.
        reduction: "mean" (by the sum of the weights), "sum" or "none".
        weight: of that shape too, or None for 1 everywhere.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.l1_loss(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.0, 4.0]))
        tensor(1.)
    """
    return _reduce_weighted("l1_loss", _pair_loss("l1_loss", AbsoluteError, input, target), weight, reduction)


@op(
    lambda make: [
        *_distant_samples(make),
        make.sample(make.apart(6), make(6) * 0.01, beta=0.4),
    ],  # on both sides of beta
    method=False,
    kinks="|input - target| = beta",
)
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """With d = |input - target|: d^2 / (2 beta) where d < beta, else d - beta / 2 (Girshick 2015, equation 3).

    Args:
        input, target: of one shape.
        reduction: "mean", "sum" or "none".
        beta: where the parabola becomes a line; 0 gives `l1_loss`.

    Raises:
        ValueError: if the shapes differ or beta is negative.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.smooth_l1_loss(tinycnn.tensor([0.5, 3.0]), tinycnn.zeros(2), reduction="none")
        tensor([0.1250, 2.5000])
    """
    if not beta >= 0:  # NaN is not
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta!r}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    loss = _pair_loss("smooth_l1_loss", SmoothError, input, target, float(beta))
    return _reduce("smooth_l1_loss", loss, reduction)


def _probability_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make.positive(2, 3, low=0.1, high=0.9), make.positive(2, 3, low=0.1, high=0.9)),
        make.sample(make.positive(3, low=0.1, high=0.9), make.booleans(3).double(), make.positive(3).detach()),
        make.sample(make.positive(3, low=0.1, high=0.9), make.booleans(3).double(), reduction="none"),
    ]


@op(_probability_samples, method=False, kinks="logarithms of -100")
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-weight * (target * log(input) + (1 - target) * log(1 - input)), each logarithm held at -100 or above.

    Args:
        input: probabilities.
        target: of the same shape, between 0 and 1.
        weight: broadcasts to it, or None.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if the shapes do not fit, or an input or a target lies outside [0, 1].
        TypeError: if one is no tensor of floating numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.binary_cross_entropy(tinycnn.tensor([0.5]), tinycnn.tensor([1.0]))
        tensor(0.6931)
    """
    _check_same_shape("binary_cross_entropy", input, target)
    check_floating("binary_cross_entropy", input=input, target=target)
    _check_factors("binary_cross_entropy", input, weight=weight)
    for what, x in (("input", input), ("target", target)):
        numbers = x.backend.widened(x.array)
        if numbers.size and not (0 <= float(x.backend.min(numbers)) and float(x.backend.max(numbers)) <= 1):
            hint = "; for scores use the version with logits" if x is input else ""
            raise ValueError(f"binary_cross_entropy: {what} must lie between 0 and 1{hint}")
    loss = BinaryCrossEntropy.apply(*operands("binary_cross_entropy", input, target))
    return _reduce("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


def _logit_samples(make: Make) -> list[Sample]:
    return [
        make.sample(make(2, 3), make.positive(2, 3, low=0.1, high=0.9)),
        make.sample(make(4), make.booleans(4).double(), make.positive(4).detach(), reduction="sum"),
        make.sample(make(2, 3), make.booleans(2, 3).double(), pos_weight=make.positive(3).detach()),
    ]


@op(_logit_samples, analytic=True, method=False)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of sigmoid(input), computed so that no score overflows.

    -weight * (pos_weight * target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)))

    Args:
        input: scores of any size.
        target: of the same shape, between 0 and 1.
        weight, pos_weight: broadcast to it, or None.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if one is no tensor of floating numbers.

    Example:
        >>> import tinycnn
        >>> tinycnn.nn.functional.binary_cross_entropy_with_logits(tinycnn.tensor([0.0]), tinycnn.tensor([1.0]))
        tensor(0.6931)
    """
    name = "binary_cross_entropy_with_logits"
    check_floating(name, input=input)
    _check_same_shape(name, input, target)
    check_floating(name, target=target)
    _check_factors(name, input, weight=weight, pos_weight=pos_weight)
    if pos_weight is None:
        loss = LogitsCrossEntropy.apply(*operands(name, input, target))
    else:  # log(1 - sigmoid(x)) = log(sigmoid(x)) - x
        loss = (1 - target) * input - (target * pos_weight + 1 - target) * logsigmoid(input)
    return _reduce(name, loss if weight is None else loss * weight, reduction)
