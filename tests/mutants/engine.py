"""The engine: a tensor that is used twice gets two gradients, and none of them may be lost, shared or kept."""

from __future__ import annotations

from typing import Any

from tinycnn.autograd import engine
from tinycnn.autograd.function import Node
from tinycnn.autograd.grad_mode import state

from .mutant import mutant


@mutant(engine._Pass, "_sum", op="local_response_norm", wrong="the last gradient wins")
def engine_last_gradient_wins(right: Any, self: Any, before: Any, g: Any, place: Any) -> Any:
    """A tensor that is used twice moves the result in two ways, and the chain rule adds them up."""
    return g


@mutant(engine._Pass, "_sum", op="local_response_norm", wrong="the first gradient wins")
def engine_first_gradient_wins(right: Any, self: Any, before: Any, g: Any, place: Any) -> Any:
    """No use of a tensor goes before another: all of them add up."""
    return before


@mutant(engine._Pass, "_sum", op="lerp", wrong="adds into a gradient that others hold too")
def engine_adds_into_what_it_was_given(right: Any, self: Any, before: Any, g: Any, place: Any) -> Any:
    """An addition hands the same gradient to both operands; to add into it for one changes it for the other."""
    if state.enabled:
        return right(self, before, g, place)
    before.array += g.array
    return before


@mutant(engine._Pass, "_sum", op="local_response_norm", wrong="second order: a sum of gradients forgets its graph")
def engine_sum_not_recorded(right: Any, self: Any, before: Any, g: Any, place: Any) -> Any:
    """With create_graph the sum of gradients is itself a function of the inputs."""
    return right(self, before, g.detach(), place)


@mutant(engine, "_accumulate_into", op="add", wrong=".grad is the array that backward was given")
def engine_gradient_not_owned(right: Any, tensor: Any, g: Any, create_graph: bool) -> None:
    """A leaf's .grad is its own: an optimiser, or the next backward, writes into it."""
    tensor.grad = g


@mutant(engine, "_accumulate_into", op="mul", wrong="a second backward overwrites .grad")
def engine_grad_overwritten(right: Any, tensor: Any, g: Any, create_graph: bool) -> None:
    """Backward adds to .grad, so that a batch may be worked off in parts; zero_grad empties it."""
    tensor.grad = None
    right(tensor, g, create_graph)


@mutant(Node, "release", op="exp", wrong="saved tensors are never freed")
def engine_saved_tensors_kept(right: Any, self: Any) -> None:
    """Backward frees what forward saved as it passes; else a training step's memory lives as long as its loss."""
