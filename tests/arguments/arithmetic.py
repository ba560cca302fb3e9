"""Functions of two tensors, or of a tensor and a number."""

from __future__ import annotations

from typing import Any

from arguments.case import Arguments, Entry, T, X, flags, given, labels

_SHAPES = [
    (X(2, 3, 4), X(2, 3, 4)),
    (X(2, 3, 4), X(4)),
    (X(2, 1, 4), X(3, 1)),
    (X(3, 4, lie="transposed"), X(3, 4, lie="strided")),
    (X(), X(2, 3)),
    (X(2, 3), X()),
    (X(0, 3), X(1, 3)),
    (X(2, 3), X(4)),
    (T((4, 6), "ties"), T((4, 6), "ties")),
]
_KINDS = ["float64", "float32", "int64", "uint8", "bool"]
_DTYPES = [(T((3,), "positive", a), T((3,), "positive", b)) for a in _KINDS for b in _KINDS]
_RANKS = [(T((3,), "positive", a), T((), "positive", b)) for a in _KINDS for b in _KINDS]
_NUMBERS = [(T((3,), "positive", a), n) for a in _KINDS for n in (2, 2.5, True, -3)]


def _pairs(pairs: list[Any], second: str = "other") -> list[Arguments]:
    return [{"input": a, second: b} for a, b in pairs]


_ALL = _pairs([*_SHAPES, *_DTYPES, *_RANKS, *_NUMBERS])
_TENSORS = _pairs([*_SHAPES, *_DTYPES, *_RANKS])
_SPECIAL = _pairs([(T((5, 7), "special"), T((5, 7), "special"))])
_WHOLE = _pairs(
    [
        (labels(9, 2, 3), labels(9, 2, 3)),
        (flags(3), flags(3)),
        (labels(9, 3), flags(3)),
        (labels(9, 3, dtype="uint8"), labels(9, 3, dtype="int32")),
        (labels(9, 3), 5),
        (flags(3), True),
        (X(3), labels(9, 3)),
    ]
)
_DIVIDED = [
    *_pairs(
        [(X(2, 3, 4), T((2, 3, 4), "positive")), (given([7, -7, 8, -8, 0], "int64"), given([2, 2, -3, -3, 5], "int64"))]
    ),
    *_pairs(
        [(given([7.5, -7.5, 8.0, -8.0]), given([2.0, 2.0, -2.5, -2.5])), (X(3), 2), (labels(9, 4), 2), (X(3), -2.5)]
    ),
    *_pairs([(T((3,), "positive", a), T((3,), "positive", b)) for a in _KINDS[:4] for b in _KINDS[:4]]),
]

