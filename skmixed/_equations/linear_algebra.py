"""Triangular, sparse and small matrices, and arrays over levels in slabs.

A slab holds some levels, the last axis; (k, r, m, b) is k slabs of b levels. The
loops are over the columns of the small matrices, in vectors over the levels.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from skmixed._typing import FloatArray, IntArray

# Numbers of a part of the rows, 32 MB.
PART_NUMBERS = 2**22


def cholesky_lower(matrix: FloatArray) -> FloatArray:
    """Return the lower triangular factor of a positive definite matrix.

    LAPACK is called by itself, here and below: SciPy's checks take longer than it does.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite to rounding.
    """
    if not len(matrix):
        return matrix
    chol, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if failed:
        raise np.linalg.LinAlgError("The system is not positive definite.")
    return np.asarray(chol)


def solve_lower(chol: FloatArray, rhs: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Solve with a lower triangular matrix, or with its transpose.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix has a zero on its diagonal.
    """
    if not len(chol):
        return rhs
    if chol.flags.f_contiguous:
        out, failed = scipy.linalg.lapack.dtrtrs(chol, rhs, lower=1, trans=int(transposed))
    else:  # the transpose is in LAPACK's order, and need not be copied
        out, failed = scipy.linalg.lapack.dtrtrs(chol.T, rhs, lower=0, trans=int(not transposed))
    if failed:
        raise np.linalg.LinAlgError("The triangular matrix is singular.")
    return np.asarray(out)


def inverse_of_cholesky(chol: FloatArray) -> FloatArray:
    """Return (RR')⁻¹ from R, lower triangular."""
    if not len(chol):
        return chol
    lower, _ = scipy.linalg.lapack.dpotri(chol, lower=1)
    inverse = lower + lower.T  # dpotri leaves the zeros above the diagonal
    diagonal = np.arange(len(inverse))
    inverse[diagonal, diagonal] *= 0.5
    return np.asarray(inverse)


@dataclass(frozen=True)
class FixedFactor:
    """R_x, lower triangular, with R_xR_x' = X'V⁻¹X, (p, p)."""

    root: FloatArray

    @property
    def products(self) -> FloatArray:
        """X'V⁻¹X."""
        return self.root @ self.root.T

    @property
    def inverse_root(self) -> FloatArray:
        """R_x⁻ᵀ, whose square is (X'V⁻¹X)⁻¹, upper triangular."""
        return self.half_solve(np.eye(len(self.root))).T

    def half_solve(self, columns: FloatArray) -> FloatArray:
        """Return R_x⁻¹v."""
        return solve_lower(self.root, columns)

    @property
    def logdet(self) -> float:
        """log|X'V⁻¹X|."""
        return float(2.0 * np.log(np.diagonal(self.root)).sum())


class CoreCells(Protocol):
    """Cells in columns of a dense core: sums of products over the levels, and entries of others."""

    @property
    def cells(self) -> IntArray:
        """Which of all cells they are, (m,)."""

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        """Return l'l summed over levels and rows of (s, n_cells) values, or l'r + r'l."""

    def sampled(self, matrix: FloatArray) -> Any:
        """Return what `times` takes of a symmetric matrix of the core."""

    def times(self, sampled: Any, values: FloatArray) -> FloatArray:
        """Return vG at the cells, (s, m), from (s, n_cells) values v."""


@dataclass(frozen=True)
class CellPairs:
    """Pairs of cells of one level: each cell with itself and with those before it.

    Attributes
    ----------
    cells : (m,) array of int
    counts : (m,) array of int
        Pairs of each, which follow each other.
    others : (n_pairs,) array of int
        The second cell of each pair, by its number among `cells`.
    places : (n_pairs,) array of int
        The columns of both, as a place in the lower triangle of the core, row by row.
    n_core : int
    """

    cells: IntArray
    counts: IntArray
    others: IntArray
    places: IntArray
    n_core: int

    @staticmethod
    def of(cells: IntArray, rows: IntArray, columns: IntArray, n_core: int) -> "CellPairs":
        first = np.searchsorted(rows, rows)
        counts = np.arange(1, len(rows) + 1) - first
        stops = np.cumsum(counts)
        others = np.arange(counts.sum()) + np.repeat(first - stops + counts, counts)
        places = np.repeat(columns * n_core, counts) + columns[others]
        return CellPairs(cells, counts, others, places, n_core)

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        values = np.zeros(len(self.places))
        pairs = ((left, left),) if right is None else ((left, right), (right, left))
        for one, other in pairs:
            for a, b in zip(one[:, self.cells], other[:, self.cells], strict=True):
                values += np.repeat(a, self.counts) * b[self.others]
        # The lower triangle, mirrored
        sums = np.bincount(self.places, values, minlength=self.n_core**2)
        lower = np.asarray(sums, dtype=float).reshape(self.n_core, -1)
        out = lower + lower.T
        np.einsum("ii->i", out)[:] = np.diagonal(lower)
        return out

    def sampled(self, matrix: FloatArray) -> sp.csr_array:
        """Return a symmetric matrix of the core at the pairs, lower triangular, (m, m)."""
        starts, m = np.concatenate([[0], np.cumsum(self.counts)]), len(self.cells)
        parts = np.take(matrix, self.places), self.others, starts
        return sp.csr_array(parts, shape=(m, m))

    def times(self, sampled: sp.csr_array, values: FloatArray) -> FloatArray:
        own = np.ascontiguousarray(values[:, self.cells].T)
        twice = sampled.diagonal()[:, None] * own
        return np.asarray((sampled @ own + sampled.T @ own - twice).T)


