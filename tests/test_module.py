"""Module: registration, names, the state, hooks, copies; and the containers."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import tinycnn
from tinycnn import nn


class Block(nn.Module):
    """A module with every kind of member."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.scale = nn.Parameter(tinycnn.ones(1))
        self.register_buffer("offset", tinycnn.zeros(3))
        self.register_buffer("scratch", tinycnn.zeros(1), persistent=False)
        self.register_parameter("unused", None)
        self.note = "plain"

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))

    def forward(self, x):
        return self.head(self.first(x))


STATE_KEYS = [
    "first.scale",
    "first.offset",
    "first.conv.weight",
    "first.conv.bias",
    "first.norm.weight",
    "first.norm.bias",
    "first.norm.running_mean",
    "first.norm.running_var",
    "first.norm.num_batches_tracked",
    "head.1.weight",
    "head.1.bias",
]


def batch(n=2):
    tinycnn.manual_seed(1)
    return tinycnn.randn(n, 2, 4, 4)


# ---- registration ----------------------------------------------------------------------------------------------------


def test_names_of_members_at_every_depth():
    net = Net()
    assert [n for n, _ in net.named_modules()] == [
        "",
        "first",
        "first.conv",
        "first.norm",
        "head",
        "head.0",
        "head.1",
    ]
    assert [n for n, _ in net.named_children()] == ["first", "head"]
    assert [n for n, _ in net.named_parameters()] == [
        "first.scale",
        "first.conv.weight",
        "first.conv.bias",
        "first.norm.weight",
        "first.norm.bias",
        "head.1.weight",
        "head.1.bias",
    ]
    assert next(n for n, _ in net.named_parameters(prefix="net")) == "net.first.scale"
    assert [n for n, _ in net.first.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.first.named_buffers(recurse=False)] == ["offset", "scratch"]
    assert len(list(net.buffers())) == 5
    assert len(list(net.modules())) == 7
    assert list(net.children()) == [net.first, net.head]


