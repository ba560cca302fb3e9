"""Collating: one batch of many samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend


def default_collate(samples: list[Any]) -> Any:
    """One batch of a list of samples: tensors and arrays are stacked, numbers become a tensor, and tuples, lists and
    dicts of these are collated field by field. A tuple becomes a list, a named tuple stays one.

    Raises:
        ValueError: if there are no samples, tensors differ in shape, or samples in their number of fields.
        TypeError: if a sample is of a kind that it cannot collate, or of another kind than the first.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.default_collate([(tinycnn.zeros(2), 1), (tinycnn.ones(2), 7)])
        [tensor([[0., 0.],
                [1., 1.]]), tensor([1, 7])]
    """
    if not samples:
        raise ValueError("default_collate: a batch needs at least one sample")
    first = samples[0]
    if isinstance(first, Tensor):
        _check_kinds(samples, Tensor)
        shapes = {s.array.shape for s in samples}
        if len(shapes) > 1:
            raise ValueError(f"default_collate: the tensors of a batch must have one shape, got {sorted(shapes)}")
        return wrap(first.backend.stack([s.array for s in samples]), first.backend)
    if isinstance(first, Mapping):
        _check_kinds(samples, Mapping)
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        _check_kinds(samples, (tuple, list))
        if len({len(s) for s in samples}) > 1:
            raise ValueError("default_collate: the samples of a batch must have equally many fields")
        fields = [default_collate(list(field)) for field in zip(*samples, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, (np.ndarray, np.generic, int, float)):
        _check_kinds(samples, (np.ndarray, np.generic, int, float))
        arrays = [np.asarray(s) for s in samples]
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise ValueError(f"default_collate: the arrays of a batch must have one shape, got {sorted(shapes)}")
        if all(a.dtype.kind in "biufc" for a in arrays):
            return wrap(np.stack(arrays), get_backend("cpu"))
    what = f"arrays of {first.dtype}" if isinstance(first, np.ndarray) else type(first).__name__
    raise TypeError(f"default_collate: cannot make a batch of {what}; give the DataLoader a collate_fn")


def _check_kinds(samples: list[Any], kinds: type | tuple[type, ...]) -> None:
    for sample in samples:
        if not isinstance(sample, kinds):
            raise TypeError(
                f"default_collate: the samples of a batch must be of one kind, got {type(samples[0]).__name__} and "
                f"{type(sample).__name__}"
            )
