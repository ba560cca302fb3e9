"""Checks of the options that networks share, so that a bad one is named before any layer is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ImageSize = int | tuple[int, int]


def is_count(value: Any) -> bool:
    """Whether a value is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_counts(network: str, **counts: Any) -> None:
    """Every option here must be a positive integer.

    Raises:
        ValueError: if one is not.
    """
    for option, value in counts.items():
        if not is_count(value):
            raise ValueError(f"{network}: {option} must be a positive integer, got {value!r}")


def check_probability(network: str, **probabilities: Any) -> None:
    """Every option here must be a number from 0 to 1.

    Raises:
        ValueError: if one is not.
    """
    for option, value in probabilities.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f"{network}: {option} must be a probability from 0 to 1, got {value!r}")


def check_choice(network: str, option: str, value: Any, choices: Sequence[str]) -> None:
    """An option must be one of a few words.

    Raises:
        ValueError: if it is not; the message lists them.
    """
    if value not in choices:
        raise ValueError(f"{network}: {option} {value!r} is unknown, there are {', '.join(choices)}")


def check_arch(network: str, option: str, arch: Any, what: tuple[str, ...]) -> list[tuple[int, ...]]:
    """The stages of a network: a row of tuples of positive integers.

    Args:
        what: what each integer of a tuple is, for the message.

    Raises:
        ValueError: if there is no stage, or one that is something else.
    """
    stages = list(arch) if isinstance(arch, (list, tuple)) else []
    for stage in stages:
        if not isinstance(stage, (list, tuple)) or len(stage) != len(what) or not all(map(is_count, stage)):
            raise ValueError(f"{network}: each stage of {option} is ({', '.join(what)}), got {stage!r}")
    if not stages:
        raise ValueError(f"{network}: {option} must name at least one stage ({', '.join(what)}), got {arch!r}")
    return [tuple(stage) for stage in stages]


def narrow(network: str, channels: int, ratio: int) -> int:
    """channels / ratio, rounded down.

    Raises:
        ValueError: if ratio is no positive integer, or leaves no channel.
    """
    check_counts(network, ratio=ratio)
    if ratio > channels:
        raise ValueError(f"{network}: ratio {ratio} leaves nothing of a layer of {channels} channels")
    return channels // ratio


def image_sides(network: str, image_size: ImageSize, smallest: int) -> tuple[int, int]:
    """(H, W) of image_size, which is one number or two.

    Raises:
        ValueError: if it is neither, or a side is below the smallest.
    """
    sides: Any = (image_size, image_size) if is_count(image_size) else image_size
    if not isinstance(sides, (tuple, list)) or len(sides) != 2 or not all(map(is_count, sides)):
        raise ValueError(f"{network}: image_size must be a positive integer or a pair (H, W), got {image_size!r}")
    height, width = sides
    if min(height, width) < smallest:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small; the smallest image_size is {smallest}x{smallest}"
        )
    return height, width
