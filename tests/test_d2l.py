"""tinycnn.d2l: what the functions of the book's package give."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from d2l_data import TEST, TRAIN, write_small_fashion_mnist

import tinycnn
from tinycnn import d2l, nn, optim


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch):
    """Figures are drawn without a display, and closed after the test."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    monkeypatch.delenv("DISPLAY", raising=False)
    yield
    d2l.plt.close("all")


@pytest.fixture
def small_fashion_mnist(tmp_path, monkeypatch):
    write_small_fashion_mnist(tmp_path, monkeypatch)


def batches(n=4, size=8):
    x = tinycnn.rand(n * size, 1, 28, 28)
    return d2l.load_array((x, tinycnn.arange(n * size) % 10), size)


def linear_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


# ---- aliases and tools ----------------------------------------------------------------------------------------------


def test_every_name_is_there_and_matplotlib_is_not_loaded():
    load_all = "import sys; from tinycnn import d2l; [getattr(d2l, name) for name in d2l.__all__]"
    code = f"{load_all}; print('matplotlib' in sys.modules)"
    root = str(pathlib.Path(tinycnn.__file__).resolve().parent.parent)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\n"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        d2l.nonsense


def test_aliases():
    x = d2l.arange(6.0).reshape(2, 3)
    assert d2l.size(x) == 6
    assert d2l.reshape(x, (3, 2)).shape == d2l.transpose(x).shape == (3, 2)
    assert d2l.reduce_sum(x).item() == 15
    assert d2l.reduce_sum(x, 1, keepdims=True).tolist() == [[3], [12]]
    assert d2l.reduce_mean(x, axis=0).tolist() == [1.5, 2.5, 3.5]
    assert d2l.argmax(x, axis=1).tolist() == [2, 2]
    assert d2l.astype(x, d2l.int32).dtype is tinycnn.int32
    assert d2l.to(x, d2l.cpu()).device == d2l.cpu()
    assert d2l.concat((x, x), 1).shape == (2, 6)
    assert d2l.stack((x, x), 0).shape == (2, 2, 3)
    assert d2l.expand_dims(x, 0).shape == (1, 2, 3)
    assert d2l.swapaxes(x, 0, 1).shape == (3, 2)
    assert d2l.repeat(x, (2, 1)).shape == (4, 3)
    assert d2l.batch_matmul(x[None], x.T[None]).shape == (1, 2, 2)
    assert d2l.numpy((x * 2).requires_grad_()).tolist() == [[0, 2, 4], [6, 8, 10]]
    assert d2l.tensor([1.5], dtype=d2l.float64).dtype is tinycnn.float64


def test_devices():
    n = tinycnn.cuda.device_count()
    assert d2l.num_gpus() == n
    assert d2l.gpu(3) == tinycnn.device("cuda:3")
    assert d2l.try_gpu(n) == d2l.cpu() == tinycnn.device("cpu")
    assert len(d2l.try_all_gpus()) == max(n, 1)
    assert d2l.try_all_gpus()[0] == d2l.try_gpu()


def test_a_gpu_has_a_number_a_name_or_a_device():
    for ask in (tinycnn.cuda.synchronize, tinycnn.cuda.get_device_name):
        with pytest.raises(ValueError, match="expected a GPU, got 'cpu'"):
            ask(d2l.cpu())
        for place in (None, 0, "cuda", d2l.gpu(0)):
            if tinycnn.cuda.is_available():
                ask(place)
            else:
                with pytest.raises(RuntimeError, match="CUDA"):
                    ask(place)


def test_the_books_libraries_are_loaded_when_asked_for():
    assert d2l.plt.__name__ == "matplotlib.pyplot"
    assert pytest.importorskip("PIL.Image") is d2l.Image


def test_accumulator():
    metric = d2l.Accumulator(2)
    metric.add(1, tinycnn.tensor(2.5))
    metric.add(3, 4)
    assert metric.data == [4.0, 6.5]
    metric.reset()
    assert (metric[0], metric[1]) == (0, 0)
    with pytest.raises(ValueError, match="there are 2 sums, got 3 numbers"):
        metric.add(1, 2, 3)


