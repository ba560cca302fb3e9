"""Function: one differentiable operation, and the node it leaves on the tape.

`apply` runs a Function's forward. If an input requires a gradient it also records a `Node`: which Function ran, what it
saved, and one edge to where each input came from. Nodes are all there is to the graph; `engine.py` walks them back.

    x (leaf) <---- edge ---- Node(Mul) <---- edge ---- Node(Sum) <---- grad_fn ---- loss

Read `Function` and `Op` below first: what comes before them is how a node keeps what backward needs.

No node refers to its outputs, so that a graph holds no reference cycle: it is freed as soon as the last tensor that
came out of it is.
"""

from __future__ import annotations

import itertools
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..backend import Array, Backend
from ..backend.base import rounded, widened
from ..backend.dtypes import INEXACT
from .grad_mode import no_grad, state

if TYPE_CHECKING:
    from .tensor import Tensor

Edge = Any  # a leaf Tensor, or (Node, which output of it), or None where no gradient is wanted

next_seq = itertools.count().__next__
_new = object.__new__


# What was saved, the count of writes into its memory and how far it had come, and the number of the output that it was.
# An input is kept as it is, with its history; an output, which has a number, as its array, since a node that held its
# own output would be a cycle.
_Saved = tuple[Any, list[int], int, int | None]
_NOTHING: _Saved = (None, [0], 0, None)


