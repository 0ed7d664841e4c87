"""Triangular, sparse and small matrices, and arrays over levels in slabs.

A slab holds some levels, the last axis; (k, r, m, b) is k slabs of b levels. The
loops are over the columns of the small matrices, in vectors over the levels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from skmixed._typing import FloatArray, IntArray

# Multiplications of a dense symmetric product in the time of one of a sparse
# product, on one core.
SPARSE_COST = 200


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


def sum_of_products(left: list[sp.csr_array], right: list[sp.csr_array]) -> FloatArray:
    """Sum l'r over sparse matrices of one pattern, as a dense matrix, by the cheaper product."""
    if prefers_sparse(left[0]):
        products = (one.T @ other for one, other in zip(left, right, strict=True))
        return np.asarray(sum(products).toarray())
    out = np.zeros((left[0].shape[1],) * 2)
    for start, stop in row_ranges(left[0]):
        for one, other in zip(left, right, strict=True):
            dense = one[start:stop].toarray()
            # NumPy takes half the time where it sees that both are the same.
            out += dense.T @ (dense if other is one else other[start:stop].toarray())
    return out


def prefers_sparse(matrix: sp.csr_array) -> bool:
    """Whether m'm costs less as a sparse product than as a dense one."""
    per_row = np.diff(matrix.indptr).astype(float)
    rows, columns = matrix.shape
    return SPARSE_COST * float(per_row @ per_row) < rows * float(columns) ** 2


def row_ranges(matrix: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Cut rows so that a part takes 32 MB as a dense matrix."""
    rows, columns = matrix.shape
    step = max(1, 2**22 // columns)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def sampled_product(
    left: sp.csr_array, right: FloatArray, rows: IntArray, columns: IntArray
) -> FloatArray:
    """Entries of a sparse times a dense matrix, without keeping the product."""
    out = np.empty(len(rows))
    if not len(rows):
        return out
    for start, stop in row_ranges(left):
        here = slice(*np.searchsorted(rows, [start, stop]))
        product = left[start:stop] @ right
        out[here] = product[rows[here] - start, columns[here]]
    return out


@dataclass(frozen=True)
class CellPairs:
    """Pairs of cells of one level in the core: each cell with itself and with those before it.

    Attributes
    ----------
    cells : (m,) array of int
        Those in the core.
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
    def of(rows: IntArray, columns: IntArray, start: int, stop: int) -> "CellPairs":
        """Pair the cells of each row, given row by row, in columns from a start on."""
        core = np.flatnonzero(columns >= start)
        rows, columns = rows[core], columns[core].astype(np.intp) - start
        first = np.searchsorted(rows, rows)
        counts = np.arange(1, len(core) + 1) - first
        stops = np.cumsum(counts)
        others = np.arange(counts.sum()) + np.repeat(first - stops + counts, counts)
        places = np.repeat(columns * (stop - start), counts) + columns[others]
        return CellPairs(core, counts, others, places, stop - start)

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        """Return l'l summed over levels and rows of (s, n_cells) values, or l'r + r'l."""
        values = np.zeros(len(self.places))
        pairs = ((left, left),) if right is None else ((left, right), (right, left))
        for one, other in pairs:
            for a, b in zip(one[:, self.cells], other[:, self.cells], strict=True):
                values += np.repeat(a, self.counts) * b[self.others]
        lower = np.asarray(np.bincount(self.places, values, minlength=self.n_core**2), dtype=float)
        return _mirrored(lower.reshape(self.n_core, -1))

    def sampled(self, matrix: FloatArray) -> sp.csr_array:
        """Return a symmetric matrix of the core at the pairs, lower triangular, (m, m)."""
        starts, m = np.concatenate([[0], np.cumsum(self.counts)]), len(self.cells)
        parts = np.take(matrix, self.places), self.others, starts
        return sp.csr_array(parts, shape=(m, m))

    def times(self, sampled: sp.csr_array, values: FloatArray) -> FloatArray:
        """Return vG at the cells, (s, m), from G at the pairs and (s, n_cells) values v."""
        own = np.ascontiguousarray(values[:, self.cells].T)
        out = sampled @ own
        out += sampled.T @ own
        out -= sampled.diagonal()[:, None] * own
        return np.asarray(out.T)


def _mirrored(lower: FloatArray) -> FloatArray:
    """Return the symmetric matrix with a lower triangle, beside zeros."""
    out = lower + lower.T
    np.einsum("ii->i", out)[:] = np.diagonal(lower)
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
