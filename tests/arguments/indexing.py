"""Picking and writing by index, order."""

from __future__ import annotations

from arguments.case import Entry, T, X, flags, given, labels

_INDEX = given([0, 2, 2], "int64")
_PLACES = given([[0, 2, 1], [1, 1, 0]], "int64")
_APART = [
    T((3, 4), "apart"),
    T((4, 3), "apart", lie="transposed"),
    T((2, 3, 3), "apart"),
    T((), "apart"),
    T((0, 3), "apart"),
    labels(9, 3, 5),
    T((3, 5), "ties"),
    T((4, 5), "special"),
    T((6,), "apart", "float32"),
    flags(5),
]

TABLE = [
    Entry(
        "index_select",
        [
            {"input": x, "dim": d, "index": i}
            for x in (X(3, 4), X(4, 3, lie="transposed"), labels(9, 3, 3), X(3, 3, dtype="float32"))
            for d in (0, 1, -1, 2)
            for i in (
                _INDEX,
                given([1], "int32"),
                given(1, "int64"),
                given([], "int64"),
                given([5], "int64"),
                given([-1], "int64"),
                given([0.0]),
            )
        ]
        + [{"input": X(), "dim": 0, "index": given([0], "int64")}],
    ),
    Entry(
        "gather",
        [
            {"input": x, "dim": d, "index": i}
            for x in (X(3, 3), X(3, 3, lie="transposed"), X(2, 4))
            for d in (0, 1, -1, 2)
            for i in (
                _PLACES,
                given([[0], [1]], "int64"),
                given([[3, 0]], "int64"),
                given([0, 1], "int64"),
                given([[-1]], "int64"),
            )
        ]
        + [
            {"input": X(), "dim": 0, "index": given([0], "int64")},
            {"input": X(3), "dim": 0, "index": given(0, "int64")},
            {"input": X(3), "dim": 0, "index": given([], "int64")},
        ],
        {"sparse_grad": [False]},
        differs={"<0-d>, dim": "raises", "<0-d 0": "raises"},
    ),  # numbers count as one dimension in PyTorch
    Entry(
        "scatter",
        [
            {"input": x, "dim": d, "index": _PLACES, "src": s}
            for x in (X(3, 3), X(3, 4, lie="transposed"))
            for d in (0, -2)
            for s in (X(2, 3), X(3, 4, lie="strided", grad=False), X(1, 1))
        ]
        + [
            {"input": X(3, 3), "dim": 1, "index": given([[0, 2, 1], [1, 2, 0]], "int64"), "src": s}
            for s in (X(2, 3), X(2, 3, dtype="float32"))
        ],
        {"reduce": ["add"]},
        alone=[
            {"input": x, "dim": 1, "index": _PLACES, "value": v}
            for x in (X(3, 3), labels(9, 3, 3), X(3, 3, dtype="float32"))
            for v in (1.5, 2, True)
        ]
        + [
            {"input": X(3, 3), "dim": 1, "index": _PLACES, "value": 2.0, "reduce": "add"},
            {"input": X(3, 3), "dim": 1, "index": _PLACES, "value": 2.0, "reduce": "multiply"},
        ]
        + [{"input": X(3, 3), "dim": 0, "index": given([[3, 0, 0]], "int64"), "value": 1.0}],
    ),
    Entry(
        "scatter_add",
        [
            {"input": x, "dim": d, "index": i, "src": s}
            for x in (X(3, 3), X(3, 4, lie="transposed"))
            for d in (0, 1, -1, 2)
            for i, s in (
                (_PLACES, X(2, 3)),
                (_PLACES, X(3, 4, lie="strided", grad=False)),
                (_PLACES, X(1, 1)),
                (given([[0, 0]], "int64"), X(1, 2)),
            )
        ],
    ),
    Entry(
        "index_add",
        [
            {"input": X(3, 3), "dim": d, "index": i, "source": s}
            for d in (0, 1, -1, 2)
            for i in (_INDEX, given([0], "int64"), given([3, 0, 0], "int64"))
            for s in (X(3, 3), X(1, 3), X(3, 1), X(3, 3, lie="transposed"))
        ]
        + [{"input": labels(5, 3), "dim": 0, "index": _INDEX, "source": labels(5, 3)}],
        {"alpha": [1, 2, -0.5]},
        differs={"int64>, alpha=-0.5": "either"},
    ),
    Entry(
        "index_put",
        [
            {"input": x, "indices": i, "values": v}
            for x in (X(3, 4), X(3, 4, lie="transposed"))
            for i, v in [
                ((_INDEX,), X(3, 4)),
                ((given([0, 2], "int64"), given([1, 3], "int64")), X(2)),
                ((given([0, 2], "int64"),), X()),
                ((given([[0], [2]], "int64"), given([1, 3], "int64")), X(2, 2)),
                ((T((3, 4), [[True] * 4, [False] * 4, [True] * 4], "bool"),), X(8)),
                ((given([-1], "int64"),), X(4)),
                ((given([4], "int64"),), X(4)),
            ]
        ],
        {"accumulate": [True, False]},
        differs={"accumulate=False": "either", "[0, 2, 2]": "either"},
    ),
    Entry(
        "take_along_dim",
        [
            {"input": X(3, 3), "indices": i}
            for i in (
                given([[0, 1, 2]], "int64"),
                given([[0], [2], [1]], "int64"),
                given([0, 8], "int64"),
                given([9], "int64"),
            )
        ]
        + [{"input": X(2, 4, 3, lie="transposed"), "indices": given([[[1]]], "int64")}],
        differs={"transposed": "more"},
        values={"dim": [None, 0, 1, -1, 2]},
    ),
    Entry(
        "masked_fill",
        [
            {"input": x, "mask": m, "value": v}
            for x in (X(2, 3), X(2, 3, lie="transposed"), labels(9, 2, 3), X(2, 3, dtype="float32"))
            for m in (flags(2, 3), flags(3), flags(), flags(4, 2, 3))
            for v in (1.5, 2, X(), given(3, "int64"), float("-inf"))
        ]
        + [
            {"input": X(0, 3), "mask": flags(3), "value": 0},
            {"input": X(3), "mask": labels(2, 3, dtype="uint8"), "value": 0},
            {"input": X(3), "mask": flags(3), "value": X(3)},
        ],
    ),
    Entry(
        "masked_select",
        [
            {"input": x, "mask": m}
            for x in (X(2, 3), X(2, 3, lie="transposed"), X(2, 1), X())
            for m in (flags(2, 3), flags(3), flags(), labels(2, 2, 3, dtype="uint8"))
        ],
    ),
    Entry(
        "nonzero",
        [{"input": x} for x in (T((3, 4), "ties"), flags(3, 4), X(), given(0.0), X(0, 3), labels(3, 2, 2, 2))],
        {"as_tuple": [False, True]},
    ),
    Entry(
        "sort", [{"input": x} for x in _APART], {"dim": [0, 1, -1, 3], "descending": [False, True], "stable": [True]}
    ),
    Entry(
        "argsort", [{"input": x} for x in _APART], {"dim": [0, 1, -1, 3], "descending": [False, True], "stable": [True]}
    ),
    Entry(
        "topk",
        [{"input": x, "k": k} for x in _APART[:6] for k in (1, 2, 0, 9)],
        {"dim": [0, 1, -1, 3], "largest": [True, False], "sorted": [True]},
        differs={"below 9": "either"},
    ),  # which of equal ones
]
