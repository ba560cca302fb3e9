"""The CUDA backend on a stand-in for CuPy (cupy_standin.py). This is not a GPU test: no kernel is compiled, nothing
runs on a device. It shows that everything above CuPy calls it as it wants to be called, and computes the right thing if
CuPy does; test_gpu.py asks the same of a GPU.

The checks run in a process of their own, since the stand-in takes CuPy's place for good: this file, run as a program.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import device_checks_graph  # noqa: F401 - adds to CHECKS
import device_checks_runtime  # noqa: F401
import pytest
from device_checks import (
    CHECKS,
    OPTIMIZERS,
    check_op,
    lenet_step,
    mapped,
    moved,
    random_like,
    refuses,
    stepped,
    tensors_in,
    training_step,
)
from device_checks_bfloat16 import networks
from standin_process import outcome_of, run_checks

import tinycnn
from tinycnn import nn
from tinycnn.autograd import grad
from tinycnn.backend import cuda_status
from tinycnn.kernels.cuda import loader
from tinycnn.ops.registry import OpInfo, all_ops

STAND_IN: dict[str, Callable[[], None]] = {}  # what only the stand-in can check

# The operations that read from the device, for what cannot be known without: whether indices are in range, how many
# places a mask has, numbers that say how often or how far. Each such read waits until the device has done all it was
# told. A step of training a convolutional network does without.
READERS = {
    "binary_cross_entropy", "gather", "index_add", "index_put", "index_select", "masked_select", "max",
    "max_unpool2d", "min", "pad", "repeat_interleave", "scatter", "scatter_add", "sort", "take_along_dim",
    "to", "topk",
}  # fmt: skip
# Those that send more than a number to the device at each call.
SENDERS = {"avg_pool2d", "repeat_interleave"}


def stand_in(function: Callable[[], None]) -> Callable[[], None]:
    STAND_IN[function.__name__] = function
    return function


# ---- in the process with the stand-in --------------------------------------------------------------------------------


def traffic_of(op: OpInfo) -> tuple[int, int, int]:
    """An operation's reads from the device and copies to it in its forward, and all of both in its backward."""
    import cupy_standin

    most = (0, 0, 0)
    for sample in op.make_samples():
        wanted: list[tinycnn.Tensor] = []

        def move(x: tinycnn.Tensor, wanted: list[tinycnn.Tensor] = wanted) -> tinycnn.Tensor:
            leaf = moved(x, "cuda", "float64")
            wanted += [leaf] * leaf.requires_grad
            return leaf

        args, kwargs = mapped((sample.args, sample.kwargs), move)
        with cupy_standin.counted() as forward:
            live = [o for o in tensors_in(op.function(*args, **kwargs)) if o.requires_grad]
        cotangents = random_like(live, 1)
        with cupy_standin.counted() as backward:
            if live and wanted:
                grad(live, wanted, cotangents, materialize_grads=True)
        found = (forward.waits, forward.to_device, backward.waits + backward.to_device)
        most = tuple(map(max, most, found))  # type: ignore[assignment]
    return most


@stand_in
def few_operations_wait_for_the_device() -> None:
    traffic = {op.name: traffic_of(op) for op in all_ops()}
    assert {name for name, (reads, _, _) in traffic.items() if reads} == READERS
    assert {name for name, (_, copies, _) in traffic.items() if copies} == SENDERS
    assert {name for name, (_, _, backward) in traffic.items() if backward} <= {"to"}  # its gradient comes home


@stand_in
def a_training_step_reads_nothing() -> None:
    """Nothing is asked by forward, backward and optimiser; whether the labels are classes is said at the next read."""
    import cupy_standin

    step = lenet_step()
    with cupy_standin.counted() as traffic:
        step()
    assert (traffic.to_device, traffic.to_host, traffic.waits) == (0, 0, 0), traffic


