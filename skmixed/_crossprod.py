"""Weighted cross-products of the columns: the statistics that a fit reads.

Over rows i with weights w_i and columns d_0 = 1, d_1 … d_m, the last one y, a
`CrossProducts` holds Σ w (d − c)(d − c)' in total and, for each grouping factor
and level, the rows of it that belong to the factor's own columns. The center c
is near the mean, so that no digits are lost to it. Everything a fit computes is
a function of these sums; their size does not depend on the number of rows.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._design import Design, FactorDesign

FloatArray = NDArray[np.float64]

# Rows gathered at a time. The buffer of a block stays small beside the data; a
# stripe of it stays in the second-level cache while its columns are laid in.
BLOCK_ROWS = 131_072
STRIPE_ROWS = 4_096
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

    def __add__(self, other: "FactorProducts") -> "FactorProducts":
        return replace(self, sums=self.sums + other.sums, counts=self.counts + other.counts)


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
    """

    n_rows: int
    sum_log_weights: float
    center: FloatArray
    total: FloatArray
    factors: tuple[FactorProducts, ...]
    pairs: tuple[PairProducts, ...] = ()

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
        total = self.total - np.outer(self.total[0], shift)
        total -= np.outer(shift, total[0])
        factors = tuple(f.shifted(shift) for f in self.factors)
        own = [shift[list(f.columns)] for f in self.factors]
        pairs = tuple(
            p.shifted((own[p.first], own[p.second]), (len(own[p.first]), len(own[p.second])))
            for p in self.pairs
        )
        return replace(self, center=center, total=total, factors=factors, pairs=pairs)

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
        """Add the sums of further rows on the same columns and levels.

        Both sides move to a center near the pooled mean: around either side's
        own one, the mean of a small or unrepresentative side would cost digits.
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
            factors=tuple(f + g for f, g in zip(a.factors, b.factors, strict=True)),
            pairs=tuple(p + q for p, q in zip(a.pairs, b.pairs, strict=True)),
        )


def accumulate(design: Design) -> CrossProducts:
    """Reduce a set of rows to its cross-products, block by block.

    Costs n·m² / 2 multiplications in BLAS and n·r·m per factor in a sparse
    product; besides the result, memory for one block of rows.
    """
    # A block with fewer rows than levels would spend its time on empty levels.
    widest = max((f.n_levels * len(f.columns) for f in design.factors), default=0)
    step = max(BLOCK_ROWS, widest)
    table = np.empty((min(step, design.n_rows), design.n_columns))
    # Squares that overflow are found in the result, where they can be named.
    with np.errstate(over="ignore", invalid="ignore"):
        stats = _block(design, slice(0, step), None, table)
        for start in range(step, design.n_rows, step):
            stats = stats + _block(design, slice(start, start + step), stats.center, table)
    return stats


def _block(
    design: Design, rows: slice, center: FloatArray | None, table: FloatArray
) -> CrossProducts:
    """Reduce one block around `center`, or around its own mean if that is far.

    `table` is overwritten: first writes to fresh memory would cost as much as
    the arithmetic.
    """
    weights = None if design.weights is None else design.weights[rows]
    around = _block_mean(design, rows, weights) if center is None else center
    table = table[: len(design.y[rows])]
    total = _gather(design, rows, weights, around, table)
    stats = CrossProducts(
        n_rows=len(table),
        sum_log_weights=0.0 if weights is None else float(np.log(weights).sum()),
        center=around,
        total=total,
        factors=(),
    )
    if center is not None and _has_drifted(stats, stats.mean):
        return _block(design, rows, None, table)
    z = [_indicators(f, rows, table) for f in design.factors]
    return replace(
        stats,
        factors=tuple(
            _factor_block(f, rows, own, table) for f, own in zip(design.factors, z, strict=True)
        ),
        pairs=tuple(
            PairProducts(f, g, _cell_products(z[f], z[g], design.factors[f], design.factors[g]))
            for f, g in combinations(range(len(z)), 2)
        ),
    )


def _block_mean(design: Design, rows: slice, weights: FloatArray | None) -> FloatArray:
    columns = (*design.columns, design.y)
    return np.array([0.0, *(np.average(column[rows], weights=weights) for column in columns)])


def _gather(
    design: Design,
    rows: slice,
    weights: FloatArray | None,
    center: FloatArray,
    table: FloatArray,
) -> FloatArray:
    """Lay the centered columns, times √w, side by side; return the sum of their products."""
    columns = [column[rows] for column in (*design.columns, design.y)]
    table[:, 0] = 1.0
    total = np.zeros((table.shape[1],) * 2)
    root = None if weights is None else np.sqrt(weights)[:, None]
    for start in range(0, len(table), STRIPE_ROWS):
        part = slice(start, start + STRIPE_ROWS)
        stripe = table[part]
        for position, column in enumerate(columns, start=1):
            np.subtract(column[part], center[position], out=stripe[:, position])
        if root is not None:
            stripe *= root[part]
        total += stripe.T @ stripe
    return total


def _indicators(factor: FactorDesign, rows: slice, table: FloatArray) -> sp.csc_array:
    """Z' of one factor, (q·r, n): a row of the data is a column of it."""
    codes, (n, r) = factor.codes[rows], (len(table), len(factor.columns))
    index: Any = np.int32 if max(factor.n_levels, n) * r < 2**31 else np.int64
    indices = codes.astype(index)[:, None] * r + np.arange(r, dtype=index)
    starts = np.arange(0, n * r + 1, r, dtype=index)
    parts = (table[:, list(factor.columns)].ravel(), indices.ravel(), starts)
    return sp.csc_array(parts, shape=(factor.n_levels * r, n))


