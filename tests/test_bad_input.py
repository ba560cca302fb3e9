"""Spoilt arguments: every operation answers with a result or with an error that names it, and does no work before."""

from __future__ import annotations

import re
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from spoiled import HUGE, OPS, Spoiled, every, places, spoil, wrongs

import tinycnn as tc
from tinycnn import nn
from tinycnn.nn import functional as F

# A RuntimeError where PyTorch raises one and code may wait for it; it is of the package's own making all the same.
CLEAR = (ValueError, TypeError, IndexError, NotImplementedError, MemoryError, RuntimeError)
OTHERS_WARN = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # but NumPy must not
MEGABYTE = 2**20


def warm_up(op: str) -> None:
    """Run a sample of every kind, so that kernels are compiled and libraries loaded."""
    for sample in range(len(OPS[op].make_samples())):
        spoil(op, sample, lambda *_: None)()


def answer(call: Spoiled) -> None:
    """Make a call, which may give a result or an error.

    Raises:
        AssertionError: if the error does not name the operation, or memory was taken before it.
    """
    found: Exception | None = None
    tracemalloc.start()
    try:
        call()
    except CLEAR as error:
        found = error
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if found is not None:
        assert re.match(rf"{call.op}\b", str(found)), f"{call!r}\nis answered with {found!r}"
        if not isinstance(found, MemoryError):  # for which the memory that was refused counts too
            assert taken < MEGABYTE, f"{call!r}\ntook {taken} bytes before {found!r}"


@OTHERS_WARN
@pytest.mark.parametrize("op", OPS)
def test_one_spoilt_argument(op: str) -> None:
    warm_up(op)
    for call in every(op):
        answer(call)


@st.composite
def spoilt_twice(draw: st.DrawFn, op: str) -> Spoiled:
    sample = draw(st.integers(0, len(OPS[op].make_samples()) - 1))
    chosen = draw(st.lists(st.sampled_from(places(op, sample)), max_size=2, unique=True))

    def choose(place: int | str, found: list[tuple[str, Any]]) -> tuple[str, Any] | None:
        small = [w for w in found if str(HUGE) not in w[0]]  # a huge window in a huge border is a huge image
        return draw(st.sampled_from(small)) if place in chosen and small else None

    return spoil(op, sample, choose)


