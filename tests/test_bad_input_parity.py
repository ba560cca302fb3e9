"""Spoilt arguments against PyTorch: what it refuses is refused here, and what both take gives the same result.

`DIFFERENCES` says where that is not so, and why; what it does not list fails.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import pytest
from spoiled import HUGE, Spoiled, every

from tinycnn import Tensor

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
pytestmark = pytest.mark.parity

OPS = """
adaptive_avg_pool2d adaptive_max_pool2d avg_pool2d batch_norm binary_cross_entropy binary_cross_entropy_with_logits cat
conv2d conv_transpose2d cross_entropy fold group_norm instance_norm l1_loss layer_norm linear local_response_norm
max_pool2d max_unpool2d mse_loss nll_loss pad smooth_l1_loss stack unfold
""".split()
Outcome = Literal["refused here alone", "refused by PyTorch alone", "another result"]

# (operations, what is spoilt), both as patterns: the outcome and its reason.
DIFFERENCES: list[tuple[str, str, Outcome, str]] = [
    # refused here alone
    (r"(l1|mse|smooth_l1)_loss", r"\d (rank|no dimension)", "refused here alone", "losses broadcast no shapes"),
    (
        r"(batch_norm|nll_loss|cross_entropy|linear)",
        r"\d (rank|no dimension)",
        "refused here alone",
        "one shape is right",
    ),
    (
        r"conv.*",
        r"\d (integers|booleans|float32)",
        "refused here alone",
        "PyTorch looks at no dtype of an empty batch or a bias",
    ),
    (
        r"(binary_)?cross_entropy.*",
        r".* (integers|booleans|float32)",
        "refused here alone",
        "weights are floating, as input",
    ),
    (
        r"(.*_pool2d|.*_loss|local.*)",
        r"0 (integers|booleans)",
        "refused here alone",
        "averages and maxima are of floating numbers",
    ),
    (r"cross_entropy", r"label_smoothing (-.*|nan)", "refused here alone", "a share lies between 0 and 1"),
    (
        r"adaptive_.*",
        r"(1 0( inside)?|0 no columns|0 rank)",
        "refused here alone",
        "an empty or five-dimensional image is a mistake",
    ),
    (r"instance_norm|batch_norm", r"0 (no columns|nothing)", "refused here alone", "there is nothing to normalise"),
    (r"(avg|max)_pool2d", r"stride list", "refused here alone", "the stride is a number, a pair or None"),
    (r"max_unpool2d", r"2 0", "refused here alone", "a kernel of no pixels cannot have been pooled with"),
    # refused by PyTorch alone
    (r".*", r".* True", "refused by PyTorch alone", "True counts as 1, as in Python"),
    (
        r".*",
        rf".* ({HUGE}( inside)?|{2**63}|{2**70})",
        "refused by PyTorch alone",
        "PyTorch's own integers are smaller",
    ),
    (r"adaptive_.*", r"1 None", "refused by PyTorch alone", "None keeps the size of both dimensions"),
    (r"layer_norm", r"0 .*", "refused by PyTorch alone", "normalized_shape may be a number, as in nn.LayerNorm"),
    (r"batch_norm", r"\d float32", "refused by PyTorch alone", "dtypes are promoted"),
    (r"batch_norm", r"eps 0", "refused by PyTorch alone", "a variance that is not 0 needs no eps"),
    (r"fold|unfold|pad", r"0 (integers|booleans)", "refused by PyTorch alone", "elements of any dtype can be moved"),
    (r"pad", r"(0 rank|1 empty)", "refused by PyTorch alone", "every dimension can be padded, or none"),
    (r"l1_loss", r"1 booleans", "refused by PyTorch alone", "False and True count as 0 and 1"),
    # another result
    (r"binary_cross_entropy_with_logits", r"1 float32", "another result", "PyTorch's has the dtype of the target"),
    (
        r".*norm",
        r".* (1e300|infinity)",
        "another result",
        "which sums overflow, and to what, is a matter of their order",
    ),
    (r"conv.*", r"1 infinity", "another result", "infinity times the zeros of a border: counted or left out"),
    (
        r"cross_entropy",
        r"0 infinity",
        "another result",
        "beside an infinite score the loss of another class is infinite; PyTorch's is NaN",
    ),
]


def in_torch(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.tensor(value.detach().numpy().copy())
    if isinstance(value, list | tuple):
        return type(value)(map(in_torch, value))
    return value


def arrays(result: Any) -> list[np.ndarray]:
    found = result if isinstance(result, list | tuple) else [result]
    return [np.asarray(t.numpy()) for t in found]


def outcome(call: Spoiled) -> Outcome | None:
    """How PyTorch and tinycnn differ about a call; None if they do not."""
    function = getattr(torch.nn.functional, call.op, None) or getattr(torch, call.op)
    theirs = ours = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(Exception):  # PyTorch raises many kinds of error
            theirs = arrays(function(*in_torch(call.args), **{k: in_torch(v) for k, v in call.kwargs.items()}))
        with suppress(Exception):  # test_bad_input looks at ours
            ours = arrays(call())
    if theirs is None or ours is None:
        alone: Outcome = "refused here alone" if ours is None else "refused by PyTorch alone"
        return None if theirs is ours else alone
    same = len(theirs) == len(ours) and all(
        a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
        for a, b in zip(ours, theirs, strict=True)
    )
    return None if same else "another result"


def listed(call: Spoiled) -> set[Outcome]:
    """How a call is known to differ."""
    return {
        known for ops, wrong, known, _ in DIFFERENCES if re.fullmatch(ops, call.op) and re.fullmatch(wrong, call.wrong)
    }


@pytest.mark.parametrize("op", OPS)
def test_spoilt_arguments_against_torch(op: str) -> None:
    differs = {(outcome(call), call.wrong) for call in every(op) if outcome(call) not in {None, *listed(call)}}
    assert differs == set()
