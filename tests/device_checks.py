"""What must hold on the device "cuda", whatever stands behind it: a GPU (test_gpu.py) or the stand-in
(test_cuda_standin.py). Each check is a function without arguments in `CHECKS`; the CPU's reference kernels say what is
right."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import pathlib
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, nn
from tinycnn.autograd import grad, wrap
from tinycnn.backend.dtypes import HALVES, INEXACT
from tinycnn.ops.registry import OpInfo, Sample, all_ops

CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


# ---- every operation -------------------------------------------------------------------------------------------------

TOLERANCE = {"float64": 1e-12, "float32": 1e-4, "bfloat16": 3e-2}  # of the largest entry


def mapped(value: Any, visit: Callable[[Tensor], Any]) -> Any:
    """Arguments with the tensors anywhere in them replaced."""
    if isinstance(value, Tensor):
        return visit(value)
    if isinstance(value, dict):
        return {k: mapped(v, visit) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(mapped(v, visit) for v in value)
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors anywhere in a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors_in(v)


def moved(x: Tensor, device: str, dtype: str) -> Tensor:
    """A leaf with x's numbers on a device, in a dtype if they are floating."""
    leaf = x.detach().to(device, dtype, copy=True) if x.is_floating_point() else x.detach().to(device, copy=True)
    return leaf.requires_grad_(x.requires_grad)


def host(x: Tensor) -> np.ndarray:
    return x.backend.to_numpy(x.detach().array)


def random_like(outs: list[Tensor], seed: int) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [
        wrap(o.backend.from_numpy(np.asarray(rng.standard_normal(o.array.shape)).astype(str(o.array.dtype))), o.backend)
        for o in outs
    ]


def everything(op: OpInfo, sample: Sample, device: str, dtype: str) -> dict[str, list[np.ndarray]]:
    """The results of an operation at a sample, the gradients under a random cotangent, and those gradients' own."""
    wanted: list[Tensor] = []

    def move(x: Tensor) -> Tensor:
        leaf = moved(x, device, dtype)
        if leaf.requires_grad:
            wanted.append(leaf)
        return leaf

    args, kwargs = mapped((sample.args, sample.kwargs), move)
    tinycnn.manual_seed(3)
    outs = list(tensors_in(op.function(*args, **kwargs)))
    found = {"results": [host(o) for o in outs], "gradients": [], "second gradients": []}
    live = [o for o in outs if o.requires_grad]
    if live and wanted:
        grads = grad(live, wanted, random_like(live, 1), materialize_grads=True)
        found["gradients"] = [host(g) for g in grads]
        if op.twice:
            tinycnn.manual_seed(3)
            outs = [o for o in tensors_in(op.function(*args, **kwargs)) if o.requires_grad]
            grads = grad(outs, wanted, random_like(outs, 1), create_graph=True, materialize_grads=True)
            live = [g for g in grads if g.requires_grad]
            if live:
                second = grad(live, wanted, random_like(live, 2), materialize_grads=True)
                found["second gradients"] = [host(g) for g in second]
    return found


def same(what: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype} on cuda, {b.dtype} on the CPU"
    assert a.shape == b.shape, f"{what}: shape {a.shape} on cuda, {b.shape} on the CPU"
    if a.dtype.char in INEXACT:
        a, b = (x.astype("float32") if x.dtype.char in HALVES else x for x in (a, b))
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0.0)))
        assert np.allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True), f"{what}: off by {abs(a - b).max()}"
    else:
        assert np.array_equal(a, b), what


def check_op(op: OpInfo, device: str = "cuda") -> None:
    """An operation gives on cuda what it gives on the CPU, with its gradients; a random one runs and fits its shape."""
    for dtype, tolerance in TOLERANCE.items():
        for number, sample in enumerate(op.make_samples()):
            on_gpu = everything(op, sample, device, dtype)
            with tinycnn.use_kernels("reference"):
                on_cpu = everything(op, sample, "cpu", dtype)
            for what in on_gpu:
                assert len(on_gpu[what]) == len(on_cpu[what])
                for a, b in zip(on_gpu[what], on_cpu[what], strict=True):
                    where = f"{op.name}, sample {number}, {dtype}, {what}"
                    if op.random:
                        assert (a.shape, a.dtype) == (b.shape, b.dtype), where
                        assert np.isfinite(a).all(), where
                    else:
                        same(where, a, b, tolerance)


