"""The base of the optimisers: parameters in groups, each group with its own options, and a state for each parameter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from ..autograd import Tensor, enable_grad, no_grad, wrap
from ..autograd.conversion import as_array
from ..backend import Array, Backend

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]

# What a learning-rate scheduler writes into a group beside the options.
_OF_SCHEDULERS = {"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}

# PyTorch's arguments that choose between ways to compute the same, and why there is nothing to choose here.
_ONE_WAY = {
    "foreach": "an update is one kernel already where there are fast kernels",
    "fused": "an update is one kernel already where there are fast kernels",
    "differentiable": "steps are not recorded for backward",
}


def refuse(name: str, **arguments: bool | None) -> None:
    """Raise a NotImplementedError if one of PyTorch's arguments asks for what there is not."""
    for argument, value in arguments.items():
        if value:
            raise NotImplementedError(f"{name}: {argument}=True is not offered, {_ONE_WAY[argument]}; leave it out")


class Optimizer:
    """What all optimisers share. A new one subclasses this, names its options and writes `update`, which is best one
    call of `run` with a kernel: then parameters that share their numbers are stepped together.

    Args:
        params: the parameters, as `model.parameters()` or `model.named_parameters()` gives them, or dicts of which each
            is a group: {"params": [...], "lr": 0.1} overrides lr for that group.
        defaults: the options of a group that does not say otherwise.

    Attributes:
        param_groups: a dict a group: "params", a list of tensors, and the options. Writing to it changes the next step.
        state: what the optimiser remembers of each parameter, by parameter.

    Raises:
        ValueError: if there are no parameters, one of them is not a leaf or occurs twice, or an option is out of range.
        TypeError: if one of them is no tensor, or complex and the optimiser takes real ones only.
    """

    non_negative: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")  # options that must be 0 or more
    takes_complex: ClassVar[bool] = False

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{self.name}: params must be several tensors or dicts, got one Tensor; wrap it in []")
        if not isinstance(params, Iterable):
            raise TypeError(f"{self.name}: params must be several tensors or dicts, got {params!r}")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        # What the step under way has to do: each parameter's arrays by kernel and numbers, counts of steps by backend.
        self._noted: dict[Any, list[tuple[Array | None, ...]]] = {}
        self._counts: dict[Backend, list[Array]] = {}
        self._stepped = False  # whether `step` has run, for a scheduler that would come too early
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{self.name}: got no parameters; has the model any, or was a generator used up before?")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def name(self) -> str:
        """The class's name, for messages."""
        return type(self).__name__

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise a ValueError if an option of a group is out of range."""
        for option in self.non_negative:
            value = group[option]
            if not hasattr(value, "__float__") or not value >= 0:
                raise ValueError(f"{self.name}: {option} must be 0 or more, got {value!r}")

    def update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        """Take one step with one parameter, in place; called under no_grad."""
        raise NotImplementedError

    def new_state(self, param: Tensor, value: float = 0.0) -> Tensor:
        """An array to remember something of a parameter in, of its shape and layout, filled with a value. Beside
        float16 and bfloat16 it is float32: in half precision a small average would vanish."""
        if param.backend.capturing is not None:
            raise RuntimeError(
                f"{self.name}: its state of a parameter begins with a step that is not captured; take one first"
            )
        like = param.array
        dtype = "float32" if like.dtype.itemsize == 2 else like.dtype
        return wrap(param.backend.full_like(like, value, dtype=dtype), param.backend)

    def run(
        self,
        kernel: str,
        param: Tensor,
        grad: Tensor,
        group: dict[str, Any],
        states: Sequence[Tensor | None],
        *numbers: Any,
    ) -> None:
        """Note a step for kernels.KERNEL(params, grads, *states, *numbers), which works in place: all that differ in
        their arrays only are taken at once, when `update` has seen every parameter."""
        backend, array, g = param.backend, param.array, grad.array
        if group["maximize"]:
            g = backend.negative(g)
        # The types tell which of the states there are.
        alike = kernel, backend, array.dtype, tuple(map(type, states)), numbers
        row = array, g, *[None if state is None else state.array for state in states]
        self._noted.setdefault(alike, []).append(row)

    def count_step(self, param: Tensor, group: dict[str, Any], state: dict[str, Any]) -> tuple[Tensor | None, int]:
        """Count one more step of a parameter in state["step"].

        Returns:
            None, and the number of the step; for a group that is capturable, a tensor that will hold that number when
            the steps that `run` has noted are taken, and 0.
        """
        step = state["step"]
        if not group.get("capturable"):
            state["step"] = number = 1 + (int(step.item()) if isinstance(step, Tensor) else step)
            return None, number
        if not isinstance(step, Tensor):
            step = state["step"] = wrap(param.backend.full((), step, dtype="float32"), param.backend)
        self._counts.setdefault(param.backend, []).append(step.array)
        return step, 0

    def _run_noted(self) -> None:
        """Take the steps that `run` has noted."""
        for backend, counts in self._counts.items():
            backend.on_device(backend.kernels.count_up, counts)
        for (kernel, backend, _, _, numbers), rows in self._noted.items():
            columns = [None if column[0] is None else list(column) for column in zip(*rows, strict=True)]
            backend.quietly(getattr(backend.kernels, kernel), *columns, *numbers)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, such as layers that are trained from now on.

        Args:
            param_group: {"params": tensors, and any options that differ from the defaults}.

        Raises:
            ValueError, TypeError: as the constructor.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{self.name}: a parameter group must be a dict with 'params', got {param_group!r:.80}")
        given = param_group["params"]
        members = [given] if isinstance(given, Tensor) else list(given)
        names = [p[0] for p in members if isinstance(p, tuple)]
        if names and len(names) != len(members):
            raise ValueError(f"{self.name}: name all parameters of a group or none")
        params = [p[1] if isinstance(p, tuple) else p for p in members]
        unknown = sorted(set(param_group) - set(self.defaults) - {"params", "param_names"} - _OF_SCHEDULERS)
        if unknown:
            raise ValueError(
                f"{self.name}: unknown option {', '.join(map(repr, unknown))}, there are {', '.join(self.defaults)}"
            )
        group = {"params": params, **{k: param_group.get(k, v) for k, v in self.defaults.items()}}
        group.update((k, v) for k, v in param_group.items() if k in _OF_SCHEDULERS)
        if names:
            group["param_names"] = names
        self._check_params(params, names)
        self.check_options(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any], names: list[str]) -> None:
        if not params:
            raise ValueError(f"{self.name}: a parameter group is empty")
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            which = f"parameter {names[i]!r}" if names else f"parameter {i}"
            if not isinstance(p, Tensor):
                raise TypeError(f"{self.name}: {which} is a {type(p).__name__}, expected a Tensor")
            if id(p) in seen:
                raise ValueError(f"{self.name}: {which} occurs twice")
            seen.add(id(p))
            if type(p).__name__ == "UninitializedParameter":
                continue  # a lazy layer's: it gets its shape, and with it a gradient, at the first call
            if p.array.dtype.kind == "c" and not self.takes_complex:
                raise TypeError(f"{self.name}: {which} is {p.dtype}, expected real numbers")
            if not p.is_leaf:
                raise ValueError(
                    f"{self.name}: {which} (shape {p.array.shape}) is the result of an operation, not a leaf"
                )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: drop the arrays; otherwise keep them, filled with zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.backend.on_device(p.grad.array.__setitem__, ..., 0)
                    p.grad._version[0] += 1

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient.

        Args:
            closure: if given, it is called first to compute the loss and the gradients anew.

        Returns:
            What closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._noted, self._counts = {}, {}
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    grad = p._grad
                    if grad is not None:
                        if p.backend.capturing is not None:
                            self._check_captured(p, group)
                        self.update(p, grad, group)
                        p._version[0] += 1
            self._run_noted()
        self._noted, self._counts = {}, {}
        self._stepped = True
        return loss

    def _check_captured(self, param: Tensor, group: dict[str, Any]) -> None:
        """A captured step keeps the options that it was captured with, and cannot count on the host."""
        if not isinstance(self.state.get(param, {}).get("step", param), Tensor):
            way = "make it with capturable=True" if "capturable" in self.defaults else "call step() behind the graph"
            if group.get("capturable"):  # a state that was loaded
                way = "take one step before that is not captured"
            raise RuntimeError(f"{self.name}: it counts its steps on the host, which a captured step cannot; {way}")
        if param is group["params"][0]:
            no_options = "params", "param_names"
            param.backend.constant(lambda: [value for key, value in group.items() if key not in no_options])

    def state_dict(self) -> dict[str, Any]:
        """The options and the state, with parameters replaced by their numbers, counted over all groups; the tensors in
        it are the optimiser's own, not copies."""
        params = [p for group in self.param_groups for p in group["params"]]
        number = {id(p): i for i, p in enumerate(params)}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the options and a copy of the state from `state_dict()` of an optimiser over such parameters.

        The arrays may be tensors, NumPy's, or another library's that NumPy reads: PyTorch's state_dict of the optimiser
        of the same name will do.

        Raises:
            ValueError: if groups, parameters or shapes do not fit; nothing is changed then.
        """
        if not {"param_groups", "state"} <= set(state_dict):
            raise ValueError(f"{self.name}.load_state_dict: no optimiser's state: it lacks 'param_groups' or 'state'")
        groups, state = state_dict["param_groups"], state_dict["state"]
        ours = [len(group["params"]) for group in self.param_groups]
        theirs = [len(group["params"]) for group in groups]
        if ours != theirs:
            raise ValueError(
                f"{self.name}.load_state_dict: the state has groups of {theirs} parameters, ours are {ours}"
            )
        numbers = [n for group in groups for n in group["params"]]
        by_number = dict(zip(numbers, (p for group in self.param_groups for p in group["params"]), strict=True))
        loaded: dict[Tensor, dict[str, Any]] = {}
        for n, values in state.items():
            if n not in by_number:
                raise ValueError(f"{self.name}.load_state_dict: a state is for parameter {n}, which no group has")
            p = by_number[n]
            loaded[p] = {key: self._adopt(p, n, key, value) for key, value in values.items()}
        merged = [{**new, "params": old["params"]} for old, new in zip(self.param_groups, groups, strict=True)]
        for group in merged:
            group.update((k, tuple(group[k])) for k, v in self.defaults.items() if isinstance(v, tuple) and k in group)
            if "capturable" in self.defaults:  # which a state may lack
                group.setdefault("capturable", False)
            missing = sorted(set(self.defaults) - set(group))
            if missing:
                raise ValueError(f"{self.name}.load_state_dict: a group lacks {', '.join(missing)}")
            self.check_options(group)
        self.param_groups, self.state = merged, loaded

    def _adopt(self, param: Tensor, number: int, key: str, value: Any) -> Any:
        """A copy of a state's value; an array of the parameter's shape gets its device, layout and precision."""
        if key == "step":
            return int(value)  # PyTorch's is a tensor; if ours has to be one, the next step makes it
        if not hasattr(value, "shape"):
            return copy.deepcopy(value)
        array = as_array(value, None, param.backend)
        if array.ndim and array.shape != param.array.shape:
            raise ValueError(
                f"{self.name}.load_state_dict: {key} of parameter {number} has shape {array.shape}, "
                f"the parameter has {param.array.shape}"
            )
        if array.shape == param.array.shape:
            state = self.new_state(param)
            state.array[...] = array
            return state
        return wrap(array, param.backend)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            options = sorted(key for key in group if key not in ("params", "param_names"))
            lines += [f"    {key}: {group[key]}" for key in options]
        return f"{self.name} (\n" + "\n".join(lines) + "\n)"
