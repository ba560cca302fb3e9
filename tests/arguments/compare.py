"""Making one call in both libraries, and telling what is not the same."""

from __future__ import annotations

import itertools
import re
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import tinycnn
from arguments.case import ABSENT, Arguments, Entry, Layer, Named, T
from arguments.signatures import by_position

LIBRARIES: tuple[Any, Any] = (tinycnn, torch)
# What PyTorch says where it lacks a dtype, a derivative or an overload, or breaks down.
_LACKS = (
    "not support|not implemented|mixed dtype|must be tuple of ints|invalid combination of|missing . required|"
    "positional|takes no keyword|does not have a device|INTERNAL ASSERT"
)
REFUSED = (ValueError, TypeError, RuntimeError, IndexError)  # NotImplementedError is a RuntimeError
TOLERANCE = {"float64": 1e-9, "complex128": 1e-9, "float32": 2e-5, "complex64": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


@dataclass
class Outcome:
    """What a call gave: its results, the gradients of the tensors it got, or the error it raised."""

    results: list[Any] = field(default_factory=list)
    gradients: list[Any] = field(default_factory=list)
    error: Exception | None = None
    tolerance: float = 0.0


def make(library: Any, value: Any, random: np.random.Generator, leaves: list[Any]) -> Any:
    """What a table says, as an object of this library."""
    if isinstance(value, T):
        tensor = library.from_numpy(value.array(random))
        tensor = tensor.bfloat16() if value.dtype == "bfloat16" else tensor
        if value.grad and tensor.is_floating_point():
            leaves.append(tensor.requires_grad_())
        return tensor
    if isinstance(value, Named):
        return getattr(library, value.name)
    if isinstance(value, dict):
        return {k: make(library, v, random, leaves) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(make(library, v, random, leaves) for v in value)
    return value


def _plain(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if _kind(tensor) == "bfloat16" else tensor).numpy()


def _kind(tensor: Any) -> str:
    return str(tensor.dtype).split(".")[1]


def flat(result: Any) -> list[Any]:
    """The tensors and values in a result; tensors stay."""
    if isinstance(result, tuple | list) and not hasattr(result, "numel"):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


def is_tensor(x: Any) -> bool:
    return isinstance(x, tinycnn.Tensor | torch.Tensor)


def describe(x: Any) -> Any:
    """A result, apart from the library it came from."""
    if is_tensor(x):
        return _plain(x), _kind(x), bool(x.requires_grad)
    return str(x).removeprefix("torch.").removeprefix("tinycnn.") if not isinstance(x, int | float | bool) else x


def outcome(library: Any, call: Any, seed: int, what: Any) -> Outcome:
    """Make the arguments `what`, call, and go back with random cotangents."""
    random, leaves = np.random.default_rng(seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            library.manual_seed(0)
            found = flat(call(library, make(library, what, random, leaves)))
            results = [describe(x) for x in found]
            back = [x for x in found if is_tensor(x) and x.requires_grad]
            cotangents = [np.asarray(random.standard_normal(tuple(x.shape))) for x in back]
            if back:
                pairs = zip(cotangents, back, strict=True)
                library.autograd.backward(back, [library.from_numpy(c).to(x.dtype) for c, x in pairs])
        except Exception as error:
            return Outcome(error=error)
    gradients = [None if x.grad is None else _plain(x.grad) for x in leaves]
    kinds = [x[1] for x in results if isinstance(x, tuple)] + [_kind(x) for x in leaves]
    return Outcome(results, gradients, tolerance=max((TOLERANCE.get(k, 0.0) for k in kinds), default=0.0))


def differs(ours: Any, theirs: Any, tolerance: float) -> str | None:
    """How two arrays differ, or None; tolerance is relative to the greatest number."""
    if theirs is None and ours is not None and not ours.any():
        return None  # PyTorch leaves some gradients of 0 out
    if ours is None or theirs is None:
        one = "none, PyTorch one" if ours is None else "one, PyTorch none"
        return None if ours is theirs else one
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, PyTorch {theirs.shape}"
    if ours.dtype != theirs.dtype:
        return f"dtype {ours.dtype}, PyTorch {theirs.dtype}"
    if ours.dtype.kind not in "fc":
        return None if np.array_equal(ours, theirs) else f"{ours.tolist()}, PyTorch {theirs.tolist()}"
    finite = np.abs(theirs[np.isfinite(theirs)])
    slack = tolerance * max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        wrong = ~((ours == theirs) | (np.abs(ours - theirs) <= slack) | (np.isnan(ours) & np.isnan(theirs)))
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"at {at} {ours[at]!r}, PyTorch {theirs[at]!r}"


def difference(ours: Outcome, theirs: Outcome, random: bool) -> str | None:
    """What is not the same, in words, or None."""
    if ours.error is not None and not isinstance(ours.error, REFUSED):
        return f"raises {_line(ours.error)}, not one of the errors of a user's mistake"
    if theirs.error is not None:
        # a dtype or a derivative that PyTorch lacks, or overloads that do not take the arguments together
        lacks = re.search(_LACKS, str(theirs.error))
        return None if ours.error is not None or lacks else f"answers, PyTorch raises {_line(theirs.error)}"
    if ours.error is not None:
        return f"raises {_line(ours.error)}, PyTorch answers"
    if len(ours.results) != len(theirs.results):
        return f"{len(ours.results)} results, PyTorch {len(theirs.results)}"
    for a, b in zip(ours.results, theirs.results, strict=True):
        if not isinstance(a, tuple) or not isinstance(b, tuple):
            same = a == b or (isinstance(a, float) and np.isclose(a, b, equal_nan=True))
            if not same and not random:
                return f"result {a!r}, PyTorch {b!r}"
            continue
        if a[1:] != b[1:]:
            return f"dtype and requires_grad {a[1:]}, PyTorch {b[1:]}"
        found = (
            differs(a[0], b[0], theirs.tolerance)
            if not random
            else None
            if a[0].shape == b[0].shape
            else f"shape {a[0].shape}"
        )
        if found:
            return f"result {found}"
    for i, (a, b) in enumerate(zip(ours.gradients, theirs.gradients, strict=True)):
        found = differs(a, b, theirs.tolerance) if not random else None
        if found:
            return f"gradient {i}: {found}"
    return None


def _line(error: Exception) -> str:
    return f"{type(error).__name__} ({str(error).splitlines()[0][:120] if str(error) else ''})"


def written(name: str, case: Arguments) -> str:
    """A case as one line."""
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in case.items())})"


