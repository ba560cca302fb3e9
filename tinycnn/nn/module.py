"""Module: a part of a network. It owns parameters, buffers and other modules, and finds them by name.

Assigning does the bookkeeping: `self.weight = Parameter(...)` puts the parameter into `_parameters`, `self.conv =
Conv2d(...)` the module into `_modules`; what `register_buffer` gets goes into `_buffers`. All else is an ordinary
attribute. Every method below walks these three dicts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ..autograd import Function, RemovableHandle, Size, Tensor, is_grad_enabled, no_grad
from ..backend import device as Device  # noqa: N812
from ..backend.dtypes import (
    as_dtype,
    bfloat16,
    dtype as DType,  # noqa: N812
    float16,
    float32,
    float64,
)
from ..ops import tensor as make_tensor
from .parameter import Parameter, is_uninitialized

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="Module")


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found to differ: names the module has and the state has not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module:
    """The base of every layer and network. Subclass it, make the parts in `__init__`, and write `forward`.

    Attributes:
        training: whether it is being trained; dropout and batch normalisation look at it.

    Example:
        >>> import tinycnn.nn as nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.Linear(4, 8)
        ...         self.out = nn.Linear(8, 2)
        ...
        ...     def forward(self, x):
        ...         return self.out(self.hidden(x).relu())
        >>> Net()
        Net(
          (hidden): Linear(in_features=4, out_features=8, bias=True)
          (out): Linear(in_features=8, out_features=2, bias=True)
        )
        >>> [name for name, _ in Net().named_parameters()]
        ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers: set[str]
    _forward_pre_hooks: dict[int, tuple[Callable[..., Any], bool]]
    _forward_hooks: dict[int, tuple[Callable[..., Any], bool]]
    _backward_hooks: dict[int, Callable[..., Any]]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers=set(),
            _forward_pre_hooks=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
        )

    # ---- calling ----------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass writes its own. Call the module itself, so that hooks run."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    @property
    def is_plain(self) -> bool:
        """Whether a call does what the class says: no hook is registered, no forward was put into this one module."""
        hooks = self._forward_pre_hooks or self._forward_hooks or self._backward_hooks
        return not hooks and "forward" not in self.__dict__

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in tuple(self._forward_pre_hooks.values()):
            if with_kwargs:
                result = hook(self, args, kwargs)
                if result is not None:
                    if not isinstance(result, tuple) or len(result) != 2:
                        raise RuntimeError(
                            f"{type(self).__name__}: a forward pre-hook with kwargs must return None or a pair "
                            f"(args, kwargs), got {type(result).__name__}"
                        )
                    args, kwargs = result
            else:
                result = hook(self, args)
                if result is not None:
                    args = result if isinstance(result, tuple) else (result,)
        watch = _BackwardWatch(self) if self._backward_hooks and is_grad_enabled() else None
        if watch is not None:
            args = watch.inputs(args)
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self._forward_hooks.values()):
            result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            if result is not None:
                output = result
        return output if watch is None else watch.outputs(output)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args) before forward; what it returns, if anything, replaces the arguments.

        Args:
            hook: with `with_kwargs` it is called as hook(module, args, kwargs) and returns None or (args, kwargs).
            prepend: put it before the hooks that are there.

        Returns:
            A handle whose `remove()` takes the hook away.
        """
        return _add_hook(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args, output) after forward; what it returns, if anything, replaces the output.

        Args:
            hook: with `with_kwargs` it is called as hook(module, args, kwargs, output).
            prepend: put it before the hooks that are there.

        Returns:
            A handle whose `remove()` takes the hook away.

        Example:
            >>> import tinycnn, tinycnn.nn as nn
            >>> layer = nn.Linear(3, 2)
            >>> with layer.register_forward_hook(lambda module, args, output: print(output.shape)):
            ...     _ = layer(tinycnn.zeros(5, 3))
            tinycnn.Size([5, 2])
        """
        return _add_hook(self._forward_hooks, (hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output) when backward has passed the module.

        grad_input has an entry for each positional argument, None for what needs no gradient; grad_output one for each
        output. What the hook returns, if anything, replaces grad_input.

        Returns:
            A handle whose `remove()` takes the hook away.
        """
        return _add_hook(self._backward_hooks, hook, prepend)

    # ---- attributes -------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_modules" in state:  # during unpickling the dicts may not be there yet
            for members in (state["_parameters"], state["_buffers"], state["_modules"]):
                if name in members:
                    return members[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _own(self, first: str, second: str) -> tuple[Any, Any]:
        """Two attributes, such as weight and bias, that are most likely parameters or buffers: to look there first
        takes a fifth of the time that Python takes to find out that they are no ordinary attributes."""
        for members in (self._parameters, self._buffers):
            if first in members and second in members:
                return members[first], members[second]
        return getattr(self, first), getattr(self, second)

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name, "parameters", keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "modules", keep="_modules")
            self._modules[name] = value
        elif name in state.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as parameter {name!r} "
                    "(tinycnn.nn.Parameter or None expected)"
                )
            self._parameters[name] = None
        elif name in state.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as child module {name!r} "
                    "(tinycnn.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif name in state.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign {type(value).__name__!r} as buffer {name!r} (tinycnn.Tensor or None expected)"
                )
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_buffers", "_modules"):
            members = self.__dict__.get(kind, {})
            if name in members:
                del members[name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def _forget(self, name: str, what: str, keep: str) -> None:
        """Make name free of any other kind of attribute."""
        state = self.__dict__
        if "_parameters" not in state:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        state.pop(name, None)
        for kind in ("_parameters", "_buffers", "_modules"):
            if kind != keep:
                state[kind].pop(name, None)
        self._non_persistent_buffers.discard(name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if name.isidentifier())

    def _check_name(self, what: str, name: Any, members: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if name not in members and hasattr(self, name):
            raise KeyError(f"attribute {name!r} already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None keeps the name for one that this module does without.

        Raises:
            KeyError: if the name is taken, empty or has a dot.
            TypeError: if param is neither a Parameter nor None.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign {type(param).__name__!r} object to parameter {name!r} "
                "(tinycnn.nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state but is not learnt, such as a running mean.

        Args:
            name: the attribute's name.
            tensor: the value, or None to keep the name.
            persistent: whether `state_dict` contains it.

        Raises:
            KeyError: if the name is taken, empty or has a dot.
            TypeError: if tensor is neither a Tensor nor None.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign {type(tensor).__name__!r} object to buffer {name!r} (tinycnn.Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name, which need not be an identifier.

        Raises:
            KeyError: if the name is taken, empty or has a dot.
            TypeError: if module is neither a Module nor None.
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        if "_modules" not in self.__dict__:
            raise AttributeError("cannot assign module before Module.__init__() call")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    # ---- finding ----------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all inside it with their dotted names, parents first, each once.

        Args:
            memo: modules to leave out; those met are added.
            prefix: put before every name.
            remove_duplicate: whether a module that occurs twice is given once.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one with their names, each once."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one, each once."""
        for _, child in self.named_children():
            yield child

    def _named_members(
        self, members: Callable[[Module], Mapping[str, _T | None]], prefix: str, recurse: bool, once: bool
    ) -> Iterator[tuple[str, _T]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        seen: set[int] = set()
        for path, module in modules:
            for name, member in members(module).items():
                if member is None or id(member) in seen:
                    continue
                if once:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; one that is shared is given once, under its first name.

        Args:
            prefix: put before every name.
            recurse: whether to look into the modules inside.
            remove_duplicate: whether a shared parameter is given once.
        """
        return self._named_members(lambda m: m._parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; the arguments are those of `named_parameters`."""
        return self._named_members(lambda m: m._buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name; "" is this one.

        Raises:
            AttributeError: if there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not a Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name.

        Raises:
            AttributeError: if there is none.
        """
        found = self._get_member(target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{target.rpartition('.')[2]}` is not a Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that dotted name.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        found = self._get_member(target)
        if name not in self.get_submodule(path)._buffers or found is None:
            raise AttributeError(f"`{name}` is not a buffer")
        return found

    def _get_member(self, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        return getattr(module, name)

    # ---- changing all at once ---------------------------------------------------------------------------------------

    def apply(self: _Self, fn: Callable[[Module], Any]) -> _Self:
        """Call fn with every module inside, children first, and with this one at last; returns the module.

        Example:
            >>> import tinycnn.nn as nn
            >>> def init(m):
            ...     if type(m) is nn.Linear:
            ...         nn.init.ones_(m.weight)
            >>> nn.Sequential(nn.Linear(2, 1)).apply(init)[0].weight
            Parameter containing:
            tensor([[1., 1.]], requires_grad=True)
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: _Self, mode: bool = True) -> _Self:
        """Say whether this module and all inside are being trained; returns the module.

        Raises:
            ValueError: if mode is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)  # not a walk over modules(): a layer may have a train() of its own
        return self

    def eval(self: _Self) -> _Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Say whether gradients are wanted for all parameters; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad = parameter.grad.detach()
                    parameter.grad.zero_()

    def to(self: _Self, *args: Any, **kwargs: Any) -> _Self:
        """Move to a device, change the dtype of floating parameters and buffers, or the layout; returns the module.

        Parameters stay the objects they are, so an optimiser goes on with them.

        Args:
            args, kwargs: to(device), to(dtype), to(device, dtype), to(tensor), or these names as keywords; and
                memory_format for tensors of four dimensions.

        Raises:
            TypeError: if the dtype is not floating, or an argument is none of these.

        Example:
            >>> import tinycnn, tinycnn.nn as nn
            >>> nn.Linear(2, 1).to(tinycnn.float64).weight.dtype
            tinycnn.float64
        """
        layout = kwargs.pop("memory_format", None)
        device, dtype = _parse_to(args, kwargs)

        def convert(tensor: Tensor) -> Tensor:
            if layout is not None and not is_uninitialized(tensor) and tensor.ndim == 4:
                tensor = tensor.to(memory_format=layout)
            if device is not None:
                tensor = tensor.to(device)
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                tensor = tensor.to(dtype)
            return tensor

        return self._convert(convert)

    def _convert(self: _Self, convert: Callable[[Tensor], Tensor]) -> _Self:
        """Replace the value of every parameter, its gradient and every buffer by what convert makes of it."""
        for parameter in self.parameters():
            if is_uninitialized(parameter):
                convert(parameter)
                continue
            parameter.data = convert(parameter.data)
            if parameter.grad is not None:
                parameter.grad.data = convert(parameter.grad.data)
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = convert(buffer)
        return self

    def cpu(self: _Self) -> _Self:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self: _Self, device: int | str | Device | None = None) -> _Self:
        """`to("cuda")`, or to the GPU of that number."""
        return self.to(f"cuda:{device}" if isinstance(device, int) else device or "cuda")

    def half(self: _Self) -> _Self:
        """`to(float16)`."""
        return self.to(float16)

    def bfloat16(self: _Self) -> _Self:
        """`to(bfloat16)`."""
        return self.to(bfloat16)

    def float(self: _Self) -> _Self:
        """`to(float32)`."""
        return self.to(float32)

    def double(self: _Self) -> _Self:
        """`to(float64)`."""
        return self.to(float64)

    # ---- the state --------------------------------------------------------------------------------------------------

    def _state(self, prefix: str) -> Iterator[tuple[str, dict[str, Any], str, Any]]:
        """Of every parameter and persistent buffer: its dotted name, the dict it is in, its name there, itself."""
        for path, module in self.named_modules(remove_duplicate=False):
            start = f"{prefix}{path}." if path else prefix
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    yield start + name, module._parameters, name, parameter
            for name, buffer in module._buffers.items():
                if buffer is not None and name not in module._non_persistent_buffers:
                    yield start + name, module._buffers, name, buffer

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by dotted name, in PyTorch's order.

        The tensors share memory with the module's: copy them to keep a state while training goes on.

        Args:
            destination: a dict to add to.
            prefix: put before every name.
            keep_vars: give the parameters themselves instead of detached tensors.

        Example:
            >>> import tinycnn.nn as nn
            >>> [(name, tuple(t.shape)) for name, t in nn.Linear(3, 2).state_dict().items()]
            [('weight', (2, 3)), ('bias', (2,))]
        """
        state = OrderedDict() if destination is None else destination
        for key, _, _, tensor in self._state(prefix):
            state[key] = tensor if keep_vars or is_uninitialized(tensor) else tensor.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers of the same names.

        Args:
            state_dict: tensors or arrays by dotted name, as `state_dict` gives them.
            strict: whether a missing or an unexpected name is an error.
            assign: put the state's tensors in the place of the module's instead of copying their values.

        Returns:
            (missing_keys, unexpected_keys).

        Raises:
            RuntimeError: if names (with strict) or shapes differ, or a value is no array; it lists all that is wrong,
                and nothing has been changed.
            TypeError: if state_dict is no mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        ours = list(self._state(""))
        names = {key for key, *_ in ours}
        missing = [key for key, *_ in ours if key not in state_dict]
        unexpected = [key for key in state_dict if key not in names]
        errors: list[str] = []
        if strict and missing:
            errors.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if strict and unexpected:
            errors.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
        values: dict[str, Tensor] = {}
        for key, _, _, current in ours:
            if key in state_dict:
                try:
                    values[key] = _loadable(key, state_dict[key], current)
                except ValueError as error:
                    errors.append(str(error))
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}")
        with no_grad():
            for key, members, name, current in ours:
                if key in values:
                    _load(members, name, current, values[key], assign)
        return IncompatibleKeys(missing, unexpected)

    # ---- printing ---------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`; layers put their settings there."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indented(repr(child))}" for name, child in self._modules.items()]
        return assemble_repr(type(self).__name__, lines, children)


def assemble_repr(name: str, lines: list[str], children: list[str]) -> str:
    """`Name(settings)`, or a line for each child."""
    if len(lines) == 1 and not children:
        return f"{name}({lines[0]})"
    body = "".join(f"\n  {line}" for line in lines + children)
    return f"{name}({body}\n)" if body else f"{name}()"


def indented(text: str) -> str:
    """text with every line but the first moved right by two."""
    return text.replace("\n", "\n  ")


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _loadable(key: str, value: Any, current: Tensor) -> Tensor:
    """value as a tensor that fits into current; otherwise a ValueError with the line for the user."""
    if is_uninitialized(value):
        raise ValueError(f'the value of "{key}" is uninitialized: its lazy layer was saved before its first call.')
    if not isinstance(value, Tensor):
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise ValueError(
                f'While copying the parameter named "{key}", expected tinycnn.Tensor or Tensor-like object from '
                f"checkpoint but received {type(value)}"
            )
        try:
            value = make_tensor(value, device=current.device)
        except (TypeError, ValueError) as error:
            raise ValueError(f'While copying the parameter named "{key}": {error}') from None
    if is_uninitialized(current):
        return value
    if value.shape != current.shape:
        raise ValueError(
            f"size mismatch for {key}: copying a param with shape {Size(value.shape)} from checkpoint, "
            f"the shape in current model is {current.shape}."
        )
    if value.is_complex() and not current.is_complex():
        raise ValueError(f"dtype mismatch for {key}: complex values do not fit a {current.dtype!r} parameter.")
    return value


def _load(members: dict[str, Any], name: str, current: Any, value: Tensor, assign: bool) -> None:
    if assign:
        is_parameter = isinstance(current, Parameter)
        members[name] = Parameter(value, current.requires_grad) if is_parameter else value.detach()
        return
    if is_uninitialized(current):
        current = members[name] = current.materialize(tuple(value.shape))
    current.copy_(value)


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, DType | None]:
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    other = kwargs.pop("tensor", None)
    if kwargs:
        raise TypeError(f"to: unknown argument {', '.join(map(repr, kwargs))}; say device, dtype or tensor")
    for given in (*args, other):
        if given is None:
            continue
        if isinstance(given, Tensor):
            device, dtype = given.device, given.dtype
        elif isinstance(given, Device) or (isinstance(given, str) and not _is_dtype_name(given)):
            device = given
        elif isinstance(given, int):
            device = f"cuda:{given}"
        else:
            dtype = given
    wanted = None if dtype is None else as_dtype(dtype)
    if wanted is not None and not (wanted.is_floating_point or wanted.is_complex):
        raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={wanted!r}")
    return None if device is None else Device(device), wanted


