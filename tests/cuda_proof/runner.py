"""Run the kernels of a `.cu` file on the CPU: g++ with `shim.h` makes a shared library of it, ctypes launches.

`Library` compiles a text and a list of instances ("relu<float>"). `CpuDriver` stands where CuPy's driver stands in
`kernels/cuda/loader.py`, so that the functions that users call run as they are, on NumPy's arrays. `RawModule` has the
interface of cupy.RawModule, for a stand-in of CuPy.

Two things are rewritten in the text, both where C++ has no word for what CUDA means: a `__shared__` variable becomes a
reference to a place that all threads of a block see, `extern __shared__` the memory that the launch asked for.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).parent
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS = ("-std=c++17", "-shared", "-fPIC", "-fno-strict-aliasing", "-fvisibility=hidden", "-ffp-contract=off", "-g1")
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-parameter",
            "-Wno-unused-variable", "-Wno-sign-compare")  # fmt: skip

FORWARD, REVERSE, RANDOM = 0, 1, 12345  # the order of a block's threads; every number above 1 is a seed

_SHARED = re.compile(
    r"(extern\s+)?__shared__\s+(?:__align__\(\d+\)\s*)?([\w ]+?(?:<[\w, ]+>)?)\s+(\w+)((?:\s*\[[^\]]*\])*)\s*;"
)


def compiler() -> str | None:
    """The C++ compiler that can build the shim; None if there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) if sys.platform == "linux" else None


def _shared(match: re.Match[str]) -> str:
    dynamic, kind, name, sizes = match.groups()
    if dynamic:
        return f"{kind}* {name} = reinterpret_cast<{kind}*>(shim::dynamic_memory);"
    return (
        f"static const size_t {name}_place = shim::declare_shared(sizeof({kind}{sizes})); "
        f"auto& {name} = *shim::shared_variable<{kind}{sizes}>({name}_place);"
    )


def without_barriers(text: str) -> str:
    """The text with every __syncthreads() struck out, for a test that wants to see it fail."""
    return re.sub(r"\b__syncthreads\(\);", ";", text)


def folder() -> pathlib.Path:
    """Where compiled libraries are kept: they are found again by what they were made from."""
    path = pathlib.Path(tempfile.gettempdir()) / f"tinycnn-cuda-proof-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to somebody else")
    return path


@contextmanager
def alone(path: pathlib.Path) -> Iterator[None]:
    """While it lasts, no other process makes this file: of two that need it, the second waits and then finds it."""
    import fcntl  # not on Windows

    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(command: Sequence[str], code: str, path: pathlib.Path) -> None:
    """Compile, and let nobody see a file that is not whole."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    done = subprocess.run([*command, str(unfinished), "-"], input=code, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[:8000])
    unfinished.replace(path)


class LaunchError(RuntimeError):
    """A kernel that cannot go on: a deadlock, a divergent barrier, an impossible grid."""


class Library:
    """Instances of kernels as functions of the CPU.

    Args:
        text: the source.
        expressions: the instances to make: "kernel" or "kernel<float, true>".
        sanitize: look for accesses outside of arrays and for undefined arithmetic. It stops the process, and needs one
            that was started with `sanitizer_environment()`.
        optimize: whether the compiler may take its time.
    """

    def __init__(self, text: str, expressions: Sequence[str], sanitize: bool = False, optimize: bool = True) -> None:
        body = _SHARED.sub(_shared, text)
        codes = 'SHIM_CODE(half16, "f2")\nSHIM_CODE(bfloat16, "V2")\n' if "struct half16" in body else ""
        exports = codes + "".join(f"SHIM_EXPORT({i}, {expression})\n" for i, expression in enumerate(expressions))
        code = f'#include "{HERE}/shim.h"\n{body}\n#line 1 "exports"\n{exports}'
        flags = [*FLAGS, "-O1" if optimize else "-O0", *WARNINGS, *(SANITIZERS if sanitize else ())]
        found = compiler()
        if found is None:
            raise RuntimeError("there is no g++ to compile kernels for the CPU")
        made_of = "\0".join([found, *flags, (HERE / "shim.h").read_text(encoding="utf-8"), code])
        path = folder() / f"{hashlib.sha256(made_of.encode()).hexdigest()[:24]}.so"
        with alone(path):
            if not path.exists():
                _build([found, "-x", "c++", *flags, "-o"], code, path)
        self._library = ctypes.CDLL(str(path))
        self._library.failure.restype = ctypes.c_char_p
        self._numbers = {expression: i for i, expression in enumerate(expressions)}
        self._signatures: dict[str, list[str]] = {}

    def signature(self, expression: str) -> list[str]:
        """The codes of a kernel's parameters: "i4", "f8"; "*f4" and "<f4" for pointers to write and to read; "V16"."""
        if expression not in self._signatures:
            text = ctypes.create_string_buffer(4096)
            getattr(self._library, f"signature_{self._numbers[expression]}")(text)
            self._signatures[expression] = text.value.decode().split()
        return self._signatures[expression]

    def launch(
        self,
        expression: str,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Any],
        shared: int = 0,
        order: int = FORWARD,
    ) -> None:
        """Run a kernel on arrays and NumPy scalars.

        Raises:
            TypeError: if an argument is not of its parameter's type, as CUDA would not notice.
            LaunchError: if the kernel cannot run, or stops before its end.
        """
        signature = self.signature(expression)
        if len(args) != len(signature):
            raise TypeError(f"{expression} takes {len(signature)} arguments, got {len(args)}")
        cells = [
            _cell(f"{expression}, argument {i}", a, code)
            for i, (a, code) in enumerate(zip(args, signature, strict=True))
        ]
        places = (ctypes.c_void_p * max(1, len(cells)))(*(cell.ctypes.data for cell in cells))
        sizes = [(ctypes.c_uint * 3)(*(*dims, 1, 1)[:3]) for dims in (grid, block)]
        run = getattr(self._library, f"launch_{self._numbers[expression]}")
        if run(places, *sizes, ctypes.c_size_t(shared), ctypes.c_uint(order)):
            raise LaunchError(f"{expression}: {self._library.failure().decode()}")


