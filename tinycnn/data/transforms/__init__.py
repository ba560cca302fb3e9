"""Transforms: what is done to images before a network sees them.

They take one image, or a batch of them at once, where a random transform draws for each anew: see `Transform`.
"""

from .base import Compose, Lambda, ToTensor, Transform, as_transform
from .colour import ColorJitter, Grayscale, Normalize
from .geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)
from .resampling import InterpolationMode

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "Transform",
    "as_transform",
]