def launched(step: Callable[[], Any]) -> Counter[str]:
    """The raw kernels that a step launches, and how often."""
    driver, names = loader.driver(), Counter[str]()
    launch = driver.launch

    def noted(instance: loader.Instance, *rest: Any) -> None:
        names[instance.expression] += 1
        launch(instance, *rest)

    driver.launch = noted  # type: ignore[method-assign]
    try:
        step()
    finally:
        driver.launch = launch  # type: ignore[method-assign]
    return names


@stand_in
def a_training_step_is_made_of_fused_kernels() -> None:
    """One launch for all parameters; the loss with its check of labels in two, its gradient in one; dropout and the
    gradient of a max-pool in one."""
    import cupy_standin

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 3))
    net.cuda()
    X, y = tinycnn.randn(2, 1, 7, 7, device="cuda"), tinycnn.tensor([0, 2], device="cuda")
    for optimizer, own in (
        (tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), ["sgd<float>"]),
        (tinycnn.optim.Adam(net.parameters()), ["adam<float>"]),
        (tinycnn.optim.Adam(net.parameters(), capturable=True), ["adam<float>", "count_up"]),
        (tinycnn.optim.RMSprop(net.parameters()), ["rmsprop<float>"]),
        (tinycnn.optim.Adagrad(net.parameters()), ["adagrad<float>"]),
    ):
        step = training_step(net, X, y, optimizer)
        step()
        with cupy_standin.counted() as traffic:
            found = launched(step)
        assert traffic.waits == traffic.to_device == 0, traffic
        once = {"cross_entropy_rows<float>", "cross_entropy_total<float, true>", "cross_entropy_backward<float>"}
        once |= {"max_pool2d_backward<float, true>", *own}
        assert {name: found[name] for name in once} == dict.fromkeys(once, 1), found
        assert found["dropout<float>"] == 2
        assert not any(name.startswith(("scatter_plane", "uniform", "log_softmax")) for name in found)
        # What is not a raw kernel: the product and the bias of the linear layer, forward and backward, and little else.
        assert traffic.launches - found.total() < 20, (traffic, found)


def launches_of(function: Callable[[], Any]) -> int:
    import cupy_standin

    with cupy_standin.counted() as traffic:
        function()
    assert traffic.waits == traffic.to_device == 0, traffic
    return traffic.launches


@stand_in
def a_chain_of_operations_is_one_launch() -> None:
    """Activations and losses an element, forward and backward, in either layout."""
    f = nn.functional
    chains: list[Callable[..., Any]] = [
        f.relu, f.relu6, f.leaky_relu, f.sigmoid, f.tanh, f.gelu, functools.partial(f.gelu, approximate="tanh"), f.silu,
        f.softplus, f.logsigmoid, f.elu, f.hardtanh,
    ]  # fmt: skip
    losses = f.mse_loss, f.l1_loss, f.smooth_l1_loss, f.binary_cross_entropy_with_logits
    for chain in (*chains, *losses):
        for layout in (tinycnn.contiguous_format, tinycnn.channels_last):
            x, t = (tinycnn.rand(4, 3, 5, 2, device="cuda").to(memory_format=layout) for _ in range(2))
            run = functools.partial(chain, target=t, reduction="none") if chain in losses else chain
            x.requires_grad_()
            assert launches_of(functools.partial(run, x)) == 1, chain
            y = run(x)
            for g in (t, tinycnn.ones(1, device="cuda").expand(4, 3, 5, 2)):
                assert launches_of(functools.partial(grad, y, x, g, retain_graph=True)) == 1, chain


@stand_in
def gradients_are_clipped_and_unscaled_all_at_once() -> None:
    for layers in (1, 20):
        net = nn.Sequential(*(nn.Linear(3, 3) for _ in range(layers))).cuda()
        optimizer, scaler = tinycnn.optim.SGD(net.parameters(), lr=0.1), tinycnn.amp.GradScaler(init_scale=8.0)
        scaler.scale(net(tinycnn.randn(2, 3, device="cuda")).sum()).backward()
        assert launches_of(functools.partial(scaler.unscale_, optimizer)) == 2  # with zeros, for what is found
        for p in (2.0, 1.0, 3.0, float("inf")):
            clip = functools.partial(nn.utils.clip_grad_norm_, net.parameters(), 1.0, p)
            assert launches_of(clip) == 3


