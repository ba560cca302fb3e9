"""How parameters start: each distribution, the defaults of layers, seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

init = nn.init


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def is_uniform(tensor, low, high):
    """Whether many numbers could be uniform on [low, high]: in the bounds, near them, with a uniform's moments."""
    values, width = tensor.detach().numpy().astype(np.float64).ravel(), high - low
    assert values.size >= 2000
    assert values.min() >= low - 1e-6 * width
    assert values.max() <= high + 1e-6 * width
    assert np.quantile(values, 0.01) < low + 0.05 * width
    assert np.quantile(values, 0.99) > high - 0.05 * width
    assert abs(values.mean() - (low + high) / 2) < 0.05 * width
    assert values.std() == pytest.approx(width / math.sqrt(12), rel=0.05)


def is_normal(tensor, mean, std):
    values = (tensor.detach().numpy().astype(np.float64).ravel() - mean) / std
    assert values.size >= 2000
    assert abs(values.mean()) < 0.1
    assert values.std() == pytest.approx(1, rel=0.06)
    assert abs((np.abs(values) < 1).mean() - 0.683) < 0.05
    assert np.abs(values).max() > 2.5


WEIGHT = (20, 15, 3, 4)  # n_in 180, n_out 240


def test_plain_fillings():
    is_uniform(init.uniform_(tinycnn.empty(5000), -2, 5), -2, 5)
    is_uniform(init.uniform_(tinycnn.empty(5000)), 0, 1)
    is_normal(init.normal_(tinycnn.empty(5000), 3, 0.5), 3, 0.5)
    assert init.constant_(tinycnn.empty(2), 3).tolist() == [3, 3]
    assert init.ones_(tinycnn.empty(2)).tolist() == [1, 1]
    assert init.zeros_(tinycnn.empty(2)).tolist() == [0, 0]


def test_fillings_are_in_place_and_unrecorded():
    for fill in (
        init.uniform_,
        init.normal_,
        init.ones_,
        init.zeros_,
        init.xavier_uniform_,
        init.xavier_normal_,
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.orthogonal_,
        init.trunc_normal_,
        init.eye_,
    ):
        w = nn.Parameter(tinycnn.full((3, 4), 99.0))
        array = w.array
        assert fill(w) is w
        assert w.array is array
        assert (w != 99).all()
        assert w.is_leaf
        assert w.requires_grad


def test_xavier_and_kaiming_scales():
    def empty():
        return tinycnn.empty(*WEIGHT)

    a = 2 * math.sqrt(6 / 420)
    is_uniform(init.xavier_uniform_(empty(), gain=2), -a, a)
    is_normal(init.xavier_normal_(empty(), gain=2), 0, 2 * math.sqrt(2 / 420))
    b = math.sqrt(2) * math.sqrt(3 / 180)
    is_uniform(init.kaiming_uniform_(empty()), -b, b)
    b = math.sqrt(2 / 1.25) * math.sqrt(3 / 240)
    is_uniform(init.kaiming_uniform_(empty(), a=0.5, mode="fan_out"), -b, b)
    is_normal(init.kaiming_normal_(empty(), mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / 240))
    is_normal(init.kaiming_normal_(empty(), nonlinearity="linear"), 0, math.sqrt(1 / 180))


@pytest.mark.parity
def test_gains_are_pytorchs(torch):
    for name in ("linear", "conv1d", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3), (4, 2, 3, 3), (9, 2, 2)])
@pytest.mark.parametrize("dtype", [tinycnn.float32, tinycnn.float64, tinycnn.float16])
def test_orthogonal(shape, dtype):
    w = init.orthogonal_(tinycnn.empty(*shape, dtype=dtype), gain=3).numpy().astype(np.float64)
    flat = w.reshape(shape[0], -1) / 3
    gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    tolerance = {tinycnn.float64: 1e-12, tinycnn.float32: 1e-5, tinycnn.float16: 5e-3}[dtype]
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=tolerance)


def test_orthogonal_matrices_are_spread_evenly():
    """Without the correction of signs, Householder's Q would have a trace that leans to one side."""
    matrices = [init.orthogonal_(tinycnn.empty(3, 3, dtype=tinycnn.float64)).numpy() for _ in range(400)]
    assert abs(np.mean([np.trace(m) for m in matrices])) < 0.2
    assert abs(np.mean([m[0, 0] > 0 for m in matrices]) - 0.5) < 0.1


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 0.5, 0.9, 4), (0, 1, 3, 5)])
def test_truncated_normal(mean, std, a, b):
    from scipy import stats

    values = init.trunc_normal_(tinycnn.empty(4000), mean, std, a, b).numpy()
    assert values.min() >= a
    assert values.max() <= b
    expected = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(values, expected.cdf).pvalue > 1e-3


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_eye(torch, shape):
    np.testing.assert_array_equal(init.eye_(tinycnn.empty(*shape)).numpy(), torch.nn.init.eye_(torch.empty(shape)))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("shape", "groups"), [((3, 5, 3), 1), ((6, 2, 3, 4), 1), ((6, 2, 3, 3), 3), ((4, 4, 1, 2, 3), 2)]
)
def test_dirac(torch, shape, groups):
    expected = torch.nn.init.dirac_(torch.empty(shape), groups)
    np.testing.assert_array_equal(init.dirac_(tinycnn.empty(*shape), groups).numpy(), expected)


