"""Cross-products within the levels of a grouping factor, and within the cells of two."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._statistics.frame import (
    RANK_TOLERANCE,
    ROUNDING,
    Frame,
    Resolution,
    orthogonalize,
)
from skmixed._statistics.row_sums import RowSums
from skmixed._typing import FloatArray, FrameChange, IntArray


@dataclass(frozen=True)
class OwnColumns:
    """Some columns of a design in a frame of their own.

    Attributes
    ----------
    frame : Frame
        Of these r columns.
    rows : (k, r) array
        f in an orthonormal basis of the rows.
    spreads, raw : (r,) arrays
        Lengths of the columns around their means, of the ones as they are, and of all as
        they are.
    """

    frame: Frame
    rows: FloatArray
    spreads: FloatArray
    raw: FloatArray

    @staticmethod
    def of(sums: RowSums, columns: tuple[int, ...], regression: FloatArray | None) -> "OwnColumns":
        """Read some columns off the sums over all rows."""
        spreads, own = np.sqrt(sums.centered_squares), list(columns)
        spreads[0] = np.sqrt(sums.sum_weights)
        return OwnColumns(
            frame=Frame(sums.center[own], regression),
            rows=sums.basis.factor @ sums.frame.of_own_columns(columns, regression),
            spreads=spreads[own],
            raw=np.sqrt(sums.raw_squares[own]),
        )

    @property
    def lengths(self) -> FloatArray:
        """Lengths of the columns f, (r,)."""
        return np.asarray(np.sqrt(np.square(self.rows).sum(axis=0)))

    def picked(self, kept: tuple[int, ...]) -> "OwnColumns":
        """Return some of them, of columns in a frame without a regression."""
        own = list(kept)
        frame = Frame(self.frame.center[own])
        return OwnColumns(frame, self.rows[:, own], self.spreads[own], self.raw[own])

    @property
    def are_resolved(self) -> bool:
        """Whether the products of f tell each column from the others."""
        nothing = (ROUNDING * self.frame.lengths(self.raw)) ** 2
        return Resolution.of(self.rows.T @ self.rows, nothing).is_good

    @property
    def independent(self) -> NDArray[np.bool_]:
        """Which columns f have more than rounding, and are no combinations of others, (r,)."""
        near = RANK_TOLERANCE * self.frame.lengths(self.spreads)
        rounding = ROUNDING * self.frame.lengths(self.raw)
        return np.asarray(self.lengths > np.maximum(near, rounding))


def own_regression(
    sums: RowSums, columns: tuple[int, ...], known: FloatArray | None = None
) -> FloatArray | None:
    """Decide the frame of some columns: their own E, (r, r); None for the identity.

    The identity where it serves the independent ones, as it does where it serves the whole
    design; else a known one where that serves; else one for these rows.
    """
    if sums.regression is None:
        return None
    plain = OwnColumns.of(sums, columns, None)
    if plain.are_resolved:
        return None
    found = orthogonalize(plain.rows, plain.lengths, plain.raw)
    if plain.picked(found.kept).are_resolved:
        return None
    if known is not None and OwnColumns.of(sums, columns, known).are_resolved:
        return known
    return found.regression


@dataclass(frozen=True)
class FactorProducts:
    """Per-level cross-products of one grouping factor.

    Attributes
    ----------
    columns : tuple of int
        The r columns that carry a coefficient; the first is 0, the ones. They are in a
        frame of their own, f with d − c = fE of these columns.
    products : (q, r, k + R) array
        `sums` and `responses`, side by side.
    n_responses : int
        R.
    counts : (q,) array of int
        Rows of each level.
    regression : (r, r) array or None
        E of these columns, unit upper triangular; None for the identity, f = d − c.
    """

    columns: tuple[int, ...]
    products: FloatArray
    n_responses: int
    counts: NDArray[np.int64]
    regression: FloatArray | None = None

    @property
    def sums(self) -> FloatArray:
        """Σ w f_a e_b over the rows of each level, (q, r, k)."""
        return self.products[:, :, : self.products.shape[2] - self.n_responses]

    @property
    def responses(self) -> FloatArray:
        """Σ w f_a u over the rows of each level, (q, r, R)."""
        return self.products[:, :, self.products.shape[2] - self.n_responses :]

    def frame(self, center: FloatArray) -> Frame:
        """Return the frame of the factor's columns; `center` is that of the design, (k,)."""
        return Frame(center[list(self.columns)], self.regression)

    def moved(self, rows: FrameChange, own: FrameChange, regression: FloatArray | None) -> Self:
        """Move rows e to eM − s, and the factor's rows f to a frame with a regression."""
        change, shift = rows
        sums = self.sums if change is None else self.sums @ change
        sums = sums - sums[:, :, :1] * shift
        products = np.concatenate([sums, self.responses], axis=2)
        products = _with_rows_moved(products, own)
        return replace(self, products=products, regression=regression)

    def with_responses_moved(self, delta: FloatArray) -> "FactorProducts":
        """Return the sums of u + e'δ."""
        return self.with_responses(self.responses + self.sums @ delta)

    def with_responses(self, responses: FloatArray) -> "FactorProducts":
        """Return the same sums of the columns beside those of other responses, (q, r, R)."""
        products = np.concatenate([self.sums, responses], axis=2)
        return replace(self, products=products, n_responses=responses.shape[2])

    def aligned(self, places: IntArray, n_levels: int) -> "FactorProducts":
        """Return the same sums with level j at places[j] of `n_levels`."""
        products = np.zeros((n_levels, *self.products.shape[1:]))
        counts = np.zeros(n_levels, dtype=self.counts.dtype)
        products[places], counts[places] = self.products, self.counts
        return replace(self, products=products, counts=counts)

    def plus(self, other: "FactorProducts", *, overwrite: bool) -> "FactorProducts":
        """Add the sums of further rows; `overwrite`: in the arrays of either side."""
        many, few = (other, self) if len(other.counts) > len(self.counts) else (self, other)
        products, counts = many.products, many.counts
        if not overwrite:
            products, counts = products.copy(), counts.copy()
        products[: len(few.counts)] += few.products
        counts[: len(few.counts)] += few.counts
        return replace(self, products=products, counts=counts)


