"""New tensors: from data, filled, counted, random."""

from __future__ import annotations

from typing import Any

from arguments.case import BOOL, CHANNELS_LAST, CONTIGUOUS, F32, F64, I64, PRESERVE, U8, Entry, T, X, labels

_KIND: dict[str, Any] = {
    "dtype": [None, F64, F32, I64, BOOL, U8],
    "device": [None, "cpu"],
    "requires_grad": [False, True],
}
_FLOATING: dict[str, Any] = _KIND | {"dtype": [None, F64, F32]}
_DRAWN: dict[str, Any] = _FLOATING | {"generator": [None]}
_SIZES = [{"size": s} for s in ((2, 3), (), (0, 2), (4,), [2, 2], (-1,))]
_LIKE = [
    {"input": x}
    for x in (
        X(2, 3, grad=False),
        X(),
        X(0, 2),
        X(3, 2, lie="transposed"),
        X(2, 3, 4, 5, lie="channels_last"),
        X(2, 3, dtype="float32"),
    )
]
_LIE: dict[str, Any] = {"memory_format": [PRESERVE, CONTIGUOUS]}

TABLE = [
    *(Entry(name, _SIZES, _KIND, spread="size") for name in ("zeros", "ones")),
    Entry(
        "empty",
        _SIZES,
        _KIND | {"memory_format": [CONTIGUOUS]},
        [{"size": (2, 3, 4, 5), "memory_format": CHANNELS_LAST}],
        random=True,
        spread="size",
    ),
    Entry("full", [{"size": s, "fill_value": v} for s in ((2, 3), (), (0, 2), [2]) for v in (1.5, 2, True)], _KIND),
    *(Entry(name, _LIKE, _KIND | _LIE) for name in ("zeros_like", "ones_like")),
    Entry("empty_like", _LIKE, _KIND | _LIE, random=True),
    Entry(
        "full_like",
        [{"fill_value": 2, **x} for x in _LIKE],
        _KIND | _LIE | {"fill_value": [1.5, True, -3]},
        differs={"dtype=uint8": "either"},
    ),
    Entry(
        "arange",
        [
            {"end": 5},
            {"end": 2.5},
            {"start": 1, "end": 4},
            {"start": 1, "end": 4, "step": 2},
            {"start": 1.0, "end": 4, "step": 0.5},
            {"start": 5, "end": 0, "step": -2},
            {"start": 0, "end": 0},
            {"start": 0, "end": 3, "step": -1},
            {"start": 0, "end": 3, "step": 0},
        ],
        _KIND | {"dtype": [None, F64, F32, I64]},
    ),
    Entry(
        "linspace",
        [
            {"start": a, "end": b, "steps": n}
            for a, b, n in ((0, 1, 5), (0.5, -2.5, 4), (3, 3, 2), (0, 1, 1), (0, 1, 0), (0, 1, -1))
        ],
        _KIND | {"dtype": [None, F64, F32]},
    ),
    Entry("eye", [{"n": 3}, {"n": 2, "m": 4}, {"n": 0}, {"n": 3, "m": 1}, {"n": -1}], _KIND),
    *(Entry(name, _SIZES, _DRAWN, random=True, spread="size") for name in ("rand", "randn")),
    *(Entry(name, _LIKE, _DRAWN | _LIE, random=True) for name in ("rand_like", "randn_like")),
    Entry(
        "randint",
        [
            {"high": 5, "size": (2, 3)},
            {"low": 2, "high": 5, "size": (2, 3)},
            {"high": 1, "size": ()},
            {"low": 5, "high": 5, "size": (1,)},
            {"high": 0, "size": (1,)},
        ],
        _KIND | {"dtype": [None, I64, F32, U8], "generator": [None]},
        random=True,
    ),
    Entry(
        "randperm",
        [{"n": 5}, {"n": 0}, {"n": 1}, {"n": -1}],
        _KIND | {"dtype": [None, I64, F32], "generator": [None]},
        random=True,
    ),
    Entry(
        "bernoulli",
        [
            {"input": T((2, 3), "unit", grad=False)},
            {"input": T((2, 3), "unit", "float32")},
            {"input": X(2, 3), "p": 0.5},
            {"input": labels(2, 2, 3), "p": 0.0},
            {"input": X(2), "p": 1.5},
        ],
        {"generator": [None]},
        random=True,
        differs={"unit float32": "other"},
    ),  # a constant here
    Entry(
        "normal",
        [
            {"mean": 0.0, "std": 1.0, "size": (2, 3)},
            {"mean": X(2, 3), "std": T((2, 3), "positive")},
            {"mean": X(2, 3)},
            {"mean": X(2, 3), "std": 0.5},
            {"mean": 0.5, "std": T((3,), "positive")},
            {"mean": X(2), "std": T((3,), "positive")},
            {"mean": 0.0, "std": -1.0, "size": (2,)},
        ],
        {"generator": [None]},
        alone=[{"mean": 0.0, "std": 1.0, "size": (2, 3)} | {k: v} for k, values in _FLOATING.items() for v in values],
        random=True,
        differs={"mean=<2x3>": "other", "std=<": "either"},
    ),  # constants here
    *(
        Entry(
            f"new_{name}",
            [
                {"input": X(2, 3, dtype=d), "size": s, **more}
                for d in ("float64", "float32", "int64")
                for s in ((2, 3), (), [4])
            ],
            _KIND,
            random=name == "empty",
            spread="size",
        )
        for name, more in (("zeros", {}), ("ones", {}), ("empty", {}), ("full", {"fill_value": 2}))
    ),
    Entry(
        "tensor",
        [{"data": d} for d in ([1, 2], [[1.5, 2], [3, 4]], True, 3, 2.5, [], [[], []], [[1, 2], [3]], [True, 2.5])],
        _KIND,
    ),
    Entry("new_tensor", [{"input": X(2), "data": d} for d in ([1, 2], [[1.5, 2]], True, [])], _KIND),
    *(
        Entry(
            name,
            [
                {a: d}
                for d in (
                    [1, 2],
                    [[1.5, 2], [3, 4]],
                    True,
                    2.5,
                    [],
                    X(2, 3, grad=False),
                    X(2, 3, lie="transposed", grad=False),
                    labels(4, 3),
                )
            ],
            values,
        )
        for name, a, values in (
            ("as_tensor", "data", {k: _KIND[k] for k in ("dtype", "device")}),
            ("asarray", "obj", _KIND | {"copy": [None, True]}),
        )
    ),
    Entry(
        "from_dlpack",
        [{"ext_tensor": x} for x in (X(2, 3, grad=False), labels(4, 3), X(3, 2, lie="transposed", grad=False))],
        {"device": [None, "cpu"], "copy": [None, True, False]},
    ),
]
