"""Layers against PyTorch's: how they print, what they save, what they compute; and lazy layers."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim

IMAGE = (2, 4, 7, 6)

# Each layer as a function of the library's nn, with the shape of an input; None where it has to be told more.
LAYERS = {
    "linear": (lambda nn: nn.Linear(5, 3), (2, 4, 5)),
    "linear-no-bias": (lambda nn: nn.Linear(5, 3, bias=False), (5,)),
    "identity": (lambda nn: nn.Identity(3, x=1), (2, 3)),
    "flatten": (lambda nn: nn.Flatten(), (2, 3, 4)),
    "flatten-some": (lambda nn: nn.Flatten(0, 1), (2, 3, 4)),
    "unflatten": (lambda nn: nn.Unflatten(1, (2, -1)), (3, 6)),
    "unfold": (lambda nn: nn.Unfold((3, 2), padding=1), IMAGE),
    "fold": (lambda nn: nn.Fold((4, 5), 2, stride=(2, 1)), (3, 8, 8)),
    "conv": (lambda nn: nn.Conv2d(4, 6, 3), IMAGE),
    "conv-all": (lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, False), IMAGE),
    "conv-same": (lambda nn: nn.Conv2d(4, 2, (4, 3), padding="same", dilation=2), IMAGE),
    "conv-valid": (lambda nn: nn.Conv2d(4, 2, 3, padding="valid"), (4, 5, 5)),
    "conv-depthwise": (lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4), IMAGE),
    "conv-reflect": (lambda nn: nn.Conv2d(4, 2, 3, padding=(2, 1), padding_mode="reflect"), IMAGE),
    "conv-replicate": (lambda nn: nn.Conv2d(4, 2, (2, 3), padding="same", padding_mode="replicate"), IMAGE),
    "conv-circular": (lambda nn: nn.Conv2d(4, 2, 3, stride=2, padding=1, padding_mode="circular"), IMAGE),
    "conv-valid-reflect": (lambda nn: nn.Conv2d(4, 2, 3, padding="valid", padding_mode="reflect"), IMAGE),
    "transposed": (lambda nn: nn.ConvTranspose2d(4, 6, 3), IMAGE),
    "transposed-all": (lambda nn: nn.ConvTranspose2d(4, 6, (3, 2), 3, (1, 0), (2, 1), 2, False, 2), IMAGE),
    "max-pool": (lambda nn: nn.MaxPool2d(2), IMAGE),
    "max-pool-all": (lambda nn: nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True), IMAGE),
    "avg-pool": (lambda nn: nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg-pool-all": (lambda nn: nn.AvgPool2d((3, 2), 2, (1, 0), True, False), IMAGE),
    "avg-pool-divisor": (lambda nn: nn.AvgPool2d(2, divisor_override=3), IMAGE),
    "adaptive-avg": (lambda nn: nn.AdaptiveAvgPool2d((3, None)), IMAGE),
    "adaptive-avg-1": (lambda nn: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive-max": (lambda nn: nn.AdaptiveMaxPool2d((2, 4)), IMAGE),
    "batch-norm-1d": (lambda nn: nn.BatchNorm1d(3), (5, 3)),
    "batch-norm-1d-long": (lambda nn: nn.BatchNorm1d(3, affine=False), (5, 3, 4)),
    "batch-norm-2d": (lambda nn: nn.BatchNorm2d(4, 1e-3, 0.3), IMAGE),
    "batch-norm-cumulative": (lambda nn: nn.BatchNorm2d(4, momentum=None), IMAGE),
    "batch-norm-untracked": (lambda nn: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "layer-norm": (lambda nn: nn.LayerNorm(6), IMAGE),
    "layer-norm-all": (lambda nn: nn.LayerNorm([7, 6], 1e-3, bias=False), IMAGE),
    "layer-norm-plain": (lambda nn: nn.LayerNorm((7, 6), elementwise_affine=False), IMAGE),
    "group-norm": (lambda nn: nn.GroupNorm(2, 4), IMAGE),
    "group-norm-plain": (lambda nn: nn.GroupNorm(4, 4, 1e-3, False), (2, 4)),
    "instance-norm": (lambda nn: nn.InstanceNorm2d(4), IMAGE),
    "instance-norm-all": (lambda nn: nn.InstanceNorm2d(4, 1e-3, affine=True), IMAGE[1:]),
    "local-response-norm": (lambda nn: nn.LocalResponseNorm(3, 0.1, 0.5, 2.0), IMAGE),
    "dropout": (lambda nn: nn.Dropout(0.3, True).eval(), (4,)),
    "dropout2d": (lambda nn: nn.Dropout2d().eval(), IMAGE),
    "relu": (lambda nn: nn.ReLU(), (3, 4)),
    "relu-inplace": (lambda nn: nn.ReLU(inplace=True), None),
    "relu6": (lambda nn: nn.ReLU6(), (3, 4)),
    "relu6-inplace": (lambda nn: nn.ReLU6(True), None),
    "hardtanh": (lambda nn: nn.Hardtanh(-0.5, 0.3), (3, 4)),
    "hardtanh-inplace": (lambda nn: nn.Hardtanh(inplace=True), None),
    "leaky-relu": (lambda nn: nn.LeakyReLU(0.2), (3, 4)),
    "leaky-relu-inplace": (lambda nn: nn.LeakyReLU(inplace=True), None),
    "elu": (lambda nn: nn.ELU(0.7), (3, 4)),
    "elu-inplace": (lambda nn: nn.ELU(inplace=True), None),
    "gelu": (lambda nn: nn.GELU(), (3, 4)),
    "gelu-tanh": (lambda nn: nn.GELU(approximate="tanh"), (3, 4)),
    "sigmoid": (lambda nn: nn.Sigmoid(), (3, 4)),
    "tanh": (lambda nn: nn.Tanh(), (3, 4)),
    "silu": (lambda nn: nn.SiLU(), (3, 4)),
    "silu-inplace": (lambda nn: nn.SiLU(inplace=True), None),
    "softplus": (lambda nn: nn.Softplus(2.0, 1.5), (3, 4)),
    "softmax": (lambda nn: nn.Softmax(dim=1), (3, 4)),
    "log-softmax": (lambda nn: nn.LogSoftmax(dim=-1), (3, 4)),
    "max-unpool": (lambda nn: nn.MaxUnpool2d(2, 3, (1, 0)), None),
    "cross-entropy": (lambda nn: nn.CrossEntropyLoss(), None),
    "nll": (lambda nn: nn.NLLLoss(), None),
    "mse": (lambda nn: nn.MSELoss(), None),
    "l1": (lambda nn: nn.L1Loss(), None),
    "smooth-l1": (lambda nn: nn.SmoothL1Loss(), None),
    "bce": (lambda nn: nn.BCELoss(), None),
    "bce-logits": (lambda nn: nn.BCEWithLogitsLoss(), None),
    "lazy-linear": (lambda nn: nn.LazyLinear(3, bias=False), None),
    "lazy-conv": (lambda nn: nn.LazyConv2d(3, 3, padding=1), None),
    "lazy-transposed": (lambda nn: nn.LazyConvTranspose2d(3, 3, 2, output_padding=1), None),
    "lazy-norm-1d": (lambda nn: nn.LazyBatchNorm1d(momentum=None), None),
    "lazy-norm-2d": (lambda nn: nn.LazyBatchNorm2d(affine=False), None),
}
RUNNING = [name for name, (_, shape) in LAYERS.items() if shape is not None]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def both(torch, name):
    """Our layer and PyTorch's, the former without a warning and the latter with those it likes to give."""
    build, _ = LAYERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = build(torch.nn)
    return build(nn), theirs


