"""Weighted cross-products of the columns: the statistics that a fit reads.

Over rows i with weights w_i and columns d_0 = 1, d_1 … d_m, the last one y, a
`CrossProducts` holds Σ w (d − c)(d − c)' in total and, for each grouping factor
and level, the rows of it that belong to the factor's own columns. The center c
is near the mean, so that no digits are lost to it. Everything a fit computes is
a function of these sums; their size does not depend on the number of rows (see
docs/mathematics.md, "Cross-products, centers and scales").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

# A column whose centered sum of squares is below this share of its raw one is
# constant: the rounding of n equal numbers around their mean (about eps²).
CONSTANT_SHARE = 1e-26


@dataclass(frozen=True)
class FactorProducts:
    """Per-level cross-products of one grouping factor.

    Attributes
    ----------
    columns : tuple of int
        The r columns that carry a coefficient; the first is 0, the ones.
    sums : (q, r, m) array
        Σ w (d_a − c_a)(d_b − c_b) over the rows of each level.
    counts : (q,) array of int
        Rows of each level.
    """

    columns: tuple[int, ...]
    sums: FloatArray
    counts: NDArray[np.int64]

    def shifted(self, shift: FloatArray) -> "FactorProducts":
        sums = self.sums - self.sums[:, :, :1] * shift
        own = shift[list(self.columns)]
        sums -= own[:, None] * sums[:, :1, :]
        return replace(self, sums=sums)

    def aligned(self, places: IntArray, n_levels: int) -> "FactorProducts":
        """Return the same sums with level j at places[j] of `n_levels`."""
        sums = np.zeros((n_levels, *self.sums.shape[1:]))
        counts = np.zeros(n_levels, dtype=self.counts.dtype)
        sums[places], counts[places] = self.sums, self.counts
        return replace(self, sums=sums, counts=counts)

    def plus(self, other: "FactorProducts", *, overwrite: bool) -> "FactorProducts":
        """Add the sums of further rows; `overwrite`: in the arrays of either side."""
        many, few = (other, self) if len(other.counts) > len(self.counts) else (self, other)
        sums, counts = many.sums, many.counts
        if not overwrite:
            sums, counts = sums.copy(), counts.copy()
        sums[: len(few.counts)] += few.sums
        counts[: len(few.counts)] += few.counts
        return replace(self, sums=sums, counts=counts)


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


@dataclass(frozen=True)
class CrossProducts:
    """Cross-products of all rows seen.

    Attributes
    ----------
    n_rows : int
    sum_log_weights : float
    center : (m,) array
        What was subtracted from each column; 0 for the ones.
    total : (m, m) array
    factors : tuple of FactorProducts
    pairs : tuple of PairProducts
        Of each two factors, in the order (0, 1), (0, 2), (1, 2) …
    unweighted : (m, m) array or None
        Σ (d − c)(d − c)' without the weights, which no fit uses, but averages
        over rows; None where all weights are 1, for `total`.
    """

    n_rows: int
    sum_log_weights: float
    center: FloatArray
    total: FloatArray
    factors: tuple[FactorProducts, ...]
    pairs: tuple[PairProducts, ...] = ()
    unweighted: FloatArray | None = None

    @property
    def sum_weights(self) -> float:
        return float(self.total[0, 0])

    @property
    def mean(self) -> FloatArray:
        """Weighted mean of each column, (m,); 1 for the ones."""
        return self.center + self.total[0] / self.sum_weights

    @property
    def centered_squares(self) -> FloatArray:
        """Weighted sum of squares of each column around its mean, (m,)."""
        squares = np.diagonal(self.total) - self.total[0] ** 2 / self.sum_weights
        raw = np.diagonal(self.total) + self.center * (
            2 * self.total[0] + self.center * self.sum_weights
        )
        squares = np.where(squares <= CONSTANT_SHARE * raw, 0.0, squares)
        squares[0] = 0.0
        return squares

    def recentered(self, center: FloatArray) -> "CrossProducts":
        """Return the same sums around another center."""
        shift = center - self.center
        if not shift.any():
            return self
        total, plain = _shifted(self.total, shift), self.unweighted
        factors = tuple(f.shifted(shift) for f in self.factors)
        own = [shift[list(f.columns)] for f in self.factors]
        pairs = tuple(
            p.shifted((own[p.first], own[p.second]), (len(own[p.first]), len(own[p.second])))
            for p in self.pairs
        )
        return replace(
            self,
            center=center,
            total=total,
            factors=factors,
            pairs=pairs,
            unweighted=None if plain is None else _shifted(plain, shift),
        )

    def aligned(self, places: Sequence[IntArray], n_levels: Sequence[int]) -> "CrossProducts":
        """Return the same sums with each factor's levels numbered anew."""
        sizes = [len(f.columns) for f in self.factors]
        return replace(
            self,
            factors=tuple(
                f.aligned(own, q) for f, own, q in zip(self.factors, places, n_levels, strict=True)
            ),
            pairs=tuple(
                p.aligned(
                    (places[p.first], places[p.second]),
                    (n_levels[p.first], n_levels[p.second]),
                    (sizes[p.first], sizes[p.second]),
                )
                for p in self.pairs
            ),
        )

    def in_units(self, unit: float) -> "CrossProducts":
        """Return the sums for weights in another unit."""
        if unit == 1.0:
            return self
        return replace(
            self,
            sum_log_weights=self.sum_log_weights - self.n_rows * float(np.log(unit)),
            total=self.total / unit,
            factors=tuple(replace(f, sums=f.sums / unit) for f in self.factors),
            pairs=tuple(replace(p, matrix=sp.csr_array(p.matrix / unit)) for p in self.pairs),
        )

    def __add__(self, other: "CrossProducts") -> "CrossProducts":
        return self.plus(other)

    def plus(self, other: "CrossProducts", *, overwrite: bool = False) -> "CrossProducts":
        """Add the sums of further rows on the same columns.

        Levels have the same numbers on both sides (see `aligned`); one side may
        lack the last ones. Both sides move to a center near the pooled mean:
        around either side's own one, the mean of a small or unrepresentative
        side would cost digits. With `overwrite` the sums per level may be added
        in the arrays of either side.
        """
        weights = np.array([self.sum_weights, other.sum_weights])
        pooled = (weights[0] * self.mean + weights[1] * other.mean) / weights.sum()
        pooled[0] = 0.0
        center = _keep_if_near(self, other, pooled)
        a, b = self.recentered(center), other.recentered(center)
        return CrossProducts(
            n_rows=a.n_rows + b.n_rows,
            sum_log_weights=a.sum_log_weights + b.sum_log_weights,
            center=center,
            total=a.total + b.total,
            factors=tuple(
                f.plus(g, overwrite=overwrite) for f, g in zip(a.factors, b.factors, strict=True)
            ),
            pairs=tuple(p + q for p, q in zip(a.pairs, b.pairs, strict=True)),
            unweighted=_added(a, b),
        )


