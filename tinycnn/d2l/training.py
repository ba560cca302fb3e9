"""The training loops of the book's first edition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from ..nn.parameter import is_uninitialized
from ..optim import SGD, Optimizer
from ..train import count_correct
from .data import get_fashion_mnist_labels
from .plotting import Animator, show_images
from .tools import Accumulator, Timer, try_all_gpus

Batches = Iterable[Any]
_CURVES = ("train loss", "train acc", "test acc")


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """How many predictions are right: not the share but the number.

    Args:
        y_hat: the classes' scores (N, K), or the predicted classes (N,).
        y: the right classes (N,).

    Example:
        >>> from tinycnn import tensor
        >>> accuracy(tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), tensor([0, 2])) / 2
        0.5
    """
    if y_hat.ndim > 1 and y_hat.shape[1] > 1:
        return float(count_correct(y_hat, y))
    return float((y_hat.type(y.dtype).reshape(y.shape) == y).sum())


def evaluate_accuracy(net: Callable[..., Tensor], data_iter: Batches) -> float:
    """The share of right predictions on some data; a module is in evaluation mode meanwhile and afterwards."""
    return evaluate_accuracy_gpu(net, data_iter)


def evaluate_accuracy_gpu(net: Callable[..., Tensor], data_iter: Batches, device: Any = None) -> float:
    """The same with batches sent to a device, by default to where the module's parameters are."""
    if isinstance(net, nn.Module):
        net.eval()
        device = device or _home(net)
    metric = Accumulator(2)  # right predictions, predictions
    with no_grad():
        for X, y in data_iter:
            X, y = _sent(X, device), _sent(y, device)
            metric.add(accuracy(net(*_inputs(X)), y), y.numel())
    return metric[0] / metric[1]


def evaluate_loss(net: Callable[..., Tensor], data_iter: Batches, loss: Callable[..., Tensor]) -> float:
    """The mean loss on some data."""
    metric = Accumulator(2)  # sum of losses, examples
    with no_grad():
        for X, y in data_iter:
            out = net(X)
            value = loss(out, y.reshape(out.shape) if y.numel() == out.numel() else y)
            metric.add(_total(value, len(y)), len(y))
    return metric[0] / metric[1]


def train_epoch_ch3(
    net: Callable[..., Tensor], train_iter: Batches, loss: Callable[..., Tensor], updater: Any
) -> tuple[float, float]:
    """One epoch; returns the mean loss and the share of right predictions, measured before each step.

    Args:
        net: a module, or any function of a batch.
        train_iter: batches (X, y).
        loss: gives the loss of each example, or their mean.
        updater: an optimiser of `tinycnn.optim`, which gets the gradient of the mean loss; or a function of the batch
            size, as `lambda batch_size: d2l.sgd(params, lr, batch_size)`, which gets that of the sum.
    """
    if isinstance(net, nn.Module):
        net.train()
    metric = Accumulator(3)  # sum of losses, right predictions, examples
    for X, y in train_iter:
        y_hat = net(X)
        value = loss(y_hat, y)
        if isinstance(updater, Optimizer):
            updater.zero_grad()
            value.mean().backward()
            updater.step()
        else:
            value.sum().backward()
            updater(X.shape[0])
        metric.add(_total(value, len(y)), accuracy(y_hat, y), len(y))
    return metric[0] / metric[2], metric[1] / metric[2]


def train_ch3(
    net: Callable[..., Tensor],
    train_iter: Batches,
    test_iter: Batches,
    loss: Callable[..., Tensor],
    num_epochs: int,
    updater: Any,
) -> Animator:
    """Train with curves; the arguments are those of `train_epoch_ch3`. Returns the curves' Animator."""
    last = max(num_epochs, 2)  # an axis of one point has no length
    animator = Animator(xlabel="epoch", xlim=[1, last], ylim=[0, 1], legend=_CURVES)
    for epoch in range(1, num_epochs + 1):
        train_loss, train_acc = train_epoch_ch3(net, train_iter, loss, updater)
        animator.add(epoch, (train_loss, train_acc, evaluate_accuracy(net, test_iter)))
    return animator


def predict_ch3(net: Callable[..., Tensor], test_iter: Batches, n: int = 6) -> None:
    """Draw n images of Fashion-MNIST with their right class and the predicted one below it."""
    X, y = next(iter(test_iter))
    with no_grad():
        predicted = get_fashion_mnist_labels(net(X).argmax(dim=1))
    titles = [f"{right}\n{guess}" for right, guess in zip(get_fashion_mnist_labels(y), predicted, strict=True)]
    show_images(X[:n], 1, n, titles=titles[:n])


