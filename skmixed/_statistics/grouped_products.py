"""Cross-products within the levels of a grouping factor, and within the cells of two."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class FactorProducts:
    """Per-level cross-products of one grouping factor.

    Attributes
    ----------
    columns : tuple of int
        The r columns that carry a coefficient; the first is 0, the ones.
    products : (q, r, k + R) array
        `sums` and `responses`, side by side.
    n_responses : int
        R.
    counts : (q,) array of int
        Rows of each level.
    """

    columns: tuple[int, ...]
    products: FloatArray
    n_responses: int
    counts: NDArray[np.int64]

    @property
    def sums(self) -> FloatArray:
        """Σ w (d_a − c_a) e_b over the rows of each level, (q, r, k)."""
        return self.products[:, :, : self.products.shape[2] - self.n_responses]

    @property
    def responses(self) -> FloatArray:
        """Σ w (d_a − c_a) u over the rows of each level, (q, r, R)."""
        return self.products[:, :, self.products.shape[2] - self.n_responses :]

    def moved(
        self, change: FloatArray | None, shift: FloatArray, own: FloatArray
    ) -> "FactorProducts":
        """Move rows e to e'M − s, and the center of the factor's columns by `own`, (r,)."""
        sums = self.sums if change is None else self.sums @ change
        sums = sums - sums[:, :, :1] * shift
        products = np.concatenate([sums, self.responses], axis=2)
        products -= own[:, None] * products[:, :1, :]
        return replace(self, products=products)

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
        Σ w (d_a − c_a)(d_b − c_b) over the rows of each pair of levels; every
        pair that occurs has all its r₁ × r₂ entries, level by level.
    """

    first: int
    second: int
    matrix: sp.csr_array

    def shifted(self, own: tuple[FloatArray, FloatArray]) -> "PairProducts":
        """Move the center of both factors' columns, by (r₁,) and (r₂,)."""
        if not own[0].any() and not own[1].any():
            return self
        blocks = self.matrix.tobsr((len(own[0]), len(own[1])))
        values = blocks.data - own[0][:, None] * blocks.data[:, :1, :]
        values -= values[:, :, :1] * own[1]
        parts = (values, blocks.indices, blocks.indptr)
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
