"""Code as tutorials for PyTorch write it, with nothing changed but the import."""

from __future__ import annotations

import pytest

import tinycnn as torch
from tinycnn import nn
from tinycnn.nn import functional as F


def corr2d(image, kernel):
    h, w = kernel.shape
    out = torch.zeros((image.shape[0] - h + 1, image.shape[1] - w + 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (image[i : i + h, j : j + w] * kernel).sum()
    return out


def test_a_kernel_learned_by_writing_to_its_data():
    image = torch.ones((6, 8))
    image[:, 2:6] = 0
    edges = corr2d(image, torch.tensor([[1.0, -1.0]]))
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False)
    x, y = image.reshape((1, 1, 6, 8)), edges.reshape((1, 1, 6, 7))
    for _ in range(60):
        loss = (conv(x) - y) ** 2
        conv.zero_grad()
        loss = loss.sum()
        loss.backward()
        conv.weight.data[:] -= 3e-2 * conv.weight.grad
    assert torch.allclose(conv.weight.data.reshape((1, 2)), torch.tensor([[1.0, -1.0]]), atol=0.02)


def test_many_channels_from_one():
    image = torch.stack((torch.arange(9.0).reshape(3, 3), torch.arange(1.0, 10.0).reshape(3, 3)), 0)
    kernel = torch.stack((torch.arange(4.0).reshape(2, 2), torch.arange(1.0, 5.0).reshape(2, 2)), 0)
    one = sum(corr2d(x, k) for x, k in zip(image, kernel, strict=True))
    assert one.tolist() == [[56.0, 72.0], [104.0, 120.0]]
    kernels = torch.stack((kernel, kernel + 1, kernel + 2), 0)
    assert torch.equal(F.conv2d(image.unsqueeze(0), kernels)[0, 0], one)


def test_a_one_by_one_convolution_is_a_matrix_product():
    torch.manual_seed(1)
    x, w = torch.normal(0, 1, (3, 4, 5)), torch.normal(0, 1, (2, 3, 1, 1))
    product = torch.matmul(w.reshape((2, 3)), x.reshape((3, 20))).reshape((2, 4, 5))
    assert float(torch.abs(product - F.conv2d(x, w)).sum()) < 1e-4


def batch_norm(x, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(x.shape) in (2, 4)
        dims = 0 if len(x.shape) == 2 else (0, 2, 3)
        mean = x.mean(dim=dims, keepdim=len(x.shape) == 4)
        var = ((x - mean) ** 2).mean(dim=dims, keepdim=len(x.shape) == 4)
        x_hat = (x - mean) / torch.sqrt(var + eps)
        moving_mean = (1.0 - momentum) * moving_mean + momentum * mean
        moving_var = (1.0 - momentum) * moving_var + momentum * var
    return gamma * x_hat + beta, moving_mean.data, moving_var.data


class BatchNormFromScratch(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, x):
        if self.moving_mean.device != x.device:
            self.moving_mean = self.moving_mean.to(x.device)
            self.moving_var = self.moving_var.to(x.device)
        y, self.moving_mean, self.moving_var = batch_norm(
            x, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.1
        )
        return y


def test_batch_norm_from_scratch_is_batch_norm():
    torch.manual_seed(2)
    x = torch.randn(8, 3, 5, 5) * 4 + 1
    scratch, layer = BatchNormFromScratch(3, 4), nn.BatchNorm2d(3)
    weights = torch.randn(8, 3, 5, 5)
    for module in (scratch, layer):
        (module(x) * weights).sum().backward()
    assert torch.allclose(scratch.gamma.grad.reshape(-1), layer.weight.grad, atol=1e-3)
    assert torch.allclose(scratch.moving_mean.reshape(-1), layer.running_mean, atol=1e-5)
    layer.eval()
    with torch.no_grad():
        biased = layer.running_var - 0.1 * x.var((0, 2, 3)) + 0.1 * x.var((0, 2, 3), correction=0)
        assert torch.allclose(scratch.moving_var.reshape(-1), biased, atol=1e-4)


def init_weights(module):
    if type(module) is nn.Linear or type(module) is nn.Conv2d:
        nn.init.xavier_uniform_(module.weight)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.LazyLinear(120), nn.Sigmoid(),
            nn.LazyLinear(84), nn.Sigmoid(),
            nn.LazyLinear(10),
        )  # fmt: skip

    def forward(self, x):
        return self.net(x)


def test_lenet_layer_by_layer_and_a_training_loop(capsys):
    torch.manual_seed(3)
    net = LeNet()
    x = torch.rand(size=(1, 1, 28, 28), dtype=torch.float32)
    for layer in net.net:
        x = layer(x)
        print(layer.__class__.__name__, "output shape: \t", x.shape)
    assert "Conv2d output shape: \t tinycnn.Size([1, 6, 28, 28])" in capsys.readouterr().out
    net.apply(init_weights)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    net.to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.9)
    loss_fn = nn.CrossEntropyLoss()
    images, labels = torch.rand(32, 1, 28, 28), torch.randint(0, 10, (32,))
    batches = torch.data.DataLoader(torch.data.TensorDataset(images, labels), batch_size=8, shuffle=True)
    net.train()
    total, correct, count = 0.0, 0, 0
    for x, y in batches:
        optimizer.zero_grad()
        x, y = x.to(device), y.to(device)
        y_hat = net(x)
        loss = loss_fn(y_hat, y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            total += float(loss * x.shape[0])
            correct += int((y_hat.argmax(dim=1).type(y.dtype) == y).sum())
            count += y.numel()
    assert count == 32
    assert 0 <= correct <= 32
    assert 2 < total / count < 5


class MySequential(nn.Module):
    def __init__(self, *args):
        super().__init__()
        for index, module in enumerate(args):
            self.add_module(str(index), module)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


def test_modules_of_ones_own(tmp_path):
    net = MySequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.rand(2, 4)
    state = net.state_dict()
    shapes = {name: param.shape for name, param in net.named_parameters()}
    assert shapes["0.weight"] == torch.Size([8, 4])
    clone = MySequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    clone.load_state_dict(state)
    clone.eval()
    assert torch.equal(clone(x), net(x))
    shared = nn.Linear(8, 8)
    tied = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1))
    tied(x)
    tied[2].weight.data[0, 0] = 100
    assert bool((tied[2].weight.data[0] == tied[4].weight.data[0]).all())


