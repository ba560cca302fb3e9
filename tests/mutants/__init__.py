"""Wrong backwards, each with one thing wrong, and one sentence on why that thing is there.

Every mutant is an operation whose forward is right and whose backward is wrong in the way that people get it wrong: a
term dropped, a wrong axis, n - 1 for n, a kernel not flipped, an index off by one. The gradient checks must find every
one of them over the operation's own samples, and must find nothing without them (tests/test_mutants.py). A check that
lets one pass has a hole. Read the other way, they explain the derivatives: the docstring of a mutant says what the part
that it breaks is for.

    tinycnn gradcheck --mutants           # all, as a table: what found each, where, and by how much
    tinycnn gradcheck --mutants conv2d    # those of one operation
"""

from __future__ import annotations

from . import (
    activations,
    arithmetic,
    arrangement,
    convolution,
    dropout,
    elementwise,
    engine,
    linear_algebra,
    losses,
    normalization,
    pooling,
    reductions,
)
from .mutant import MUTANTS, Finding, Mutant, first_finding

__all__ = ["MUTANTS", "Finding", "Mutant", "first_finding"]
