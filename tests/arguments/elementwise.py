"""Functions of one tensor, element by element."""

from __future__ import annotations

from arguments.case import CHANNELS_LAST, CONTIGUOUS, PRESERVE, Entry, T, X, given, varied

_EDGES = [T((7, 5), "special"), T((4, 6), "ties")]


def _plain(name: str, *also: str, kind: str = "normal", **how: object) -> Entry:
    tensors = [*varied(T((2, 3, 4), kind)), *_EDGES, T((3,), dtype="float16")]
    return Entry(name, [{"input": x} for x in tensors], also=also, **how)  # type: ignore[arg-type]


TABLE = [
    *(_plain(name) for name in ("exp", "expm1", "sin", "cos", "cosh", "sinh", "tan", "erf", "square", "sign", "log1p")),
    *(_plain(name) for name in ("floor", "ceil", "trunc", "isnan", "isfinite", "isinf", "positive", "logical_not")),
    *(_plain(name, kind="positive") for name in ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal")),
    _plain("abs", "absolute", "__abs__"),
    _plain("neg", "negative", "__neg__"),
    _plain("asin", "arcsin", kind="unit"),
    _plain("acos", "arccos", kind="unit"),
    _plain("atan", "arctan"),
    _plain("bitwise_not", "__invert__"),
    Entry("round", [{"input": x} for x in [*varied(X(2, 3, 4)), *_EDGES]], {"decimals": [0, 1, 3, -1]}),
    Entry(
        "nan_to_num",
        [{"input": x} for x in [T((6, 6), "special"), *varied(X(2, 3, 4)), T((3, 3), "special", "float32")]],
        {"nan": [0.0, 2.5, None], "posinf": [None, 7.0], "neginf": [None, -7.0]},
    ),
    Entry(
        "clamp",
        [{"input": X(2, 3, 4), "min": -0.5}, *({"input": x, "max": 0.5} for x in [*varied(X(2, 3, 4)), *_EDGES])],
        {"min": [-1, 0.25, None, X(4), X(3, 1), given(0.5)], "max": [1, -0.25, None, X(4), X(2, 1, 1), given(1)]},
        also=("clip",),
        differs={"special>, m": "gradient"},  # the gradient of NaN
    ),
    *(
        Entry(name, [{"input": x} for x in [X(2, 3, 4, 5), *varied(X(2, 3, 4, 5))]], {"memory_format": formats})
        for name, formats in (
            ("clone", [CHANNELS_LAST, CONTIGUOUS, PRESERVE]),
            ("contiguous", [CHANNELS_LAST, CONTIGUOUS]),
        )
    ),
]
