"""Dropout: what was dropped gets nothing back, what was kept gets it scaled."""

from __future__ import annotations

from typing import Any

from tinycnn.ops.dropout import Dropout

from .mutant import change, mutant


@mutant(Dropout, op="dropout", wrong="the backward uses another mask")
def dropout_mask_redrawn(right: Any, ctx: Any, g: Any) -> Any:
    """The units that were dropped on the way forth are those that have no gradient: one draw serves both ways."""
    return change(right(ctx, g), 0, lambda _: g * ctx.saved_tensors[0].roll(1, -1))


@mutant(Dropout, op="dropout", wrong="the scale 1 / (1 - p) is forgotten")
def dropout_scale_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """What was kept was scaled up, to keep the mean, and its gradient is scaled alike."""
    return change(right(ctx, g), 0, lambda _: g * (ctx.saved_tensors[0] != 0).double())


@mutant(Dropout, op="dropout2d", wrong="every unit gets a gradient")
def dropout_ignored(right: Any, ctx: Any, g: Any) -> Any:
    """A channel that was zeroed moves nothing."""
    return change(right(ctx, g), 0, lambda _: g * ctx.saved_tensors[0].amax())
