"""Shapes, indices, joining and padding: every gradient goes back to the place its number came from."""

from __future__ import annotations

from typing import Any

from tinycnn.ops.arrange import Flip, Pad, Repeat, RepeatInterleave, Roll, Triangle
from tinycnn.ops.broadcast import Expand, SumTo
from tinycnn.ops.indexing import AddInto, IndexAdd, IndexPut, Pick, Place, Slice
from tinycnn.ops.join import Cat
from tinycnn.ops.shape import Permute, Reshape

from .mutant import change, mutant


@mutant(Permute, op="permute", wrong="permuted the same way again, not back")
def permute_not_inverted(right: Any, ctx: Any, g: Any) -> Any:
    """A swap is its own inverse, which hides the mistake; a rotation of three dimensions is not."""
    forth = tuple(ctx.back.index(i) for i in range(len(ctx.back)))
    return change(right(ctx, g), 0, lambda dx: Permute.apply(g, forth).reshape(dx.shape))


@mutant(Reshape, op="reshape", wrong="the gradient is read column by column")
def reshape_in_another_order(right: Any, ctx: Any, g: Any) -> Any:
    """Elements keep their order, row by row, on the way there and back."""
    if g.ndim != 2:
        return right(ctx, g)
    return change(right(ctx, g), 0, lambda _: Reshape.apply(Permute.apply(g, (1, 0)), ctx.shape))


@mutant(Expand, op="expand", wrong="the repetitions are averaged, not added")
def expand_averaged(right: Any, ctx: Any, g: Any) -> Any:
    """Every copy is the same number, so its gradient is the sum over all copies."""
    return change(right(ctx, g), 0, lambda dx: dx * (dx.numel() / max(1, g.numel())))


@mutant(SumTo, op="expand", wrong="second order: the gradient is divided among the copies")
def expand_second_order_divided(right: Any, ctx: Any, g: Any) -> Any:
    """The sum over all copies moves as much as any one of them does, not by a share of it."""
    return change(right(ctx, g), 0, lambda dg: dg * (g.numel() / max(1, dg.numel())))


@mutant(Slice, op="narrow", wrong="the gradient is laid at the beginning")
def slice_start_forgotten(right: Any, ctx: Any, g: Any) -> Any:
    """A part's gradient belongs where the part was cut out."""
    moved = tuple(slice(0, s.stop - s.start) if isinstance(s, slice) and s.start is not None else s for s in ctx.index)
    return change(right(ctx, g), 0, lambda _: Place.apply(g, ctx.shape, moved))


@mutant(Pick, op="index_select", wrong="of an element picked twice the last gradient wins")
def index_repeats_overwritten(right: Any, ctx: Any, g: Any) -> Any:
    """An element that was picked twice moves both copies, so their gradients add up."""
    return change(right(ctx, g), 0, lambda _: AddInto.apply(g, ctx.shape, ctx.index, True))


@mutant(Pick, op="gather", wrong="the gradient goes to the next place")
def gather_off_by_one(right: Any, ctx: Any, g: Any) -> Any:
    """The gradient goes to the very element that was picked."""
    return change(right(ctx, g), 0, lambda dx: dx.roll(1, -1))


@mutant(AddInto, op="take_along_dim", wrong="second order: gathers from the first place only")
def gather_second_order_first_place(right: Any, ctx: Any, h: Any) -> Any:
    """The derivative of a scatter is a gather from all the places that it scattered to."""
    return change(right(ctx, h), 0, lambda dg: dg.reshape(-1)[:1].expand(dg.numel()).reshape(dg.shape) * 1.0)


@mutant(Pick, op="sort", wrong="the gradient stays in sorted order")
def sort_not_undone(right: Any, ctx: Any, g: Any) -> Any:
    """Sorting moves numbers: their gradients must be moved back to where they came from."""
    return change(right(ctx, g), 0, lambda dx: g * 1.0 if g.shape == dx.shape else dx)


