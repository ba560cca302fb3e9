"""The handwritten digits that tinycnn carries: 1,797 images of 8x8 pixels, shown at 28x28.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
doi:10.24432/C50P49, CC BY 4.0; see files/DIGITS-LICENSE.md. It is the part of the set that scikit-learn ships, the
digits of 13 writers, split here at random: both parts hold digits of the same writers.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np

from .dataset import ImageDataset

TRAIN_SIZE = 1437  # of 1797; the other 360 are for testing


class Digits(ImageDataset):
    """Real handwritten digits that need no download; sample i is (image float32 (1, 28, 28) in [0, 1], label).

    Args:
        train: the 1,437 images for training, or else the 360 for testing. The split is always the same.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.Digits(train=False)
        Digits(360 images 1x28x28, 10 classes)
    """

    def __init__(self, train: bool = True) -> None:
        small, labels = _read()
        # The legacy generator: NumPy keeps its stream fixed for good, so the split never changes.
        order = np.random.RandomState(1998).permutation(len(labels))
        part = order[:TRAIN_SIZE] if train else order[TRAIN_SIZE:]
        weights = upscaling_matrix(8, 28)
        images = weights @ (small[part] / np.float32(16)) @ weights.T
        super().__init__(images[:, None], labels[part], [str(digit) for digit in range(10)])


@cache
def _read() -> tuple[np.ndarray, np.ndarray]:
    import importlib.resources

    data = (importlib.resources.files(__package__) / "files" / "digits.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def upscaling_matrix(n: int, m: int) -> np.ndarray:
    """The matrix (m, n), float32, that resamples n points to m by linear interpolation.

    Pixel i of n covers [i, i + 1), its centre lies at i + 1/2. The centre of pixel j of m is then at
    x = (j + 1/2) n / m, between the centres of pixels floor(x - 1/2) and the next, and takes its value from the two in
    proportion to how near they are; beyond the outermost centres the outermost value holds. An image is resampled by
    A @ image @ B.T.
    """
    x = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    left = np.minimum(x.astype(np.int64), max(n - 2, 0))
    share = x - left
    matrix = np.zeros((m, n), np.float32)
    rows = np.arange(m)
    matrix[rows, left] += 1 - share
    matrix[rows, np.minimum(left + 1, n - 1)] += share
    return matrix
