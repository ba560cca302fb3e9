"""The list of all operations, each with sample inputs: what the gradient checks, the dtype and backend checks, the
command line and the Tensor methods are made from.

An operation is a plain function with `@op(...)` on top, in the file of its family. Its samples stand beside it:

    @op(lambda make: [make.sample(make(2, 3)), make.sample(make(4))])
    def exp(input): ...

An operation that has kinks says where, and its samples stay away from there:

    @op(lambda make: [make.sample(make.apart(2, 3))], kinks="0")
    def relu(input): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeVar

from ..autograd import Tensor, wrap
from ..backend import get_backend
from ..backend.base import RandomSource
from .autocast import choosing
from .keywords import with_pytorch_keywords

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Sample:
    """One call of an operation: its arguments. Tensors among them that require a gradient are the ones checked."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


class Make:
    """Makes the tensors of samples: float64, seeded, away from the places where an operation has a kink."""

    def __init__(self, seed: int = 0) -> None:
        self.backend = get_backend("cpu")
        self.random: RandomSource = self.backend.new_random(seed)

    @staticmethod
    def sample(*args: Any, **kwargs: Any) -> Sample:
        return Sample(args, kwargs)

    def _leaf(self, array: Any) -> Tensor:
        return wrap(array, self.backend).requires_grad_()

    def __call__(self, *shape: int) -> Tensor:
        """Standard normal numbers; requires a gradient."""
        return self._leaf(self.random.normal(shape, "float64"))

    def positive(self, *shape: int, low: float = 0.5, high: float = 2.0) -> Tensor:
        """Uniform numbers between low and high; requires a gradient."""
        return self._leaf(self.random.uniform(shape, "float64") * (high - low) + low)

    def apart(self, *shape: int, gap: float = 0.1) -> Tensor:
        """Numbers of both signs, no two nearer than gap and none nearer to zero: no ties, no kinks. Requires a
        gradient."""
        n = wrap(self.backend.zeros(shape), self.backend).numel()
        values = (self.random.permutation(n) - n // 2 + 0.5) * (2 * gap)
        jitter = (self.random.uniform((n,), "float64") - 0.5) * gap * 0.5
        return self._leaf((values + jitter).reshape(shape))

    def integers(self, high: int, *shape: int) -> Tensor:
        """int64 numbers in [0, high)."""
        return wrap(self.random.integers(0, high, shape), self.backend)

    def booleans(self, *shape: int) -> Tensor:
        """True and False, half of each on average."""
        return wrap(self.random.uniform(shape, "float64") < 0.5, self.backend)


@dataclass(frozen=True)
class OpInfo:
    """What the suite has to know of an operation.

    Attributes:
        name: the function's name, unique.
        function: the function itself.
        samples: gives the sample inputs, fresh ones at each call.
        analytic: whether forward runs on complex numbers and is complex-analytic away from its kinks, so that the
            complex step applies.
        linear: whether it is linear in its first argument, so that the adjoint test applies.
        differentiable: whether it has a gradient at all.
        twice: whether its backward can be differentiated.
        random: whether it draws random numbers: the suite seeds the generator before each call.
        kinks: where its value or a derivative jumps, in a few words, such as "0" or "ties"; empty if nowhere. The
            samples stay away from there.
    """

    name: str
    function: Callable[..., Any]
    samples: Callable[[Make], Iterable[Sample]]
    analytic: bool
    linear: bool
    differentiable: bool
    twice: bool
    random: bool
    kinks: str = ""

    def make_samples(self, seed: int = 0) -> list[Sample]:
        """The sample inputs, made anew from a seed."""
        return list(self.samples(Make(seed)))


_ops: dict[str, OpInfo] = {}
_methods: dict[str, Callable[..., Any]] = {}


def op(
    samples: Callable[[Make], Iterable[Sample]],
    *,
    method: bool | str | tuple[str, ...] = True,
    analytic: bool | None = None,
    linear: bool = False,
    differentiable: bool = True,
    twice: bool = True,
    random: bool = False,
    kinks: str = "",
) -> Callable[[_F], _F]:
    """Register a function as an operation.

    Args:
        samples: gives sample inputs; see `Make`.
        method: the Tensor methods it becomes: True for one of its own name, names, or False.
        analytic: see `OpInfo`; unless given, whether it is linear.
        linear, differentiable, twice, random, kinks: see `OpInfo`.
    """

    def register(function: _F) -> _F:
        name = function.__name__
        if name in _ops:
            raise ValueError(f"an operation called {name!r} is registered already")
        function = choosing(name, function)
        complex_too = linear if analytic is None else analytic
        _ops[name] = OpInfo(name, function, samples, complex_too, linear, differentiable, twice, random, kinks)
        names = (name,) if method is True else (method,) if isinstance(method, str) else method or ()
        for method_name in names:
            add_method(method_name, function)
        return function

    return register


def add_method(name: str, function: Callable[..., Any]) -> None:
    """Make function a method of Tensor once all operations are there."""
    if name in _methods:
        raise ValueError(f"Tensor has a method {name!r} already")
    _methods[name] = function


def attach_methods() -> None:
    """Give Tensor its methods and operators; `ops/__init__` calls this once."""
    for name, function in _methods.items():
        plain = isinstance(function, FunctionType)  # T and mT are properties
        setattr(Tensor, name, with_pytorch_keywords(function, name=name, method=True) if plain else function)


def method_names() -> frozenset[str]:
    """The names of the methods that operations gave to Tensor."""
    return frozenset(_methods)


def get_op(name: str) -> OpInfo:
    """The operation of that name.

    Raises:
        KeyError: if there is none; the message lists near names.
    """
    if name not in _ops:
        import difflib

        near = difflib.get_close_matches(name, _ops, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise KeyError(f"no operation is called {name!r}{hint}")
    return _ops[name]


def all_ops() -> list[OpInfo]:
    """Every operation, by name."""
    return [_ops[name] for name in sorted(_ops)]