for _op in all_ops():
    CHECKS[f"op {_op.name}"] = functools.partial(check_op, _op)


# ---- tensors ---------------------------------------------------------------------------------------------------------


@check
def tensors_move() -> None:
    x = tinycnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.cuda()
    assert str(y.device) == "cuda:0"
    assert y.is_cuda
    assert y.get_device() == 0
    assert y.cpu().tolist() == x.tolist() == y.tolist()
    assert y.to("cuda") is y
    assert tinycnn.zeros(2, device="cuda").device == y.device
    assert tinycnn.tensor(y).is_cuda
    assert tinycnn.tensor([y[0, 0], 5.0]).tolist() == [1.0, 5.0]
    assert "device='cuda:0'" in repr(y)
    image = tinycnn.randn(2, 3, 4, 5).to("cuda", memory_format=tinycnn.channels_last)
    assert image.is_contiguous(memory_format=tinycnn.channels_last)
    assert image.cpu().to("cuda").tolist() == image.tolist()
    leaf = tinycnn.tensor([1.0, -2.0], requires_grad=True)
    (leaf.cuda() * tinycnn.tensor([3.0, 4.0], device="cuda")).backward(tinycnn.tensor([1.0, 10.0], device="cuda"))
    assert leaf.grad is not None
    assert leaf.grad.device == leaf.device
    assert leaf.grad.tolist() == [3.0, 40.0]


@check
def devices_do_not_mix() -> None:
    x, y = tinycnn.ones(2), tinycnn.ones(2, device="cuda")
    for attempt in (lambda: x + y, lambda: y @ x, lambda: tinycnn.cat([x, y]), lambda: y.gather(0, x.long())):
        refuses(RuntimeError, "cuda:0", attempt)
    labels = tinycnn.tensor(1)
    for loss in (nn.functional.cross_entropy, nn.functional.nll_loss):
        for args in ((y, labels), (x, labels.cuda()), (y, labels.cuda(), x)):
            refuses(RuntimeError, "cuda:0", functools.partial(loss, *args))
    refuses(TypeError, "cpu()", y.numpy)
    refuses(TypeError, "cpu()", lambda: np.asarray(y))


def refuses(error: type[Exception] | tuple[type[Exception], ...], words: str, attempt: Callable[[], Any]) -> None:
    with pytest.raises(error, match=re.escape(words) or None):
        attempt()


@check
def bad_devices_are_named() -> None:
    refuses(RuntimeError, "'cuda:9' was asked for", lambda: tinycnn.zeros(1, device="cuda:9"))
    refuses(ValueError, "unknown", lambda: tinycnn.zeros(1, device="gpu"))
    assert tinycnn.cuda.is_available()
    assert tinycnn.cuda.device_count() >= 1
    assert tinycnn.cuda.get_device_name(0)
    tinycnn.cuda.synchronize()


@check
def creation() -> None:
    def both(make: Callable[[str], Tensor]) -> None:
        a, b = make("cuda"), make("cpu")
        assert a.is_cuda
        same("creation", host(a), host(b), 1e-6)

    both(lambda d: tinycnn.zeros(2, 3, device=d))
    both(lambda d: tinycnn.ones(2, dtype="int64", device=d))
    both(lambda d: tinycnn.full((2, 2), 7.5, device=d))
    both(lambda d: tinycnn.arange(1, 10, 2, device=d))
    both(lambda d: tinycnn.arange(0.0, 1.0, 0.25, device=d))
    both(lambda d: tinycnn.linspace(0, 1, 5, device=d))
    both(lambda d: tinycnn.eye(2, 3, device=d))
    both(lambda d: tinycnn.tensor([[1, 2], [3, 4]], device=d))
    both(lambda d: tinycnn.tensor(3.5, device=d))
    both(lambda d: tinycnn.zeros_like(tinycnn.ones(2, device=d), dtype="float64"))
    both(lambda d: tinycnn.full_like(tinycnn.ones(2, device=d), 3))
    both(lambda d: tinycnn.ones(3, device=d).new_tensor([1, 2]))
    both(lambda d: tinycnn.as_tensor(np.arange(3.0), device=d))
    both(lambda d: Tensor([1.0, 2.0], device=d))
    assert tinycnn.empty(2, 3, device="cuda").shape == (2, 3)


