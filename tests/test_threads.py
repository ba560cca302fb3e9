"""Threads of the CPU's kernels: how many there are, who may start them, and that no bit of a result depends on it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

import tinycnn
from tinycnn.kernels import cores

pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

_LIMIT = 120  # seconds, after which a process is taken to hang

# A small network's loss, its gradients and first step. Its layers are large enough for threads: an element-wise loop
# starts them from 65,536 operations on.
_NETWORK = """
import hashlib, threading
import tinycnn
from tinycnn import nn
from tinycnn.nn import functional as F

def compute(seed):
    make = tinycnn.Generator().manual_seed(seed)
    def random(*shape):
        return tinycnn.randn(*shape, generator=make)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1),
                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 14 * 14, 10))
    for p in net.parameters():
        p.data = random(*p.shape) * 0.1
    loss = F.cross_entropy(net(random(8, 3, 28, 28)), tinycnn.arange(8))
    loss.backward()
    tinycnn.optim.Adam(net.parameters()).step()
    whole = b"".join(a.detach().numpy().tobytes() for p in net.parameters() for a in (p.grad, p))
    return hashlib.sha256(loss.detach().numpy().tobytes() + whole).hexdigest()
"""


def run(script: str, **environment: str) -> str:
    """What a new process prints that knows `compute`; it may not hang."""
    kept = {name: text for name, text in os.environ.items() if name not in ("NUMBA_NUM_THREADS", "TINYCNN_NUM_THREADS")}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", _NETWORK + script],
        env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def alone() -> str:
    """The result with one thread."""
    return run("tinycnn.set_num_threads(1)\nprint(compute(0))", OPENBLAS_NUM_THREADS="1")


def run_on(layer: str, script: str) -> str:
    """What the script prints, with Numba's threads those of this layer."""
    order = " ".join([layer, *sorted({"workqueue", "omp", "tbb"} - {layer})])
    return run(script, NUMBA_NUM_THREADS="4", NUMBA_THREADING_LAYER_PRIORITY=order, OPENBLAS_NUM_THREADS="1")


# Two threads, also where there is one core: Numba is told of four, and the number is set beneath the public function.
_FOUR = "from tinycnn.kernels import cpu\ncpu.set_num_threads(2)\n"


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_change_no_bit(alone: str, layer: str) -> None:
    script = (
        _FOUR
        + "print(compute(0))\ncpu.set_num_threads(3)\nprint(compute(0))\ncpu.set_num_threads(4)\nprint(compute(0))"
    )
    found = run_on(layer, script)
    assert found.split() == [alone] * 3


def test_engines_in_several_python_threads(alone: str) -> None:
    """Each computes what it would alone, though they start kernels at once and change the number of threads."""
    script = _FOUR + (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def work(i):\n"
        "    cpu.set_num_threads(1 + i % 4)\n"
        "    return compute(0)\n"
        "with ThreadPoolExecutor(3) as pool:\n"
        "    print(*set(pool.map(work, range(12))))\n"
    )
    assert run(script, NUMBA_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1") == alone


def test_the_number_holds_in_python_threads_that_begin_later() -> None:
    script = _FOUR + (
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(tinycnn.get_num_threads()))\n"
        "thread.start(); thread.join()\n"
        "print(found, tinycnn.get_num_threads())"
    )
    assert run(script, NUMBA_NUM_THREADS="4") == "[2] 2"


_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@_FORK
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_forked_processes_compute_too(alone: str, layer: str) -> None:
    """From a process whose threads have started; also a fork of a fork, while another thread is at work."""
    script = _FOUR + (
        "import os, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "def forked(work):\n"
        "    come, go = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        os.write(go, work().encode())\n"
        "        os._exit(0)\n"
        "    os.close(go)\n"
        "    with os.fdopen(come) as file:\n"
        "        text = file.read()\n"
        "    os.wait()\n"
        "    return text\n"
        "compute(0)\n"
        "stop = threading.Event()\n"
        "def busy():\n"
        "    while not stop.is_set(): compute(1)\n"
        "thread = threading.Thread(target=busy)\n"
        "thread.start()\n"
        "first = [forked(lambda: compute(0)) for _ in range(12)]\n"
        "stop.set(); thread.join()\n"
        "print(*first, forked(lambda: forked(lambda: compute(0))), compute(0))\n"
    )
    found = run_on(layer, script)
    assert found.split() == [alone] * 14


