"""ONNX's layers and losses without windows, by ours."""

from __future__ import annotations

from typing import Any

import tinycnn
import tinycnn.nn.functional as F
from tinycnn import Tensor

from .values import RefusedError


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    y = alpha * ((a.t() if transA else a) @ (b.t() if transB else b))
    return y if c is None else y + beta * c


def batch_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    """ONNX's running variance moves to the batch's biased one, PyTorch's and ours to the unbiased."""
    count = x.numel() // x.shape[1]
    kept, moved = var.clone(), var.clone()
    mean = mean.clone()
    y = F.batch_norm(x, mean, moved, scale, bias, bool(training_mode), 1 - momentum, epsilon)
    if not training_mode:
        return y
    batch = (moved - momentum * kept) * ((count - 1) / count)
    return y, mean, momentum * kept + batch


def instance_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def group_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    return F.group_norm(x, num_groups, scale, bias, epsilon)


def layer_normalization(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Any:
    dims = tuple(range(axis % x.ndim, x.ndim))
    y = F.layer_norm(x, x.shape[dims[0] :], scale, bias, epsilon)
    return y, x.mean(dims, keepdim=True), (x.var(dims, keepdim=True, correction=0) + epsilon).rsqrt()


def lrn(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    return F.local_response_norm(x, size, alpha, beta, bias)


def dropout(
    x: Tensor,
    ratio: Tensor | float | None = None,
    training: Tensor | None = None,
    *,
    seed: int = 0,
    random: bool = False,
) -> Any:
    p = 0.5 if ratio is None else ratio.item() if isinstance(ratio, Tensor) else ratio
    on = training is not None and bool(training.item())
    if on and p and not random:
        raise RefusedError("random numbers")
    tinycnn.manual_seed(seed)
    kept = F.dropout(tinycnn.ones_like(x), p, on) != 0
    tinycnn.manual_seed(seed)
    return F.dropout(x, p, on), kept


def bernoulli(x: Tensor, **_: Any) -> Tensor:
    raise RefusedError("random numbers")


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return tinycnn.where(x < 0, slope * x, x)


def nll(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    return F.nll_loss(x, target.long(), weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    return F.cross_entropy(x, target.long(), weight, ignore_index=ignore_index, reduction=reduction), F.log_softmax(
        x, 1
    )
