"""The book's second edition: image classification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..backend.dtypes import float32
from ..data import DataLoader
from ..nn import functional as F
from ..ops import randn
from .data import Folder, get_fashion_mnist_labels, load_fashion_mnist
from .plotting import show_images
from .trainer import DataModule, Module


class Classifier(Module):
    """A Module that gives logits (N, K): cross entropy, accuracy."""

    def loss(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Any:
        """The cross entropy of logits (..., K) and classes (...): the mean, or with averaged=False of each example."""
        Y_hat, Y = Y_hat.reshape((-1, Y_hat.shape[-1])), Y.reshape((-1,))
        return F.cross_entropy(Y_hat, Y, reduction="mean" if averaged else "none")

    def accuracy(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Tensor:
        """The share of right predictions, or with averaged=False for each example 1 if it is right, else 0."""
        Y_hat = Y_hat.reshape((-1, Y_hat.shape[-1]))
        right: Tensor = (Y_hat.argmax(dim=1) == Y.reshape((-1,))).type(float32)
        return right.mean() if averaged else right

    def validation_step(self, batch: Sequence[Any]) -> None:
        """Plots loss and accuracy of a validation batch."""
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the shape of the output of each layer of `self.net` for an input of random numbers.

        Example:
            >>> from tinycnn import d2l
            >>> d2l.LeNet().layer_summary((1, 1, 28, 28))
            Conv2d output shape: tinycnn.Size([1, 6, 28, 28])
            Sigmoid output shape: tinycnn.Size([1, 6, 28, 28])
            AvgPool2d output shape: tinycnn.Size([1, 6, 14, 14])
            ...
            Linear output shape: tinycnn.Size([1, 10])
        """
        X = randn(*X_shape)
        for layer in self.net:
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)


class LeNet(Classifier):
    """LeNet-5; layers learn the size of their input at the first call. See `models.lenet`."""

    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5, padding=2),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.LazyConv2d(16, kernel_size=5),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.LazyLinear(120),
            nn.Sigmoid(),
            nn.LazyLinear(84),
            nn.Sigmoid(),
            nn.LazyLinear(num_classes),
        )


class FashionMNIST(DataModule):
    """Fashion-MNIST: 60,000 images for training, 10,000 for validation.

    Args:
        batch_size: images a batch.
        resize: their height and width.
        root: the folder of the data sets; by default that of TINYCNN_DATA. See `tinycnn.data.load`.

    Attributes:
        train, val: the data sets.
    """

    batch_size: int

    def __init__(self, batch_size: int = 64, resize: int | tuple[int, int] = (28, 28), root: Folder = None) -> None:
        super().__init__(root)
        self.save_hyperparameters()
        self.train, self.val = load_fashion_mnist(resize, root)

    def text_labels(self, indices: Iterable[Any]) -> list[str]:
        """The names of the classes with these numbers."""
        return get_fashion_mnist_labels(indices)

    def get_dataloader(self, train: bool) -> DataLoader:
        """The loader of the training batches, in a new order at each epoch, or of the validation batches."""
        dataset = self.train if train else self.val
        return DataLoader(dataset, self.batch_size, shuffle=train, num_workers=self.num_workers)

    def visualize(self, batch: Sequence[Any], nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()) -> None:
        """Draw the first images of a batch, by default with the names of their classes."""
        X, y = batch
        show_images(X, nrows, ncols, titles=labels or self.text_labels(y))
