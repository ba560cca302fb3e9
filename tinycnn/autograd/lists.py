"""Many tensors for one kernel: lists of arrays that share their device and dtype."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..backend import Array, Backend
from .grad_mode import no_grad
from .tensor import Tensor

Groups = list[tuple[Backend, list[Array]]]


def alike(tensors: Iterable[Tensor]) -> Groups:
    """The arrays of some tensors, apart by device and dtype, in the order of the first of each."""
    groups: dict[tuple[Backend, Any], list[Array]] = {}
    for x in tensors:
        groups.setdefault((x.backend, x.array.dtype), []).append(x.array)
    return [(backend, arrays) for (backend, _), arrays in groups.items()]


def to_be_written(tensors: Iterable[Tensor]) -> Groups:
    """The same for a kernel that writes into them, without recording it; no tensor comes twice.

    Raises:
        RuntimeError: if the memory of one cannot be written.
    """
    once = list({id(x): x for x in tensors}.values())
    with no_grad():
        for x in once:
            x.check_writable()
    for x in once:
        x._version[0] += 1
    return alike(once)