def test_timer(monkeypatch):
    clock = iter([0.0, 1.0, 5.0, 8.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    timer = d2l.Timer()
    assert timer.stop() == 1
    timer.start()
    timer.stop()
    assert (timer.times, timer.sum(), timer.avg(), timer.cumsum()) == ([1, 3], 4, 2, [1, 4])


def test_corr2d_is_conv2d():
    x, k = tinycnn.randn(6, 7).double(), tinycnn.randn(2, 3).double()
    expected = nn.functional.conv2d(x[None, None], k[None, None])[0, 0]
    assert tinycnn.allclose(d2l.corr2d(x, k), expected)


@pytest.mark.parametrize(("x", "k"), [((3, 3), (4, 1)), ((3, 3), (1, 4)), ((1, 3, 3), (2, 2)), ((3, 3), (2,))])
def test_corr2d_says_what_does_not_fit(x, k):
    with pytest.raises(ValueError, match="corr2d: expected an image"):
        d2l.corr2d(tinycnn.zeros(*x), tinycnn.zeros(*k))


def test_linear_regression_from_scratch():
    true_w, true_b = d2l.tensor([2, -3.4]), 4.2
    features, labels = d2l.synthetic_data(true_w, true_b, 300)
    w, b = d2l.normal(0, 0.01, (2, 1), requires_grad=True), d2l.zeros(1, requires_grad=True)
    for _ in range(5):
        for X, y in d2l.load_array((features, labels), 10):
            d2l.squared_loss(d2l.linreg(X, w, b), y).sum().backward()
            d2l.sgd([w, b], 0.1, 10)
    assert (true_w - w.reshape(true_w.shape)).abs().max() < 0.01
    assert abs(true_b - b.item()) < 0.01
    assert (
        d2l.evaluate_loss(lambda X: d2l.linreg(X, w, b), d2l.load_array((features, labels), 32), d2l.squared_loss)
        < 1e-3
    )


# ---- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_fashion_mnist")
def test_load_data_fashion_mnist():
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size=32)
    X, y = next(iter(train_iter))
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((32, 1, 28, 28), tinycnn.float32, (32,), tinycnn.int64)
    assert 0 <= X.min() and X.max() <= 1
    assert (len(train_iter), len(test_iter)) == (TRAIN // 32, TEST // 32)
    assert sum(len(labels) for _, labels in test_iter) == TEST
    orders = [[int(label) for _, labels in train_iter for label in labels] for _ in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.usefixtures("small_fashion_mnist")
@pytest.mark.parametrize(("resize", "shape"), [(64, (64, 64)), ((20, 24), (20, 24)), (28, (28, 28))])
def test_resize(resize, shape):
    train_iter, test_iter = d2l.load_data_fashion_mnist(8, resize=resize)
    for loader in (train_iter, test_iter):
        assert next(iter(loader))[0].shape == (8, 1, *shape)


def test_a_folder_without_the_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="Fashion-MNIST"):
        d2l.load_data_fashion_mnist(8, root=tmp_path)


def test_text_labels():
    assert d2l.get_fashion_mnist_labels(tinycnn.tensor([1, 8])) == ["trouser", "bag"]


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_animator_holds_the_points_and_a_figure(tmp_path):
    animator = d2l.Animator(xlabel="epoch", xlim=[0, 2], ylim=[0, 1], legend=["loss", "acc"])
    animator.add(0.5, (0.9, None))
    animator.add(1, (0.7, tinycnn.tensor(0.5)))
    assert animator.X == [[0.5, 1.0], [1.0]]
    assert animator.Y == [[0.9, 0.7], [0.5]]
    axes = animator.axes[0]
    assert [list(map(float, line.get_ydata())) for line in axes.lines] == animator.Y
    assert (axes.get_xlabel(), axes.get_xlim(), axes.get_ylim()) == ("epoch", (0, 2), (0, 1))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["loss", "acc"]
    d2l.plt.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_plot():
    x = d2l.arange(0, 3, 0.1)
    d2l.plot(x, [x**2, d2l.sin(x)], "x", "f(x)", legend=["square", "sine"], yscale="linear", figsize=(4, 3))
    axes = d2l.plt.gca()
    assert len(axes.lines) == 2
    assert axes.lines[1].get_ydata().tolist() == d2l.sin(x).tolist()
    d2l.plot([[1, 2, 3], [4, 5, 6]])
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 2, 3], [4, 5, 6]]
    d2l.plot([3.0, 4.0])
    assert axes.lines[0].get_xdata().tolist() == [0, 1]
    with pytest.raises(ValueError, match="3 lines in Y and abscissae for 2 in X"):
        d2l.plot([[1], [2]], [[1], [2], [3]])


