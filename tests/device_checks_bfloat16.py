"""What must hold of bfloat16 on the device "cuda", beside the checks of device_checks.py, which compare every operation
in it with the CPU's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from device_checks import check, host, same

import tinycnn
from tinycnn import Tensor, nn
from tinycnn.nn import functional as F

BF16, SINGLE = tinycnn.bfloat16, tinycnn.float32


@check
def bfloat16_tensors() -> None:
    def both(make: Callable[[str], Tensor]) -> None:
        a, b = make("cuda"), make("cpu")
        assert a.is_cuda
        assert a.dtype is BF16
        same("bfloat16", host(a), host(b), 2.0**-8)

    both(lambda d: tinycnn.tensor([1.0, 2.5], dtype=BF16, device=d))
    both(lambda d: tinycnn.tensor([[1.1, 2], [3, 4]], dtype=tinycnn.float64).to(d).bfloat16().t())
    both(lambda d: tinycnn.arange(5, dtype=BF16, device=d))
    both(lambda d: tinycnn.linspace(0, 1, 7, dtype=BF16, device=d))
    both(lambda d: tinycnn.full((2,), 0.3, dtype=BF16, device=d))
    both(lambda d: tinycnn.eye(3, dtype=BF16, device=d))
    both(lambda d: tinycnn.ones(2, 3, dtype=BF16, device=d).zero_().fill_(3.3))
    both(lambda d: tinycnn.ones(3, dtype=BF16, device=d).add_(1).mul_(2.5).exp_().clamp_(max=99))
    both(lambda d: tinycnn.ones(3, dtype=BF16, device=d) * tinycnn.tensor(0.3, device=d) - 1)

    def written(device: str) -> Tensor:
        x = tinycnn.zeros(4, 3, dtype=BF16, device=device)
        x[1:3] = 0.7
        x[0] = tinycnn.tensor([1.0, 2.0, 3.0], device=device)
        x[tinycnn.tensor([3, 3], device=device), tinycnn.tensor([0, 2], device=device)] = 5.0
        x[x > 4] += 1
        return x

    both(written)
    for kind in (tinycnn.float16, SINGLE, tinycnn.float64, tinycnn.int64, tinycnn.bool):
        x = tinycnn.tensor([0.0, 1.5, -3.0], dtype=BF16)
        same("cast", host(x.cuda().to(kind)), host(x.to(kind)), 0)
        same("cast", host(x.to(kind).cuda().bfloat16()), host(x.to(kind).bfloat16()), 0)
    x = tinycnn.tensor([1.0, 2.5], dtype=BF16, device="cuda")
    assert repr(x) == "tensor([1.0000, 2.5000], dtype=tinycnn.bfloat16, device='cuda:0')"
    assert x.tolist() == [1.0, 2.5]
    assert x[1].item() == 2.5
    assert bool((x == x).all())
    assert x.allclose(x.clone())
    assert 2.5 in x
    for fill in (tinycnn.rand, tinycnn.randn):
        drawn = host(fill(400, dtype=BF16, device="cuda")).astype("float32")
        assert len(np.unique(drawn)) > 50
        assert np.isfinite(drawn).all()
    for init in (nn.init.kaiming_uniform_, nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.normal_):
        assert np.isfinite(host(init(tinycnn.empty(6, 5, dtype=BF16, device="cuda"))).astype("float32")).all()


@check
def products_of_batches_of_bfloat16() -> None:
    for a, b in (((3, 4), (4, 2)), ((5, 3, 4), (4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 3, 4), (4, 2)), ((4,), (4,))):
        x, y = tinycnn.randn(*a).bfloat16(), tinycnn.randn(*b).bfloat16()
        same(f"{a} @ {b}", host(x.cuda() @ y.cuda()), host(x @ y), 2.0**-7)


@check
def metrics_of_bfloat16() -> None:
    logits, labels = tinycnn.randn(20, 7).bfloat16(), tinycnn.arange(20) % 7
    metrics: tuple[Any, ...] = (
        tinycnn.train.accuracy,
        tinycnn.train.top_k_accuracy,
        lambda x, y: tinycnn.train.confusion_matrix(x, y, 7).tolist(),
    )
    for metric in metrics:
        assert metric(logits.cuda(), labels.cuda()) == metric(logits, labels)


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """LeNet, and a little ResNet: blocks with batch norm, a shortcut and one with a 1x1 convolution."""
    tinycnn.manual_seed(1)
    lenet = tinycnn.models.lenet()
    resnet = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        tinycnn.models.Residual(8, 8), tinycnn.models.Residual(8, 16, strides=2, use_1x1conv=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    return {"lenet": (lenet, tinycnn.randn(4, 1, 28, 28)), "resnet": (resnet, tinycnn.randn(4, 1, 32, 32))}


def step_of(net: nn.Module, x: Tensor, device: str, mixed: bool) -> tuple[float, dict[str, Tensor]]:
    """The loss of one step with autocast, or of the network converted, and what the weights are after it."""
    net = net.to(device) if mixed else net.to(device, BF16)
    x = x.to(device) if mixed else x.to(device, BF16)
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with tinycnn.autocast(device, dtype=BF16) if mixed else contextlib.nullcontext():
        loss = F.cross_entropy(net(x), tinycnn.arange(len(x), device=device) % 10)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 10.0)
    optimizer.step()
    return loss.item(), net.state_dict()


@check
def networks_train_in_bfloat16() -> None:
    for mixed in (True, False):
        for name in networks():
            (on_gpu, after), (on_cpu, right) = (step_of(*networks()[name], d, mixed) for d in ("cuda", "cpu"))
            assert abs(on_gpu - on_cpu) < 0.03 * on_cpu, (name, mixed, on_gpu, on_cpu)
            for key, value in right.items():
                assert after[key].dtype is value.dtype
                same(f"{name}, {key}", host(after[key]), host(value), 0.02)


@check
def gradients_of_bfloat16_are_unscaled() -> None:
    w = tinycnn.tensor([1.0, 2.0], dtype=BF16, device="cuda", requires_grad=True)
    optimizer, scaler = tinycnn.optim.SGD([w], lr=0.5), tinycnn.amp.GradScaler(init_scale=8.0)
    scaler.scale((w * w).sum()).backward()
    scaler.step(optimizer)
    assert w.tolist() == [0.0, 0.0]
