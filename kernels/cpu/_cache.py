"""Compiled code on the disk, so that a machine compiles a kernel once.

A file is named after what it was made of, so nothing that is found can be stale: its folder after the processor and the
versions of Python and of the libraries, itself after the function, the types of its arguments, and a hash of the
sources: the module of the function and all modules of this folder that it imports, since what they hold may be inlined
into it. Numba's own cache looks at the first of these modules alone, and keeps an index that two processes can
overwrite for each other. Here every function with its types is a file of its own, written elsewhere and then renamed; a
file begins with its checksum, and one that is not whole counts as missing.

The folders are those of TINYCNN_CACHE_DIR (several, separated as in PATH, are all read; the first that can be written
to is written to), else of NUMBA_CACHE_DIR, else `tinycnn/kernels` in the user's cache. If none can be written to, the
kernels are compiled anew in every process, and a warning says so once.

Of two processes that need the same kernel, the second waits until the first has compiled it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import pathlib
import pickle
import platform
import re
import sys
import time
import uuid
import warnings
from contextlib import suppress
from types import FunctionType
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core import compiler, serialize

_PATIENCE = 30.0  # seconds for which another process may compile a kernel before this one does it too
_POLL = 0.02
_UNUSED_DAYS = 60  # after which a file is deleted
_CHECKSUM = 32  # bytes


def processor() -> tuple[str, str]:
    """The processor and its features, as Numba was told or has found."""
    name, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    if name is None:
        name = binding.get_host_cpu_name()
        features = binding.get_host_cpu_features().flatten() if features is None else features
    return name, features or ""


@functools.cache
def stamp() -> str:
    """The name of the folder: the processor, and a hash of what code is compiled by and for."""
    name, features = processor()
    versions = platform.python_version(), sys.implementation.cache_tag, numba.__version__, llvmlite.__version__
    made_for = "\0".join(map(str, (*versions, np.__version__, binding.get_default_triple(), name, features)))
    return f"{name}-{hashlib.sha256(made_for.encode()).hexdigest()[:12]}"


_FOLDER = pathlib.Path(__file__).parent
_IMPORT = re.compile(r"^from \.(\w*) import ([^(\n]+|\([^)]*\))", re.MULTILINE)


@functools.cache
def sources(module: str) -> str:
    """A hash of a module of this folder and of those that it imports, and so on; "" for a module from elsewhere."""
    texts: dict[str, str] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        file = _FOLDER / f"{name}.py"
        if name in texts or not file.is_file():
            continue
        texts[name] = file.read_text(encoding="utf-8")
        for package, names in _IMPORT.findall(texts[name]):
            ahead += [package] if package else re.findall(r"\w+", names)
    whole = "\0".join(f"{name}\0{texts[name]}" for name in sorted(texts))
    return hashlib.sha256(whole.encode()).hexdigest()[:20] if texts else ""


def _user_cache() -> pathlib.Path:
    """Where programs keep what they can make anew."""
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData" / "Local")
    if sys.platform == "darwin" and not os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def folders() -> list[pathlib.Path]:
    """Where compiled code is looked for, in this order; there may be none."""
    for name in ("TINYCNN_CACHE_DIR", "NUMBA_CACHE_DIR"):
        given = [pathlib.Path(part) for part in os.environ.get(name, "").split(os.pathsep) if part]
        if given:
            return [folder / "tinycnn-kernels" / stamp() for folder in given]
    try:
        return [_user_cache() / "tinycnn" / "kernels" / stamp()]
    except RuntimeError:  # a user without a home
        return []


def read(name: str) -> bytes | None:
    """What is kept under this name; None if nothing is, or not all of it."""
    for folder in folders():
        with suppress(OSError):
            whole = (folder / name).read_bytes()
            if hashlib.sha256(whole[_CHECKSUM:]).digest() == whole[:_CHECKSUM]:
                with suppress(OSError):
                    os.utime(folder / name)  # it is in use
                return whole[_CHECKSUM:]
    return None


class _Warned:
    already = False


def write(name: str, content: bytes) -> None:
    """Keep it, where the disk lets us; another process may be doing the same."""
    reason: object = "there is no home directory"
    for folder in folders():
        mine = folder / f"{name}.{uuid.uuid4().hex[:12]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _clean(folder.parent)
            mine.write_bytes(hashlib.sha256(content).digest() + content)
            mine.replace(folder / name)
            return
        except OSError as error:
            reason = error
            with suppress(OSError):
                mine.unlink(missing_ok=True)
    if not _Warned.already:
        _Warned.already = True
        warnings.warn(
            f"tinycnn: compiled kernels cannot be kept ({reason}), so every process compiles its own; "
            "set TINYCNN_CACHE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=2,
        )


@functools.cache  # once a process
def _clean(folder: pathlib.Path) -> None:
    """Delete what nobody has used for long: of former sources, versions and chips."""
    long_ago = time.time() - _UNUSED_DAYS * 86400
    for file in folder.glob("*/*"):
        with suppress(OSError):
            if file.stat().st_mtime < long_ago:
                file.unlink()


class FunctionCache:
    """The compiled forms of one function, in place of Numba's cache: `dispatcher._cache = FunctionCache(function)`."""

    def __init__(self, function: FunctionType) -> None:
        module = function.__module__.rpartition(".")[2]
        self._name = f"{module}.{function.__qualname__}-{sources(module)}"
        self._locks: dict[str, _Lock] = {}

    def _file(self, signature: Any) -> str:
        return f"{self._name}-{hashlib.sha256(str(signature).encode()).hexdigest()[:20]}.nb"

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The function compiled for a signature; None if it is not on the disk, and is to be compiled now."""
        context.refresh()
        name = self._file(signature)
        content = read(name)
        if content is None:
            self._locks[name] = _Lock(name)
            content = read(name)  # it may have been made while this process waited
            if content is None:
                return None
            self._locks.pop(name).release()
        return compiler.CompileResult._rebuild(context, *pickle.loads(content))

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled."""
        name = self._file(signature)
        try:
            if not result.library.has_dynamic_globals:
                write(name, serialize.dumps(result._reduce()))
        finally:
            lock = self._locks.pop(name, None)
            if lock is not None:
                lock.release()


class _Lock:
    """Held by the process that compiles a kernel; taken when it is made, unless the system knows no such locks or the
    one who holds it takes too long. The end of a process frees its locks."""

    def __init__(self, name: str) -> None:
        self._file: int | None = None
        try:
            self._fcntl: Any = importlib.import_module("fcntl")
        except ImportError:  # Windows
            return
        for folder in folders():
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                self._path = folder / f"{name}.lock"
                self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
                break
        end = time.monotonic() + _PATIENCE
        while self._file is not None and time.monotonic() < end:
            try:
                self._fcntl.flock(self._file, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(_POLL)
            except OSError:  # a file system without locks
                return

    def release(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


__all__ = ["FunctionCache", "folders", "processor", "read", "sources", "stamp", "write"]
