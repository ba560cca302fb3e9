"""Small helpers of the book: devices, a stopwatch, running sums, the cross-correlation, linear regression by hand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from .. import cuda
from ..autograd import Tensor, no_grad
from ..backend import device as Device  # noqa: N812
from ..data import DataLoader, TensorDataset
from ..ops import matmul, normal, zeros


def cpu() -> Device:
    """The CPU."""
    return Device("cpu")


def gpu(i: int = 0) -> Device:
    """GPU number i, whether it is there or not."""
    return Device(f"cuda:{i}")


def num_gpus() -> int:
    """The number of GPUs that can be used."""
    return cuda.device_count()


def try_gpu(i: int = 0) -> Device:
    """GPU number i if it can be used, else the CPU."""
    return gpu(i) if num_gpus() > i else cpu()


def try_all_gpus() -> list[Device]:
    """All GPUs that can be used; if there is none, the CPU."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]


class Timer:
    """A stopwatch; it runs as soon as it is made.

    Attributes:
        times: the seconds of each run, from `start` to `stop`.

    Example:
        >>> timer = Timer()
        >>> timer.stop() == timer.sum() == timer.avg()
        True
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin a run."""
        self._began = time.perf_counter()

    def stop(self) -> float:
        """End the run; returns its seconds."""
        self.times.append(time.perf_counter() - self._began)
        return self.times[-1]

    def sum(self) -> float:
        """The seconds of all runs."""
        return sum(self.times)

    def avg(self) -> float:
        """The mean of a run's seconds."""
        return self.sum() / len(self.times)

    def cumsum(self) -> list[float]:
        """The seconds of all runs up to each."""
        total, sums = 0.0, []
        for seconds in self.times:
            total += seconds
            sums.append(total)
        return sums


class Accumulator:
    """n running sums.

    Example:
        >>> metric = Accumulator(2)
        >>> metric.add(1, 10)
        >>> metric.add(2, 20)
        >>> metric[0], metric[1]
        (3.0, 30.0)
    """

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: float) -> None:
        """Add a number to each sum.

        Raises:
            ValueError: if there are not as many numbers as sums.
        """
        if len(args) != len(self.data):
            raise ValueError(f"Accumulator.add: there are {len(self.data)} sums, got {len(args)} numbers")
        self.data = [total + float(value) for total, value in zip(self.data, args, strict=True)]

    def reset(self) -> None:
        """Begin anew at 0."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, i: int) -> float:
        return self.data[i]


def corr2d(X: Tensor, K: Tensor) -> Tensor:
    """The two-dimensional cross-correlation, written as it is read.

    Shapes: X (H, W), K (R, S) -> Y (H - R + 1, W - S + 1).

        Y[i, j] = sum over r, s of X[i + r, j + s] K[r, s]

    "Dive into Deep Learning", section 7.2. `nn.functional.conv2d` does the same at speed.

    Raises:
        ValueError: if X or K is no matrix, or K is larger than X.

    Example:
        >>> from tinycnn import arange
        >>> corr2d(arange(9.0).reshape(3, 3), arange(4.0).reshape(2, 2))
        tensor([[19., 25.],
                [37., 43.]])
    """
    if X.ndim != 2 or K.ndim != 2 or K.shape[0] > X.shape[0] or K.shape[1] > X.shape[1]:
        raise ValueError(
            f"corr2d: expected an image (H, W) and a kernel (R, S) that is not larger, got {tuple(X.shape)} and "
            f"{tuple(K.shape)}"
        )
    r, s = K.shape
    Y = zeros(X.shape[0] - r + 1, X.shape[1] - s + 1, dtype=X.dtype, device=X.device)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + r, j : j + s] * K).sum()
    return Y


def synthetic_data(w: Tensor, b: float, num_examples: int) -> tuple[Tensor, Tensor]:
    """Data of a straight line: X (n, d) standard normal, y (n, 1) = X w + b + noise of deviation 0.01.

    Example:
        >>> from tinycnn import tensor
        >>> X, y = synthetic_data(tensor([2, -3.4]), 4.2, 1000)
        >>> X.shape, y.shape
        (tinycnn.Size([1000, 2]), tinycnn.Size([1000, 1]))
    """
    X = normal(0, 1, (num_examples, len(w)))
    y = matmul(X, w) + b
    y += normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


def load_array(data_arrays: Sequence[Tensor], batch_size: int, is_train: bool = True) -> DataLoader:
    """A loader of batches of tensors, shuffled if it is for training."""
    return DataLoader(TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def linreg(X: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """X w + b."""
    return matmul(X, w) + b


def squared_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """(y_hat - y)^2 / 2 for each example; y takes the shape of y_hat."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """A step of stochastic gradient descent, p -= lr * p.grad / batch_size, which also clears the gradients."""
    with no_grad():
        for param in params:
            if param.grad is not None:
                param -= lr * param.grad / batch_size
                param.grad.zero_()