@pytest.mark.unmeasured
@OTHERS_WARN
@pytest.mark.parametrize("op", [name for name in OPS if max(len(places(name, 0)), len(places(name, -1))) > 1])
def test_two_spoilt_arguments(op: str) -> None:
    warm_up(op)

    @settings(
        max_examples=15,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(spoilt_twice(op))
    def check(call: Spoiled) -> None:
        answer(call)

    check()


# ------------------------------------------------------------------------------------------------------- huge sizes

IMAGE = tc.zeros(1, 1, 4, 4)
TERABYTES: dict[str, Callable[[], Any]] = {
    "zeros": lambda: tc.zeros(HUGE, 4),
    "ones": lambda: tc.ones(10**6, 10**6, 10),
    "full": lambda: tc.full((HUGE, 2), 1.5),
    "empty": lambda: tc.empty(HUGE, 8),
    "arange": lambda: tc.arange(HUGE),
    "linspace": lambda: tc.linspace(0, 1, HUGE),
    "eye": lambda: tc.eye(10**7),
    "randn": lambda: tc.randn(10**6, 10**7),
    "conv2d": lambda: F.conv2d(IMAGE, tc.zeros(1, 1, 1, 1), padding=10**6),
    "conv_transpose2d": lambda: F.conv_transpose2d(IMAGE, tc.zeros(1, 1, 1, 1), stride=10**6),
    "unfold": lambda: F.unfold(IMAGE, 1, padding=10**6),
    "pad": lambda: F.pad(IMAGE, (10**6,) * 4),
    "adaptive_avg_pool2d": lambda: F.adaptive_avg_pool2d(IMAGE, 10**6),
    "adaptive_max_pool2d": lambda: F.adaptive_max_pool2d(IMAGE, 10**6),
    "tile": lambda: tc.tile(IMAGE, (10**6, 10**6)),
    "repeat_interleave": lambda: tc.repeat_interleave(IMAGE, HUGE),
    "outer": lambda: tc.outer(tc.zeros(10**4).expand(10**3, 10**4).reshape(-1)[:1].expand(10**7), tc.zeros(10**6)),
}
OVERFLOWS: dict[str, Callable[[], Any]] = {
    "zeros": lambda: tc.zeros(HUGE, HUGE),
    "empty": lambda: tc.empty(2**62, 4),
    "randn": lambda: tc.randn(2**63),
    "pad": lambda: F.pad(IMAGE, (2**62,) * 4),
    "adaptive_avg_pool2d": lambda: F.adaptive_avg_pool2d(IMAGE, 2**63),
    "tile": lambda: tc.tile(IMAGE, (2**40, 2**40)),
    "reshape": lambda: tc.reshape(IMAGE, (2**32, 2**32, 0)),
}


def resident() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("op", TERABYTES)
def test_more_memory_than_there_is(op: str) -> None:
    before = resident()
    with pytest.raises(MemoryError, match=rf"^{op}\(.*Unable to allocate"):
        TERABYTES[op]()
    assert resident() - before < 64 * MEGABYTE


@pytest.mark.parametrize("op", OVERFLOWS)
def test_sizes_that_overflow(op: str) -> None:
    before = resident()
    with pytest.raises((ValueError, MemoryError, RuntimeError), match=rf"^{op}\b"):
        OVERFLOWS[op]()
    assert resident() - before < 64 * MEGABYTE


def test_a_window_may_be_huge_where_it_fits() -> None:
    """Beyond the padded image nothing is looked at: a kernel of 2^40 rows takes no longer than one of 6."""
    x = tc.arange(25.0).reshape(1, 1, 5, 5)
    small = {"kernel_size": 6, "stride": 9, "padding": 1, "ceil_mode": True}
    large = small | {"kernel_size": HUGE, "stride": HUGE}
    assert F.max_pool2d(x, **large).tolist() == F.max_pool2d(x, **small).tolist() == [[[[24.0]]]]
    for counted in (True, False):
        more = {"count_include_pad": counted}
        assert (
            F.avg_pool2d(x, **large, **more).tolist() == F.avg_pool2d(x, **small | {"kernel_size": 7}, **more).tolist()
        )
    assert F.local_response_norm(x, HUGE).tolist() == F.local_response_norm(x, 2, alpha=2e-4 / HUGE).tolist()


def test_a_border_may_be_huge_where_few_windows_are(kernel_set: str) -> None:
    """What no window sees is not looked at: neither before the image nor behind it."""
    x = tc.arange(16.0, dtype=tc.float64).reshape(1, 1, 4, 4).requires_grad_()
    one = {"kernel_size": 2 * HUGE, "stride": HUGE, "padding": HUGE}  # one window, from -HUGE to HUGE - 1
    y = F.max_pool2d(x, **one)
    assert y.tolist() == [[[[15.0]]]]
    y.backward(tc.full_like(y, 3.0))
    assert x.grad is not None
    assert (x.grad[0, 0, 3, 3].item(), x.grad.sum().item()) == (3.0, 3.0)
    assert F.avg_pool2d(x, **one, divisor_override=2).tolist() == [[[[60.0]]]]
    assert F.avg_pool2d(x, **one, count_include_pad=False).tolist() == [[[[7.5]]]]
    small = F.max_pool2d(x, 4, stride=3, padding=2).amax(3, True).expand(1, 1, 2, 5)
    assert F.max_pool2d(x, (4, 2 * HUGE), stride=(3, 1), padding=(2, HUGE)).tolist() == small.tolist()
    for pool in (F.max_pool2d, F.avg_pool2d):  # a second window sees the image with its first places
        with pytest.raises(ValueError, match=rf"{pool.__name__}: a window of {2 * HUGE} places in a border of {HUGE}"):
            pool(x, **one, ceil_mode=True)
    where_few = {"padding": HUGE, "stride": HUGE}
    if kernel_set == "fast":
        kernel = tc.ones(1, 1, 3, 3, dtype=tc.float64)
        y = F.conv2d(x, kernel, **where_few)
        assert y.sum().item() == y[0, 0, 1, 1].item() == x[0, 0, :3, :3].sum().item()
    else:
        with pytest.raises((ValueError, MemoryError), match="^conv2d"):
            F.conv2d(x, tc.ones(1, 1, 3, 3, dtype=tc.float64), **where_few)


# -------------------------------------------------------------------------------------------- layers and optimisers

IMAGES = tc.zeros(2, 4, 6, 6)
# What each is made with, in order and by name, and what it is then called with.
LAYERS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "AdaptiveAvgPool2d": ((3,), {}),
    "AdaptiveMaxPool2d": ((3,), {}),
    "AvgPool2d": ((2,), {"stride": 2, "padding": 1, "ceil_mode": False, "divisor_override": 3}),
    "BatchNorm2d": ((4,), {"eps": 1e-5, "momentum": 0.1}),
    "Conv2d": ((4, 6, 3), {"stride": 1, "padding": 1, "dilation": 1, "groups": 2, "padding_mode": "zeros"}),
    "ConvTranspose2d": ((4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}),
    "Dropout": ((0.5,), {}),
    "Dropout2d": ((0.5,), {}),
    "ELU": ((), {"alpha": 1.0}),
    "Flatten": ((1, -1), {}),
    "Fold": (((4, 4), 2), {"stride": 2}),
    "GroupNorm": ((2, 4), {"eps": 1e-5}),
    "Hardtanh": ((), {"min_val": -1.0, "max_val": 1.0}),
    "InstanceNorm2d": ((4,), {"eps": 1e-5}),
    "LayerNorm": ((6,), {"eps": 1e-5}),
    "LazyConv2d": ((6, 3), {"stride": 1, "padding": 1}),
    "LazyLinear": ((5,), {}),
    "LeakyReLU": ((), {"negative_slope": 0.1}),
    "Linear": ((6, 5), {}),
    "LocalResponseNorm": ((3,), {"alpha": 1e-4, "beta": 0.75, "k": 1.0}),
    "MaxPool2d": ((2,), {"stride": 2, "padding": 1, "dilation": 1, "ceil_mode": False}),
    "Softmax": ((1,), {}),
    "Softplus": ((), {"beta": 1.0, "threshold": 20.0}),
    "Unflatten": ((1, (2, 2)), {}),
    "Unfold": ((2,), {"dilation": 1, "padding": 0, "stride": 1}),
}
OPTIMISERS: dict[str, dict[str, Any]] = {
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "eps": 1e-8},
    "Adam": {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1},
    "AdamW": {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "momentum": 0.9},
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
}


