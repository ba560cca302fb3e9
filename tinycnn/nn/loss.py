"""Losses as modules; the equations stand at the functions of the same names in `functional`."""

from __future__ import annotations

from ..autograd import Tensor
from ..ops.keywords import with_pytorch_keywords
from . import functional as F
from .module import Module


class _Loss(Module):
    """A loss with its way of reducing the values of all elements to one: "mean", "sum" or "none"."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in cls.__dict__:  # the old size_average and reduce
            cls.__init__ = with_pytorch_keywords(cls.__init__, name=cls.__name__, method=True)  # type: ignore[method-assign]

    def __init__(self, reduction: str) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            name = type(self).__name__
            raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """Cross entropy between the softmax of logits and a class, or class probabilities.

    Shapes: input (N, C), (C,) or (N, C, d1, ...); target (N,), () or (N, d1, ...) of class numbers, or probabilities of
    the input's shape.

    Args:
        weight: (C,) of class weights.
        ignore_index: a class number that does not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: how much of the target is spread evenly over all classes. C. Szegedy et al. (2015), section 7.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.CrossEntropyLoss()(tinycnn.zeros(2, 10), tinycnn.tensor([3, 7]))
        tensor(2.3026)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must be between 0 and 1, got {label_smoothing}")
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of logits against targets."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """The negative log-likelihood of classes, given log-probabilities; shapes and arguments as `CrossEntropyLoss`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.NLLLoss()(tinycnn.tensor([[-1.0, -2.0]]), tinycnn.tensor([1]))
        tensor(2.)
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities against classes."""
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(input - target)^2, reduced.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.MSELoss()(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of values against values of the same shape."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|, reduced.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.L1Loss()(tinycnn.tensor([1.0, 2.0]), tinycnn.tensor([1.0, 4.0]))
        tensor(1.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of values against values of the same shape."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2, reduced. R. Girshick, "Fast R-CNN" (2015).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.SmoothL1Loss(reduction="none")(tinycnn.tensor([1.0, 4.0]), tinycnn.tensor([0.5, 1.0]))
        tensor([0.1250, 2.5000])
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of values against values of the same shape."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class BCELoss(_Loss):
    """Binary cross entropy -(t log p + (1 - t) log(1 - p)) of probabilities p, reduced.

    Args:
        weight: of the elements; broadcasts to the input.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.BCELoss()(tinycnn.tensor([0.5]), tinycnn.tensor([1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of probabilities against targets between 0 and 1."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of sigmoid(input), computed so that no logit is too large, reduced.

    Args:
        weight: of the elements; broadcasts to the input.
        reduction: "mean", "sum" or "none".
        pos_weight: of the positive targets; broadcasts to the input.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.BCEWithLogitsLoss()(tinycnn.tensor([0.0]), tinycnn.tensor([1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of logits against targets between 0 and 1."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
