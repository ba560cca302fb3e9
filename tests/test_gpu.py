"""On a real GPU: what test_cuda_standin.py checks on the stand-in, with real CuPy. Run with `pytest -m gpu`."""

from __future__ import annotations

import inspect
import json
import pathlib
from collections.abc import Iterator

import device_checks_bfloat16  # noqa: F401 - adds to CHECKS
import device_checks_graph  # noqa: F401
import device_checks_runtime  # noqa: F401
import pytest
from device_checks import CHECKS

import tinycnn
from tinycnn.backend import cuda_status

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    usable, reason = cuda_status()
    if not usable:
        pytest.skip(f"no GPU: {reason}")
    yield
    tinycnn.cuda.synchronize()  # an error of the device belongs to the test that made it


@pytest.mark.parametrize("name", CHECKS)
def test_on_a_gpu(name: str) -> None:
    CHECKS[name]()


def test_products_are_rounded_to_tf32_where_that_is_allowed() -> None:
    if tinycnn.cuda.get_device_capability() < (8, 0):
        pytest.skip("this chip has no TF32")
    a, b = tinycnn.randn(512, 512, device="cuda"), tinycnn.randn(512, 512, device="cuda")
    exact = a.double() @ b.double()
    errors = []
    try:
        for precision in ("highest", "high"):
            tinycnn.set_float32_matmul_precision(precision)
            errors.append(((a @ b).double() - exact).abs().max().item())
    finally:
        tinycnn.set_float32_matmul_precision("highest")
    assert errors[0] < 1e-3 < errors[1] < 0.5, errors


def test_the_stand_in_knows_this_cupy() -> None:
    """What cupy_surface.json lets the stand-in offer is there, with those parameters and for those dtypes."""
    import cupy

    surface = json.loads((pathlib.Path(__file__).parent / "cupy_surface.json").read_text(encoding="utf-8"))
    for name, parameters in surface["functions"].items():
        assert set(parameters.split()) <= set(inspect.signature(getattr(cupy, name)).parameters), name
    for name, types in surface["ufuncs"].items():
        assert set(types.split()) <= set(getattr(cupy, name).types), name
    assert all(hasattr(cupy.ndarray, name) for name in surface["ndarray"])
    assert all(hasattr(cupy.random.Generator, name) for name in surface["generator"])
