"""`tinycnn models`."""

from __future__ import annotations

import inspect
import textwrap

from tinycnn import models, nn, use_kernels
from tinycnn.inspect import Summary, summary
from tinycnn.inspect.table import WIDTH, format_table

from .console import fail, make_console


def run(names: list[str], layers: bool) -> None:
    """Print a table of all networks, or of each network that is named its stages and options."""
    try:
        text = "\n\n".join(_one(models.get(name), layers) for name in names) if names else _all()
    except ValueError as error:
        fail(error)
    make_console().print(text, markup=False, highlight=False)


def _all() -> str:
    rows = [("name", "params", "MACs", "input", "min", "")]
    for name in sorted(models.available(), key=_by_number):
        info = models.get(name)
        found = _summary_of(info, 0)
        numbers = _short(found.parameters), _short(found.macs), _size(info.input_shape), str(info.smallest)
        rows.append((name, *numbers, _in_short(info.summary)))
    notes = (
        "MACs: multiply-accumulates for one image of the usual input. Min: the shortest",
        "side of an image. tinycnn models NAME shows a network's stages and its options,",
        "with --layers every layer.",
    )
    return "\n".join([*format_table(rows, "<>>>><", shrink=5), "", *notes])


def _one(info: models.ModelInfo, layers: bool) -> str:
    signature = inspect.signature(info.function)
    options = ", ".join(f"{name}={parameter.default!r}" for name, parameter in signature.parameters.items())
    lines = [
        *textwrap.wrap(f"{info.name}: {info.summary}", WIDTH),
        f"Input {_size(info.input_shape)}, at least {_size((info.smallest, info.smallest))}.",
        *textwrap.wrap(f"Options: {options}", WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False),
        "",
        str(_summary_of(info, None if layers else 1)),
    ]
    return "\n".join(lines)


def _summary_of(info: models.ModelInfo, depth: int | None) -> Summary:
    # Nothing looks at the values, and the reference kernels are there at once, where Numba's have to be loaded.
    with nn.init.no_init(), use_kernels("reference"):
        return summary(info.function(), info.input_shape, depth)


def _in_short(text: str) -> str:
    """What a network's first line says behind its name, up to the first semicolon."""
    return (text.partition(": ")[2] or text).partition(";")[0].removesuffix(".")


def _by_number(name: str) -> tuple[str, int]:
    """Sorts resnet50 before resnet101."""
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _short(n: int) -> str:
    """A number in three or four digits: 416.5 K, 1.81 G."""
    for power, unit in ((9, "G"), (6, "M"), (3, "K")):
        if n >= 10**power:
            return f"{n / 10**power:#.4g} {unit}"
    return str(n)