@stand_in
def branches_come_together_without_copies() -> None:
    """The gradient of a concatenation is cut where it lies, and sums of gradients stay channels-last."""
    body = [nn.Conv2d(8, 8, 1, bias=False).cuda() for _ in range(3)]
    x = tinycnn.randn(2, 8, 4, 4, device="cuda").to(memory_format=tinycnn.channels_last).requires_grad_()
    y = tinycnn.cat([f(x).relu() for f in body], 1)
    seed = tinycnn.ones_like(y)
    kernels = Counter[str]()
    every = launches_of(lambda: kernels.update(launched(lambda: grad(y, [x, *(f.weight for f in body)], seed))))
    assert kernels["chain<float, formula::relu_backward>"] == 3
    assert kernels["chain<float, formula::add>"] == 1
    assert every - kernels.total() == 4  # the weights turned round, and one sum in place


@stand_in
def products_are_rounded_where_that_is_allowed() -> None:
    from cupy_standin import Core

    from tinycnn.kernels.cuda import conv_choice

    a, b = (tinycnn.randn(16, 16, device="cuda", requires_grad=True) for _ in range(2))
    in_float32, in_tf32 = 1, 7
    for allowed in (False, True):
        tinycnn.backends.cuda.matmul.allow_tf32 = allowed
        Core.used.clear()
        (a @ b).sum().backward()
        assert Core.used == [in_tf32 if allowed else in_float32] * 3
        assert Core.get_compute_type("float32") == in_float32  # what others ask CuPy for is as it was
        Core.used.clear()
        a.detach().double() @ b.detach().double()
        assert not Core.used
        # In a captured graph the own kernels multiply: on tensor cores, where that is worth it.
        worth, conv_choice._WORTH_TENSOR_CORES = conv_choice._WORTH_TENSOR_CORES, 1
        conv_choice._choose.cache_clear()
        try:
            with conv_choice.own_products():
                (name,) = launched(lambda: a.detach() @ b.detach())
        finally:
            conv_choice._WORTH_TENSOR_CORES = worth
            conv_choice._choose.cache_clear()
        assert ("tensor_core" if allowed else "gemm") in name, name
    tinycnn.backends.cuda.matmul.allow_tf32 = False


@stand_in
def mixed_precision_trains() -> None:
    for dtype, spelled in ((tinycnn.float16, "half16"), (tinycnn.bfloat16, "bfloat16")):
        tinycnn.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).cuda()
        optimizer = tinycnn.optim.Adam(net.parameters(), lr=0.01)
        trainer = tinycnn.train.Trainer(net, optimizer, amp_dtype=dtype)
        X, y = tinycnn.randn(12, 1, 6, 6), tinycnn.arange(12) % 3
        kernels = launched(lambda trainer=trainer, X=X, y=y: trainer.train_step(X, y))  # type: ignore[misc]
        for part in ("gemm_correlate", "gemm_weight_grad", "moment_parts", "transform", "input_gradient"):
            assert any(part in name and f"<{spelled}" in name for name in kernels), kernels
        losses = [trainer.train_step(X, y).item() for _ in range(30)]
        assert losses[-1] < 0.2 * losses[0], losses
        assert all(p.dtype is tinycnn.float32 for p in net.parameters())


