"""Plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
_GAP = 2
_LEAST = 12  # what a cell that gives way keeps


def format_table(rows: Sequence[Sequence[str]], align: str, shrink: int, width: int = WIDTH) -> list[str]:
    """Rows as lines of at most `width` characters, their columns in line.

    Args:
        rows: the cells.
        align: "<" or ">" for each column.
        shrink: the column that gives way if a line would be too long: its cells lose their beginning if it stands
            first, else their end.
        width: how long a line may be; it becomes longer before that column is narrower than 12.

    Example:
        >>> format_table([("layer1.0.conv1", "9,408"), ("fc", "10")], "<>", shrink=0, width=20)
        ['..er1.0.conv1  9,408', 'fc                10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    too_much = max(0, sum(widths) + _GAP * (len(widths) - 1) - width)
    widths[shrink] = max(widths[shrink] - too_much, min(widths[shrink], _LEAST))
    lines = []
    for row in rows:
        cells = list(row)
        cell, room = cells[shrink], widths[shrink]
        if len(cell) > room:
            cells[shrink] = ".." + cell[len(cell) - room + 2 :] if shrink == 0 else cell[: room - 2] + ".."
        spaced = (f"{cell:{side}{room}}" for cell, side, room in zip(cells, align, widths, strict=True))
        lines.append((" " * _GAP).join(spaced).rstrip())
    return lines
