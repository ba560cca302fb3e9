"""Views: tensors that share memory with another, and what a recorded write to one of them means for the rest.

Writing in place changes memory, which every view of it sees at once, and history, which is kept with the *base*, the
tensor that the memory belongs to: its new history says that one part of it was written. A view remembers how it is cut
out of the base; when it is next used and the base's history is not the one it knows, it is cut out anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .function import Function
from .grad_mode import no_grad, state

if TYPE_CHECKING:
    from .tensor import Tensor

Steps = tuple[tuple[type[Function], tuple[Any, ...]], ...]  # view operations with their arguments, one after the other


class View:
    """How a tensor is cut out of its base, and which history of the base it knows."""

    __slots__ = ("base", "known", "steps")

    def __init__(self, base: Tensor, steps: Steps | None) -> None:  # None: a custom Function cut it, nobody knows how
        self.base, self.steps, self.known = base, steps, base._grad_fn

    def refresh(self, view: Tensor) -> None:
        """Give view the history that follows from its base's."""
        if self.base._grad_fn is not self.known:
            if self.steps is None:
                raise RuntimeError(
                    "a custom Function made this view, and the memory it shares was written in place since; clone() "
                    "before the one or the other"
                )
            self.known = self.base._grad_fn
            before, state.enabled = state.enabled, True
            try:
                again = _cut(self.base, self.steps)
            finally:
                state.enabled = before
            view._grad_fn, view.output_nr, view.requires_grad = again._grad_fn, again.output_nr, again.requires_grad

    def write_history(self, view: Tensor, new: Tensor) -> None:
        """Record that view's part of the base is now new."""
        base = self.base
        assert self.steps is not None  # check_writable has refused it
        out = WritePart.apply(_same_history(base), new, self.steps)
        base._grad_fn, base.output_nr, base.requires_grad = out._grad_fn, out.output_nr, True
        self.refresh(view)


class WritePart(Function):
    """The base after one of its parts was written: the part's gradient goes to what was written, the rest's on."""

    @staticmethod
    def forward(ctx: Any, base: Tensor, new: Tensor, steps: Steps) -> Tensor:
        strides = base.array.strides
        ctx.steps, ctx.order = steps, sorted(range(len(strides)), key=lambda i: -strides[i])
        return base.detach()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        order, shape = ctx.order, g.array.shape
        ones = g.backend.ones([shape[i] for i in order], g.array.dtype)
        # They lie in memory as the base does, so that a part that was a view of it is one of them, too.
        kept = g.detach()
        kept.array = ones.transpose([order.index(i) for i in range(len(order))])
        with no_grad():
            _cut(kept, ctx.steps).array[...] = 0
        to_base, to_new, _ = ctx.needs_input_grad
        return g * kept if to_base else None, _cut(g, ctx.steps) if to_new else None, None


def _cut(tensor: Tensor, steps: Steps) -> Tensor:
    """The part of a tensor that these view operations lead to."""
    for op, args in steps:
        tensor = op.apply(tensor, *args)
    return tensor


def _same_history(tensor: Tensor) -> Tensor:
    """Another tensor on the same memory with the same history: a node may keep it without keeping the original."""
    out = tensor.detach()
    out._grad_fn, out.output_nr, out.requires_grad = tensor._grad_fn, tensor.output_nr, tensor.requires_grad
    return out
