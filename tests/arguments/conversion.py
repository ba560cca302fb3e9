"""Other dtypes, what a tensor is, and writing in place where there is no function beside it."""

from __future__ import annotations

from arguments.case import (
    BF16,
    BOOL,
    CHANNELS_LAST,
    CONTIGUOUS,
    F32,
    F64,
    I32,
    I64,
    PRESERVE,
    U8,
    Entry,
    T,
    X,
    flags,
    given,
    labels,
    varied,
)

_KINDS = [
    X(2, 3),
    T((2, 3), "ties", "float32"),
    labels(9, 2, 3),
    flags(2, 3),
    X(),
    X(0, 2),
    X(2, 3, 4, 5, lie="channels_last"),
]
_WRITTEN = [X(2, 3), X(3, 2, lie="transposed"), X(2, 3, dtype="float32"), labels(9, 2, 3), X(), X(0, 3)]

TABLE = [
    Entry(
        "to",
        [{"input": x} for x in _KINDS],
        {
            "dtype": [F32, F64, BF16, I64, BOOL, U8, None],
            "device": ["cpu", None],
            "copy": [False, True],
            "non_blocking": [False, True],
            "memory_format": [PRESERVE, CONTIGUOUS],
        },
        alone=[{"input": x, "other": y} for x in _KINDS for y in (X(2), labels(3, 2), X(2, dtype="float32"))]
        + [{"input": X(2, 3, 4, 5), "memory_format": CHANNELS_LAST, "copy": True}],
    ),
    *(
        Entry(name, [{"input": x} for x in _KINDS], {"memory_format": [PRESERVE, CONTIGUOUS]})
        for name in ("half", "bfloat16", "float", "double", "byte", "char", "short", "int", "long", "bool")
    ),
    Entry(
        "type",
        [{"input": x} for x in _KINDS[1:]],
        {"dtype": [F64, I32], "non_blocking": [False]},
        differs={")": "either"},
    ),
    Entry("type_as", [{"input": x, "other": y} for x in _KINDS for y in _KINDS]),
    *(
        Entry(name, [{"input": x} for x in varied(X(2, 3, 4))])
        for name in (
            "is_complex",
            "is_floating_point",
            "numel",
            "nelement",
            "element_size",
            "item",
            "tolist",
            "dim",
            "cpu",
            "get_device",
            "detach",
            "retain_grad",
        )
    ),
    Entry("requires_grad_", [{"input": x} for x in varied(X(2, 3, 4))], {"requires_grad": [True, False]}),
    *(Entry(name, [{"input": x} for x in varied(X(2, 3, 4))], {"dim": [0, -1, 2, 3]}) for name in ("size", "stride")),
    Entry(
        "is_contiguous",
        [{"input": x} for x in varied(X(2, 3, 4, 5))],
        {"memory_format": [CONTIGUOUS, CHANNELS_LAST]},
        differs={"<0-d": "either", "<0x": "either"},
    ),
    Entry("is_tensor", [{"obj": X(2)}, {"obj": 1}, {"obj": [1.0]}], differs={")": "more"}),
    Entry(
        "promote_types",
        [{"type1": a, "type2": b} for a in (F64, F32, I64, I32, U8, BOOL) for b in (F64, F32, I64, I32, U8, BOOL)],
    ),
    Entry("zero_", [{"input": x} for x in _WRITTEN]),
    Entry(
        "fill_",
        [{"input": x, "value": v} for x in _WRITTEN for v in (1.5, 2, True, given(2.5), given([1.0]))],
        differs={"int64>, value=<": "more"},
    ),
    Entry(
        "copy_",
        [{"input": x, "src": s} for x in _WRITTEN for s in (X(2, 3), X(3), X(), labels(9, 3), X(4))],
        {"non_blocking": [False, True]},
    ),
    Entry(
        "uniform_",
        [{"input": x} for x in _WRITTEN],
        {"to": [2.0], "generator": [None]},
        random=True,
        alone=[{"input": X(2), "from": 0.5, "to": 1.5}, {"input": X(2), "from": 2.0, "to": 1.5}],
    ),
    Entry(
        "normal_",
        [{"input": x} for x in _WRITTEN],
        {"mean": [1.0], "std": [2.0, -1.0], "generator": [None]},
        random=True,
    ),
    Entry(
        "bernoulli_",
        [{"input": x} for x in _WRITTEN],
        {"p": [0.3, 2.0, T((2, 3), "unit", grad=False)], "generator": [None]},
        random=True,
        pairs=False,
    ),
    Entry(
        "random_",
        [{"input": x} for x in _WRITTEN],
        {"to": [3], "generator": [None]},
        alone=[{"input": X(2), "from": 1, "to": 4}, {"input": X(2), "from": 4, "to": 1}],
        random=True,
    ),
]