def test_show_images():
    images = [tinycnn.rand(5, 4), tinycnn.rand(1, 5, 4), tinycnn.rand(3, 5, 4), tinycnn.rand(5, 4).numpy()]
    axes = d2l.show_images(images, 2, 3, titles=["a", "b"], scale=1)
    assert len(axes) == 6
    assert [len(place.images) for place in axes] == [1, 1, 1, 1, 0, 0]
    assert [place.get_title() for place in axes] == ["a", "b", "", "", "", ""]
    assert axes[2].images[0].get_array().shape == (5, 4, 3)


def test_in_a_notebook_figures_are_shown_again_and_again(monkeypatch):
    import types

    import matplotlib.pyplot as plt

    plt.close(plt.figure())  # for the first one matplotlib itself asks for IPython
    shown = []
    display = types.ModuleType("IPython.display")
    display.display = shown.append
    display.clear_output = lambda wait: shown.append("clear")
    inline = types.ModuleType("matplotlib_inline.backend_inline")
    inline.set_matplotlib_formats = shown.append
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = object
    for module in (display, inline, ipython):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    animator = d2l.Animator()
    animator.add(1, 2)
    assert shown == ["svg", animator.fig, "clear"]


# ---- training -------------------------------------------------------------------------------------------------------


def test_accuracy():
    scores, y = tinycnn.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), tinycnn.tensor([1, 1, 1])
    assert d2l.accuracy(scores, y) == 2
    assert d2l.accuracy(tinycnn.tensor([1.0, 0.0, 1.0]), y) == 2


def test_evaluate_accuracy_leaves_the_module_in_evaluation_mode():
    X, y = tinycnn.rand(30, 1, 28, 28), tinycnn.arange(30) % 10
    net = nn.Sequential(nn.Dropout(0.9), linear_net()).train()
    value = d2l.evaluate_accuracy(net, d2l.load_array((X, y), 7))
    assert not net.training
    assert value == pytest.approx(float((net(X).argmax(1) == y).double().mean()))
    assert d2l.evaluate_accuracy_gpu(net, d2l.load_array((X, y), 7), "cpu") == value
    assert d2l.evaluate_accuracy(lambda x: net(x), d2l.load_array((X, y), 7)) == value


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_train_epoch_ch3_with_an_optimiser_and_by_hand(reduction):
    data = batches()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    net, twin = linear_net(), linear_net()
    twin.load_state_dict(net.state_dict())
    tinycnn.manual_seed(5)
    first = d2l.train_epoch_ch3(net, data, loss, optim.SGD(net.parameters(), lr=0.1))
    tinycnn.manual_seed(5)
    updater = (lambda n: d2l.sgd(twin.parameters(), 0.1, n)) if reduction == "none" else None
    if updater is not None:
        assert d2l.train_epoch_ch3(twin, data, loss, updater) == pytest.approx(first, rel=1e-5)
        assert tinycnn.allclose(net[1].weight, twin[1].weight, atol=1e-6)
    assert 2 < first[0] < 3.5
    assert 0 <= first[1] <= 1


@pytest.mark.usefixtures("small_fashion_mnist")
def test_train_ch3_learns_and_predict_ch3_draws():
    train_iter, test_iter = d2l.load_data_fashion_mnist(32)
    net = linear_net()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    animator = d2l.train_ch3(net, train_iter, test_iter, nn.CrossEntropyLoss(reduction="none"), 4, optimizer)
    assert [len(points) for points in animator.Y] == [4, 4, 4]
    loss, train_acc, test_acc = (points[-1] for points in animator.Y)
    assert loss < animator.Y[0][0]
    assert train_acc > 0.6 and test_acc > 0.6
    d2l.predict_ch3(net, test_iter, n=4)
    titles = [place.get_title() for place in d2l.plt.gcf().axes]
    assert len(titles) == 4 and all(title.count("\n") == 1 for title in titles)


