"""Transforms of colours. Names, arguments and meanings are torchvision's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .base import Transform

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601-7, section 2.5.1; Pillow's mode L


class Normalize(Transform):
    """y = (x - mean) / std, for each channel.

    Args:
        mean, std: a number for each channel, or one for all.
        inplace: nothing here: the result is a new image.

    Raises:
        ValueError: if they differ in length, do not fit an image's channels, or a std is 0.
        TypeError: if pixels are 8-bit: `ToTensor` makes them floating.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.Normalize((0.5,), (0.25,))(tinycnn.ones(1, 1, 2))
        tensor([[[2., 2.]]])
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std = _numbers(mean), _numbers(std)
        if len(self.mean) != len(self.std):
            raise ValueError(f"Normalize: mean has {len(self.mean)} numbers and std {len(self.std)}")
        if not all(math.isfinite(s) and s != 0 for s in self.std) or not all(map(math.isfinite, self.mean)):
            raise ValueError(f"Normalize: mean must be finite and std finite and not 0, got {self.mean} and {self.std}")

    def check(self, images: np.ndarray) -> None:
        if images.dtype.kind != "f":
            raise TypeError(f"Normalize: pixels must be floating, got {images.dtype}; put ToTensor() before it")
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(f"Normalize: mean and std are for {len(self.mean)} channels, got {images.shape[1]}")

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        mean, std = (np.array(v, images.dtype)[:, None, None] for v in (self.mean, self.std))
        out: np.ndarray = images - mean
        out /= std
        return out


class Grayscale(Transform):
    """The brightness L = 0.299 R + 0.587 G + 0.114 B of images of one channel or three.

    Args:
        num_output_channels: 1, or 3 for L three times.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.Grayscale()(tinycnn.ones(3, 1, 2))
        tensor([[[1., 1.]]])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels!r}")
        self.num_output_channels = num_output_channels

    def check(self, images: np.ndarray) -> None:
        super().check(images)
        _check_channels(self.name, images)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        return np.repeat(luma(images), self.num_output_channels, axis=1)


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

        brightness   f x
        contrast     f x + (1 - f) times the mean of the image's L (see `Grayscale`)
        saturation   f x + (1 - f) L
        hue          hue + f, as a share of the full circle; saturation and value stay

    all cut to [0, 1]. An image of one channel has no saturation and no hue to change. (Pillow's ImageEnhance.)

    Args:
        brightness, contrast, saturation: f is uniform in [max(0, 1 - v), 1 + v], or between the two numbers given.
        hue: f is uniform in [-v, v], or between the two; at most 1/2.

    Raises:
        ValueError: if a number is out of range; for images that have neither one channel nor three.

    Example:
        >>> import tinycnn
        >>> from tinycnn.data import transforms
        >>> transforms.ColorJitter(brightness=(0.5, 0.5))(tinycnn.ones(1, 1, 2))
        tensor([[[0.5000, 0.5000]]])
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = _factors("brightness", brightness, 1, (0, math.inf))
        self.contrast = _factors("contrast", contrast, 1, (0, math.inf))
        self.saturation = _factors("saturation", saturation, 1, (0, math.inf))
        self.hue = _factors("hue", hue, 0, (-0.5, 0.5))

    def _changes(self) -> list[tuple[tuple[float, float], Callable[[np.ndarray, np.ndarray], np.ndarray]]]:
        found = [
            (self.brightness, adjust_brightness),
            (self.contrast, adjust_contrast),
            (self.saturation, adjust_saturation),
            (self.hue, adjust_hue),
        ]
        return [(bounds, change) for bounds, change in found if bounds is not None]

    def check(self, images: np.ndarray) -> None:
        super().check(images)
        _check_channels(self.name, images)

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        changes = self._changes()
        factors = np.stack([rng.uniform(*bounds, n) for bounds, _ in changes], axis=1) if changes else np.empty((n, 0))
        return factors, rng.permuted(np.tile(np.arange(len(changes)), (n, 1)), axis=1)

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        factors, order = drawn
        factors = factors.astype(images.dtype)
        out = images.copy()
        for turn in order.T:
            for i, (_, change) in enumerate(self._changes()):
                chosen = turn == i
                if chosen.any():
                    out[chosen] = change(out[chosen], factors[chosen, i][:, None, None, None])
        return out


def adjust_brightness(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Blend with black."""
    return np.clip(images * factor, 0, 1)


def adjust_contrast(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Blend with the image's mean grey."""
    mean = luma(images).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(images.dtype)
    return np.clip(images * factor + mean * (1 - factor), 0, 1)


def adjust_saturation(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Blend with the image in grey."""
    if images.shape[1] == 1:
        return images
    return np.clip(images * factor + luma(images) * (1 - factor), 0, 1)


def adjust_hue(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Turn the hue by a share of the circle.

    The hue, in sixths of the circle, says how high a channel stands between the least and the most of the three: with
    k = (n + hue) mod 6, where n is 5 for red, 3 for green and 1 for blue, the channel is

        most - (most - least) max(0, min(k, 4 - k, 1)).
    """
    if images.shape[1] == 1:
        return images
    red, green, blue = images.transpose(1, 0, 2, 3)
    most, least = images.max(axis=1), images.min(axis=1)
    spread = most - least
    safe = np.where(spread > 0, spread, 1)
    hue = np.where(
        most == red, (green - blue) / safe, np.where(most == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    hue = hue + 6 * factor[:, 0]
    out = np.empty_like(images)
    for channel, n in enumerate((5, 3, 1)):
        k = np.mod(n + hue, 6)
        out[:, channel] = most - spread * np.clip(np.minimum(k, 4 - k), 0, 1)
    return out


def luma(images: np.ndarray) -> np.ndarray:
    """(N, 1, H, W): the brightness of images of three channels; one channel as it is."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (images[:, i : i + 1] * images.dtype.type(weight) for i, weight in enumerate(_LUMA))
    return red + green + blue


def _check_channels(name: str, images: np.ndarray) -> None:
    if images.shape[1] not in (1, 3):
        raise ValueError(f"{name}: images must have 1 channel or 3, got {images.shape[1]}")


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in np.atleast_1d(value))


def _factors(what: str, value: Any, middle: float, limits: tuple[float, float]) -> tuple[float, float] | None:
    """(least, most) of a number or two; None if nothing changes."""
    if isinstance(value, Sequence):
        least, most = value if len(value) == 2 else (math.nan, math.nan)
    else:
        least, most = (middle - value, middle + value) if value >= 0 else (math.nan, math.nan)
        if middle == 1:
            least = max(least, 0.0)
    if not limits[0] <= least <= most <= limits[1]:
        bounds = "0 or more" if middle == 1 else "from 0 to 0.5"
        raise ValueError(
            f"ColorJitter: {what} must be a number, {bounds}, or (least, most) in {list(limits)}, got {value!r}"
        )
    return None if least == most == middle else (float(least), float(most))
