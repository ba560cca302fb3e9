"""The micro-kernel: a small block of a matrix product, kept in registers.

All fast convolutions end in it. It adds up a block of sums, R rows of V vectors,

    c[i, :] = start[i, :] + sum over k of  a[i, k] * b[k, :],        i = 0 ... R - 1,

and does nothing else: each step reads V vectors of b and R numbers of a, multiplies every one with every other and adds
to sums that never leave the registers, so R * V multiplications take R + V reads. With R x V = 14 x 2 of the 32
registers of an AVX-512 chip the arithmetic units are the limit, not the memory (K. Goto, R. van de Geijn, "Anatomy of
High-Performance Matrix Multiplication" (2008); F. Van Zee, R. van de Geijn, "BLIS" (2015)).

b is packed: a *panel*, the vectors of one step after those of the last. a is seen in one of three ways:

* "packed"    numbers of a row, one after another, in groups of `lanes`; rows one group apart;
* "rows"      numbers of a row one after another, rows any distance apart: pixels of an image, channels last;
* "columns"   numbers of a column one after another, columns any distance apart: the same image, transposed.

k runs in two loops, since where a run of numbers ends the next one lies elsewhere: `outer` runs of `inner` numbers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ._simd import FLOAT_BYTES, Chip, Value, Writer, compiled

ARITY = 14


def tile(
    chip: Chip,
    rows: int,
    vectors: int,
    view: str,
    masked: bool = False,
    lines: int = 1,
    relu: bool = False,
    onto: bool = False,
) -> int:
    """The address of f(a, a_step, a_run, b, start, start_row, c, c_row, inner, outer, last, a_line, c_line,
    b_step).

    a_step: from one row ("rows") or column ("columns") to the next; a_run: from one run to the next; start_row, c_row:
    from row to row of start and c. All in bytes. start_row 0 starts every row with the same numbers, a bias.
    If masked, only the first `last` lanes of the last vector of c are written. The rows can be those of several
    `lines`, one a_line apart in a and c_line in c. With "columns" a step's vectors of b lie b_step
    behind the last one's, else they are packed. With `relu` the sums go through it before they are written. With `onto`
    they are added to what c holds, and start is nothing.
    """
    assert view in ("packed", "rows", "columns")
    return compiled(chip, ARITY, _tile, rows, vectors, view, masked, lines, relu, onto)


def _tile(
    write: Writer,
    a: Value,
    a_step: Value,
    a_run: Value,
    b: Value,
    start: Value,
    start_row: Value,
    c: Value,
    c_row: Value,
    inner: Value,
    outer: Value,
    last: Value,
    a_line: Value,
    c_line: Value,
    b_step: Value,
    rows: int,
    vectors: int,
    view: str,
    masked: bool,
    lines: int,
    relu: bool,
    onto: bool,
) -> None:
    builder = write.builder
    if view == "packed":
        inner = write.number(write.lanes)
    targets = [write.add(c, distance) for distance in _distances(write, rows // lines, lines, c_row, c_line)]
    starts = targets if onto else [write.add(start, write.times(start_row, i)) for i in range(rows)]
    sums = [write.load(write.add(at, v * write.bytes)) for at in starts for v in range(vectors)]
    if view == "rows":
        ahead = _distances(write, rows // lines, lines, a_step, a_line)
    else:
        ahead = [write.number(i * (write.bytes if view == "packed" else FLOAT_BYTES)) for i in range(rows)]
    before, run, step, after_run, done = (
        builder.block,
        *(builder.append_basic_block(name) for name in ("run", "step", "after_run", "done")),
    )
    builder.branch(run)

    builder.position_at_end(run)
    run_values = _Loop(builder, before, [write.number(0), a, b, *sums])
    builder.branch(step)

    builder.position_at_end(step)
    step_values = _Loop(builder, run, [write.number(0), *run_values.now[1:]])
    k, a_now, b_now, *sums = step_values.now
    columns = [write.load(write.add(b_now, v * write.bytes)) for v in range(vectors)]
    for i in range(rows):
        factor = write.broadcast(write.add(a_now, ahead[i]))
        for v in range(vectors):
            sums[i * vectors + v] = write.fma(factor, columns[v], sums[i * vectors + v])
    a_now = write.add(a_now, a_step if view == "columns" else FLOAT_BYTES)
    b_now = write.add(b_now, b_step if view == "columns" else 2 * write.bytes)
    k = write.add(k, 1)
    step_values.close(step, [k, a_now, b_now, *sums])
    builder.cbranch(builder.icmp_signed("<", k, inner), step, after_run)

    builder.position_at_end(after_run)
    i_run = write.add(run_values.now[0], 1)
    run_values.close(after_run, [i_run, write.add(run_values.now[1], a_run), b_now, *sums])
    builder.cbranch(builder.icmp_signed("<", i_run, outer), run, done)

    builder.position_at_end(done)
    mask = write.first_lanes(last) if masked else None
    for i, row in enumerate(targets):
        for v in range(vectors):
            at, total = write.add(row, v * write.bytes), sums[i * vectors + v]
            total = write.relu(total) if relu else total
            if masked and v == vectors - 1:
                write.store_masked(total, at, mask)
            else:
                write.store(total, at)


class _Loop:
    """Values that a loop carries from one turn to the next."""

    def __init__(self, builder: ir.IRBuilder, before: Any, first: list[Value]) -> None:
        self.now = [builder.phi(value.type) for value in first]
        self.close(before, first)

    def close(self, block: Any, values: list[Value]) -> None:
        """What the values are when the loop is entered from this block."""
        for phi, value in zip(self.now, values, strict=True):
            phi.add_incoming(value, block)


def _distances(write: Writer, rows: int, lines: int, step: Value, line: Value) -> list[Value]:
    """How far ahead of the first row each row is."""
    return [write.add(write.times(line, j), write.times(step, i)) for j in range(lines) for i in range(rows)]
