"""What the code of "Dive into Deep Learning" imports from its own package: `from tinycnn import d2l`.

Zhang, Lipton, Li, Smola, "Dive into Deep Learning", https://d2l.ai: the chapters on convolutional networks and modern
CNNs, in the functions of the first edition (`train_ch6`) and the classes of the second (`Trainer`). Their code runs
with its imports changed:

    import tinycnn as torch
    from tinycnn import d2l, nn
    from tinycnn.nn import functional as F
"""

from __future__ import annotations

import importlib
from typing import Any

from . import aliases as _aliases
from .aliases import *  # noqa: F403
from .blocks import Residual, ResNeXtBlock, resnet18
from .board import ProgressBoard
from .classifier import Classifier, FashionMNIST, LeNet
from .data import get_dataloader_workers, get_fashion_mnist_labels, load_data_fashion_mnist
from .hyperparameters import HyperParameters, add_to_class
from .plotting import Animator, plot, set_axes, set_figsize, show_images, use_svg_display
from .tools import (
    Accumulator,
    Timer,
    corr2d,
    cpu,
    gpu,
    linreg,
    load_array,
    num_gpus,
    sgd,
    squared_loss,
    synthetic_data,
    try_all_gpus,
    try_gpu,
)
from .trainer import DataModule, Module, Trainer
from .training import (
    accuracy,
    evaluate_accuracy,
    evaluate_accuracy_gpu,
    evaluate_loss,
    init_cnn,
    init_weights,
    predict_ch3,
    train_batch_ch13,
    train_ch3,
    train_ch6,
    train_ch13,
    train_epoch_ch3,
)

__all__ = [
    "Accumulator",
    "Animator",
    "Classifier",
    "DataModule",
    "FashionMNIST",
    "HyperParameters",
    "LeNet",
    "Module",
    "ProgressBoard",
    "ResNeXtBlock",
    "Residual",
    "Timer",
    "Trainer",
    "accuracy",
    "add_to_class",
    "corr2d",
    "cpu",
    "evaluate_accuracy",
    "evaluate_accuracy_gpu",
    "evaluate_loss",
    "get_dataloader_workers",
    "get_fashion_mnist_labels",
    "gpu",
    "init_cnn",
    "init_weights",
    "linreg",
    "load_array",
    "load_data_fashion_mnist",
    "num_gpus",
    "plot",
    "predict_ch3",
    "resnet18",
    "set_axes",
    "set_figsize",
    "sgd",
    "show_images",
    "squared_loss",
    "synthetic_data",
    "train_batch_ch13",
    "train_ch3",
    "train_ch6",
    "train_ch13",
    "train_epoch_ch3",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
]
__all__ += _aliases.__all__


# What the book's package imports itself: loaded when it is asked for.
_LIBRARIES = {"plt": "matplotlib.pyplot", "Image": "PIL.Image"}


def __getattr__(name: str) -> Any:
    if name in _LIBRARIES:
        return importlib.import_module(_LIBRARIES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