def without_bias_note(text):
    """PyTorch began in 2.12 to print a normalisation's bias."""
    return text.replace("bias=True, ", "").replace(", bias=True", "")


def copy_to(torch, ours, theirs):
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()})


@pytest.mark.parity
@pytest.mark.parametrize("name", LAYERS)
def test_layers_print_as_pytorchs(torch, name):
    ours, theirs = map(repr, both(torch, name))
    if "Norm" in ours and "bias" not in theirs:
        ours = without_bias_note(ours)
    assert ours == theirs


@pytest.mark.parity
@pytest.mark.parametrize("name", LAYERS)
def test_layers_save_the_same_state(torch, name):
    ours, theirs = both(torch, name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    if not name.startswith("lazy"):
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert tuple(a.shape) == tuple(b.shape)
            assert a.dtype.name == str(b.dtype).removeprefix("torch.")


@pytest.mark.parity
@pytest.mark.parametrize("name", RUNNING)
def test_layers_compute_what_pytorchs_do(torch, name, kernel_set):
    ours, theirs = (layer.double() for layer in both(torch, name))
    rng = np.random.default_rng(3)
    for p in ours.parameters():  # norms start at 1 and 0, which would hide a mistake
        nn.init.uniform_(p, -1, 1)
    copy_to(torch, ours, theirs)
    for training in (ours.training, ours.training, False):
        x = rng.normal(size=LAYERS[name][1])
        a, b = tinycnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours.train(training)(a), theirs.train(training)(b)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-11)
        g = rng.normal(size=y.shape)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(tinycnn.tensor(g))
        z.backward(torch.tensor(g))
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-10)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-10)
        for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
            np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12)


