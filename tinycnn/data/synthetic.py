"""Pictures of shapes and textures, drawn when they are asked for: colour images of any size that need no files.

Each picture has one of ten forms, at a random place, scale and angle, in random colours, lighting and noise. Colours
say nothing of the class: what tells the classes apart is the form, so that a network must learn to see edges and
corners, as on photographs, and 224x224 networks can be tried where there is no data.

A form is a signed distance: how many pixels a point lies outside its edge, negative inside. Its share of a pixel is
then about 1/2 minus the distance of the pixel's centre, held between 0 and 1, which draws smooth edges at any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .lazy import LazyImages

SMALLEST = 16  # below, the texture of the finest grain is no longer seen


class Synthetic(LazyImages):
    """Labelled shapes and textures at any size; sample i is (image float32 (channels, size, size) in [0, 1], label).

    Picture i is a function of seed, train and i alone, and has the class i mod num_classes. With the same seed, a
    larger picture shows the same scene.

    Args:
        n: the number of pictures.
        size: their height and width.
        num_classes: the first so many of disc, ring, square, triangle, cross, star, stripes, checkerboard, spots and
            gradient.
        train: pictures for training, or else others for testing.
        seed: 0 or more; another seed gives other pictures.
        channels: 3 for RGB, 1 for grey.
        transform: changes the images, see `tinycnn.data.transforms`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import tinycnn
        >>> image, label = tinycnn.data.Synthetic(100, size=64)[3]
        >>> tuple(image.shape), tinycnn.data.Synthetic(100).classes[label]
        ((3, 64, 64), 'triangle')
    """

    def __init__(
        self,
        n: int = 8000,
        size: int = 224,
        num_classes: int = 10,
        train: bool = True,
        seed: int = 0,
        channels: int = 3,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        for name, value, low, high in (
            ("n", n, 1, None),
            ("size", size, SMALLEST, None),
            ("num_classes", num_classes, 2, len(_FORMS)),
            ("seed", seed, 0, None),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < low or (high and value > high):
                limits = f"from {low} to {high}" if high else f"{low} or more"
                raise ValueError(f"Synthetic: {name} must be an integer, {limits}, got {value!r}")
        if channels not in (1, 3):
            raise ValueError(f"Synthetic: channels must be 3 or 1, got {channels!r}")
        self.size, self.train, self.seed, self.channels = size, train, seed, channels
        super().__init__(np.arange(n) % num_classes, list(_FORMS)[:num_classes], transform)

    def image(self, index: int) -> np.ndarray:
        """Picture (channels, size, size), float32 in [0, 1], before the transform."""
        rng = np.random.default_rng([self.seed, int(self.train), index])
        return _draw(_FORMS[self.classes[self.labels[index]]], self.size, self.channels, rng)

    def __repr__(self) -> str:
        return (
            f"Synthetic({len(self)} images {self.channels}x{self.size}x{self.size}, {len(self.classes)} classes, "
            f"seed {self.seed})"
        )


def _draw(form: _Form, size: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    # Only rng.random() is used, so that the pictures depend on no algorithm but the generator's own.
    angle, scale, grain, *centre = rng.random(5)
    radius = size * (0.2 + 0.22 * scale)
    middle = size / 2 + (np.array(centre) - 0.5) * max(size - 2 * radius, 0)  # the whole form lies in the picture
    ticks = np.arange(size, dtype=np.float32) + np.float32(0.5)
    dx, dy = ticks[None, :] - np.float32(middle[0]), ticks[:, None] - np.float32(middle[1])
    cos, sin = np.float32(np.cos(2 * np.pi * angle)), np.float32(np.sin(2 * np.pi * angle))
    cover = form(cos * dx + sin * dy, cos * dy - sin * dx, np.float32(radius), np.float32(grain))

    # The two colours differ by 0.3 to 0.7 in each channel, up or down: neither is typical of a class.
    back = rng.random(3)
    front = (back + 0.3 + 0.4 * rng.random(3)) % 1
    colours = np.stack([back, front]).astype(np.float32)
    if channels == 1:
        colours = colours @ np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R BT.601's luma
        colours[1] = (colours[0] + 0.35 + 0.3 * rng.random()) % 1
    image = colours[0, :, None, None] + (colours[1] - colours[0])[:, None, None] * cover

    # Light falls off a little across the picture, and the sensor adds noise.
    slope = 0.3 * (rng.random(2) - 0.5) / size
    light = 1 + np.float32(slope[0]) * (ticks[None, :] - size / 2) + np.float32(slope[1]) * (ticks[:, None] - size / 2)
    strength = np.float32(0.25 * rng.random())
    noise = rng.random((channels, size, size), np.float32) - np.float32(0.5)
    image = image * light.astype(np.float32) + strength * noise
    return np.clip(image, 0, 1, dtype=np.float32)


# ---- the forms: the share of each pixel that is theirs; x, y from the centre along the turned axes -------------------

_Form = Callable[[np.ndarray, np.ndarray, np.float32, np.float32], np.ndarray]


def _inside(distance: np.ndarray) -> np.ndarray:
    return np.clip(0.5 - distance, 0, 1, dtype=np.float32)


def _disc(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    return _inside(np.hypot(x, y) - radius)


def _ring(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    width = radius * (np.float32(0.2) + np.float32(0.2) * grain)
    return _inside(np.abs(np.hypot(x, y) - radius + width) - width)


def _square(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    return _inside(np.maximum(np.abs(x), np.abs(y)) - radius * np.float32(0.5**0.5))


def _triangle(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    side = np.float32(3**0.5 / 2)
    return _inside(np.maximum(np.abs(x) * side + y / 2, -y) - radius / 2)


def _cross(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    width = radius * (np.float32(0.2) + np.float32(0.15) * grain)
    long, short = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    return _inside(np.maximum(long - radius, short - width))


def _star(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    # One tenth of the plane stands for all, between the directions of an inner corner and of a tip. The edge there is
    # the line through both.
    tenth = np.pi / 5
    angle = np.abs(np.mod(np.arctan2(y, x), np.float32(2 * tenth)) - np.float32(tenth))
    inner = radius * (np.float32(0.38) + np.float32(0.12) * grain)
    tip = radius * np.float32(np.cos(tenth)), radius * np.float32(np.sin(tenth))
    edge = tip[0] - inner, tip[1]
    r = np.hypot(x, y)
    across = (r * np.cos(angle) - inner) * edge[1] - r * np.sin(angle) * edge[0]
    return _inside(across / np.hypot(*edge))


def _wave(x: np.ndarray, period: np.float32, share: float = 0.5) -> np.ndarray:
    """Distance from bands that fill a share of each period."""
    return (np.abs(np.mod(x / period, 1) - np.float32(0.5)) - np.float32(share / 2)) * period


def _stripes(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    return _inside(_wave(x, _period(radius, grain)))


def _checkerboard(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    a, b = _wave(x, _period(radius, grain)), _wave(y, _period(radius, grain))
    return _inside(np.maximum(np.minimum(a, b), -np.maximum(a, b)))  # in one of the two bands, not in both


def _spots(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    period = _period(radius, grain)
    u, v = (np.mod(axis / period, 1) - np.float32(0.5) for axis in (x, y))
    return _inside((np.hypot(u, v) - np.float32(0.32)) * period)


def _gradient(x: np.ndarray, y: np.ndarray, radius: np.float32, grain: np.float32) -> np.ndarray:
    return np.clip(np.float32(0.5) + x / (radius * (2 + 2 * grain)), 0, 1, dtype=np.float32)


def _period(radius: np.float32, grain: np.float32) -> np.float32:
    return radius * (np.float32(0.75) + np.float32(0.5) * grain)


_FORMS: dict[str, _Form] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "spots": _spots,
    "gradient": _gradient,
}
