"""What PyTorch keeps in `torch.utils`: data sets and loaders, and checkpoints of activations."""

from .. import data
from . import checkpoint

__all__ = ["checkpoint", "data"]
