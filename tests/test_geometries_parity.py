"""The same random geometries against PyTorch, in float64: results and all gradients, with either kernel set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cases import STATISTICS, Answers, Case, compare, expected, kernel_sets, reproduction, run
from geometries import STRATEGIES
from test_geometries import explore

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
pytestmark = [pytest.mark.parity, pytest.mark.unmeasured]

TF = torch.nn.functional


def _batch_norm(x: Any, mean: Any, var: Any, *rest: Any, **kwargs: Any) -> list[Any]:
    return [TF.batch_norm(x, mean, var, *rest, **kwargs), *(t for t in (mean, var) if t is not None)]


def _group_norm(x: Any, w: Any, b: Any, **kwargs: Any) -> Any:
    """PyTorch's own fails in backward at a bias without a weight."""
    if w is None and b is not None:
        w = torch.ones_like(b).detach()
    return TF.group_norm(x, weight=w, bias=b, **kwargs)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "adaptive_max_pool2d": lambda x, output_size: TF.adaptive_max_pool2d(x, output_size, return_indices=True),
    "batch_norm": _batch_norm,
    "cat": lambda *xs, dim: torch.cat(xs, dim),
    "group_norm": _group_norm,
    "instance_norm": lambda x, w, b, **kwargs: TF.instance_norm(x, weight=w, bias=b, **kwargs),
    "layer_norm": lambda x, w, b, normalized_shape, eps: TF.layer_norm(
        x, (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape, w, b, eps
    ),
    "max_pool2d": lambda x, **kwargs: TF.max_pool2d(x, return_indices=True, **kwargs),
}


def run_torch(case: Case) -> Answers | None:
    """PyTorch's results and gradients for the same numbers; None where it has no answer.

    For the maximum of a dilated window that sees padding alone, PyTorch names a place outside the image, and its
    backward writes there, into memory that is not its own.
    """
    fixed = STATISTICS.get(case.op, ())
    tensors = [
        None if x is None else torch.tensor(x.copy(), requires_grad=i not in fixed) for i, x in enumerate(case.arrays())
    ]
    results = FUNCTIONS.get(case.op, getattr(TF, case.op, None))(*tensors, **case.kwargs)
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    if case.op == "max_pool2d" and (results[0] == -float("inf")).any():
        return None
    g = torch.tensor(case.cotangent_of(results[0].detach().numpy()).copy())
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    found = iter(torch.autograd.grad(results[0], wanted, g))
    gradients = [next(found).numpy() if t is not None and t.requires_grad else None for t in tensors]
    return Answers([r.detach().numpy() for r in results], gradients)


def compare_with_torch(case: Case) -> None:
    theirs = run_torch(case)
    if theirs is None:
        return
    sizes = expected(case, theirs.results[0])
    for kernels in kernel_sets():
        try:
            compare(run(case, kernels), theirs, sizes, "float64")
        except Exception as error:
            raise AssertionError(
                f"{case.op} against PyTorch, {kernels} kernels: {error}\n{reproduction(case, kernels, 'float64')}"
            ) from error


of_every_op = pytest.mark.parametrize("op", STRATEGIES)
even_kernels = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")


@even_kernels
@of_every_op
def test_random_geometries_against_torch(op: str) -> None:
    explore(op, 100, compare_with_torch)


@pytest.mark.slow
@even_kernels
@of_every_op
def test_many_random_geometries_against_torch(op: str) -> None:
    explore(op, 3000, compare_with_torch)