def test_shared_members_are_given_once_and_saved_under_both_names():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "0"]
    assert [n for n, _ in net.named_children()] == ["0"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    assert [n for n, _ in tied.named_parameters()] == ["0.weight"]
    twin = copy.deepcopy(tied)
    assert twin[0].weight is twin[1].weight
    again = pickle.loads(pickle.dumps(tied))
    assert again[0].weight is again[1].weight


def test_assigning_changes_the_kind_of_a_name():
    m = nn.Module()
    m.x = 3
    assert m.x == 3
    m.x = nn.Parameter(tinycnn.ones(2))
    assert "x" not in m.__dict__
    assert list(dict(m.named_parameters())) == ["x"]
    m.x = nn.ReLU()
    assert not list(m.parameters())
    assert isinstance(m.x, nn.ReLU)
    m.x = None
    assert m.x is None
    assert not list(m.children())
    m.register_buffer("b", tinycnn.zeros(2), persistent=False)
    m.b = tinycnn.ones(2)
    assert m.b.tolist() == [1, 1]
    assert not m.state_dict()
    m.b = nn.Parameter(tinycnn.ones(1))  # a parameter of that name is saved, though the buffer was not
    assert list(m.state_dict()) == ["b"]
    del m.b
    assert not hasattr(m, "b")
    m.y = tinycnn.ones(1)  # a plain tensor is a plain attribute
    assert not m.state_dict()
    del m.y
    assert not hasattr(m, "y")
    with pytest.raises(AttributeError):
        del m.y


@pytest.mark.parametrize(
    ("action", "error", "match"),
    [
        (lambda m: setattr(m, "weight", 3), TypeError, "cannot assign 'int' as parameter 'weight'"),
        (lambda m: setattr(m, "child", 3), TypeError, "cannot assign 'int' as child module 'child'"),
        (lambda m: setattr(m, "stat", 3), TypeError, "cannot assign 'int' as buffer 'stat'"),
        (lambda m: m.add_module("a.b", nn.ReLU()), KeyError, "contain"),
        (lambda m: m.add_module("", nn.ReLU()), KeyError, "be empty string"),
        (lambda m: m.add_module("forward", nn.ReLU()), KeyError, "'forward' already exists"),
        (lambda m: m.add_module(3, nn.ReLU()), TypeError, "should be a string"),
        (lambda m: m.register_module("a", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.register_parameter("p", tinycnn.ones(1)), TypeError, "cannot assign 'Tensor' object to parameter"),
        (lambda m: m.register_buffer("p", 3), TypeError, "cannot assign 'int' object to buffer 'p'"),
        (lambda m: m.register_buffer("forward", None), KeyError, "already exists"),
        (lambda m: m.nothing, AttributeError, "'Thing' object has no attribute 'nothing'"),
        (lambda m: m(3), NotImplementedError, 'missing the required "forward"'),
        (lambda m: m.train(1), ValueError, "train: mode"),
        (lambda m: m.to(tinycnn.int32), TypeError, "only accepts floating point"),
        (lambda m: m.to("nowhere"), ValueError, "device: 'nowhere' is unknown"),
        (lambda m: m.to(kind=3), TypeError, "unknown argument 'kind'"),
        (lambda m: m.get_submodule("child.x"), AttributeError, "ReLU has no attribute `x`"),
        (lambda m: m.get_submodule("weight"), AttributeError, "`weight` is not a Module"),
        (lambda m: m.get_parameter("child"), AttributeError, "`child` is not a Parameter"),
        (lambda m: m.get_buffer("weight"), AttributeError, "`weight` is not a buffer"),
        (lambda m: m.load_state_dict([1]), TypeError, "dict-like"),
    ],
)
def test_misuse_is_refused_with_a_reason(action, error, match):
    class Thing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(tinycnn.ones(1))
            self.child = nn.ReLU()
            self.register_buffer("stat", tinycnn.zeros(1))

    with pytest.raises(error, match=match):
        action(Thing())


def test_a_parameter_set_to_none_is_done_without():
    layer = nn.Linear(2, 1)
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Linear(in_features=2, out_features=1, bias=False)"
    assert layer(tinycnn.zeros(1, 2)).tolist() == [[0]]


def test_members_before_init_are_refused():
    class Early(nn.Module):
        def __init__(self, kind):
            if kind == "module":
                self.x = nn.ReLU()
            elif kind == "parameter":
                self.x = nn.Parameter(tinycnn.ones(1))
            elif kind == "registered":
                self.register_parameter("x", None)
            elif kind == "added":
                self.add_module("x", None)
            else:
                self.register_buffer("x", None)

    for kind in ("module", "parameter", "registered", "added", "buffer"):
        with pytest.raises(AttributeError, match=r"before Module\.__init__"):
            Early(kind)


def test_parameter_shares_memory_and_says_what_it_is():
    data = tinycnn.zeros(2)
    p = nn.Parameter(data)
    data.fill_(1)
    assert p.tolist() == [1, 1]
    assert p.is_leaf
    assert p.requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(p + 1) is tinycnn.Tensor
    assert type(p.detach()) is tinycnn.Tensor
    assert nn.Parameter().shape == (0,)
    assert not nn.Parameter(tinycnn.tensor([1]), requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match="only floating"):
        nn.Parameter(tinycnn.tensor([1]))
    with pytest.raises(TypeError, match="must be a Tensor, got list"):
        nn.Parameter([1.0])
    w = (tinycnn.ones(2, requires_grad=True) * 2).detach()
    assert nn.Parameter(w).is_leaf


def test_finding_by_dotted_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("head.1") is net.head[1]
    assert net.get_parameter("first.conv.weight") is net.first.conv.weight
    assert net.get_buffer("first.norm.running_mean") is net.first.norm.running_mean
    with pytest.raises(AttributeError, match="Net has no attribute `tail`"):
        net.get_parameter("tail.weight")
    with pytest.raises(AttributeError, match="Conv2d has no attribute `scale`"):
        net.get_parameter("first.conv.scale")
    assert {"conv", "scale", "offset", "forward"} <= set(dir(net.first))


# ---- changing all at once --------------------------------------------------------------------------------------------


def test_apply_goes_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Conv2d", "BatchNorm2d", "Block", "Flatten", "Linear", "Sequential", "Net"]


def test_train_and_eval_reach_all_modules_and_respect_overrides():
    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    net = Net()
    net.first.norm = Frozen(3)
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert net.first.conv.training
    assert not net.first.norm.training


def test_requires_grad_and_zero_grad():
    net = Net()
    net(batch()).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    kept = net.head[1].weight.grad
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in net.parameters())
    assert not kept.any()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.first.requires_grad_(False)
    net(batch()).sum().backward()
    assert net.first.scale.grad is None
    assert net.head[1].weight.grad is not None


def test_to_keeps_the_parameters_and_converts_floating_tensors_only():
    net = Net()
    net(batch()).sum().backward()
    before = dict(net.named_parameters())
    assert net.double() is net
    assert all(before[n] is p and p.dtype is tinycnn.float64 for n, p in net.named_parameters())
    assert net.head[1].weight.grad.dtype is tinycnn.float64
    assert net.first.norm.running_mean.dtype is tinycnn.float64
    assert net.first.norm.num_batches_tracked.dtype is tinycnn.int64
    assert net(batch().double()).dtype is tinycnn.float64
    assert net.float().first.scale.dtype is tinycnn.float32
    assert net.half().first.scale.dtype is tinycnn.float16
    assert net.to("cpu", tinycnn.float64).first.scale.dtype is tinycnn.float64
    assert net.to(dtype="float32", device="cpu").first.scale.dtype is tinycnn.float32
    assert net.to("float64").first.scale.dtype is tinycnn.float64
    assert net.to(tinycnn.zeros(1)).first.scale.dtype is tinycnn.float32
    assert net.to(tinycnn.device("cpu")).cpu().first.scale.device == tinycnn.device("cpu")
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_to_memory_format_changes_strides_and_nothing_else():
    net = Net()
    y = net(batch())
    net.to(memory_format=tinycnn.channels_last)
    weight = net.first.conv.weight
    assert weight.stride() == (18, 1, 6, 2)
    assert net.first.scale.shape == (1,)
    np.testing.assert_allclose(net(batch()).detach().numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_moving_without_a_gpu_says_why():
    if tinycnn.cuda_status()[0]:
        pytest.skip("there is one")
    for move in (lambda m: m.cuda(), lambda m: m.cuda(1), lambda m: m.to(0)):
        with pytest.raises(RuntimeError, match="CUDA cannot be used"):
            move(nn.Linear(1, 1))


# ---- the state -------------------------------------------------------------------------------------------------------


def test_state_dict_names_order_and_aliasing():
    net = Net()
    state = net.state_dict()
    assert list(state) == STATE_KEYS
    assert not any(t.requires_grad for t in state.values())
    state["first.scale"].fill_(5)
    assert net.first.scale.item() == 5
    assert net.state_dict(keep_vars=True)["first.scale"] is net.first.scale
    into = {"more": 1}
    assert net.state_dict(destination=into, prefix="net.") is into
    assert list(into) == ["more", *(f"net.{k}" for k in STATE_KEYS)]


def test_load_state_dict_round_trip_copies_values():
    a, b = Net(), Net()
    a(batch())  # moves the running statistics
    weight = b.first.conv.weight
    result = b.load_state_dict(a.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert b.first.conv.weight is weight
    assert b.first.norm.num_batches_tracked.item() == 1
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert (x == y).all()
    a.first.scale.data.fill_(7)
    assert b.first.scale.item() == 1


def test_load_state_dict_takes_arrays_and_casts():
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": tinycnn.tensor([3])})
    assert net.weight.dtype is tinycnn.float32
    assert net.weight.tolist() == [[1, 2]]
    assert net.bias.tolist() == [3]


def test_load_state_dict_lists_everything_and_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    bad = {
        "0.weight": tinycnn.zeros(3, 3),
        "0.bias": tinycnn.zeros(3),
        "x": tinycnn.zeros(1),
        "1.y": tinycnn.zeros(2),
    }
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(bad)
    assert str(error.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "2.weight", "2.bias". \n'
        '\tUnexpected key(s) in state_dict: "x", "1.y". \n'
        "\tsize mismatch for 0.weight: copying a param with shape tinycnn.Size([3, 3]) from checkpoint, "
        "the shape in current model is tinycnn.Size([3, 2])."
    )
    assert all((before[k] == v).all() for k, v in net.state_dict().items())
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight") as error:
        net.load_state_dict(bad, strict=False)
    assert "Missing" not in str(error.value)
    assert all((before[k] == v).all() for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (3, "expected tinycnn.Tensor or Tensor-like object from checkpoint but received <class 'int'>"),
        (np.array([["a", "b"]]), "cannot hold elements of type"),
        (tinycnn.zeros(1, 2, dtype=tinycnn.complex64), "dtype mismatch for weight"),
    ],
)
def test_load_state_dict_refuses_what_is_no_number_array(value, match):
    net = nn.Linear(2, 1)
    bias = net.bias.item()
    with pytest.raises(RuntimeError, match=match):
        net.load_state_dict({"bias": tinycnn.zeros(1), "weight": value})
    assert net.bias.item() == bias


def test_load_state_dict_not_strict_reports_differences():
    net = nn.Sequential(nn.Linear(2, 1))
    result = net.load_state_dict({"0.bias": tinycnn.ones(1), "z": tinycnn.ones(1)}, strict=False)
    assert result.missing_keys == ["0.weight"]
    assert result.unexpected_keys == ["z"]
    assert str(result) == "_IncompatibleKeys(missing_keys=['0.weight'], unexpected_keys=['z'])"
    missing, unexpected = result
    assert (missing, unexpected) == (["0.weight"], ["z"])
    assert net[0].bias.item() == 1


def test_load_state_dict_assign_takes_the_tensors_themselves():
    net = nn.BatchNorm1d(2)
    net.bias.requires_grad_(False)
    state = {k: v.to(tinycnn.float64) if v.ndim else v for k, v in net.state_dict().items()}
    state["weight"].fill_(3)
    net.load_state_dict(state, assign=True)
    assert net.weight.dtype is tinycnn.float64
    assert isinstance(net.weight, nn.Parameter)
    assert net.weight.requires_grad
    assert not net.bias.requires_grad
    assert net.running_var.dtype is tinycnn.float64
    state["weight"].fill_(4)
    assert net.weight.tolist() == [4, 4]


@pytest.mark.parity
def test_load_errors_read_as_pytorchs():
    torch = pytest.importorskip("torch")

    def message(lib, nn):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        state = net.state_dict()
        del state["1.weight"], state["0.bias"]
        state["0.weight"] = lib.zeros(1, 2)
        state["extra"] = lib.zeros(1)
        with pytest.raises(RuntimeError) as error:
            net.load_state_dict(state)
        return str(error.value)

    assert message(tinycnn, nn) == message(torch, torch.nn).replace("torch.Size", "tinycnn.Size")


# ---- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_apart(duplicate):
    net = Net()
    net(batch()).sum().backward()
    twin = duplicate(net)
    assert repr(twin) == repr(net)
    assert list(twin.state_dict()) == STATE_KEYS
    assert (twin.eval()(batch()) == net.eval()(batch())).all()
    twin.first.scale.data.fill_(9)
    assert net.first.scale.item() == 1
    assert twin.first.scale.requires_grad
    assert isinstance(twin.first.scale, nn.Parameter)
    assert twin.first.unused is None
    assert twin.first.note == "plain"


def test_a_module_is_freed_as_soon_as_it_is_dropped():
    gc.disable()
    try:
        net = Net()
        net.register_full_backward_hook(lambda m, gi, go: None)
        net(batch()).sum().backward()
        watch = weakref.ref(net)
        del net
        assert watch() is None
    finally:
        gc.enable()


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    layer = nn.Linear(2, 1)
    x, log = tinycnn.ones(1, 2), []
    before = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    bare = layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    look = layer.register_forward_hook(lambda m, args, out: log.append((m, args[0].tolist(), out.shape)))
    replace = layer.register_forward_hook(lambda m, args, out: out * 0)
    assert layer(x).tolist() == [[0]]
    assert log == [(layer, [[3, 3]], (1, 1))]
    for handle in (before, bare, look, replace):
        handle.remove()
        handle.remove()
    assert (layer(x) == layer.forward(x)).all()
    assert len(log) == 1


def test_hooks_order_prepend_and_kwargs():
    class Scale(nn.Module):
        def forward(self, x, *, by=1):
            return x * by

    m, order = Scale(), []
    m.register_forward_hook(lambda *_: order.append("second"))
    m.register_forward_hook(lambda *_: order.append("first"), prepend=True)
    m.register_forward_hook(lambda mod, args, kwargs, out: order.append(kwargs), with_kwargs=True)
    m.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    assert m(tinycnn.ones(1), by=2).item() == 3
    assert order == ["first", "second", {"by": 3}]
    m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="None or a pair"):
        m(tinycnn.ones(1), by=2)


@pytest.mark.parity
def test_backward_hooks_see_what_pytorchs_see():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3)), rng.normal(size=(2, 3))

    def gradients(lib, nn, array):
        seen = []
        layer = nn.Linear(3, 2, bias=False).to(lib.float64)
        layer.load_state_dict({"weight": array(w)})
        layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
        layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
        inp = array(x).requires_grad_()
        (layer(inp) ** 2).sum().backward()
        ((gi, go),) = seen
        return [t.detach().numpy() for t in (*gi, *go, inp.grad, layer.weight.grad)]

    ours = gradients(tinycnn, nn, tinycnn.tensor)
    theirs = gradients(torch, torch.nn, torch.tensor)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_backward_hooks_in_odd_places():
    seen = []

    class Two(nn.Module):
        def forward(self, x, n, y):
            return x * n, y.detach(), x + y

    two = Two()
    handle = two.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    x, y = tinycnn.ones(2, requires_grad=True), tinycnn.ones(2, requires_grad=True)
    a, _, _ = two(x, 3, y)
    a.sum().backward()  # neither y nor the third output takes part
    (gi, go), *rest = seen
    assert not rest
    assert gi[0].tolist() == [3, 3]
    assert gi[1:] == (None, None)
    assert go[0].tolist() == [1, 1]
    assert go[1:] == (None, None)
    with tinycnn.no_grad():
        two(x, 3, y)
    handle.remove()
    two(x, 3, y)[0].sum().backward()
    assert len(seen) == 1

    layer = nn.Linear(2, 1)  # an input that needs no gradient: the hook runs all the same
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    layer(tinycnn.ones(3, 2)).sum().backward()
    assert seen[1][0] == (None,)
    assert seen[1][1][0].shape == (3, 1)
    layer.requires_grad_(False)(tinycnn.ones(3, 2))
    assert len(seen) == 2