def test_dirac_hands_the_input_on():
    layer = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    init.dirac_(layer.weight)
    x = tinycnn.randn(1, 3, 5, 5)
    assert (layer(x) == x).all()


@pytest.mark.parametrize(
    ("action", "match"),
    [
        (lambda: init.xavier_uniform_(tinycnn.empty(3)), "Fan in and fan out can not be computed"),
        (lambda: init.kaiming_normal_(tinycnn.empty(3)), "fewer than 2 dimensions, this one has shape"),
        (lambda: init.kaiming_uniform_(tinycnn.empty(3, 3), mode="x"), "Mode x not supported"),
        (lambda: init.kaiming_uniform_(tinycnn.empty(3, 3), nonlinearity="x"), "unknown nonlinearity 'x'"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "must be a number"),
        (lambda: init.orthogonal_(tinycnn.empty(3)), "2 or more dimensions"),
        (lambda: init.eye_(tinycnn.empty(3)), "2 dimensions"),
        (lambda: init.dirac_(tinycnn.empty(3)), "3, 4 or 5 dimensions"),
        (lambda: init.dirac_(tinycnn.empty(4, 2, 3), groups=3), "groups=3 does not divide the 4"),
        (lambda: init.trunc_normal_(tinycnn.empty(3), a=1, b=0), "a below b"),
        (lambda: init.trunc_normal_(tinycnn.empty(3), std=0), "std must be positive"),
    ],
)
def test_misuse_is_refused(action, match):
    with pytest.raises(ValueError, match=match):
        action()


def test_empty_tensors_are_left_alone():
    for fill in (
        init.xavier_uniform_,
        init.xavier_normal_,
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.orthogonal_,
        init.eye_,
    ):
        for shape in ((0, 3), (3, 0), (0, 0)):
            assert fill(tinycnn.empty(*shape)).shape == shape
    assert nn.Linear(0, 2).bias.tolist() == [0, 0]
    assert nn.Linear(0, 2)(tinycnn.zeros(3, 0)).shape == (3, 2)


def test_default_start_of_layers():
    linear = nn.Linear(100, 2000)
    is_uniform(linear.weight, -0.1, 0.1)
    is_uniform(linear.bias, -0.1, 0.1)
    conv = nn.Conv2d(8, 2000, (3, 6), groups=2)  # n_in 72
    is_uniform(conv.weight, -1 / math.sqrt(72), 1 / math.sqrt(72))
    is_uniform(conv.bias, -1 / math.sqrt(72), 1 / math.sqrt(72))
    transposed = nn.ConvTranspose2d(3, 2000, 2)  # as PyTorch counts: 2000 * 4
    is_uniform(transposed.weight, -1 / math.sqrt(8000), 1 / math.sqrt(8000))
    is_uniform(transposed.bias, -1 / math.sqrt(8000), 1 / math.sqrt(8000))
    for norm in (nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3)):
        assert norm.weight.tolist() == [1, 1, 1]
        assert norm.bias.tolist() == [0, 0, 0]


@pytest.mark.parity
def test_default_start_has_pytorchs_spread(torch):
    torch.manual_seed(0)
    for build in (
        lambda nn: nn.Linear(50, 400),
        lambda nn: nn.Conv2d(6, 100, 5, groups=2),
        lambda nn: nn.ConvTranspose2d(50, 40, 3),
    ):
        ours, theirs = build(nn), build(torch.nn)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert p.abs().max().item() == pytest.approx(q.abs().max().item(), rel=0.1)
            assert p.std().item() == pytest.approx(q.std().item(), rel=0.2)


def test_the_seed_decides():
    def start(seed):
        tinycnn.manual_seed(seed)
        return nn.Conv2d(2, 3, 3).weight.numpy(force=True)

    assert (start(1) == start(1)).all()
    assert (start(1) != start(2)).any()


def test_reset_parameters_draws_anew():
    layer = nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    weight = layer.weight
    layer.reset_parameters()
    assert layer.weight is weight
    assert (layer.weight != before).any()
    norm = nn.BatchNorm2d(2)
    norm(tinycnn.randn(2, 2, 3, 3) + 1)
    norm.weight.data.fill_(7)
    norm.reset_parameters()
    assert norm.weight.tolist() == [1, 1]
    assert norm.running_mean.tolist() == [0, 0]


def test_a_generator_of_ones_own():
    for fill in (
        init.uniform_,
        init.normal_,
        init.trunc_normal_,
        init.xavier_uniform_,
        init.xavier_normal_,
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.orthogonal_,
    ):
        a, b, c = (
            fill(tinycnn.empty(4, 4), generator=tinycnn.Generator().manual_seed(seed)).numpy() for seed in (3, 3, 4)
        )
        assert (a == b).all()
        assert (a != c).any()
