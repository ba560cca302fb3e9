"""Reverse-mode differentiation: `tensor` (what is computed), `function` (one operation), `engine` (the walk back).

Nothing here knows which operations exist.
"""

from .autocast import autocast, get_autocast_dtype, is_autocast_enabled
from .engine import backward, grad
from .function import Function, Node, Op, once_differentiable, run_arrays, run_kernel
from .grad_mode import (
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    is_recomputing,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from .gradcheck import (
    GradcheckError,
    GradcheckReport,
    GradientCheck,
    adjoint_check,
    check_gradients,
    check_second_gradients,
    gradcheck,
    gradgradcheck,
)
from .recompute import checkpoint, checkpoint_sequential
from .tensor import RemovableHandle, Size, Tensor, wrap

__all__ = [
    "Function",
    "GradcheckError",
    "GradcheckReport",
    "GradientCheck",
    "Node",
    "Op",
    "RemovableHandle",
    "Size",
    "Tensor",
    "adjoint_check",
    "autocast",
    "backward",
    "check_gradients",
    "check_second_gradients",
    "checkpoint",
    "checkpoint_sequential",
    "detect_anomaly",
    "enable_grad",
    "get_autocast_dtype",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_autocast_enabled",
    "is_grad_enabled",
    "is_recomputing",
    "no_grad",
    "once_differentiable",
    "run_arrays",
    "run_kernel",
    "set_detect_anomaly",
    "set_grad_enabled",
    "wrap",
]