@stand_in
def a_step_in_bfloat16_reads_nothing() -> None:
    import cupy_standin

    for name, (net, x) in networks().items():
        net.cuda()
        X, y = x.cuda(), tinycnn.arange(len(x), device="cuda")
        optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        half = functools.partial(tinycnn.autocast, "cuda", dtype=tinycnn.bfloat16)
        step = training_step(net, X, y, optimizer, half)
        step()
        with cupy_standin.counted() as traffic:
            kernels = launched(step)
        assert (traffic.to_device, traffic.to_host, traffic.waits) == (0, 0, 0), (name, traffic)
        in_bfloat16 = sum(times for kernel, times in kernels.items() if "<bfloat16" in kernel)
        assert in_bfloat16 > 0.6 * kernels.total(), (name, kernels)


@stand_in
def an_old_cupy_has_no_bfloat16() -> None:
    import cupy

    x, version = tinycnn.ones(2, device="cuda"), cupy.__version__
    cupy.__version__ = "13.6.0"
    try:
        for attempt in (x.bfloat16, x.cpu().bfloat16().cuda):
            refuses(TypeError, "bfloat16 on a GPU needs CuPy 14, installed is 13.6.0; take float16", attempt)
    finally:
        cupy.__version__ = version


@stand_in
def the_memory_of_a_step_is_the_devices() -> None:
    """What the process of `bench --memory` prints for the CUDA device."""
    import contextlib
    import io

    from tinycnn.bench import memory

    default, out = tinycnn.get_default_device(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            memory._child('["lenet", 28, 4, {}, "tinycnn", 1, "cuda"]')
    finally:
        tinycnn.set_default_device(default)
    found = json.loads(out.getvalue().splitlines()[-1])
    parameters = sum(p.numel() for p in tinycnn.models.lenet().parameters()) * 4 / 2**20
    assert parameters < found["before"] < found["peak"] < 16, found


@stand_in
def a_batch_norm_step_reads_nothing_but_the_loss() -> None:
    import cupy_standin

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten())
    net.cuda()
    X, v = tinycnn.randn(2, 1, 6, 6, device="cuda"), tinycnn.randn(2, 8, device="cuda")
    optimizer = tinycnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    with cupy_standin.counted() as traffic:
        net(X).backward(v)
        optimizer.step()
    assert (traffic.to_device, traffic.to_host, traffic.waits) == (0, 0, 0), traffic


@stand_in
def optimizers_and_clipping_read_nothing() -> None:
    import cupy_standin

    for name, cases in OPTIMIZERS.items():
        for options in cases:
            step = stepped("cuda", name, "float32", options)[1]
            step()
            with cupy_standin.counted() as traffic:
                step()
            assert (traffic.to_device, traffic.to_host, traffic.waits) == (0, 0, 0), (name, traffic)


@stand_in
def training_metrics_are_read_when_asked_for() -> None:
    import cupy_standin

    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).cuda()
    trainer = tinycnn.train.Trainer(net, tinycnn.optim.SGD(net.parameters(), lr=0.1))
    with cupy_standin.counted() as traffic:
        trainer.train_step(tinycnn.randn(2, 4), tinycnn.tensor([0, 2]))
    assert (traffic.to_device, traffic.to_host) == (2, 0), traffic  # the batch
    with cupy_standin.counted() as traffic:
        assert trainer.loss.value > 0
    assert traffic.to_host == 2  # the loss, and whether its labels were classes