def test_backward_hooks_refuse_what_they_cannot_do():
    class Named(nn.Module):
        def forward(self, x):
            return {"x": x}

    named = Named()
    named.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.raises(TypeError, match="needs an output that is a tensor"):
        named(tinycnn.ones(1, requires_grad=True))
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda m, gi, go: (None, None))
    with pytest.raises(RuntimeError, match="returned 2 gradients for 1 inputs"):
        layer(tinycnn.ones(1, 1, requires_grad=True)).sum().backward()


# ---- containers ------------------------------------------------------------------------------------------------------


def kinds(row):
    return [type(m).__name__ for m in row]


def test_sequential_is_a_sequence():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(net) == 3
    assert net[-1] is net[2]
    assert kinds(net[1:]) == ["ReLU", "Linear"]
    assert isinstance(net[:2], nn.Sequential)
    assert net[:2][0] is net[0]
    net[1] = nn.Tanh()
    assert kinds(net.append(nn.Sigmoid())) == ["Linear", "Tanh", "Linear", "Sigmoid"]
    net.insert(1, nn.Identity())
    assert kinds(net) == ["Linear", "Identity", "Tanh", "Linear", "Sigmoid"]
    del net[1]
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3"]
    del net[1:3]
    assert kinds(net) == ["Linear", "Sigmoid"]
    assert kinds(net + nn.Sequential(nn.ReLU())) == ["Linear", "Sigmoid", "ReLU"]
    net += nn.Sequential(nn.ReLU())
    net.extend([nn.GELU()])
    assert kinds(net) == ["Linear", "Sigmoid", "ReLU", "GELU"]
    assert type(net.pop()).__name__ == "GELU"
    assert type(net.pop(0)).__name__ == "Linear"
    assert [n for n, _ in net.named_children()] == ["0", "1"]
    assert net(tinycnn.zeros(1)).tolist() == [0.5]
    for action in (lambda: net[2], lambda: net.insert(3, nn.ReLU()), lambda: net.__setitem__(-3, nn.ReLU())):
        with pytest.raises(IndexError, match="out of range"):
            action()
    for action in (lambda: net.append(3), lambda: net.__setitem__(0, 3), lambda: net.insert(0, 3), lambda: net["0"]):
        with pytest.raises(TypeError):
            action()
    with pytest.raises(TypeError):
        operator.add(net, [nn.ReLU()])


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict(fc=nn.Linear(2, 2), act=nn.ReLU()))
    assert net.fc is net[0]
    assert list(net.state_dict()) == ["fc.weight", "fc.bias"]
    assert [n for n, _ in net[1:].named_children()] == ["act"]


