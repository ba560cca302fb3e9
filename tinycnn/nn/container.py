"""Modules that hold modules or parameters: in a row, by name."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar, overload

from ..autograd import Tensor
from ..ops import flatten, unflatten
from .activation import ReLU, Sigmoid
from .conv import Conv2d
from .linear import Linear
from .module import Module, assemble_repr, indented
from .normalization import BatchNorm2d
from .parameter import Parameter
from .pooling import MaxPool2d

_Row = TypeVar("_Row", bound="_ModuleRow")


class _ModuleRow(Module):
    """Modules in a row, named "0", "1", ... unless names were given: what Sequential and ModuleList share."""

    _modules: dict[str, Module]  # type: ignore[assignment]

    def _name_at(self, index: Any) -> str:
        return list(self._modules)[_position(type(self).__name__, index, len(self))]

    def _set_row(self, modules: Iterable[Module]) -> None:
        """Hold these modules, numbered from 0."""
        row = list(modules)
        self._modules.clear()
        for module in row:
            self._add(module)

    def _add(self, module: Module) -> None:
        number = len(self._modules)
        while str(number) in self._modules:  # a slice keeps its names, so that one may be taken
            number += 1
        self.add_module(str(number), module)

    def _part(self, index: slice) -> Any:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self: _Row, index: slice) -> _Row: ...
    def __getitem__(self, index: Any) -> Any:
        return self._part(index) if isinstance(index, slice) else self._modules[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._modules[self._name_at(index)] = module

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            del self._modules[name]
        self._set_row(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def append(self: _Row, module: Module) -> _Row:
        """Add a module at the end; returns the container."""
        self._add(module)
        return self

    def extend(self: _Row, modules: Iterable[Module]) -> _Row:
        """Add modules at the end; returns the container."""
        for module in list(modules):
            self._add(module)
        return self

    def _insert(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {n} modules")
        row = list(self)
        row.insert(index, module)
        self._set_row(row)

    def pop(self, key: int = -1) -> Module:
        """Take out the module at an index, the last by default."""
        module = self[key]
        del self[key]
        return module

    def __add__(self: _Row, other: Iterable[Module]) -> _Row:
        if not isinstance(other, type(self)):
            return NotImplemented
        return type(self)().extend([*self, *other])

    def __iadd__(self: _Row, other: Iterable[Module]) -> _Row:
        return self.extend(other)


class Sequential(_ModuleRow):
    """Modules called one after the other: each gets what the one before it gave.

    Args:
        args: the modules, or one dict of modules by name.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
        >>> net(tinycnn.zeros(2, 1, 2, 2)).shape
        tinycnn.Size([2, 3])
        >>> net[1:]
        Sequential(
          (1): Linear(in_features=4, out_features=3, bias=True)
          (2): ReLU()
        )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], dict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for number, module in enumerate(args):
                self.add_module(str(number), module)

    def _part(self, index: slice) -> Sequential:
        return type(self)(dict(list(self._modules.items())[index]))

    def insert(self, index: int, module: Module) -> Sequential:
        """Put a module before the one at an index; returns the container."""
        self._insert(index, module)
        return self

    def forward(self, input: Any) -> Any:
        """The last module's output, by fewer operations where that is the same.

        A layer and the activation behind it are one, if nobody watches either: `_TOGETHER` tells which. And the maximum
        of a window may be taken before a ReLU as well as behind it, which then has a quarter of the pixels to bend.
        """
        modules = [*self._modules.values()]
        followers = [*modules[1:], None, None]
        skipped = 0
        for module, second, third in zip(modules, followers, followers[1:], strict=False):
            if skipped:
                skipped -= 1
            elif second is not None and type(second) in _ACTIVATIONS and second.is_plain:
                input, skipped = _activated(module, second, third, input)
            else:
                input = module(input)
        return input


_TOGETHER = {
    (BatchNorm2d, ReLU): "forward_relu",
    (Conv2d, ReLU): "forward_relu",
    (Conv2d, Sigmoid): "forward_sigmoid",
    (Linear, ReLU): "forward_relu",
    (Linear, Sigmoid): "forward_sigmoid",
}
_ACTIVATIONS = frozenset(activation for _, activation in _TOGETHER)


def _activated(module: Module, activation: Module, third: Module | None, input: Any) -> tuple[Any, int]:
    """What a module, the activation behind it and perhaps a third one give, and how many these are beyond the first."""
    pools = type(third) is MaxPool2d and third.is_plain and not third.return_indices
    if pools and type(activation) is ReLU and type(module) is not BatchNorm2d:
        assert third is not None
        return activation(third(module(input))), 2
    together = _TOGETHER.get((type(module), type(activation)))
    if together is None or not module.is_plain:
        return activation(module(input)), 1
    return getattr(module, together)(input), 1


