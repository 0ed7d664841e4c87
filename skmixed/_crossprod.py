"""Weighted cross-products of the columns: the statistics that a fit reads.

Over rows i with weights w_i and columns d_0 = 1, d_1 … d_m, the last one y, a
`CrossProducts` holds Σ w (d − c)(d − c)' in total and, for each grouping factor
and level, the rows of it that belong to the factor's own columns. The center c
is near the mean, so that no digits are lost to it. Everything a fit computes is
a function of these sums; their size does not depend on the number of rows.
"""

from dataclasses import dataclass, replace
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
    """

    n_rows: int
    sum_log_weights: float
    center: FloatArray
    total: FloatArray
    factors: tuple[FactorProducts, ...]

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
        return replace(self, center=center, total=total, factors=factors)

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
        )


def accumulate(design: Design) -> CrossProducts:
    """Reduce a set of rows to its cross-products, block by block.

    Costs n·m² / 2 multiplications in BLAS and n·r·m per factor in a sparse
    product; besides the result, memory for one block of rows.
    """
    # A block with fewer rows than levels would spend its time on empty levels.
    widest = max((f.n_levels * len(f.columns) for f in design.factors), default=0)
    step = max(BLOCK_ROWS, widest)
    stats = _block(design, slice(0, step), None)
    for start in range(step, design.n_rows, step):
        block = _block(design, slice(start, start + step), stats.center)
        stats = stats + block
    return stats


def _block(design: Design, rows: slice, center: FloatArray | None) -> CrossProducts:
    """Reduce one block around `center`, or around its own mean if that is far."""
    design, rows = _sorted_block(design, rows)
    weights = None if design.weights is None else design.weights[rows]
    around = _block_mean(design, rows, weights) if center is None else center
    table, total = _gather(design, rows, weights, around)
    stats = CrossProducts(
        n_rows=len(table),
        sum_log_weights=0.0 if weights is None else float(np.log(weights).sum()),
        center=around,
        total=total,
        factors=(),
    )
    if center is not None and _has_drifted(stats, stats.mean):
        return _block(design, rows, None)
    return replace(stats, factors=tuple(_factor_block(f, rows, table) for f in design.factors))


def _sorted_block(design: Design, rows: slice) -> tuple[Design, slice]:
    """Take the rows of a block level by level where that pays.

    A row adds r·m numbers to its level's sums; they stay in the cache while
    rows of one level follow each other.
    """
    widest = max(design.factors, key=lambda f: f.n_levels * len(f.columns), default=None)
    if widest is None or len(widest.columns) == 1:
        return design, rows
    codes = widest.codes[rows]
    if np.all(codes[1:] >= codes[:-1]):
        return design, rows
    order = _counting_sort(codes, widest.n_levels)
    picked = Design(
        columns=tuple(column[rows][order] for column in design.columns),
        y=design.y[rows][order],
        weights=None if design.weights is None else design.weights[rows][order],
        factors=tuple(replace(f, codes=f.codes[rows][order]) for f in design.factors),
    )
    return picked, slice(None)


def _counting_sort(codes: NDArray[np.intp], n_levels: int) -> NDArray[np.int32]:
    """Sort small integers in linear time, as SciPy turns columns to rows."""
    n = len(codes)
    starts = np.arange(n + 1, dtype=np.int32)
    parts = (np.ones(n, np.int8), codes.astype(np.int32), starts)
    return np.asarray(sp.csc_array(parts, shape=(n_levels, n)).tocsr().indices)


def _block_mean(design: Design, rows: slice, weights: FloatArray | None) -> FloatArray:
    columns = (*design.columns, design.y)
    return np.array([0.0, *(np.average(column[rows], weights=weights) for column in columns)])


def _gather(
    design: Design, rows: slice, weights: FloatArray | None, center: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Lay the centered columns, times √w, side by side; sum their products."""
    columns = [column[rows] for column in (*design.columns, design.y)]
    table = np.empty((len(columns[0]), len(columns) + 1))
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
    return table, total


def _factor_block(factor: FactorDesign, rows: slice, table: FloatArray) -> FactorProducts:
    """Sum the products per level, as a sparse (q·r, n) times a dense (n, m)."""
    codes = factor.codes[rows]
    n, m = table.shape
    r = len(factor.columns)
    index: Any = np.int32 if max(factor.n_levels, n) * r < 2**31 else np.int64
    indices = codes.astype(index)[:, None] * r + np.arange(r, dtype=index)
    starts = np.arange(0, n * r + 1, r, dtype=index)
    parts = (table[:, list(factor.columns)].ravel(), indices.ravel(), starts)
    z = sp.csc_array(parts, shape=(factor.n_levels * r, n))
    return FactorProducts(
        columns=factor.columns,
        sums=np.asarray(z @ table).reshape(factor.n_levels, r, m),
        counts=np.bincount(codes, minlength=factor.n_levels),
    )


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