def place(library: Any, space: str) -> Any:
    return {"torch": library, "functional": library.nn.functional, "Tensor": library.Tensor}[space]


def call_of(entry: Entry, space: str, name: str, form: str) -> Any:
    """The function that makes one call: by name, or as far as possible by position."""
    spread = entry.spread

    def call(library: Any, given: Arguments) -> Any:
        function = getattr(place(library, space), name)
        if form == "names":
            return function(**given)
        later = {k: v for k, v in given.items() if k in entry.by_name}
        args, rest = by_position(space, name, {k: v for k, v in given.items() if k not in later})
        rest |= later
        if form == "spread" and spread in given and isinstance(given[spread], tuple | list):
            keep = [a for a in args if a is not given[spread]]
            rest.pop(spread, None)
            return function(*keep, *given[spread], **rest)
        return function(*args, **rest)

    return call


def expected(entry: Entry | Layer, text: str) -> str | None:
    """What a table says about how a case differs."""
    return next((how for part, how in entry.differs.items() if part in text), None)


def verdict(found: str | None, wanted: str | None, text: str) -> str | None:
    """The line of a failure, or None."""
    if wanted in {None, "same"}:
        return found and f"{text}: {found}"
    how = (
        None if found is None else found.split()[0].rstrip(",") if found.startswith(("raises", "answers")) else "other"
    )
    if (
        wanted == "either"
        or (wanted == "gradient" and (found or "gradient").startswith("gradient"))
        or (wanted == "more" and how in {None, "answers"})
    ):
        return None
    return None if how == wanted else f"{text}: the table says {wanted!r}, found {found}"


