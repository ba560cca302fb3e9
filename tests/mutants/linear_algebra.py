"""Matrix products: dA = G B^T and dB = A^T G, added up over whatever was broadcast."""

from __future__ import annotations

from typing import Any

from tinycnn.ops import linalg
from tinycnn.ops.linalg import Linear, MatMul

from .mutant import change, mutant


@mutant(MatMul, op="matmul", wrong="B is not transposed in dA, where it is square")
def matmul_not_transposed(right: Any, ctx: Any, g: Any) -> Any:
    """Row k of B takes what column k of A gives: going back, rows and columns change places, and only a square B hides
    it when they do not."""
    b = ctx.saved_tensors[1]
    if b is None or b.shape[-1] != b.shape[-2]:
        return right(ctx, g)
    return change(right(ctx, g), 0, lambda da: linalg.sum_to(MatMul.apply(g, b), da.shape))


@mutant(MatMul, op="matmul", wrong="dB is the first matrix's, where B was broadcast")
def matmul_broadcast_not_summed(right: Any, ctx: Any, g: Any) -> Any:
    """A matrix that multiplies many others gets the sum of their gradients."""
    a, (a_shape, b_shape) = ctx.saved_tensors[0], ctx.shapes
    if a is None or len(a_shape) != 4 or b_shape[0] == g.shape[0]:
        return right(ctx, g)
    return change(right(ctx, g), 1, lambda db: MatMul.apply(a.transpose(-2, -1), g)[0].reshape(db.shape))


@mutant(MatMul, op="matmul", wrong="dB = G^T A, transposed, where that fits")
def matmul_gradient_transposed(right: Any, ctx: Any, g: Any) -> Any:
    """dB has B's shape and meaning: row k belongs to column k of A."""
    return change(right(ctx, g), 1, lambda db: db.transpose(-2, -1) if db.shape[-1] == db.shape[-2] else db)


@mutant(Linear, op="linear", wrong="dW is averaged over the batch")
def linear_weight_averaged(right: Any, ctx: Any, g: Any) -> Any:
    """The mean over a batch is the loss's business: every row adds its share to the weight's gradient."""
    rows = max(1, g.numel() // g.shape[-1])
    return change(right(ctx, g), 1, lambda dw: dw / rows)


@mutant(Linear, op="linear", wrong="db is the last row's gradient")
def linear_bias_of_the_last_row(right: Any, ctx: Any, g: Any) -> Any:
    """The bias was broadcast over all rows, and gets the sum of what they send back."""
    rows = g.reshape(-1, g.shape[-1]) if g.numel() else g
    return change(right(ctx, g), 2, lambda db: rows[-1] if g.numel() else db)


@mutant(Linear, op="linear", wrong="dX is multiplied by |W|")
def linear_sign_lost(right: Any, ctx: Any, g: Any) -> Any:
    """A negative weight turns the input's influence round, and so its gradient."""
    weight = ctx.saved_tensors[1]
    return change(right(ctx, g), 0, lambda dx: MatMul.apply(g.reshape(-1, g.shape[-1]), weight.abs()).reshape(dx.shape))


@mutant(Linear, op="linear", wrong="rows of G and X are paired in another order")
def linear_rows_unpaired(right: Any, ctx: Any, g: Any) -> Any:
    """Each row's gradient meets that row's own input: both are flattened in one order."""
    x = ctx.saved_tensors[0]
    if x is None or x.ndim != 3:
        return right(ctx, g)
    rows = g.transpose(0, 1).reshape(-1, g.shape[-1])
    return change(right(ctx, g), 1, lambda _: rows.T @ x.reshape(-1, x.shape[-1]))
