"""Data: datasets, the loader that makes batches of them, and the data sets that tinycnn knows by name."""

from . import transforms
from .cifar import CIFAR10, CIFAR100
from .collate import default_collate
from .dataset import Dataset, ImageDataset, Subset, TensorDataset, random_split
from .digits import Digits
from .download import DownloadError
from .folder import ImageFolder
from .idx import MNIST, FashionMNIST, read_idx
from .loader import DataLoader
from .randomness import current_rng
from .registry import DataInfo, available, get, load
from .sending import send_ahead
from .synthetic import Synthetic

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "DataInfo",
    "DataLoader",
    "Dataset",
    "Digits",
    "DownloadError",
    "FashionMNIST",
    "ImageDataset",
    "ImageFolder",
    "Subset",
    "Synthetic",
    "TensorDataset",
    "available",
    "current_rng",
    "default_collate",
    "get",
    "load",
    "random_split",
    "read_idx",
    "send_ahead",
    "transforms",
]
