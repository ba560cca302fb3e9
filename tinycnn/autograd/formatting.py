"""How a tensor prints: as PyTorch prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend.base import widened

if TYPE_CHECKING:
    from .tensor import Tensor

_PRECISION, _THRESHOLD, _EDGE, _WIDTH = 4, 1000, 3, 80


def format_tensor(tensor: Tensor) -> str:
    """`tensor([1., 2.], dtype=..., device=..., requires_grad=True)`, leaving out what is the default."""
    from ..backend.dtypes import get_default_dtype

    kind = "Parameter containing:\n" if type(tensor).__name__ == "Parameter" else ""
    array = widened(tensor.backend.to_numpy(tensor.array))
    notes = []
    if array.size == 0 and array.ndim != 1:
        notes.append(f"size={tuple(array.shape)}")
    if tensor.dtype.name not in ("bool", "int64", get_default_dtype().name) or (
        array.size == 0 and tensor.dtype is not get_default_dtype()
    ):
        notes.append(f"dtype={tensor.dtype!r}")
    if tensor.is_cuda:
        notes.append(f"device='{tensor.device}'")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    body = "[]" if array.size == 0 else _format_array(array)
    text = f"tensor({body}"
    room = _WIDTH - (len(text) - text.rfind("\n") + 1)  # PyTorch's count, a little more than the last line's length
    for note in notes:
        room -= len(note) + 2
        if room < 0:
            text += f",\n       {note}"
            room = _WIDTH - (7 + len(note))
        else:
            text += f", {note}"
    return f"{kind}{text})"


def _format_array(array: np.ndarray) -> str:
    kind = array.dtype.kind
    formatter: Any = None
    if kind == "f":
        shown = _shown_part(array)
        formatter = {"float_kind": _float_style(shown[np.isfinite(shown)].astype(np.float64), shown)}
    elif kind == "b":
        width = 5 if not array.all() and array.ndim else 0
        formatter = {"bool": lambda v: str(bool(v)).rjust(width if array.ndim else 0)}
    if array.ndim == 0 and kind == "f":
        return str(formatter["float_kind"](array.item())).strip()
    return np.array2string(
        array,
        separator=", ",
        prefix="tensor(",
        formatter=formatter,
        threshold=_THRESHOLD,
        edgeitems=_EDGE,
        max_line_width=_WIDTH,
        precision=_PRECISION,
    )


def _shown_part(array: np.ndarray) -> np.ndarray:
    """The elements that will be printed, for choosing one style for all."""
    if array.size <= _THRESHOLD:
        return array.ravel()
    for axis, size in enumerate(array.shape):
        if size > 2 * _EDGE:
            keep = [*range(_EDGE), *range(size - _EDGE, size)]
            array = array.take(keep, axis=axis)
    return array.ravel()


def _float_style(finite: np.ndarray, shown: np.ndarray) -> Any:
    """PyTorch's rule: whole numbers as `1.`, a wide range of sizes in scientific notation, else four decimals."""
    nonzero = np.abs(finite[finite != 0])
    whole = bool((finite == np.ceil(finite)).all())
    low, high = (nonzero.min(), nonzero.max()) if nonzero.size else (1.0, 1.0)
    scientific = high / low > 1000 or high > 1e8 or (low < 1e-4 and not whole)
    if whole and high / low <= 1000 and high <= 1e8:
        pattern = "{:.0f}."
    elif scientific:
        pattern = "{:.4e}"
    else:
        pattern = "{:.4f}"

    def text(v: Any) -> str:
        return pattern.format(v) if np.isfinite(v) else str(float(v))

    width = max(map(len, map(text, finite)), default=0)
    return lambda v: text(v).rjust(width)