@dataclass(frozen=True)
class PairProducts:
    """Cross-products of two grouping factors, over the cells that occur.

    Attributes
    ----------
    first, second : int
        Positions of the factors.
    matrix : sparse (q₁·r₁, q₂·r₂) array
        Σ w f_a f_b over the rows of each pair of levels, f of each factor in the frame
        of its columns; every pair that occurs has all its r₁ × r₂ entries, level by level.
    """

    first: int
    second: int
    matrix: sp.csr_array

    def moved(self, first: FrameChange, second: FrameChange) -> "PairProducts":
        """Move the rows f of both factors to fM − s."""
        if not any(change is not None or shift.any() for change, shift in (first, second)):
            return self
        blocks = self.matrix.tobsr((len(first[1]), len(second[1])))
        values = _with_rows_moved(blocks.data, first).transpose(0, 2, 1)
        values = _with_rows_moved(values, second).transpose(0, 2, 1)
        parts = (np.ascontiguousarray(values), blocks.indices, blocks.indptr)
        return replace(self, matrix=sp.bsr_array(parts, shape=self.matrix.shape).tocsr())

    def aligned(
        self, places: tuple[IntArray, IntArray], n_levels: tuple[int, int], sizes: tuple[int, int]
    ) -> "PairProducts":
        """Return the same cells with other numbers of the levels.

        `sizes` are the columns of the factors.
        """
        entries = self.matrix.tocoo()
        at = [
            place[index // size] * size + index % size
            for place, index, size in zip(places, (entries.row, entries.col), sizes, strict=True)
        ]
        shape = (n_levels[0] * sizes[0], n_levels[1] * sizes[1])
        matrix = sp.coo_array((entries.data, (at[0], at[1])), shape=shape).tocsr()
        return replace(self, matrix=sorted_rows(matrix))

    def __add__(self, other: "PairProducts") -> "PairProducts":
        return replace(self, matrix=_add_keeping_zeros(self.matrix, other.matrix))


def _with_rows_moved(products: FloatArray, own: FrameChange) -> FloatArray:
    """Move rows f, whose first is 1, to fM − s in their products with others, (n, r, m)."""
    change, shift = own
    moved = products if change is None else change.T @ products
    return moved - shift[:, None] * moved[:, :1, :]


def sorted_rows(matrix: sp.csr_array) -> sp.csr_array:
    matrix.sort_indices()
    return matrix


def _add_keeping_zeros(a: sp.csr_array, b: sp.csr_array) -> sp.csr_array:
    """Add sparse matrices without dropping entries that happen to be zero.

    The smaller one is filled up with empty rows and columns.
    """
    parts = [m.tocoo() for m in (a, b)]
    data, rows, columns = (
        np.concatenate([getattr(m, name) for m in parts]) for name in ("data", "row", "col")
    )
    shape = (max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1]))
    return sorted_rows(sp.coo_array((data, (rows, columns)), shape=shape).tocsr())
