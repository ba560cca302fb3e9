"""Winograd's transforms as vector code: small matrices applied to both sides of a patch, a vector of channels at once.

A convolution is a product of polynomials, and a product of polynomials is known from its values at enough points: m
outputs of t taps take m + t - 1 multiplications, one for each of m + t - 2 points and one for infinity,

    y = A^T [ (G w) * (B^T x) ],       in two dimensions    Y = A^T [ (G W G^T) * (B^T X B) ] A

(A. Toom (1963), S. Cook (1966); S. Winograd, "Arithmetic Complexity of Computations" (1980); A. Lavin, S. Gray, "Fast
Algorithms for Convolutional Neural Networks" (2016)). With N_j = product over l != j of (p_j - p_l),

    A^T[i, j] = p_j^i        G[j, k] = p_j^k / N_j        B^T[j, :] = coefficients of  product over l != j of (x - p_l)

Lavin and Gray take the points 0, 1, -1, 2, -2. The powers of 2 grow, and with them the rounding: with 0, 3/4, -3/4,
3/2, -3/2 its largest errors are a fifth (that the choice matters so much: B. Barabasz, A. Anderson, K. Soodhalter, D.
Gregg, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks" (2020)).

All of it is linear, so the gradients come from the transposed matrices:

    input   B^T X B        weights   G W G^T       output   A^T M A
    gradient of the output   A Y A^T               gradient of the weights   G^T U G

Opposite points give rows of equal numbers up to their signs: their even and odd parts are computed once, and added
and subtracted. That halves the work (`_apply`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ._simd import Chip, Value, Writer, compiled

Matrix = tuple[tuple[float, ...], ...]


class Winograd(NamedTuple):
    """F(m x m, taps x taps): outputs of a tile in one direction, and the three matrices."""

    m: int
    taps: int
    input: Matrix  # B^T
    weight: Matrix  # G
    output: Matrix  # A^T

    @property
    def size(self) -> int:
        """Of a transformed tile, in one direction."""
        return self.m + self.taps - 1


def cook_toom(m: int, taps: int, points: Sequence[Fraction]) -> Winograd:
    """The matrices for m outputs, of m + taps - 2 points; exact, but for their last conversion to floats."""
    a = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    others = [[q for q in points if q != p] for p in points]
    g = [[p**k / math.prod(p - q for q in rest) for k in range(taps)] for p, rest in zip(points, others, strict=True)]
    b = [[*_polynomial(rest), Fraction(0)] for rest in others]
    g.append([Fraction(k == taps - 1) for k in range(taps)])
    b.append(_polynomial(points))
    return Winograd(m, taps, *(tuple(tuple(map(float, row)) for row in matrix) for matrix in (b, g, a)))


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of the product of all (x - root), that of x^0 first."""
    c = [Fraction(1)]
    for root in roots:
        c = [low - root * high for low, high in zip([Fraction(0), *c], [*c, Fraction(0)], strict=True)]
    return c


_ZERO, _ONE, _NEAR, _FAR = Fraction(0), Fraction(1), Fraction(3, 4), Fraction(3, 2)
_FIVE = _ZERO, _NEAR, -_NEAR, _FAR, -_FAR
F2 = cook_toom(2, 3, (_ZERO, _ONE, -_ONE))
F3 = cook_toom(3, 3, _FIVE[:4])
F4 = cook_toom(4, 3, _FIVE)
F2_5 = cook_toom(2, 5, _FIVE)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def input_transform(chip: Chip, f: Winograd, masked: bool) -> int:
    """X -> B^T X B: the address of f(source, source_row, source_column, target, target_row, target_column, ...).

    All distances are in bytes. If masked, further arguments (first_row, end_row, first_column, end_column, lanes) say
    which part of the source there is; the rest counts as zero and is not read.
    """
    return compiled(chip, 11, _transform, f.input, "source" if masked else "", False)


def gradient_transform(chip: Chip, f: Winograd, masked: bool) -> int:
    """Y -> A Y A^T; arguments as those of `input_transform`."""
    return compiled(chip, 11, _transform, _transposed(f.output), "source" if masked else "", False)


