"""What all transforms share: the kinds of images they take, and where random ones draw from."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor, wrap
from ...backend import get_backend
from ..collate import default_collate
from ..randomness import current_rng, drawing_from


class Transform:
    """Something done to images: subclass it and write `apply`, and `draw` if it is random.

    Called with one image it gives one, with many it gives many:

    - a Tensor (C, H, W), or (..., C, H, W), where all images are treated alike: a Tensor;
    - a picture of Pillow, of mode L, RGB, RGBA, 1 or F: such a picture;
    - a NumPy array (N, C, H, W), a batch: an array, where each image has its own random draw.

    Pixels are floating from 0 to 1 or uint8 from 0 to 255, and stay what they were.

    Args:
        image: one of these.
        rng: the NumPy generator that a random transform draws from; by default `current_rng()`.

    Raises:
        TypeError: if it is given anything else.
        ValueError: if images have no pixels.

    Example:
        >>> import numpy as np
        >>> from tinycnn.data import transforms
        >>> class Fade(transforms.Transform):
        ...     def draw(self, n, height, width, rng):
        ...         return (rng.random(n),)
        ...     def apply(self, images, share):
        ...         return images * share[:, None, None, None].astype(images.dtype)
        >>> Fade()(np.ones((2, 1, 1, 1), np.float32), np.random.default_rng(0)).ravel()
        array([0.6369617 , 0.26978672], dtype=float32)
    """

    takes_any_dtype = False  # whether `apply` takes pixels as they are, and not 8-bit ones made floating

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return type(self).draw is not Transform.draw

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Random numbers for n images of this size, each an array of n entries; handed to `apply`."""
        return ()

    def apply(self, images: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        """The images (N, C, H, W), floating unless `takes_any_dtype`, transformed; they may not be written to."""
        raise NotImplementedError(f"{type(self).__name__} needs a method apply(self, images, ...)")

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        if isinstance(image, np.ndarray) and image.ndim == 4:
            return self._run(image, rng, len(image))
        if isinstance(image, Tensor) and image.ndim >= 3:
            array = self.host_array(image)
            out = self._run(array.reshape(math.prod(array.shape[:-3]), *array.shape[-3:]), rng, 1)
            return wrap(out.reshape(*array.shape[:-3], *out.shape[1:]), get_backend("cpu"))
        if is_picture(image):
            return to_picture(self._run(from_picture(image, self.name)[None], rng, 1)[0])
        raise TypeError(
            f"{self.name}: expected a Tensor (C, H, W), a picture of Pillow or a NumPy array (N, C, H, W), got "
            f"{kind_of(image)}"
        )

    def _run(self, images: np.ndarray, rng: np.random.Generator | None, draws: int) -> np.ndarray:
        if 0 in images.shape[1:]:
            raise ValueError(f"{self.name}: images have no pixels, their shape (C, H, W) is {images.shape[1:]}")
        self.check(images)
        drawn: tuple[np.ndarray, ...] = ()
        if self.random:
            height, width = images.shape[-2:]
            drawn = self.draw(draws, height, width, current_rng() if rng is None else rng)
            if draws != len(images):
                drawn = tuple(np.repeat(d, len(images), axis=0) for d in drawn)
        if self.takes_any_dtype or images.dtype.kind == "f":
            return self.apply(images, *drawn)
        return to_bytes(self.apply(from_bytes(images), *drawn))

    def check(self, images: np.ndarray) -> None:
        """Raise what is to be said against images (N, C, H, W) before any work is done."""
        if not self.takes_any_dtype:
            self.check_dtype(images)

    def check_dtype(self, images: np.ndarray) -> None:
        """Raise a TypeError if pixels are neither floating nor 8-bit."""
        if images.dtype.kind != "f" and images.dtype != np.uint8:
            raise TypeError(f"{self.name}: pixels must be floating or uint8, got {images.dtype}")

    @property
    def name(self) -> str:
        """How messages call it."""
        return type(self).__name__

    def host_array(self, image: Tensor) -> np.ndarray:
        """A tensor's numbers, if they are the CPU's."""
        if image.backend is not get_backend("cpu"):
            raise TypeError(f"{self.name}: images are transformed on the CPU, got a tensor on {image.device}")
        array: np.ndarray = image.array
        return array

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class Compose(Transform):
    """One transform after the other.

    Args:
        transforms: transforms, or functions of one image.

    Example:
        >>> import tinycnn
        >>> from tinycnn.data import transforms
        >>> t = transforms.Compose([transforms.Resize(8), transforms.CenterCrop(6)])
        >>> t(tinycnn.ones(1, 4, 4)).shape
        tinycnn.Size([1, 6, 6])
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            as_transform(transform)

    @property
    def random(self) -> bool:
        """Whether one of them draws random numbers."""
        return any(as_transform(t).random for t in self.transforms)

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        if rng is None and self.random:
            rng = current_rng()
        for transform in self.transforms:
            image = as_transform(transform)(image, rng)
        return image

    def __repr__(self) -> str:
        return "Compose(\n" + "".join(f"    {t!r}\n" for t in self.transforms) + ")"


class Lambda(Transform):
    """Any function of one image; of a batch (N, C, H, W) it is given each image as a Tensor (C, H, W).

    It counts as random, for it may be: see `current_rng`.

    Raises:
        TypeError: if it is not callable.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.transforms.Lambda(lambda x: 1 - x)(tinycnn.zeros(1, 1, 2))
        tensor([[[1., 1.]]])
    """

    random = True

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"transforms: expected a transform or a function of an image, got {kind_of(lambd)}")
        self.lambd = lambd

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        with drawing_from(current_rng() if rng is None else rng):
            if not (isinstance(image, np.ndarray) and image.ndim == 4):
                return self.lambd(image)
            cpu = get_backend("cpu")
            batch = default_collate([self.lambd(wrap(one, cpu)) for one in image])
        return self.host_array(batch) if isinstance(batch, Tensor) else batch


def as_transform(function: Callable[..., Any]) -> Transform:
    """A transform as it is, and any other function as a `Lambda`."""
    return function if isinstance(function, Transform) else Lambda(function)


class ToTensor(Transform):
    """A picture of Pillow, or an array (H, W) or (H, W, C), as a Tensor (C, H, W).

    8-bit pixels become float32 from 0 to 1; others keep their dtype and values. Tensors (C, H, W) and batches
    (N, C, H, W), which datasets here give, are only scaled if they are 8-bit.

    Example:
        >>> import numpy as np
        >>> from tinycnn.data import transforms
        >>> transforms.ToTensor()(np.full((1, 2, 3), 255, np.uint8)).shape
        tinycnn.Size([3, 1, 2])
    """

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        if isinstance(image, np.ndarray) and image.ndim == 4:
            return from_bytes(image)
        if isinstance(image, Tensor):
            array = self.host_array(image)
            return image if array.dtype != np.uint8 else wrap(from_bytes(array), image.backend)
        if is_picture(image):
            array = from_picture(image, self.name)
        elif isinstance(image, np.ndarray) and image.ndim in (2, 3):
            array = (image[:, :, None] if image.ndim == 2 else image).transpose(2, 0, 1)
        else:
            raise TypeError(
                f"ToTensor: expected a picture of Pillow or a NumPy array (H, W) or (H, W, C), got {kind_of(image)}"
            )
        return wrap(np.ascontiguousarray(from_bytes(array)), get_backend("cpu"))


def from_bytes(images: np.ndarray) -> np.ndarray:
    """8-bit pixels as float32 from 0 to 1; others as they are."""
    return np.divide(images, np.float32(255), dtype=np.float32) if images.dtype == np.uint8 else images


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1 as the nearest of 8 bits."""
    return np.rint(np.clip(images * 255, 0, 255)).astype(np.uint8)


def is_picture(image: Any) -> bool:
    """Whether it is an image of Pillow, which is not loaded for the question."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def from_picture(picture: Any, name: str) -> np.ndarray:
    """A picture's pixels (C, H, W): uint8, or float32 if its mode is F."""
    if picture.mode not in ("1", "L", "RGB", "RGBA", "F"):
        raise TypeError(f'{name}: a picture must be of mode 1, L, RGB, RGBA or F, got {picture.mode}: .convert("RGB")')
    array = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def to_picture(array: np.ndarray) -> Any:
    """A picture of pixels (C, H, W)."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))


def kind_of(thing: Any) -> str:
    """What an unfit argument is, for a message."""
    shape = getattr(thing, "shape", None)
    return type(thing).__name__ if shape is None else f"{type(thing).__name__} of shape {tuple(shape)}"


def checked_pair(name: str, value: Any, what: str = "size") -> tuple[int, int]:
    """(height, width) of one number or two.

    Raises:
        ValueError: if they are not positive integers.
    """
    pair: list[Any] = [value] if isinstance(value, int) else list(value) if isinstance(value, Sequence) else [None]
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in pair):
        raise ValueError(f"{name}: {what} must be a positive integer or two, (height, width), got {value!r}")
    return pair[0], pair[1]


def checked_probability(name: str, p: float) -> float:
    """p, if it is a probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be a probability, from 0 to 1, got {p!r}")
    return p
