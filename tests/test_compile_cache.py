"""Compiled kernels on the disk: found again, never stale, never half, wherever the folder is, whoever writes."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu import _cache, _jit, _jobs, _parts, _progress

KERNELS = pathlib.Path(_cache.__file__).parent.parent
_LIMIT = 120  # seconds

# Runs a kernel of each sort, and prints what was compiled for it.
_SCRIPT = """
import numpy as np
from tinycnn.kernels import cpu
names = []
with cpu.on_compile(names.append):
    y = cpu.KERNELS["sigmoid"](np.zeros(5, np.float32))
    cpu.KERNELS["conv2d"](np.ones((1, 8, 6, 6), np.float32), np.ones((16, 8, 3, 3), np.float32), None,
                          (2, 2), ((1, 1), (1, 1)), (1, 1), 1)
assert y.tolist() == [0.5] * 5
print(*names)
"""
_COMPILED = ["sigmoid", "planes_to_pixels", "pack", "some_rows"]


def start(folder: pathlib.Path, script: str = _SCRIPT, **environment: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TINYCNN_CACHE_DIR": str(folder), **environment
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(process: subprocess.Popen[str]) -> list[str]:
    out, error = process.communicate(timeout=_LIMIT)
    assert process.returncode == 0, error
    return [name for name in out.split() if not name.startswith(("on_threads", "in_turn"))]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with what the script needs, by two processes that began at the same time with none."""
    folder = tmp_path_factory.mktemp("filled")
    both = [start(folder), start(folder)]
    compiled = [name for process in both for name in result(process)]
    assert sorted(compiled) == sorted(_COMPILED)  # each kernel by one of them, while the other waited
    return folder


def files(folder: pathlib.Path, ending: str) -> list[pathlib.Path]:
    return sorted(folder.rglob(f"*{ending}"))


def test_the_next_process_compiles_nothing(filled: pathlib.Path) -> None:
    assert result(start(filled)) == []
    assert not files(filled, ".lock")
    assert {path.suffix for path in filled.rglob("*") if path.is_file()} == {".nb", ".o"}


