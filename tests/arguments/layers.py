"""Layers: their constructors' arguments."""

from __future__ import annotations

from typing import Any

from arguments.case import F32, F64, Layer, T, X, given, labels

_FACTORY: dict[str, Any] = {"device": [None, "cpu"], "dtype": [F64, F32]}
_IMAGES = [[X(2, 4, 7, 6)], [X(4, 7, 6)], [X(2, 4, 7, 6, lie="channels_last")]]
_CONV: dict[str, Any] = {"stride": [1, 2, (2, 1)], "dilation": [1, 2], "groups": [1, 2], "bias": [True, False]}
_ANY = [[X(2, 3, 4)], [X()], [X(0, 3)]]
_BN: dict[str, Any] = {
    "eps": [1e-5, 0.1],
    "momentum": [0.1, 0.5, None],
    "affine": [True, False],
    "track_running_stats": [True, False],
    "bias": [True, False],
} | _FACTORY
_LOSS: dict[str, Any] = {
    "size_average": [None, True, False],
    "reduce": [None, True, False],
    "reduction": ["mean", "sum", "none", "other"],
}
_POOL = [[X(2, 3, 7, 6)], [X(3, 7, 6)]]

# PyTorch's layer never learns how many features there are where it keeps nothing of that size.
_LAZY = {"affine=False, track_running_stats=False": "either"}