@pytest.mark.parity
def test_weights_go_to_pytorch_and_back(torch):
    def build(nn):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))

    theirs, ours = build(torch.nn), build(nn)
    x = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype(np.float32)
    theirs(torch.tensor(x))  # moves the statistics
    result = ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert not result.missing_keys
    assert ours[1].num_batches_tracked.item() == 1
    y, z = ours.eval()(tinycnn.tensor(x)), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    again = build(torch.nn)
    copy_to(torch, ours, again)
    assert (again.eval()(torch.tensor(x)) == z).all()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_copied_and_pickled(name):
    layer = LAYERS[name][0](nn)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert list(twin.state_dict()) == list(layer.state_dict())


# ---- batch normalisation ---------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("momentum", [0.1, 0.5, None])
def test_running_statistics_over_steps(torch, momentum):
    ours, theirs = nn.BatchNorm2d(3, momentum=momentum), torch.nn.BatchNorm2d(3, momentum=momentum)
    rng = np.random.default_rng(0)
    for step in range(4):
        x = rng.normal(step, 1 + step, size=(4, 3, 2, 5)).astype(np.float32)
        ours(tinycnn.tensor(x))
        theirs(torch.tensor(x))
        np.testing.assert_allclose(ours.running_mean.numpy(), theirs.running_mean.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.running_var.numpy(), theirs.running_var.numpy(), rtol=1e-5)
        assert ours.num_batches_tracked.item() == theirs.num_batches_tracked.item() == step + 1
    assert ours.num_batches_tracked.dtype is tinycnn.int64


def test_batch_norm_in_evaluation_changes_no_statistics():
    norm = nn.BatchNorm2d(3)
    norm(tinycnn.randn(2, 3, 4, 4))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    x = tinycnn.randn(2, 3, 4, 4)
    y = norm.eval()(x)
    assert all((before[k] == v).all() for k, v in norm.state_dict().items())
    assert (norm(x[:1]) == y[:1]).all()  # no batch statistics: a sample by itself gives the same
    norm.reset_running_stats()
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]
    assert norm.num_batches_tracked.item() == 0


