"""Triangular, sparse and small matrices, and arrays over levels in slabs.

A slab holds some levels, the last axis; (k, r, m, b) is k slabs of b levels. The
loops are over the columns of the small matrices, in vectors over the levels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._typing import FloatArray, IntArray

# Numbers of a part of the rows, 32 MB, and rows of a square that a cache holds.
PART_NUMBERS, SQUARE = 2**22, 160


def cholesky_lower(matrix: FloatArray, *, is_kept: bool = True) -> FloatArray:
    """Return the lower triangular factor of a positive definite matrix.

    LAPACK is called by itself: SciPy's checks take longer. What is not kept is written over.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite to rounding.
    """
    if not len(matrix):
        return matrix
    # The transpose is in LAPACK's order, and need not be turned.
    chol, failed = scipy.linalg.lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=not is_kept)
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


def inverse_lower(chol: FloatArray) -> FloatArray:
    """Return R⁻¹, lower triangular, by halves: products are faster than LAPACK's dtrtri."""
    n, half = len(chol), len(chol) // 2
    if n <= SQUARE:
        return np.asarray(scipy.linalg.lapack.dtrtri(chol, lower=1)[0])
    out, times = np.zeros((n, n), order="F"), scipy.linalg.blas.dtrmm
    # [A 0; B C]⁻¹ = [A⁻¹ 0; −C⁻¹BA⁻¹ C⁻¹]
    first = out[:half, :half] = inverse_lower(chol[:half, :half])
    second = out[half:, half:] = inverse_lower(chol[half:, half:])
    out[half:, :half] = times(-1.0, second, times(1.0, first, chol[half:, :half], 1, 1), 0, 1)
    return out


def inverse_of_cholesky(chol: FloatArray) -> FloatArray:
    """Return (RR')⁻¹ from R, lower triangular."""
    if len(chol) <= SQUARE:
        out = scipy.linalg.lapack.dpotri(chol, lower=1)[0] if len(chol) else chol.copy()
    else:
        out, _ = scipy.linalg.lapack.dlauum(inverse_lower(chol), lower=1, overwrite_c=1)
    # Above the diagonal are zeros, which a row of the lower triangle takes the place of
    np.einsum("ii->i", out)[:] *= 0.5
    for start in range(0, len(out), SQUARE):
        here, rest = slice(start, start + SQUARE), slice(start + SQUARE, None)
        out[here, rest] = out[rest, here].T
        out[here, here] += out[here, here].T
    return np.asarray(out.T)


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


class CoreCells(ABC):
    """Cells in columns of a dense core: sums of products over the levels, and entries of others."""

    cells: IntArray  # which of all cells they are, (m,)

    @abstractmethod
    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        """Return l'l summed over levels and rows of (s, n_cells) values, or l'r + r'l."""

    def take(self, matrix: FloatArray, values: FloatArray) -> None:
        """Subtract l'l from the first columns of a symmetric matrix."""
        own = self.products(values)
        matrix[: len(own), : len(own)] -= own

    @abstractmethod
    def sampled(self, matrix: FloatArray) -> Any:
        """Return what `times` takes of a symmetric matrix of the core."""

    @abstractmethod
    def times(self, sampled: Any, values: FloatArray) -> FloatArray:
        """Return vG at the cells, (s, m), from (s, n_cells) values v."""

    def squares(self, values: FloatArray) -> "CellSquares | None":  # noqa: ARG002
        """Return the products of one row of values, level by level, where they are kept."""
        return None


@dataclass(frozen=True)
class CellSquares:
    """Σ_j w_j v_jv_j' in a dense core, for values v that stay and any weights w.

    `matrix`, sparse (n_places, m), has the products of the pairs of each cell.
    """

    pairs: "CellPairs"
    matrix: sp.csc_array

    def weighted(self, weights: FloatArray) -> FloatArray:
        """Return the sums for weights of the levels, at the places of the pairs."""
        return np.asarray(self.matrix @ weights[self.pairs.levels])

    def form(self, matrix: FloatArray, weights: FloatArray) -> float:
        """Return Σ_j w_j v_j'Gv_j of a symmetric matrix G of the core."""
        row, column = self.pairs.places
        twice = np.where(row == column, 1.0, 2.0)
        return float((twice * matrix[row, column]) @ self.weighted(weights))


