"""Fresh memory that is full of NaN: a kernel that reads what nobody wrote is found out."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tinycnn.kernels import memory


def poison(array: Any) -> Any:
    """The array, filled with what is wrong anywhere: NaN, or a huge number."""
    kind = array.dtype.kind
    array.fill(np.nan if kind == "f" else True if kind == "b" else np.iinfo(array.dtype).max // 2)
    return array


def poison_fresh_memory(monkeypatch: pytest.MonkeyPatch, numpys_too: bool = False) -> None:
    """Let the pool give every fast kernel arrays full of NaN.

    Args:
        numpys_too: let np.empty and np.empty_like do so as well; then no kernel can be compiled that calls them.
    """
    if numpys_too:
        empty, empty_like = np.empty, np.empty_like
        monkeypatch.setattr(np, "empty", lambda *args, **kwargs: poison(empty(*args, **kwargs)))
        monkeypatch.setattr(np, "empty_like", lambda *args, **kwargs: poison(empty_like(*args, **kwargs)))
    for name, real in (("empty", memory.empty), ("empty_like", memory.empty_like)):

        def poisoned(*args: Any, real: Any = real) -> Any:
            return poison(real(*args))

        for module in [m for key, m in sys.modules.items() if key.startswith("tinycnn.kernels.cpu.")]:
            if getattr(module, name, None) is real:
                monkeypatch.setattr(module, name, poisoned)