def _is_dtype_name(name: str) -> bool:
    try:
        as_dtype(name)
    except TypeError:
        return False
    return True


def _add_hook(hooks: Any, hook: Any, prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, hook)
    if prepend:
        hooks.move_to_end(next(reversed(hooks)), last=False)
    return handle


class _Watched(Function):
    """Hands tensors on as they are; on the way back `seen` looks at their gradients and may replace them."""

    @staticmethod
    def forward(ctx: Any, seen: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.seen = seen
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        return (None, *ctx.seen(grads))


class _BackwardWatch:
    """One call of a module that has backward hooks.

    The outputs go through one `_Watched`, which backward meets first and whose gradients are kept; the inputs through
    another, which it meets last, and there the hooks are called.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.places: list[int] = []  # of the arguments that need a gradient
        self.count = 0
        self.grad_output: tuple[Tensor | None, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.count = len(args)
        self.places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        if not self.places:
            return args
        watched = list(args)
        for i, x in zip(self.places, _Watched.apply(self._inputs_seen, *[args[i] for i in self.places]), strict=True):
            watched[i] = x
        return tuple(watched)

    def outputs(self, output: Any) -> Any:
        many = isinstance(output, (tuple, list))
        found = list(output) if many else [output]
        if not any(isinstance(x, Tensor) for x in found):
            raise TypeError(
                f"{type(self.module).__name__}: a full backward hook needs an output that is a tensor or a tuple with "
                f"tensors, got {type(output).__name__}"
            )
        places = [i for i, x in enumerate(found) if isinstance(x, Tensor) and x.requires_grad]
        if not places:
            return output
        count = len(found)

        def seen(grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
            by_place = dict(zip(places, grads, strict=True))
            self.grad_output = tuple(by_place.get(i) for i in range(count))
            if not self.places:
                self._run_hooks((None,) * self.count)
            return grads

        for i, x in zip(places, _Watched.apply(seen, *[found[i] for i in places]), strict=True):
            found[i] = x
        return getattr(type(output), "_make", type(output))(found) if many else found[0]

    def _inputs_seen(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        by_place = dict(zip(self.places, grads, strict=True))
        grad_input = self._run_hooks(tuple(by_place.get(i) for i in range(self.count)))
        return tuple(grad_input[i] for i in self.places)

    def _run_hooks(self, grad_input: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        for hook in tuple(self.module._backward_hooks.values()):
            result = hook(self.module, grad_input, self.grad_output)
            if result is None:
                continue
            result = result if isinstance(result, tuple) else (result,)
            if len(result) != len(grad_input):
                raise RuntimeError(
                    f"{type(self.module).__name__}: a backward hook returned {len(result)} gradients for "
                    f"{len(grad_input)} inputs"
                )
            grad_input = result
        self.grad_output = ()
        return grad_input
