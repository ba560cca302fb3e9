"""Raw CUDA kernels, for speed on a GPU: an entry point that is empty so far.

Everything on a GPU runs on the reference kernels at present, with CuPy as their array library. A kernel that is to
replace one of them is written as `<name>.cu` in this folder, compiled by `loader.load`, and entered here under the
reference's name, with the reference's arguments less `xp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

KERNELS: dict[str, Callable[..., Any]] = {}

__all__ = ["KERNELS"]
