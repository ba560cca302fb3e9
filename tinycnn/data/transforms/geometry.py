"""Transforms that move pixels: to another size, into a crop, mirrored.

Names, arguments and meanings are torchvision's; a size is (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Transform, checked_pair, checked_probability
from .resampling import InterpolationMode, interpolation_mode, resample

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class Resize(Transform):
    """Images at another size: see `resampling` for the definition.

    Args:
        size: (height, width), or the length of the shorter side, the other then keeping the proportion.
        interpolation: "bilinear", "bicubic" or "nearest".
        max_size: with one number as size, the longest that the longer side may become.
        antialias: when shrinking, take the mean of all pixels that fall together, as Pillow does.

    Raises:
        ValueError: if a size is not positive, or max_size not above size.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.Resize(96)(tinycnn.zeros(1, 28, 56)).shape
        tinycnn.Size([1, 96, 192])
    """

    takes_any_dtype = True

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: str | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        pair = checked_pair("Resize", size)
        self.size = pair[0] if isinstance(size, int) or len(size) == 1 else pair
        self.interpolation = interpolation_mode("Resize", interpolation)
        if max_size is not None and not (isinstance(self.size, int) and max_size > self.size):
            raise ValueError(f"Resize: max_size must be above size, and size one number, got {max_size} and {size}")
        self.max_size, self.antialias = max_size, bool(antialias)

    def check(self, images: np.ndarray) -> None:
        self.check_dtype(images)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of an image of this size afterwards."""
        if not isinstance(self.size, int):
            return self.size
        short, long = min(height, width), max(height, width)
        new_short, new_long = self.size, int(self.size * long / short)
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = max(int(self.max_size * new_short / new_long), 1), self.max_size
        return (new_short, new_long) if height <= width else (new_long, new_short)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        height, width = self.size_of(*images.shape[-2:])
        return resample(images, height, width, self.interpolation, self.antialias)


class Pad(Transform):
    """A border around images.

    Args:
        padding: its width: one number, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the value of a constant border, as pixels are: from 0 to 1, or from 0 to 255 for 8-bit ones.
        padding_mode: "constant"; "edge", the outermost pixel repeated; "reflect", mirrored at the outermost pixel;
            "symmetric", mirrored with it.

    Raises:
        ValueError: if a width is negative, there is no such mode, or fill is no number or no 8-bit one for such pixels.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.Pad(1, fill=7)(tinycnn.zeros(1, 1, 1)).tolist()
        [[[7.0, 7.0, 7.0], [7.0, 0.0, 7.0], [7.0, 7.0, 7.0]]]
    """

    takes_any_dtype = True

    def __init__(self, padding: int | Sequence[int], fill: float = 0, padding_mode: str = "constant") -> None:
        self.padding = _borders(self.name, padding)
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{self.name}: padding_mode must be one of {_PADDING_MODES}, got {padding_mode!r}")
        if isinstance(fill, bool) or not isinstance(fill, (int, float, np.number)):
            raise ValueError(f"{self.name}: fill must be one number, the same for all channels, got {fill!r}")
        self.fill, self.padding_mode = fill, padding_mode

    def check(self, images: np.ndarray) -> None:
        _check_fill(self.name, images, self.fill)
        _check_borders(self.name, images.shape[-2:], self.padding, self.padding_mode)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        return _padded(images, self.padding, self.fill, self.padding_mode)


