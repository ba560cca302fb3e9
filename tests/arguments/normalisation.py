"""Normalisations."""

from __future__ import annotations

from arguments.case import Entry, T, X

SPACE = "functional"
_MEAN, _VAR = X(3, grad=False), T((3,), "positive", grad=False)
_INPUTS = [
    X(4, 3, 2, 5),
    X(4, 3, 2, 5, lie="channels_last"),
    X(4, 3),
    X(4, 3, 5),
    X(4, 3, 2, 5, lie="transposed"),
    X(2, 3, 2, 2, dtype="float32"),
    X(3),
    X(0, 3, 2, 2),
    X(1, 3),
    X(1, 3, 1, 1),
    X(2, 3, 2, 2, 2),
]

TABLE = [
    Entry(
        "batch_norm",
        [{"input": x, "running_mean": _MEAN, "running_var": _VAR} for x in _INPUTS[:2]]
        + [{"input": x, "running_mean": None, "running_var": None, "training": True} for x in _INPUTS]
        + [
            {"input": X(4, 3), "running_mean": None, "running_var": None},
            {"input": X(4, 3), "running_mean": X(2, grad=False), "running_var": T((2,), "positive", grad=False)},
        ],
        {
            "weight": [None, X(3), X(2)],
            "bias": [None, X(3)],
            "training": [False, True],
            "momentum": [0.1, 0.5, 0, 1.0],
            "eps": [1e-5, 0.1, 0.0, -1.0],
        },
        # nothing is checked in PyTorch where the batch is empty
        differs={"eps=0.0": "more", "float32": "either"}
        | {
            f"<0x3x2x2>, running_mean=None, running_var=None, training={how}": "raises"
            for how in ("True, weight=<2>", "False")
        },
    ),
    Entry(
        "instance_norm",
        [{"input": x} for x in _INPUTS[:2]]
        + [{"input": x} for x in (X(3, 2, 5), X(4, 3, 5), X(4, 3, 1, 1), X(0, 3, 2, 2), X(4, 3))]
        + [{"input": X(4, 3, 2, 5), "running_mean": _MEAN, "running_var": _VAR}],
        {
            "running_mean": [None],
            "running_var": [None],
            "weight": [None, X(3)],
            "bias": [None, X(3)],
            "use_input_stats": [True, False],
            "momentum": [0.1, 0.5],
            "eps": [1e-5, 0.1],
        },
        differs={"<0x3x2x2>": "more"},
        alone=[
            {"input": X(4, 3, 2, 5), "running_mean": _MEAN, "running_var": _VAR, "use_input_stats": u, "momentum": m}
            for u in (True, False)
            for m in (0.1, 0.6)
        ],
    ),
    Entry(
        "layer_norm",
        [
            {"input": x, "normalized_shape": s}
            for x, s in (
                (X(4, 3, 2, 5), (2, 5)),
                (X(4, 3, 2, 5), (5,)),
                (X(4, 3, 2, 5), [3, 2, 5]),
                (X(4, 3, 2, 5, lie="channels_last"), (2, 5)),
                (X(4, 5, lie="transposed"), (5,)),
                (X(0, 2, 5), (2, 5)),
                (X(4, 5), (4,)),
                (X(5), (5,)),
                (X(4, 2, 5, dtype="float32"), (2, 5)),
                (X(4, 5), ()),
            )
        ],
        {"weight": [None, X(2, 5)], "bias": [None, X(2, 5)], "eps": [1e-5, 0.1, 0.0]},
    ),
    Entry(
        "group_norm",
        [
            {"input": x, "num_groups": g}
            for x in (
                X(4, 6, 2, 5),
                X(4, 6, 2, 5, lie="channels_last"),
                X(4, 6),
                X(4, 6, 3, lie="transposed"),
                X(0, 6, 2, 2),
                X(
                    6,
                ),
            )
            for g in (2, 1, 6, 3, 4, 0)
        ],
        {"weight": [None, X(6), X(3)], "bias": [None, X(6)], "eps": [1e-5, 0.1]},
    ),
    Entry(
        "local_response_norm",
        [
            {"input": x, "size": n}
            for x in (X(2, 5, 3, 4), X(2, 5, 3, 4, lie="channels_last"), X(2, 5, 3), X(0, 5, 2, 2), X(5, 4))
            for n in (2, 3, 1, 5, 7, 0)
        ],
        {"alpha": [1e-4, 0.5], "beta": [0.75, 1.0, 0.5], "k": [1.0, 2.0]},
        differs={"<0x5x2x2>, size=0": "raises"},
    ),
    *(
        Entry(
            name,
            [
                {"input": x}
                for x in (X(2, 3, 4, 5), X(3, 4, 5), X(2, 3), X(2, 3, 4, 5, lie="channels_last"), X(0, 3, 2, 2))
            ],
            {"p": [0.5, 0.0, 1.0, -0.1, 1.5], "training": [True, False], "inplace": [False]},
            random=True,
            differs=how,
        )
        for name, how in (("dropout", {}), ("dropout2d", {"<2x3>": "either"}))
    ),
]