@dataclass(frozen=True)
class CellPairs(CoreCells):
    """Pairs of cells of one level: each cell with itself and with those before it.

    In the order of the columns; sums are at the places that occur, row by row of the core.

    Attributes
    ----------
    cells, order : (m,) arrays of int
        The second: their numbers in the order of the columns.
    levels, counts : (m,) arrays of int
        The level of each, in that order, and its pairs, which follow each other; the last
        one is the cell itself.
    others, numbers : (n_pairs,) arrays of int
        The other cell of each pair, by its number among `cells`, and the pair's place.
    places : tuple of (n_places,) arrays of int
        Row and column of each place in the lower triangle of the core.
    n_core : int
    """

    cells: IntArray
    order: IntArray
    levels: IntArray
    counts: IntArray
    others: IntArray
    numbers: NDArray[Any]
    places: tuple[IntArray, IntArray]
    n_core: int

    @staticmethod
    def of(cells: IntArray, rows: IntArray, columns: IntArray, n_core: int) -> "CellPairs":
        index: Any = np.int32 if n_core**2 < 2**31 else np.int64
        starts = np.searchsorted(rows, np.arange(rows.max(initial=-1) + 2))
        cell = sp.csr_array((np.arange(len(rows)), columns, starts), (len(starts) - 1, n_core))
        order = cell.tocsc().data  # in the order of the columns
        # Of each cell the first one of its level, and where its pairs stop
        first, levels = starts[rows][order], rows[order]
        counts = order - first + 1
        stops = np.cumsum(counts)
        others = np.arange(counts.sum())
        others += np.repeat(first - stops + counts, counts)
        keys = np.repeat(columns[order] * n_core, counts)
        keys += columns[others]
        # The places that occur, numbered row by row
        is_place = np.zeros(n_core**2, np.bool_)
        is_place[keys] = True
        numbers = (np.cumsum(is_place, dtype=index) - 1)[keys]
        places = np.divmod(np.flatnonzero(is_place), n_core)
        return CellPairs(cells, order, levels, counts, others, numbers, places, n_core)

    def _sums(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Sum l'r over levels and rows, at the places."""
        values = np.zeros(len(self.others))
        for a, b in zip(left[:, self.cells], right[:, self.cells], strict=True):
            values += np.repeat(a[self.order], self.counts) * b[self.others]
        return np.asarray(np.bincount(self.numbers, values, self.places[0].size), np.float64)

    def products(self, left: FloatArray, right: FloatArray | None = None) -> FloatArray:
        sums = self._sums(left, left if right is None else right)
        sums += 0.0 if right is None else self._sums(right, left)
        out = np.zeros((self.n_core,) * 2)
        self.subtract(out, -sums)
        return out

    def take(self, matrix: FloatArray, values: FloatArray) -> None:
        self.subtract(matrix, self._sums(values, values))

    def subtract(self, matrix: FloatArray, sums: FloatArray) -> None:
        """Subtract sums at the places from both triangles of a symmetric matrix."""
        (row, column), width, flat = self.places, matrix.shape[1], matrix.reshape(-1)
        lower = row * width + column
        left = flat[lower] - sums
        flat[lower] = left
        flat[column * width + row] = left

    def squares(self, values: FloatArray) -> CellSquares | None:
        if len(values) > 1:
            return None
        (own,) = values[:, self.cells]
        data = np.repeat(own[self.order], self.counts)
        data *= own[self.others]
        starts = np.concatenate([[0], np.cumsum(self.counts)]).astype(self.numbers.dtype)
        shape = len(self.places[0]), len(self.order)
        return CellSquares(self, sp.csc_array((data, self.numbers, starts), shape=shape))

    def sampled(self, matrix: FloatArray) -> sp.csr_array:
        """Return a symmetric matrix of the core at the pairs, its diagonal halved, (m, m)."""
        starts, m = np.concatenate([[0], np.cumsum(self.counts)]), len(self.cells)
        data = matrix[self.places][self.numbers]
        data[starts[1:] - 1] *= 0.5
        return sp.csr_array((data, self.others, starts), shape=(m, m))

    def times(self, sampled: sp.csr_array, values: FloatArray) -> FloatArray:
        own = np.ascontiguousarray(values[:, self.cells].T)
        out = np.asarray(sampled.T @ own[self.order])
        out[self.order] += sampled @ own
        return out.T


@dataclass(frozen=True)
class DenseCells(CoreCells):
    """Cells as dense rows of the levels, in parts of 32 MB."""

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
class SparseCells(CoreCells):
    """Cells as sparse matrices, (q, n_core), where their pairs are too many to keep."""

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
