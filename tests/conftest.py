"""What all tests share: fixed seeds, the kernel sets, and the folder of real data."""

from __future__ import annotations

import os
import pathlib
import random
import sys
from collections.abc import Generator, Iterator

import pytest

import tinycnn

# Tests that move the user's cache folder elsewhere would compile the CPU's kernels and list matplotlib's fonts there,
# each anew.
CACHE = pathlib.Path.home() / ".cache" / "tinycnn" / "tests"
os.environ.setdefault("TINYCNN_CACHE_DIR", str(CACHE))
os.environ.setdefault("MPLCONFIGDIR", str(CACHE / "matplotlib"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random state, in whatever order they run."""
    random.seed(0)
    tinycnn.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Coverage does not trace a test marked `unmeasured`. (What pytest-cov has for it does nothing in a worker.)"""
    trace = sys.gettrace()
    if item.get_closest_marker("unmeasured"):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


@pytest.fixture(params=["fast", "reference"])
def kernel_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once with each set of kernels."""
    try:
        block = tinycnn.use_kernels(request.param)
    except RuntimeError as error:
        pytest.skip(str(error))
    with block:
        yield request.param


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder with the real data sets."""
    name = os.environ.get("TINYCNN_DATA")
    if not name or not pathlib.Path(name).is_dir():
        pytest.skip("needs real data: set TINYCNN_DATA to the folder that holds the data sets")
    return pathlib.Path(name)
