"""One call of an operation, written down: what is drawn at random, run, compared and reported is a `Case`.

A case prints as Python that makes it again, so that the report of a failure ends in a line to paste.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import oracles
import oracles_norm
from layouts import BROADCASTS, LAYOUTS

import tinycnn
from tinycnn import Tensor
from tinycnn.autograd import grad, wrap
from tinycnn.backend import get_backend
from tinycnn.nn import functional as F

Array = Any
Shape = tuple[int, ...]
ROUNDING = 8  # times eps and the sum of the terms' sizes: what an element may be off by


def _batch_norm(x: Tensor, mean: Tensor | None, var: Tensor | None, *rest: Any, **kwargs: Any) -> list[Tensor]:
    """The running statistics, after they moved, are results too."""
    return [F.batch_norm(x, mean, var, *rest, **kwargs), *(t for t in (mean, var) if t is not None)]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "adaptive_max_pool2d": lambda x, **kwargs: F.adaptive_max_pool2d(x, return_indices=True, **kwargs),
    "avg_pool2d": F.avg_pool2d,
    "batch_norm": _batch_norm,
    "cat": lambda *xs, dim: tinycnn.cat(xs, dim),
    "conv2d": F.conv2d,
    "conv_transpose2d": F.conv_transpose2d,
    "fold": F.fold,
    "group_norm": lambda x, w, b, **kwargs: F.group_norm(x, weight=w, bias=b, **kwargs),
    "instance_norm": lambda x, w, b, **kwargs: F.instance_norm(x, weight=w, bias=b, **kwargs),
    "layer_norm": lambda x, w, b, **kwargs: F.layer_norm(x, weight=w, bias=b, **kwargs),
    "local_response_norm": F.local_response_norm,
    "max_pool2d": lambda x, **kwargs: F.max_pool2d(x, return_indices=True, **kwargs),
    "pad": F.pad,
    "unfold": F.unfold,
}
STATISTICS = {"batch_norm": (1, 2)}  # arguments that are written into, and have no gradient
POSITIVE = {("batch_norm", 2)}
ROUNDED = {"max_pool2d", "adaptive_max_pool2d"}  # of whole numbers many are equal: the first of them counts


@dataclass(frozen=True)
class Case:
    """An operation with its arguments.

    Attributes:
        op: a name in FUNCTIONS.
        tensors: the shape and the layout of each tensor, or None for an argument left out.
        kwargs: the other arguments.
        seed: what the numbers follow from.
        cotangent: the layout of the gradient that the result gets.
        wanted: which tensors want a gradient.
        spread: how far apart the numbers lie.
    """

    op: str
    tensors: tuple[tuple[Shape, str] | None, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    cotangent: str = "planes"
    wanted: tuple[int, ...] = (0,)
    spread: float = 1.0

    def arrays(self) -> list[Array | None]:
        """The numbers: float64, each of them one of float32's, so that both dtypes compute with the same."""
        rng = np.random.default_rng(self.seed)
        found: list[Array | None] = []
        for i, given in enumerate(self.tensors):
            if given is None:
                found.append(None)
                continue
            shape, layout = given
            x = rng.standard_normal(shape) * (self.spread if i == 0 else 1)
            x = np.rint(x * 2) if self.op in ROUNDED and self.seed % 2 else x
            x = abs(x) + 0.5 if (self.op, i) in POSITIVE else x
            found.append(_stored(x.astype("float32").astype("float64"), layout))
        return found

    def cotangent_of(self, y: Array) -> Array:
        """A random gradient for the result."""
        g = np.random.default_rng(self.seed + 1).standard_normal(y.shape)
        return _stored(np.asarray(g).astype("float32").astype("float64"), self.cotangent)


def _stored(x: Array, layout: str) -> Array:
    return BROADCASTS[layout](x) if layout in BROADCASTS else LAYOUTS[layout](x)


def in_dtype(x: Array, dtype: str, layout: str) -> Array:
    """x in another dtype and still in its layout (a conversion would lose a stride of 0)."""
    return _stored(x.astype(dtype), layout)


class Answers(NamedTuple):
    results: list[Array]
    gradients: list[Array | None]


def expected(case: Case, y: Array) -> oracles.Expected:
    """What the loops give, for a result of y's shape."""
    answer: oracles.Oracle = getattr(oracles if hasattr(oracles, case.op) else oracles_norm, case.op)
    return answer(*case.arrays(), g=case.cotangent_of(y), **case.kwargs)


