"""How a GPU may round, under the names of torch.backends.

    cudnn.allow_tf32        whether convolutions of float32 may round their numbers to TF32 (10 bits instead of 23),
                            which tensor cores multiply several times as fast; True, as in PyTorch
    cuda.matmul.allow_tf32  the same for products of matrices, those of linear layers among them; False, as in PyTorch

There is no cuDNN here; its name says where the switch is in PyTorch. On the CPU they change nothing.

Example:
    >>> import tinycnn
    >>> tinycnn.backends.cudnn.allow_tf32, tinycnn.backends.cuda.matmul.allow_tf32
    (True, False)
    >>> tinycnn.set_float32_matmul_precision("high")
    >>> tinycnn.backends.cuda.matmul.allow_tf32
    True
    >>> tinycnn.backends.cuda.matmul.allow_tf32 = False
    >>> tinycnn.get_float32_matmul_precision()
    'highest'
"""

from __future__ import annotations

from .backend.registry import gpu_rounding

__all__ = ["cuda", "cudnn", "get_float32_matmul_precision", "set_float32_matmul_precision"]

_PRECISIONS = ("highest", "high", "medium")
_rounded = "high"  # the name of the precision while products are rounded


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"backends.{name}: expected True or False, got {value!r}")
    return value


class _Matmul:
    __slots__ = ()

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 matrices may round to TF32."""
        return bool(gpu_rounding().tf32_products())

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        set_float32_matmul_precision("high" if _flag("cuda.matmul.allow_tf32", value) else "highest")


class _Cuda:
    __slots__ = ()
    matmul = _Matmul()


class _Cudnn:
    __slots__ = ()

    @property
    def allow_tf32(self) -> bool:
        """Whether convolutions of float32 may round to TF32."""
        return bool(gpu_rounding().get_precision() == "fast")

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        gpu_rounding().set_precision("fast" if _flag("cudnn.allow_tf32", value) else "strict")


cuda, cudnn = _Cuda(), _Cudnn()


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how products of float32 matrices may round on a GPU: "highest", not at all; "high" or "medium", to TF32
    (PyTorch's "medium" may go down to bfloat16, this one does not).

    Raises:
        ValueError: if the name is another.
    """
    global _rounded
    if precision not in _PRECISIONS:
        known = ", ".join(map(repr, _PRECISIONS))
        raise ValueError(f"set_float32_matmul_precision: expected one of {known}, got {precision!r}")
    gpu_rounding().allow_tf32_products(precision != "highest")
    if precision != "highest":
        _rounded = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has chosen; "highest" unless it was called."""
    return _rounded if gpu_rounding().tf32_products() else "highest"
