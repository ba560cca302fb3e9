# ruff: noqa: E501 - a table, one row a line
"""What is known to answer otherwise than PyTorch: a line of code, both answers, and why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import tinycnn


@dataclass(frozen=True)
class Difference:
    """A line of code in which `torch` stands for either library, PyTorch's answer (an error by the name of its class),
    the answer here, and why."""

    code: str
    torch: str
    here: str
    why: str


def answer(library: Any, code: str) -> str:
    """What a line of code gives, as it is printed, or the name of the error that it raises."""

    def gradient(function: Any, values: Any) -> Any:
        x = library.tensor(values, requires_grad=True)
        function(x).sum().backward()
        return x.grad.tolist()

    nan = float("nan")
    ones = library.ones(2, 3)
    byte = library.tensor([1, 0, 1], dtype=library.uint8)
    names = {
        "torch": library,
        "nn": library.nn,
        "F": library.nn.functional,
        "gradient": gradient,
        "nan": nan,
        "ones": ones,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = eval(code, names | {"byte": byte})
        except Exception as error:
            return type(error).__name__
    found = found.tolist() if isinstance(found, tinycnn.Tensor) or type(found).__name__ == "Tensor" else found
    return str(found)


_E = "the error's class tells the kind of mistake: ValueError for a shape or a value, TypeError for a type, IndexError for an index or a class"
TABLE = [
    Difference("F.relu(ones, inplace=True) is ones", "True", "False", "`inplace=True` is taken, and the result is new: the numbers are the same, one array more is used. `relu_()` and the like do write in place"),
    Difference("ones + torch.ones(4)", "RuntimeError", "ValueError", _E),
    Difference("ones.reshape(7)", "RuntimeError", "ValueError", "as above"),
    Difference("ones[0][byte]", "[1.0, 1.0]", "IndexError", "bytes are no mask, which PyTorch is about to give up too: write `byte.bool()`"),
    Difference("torch.where(byte, ones, 0.0)", "[[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]", "TypeError", "as above"),
    Difference("ones - (ones > 0)", "RuntimeError", "[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]", "booleans count as 0 and 1 in all arithmetic; some functions take them that PyTorch's do not"),
    Difference("gradient(torch.relu, [nan])", "[1.0]", "[0.0]", "so for relu6, hardtanh and elu too: beside NaN (or infinities, for prod) gradients may differ"),
    Difference("gradient(lambda x: x.amax(), [nan, 1.0])", "[nan, nan]", "[1.0, 0.0]", "as above"),
    Difference("F.mse_loss(ones, torch.zeros(3))", "1.0", "ValueError", "PyTorch warns that this is likely a mistake, and goes on"),
    Difference("F.mse_loss(ones, ones, None, None, 'sum')", "0.0", "TypeError", "after the tensors a loss takes its arguments by name only; `size_average` and `reduce` are taken by name"),
    Difference("F.cross_entropy(ones, torch.tensor([0, 1]), label_smoothing=-1.0).shape == ()", "True", "ValueError", "what is not between 0 and 1 is a mistake"),
    Difference("F.batch_norm(torch.ones(0, 3), None, None, torch.ones(2), training=True).shape == (0, 3)", "True", "ValueError", "what does not fit together is a mistake for an empty batch too"),
    Difference("nn.BatchNorm2d(4, affine=False, track_running_stats=False)(torch.ones(2, 3, 2, 2)).shape == (2, 3, 2, 2)", "True", "ValueError", "the layer was made for 4 channels, whether or not it keeps anything of that size"),
    Difference("F.batch_norm(ones, None, None, training=True, eps=0.0).shape == (2, 3)", "ValueError", "True", "0 is allowed where no variance is"),
    Difference("torch.batch_norm(ones, None, None, None, None, False, 0.1, 1e-5, False).shape == (2, 3)", "RuntimeError", "TypeError", "what PyTorch has twice with different arguments (also dropout, group_norm, instance_norm, layer_norm) has those of `nn.functional` everywhere"),
    Difference("torch.add(ones, 1, out=torch.empty(7)).shape == (2, 3)", "True", "RuntimeError", "`out` must have the result's shape or be empty; PyTorch gives it another shape, with a warning"),
    Difference("torch.bernoulli(torch.full((2,), 0.5, requires_grad=True)).requires_grad", "True", "False", "random draws are constants for backward (`normal` too); PyTorch's have the gradient 0"),
    Difference("gradient(lambda x: torch.floor_divide(x, 2.0) + 0 * x, [3.0])", "RuntimeError", "[0.0]", "without a derivative here, an error in backward there"),
    Difference("torch.gather(torch.tensor([5.0]), 0, torch.tensor(0))", "5.0", "ValueError", "an index has as many dimensions as the tensor; PyTorch counts none for one (scatter too)"),
    Difference("torch.repeat_interleave(torch.tensor([1, 2]))", "[0, 1, 1]", "TypeError", "write `torch.arange(2).repeat_interleave(repeats)`"),
    Difference("torch.zeros(2, 3).scatter(1, torch.tensor([[0]]), 2.0, reduce='multiply')", "[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]", "ValueError", "scatter reduces by 'add' only"),
    Difference("torch.linalg.norm(ones) > 0", "True", "AttributeError", "there is no `torch.linalg`; `norm`, `matmul` and their like are in the main module, norms of matrices ('nuc') are not"),
    Difference("ones.norm('nuc') > 0", "True", "NotImplementedError", "as above"),
    Difference("nn.InstanceNorm2d(3, track_running_stats=True).track_running_stats", "True", "NotImplementedError", "`functional.instance_norm` takes running statistics"),
    Difference("torch.ones(2).type()", "torch.FloatTensor", "tinycnn.float32", "there is one class of tensors"),
    Difference("isinstance(torch.get_rng_state(), dict)", "False", "True", "the state is that of NumPy's generator"),
    Difference("torch.manual_seed(0) is None", "False", "True", "as above; the same seed draws other numbers than PyTorch's"),
    Difference("hasattr(torch, 'save')", "True", "False", "nothing is pickled: `train.save_checkpoint`, `train.load_weights`"),
    Difference("F.max_pool2d(torch.full((1, 2, 2), nan), 2, return_indices=True)[1].item()", "3", "0", "of several NaN the first is taken, as of several equal numbers"),
]  # fmt: skip