@stand_in
def the_stand_in_is_strict() -> None:
    import cupy
    import numpy as np

    on_device, on_host = cupy.arange(3.0), np.arange(3.0)
    for attempt in (
        lambda: on_device + on_host,
        lambda: on_host * on_device,
        lambda: np.asarray(on_device),
        lambda: np.exp(on_host, out=on_device),
        lambda: np.sum(on_device),
        lambda: cupy.exp(on_host),
        lambda: cupy.sum(on_host),
        lambda: cupy.sum(on_device, initial=1.0),
        lambda: cupy.concatenate([on_device, on_host]),
        lambda: on_device.__setitem__(0, on_host),
        lambda: on_device[np.array([0])],
        lambda: cupy.floor_divide(on_device.astype("complex64"), 2),
        lambda: cupy.add.at(on_device.astype("int64"), cupy.asarray([0]), 1),
        lambda: on_device.astype("bfloat16") * 2.5,
        lambda: on_device.astype("bfloat16") + on_device,
        lambda: cupy.exp(on_device.astype("bfloat16")),
        lambda: on_device.astype("bfloat16").sum(),
        lambda: cupy.matmul(on_device.astype("bfloat16"), on_device.astype("bfloat16")),
    ):
        refuses(TypeError, "", attempt)
    for missing in (lambda: cupy.vecdot, lambda: on_device.itemset, lambda: on_device.flags.writeable):
        refuses(AttributeError, "", missing)
    refuses(RuntimeError, "modulo", lambda: on_device[cupy.asarray([7])])
    assert isinstance(on_device.sum(), cupy.ndarray)
    assert isinstance(on_device[0], cupy.ndarray)
    assert (np.float64(2) * on_device).tolist() == [0, 2, 4]
    assert np.isnan(cupy.empty(3).get()).all()
    assert np.isnan(cupy.empty(3, "bfloat16").astype("float32").get()).all()


@stand_in
def a_wrong_gradient_is_seen() -> None:
    """The comparison itself: a kernel that differs on the device is reported."""
    kernels = tinycnn.backend.get_backend("cuda").kernels
    info = next(op for op in all_ops() if op.name == "sigmoid")
    right = kernels.sigmoid_backward
    kernels.sigmoid_backward = lambda g, y: right(g, y) * (1 + 1e-3)
    try:
        refuses(AssertionError, "sigmoid, sample 0, float64, gradients", lambda: check_op(info))
    finally:
        kernels.sigmoid_backward = right


@stand_in
def what_is_missing_is_said() -> None:
    """The reasons that `cuda_status` gives, and the errors that carry them."""
    import cupy

    usable, facts = cuda_status()
    assert usable
    assert facts == "1 x stand-in, compute capability 90, CuPy 14.2.0"
    refuses(RuntimeError, "this machine has 1 (cuda:0 is the first)", lambda: tinycnn.zeros(1, device="cuda:1"))
    count, properties = cupy.cuda.runtime.getDeviceCount, cupy.cuda.runtime.getDeviceProperties

    def fails(*args: Any) -> int:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    def status() -> tuple[bool, str]:
        return cuda_status.__wrapped__()

    try:
        cupy.cuda.runtime.getDeviceCount = lambda: 0
        assert status() == (False, "CuPy 14.2.0 is installed, but the driver reports no device")
        cupy.cuda.runtime.getDeviceCount = fails
        assert status()[1].startswith("CuPy 14.2.0 is installed, but there is no usable driver: cudaErrorNoDevice")
        cupy.cuda.runtime.getDeviceCount, cupy.cuda.runtime.getDeviceProperties = count, fails
        assert status()[1].startswith("a GPU was found, but it cannot be used (CUDARuntimeError)")
        cupy.cuda.runtime.getDeviceProperties = properties
        sys.modules["cupy"] = None  # type: ignore[assignment]
        missing = status()
        assert not missing[0]
        assert missing[1].startswith("CuPy is not installed (pip install")
    finally:
        sys.modules["cupy"] = cupy
        cupy.cuda.runtime.getDeviceCount, cupy.cuda.runtime.getDeviceProperties = count, properties


# ---- in pytest's process ---------------------------------------------------------------------------------------------


# One of pytest's workers runs that process, for all.
pytestmark = pytest.mark.xdist_group("cuda_standin")


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    return outcome_of(__file__)


@pytest.mark.parametrize("name", [*CHECKS, *STAND_IN])
def test_on_the_stand_in(name: str, outcome: dict[str, Any]) -> None:
    assert name in outcome["ran"]
    assert name not in outcome["failures"], outcome["failures"][name]


def test_the_stand_in_stays_in_its_process() -> None:
    assert "cupy_standin" not in sys.modules


if __name__ == "__main__":
    run_checks({**CHECKS, **STAND_IN})