def output_transform(chip: Chip, f: Winograd, masked: bool, relu: bool) -> int:
    """M -> A^T M A + bias, through ReLU or not; arguments as those of `input_transform`, then the address of the bias.

    If masked, the five numbers say which part of the target there is; the rest is not written.
    """
    return compiled(chip, 12, _transform, f.output, "target" if masked else "", relu)


def weight_transform(chip: Chip, f: Winograd) -> int:
    """W -> G W G^T: source, target and their distances, six arguments."""
    return compiled(chip, 6, _transform, f.weight, "", False)


def turned_weight_transform(chip: Chip, f: Winograd) -> int:
    """`lanes` kernels of one channel each, one after another -> G W G^T with every W turned by 180 degrees.

    The address of f(source, next, target, target_row, target_column), where next are kernels that are wanted soon: the
    cache does not foresee rows that lie pages apart.
    """
    return compiled(chip, 5, _transform_turned, f.weight)


def weight_gradient_transform(chip: Chip, f: Winograd) -> int:
    """U -> G^T U G; six arguments."""
    return compiled(chip, 6, _transform, _transposed(f.weight), "", False)


def transpose(chip: Chip) -> int:
    """The address of f(source, source_row, target, target_row): a square of `lanes` x `lanes` numbers, transposed."""
    return compiled(chip, 4, _transpose)


def _transform(
    write: Writer,
    source: Value,
    source_row: Value,
    source_column: Value,
    target: Value,
    target_row: Value,
    target_column: Value,
    *rest: Value,
) -> None:
    *numbers, matrix, masked, relu = rest
    sizes = {"source": len(matrix[0]), "target": len(matrix)}
    masks = _masks(write, sizes[masked], numbers) if masked else []
    read = _places(write, source, source_row, source_column, sizes["source"])
    half = []
    for j in range(sizes["source"]):
        if masked == "source":
            column = [write.load_masked(read[i][j], masks[i][j]) for i in range(sizes["source"])]
        else:
            column = [write.load(read[i][j]) for i in range(sizes["source"])]
        half.append(_apply(write, matrix, column))
    bias = write.load(numbers[5]) if len(numbers) == 6 else None
    written = _places(write, target, target_row, target_column, sizes["target"])
    for i in range(sizes["target"]):
        for j, value in enumerate(_apply(write, matrix, [column[i] for column in half])):
            value = write.builder.fadd(value, bias) if bias else value
            value = write.relu(value) if relu else value
            if masked == "target":
                write.store_masked(value, written[i][j], masks[i][j])
            else:
                write.store(value, written[i][j])


def _places(write: Writer, first: Value, row: Value, column: Value, size: int) -> list[list[Value]]:
    """The addresses of a square of vectors."""
    columns = [write.times(column, j) for j in range(size)]
    rows = [write.add(first, write.times(row, i)) for i in range(size)]
    return [[write.add(at, ahead) for ahead in columns] for at in rows]


def _masks(write: Writer, size: int, numbers: Sequence[Value]) -> list[list[Value]]:
    """For each place of a patch, which lanes there are."""
    first_row, end_row, first_column, end_column, lanes = numbers[:5]
    whole = write.first_lanes(lanes)
    rows = [write.within(i, first_row, end_row) for i in range(size)]
    columns = [write.only_if(write.within(j, first_column, end_column), whole) for j in range(size)]
    return [[write.only_if(row, mask) for mask in columns] for row in rows]


def _apply(write: Writer, matrix: Matrix, x: Sequence[Value]) -> list[Value]:
    """matrix @ x, where x are vectors."""
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            signs = [(r[i] == r[j], r[i] == -r[j]) for r in matrix if r[i] or r[j]]
            if len(signs) > 1 and all(map(any, signs)):  # such columns only need the sum and the difference
                both = list(x)
                both[i], both[j] = write.builder.fadd(x[i], x[j]), write.builder.fsub(x[i], x[j])
                split = [list(r) for r in matrix]
                for r in split:
                    r[i], r[j] = (r[i], 0) if r[i] == r[j] else (0, r[i])
                return _apply(write, tuple(map(tuple, split)), both)
    y: dict[int, Value] = {}
    for i, row in enumerate(matrix):
        for j in range(i + 1, len(matrix)):
            opposite = [a != b for a, b in zip(row, matrix[j], strict=True)]
            if all(abs(a) == abs(b) for a, b in zip(row, matrix[j], strict=True)) and any(opposite) and i not in y:
                even = _dot(write, [0 if o else a for a, o in zip(row, opposite, strict=True)], x)
                odd = _dot(write, [a if o else 0 for a, o in zip(row, opposite, strict=True)], x)
                y[i], y[j] = write.builder.fadd(even, odd), write.builder.fsub(even, odd)
        if i not in y:
            y[i] = _dot(write, row, x)
    return [y[i] for i in range(len(matrix))]