@pytest.mark.usefixtures("small_fashion_mnist")
def test_train_ch6_is_plain_sgd_on_xavier_weights(capsys):
    train_iter, test_iter = d2l.load_data_fashion_mnist(64)
    net = nn.Sequential(nn.Conv2d(1, 4, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))
    twin = nn.Sequential(nn.Conv2d(1, 4, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))
    twin.load_state_dict(net.state_dict())
    tinycnn.manual_seed(1)
    animator = d2l.train_ch6(net, train_iter, test_iter, 2, 0.1, d2l.try_gpu())
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"training on {d2l.try_gpu()}"
    assert out[1].startswith("loss ") and ", test acc " in out[1]
    assert "examples/sec" in out[2]
    assert [len(points) for points in animator.Y] == [10, 10, 2]
    assert animator.X[0][0] == pytest.approx(0.2)
    assert animator.X[2] == [1, 2]

    tinycnn.manual_seed(1)
    twin.apply(d2l.init_cnn)
    optimizer = optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(2):
        for X, y in train_iter:
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(X), y).backward()
            optimizer.step()
    assert tinycnn.allclose(net[3].weight.cpu(), twin[3].weight, atol=1e-5)


def test_train_ch6_wants_an_epoch():
    with pytest.raises(ValueError, match="num_epochs must be 1 or more, got 0"):
        d2l.train_ch6(linear_net(), batches(), batches(), 0, 0.1, "cpu")


def test_train_ch13(capsys):
    net = linear_net()
    loss = nn.CrossEntropyLoss(reduction="none")
    before = net[1].weight.detach().clone()
    animator = d2l.train_ch13(net, batches(), batches(), loss, optim.SGD(net.parameters(), lr=0.01), 2)
    assert not tinycnn.equal(net[1].weight.cpu(), before)
    assert animator.Y[0][-1] > 1
    assert "examples/sec" in capsys.readouterr().out
    X, y = next(iter(batches()))
    X, y = X.to(d2l.try_gpu()), y.to(d2l.try_gpu())
    each = loss(net(X), y)
    total, right = d2l.train_batch_ch13(net, [X], y, loss, optim.SGD(net.parameters(), lr=0.01), d2l.try_all_gpus())
    assert total == pytest.approx(float(each.sum()), rel=1e-5)
    assert right == int(right)
    gradient = net[1].bias.grad.clone()
    net.zero_grad()
    assert gradient.abs().sum() > 0


# ---- the second edition ---------------------------------------------------------------------------------------------


def test_hyperparameters_of_a_subclass():
    class Base(d2l.HyperParameters):
        def __init__(self, a, b=2):
            self.save_hyperparameters()

    class Derived(Base):
        def __init__(self, c, *, d=4, _e=5):
            super().__init__(a=1)
            self.save_hyperparameters(ignore=["d"])

    found = Derived(c=3)
    assert (found.a, found.b, found.c, found.hparams) == (1, 2, 3, {"c": 3})
    assert not hasattr(found, "d")


def test_board_draws_means():
    board = d2l.ProgressBoard("x", xlim=[0, 3])
    for x in range(6):
        board.draw(x / 2, x, "a", every_n=2)
        board.draw(x / 2, -x, "b", every_n=3)
    assert [tuple(p) for p in board.data["a"]] == [(0.25, 0.5), (1.25, 2.5), (2.25, 4.5)]
    assert [tuple(p) for p in board.data["b"]] == [(0.5, -1), (2, -4)]
    assert [len(line.get_xdata()) for line in board.axes.lines] == [3, 2]
    assert board.axes.get_xlabel() == "x"


def test_a_module_that_is_not_finished_says_what_it_lacks():
    module = d2l.Module()
    with pytest.raises(AttributeError, match="Module: set self.net, or write forward"):
        module(tinycnn.zeros(1))
    with pytest.raises(NotImplementedError, match="needs a method loss"):
        module.loss(1, 2)
    with pytest.raises(RuntimeError, match="not being trained by a Trainer"):
        module.plot("loss", 1.0, train=True)
    with pytest.raises(NotImplementedError, match="needs a method get_dataloader"):
        d2l.DataModule().train_dataloader()


class Line(d2l.DataModule):
    """A straight line, without validation data."""

    def __init__(self, batch_size=8):
        super().__init__()
        self.save_hyperparameters()
        self.X, self.y = d2l.synthetic_data(d2l.tensor([2.0, -3.4]), 4.2, 64)

    def get_dataloader(self, train):
        return self.get_tensorloader((self.X, self.y), train, slice(0, 48) if train else slice(48, None))

    def val_dataloader(self):
        return None


