"""Training: the loop, what it measures, and what it leaves behind."""

from .callback import Callback, EpochResult
from .checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from .evaluation import Evaluation, measure
from .files import write_atomically
from .initialize import INITS, initialize
from .keep import Checkpoints, EarlyStop
from .log import JsonLines
from .metrics import Mean, accuracy, confusion_matrix, count_correct, top_k_accuracy
from .plot import plot_history
from .recipes import Recipe, recipe_for
from .trainer import Trainer, TrainingDivergedError

__all__ = [
    "INITS",
    "Callback",
    "Checkpoint",
    "Checkpoints",
    "EarlyStop",
    "EpochResult",
    "Evaluation",
    "JsonLines",
    "Mean",
    "Recipe",
    "Trainer",
    "TrainingDivergedError",
    "accuracy",
    "confusion_matrix",
    "count_correct",
    "initialize",
    "load_checkpoint",
    "load_weights",
    "measure",
    "plot_history",
    "recipe_for",
    "save_checkpoint",
    "top_k_accuracy",
    "write_atomically",
]