def test_appending_to_a_slice_replaces_nothing():
    part = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())[1:]
    part.append(nn.GELU())
    assert kinds(part) == ["Tanh", "Sigmoid", "GELU"]


def test_module_list_and_dict():
    row = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()])
    assert len(list(row.parameters())) == 4
    assert isinstance(row[:2], nn.ModuleList)
    row.insert(0, nn.Tanh())
    assert kinds(row) == ["Tanh", "Linear", "Linear", "ReLU"]
    row += [nn.GELU()]
    assert kinds(row + nn.ModuleList([nn.ReLU()])) == ["Tanh", "Linear", "Linear", "ReLU", "GELU", "ReLU"]
    del row[0]
    assert next(n for n, _ in row.named_parameters()) == "0.weight"
    with pytest.raises(NotImplementedError, match="ModuleList"):
        row(1)
    names = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    names["c"] = nn.Tanh()
    names.update([("b", nn.GELU())])
    assert list(names) == list(names.keys()) == ["a", "b", "c"]
    assert kinds(names.values()) == ["Linear", "GELU", "Tanh"]
    assert [k for k, _ in names.items()] == ["a", "b", "c"]
    assert "c" in names
    assert type(names.pop("c")).__name__ == "Tanh"
    del names["b"]
    assert len(names) == 1
    assert list(names.state_dict()) == ["a.weight", "a.bias"]
    names.clear()
    assert not list(names.parameters())
    with pytest.raises(KeyError):
        names["a"]


