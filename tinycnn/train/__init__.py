"""Training: the loop, what it measures, and what it leaves behind."""

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint, write_atomically
from .initialize import INITS, initialize
from .log import JsonLines
from .metrics import Mean, accuracy, count_correct
from .plot import plot_history
from .recipes import Recipe, recipe_for
from .trainer import Callback, EpochResult, Trainer, TrainingDivergedError

__all__ = [
    "INITS",
    "Callback",
    "Checkpoint",
    "EpochResult",
    "JsonLines",
    "Mean",
    "Recipe",
    "Trainer",
    "TrainingDivergedError",
    "accuracy",
    "count_correct",
    "initialize",
    "load_checkpoint",
    "plot_history",
    "recipe_for",
    "save_checkpoint",
    "write_atomically",
]
