"""Other shapes, other orders, parts and wholes."""

from __future__ import annotations

from arguments.case import Entry, T, X, given, labels, varied

_CUBE = varied(X(2, 3, 4))
_MATRIX = [
    X(3, 4),
    X(4, 3, lie="transposed"),
    X(2, 3, 3),
    X(0, 3),
    X(3),
    X(),
    labels(9, 3, 3),
    T((2, 2), "flags", "bool"),
]


def _each(**more: object) -> list[dict[str, object]]:
    return [{"input": x, **more} for x in _CUBE]


TABLE = [
    *(
        Entry(
            name,
            [
                {"input": x, argument: s}
                for x in (X(2, 3, 4), X(4, 3, 2, lie="transposed"), X(2, 6, 2, lie="strided"))
                for s in [(6, 4), (-1,), (4, -1), (2, 1, 12), (2, 3, 4), (3, -1, 2), (5, 5), (-1, -1), (), 24]
            ]
            + [
                {"input": x, argument: s} for x in (X(), X(0, 3), X(1)) for s in [(1,), (), (-1,), (0,), (0, 5), (3, 0)]
            ],
            spread=argument,
            differs={"=24)": "more"},
        )
        for name, argument in (("reshape", "shape"), ("view", "size"))
    ),
    *(
        Entry(
            name,
            [
                {"input": x, "other": X(4, 6)}
                for x in (X(2, 3, 4), X(4, 6, lie="transposed"), X(5), X(3, 8, lie="transposed"))
            ],
        )
        for name in ("reshape_as", "view_as")
    ),
    Entry("flatten", _each(), {"start_dim": [0, 1, -2, -1, 3], "end_dim": [0, 1, -1, -2, -4]}),
    Entry("ravel", _each()),
    Entry(
        "unflatten",
        [
            {"input": X(2, 12), "dim": d, "sizes": s}
            for d in (0, 1, -1, 2)
            for s in ((3, 4), (-1, 3), (2, 1), (12,), (), (-1, -1), (5, 2))
        ]
        + [
            {"input": X(12, 2, lie="transposed"), "dim": 0, "sizes": (4, 3)},
            {"input": X(0, 3), "dim": 0, "sizes": (0, 2)},
        ],
    ),
    Entry(
        "squeeze",
        [{"input": x} for x in (X(2, 1, 3, 1), X(1, 1), X(), X(0, 1), X(1, 3, 1, lie="transposed"))],
        {"dim": [0, 1, -1, (1, 3), (0, -1), 4, ()]},
        differs={"<0-d>, dim=(0, -1)": "more"},
    ),
    Entry("unsqueeze", _each(dim=0), {"dim": [1, 2, 3, -1, -4, -5, 4]}),
    Entry(
        "permute",
        [
            {"input": X(2, 3, 4), "dims": d}
            for d in ((2, 0, 1), (0, 1, 2), (-1, 0, 1), (0, 0, 1), (0, 1), (0, 1, 3), [1, 2, 0])
        ]
        + [
            {"input": X(), "dims": ()},
            {"input": X(0, 2), "dims": (1, 0)},
            {"input": X(3, 2, lie="transposed"), "dims": (1, 0)},
        ],
        spread="dims",
    ),
    *(
        Entry(name, _each(**{a: 0, b: 1}), {a: [0, -1, 2, 3], b: [0, 1, -2, -4]})
        for name, a, b in (("transpose", "dim0", "dim1"), ("swapdims", "dim0", "dim1"), ("swapaxes", "axis0", "axis1"))
    ),
    Entry("t", [{"input": x} for x in _MATRIX]),
    *(
        Entry(
            name,
            _each(source=0, destination=1),
            {"source": [0, -1, 2, 3], "destination": [0, 1, -1, -4]},
            alone=[
                {"input": X(2, 3, 4), "source": s, "destination": d}
                for s, d in (((0, 1), (1, 2)), ((0, 2), (-1, 0)), ([0, 1], [2, 0]), ((0, 0), (1, 2)), ((0,), (1, 2)))
            ],
        )
        for name in ("movedim", "moveaxis")
    ),
    Entry(
        "expand",
        [
            {"input": x, "size": s}
            for x in (X(2, 1, 3), X(3), X(1), X(), X(0, 1), X(3, 1, lie="transposed"))
            for s in ((2, 4, 3), (-1, 4, -1), (2, -1, 3), (5,), (0, 3), (), (-1, 3), (3, 2))
        ],
        spread="size",
    ),
    Entry(
        "expand_as",
        [{"input": X(2, 1), "other": X(3, 2, 4)}, {"input": X(), "other": X(2)}, {"input": X(3), "other": X(2)}],
    ),
    Entry(
        "flip",
        [{"input": x, "dims": d} for x in _CUBE for d in ((0,), (1, 2), (-1, 0), (0, 0), (3,), (), [0, 2])],
        spread="dims",
    ),
    Entry(
        "roll",
        _each(shifts=1),
        {"shifts": [1, -2, 7, 0], "dims": [0, -1, 2, 3]},
        alone=[
            {"input": X(2, 3, 4), "shifts": s, "dims": d}
            for s, d in (((1, 2), (0, 1)), ((1, -1), (-1, 0)), ((1, 1), (0, 0)), ((1,), (0, 1)), ((1, 2), (0,)))
        ]
        + [{"input": X(3), "shifts": (1,), "dims": (0,)}],
        differs={"<0x3x4>, shifts=1, dims=3": "raises"},
    ),
    Entry(
        "repeat",
        [
            {"input": x, "repeats": r}
            for x in (X(2, 3), X(), X(0, 2), X(2, 2, lie="transposed"), labels(5, 2))
            for r in ((2, 3), (1, 2, 2), (2,), (0, 1), (-1, 2), ())
        ],
        spread="repeats",
    ),
    Entry(
        "tile",
        [
            {"input": x, "dims": r}
            for x in (X(2, 3), X(), X(0, 2), X(2, 2, lie="transposed"), labels(5, 2))
            for r in ((2, 3), (1, 2, 2), (2,), (0, 1), (-1, 2), ())
        ],
        spread="dims",
    ),
    Entry(
        "repeat_interleave",
        _each(repeats=2),
        {
            "repeats": [0, 3, given([2], "int64"), given([1, 2], "int64"), -1],
            "dim": [0, 1, -1, None, 3],
            "output_size": [4, None],
        },
        alone=[
            {"input": X(2, 3), "repeats": given([0, 2, 1], "int64"), "dim": d, "output_size": n}
            for d in (1, -1)
            for n in (3, None)
        ]
        + [{"input": X(3), "repeats": given([1, 0, 2], "int64")}],
    ),
    Entry(  # the places alone
        "repeat_interleave",
        [{"repeats": given([1, 0, 2], "int64")}],
        differs={"_interleave(repeats": "raises"},
        method=False,
    ),
    *(Entry(name, [{"input": x} for x in _MATRIX], {"diagonal": [0, 1, -1, 5, -5]}) for name in ("tril", "triu")),
    *(
        Entry(
            "cat",
            [
                {"tensors": t}
                for t in (
                    [X(2, 3), X(1, 3)],
                    (X(2, 3), X(2, 3, dtype="float32")),
                    [labels(5, 2, 2), X(2, 2)],
                    [X(2, 3, lie="transposed"), X(2, 3, lie="strided")],
                    [X(2, 3), X(0)],
                    [X(0, 3), X(2, 3)],
                    [X(2, 3), X(2, 4)],
                    [X(2, 3)],
                    [],
                    [X(), X()],
                    [labels(5, 2, dtype="uint8"), T((2,), "flags", "bool")],
                )
            ],
            {"dim": [0, 1, -1, -2, 2]},
            also=("concat", "concatenate"),
        ),
    ),
    Entry(
        "stack",
        [
            {"tensors": t}
            for t in (
                [X(2, 3), X(2, 3)],
                (X(2, 3), X(2, 3, dtype="float32")),
                [X(2, 3, lie="transposed"), X(2, 3, lie="strided")],
                [X(), X()],
                [X(2), X(3)],
                [],
                [X(0, 2), X(0, 2)],
            )
        ],
        {"dim": [0, 1, -1, 2, -3, 3]},
    ),
    Entry(
        "narrow",
        [
            {"input": X(4, 5), "dim": d, "start": s, "length": n}
            for d in (0, 1, -1, 2)
            for s in (0, 1, -2, given(1, "int64"))
            for n in (0, 2, 5, -1)
        ],
    ),
    Entry("select", _each(dim=0, index=0), {"dim": [0, 1, -1, 3], "index": [0, 1, -1, -2, 5]}),
    Entry(
        "split",
        [
            {"tensor": x, "split_size_or_sections": s}
            for x in (X(5, 4), X(4, 5, lie="transposed"), X(0, 4))
            for s in (2, 5, 7, [2, 3], (1, 4), [4], 0, -1, [2, 4], [-1, 6])
        ],
        {"dim": [0, 1, -1, 2]},
        method=False,
    ),
    Entry(
        "split",
        [{"input": X(5, 4), "split_size": s} for s in (2, 5, [2, 3], 0)],
        {"dim": [0, 1, -1, 2]},
        function=False,
    ),
    Entry(
        "chunk",
        [
            {"input": x, "chunks": n}
            for x in (X(5, 4), X(4, 5, lie="transposed"), X(0, 4), X())
            for n in (1, 2, 3, 4, 9, 0)
        ],
        {"dim": [0, 1, -1, 2]},
    ),
    Entry("unbind", _each(), {"dim": [0, 1, -1, 3]}),
    Entry(
        "meshgrid",
        [{"tensors": t} for t in ([X(2), X(3)], [X(2)], [X(), X(2)], [X(2, 2), X(2)], [X(2), labels(3, 2)])],
        {"indexing": ["ij", "xy", "yx"]},
        spread="tensors",
        names=False,
        differs={"int64>]": "more"},
    ),
]