def _cell(what: str, value: Any, code: str) -> Any:
    """One argument as memory that holds exactly what the parameter takes."""
    face = getattr(value, "__cuda_array_interface__", None) or getattr(value, "__array_interface__", None)
    if code[0] in "*<":
        if isinstance(value, np.uint64) and value == 0:  # the null pointer
            return np.array([0], np.uint64)
        if face is None or isinstance(value, np.generic):
            raise TypeError(f"{what}: the kernel takes a pointer, got {value!r}")
        if code[1:] not in ("any", face["typestr"][1:]):
            raise TypeError(f"{what}: the kernel takes a pointer to {code[1:]}, got an array of {face['typestr'][1:]}")
        return np.array([face["data"][0]], np.uint64)
    if code[0] == "V":  # a structure, as a host's array of one
        if not isinstance(value, np.ndarray) or value.nbytes != int(code[1:]):
            raise TypeError(f"{what}: the kernel takes a structure of {code[1:]} bytes, got {type(value).__name__}")
        return value
    if not isinstance(value, np.generic) or value.dtype.str[1:] != code:
        given = value.dtype.str[1:] if isinstance(value, np.generic) else type(value).__name__
        raise TypeError(f"{what}: the kernel takes {code}, got {given}, which CUDA would read as garbage")
    return np.array([value])


class PoisonedNumPy:
    """NumPy, but memory that nobody has written to holds NaN, -1 or 255."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def empty(shape: Any, dtype: Any = float) -> Any:
        array = np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[...] = 0xFF
        return array


class CpuDriver:
    """The loader's driver for arrays in the host's memory.

    Args:
        xp: the array library whose memory it works on: NumPy's poisoned by default, or a stand-in for CuPy.
        order: the order of a block's threads.
        sanitize: as for `Library`; only float instances are then compiled.
        change: what to do to every source before it is compiled.
    """

    def __init__(self, xp: Any = None, order: int = FORWARD, sanitize: bool = False, change: Any = None) -> None:
        self.xp: Any = PoisonedNumPy() if xp is None else xp
        self.order, self.launches = order, 0
        self._sanitize, self._change = sanitize, change

    def address(self, array: Any) -> int:
        face = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
        return int(face["data"][0])

    def launch(self, instance: Any, grid: Any, block: Any, args: Sequence[Any], shared: int) -> None:
        self.launches += 1
        library = library_of(instance.file, self._sanitize, self._change)
        library.launch(instance.expression, grid, block, args, shared, self.order)


@functools.cache
def library_of(file: str, sanitize: bool = False, change: Any = None) -> Library:
    """The library of all instances of a `.cu` file's kernels; of those for float alone if sanitized or changed."""
    loader = _loader()
    expressions = [
        instance.expression
        for kernel in loader.Kernel.registry.values()
        if kernel.file == file
        for instance in kernel.instances()
        if not (sanitize or change) or not kernel.types or re.search(r"<float\b", instance.expression)
    ]
    text = loader.source(file)
    return Library(change(text) if change else text, expressions, sanitize, optimize=not change)


def _loader() -> Any:
    from tinycnn.kernels.cuda import loader

    return loader


class RawModule:
    """cupy.RawModule on the CPU: what a stand-in for CuPy needs of it."""

    def __init__(
        self, *, code: str, options: Sequence[str] = (), name_expressions: Sequence[str] | None = None, **rest: Any
    ) -> None:
        if not isinstance(options, tuple):
            raise TypeError("options must be a tuple")
        self._code, self._names = code, tuple(name_expressions or ())

    def get_function(self, name: str) -> RawKernel:
        if name not in self._names:
            raise RuntimeError(f"no kernel is called {name!r}: name_expressions are {self._names}")
        return RawKernel(_compiled(self._code, self._names), name)


@functools.cache
def _compiled(code: str, names: tuple[str, ...]) -> Library:
    """The library of the file that this is the source of, which all tests share; one of its own for any other text."""
    loader = _loader()
    for file in {kernel.file for kernel in loader.Kernel.registry.values()}:
        if loader.source(file) == code:
            return library_of(file)
    return Library(code, names)


class RawKernel:
    """cupy.RawKernel on the CPU."""

    def __init__(self, library: Library, name: str) -> None:
        self._library, self._name = library, name

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        if not isinstance(grid, tuple) or not isinstance(block, tuple) or not isinstance(args, tuple):
            raise TypeError("grid, block and arguments must be tuples")
        self._library.launch(self._name, tuple(max(1, n) for n in grid), block, args, shared_mem)


@functools.cache
def sanitizer_environment() -> dict[str, str]:
    """The variables that a process needs in which sanitized libraries are to be loaded."""
    found = compiler()
    assert found is not None
    names = ("libasan.so", "libubsan.so", "libstdc++.so")
    paths = [
        subprocess.run([found, f"-print-file-name={n}"], capture_output=True, text=True, check=True).stdout.strip()
        for n in names
    ]
    return {
        "LD_PRELOAD": " ".join(paths),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