class Node:
    """A record of one operation; the `ctx` that forward and backward are given.

    Forward saves tensors with `save_for_backward` and anything else as attributes. `needs_input_grad` says, for each
    argument of forward, whether a gradient is wanted; where none is, there is no backward, and nothing need be kept.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_saved",
        "backend",
        "edges",
        "fn",
        "needs_input_grad",
        "outputs",
        "seq",
    )

    # What few nodes have; the others find it here.
    hooks: dict[int, dict[int, Callable[[Tensor], Tensor | None]]] | None = None
    retained: dict[int, weakref.ref[Tensor]] | None = None  # outputs that keep their gradient
    materialize = True
    non_differentiable: tuple[Any, ...] = ()
    trace: list[str] | None = None

    # `apply` makes it, without an __init__: a call more for each operation would be one of eight.
    fn: type[Function]
    backend: Backend
    needs_input_grad: tuple[bool, ...]
    _saved: Sequence[Any] | None  # first what forward wants kept, then a _Saved for each; None when it is freed
    # What it has once it is recorded:
    edges: tuple[Edge, ...]
    outputs: list[tuple[tuple[int, ...], Any]]  # the shape and the dtype of each, which may be gone
    seq: int

    @property
    def name(self) -> str:
        return self.fn.__name__

    def __repr__(self) -> str:
        return f"<{self.name}Backward>"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that made the inputs, each with the number of its output; (None, 0) for a leaf."""
        return tuple(e if isinstance(e, tuple) else (None, 0) for e in self.edges)

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (in an Op: arrays) for backward: inputs, outputs, or others, which then are constants. None may
        stand among them."""
        self._saved = tensors

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """What an Op's forward has given to `save_for_backward` so far, as it is."""
        return tuple(self._saved or ())

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept, as tensors.

        Raises:
            RuntimeError: if backward has passed here already and freed it, or if one was written into since.
        """
        if self._saved is None:
            raise RuntimeError(
                f"{self.name}: trying to backward through the graph a second time, but its saved tensors are freed; "
                "use retain_graph=True the first time"
            )
        return tuple([self._unpack(*saved) for saved in self._saved])

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say that these outputs have no gradient, as the indices of a maximum."""
        self.non_differentiable = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for an output that no gradient came to."""
        self.materialize = value

    def release(self) -> None:
        """Free what was saved; edges stay, they weigh nothing."""
        if self._saved:  # nothing saved, nothing lost: such a node may be walked again
            self._saved = None

    def _pack(self, value: Any, inputs: tuple[Any, ...], forms: Sequence[Any], outputs: list[Tensor]) -> _Saved:
        """How a value is kept; `forms` are the inputs as forward saw them, tensors or arrays. It is known by its
        identity: an input (of those that share an array the first), an output, or anything else, which then is a
        constant: nobody else can write into it, and nothing flows back to it."""
        if value is None:
            return _NOTHING
        for x, form in zip(inputs, forms, strict=True):
            if form is value and isinstance(x, _tensor_type):
                return x, x._version, x._version[0], None
        on_arrays = self.fn.on_arrays
        for nr, out in enumerate(outputs):
            if (out.array if on_arrays else out) is value:
                if out.requires_grad:
                    return out.array, out._version, out._version[0], nr
                value = out.detach()
        constant = value if isinstance(value, _tensor_type) else _wrap_result(value, self.backend)
        return constant, constant._version, constant._version[0], None

    def _unpack(self, value: Any, counter: list[int], version: int, output_nr: int | None) -> Any:
        if counter[0] != version:
            raise RuntimeError(
                f"{self.name}: one of the variables needed for gradient computation has been modified by an in-place "
                f"operation since the forward (saved at version {version}, now at {counter[0]}); "
                "write out of place, or clone() before"
            )
        if output_nr is None:
            return value
        tensor = _wrap(value, self.backend)
        tensor.requires_grad, tensor._grad_fn, tensor.output_nr = True, self, output_nr
        tensor._version = counter
        return tensor


class Function:
    """A differentiable operation of your own: subclass it, write `forward` and `backward`, call `apply`.

    forward(ctx, *args) gets and returns tensors and is not recorded. backward(ctx, *grads) gets the gradient of each
    output and returns the gradient of each argument of forward, None where there is none. If backward is itself made
    of tensor operations, second derivatives come by themselves.

    Example:
        >>> import tinycnn
        >>> class Cube(tinycnn.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x**3
        ...
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         (x,) = ctx.saved_tensors
        ...         return 3 * x**2 * grad
        >>> x = tinycnn.tensor([2.0], requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor([12.])
    """

    on_arrays = False  # whether forward works on arrays (the engine's own Ops) or on tensors
    is_view = False  # whether the output may share memory with the first argument

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("a Function needs a static method backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward on args and record it if any of them requires a gradient.

        Raises:
            RuntimeError: if the tensors are not all on one device.
        """
        backend: Backend | None = None
        forms: list[Any] = []  # the arguments as forward gets them
        needs: list[bool] = []
        on_arrays = cls.on_arrays
        for x in args:
            if isinstance(x, _tensor_type):
                if x._view is not None:
                    x._view.refresh(x)
                if backend is not x.backend:
                    if backend is not None:
                        _refuse_mixed_devices(cls, args)
                    backend = x.backend
                needs.append(x.requires_grad)
                forms.append(x.array if on_arrays else x)
            else:
                needs.append(False)
                forms.append(x)
        if backend is None:
            raise TypeError(f"{cls.__name__}.apply: expected at least one tensor among its arguments, got {args!r}")
        recording = True in needs and state.enabled
        ctx = _new(Node)
        ctx.fn, ctx.backend, ctx._saved = cls, backend, ()
        ctx.needs_input_grad = tuple(needs) if recording else (False,) * len(needs)

        results, outputs = cls._run(ctx, forms)
        if state.anomaly and not state.in_backward:
            _check_forward(ctx, args, outputs)
        if cls.is_view:
            outputs[0]._become_view(cls, args)
        if recording:
            _record(ctx, args, forms, outputs, results)
        return tuple(outputs) if isinstance(results, tuple) else outputs[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """If you write this, forward is called without ctx, and what is to be saved is saved here."""

    @classmethod
    def _run(cls, ctx: Node, args: Sequence[Any]) -> tuple[Any, list[Tensor]]:
        """What forward returns, and the outputs that are made of it."""
        versions = [x._version[0] if isinstance(x, _tensor_type) else 0 for x in args]
        with no_grad():
            if cls.setup_context is Function.setup_context:
                results = cls.forward(ctx, *args)
            else:
                results = cls.forward(*args)
                cls.setup_context(ctx, tuple(args), results)
        for i, (x, before) in enumerate(zip(args, versions, strict=True)):
            if isinstance(x, _tensor_type) and x._version[0] != before:
                raise RuntimeError(f"{cls.__name__}.forward wrote into its argument {i}; write into a clone() of it")
        found = results if isinstance(results, tuple) else (results,)
        return results, [cls._as_output(result, args) for result in found]

    @classmethod
    def _as_output(cls, result: Any, args: Sequence[Any]) -> Tensor:
        if not isinstance(result, _tensor_type):
            raise TypeError(f"{cls.__name__}.forward returned {type(result).__name__}, expected a Tensor")
        # An input handed back, or a tensor with a history of its own, becomes a new one on the same memory.
        if result._grad_fn is None and result._view is None and not any(result is x for x in args):
            return result
        out = result.detach()
        if result._view is not None:
            out._view = type(result._view)(result._view.base, None)
        return out


class Op(Function):
    """One of the engine's own operations: its forward works on arrays, by `ctx.backend`'s functions and kernels.

    Its backward, as every Function's, takes and returns tensors, so that it can be differentiated in turn. It returns a
    fresh array or a view of one, and never changes its inputs.

    The array libraries know little of bfloat16: unless it says that it takes such arrays, as one does that hands them
    to a kernel or only moves them, its forward gets them in float32, and what it returns is rounded.
    """

    on_arrays = True
    takes_bfloat16 = False

    @classmethod
    def _run(cls, ctx: Node, args: Sequence[Any]) -> tuple[Any, list[Tensor]]:
        backend = ctx.backend
        array_type: Any = backend.array_type
        bfloat16 = None
        if not (cls.takes_bfloat16 or cls.is_view):
            for x in args:
                if isinstance(x, array_type) and x.dtype.char == "E":
                    bfloat16 = x.dtype
        if bfloat16 is None:
            results = backend.quietly(cls.forward, ctx, *args)
        else:
            results = backend.quietly(cls._forward_in_single, ctx, args, bfloat16)
        outputs = []
        for result in results if isinstance(results, tuple) else (results,):
            for x in args:
                if x is result:
                    result = result[...]
            outputs.append(_wrap(result if isinstance(result, array_type) else backend.asarray(result), backend))
        return results, outputs

    @classmethod
    def _forward_in_single(cls, ctx: Node, args: Sequence[Any], bfloat16: Any) -> Any:
        array_type: Any = ctx.backend.array_type
        arrays = [x for x in args if isinstance(x, array_type)]
        wide = [widened(x) if isinstance(x, array_type) and x.dtype == bfloat16 else x for x in args]
        results = found = cls.forward(ctx, *wide)
        if all(x.dtype == bfloat16 for x in arrays if x.dtype.char in INEXACT):
            found = rounded(results, bfloat16)
        # What is kept is what the tape knows: the arguments and the results as they are outside.
        known = {id(w): x for w, x in zip(wide, args, strict=True)}
        pairs = zip(results, found, strict=True) if isinstance(results, tuple) else [(results, found)]
        known.update({id(r): f for r, f in pairs})
        ctx._saved = tuple([known.get(id(x), x) for x in ctx._saved or ()])
        ctx.non_differentiable = tuple([known.get(id(x), x) for x in ctx.non_differentiable])
        return found


def _record(ctx: Node, args: tuple[Any, ...], forms: Sequence[Any], outputs: list[Tensor], results: Any) -> None:
    ctx.edges = tuple(
        [
            None if not need else x if x._grad_fn is None else (x._grad_fn, x.output_nr)
            for x, need in zip(args, ctx.needs_input_grad, strict=True)
        ]
    )
    ctx.seq = next_seq()  # a node's inputs were made before it: falling order is an order to walk back in
    ctx.outputs = []
    constants = ctx.non_differentiable
    found = results if isinstance(results, tuple) else (results,)
    for nr, out in enumerate(outputs):
        array = out.array
        ctx.outputs.append((array.shape, array.dtype))
        if array.dtype.char in INEXACT and not (constants and any(found[nr] is x for x in constants)):
            out.requires_grad, out._grad_fn, out.output_nr = True, ctx, nr
    if ctx._saved:
        ctx._saved = [ctx._pack(value, args, forms, outputs) for value in ctx._saved]
    if constants:
        del ctx.non_differentiable
    if state.anomaly:
        ctx.trace = traceback.format_stack()[:-2]


def edge_of(tensor: Tensor) -> Edge:
    """Where a tensor's gradient goes: the tensor itself if it is a leaf, else (the node that made it, its number)."""
    node = tensor.grad_fn
    return tensor if node is None else (node, tensor.output_nr)


def _arrays_of(args: tuple[Any, ...]) -> tuple[Backend, list[Any]]:
    """The backend of the tensors among args, and args with arrays in their place."""
    backend, arrays = None, []
    for x in args:
        if isinstance(x, _tensor_type):
            backend = x.backend
            x = x.array
        arrays.append(x)
    assert backend is not None
    return backend, arrays


def run_kernel(name: str, *args: Any) -> Any:
    """Run a kernel on tensors without recording it: what a backward calls when nobody will differentiate it."""
    backend, arrays = _arrays_of(args)
    result = backend.quietly(getattr(backend.kernels, name), *arrays)
    return _as_tensors(result, backend) if isinstance(result, tuple) else _wrap_result(result, backend)


def run_arrays(function: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """function(backend, *args) with arrays in place of tensors and tensors in place of the arrays in the tuple that it
    returns, without recording it: as `run_kernel`, for a backward that takes more than one kernel."""
    backend, arrays = _arrays_of(args)
    return _as_tensors(backend.quietly(function, backend, *arrays), backend)


def _as_tensors(results: tuple[Any, ...], backend: Backend) -> tuple[Any, ...]:
    return tuple([None if x is None else _wrap_result(x, backend) for x in results])


def _wrap_result(result: Any, backend: Backend) -> Tensor:
    """What an array function gave as a tensor; NumPy gives a bare scalar for a result of no dimensions."""
    return _wrap(result if isinstance(result, backend.array_type) else backend.asarray(result), backend)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward that is not made of recorded operations: differentiating it again raises, never lies."""

    def guarded(ctx: Node, *grads: Any) -> Any:
        if state.enabled:
            raise RuntimeError(f"{ctx.name}: its backward cannot be differentiated again (create_graph=True)")
        return backward(ctx, *grads)

    guarded.once_differentiable = True  # type: ignore[attr-defined]
    return guarded


def _refuse_mixed_devices(cls: type[Function], args: tuple[Any, ...]) -> NoReturn:
    places = sorted({str(x.device) for x in args if isinstance(x, _tensor_type)})
    raise RuntimeError(
        f"{cls.__name__}: expected all tensors on one device, got {' and '.join(places)}; move them with .to(device)"
    )


def has_nan(tensor: Tensor) -> bool:
    backend = tensor.backend
    return tensor.array.dtype.char in INEXACT and bool(backend.isnan(backend.widened(tensor.array)).any())


def _check_forward(ctx: Node, args: tuple[Any, ...], outputs: list[Tensor]) -> None:
    if any(isinstance(x, _tensor_type) and has_nan(x) for x in args):
        return
    for nr, out in enumerate(outputs):
        if has_nan(out):
            raise RuntimeError(
                f"{ctx.name} returned nan in its output {nr} (shape {out.array.shape}); its inputs had none"
            )


# Set by tensor.py, which needs this module: the two know each other, and nothing else here needs an import cycle.
_tensor_type: Any = None
_wrap: Any = None


def bind_tensor(tensor_type: type[Tensor], wrap: Callable[[Array, Backend], Tensor]) -> None:
    global _tensor_type, _wrap
    _tensor_type, _wrap = tensor_type, wrap
