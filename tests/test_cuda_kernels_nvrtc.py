"""Every CUDA kernel compiled for real GPUs by NVRTC, the compiler that CuPy uses. It is a compiler only: nothing runs.

A warning fails, and so does a kernel that spills registers to memory, which costs more than most of what is done here.
"""

from __future__ import annotations

import hashlib
import pathlib
import re

import pytest
from cuda_proof import nvrtc
from cuda_proof.runner import folder

import tinycnn.kernels.cuda  # noqa: F401 - it describes the kernels
from tinycnn.kernels.cuda import loader

LIBRARY, REASON = nvrtc.load()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason=REASON)

OWN_TEXT = pathlib.Path(nvrtc.__file__).read_text(encoding="utf-8")
FILES = sorted({kernel.file for kernel in loader.Kernel.registry.values()})
# What is compiled for each architecture by default: every type once. The slow test leaves nothing out.
TYPES = {75: ("float16", "float64"), 80: ("bfloat16",), 90: ("float32",)}


def instances(file: str, types: tuple[str, ...] = tuple(loader.TYPES)) -> list[str]:
    return [
        instance.expression
        for kernel in loader.Kernel.registry.values()
        if kernel.file == file
        for instance in kernel.instances()
        if not kernel.types or re.match(rf"\w+<({'|'.join(loader.TYPES[t] for t in types)})\b", instance.expression)
    ]


def check(file: str, architecture: int, expressions: list[str]) -> None:
    """Compile, unless just this has been found fine before."""
    text = loader.source(file)
    made_of = "\0".join([text, str(architecture), *expressions, *loader.OPTIONS, REASON, OWN_TEXT])
    fine = folder() / f"{hashlib.sha256(made_of.encode()).hexdigest()[:24]}.sm{architecture}"
    if fine.exists():
        return
    built = nvrtc.compile_for(architecture, text, expressions, loader.OPTIONS)
    assert not built.warnings, "\n".join(built.warnings)
    assert set(built.names.values()) <= set(built.kernels)
    spilled = {name: spilled for name, (_, spilled) in built.kernels.items() if spilled}
    assert not spilled, f"{file}.cu, sm_{architecture}: bytes spilled: {spilled}"
    fine.touch()


@pytest.mark.parametrize("architecture", TYPES)
@pytest.mark.parametrize("file", FILES)
def test_kernels_compile(file: str, architecture: int) -> None:
    expressions = instances(file, TYPES[architecture])
    if expressions:
        check(file, architecture, expressions)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", TYPES)
@pytest.mark.parametrize("file", FILES)
def test_all_instances_compile(file: str, architecture: int) -> None:
    check(file, architecture, instances(file))


def test_the_types_are_all_compiled() -> None:
    assert {t for types in TYPES.values() for t in types} == set(loader.TYPES)
    assert set(TYPES) <= set(nvrtc.architectures())


def test_what_the_compiler_refuses_is_seen() -> None:
    with pytest.raises(nvrtc.NvrtcError, match="undefined"):
        nvrtc.compile_for(75, "__global__ void f(float* x) { *x = INFINITY; }", ["f"])
    unused = "__global__ void f(float* x) { int y; *x = 1; }"
    assert any("never referenced" in line for line in nvrtc.compile_for(75, unused, ["f"]).warnings)
    spilling = """
    __global__ void __launch_bounds__(1024, 2) f(float* x) {
        float a[64];
        #pragma unroll
        for (int i = 0; i < 64; ++i) a[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 64; ++i) x[(63 - i) * 1024 + threadIdx.x] = a[i] * a[(i * 7) % 64];
    }
    """
    ((_, spilled),) = nvrtc.compile_for(90, spilling, ["f"]).kernels.values()
    assert spilled > 0
