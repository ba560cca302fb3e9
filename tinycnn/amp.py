"""Mixed precision, under the names of torch.amp: `autocast` and the scaling of losses.

scaler = tinycnn.amp.GradScaler()
for X, y in batches:
    optimizer.zero_grad()
    with tinycnn.autocast("cuda"):
        loss = loss_fn(net(X), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, overload

from .autograd import Tensor, autocast, get_autocast_dtype, is_autocast_enabled
from .autograd.lists import to_be_written
from .backend import Array, Backend
from .backend.dtypes import float16

__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class _Record:
    """What the scaler knows of an optimiser since the last update."""

    def __init__(self) -> None:
        self.stage = _READY
        self.found: dict[Backend, Array] = {}  # on each device, whether a gradient holds an infinity or NaN
        self.infinite = False


class GradScaler:
    """Scales the loss, so that small gradients survive half precision, and the gradients back before a step.

    A step whose gradients hold an infinity or NaN is left out, and the scale shrinks; after `growth_interval` steps
    without one it grows. `step` reads one number a device to know.

    Args:
        device: accepted for PyTorch's sake; the scaler works where the gradients are.
        init_scale: the scale to begin with.
        growth_factor: what it grows by.
        backoff_factor: what it shrinks by.
        growth_interval: after how many steps in a row without infinities it grows.
        enabled: False makes a scaler that does nothing.

    Raises:
        ValueError: if a factor is on the wrong side of 1.

    P. Micikevicius et al., "Mixed Precision Training" (2018), section 3.2.

    Example:
        >>> import tinycnn
        >>> w = tinycnn.tensor([1.0], requires_grad=True)
        >>> optimizer, scaler = tinycnn.optim.SGD([w], lr=0.5), tinycnn.amp.GradScaler(init_scale=8.0)
        >>> scaler.scale((3 * w).sum()).backward()
        >>> w.grad
        tensor([24.])
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.detach()
        tensor([-0.5000])
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = enabled
        self._scale, self._interval = float(init_scale), growth_interval
        self._growth, self._backoff = growth_factor, backoff_factor
        self._clean_steps = 0
        self._records: dict[int, _Record] = {}
        if enabled and not growth_factor > 1:
            raise ValueError(f"GradScaler: growth_factor must be above 1, got {growth_factor!r}")
        if enabled and not backoff_factor < 1:
            raise ValueError(f"GradScaler: backoff_factor must be below 1, got {backoff_factor!r}")

    @overload
    def scale(self, outputs: Tensor) -> Tensor: ...
    @overload
    def scale(self, outputs: Iterable[Any]) -> Iterable[Any]: ...
    def scale(self, outputs: Any) -> Any:
        """The loss, or each of several in a list or tuple, times the scale.

        Raises:
            ValueError: if it is neither a tensor nor a list or tuple.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        raise ValueError(
            f"GradScaler.scale: expected a tensor, or a list or tuple of them, got {type(outputs).__name__}"
        )

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimiser's gradients by the scale, in place: before they are clipped. `step` does it too.

        Raises:
            RuntimeError: if it was done already since the last update, or the step was taken.
            ValueError: if a gradient is float16: weights have to be single precision.
        """
        if not self._enabled:
            return
        record = self._record(optimizer)
        if record.stage is _UNSCALED:
            raise RuntimeError(
                "GradScaler: unscale_() has already been called on this optimizer since the last update()"
            )
        if record.stage is _STEPPED:
            raise RuntimeError("GradScaler: unscale_() is being called after step()")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype is float16 for g in grads):
            raise ValueError("GradScaler: attempting to unscale float16 gradients; keep the weights float32")
        for backend, arrays in to_be_written(grads):
            if backend not in record.found:
                record.found[backend] = backend.zeros((), "int32")
            backend.quietly(backend.kernels.unscale, arrays, 1 / self._scale, record.found[backend])
        record.stage = _UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs), unless its gradients hold an infinity or NaN.

        Returns:
            what the optimiser's step returned, or None.

        Raises:
            RuntimeError: if it was called already since the last update, or no parameter has a gradient.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("GradScaler: a closure cannot be used, its gradients would not be looked at")
        record = self._record(optimizer)
        if record.stage is _STEPPED:
            raise RuntimeError("GradScaler: step() has already been called since the last update()")
        if record.stage is _READY:
            self.unscale_(optimizer)
        if not record.found:
            raise RuntimeError("GradScaler: the optimizer has no gradients; was backward called on the scaled loss?")
        record.stage = _STEPPED
        record.infinite = self._look(record)
        return None if record.infinite else optimizer.step(**kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Let the scale shrink or grow, or set it; call it once a step, behind all optimisers' steps.

        Raises:
            RuntimeError: if no gradients were looked at since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            looked = [r for r in self._records.values() if r.found]
            if not looked:
                raise RuntimeError("GradScaler: update() found no inf checks; call step() or unscale_() before it")
            if any(r.infinite if r.stage is _STEPPED else self._look(r) for r in looked):
                self._scale *= self._backoff
                self._clean_steps = 0
            else:
                self._clean_steps += 1
                if self._clean_steps == self._interval:
                    grown = self._scale * self._growth
                    self._scale = grown if grown < float("inf") else self._scale
                    self._clean_steps = 0
        self._records.clear()

    @staticmethod
    def _look(record: _Record) -> bool:
        return any(backend.to_numpy(found).item() > 0 for backend, found in record.found.items())

    def _record(self, optimizer: Any) -> _Record:
        return self._records.setdefault(id(optimizer), _Record())

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1 if it is not enabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale shrinks by."""
        self._backoff = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps the scale grows."""
        return self._interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps the scale grows."""
        self._interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale and how it moves, of things that JSON can hold; empty if it is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._clean_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` gave.

        Raises:
            RuntimeError: if it is that of a scaler that was not enabled, or lacks something.
        """
        if not self._enabled:
            return
        missing = sorted(set(self.state_dict()) - set(state_dict))
        if missing:
            raise RuntimeError(f"GradScaler.load_state_dict: the state lacks {', '.join(missing)}")
        self._scale, self._growth = float(state_dict["scale"]), state_dict["growth_factor"]
        self._backoff, self._interval = state_dict["backoff_factor"], state_dict["growth_interval"]
        self._clean_steps = state_dict["_growth_tracker"]