def _dot(write: Writer, row: Sequence[float], x: Sequence[Value]) -> Value:
    """The sum of row[i] * x[i], beginning with a factor of one if there is any."""
    terms = sorted(((a, v) for a, v in zip(row, x, strict=True) if a), key=lambda term: (term[0] != 1, term[0] == -1))
    a, value = terms[0]
    if a != 1:
        value = write.builder.fmul(value, write.constant(a))
    for a, v in terms[1:]:
        if a == 1:
            value = write.builder.fadd(value, v)
        elif a == -1:
            value = write.builder.fsub(value, v)
        else:
            value = write.fma(v, write.constant(a), value)
    return value


def _transform_turned(
    write: Writer, source: Value, next: Value, target: Value, target_row: Value, target_column: Value, matrix: Matrix
) -> None:
    taps = len(matrix[0])
    distances = [i * write.bytes for i in range(taps**2)]
    for distance in distances:
        write.prefetch(write.add(next, distance))
    vectors = [write.load(write.add(source, distance)) for distance in distances]
    w = _separated(write, vectors)[::-1]
    half = [_apply(write, matrix, w[j::taps]) for j in range(taps)]
    written = _places(write, target, target_row, target_column, len(matrix))
    for i, row in enumerate(written):
        for value, at in zip(_apply(write, matrix, [column[i] for column in half]), row, strict=True):
            write.store(value, at)


def _separated(write: Writer, vectors: Sequence[Value]) -> list[Value]:
    """n vectors, n odd, that hold one after another n numbers for each lane -> the first number of all lanes, ...

    Number t of lane l is in vector v at place p with  l * n + t = v * lanes + p,  so that
    v = (t - p) / lanes  modulo n:  the numbers t of all lanes are in one vector after each place p has been moved on by
    -p / lanes vectors. That takes a blend of two vectors for each bit of this distance, and then they only stand in
    another order: for 9 vectors of 16 lanes 45 steps, where transposing a square takes 64.
    """
    n, lanes = len(vectors), write.lanes
    inverse = pow(lanes, -1, n)
    moved = [-p * inverse % n for p in range(lanes)]
    for bit in range((n - 1).bit_length()):
        chosen = [p + lanes * (moved[p] >> bit & 1) for p in range(lanes)]
        vectors = [write.shuffle(vectors[i], vectors[(i + (1 << bit)) % n], chosen) for i in range(n)]
    found = [vectors[t * inverse % n] for t in range(n)]
    return [write.shuffle(v, v, [(lane * n + t) % lanes for lane in range(lanes)]) for t, v in enumerate(found)]


def _transpose(write: Writer, source: Value, source_row: Value, target: Value, target_row: Value) -> None:
    lanes = write.lanes
    rows = [write.load(write.add(source, write.times(source_row, i))) for i in range(lanes)]
    bit = lanes // 2
    while bit:  # exchange this bit of the row's and the lane's number
        mixed = list(rows)
        for i in range(lanes):
            if not i & bit:
                low, high = rows[i], rows[i | bit]
                mixed[i] = write.shuffle(low, high, [x if not x & bit else lanes + (x ^ bit) for x in range(lanes)])
                mixed[i | bit] = write.shuffle(low, high, [x | bit if not x & bit else lanes + x for x in range(lanes)])
        rows = mixed
        bit //= 2
    for i in range(lanes):
        write.store(rows[i], write.add(target, write.times(target_row, i)))
