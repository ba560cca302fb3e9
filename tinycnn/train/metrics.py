"""What training measures."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, no_grad, wrap


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
    _check("accuracy", logits, labels)
    return float(count_correct(logits, labels).item()) / len(labels)


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 5) -> float:
    """The share of rows of logits (N, K) that have the label's entry among their k largest.

    A row counts if fewer than k other entries are greater than the label's, or equal to it and before it: so with k = 1
    it is `accuracy`, which takes the first of equal entries.

    Raises:
        ValueError: if the shapes do not fit, there are no rows, or k is not from 1 to K.

    Example:
        >>> import tinycnn
        >>> logits = tinycnn.tensor([[0.1, 2.0, 1.0], [0.5, 0.2, 0.3]])
        >>> tinycnn.train.top_k_accuracy(logits, tinycnn.tensor([2, 1]), k=2)
        0.5
    """
    _check("top_k_accuracy", logits, labels)
    classes = logits.array.shape[1]
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= classes:
        raise ValueError(f"top_k_accuracy: k must be from 1 to {classes}, the number of classes, got {k!r}")
    return float(count_top_k(logits, labels, k).item()) / len(labels)


@no_grad()
def count_top_k(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """How many rows of logits (N, K) have the label's entry among their k largest, as a tensor of one number."""
    backend, column, scores = logits.backend, labels.array[:, None], logits.backend.widened(logits.array)
    own = backend.take_along_axis(scores, column, 1)
    before = backend.arange(scores.shape[1])[None, :] < column
    # A label whose entry is NaN is among nobody's largest: no comparison holds, so it is counted out by hand.
    ahead = ((scores > own) | ((scores == own) & before)).sum(1)
    found = (ahead < k) & (own[:, 0] == own[:, 0])
    return wrap(backend.asarray(found.sum()), backend)


@no_grad()
def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int | None = None) -> Tensor:
    """How often each class was taken for each: entry (i, j) counts the samples of class i that were given class j.

    Args:
        predictions: the classes given, (N,) integers; or logits (N, K), of which the largest is taken.
        labels: the true classes, (N,) integers.
        num_classes: K; by default that of the logits, or one more than the largest class that occurs.

    Returns:
        (K, K), int64.

    Raises:
        ValueError: if the shapes do not fit, or a class is not from 0 to K - 1.

    Example:
        >>> import tinycnn
        >>> tinycnn.train.confusion_matrix(tinycnn.tensor([0, 1, 1, 2]), tinycnn.tensor([0, 1, 2, 2]))
        tensor([[1, 0, 0],
                [0, 1, 0],
                [0, 1, 1]])
    """
    if predictions.ndim == 2 and len(predictions):
        num_classes = predictions.array.shape[1] if num_classes is None else num_classes
        predictions = predictions.detach().argmax(1)
    if predictions.ndim != 1 or predictions.array.shape != labels.array.shape:
        raise ValueError(
            "confusion_matrix: expected predictions (N,) or logits (N, K) and labels (N,), "
            f"got {predictions.array.shape} and {labels.array.shape}"
        )
    given, true = predictions.array, labels.array
    if given.dtype.kind not in "iu" or true.dtype.kind not in "iu":
        raise ValueError(f"confusion_matrix: classes must be integers, got {predictions.dtype} and {labels.dtype}")
    backend = labels.backend
    least, most = (int(min(given.min(), true.min())), int(max(given.max(), true.max()))) if len(labels) else (0, -1)
    classes = most + 1 if num_classes is None else num_classes
    if least < 0 or most >= classes:
        raise ValueError(f"confusion_matrix: classes must be from 0 to {classes - 1}, got {least} to {most}")
    counts = backend.zeros((classes, classes), dtype="int64")
    backend.add_at(counts, (true, given), 1)
    return wrap(counts, backend)


def _check(name: str, logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or labels.array.shape != logits.array.shape[:1] or not len(labels):
        raise ValueError(
            f"{name}: expected logits (N, K) and labels (N,) with N > 0, "
            f"got {logits.array.shape} and {labels.array.shape}"
        )


class Mean:
    """A running mean, weighted. Values stay on their device, unread, until the mean is asked for: reading a number back
    from a GPU waits for everything that it has been told to do. When it is asked for makes no difference to its value.

    Example:
        >>> import tinycnn
        >>> mean = tinycnn.train.Mean()
        >>> mean.add(tinycnn.tensor(2.0), 3)
        >>> mean.add_sum(tinycnn.tensor(4.0), 1)
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

    def add_sum(self, total: Tensor, count: float) -> None:
        """Count values of which there are `count`, and which sum to `total`, a tensor of one number."""
        self._unread.append((total, 1))
        self.weight += count

    @property
    def value(self) -> float:
        """The mean so far; NaN before the first value."""
        for value, factor in self._unread:  # one by one: so the sum is the same whether it was read in between or not
            self._total += float(value.item()) * factor
        self._unread.clear()
        return self._total / self.weight if self.weight else float("nan")

    def state_dict(self) -> dict[str, float]:
        """What it takes to go on counting, of things that JSON can hold."""
        self.value  # noqa: B018 - reads what is unread
        return {"total": self._total, "weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._unread.clear()
        self._total, self.weight = float(state["total"]), float(state["weight"])