def sorted_rows(matrix: sp.csr_array) -> sp.csr_array:
    matrix.sort_indices()
    return matrix


def _shifted(total: FloatArray, shift: FloatArray) -> FloatArray:
    """Move the center of the sums over all rows."""
    out = total - np.outer(total[0], shift)
    out -= np.outer(shift, out[0])
    return out


def _added(a: CrossProducts, b: CrossProducts) -> FloatArray | None:
    """Add the sums without weights."""
    if a.unweighted is None and b.unweighted is None:
        return None
    return sum_of_rows(a) + sum_of_rows(b)


def sum_of_rows(stats: CrossProducts) -> FloatArray:
    """Σ (d − c)(d − c)' over the rows, each counted once, (m, m)."""
    return stats.total if stats.unweighted is None else stats.unweighted


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


def has_drifted(stats: CrossProducts) -> bool:
    """Whether the center is more than one standard deviation off the mean."""
    mean = stats.mean[1:]
    variance = stats.centered_squares[1:] / stats.sum_weights
    offset = mean - stats.center[1:]
    return bool(np.any(offset**2 > np.maximum(variance, CONSTANT_SHARE * mean**2)))


def _keep_if_near(a: CrossProducts, b: CrossProducts, pooled: FloatArray) -> FloatArray:
    """Return the center of `a` if it serves both sides, else the pooled mean.

    To draw the mean of all rows off it by a standard deviation, `b` needs more
    weight than `a`: along a sum of many parts the center, and with it all
    levels, moves a logarithmic number of times.
    """
    around = _shifted(b.total, a.center - b.center)
    together = replace(a, total=a.total + around, factors=(), pairs=())
    return pooled if has_drifted(together) else a.center