TABLE = [
    Entry("add", _ALL, {"alpha": [1, 2, -0.5]}, also=("__add__", "__radd__", "__iadd__")),
    Entry("sub", _ALL, {"alpha": [1, 2, -0.5]}, also=("subtract", "__sub__", "__rsub__", "__isub__")),
    Entry("mul", [*_ALL, *_SPECIAL], also=("multiply", "__mul__", "__rmul__", "__imul__")),
    Entry("div", [*_DIVIDED, *_ALL], {"rounding_mode": [None, "floor", "trunc", "up"]}, also=("divide",)),
    Entry("__truediv__", _ALL, also=("true_divide", "__itruediv__")),
    Entry("__rtruediv__", _pairs([(T((3, 2), "positive"), b) for b in (X(3, 2), X(2), 2, 2.5)])),
    Entry(
        "pow",
        [
            *_pairs([(T((2, 3, 4), "positive"), X(2, 3, 4)), (T((), "positive"), X(2, 3))], "exponent"),
            *_pairs([*_DTYPES, *_NUMBERS, (X(3, 4), 2), (X(3, 4), 3.0), (T((3, 4), "ties"), 2)], "exponent"),
            *_pairs([(X(3, 4), 0), (T((5, 5), "positive"), 0.5), (T((5, 5), "positive"), -1.5)], "exponent"),
            {"input": 2.0, "exponent": X(2, 3)},
            {"input": 2, "exponent": labels(5, 4)},
        ],
        differs={"bool>)": "more", "input=2": "more"},
    ),
    Entry("__pow__", _pairs([(X(3, 4), 2), (T((3,), "positive"), 2.5), (T((3,), "positive"), X(2, 3))], "exponent")),
    Entry("__rpow__", _pairs([(X(3, 4), 2), (X(3), 2.5)], "exponent")),
    Entry("floor_divide", _DIVIDED, also=("__floordiv__",)),
    Entry("remainder", _DIVIDED, also=("__mod__",)),
    *(Entry(name, [*_TENSORS, *_SPECIAL]) for name in ("maximum", "minimum")),
    # PyTorch's gradient squares the bytes as bytes
    Entry(
        "atan2", [*_pairs(_SHAPES[:-1]), *_pairs([*_DTYPES, *_RANKS])], also=("arctan2",), differs={"uint8": "either"}
    ),
    *(
        Entry(name, [*_ALL, *_SPECIAL], also=also)
        for name, also in (
            ("eq", ("__eq__",)),
            ("ne", ("not_equal", "__ne__")),
            ("lt", ("less", "__lt__")),
            ("le", ("less_equal", "__le__")),
            ("gt", ("greater", "__gt__")),
            ("ge", ("greater_equal", "__ge__")),
        )
    ),
    *(Entry(name, [*_TENSORS, *_SPECIAL]) for name in ("logical_and", "logical_or", "logical_xor")),
    Entry("bitwise_and", _WHOLE, also=("__and__", "__rand__", "__iand__")),
    Entry("bitwise_or", _WHOLE, also=("__or__", "__ror__", "__ior__")),
    Entry("bitwise_xor", _WHOLE, also=("__xor__", "__rxor__", "__ixor__")),
    *(
        Entry(
            name,
            _pairs(
                [
                    _SHAPES[0],
                    _SHAPES[1],
                    (T((5, 7), "special"), T((5, 7), "special")),
                    (T((3, 3), "ties"), T((3, 3), "ties")),
                ]
            ),
            {"rtol": [1e-5, 0.5], "atol": [1e-8, 0.7], "equal_nan": [False, True]},
        )
        for name in ("isclose", "allclose")
    ),
    Entry("equal", _pairs([*_SHAPES[:4], (given([1.0, 2.0]), given([1.0, 2.0])), (given([1]), given([1.0]))])),
    Entry(
        "lerp",
        [{"input": X(2, 3), "end": X(2, 3), "weight": w} for w in (0.3, 0, 1, X(2, 3), X(3), X())]
        + [{"input": X(2, 1), "end": X(3), "weight": 0.7}, {"input": X(0, 3), "end": X(3), "weight": X(3)}]
        + [
            {"input": X(3, dtype="float32"), "end": X(3), "weight": 0.5},
            {"input": labels(9, 3), "end": labels(9, 3), "weight": 0.5},
        ],
        differs={"3 float32>, end": "answers"},
    ),
    Entry(
        "where",
        [
            {"condition": flags(2, 3), "input": a, "other": b}
            for a, b in [
                (X(2, 3), X(2, 3)),
                (X(3), X(2, 1)),
                (X(), X(4, 2, 3)),
                (X(2, 3), 1.5),
                (2, X(2, 3)),
                (1, 2),
                (1.5, 2),
                (X(2, 3, lie="transposed"), X(2, 3, lie="strided")),
            ]
        ]
        + [{"condition": flags(3), "input": a, "other": b} for a, b in [*_DTYPES, *_NUMBERS]]
        + [
            {"condition": flags(0, 3), "input": X(3), "other": X(3)},
            {"condition": flags(), "input": X(3), "other": 0},
            {"condition": flags(2, 3)},
        ]
        + [{"condition": labels(2, 3, dtype="uint8"), "input": X(3), "other": X(3)}],
        method=False,
        differs={"below 2 uint8": "raises"},
    ),  # bytes are no mask
    Entry(
        "result_type",
        [{"tensor": a, "other": b} for a, b in [*_DTYPES, *_RANKS, *_NUMBERS, *((1, b) for _, b in _RANKS[:5])]],
        method=False,
    ),
]
