"""The widths of vectors: each that the chip has, chosen from outside; none at all; and NEON, as far as any machine can
check it. What each width computes, geometry by geometry, is in test_fast_conv.py."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the fast CPU kernels need Numba")

from llvmlite import binding

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu import _jobs, _plan, _simd

WIDTHS = [chip.name for chip in _simd.available()]
ROOT = pathlib.Path(__file__).parent
_LIMIT = 300  # seconds

# Training steps of networks that use each kind of convolution, with the fast kernels and with the reference in float64:
# the largest difference of loss and gradients, relative to the gradient's size.
_SCRIPT = """
import json, os
import tinycnn
from tinycnn import nn
from tinycnn.kernels.cpu import _simd
from tinycnn.nn import functional as F

def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),  # a stem: few channels, in place
        nn.Conv2d(16, 24, 3, 1, 1), nn.LeakyReLU(),                            # Winograd's, many tiles
        nn.Conv2d(24, 32, 3, 2, 1), nn.Sigmoid(), nn.AvgPool2d(2),             # a stride; gathered by parity
        nn.Conv2d(32, 160, 1), nn.GELU(), nn.Conv2d(160, 160, 3, 1, 1),        # a product; Winograd's, few tiles
        nn.Conv2d(160, 5, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5, 4),
    )

def step(dtype):
    tinycnn.manual_seed(0)
    net = network().to(dtype)
    x = tinycnn.randn(4, 3, 28, 28, dtype=tinycnn.float64).to(dtype)
    loss = F.cross_entropy(net(x), tinycnn.arange(4))
    loss.backward()
    return [loss.detach().numpy(), *(p.grad.numpy() for p in net.parameters())]

fast = step(tinycnn.float32)
with tinycnn.use_kernels("reference"):
    exact = step(tinycnn.float64)
worst = max(float(abs(a - e).max() / abs(e).max()) for a, e in zip(fast, exact))
chip = _simd.active()
print(json.dumps([chip.name if chip else "none", worst]))
"""


def run(**environment: str) -> Any:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("width", [*WIDTHS, "none"])
def test_each_width_trains_alike(width: str) -> None:
    name, worst = run(TINYCNN_SIMD=width)
    assert name == width
    assert 0 < worst < 2e-4


def test_a_width_that_the_chip_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYCNN_SIMD", "avx1024")
    with pytest.raises(ValueError, match="TINYCNN_SIMD is 'avx1024'; this chip knows .*none"):
        _simd._first_choice()


@pytest.mark.parametrize(
    ("features", "machine", "expected"),
    [
        ("+avx,+avx2,+fma,+avx512f", "x86_64", ["avx512", "avx2"]),
        ("+avx,+avx2,+fma,-avx512f", "x86_64", ["avx2"]),
        ("+avx,+avx2,-fma", "x86_64", []),
        ("+sse2", "AMD64", []),
        ("+neon", "aarch64", ["neon"]),
        ("", "arm64", ["neon"]),
        ("", "riscv64", []),
    ],
)
def test_widths_by_chip(features: str, machine: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_simd, "processor", lambda: ("chip", features))
    monkeypatch.setattr(_simd.platform, "machine", lambda: machine)
    assert [chip.name for chip in _simd.available()] == expected


@pytest.mark.slow
@pytest.mark.skipif("avx512" not in WIDTHS, reason="needs a chip with more than AVX2")
def test_every_kernel_on_a_narrower_chip() -> None:
    """Also the loops that the compiler itself turns into vector code, as it does for a chip with AVX2 and no more."""
    features = "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse4.1,+sse4.2,+ssse3,-avx512f"
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(ROOT / "test_kernels.py"), "-k",
         "not machine and not compile and not warm_up"],
        env={**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features, "PYTHONPATH": path},
        capture_output=True, text=True, check=False, cwd=ROOT.parent, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


_PIECE = tuple[_simd.Chip, int, Any, tuple[Any, ...]]


@pytest.fixture
def neon_pieces(monkeypatch: pytest.MonkeyPatch) -> list[_PIECE]:
    """What the convolutions would compile on a chip with NEON; nothing of it is run."""
    found: dict[_PIECE, None] = {}
    _plan.forget_plans()
    monkeypatch.setattr(_simd, "_address", lambda *piece: found.setdefault(piece) or 1)
    monkeypatch.setattr(_jobs.Jobs, "__call__", lambda *_, **__: None)
    chip = _simd.CHIPS["neon"]
    with _simd.use(chip), np.errstate(all="ignore"):
        for channels, out, size, taps, stride in [
            (3, 16, 23, 7, 2), (1, 6, 28, 5, 1), (16, 24, 14, 3, 1), (160, 160, 7, 3, 1), (24, 24, 6, 3, 1),
            (32, 32, 8, 5, 1), (24, 32, 14, 3, 2), (7, 9, 9, 4, 3),
        ]:  # fmt: skip
            x, w = (np.zeros(shape, np.float32) for shape in ((2, channels, size, size), (out, channels, taps, taps)))
            geometry = (stride, stride), ((taps // 2,) * 2,) * 2, (1, 1), 1
            for precision in ("fast", "strict"):
                cpu.set_precision(precision)
                y = cpu.KERNELS["conv2d"](x, w, None, *geometry)
                cpu.KERNELS["conv2d_backward"](y, x, w, x.shape, w.shape, *geometry, (True,) * 3)
            cpu.set_precision("fast")
    _plan.forget_plans()  # their functions are none
    return list(found)


def test_neon_code_is_valid_and_fits_the_registers(neon_pieces: list[_PIECE]) -> None:
    """LLVM turns it into instructions for ARM on any machine: multiply-adds of four lanes, sums in registers."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM knows no ARM")
    machine = target.create_target_machine("cortex-a72", "+neon", opt=3)
    kinds = {body.__name__ for _, _, body, _ in neon_pieces}
    assert kinds >= {"_tile", "_transform", "_transpose"}
    for chip, arity, body, options in neon_pieces:
        module = _simd._module(chip, arity, body, options, "piece")
        module.triple = "aarch64-unknown-linux-gnu"
        code = binding.parse_assembly(str(module))
        code.verify()
        text = machine.emit_assembly(code)
        if body.__name__ == "_tile":
            assert re.search(r"fmla\tv\d+\.4s", text), options
            loop = re.findall(r"(?:fmla\tv\d+\.4s[^\n]*\n(?:(?!\tb)[^\n]*\n)*)+", text)[0]
            assert not re.search(r"\t(?:str|stur|stp)\tq\d+, \[sp", loop), options  # a sum that left its register
