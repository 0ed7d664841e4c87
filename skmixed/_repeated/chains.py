"""Chains of rows: those of a subject in order of time, where R⁻¹ has entries of neighbors alone.

The columns of the rows are w = [Z X y], and z those of the random effects within blocks.
The likelihood needs W'AW of all rows and Z'A[Z W] of each block, for matrices A of the
form of R⁻¹, and their adjoint. All are sums over the entries of A, which classes of rows
and of neighbors share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._derivatives.precision import PrecisionClasses, Tridiagonal
from skmixed._repeated.rows import RowsBeside
from skmixed._typing import FloatArray, IntArray, Lam, Moments


@dataclass(frozen=True)
class ChainRows:
    """Rows of blocks, chain by chain.

    Attributes
    ----------
    wide : (k, n) array
        The columns w, each a row here.
    effects : (q, n) array
        The columns z; those of the levels that a block does not have are 0.
    block : (n,) array of int
        The block of each row, in order.
    starts : (b,) array of int
        The first row of each block.
    earlier : (p,) array of int
        The earlier row of each pair of neighbors; the other one is next to it.
    row_class, pair_class : (n,) and (p,) arrays of int
    n_row_classes, n_pair_classes : int
    """

    wide: FloatArray
    effects: FloatArray
    block: IntArray
    starts: IntArray
    earlier: IntArray
    row_class: IntArray
    pair_class: IntArray
    n_row_classes: int
    n_pair_classes: int

    def parts(self, entries: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Split entries: of rows, those that pairs add to either row, and those between."""
        r, c = self.n_row_classes, self.n_pair_classes
        return entries[:r], entries[r : r + c], entries[r + c : r + 2 * c], entries[r + 2 * c :]

    @cached_property
    def _next_class(self) -> IntArray:
        """The class of each row's pair with the next row, c where that is of another chain."""
        out = np.full(max(len(self.block) - 1, 0), self.n_pair_classes)
        out[self.earlier] = self.pair_class
        return out

    def matrix(self, entries: FloatArray) -> Tridiagonal:
        """Return A of the entries of classes, (r + 3c,)."""
        rows, *pairs = self.parts(entries)
        diagonal = np.take(rows, self.row_class)
        first, second, off = (np.take(np.append(own, 0.0), self._next_class) for own in pairs)
        diagonal[:-1] += first
        diagonal[1:] += second
        return Tridiagonal(diagonal, off)

    def block_products(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return L'C of each block, for columns (l, n) and (c, n); (b, l, c)."""
        out = np.empty((len(left), len(right), len(self.starts)))
        for own, one in zip(out, left, strict=True):
            for sums, other in zip(own, right, strict=True):
                sums[...] = np.add.reduceat(one * other, self.starts)
        return out.transpose(2, 0, 1)

    def of_effects(self, matrices: FloatArray) -> FloatArray:
        """Return Z times a matrix of each block, (b, q, c); (c, n)."""
        out = np.zeros((matrices.shape[2], len(self.block)))
        sizes = np.diff(self.starts, append=len(self.block))
        for z, own in zip(self.effects, matrices.transpose(1, 2, 0), strict=True):
            for column, of_blocks in zip(out, own, strict=True):
                column += z * np.repeat(of_blocks, sizes)
        return out

    def gram(self, matrix: FloatArray, inner: FloatArray, fitted: FloatArray) -> FloatArray:
        """Return the sums of YBY' + ZMZ' over the rows of each entry, Y = W − ZG; (r + 3c,).

        For B, (k, k), M, (b, q, q), and G, (b, q, k).
        """
        left = np.concatenate([self.wide - self.of_effects(fitted), self.effects])
        k, earlier = len(self.wide), self.earlier
        right = np.concatenate([matrix @ left[:k], self.of_effects(inner)])
        # Rows with themselves, and with the next row of their chain
        own = np.einsum("kn,kn->n", left, right)
        next_to = 2.0 * np.einsum("kn,kn->n", left[:, :-1], right[:, 1:])[earlier]
        of_pairs = [
            np.bincount(self.pair_class, values, self.n_pair_classes)
            for values in (own[earlier], own[earlier + 1], next_to)
        ]
        return np.concatenate([np.bincount(self.row_class, own, self.n_row_classes), *of_pairs])

    @cached_property
    def width(self) -> int:
        """The numbers of one sum of products: W'W, and Z'[Z W] of each block."""
        q, k = len(self.effects), len(self.wide)
        return k**2 + len(self.starts) * q * (q + k)


class ChainProducts(Protocol):
    """Products of the rows of chains with matrices of the form of R⁻¹."""

    def weighted(self, entries: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return W'AW and Z'A[Z W] of each block, (m, r + 3c) to (m, k, k), (m, b, q, q + k)."""

    def scaled(self, entries: FloatArray, exponents: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same of LA + AL for diagonal L, of which 2L stands first in e; (m, r + 3c).

        They have the entries of A times those of e.
        """

    def gram(self, matrix: FloatArray, inner: FloatArray, fitted: FloatArray) -> FloatArray:
        """Return the sums of YBY' + ZMZ' over the rows of each entry, as `ChainRows.gram`."""


@dataclass(frozen=True)
class SingleChains:
    """Products row by row.

    Attributes
    ----------
    rows : ChainRows
    """

    rows: ChainRows

    def weighted(self, entries: FloatArray) -> tuple[FloatArray, FloatArray]:
        rows = self.rows
        q, k = len(rows.effects), len(rows.wide)
        columns = np.concatenate([rows.effects, rows.wide])
        squares = np.empty((len(entries), k, k))
        within = np.empty((len(entries), len(rows.starts), q, q + k))
        for square, effects, own in zip(squares, within, entries, strict=True):
            seen = rows.matrix(own).times(columns)
            square[...] = rows.wide @ seen[q:].T
            effects[...] = rows.block_products(rows.effects, seen)
        return squares, within

    def scaled(self, entries: FloatArray, exponents: FloatArray) -> tuple[FloatArray, FloatArray]:
        rows = self.rows
        (q, n), k, b = rows.effects.shape, len(rows.wide), len(rows.starts)
        columns = np.concatenate([rows.effects, rows.wide])
        seen = rows.matrix(entries).times(columns)
        squares = np.zeros((len(exponents), k, k))
        within = np.zeros((len(exponents), q, q + k, b))
        # Of the rows where L is not 0, of which a visit has few
        for square, effects, own in zip(squares, within, exponents, strict=True):
            weights = own[rows.row_class] / 2.0
            at = np.flatnonzero(weights) if not weights.all() else slice(n)
            left, right, block = weights[at] * columns[:, at], seen[:, at], rows.block[at]
            square += left[q:] @ right[q:].T
            for j in range(q):
                for sums, one, other in zip(effects[j], left, right, strict=True):
                    sums += np.bincount(block, left[j] * other + right[j] * one, b)
        squares += squares.transpose(0, 2, 1)
        return squares, within.transpose(0, 3, 1, 2)

    def gram(self, matrix: FloatArray, inner: FloatArray, fitted: FloatArray) -> FloatArray:
        return self.rows.gram(matrix, inner, fitted)


@dataclass(frozen=True)
class SummedChains:
    """Sums over the rows of each class.

    Attributes
    ----------
    squares : (r + 3c, k·k) array
        W'EW for the matrix E with ones at the entries of a class.
    within : (r + 3c, b·q·(q + k)) array
        Z'E[Z W] of each block.
    shape : (b, q, k)
    """

    squares: FloatArray
    within: FloatArray
    shape: tuple[int, int, int]

    @staticmethod
    def of(rows: ChainRows) -> "SummedChains":
        """Add up the rows of classes."""
        every, later = np.arange(len(rows.block)), rows.earlier + 1
        r, c = rows.n_row_classes, rows.n_pair_classes
        pairs = (
            (every, every, rows.row_class, r),
            (rows.earlier, rows.earlier, rows.pair_class, c),
            (later, later, rows.pair_class, c),
        )
        squares = [_class_squares(rows, *own) for own in pairs]
        within = [_within(rows, *own) for own in pairs]
        # The entry between two rows stands at either side of the diagonal
        either = (rows.earlier, later), (later, rows.earlier)
        for parts, of in ((squares, _class_squares), (within, _within)):
            one, other = (of(rows, *own, rows.pair_class, c) for own in either)
            parts.append(one + other)
        q, k = len(rows.effects), len(rows.wide)
        whole = np.concatenate(within).reshape(r + 3 * c, len(rows.starts) * q * (q + k))
        shape = len(rows.starts), q, k
        return SummedChains(np.concatenate(squares).reshape(-1, k * k), whole, shape)

    def weighted(self, entries: FloatArray) -> tuple[FloatArray, FloatArray]:
        b, q, k = self.shape
        squares, within = entries @ self.squares, entries @ self.within
        m = len(entries)
        return squares.reshape(m, k, k), within.reshape(m, b, q, q + k)

    def scaled(self, entries: FloatArray, exponents: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.weighted(entries * exponents)

    def gram(self, matrix: FloatArray, inner: FloatArray, fitted: FloatArray) -> FloatArray:
        # YBY' + ZMZ' = WBW' − ZGBW' − WBG'Z' + Z(M + GBG')Z'
        mixed = fitted @ matrix
        own = inner + mixed @ fitted.transpose(0, 2, 1)
        weights = np.concatenate([own, -2.0 * mixed], axis=2)
        return np.asarray(self.squares @ matrix.ravel() + self.within @ weights.ravel())


def _class_squares(
    rows: ChainRows, left: IntArray, right: IntArray, codes: IntArray, n_classes: int
) -> FloatArray:
    """Return Σ w_a w_b' over the pairs a, b of rows of each class, (c, k, k)."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=n_classes)
    ends = np.cumsum(counts)
    first, second = rows.wide[:, left[order]], rows.wide[:, right[order]]
    out = np.empty((n_classes, len(first), len(first)))
    for own, start, end in zip(out, ends - counts, ends, strict=True):
        own[...] = first[:, start:end] @ second[:, start:end].T
    return out


def _within(
    rows: ChainRows, left: IntArray, right: IntArray, codes: IntArray, n_classes: int
) -> FloatArray:
    """Return Σ z_a [z_b' w_b'] over the pairs of rows of each class in each block."""
    q, b = len(rows.effects), len(rows.starts)
    columns = np.concatenate([rows.effects, rows.wide])
    cells = codes * b + rows.block[left]
    out = np.empty((q, len(columns), n_classes * b))
    for own, z in zip(out, rows.effects, strict=True):
        for sums, column in zip(own, columns, strict=True):
            sums[...] = np.bincount(cells, z[left] * column[right], n_classes * b)
    return out.reshape(q, len(columns), n_classes, b).transpose(2, 3, 0, 1)


@dataclass(frozen=True)
class ChainTerm:
    """A random-effects term inside of blocks, with its columns of Z.

    Attributes
    ----------
    index : int
        Position among the model's terms.
    columns : slice
        Its columns of Z: those of each level that a block has, one level after the other.
    size : int
        Coefficients of a level.
    directions : (d, q, q) array
        Those of the covariance of all columns of Z.
    place : slice
        Places of its τ among the parameters.
    number : (l,) array of int
        Of each level, which one of its block it is.
    """

    index: int
    columns: slice
    size: int
    directions: FloatArray
    place: slice
    number: IntArray

    @property
    def n_levels(self) -> int:
        """The most levels that a block has."""
        return (self.columns.stop - self.columns.start) // self.size

    def lay(self, out: FloatArray, rows: RowsBeside, levels: IntArray, block: IntArray) -> None:
        """Lay Z of rows beside blocks, whose rows have these levels; (m, q)."""
        columns, own = rows.terms[self.index]
        block_of = np.full(len(self.number), -1)
        block_of[levels] = block
        # A level of another block has no column here
        known = np.flatnonzero((own >= 0) & (block_of[own] == rows.block))
        first = self.columns.start + self.number[own[known]] * self.size
        out[known[:, None], first[:, None] + np.arange(self.size)] = columns[known]


@dataclass(frozen=True)
class ChainStratum:
    """A stratum of the rows, with its entries of R⁻¹.

    Attributes
    ----------
    place : slice
        Places of its φ among the parameters.
    number : int
    classes : PrecisionClasses
    entries : (e,) array of int, or slice
        Which of the entries of the blocks they are.
    """

    place: slice
    number: int
    classes: PrecisionClasses
    entries: IntArray | slice

    def among(self, values: FloatArray, n_entries: int) -> FloatArray:
        """Lay values of its entries, (…, e), among all, the others 0."""
        out = np.zeros((*values.shape[:-1], n_entries))
        out[..., self.entries] = values
        return out


def effect_factor(terms: tuple[ChainTerm, ...], lam: Lam, n_effects: int) -> FloatArray:
    """Return Λ of all columns of Z, (q, q)."""
    out = np.zeros((n_effects, n_effects))
    for term in terms:
        out[term.columns, term.columns] = np.kron(np.eye(term.n_levels), lam[term.index])
    return out


def chain_moments(
    strata: tuple[ChainStratum, ...], squares: FloatArray, m: int
) -> Iterator[Moments]:
    """Return the moments of chains, with sums of products by entries, (r + 3c,)."""
    for stratum in strata:
        own, n = stratum.classes, len(stratum.classes.row_counts)
        values = squares[stratum.entries]
        # The entry between two rows counts them twice
        both = values[len(values) - len(own.pair_counts) :] / 2.0
        near = np.array([both.sum(), own.pair_counts @ own.pairs.distance, own.pair_counts.sum()])
        sums, counts = np.zeros((2, m, m))
        if m > 1:
            for out, of_pairs in ((sums, both), (counts, own.pair_counts)):
                laid = own.pairs.laid(of_pairs, m)
                out += laid + laid.T
        visit = own.rows.visit[:, 0] if m > 1 else np.zeros(n, dtype=np.intp)
        for out, of_rows in ((sums, values[:n]), (counts, own.row_counts)):
            out[np.diag_indices(m)] += np.bincount(visit, of_rows, m)
        yield stratum.number, sums, counts, near
