"""Views share memory, layouts stay, and what cannot be done says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor
from tinycnn.nn import functional as F

VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "view": lambda x: x.view(6, 4),
    "view_as": lambda x: x.view_as(tinycnn.zeros(24)),
    "reshape": lambda x: x.reshape(-1),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, -1)),
    "squeeze": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 2),
    "movedim": lambda x: x.movedim(0, -1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "t": lambda x: x[0].t(),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "select": lambda x: x.select(-1, 0),
    "split": lambda x: x.split(2, dim=2)[1],
    "chunk": lambda x: x.chunk(2, dim=2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "expand": lambda x: x.expand(1, 2, 3, 4),
    "int": lambda x: x[1],
    "slice": lambda x: x[:, ::2],
    "none": lambda x: x[..., None, 1:],
    "element": lambda x: x[1, 2, 3],
}
COPIES: dict[str, Callable[[Tensor], Tensor]] = {
    "clone": lambda x: x.clone(),
    "reshape of a transpose": lambda x: x.T.reshape(-1),
    "flip": lambda x: x.flip(()),
    "roll": lambda x: x.roll(0, 0),
    "repeat": lambda x: x.repeat(1, 1, 1),
    "repeat of one": lambda x: x[:1, :1, :1].repeat(2, 1, 1),
    "cat": lambda x: tinycnn.cat([x]),
    "pad": lambda x: F.pad(x, (0, 0)),
    "list": lambda x: x[[0, 1]],
    "mask": lambda x: x[x > 0],
}


def counted(*shape: int, dtype: Any = "float64") -> Tensor:
    """1, 2, 3, ... in a shape."""
    n = int(np.prod(shape))
    return tinycnn.arange(1, n + 1, dtype=dtype).reshape(shape)


def last(*shape: int) -> Tensor:
    """1, 2, 3, ... in a shape (N, C, H, W), stored channels-last."""
    return counted(*shape).contiguous(memory_format=tinycnn.channels_last)


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_a_view_shares_memory_both_ways(make: Callable[[Tensor], Tensor]) -> None:
    x = counted(2, 3, 4)
    view = make(x)
    assert np.shares_memory(x.array, view.array)
    view.fill_(-1.0)
    assert (x == -1).sum().item() == view.numel()
    x.zero_()
    assert not view.any()


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_a_copy_shares_none(make: Callable[[Tensor], Tensor]) -> None:
    x = counted(2, 3, 4)
    copy = make(x)
    copy.fill_(-1.0)  # also: it may be written
    assert (x > 0).all()


def test_view_refuses_what_needs_a_copy_and_says_why() -> None:
    x = counted(2, 3).T
    with pytest.raises(RuntimeError, match=r"view: shape \(6,\) .* shape \(3, 2\) and strides \(1, 3\); use reshape"):
        x.view(-1)
    assert x.reshape(-1).tolist() == [1, 4, 2, 5, 3, 6]
    assert last(2, 3, 4, 5).view(2, 3, 2, 2, 5).shape == (2, 3, 2, 2, 5)  # splitting a dimension never needs one
    assert tinycnn.zeros(0, 3).T.view(-1).shape == (0,)


@pytest.mark.parametrize("order", [tinycnn.contiguous_format, tinycnn.channels_last])
def test_reshape_and_flatten_count_in_the_order_of_the_indices(order: Any) -> None:
    x = counted(2, 3, 4, 5).contiguous(memory_format=order)
    assert x.flatten().tolist() == list(range(1, 121))
    assert x.flatten(1)[1].tolist() == list(range(61, 121))
    assert x.reshape(6, 20)[1, 0].item() == 21


def test_memory_formats() -> None:
    x = counted(2, 3, 4, 5)
    y = last(2, 3, 4, 5)
    assert y.stride() == (60, 1, 15, 3)
    assert (x == y).all()
    assert not y.is_contiguous()
    assert y.is_contiguous(memory_format=tinycnn.channels_last)
    assert x.contiguous() is x
    assert y.contiguous(memory_format=tinycnn.channels_last) is y
    assert y.contiguous().stride() == x.stride() == (60, 20, 5, 1)
    assert y.clone().stride() == y.stride()
    assert y.clone(memory_format=tinycnn.contiguous_format).stride() == x.stride()
    assert x.to(memory_format=tinycnn.channels_last).stride() == y.stride()
    assert y.to("float32").stride() == y.stride()
    assert tinycnn.zeros_like(y).stride() == y.stride()
    assert tinycnn.zeros_like(x, memory_format=tinycnn.channels_last).stride() == y.stride()
    with pytest.raises(RuntimeError, match=r"channels_last needs \(N, C, H, W\), got .* \(6, 20\)"):
        x.reshape(6, 20).contiguous(memory_format=tinycnn.channels_last)
    with pytest.raises(TypeError, match="memory_format"):
        x.contiguous(memory_format="channels_last")


@pytest.mark.parametrize(
    "keep",
    [
        lambda x: F.pad(x, (1, 1, 1, 1)),
        lambda x: tinycnn.cat([x, x], dim=1),
        lambda x: x.flip(2),
        lambda x: x.masked_fill(x > 3, 0.0),
    ],
    ids=["pad", "cat", "flip", "masked_fill"],
)
def test_channels_last_stays(keep: Callable[[Tensor], Tensor]) -> None:
    assert keep(last(2, 3, 4, 5)).is_contiguous(memory_format=tinycnn.channels_last)


def test_gradients_of_slices_keep_the_layout() -> None:
    x = last(2, 4, 3, 3).requires_grad_()
    y = x[:, :2]
    y.backward(y.detach())
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=tinycnn.channels_last)


def test_cat_and_stack_promote_dtypes() -> None:
    i, f, d = (counted(2, dtype=t) for t in ("int64", "float32", "float64"))
    assert tinycnn.cat([i, f]).dtype is tinycnn.float32
    assert tinycnn.stack([i, f, d]).dtype is tinycnn.float64
    assert tinycnn.cat([f, tinycnn.zeros(0), f.reshape(2, 1)[:, 0]]).tolist() == [1, 2, 1, 2]
    assert tinycnn.cat([tinycnn.zeros(0), counted(1, 2, 2)], dim=2).shape == (1, 2, 2)  # left out, whatever dim


def test_pad_constant_takes_the_last_dimension_first() -> None:
    x = counted(1, 1, 2, 2)
    assert F.pad(x, (1, 0, 0, 1), value=9)[0, 0].tolist() == [[9, 1, 2], [9, 3, 4], [9, 9, 9]]
    assert F.pad(x, (-1, 0))[0, 0].tolist() == [[2], [4]]
    assert F.pad(counted(3, dtype="int64"), (1, 1)).tolist() == [0, 1, 2, 3, 0]


ERRORS: list[tuple[Callable[[Tensor], Any], type[Exception], str]] = [
    (lambda x: x.reshape(5, 5), ValueError, r"reshape: .*\(2, 3, 4\) \(24 elements\) does not fit shape \(5, 5\)"),
    (lambda x: x.reshape(-1, -1), ValueError, "no size may be negative but one"),
    (lambda x: x.reshape(-1, 0), ValueError, "span no elements"),
    (lambda x: x.flatten(2, 1), ValueError, "start_dim=2 comes after end_dim=1"),
    (lambda x: x.flatten(3), IndexError, "flatten: dim 3 is out of range for 3 dimensions, expected -3 to 2"),
    (lambda x: x.unflatten(1, (2, 2)), ValueError, "unflatten"),
    (lambda x: x.permute(0, 0, 1), ValueError, "does not name each of 3 dimensions once"),
    (lambda x: x.transpose(0, 3), IndexError, "transpose: dim 3"),
    (lambda x: x.movedim((0, 0), (1, 2)), ValueError, "movedim"),
    (lambda x: x.t(), ValueError, r"t: expected at most 2 dimensions, got shape \(2, 3, 4\)"),
    (lambda x: x[0, 0].mT, ValueError, "mT: expected at least 2 dimensions"),
    (lambda x: x.unsqueeze(4), IndexError, "unsqueeze: dim 4"),
    (lambda x: x.squeeze(3), IndexError, "squeeze: dim 3"),
    (lambda x: x.narrow(0, 1, 2), ValueError, "narrow: length 2 from 1 does not fit dimension 0 with size 2"),
    (lambda x: x.narrow(0, 3, 0), IndexError, "narrow: start 3"),
    (lambda x: x.split([1, 2], 0), ValueError, r"split: sizes \[1, 2\] do not add up to 2"),
    (lambda x: x.split(0), ValueError, "split: the size of a part must be positive, got 0"),
    (lambda x: x.chunk(0), ValueError, "chunk: chunks must be positive"),
    (lambda x: tinycnn.meshgrid(x, x), ValueError, "meshgrid: expected vectors"),
    (lambda x: tinycnn.meshgrid(x[0, 0], indexing="yx"), ValueError, "meshgrid: indexing must be"),
    (lambda x: x.roll((1, 2), 0), ValueError, "roll: shifts"),
    (lambda x: x.roll((1, 2)), ValueError, "roll: 2 shifts"),
    (lambda x: x.flip(0, 0), ValueError, "flip: .* names a dimension twice"),
    (lambda x: x.repeat(2, 2), ValueError, "repeat: .* needs a number for each dimension"),
    (lambda x: x.tile(-1), ValueError, "tile: .* must not be negative"),
    (lambda x: x.repeat_interleave(tinycnn.tensor([1, 2]), dim=1), ValueError, "repeats must be 3 numbers"),
    (lambda x: x[0, 0].tril(), ValueError, "tril: expected at least 2 dimensions"),
    (lambda x: tinycnn.cat([x, x[0]]), ValueError, r"cat: shapes \(2, 3, 4\), \(3, 4\) differ elsewhere than in dim"),
    (lambda x: tinycnn.cat([x.sum(), x.sum()]), ValueError, "use stack"),
    (lambda x: tinycnn.cat([]), ValueError, "cat: expected at least one tensor"),
    (lambda x: tinycnn.cat(x), TypeError, "cat: expected a list or tuple of tensors, got a tensor"),
    (lambda x: tinycnn.stack([x, 1]), TypeError, "stack: expected a list or tuple of tensors, got Tensor, int"),
    (lambda x: tinycnn.stack([x, x[0]]), ValueError, "stack: the tensors must have one shape"),
    (lambda x: F.pad(x, (1, 2, 3)), ValueError, r"pad: \(1, 2, 3\) must be pairs"),
    (lambda x: F.pad(x, (-5, 1)), ValueError, "cuts more off"),
    (lambda x: F.pad(x, (1, 1), mode="mirror"), ValueError, "pad: mode must be .* got 'mirror'"),
    (lambda x: F.pad(x, (4, 0), mode="reflect"), ValueError, "mode 'reflect' cannot pad dimension 2 of size 4 by 4"),
    (lambda x: F.pad(x, (5, 0), mode="circular"), ValueError, "mode 'circular' cannot pad dimension 2"),
    (lambda x: F.pad(x, (1, 1) * 3, mode="reflect"), ValueError, r"pads the last dimensions of \(N, C, ...\)"),
    (lambda x: F.pad(x, (1, 1), mode="reflect", value=1.0), ValueError, "takes none"),
    (lambda x: F.unfold(x, 5), ValueError, "unfold: a kernel 5"),
    (lambda x: F.unfold(x[0], 1), ValueError, "unfold: expected"),
    (lambda x: F.unfold(x, 0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda x: F.fold(x, 3, 2), ValueError, r"fold: got shape \(2, 3, 4\); .* want \(N, C\*4, 2\*2 = 4\)"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS)
def test_errors_say_what_is_wrong(wrong: Callable[[Tensor], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong(counted(2, 3, 4))


PARITY = {
    "reshape": lambda L, x: x.reshape(4, -1),
    "permute": lambda L, x: x.permute(2, 0, 1).flatten(1),
    "movedim": lambda L, x: x.movedim((0, 2), (1, 0)),
    "squeeze": lambda L, x: x[:1].squeeze((0, 1)),
    "repeat": lambda L, x: x.repeat(2, 1, 1, 3),
    "repeat_interleave": lambda L, x: x.repeat_interleave(2, dim=-1),
    "each its own": lambda L, x: x.repeat_interleave(L.tensor([1, 0, 2]), dim=1),
    "roll": lambda L, x: x.roll((1, -2), (0, 2)),
    "roll all": lambda L, x: x.permute(2, 1, 0).roll(3),
    "flip": lambda L, x: x.flip((0, -1)),
    "tril": lambda L, x: x.tril(-1) + x.triu(2),
    "stack": lambda L, x: L.stack(x.unbind(1), -1),
    "meshgrid": lambda L, x: L.meshgrid(x[0, 0], x[0, :, 0], x[0, 0, 0], indexing="xy")[1],
    "cat": lambda L, x: L.cat(x.split([1, 3], 2)[::-1], 2),
    "chunk": lambda L, x: x.chunk(3, -1)[-1],
}


@pytest.mark.parity
@pytest.mark.parametrize("program", PARITY.values(), ids=PARITY.keys())
@pytest.mark.parametrize("transposed", [False, True])
def test_as_pytorch_does(program: Callable[[Any, Any], Any], transposed: bool) -> None:
    torch = pytest.importorskip("torch")
    _compare(torch, program, transposed)


def _compare(torch: Any, program: Callable[[Any, Any], Any], transposed: bool) -> None:
    a = np.random.default_rng(0).standard_normal((2, 3, 4) if not transposed else (4, 3, 2))
    a = a.T if transposed else a
    x, x_torch = tinycnn.from_numpy(a).requires_grad_(), torch.from_numpy(a).requires_grad_()
    y, y_torch = program(tinycnn, x), program(torch, x_torch)
    assert y.shape == tuple(y_torch.shape)
    np.testing.assert_array_equal(y.detach().numpy(), y_torch.detach().numpy())
    (y * y * y).sum().backward()
    (y_torch * y_torch * y_torch).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), x_torch.grad.numpy(), rtol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(1, 2), (2, 1, 0, 1), (-1, 1, 2, -1)])
def test_pad_as_pytorch_does(mode: str, pad: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")

    def program(library: Any, x: Any) -> Any:
        rows = x if len(pad) == 2 else x[None]
        return library.nn.functional.pad(rows, pad, mode=mode)

    _compare(torch, program, transposed=False)


@pytest.mark.parity
@pytest.mark.parametrize(
    "window",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2), "padding": 1, "stride": (2, 1)},
        {"kernel_size": 2, "dilation": (1, 2), "padding": (1, 0)},
    ],
)
def test_unfold_and_fold_as_pytorch_do(window: dict[str, Any], kernel_set: str) -> None:
    torch = pytest.importorskip("torch")

    def program(library: Any, x: Any) -> Any:
        f = library.nn.functional
        images = x.reshape(1, 2, 3, 4).repeat(2, 1, 2, 2)
        cols = f.unfold(images, **window)
        return f.fold(cols * cols, images.shape[2:], **window)

    _compare(torch, program, transposed=True)


def test_parts_may_be_empty() -> None:
    x = tinycnn.arange(3)
    assert [part.tolist() for part in x.split([0, 2, 0, 1])] == [[], [0, 1], [], [2]]


def test_the_last_two_dimensions_of_many_are_swapped() -> None:
    assert tinycnn.zeros(2, 3, 4, 5).mT.shape == (2, 3, 5, 4)
    assert tinycnn.zeros(2, 3).mT.shape == (3, 2)


def test_a_step_of_one_is_none() -> None:
    assert tinycnn.arange(4)[1:3:1].tolist() == [1, 2]
