"""Images that others are joined to one after another, in one memory: what the layers of a dense block see.

    x_i = cat((x_(i - 1), y_i), 1)

By `cat` alone each x_i is a copy of all before it: what L layers read, write and keep grows as L^2. But stored
channels-last, x_(i - 1) can be the first channels of x_i: then only y_i is written, behind what is there already, and
nothing that backward needs is written over.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend.dtypes import promote_types
from .broadcast import cast
from .join import Cat, cat

__all__ = ["Joined"]


class Joined:
    """Images (N, C, H, W) that others are appended to along the channels: `cat`, in place where the device's kernels
    read such images as quickly as any others, and they are of float32 or float64.

    In place, what is joined so far lies in the memory of what will be. So it is read-only while there is room for more:
    writing into it raises, and asks for a clone(). What fills the room may be written; what was joined before then
    changes with it, as views do, and backward raises if it needs that.

    Args:
        first: what the others are appended to; where that is done in place, a copy.
        channels: how many there is room for. What goes beyond is joined by `cat`.

    Attributes:
        images: all that is joined so far.

    Example:
        >>> import tinycnn
        >>> joined = Joined(tinycnn.zeros(1, 2, 4, 4), channels=6)
        >>> joined.append(tinycnn.ones(1, 4, 4, 4)).shape
        tinycnn.Size([1, 6, 4, 4])
    """

    def __init__(self, first: Tensor, channels: int) -> None:
        self.images = first
        self._whole: Any = None  # (N, channels, H, W), whose first channels are the images; None if those lie alone
        backend, array = first.backend, first.array
        if backend.joins_in_place and array.ndim == 4 and array.shape[1] < channels and array.dtype.char in "fd":
            n, _, h, w = array.shape
            self._whole = backend.empty((n, h, w, channels), array.dtype).transpose(0, 3, 1, 2)
            self.images = Cat.apply(1, self._whole, first)
            self.images.array.flags.writeable = False

    @property
    def in_place(self) -> bool:
        """Whether the images lie in one memory with what will be appended."""
        return self._whole is not None

    def append(self, more: Tensor) -> Tensor:
        """cat((images, more), 1), which are the images from now on.

        Raises:
            ValueError, TypeError: as `cat`.
        """
        before, whole = self.images, self._whole
        if whole is None or not self._has_room(more):
            self.images, self._whole = cat((before, more), 1), None
            return self.images
        self.images = joined = Cat.apply(1, whole, before, cast(more, before.dtype))
        joined._version = before._version
        joined.array.flags.writeable = joined.array.shape == whole.shape
        return joined

    def _has_room(self, more: Tensor) -> bool:
        """Whether more images fit behind those that are here, in their dtype."""
        if not isinstance(more, Tensor) or more.array.ndim != 4 or more.backend is not self.images.backend:
            return False
        n, channels, h, w = self._whole.shape
        shape, dtype = more.array.shape, self.images.dtype
        fits = (shape[0], *shape[2:]) == (n, h, w) and self.images.array.shape[1] + shape[1] <= channels
        return fits and promote_types(more.dtype, dtype) is dtype