TABLE = [
    Layer("Identity", [{}], _ANY),
    *(Layer(n, [{}], _ANY) for n in ("Sigmoid", "Tanh")),
    *(Layer(n, [{}], _ANY, {"inplace": [False]}) for n in ("ReLU", "ReLU6", "SiLU")),
    Layer("LeakyReLU", [{}], _ANY, {"negative_slope": [0.01, 0.3], "inplace": [False]}),
    Layer("ELU", [{}], _ANY, {"alpha": [1.0, 0.5], "inplace": [False]}),
    Layer("GELU", [{}], _ANY, {"approximate": ["none", "tanh", "other"]}),
    Layer("Hardtanh", [{}], _ANY, {"min_val": [-0.5], "max_val": [0.5, -2.0], "inplace": [False]}),
    Layer("Softplus", [{}], _ANY, {"beta": [2.0], "threshold": [1.0]}),
    *(Layer(n, [{}], _ANY, {"dim": [0, -1, 2, None]}) for n in ("Softmax", "LogSoftmax")),
    Layer(
        "Linear",
        [{"in_features": 4, "out_features": 3, "dtype": F64}],
        [[X(2, 4)], [X(4)], [X(2, 5, 4)], [X(0, 4)], [X(2, 3)]],
        {"bias": [True, False]} | _FACTORY,
    ),
    Layer(
        "Conv2d",
        [{"in_channels": 4, "out_channels": 6, "kernel_size": k, "dtype": F64} for k in (3, (2, 3))],
        _IMAGES,
        _CONV
        | {
            "padding": [0, 1, (1, 2), "same", "valid", "other"],
            "padding_mode": ["zeros", "reflect", "replicate", "circular", "other"],
        }
        | _FACTORY,
    ),
    Layer(
        "ConvTranspose2d",
        [{"in_channels": 4, "out_channels": 6, "kernel_size": k, "dtype": F64} for k in (3, (2, 3))],
        _IMAGES,
        _CONV | {"padding": [0, 1, (1, 2)], "output_padding": [0, 1], "padding_mode": ["zeros", "reflect"]} | _FACTORY,
    ),
    Layer("LazyLinear", [{"out_features": 3, "dtype": F64}], [[X(2, 4)], [X(4)]], {"bias": [True, False]} | _FACTORY),
    Layer(
        "LazyConv2d",
        [{"out_channels": 6, "kernel_size": 3, "dtype": F64}],
        _IMAGES,
        _CONV | {"padding": [0, 1, "same"], "padding_mode": ["zeros", "reflect"]} | _FACTORY,
    ),
    Layer(
        "LazyConvTranspose2d",
        [{"out_channels": 6, "kernel_size": 3, "dtype": F64}],
        _IMAGES,
        _CONV | {"padding": [0, 1], "output_padding": [0, 1], "padding_mode": ["zeros", "reflect"]} | _FACTORY,
    ),
    Layer(
        "BatchNorm1d",
        [{"num_features": 4, "dtype": F64}],
        [[X(5, 4)], [X(5, 4, 3)], [X(2, 4, 2, 2)], [X(0, 4)], [X(1, 4)]],
        _BN,
    ),
    Layer(
        "BatchNorm2d",
        [{"num_features": 4, "dtype": F64}],
        [*_IMAGES, [X(0, 4, 2, 2)], [X(1, 4, 1, 1)], [X(2, 3, 2, 2)]],
        _BN,
        differs={"affine=False, track_running_stats=False)(<2x3x2x2>": "raises"},
    ),
    Layer("LazyBatchNorm1d", [{"dtype": F64}], [[X(5, 4)], [X(5, 4, 3)], [X(2, 4, 2, 2)]], _BN, differs=_LAZY),
    Layer("LazyBatchNorm2d", [{"dtype": F64}], _IMAGES, _BN, differs=_LAZY),
    Layer(
        "InstanceNorm2d",
        [{"num_features": 4, "dtype": F64}],
        _IMAGES,
        {
            "eps": [1e-5, 0.1],
            "momentum": [0.1, 0.5],
            "affine": [False, True],
            "track_running_stats": [False],
            "bias": [True, False],
        }
        | _FACTORY,
    ),
    # PyTorch 2.13 crashes in the backward of group normalisation of channels-last images
    Layer(
        "GroupNorm",
        [{"num_groups": 2, "num_channels": 4, "dtype": F64}, {"num_groups": 3, "num_channels": 4, "dtype": F64}],
        [[X(2, 4)], *_IMAGES[:2]],
        {"eps": [1e-5, 0.1], "affine": [True, False], "bias": [True, False]} | _FACTORY,
    ),
    Layer(
        "LayerNorm",
        [{"normalized_shape": s, "dtype": F64} for s in ((7, 6), 6, [4, 7, 6])],
        _IMAGES,
        {"eps": [1e-5, 0.1], "elementwise_affine": [True, False], "bias": [True, False]} | _FACTORY,
    ),
    Layer(
        "LocalResponseNorm",
        [{"size": 3}, {"size": 2}],
        _IMAGES,
        {"alpha": [1e-4, 0.5], "beta": [0.75, 0.5], "k": [1.0, 2.0]},
    ),
    *(
        Layer(n, [{}], [[X(2, 3, 4, 5)], [X(3, 4, 5)]], {"p": [0.5, 0.0, 1.0, 1.5], "inplace": [False]}, random=True)
        for n in ("Dropout", "Dropout2d")
    ),
    Layer(
        "MaxPool2d",
        [{"kernel_size": k} for k in (2, (3, 2))],
        _POOL,
        {
            "stride": [None, 1, (2, 3)],
            "padding": [0, 1],
            "dilation": [1, 2],
            "return_indices": [False, True],
            "ceil_mode": [False, True],
        },
    ),
    Layer(
        "AvgPool2d",
        [{"kernel_size": k} for k in (2, (3, 2))],
        _POOL,
        {
            "stride": [None, 1, (2, 3)],
            "padding": [0, 1],
            "ceil_mode": [False, True],
            "count_include_pad": [True, False],
            "divisor_override": [None, 3],
        },
    ),
    Layer("AdaptiveAvgPool2d", [{"output_size": s} for s in (1, (2, 3), (None, 2))], _POOL),
    Layer(
        "AdaptiveMaxPool2d",
        [{"output_size": s} for s in (1, (2, 3), (None, 2))],
        _POOL,
        {"return_indices": [False, True]},
    ),
    Layer(
        "MaxUnpool2d",
        [{"kernel_size": 2}],
        [[X(1, 1, 2, 2), given([[[[0, 3], [9, 14]]]], "int64")]],
        {"stride": [None, 2, 3], "padding": [0]},
    ),
    Layer("Unfold", [{"kernel_size": (2, 3)}], _IMAGES[:2], {"dilation": [1, 2], "padding": [0, 1], "stride": [1, 2]}),
    Layer(
        "Fold",
        [{"output_size": (5, 6), "kernel_size": 2}],
        [[X(2, 12, 20)], [X(12, 20)], [X(2, 12, 12)], [X(2, 12, 42)], [X(2, 12, 6)]],
        {"dilation": [1, 2], "padding": [0, 1], "stride": [1, 2]},
    ),
    Layer(
        "Flatten",
        [{}],
        [[X(2, 3, 4, 5)], [X(2, 3, 4, 5, lie="channels_last")], [X(3)]],
        {"start_dim": [0, 1, -2], "end_dim": [-1, 2, 1]},
    ),
    Layer(
        "Unflatten",
        [{"dim": 1, "unflattened_size": (3, 4)}, {"dim": -1, "unflattened_size": (2, -1)}],
        [[X(2, 12)], [X(12)]],
    ),
    Layer(
        "CrossEntropyLoss",
        [{}],
        [[X(4, 3), labels(3, 4)], [X(2, 3, 4), labels(3, 2, 4)], [X(4, 3), T((4, 3), "unit")]],
        {"weight": [None, T((3,), "positive", grad=False)], "ignore_index": [-100, 1], "label_smoothing": [0.0, 0.2]}
        | _LOSS,
    ),
    Layer(
        "NLLLoss",
        [{}],
        [[X(4, 3), labels(3, 4)], [X(2, 3, 4), labels(3, 2, 4)]],
        {"weight": [None, T((3,), "positive", grad=False)], "ignore_index": [-100, 1]} | _LOSS,
    ),
    *(Layer(n, [{}], [[X(2, 3), X(2, 3)], [X(), X()]], _LOSS) for n in ("MSELoss", "L1Loss")),
    Layer("SmoothL1Loss", [{}], [[X(2, 3), X(2, 3)], [X(), X()]], {"beta": [1.0, 0.3]} | _LOSS),
    Layer(
        "BCELoss",
        [{}],
        [[T((2, 3), "unit"), T((2, 3), "unit")]],
        {"weight": [None, T((2, 3), "positive", grad=False)]} | _LOSS,
    ),
    Layer(
        "BCEWithLogitsLoss",
        [{}],
        [[X(2, 3), T((2, 3), "unit")]],
        {"weight": [None, T((2, 3), "positive", grad=False)], "pos_weight": [None, T((3,), "positive", grad=False)]}
        | _LOSS,
    ),
]
