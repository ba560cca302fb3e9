"""docs/pytorch.md, made from the tables that the tests run."""

from __future__ import annotations

import textwrap
from typing import Any

import torch

import tinycnn
from arguments.differences import TABLE
from tinycnn.ops.keywords import ALIASES, UNSUPPORTED

# PyTorch's public layers and functions of layers that are not here, as of PyTorch 2.13.
LAYERS = """
AdaptiveAvgPool1d AdaptiveAvgPool3d AdaptiveLogSoftmaxWithLoss AdaptiveMaxPool1d AdaptiveMaxPool3d AlphaDropout
AvgPool1d AvgPool3d BatchNorm3d Bilinear CELU CTCLoss ChannelShuffle CircularPad1d CircularPad2d CircularPad3d
ConstantPad1d ConstantPad2d ConstantPad3d Container Conv1d Conv3d ConvTranspose1d ConvTranspose3d
CosineEmbeddingLoss CosineSimilarity CrossMapLRN2d Dropout1d Dropout3d Embedding EmbeddingBag FeatureAlphaDropout
FractionalMaxPool2d FractionalMaxPool3d GLU GRU GRUCell GaussianNLLLoss Hardshrink Hardsigmoid Hardswish
HingeEmbeddingLoss HuberLoss InstanceNorm1d InstanceNorm3d KLDivLoss LPPool1d LPPool2d LPPool3d LSTM LSTMCell
LazyBatchNorm3d LazyConv1d LazyConv3d LazyConvTranspose1d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d
LazyInstanceNorm3d LinearCrossEntropyLoss LinearCrossEntropyOptions LogSigmoid MarginRankingLoss MaxPool1d MaxPool3d
MaxUnpool1d MaxUnpool3d Mish MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss MultiheadAttention
NLLLoss2d PReLU PairwiseDistance PixelShuffle PixelUnshuffle PoissonNLLLoss RMSNorm RNN RNNBase RNNCell RNNCellBase
RReLU ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d SELU
SoftMarginLoss Softmax2d Softmin Softshrink Softsign SyncBatchNorm Tanhshrink Threshold Transformer
TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer TripletMarginLoss
TripletMarginWithDistanceLoss Upsample UpsamplingBilinear2d UpsamplingNearest2d ZeroPad1d ZeroPad2d ZeroPad3d
"""
FUNCTIONS = """
adaptive_avg_pool1d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool3d affine_grid alpha_dropout avg_pool1d
avg_pool3d bilinear celu channel_shuffle conv1d conv3d conv_tbc conv_transpose1d conv_transpose3d
cosine_embedding_loss cosine_similarity ctc_loss dropout1d dropout3d embedding embedding_bag feature_alpha_dropout
fractional_max_pool2d fractional_max_pool3d gaussian_nll_loss glu grid_sample grouped_mm gumbel_softmax hardshrink
hardsigmoid hardswish hinge_embedding_loss huber_loss interpolate kl_div linear_cross_entropy lp_pool1d lp_pool2d
lp_pool3d margin_ranking_loss max_pool1d max_pool3d max_unpool1d max_unpool3d mish multi_head_attention_forward
multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss native_channel_shuffle normalize
pairwise_distance pdist pixel_shuffle pixel_unshuffle poisson_nll_loss prelu rms_norm rrelu
scaled_dot_product_attention scaled_grouped_mm scaled_mm selu soft_margin_loss softmin softshrink softsign
tanhshrink threshold triplet_margin_loss triplet_margin_with_distance_loss upsample upsample_bilinear
upsample_nearest
"""

_HEAD = """\
# tinycnn beside PyTorch

Names, argument names, defaults, dtypes, shapes, values and gradients are PyTorch's, unless this page says otherwise.
The page is made from the tables of `tests/arguments`, and `tests/test_arguments.py` runs every line of it: each
argument of each function, method and layer that both libraries have is given alone and together with every other, and
result, shape, dtype and all gradients are compared with PyTorch's, in float64.

## What is the same

- Every function, every method of a tensor and every layer here that PyTorch has too takes all of its arguments, by
  position in PyTorch's order or by name, but for those in the second table below.
- NumPy's names of arguments are taken where PyTorch takes them: {aliases}.
- `out=` is taken by every function that has it in PyTorch; `size_average` and `reduce` of the losses give a warning.
- Type promotion, broadcasting, negative dimensions, `keepdim`, tensors without dimensions, empty tensors and batches,
  transposed and strided tensors, ties (the gradient of `max` along a dimension goes to the first, of `amax` to all in
  equal parts), NaN in results.

## What differs

| code | PyTorch | here | why |
|---|---|---|---|
"""
_REFUSED = """
## Arguments that are not supported

They raise a `NotImplementedError` that names them; `None` and `False` are no request, and are taken.

| argument | of | instead |
|---|---|---|
"""
_MISSING = """
## What is missing

A name of PyTorch that is not here raises an `AttributeError`. Of `torch.nn`:

{layers}

Of `torch.nn.functional`:

{functions}
"""


def public(place: Any) -> set[str]:
    """The names that PyTorch documents in torch.nn or torch.nn.functional."""
    if place is torch.nn:
        return {n for n in torch.nn.modules.__all__ if isinstance(getattr(torch.nn, n), type)}
    here = {n for n in dir(place) if not n.startswith("_") and callable(getattr(place, n))}
    documented = {n for n in here if getattr(getattr(place, n), "__doc__", None)}
    foreign = {
        "Callable",
        "Optional",
        "TYPE_CHECKING",
        "Union",
        "Tensor",
        "DType",
        "BroadcastingList1",
        "BroadcastingList2",
        "BroadcastingList3",
    }
    kinds = {n for n in documented if isinstance(getattr(place, n), type)}
    helpers = {
        n
        for n in here
        if n.startswith(("has_torch", "handle_torch", "boolean_dispatch", "assert_")) or n.endswith("_with_indices")
    }
    return {n for n in documented - foreign - kinds - helpers if not n.endswith("_")}


def missing() -> list[tuple[Any, Any, list[str]]]:
    """For torch.nn and torch.nn.functional: the module here, the module there, and the names listed as missing."""
    return [
        (tinycnn.nn, torch.nn, LAYERS.split()),
        (tinycnn.nn.functional, torch.nn.functional, FUNCTIONS.split()),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _names(names: str) -> str:
    return textwrap.fill(
        ", ".join(f"`{n}`" for n in names.split()) + ".", 120, break_long_words=False, break_on_hyphens=False
    )


def text() -> str:
    """The whole page."""
    aliases = ", ".join(f"`{other}` for `{one}`" for other, one in ALIASES.items())
    out = textwrap_lines(_HEAD.format(aliases=aliases))
    out += "".join(f"| `{_cell(r.code)}` | `{_cell(r.torch)}` | `{_cell(r.here)}` | {_cell(r.why)} |\n" for r in TABLE)
    out += _REFUSED
    for argument, (functions, instead) in UNSUPPORTED.items():
        out += f"| `{argument}` | {', '.join(f'`{f}`' for f in sorted(functions))} | {instead} |\n"
    return out + _MISSING.format(layers=_names(LAYERS), functions=_names(FUNCTIONS))


def textwrap_lines(head: str) -> str:
    """The head with its one long line, that of the aliases, broken."""
    lines = []
    for line in head.splitlines():
        lines += textwrap.wrap(line, 120, subsequent_indent="  ") if len(line) > 120 else [line]
    return "\n".join(lines) + "\n"