class Regression(d2l.Module):
    def __init__(self, lr):
        super().__init__(plot_train_per_epoch=3)
        self.save_hyperparameters()
        self.net = nn.LazyLinear(1)

    def loss(self, y_hat, y):
        return nn.functional.mse_loss(y_hat, y)


def test_a_trainer_without_validation_data_and_with_clipping():
    model, data = Regression(lr=0.03), Line()
    trainer = d2l.Trainer(max_epochs=2)
    trainer.fit(model, data)
    assert (trainer.epoch, trainer.train_batch_idx, trainer.num_train_batches) == (2, 12, 6)
    points = model.board.data["train_loss"]
    assert len(points) == 6
    assert points[-1].y < points[0].y
    trainer = d2l.Trainer(max_epochs=1, gradient_clip_val=1e-3)
    before = model.net.weight.detach().clone()
    trainer.fit(model, data)
    assert 0 < (model.net.weight.cpu() - before.cpu()).norm() <= 6 * 0.03 * 1e-3 * 1.01


@pytest.mark.usefixtures("small_fashion_mnist")
def test_lenet_of_the_second_edition():
    data = d2l.FashionMNIST(batch_size=32)
    assert (len(data.train), len(data.val)) == (TRAIN, TEST)
    batch = next(iter(data.val_dataloader()))
    data.visualize(batch, ncols=4)
    assert d2l.plt.gcf().axes[0].get_title() == data.text_labels(batch[1])[0]
    model = d2l.LeNet(lr=0.5)
    model.apply_init([next(iter(data.get_dataloader(True)))[0]], d2l.init_cnn)
    d2l.Trainer(max_epochs=2, num_gpus=1).fit(model, data)
    assert {label: len(points) for label, points in model.board.data.items()} == {
        "train_loss": 4,
        "val_loss": 2,
        "val_acc": 2,
    }
    assert model.board.axes.get_xlim() == (0, 2)
    assert not model.training
    Y_hat, Y = tinycnn.tensor([[1.0, 2.0], [3.0, 1.0]]), tinycnn.tensor([1, 1])
    assert model.accuracy(Y_hat, Y).item() == 0.5
    assert model.accuracy(Y_hat, Y, averaged=False).tolist() == [1, 0]
    assert model.loss(Y_hat, Y, averaged=False).mean().item() == pytest.approx(model.loss(Y_hat, Y).item())


# ---- blocks ---------------------------------------------------------------------------------------------------------


def test_residual_of_both_editions_is_one_block():
    lazy, plain = d2l.Residual(6, use_1x1conv=True, strides=2), d2l.Residual(3, 6, use_1x1conv=True, strides=2)
    x = tinycnn.randn(2, 3, 8, 8)
    assert lazy(x).shape == plain(x).shape == (2, 6, 4, 4)
    assert [name for name, _ in lazy.named_parameters()] == [name for name, _ in plain.named_parameters()]
    lazy.load_state_dict(plain.state_dict())
    lazy.train(), plain.train()
    assert tinycnn.equal(lazy(x), plain(x))
    with pytest.raises(ValueError, match=r"expected num_channels, or input_channels and num_channels, got \(1, 2, 3\)"):
        d2l.Residual(1, 2, 3)
    with pytest.raises(ValueError, match="use_1x1conv=True"):
        d2l.Residual(3, 6)


def test_resnext_block():
    x = tinycnn.randn(2, 32, 8, 8)
    block = d2l.ResNeXtBlock(32, 16, 0.5, use_1x1conv=True, strides=2)
    assert block(x).shape == (2, 32, 4, 4)
    assert block.conv2.weight.shape == (16, 16, 3, 3)
    with pytest.raises(ValueError, match="groups of 5 channels do not divide a bottleneck of 32"):
        d2l.ResNeXtBlock(32, 5, 1)


def test_resnet18_for_small_images():
    with nn.init.no_init():
        net = d2l.resnet18(10, 3)
    # The paper's at this size has 11,173,962; the notes' convolutions have 4,800 biases, and on the three shortcuts no
    # batch normalisation, which has 2 * (128 + 256 + 512).
    assert sum(p.numel() for p in net.parameters()) == 11_173_962 + 4_800 - 1_792