def train_ch6(net: nn.Module, train_iter: Any, test_iter: Batches, num_epochs: int, lr: float, device: Any) -> Animator:
    """Train a convolutional network as the book does, with curves; prints where it got to and how fast.

    Weights start as `nn.init.xavier_uniform_` draws them, the loss is the cross entropy, the optimiser plain SGD.

    Args:
        net: gives logits (N, K) for images (N, C, H, W).
        train_iter: the loader of the training batches; it has a length.
        test_iter: the test batches.
        num_epochs: passes over the training data.
        lr: the learning rate.
        device: where to train.

    Returns:
        The curves' Animator.
    """
    show_sizes(net, train_iter)
    net.apply(init_weights)
    print("training on", device)
    net.to(device)
    optimizer = SGD(net.parameters(), lr=lr)
    loss = nn.CrossEntropyLoss()
    animator = Animator(xlabel="epoch", xlim=[0, num_epochs], legend=_CURVES)
    return _train(net, train_iter, test_iter, loss, optimizer, num_epochs, [device], animator)


def show_sizes(net: nn.Module, batches: Batches) -> None:
    """Let lazy layers, if there are any, see their input: weights must have a size before they are drawn."""
    if any(map(is_uninitialized, net.parameters())):
        *inputs, _ = next(iter(batches))
        training = net.training
        net.eval()
        with no_grad():
            net(*(x[:1].to(_home(net)) for x in inputs))
        net.train(training)


def init_weights(module: nn.Module) -> None:
    """For `net.apply`: draw the weights of linear layers and convolutions by `nn.init.xavier_uniform_`."""
    if type(module) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)


init_cnn = init_weights  # its name in the second edition


def train_batch_ch13(
    net: nn.Module, X: Any, y: Tensor, loss: Callable[..., Tensor], trainer: Optimizer, devices: Sequence[Any]
) -> tuple[float, float]:
    """One step on one batch; returns the sum of the losses and the number of right predictions.

    Args:
        net: the network, on the first of the devices.
        X: the input, or a list of inputs.
        y: the right classes.
        loss: gives the loss of each example, as `nn.CrossEntropyLoss(reduction="none")` does.
        trainer: the optimiser, which gets the gradient of the sum, as in the book.
        devices: where to train; the first is used.
    """
    X, y = _sent(X, devices[0]), _sent(y, devices[0])
    net.train()
    trainer.zero_grad()
    y_hat = net(*_inputs(X))
    value = loss(y_hat, y)
    value.sum().backward()
    trainer.step()
    return _total(value, len(y)), accuracy(y_hat, y)


def train_ch13(
    net: nn.Module,
    train_iter: Any,
    test_iter: Batches,
    loss: Callable[..., Tensor],
    trainer: Optimizer,
    num_epochs: int,
    devices: Sequence[Any] | None = None,
) -> Animator:
    """Train with any optimiser, with curves; the arguments are those of `train_batch_ch13`. Returns the Animator.

    One device is used, the first: by default the first GPU, if there is one.
    """
    devices = list(devices or try_all_gpus())
    net.to(devices[0])
    animator = Animator(xlabel="epoch", xlim=[0, num_epochs], ylim=[0, 1], legend=_CURVES)
    return _train(net, train_iter, test_iter, loss, trainer, num_epochs, devices, animator)


def _train(
    net: nn.Module,
    train_iter: Any,
    test_iter: Batches,
    loss: Callable[..., Tensor],
    trainer: Optimizer,
    num_epochs: int,
    devices: Sequence[Any],
    animator: Animator,
) -> Animator:
    """The epochs of `train_ch6` and `train_ch13`: five points of the training curves an epoch, one of the test's."""
    if num_epochs < 1:
        raise ValueError(f"num_epochs must be 1 or more, got {num_epochs}")
    timer, num_batches = Timer(), len(train_iter)
    timer.times.clear()  # it began with itself
    metric = Accumulator(3)  # sum of losses, right predictions, examples
    test_acc = 0.0
    for epoch in range(num_epochs):
        metric.reset()
        for i, (X, y) in enumerate(train_iter):
            timer.start()
            metric.add(*train_batch_ch13(net, X, y, loss, trainer, devices), len(y))
            timer.stop()
            if _is_fifth(i, num_batches):
                animator.add(epoch + (i + 1) / num_batches, (metric[0] / metric[2], metric[1] / metric[2], None))
        test_acc = evaluate_accuracy_gpu(net, test_iter, devices[0])
        animator.add(epoch + 1, (None, None, test_acc))
    print(f"loss {metric[0] / metric[2]:.3f}, train acc {metric[1] / metric[2]:.3f}, test acc {test_acc:.3f}")
    print(f"{metric[2] * num_epochs / timer.sum():.1f} examples/sec on {devices[0]}")
    return animator


def _is_fifth(i: int, n: int) -> bool:
    """Whether batch i of n ends a fifth of an epoch, or the epoch."""
    return (i + 1) % max(n // 5, 1) == 0 or i == n - 1


def _total(loss: Tensor, n: int) -> float:
    """The sum over n examples of a loss that is given for each, or as the mean."""
    return float(loss.detach().sum()) * (1 if loss.ndim else n)


def _home(net: nn.Module) -> Any:
    return next((parameter.device for parameter in net.parameters()), None)


def _sent(x: Any, device: Any) -> Any:
    """A tensor, or a list of tensors, on a device."""
    if isinstance(x, (list, tuple)):
        return [_sent(part, device) for part in x]
    return x if device is None else x.to(device)


def _inputs(X: Any) -> list[Any]:
    return X if isinstance(X, list) else [X]
