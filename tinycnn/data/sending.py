"""Sending batches to a GPU while it works on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend, pinned


def send_ahead(batches: Iterable[Any], device: Any, ahead: int = 1) -> Iterator[Any]:
    """The batches with their tensors on a device; the next ones are on their way while one is used.

    On a GPU they go from page-locked memory on a stream of their own, so that neither the host nor the GPU waits for
    the copy. On the CPU nothing is copied.

    Args:
        batches: tensors, or tuples, lists and dicts of them, such as a `DataLoader` gives.
        device: where to.
        ahead: how many batches are sent before they are asked for.

    Example:
        >>> import tinycnn
        >>> [x.sum().item() for (x,) in tinycnn.data.send_ahead([[tinycnn.ones(2)], [tinycnn.ones(3)]], "cpu")]
        [2.0, 3.0]
    """
    backend = get_backend(device)
    sent: deque[Callable[[], Any]] = deque()
    for batch in batches:
        sent.append(_send(batch, backend))
        if len(sent) > ahead:
            yield sent.popleft()()
    while sent:
        yield sent.popleft()()


def _send(batch: Any, backend: Any) -> Callable[[], Any]:
    leaving: list[np.ndarray] = []

    def leave(x: Tensor) -> Tensor:
        if x.backend is not backend:
            leaving.append(x.backend.to_numpy(x.array))
        return x

    _mapped(batch, leave)
    take = backend.send(leaving)

    def arrive() -> Any:
        arrived = iter(take())
        return _mapped(batch, lambda x: x if x.backend is backend else wrap(next(arrived), backend))

    return arrive


def pin_batch(batch: Any) -> Any:
    """A batch with its tensors of the CPU in page-locked memory, from which a GPU takes them without waiting."""
    return _mapped(batch, lambda x: x if x.is_cuda else wrap(pinned(x.array), x.backend))


def _mapped(value: Any, visit: Callable[[Tensor], Tensor]) -> Any:
    """A batch with its tensors replaced, in order."""
    if isinstance(value, Tensor):
        return visit(value)
    if isinstance(value, Mapping):
        return {key: _mapped(v, visit) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        fields = [_mapped(v, visit) for v in value]
        return type(value)(*fields) if hasattr(value, "_fields") else type(value)(fields)
    return value
