"""How good a classifier is on some data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from ..backend import device, get_backend
from .metrics import Mean, confusion_matrix, count_correct, count_top_k

TOP = 5


@dataclass(frozen=True)
class Evaluation:
    """What `measure` found; accuracies are shares of 1.

    Attributes:
        loss: the mean loss of a sample.
        accuracy: the share of samples whose class has the largest logit.
        top5: the share of samples whose class is among the five largest logits; None for five classes or fewer, of
            which it would say nothing.
        confusion: entry (i, j) counts the samples of class i that were taken for class j; int64, on the CPU.
    """

    loss: float
    accuracy: float
    top5: float | None
    confusion: Tensor

    @property
    def class_accuracy(self) -> list[float]:
        """The accuracy within each class; NaN for a class without samples."""
        rows: list[list[int]] = self.confusion.tolist()
        return [row[i] / sum(row) if any(row) else float("nan") for i, row in enumerate(rows)]


def measure(
    model: nn.Module,
    data: Iterable[Any],
    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
    device: str | device | None = None,
) -> Evaluation:
    """Loss, accuracy, top-5 and confusion matrix of a classifier, in evaluation mode.

    Args:
        model: gives logits (N, K) for a batch of inputs.
        data: batches (X, y) with labels y (N,), such as a `DataLoader` without shuffling.
        loss_fn: the loss of logits and labels, a mean over the batch; by default the cross entropy.
        device: where batches are sent; by default where the model's first parameter is.

    Raises:
        ValueError: if there are no data.

    Example:
        >>> import tinycnn
        >>> from tinycnn import data, nn, train
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> found = train.measure(net, data.DataLoader(data.Digits(train=False), 256))
        >>> found.confusion.sum().item()
        360
    """
    first = next(iter(model.parameters()), None)
    where = device or (first.device if first is not None else "cpu")
    loss, accuracy, top = Mean(), Mean(), Mean()
    confusion: Tensor | None = None

    def count(logits: Tensor, y: Tensor, value: Tensor) -> None:
        nonlocal confusion
        n, classes = len(y), logits.array.shape[1]
        loss.add(value, n)
        accuracy.add_sum(count_correct(logits, y), n)
        if classes > TOP:
            top.add_sum(count_top_k(logits, y, TOP), n)
        found = confusion_matrix(logits, y)
        confusion = found if confusion is None else confusion + found

    for_each_batch(model, data, loss_fn or nn.CrossEntropyLoss(), where, count)
    if confusion is None:
        raise ValueError("measure: there are no data")
    return Evaluation(loss.value, accuracy.value, top.value if top.weight else None, confusion.to("cpu"))


def for_each_batch(
    model: nn.Module,
    data: Iterable[Any],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    device: str | device,
    count: Callable[[Tensor, Tensor, Tensor], None],
) -> None:
    """Call count(logits, labels, loss) on each batch, without gradients and with the model in evaluation mode."""
    before = model.training
    model.eval()
    try:
        with no_grad():
            for X, y in data:
                X, y = to_device(X, device), to_device(y, device)
                logits = model(X)
                count(logits, y, loss_fn(logits, y))
    finally:
        model.train(before)


def to_device(x: Tensor, device: str | device) -> Tensor:
    """The tensor itself if it is there already."""
    return x if x.backend is get_backend(device) else x.to(device)
