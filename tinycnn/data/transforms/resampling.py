"""Resampling: an image at another size, as two products with matrices.

Pixel i covers [i, i + 1). Pixel j of m lies, seen from the n of the input, around x = (j + 1/2) n / m, and takes the
mean of the pixels near x, weighted by a filter of their centres' distances from x:

    y_j = sum_i w((i + 1/2 - x) / s) v_i / sum_i w((i + 1/2 - x) / s)

s = max(n / m, 1) widens the filter as the image shrinks, which is antialiasing: every pixel of the input then counts,
and none of its fine patterns turns into a false coarse one. The filters (Pillow's, and torchvision's):

    bilinear   w(d) = 1 - |d|                                                    for |d| < 1
    bicubic    w(d) = (a + 2)|d|^3 - (a + 3)|d|^2 + 1                            for |d| < 1
                      a |d|^3 - 5a |d|^2 + 8a |d| - 4a                           for 1 <= |d| < 2
    nearest    the pixel that x lies in

R. Keys, "Cubic convolution interpolation for digital image processing", 1981, for a = -1/2. Without antialiasing
s = 1, a = -3/4, and positions beyond the edge take the outermost pixel, as in PyTorch's `interpolate`.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Any

import numpy as np


class InterpolationMode(enum.StrEnum):
    """How pixels are made that lie between others."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


_PILLOW_NUMBERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # as in PIL.Image.Resampling


def interpolation_mode(name: str, mode: Any) -> InterpolationMode:
    """The mode that a user means by its name, by Pillow's number, or by itself.

    Raises:
        ValueError: if there is none such.
    """
    try:
        return InterpolationMode(mode if isinstance(mode, str) else _PILLOW_NUMBERS[int(mode)])
    except (KeyError, ValueError, TypeError):
        offered = ", ".join(repr(m.value) for m in InterpolationMode)
        raise ValueError(f"{name}: interpolation must be one of {offered}, got {mode!r}") from None


def resampling_matrix(n: int, m: int, mode: str = "bilinear", antialias: bool = True) -> np.ndarray:
    """The matrix (m, n), float64, that resamples n points to m. It is shared: not to be written to.

    Example:
        >>> from tinycnn.data.transforms.resampling import resampling_matrix
        >>> resampling_matrix(2, 4).tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
        >>> resampling_matrix(2, 1).tolist()
        [[0.5, 0.5]]
    """
    make = _kept_matrix if n * m <= _MOST_KEPT else _matrix
    return make(n, m, mode, antialias)


def _matrix(n: int, m: int, mode: str, antialias: bool) -> np.ndarray:
    x = (np.arange(m) + 0.5) * (n / m)
    rows = np.arange(m)[:, None]
    matrix = np.zeros((m, n))
    if mode == "nearest":
        steps = np.full(m, n / m)
        steps[0] /= 2
        x = np.cumsum(steps)  # added up as Pillow does: it decides where x falls between two pixels
        matrix[rows[:, 0], np.minimum(x.astype(np.int64), n - 1)] = 1
    else:
        reach = 1 if mode == "bilinear" else 2
        s = max(n / m, 1.0) if antialias else 1.0
        near = np.floor(x - reach * s).astype(np.int64)[:, None] + np.arange(int(2 * reach * s) + 3)
        weights = _FILTERS[mode]((near + 0.5 - x[:, None]) / s, -0.5 if antialias else -0.75)
        if antialias:
            weights[(near < 0) | (near >= n)] = 0
        np.add.at(matrix, (rows, np.clip(near, 0, n - 1)), weights)
        matrix /= matrix.sum(axis=1, keepdims=True)
    matrix.setflags(write=False)
    return matrix


_MOST_KEPT = 1 << 17  # elements; random crops of large photographs would else fill the memory with matrices
_kept_matrix = lru_cache(maxsize=64)(_matrix)


def _triangle(d: np.ndarray, a: float) -> np.ndarray:
    return np.maximum(1 - np.abs(d), 0)


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    d = np.abs(d)
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = (((d - 5) * d + 8) * d - 4) * a
    return np.where(d < 1, inner, np.where(d < 2, outer, 0))


_FILTERS = {"bilinear": _triangle, "bicubic": _cubic}


def resample(images: np.ndarray, height: int, width: int, mode: str = "bilinear", antialias: bool = True) -> np.ndarray:
    """Images (..., H, W), floating or uint8, at another size (..., height, width).

    First along rows, then along columns; 8-bit pixels are rounded after each, as Pillow does.
    """
    if images.dtype == np.float16:  # a storage format
        return resample(images.astype(np.float32), height, width, mode, antialias).astype(np.float16)
    h, w = images.shape[-2:]
    if w != width:
        matrix = resampling_matrix(w, width, mode, antialias).astype(_working_dtype(images))
        rows = images.reshape(-1, w).astype(matrix.dtype, copy=False) @ matrix.T  # one product for all images
        images = _as_pixels(rows, images.dtype).reshape(*images.shape[:-1], width)
    if h != height:
        matrix = resampling_matrix(h, height, mode, antialias).astype(_working_dtype(images))
        images = _as_pixels(matrix @ images.astype(matrix.dtype, copy=False), images.dtype)
    return images


def _working_dtype(images: np.ndarray) -> np.dtype[Any]:
    return images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)


def _as_pixels(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    return np.floor(np.clip(values, 0, 255) + np.float32(0.5)).astype(dtype) if dtype == np.uint8 else values
