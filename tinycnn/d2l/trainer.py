"""The book's second edition: Module, DataModule and Trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import data, nn
from ..autograd import Tensor, no_grad
from ..nn.utils import clip_grad_norm_
from ..optim import SGD, Optimizer
from . import tools
from .board import ProgressBoard
from .data import Folder
from .hyperparameters import HyperParameters
from .training import show_sizes


class Module(nn.Module, HyperParameters):
    """A network with its loss, its optimiser and its curves: subclass it and set `self.net` or write `forward`.

    Args:
        plot_train_per_epoch: points an epoch of the curves on training data.
        plot_valid_per_epoch: points an epoch of the curves on validation data.

    Attributes:
        board: the `ProgressBoard` that `plot` draws on.
        trainer: the `Trainer` that trains it.
    """

    lr: float
    trainer: Trainer
    board: ProgressBoard

    def __init__(self, plot_train_per_epoch: int = 2, plot_valid_per_epoch: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.board = ProgressBoard()

    def loss(self, y_hat: Any, y: Any) -> Any:
        """What training makes small; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(self, y_hat, y)")

    def forward(self, X: Any) -> Any:
        """What `self.net` gives.

        Raises:
            AttributeError: if there is no `self.net`.
        """
        if not hasattr(self, "net"):
            raise AttributeError(f"{type(self).__name__}: set self.net, or write forward")
        return self.net(X)

    def plot(self, key: str, value: Any, train: bool) -> None:
        """Draw a value, by epochs, as train_key or val_key."""
        if not hasattr(self, "trainer"):
            raise RuntimeError(f"{type(self).__name__}.plot: the model is not being trained by a Trainer")
        trainer = self.trainer
        self.board.xlabel = "epoch"
        if train:
            x = trainer.train_batch_idx / trainer.num_train_batches
            n = trainer.num_train_batches / self.plot_train_per_epoch
        else:
            x = trainer.epoch + 1
            n = trainer.num_val_batches / self.plot_valid_per_epoch
        value = float(value.detach()) if isinstance(value, Tensor) else float(value)
        self.board.draw(x, value, ("train_" if train else "val_") + key, every_n=int(n))

    def training_step(self, batch: Sequence[Any]) -> Any:
        """The loss of a training batch, which is plotted."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Sequence[Any]) -> None:
        """Plots the loss of a validation batch."""
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def configure_optimizers(self) -> Optimizer:
        """Stochastic gradient descent with the rate `self.lr`."""
        return SGD(self.parameters(), lr=self.lr)

    def apply_init(self, inputs: Sequence[Any], init: Callable[[nn.Module], Any] | None = None) -> None:
        """Let lazy layers see an input, then start the weights of `self.net` by init."""
        self.forward(*inputs)
        if init is not None:
            self.net.apply(init)


class DataModule(HyperParameters):
    """Data for training and validation: subclass it and write `get_dataloader`.

    Args:
        root: the folder of the data sets; by default that of TINYCNN_DATA.
        num_workers: if not 0, batches are prepared in the background.
    """

    root: Folder
    num_workers: int

    def __init__(self, root: Folder = None, num_workers: int = 4) -> None:
        self.save_hyperparameters()

    def get_dataloader(self, train: bool) -> Any:
        """The loader of the training batches or of the validation batches."""
        raise NotImplementedError(f"{type(self).__name__} needs a method get_dataloader(self, train)")

    def train_dataloader(self) -> Any:
        """The loader of the training batches."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> Any:
        """The loader of the validation batches."""
        return self.get_dataloader(train=False)

    def get_tensorloader(self, tensors: Sequence[Tensor], train: bool, indices: slice = slice(0, None)) -> Any:
        """A loader of some rows of tensors, shuffled if they are for training; the batch size is `self.batch_size`."""
        dataset = data.TensorDataset(*(x[indices] for x in tensors))
        return data.DataLoader(dataset, self.batch_size, shuffle=train)  # type: ignore[attr-defined]


class Trainer(HyperParameters):
    """Trains a Module on a DataModule.

    Args:
        max_epochs: passes over the training data.
        num_gpus: 0 for the CPU; else the first GPU is used if there is one.
        gradient_clip_val: how long the gradient may be at most; 0 for any length.
    """

    max_epochs: int
    gradient_clip_val: float

    def __init__(self, max_epochs: int, num_gpus: int = 0, gradient_clip_val: float = 0) -> None:
        self.save_hyperparameters()
        self.gpus = [tools.gpu(i) for i in range(min(num_gpus, tools.num_gpus()))]

    def prepare_data(self, data: DataModule) -> None:
        """Make the loaders."""
        self.train_dataloader, self.val_dataloader = data.train_dataloader(), data.val_dataloader()
        self.num_train_batches = len(self.train_dataloader)
        self.num_val_batches = len(self.val_dataloader) if self.val_dataloader is not None else 0

    def prepare_model(self, model: Module) -> None:
        """Make the model and its curves ready for this training."""
        model.trainer = self
        model.board.xlim = [0, self.max_epochs]
        if self.gpus:
            model.to(self.gpus[0])
        self.model = model

    def prepare_batch(self, batch: Any) -> list[Any]:
        """The batch where the model is."""
        return [x.to(self.gpus[0]) for x in batch] if self.gpus else list(batch)

    def fit(self, model: Module, data: DataModule) -> None:
        """Train, and validate after each epoch."""
        self.prepare_data(data)
        self.prepare_model(model)
        show_sizes(model, self.train_dataloader)
        self.optim = model.configure_optimizers()
        self.epoch = self.train_batch_idx = self.val_batch_idx = 0
        while self.epoch < self.max_epochs:
            self.fit_epoch()
            self.epoch += 1

    def fit_epoch(self) -> None:
        """One epoch and its validation."""
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(self.prepare_batch(batch))
            self.optim.zero_grad()
            loss.backward()
            if self.gradient_clip_val > 0:
                self.clip_gradients(self.gradient_clip_val, self.model)
            self.optim.step()
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.eval()
        with no_grad():
            for batch in self.val_dataloader:
                self.model.validation_step(self.prepare_batch(batch))
                self.val_batch_idx += 1

    def clip_gradients(self, grad_clip_val: float, model: nn.Module) -> None:
        """Shorten the gradient of all parameters to a length."""
        clip_grad_norm_(model.parameters(), grad_clip_val)