@check
def random_numbers() -> None:
    tinycnn.manual_seed(5)
    first = [draw("cuda") for draw in DRAWS]
    tinycnn.manual_seed(5)
    for draw, before in zip(DRAWS, first, strict=True):
        again = draw("cuda")
        assert again.is_cuda
        assert again.tolist() == before.tolist()
    state = json.loads(json.dumps(tinycnn.get_rng_state()))
    a = tinycnn.randn(4, device="cuda")
    tinycnn.set_rng_state(state)
    assert tinycnn.randn(4, device="cuda").tolist() == a.tolist() != tinycnn.randn(4, device="cuda").tolist()
    own = tinycnn.Generator("cuda").manual_seed(1)
    saved = own.get_state()
    b = tinycnn.rand(3, generator=own, device="cuda")
    assert tinycnn.rand(3, generator=own.set_state(saved), device="cuda").tolist() == b.tolist()
    assert tinycnn.randperm(20, device="cuda").sort().values.tolist() == list(range(20))
    x = tinycnn.randn(4000, device="cuda", dtype="float64")
    assert abs(x.mean().item()) < 0.1
    assert abs(x.std().item() - 1) < 0.1
    assert set(tinycnn.randint(2, 5, (200,), device="cuda").tolist()) == {2, 3, 4}


DRAWS: list[Callable[[str], Tensor]] = [
    lambda d: tinycnn.rand(2, 3, device=d),
    lambda d: tinycnn.randn(5, dtype="float16", device=d),
    lambda d: tinycnn.randint(-3, 3, (6,), device=d),
    lambda d: tinycnn.randperm(7, device=d),
    lambda d: tinycnn.normal(tinycnn.zeros(3, device=d), 2.0),
    lambda d: tinycnn.bernoulli(tinycnn.full((9,), 0.5, device=d)),
    lambda d: tinycnn.empty(4, device=d).uniform_(-1, 1),
    lambda d: tinycnn.empty(4, device=d).normal_(),
    lambda d: nn.init.kaiming_normal_(tinycnn.empty(3, 4, device=d)),
    lambda d: nn.init.trunc_normal_(tinycnn.empty(6, device=d)),
    lambda d: nn.init.orthogonal_(tinycnn.empty(3, 4, device=d)),
    lambda d: nn.functional.dropout(tinycnn.ones(20, device=d), 0.5),
]


@check
def writing_in_place() -> None:
    def steps(device: str) -> list[Tensor]:
        x = tinycnn.arange(12.0, device=device).reshape(3, 4)
        x.add_(1).mul_(2).clamp_(max=20)
        x[0] = 5
        x[1, 1:3] = tinycnn.tensor([7.0, 8.0], device=device)
        x[tinycnn.tensor([0, 2], device=device), tinycnn.tensor([3, -1], device=device)] += 0.5
        x[x > 19] = -1
        x[:, 0] += x[:, 1]
        x[2] = tinycnn.tensor([1, 2, 3, 4])  # of the host: copied over
        leaf = tinycnn.ones(3, 4, device=device, requires_grad=True)
        y = leaf * 2
        y[0, 0] = 3.0
        y[1].mul_(x[1])
        y.backward(x)
        out = [x, y, leaf.grad, x.T.reshape(-1), x[..., None, 1], x[[2, 0]], x.masked_fill(x > 6, 0)]
        return [o for o in out if o is not None] + [x.index_add(0, tinycnn.tensor([1, 1], device=device), x[:2])]

    for a, b in zip(steps("cuda"), steps("cpu"), strict=True):
        same("in place", host(a), host(b), 1e-6)


