"""Checkpoints: one `.safetensors` file, with the arrays as they are and everything else as JSON in its header.

One file, so that writing it can be atomic: it is written beside its place and then moved there, and whoever reads finds
the old checkpoint or the new one, whole. Nothing is pickled, so that reading a checkpoint runs no code from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, wrap
from ..backend import active_random_sources, get_backend
from ..optim import Optimizer

_FORMAT = "tinycnn-checkpoint-1"
_OPTIMIZER = "optimizer/"  # no parameter's name begins so


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        model: the state_dict of the model, on the CPU.
        optimizer: the state_dict of the optimiser, or None.
        random: the state of the random source of each device, by its name.
        facts: what else was saved: names, settings, history.
    """

    model: dict[str, Tensor]
    optimizer: dict[str, Any] | None = None
    random: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any moment, a power cut included, its old or its new content is there whole."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def save_checkpoint(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Save model, optimiser, the state of the random sources, and facts that JSON can hold, atomically.

    Raises:
        TypeError: if facts hold something that JSON cannot.
        ValueError: if a parameter's name begins with "optimizer/".
    """
    import safetensors.numpy

    arrays: dict[str, np.ndarray] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(_OPTIMIZER):
            raise ValueError(f"save_checkpoint: the name {name!r} is taken by the optimiser's state")
        arrays[name] = _packed(tensor)
    rest: dict[str, Any] = {"facts": facts or {}, "optimizer": None}
    rest["random"] = {name: source.get_state() for name, source in active_random_sources().items()}
    if optimizer is not None:
        saved = optimizer.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for number, values in saved["state"].items():
            plain[str(number)] = {}
            for key, value in values.items():
                if isinstance(value, Tensor):
                    arrays[f"{_OPTIMIZER}{number}/{key}"] = _packed(value)
                else:
                    plain[str(number)][key] = value
        rest["optimizer"] = {"state": plain, "param_groups": saved["param_groups"]}
    metadata = {"format": _FORMAT, "tinycnn": json.dumps(rest)}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def _packed(tensor: Tensor) -> np.ndarray:
    # safetensors writes an array's memory in the order in which it lies: only C order comes back right.
    return np.ascontiguousarray(tensor.backend.to_numpy(tensor.array)).reshape(tensor.array.shape)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; feed it to `model.load_state_dict` and `optimizer.load_state_dict`.

    Raises:
        ValueError: if the file is damaged, or no checkpoint of tinycnn.
        OSError: if it cannot be opened.
    """
    import safetensors
    import safetensors.numpy

    path = pathlib.Path(path)
    with open(path, "rb"):  # says clearly what is wrong if it cannot be opened
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one: {error}") from None
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not a checkpoint of tinycnn ({_FORMAT})")
    rest = json.loads(metadata["tinycnn"])
    backend = get_backend("cpu")
    model = {name: wrap(array, backend) for name, array in arrays.items() if not name.startswith(_OPTIMIZER)}
    optimizer = rest["optimizer"]
    if optimizer is not None:
        state: dict[int, dict[str, Any]] = {int(number): values for number, values in optimizer["state"].items()}
        for name, array in arrays.items():
            if name.startswith(_OPTIMIZER):
                number, key = name.removeprefix(_OPTIMIZER).split("/", 1)
                state[int(number)][key] = wrap(array, backend)
        optimizer = {"state": state, "param_groups": optimizer["param_groups"]}
    return Checkpoint(model, optimizer, rest["random"], rest["facts"])
