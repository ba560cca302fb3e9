"""What CUDA is here, found by use."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def cuda_status() -> tuple[bool, str]:
    """Whether CUDA can be used here, and a line that says what was found or what is missing. Never raises.

    CuPy imports on machines where nothing of it works, so the answer comes from use: one compiled kernel, one matrix
    product and one copy back.
    """
    if importlib.util.find_spec("cupy") is None:
        return False, "CuPy is not installed (pip install 'tinycnn[cuda12]' or 'tinycnn[cuda13]', as your driver is)"
    try:
        import cupy
    except Exception as error:  # a missing library surfaces as one of many types
        return False, f"CuPy is installed but does not import: {error}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return False, f"CuPy {cupy.__version__} is installed, but there is no usable driver: {error}"
    if count < 1:
        return False, f"CuPy {cupy.__version__} is installed, but the driver reports no device"
    try:
        fill = cupy.RawKernel('extern "C" __global__ void fill(float* x) { x[threadIdx.x] = 2.0f; }', "fill")
        x = cupy.empty(4, cupy.float32)
        fill((1,), (4,), (x,))
        if float((x.reshape(1, 4) @ x.reshape(4, 1))[0, 0]) != 16.0:
            return False, "a GPU was found, but it computed a wrong result"
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        capability = cupy.cuda.Device(0).compute_capability
    except Exception as error:
        return False, f"a GPU was found, but it cannot be used ({type(error).__name__}): {error}"
    return True, f"{count} x {name}, compute capability {capability}, CuPy {cupy.__version__}"


def require_cuda() -> None:
    """Raise a RuntimeError that says why, where CUDA cannot be used."""
    usable, reason = cuda_status()
    if not usable:
        raise RuntimeError(f"CUDA cannot be used: {reason}")


@functools.cache
def device_count() -> int:
    """The number of devices that can be used, 0 where CUDA cannot."""
    if not cuda_status()[0]:
        return 0
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def check_index(index: int) -> int:
    """A device's number.

    Raises:
        RuntimeError: if CUDA cannot be used, or has no such device.
    """
    require_cuda()
    count = device_count()
    if not 0 <= index < count:
        raise RuntimeError(f"device 'cuda:{index}' was asked for, but this machine has {count} (cuda:0 is the first)")
    return index


def current_device() -> int:
    """The device that "cuda" stands for in this thread.

    Raises:
        RuntimeError: if CUDA cannot be used.
    """
    require_cuda()
    import cupy

    return int(cupy.cuda.runtime.getDevice())


def set_device(index: int) -> None:
    """Make a device the one that "cuda" stands for in this thread.

    Raises:
        RuntimeError: if there is no such device.
    """
    check_index(index)
    import cupy

    cupy.cuda.runtime.setDevice(index)