def test_batch_norm_cumulative_is_the_mean_of_means():
    norm = nn.BatchNorm1d(1, momentum=None)
    for value in (1.0, 2.0, 6.0):
        norm(tinycnn.tensor([[value], [value]]))
    assert norm.running_mean.item() == pytest.approx(3)
    assert norm.running_var.item() == pytest.approx(0, abs=1e-7)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "match"),
    [
        (lambda: nn.BatchNorm2d(3)(tinycnn.zeros(4, 3)), "BatchNorm2d: expected 4D input"),
        (lambda: nn.BatchNorm1d(3)(tinycnn.zeros(1, 3, 3, 3)), "BatchNorm1d: expected 2D or 3D input"),
        (lambda: nn.BatchNorm2d(3)(tinycnn.zeros(1, 4, 2, 2)), "has 4 channels, the layer was made for 3"),
        (lambda: nn.BatchNorm1d(3)(tinycnn.zeros(1, 3)), "more than 1 value|more than one value"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups, got 3 and 2"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels must be divisible by groups, got 3 and 2"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups must be a positive integer"),
        (lambda: nn.Conv2d(4, 4, 0), "kernel_size must be at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding must be 'same', 'valid' or numbers, got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, padding="same"), "padding='same' needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of zeros, reflect"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "padding_mode must be 'zeros'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding must be numbers"),
        (lambda: nn.Conv2d(3, 4, 3)(tinycnn.zeros(1, 2, 5, 5)), "input has 2 channels"),
        (lambda: nn.InstanceNorm2d(3)(tinycnn.zeros(2, 4, 5, 5)), r"expected \(N, 3, H, W\) or \(3, H, W\), got shape"),
        (lambda: nn.InstanceNorm2d(3)(tinycnn.zeros(2, 3)), r"expected \(N, 3, H, W\)"),
        (lambda: nn.GroupNorm(2, 3), r"num_channels \(3\) must be divisible by num_groups \(2\)"),
        (lambda: nn.Dropout(3.0), "p must be a probability between 0 and 1, got 3.0"),
        (lambda: nn.Hardtanh(1, 0), "min_val must be below max_val"),
        (lambda: nn.MSELoss(reduction="avg"), "reduction must be 'mean', 'sum' or 'none', got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing must be between 0 and 1"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, 2)(tinycnn.zeros(1, 1, 4, 4), (8, 9)), "H can be 9 to 10, W 9 to 10"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, 2)(tinycnn.zeros(1, 1, 4, 4), (9,)), "must have 2 or 4 numbers"),
        (lambda: nn.LazyConv2d(4, 3)(tinycnn.zeros(5, 5)), "LazyConv2d: expected 3D or 4D input"),
        (lambda: nn.LazyConv2d(4, 3, groups=2)(tinycnn.zeros(1, 3, 5, 5)), "in_channels must be divisible by groups"),
        (lambda: nn.LazyLinear(4)(tinycnn.tensor(1.0)), "LazyLinear: the input has no dimensions"),
        (lambda: nn.LazyBatchNorm2d()(tinycnn.zeros(5, 5)), "LazyBatchNorm2d: expected 4D input"),
    ],
)
def test_wrong_settings_and_inputs_are_refused(action, match):
    with pytest.raises(ValueError, match=match):
        action()


def test_running_statistics_of_instances_are_refused():
    with pytest.raises(NotImplementedError, match="track_running_stats=True is not supported"):
        nn.InstanceNorm2d(3, track_running_stats=True)


def test_inputs_that_are_no_tensors_are_refused():
    for layer in (nn.BatchNorm2d(3), nn.LazyConv2d(3, 3), nn.Conv2d(1, 1, 1)):
        with pytest.raises(TypeError, match="Tensor"):
            layer(np.zeros((1, 3, 4, 4)))


# ---- layers with more than one output or input -----------------------------------------------------------------------


