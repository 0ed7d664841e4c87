"""Cross-products of the columns of two grouping factors, kept where their levels meet."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from skmixed._typing import FloatArray, IntArray


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

    def shifted(self, own: tuple[FloatArray, FloatArray], sizes: tuple[int, int]) -> "PairProducts":
        """Move the center of both factors' columns."""
        if sizes == (1, 1):  # only the ones, which have no center
            return self
        blocks = self.matrix.tobsr(sizes)
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