def test_parameter_list_and_dict():
    row = nn.ParameterList([tinycnn.zeros(2), nn.Parameter(tinycnn.ones(1), requires_grad=False)])
    row.append(tinycnn.ones(3))
    row += [tinycnn.ones(4)]
    assert [p.numel() for p in row] == [2, 1, 3, 4]
    assert [p.requires_grad for p in row] == [True, False, True, True]
    assert row[-1].numel() == 4
    assert len(row[1:3]) == 2
    row[0] = tinycnn.ones(7)
    assert list(row.state_dict()) == ["0", "1", "2", "3"]
    assert row[0].numel() == 7
    with pytest.raises(TypeError, match="expected a Parameter or a Tensor, got int"):
        row.append(3)
    with pytest.raises(RuntimeError, match="should not be called"):
        row()
    names = nn.ParameterDict({"a": tinycnn.zeros(2)})
    names["b"] = nn.Parameter(tinycnn.ones(1))
    assert list(names) == list(names.keys()) == ["a", "b"]
    assert [p.numel() for p in names.values()] == [2, 1]
    assert dict(names.items())["b"] is names["b"]
    assert "a" in names
    assert names.pop("a").numel() == 2
    del names["b"]
    names.update({"c": tinycnn.zeros(1)})
    names.clear()
    assert len(names) == 0


