"""Products of matrices."""

from __future__ import annotations

from arguments.case import Entry, X, flags, labels

_LIE = ["plain", "transposed", "strided"]


def _pair(a: object, b: object, second: str) -> dict[str, object]:
    return {"input": a, second: b}


TABLE = [
    Entry(
        "matmul",
        [
            _pair(X(*a), X(*b), "other")
            for a in ((3,), (2, 3), (4, 2, 3), (5, 1, 2, 3), (), (0, 3))
            for b in ((3,), (3, 2), (4, 3, 2), (1, 4, 3, 5), (), (3, 0), (2, 2))
        ]
        + [_pair(X(2, 3, lie=a), X(3, 4, lie=b), "other") for a in _LIE for b in _LIE]
        + [
            _pair(labels(5, 2, 3), labels(5, 3, 2), "other"),
            _pair(X(2, 2), X(2, 2, dtype="float32"), "other"),
            _pair(X(2, 2), labels(4, 2, 2), "other"),
            _pair(flags(2, 2), flags(2, 2), "other"),
        ],
        also=("__matmul__", "__rmatmul__"),
    ),
    Entry(
        "mm",
        [_pair(X(2, 3, lie=a), X(3, 4, lie=b), "mat2") for a in _LIE for b in _LIE]
        + [
            _pair(X(*a), X(*b), "mat2")
            for a, b in (((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (2, 3)), ((3,), (3, 2)), ((2, 2, 3), (3, 2)))
        ]
        + [_pair(X(2, 2), X(2, 2, dtype="float32"), "mat2"), _pair(labels(4, 2, 2), labels(4, 2, 2), "mat2")],
        {"out_dtype": []},
    ),
    Entry(
        "bmm",
        [_pair(X(2, 3, 4, lie=a), X(2, 4, 3, lie=b), "mat2") for a in _LIE for b in _LIE]
        + [
            _pair(X(*a), X(*b), "mat2")
            for a, b in (((0, 2, 3), (0, 3, 2)), ((2, 2, 0), (2, 0, 3)), ((2, 3, 4), (1, 4, 3)), ((3, 4), (4, 3)))
        ],
    ),
    Entry(
        "dot",
        [
            _pair(a, b, "tensor")
            for a, b in (
                (X(3), X(3)),
                (X(0), X(0)),
                (X(3, lie="strided"), X(3)),
                (X(2), X(3)),
                (X(2, 2), X(2, 2)),
                (X(), X()),
                (labels(5, 3), labels(5, 3)),
                (X(2), X(2, dtype="float32")),
            )
        ],
    ),
    Entry(
        "mv",
        [
            _pair(a, b, "vec")
            for a, b in (
                (X(2, 3), X(3)),
                (X(2, 3, lie="transposed"), X(3, lie="strided")),
                (X(0, 3), X(3)),
                (X(2, 0), X(0)),
                (X(2, 3), X(2)),
                (X(3), X(3)),
            )
        ],
    ),
    Entry(
        "outer",
        [
            _pair(a, b, "vec2")
            for a, b in (
                (X(2), X(3)),
                (X(2, lie="strided"), X(3)),
                (X(0), X(3)),
                (X(2, 2), X(3)),
                (X(2), labels(4, 2)),
                (X(), X(2)),
            )
        ],
    ),
]
