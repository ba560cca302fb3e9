"""Checkpoints: one `.safetensors` file, with the arrays as they are and everything else as JSON in its header.

One file, so that writing it can be atomic: it is written beside its place and then moved there, and whoever reads finds
the old checkpoint or the new one, whole. Nothing is pickled, so that reading a checkpoint runs no code from it.
"""

from __future__ import annotations

import json
import os
import pathlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, wrap
from ..backend import active_random_sources, get_backend
from ..optim import Optimizer
from .files import write_atomically

_FORMAT = "tinycnn-checkpoint-2"
_RESERVED = ("optimizer/", "progress/")  # the names of arrays that are not the model's begin so


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        model: the state_dict of the model, on the CPU.
        optimizer: the state_dict of the optimiser, or None.
        random: the state of the random source of each device, by its name.
        facts: what else was saved: names, settings, history.
        progress: how far a `Trainer` was, or None.
    """

    model: dict[str, Tensor]
    optimizer: dict[str, Any] | None = None
    random: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] | None = None


def save_checkpoint(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | None = None,
    facts: dict[str, Any] | None = None,
    progress: dict[str, Any] | None = None,
) -> None:
    """Save model, optimiser, the state of the random sources, and facts that JSON can hold, atomically.

    Args:
        path: the file; it is replaced if it is there.
        model, optimizer: whose states are saved.
        facts: anything that JSON can hold.
        progress: how far a `Trainer` is, from its `state_dict()`; `Trainer.save` does all this in one go.

    Raises:
        TypeError: if facts or progress hold something that JSON cannot.
        ValueError: if a parameter's name begins with "optimizer/" or "progress/".
        OSError: if the file cannot be written; the old one is still there then.
    """
    import safetensors
    import safetensors.numpy

    arrays: dict[str, np.ndarray] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(_RESERVED):
            raise ValueError(f"save_checkpoint: the name {name!r} is taken by the state of the training")
        arrays[name] = _packed(tensor)
    rest = {
        "facts": facts or {},
        "optimizer": None if optimizer is None else _without_arrays(optimizer.state_dict(), "optimizer", arrays),
        "progress": _without_arrays(progress, "progress", arrays),
        "random": {name: source.get_state() for name, source in active_random_sources().items()},
    }
    text = json.dumps(rest)
    metadata = {"format": _FORMAT, "tinycnn": text, "crc32": str(_checksum(text, arrays))}
    try:
        packed = safetensors.numpy.save(arrays, metadata)
    except safetensors.SafetensorError as error:
        raise TypeError(f"save_checkpoint: {error}") from None
    write_atomically(path, packed)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; feed it to `model.load_state_dict` and `optimizer.load_state_dict`.

    Raises:
        ValueError: if the file is damaged, or no checkpoint of tinycnn.
        OSError: if it cannot be opened.
    """
    metadata, arrays = _read(path)
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not a checkpoint of tinycnn ({_FORMAT})")
    text = metadata.get("tinycnn", "")
    if metadata.get("crc32") != str(_checksum(text, arrays)):
        raise ValueError(f"{path}: not a checkpoint, or a damaged one: its checksum is wrong")
    rest = json.loads(text)
    backend = get_backend("cpu")
    return Checkpoint(
        {name: wrap(array, backend) for name, array in arrays.items() if not name.startswith(_RESERVED)},
        _with_arrays(rest["optimizer"], arrays),
        rest["random"],
        rest["facts"],
        _with_arrays(rest["progress"], arrays),
    )


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Take over parameters and buffers from a checkpoint, or any safetensors file with their names; returns the model.

    Raises:
        ValueError: if the file is damaged, or holds the weights of another network; nothing is changed then.
        OSError: if it cannot be opened.

    Example:
        >>> import tinycnn
        >>> from tinycnn import nn, train
        >>> train.save_checkpoint("net.safetensors", nn.Linear(2, 3))
        >>> train.load_weights(nn.Linear(2, 4), "net.safetensors")
        Traceback (most recent call last):
        ValueError: net.safetensors: weights of another network: weight is (3, 2) there and (4, 2) here (2 differ)
    """
    _, arrays = _read(path)
    theirs = {name: array for name, array in arrays.items() if not name.startswith(_RESERVED)}
    ours = model.state_dict()
    lacking = [name for name in ours if name not in theirs]
    unknown = [name for name in theirs if name not in ours]
    # A lazy layer that has seen no batch has no shapes yet, and takes any.
    unlike = [
        name
        for name, tensor in ours.items()
        if name in theirs
        and not isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer))
        and tensor.array.shape != theirs[name].shape
    ]
    if unlike:
        name = unlike[0]
        what = f"{name} is {theirs[name].shape} there and {ours[name].array.shape} here ({len(unlike)} differ)"
    elif lacking or unknown:
        sides = ((lacking, "only this network has"), (unknown, "only the file has"))
        what = "; ".join(f"{words} {_first(names)}" for names, words in sides if names)
    else:
        backend = get_backend("cpu")
        model.load_state_dict({name: wrap(array, backend) for name, array in theirs.items()})
        return model
    raise ValueError(f"{path}: weights of another network: {what}")


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The texts and the arrays of a safetensors file."""
    import safetensors

    path = pathlib.Path(path)
    with open(path, "rb"):  # says clearly what is wrong if it cannot be opened
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one: {error}") from None


def _bytes(array: np.ndarray) -> memoryview:
    """An array's memory, little-endian."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data


def _packed(tensor: Tensor) -> np.ndarray:
    # safetensors writes an array's memory in the order in which it lies: only C order comes back right.
    return np.ascontiguousarray(tensor.backend.to_numpy(tensor.array)).reshape(tensor.array.shape)


def _checksum(text: str, arrays: dict[str, np.ndarray]) -> int:
    found = zlib.crc32(text.encode())
    for name in sorted(arrays):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(_bytes(arrays[name]), found)
    return found


# ---- nested state as JSON: tensors go into the arrays; what JSON lacks, tuples and keys that are numbers, is marked


def _without_arrays(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON can hold it; each tensor in it is added to the arrays under its path."""
    if isinstance(value, Tensor):
        arrays[path] = _packed(value)
        return {"$tensor": path}
    if isinstance(value, dict):
        inner = [(key, _without_arrays(entry, f"{path}/{key}", arrays)) for key, entry in value.items()]
        plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        return dict(inner) if plain else {"$items": [list(pair) for pair in inner]}
    if isinstance(value, (list, tuple)):
        entries = [_without_arrays(entry, f"{path}/{i}", arrays) for i, entry in enumerate(value)]
        return entries if isinstance(value, list) else {"$tuple": entries}
    return value


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What `_without_arrays` was given."""
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return wrap(arrays[value["$tensor"]], get_backend("cpu"))
    if "$items" in value:
        return {key: _with_arrays(entry, arrays) for key, entry in value["$items"]}
    if "$tuple" in value:
        return tuple(_with_arrays(entry, arrays) for entry in value["$tuple"])
    return {key: _with_arrays(entry, arrays) for key, entry in value.items()}