@pytest.mark.parity
@pytest.mark.parametrize(
    "build",
    [
        lambda nn, lib: nn.Sequential(),
        lambda nn, lib: nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Flatten())),
        lambda nn, lib: nn.Sequential(OrderedDict(a=nn.Conv2d(1, 2, 3), b=nn.Identity())),
        lambda nn, lib: nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)]),
        lambda nn, lib: nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Tanh()) for _ in range(2)]),
        lambda nn, lib: nn.ModuleList(),
        lambda nn, lib: nn.ModuleDict({"a": nn.ModuleDict({"b": nn.ReLU()})}),
        lambda nn, lib: nn.ParameterList([nn.Parameter(lib.zeros(2, 3)), nn.Parameter(lib.zeros(2))]),
    ],
)
def test_containers_print_as_pytorchs(build):
    torch = pytest.importorskip("torch")
    assert repr(build(nn, tinycnn)) == repr(build(torch.nn, torch)).replace("torch.", "tinycnn.")


def test_extra_repr_of_several_lines():
    class Odd(nn.Module):
        def extra_repr(self):
            return "a=1\nb=2"

    assert repr(Odd()) == "Odd(\n  a=1\n  b=2\n)"
    assert repr(nn.Sequential(Odd())) == "Sequential(\n  (0): Odd(\n    a=1\n    b=2\n  )\n)"
    assert repr(nn.ParameterDict({"a": tinycnn.zeros(1)})).startswith("ParameterDict(\n    (a): Parameter containing")


