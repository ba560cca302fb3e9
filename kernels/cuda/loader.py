"""From a `.cu` file beside this one to a module of CUDA functions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


@cache
def load(name: str) -> Any:
    """`<name>.cu` in this folder, compiled for the GPU in use: a cupy.RawModule, compiled once a process.

    Raises:
        FileNotFoundError: if no such file is here.
        ImportError: if CuPy is not installed.
    """
    path = _FOLDER / f"{name}.cu"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.cu"))) or "none so far"
        raise FileNotFoundError(f"load: no CUDA source is called {name!r}, known are: {known}")
    import cupy

    return cupy.RawModule(code=path.read_text(encoding="utf-8"), options=("-std=c++17",), name_expressions=None)
