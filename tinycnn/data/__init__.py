"""Data: datasets, the loader that makes batches of them, and the data sets that tinycnn knows by name."""

from .dataset import Dataset, ImageDataset, Subset, TensorDataset, random_split
from .digits import Digits
from .idx import MNIST, FashionMNIST, read_idx
from .loader import DataLoader, default_collate
from .registry import available, load

__all__ = [
    "MNIST",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "Subset",
    "TensorDataset",
    "available",
    "default_collate",
    "load",
    "random_split",
    "read_idx",
]