class CenterCrop(Transform):
    """The middle of images; where an image is smaller, zeros around it.

    Args:
        size: (height, width), or one number for a square.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.CenterCrop(2)(tinycnn.arange(16.0).reshape(1, 4, 4)).tolist()
        [[[5.0, 6.0], [9.0, 10.0]]]
    """

    takes_any_dtype = True

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = checked_pair("CenterCrop", size)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        (height, width), (h, w) = self.size, images.shape[-2:]
        x, y = max(width - w, 0), max(height - h, 0)
        images = _padded(images, (x // 2, y // 2, (x + 1) // 2, (y + 1) // 2), 0, "constant")
        top, left = round((h + y - height) / 2), round((w + x - width) / 2)
        return np.ascontiguousarray(images[:, :, top : top + height, left : left + width])


class RandomCrop(Transform):
    """A crop at a random place.

    Args:
        size: (height, width), or one number for a square.
        padding: a border put around the image first, as in `Pad`.
        pad_if_needed: put a border around images that are too small, wide enough on either side.
        fill, padding_mode: what the border is, as in `Pad`.

    Raises:
        ValueError: if an image is smaller than the crop.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.RandomCrop(32, padding=4)(tinycnn.zeros(3, 32, 32)).shape
        tinycnn.Size([3, 32, 32])
    """

    takes_any_dtype = True

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = checked_pair("RandomCrop", size)
        self.padding = None if padding is None else _borders("RandomCrop", padding)
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, padding_mode
        Pad(0, fill, padding_mode)  # says if there is no such mode or fill

    def _borders(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """The borders to put around an image of this size, one after the other."""
        left, top, right, bottom = self.padding or (0, 0, 0, 0)
        if not self.pad_if_needed:
            return [(left, top, right, bottom)]
        y, x = max(self.size[0] - height - top - bottom, 0), max(self.size[1] - width - left - right, 0)
        return [(left, top, right, bottom), (x, y, x, y)]

    def _size_inside(self, height: int, width: int) -> tuple[int, int]:
        """The height and width with its borders of an image of this size."""
        for left, top, right, bottom in self._borders(height, width):
            height, width = height + top + bottom, width + left + right
        return height, width

    def check(self, images: np.ndarray) -> None:
        _check_fill(self.name, images, self.fill)
        height, width = images.shape[-2:]
        for left, top, right, bottom in self._borders(height, width):
            _check_borders(self.name, (height, width), (left, top, right, bottom), self.padding_mode)
            height, width = height + top + bottom, width + left + right
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(
                f"RandomCrop: a crop of {self.size[0]}x{self.size[1]} is larger than the image of {height}x{width}"
            )

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        height, width = self._size_inside(height, width)
        return rng.integers(0, height - self.size[0] + 1, n), rng.integers(0, width - self.size[1] + 1, n)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        for borders in self._borders(*images.shape[-2:]):
            images = _padded(images, borders, self.fill, self.padding_mode)
        height, width = self.size
        out = np.empty((*images.shape[:2], height, width), images.dtype)
        for one, image, top, left in zip(out, images, *drawn, strict=True):
            one[...] = image[:, top : top + height, left : left + width]
        return out


class RandomResizedCrop(Transform):
    """A crop of random area and proportion, resized: the augmentation of Inception and of the ImageNet networks.

    Its area is a share of the image's, uniform in `scale`; its width over its height is uniform in `ratio` by the
    logarithm. If ten such crops do not fit, the largest in the middle whose proportion is in `ratio` is taken.
    (C. Szegedy et al., "Going deeper with convolutions", 2015, section 6.)

    Args:
        size: (height, width), or one number for a square.
        scale, ratio: (least, most).
        interpolation, antialias: as in `Resize`.

    Raises:
        ValueError: if size, scale or ratio is not positive, or a range is upside down.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.RandomResizedCrop(224)(tinycnn.zeros(3, 40, 30)).shape
        tinycnn.Size([3, 224, 224])
    """

    takes_any_dtype = True

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size = checked_pair("RandomResizedCrop", size)
        self.scale, self.ratio = _positive_range("scale", scale), _positive_range("ratio", ratio)
        self.interpolation = interpolation_mode("RandomResizedCrop", interpolation)
        self.antialias = bool(antialias)

    def check(self, images: np.ndarray) -> None:
        self.check_dtype(images)

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        area = height * width * rng.uniform(*self.scale, (n, 10))
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (n, 10)))
        w, h = np.rint(np.sqrt(area * ratio)).astype(np.int64), np.rint(np.sqrt(area / ratio)).astype(np.int64)
        fits = (0 < w) & (w <= width) & (0 < h) & (h <= height)
        every, first, some = np.arange(n), fits.argmax(axis=1), fits.any(axis=1)
        middle_height, middle_width = self._middle(height, width)
        h = np.where(some, h[every, first], middle_height)
        w = np.where(some, w[every, first], middle_width)
        top = np.where(some, rng.integers(0, height - h + 1), (height - h) // 2)
        left = np.where(some, rng.integers(0, width - w + 1), (width - w) // 2)
        return top, left, h, w

    def _middle(self, height: int, width: int) -> tuple[int, int]:
        least, most = self.ratio
        if width / height < least:
            return max(1, round(width / least)), width
        if width / height > most:
            return height, max(1, round(height * most))
        return height, width

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        out = np.empty((*images.shape[:2], *self.size), images.dtype)
        for one, image, top, left, h, w in zip(out, images, *(d.tolist() for d in drawn), strict=True):
            crop = image[:, top : top + h, left : left + w]
            one[...] = resample(crop, *self.size, self.interpolation, self.antialias)
        return out


class _RandomFlip(Transform):
    takes_any_dtype = True
    axis: int

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability(self.name, p)

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        return (rng.random(n) < self.p,)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        flipped = drawn[0]
        out = images.copy()
        out[flipped] = np.flip(images[flipped], self.axis)
        return out


class RandomHorizontalFlip(_RandomFlip):
    """Left and right exchanged, with probability p.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.RandomHorizontalFlip(p=1)(tinycnn.arange(3.0).reshape(1, 1, 3))
        tensor([[[2., 1., 0.]]])
    """

    axis = -1


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom exchanged, with probability p.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.RandomVerticalFlip(p=1)(tinycnn.arange(3.0).reshape(1, 3, 1)).flatten()
        tensor([2., 1., 0.])
    """

    axis = -2


def _borders(name: str, padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of one number, two or four."""
    widths = list(padding) if isinstance(padding, Sequence) else [padding]
    if len(widths) not in (1, 2, 4) or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in widths):
        raise ValueError(f"{name}: padding must be one, two or four integers of 0 or more, got {padding!r}")
    left, top, right, bottom = widths * (4 // len(widths))
    return left, top, right, bottom


def _check_fill(name: str, images: np.ndarray, fill: float) -> None:
    if images.dtype == np.uint8 and not 0 <= fill <= 255:
        raise ValueError(f"{name}: fill must be from 0 to 255 for 8-bit pixels, got {fill}")


def _check_borders(name: str, size: Sequence[int], borders: tuple[int, int, int, int], mode: str) -> None:
    """Raise a ValueError if an image of this (height, width) is too small to be mirrored in its borders."""
    (height, width), (left, top, right, bottom) = size, borders
    most = {"reflect": -1, "symmetric": 0}.get(mode)
    if most is not None and (max(left, right) > max(width + most, 0) or max(top, bottom) > max(height + most, 0)):
        raise ValueError(f"{name}: an image {height}x{width} is too small to be mirrored in a border of {borders}")


def _padded(images: np.ndarray, borders: tuple[int, int, int, int], fill: float, mode: str) -> np.ndarray:
    if not any(borders):
        return images
    left, top, right, bottom = borders
    widths = ((0, 0), (0, 0), (top, bottom), (left, right))
    if mode == "constant":
        return np.pad(images, widths, constant_values=fill)
    return np.pad(images, widths, mode)  # type: ignore[call-overload]


def _positive_range(what: str, bounds: Sequence[float]) -> tuple[float, float]:
    pair = tuple(bounds) if isinstance(bounds, Sequence) else ()
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] < math.inf:
        raise ValueError(f"RandomResizedCrop: {what} must be (least, most), both above 0, got {bounds!r}")
    return pair[0], pair[1]
