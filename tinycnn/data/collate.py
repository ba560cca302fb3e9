"""Collating: one batch of many samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, wrap
from ..backend import get_backend


def default_collate(samples: list[Any]) -> Any:
    """One batch of a list of samples: tensors and arrays are stacked, numbers become a tensor, and tuples, lists and
    dicts of these are collated field by field.

    Raises:
        ValueError: if tensors differ in shape, or samples in their number of fields.
        TypeError: if a sample is of a kind that it cannot collate.

    Example:
        >>> import tinycnn
        >>> tinycnn.data.default_collate([(tinycnn.zeros(2), 1), (tinycnn.ones(2), 7)])
        [tensor([[0., 0.],
                [1., 1.]]), tensor([1, 7])]
    """
    first = samples[0]
    if isinstance(first, Tensor):
        shapes = {s.array.shape for s in samples}
        if len(shapes) > 1:
            raise ValueError(f"default_collate: the tensors of a batch must have one shape, got {sorted(shapes)}")
        return wrap(first.backend.stack([s.array for s in samples]), first.backend)
    if isinstance(first, Mapping):
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(s) for s in samples}) > 1:
            raise ValueError("default_collate: the samples of a batch must have equally many fields")
        return [default_collate(list(field)) for field in zip(*samples, strict=True)]
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, (np.ndarray, np.generic, int, float)):
        if isinstance(first, np.ndarray) and len({s.shape for s in samples}) > 1:
            raise ValueError(
                f"default_collate: the arrays of a batch must have one shape, got {sorted({s.shape for s in samples})}"
            )
        return wrap(np.stack([np.asarray(s) for s in samples]), get_backend("cpu"))
    raise TypeError(f"default_collate: cannot make a batch of {type(first).__name__}; give the DataLoader a collate_fn")
