"""Code in the manner of "Dive into Deep Learning", of its chapters on CNNs and modern CNNs, with only imports changed.

Networks are narrow and the data few: what is tested is that the code runs and learns, not how well.
"""

# ruff: noqa: UP008
from __future__ import annotations

import pytest
from d2l_data import write_small_fashion_mnist

import tinycnn as torch
from tinycnn import d2l, nn
from tinycnn.nn import functional as F


@pytest.fixture(autouse=True)
def _notebook(tmp_path, monkeypatch):
    """Small data in the place of Fashion-MNIST, and no screen."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    write_small_fashion_mnist(tmp_path, monkeypatch)
    yield
    d2l.plt.close("all")


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-2]


# ---- the first edition: functions -----------------------------------------------------------------------------------


class Reshape(nn.Module):
    def forward(self, x):
        return x.view(-1, 1, 28, 28)


def test_lenet(capsys):
    net = nn.Sequential(
        Reshape(), nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2), nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(),
        nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10))  # fmt: skip
    X = torch.rand(size=(1, 1, 28, 28), dtype=torch.float32)
    for layer in net:
        X = layer(X)
        print(layer.__class__.__name__, "output shape: \t", X.shape)
    assert "Linear output shape: \t tinycnn.Size([1, 10])" in capsys.readouterr().out
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=64)
    d2l.train_ch6(net, train_iter, test_iter, 1, 0.9, d2l.try_gpu())
    assert last_line(capsys).startswith("loss 2.")


def test_evaluation_and_training_written_out():
    def evaluate_accuracy_gpu(net, data_iter, device=None):
        if isinstance(net, torch.nn.Module):
            net.eval()
            if not device:
                device = next(iter(net.parameters())).device
        metric = d2l.Accumulator(2)
        for X, y in data_iter:
            if isinstance(X, list):  # noqa: SIM108
                X = [x.to(device) for x in X]
            else:
                X = X.to(device)
            y = y.to(device)
            metric.add(d2l.accuracy(net(X), y), y.numel())
        return metric[0] / metric[1]

    def train(net, train_iter, test_iter, num_epochs, lr, device):
        def init_weights(m):
            if type(m) == nn.Linear or type(m) == nn.Conv2d:  # noqa: E721
                nn.init.xavier_uniform_(m.weight)

        net.apply(init_weights)
        net.to(device)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        loss = nn.CrossEntropyLoss()
        animator = d2l.Animator(xlabel="epoch", xlim=[1, num_epochs], legend=["train loss", "train acc", "test acc"])
        timer, num_batches = d2l.Timer(), len(train_iter)
        for epoch in range(num_epochs):
            metric = d2l.Accumulator(3)
            net.train()
            for i, (X, y) in enumerate(train_iter):
                timer.start()
                optimizer.zero_grad()
                X, y = X.to(device), y.to(device)
                y_hat = net(X)
                l = loss(y_hat, y)
                l.backward()
                optimizer.step()
                with torch.no_grad():
                    metric.add(l * X.shape[0], d2l.accuracy(y_hat, y), X.shape[0])
                timer.stop()
                train_l = metric[0] / metric[2]
                train_acc = metric[1] / metric[2]
                if (i + 1) % (num_batches // 5) == 0 or i == num_batches - 1:
                    animator.add(epoch + (i + 1) / num_batches, (train_l, train_acc, None))
            test_acc = evaluate_accuracy_gpu(net, test_iter)
            animator.add(epoch + 1, (None, None, test_acc))
        return train_l, test_acc

    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=32)
    loss, accuracy = train(net, train_iter, test_iter, 4, 0.2, d2l.try_gpu())
    assert loss < 1.2
    assert accuracy > 0.6
    assert evaluate_accuracy_gpu(net, test_iter) == d2l.evaluate_accuracy_gpu(net, test_iter)


def test_the_place_of_data():
    labels = torch.arange(6)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(labels), batch_size=4, shuffle=True, num_workers=d2l.get_dataloader_workers()
    )
    assert sorted(int(label) for (y,) in loader for label in y) == labels.tolist()


def corr2d_multi_in(X, K):
    return sum(d2l.corr2d(x, k) for x, k in zip(X, K, strict=True))


def corr2d_multi_in_out(X, K):
    return d2l.stack([corr2d_multi_in(X, k) for k in K], 0)


def test_many_channels():
    X = d2l.tensor([[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
                    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])  # fmt: skip
    K = d2l.tensor([[[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]]])
    assert corr2d_multi_in(X, K).tolist() == [[56, 72], [104, 120]]
    K = d2l.stack((K, K + 1, K + 2), 0)
    assert corr2d_multi_in_out(X, K).shape == torch.Size([3, 2, 2])

    def corr2d_multi_in_out_1x1(X, K):
        c_i, h, w = X.shape
        c_o = K.shape[0]
        X = d2l.reshape(X, (c_i, h * w))
        K = d2l.reshape(K, (c_o, c_i))
        Y = d2l.matmul(K, X)
        return d2l.reshape(Y, (c_o, h, w))

    X = d2l.normal(0, 1, (3, 3, 3))
    K = d2l.normal(0, 1, (2, 3, 1, 1))
    assert float(d2l.reduce_sum(d2l.abs(corr2d_multi_in_out_1x1(X, K) - corr2d_multi_in_out(X, K)))) < 1e-5


def test_a_layer_and_pooling_from_scratch():
    class Conv2D(nn.Module):
        def __init__(self, kernel_size):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(kernel_size))
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return d2l.corr2d(x, self.weight) + self.bias

    assert Conv2D((1, 2))(d2l.ones((6, 8))).shape == (6, 7)

    def pool2d(X, pool_size, mode="max"):
        p_h, p_w = pool_size
        Y = d2l.zeros((X.shape[0] - p_h + 1, X.shape[1] - p_w + 1))
        for i in range(Y.shape[0]):
            for j in range(Y.shape[1]):
                if mode == "max":
                    Y[i, j] = X[i : i + p_h, j : j + p_w].max()
                elif mode == "avg":
                    Y[i, j] = X[i : i + p_h, j : j + p_w].mean()
        return Y

    X = d2l.arange(9, dtype=d2l.float32).reshape((3, 3))
    assert pool2d(X, (2, 2)).tolist() == [[4, 5], [7, 8]]
    assert pool2d(X, (2, 2), "avg").tolist() == [[2, 3], [5, 6]]
    X = X.reshape(1, 1, 3, 3)
    assert torch.equal(nn.MaxPool2d(2, stride=1)(torch.cat((X, X + 1), 1))[0, 0], pool2d(X[0, 0], (2, 2)))


def vgg_block(num_convs, in_channels, out_channels):
    layers = []
    for _ in range(num_convs):
        layers.append(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1))
        layers.append(nn.ReLU())
        in_channels = out_channels
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def vgg(conv_arch, size):
    conv_blks = []
    in_channels = 1
    for num_convs, out_channels in conv_arch:
        conv_blks.append(vgg_block(num_convs, in_channels, out_channels))
        in_channels = out_channels
    return nn.Sequential(
        *conv_blks, nn.Flatten(),
        nn.Linear(out_channels * (size // 2 ** len(conv_arch)) ** 2, 64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10))  # fmt: skip


def nin_block(in_channels, out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, strides, padding), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU())  # fmt: skip


def nin():
    return nn.Sequential(
        nin_block(1, 8, kernel_size=5, strides=2, padding=0), nn.MaxPool2d(3, stride=2), nn.Dropout(0.5),
        nin_block(8, 10, kernel_size=3, strides=1, padding=1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())  # fmt: skip


class Inception(nn.Module):
    def __init__(self, in_channels, c1, c2, c3, c4, **kwargs):
        super(Inception, self).__init__(**kwargs)
        self.p1_1 = nn.Conv2d(in_channels, c1, kernel_size=1)
        self.p2_1 = nn.Conv2d(in_channels, c2[0], kernel_size=1)
        self.p2_2 = nn.Conv2d(c2[0], c2[1], kernel_size=3, padding=1)
        self.p3_1 = nn.Conv2d(in_channels, c3[0], kernel_size=1)
        self.p3_2 = nn.Conv2d(c3[0], c3[1], kernel_size=5, padding=2)
        self.p4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.p4_2 = nn.Conv2d(in_channels, c4, kernel_size=1)

    def forward(self, x):
        p1 = F.relu(self.p1_1(x))
        p2 = F.relu(self.p2_2(F.relu(self.p2_1(x))))
        p3 = F.relu(self.p3_2(F.relu(self.p3_1(x))))
        p4 = F.relu(self.p4_2(self.p4_1(x)))
        return torch.cat((p1, p2, p3, p4), dim=1)


def googlenet():
    b1 = nn.Sequential(nn.Conv2d(1, 8, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    b2 = nn.Sequential(Inception(8, 4, (4, 8), (2, 4), 4), nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    b3 = nn.Sequential(Inception(20, 8, (4, 8), (2, 4), 4), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())
    return nn.Sequential(b1, b2, b3, nn.Linear(24, 10))


def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + eps)
        moving_mean = momentum * moving_mean + (1.0 - momentum) * mean
        moving_var = momentum * moving_var + (1.0 - momentum) * var
    Y = gamma * X_hat + beta
    return Y, moving_mean.data, moving_var.data


class BatchNorm(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        if self.moving_mean.device != X.device:
            self.moving_mean = self.moving_mean.to(X.device)
            self.moving_var = self.moving_var.to(X.device)
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.9)  # fmt: skip
        return Y


def lenet_bn():
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5), BatchNorm(6, num_dims=4), nn.Sigmoid(), nn.MaxPool2d(2, stride=2),
        nn.Conv2d(6, 8, kernel_size=5), BatchNorm(8, num_dims=4), nn.Sigmoid(), nn.MaxPool2d(2, stride=2),
        nn.Flatten(), nn.Linear(8 * 4 * 4, 32), BatchNorm(32, num_dims=2), nn.Sigmoid(),
        nn.Linear(32, 10))  # fmt: skip


class Residual(nn.Module):
    def __init__(self, input_channels, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1)
        if use_1x1conv:
            self.conv3 = nn.Conv2d(input_channels, num_channels, kernel_size=1, stride=strides)
        else:
            self.conv3 = None
        self.bn1 = nn.BatchNorm2d(num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        Y += X
        return F.relu(Y)


def resnet_block(input_channels, num_channels, num_residuals, first_block=False):
    blk = []
    for i in range(num_residuals):
        if i == 0 and not first_block:
            blk.append(Residual(input_channels, num_channels, use_1x1conv=True, strides=2))
        else:
            blk.append(Residual(num_channels, num_channels))
    return blk


def resnet():
    b1 = nn.Sequential(nn.Conv2d(1, 8, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(8), nn.ReLU())
    b2 = nn.Sequential(*resnet_block(8, 8, 1, first_block=True))
    b3 = nn.Sequential(*resnet_block(8, 16, 1))
    return nn.Sequential(b1, b2, b3, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(16, 10))


def conv_block(input_channels, num_channels):
    return nn.Sequential(
        nn.BatchNorm2d(input_channels), nn.ReLU(),
        nn.Conv2d(input_channels, num_channels, kernel_size=3, padding=1))  # fmt: skip


class DenseBlock(nn.Module):
    def __init__(self, num_convs, input_channels, num_channels):
        super(DenseBlock, self).__init__()
        layer = []
        for i in range(num_convs):
            layer.append(conv_block(num_channels * i + input_channels, num_channels))  # noqa: PERF401
        self.net = nn.Sequential(*layer)

    def forward(self, X):
        for blk in self.net:
            Y = blk(X)
            X = torch.cat((X, Y), dim=1)
        return X


def transition_block(input_channels, num_channels):
    return nn.Sequential(
        nn.BatchNorm2d(input_channels), nn.ReLU(), nn.Conv2d(input_channels, num_channels, kernel_size=1),
        nn.AvgPool2d(kernel_size=2, stride=2))  # fmt: skip


def densenet():
    b1 = nn.Sequential(nn.Conv2d(1, 8, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(8), nn.ReLU())
    num_channels, growth_rate = 8, 4
    num_convs_in_dense_blocks = [2, 2]
    blks = []
    for i, num_convs in enumerate(num_convs_in_dense_blocks):
        blks.append(DenseBlock(num_convs, num_channels, growth_rate))
        num_channels += num_convs * growth_rate
        if i != len(num_convs_in_dense_blocks) - 1:
            blks.append(transition_block(num_channels, num_channels // 2))
            num_channels = num_channels // 2
    return nn.Sequential(
        b1, *blks, nn.BatchNorm2d(num_channels), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
        nn.Linear(num_channels, 10))  # fmt: skip


@pytest.mark.parametrize(
    ("make", "lr", "resize"),
    [
        (lambda: vgg(((1, 4), (1, 8)), 32), 0.05, 32),
        (nin, 0.1, None),
        (googlenet, 0.1, 32),
        (lenet_bn, 1.0, None),
        (resnet, 0.05, None),
        (densenet, 0.1, None),
    ],
    ids=["vgg", "nin", "googlenet", "lenet_bn", "resnet", "densenet"],
)
def test_modern_networks(make, lr, resize, capsys):
    net = make()
    train_iter, test_iter = d2l.load_data_fashion_mnist(32, resize=resize)
    animator = d2l.train_ch6(net, train_iter, test_iter, 2, lr, d2l.try_gpu())
    assert last_line(capsys).startswith("loss ")
    loss = animator.Y[0]
    assert loss[-1] < max(loss[0], 2.4)  # some stay on their first plateau, log 10, for longer than these twenty steps
    if make in (lenet_bn, resnet, densenet):
        assert loss[-1] < loss[0] - 0.02
    net.eval()
    with torch.no_grad():
        assert net(next(iter(test_iter))[0].to(d2l.try_gpu())).shape == (32, 10)


def test_learned_scales_of_batch_norm():
    net = lenet_bn()
    net(torch.randn(4, 1, 28, 28)).sum().backward()
    assert net[1].gamma.reshape((-1,)).shape == net[1].beta.reshape((-1,)).shape == (6,)
    assert net[1].moving_mean.abs().sum() > 0


# ---- the second edition: classes ------------------------------------------------------------------------------------


def fit(model, resize=(28, 28), epochs=1, init=True):
    data = d2l.FashionMNIST(batch_size=32, resize=resize)
    if init:
        model.apply_init([next(iter(data.get_dataloader(True)))[0]], d2l.init_cnn)
    trainer = d2l.Trainer(max_epochs=epochs, num_gpus=1)
    trainer.fit(model, data)
    points = model.board.data
    assert len(points["train_loss"]) == 2 * epochs
    assert len(points["val_loss"]) == len(points["val_acc"]) == epochs
    return points


def test_lenet_class_and_its_summary(capsys):
    class LeNet(d2l.Classifier):
        def __init__(self, lr=0.1, num_classes=10):
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(
                nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(),
                nn.AvgPool2d(kernel_size=2, stride=2),
                nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(),
                nn.AvgPool2d(kernel_size=2, stride=2),
                nn.Flatten(),
                nn.LazyLinear(120), nn.Sigmoid(),
                nn.LazyLinear(84), nn.Sigmoid(),
                nn.LazyLinear(num_classes))  # fmt: skip

    @d2l.add_to_class(d2l.Classifier)
    def shapes(self, X_shape):
        X = d2l.randn(*X_shape)
        for layer in self.net:
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)

    try:
        LeNet().shapes((1, 1, 28, 28))
        by_hand = capsys.readouterr().out
        LeNet().layer_summary((1, 1, 28, 28))
        assert capsys.readouterr().out == by_hand
    finally:
        del d2l.Classifier.shapes
    fit(LeNet(lr=0.1))


class AlexNet(d2l.Classifier):
    """In small; its lazy layers are not called before `fit`."""

    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.LazyConv2d(8, kernel_size=5, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(kernel_size=3, stride=2),
            nn.LazyConv2d(8, kernel_size=3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.LazyLinear(32), nn.ReLU(), nn.Dropout(p=0.5), nn.LazyLinear(num_classes))  # fmt: skip
        self.net.apply(d2l.init_cnn)


def lazy_vgg_block(num_convs, out_channels):
    layers = []
    for _ in range(num_convs):
        layers.append(nn.LazyConv2d(out_channels, kernel_size=3, padding=1))
        layers.append(nn.ReLU())
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


class VGG(d2l.Classifier):
    def __init__(self, arch, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        conv_blks = []
        for num_convs, out_channels in arch:
            conv_blks.append(lazy_vgg_block(num_convs, out_channels))
        self.net = nn.Sequential(
            *conv_blks, nn.Flatten(), nn.LazyLinear(32), nn.ReLU(), nn.Dropout(0.5), nn.LazyLinear(num_classes)
        )
        self.net.apply(d2l.init_cnn)


class LazyInception(nn.Module):
    def __init__(self, c1, c2, **kwargs):
        super(LazyInception, self).__init__(**kwargs)
        self.b1_1 = nn.LazyConv2d(c1, kernel_size=1)
        self.b2_1 = nn.LazyConv2d(c2[0], kernel_size=1)
        self.b2_2 = nn.LazyConv2d(c2[1], kernel_size=3, padding=1)

    def forward(self, x):
        b1 = F.relu(self.b1_1(x))
        b2 = F.relu(self.b2_2(F.relu(self.b2_1(x))))
        return torch.cat((b1, b2), dim=1)


class GoogleNet(d2l.Classifier):
    def b1(self):
        return nn.Sequential(
            nn.LazyConv2d(8, kernel_size=7, stride=2, padding=3), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1))  # fmt: skip


@d2l.add_to_class(GoogleNet)
def b2(self):
    return nn.Sequential(LazyInception(8, (4, 8)), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())


@d2l.add_to_class(GoogleNet)
def __init__(self, lr=0.1, num_classes=10):  # noqa: N807
    super(GoogleNet, self).__init__()
    self.save_hyperparameters()
    self.net = nn.Sequential(self.b1(), self.b2(), nn.LazyLinear(num_classes))
    self.net.apply(d2l.init_cnn)


class BNLeNet(d2l.Classifier):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5), nn.LazyBatchNorm2d(), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2), nn.Flatten(),
            nn.LazyLinear(32), nn.LazyBatchNorm1d(), nn.Sigmoid(),
            nn.LazyLinear(num_classes))  # fmt: skip


class ResNet(d2l.Classifier):
    def b1(self):
        return nn.Sequential(
            nn.LazyConv2d(8, kernel_size=7, stride=2, padding=3), nn.LazyBatchNorm2d(), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1))  # fmt: skip

    def block(self, num_residuals, num_channels, first_block=False):
        blk = []
        for i in range(num_residuals):
            if i == 0 and not first_block:
                blk.append(d2l.Residual(num_channels, use_1x1conv=True, strides=2))
            else:
                blk.append(d2l.Residual(num_channels))
        return nn.Sequential(*blk)

    def __init__(self, arch, lr=0.1, num_classes=10):
        super(ResNet, self).__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(self.b1())
        for i, b in enumerate(arch):
            self.net.add_module(f"b{i + 2}", self.block(*b, first_block=(i == 0)))
        self.net.add_module(
            "last", nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(num_classes))
        )
        self.net.apply(d2l.init_cnn)


class DenseNet(d2l.Classifier):
    def __init__(self, num_channels=8, growth_rate=4, arch=(2, 2), lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Sequential(nn.LazyConv2d(num_channels, 7, stride=2, padding=3), nn.ReLU()))
        for i, num_convs in enumerate(arch):
            block = DenseBlock(0, num_channels, growth_rate)
            for _ in range(num_convs):
                block.net.append(
                    nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(growth_rate, 3, padding=1))
                )
            self.net.add_module(f"dense_blk{i + 1}", block)
            num_channels += num_convs * growth_rate
            if i != len(arch) - 1:
                num_channels //= 2
                self.net.add_module(
                    f"tran_blk{i + 1}",
                    nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(num_channels, 1), nn.AvgPool2d(2)),
                )
        self.net.add_module(
            "last",
            nn.Sequential(
                nn.LazyBatchNorm2d(), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(num_classes)
            ),
        )
        self.net.apply(d2l.init_cnn)


class AnyNet(d2l.Classifier):
    def stem(self, num_channels):
        return nn.Sequential(
            nn.LazyConv2d(num_channels, kernel_size=3, stride=2, padding=1), nn.LazyBatchNorm2d(), nn.ReLU()
        )

    def stage(self, depth, num_channels, groups, bot_mul):
        blk = []
        for i in range(depth):
            if i == 0:
                blk.append(d2l.ResNeXtBlock(num_channels, groups, bot_mul, use_1x1conv=True, strides=2))
            else:
                blk.append(d2l.ResNeXtBlock(num_channels, groups, bot_mul))
        return nn.Sequential(*blk)

    def __init__(self, arch, stem_channels, lr=0.1, num_classes=10):
        super(AnyNet, self).__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(self.stem(stem_channels))
        for i, s in enumerate(arch):
            self.net.add_module(f"stage{i + 1}", self.stage(*s))
        self.net.add_module(
            "head", nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(num_classes))
        )
        self.net.apply(d2l.init_cnn)


class RegNet(AnyNet):
    def __init__(self, lr=0.1, num_classes=10):
        stem_channels, groups, bot_mul = 8, 4, 1
        depths, channels = (1, 2), (8, 16)
        super().__init__(
            ((depths[0], channels[0], groups, bot_mul), (depths[1], channels[1], groups, bot_mul)),
            stem_channels, lr, num_classes)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "resize", "init"),
    [
        (lambda: AlexNet(lr=0.1), (32, 32), False),
        (lambda: VGG(arch=((1, 4), (1, 8)), lr=0.1), (32, 32), True),
        (lambda: GoogleNet(lr=0.1), (32, 32), True),
        (lambda: BNLeNet(lr=0.1), (28, 28), True),
        (lambda: ResNet(arch=((1, 8), (1, 16)), lr=0.1), (32, 32), True),
        (lambda: DenseNet(lr=0.1), (28, 28), False),
        (lambda: RegNet(lr=0.05), (28, 28), False),
    ],
    ids=["alexnet", "vgg", "googlenet", "bnlenet", "resnet", "densenet", "regnet"],
)
def test_classes(make, resize, init):
    model = make()
    points = fit(model, resize, epochs=2, init=init)
    losses = points["train_loss"]
    assert losses[-1].y < max(losses[0].y, 2.4)
    assert model.hparams["lr"] == model.lr


def test_a_classifier_with_a_method_added_later():
    class Scratch(d2l.Classifier):
        def __init__(self, num_inputs, num_outputs, lr):
            super().__init__()
            self.save_hyperparameters()
            self.W = nn.Parameter(torch.normal(0, 0.01, size=(num_inputs, num_outputs)))
            self.b = nn.Parameter(torch.zeros(num_outputs))

    @d2l.add_to_class(Scratch)
    def forward(self, X):
        X = d2l.reshape(X, (-1, self.W.shape[0]))
        return d2l.matmul(X, self.W) + self.b

    @d2l.add_to_class(Scratch)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)

    model = Scratch(784, 10, lr=0.05)
    points = fit(model, epochs=3, init=False)
    assert points["val_acc"][-1].y > 0.6
    X, y = next(iter(d2l.FashionMNIST(batch_size=8).val_dataloader()))
    predicted = model(X.to(d2l.try_gpu())).argmax(axis=1).cpu()
    wrong = predicted.type(y.dtype) != y
    X, y, predicted = X[wrong], y[wrong], predicted[wrong]
    assert len(X) == int(wrong.sum())
