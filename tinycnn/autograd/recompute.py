"""Memory for time: a part of a network that keeps its inputs only, and is computed again when backward comes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..backend.generator import get_rng_state, set_rng_state
from . import engine
from .function import Function, Node, next_seq
from .grad_mode import set_grad_enabled, state
from .tensor import Tensor, wrap


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), of which backward keeps the arguments but nothing that was computed in between.

    When backward comes here, the function is called once more and walked back at once. Its results and gradients are
    the same to the bit; what it costs is about one more forward pass, what it saves is all that the function's
    operations would have kept (Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016).
    Unlike PyTorch's, the second call moves no running statistics of batch normalisation and counts no batch.

    Args:
        function: of tensors and anything else; it must compute the same when it is called again. Parameters that it
            uses get their gradients, whether or not an argument requires one.
        args, kwargs: its arguments. Of kwargs tensors get no gradient.
        use_reentrant: False is the only way here, and what PyTorch recommends.
        preserve_rng_state: draw the same random numbers in the second call (dropout).

    Returns:
        what the function returns: a tensor, or a tuple or list of tensors and other things.

    Raises:
        NotImplementedError: if use_reentrant is True.
        RuntimeError: if the function uses a tensor with a history that is not among its arguments.

    Example:
        >>> import tinycnn
        >>> from tinycnn.utils.checkpoint import checkpoint
        >>> layer, x = tinycnn.nn.Linear(3, 2), tinycnn.ones(1, 3)
        >>> checkpoint(lambda x: layer(x).relu(), x).sum().backward()
        >>> layer.weight.grad.shape
        tinycnn.Size([2, 3])
    """
    if use_reentrant:
        raise NotImplementedError("checkpoint: use_reentrant=True is not supported; leave it out")
    if not state.enabled:
        return function(*args, **kwargs)
    random = get_rng_state() if preserve_rng_state else None
    start = next_seq()
    inputs = [_cut_off(x) if isinstance(x, Tensor) else x for x in args]
    result = function(*inputs, **kwargs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    differentiable = [i for i, y in enumerate(outputs) if isinstance(y, Tensor) and y.requires_grad]
    if not differentiable:
        return result
    leaves = _leaves([outputs[i] for i in differentiable], start, {id(x) for x in inputs})
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
    again = _Again(function, list(args), kwargs, places, differentiable, random)
    for i in places:
        again.args[i] = None  # the node keeps tensors where a write to them is noticed
    found = _Checkpoint.apply(
        again, [wrap(outputs[i].array, outputs[i].backend) for i in differentiable], *(args[i] for i in places), *leaves
    )
    for i, y in zip(differentiable, found, strict=True):
        outputs[i] = y
    if isinstance(result, (tuple, list)):
        return type(result)(*outputs) if hasattr(result, "_fields") else type(result)(outputs)
    return outputs[0]


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool = False) -> Any:
    """Layers one after the other, cut into segments of which all but the last keep their input only.

    Args:
        functions: an nn.Sequential, or a list of layers or functions.
        segments: how many, at least 1.
        input: of the first.

    Raises:
        ValueError: if segments is not between 1 and the number of layers.

    Example:
        >>> import tinycnn
        >>> from tinycnn.utils.checkpoint import checkpoint_sequential
        >>> net = tinycnn.nn.Sequential(tinycnn.nn.Linear(3, 4), tinycnn.nn.ReLU(), tinycnn.nn.Linear(4, 2))
        >>> checkpoint_sequential(net, 2, tinycnn.ones(1, 3)).shape
        tinycnn.Size([1, 2])
    """
    layers = list(functions)
    if not 1 <= segments <= len(layers):
        raise ValueError(f"checkpoint_sequential: segments must be between 1 and {len(layers)}, got {segments}")
    size = len(layers) // segments

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for layer in layers[start:end]:
                x = layer(x)
            return x

        return run

    for i in range(segments - 1):
        input = checkpoint(part(i * size, (i + 1) * size), input, use_reentrant=use_reentrant)
    return part((segments - 1) * size, len(layers))(input)


def _cut_off(x: Tensor) -> Tensor:
    """The same values without a history."""
    out = x.detach()
    out.requires_grad = x.requires_grad
    return out


def _leaves(outputs: Sequence[Tensor], start: int, inputs: set[int]) -> list[Tensor]:
    """The leaves, other than the inputs, that outputs came from in operations younger than `start`."""
    found: dict[int, Tensor] = {}
    stack: list[Node] = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen = set(stack)
    for y in outputs:
        if y.grad_fn is None and id(y) not in inputs:  # handed through from outside
            found[id(y)] = y
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, tuple):
                if edge[0].seq < start:
                    raise RuntimeError(
                        f"checkpoint: the function uses a result of {edge[0].name} that is not among its arguments; "
                        "pass it as one, so that its gradient can be returned"
                    )
                if edge[0] not in seen:
                    seen.add(edge[0])
                    stack.append(edge[0])
            elif edge is not None and id(edge) not in inputs:
                found[id(edge)] = edge
    return list(found.values())


class _Again:
    """What is needed to call the function once more; the tensors among its arguments are with the node."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        places: list[int],  # of tensors among the arguments
        outputs: list[int],  # which of its outputs are differentiable
        random: dict[str, Any] | None,
    ) -> None:
        self.function, self.args, self.kwargs, self.places, self.outputs = function, args, kwargs, places, outputs
        self.random = random

    def call(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The differentiable outputs, recorded."""
        args = list(self.args)
        for i, x in zip(self.places, tensors, strict=True):
            args[i] = x
        now = None if self.random is None else get_rng_state()
        if self.random is not None:
            set_rng_state(self.random)
        outside, state.recomputing = state.recomputing, True
        try:
            with set_grad_enabled(True):
                result = self.function(*args, **self.kwargs)
        finally:
            state.recomputing = outside
            if now is not None:
                set_rng_state(now)
        outputs = result if isinstance(result, (tuple, list)) else [result]
        return [outputs[i] for i in self.outputs]


class _Checkpoint(Function):
    @staticmethod
    def forward(ctx: Any, again: _Again, outputs: list[Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.again = again
        ctx.save_for_backward(*tensors)
        results = tuple(outputs)
        outputs.clear()  # the node's argument, which must not hold what comes out of it
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        again, tensors = ctx.again, ctx.saved_tensors
        inputs, leaves = tensors[: len(again.places)], tensors[len(again.places) :]
        create_graph = state.enabled
        if not create_graph:
            inputs = tuple(map(_cut_off, inputs))
        outputs = again.call(inputs)
        wanted = [*inputs, *leaves]
        needed = [i for i, x in enumerate(wanted) if x.requires_grad]
        found = engine.grad_without_hooks(outputs, [wanted[i] for i in needed], grads, create_graph)
        result: list[Tensor | None] = [None] * len(wanted)
        for i, g in zip(needed, found, strict=True):
            result[i] = g
        return None, None, *result
