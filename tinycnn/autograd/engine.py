"""Walking the tape back: `backward` and `grad`.

A node is made after the nodes its inputs came from. So the nodes waiting for gradients are kept in a heap, and the
youngest goes first: everything that could still add to its gradient is younger, hence done. No recursion, whatever the
depth of the graph.
"""

from __future__ import annotations

import heapq
import operator
import sys
from collections.abc import Sequence
from typing import Any

from .function import Node, edge_of, has_nan
from .grad_mode import set_grad_enabled, state
from .tensor import Tensor, wrap

Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add d(tensors)/d(leaf), times grad_tensors, to the `.grad` of every leaf that the tensors came from.

    Args:
        tensors: one or more tensors, each a scalar unless its grad_tensor is given.
        grad_tensors: the vector v of the product v^T J, in the shape of each tensor.
        retain_graph: keep the saved tensors for another backward; by default only if create_graph.
        create_graph: record the backward too, so that gradients can be differentiated again.
        inputs: add to these tensors' `.grad` only.

    Raises:
        RuntimeError: if a tensor does not require a gradient, is not a scalar, or its graph is freed already.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([1.0, 2.0], requires_grad=True)
        >>> tinycnn.autograd.backward((x * x).sum())
        >>> x.grad
        tensor([2., 4.])
    """
    targets = None if inputs is None else _as_tuple(inputs)
    if targets is not None and not targets:
        raise RuntimeError("backward: inputs is empty; leave it out to reach every leaf")
    found = _run(_as_tuple(tensors), grad_tensors, retain_graph, create_graph, targets)
    if targets is not None:
        once = {id(tensor): (tensor, g) for tensor, g in zip(targets, found, strict=True)}
        with set_grad_enabled(create_graph):
            for tensor, g in once.values():
                if g is not None:
                    _accumulate_into(tensor, g, create_graph)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """d(outputs)/d(inputs), times grad_outputs, as a tuple; no `.grad` is touched.

    Args:
        outputs, grad_outputs, retain_graph, create_graph: as of `backward`.
        inputs: leaves or intermediate tensors that require a gradient.
        allow_unused: give None for an input that outputs do not depend on, instead of raising.
        materialize_grads: give zeros for it.

    Raises:
        RuntimeError: if an input does not require a gradient, or is unused and that is not allowed.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor(3.0, requires_grad=True)
        >>> (dy,) = tinycnn.autograd.grad(x**3, x, create_graph=True)
        >>> dy, tinycnn.autograd.grad(dy, x)[0]
        (tensor(27., grad_fn=<MulBackward>), tensor(18.))
    """
    targets = _as_tuple(inputs)
    for i, x in enumerate(targets):
        x.bring_up_to_date()
        if not x.requires_grad:
            raise RuntimeError(f"grad: input {i} (shape {x.array.shape}) does not require a gradient")
    found = _run(_as_tuple(outputs), grad_outputs, retain_graph, create_graph, targets)
    for i, g in enumerate(found):
        if g is None and materialize_grads:
            found[i] = wrap(targets[i].backend.zeros_like(targets[i].array), targets[i].backend)
        elif g is None and not allow_unused:
            raise RuntimeError(
                f"grad: input {i} (shape {targets[i].array.shape}) was not used to compute the outputs; "
                "say allow_unused=True if that is meant"
            )
    return tuple(found)  # type: ignore[arg-type]


def grad_without_hooks(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor | None], create_graph: bool
) -> list[Tensor | None]:
    """As `grad`, None for an unused input; hooks of leaves do not see these gradients, which are still on their way."""
    return _run(tuple(outputs), tuple(grad_outputs), create_graph, create_graph, tuple(inputs), leaf_hooks=False)


def _as_tuple(tensors: Tensors) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _roots(tensors: tuple[Tensor, ...], given: Any) -> list[tuple[Tensor, Tensor]]:
    """Each tensor with the gradient that backward starts from."""
    if given is not None and not isinstance(given, (Tensor, list, tuple)):
        raise TypeError(f"backward: a gradient must be a Tensor or None, got {type(given).__name__}")
    grads = (given,) if given is None or isinstance(given, Tensor) else tuple(given)
    if given is None:
        grads = (None,) * len(tensors)
    if len(grads) != len(tensors):
        raise RuntimeError(f"backward: got {len(tensors)} tensors and {len(grads)} gradients")
    pairs = []
    for tensor, g in zip(tensors, grads, strict=True):
        tensor.bring_up_to_date()
        if not tensor.requires_grad:
            raise RuntimeError(
                f"backward: a tensor of shape {tensor.array.shape} does not require a gradient: none of its inputs "
                "did, or it was made under no_grad"
            )
        if g is None:
            if tensor.array.size != 1:
                raise RuntimeError(
                    f"backward: a gradient can be implied only for a scalar, this tensor has shape "
                    f"{tensor.array.shape}; pass backward(gradient) or reduce it first"
                )
            g = wrap(tensor.backend.ones_like(tensor.array), tensor.backend)
        elif not isinstance(g, Tensor):
            raise TypeError(f"backward: a gradient must be a Tensor or None, got {type(g).__name__}")
        elif g.array.shape != tensor.array.shape:
            raise RuntimeError(
                f"backward: the gradient has shape {g.array.shape}, its tensor has shape {tensor.array.shape}"
            )
        pairs.append((tensor, g))
    return pairs


class _Pass:
    """One walk back. Of the gradients of one value the first is kept as it came, the second makes a sum of our own."""

    def __init__(self) -> None:
        self.heap: list[tuple[int, Node]] = []
        self.waiting: dict[Node, list[Tensor | None]] = {}
        self.leaves: dict[int, list[Any]] = {}  # by id: the gradient and the leaf
        # Where a sum of our own stands: (node's number, output), (-1, leaf's id).
        self.sums: set[tuple[int, int]] = set()

    def send(self, edge: Any, g: Tensor) -> None:
        """Add g to what has come for the tensor behind an edge."""
        grads: list[Any] | None
        if isinstance(edge, tuple):
            node, nr = edge
            grads = self.waiting.get(node)
            if grads is None:
                grads = self.waiting[node] = [None] * len(node.outputs)
                heapq.heappush(self.heap, (-node.seq, node))
            shape, dtype = node.outputs[nr]
        else:
            nr, shape, dtype = 0, edge.array.shape, edge.array.dtype
            grads = self.leaves.get(id(edge))
            if grads is None:
                grads = self.leaves[id(edge)] = [None, edge]
        array = g.array
        if array.shape != shape or array.dtype != dtype:
            g = _fit(g, shape, dtype)
        before = grads[nr]
        grads[nr] = g if before is None else self._sum(before, g, edge)

    def _sum(self, before: Tensor, g: Tensor, edge: Any) -> Tensor:
        if state.enabled:
            return before + g
        backend = g.backend
        place = (edge[0].seq, edge[1]) if isinstance(edge, tuple) else (-1, id(edge))
        if place in self.sums:
            before.array = backend.on_device(operator.iadd, before.array, g.array)
            return before
        self.sums.add(place)
        total = backend.kernels.add(before.array, g.array)
        return wrap(backend.asarray(total), backend)  # NumPy may have given a bare number

    def pop(self) -> tuple[Node, list[Tensor | None]]:
        _, node = heapq.heappop(self.heap)
        grads = self.waiting.pop(node)
        if node.hooks:
            for nr, hooks in node.hooks.items():
                if grads[nr] is not None:
                    grads[nr] = _run_hooks(hooks, grads[nr])
        if node.retained:
            for nr, reference in node.retained.items():
                tensor, g = reference(), grads[nr]
                if tensor is not None and g is not None and edge_of(tensor) == (node, nr):
                    tensor.grad = g if tensor.grad is None else tensor.grad + g
        return node, grads


def _fit(g: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    if g.array.shape != shape:
        raise RuntimeError(f"backward: a gradient has shape {g.array.shape}, the tensor it belongs to has {shape}")
    return g if g.array.dtype == dtype else g.to(dtype)


def _run_hooks(hooks: dict[int, Any], g: Any) -> Any:
    for hook in list(hooks.values()):
        result = hook(g)
        if result is not None:
            g = result
    return g


def _run(
    tensors: tuple[Tensor, ...],
    grad_tensors: Any,
    retain_graph: bool | None,
    create_graph: bool,
    targets: tuple[Tensor, ...] | None,
    leaf_hooks: bool = True,
) -> list[Tensor | None]:
    """Walk back from tensors. Without targets, add to the leaves' `.grad`; with them, return theirs."""
    keep = create_graph if retain_graph is None else retain_graph
    found: list[Tensor | None] = [None] * len(targets or ())
    walk = _Pass()
    recording = set_grad_enabled(create_graph)
    with recording:
        for tensor, seed in _roots(tensors, grad_tensors):
            walk.send(edge_of(tensor), seed)
        wanted, useful = _plan(walk, targets)
        while walk.heap:
            node, grads = walk.pop()
            if node in wanted:
                for nr, places in wanted[node].items():
                    for i in places:
                        found[i] = grads[nr]
            if useful is None or node in useful:
                for edge, g in zip(node.edges, _run_node(node, grads), strict=True):
                    if edge is not None and g is not None:
                        walk.send(edge, g)
                if not keep:
                    node.release()
        for entry in walk.leaves.values():
            g, leaf = entry
            entry[0] = None  # `_is_fresh` counts who refers to it
            if leaf._hooks and leaf_hooks:
                g = _run_hooks(leaf._hooks, g)
            if targets is None:
                assert g is not None
                _accumulate_into(leaf, g, create_graph)
            else:
                for i, target in enumerate(targets):
                    if target is leaf:
                        found[i] = g
    return found


