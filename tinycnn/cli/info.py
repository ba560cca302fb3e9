"""`tinycnn info`."""

from __future__ import annotations

import importlib.util
import os
import platform

import tinycnn
from tinycnn import backend

from .console import fail, make_console


def facts() -> list[tuple[str, str]]:
    """What there is to say, as pairs of a name and a line."""
    cpu = backend.get_backend("cpu")
    usable, reason = backend.cuda_status()
    has_numba = importlib.util.find_spec("numba") is not None
    kernels = backend.get_kernels()
    if kernels == "fast" and not has_numba and not usable:
        kernels = "reference (the fast ones need Numba: pip install numba)"
    default = backend.get_backend()
    threads = backend.get_num_threads()
    return [
        ("tinycnn", tinycnn.__version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("backend", f"{default.name}, device {backend.get_default_device()}"),
        ("kernels", kernels),
        ("threads", str(threads)),
        *((f"cpu: {name}", value) for name, value in cpu.describe().items()),
        ("cuda", "usable: " + reason if usable else "not usable: " + reason),
        ("data folder", os.environ.get("TINYCNN_DATA") or "none (TINYCNN_DATA is not set); the digits need none"),
        ("networks", ", ".join(tinycnn.models.available())),
    ]


def run() -> None:
    """Print the facts, one a line."""
    try:
        found = facts()
    except (RuntimeError, ValueError) as error:  # TINYCNN_DEVICE or TINYCNN_KERNELS asks for what is not there
        fail(error)
    console = make_console()
    width = max(len(name) for name, _ in found)
    for name, value in found:
        console.print(f"{name:<{width}}  {value}", markup=False)