def test_autograd_chapter():
    x = torch.arange(4.0)
    x.requires_grad_(True)
    y = 2 * torch.dot(x, x)
    y.backward()
    assert bool((x.grad == 4 * x).all())
    x.grad.zero_()
    y = x * x
    u = y.detach()
    (u * x).sum().backward()
    assert bool((x.grad == u).all())

    def f(a):
        b = a * 2
        while b.norm() < 1000:
            b = b * 2
        return b if b.sum() > 0 else 100 * b

    a = torch.randn(size=(), requires_grad=True)
    d = f(a)
    d.backward()
    assert abs(float(a.grad - d / a)) < 1e-3 * abs(float(a.grad))


def test_a_lazy_layer_whose_data_is_drawn_before_its_size_is_known():
    layer = nn.LazyLinear(1)
    layer.weight.data.normal_(0, 0.01)
    layer.bias.data.fill_(0)
    assert layer(torch.ones(2, 3)).shape == (2, 1)
    assert layer.weight.data.shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("save", "save_checkpoint"), ("load", "load_weights"), ("FloatTensor", r"tensor\(values, dtype=float32\)")],
)
def test_what_is_missing_says_what_to_write_instead(name, instead):
    with pytest.raises(AttributeError, match=f"module 'tinycnn' has no attribute {name!r}; .*{instead}"):
        getattr(torch, name)
    assert not hasattr(torch, "nonsense")