def attempts(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """The arguments with one of them spoilt, each time another."""
    for i, value in enumerate(args):
        for label, wrong in wrongs(value):
            yield f"{i} {label}", (*args[:i], wrong, *args[i + 1 :]), kwargs
    for name, value in kwargs.items():
        for label, wrong in wrongs(value):
            yield f"{name} {label}", args, {**kwargs, name: wrong}


def must_be_clear(label: str, act: Callable[[], object]) -> None:
    try:
        act()
    except CLEAR as error:
        found = str(error)
    else:
        return
    assert re.match(r"\w+[:(]", found), f"{label} is answered with {found!r}"


@OTHERS_WARN
@pytest.mark.parametrize("name", LAYERS)
def test_layers_made_of_spoilt_arguments(name: str) -> None:
    kind = getattr(nn, name)
    x = tc.zeros(1, 8, 4) if name == "Fold" else IMAGES
    for label, args, kwargs in attempts(*LAYERS[name]):
        must_be_clear(f"{name} {label}", lambda args=args, kwargs=kwargs: kind(*args, **kwargs)(x))  # type: ignore[misc]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_called_with_a_spoilt_input(name: str) -> None:
    args, kwargs = LAYERS[name]
    layer = getattr(nn, name)(*args, **kwargs)
    for label, wrong in wrongs(tc.zeros(1, 8, 4) if name == "Fold" else IMAGES):
        must_be_clear(f"{name}()({label})", lambda wrong=wrong: layer(wrong))  # type: ignore[misc]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_made_of_spoilt_options(name: str) -> None:
    kind = getattr(tc.optim, name)
    for label, _, options in attempts((), OPTIMISERS[name]):
        parameter = nn.Parameter(tc.ones(3))
        must_be_clear(f"{name} {label}", lambda options=options, p=parameter: kind([p], **options))  # type: ignore[misc]
    for wrong in (None, 3, "x", [None], [tc.ones(3) * 1.0, 2.0], {}, nn.Parameter(tc.ones(3))):
        must_be_clear(f"{name} parameters {wrong}", lambda wrong=wrong: kind(wrong, lr=0.1))  # type: ignore[misc]
