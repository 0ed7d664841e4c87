"""Parts of blocks whose covariance is explicit: random effects, strata, products of their rows.

The columns of the rows are w = [Z X y]. All that the likelihood needs of them are
Σ_ab c_ab Σ w_a w_b' for coefficients c of pairs of rows, and Σ w_a'Bw_b for every pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._model.residual import Residual
from skmixed._model.time_points import RowPairs, TimePoints
from skmixed._repeated.rows import LaidRows, RowsBeside
from skmixed._typing import BoolArray, FloatArray, IntArray, Moments

# Rows that are gathered at a time.
PART = 2**14


@dataclass(frozen=True)
class BlockIndex:
    """Which rows the blocks of a group are.

    Attributes
    ----------
    rows : (N, n) array of int
    pattern : (N,) array of int
        Which of the group's patterns each block has.
    """

    rows: IntArray
    pattern: IntArray


@dataclass(frozen=True)
class BlockTerm:
    """A random-effects term inside of blocks.

    Attributes
    ----------
    index : int
        Position among the model's terms.
    columns : (b, n, s) array
        Z, a row's own coefficients.
    directions : (d, s, s) array
        Those of Σ.
    place : slice
        Places of its τ among the parameters.
    same : (b, n, n) array of bool, or None
        Which rows are of one level; None where all of a block are.
    """

    index: int
    columns: FloatArray
    directions: FloatArray
    place: slice
    same: BoolArray | None

    def covariance(self, matrices: FloatArray) -> FloatArray:
        """Return ZΣZ' of the blocks for matrices Σ, (d, s, s) to (d, b, n, n)."""
        out = (self.columns @ matrices[:, None]) @ self.columns.transpose(0, 2, 1)
        return out if self.same is None else out * self.same


@dataclass(frozen=True)
class Stratum:
    """The rows of blocks that belong to one stratum.

    Attributes
    ----------
    place : slice
        Places of its φ among the parameters.
    number : int
    same : (b, n, n) array of bool, or None
        Which pairs are of one subject of the stratum; None where all are.
    """

    place: slice
    number: int
    same: BoolArray | None

    def masked(self, matrices: FloatArray) -> FloatArray:
        return matrices if self.same is None else matrices * self.same


class BlockProducts(Protocol):
    """Products of pairs of rows within blocks of n rows, of b patterns."""

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        """Return Σ c_ab w_a w_b' over all pairs, (c, b, n, n) to (c, k, k)."""

    def gram(self, matrix: FloatArray) -> FloatArray:
        """Return Σ w_a'Bw_b over the blocks of each pattern, (k, k) to (b, n, n)."""

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        """Return Σ (Aw)_a (Aw)_b' over all pairs of m visits, for A, (b, n, n); (m, m, k, k)."""


@dataclass(frozen=True)
class SummedProducts:
    """Sums over the blocks of each pattern.

    Attributes
    ----------
    sums : (b, n, n, k, k) array
        Σ w_a w_b'.
    """

    sums: FloatArray

    @staticmethod
    def of(wide: FloatArray, rows: IntArray, starts: list[int]) -> "SummedProducts":
        """Add up blocks, (N, n), pattern by pattern; each begins at one of the starts."""
        n, k = rows.shape[1], wide.shape[1]
        ends, step = [*starts[1:], len(rows)], max(PART // n, 1)
        sums = np.empty((len(starts), n, n, k, k))
        for out, start, end in zip(sums, starts, ends, strict=True):
            total: FloatArray = np.zeros((n * k, n * k))
            for at in range(start, end, step):
                own = wide[rows[at : min(at + step, end)]].reshape(-1, n * k)
                total += own.T @ own
            out[...] = total.reshape(n, k, n, k).transpose(0, 2, 1, 3)
        return SummedProducts(sums)

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        entries = coefficients.reshape(-1, b * n * n)
        return np.asarray(entries @ self.sums.reshape(b * n * n, k * k)).reshape(-1, k, k)

    def gram(self, matrix: FloatArray) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        return np.asarray(self.sums.reshape(b * n * n, k * k) @ matrix.ravel()).reshape(b, n, n)

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        b, n, _, k, _ = self.sums.shape
        # A times the first index of the sums, then times the second
        half = (matrices @ self.sums.reshape(b, n, n * k * k)).reshape(b, n, n, k * k)
        both = matrices @ half.transpose(0, 2, 1, 3).reshape(b, n, n * k * k)
        both = both.reshape(b, n, n, k, k).transpose(0, 2, 1, 3, 4)
        out = np.zeros((m, m, k, k))
        np.add.at(out, (visit[:, :, None], visit[:, None, :]), both)
        return out


@dataclass(frozen=True)
class RowProducts:
    """The rows themselves: as many patterns as blocks.

    Attributes
    ----------
    rows : (b, n, k) array
    """

    rows: FloatArray

    def quadratic(self, coefficients: FloatArray) -> FloatArray:
        k = self.rows.shape[2]
        flat = self.rows.reshape(-1, k)
        out = np.empty((len(coefficients), k, k))
        for own, matrix in zip(out, coefficients, strict=True):
            own[...] = flat.T @ (matrix @ self.rows).reshape(-1, k)
        return out

    def gram(self, matrix: FloatArray) -> FloatArray:
        return (self.rows @ matrix) @ self.rows.transpose(0, 2, 1)

    def sandwich(self, matrices: FloatArray, visit: IntArray, m: int) -> FloatArray:
        b, _, k = self.rows.shape
        laid = np.zeros((b, m, k))
        laid[np.arange(b)[:, None], visit] = matrices @ self.rows
        flat = laid.reshape(b, m * k)
        return (flat.T @ flat).reshape(m, k, m, k).transpose(0, 2, 1, 3)


def block_moments(
    places: TimePoints,
    counts: FloatArray,
    strata: tuple[Stratum, ...],
    squares: FloatArray,
    m: int,
) -> Iterator[Moments]:
    """Return the moments of the rows of patterns, with sums of products, (b, n, n)."""
    n = places.visit.shape[1]
    of_pairs = np.broadcast_to(counts[:, None, None], squares.shape)
    diagonal, next_to = np.eye(n, dtype=bool), np.eye(n, k=1, dtype=bool)
    for stratum in strata:
        mask = np.broadcast_to(stratum.masked(np.ones(squares.shape)), squares.shape)
        kept = mask * diagonal if m == 1 else mask
        pairs = mask * next_to
        # Σ e_a e_b and Σ |t_a − t_b| of neighbors, and how many they are
        near = np.array(
            [
                (squares * pairs).sum(),
                (of_pairs * pairs * places.distance).sum(),
                (of_pairs * pairs).sum(),
            ]
        )
        sums = places.laid(squares * kept, m), places.laid(of_pairs * kept, m)
        yield stratum.number, *sums, near


def residual_covariance(
    residual: Residual, phi: FloatArray, rows: RowsBeside, known: IntArray, laid: LaidRows
) -> FloatArray:
    """Return the covariances of residuals with those of rows of the fit, (m, n)."""
    new, place = np.nonzero(laid.subject[known] == rows.subject[:, None])
    # Pairs of a row and one of the fit that have one subject
    parts = zip(laid.places(known[new, place]).parts, rows.places.parts, strict=True)
    pairs = [np.stack([old, own[new, 0]], axis=1) for old, own in parts]
    out, entries = np.zeros(known.shape), np.empty(len(new))
    for which, own in residual.by_stratum(phi, rows.stratum[new]):
        of_stratum = RowPairs(*(values[which] for values in pairs))
        entries[which] = residual.covariance_of(own, of_stratum)
    out[new, place] = entries
    return out
