"""What a user's mistake is answered with: the operation, what came, and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinycnn as tc
from tinycnn.nn import functional as F

IMAGE = tc.zeros(2, 3, 6, 6)
LABELS = tc.tensor([0, 1])
SCORES = tc.zeros(2, 4)

MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # convolution
    "channels": (lambda: F.conv2d(IMAGE, tc.zeros(4, 2, 3, 3)), ValueError, "input has 3 channels, weight .* wants 2"),
    "groups": (
        lambda: F.conv2d(tc.zeros(1, 4, 6, 6), tc.zeros(5, 2, 3, 3), groups=2),
        ValueError,
        "groups=2 does not divide the 5 output channels",
    ),
    "one-array": (lambda: tc.add(tc.ones(1), np.ones(1)), TypeError, "expected tensors or numbers, got Tensor and"),
    "arange-long": (lambda: tc.arange(2**62), ValueError, "are more than a tensor can hold"),
    "fold-nothing": (lambda: F.fold(tc.ones(1, 4, 1), 0, 2, padding=1), ValueError, "output_size must be at least 1"),
    "max-of-nothing": (lambda: tc.zeros(2, 0).max(), RuntimeError, "no elements to choose from"),
    "large-one-way": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 1, 7)), ValueError, "is smaller than the kernel"),
    "unfold-dilation": (lambda: F.unfold(IMAGE, 2, dilation=0), ValueError, "dilation must be"),
    "bn-relu-one": (
        lambda: F.batch_norm_relu(tc.ones(1, 3, 1, 1), None, None, training=True),
        ValueError,
        "expected more than 1 value per channel",
    ),
    "cat-longer": (lambda: tc.cat([tc.ones(2, 3), tc.ones(2, 4)]), ValueError, "differ elsewhere than in dimension 0"),
    "cat-shorter": (lambda: tc.cat([tc.ones(2, 4), tc.ones(2, 3)]), ValueError, "differ elsewhere than in dimension 0"),
    "cat-rank": (lambda: tc.cat([tc.ones(2, 3), tc.ones(2)]), ValueError, "differ elsewhere than in dimension 0"),
    "meshgrid": (lambda: tc.meshgrid([tc.ones(2)], tc.ones(3)), TypeError, "expected a list or tuple of tensors"),
    "out-pair": (
        lambda: tc.max(tc.ones(2, 2), 1, out=(tc.ones(2),)),
        TypeError,
        "out must be 2 tensors, one for each result",
    ),
    "to-bool": (lambda: tc.ones(2).to(True), TypeError, "True"),
    "bernoulli": (lambda: tc.ones(2).bernoulli_(tc.tensor([0.5, -0.5])), ValueError, r"must lie in \[0, 1\]"),
    "normal": (lambda: tc.normal(tc.zeros(2), tc.ones(3)), ValueError, "normal"),
    "no-groups": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), groups=0), ValueError, "groups must be a positive"),
    "bias": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), tc.zeros(3)), ValueError, r"bias has shape \(3,\)"),
    "large": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 7, 7)), ValueError, "is smaller than the kernel"),
    "rank": (lambda: F.conv2d(tc.zeros(6, 6), tc.zeros(4, 3, 3, 3)), ValueError, r"must be \(N, C, H, W\)"),
    "weight": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3)), ValueError, "weight must have 4 dimensions"),
    "empty": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 0, 3)), ValueError, "the kernel is empty"),
    "stride": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), stride=0), ValueError, "stride must be at least 1"),
    "padding": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), padding=-1), ValueError, "padding must be at least 0"),
    "pair": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), padding=(1, 2, 3)), TypeError, "a pair of integers"),
    "float": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), stride=1.5), TypeError, "must be an integer"),
    "word": (lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), padding="full"), ValueError, "'same', 'valid' or numbers"),
    "same": (
        lambda: F.conv2d(IMAGE, tc.zeros(4, 3, 3, 3), padding="same", stride=2),
        ValueError,
        "padding='same' needs stride 1",
    ),
    "integers": (lambda: F.conv2d(IMAGE.long(), tc.zeros(4, 3, 3, 3)), TypeError, "input must be floating"),
    "dtypes": (
        lambda: F.conv2d(IMAGE.double(), tc.zeros(4, 3, 3, 3)),
        TypeError,
        "input is tinycnn.float64 but weight",
    ),
    "list": (lambda: F.conv2d([[1.0]], tc.zeros(4, 3, 3, 3)), TypeError, "input must be a Tensor, got list"),
    "transposed": (
        lambda: F.conv_transpose2d(IMAGE, tc.zeros(4, 2, 3, 3)),
        ValueError,
        "input has 3 channels, weight .* wants 4",
    ),
    "transposed-word": (
        lambda: F.conv_transpose2d(IMAGE, tc.zeros(3, 2, 3, 3), padding="same"),
        ValueError,
        "padding must be numbers",
    ),
    "transposed-extra": (
        lambda: F.conv_transpose2d(IMAGE, tc.zeros(3, 2, 3, 3), output_padding=1),
        ValueError,
        "output_padding .* must be below stride",
    ),
    "transposed-nothing": (
        lambda: F.conv_transpose2d(tc.zeros(1, 3, 1, 1), tc.zeros(3, 2, 1, 1), padding=1),
        ValueError,
        "would give an output of",
    ),
    # pooling
    "window": (lambda: F.max_pool2d(IMAGE, 7), ValueError, "an image of 6 x 6 .* is smaller than the window"),
    "half": (lambda: F.avg_pool2d(IMAGE, 2, padding=2), ValueError, "padding must be at most half of kernel_size"),
    "divisor": (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), ValueError, "nonzero integer"),
    "adaptive": (lambda: F.adaptive_avg_pool2d(IMAGE, (1, 2, 3)), ValueError, "a number or a pair"),
    "no-pixels": (lambda: F.adaptive_max_pool2d(tc.zeros(1, 1, 0, 2), 1), ValueError, "input has no pixels"),
    "unpool": (lambda: F.max_unpool2d(IMAGE, tc.zeros(2, 3, 5, 6).long(), 2), ValueError, "but indices are"),
    "unpool-far": (
        lambda: F.max_unpool2d(tc.zeros(1, 1, 1, 1), tc.full((1, 1, 1, 1), 4), 2),
        IndexError,
        "outside the output of 2 x 2",
    ),
    # normalisation and dropout
    "norm-rank": (lambda: F.batch_norm(tc.zeros(3), None, None, training=True), ValueError, r"\(N, C\), \(N, C, L\)"),
    "norm-weight": (
        lambda: F.batch_norm(IMAGE, None, None, tc.zeros(2), training=True),
        ValueError,
        r"weight has shape \(2,\)",
    ),
    "norm-running": (lambda: F.batch_norm(IMAGE, None, None), ValueError, "running_mean and running_var must be given"),
    "norm-one": (
        lambda: F.batch_norm(tc.zeros(1, 3), None, None, training=True),
        ValueError,
        "more than 1 value per channel",
    ),
    "layer-norm": (lambda: F.layer_norm(IMAGE, (5,)), ValueError, "does not end in normalized_shape"),
    "layer-norm-bias": (lambda: F.layer_norm(IMAGE, 6, None, tc.zeros(5)), ValueError, "bias has shape"),
    "group-norm": (lambda: F.group_norm(IMAGE, 2), ValueError, "num_groups=2 does not divide the 3 channels"),
    "group-norm-rank": (lambda: F.group_norm(tc.zeros(3), 1), ValueError, r"must be \(N, C, ...\)"),
    "group-norm-bias": (lambda: F.group_norm(IMAGE, 3, None, tc.zeros(2)), ValueError, "bias has shape"),
    "instance-norm": (lambda: F.instance_norm(tc.zeros(2, 3, 1)), ValueError, "more than 1 value a channel"),
    "instance-norm-running": (lambda: F.instance_norm(IMAGE, tc.zeros(3)), ValueError, "both running_mean and"),
    "response-rank": (lambda: F.local_response_norm(SCORES, 3), ValueError, "3 dimensions or more"),
    "response-size": (lambda: F.local_response_norm(IMAGE, 0), ValueError, "size must be at least 1"),
    "dropout": (lambda: F.dropout(IMAGE, 1.5), ValueError, "must be a probability"),
    "dropout2d": (lambda: F.dropout2d(SCORES), ValueError, r"must be \(N, C, H, W\) or \(C, H, W\)"),
    # losses
    "label": (lambda: F.cross_entropy(SCORES, tc.tensor([0, 4])), IndexError, "target 4 is out of range for 4 classes"),
    "label-shape": (lambda: F.cross_entropy(SCORES, tc.tensor([0])), ValueError, r"wants a target of shape \(2,\)"),
    "label-list": (lambda: F.cross_entropy(SCORES, [0, 1]), TypeError, "target must be a Tensor, got list"),
    "label-dtype": (lambda: F.nll_loss(SCORES, LABELS.float()), TypeError, "class numbers as integers"),
    "weight-shape": (lambda: F.cross_entropy(SCORES, LABELS, tc.ones(3)), ValueError, "weight has shape"),
    "reduction": (lambda: F.mse_loss(SCORES, SCORES, reduction="avg"), ValueError, "or 'none', got 'avg'"),
    "smoothing": (lambda: F.cross_entropy(SCORES, LABELS, label_smoothing=2.0), ValueError, "between 0 and 1"),
    "number": (lambda: F.cross_entropy(tc.tensor(1.0), tc.tensor(0)), ValueError, "got a single number"),
    "shapes": (lambda: F.mse_loss(SCORES, LABELS.float()), ValueError, r"input has shape \(2, 4\), target has \(2,\)"),
    "no-tensor": (lambda: F.l1_loss(SCORES, 0.0), TypeError, "target must be a Tensor, got float"),
    "beta": (lambda: F.smooth_l1_loss(SCORES, SCORES, beta=-1.0), ValueError, "beta must not be negative"),
    "scores": (
        lambda: F.binary_cross_entropy(SCORES + 2, SCORES),
        ValueError,
        "must lie between 0 and 1; for scores use the version with logits",
    ),
    # arithmetic
    "broadcast": (
        lambda: tc.zeros(2, 3) + tc.zeros(2),
        ValueError,
        r"add: shapes \(2, 3\) and \(2,\) do not broadcast",
    ),
    "word-operand": (lambda: tc.zeros(2) * "2", TypeError, "mul: expected tensors or numbers, got Tensor and str"),
    "integer-power": (lambda: tc.tensor([2]) ** -1, RuntimeError, "integers to negative integer powers"),
    "rounding": (lambda: tc.div(tc.ones(2), 2, rounding_mode="up"), ValueError, "rounding_mode must be"),
    "maximum": (lambda: tc.maximum(tc.ones(2), 1.0), TypeError, "expected two tensors"),
    "condition": (lambda: tc.where(tc.ones(2), 1.0, 0.0), TypeError, "condition must be a boolean tensor"),
    "bounds": (lambda: tc.clamp(tc.ones(2)), ValueError, "at least one of min and max"),
    "expand": (lambda: tc.ones(2).expand(3), ValueError, "cannot be expanded to"),
    # tensors and devices
    "device": (lambda: tc.zeros(1, device="gpu"), ValueError, "say 'cpu', 'cuda' or 'cuda:1'"),
    "device-number": (lambda: tc.device("cuda:x"), ValueError, "names no device"),
    "backend": (lambda: tc.set_backend("torch"), ValueError, "expected 'numpy' or 'cupy'"),
    "kernels": (lambda: tc.use_kernels("slow"), ValueError, "unknown kernel set 'slow'"),
    "dtype": (lambda: tc.zeros(1, dtype="float8"), TypeError, "tinycnn has no dtype 'float8'"),
    "default-dtype": (lambda: tc.set_default_dtype(tc.int64), TypeError, "only floating dtypes"),
    "item": (lambda: tc.ones(2).item(), RuntimeError, "needs a tensor with one element"),
    "truth": (lambda: bool(tc.ones(2)), RuntimeError, "ambiguous; use any"),
    "index": (lambda: [1, 2][tc.tensor(1.0)], TypeError, "only an integer tensor"),  # type: ignore[call-overload]
    "length": (lambda: len(tc.tensor(1.0)), TypeError, "0-d tensor"),
    "iteration": (lambda: list(tc.tensor(1.0)), TypeError, "iteration over a 0-d tensor"),
    "numpy": (lambda: tc.ones(1, requires_grad=True).numpy(), RuntimeError, "use tensor.detach"),
    "integer-gradient": (lambda: tc.tensor([1]).requires_grad_(), RuntimeError, "only floating tensors can require"),
    "not-a-leaf": (lambda: (tc.ones(1, requires_grad=True) * 2).requires_grad_(False), RuntimeError, "not a leaf"),
    "hook": (lambda: tc.ones(1).register_hook(print), RuntimeError, "does not require a gradient"),
    "data": (lambda: setattr(tc.ones(1), "data", 1), TypeError, "data: expected a Tensor, got int"),
    "no-interface": (lambda: tc.ones(1).__cuda_array_interface__, AttributeError, "the tensor is on the CPU"),
    "seed": (lambda: tc.manual_seed(2**64), ValueError, "the seed must lie in"),
    "threads": (lambda: tc.set_num_threads(0), ValueError, "expected 1 to"),
    "copy": (lambda: tc.ones(1).__array__("float64", copy=False), ValueError, "a copy is needed"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_clearly(name: str) -> None:
    call, error, text = MISTAKES[name]
    with pytest.raises(error, match=text):
        call()


def test_what_a_tensor_tells_of_itself() -> None:
    x = tc.Tensor([[1, 2, 3], [4, 5, 6]])
    assert x.dtype is tc.float32
    assert tc.Tensor(2, 3).tolist() == [[0.0] * 3] * 2
    assert tc.Tensor(x).tolist() == x.tolist()
    assert tc.Tensor().shape == (0,)
    assert (x.dim(), x.numel(), x.nelement(), x.element_size(), x.nbytes, x.size(1)) == (2, 6, 6, 4, 24, 3)
    assert (x.stride(), x.stride(0), x.T.stride(), x.is_contiguous(), x.T.is_contiguous()) == (
        (3, 1),
        3,
        (1, 3),
        True,
        False,
    )
    assert (x.is_cuda, x.is_floating_point(), x.is_complex()) == (False, True, False)
    assert (5.0 in x, 7 in x, tc.tensor(6.0) in x) == (True, False, True)
    assert (float(x[0, 1]), int(x[0, 1]), complex(x[0, 1])) == (2.0, 2, 2 + 0j)
    assert f"{x[0, 1]:.2f}" == "2.00"
    assert [10, 20][tc.tensor(1)] == 20
    assert [row.tolist() for row in x] == x.tolist()
    y = x.detach()
    y.data = tc.ones(2, 2)
    assert y.shape == (2, 2)
    assert x.shape.numel() == 6


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tc.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: tc.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: tc.tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
        (lambda: tc.tensor([1.0, float("nan"), float("-inf")]), "tensor([1., nan, -inf])"),
        (lambda: tc.tensor([1.0, 1000.0]), "tensor([   1., 1000.])"),
        (lambda: tc.tensor([1.0, 1001.0]), "tensor([1.0000e+00, 1.0010e+03])"),
        (lambda: tc.tensor([1.5, 1000.5]), "tensor([   1.5000, 1000.5000])"),
        (lambda: tc.tensor([1.5, 1499.0]), "tensor([   1.5000, 1499.0000])"),
        (lambda: tc.tensor([0.5, 999.5]), "tensor([5.0000e-01, 9.9950e+02])"),
        (lambda: tc.tensor([-1.5, 2.0]), "tensor([-1.5000,  2.0000])"),
        (lambda: tc.tensor([1e8, 1e6]), "tensor([100000000.,   1000000.])"),
        (lambda: tc.tensor([1.5e8]), "tensor([1.5000e+08])"),
        (lambda: tc.tensor([1e-4]), "tensor([1.0000e-04])"),
        (lambda: tc.tensor([5e-5, 1e-5]), "tensor([5.0000e-05, 1.0000e-05])"),
        (lambda: tc.tensor([True, False]), "tensor([ True, False])"),
        (lambda: tc.tensor([True, True]), "tensor([True, True])"),
        (lambda: tc.tensor(False), "tensor(False)"),
        (lambda: tc.tensor(3), "tensor(3)"),
        (lambda: tc.tensor([]), "tensor([])"),
        (lambda: tc.zeros(2, 0), "tensor([], size=(2, 0))"),
        (lambda: tc.tensor([1, 2], dtype=tc.uint8), "tensor([1, 2], dtype=tinycnn.uint8)"),
        (lambda: tc.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: tc.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
        (lambda: tc.nn.Parameter(tc.ones(1)), "Parameter containing:\ntensor([1.], requires_grad=True)"),
    ],
)
def test_how_a_tensor_prints(make: Callable[[], Any], text: str) -> None:
    assert repr(make()) == text


@pytest.mark.parametrize(("numbers", "breaks"), [(11, False), (12, False), (13, True), (14, True)])
@pytest.mark.parametrize("rows", [(), (1,), (2,)])
def test_a_note_that_no_longer_fits_stands_below(numbers: int, breaks: bool, rows: tuple[int, ...]) -> None:
    x = tc.ones(*rows, numbers)
    between = ",\n       " if breaks else ", "
    assert repr(x.requires_grad_()) == repr(x.detach())[:-1] + between + "requires_grad=True)"


def test_notes_are_placed_one_by_one() -> None:
    x = tc.ones(30, requires_grad=True)  # two lines, with room behind the second
    assert repr(x) == repr(x.detach())[:-1] + ", requires_grad=True)"
    x = tc.ones(10, dtype=tc.float64, requires_grad=True)
    assert repr(x).endswith("1.], dtype=tinycnn.float64,\n       requires_grad=True)")


def test_one_style_for_all_numbers_that_are_shown() -> None:
    x = tc.arange(1000.0)
    x[500] = 0.5  # printed, for so many numbers are
    assert repr(x).startswith("tensor([0.0000e+00, 1.0000e+00")
    x = tc.arange(1001.0) % 100
    x[500] = 0.5  # left out
    assert repr(x).startswith("tensor([ 0.,  1.,  2., ...")


def test_a_single_number_in_a_text_is_that_number() -> None:
    assert f"{tc.tensor(1.5)} {tc.tensor(2)} {tc.tensor([1.5])}" == "1.5 2 tensor([1.5000])"
    assert f"{tc.tensor(1.5, requires_grad=True):.2f}" == "1.50"
    with pytest.raises(ValueError, match="format code"):
        f"{tc.tensor([1.5]):.2f}"


def test_a_large_tensor_prints_its_edges() -> None:
    text = repr(tc.arange(10000.0).reshape(100, 100))
    assert "..." in text
    assert "9.9990e+03" in text
    assert max(map(len, text.splitlines())) <= 80