@dataclass(frozen=True)
class DenseCells:
    """Cells as dense rows of the levels, in parts of 32 MB.

    Attributes
    ----------
    cells, rows, columns : (m,) arrays of int
    n_levels, n_core : int
    """

    cells: IntArray
    rows: IntArray
    columns: IntArray
    n_levels: int
    n_core: int

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        out = np.zeros((self.n_core,) * 2)
        for _, _, one, other in self._parts(left, left if right is None else right):
            out += one.T @ other
        return out if right is None else out + out.T

    def sampled(self, matrix: FloatArray) -> FloatArray:
        return matrix

    def times(self, sampled: FloatArray, values: FloatArray) -> FloatArray:
        out = np.empty((len(values), len(self.cells)))
        for here, places, dense, _ in self._parts(values, values):
            out[:, here] = (dense @ sampled).reshape(len(values), -1)[:, places]
        return out

    def _parts(
        self, left: FloatArray, right: FloatArray
    ) -> Iterator[tuple[slice, IntArray, FloatArray, FloatArray]]:
        """Yield which cells, their places and the rows of both, (s·b, n_core), part by part."""
        step = max(1, PART_NUMBERS // self.n_core)
        for start in range(0, self.n_levels, step):
            stop = min(start + step, self.n_levels)
            here = slice(*np.searchsorted(self.rows, [start, stop]))
            places = (self.rows[here] - start) * self.n_core + self.columns[here]
            dense = []
            for values in (left,) if right is left else (left, right):
                own = np.zeros((len(values), (stop - start) * self.n_core))
                own[:, places] = values[:, self.cells[here]]
                dense.append(own.reshape(-1, self.n_core))
            # NumPy takes half the time where it sees that both are the same.
            yield here, places, dense[0], dense[-1]


@dataclass(frozen=True)
class SparseCells:
    """Cells as sparse matrices, where their pairs are too many to keep.

    Attributes
    ----------
    cells, rows : (m,) arrays of int
    pattern : sparse (q, n_core) array
    """

    cells: IntArray
    rows: IntArray
    pattern: sp.csr_array

    @staticmethod
    def of(
        cells: IntArray, rows: IntArray, columns: IntArray, shape: tuple[int, int]
    ) -> "SparseCells":
        starts = np.searchsorted(rows, np.arange(shape[0] + 1))
        parts = np.empty(len(cells)), columns, starts
        return SparseCells(cells, rows, sp.csr_array(parts, shape=shape))

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        pairs = zip(left, left if right is None else right, strict=True)
        out = np.asarray(sum(self._holding(a).T @ self._holding(b) for a, b in pairs).toarray())
        return out if right is None else out + out.T

    def sampled(self, matrix: FloatArray) -> FloatArray:
        return matrix

    def times(self, sampled: FloatArray, values: FloatArray) -> FloatArray:
        out = np.empty((len(values), len(self.cells)))
        (n_levels, n_core), columns = self.pattern.shape, self.pattern.indices
        step = max(1, PART_NUMBERS // n_core)
        for row, own in zip(out, map(self._holding, values), strict=True):
            for start in range(0, n_levels, step):
                here = slice(*np.searchsorted(self.rows, [start, start + step]))
                product = own[start : start + step] @ sampled
                row[here] = product[self.rows[here] - start, columns[here]]
        return out

    def _holding(self, values: FloatArray) -> sp.csr_array:
        return with_data(self.pattern, values[self.cells])


def with_data(pattern: sp.csr_array, values: FloatArray) -> sp.csr_array:
    """Return a sparse matrix of the same pattern, without the checks of SciPy's constructors."""
    out = copy(pattern)
    out.data = values
    return out


def to_slabs(levels_last: FloatArray, k: int, b: int) -> FloatArray:
    """Turn (r, m, q) to slabs (k, r, m, b), filled up with zeros."""
    r, m, q = levels_last.shape
    out = np.zeros((r, m, k * b))
    out[:, :, :q] = levels_last
    return np.ascontiguousarray(out.reshape(r, m, k, b).transpose(2, 0, 1, 3))


def in_slabs(values: FloatArray, k: int, b: int) -> FloatArray:
    """Turn (r, q) to slabs (k, r, b), filled up with zeros."""
    return to_slabs(values[:, None], k, b)[:, :, 0]


def levels_first(slabs: FloatArray, n_levels: int) -> FloatArray:
    """Turn (k, s, m, b) slabs to (s, q, m)."""
    k, s, m, b = slabs.shape
    return slabs.transpose(1, 0, 3, 2).reshape(s, k * b, m)[:, :n_levels]


def levels_last(slabs: FloatArray, n_levels: int) -> FloatArray:
    """Turn (k, r, m, b) slabs to (r, m, q)."""
    k, r, m, b = slabs.shape
    return slabs.transpose(1, 2, 0, 3).reshape(r, m, k * b)[:, :, :n_levels]


def cholesky_levels(matrices: FloatArray) -> None:
    """Overwrite small matrices, (s, s, b), by their lower factors, all at once."""
    for j in range(len(matrices)):
        if j:
            matrices[j:, j] -= np.einsum("ikb,kb->ib", matrices[j:, :j], matrices[j, :j])
            matrices[:j, j] = 0.0
        matrices[j:, j] /= np.sqrt(matrices[j, j])


def solve_levels(chol: FloatArray, rhs: FloatArray) -> None:
    """Overwrite rhs, (s, m, b), by L⁻¹ rhs."""
    for j in range(len(chol)):
        for k in range(j):
            rhs[j] -= chol[j, k] * rhs[k]
        rhs[j] /= chol[j, j]


def solve_levels_transposed(chol: FloatArray, rhs: FloatArray) -> None:
    """Overwrite rhs, (s, m, b), by L⁻ᵀ rhs."""
    for j in reversed(range(len(chol))):
        for k in range(j + 1, len(chol)):
            rhs[j] -= chol[k, j] * rhs[k]
        rhs[j] /= chol[j, j]


@dataclass(frozen=True)
class Tridiagonal:
    """A symmetric tridiagonal matrix.

    Attributes
    ----------
    diagonal : (n,) array
    off : (n − 1,) array
    """

    diagonal: FloatArray
    off: FloatArray

    def times(self, columns: FloatArray) -> FloatArray:
        """Return the products with columns, each of which is a row here, (k, n)."""
        out, part = np.empty(columns.shape), np.empty(len(self.off))
        # Column by column, in one place for what is added
        for own, column in zip(out, columns, strict=True):
            np.multiply(self.diagonal, column, out=own)
            own[:-1] += np.multiply(self.off, column[1:], out=part)
            own[1:] += np.multiply(self.off, column[:-1], out=part)
        return out

    @cached_property
    def _factor(self) -> tuple[FloatArray, FloatArray]:
        """LDL', as LAPACK has it; of one row, whose factor its wrapper refuses, beside a 1."""
        diagonal, off = self.diagonal, self.off
        if len(diagonal) == 1:
            diagonal, off = np.append(diagonal, 1.0), np.zeros(1)
        *factor, failed = scipy.linalg.lapack.dpttrf(diagonal, off)
        if failed:
            raise np.linalg.LinAlgError("The matrix is not positive definite.")
        return factor[0], factor[1]

    def solve(self, columns: FloatArray) -> FloatArray:
        """Return the products of the inverse with columns, (k, n), of a positive definite one.

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is none to rounding.
        """
        n = columns.shape[1]
        padded = columns if n > 1 else np.repeat(columns, 2, axis=1)
        return np.asarray(scipy.linalg.lapack.dpttrs(*self._factor, padded.T)[0].T[:, :n])


@dataclass(frozen=True)
class Span:
    """The span of one factor's Λ, and what lies outside it: matrices, (s, s) each.

    From M = Λ'SΛ + I follows Λ'(I − SΛM⁻¹Λ') = M⁻¹Λ': with P_Λ = ΛΛ⁺

        Z'V⁻¹ = Λ⁺' M⁻¹Λ'Z' + (I − P_Λ)(Z' − SΛM⁻¹Λ'Z'),    S = Z'Z

    In the span of Λ the first term is all there is, and has no difference in it. As a
    difference, Z' − SΛM⁻¹Λ'Z' keeps as many digits fewer as Λ'SΛ has: seven where a
    standard deviation is a thousand times the residual one.

    Attributes
    ----------
    inverse, precision : arrays
        Λ⁺' and (ΛΛ')⁺.
    null : array or None
        I − ΛΛ⁺; None where Λ has full rank.
    """

    inverse: FloatArray
    precision: FloatArray
    null: FloatArray | None

    @staticmethod
    def of(lam: FloatArray) -> "Span":
        left, sizes, right = np.linalg.svd(lam)
        # A direction that is left out is no worse off: there Λ'SΛ is below rounding.
        keep = sizes > np.finfo(float).eps * sizes[0]
        inverse = (left[:, keep] / sizes[keep]) @ right[keep]
        null = None if keep.all() else np.eye(len(lam)) - left[:, keep] @ left[:, keep].T
        return Span(inverse, inverse @ inverse.T, null)