def run(case: Case, kernels: str, dtype: str = "float64") -> Answers:
    """What tinycnn gives; it also sees that nothing but running statistics was written into."""
    backend = get_backend("cpu")
    written = STATISTICS.get(case.op, ())
    tensors: list[Tensor | None] = []
    for i, (x, given) in enumerate(zip(case.arrays(), case.tensors, strict=True)):
        if x is None or given is None:
            tensors.append(None)
        else:
            tensors.append(wrap(in_dtype(x, dtype, given[1]), backend).requires_grad_(i in case.wanted))
    before = [None if t is None else t.array.copy() for t in tensors]
    with tinycnn.use_kernels(kernels):
        results = FUNCTIONS[case.op](*tensors, **case.kwargs)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        y = results[0]
        gradients: list[Array | None] = [None] * len(tensors)
        wanted = [t for t in tensors if t is not None and t.requires_grad]
        if wanted:
            g = wrap(in_dtype(case.cotangent_of(y.array), dtype, case.cotangent), backend)
            found = iter(grad([y], wanted, [g]))
            gradients = [next(found).array if t is not None and t.requires_grad else None for t in tensors]
    for i, (t, old) in enumerate(zip(tensors, before, strict=True)):
        if t is not None and i not in written:
            assert np.array_equal(t.array, old), f"argument {i} was written into"
    return Answers([r.detach().array for r in results], gradients)


def compare(found: Answers, wanted: oracles.Expected | Answers, sizes: oracles.Expected, dtype: str) -> None:
    """Raise an AssertionError that names the worst element if one is off by more than rounding explains."""
    eps = ROUNDING * float(np.finfo(dtype).eps)
    assert len(found.results) == len(wanted.results), f"{len(found.results)} results, expected {len(wanted.results)}"
    named = [
        (f"result {i}", *t) for i, t in enumerate(zip(found.results, wanted.results, sizes.result_sizes, strict=True))
    ]
    for i, gradient in enumerate(found.gradients):
        if gradient is not None:
            named.append((f"gradient {i}", gradient, wanted.gradients[i], sizes.gradient_sizes[i]))
    for name, a, b, size in named:
        assert a.shape == b.shape, f"{name} has shape {a.shape}, expected {b.shape}"
        if a.dtype.kind == "f":
            assert a.dtype == dtype, f"{name} is {a.dtype}"
        if a.size == 0:
            continue
        with np.errstate(invalid="ignore"):  # infinity less infinity
            off = np.where(a == b, 0.0, abs(np.asarray(a, "float64") - b))
        excess = np.nan_to_num(off - eps * size, nan=np.inf)
        worst = np.unravel_index(excess.argmax(), a.shape)
        if excess[worst] > 0:
            place = tuple(map(int, worst))
            raise AssertionError(
                f"{name}{list(place)} is {a[worst]!r}, expected {b[worst]!r}: off by {off[worst]:.2e}, "
                f"rounding explains {eps * size[worst]:.2e} ({(excess > 0).sum()} of {a.size} elements are off)"
            )


def kernel_sets() -> list[str]:
    return ["fast", "reference"] if get_backend("cpu").kernels.fast_kernels() else ["reference"]


def check(case: Case, *combinations: tuple[str, str]) -> None:
    """Compare tinycnn with the loops, for some (kernels, dtype), by default for all.

    Raises:
        AssertionError: with the worst element, and one line of Python that shows it again.
    """
    wanted: oracles.Expected | None = None
    for kernels, dtype in combinations or [(k, d) for d in ("float64", "float32") for k in kernel_sets()]:
        try:
            found = run(case, kernels, dtype)
            wanted = wanted or expected(case, found.results[0])
            compare(found, wanted, wanted, dtype)
        except Exception as error:
            raise AssertionError(
                f"{case.op}, {kernels} kernels, {dtype}: {error or type(error).__name__}\n"
                f"To see it again, in the repository's folder:\n{reproduction(case, kernels, dtype)}"
            ) from error


def reproduction(case: Case, kernels: str, dtype: str) -> str:
    """One line of Python that runs a case again."""
    return f"import sys; sys.path[:0] = ['.', 'tests']; from cases import *; check({case!r}, {(kernels, dtype)!r})"
