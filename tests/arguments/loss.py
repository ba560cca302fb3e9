"""Losses."""

from __future__ import annotations

from typing import Any

from arguments.case import Arguments, Entry, T, X, given, labels

SPACE = "functional"
_HOW: dict[str, Any] = {"reduction": ["mean", "sum", "none", "other"]}
_OLD: dict[str, Any] = {"size_average": [None, True, False], "reduce": [None, True, False]}


def _pairs(kind: str = "normal", target: str = "normal") -> list[Arguments]:
    def x(*shape: int, **how: Any) -> T:
        return T(shape, kind, **how)

    def t(*shape: int, **how: Any) -> T:
        return T(shape, target, **how)

    return [
        {"input": a, "target": b}
        for a, b in (
            (x(2, 3), t(2, 3)),
            (x(2, 3, lie="transposed"), t(2, 3, lie="strided")),
            (x(), t()),
            (x(0, 3), t(0, 3)),
            (x(2, 3), t(2, 3, grad=False)),
            (x(2, 3, 4, 5, lie="channels_last"), t(2, 3, 4, 5)),
            (x(2, 3, dtype="float32"), t(2, 3, dtype="float32")),
            (x(2, 3, dtype="float32"), t(2, 3)),
            (x(3), t(3, dtype="int64")),
        )
    ]


_CLASSES = [
    {"input": x, "target": t}
    for x, t in (
        (X(4, 3), given([0, 2, 1, 2], "int64")),
        (X(4, 3, lie="transposed"), given([0, -100, 1, 2], "int64")),
        (X(3), given(1, "int64")),
        (X(2, 3, 4), labels(3, 2, 4)),
        (X(2, 3, 2, 2, lie="channels_last"), labels(3, 2, 2, 2)),
        (X(0, 3), labels(3, 0)),
        (X(4, 3), given([1, 1, 1, 1], "int64")),
        (X(2, 3), given([-100, -100], "int64")),
        (X(4, 3, dtype="float32"), labels(3, 4)),
        (X(4, 3), given([0, 3, 1, 1], "int64")),
        (X(4, 3), given([0, -1, 1, 1], "int64")),
        (X(4, 3), labels(3, 5)),
        (X(4, 3), labels(2, 4, dtype="uint8")),
        (X(4, 3), labels(2, 4, dtype="int32")),
    )
]
_WEIGHTS: dict[str, Any] = {
    "weight": [None, T((3,), "positive", grad=False), given([0.0, 1.0, 2.0], grad=False), X(2, grad=False)],
    "ignore_index": [-100, 1, 2],
}
_SOFT = [{"input": X(*s), "target": T(s, "unit")} for s in ((4, 3), (2, 3, 4), (3,), (0, 3))]
# What PyTorch refuses for another reason than the label smoothing.
_REFUSED = (
    "weight=<2>",
    "reduction='other'",
    "[0, 3, 1, 1] int64>",
    "[0, -1, 1, 1] int64>",
    "<5 below 3 int64>",
    "int32>",
)
# Class numbers may have any whole dtype here.
_DIFFERS = {f"{part}, label_smoothing=-0.1": "same" for part in _REFUSED} | {
    "label_smoothing=-0.1": "raises",
    "uint8": "more",
    "int32": "more",
    "channels_last": "more",
}
_BY_NAME = ("size_average", "reduce", "reduction", "ignore_index")
_MIXED = {"[0.0, 1.0, 0.0": "gradient", "float32": "either", "<0-d": "more"}

TABLE = [
    Entry(
        "nll_loss",
        _CLASSES,
        _WEIGHTS | _HOW | _OLD,
        alone=[  # a weight of 0 hides no infinite loss; what is ignored does not count, whatever it is
            {
                "input": given([[-float("inf"), 1.0, 2.0], [0.5, 1.0, 2.0]]),
                "target": given([t, 0], "int64"),
                "weight": given([0.0, 1.0, 2.0], grad=False),
            }
            for t in (0, -100)
        ],
        differs=_DIFFERS,
        by_name=_BY_NAME,
    ),
    Entry(
        "cross_entropy",
        _CLASSES,
        _WEIGHTS | _HOW | {"label_smoothing": [0.0, 0.1, 1.0, 1.5, -0.1]} | _OLD,
        alone=[
            b | {"reduction": r, "label_smoothing": e, "weight": w}
            for b in _SOFT
            for r in _HOW["reduction"][:3]
            for e in (0.0, 0.2)
            for w in (None, T((3,), "positive", grad=False))
        ],
        differs=_DIFFERS,
        by_name=_BY_NAME,
    ),
    *(
        Entry(
            name,
            [*_pairs(), {"input": T((5, 5), "ties"), "target": T((5, 5), "ties")}],
            _HOW | {"weight": [None, T((2, 3), "positive"), X(3)]} | _OLD,
            by_name=_BY_NAME,
        )
        for name in ("mse_loss", "l1_loss")
    ),
    Entry(
        "smooth_l1_loss",
        [*_pairs(), {"input": T((5, 5), "ties"), "target": T((5, 5), "ties")}],
        _HOW | {"beta": [1.0, 0.5, 0, -1.0]} | _OLD,
        by_name=_BY_NAME,
    ),
    Entry(
        "binary_cross_entropy",
        [
            *_pairs("unit", "unit"),
            {"input": given([0.0, 1.0, 0.0, 1.0]), "target": given([0.0, 1.0, 1.0, 0.0])},
            {"input": given([1.5]), "target": given([1.0])},
        ],
        _HOW | {"weight": [None, T((2, 3), "positive", grad=False), T((3,), "positive", grad=False)]} | _OLD,
        differs=_MIXED,
        by_name=_BY_NAME,
    ),
    Entry(
        "binary_cross_entropy_with_logits",
        [*_pairs("normal", "unit"), {"input": given([50.0, -50.0, 800.0]), "target": given([0.0, 1.0, 0.5])}],
        _HOW
        | {
            "weight": [None, T((2, 3), "positive", grad=False), T((3,), "positive", grad=False)],
            "pos_weight": [None, T((3,), "positive", grad=False)],
        }
        | _OLD,
        differs=_MIXED,
        by_name=_BY_NAME,
    ),
]
