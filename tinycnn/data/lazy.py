"""Images that are made or read when they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from .collate import default_collate
from .dataset import LabelledImages, checked_indices


class LazyImages(LabelledImages):
    """Labelled images, none of which is kept in memory: a subclass writes `image`."""

    def batch(self, indices: np.ndarray) -> Any:
        """The samples of these numbers: images (B, C, H, W) float32 and labels (B,) int64.

        Raises:
            ValueError: if the images differ in shape.
        """
        numbers = checked_indices(indices, len(self), type(self).__name__).tolist()
        samples = [self[i] for i in numbers]
        shapes = [tuple(image.shape) for image, _ in samples if isinstance(image, Tensor)]
        for i, shape in zip(numbers, shapes, strict=False):
            if shape != shapes[0]:
                raise ValueError(
                    f"{type(self).__name__}: the images of a batch must have one shape (C, H, W), {self.describe(i)} "
                    f"has {shape}, {self.describe(numbers[0])} {shapes[0]}; give size=, or a transform that makes "
                    "them equal"
                )
        return default_collate(samples)

    def describe(self, index: int) -> str:
        """What a message calls the image of this number."""
        return f"image {index}"
