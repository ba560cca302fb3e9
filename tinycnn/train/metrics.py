"""What training measures."""

from __future__ import annotations

from ..autograd import Tensor


def count_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """How many rows of logits (N, K) have their largest entry where labels (N,) say, as a tensor of one number."""
    correct: Tensor = logits.detach().argmax(1) == labels
    total: Tensor = correct.sum()
    return total


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of rows of logits (N, K) whose largest entry is where labels (N,) say.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows.

    Example:
        >>> import tinycnn
        >>> tinycnn.train.accuracy(tinycnn.tensor([[0.1, 2.0], [0.5, 0.2]]), tinycnn.tensor([1, 1]))
        0.5
    """
    if logits.ndim != 2 or labels.array.shape != logits.array.shape[:1] or not len(labels):
        raise ValueError(
            f"accuracy: expected logits (N, K) and labels (N,) with N > 0, "
            f"got {logits.array.shape} and {labels.array.shape}"
        )
    return float(count_correct(logits, labels).item()) / len(labels)


class Mean:
    """A running mean, weighted. Values stay on their device, unread, until the mean is asked for: reading a number back
    from a GPU waits for everything that it has been told to do.

    Example:
        >>> import tinycnn
        >>> mean = tinycnn.train.Mean()
        >>> mean.add(tinycnn.tensor(2.0), 3)
        >>> mean.add(tinycnn.tensor(4.0), 1)
        >>> mean.value
        2.5
    """

    def __init__(self) -> None:
        self._unread: list[tuple[Tensor, float]] = []
        self._total = 0.0
        self.weight = 0.0

    def add(self, value: Tensor, weight: float) -> None:
        """Count a value, a tensor of one number, weight times."""
        self._unread.append((value, weight))
        self.weight += weight

    @property
    def value(self) -> float:
        """The mean so far; NaN before the first value."""
        self._total += sum(float(value.item()) * weight for value, weight in self._unread)
        self._unread.clear()
        return self._total / self.weight if self.weight else float("nan")