def test_a_loader_whose_threads_run_kernels(alone: str) -> None:
    """Batches made by threads that use the engine, while the training loop does."""
    script = _FOUR + (
        "from tinycnn import data\n"
        "class Images(data.Dataset):\n"
        "    def __len__(self): return 12\n"
        "    def __getitem__(self, i): return F.relu(tinycnn.ones(3, 160, 160) * (i - 6)).sum(), i\n"
        "seen, found = [], set()\n"
        "for x, y in data.DataLoader(Images(), batch_size=3, num_workers=2):\n"
        "    seen += x.tolist()\n"
        "    found.add(compute(0))\n"
        "assert seen == [max(0, i - 6) * 76800.0 for i in range(12)], seen\n"
        "print(*found)\n"
    )
    assert run(script, NUMBA_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1") == alone


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "1,2"])
def test_nonsense_in_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYCNN_NUM_THREADS", text)
    with pytest.raises(ValueError, match=f"TINYCNN_NUM_THREADS is '{text}', expected a positive integer"):
        cores.starting_threads()


def test_threads_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in [("", 8), (" 3 ", 3), ("8", 8), ("100", 8)]:
        monkeypatch.setattr(cores, "available_cores", lambda: 8)
        monkeypatch.setenv("TINYCNN_NUM_THREADS", text)
        assert cores.starting_threads() == expected


def test_the_environment_holds_kernels_and_blas() -> None:
    script = (
        "import threadpoolctl\n"
        "blas = [p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas']\n"
        "print(tinycnn.get_num_threads(), *set(blas))"
    )
    pytest.importorskip("threadpoolctl")
    assert run(script, TINYCNN_NUM_THREADS="1").split() in (["1", "1"], ["1"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_is_respected() -> None:
    first = min(os.sched_getaffinity(0))
    script = f"import os\nos.sched_setaffinity(0, [{first}])\n" + "import tinycnn\nprint(tinycnn.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True, timeout=_LIMIT,
    )  # fmt: skip
    assert done.stdout.strip() == "1"


def write(file: pathlib.Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/", {}, None),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3.0),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "300000 100000"}, 0.5),
        ("0::/hidden/from/here", {"cpu.max": "200000 100000"}, 2.0),
        ("0::/", {"cpu.max": "nonsense"}, None),
        ("0::/", {"cpu.max": "100000 0"}, None),
        ("5:memory:/\n4:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
        ("4:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("4:cpuset:/", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_quota_of_a_container(groups: str, files: dict[str, str], expected: Any, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "self", groups)
    for name, text in files.items():
        write(tmp_path / "fs" / name, text)
    assert cores._quota(tmp_path / "self", tmp_path / "fs") == expected


def test_where_there_are_no_groups(tmp_path: pathlib.Path) -> None:
    assert cores._quota(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 6), (0.2, 1), (1.0, 1), (2.5, 3), (64.0, 6)])
def test_cores_of_a_container(quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_quota", lambda *_: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6), raising=False)
    assert cores.available_cores() == expected


def test_the_public_number_of_threads() -> None:
    most = tinycnn.get_num_threads()
    tinycnn.set_num_threads(1)
    try:
        assert tinycnn.get_num_threads() == 1
    finally:
        tinycnn.set_num_threads(most)
    assert tinycnn.get_num_threads() == most
    for n in (0, -1, 100_000):
        with pytest.raises(ValueError, match=f"set_num_threads: expected 1 to .*, got {n}"):
            tinycnn.set_num_threads(n)