class ModuleList(_ModuleRow):
    """A list of modules, so that their parameters are found; what they do with an input is its owner's business.

    Args:
        modules: what to start with.

    Example:
        >>> import tinycnn.nn as nn
        >>> nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        ModuleList(
          (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
        )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def _part(self, index: slice) -> ModuleList:
        return type(self)(list(self)[index])

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at an index."""
        self._insert(index, module)

    def __repr__(self) -> str:
        runs: list[tuple[int, int, str]] = []  # first, last, what they look like
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1] = runs[-1][0], i, text
            else:
                runs.append((i, i, text))
        lines = [
            indented(f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}")
            for first, last, text in runs
        ]
        return assemble_repr(type(self).__name__, [], lines)


class ModuleDict(Module):
    """A dict of modules, so that their parameters are found.

    Args:
        modules: a mapping or pairs to start with.

    Example:
        >>> import tinycnn.nn as nn
        >>> acts = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        >>> list(acts), acts["tanh"]
        (['relu', 'tanh'], Tanh())
    """

    _modules: dict[str, Module]  # type: ignore[assignment]

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take out everything."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take out one module and return it."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._modules.items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        for key, module in dict(modules).items():
            self[key] = module


class _ParameterHolder(Module):
    """What ParameterList and ParameterDict share: they make Parameters of tensors, and print a line for each."""

    _parameters: dict[str, Parameter]  # type: ignore[assignment]

    def _put(self, name: str, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Parameter or a Tensor, got {type(value).__name__}")
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))

    def __len__(self) -> int:
        return len(self._parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{type(self).__name__} should not be called.")

    def __repr__(self) -> str:
        lines = []
        for name, p in self._parameters.items():
            size = "x".join(map(str, p.shape))
            where = f" ({p.device})" if p.is_cuda else ""
            lines.append(f"  ({name}): Parameter containing: [{p.dtype!r} of size {size}{where}]")
        return assemble_repr(type(self).__name__, [], lines)


class ParameterList(_ParameterHolder):
    """A list of parameters that modules find.

    Args:
        values: parameters, or tensors to make parameters of.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.ParameterList([tinycnn.zeros(2, 3)])
        ParameterList(
            (0): Parameter containing: [tinycnn.float32 of size 2x3]
        )
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or [])

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._parameters[str(_position("ParameterList", index, len(self)))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        self._put(str(_position("ParameterList", index, len(self))), value)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def append(self, value: Tensor) -> ParameterList:
        """Add a parameter at the end; returns the list."""
        self._put(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Add parameters at the end; returns the list."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Tensor]) -> ParameterList:
        return self.extend(values)


class ParameterDict(_ParameterHolder):
    """A dict of parameters that modules find.

    Args:
        parameters: a mapping or pairs of parameters, or of tensors to make parameters of.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> scales = nn.ParameterDict({"a": tinycnn.ones(2)})
        >>> list(scales), scales["a"].requires_grad
        (['a'], True)
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Parameter:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def pop(self, key: str) -> Parameter:
        """Take out one parameter and return it."""
        return self._parameters.pop(key)

    def clear(self) -> None:
        """Take out everything."""
        self._parameters.clear()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._parameters.keys()

    def items(self) -> ItemsView[str, Parameter]:
        """Names and parameters."""
        return self._parameters.items()

    def values(self) -> ValuesView[Parameter]:
        """The parameters."""
        return self._parameters.values()

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Add parameters, or replace those of the same names."""
        for key, value in dict(parameters).items():
            self[key] = value


class Flatten(Module):
    """Merges the dimensions from start_dim to end_dim into one; by default all but the batch's.

    Shapes: x (N, d1, d2, ...) -> y (N, d1 * d2 * ...).

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Flatten()(tinycnn.zeros(2, 3, 4, 5)).shape
        tinycnn.Size([2, 60])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """x with dimensions merged."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one dimension into several: the reverse of Flatten.

    Args:
        dim: which.
        unflattened_size: the new sizes; one may be -1.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.Unflatten(1, (3, 4, 5))(tinycnn.zeros(2, 60)).shape
        tinycnn.Size([2, 3, 4, 5])
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...] | list[int]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, tuple | list):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple, got {unflattened_size!r}")
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """x with a dimension split."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _position(name: str, index: Any, n: int) -> int:
    """An index, which may count from the end, as one from the start."""
    position = operator.index(index)
    if not -n <= position < n:
        raise IndexError(f"{name}: index {position} is out of range for length {n}")
    return position % n
