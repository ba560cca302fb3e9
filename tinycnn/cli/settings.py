"""What a training run is to do: from what the command was given, a recipe, or the record of a run that goes on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tinycnn
from tinycnn import data, models, train as training

from .console import fail
from .options import parse_options

# By name: the usual learning rate, the usual weight decay, and whether there is a momentum.
OPTIMIZERS: dict[str, tuple[float, float, bool]] = {
    "sgd": (0.05, 0.0, True),
    "adam": (1e-3, 0.0, False),
    "adamw": (1e-3, 1e-2, False),
    "rmsprop": (1e-3, 0.0, True),
    "adagrad": (1e-2, 0.0, False),
}
# By name: what --decay and --decay-at are by default; None if there is no such thing.
SCHEDULERS: dict[str, tuple[float | None, str | None]] = {
    "none": (None, None),
    "step": (0.1, "a third of the epochs"),
    "multistep": (0.1, "half and three quarters of the epochs"),
    "exponential": (0.9, None),
    "cosine": (None, None),
    "onecycle": (None, None),
    "plateau": (0.1, "2"),
}
# By name: the half precision that a network runs in.
AMP: dict[str, Any] = {"off": None, "float16": tinycnn.float16, "bfloat16": tinycnn.bfloat16}
_FIXED_LENGTH = ("cosine", "onecycle")
_LARGE = 96  # the side that networks for 224x224 are trained at unless told otherwise: 224x224 is not for a few cores


@dataclass(frozen=True)
class Settings:
    """All that decides what a run computes, and some that does not; they are kept in its record."""

    network: str
    data: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    momentum: float | None
    weight_decay: float
    init: str
    scheduler: str
    options: dict[str, Any] = field(default_factory=dict)
    resize: int | None = None
    augment: bool = False
    limit: int | None = None
    validation: float | None = None
    decay: float | None = None
    decay_at: list[int] | None = None
    warmup: int = 0
    clip: float | None = None
    amp: str = "off"
    early_stop: int | None = None
    seed: int = 0
    device: str | None = None
    kernels: str | None = None
    # What may be another when a run goes on:
    data_dir: str | None = None
    threads: int | None = None
    prefetch: int = 1
    checkpoint_every: int | None = None


_MAY_CHANGE = ("data_dir", "threads", "prefetch", "checkpoint_every")


def option(name: str) -> str:
    """How a setting is called on the command line."""
    return {"network": "NETWORK", "options": "--option"}.get(name, "--" + name.replace("_", "-"))


def settle(given: dict[str, Any]) -> Settings:
    """The settings of a new run: what was given, and for the rest the recipe for the network and the data.

    Ends with a line that says what is wrong before any work is done.
    """
    given = dict(given)
    network, name = given.pop("network", "lenet"), given.pop("data", "digits")
    try:
        info, source = models.get(network), data.get(name)
    except ValueError as error:
        fail(error)
    recipe = training.recipe_for(network, name)
    options = {key: value for key, value in recipe.options.items() if key in info.options}
    options |= _network_options(network, given)
    found: dict[str, Any] = {**dataclasses.asdict(recipe), "options": options}
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer:
        lr, weight_decay, has_momentum = _choice("optimizer", given["optimizer"], OPTIMIZERS)
        found |= {"lr": lr, "weight_decay": weight_decay, "momentum": 0.0 if has_momentum else None}
    found["resize"] = _side(info, source, recipe)
    found |= given
    _choice("optimizer", found["optimizer"], OPTIMIZERS)
    _choice("scheduler", found["scheduler"], SCHEDULERS)
    settings = Settings(network=network, data=name, **found)
    settings = dataclasses.replace(settings, **_decays(settings, given))
    check(settings)
    return settings


def settle_again(saved: dict[str, Any], given: dict[str, Any], folder: Path) -> Settings:
    """The settings of a run that goes on: the recorded ones, of which few may be changed."""
    try:
        settings = Settings(**saved)
    except TypeError:
        fail(f"--resume: {folder} holds the record of another version of tinycnn")
    given = dict(given)
    if "activation" in given or "option" in given:
        given["options"] = {**settings.options, **_network_options(settings.network, given)}
    if "decay_at" in given:
        given["decay_at"] = _epochs(given["decay_at"])
    for name, value in list(given.items()):
        before = getattr(settings, name)
        if name == "device" and before == f"{value}:0":
            given[name] = before
        if name in _MAY_CHANGE or given[name] == before:
            continue
        if name != "epochs":
            fail(f"{option(name)} {_shown(value)} contradicts the run in {folder}, which has {_shown(before)}")
        if value < before:
            fail(f"--epochs {value} is less than the {before} of the run in {folder}; they can only be raised")
        if settings.scheduler in _FIXED_LENGTH:
            fail(
                f"--epochs {value} contradicts the run in {folder}, which has {before}: the schedule "
                f"{settings.scheduler} is made for that length"
            )
    settings = dataclasses.replace(settings, **given)
    check(settings)
    return settings


def _network_options(network: str, given: dict[str, Any]) -> dict[str, Any]:
    """What --option and --activation say, which are taken out of the given ones."""
    activation = given.pop("activation", None)
    found = parse_options(network, given.pop("option", []))
    if activation is not None:
        if "activation" not in models.get(network).options:
            fail(f"--activation: {network} has no choice of activation")
        if found.setdefault("activation", activation) != activation:
            fail(f"--activation {activation} contradicts --option activation={found['activation']}")
    return found


def _side(info: models.ModelInfo, source: data.DataInfo, recipe: training.Recipe) -> int | None:
    """What images are brought to unless --resize says something: the recipe's side or what the network is made for, if
    the images have any size or one that is too small for it."""
    usual = recipe.resize or max(min(max(info.input_shape[1:]), _LARGE), info.smallest)
    if "size" in source.options or source.image_shape is None:
        return usual
    side = min(source.image_shape[1:])
    if recipe.resize is not None and side < recipe.resize:
        return recipe.resize
    return usual if side < info.smallest else None


def _decays(settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    """--decay and --decay-at, or what the schedule has by default."""
    decay, at = SCHEDULERS[settings.scheduler]
    for name, usual in (("decay", decay), ("decay_at", at)):
        if name in given and usual is None:
            fail(f"{option(name)}: there is no such thing with --scheduler {settings.scheduler}")
    n = settings.epochs
    usual_at = {"step": [max(n // 3, 1)], "multistep": sorted({max(n // 2, 1), max(n * 3 // 4, 1)}), "plateau": [2]}
    return {
        "decay": given.get("decay", decay),
        "decay_at": _epochs(given["decay_at"]) if "decay_at" in given else usual_at.get(settings.scheduler),
    }


def _epochs(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        fail(f"--decay-at: expected epochs such as 10 or 10,15, got {text!r}")


def _choice(name: str, value: str, choices: dict[str, Any]) -> Any:
    if value not in choices:
        fail(f"{option(name)}: {value!r} is unknown, there are {', '.join(choices)}")
    return choices[value]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={entry}" for key, entry in value.items()) or "none"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None or value is False else "on" if value is True else str(value)


# The least value of each setting that is a number.
_LEAST = {
    "epochs": 1, "batch_size": 1, "lr": 0, "momentum": 0, "weight_decay": 0, "warmup": 0, "resize": 1, "limit": 1,
    "early_stop": 1, "checkpoint_every": 1, "prefetch": 0, "seed": 0,
}  # fmt: skip


def check(settings: Settings) -> None:
    """End with a line that says what is wrong if a setting is out of range or two contradict each other."""
    for name, low in _LEAST.items():
        value = getattr(settings, name)
        if value is not None and (not value >= low or not math.isfinite(value)):
            fail(f"{option(name)} must be {low} or more, got {value:g}")
    has_momentum = OPTIMIZERS[settings.optimizer][2]
    if settings.momentum is not None and not has_momentum:
        fail(f"--momentum: {settings.optimizer} has none")
    if settings.momentum is not None and settings.momentum >= 1:
        fail(f"--momentum must be below 1, got {settings.momentum:g}")
    if settings.init not in training.INITS:
        fail(f"--init: {settings.init!r} is unknown, there are {', '.join(training.INITS)}")
    for name, high in (("clip", math.inf), ("validation", 1), ("decay", 1)):
        value = getattr(settings, name)
        if value is not None and not 0 < value < high:
            fail(f"{option(name)} must be above 0{'' if high == math.inf else f' and below {high}'}, got {value:g}")
    _choice("amp", settings.amp, AMP)
    _check_schedule(settings)


def _check_schedule(settings: Settings) -> None:
    at = settings.decay_at
    if at is not None:
        if settings.scheduler != "multistep" and len(at) != 1:
            fail(f"--decay-at: --scheduler {settings.scheduler} takes one number, got {_shown(at)}")
        least = 0 if settings.scheduler == "plateau" else 1
        if min(at) < least or at != sorted(set(at)):
            fail(f"--decay-at: expected rising numbers of {least} or more, got {_shown(at)}")
    if settings.warmup:
        if settings.scheduler in ("onecycle", "plateau"):
            fail(f"--warmup: does not go with --scheduler {settings.scheduler}")
        if settings.warmup >= settings.epochs:
            fail(f"--warmup must be less than the {settings.epochs} epochs, got {settings.warmup}")
        if settings.scheduler == "multistep" and at is not None and at[0] <= settings.warmup:
            fail(f"--decay-at: epoch {at[0]} lies within the {settings.warmup} of --warmup")