def _plan(walk: _Pass, targets: tuple[Tensor, ...] | None) -> tuple[dict[Node, dict[int, list[int]]], set[Node] | None]:
    """Where the targets' gradients will pass by, and which nodes lie between them and the outputs (None: all)."""
    if targets is None:
        return {}, None
    wanted: dict[Node, dict[int, list[int]]] = {}
    leaves = set()
    for i, target in enumerate(targets):
        edge = edge_of(target)
        if isinstance(edge, tuple):
            wanted.setdefault(edge[0], {}).setdefault(edge[1], []).append(i)
        else:
            leaves.add(id(edge))
    reached = set(walk.waiting)
    stack = list(reached)
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, tuple) and edge[0] not in reached:
                reached.add(edge[0])
                stack.append(edge[0])
    useful: set[Node] = set()
    for node in sorted(reached, key=lambda n: n.seq):  # inputs first
        for edge in node.edges:
            through = edge[0] in useful or edge[0] in wanted if isinstance(edge, tuple) else id(edge) in leaves
            if through:
                useful.add(node)
                break
    return wanted, useful


def _run_node(node: Node, grads: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Call a node's backward and check what it returns."""
    if node.materialize:
        for nr, g in enumerate(grads):
            if g is None:
                shape, dtype = node.outputs[nr]
                grads[nr] = wrap(node.backend.zeros(shape, dtype), node.backend)
    outside, state.in_backward = state.in_backward, True
    try:
        result = node.fn.backward(node, *grads)
    finally:
        state.in_backward = outside
    if not isinstance(result, tuple):
        result = (result,)
    if len(result) > len(node.edges) and all(g is None for g in result[len(node.edges) :]):
        result = result[: len(node.edges)]
    if len(result) != len(node.edges):
        raise RuntimeError(
            f"{node.name}.backward returned {len(result)} gradients for {len(node.edges)} arguments of forward"
        )
    for i, g in enumerate(result):
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"{node.name}.backward returned a {type(g).__name__} as gradient {i}, expected a Tensor")
    if state.anomaly:
        _check_backward(node, grads, result)
    return result


