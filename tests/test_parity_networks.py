"""A network of every kind of layer beside PyTorch: the same weights give the same logits, loss and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests (pip install torch==2.13.0)")
pytestmark = pytest.mark.parity

BUDGET = {"float32": 1e-5, "float64": 1e-10}


def every_layer(nn):
    """A small network with every kind of layer, written once for both libraries.

    Four short branches, whose logits add up: in one long chain single precision alone, PyTorch's too, loses more than
    the budget.
    """

    class Branches(nn.Module):
        def __init__(self, *branches):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return sum(branch(x) for branch in self.branches)

    return Branches(
        nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(8, 8, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=4),
            nn.GroupNorm(2, 8),
            nn.LeakyReLU(0.1),
            nn.AdaptiveAvgPool2d((3, 2)),
            nn.Flatten(),
            nn.Linear(48, 10),
        ),
        nn.Sequential(
            nn.Conv2d(2, 8, 3, padding="same"),
            nn.LocalResponseNorm(3, alpha=0.1),
            nn.GELU(),
            nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
            nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1),
            nn.Tanh(),
            nn.AdaptiveMaxPool2d((5, 4)),
            nn.Conv2d(6, 6, 1),
            nn.Flatten(),
            nn.Linear(120, 10),
        ),
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(286, 20, bias=False),
            nn.BatchNorm1d(20),
            nn.ELU(),
            nn.Linear(20, 16),
            nn.LayerNorm(16),
            nn.SiLU(),
            nn.Linear(16, 10),
        ),
        nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2),
            nn.Dropout2d(0.0),
            nn.Flatten(),
            nn.Linear(396, 16),
            nn.Sigmoid(),
            nn.Linear(16, 16),
            nn.Softplus(),
            nn.Dropout(0.0),
            nn.Linear(16, 10),
        ),
    )


def worst_error(ours, theirs):
    """The largest difference, relative to the largest entry of the tensor."""
    theirs = theirs.detach().numpy()
    return np.abs(np.asarray(ours.detach()) - theirs).max() / max(np.abs(theirs).max(), 1e-30)


def both(dtype, train):
    torch.manual_seed(0)
    theirs = every_layer(torch.nn).to(getattr(torch, dtype)).train(train)
    ours = every_layer(nn).to(getattr(tinycnn, dtype)).train(train)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    images = rng.standard_normal((16, 2, 13, 11)).astype(dtype)
    labels = rng.integers(0, 10, 16)
    return ours, theirs, images, labels


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_loss_and_gradients_agree(dtype, train, kernel_set):
    ours, theirs, images, labels = both(dtype, train)

    x = tinycnn.tensor(images, requires_grad=True)
    logits = ours(x)
    loss = nn.functional.cross_entropy(logits, tinycnn.tensor(labels))
    loss.backward()
    torch_x = torch.tensor(images, requires_grad=True)
    torch_logits = theirs(torch_x)
    torch_loss = torch.nn.functional.cross_entropy(torch_logits, torch.tensor(labels))
    torch_loss.backward()

    errors = {"logits": worst_error(logits, torch_logits), "loss": worst_error(loss, torch_loss)}
    errors["input"] = worst_error(x.grad, torch_x.grad)
    their_gradients = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        reference = their_gradients[name].grad
        assert p.grad.dtype is p.dtype
        errors[name] = worst_error(p.grad, reference)
    too_large = {name: error for name, error in errors.items() if not error < BUDGET[dtype]}
    assert not too_large, f"relative errors above {BUDGET[dtype]}: {too_large}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moving_statistics_agree_after_training_steps(dtype):
    ours, theirs, images, labels = both(dtype, train=True)
    optimizer = tinycnn.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)
    torch_optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(ours(tinycnn.tensor(images)), tinycnn.tensor(labels)).backward()
        optimizer.step()
        torch_optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theirs(torch.tensor(images)), torch.tensor(labels)).backward()
        torch_optimizer.step()
    state = ours.state_dict()
    for name, value in theirs.state_dict().items():
        error = worst_error(state[name].double(), value.double())
        assert error < {"float32": 1e-4, "float64": 1e-9}[dtype], (name, error)