@mutant(IndexPut, op="scatter", wrong="what was overwritten keeps its gradient")
def scatter_overwritten_counts(right: Any, ctx: Any, g: Any) -> Any:
    """An element that was written over is in the result no more."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)


@mutant(IndexPut, op="index_put", wrong="the written values get no gradient")
def index_put_values_constant(right: Any, ctx: Any, g: Any) -> Any:
    """What is written in is a copy of its source, and passes the gradient on to it."""
    return change(right(ctx, g), 1, lambda dv: dv * 0)


@mutant(IndexAdd, op="index_add", wrong="what was added to loses its gradient")
def index_add_target_overwritten(right: Any, ctx: Any, g: Any) -> Any:
    """Adding, unlike writing, leaves the old value in the sum."""
    return change(right(ctx, g), 0, lambda _: IndexPut.apply(g, 0, ctx.index))


@mutant(Cat, op="cat", wrong="the parts are cut off in reverse order")
def cat_parts_reversed(right: Any, ctx: Any, g: Any) -> Any:
    """Each tensor gets the part of the gradient that lies where it was laid."""
    grads, end = [], g.shape[ctx.dim]
    for size, needed in zip(ctx.sizes, ctx.needs_input_grad[2:], strict=True):
        grads.append(g.narrow(ctx.dim, end - size, size) if needed else None)
        end -= size
    return None, None, *grads


@mutant(Pad, op="pad", wrong="the border is all cut off at the end")
def pad_border_on_one_side(right: Any, ctx: Any, g: Any) -> Any:
    """x lies behind the first border: that is where its gradient begins."""
    widths = tuple((0, -(before + after)) for before, after in ctx.widths)
    return change(right(ctx, g), 0, lambda _: Pad.apply(g, widths, 0))


@mutant(Pick, op="pad", wrong="reflected pixels do not add to those they mirror")
def pad_reflection_overwritten(right: Any, ctx: Any, g: Any) -> Any:
    """A pixel that is mirrored into the border is there twice, and gets both gradients."""
    return change(right(ctx, g), 0, lambda _: AddInto.apply(g, ctx.shape, ctx.index, True))


@mutant(Flip, op="flip", wrong="not flipped back")
def flip_not_undone(right: Any, ctx: Any, g: Any) -> Any:
    """What was first is last."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)


@mutant(Roll, op="roll", wrong="rolled on, not back")
def roll_on(right: Any, ctx: Any, g: Any) -> Any:
    """A shift is undone by the shift the other way."""
    return change(right(ctx, g), 0, lambda _: Roll.apply(g, ctx.shifts, ctx.dims))


@mutant(Repeat, op="tile", wrong="copies are taken to be next to each other")
def tile_as_interleaved(right: Any, ctx: Any, g: Any) -> Any:
    """tile lays whole blocks side by side: a b a b, so an element's copies are a block apart."""
    sizes = (1,) * ctx.new + ctx.shape
    apart = [n for pair in zip(sizes, ctx.times, strict=True) for n in pair]
    return change(right(ctx, g), 0, lambda dx: g.reshape(apart).sum(tuple(range(1, len(apart), 2))).reshape(dx.shape))


@mutant(RepeatInterleave, op="repeat_interleave", wrong="copies are taken to be a block apart")
def interleaved_as_tiled(right: Any, ctx: Any, g: Any) -> Any:
    """repeat_interleave lays an element's copies next to each other: a a b b."""
    dim = ctx.dim
    apart = (*ctx.shape[:dim], ctx.times, *ctx.shape[dim:])
    return change(right(ctx, g), 0, lambda _: g.reshape(apart).sum(dim))


@mutant(Triangle, op="tril", wrong="the gradient is not cut")
def tril_gradient_not_cut(right: Any, ctx: Any, g: Any) -> Any:
    """What was set to zero does not move the result."""
    return change(right(ctx, g), 0, lambda _: g * 1.0)


@mutant(Triangle, op="triu", wrong="the diagonal is off by one")
def triu_diagonal_off_by_one(right: Any, ctx: Any, g: Any) -> Any:
    """The gradient passes where the element passed, the diagonal among them."""
    return change(right(ctx, g), 0, lambda _: Triangle.apply(g, ctx.side, ctx.diagonal + 1))
