"""Reductions."""

from __future__ import annotations

from arguments.case import F32, F64, I64, Entry, T, X, given, varied

_INPUTS = [{"input": x} for x in [*varied(X(2, 3, 4)), T((3, 4), "ties"), T((4, 4), "special")]]
_APART = [
    {"input": x}
    for x in [T((2, 3, 4), "apart"), *varied(T((2, 3, 4), "apart")), T((3, 4), "ties"), T((4, 4), "special")]
]
_DIMS = [None, 0, 1, -1, (0, 2), (-1, 1), [0, 1], (), (0, 0), 3, -4]
_ONE = [0, 1, -1, -3, 3]
_DTYPES = [None, F32, F64, I64]
_WITHOUT = [{"input": x, "unbiased": u} for x in (X(2, 3), X(3, lie="strided"), X(1)) for u in (True, False)]

TABLE = [
    Entry("sum", _INPUTS, {"dim": _DIMS, "keepdim": [False, True], "dtype": _DTYPES}),
    Entry("mean", _INPUTS, {"dim": _DIMS, "keepdim": [False, True], "dtype": _DTYPES}),
    Entry(
        "prod",
        [*_INPUTS, {"input": given([[0.0, 2, 3], [0, 0, 4], [1, 2, 3]])}],
        {"dim": _ONE, "keepdim": [False, True], "dtype": _DTYPES},
        differs={"special": "gradient"},
    ),  # the gradient beside infinities
    *(
        Entry(name, _APART, {"dim": _DIMS[1:], "keepdim": [False, True]}, differs={"special": "gradient"})
        for name in ("amax", "amin")
    ),  # the gradient beside NaN
    *(
        Entry(
            name,
            _APART,
            {"dim": _ONE, "keepdim": [False, True]},
            alone=[
                {"input": a, "other": b}
                for a, b in ((X(2, 3), X(3)), (X(2), X(2, dtype="float32")), (T((4, 5), "ties"), T((4, 5), "ties")))
            ],
        )
        for name in ("max", "min")
    ),
    *(Entry(name, _APART, {"dim": [None, *_ONE], "keepdim": [False, True]}) for name in ("argmax", "argmin")),
    *(
        Entry(name, [*_INPUTS, {"input": T((3, 4), "flags", "bool")}], {"dim": _DIMS, "keepdim": [False, True]})
        for name in ("all", "any")
    ),
    Entry("count_nonzero", _INPUTS, {"dim": _DIMS}),
    Entry("cumsum", [{"dim": 1, **x} for x in _INPUTS], {"dim": _ONE, "dtype": _DTYPES}),
    Entry(
        "logsumexp",
        [{"dim": -1, **x} for x in _INPUTS],
        {"dim": [d for d in _DIMS[1:] if d != ()], "keepdim": [False, True]},
    ),
    *(
        Entry(
            name,
            _INPUTS[:-1],
            {"dim": _DIMS, "keepdim": [False, True], "correction": [0, 1, 2, 0.5, 30, None]},
            alone=[
                *_WITHOUT,
                *(
                    {"input": X(2, 3, 4), "dim": d, "unbiased": u, "keepdim": k}
                    for d in (0, (1, 2), None)
                    for u in (True, False)
                    for k in (True, False)
                ),
            ],
            # PyTorch's gradient is infinite for the empty tuple, and where nothing is left to divide by
            differs={"dim=()": "either", "correction=30": "either", "dim=0, correction=2": "either"},
        )
        for name in ("var", "std", "var_mean")
    ),
    Entry(
        "norm",
        _INPUTS,
        {
            "p": ["fro", 2, 1, 0, 3, 0.5, -1, float("inf"), -float("inf"), "nuc"],
            "dim": [None, 0, -1, (0, 2), (0,), (1, 2), 3],
            "keepdim": [False, True],
            "dtype": [None, F32, F64],
        },
        differs={"dtype=float": "more", "<0x3x4>, p": "more"}
        | dict.fromkeys(("p='nuc', dim=(0, 2)", "p='nuc', dim=(1, 2)", "<3x4 ties>, p='nuc'"), "raises"),
    ),
]