def _check_backward(node: Node, grads: list[Tensor | None], result: tuple[Tensor | None, ...]) -> None:
    if any(g is not None and has_nan(g) for g in grads):
        return
    for i, g in enumerate(result):
        if g is not None and has_nan(g):
            where = "" if node.trace is None else "\nIts forward ran at:\n" + "".join(node.trace)
            raise RuntimeError(
                f"{node.name}.backward returned nan in its gradient {i} (shape {g.array.shape}); "
                f"the gradients it was given had none{where}"
            )


def _accumulate_into(tensor: Tensor, g: Tensor, create_graph: bool) -> None:
    """tensor.grad += g, in an array that belongs to that gradient alone."""
    before = tensor._grad
    if before is not None:
        if create_graph:
            tensor.grad = before + g
        else:
            before.array = g.backend.on_device(operator.iadd, before.array, g.array)
            before._version[0] += 1
    elif create_graph:
        tensor.grad = g.clone()
    elif _is_fresh(g):
        tensor.grad = g
    else:
        tensor.grad = wrap(g.backend.on_device(g.array.copy), g.backend)


def _is_fresh(g: Tensor) -> bool:
    """Whether a leaf may keep this gradient's array without a copy, because nobody else can see its memory: nothing
    but this walk's g refers to it, nor to the array that it is a view of."""
    array, owner_of = g.array, g.backend.owner
    owner = owner_of(array)
    if owner is not array and (owner_of(owner) is not owner or sys.getrefcount(owner) != 3):
        return False  # 3: the view's base, the name here, the argument
    return sys.getrefcount(array) == (3 if owner is not array else 4) and sys.getrefcount(g) == _ALONE


def _references_when_alone() -> int:
    """What getrefcount says of g in `_is_fresh` when only the walk holds it; it differs between Python versions."""

    def innermost(g: Tensor) -> int:
        return sys.getrefcount(g)

    def inner(g: Tensor) -> int:
        return innermost(g)

    g = Tensor.__new__(Tensor)
    return inner(g)


_ALONE = _references_when_alone()