@check
def adding_at_indices_in_every_dtype() -> None:
    for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64"):
        results = []
        for device in ("cuda", "cpu"):
            x = tinycnn.tensor([1, 0, 1, 0], device=device).to(dtype)
            index = tinycnn.tensor([3, 1, 3], device=device)
            results.append(host(x.index_add(0, index, tinycnn.tensor([0, 1, 1], device=device).to(dtype))))
        same(f"index_add in {dtype}", *results, 1e-6)


@check
def indices_out_of_range_are_refused() -> None:
    x = tinycnn.arange(6.0, device="cuda").reshape(2, 3)
    far = tinycnn.tensor([0, 3], device="cuda")
    for attempt in (
        lambda: x[far],
        lambda: x[:, far],
        lambda: x.index_select(1, far),
        lambda: x.gather(1, far.reshape(2, 1)),
        lambda: x.scatter_add(1, far.reshape(2, 1), x),
        lambda: nn.functional.cross_entropy(x, far).item(),  # these two are told of when something is read
        lambda: nn.functional.nll_loss(x, tinycnn.tensor([0, -1], device="cuda")).item(),
        lambda: tinycnn.take_along_dim(x, far.reshape(2, 1), 1),
    ):
        refuses(IndexError, "out of range", attempt)


# ---- networks --------------------------------------------------------------------------------------------------------


