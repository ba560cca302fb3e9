"""Questions about CUDA, under the names of torch.cuda: they never raise where it is missing."""

from __future__ import annotations

from .backend import (
    Backend,
    cuda as backend_cuda,
    cuda_status,
    device as Device,  # noqa: N812
    get_backend,
)

__all__ = ["device_count", "get_device_name", "is_available", "synchronize"]


def is_available() -> bool:
    """Whether a GPU can be used: CuPy is installed and a kernel has run on a device. `cuda_status()` says why not.

    Example:
        >>> import tinycnn
        >>> place = tinycnn.device("cuda" if tinycnn.cuda.is_available() else "cpu")
    """
    return cuda_status()[0]


def device_count() -> int:
    """The number of GPUs that can be used."""
    return backend_cuda.device_count()


def get_device_name(device: int | str | Device | None = None) -> str:
    """What a GPU calls itself.

    Args:
        device: its number, "cuda:1" or a device; by default the first.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """
    return _gpu("get_device_name", device).describe()["device"]


def synchronize(device: int | str | Device | None = None) -> None:
    """Wait until a GPU has done all that was asked of it.

    Args:
        device: its number, "cuda:1" or a device; by default the first.

    Raises:
        ValueError: if that is no GPU.
        RuntimeError: if CUDA cannot be used; it says why.
    """
    _gpu("synchronize", device).synchronize()


def _gpu(name: str, where: int | str | Device | None) -> Backend:
    place = Device(f"cuda:{where or 0}") if where is None or isinstance(where, int) else Device(where)
    if place.type != "cuda":
        raise ValueError(f"cuda.{name}: expected a GPU, got {str(place)!r}")
    return get_backend(place)
