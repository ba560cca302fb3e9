"""Convolutions, the linear map, pooling."""

from __future__ import annotations

from arguments.case import Entry, T, X, labels

SPACE = "functional"
_LIE = ("plain", "transposed", "strided", "channels_last")

TABLE = [
    Entry(
        "linear",
        [
            {"input": X(*s, lie=i), "weight": X(4, 3, lie=w)}
            for s in ((2, 3), (3,), (2, 5, 3), (0, 3))
            for i, w in (("plain", "plain"), ("transposed", "transposed"), ("strided", "strided"))
        ]
        + [
            {"input": X(2, 3), "weight": X(3)},
            {"input": X(2, 3), "weight": X(4, 2)},
            {"input": X(), "weight": X(3)},
            {"input": X(2, 3, dtype="float32"), "weight": X(4, 3, dtype="float32")},
            {"input": X(2, 3, dtype="float32"), "weight": X(4, 3)},
            {"input": X(2, 0), "weight": X(4, 0)},
        ],
        {"bias": [None, X(4), X(3)]},
        differs={"weight=<3>": "either"},
    ),
    Entry(
        "conv2d",
        [
            {"input": X(2, 4, 7, 6), "weight": X(4, 4, 3, 2)},
            *({"input": X(2, 4, 7, 6, lie=i), "weight": X(4, 4, 2, 3, lie=w)} for i in _LIE for w in _LIE[:2]),
            {"input": X(4, 7, 6), "weight": X(4, 4, 3, 3)},
            {"input": X(0, 4, 7, 6), "weight": X(4, 4, 3, 3)},
            {"input": X(2, 4, 7, 6, dtype="float32"), "weight": X(4, 4, 1, 1, dtype="float32")},
            {"input": X(1, 4, 2, 2), "weight": X(4, 4, 3, 3)},
            {"input": X(2, 3, 7, 6), "weight": X(4, 4, 3, 3)},
            {"input": X(2, 4, 7), "weight": X(4, 4, 3, 3)},
            {"input": X(2, 4, 7, 6), "weight": X(4, 4, 3)},
        ],
        {
            "bias": [None, X(4), X(3)],
            "stride": [1, 2, (2, 1), (4,), 0],
            "padding": [0, 1, (1, 2), (2,), "same", "valid", "other", -1],
            "dilation": [1, 2, (1, 2), (2,), 0],
            "groups": [1, 3],
        },
        differs={"<0x4x7x6>": "either"},
        alone=[
            {"input": X(2, 4, 7, 6), "weight": X(6, 4 // g, 3, 3), "groups": g, "stride": s, "padding": p, "bias": b}
            for g in (1, 2, 4)
            for s in (1, 2)
            for p in (0, 1)
            for b in (None, X(6))
        ]
        + [
            {"input": X(2, 4, 7, 6), "weight": X(8, 1, 2, 3), "groups": 4, "padding": "same", "dilation": d}
            for d in (1, (2, 1))
        ],
    ),
    Entry(
        "conv_transpose2d",
        [
            {"input": X(2, 4, 4, 3), "weight": X(4, 3, 3, 2)},
            *({"input": X(2, 4, 4, 3, lie=i), "weight": X(4, 3, 2, 3, lie=w)} for i in _LIE for w in _LIE[:2]),
            {"input": X(4, 4, 3), "weight": X(4, 3, 3, 3)},
            {"input": X(0, 4, 4, 3), "weight": X(4, 3, 3, 3)},
            {"input": X(2, 3, 4, 3), "weight": X(4, 3, 3, 3)},
        ],
        {
            "bias": [None, X(3), X(4)],
            "stride": [1, 2, (2, 3), (2,), 0],
            "padding": [0, 1, (1, 0), (1,), -1, "same"],
            "output_padding": [0, 1, (0, 1), 5, -1],
            "groups": [1, 3],
            "dilation": [1, 2, (1, 2)],
        },
        differs={"<0x4x4x3>": "either"},
        alone=[
            {
                "input": X(2, 4, 4, 3),
                "weight": X(4, 3, 3, 2),
                "groups": g,
                "stride": s,
                "padding": 1,
                "output_padding": o,
                "bias": X(3 * g),
            }
            for g in (1, 2, 4)
            for s, o in ((1, 0), (2, 1), ((2, 3), (0, 2)))
        ],
    ),
    Entry(
        "max_pool2d",
        [
            {"input": x, "kernel_size": k}
            for x in (
                X(2, 3, 7, 6),
                X(2, 3, 7, 6, lie="channels_last"),
                X(3, 7, 6),
                X(2, 3, 7, 6, lie="transposed"),
                T((2, 2, 6, 6), "ties"),
                X(0, 3, 7, 6),
                X(2, 3, 1, 1),
                T((1, 2, 6, 6), "special"),
                X(2, 3, 7, 6, dtype="float32"),
                X(7, 6),
            )
            for k in (2, (3, 2))
        ],
        {
            "stride": [None, 1, 2, (2, 3), 0],
            "padding": [0, 1, (1, 0), (1, 1), 2, -1],
            "dilation": [1, 2, (1, 2), 0],
            "ceil_mode": [False, True],
            "return_indices": [False, True],
        },
        differs={"<0x3x7x6>": "either", "special": "either"},
    ),  # which of several NaN
    Entry(
        "avg_pool2d",
        [
            {"input": x, "kernel_size": k}
            for x in (
                X(2, 3, 7, 6),
                X(2, 3, 7, 6, lie="channels_last"),
                X(3, 7, 6),
                X(2, 3, 7, 6, lie="transposed"),
                X(0, 3, 7, 6),
                X(2, 3, 1, 1),
                X(2, 3, 7, 6, dtype="float32"),
                X(7, 6),
            )
            for k in (2, (3, 2))
        ],
        {
            "stride": [None, 1, 2, (2, 3), 0],
            "padding": [0, 1, (1, 0), 2, -1],
            "ceil_mode": [False, True],
            "count_include_pad": [True, False],
            "divisor_override": [None, 1, 5, -2, 0],
        },
    ),
    *(
        Entry(
            name,
            [
                {"input": x, "output_size": s}
                for x in (
                    X(2, 3, 7, 6),
                    X(2, 3, 7, 6, lie="channels_last"),
                    X(3, 7, 6),
                    X(2, 3, 7, 6, lie="transposed"),
                    X(0, 3, 7, 6),
                    T((2, 2, 5, 5), "ties"),
                    X(7, 6),
                )
                for s in (1, 3, (2, 3), (None, 2), (3, None), None, (8, 9), 0, -1, (2,))
            ],
            values,
            differs={"size=None": "more", "<7x6>": "either"},
        )
        for name, values in (("adaptive_avg_pool2d", {}), ("adaptive_max_pool2d", {"return_indices": [False, True]}))
    ),
    Entry(
        "max_unpool2d",
        [
            {
                "input": X(2, 3, 2, 2),
                "indices": T((2, 3, 2, 2), [[[[0, 3], [9, 14]]] * 3] * 2, "int64"),
                "kernel_size": k,
            }
            for k in (2, (2, 2))
        ]
        + [
            {"input": X(3, 2, 2), "indices": T((3, 2, 2), [[[0, 3], [9, 14]]] * 3, "int64"), "kernel_size": 2},
            {
                "input": X(2, 3, 2, 2, lie="channels_last"),
                "indices": T((2, 3, 2, 2), [[[[1, 2], [8, 15]]] * 3] * 2, "int64"),
                "kernel_size": 2,
            },
            {"input": X(2, 3, 2, 2), "indices": labels(9, 1, 3, 2, 2), "kernel_size": 2},
        ],
        {
            "stride": [None, 2, (2, 3), 3],
            "padding": [0, (0, 0)],
            "output_size": [None, (5, 5), (4, 5), (9, 9), (2, 3, 5, 5)],
        },
    ),
]