@pytest.mark.parity
def test_pooling_with_indices_and_back(torch):
    x = np.random.default_rng(0).permutation(np.arange(60.0)).reshape(1, 2, 5, 6)
    ours, theirs = tinycnn.tensor(x), torch.tensor(x)
    for build in (
        lambda nn: nn.MaxPool2d(2, return_indices=True),
        lambda nn: nn.AdaptiveMaxPool2d((2, 3), return_indices=True),
    ):
        (a, i), (b, j) = build(nn)(ours), build(torch.nn)(theirs)
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.testing.assert_array_equal(i.numpy(), j.numpy())
    (a, i), (b, j) = nn.MaxPool2d(2, return_indices=True)(ours), torch.nn.MaxPool2d(2, return_indices=True)(theirs)
    back = nn.MaxUnpool2d(2)(a, i, output_size=(5, 6))
    np.testing.assert_array_equal(back.numpy(), torch.nn.MaxUnpool2d(2)(b, j, output_size=(5, 6)).numpy())


@pytest.mark.parity
@pytest.mark.parametrize("size", [(9, 10), (2, 3, 10, 12), (11, 11)])
def test_transposed_convolution_of_a_wanted_size(torch, size):
    ours, theirs = (lib.ConvTranspose2d(2, 3, 3, 3, 1).double() for lib in (nn, torch.nn))
    copy_to(torch, ours, theirs)
    x = np.random.default_rng(0).normal(size=(2, 2, 4, 4))
    if size == (9, 10):
        with pytest.raises(ValueError, match="H can be 10 to 12"):
            ours(tinycnn.tensor(x), size)
        return
    y = ours(tinycnn.tensor(x), output_size=size)
    z = theirs(torch.tensor(x), output_size=size)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_pass_their_settings_on(torch, reduction):
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    weight, p, t = rng.uniform(0.5, 2, 4), rng.uniform(0.1, 0.9, (6, 4)), rng.uniform(0, 1, (6, 4))

    def losses(lib, nn, array):
        w, x, y, k = array(weight), array(logits), array(t), array(classes)
        return [
            nn.CrossEntropyLoss(w, ignore_index=1, reduction=reduction, label_smoothing=0.2)(x, k),
            nn.NLLLoss(w, ignore_index=2, reduction=reduction)(x, k),
            nn.MSELoss(reduction=reduction)(x, y),
            nn.L1Loss(reduction=reduction)(x, y),
            nn.SmoothL1Loss(reduction=reduction, beta=0.7)(x, y),
            nn.BCELoss(w, reduction=reduction)(array(p), y),
            nn.BCEWithLogitsLoss(w, reduction=reduction, pos_weight=w)(x, y),
        ]

    ours = losses(tinycnn, nn, tinycnn.tensor)
    theirs = losses(torch, torch.nn, torch.tensor)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


@pytest.mark.parity
def test_loss_weights_are_buffers(torch):
    for lib, arrays in ((nn, tinycnn), (torch.nn, torch)):
        loss = lib.BCEWithLogitsLoss(arrays.ones(2), pos_weight=arrays.ones(2)).double()
        assert list(loss.state_dict()) == ["weight", "pos_weight"]
        assert loss.weight.dtype == arrays.float64


def test_dropout_trains_and_evaluates():
    x = tinycnn.ones(1000)
    for layer in (nn.Dropout(0.25), nn.Dropout(0.25, inplace=True)):
        y = layer(x)
        assert x.min().item() == 1  # the input is left alone, whatever inplace says
        assert {round(v, 5) for v in y.tolist()} == {0, round(1 / 0.75, 5)}
        assert 0.15 < (y == 0).float().mean().item() < 0.35
        assert layer.eval()(x) is x
    y = nn.Dropout2d(0.5)(tinycnn.ones(1, 100, 2, 2))
    assert (y == y[:, :, :1, :1]).all()
    assert 0 < (y == 0).float().mean().item() < 1