def check(entry: Entry, space: str, name: str, form: str, every: int = 1) -> tuple[int, list[str]]:
    """Run the cases of an entry in one form, every so many of them; how many there were, and a line for each that is
    not the same."""
    call, count, failures = call_of(entry, space, name, form), 0, []
    for case in itertools.islice(entry.cases(), 0, None, every):
        case = {k: v for k, v in case.items() if v is not ABSENT}
        if name.startswith("__") and set(case) - set(entry.bases[0]):
            continue  # an operator takes its operands only
        if form == "spread" and not isinstance(case.get(entry.spread or ""), tuple | list):
            continue
        text = written(name, case)
        seed = zlib.crc32(text.encode())
        ours, theirs = (outcome(library, call, seed, case) for library in LIBRARIES)
        count += 1
        line = verdict(difference(ours, theirs, entry.random), expected(entry, text), text)
        failures += [line] if line else []
    return count, failures


def run_layer(layer: Layer, every: int = 1) -> tuple[int, list[str]]:
    """Make a layer in both libraries, with the same parameters, and call it, in training and then in evaluation."""
    count, failures = 0, []
    for case in itertools.islice(layer.cases(), 0, None, every):
        for inputs in layer.inputs:
            text = f"{written(layer.name, case)}({', '.join(map(repr, inputs))})"
            seed = zlib.crc32(text.encode())
            ours, theirs = (
                outcome(library, _layer_call(layer.name), seed, (case, list(inputs))) for library in LIBRARIES
            )
            count += 1
            line = verdict(difference(ours, theirs, layer.random), expected(layer, text), text)
            failures += [line] if line else []
    return count, failures


def _layer_call(name: str) -> Any:
    def call(library: Any, what: Any) -> Any:
        given, inputs = what
        layer = getattr(library.nn, name)(**given)
        results = []
        if "Lazy" in name:  # the first call makes the parameters
            with library.no_grad():
                layer(*inputs)
        random = np.random.default_rng(0)
        with library.no_grad():
            for tensor in (*layer.parameters(), *layer.buffers()):
                if tensor.is_floating_point():
                    tensor.copy_(library.from_numpy(random.random(tuple(tensor.shape)) + 0.5))
        results += [layer.train(training)(*inputs) for training in (True, False)]
        results += [b for _, b in sorted(layer.named_buffers())]
        results += [sorted(layer.state_dict()), str(layer.extra_repr())]
        total = [r for r in flat(results) if is_tensor(r) and r.requires_grad]
        parameters = dict(layer.named_parameters())
        if total and parameters:
            found = library.autograd.grad([(r * r).sum() for r in total], list(parameters.values()), retain_graph=True)
            results += list(found)
        return results

    return call


def check_in_place(entry: Entry, name: str, every: int = 1) -> tuple[int, list[str]]:
    """Run the cases of an entry through the in-place method `name`, on a copy of the input."""

    def call(library: Any, given: Arguments) -> Any:
        copy = given["input"].clone()
        args, rest = by_position("Tensor", name, given | {"input": copy})
        back = getattr(library.Tensor, name)(*args, **rest)
        return [copy, back is copy]

    count, failures = 0, []
    for case in itertools.islice(entry.cases(), 0, None, every):
        if not isinstance(case.get("input"), T):
            continue
        text = written(name, case)
        ours, theirs = (outcome(library, call, zlib.crc32(text.encode()), case) for library in LIBRARIES)
        count += 1
        line = verdict(difference(ours, theirs, entry.random), expected(entry, text), text)
        failures += [line] if line else []
    return count, failures
