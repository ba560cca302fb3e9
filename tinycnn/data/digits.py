"""The handwritten digits that tinycnn carries: 1,797 images of 8x8 pixels, shown at 28x28.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
doi:10.24432/C50P49, CC BY 4.0; see files/DIGITS-LICENSE.md. It is the part of the set that scikit-learn ships, the
digits of 13 writers, split here at random: both parts hold digits of the same writers.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .dataset import ImageDataset
from .transforms.resampling import resampling_matrix

TRAIN_SIZE = 1437  # of 1797; the other 360 are for testing


class Digits(ImageDataset):
    """Real handwritten digits that need no download; sample i is (image float32 (1, 28, 28) in [0, 1], label).

    Args:
        train: the 1,437 images for training, or else the 360 for testing. The split is always the same.
        transform: changes the images, see `tinycnn.data.transforms`.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.Digits(train=False)
        Digits(360 images 1x28x28, 10 classes)
    """

    def __init__(self, train: bool = True, transform: Callable[[Any], Any] | None = None) -> None:
        small, labels = _read()
        # The legacy generator: NumPy keeps its stream fixed for good, so the split never changes.
        order = np.random.RandomState(1998).permutation(len(labels))
        part = order[:TRAIN_SIZE] if train else order[TRAIN_SIZE:]
        weights = resampling_matrix(8, 28).astype(np.float32)
        images = weights @ (small[part] / np.float32(16)) @ weights.T
        super().__init__(images[:, None], labels[part], [str(digit) for digit in range(10)], transform)


@cache
def _read() -> tuple[np.ndarray, np.ndarray]:
    import importlib.resources

    data = (importlib.resources.files(__package__) / "files" / "digits.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]
