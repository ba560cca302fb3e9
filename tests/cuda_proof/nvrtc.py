"""Compile CUDA C++ for real GPUs, without one: NVRTC, the compiler library that CuPy uses, called through ctypes.

It needs neither a driver nor CuPy, only the library (the wheel nvidia-cuda-nvrtc, or a CUDA toolkit). It is stricter
than nvcc: no header of the C library is there. Passing it does not say that a kernel is right; the CPU runs that part.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import importlib.util
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

# What cupy.RawModule adds to a kernel's own options, and what makes the assembler talk.
CUPY_OPTIONS = ("--device-as-default-execution-space", "-ftz=true")
REPORT = ("--ptxas-options=-v",)


class Built(NamedTuple):
    """A compiled source: what the compiler said, and for each kernel its registers and bytes spilled to memory."""

    log: str
    warnings: list[str]
    kernels: dict[str, tuple[int, int]]
    names: dict[str, str]  # of expressions in the binary


class NvrtcError(RuntimeError):
    """What the compiler refused, and why."""


def _candidates() -> list[str]:
    found: list[str] = []
    spec = importlib.util.find_spec("nvidia")
    for base in spec.submodule_search_locations or () if spec else ():
        for pattern in ("cu1*/lib/libnvrtc.so.*", "cuda_nvrtc/lib/libnvrtc.so.*"):
            found += sorted(p for p in glob.glob(f"{base}/{pattern}") if ".alt." not in p)[::-1]
    return [*found, "libnvrtc.so.13", "libnvrtc.so"]


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and the reason why there is none."""
    if sys.platform != "linux":
        return None, f"NVRTC is looked for on Linux only, this is {sys.platform}"
    reason = ""
    for path in _candidates():
        try:
            for part in glob.glob(path.replace("libnvrtc.so", "libnvrtc-builtins.so").rpartition(".")[0] + ".*"):
                ctypes.CDLL(part, mode=ctypes.RTLD_GLOBAL)  # the library itself would not find it
            library = ctypes.CDLL(path)
        except OSError as error:
            reason = str(error)
            continue
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return library, path
    return None, f"NVRTC is not installed (pip install nvidia-cuda-nvrtc): {reason}"


def architectures() -> list[int]:
    """Those it can compile for, as 75 for sm_75."""
    library = _library()
    count = ctypes.c_int()
    library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    library.nvrtcGetSupportedArchs(numbers)
    return list(numbers)


def compile_for(architecture: int, text: str, expressions: Sequence[str], options: Sequence[str] = ()) -> Built:
    """Compile a source with the given instances to machine code for one architecture.

    Raises:
        NvrtcError: if it does not compile.
    """
    library = _library()
    program = ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
    try:
        for expression in expressions:
            _check(library.nvrtcAddNameExpression(program, expression.encode()))
        flags = [f"--gpu-architecture=sm_{architecture}", *options, *CUPY_OPTIONS, *REPORT]
        status = library.nvrtcCompileProgram(
            program, len(flags), (ctypes.c_char_p * len(flags))(*(f.encode() for f in flags))
        )
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, buffer)
        log = buffer.value.decode()
        if status:
            raise NvrtcError(log)
        names = {}
        for expression in expressions:
            lowered = ctypes.c_char_p()
            _check(library.nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(lowered)))
            names[expression] = (lowered.value or b"").decode()
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    return Built(log, _warnings(log), _kernels(log), names)


def _library() -> ctypes.CDLL:
    library, reason = load()
    if library is None:
        raise NvrtcError(reason)
    return library


def _check(status: int) -> None:
    if status:
        raise NvrtcError(_library().nvrtcGetErrorString(status).decode())


def _warnings(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.search(r"\b(warning|error|remark|advisory)\b", line, re.IGNORECASE)]


def _kernels(log: str) -> dict[str, tuple[int, int]]:
    """From the assembler's report: registers, and bytes that did not fit into them, by the kernel's name."""
    found: dict[str, tuple[int, int]] = {}
    name, spilled = "", 0
    for line in log.splitlines():
        if entry := re.search(r"Compiling entry function '(\w+)'", line):
            name, spilled = entry[1], 0
        elif spills := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(spills[1]) + int(spills[2])
        elif registers := re.search(r"Used (\d+) registers", line):
            found[name] = int(registers[1]), spilled
    return found