def test_damaged_files_count_as_missing(filled: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """One is cut short, one has a wrong byte, one is empty, one is a folder: all but the last are made anew."""
    folder = tmp_path / "damaged"
    shutil.copytree(filled, folder)
    sigmoid, pixels, pack, rows = (
        next(p for p in files(folder, ".nb") if re.search(rf"\._?{name}-", p.name)) for name in _COMPILED
    )
    sigmoid.write_bytes(sigmoid.read_bytes()[:-1])
    whole = bytearray(pixels.read_bytes())
    whole[len(whole) // 2] ^= 1
    pixels.write_bytes(whole)
    pack.write_bytes(b"")
    rows.unlink()
    rows.mkdir()
    assert result(start(folder, f"import warnings\nwarnings.simplefilter('ignore')\n{_SCRIPT}")) == _COMPILED
    assert sigmoid.read_bytes()
    assert result(start(folder, f"import warnings\nwarnings.simplefilter('ignore')\n{_SCRIPT}")) == ["some_rows"]


def test_a_read_only_folder_is_read(filled: pathlib.Path, tmp_path: pathlib.Path, capfd: Any) -> None:
    """As one that several users share. Nothing is written, nothing is said."""
    folder = tmp_path / "shared"
    shutil.copytree(filled, folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        process = start(folder, f"import warnings\nwarnings.simplefilter('error')\n{_SCRIPT}")
        assert result(process) == []
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def test_a_shared_folder_and_an_own_one(
    filled: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first folder is one that cannot be made: what is new goes to the second, and both are read."""
    (tmp_path / "file").write_text("")
    own = tmp_path / "own"
    monkeypatch.setenv("TINYCNN_CACHE_DIR", os.pathsep.join(map(str, (tmp_path / "file", filled, own))))
    name = files(filled, ".nb")[0].name
    assert _cache.read(name) is not None
    monkeypatch.setenv("TINYCNN_CACHE_DIR", os.pathsep.join(map(str, (tmp_path / "file", own))))
    assert _cache.read(name) is None
    _cache.write("new", b"content")
    assert _cache.read("new") == b"content"
    assert [path.name for path in files(own, "new")] == ["new"]


def test_a_folder_that_cannot_be_written_to_is_told_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(_cache._Warned, "already", False)
    with pytest.warns(RuntimeWarning, match="compiled kernels cannot be kept .* set TINYCNN_CACHE_DIR to a folder"):
        _cache.write("name", b"content")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _cache.write("name", b"content")
        dispatcher = _jit.compiled(_fresh_function())
        assert dispatcher(2) == 3
    assert _cache.read("name") is None


def _fresh_function() -> Any:
    def increase(x: Any) -> Any:
        return x + 1

    return increase


def test_a_full_disk_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: pathlib.Path, content: bytes) -> int:
        path.open("wb").close()
        raise OSError("no space left on device")

    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_cache._Warned, "already", True)
    monkeypatch.setattr(_cache.pathlib.Path, "write_bytes", full)
    _cache.write("name", b"content")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINYCNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def none() -> pathlib.Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(_cache.pathlib.Path, "home", none)
    assert _cache.folders() == []
    assert _cache.read("name") is None
    monkeypatch.setattr(_cache._Warned, "already", False)
    with pytest.warns(RuntimeWarning, match="there is no home directory"):
        _cache.write("name", b"content")


def test_the_users_cache_is_the_default(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINYCNN_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cache.folders() == [tmp_path / "tinycnn" / "kernels" / _cache.stamp()]
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert _cache.folders() == [tmp_path / "numba" / "tinycnn-kernels" / _cache.stamp()]


@pytest.fixture
def edited(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A copy of the sources, to edit."""
    shutil.copytree(KERNELS / "cpu", tmp_path / "cpu", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(_cache, "_FOLDER", tmp_path / "cpu")
    _cache.sources.cache_clear()
    yield tmp_path / "cpu"
    _cache.sources.cache_clear()


@pytest.mark.parametrize(
    ("edit", "reached", "spared"),
    [
        ("_math.py", ("elementwise", "softmax"), ("winograd", "pool")),  # inlined into what imports it
        ("_transforms.py", ("winograd", "winograd_weights", "conv"), ("elementwise", "norm")),
        ("winograd.py", ("winograd", "winograd_weights", "direct"), ("elementwise", "norm")),
        ("_jit.py", ("elementwise", "winograd", "_jobs"), ()),  # the compiler's options
        ("_parts.py", ("elementwise", "winograd", "pool"), ()),
        ("_simd.py", ("_tile", "winograd", "direct"), ()),
    ],
)
def test_an_edit_reaches_whatever_it_is_inlined_into(
    edit: str, reached: tuple[str, ...], spared: tuple[str, ...], edited: pathlib.Path
) -> None:
    names = [path.stem for path in edited.glob("*.py")]
    before = {name: _cache.sources(name) for name in names}
    assert "" not in before.values()
    (edited / edit).write_text((edited / edit).read_text() + "\n# changed\n")
    _cache.sources.cache_clear()
    changed = {name for name in names if _cache.sources(name) != before[name]}
    assert {*reached, edit.removesuffix(".py"), "__init__"} <= changed
    assert not changed & set(spared)


def test_imports_are_all_seen() -> None:
    """The short way in which `sources` reads imports finds those that Python's own parser finds."""
    import ast

    for path in (KERNELS / "cpu").glob("*.py"):
        text = path.read_text()
        expected = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                expected |= {node.module} if node.module else {alias.name for alias in node.names}
        top = {line.split()[1] for line in text.splitlines() if line.startswith("from .") and line[6] != "."}
        found = set()
        for package, names in _cache._IMPORT.findall(text):
            found |= {package} if package else set(_cache.re.findall(r"\w+", names))
        assert found >= {name.removeprefix(".") for name in top} - {""}, path.name
        lazy = expected - found
        assert lazy <= {"_examples"}, (path.name, lazy)  # imported within a function, and nothing is inlined from it


def test_another_chip_or_version_has_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> str:
        _cache.stamp.cache_clear()
        return _cache.stamp()

    found = {fresh()}
    with monkeypatch.context() as patch:
        patch.setattr(_cache, "processor", lambda: ("znver9", "+avx2"))
        found.add(fresh())
        assert _cache.stamp().startswith("znver9-")
        patch.setattr(_cache, "processor", lambda: ("znver9", "+avx2,+avx512f"))
        found.add(fresh())
    for library in ("numba", "llvmlite", "np"):
        with monkeypatch.context() as patch:
            patch.setattr(getattr(_cache, library), "__version__", "99.0")
            found.add(fresh())
    assert len(found) == 6
    _cache.stamp.cache_clear()


def test_what_nobody_uses_is_deleted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path))
    other = tmp_path / "tinycnn-kernels" / "chip-of-old"
    other.mkdir(parents=True)
    for name, days in (("old", 100), ("new", 1)):
        (other / name).write_text("")
        os.utime(other / name, (time.time() - days * 86400,) * 2)
    _cache.write("name", b"content")
    assert [path.name for path in other.iterdir()] == ["new"]


def test_a_lock_that_is_never_freed_is_not_waited_for(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_cache, "_PATIENCE", 0.1)
    first = _cache._Lock("name")
    second = _cache._Lock("name")
    second.release()
    first.release()
    first.release()  # nothing more happens
    third = _cache._Lock("name")
    third.release()
    assert not files(tmp_path, ".lock")


class _Terminal:
    def __init__(self, is_terminal: bool) -> None:
        self.text, self.is_terminal = "", is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        return None


@pytest.mark.parametrize("place", ["terminal", "file", "switched off", "dumb", "notebook", "asked for"])
def test_who_is_told(place: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person at a terminal sees a line that goes again; a log gets nothing; a program that asks is told."""
    monkeypatch.setenv("TINYCNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb" if place == "dumb" else "xterm")
    monkeypatch.setenv("TINYCNN_COMPILE_PROGRESS", "0" if place == "switched off" else "")
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if place == "notebook":
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    terminal = _Terminal(place not in ("file", "notebook"))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(_progress._listener, "compiled", 0)
    named: list[str] = []
    for _ in range(2):
        function = _fresh_function()
        _progress.functions.add(function)
        if place == "asked for":
            with cpu.on_compile(named.append):
                _jit.compiled(function)(1)
        else:
            _jit.compiled(function)(1)
        _progress.functions.remove(function)
        (file,) = files(tmp_path, ".nb")  # or the second would be read
        file.unlink()
    line = "\r\x1b[2Ktinycnn: compiling increase for this machine (first run only; it is kept)\r\x1b[2K"
    once = "tinycnn: compiling kernels for this machine (first run only; they are kept)\n"
    assert terminal.text == {"terminal": line * 2, "notebook": once}.get(place, "")
    assert named == (["increase"] * 2 if place == "asked for" else [])


def test_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(sys, "stderr", None)
    assert _progress._place() == ""


@_jit.kernel
def _many_sorts(x: Any, pair: Any, factor: Any, negative: Any, y: Any) -> None:
    """Arguments of every sort; a job for each row."""
    for row in _jit.prange(x.shape[0]):
        for i in range(x.shape[1]):
            value = x[row, i] * factor + pair[0] - pair[1]
            y[row, i] = -value if negative else value


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 300])
def test_parts_are_the_whole(rows: int, threads: int) -> None:
    """Every job is done once, whatever the number of parts, and the arguments arrive as they were given."""
    x = np.arange(rows * 7, dtype=np.float32).reshape(rows, 7)
    y = np.full_like(x, np.nan)
    for part in range(threads):
        _many_sorts.compiled(part, threads, x, (4, 9), 0.5, True, y)
    np.testing.assert_array_equal(y, -(x * 0.5 - 5))
    y[:] = np.nan
    numbers = np.zeros(_parts.MOST_NUMBERS, np.int64)
    _many_sorts.compiled(-1, _jobs.address(numbers), x, (4, 9), 0.5, True, y)
    numbers[1] = threads
    _jit.run_jobs(int(numbers[0]), _jobs.address(numbers), threads)
    np.testing.assert_array_equal(y, -(x * 0.5 - 5))


def test_kernels_stand_at_the_top_of_a_module() -> None:
    @_jit.kernel
    def inside(x: Any) -> None:
        for i in _jit.prange(x.size):
            x[i] = 0

    with pytest.raises(ValueError, match="no function inside begins in line"):
        inside(1, np.ones(3))