def small_network() -> nn.Module:
    """Convolution, batch norm with moving moments, max pooling, a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4 * 14 * 14, 10), nn.BatchNorm1d(10),
    )  # fmt: skip


def batch(device: str) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((6, 1, 28, 28)), rng.integers(0, 10, 6)
    return tinycnn.tensor(images, device=device), tinycnn.tensor(labels, device=device)


def trained(make: Callable[[], nn.Module], device: str, **options: Any) -> tuple[list[float], dict[str, np.ndarray]]:
    """Three steps on one batch from the same start: the losses, and what the network holds at the end."""
    tinycnn.manual_seed(0)
    net = make().double().to(device)
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, **options)
    X, y = batch(device)
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(net(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with tinycnn.no_grad():
        losses.append(nn.functional.cross_entropy(net(X), y).item())
    return losses, {name: host(x) for name, x in net.state_dict().items()}


def check_training(make: Callable[[], nn.Module], **options: Any) -> None:
    losses, state = trained(make, "cuda", **options)
    with tinycnn.use_kernels("reference"):
        right, right_state = trained(make, "cpu", **options)
    assert np.allclose(losses, right, rtol=1e-10, atol=0), (losses, right)
    assert losses[-2] < losses[0]
    assert state.keys() == right_state.keys()
    for name, value in state.items():
        same(name, value, right_state[name], 1e-10)


@check
def lenet_trains() -> None:
    check_training(functools.partial(tinycnn.models.lenet, activation="tanh"), momentum=0.9, nesterov=True)
    check_training(functools.partial(tinycnn.models.lenet, activation="gelu"), weight_decay=0.01)


@check
def batch_norm_trains() -> None:
    check_training(small_network, momentum=0.9, dampening=0.1)


OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}],
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}],
    "AdamW": [{}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}],
    "Adagrad": [{"lr_decay": 0.1, "weight_decay": 0.1}],
}


def stepped(device: str, name: str, dtype: str, options: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """An optimiser on a device, and what makes a step with clipped gradients."""
    rng = np.random.default_rng(0)
    start, *grads = (rng.standard_normal((2, 3, 4, 4)) for _ in range(2))
    params = [tinycnn.tensor(start, device=device).to(dtype).requires_grad_() for _ in range(2)]
    params[1] = params[1].detach().to(memory_format=tinycnn.channels_last).requires_grad_()
    optimizer = getattr(tinycnn.optim, name)(params, lr=0.01, **options)
    scheduler = tinycnn.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    gradient = tinycnn.tensor(grads[0], device=device).to(dtype)

    def step() -> None:
        for p in params:
            p.grad = gradient.clone()
        nn.utils.clip_grad_value_(params, 2.0)
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        scheduler.step()

    return optimizer, step


@check
def optimizers_step() -> None:
    for name, cases in OPTIMIZERS.items():
        for options in cases:
            for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5), ("float16", 2e-3), ("bfloat16", 2e-2)):
                (a, step_a), (b, step_b) = (stepped(d, name, dtype, options) for d in ("cuda", "cpu"))
                for _ in range(5):
                    step_a()
                    with tinycnn.use_kernels("reference"):
                        step_b()
                for p, q in zip(a.param_groups[0]["params"], b.param_groups[0]["params"], strict=True):
                    assert p.is_cuda
                    same(f"{name} {options} {dtype}", host(p), host(q), tolerance)
                    for key, value in b.state.get(q, {}).items():
                        if isinstance(value, Tensor):
                            same(f"{name} {options} {dtype} {key}", host(a.state[p][key]), host(value), tolerance)


@check
def state_moves_between_devices() -> None:
    net = small_network()
    twin = small_network().cuda()
    assert {p.device for p in [*twin.parameters(), *twin.buffers()]} == {tinycnn.device("cuda:0")}
    twin.load_state_dict(net.state_dict())  # from the host to the device
    for name, value in twin.state_dict().items():
        assert value.is_cuda
        same(name, host(value), host(net.state_dict()[name]), 0)
    net.load_state_dict(twin.state_dict())  # and back
    assert not any(p.is_cuda for p in net.parameters())
    optimizer = tinycnn.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    X, y = batch("cuda")
    nn.functional.cross_entropy(twin(X.float()), y).backward()
    nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "checkpoint.safetensors"
        tinycnn.train.save_checkpoint(path, twin, optimizer, {"a": 1})
        loaded = tinycnn.train.load_checkpoint(path)
    assert loaded.optimizer is not None
    assert "cuda:0" in loaded.random
    fresh = small_network().cuda()
    fresh.load_state_dict(loaded.model)
    resumed = tinycnn.optim.SGD(fresh.parameters(), lr=0.5, momentum=0.9)
    resumed.load_state_dict(loaded.optimizer)
    for p, q in zip(fresh.parameters(), twin.parameters(), strict=True):
        assert resumed.state[p]["momentum_buffer"].is_cuda
        same("velocity", host(resumed.state[p]["momentum_buffer"]), host(optimizer.state[q]["momentum_buffer"]), 0)


@check
def data_may_live_on_the_device() -> None:
    X, y = batch("cuda")
    loader = tinycnn.data.DataLoader(tinycnn.data.TensorDataset(X, y), 4, shuffle=True)
    batches = list(loader)
    assert [len(b[0]) for b in batches] == [4, 2]
    assert all(t.is_cuda for b in batches for t in b)


@check
def pickled_tensors_come_back() -> None:
    file = io.BytesIO()
    pickle.dump(tinycnn.arange(3, device="cuda"), file)
    file.seek(0)
    again = pickle.load(file)
    assert again.is_cuda
    assert again.tolist() == [0, 1, 2]


@check
def command_line_trains() -> None:
    from tinycnn.cli.app import app

    default = tinycnn.get_default_device()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        try:
            # Few images: the stand-in takes a tenth of a second for each.
            few = ["--limit", "64", "--validation", "0.02", "--batch-size", "16"]
            app(
                ["train", "lenet", "--device", "cuda", "--epochs", "1", *few, "--out", folder],
                standalone_mode=False,
            )
        finally:
            tinycnn.set_default_device(default)
        facts = json.loads((pathlib.Path(folder) / "run.json").read_text(encoding="utf-8"))
    assert facts["device"] == "cuda:0"
    assert math.isfinite(facts["history"][0]["train_loss"])


def training_step(
    net: nn.Module, X: Tensor, y: Tensor, optimizer: Any, within: Callable[[], Any] = contextlib.nullcontext
) -> Callable[[], None]:
    """A function that does one training step, its forward within a block that `within` opens."""

    def step() -> None:
        with within():
            loss = nn.functional.cross_entropy(net(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def lenet_step() -> Callable[[], None]:
    """A training step of LeNet with everything on the device, run twice already."""
    net = tinycnn.models.lenet().cuda()
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    X, y = batch("cuda")
    step = training_step(net, X.float(), y, optimizer)
    step()
    step()
    return step
