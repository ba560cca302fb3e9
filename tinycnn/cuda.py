"""Questions about CUDA, under the names of torch.cuda: they never raise where it is missing."""

from __future__ import annotations

from .backend import cuda as backend_cuda, cuda_status, get_backend

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


def get_device_name(index: int = 0) -> str:
    """What GPU number index calls itself.

    Raises:
        RuntimeError: if CUDA cannot be used; it says why.
    """
    return get_backend(f"cuda:{index}").describe()["device"]


def synchronize(index: int = 0) -> None:
    """Wait until GPU number index has done all that was asked of it.

    Raises:
        RuntimeError: if CUDA cannot be used; it says why.
    """
    get_backend(f"cuda:{index}").synchronize()
