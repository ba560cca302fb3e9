"""On a real GPU: what test_cuda_standin.py checks on the stand-in, with real CuPy. Run with `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Iterator

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
