"""The product of matrices, behind every fully connected layer."""

from __future__ import annotations

from typing import Any

Array = Any


def matmul(xp: Any, a: Array, b: Array) -> Array:
    """C = A B for (..., M, K) and (..., K, N): C_mn = sum over k of A_mk B_kn, with broadcasting of `...`."""
    return xp.matmul(a, b)