def test_device_and_dtype_arguments():
    for layer in (
        nn.Linear(2, 2, dtype=tinycnn.float64, device="cpu"),
        nn.Conv2d(1, 1, 1, dtype=tinycnn.float64, device="cpu"),
        nn.ConvTranspose2d(1, 1, 1, dtype=tinycnn.float64, device="cpu"),
        nn.BatchNorm2d(2, dtype=tinycnn.float64, device="cpu"),
        nn.LayerNorm(2, dtype=tinycnn.float64, device="cpu"),
        nn.GroupNorm(1, 2, dtype=tinycnn.float64, device="cpu"),
        nn.LazyLinear(2, dtype=tinycnn.float64, device="cpu"),
        nn.LazyConv2d(2, 1, dtype=tinycnn.float64, device="cpu"),
        nn.LazyBatchNorm2d(dtype=tinycnn.float64, device="cpu"),
    ):
        floating = [t for t in layer.state_dict().values() if t.is_floating_point()]
        assert len(floating) >= 2
        assert all(t.dtype is tinycnn.float64 for t in floating)


def test_norms_without_a_bias():
    for layer in (nn.BatchNorm2d(2, bias=False), nn.GroupNorm(1, 2, bias=False), nn.LayerNorm(2, bias=False)):
        assert layer.bias is None
        assert "bias=False" in repr(layer)
        assert layer(tinycnn.randn(2, 2, 2, 2)).shape == (2, 2, 2, 2)


# ---- lazy layers -----------------------------------------------------------------------------------------------------


def lazy_net():
    return nn.Sequential(
        nn.LazyConv2d(4, 3, groups=2),
        nn.LazyBatchNorm2d(),
        nn.LazyConvTranspose2d(3, 3),
        nn.Flatten(),
        nn.LazyLinear(5, bias=False),
        nn.LazyBatchNorm1d(),
    )


def plain_net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 3, 3),
        nn.Flatten(),
        nn.Linear(3 * 36, 5, bias=False),
        nn.BatchNorm1d(5),
    )


def test_lazy_layers_become_plain_ones_with_the_same_start():
    net = lazy_net()
    lists = [list(net.parameters()), list(net.state_dict())]
    x = tinycnn.randn(3, 2, 6, 6)
    tinycnn.manual_seed(5)
    y = net(x)
    assert [type(m) for m in net] == [type(m) for m in plain_net()]
    assert [p is q for p, q in zip(net.parameters(), lists[0], strict=True)] == [True] * len(lists[0])
    assert all(type(p) is nn.Parameter and p.requires_grad for p in net.parameters())
    assert list(net.state_dict()) == lists[1]
    tinycnn.manual_seed(5)
    plain = plain_net()
    assert repr(net) == repr(plain)
    assert (plain(x) == y).all()
    for a, b in zip(net.state_dict().values(), plain.state_dict().values(), strict=True):
        assert a.dtype is b.dtype
        assert (a == b).all()
    y.sum().backward()
    optim.SGD(net.parameters(), lr=0.1).step()


def test_uninitialised_parameters_say_what_to_do():
    layer = nn.LazyLinear(3)
    for use in (
        lambda w: w.shape,
        lambda w: w.numel(),
        lambda w: w + 1,
        lambda w: w.detach(),
        lambda w: setattr(w, "data", tinycnn.zeros(3, 4)),
        lambda w: w.zero_(),
        lambda w: nn.init.xavier_uniform_(w),
        lambda w: tinycnn.ops.relu(w),
    ):
        with pytest.raises(ValueError, match=r"belongs to a lazy layer .* call the model once"):
            use(layer.weight)
    assert repr(layer.weight) == "<UninitializedParameter>"
    assert layer.weight.data.normal_().shape == (0,)  # as PyTorch's
    assert layer.weight.is_leaf
    assert not hasattr(layer.weight, "nothing")
    assert repr(nn.LazyBatchNorm1d().running_mean) == "<UninitializedBuffer>"
    with pytest.raises(ValueError, match="lazy layer"):
        nn.LazyBatchNorm1d().running_mean.sum()
    with pytest.raises(ValueError, match="lazy layer"):
        nn.utils.parameters_to_vector(layer.parameters())


