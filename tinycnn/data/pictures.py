"""One JPEG or PNG file, read with the distrust that a file from elsewhere deserves."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"  # how the files begin


def read_picture(path: str | os.PathLike[str], mode: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """The pixels (C, H, W), uint8, of a JPEG or PNG file, upright as its EXIF orientation says.

    Args:
        path: the file; what it is its first bytes say, not its name.
        mode: "RGB" or "L"; transparency is dropped, 16-bit grey keeps its upper 8 bits.
        size: (height, width) to scale and crop to, by a bilinear filter that is widened when scaling down.

    Raises:
        ValueError: if it is no such file, is damaged, or claims more pixels than Pillow takes for sane.
        OSError: if it cannot be opened.
    """
    from PIL import Image, ImageOps

    with open(path, "rb") as stream:
        try:
            image = _converted(_upright(_loaded(stream, path)), mode)
            if size is not None:
                image = ImageOps.fit(image, size[::-1], method=Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
        except (MemoryError, _UnfitError):
            raise
        except Exception as error:  # decoders of damaged data fail in many ways
            raise ValueError(f"{path}: the picture is damaged: {' '.join(str(error).split())}") from None
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


class _UnfitError(ValueError):
    """A file that no attempt was made to decode."""


def _loaded(stream: BinaryIO, path: str | os.PathLike[str]) -> Any:
    """The picture, decoded.

    The two formats' own classes are called rather than `Image.open`: that would try every format, and warn of large
    pictures where they are to be refused (to turn its warnings into errors is not safe with threads).
    """
    from PIL import Image, JpegImagePlugin, PngImagePlugin

    start = stream.read(len(_PNG))
    stream.seek(0)
    if start.startswith(_JPEG):
        image: Any = JpegImagePlugin.JpegImageFile(stream)
    elif start == _PNG:
        image = PngImagePlugin.PngImageFile(stream)
    else:
        raise _UnfitError(f"{path}: not a JPEG or PNG picture: it begins with {start.hex(' ') or 'nothing'}")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise _UnfitError(
            f"{path}: the picture claims {image.width:,} x {image.height:,} pixels, at most {limit:,} are decoded "
            "(PIL.Image.MAX_IMAGE_PIXELS)"
        )
    image.load()
    return image


def _upright(image: Any) -> Any:
    """The picture turned as its EXIF orientation says; EXIF data that cannot be read say nothing."""
    from PIL import ExifTags, Image

    turn = Image.Transpose
    turns = (
        turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE, turn.ROTATE_270, turn.TRANSVERSE,
        turn.ROTATE_90,
    )  # of orientations 2 to 8 (JEITA CP-3451, table 6)  # fmt: skip
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the pixels are whole all the same
        return image
    found = dict(enumerate(turns, 2)).get(orientation) if isinstance(orientation, int) else None
    return image if found is None else image.transpose(found)


def _converted(image: Any, mode: str) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits; Pillow's conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)