# ---- utils -----------------------------------------------------------------------------------------------------------


def test_parameters_as_a_vector_and_back():
    net = nn.Linear(3, 2)
    flat = nn.utils.parameters_to_vector(net.parameters())
    assert flat.tolist() == net.weight.reshape(-1).tolist() + net.bias.tolist()
    flat.sum().backward()
    assert net.bias.grad.tolist() == [1, 1]
    nn.utils.vector_to_parameters(tinycnn.arange(8.0), net.parameters())
    assert net.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.bias.tolist() == [6, 7]
    assert net.weight.requires_grad
    with pytest.raises(ValueError, match="a vector of 8 elements, got shape"):
        nn.utils.vector_to_parameters(tinycnn.arange(7.0), net.parameters())
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        nn.utils.vector_to_parameters([1.0], net.parameters())
    with pytest.raises(ValueError, match="no parameters"):
        nn.utils.parameters_to_vector([])


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clipping_as_pytorchs(norm_type, max_norm):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shapes = [(3, 2), (4,), ()]
    grads = [rng.normal(size=s) for s in shapes]

    def clipped(lib, nn, clip):
        ps = [lib.zeros(s, dtype=lib.float64, requires_grad=True) for s in [*shapes, (5,)]]
        for p, g in zip(ps, grads, strict=False):
            p.grad = lib.tensor(g)
        total = clip(nn, ps)
        return total, [p.grad.numpy() for p in ps[:-1]], ps[-1].grad

    def by_norm(nn, ps):
        return nn.utils.clip_grad_norm_(ps, max_norm, norm_type).item()

    (a, ours, none), (b, theirs, _) = clipped(tinycnn, nn, by_norm), clipped(torch, torch.nn, by_norm)
    assert a == pytest.approx(b, rel=1e-12)
    assert none is None
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)

    def by_value(nn, ps):
        nn.utils.clip_grad_value_(ps, 0.3)

    for x, y in zip(clipped(tinycnn, nn, by_value)[1], clipped(torch, torch.nn, by_value)[1], strict=True):
        np.testing.assert_array_equal(x, y)


def test_clipping_odd_cases():
    w = tinycnn.zeros(2, requires_grad=True)
    assert nn.utils.clip_grad_norm_(w, 1.0).item() == 0
    w.grad = tinycnn.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="norm of the gradients is nan"):
        nn.utils.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)
    assert w.grad[1].item() == 1
    nn.utils.clip_grad_norm_(w, 1.0)
    assert np.isnan(w.grad.numpy()).all()
    with pytest.raises(ValueError, match="norm_type must be positive"):
        nn.utils.clip_grad_norm_(w, 1.0, norm_type=0)
