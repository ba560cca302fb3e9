"""Devices and the array libraries behind them: one protocol (`base`), one file a device, `registry` to pick."""

from .base import Array, Backend, RandomSource
from .registry import (
    active_random_sources,
    backend_of,
    cuda_status,
    device,
    device_of,
    get_backend,
    get_default_device,
    get_kernels,
    get_num_threads,
    on_compile,
    random_seed,
    seed_random_sources,
    set_backend,
    set_default_device,
    set_num_threads,
    use_kernels,
)

__all__ = [
    "Array",
    "Backend",
    "RandomSource",
    "active_random_sources",
    "backend_of",
    "cuda_status",
    "device",
    "device_of",
    "get_backend",
    "get_default_device",
    "get_kernels",
    "get_num_threads",
    "on_compile",
    "random_seed",
    "seed_random_sources",
    "set_backend",
    "set_default_device",
    "set_num_threads",
    "use_kernels",
]
