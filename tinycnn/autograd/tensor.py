"""Tensor: an array, the gradient that came to it, and where it came from.

This file knows no operation. Arithmetic and the other methods are attached by `tinycnn.ops`; the block under
TYPE_CHECKING at the end of the class lists them for type checkers and editors.
"""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array, Backend, device, device_of, get_backend
from ..backend.dtypes import (
    FLOATING,
    INEXACT,
    dtype as DType,  # noqa: N812
    from_numpy_dtype,
    get_default_dtype,
)
from ..backend.layout import contiguous_format, lies_as, memory_format
from . import function
from .formatting import format_tensor
from .function import Function, Node
from .grad_mode import state
from .view import View

_hook_ids = itertools.count()


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that also knows how many elements it spans.

    Example:
        >>> import tinycnn
        >>> tinycnn.zeros(2, 3).shape, tinycnn.zeros(2, 3).shape.numel()
        (tinycnn.Size([2, 3]), 6)
    """

    __slots__ = ()

    def numel(self) -> int:
        """The product of the sizes."""
        n = 1
        for size in self:
            n *= size
        return n

    def __repr__(self) -> str:
        return f"tinycnn.Size({list(self)})"


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away, and so does leaving a `with`."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks, self._id = hooks, next(_hook_ids)
        hooks[self._id] = hook

    def remove(self) -> None:
        """Take the hook away; doing it twice is no error."""
        self._hooks.pop(self._id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Tensor:
    """An n-dimensional array that remembers how it was computed, so that gradients can flow back.

    Make one with `tinycnn.tensor(data)`, `zeros`, `randn`, ...; `Tensor(data)` itself gives the default floating dtype,
    as in PyTorch.

    Attributes:
        array: the NumPy or CuPy array underneath. Nothing is recorded of what is done to it.
        requires_grad: whether a gradient is wanted for this tensor.
        grad: the gradient that backward left here, or None.
        backend: the backend the array lives on.

    Example:
        >>> import tinycnn
        >>> x = tinycnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> y = (x * x).sum()
        >>> y.backward()
        >>> x.grad
        tensor([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_grad_fn",
        "_hooks",
        "_version",
        "_view",
        "array",
        "backend",
        "output_nr",
        "requires_grad",
    )

    __array_priority__ = 1000  # so that NumPy's numbers leave `numpy.float64(2) * tensor` to the tensor

    array: Array
    backend: Backend
    requires_grad: bool
    output_nr: int
    _grad: Tensor | None
    _grad_fn: Node | None
    _version: list[int]
    _view: View | None
    _hooks: dict[int, Callable[[Tensor], Tensor | None]] | None

    def __init__(self, *data: Any, device: str | device | None = None) -> None:
        backend = get_backend(device)
        dtype = get_default_dtype().numpy
        if len(data) == 1 and not isinstance(data[0], int):
            source = data[0].numpy() if isinstance(data[0], Tensor) else data[0]
            array = np.array(source, dtype)
        else:
            array = np.zeros(data if data else (0,), dtype)
        wrap(backend.from_numpy(array), backend, self)

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return Size(self.array.shape) if dim is None else self.array.shape[dim]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return from_numpy_dtype(self.array.dtype)

    def element_size(self) -> int:
        """The bytes an element takes."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes all elements take."""
        return self.array.nbytes

    @property
    def device(self) -> device:
        """Where the array lives."""
        return device_of(self.backend)

    @property
    def is_cuda(self) -> bool:
        """Whether it lives on a GPU."""
        return self.backend.device_type == "cuda"

    def is_floating_point(self) -> bool:
        """Whether the elements are real floating numbers."""
        return self.array.dtype.char in FLOATING

    def is_complex(self) -> bool:
        """Whether the elements are complex."""
        return self.array.dtype.kind == "c"

    def stride(self, dim: int | None = None) -> Any:
        """The steps in memory, in elements, from one index to the next along each dimension."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie in memory in the order of their indices, or in another memory format."""
        return lies_as(self.array, memory_format)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    def __repr__(self) -> str:
        return format_tensor(self)

    def __hash__(self) -> int:
        return id(self)

    # ---- leaving the tensor world -----------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array as NumPy's. On the CPU it shares memory with the tensor.

        Args:
            force: detach and copy to the CPU first if that is needed.

        Raises:
            RuntimeError: if the tensor requires a gradient.
            TypeError: if it is on a GPU, or of bfloat16, which NumPy has not.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy(): the tensor requires a gradient; use tensor.detach().numpy()")
        if self.backend.device_type != "cpu" and not force:
            raise TypeError(f"numpy(): the tensor is on {self.device}; use tensor.cpu().numpy()")
        if self.array.dtype.char == "E":
            raise TypeError("numpy(): NumPy has no bfloat16; use tensor.float().numpy()")
        return self.backend.to_numpy(self.array)[...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: a copy is needed to turn {array.dtype} into {np.dtype(dtype)}")
            return array.astype(dtype)
        return array.copy() if copy else array

    @property
    def __cuda_array_interface__(self) -> Any:
        if not self.is_cuda:
            raise AttributeError("__cuda_array_interface__: the tensor is on the CPU")
        if self.requires_grad:
            raise RuntimeError("__cuda_array_interface__: the tensor requires a gradient; use tensor.detach()")
        return self.array.__cuda_array_interface__

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError("__dlpack__: the tensor requires a gradient; use tensor.detach()")
        if any(step < 0 for step in self.array.strides):  # other libraries crash on them
            raise BufferError("__dlpack__: the tensor runs backwards through its memory; use tensor.contiguous()")
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def item(self) -> Any:
        """The one element, as a Python number.

        Raises:
            RuntimeError: if there is not exactly one.
        """
        if self.array.size != 1:
            raise RuntimeError(f"item(): needs a tensor with one element, this one has shape {self.array.shape}")
        return self.backend.to_numpy(self.array).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.backend.to_numpy(self.array).tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu" or self.array.ndim:
            raise TypeError(f"only an integer tensor of no dimensions can be an index, got {self.dtype!r} {self.shape}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(
                f"the truth of a tensor with {self.array.size} elements is ambiguous; use any() or all()"
            )
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(repr(self) if self.array.ndim else self.item(), spec)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        other = value.backend.widened(value.array) if isinstance(value, Tensor) else value
        return bool((self.backend.widened(self.array) == other).any())

    # ---- the graph --------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward left here, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.array.shape != self.array.shape or value.array.dtype != self.array.dtype:
                raise RuntimeError(
                    f"grad: a tensor of shape {self.array.shape} and {self.dtype!r} cannot have a gradient of shape "
                    f"{value.array.shape} and {value.dtype!r}"
                )
        self._grad = value

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, or None for a leaf."""
        self.bring_up_to_date()
        return self._grad_fn

    def bring_up_to_date(self) -> None:
        """See what was written into the memory that this view shares: its history and `requires_grad` follow."""
        if self._view is not None:
            self._view.refresh(self)

    @property
    def is_leaf(self) -> bool:
        """Whether backward ends here: not the result of a recorded operation."""
        return self.grad_fn is None

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it came from; see `autograd.backward`."""
        from .engine import backward

        backward(self, gradient, retain_graph, create_graph, inputs)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether a gradient is wanted for this leaf; returns the tensor.

        Raises:
            RuntimeError: if the dtype has no gradients, or the tensor is not a leaf and False is asked for.
        """
        if requires_grad and self.array.dtype.char not in INEXACT:
            raise RuntimeError(f"only floating tensors can require gradients, this one is {self.dtype!r}")
        if not requires_grad and self.grad_fn is not None:
            raise RuntimeError("requires_grad_(False): this tensor is not a leaf; use detach()")
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """A tensor on the same memory, cut off from the graph."""
        out = wrap(self.array[...], self.backend)
        out._version = self._version
        return out

    def detach_(self) -> Tensor:
        """Cut this tensor itself off from the graph."""
        if self._view is not None:
            raise RuntimeError("detach_(): this tensor is a view; use detach()")
        self._grad_fn, self.requires_grad, self.output_nr = None, False, 0
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history: writing to it is not recorded, and backward does not notice it."""
        return wrap(self.array[...], self.backend)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        self.array, self.backend = value.array[...], value.backend

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call hook(grad) when this tensor's gradient is known; what it returns, if anything, replaces the gradient.

        Raises:
            RuntimeError: if the tensor does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        node = self.grad_fn
        if node is None:
            if self._hooks is None:
                self._hooks = {}
            return RemovableHandle(self._hooks, hook)
        if node.hooks is None:
            node.hooks = {}
        return RemovableHandle(node.hooks.setdefault(self.output_nr, {}), hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in `.grad` though it is not a leaf.

        Raises:
            RuntimeError: if the tensor does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("retain_grad: the tensor does not require a gradient")
        node = self.grad_fn
        if node is not None:
            if node.retained is None:
                node.retained = {}
            node.retained[self.output_nr] = weakref.ref(self)  # a node must not hold what came out of it

    # ---- writing in place -------------------------------------------------------------------------------------------

    def _become_view(self, op: type[Function], args: tuple[Any, ...]) -> None:
        source: Tensor = args[0]
        array, whole = self.array, source.array
        memory = array.base
        known = memory is not None and (memory is whole or memory is whole.base)  # else it may be shared further away
        if array is not whole and (known or self.backend.may_share_memory(array, whole)):
            self._version = source._version
            step = (op, args[1:])
            before = source._view
            if before is None:
                self._view = View(source, (step,))
            else:
                self._view = View(before.base, None if before.steps is None else (*before.steps, step))

    def assign_(self, new: Tensor) -> Tensor:
        """Become new, in this tensor's own memory: the way of every in-place operation.

        Raises:
            RuntimeError: if new's shape differs, its dtype does not fit, or this is a leaf that requires a gradient
                while operations are recorded.
        """
        if new.array.shape != self.array.shape:
            raise RuntimeError(f"in place: a result of shape {new.shape} does not fit a tensor of shape {self.shape}")
        if new.dtype.category > self.dtype.category:
            raise RuntimeError(f"in place: result type {new.dtype!r} can't be cast to {self.dtype!r}")
        recording = state.enabled and (self.requires_grad or new.requires_grad)
        self.check_writable()
        node = self._grad_fn
        retains = node is not None and node.retained is not None and self.output_nr in node.retained
        self.backend.on_device(self.array.__setitem__, ..., new.array)
        self._version[0] += 1
        if recording:
            if self._view is not None or new.grad_fn is None:
                (self._view or View(self, ())).write_history(self, new)
            else:
                fitted = new if new.array.dtype == self.array.dtype else new.to(self.dtype)
                self._grad_fn, self.output_nr, self.requires_grad = fitted.grad_fn, fitted.output_nr, True
            if retains:
                self.retain_grad()
        return self

    def check_writable(self) -> None:
        """Raise if this memory cannot be written, or if writing to it now would lose a gradient."""
        array = self.array
        if array.size and any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True)):
            raise RuntimeError(
                f"in place: elements of this expanded tensor (shape {array.shape}) share their memory; clone() it"
            )
        if not getattr(array.flags, "writeable", True):
            raise RuntimeError("in place: the tensor shares read-only memory; clone() it")
        if not state.enabled:
            return
        base = self if self._view is None else self._view.base
        if self._view is not None and self._view.steps is None and base.requires_grad:
            raise RuntimeError("in place: this tensor is a view that a custom Function made; clone() it")
        if base.requires_grad and base._grad_fn is None:
            what = "a leaf tensor that requires a gradient" if base is self else "a view of such a leaf"
            raise RuntimeError(
                f"{what} cannot be written in place while operations are recorded; use no_grad() or .data"
            )

    def snapshot(self) -> Tensor:
        """This value as it is now, with its history, apart from later writes."""
        out = wrap(self.array.copy(), self.backend)
        out._grad_fn, out.output_nr, out.requires_grad = self.grad_fn, self.output_nr, self.requires_grad
        return out

    # ---- copying ----------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError("only leaf tensors can be deep-copied; use detach().clone() for the value of this one")
        out = type(self).__new__(type(self))
        wrap(self.array.copy(), self.backend, out)
        out.requires_grad = self.requires_grad
        memo[id(self)] = out
        out.grad = copy.deepcopy(self.grad, memo)
        if hasattr(self, "__dict__"):
            out.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        if self.grad_fn is not None:
            raise RuntimeError("only leaf tensors can be pickled; use detach() for the value of this one")
        array = self.backend.to_numpy(self.array)
        return _rebuild, (type(self), array, str(self.device), self.requires_grad, getattr(self, "__dict__", None))

    if TYPE_CHECKING:
        # Attached by tinycnn.ops; tests/test_typing.py keeps the operators here and those attached the same.
        @property
        def T(self) -> Tensor: ...  # noqa: N802
        def __getattr__(self, name: str) -> Callable[..., Any]: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __rand__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __ror__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __rxor__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __iadd__(self, other: Any) -> Tensor: ...
        def __isub__(self, other: Any) -> Tensor: ...
        def __imul__(self, other: Any) -> Tensor: ...
        def __itruediv__(self, other: Any) -> Tensor: ...
        def __ifloordiv__(self, other: Any) -> Tensor: ...
        def __imod__(self, other: Any) -> Tensor: ...
        def __ipow__(self, other: Any) -> Tensor: ...
        def __iand__(self, other: Any) -> Tensor: ...
        def __ior__(self, other: Any) -> Tensor: ...
        def __ixor__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...


def wrap(array: Array, backend: Backend, tensor: Tensor | None = None) -> Tensor:
    """A tensor on this array, as it is; `tensor`, which has nothing yet, if one is given."""
    if tensor is None:
        tensor = _new(Tensor)
    tensor.array = array
    tensor.backend = backend
    tensor.requires_grad = False
    tensor._grad = None
    tensor._grad_fn = None
    tensor.output_nr = 0
    tensor._version = [0]
    tensor._view = None
    tensor._hooks = None
    return tensor


_new = Tensor.__new__


def _rebuild(kind: type[Tensor], array: np.ndarray, where: str, requires_grad: bool, attributes: Any) -> Tensor:
    backend = get_backend(where)
    tensor = kind.__new__(kind)
    wrap(backend.from_numpy(array), backend, tensor)
    tensor.requires_grad = requires_grad
    if attributes:
        tensor.__dict__.update(attributes)
    return tensor


function.bind_tensor(Tensor, wrap)
