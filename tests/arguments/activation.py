"""Activations, and what else the functional module has of a tensor alone."""

from __future__ import annotations

from arguments.case import F32, F64, Entry, T, X, given, labels, varied

SPACE = "functional"
_EDGES = [T((4, 6), "ties"), T((7, 5), "special")]


def _inputs(*edges: T) -> list[dict[str, object]]:
    return [{"input": x} for x in [*varied(X(2, 3, 4)), *edges]]


_ALONG = [{"input": x, "dim": 0} for x in [*varied(X(2, 3, 4)), T((4, 4), "ties"), X(2, 3, 4, 5, lie="channels_last")]]

_NAN = {"special": "gradient"}  # beside NaN

TABLE = [
    *(Entry(name, _inputs(*_EDGES)) for name in ("sigmoid", "tanh", "logsigmoid")),
    *(Entry(name, _inputs(*_EDGES), {"inplace": [False]}, differs=_NAN) for name in ("relu", "relu6", "silu")),
    Entry("leaky_relu", _inputs(*_EDGES), {"negative_slope": [0.01, 0.3, 0, -0.5, 2], "inplace": [False]}),
    Entry("elu", _inputs(*_EDGES), {"alpha": [1.0, 0.5, 2, 0], "inplace": [False]}, differs=_NAN),
    Entry(
        "hardtanh",
        _inputs(*_EDGES),
        {"min_val": [-1.0, -0.5, 0], "max_val": [1.0, 0.5, 0.0], "inplace": [False]},
        differs=_NAN,
    ),
    Entry("gelu", _inputs(_EDGES[0]), {"approximate": ["none", "tanh", "other"]}),
    Entry("softplus", _inputs(_EDGES[0]), {"beta": [1.0, 2, 0.5], "threshold": [20.0, 1, 0]}),
    *(
        Entry(name, _ALONG, {"dim": [None, 1, -1, -3, 3], "dtype": [None, F32, F64]}, differs={"dim=None": "more"})
        for name in ("softmax", "log_softmax")
    ),
    Entry(
        "one_hot",
        [
            {"input": x}
            for x in (
                labels(4, 3),
                labels(4, 2, 3),
                labels(3),
                labels(3, 0),
                labels(4, 3, dtype="int32"),
                X(3),
                given([-1, 2], "int64"),
            )
        ],
        {"num_classes": [-1, 4, 7, 0, 2]},
        differs={"int32": "more"},
    ),
    Entry(
        "pad",
        [
            {"input": x, "pad": p}
            for x, p in [
                (X(2, 3, 4, 5), (1, 2)),
                (X(2, 3, 4, 5), (1, 0, 2, 1)),
                (X(2, 3, 4, 5, lie="channels_last"), (1, 2, 0, 1)),
                (X(3, 4, lie="transposed"), (1, 2)),
                (X(2, 3, 4), (2, 0)),
                (X(2, 3, 4), [1, 1]),
                (X(2, 3, 4, 5), (-1, 1, 0, -2)),
                (X(2, 3, 4, 5), (0, 0, 0, 0, 1, 1)),
                (X(2, 3, 4, 5), ()),
                (X(2, 3, 4, 5), (1,)),
                (X(3), (1, 1, 1, 1)),
                (X(0, 3, 4, 5), (1, 1)),
                (labels(5, 2, 3), (1, 1)),
                (X(2, 3, 4, 5), (4, 4)),
                (X(2, 3, 4, 5), (5, 6, 4, 4)),
            ]
        ],
        {"mode": ["constant", "reflect", "replicate", "circular", "other"], "value": [None, 0.5, 2]},
    ),
    Entry(
        "unfold",
        [
            {"input": X(2, 3, 6, 7), "kernel_size": (2, 3)},
            {"input": X(2, 3, 6, 7, lie="channels_last"), "kernel_size": 2},
            {"input": X(3, 6, 7), "kernel_size": 2},
            {"input": X(0, 3, 6, 7), "kernel_size": 2},
            {"input": X(1, 1, 2, 2), "kernel_size": 3},
            {"input": X(2, 3, 6), "kernel_size": (2, 2)},
        ],
        {"dilation": [1, 2, (1, 2)], "padding": [0, 1, (2, 1)], "stride": [1, 2, (3, 1)]},
    ),
    Entry(
        "fold",
        [
            {"input": X(2, 12, 20), "output_size": (5, 6), "kernel_size": 2},
            {"input": X(2, 12, 20, lie="transposed"), "output_size": (5, 6), "kernel_size": (2, 2)},
            {"input": X(12, 20), "output_size": (5, 6), "kernel_size": 2},
            {"input": X(2, 12, 16), "output_size": 5, "kernel_size": 2},
            {"input": X(2, 11, 16), "output_size": 5, "kernel_size": 2},
            {"input": X(0, 12, 16), "output_size": 5, "kernel_size": 2},
        ],
        {"dilation": [1, (1, 1)], "padding": [0, 1], "stride": [1, 2]},
        alone=[
            {
                "input": X(2, 12, n),
                "output_size": (6, 7),
                "kernel_size": (2, 3),
                "dilation": d,
                "padding": p,
                "stride": s,
            }
            for n, d, p, s in ((25, 1, 0, 1), (12, (2, 1), (1, 0), (2, 1)), (9, 1, 1, (3, 3)), (10, 2, (1, 2), 2))
        ]
        + [{"input": X(2, 12, 20), "output_size": (5, 6), "kernel_size": 2, "dilation": 1, "padding": 0, "stride": 1}],
    ),
]