def _factor_block(
    factor: FactorDesign, rows: slice, z: sp.csc_array, table: FloatArray
) -> FactorProducts:
    """Sum the products per level, as a sparse (q·r, n) times a dense (n, m)."""
    shape = (factor.n_levels, len(factor.columns), table.shape[1])
    return FactorProducts(
        columns=factor.columns,
        sums=np.asarray(z @ table).reshape(shape),
        counts=np.bincount(factor.codes[rows], minlength=factor.n_levels),
    )


def _cell_products(
    first: sp.csc_array, second: sp.csc_array, f: FactorDesign, g: FactorDesign
) -> sp.csr_array:
    """Multiply Z_f' and Z_g; every cell that occurs with all its entries, zeros too."""
    size = len(f.columns), len(g.columns)
    product = sp.csr_array(first.tocsr() @ second.T)
    return _sorted(product if size == (1, 1) else product.tobsr(size).tocsr())


def _sorted(matrix: sp.csr_array) -> sp.csr_array:
    matrix.sort_indices()
    return matrix


def _add_keeping_zeros(a: sp.csr_array, b: sp.csr_array) -> sp.csr_array:
    """Add sparse matrices without dropping entries that happen to be zero."""
    parts = [m.tocoo() for m in (a, b)]
    data, rows, columns = (
        np.concatenate([getattr(m, name) for m in parts]) for name in ("data", "row", "col")
    )
    return _sorted(sp.coo_array((data, (rows, columns)), shape=a.shape).tocsr())


def _has_drifted(stats: CrossProducts, mean: FloatArray) -> bool:
    """Whether the center is more than one standard deviation off the mean."""
    offset = (mean - stats.center)[1:]
    variance = stats.centered_squares[1:] / stats.sum_weights
    return bool(np.any(offset**2 > np.maximum(variance, CONSTANT_SHARE * mean[1:] ** 2)))


def _keep_if_near(a: CrossProducts, b: CrossProducts, pooled: FloatArray) -> FloatArray:
    """Return the center of `a` if it serves both, else the pooled mean."""
    if np.array_equal(a.center, b.center) and not _has_drifted(a, pooled):
        return a.center
    return pooled