def test_lazy_layers_before_their_first_call():
    net = lazy_net()
    assert list(net.state_dict())[:2] == ["0.weight", "0.bias"]
    net.double().requires_grad_(False)
    net.zero_grad()
    net.to("cpu").to(memory_format=tinycnn.channels_last)
    net.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        y = twin(tinycnn.zeros(2, 2, 6, 6, dtype=tinycnn.float64))
        assert y.dtype is tinycnn.float64
        assert not y.requires_grad
        assert twin[1].running_mean.dtype is tinycnn.float64
    assert repr(net[0]).startswith("LazyConv2d(0, 4")


def test_lazy_layers_load_a_state_before_their_first_call():
    source, net = plain_net(), lazy_net()
    source(tinycnn.randn(3, 2, 6, 6))
    net.load_state_dict(source.state_dict())
    x = tinycnn.randn(3, 2, 6, 6)
    assert (net.eval()(x) == source.eval()(x)).all()
    assert repr(net) == repr(source)
    half = nn.LazyLinear(1)
    half.load_state_dict({"weight": tinycnn.ones(1, 2)}, strict=False)
    assert half(tinycnn.ones(1, 2)).shape == (1, 1)
    assert half.weight.tolist() == [[1, 1]]
    assert -1 <= half.bias.item() <= 1
    with pytest.raises(RuntimeError, match=r'the value of "weight" is uninitialized'):
        nn.Linear(2, 1).load_state_dict(nn.LazyLinear(1).state_dict())


def test_a_failed_first_call_leaves_a_layer_lazy():
    layer = nn.LazyConv2d(4, 3, groups=2)
    with pytest.raises(ValueError, match="divisible"):
        layer(tinycnn.zeros(1, 3, 5, 5))
    assert layer(tinycnn.zeros(1, 2, 5, 5)).shape == (1, 4, 3, 3)
    assert repr(layer) == "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), groups=2)"


def test_lazy_layers_take_a_keyword_and_run_hooks():
    layer, seen = nn.LazyLinear(2), []
    layer.register_forward_hook(lambda m, args, out: seen.append(type(m)))
    layer(input=tinycnn.zeros(1, 3))
    assert seen == [nn.Linear]


def test_a_dry_run_and_then_an_init_by_type():
    """As "Dive into Deep Learning" does: one batch through the net, then Xavier for what it finds."""

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.LazyConv2d(6, 5, padding=2), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(10))

        def forward(self, x):
            return self.net(x)

        def apply_init(self, inputs, init):
            self.forward(*inputs)
            self.net.apply(init)

    def init(module):
        if type(module) == nn.Linear or type(module) == nn.Conv2d:  # noqa: E721
            nn.init.xavier_uniform_(module.weight)
            nn.init.constant_(module.bias, 0.5)

    model = LeNet()
    model.apply_init([tinycnn.zeros(1, 1, 8, 8)], init)
    assert all((m.bias == 0.5).all() for m in (model.net[0], model.net[3]))
    assert model.net[3].weight.shape == (10, 6 * 64)


def test_functional_is_made_of_operations():
    functional = nn.functional
    assert sorted(functional.__all__) == functional.__all__
    for name in functional.__all__:
        assert getattr(functional, name) is getattr(tinycnn.ops, name)


@pytest.mark.parity
def test_functional_has_pytorchs_names():
    torch_functional = pytest.importorskip("torch").nn.functional
    ours = [name for name in nn.functional.__all__ if not hasattr(torch_functional, name)]
    assert ours == ["batch_norm_relu", "conv2d_relu", "conv2d_sigmoid", "linear_relu", "linear_sigmoid"]
