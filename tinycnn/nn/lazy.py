"""Lazy layers: the input's size is not said but seen, at the first call.

Before it, a layer is a LazyConv2d whose parameters have no value. At the first call it learns how many channels come
in, makes its parameters, and *becomes* a Conv2d: its class changes, the object and its parameters stay what they are.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, no_grad
from ..ops.geometry import Pair
from .conv import Conv2d, ConvTranspose2d
from .linear import Linear
from .module import Module
from .normalization import BatchNorm, BatchNorm1d, BatchNorm2d
from .parameter import UninitializedBuffer, UninitializedParameter, is_uninitialized


class Lazy(Module):
    """Makes a lazy layer of a plain one. Subclasses name the plain class and the shapes that an input implies."""

    plain: type[Module]

    def infer_shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """Take the sizes from the input; returns the shape of each parameter and buffer."""
        raise NotImplementedError

    def _defer(self) -> None:
        """Take the values away that the plain constructor made for a size of 0."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(device=parameter.device, dtype=parameter.dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.ndim:
                self._buffers[name] = UninitializedBuffer(buffer.device, buffer.dtype)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no value yet."""
        return any(map(is_uninitialized, (*self._parameters.values(), *self._buffers.values())))

    def reset_parameters(self) -> None:
        """Draw the parameters anew, if they have values at all."""
        if not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize(args[0] if args else kwargs.get("input"))
        return self(*args, **kwargs)  # the plain class's from now on

    def initialize(self, input: Any) -> None:
        """Become the plain layer that fits the input.

        Raises:
            TypeError: if input is no tensor.
            ValueError: if its rank is wrong; the layer stays lazy then.
        """
        if not isinstance(input, Tensor):
            raise TypeError(f"{type(self).__name__}: the first call needs a Tensor, got {type(input).__name__}")
        shapes = self.infer_shapes(input)
        if self.has_uninitialized_params():
            self._materialize(shapes)
        self.__class__ = self.plain  # type: ignore[assignment]

    def _materialize(self, shapes: dict[str, tuple[int, ...]]) -> None:
        loaded = []  # by load_state_dict, and to be kept
        members: Any
        for members in (self._parameters, self._buffers):
            for name, shape in shapes.items():
                member = members.get(name)
                if is_uninitialized(member):
                    members[name] = member.materialize(shape)
                elif member is not None:
                    loaded.append((member, member.detach().clone()))
        self.reset_parameters()
        with no_grad():
            for member, value in loaded:
                member.copy_(value)


def _channels(name: str, input: Tensor, ranks: tuple[int, ...]) -> int:
    """C of (N, C, ...), or of (C, H, W) where that is allowed."""
    if input.ndim not in ranks:
        wanted = " or ".join(f"{n}D" for n in ranks)
        raise ValueError(f"{name}: expected {wanted} input (got {input.ndim}D input, shape {tuple(input.shape)})")
    return int(input.shape[0 if ranks == (3, 4) and input.ndim == 3 else 1])


class LazyLinear(Lazy, Linear):
    """A Linear whose in_features is the size of the last dimension of its first input.

    Args:
        out_features, bias, device, dtype: as in `Linear`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> layer = nn.LazyLinear(2)
        >>> layer
        LazyLinear(in_features=0, out_features=2, bias=True)
        >>> _ = layer(tinycnn.zeros(1, 5))
        >>> layer
        Linear(in_features=5, out_features=2, bias=True)
    """

    plain = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._defer()

    def infer_shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """weight (out_features, in_features), bias (out_features,)."""
        if input.ndim == 0:
            raise ValueError("LazyLinear: the input has no dimensions")
        self.in_features = int(input.shape[-1])
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


class LazyConv2d(Lazy, Conv2d):
    """A Conv2d whose in_channels is that of its first input.

    Args:
        out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype: as in `Conv2d`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> net = nn.Sequential(nn.LazyConv2d(8, kernel_size=3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
        >>> net(tinycnn.zeros(1, 3, 6, 6)).shape
        tinycnn.Size([1, 10])
        >>> net
        Sequential(
          (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
          (1): ReLU()
          (2): Flatten(start_dim=1, end_dim=-1)
          (3): Linear(in_features=128, out_features=10, bias=True)
        )
    """

    plain = Conv2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self._defer()

    def infer_shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """weight (K, C / groups, R, S), bias (K,)."""
        self.in_channels = _channels("LazyConv2d", input, (3, 4))
        return {"weight": self._weight_shape(), "bias": (self.out_channels,)}


class LazyConvTranspose2d(Lazy, ConvTranspose2d):
    """A ConvTranspose2d whose in_channels is that of its first input.

    Args:
        out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype:
            as in `ConvTranspose2d`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> nn.LazyConvTranspose2d(4, kernel_size=2, stride=2)(tinycnn.zeros(1, 3, 5, 5)).shape
        tinycnn.Size([1, 4, 10, 10])
    """

    plain = ConvTranspose2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self._defer()

    def infer_shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """weight (C, K / groups, R, S), bias (K,)."""
        self.in_channels = _channels("LazyConvTranspose2d", input, (3, 4))
        return {"weight": self._weight_shape(), "bias": (self.out_channels,)}


class _LazyBatchNorm(Lazy, BatchNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._defer()

    def infer_shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """All have the shape (C,)."""
        self.num_features = _channels(type(self).__name__, input, self.ranks)
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (self.num_features,))


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """A BatchNorm1d whose num_features is the number of channels of its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as in `BatchNorm1d`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> layer = nn.LazyBatchNorm1d()
        >>> layer(tinycnn.randn(4, 5)).shape, layer.num_features
        (tinycnn.Size([4, 5]), 5)
    """

    plain = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """A BatchNorm2d whose num_features is the number of channels of its first input.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as in `BatchNorm2d`.

    Example:
        >>> import tinycnn, tinycnn.nn as nn
        >>> layer = nn.LazyBatchNorm2d()
        >>> layer(tinycnn.randn(4, 5, 2, 2)).shape, layer.running_mean.shape
        (tinycnn.Size([4, 5, 2, 2]), tinycnn.Size([5]))
    """

    plain = BatchNorm2d
