"""Weighted cross-products of the columns: the statistics that a fit reads.

Over rows i with weights w_i and columns d_0 = 1, d_1 … d_m, the last one y, a
`CrossProducts` holds Σ w ee' in total, for rows e' with (d − c)' = e'E, and for each
grouping factor and level Σ w (d_a − c_a) e' for the factor's own columns a. The
center c is near the mean, and E takes off columns their regression on others that
they nearly depend on, so that no digits are lost to either. Everything a fit
computes is a function of these sums; their size does not depend on the number of
rows (see docs/mathematics.md, "Cross-products, centers and scales").
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._statistics.frame import (
    ROUNDING,
    Frame,
    added_factors,
    is_resolved,
    orthogonalize,
    semidefinite_factor,
)
from skmixed._statistics.pair_products import PairProducts
from skmixed._typing import FloatArray, IntArray

# A column whose centered sum of squares is below this share of its raw one is constant.
CONSTANT_SHARE = ROUNDING**2


@dataclass(frozen=True)
class FactorProducts:
    """Per-level cross-products of one grouping factor.

    Attributes
    ----------
    columns : tuple of int
        The r columns that carry a coefficient; the first is 0, the ones.
    sums : (q, r, m) array
        Σ w (d_a − c_a) e_b over the rows of each level.
    counts : (q,) array of int
        Rows of each level.
    """

    columns: tuple[int, ...]
    sums: FloatArray
    counts: NDArray[np.int64]

    def moved(
        self, change: FloatArray | None, shift: FloatArray, own: FloatArray
    ) -> "FactorProducts":
        """Move rows e to e'M − s, and the center of the factor's columns by `own`, (r,)."""
        sums = self.sums if change is None else self.sums @ change
        sums = sums - sums[:, :, :1] * shift
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
class CrossProducts:
    """Cross-products of all rows seen.

    Attributes
    ----------
    n_rows : int
    sum_log_weights : float
    center : (m,) array
        What was subtracted from each column; 0 for the ones.
    total : (m, m) array
        Σ w ee'.
    factors : tuple of FactorProducts
    pairs : tuple of PairProducts
        Of each two factors, in the order (0, 1), (0, 2), (1, 2) …
    unweighted : (m, m) array or None
        Σ ee' without the weights, which no fit uses, but averages over rows; None
        where all weights are 1, for `total`.
    regression : (m, m) array or None
        E, unit upper triangular; None for the identity, e = d − c.
    """

    n_rows: int
    sum_log_weights: float
    center: FloatArray
    total: FloatArray
    factors: tuple[FactorProducts, ...]
    pairs: tuple[PairProducts, ...] = ()
    unweighted: FloatArray | None = None
    regression: FloatArray | None = None

    @property
    def frame(self) -> Frame:
        return Frame(self.center, self.regression)

    @property
    def sum_weights(self) -> float:
        return float(self.total[0, 0])

    @property
    def of_columns(self) -> FloatArray:
        """Σ w (d − c)(d − c)', of the columns themselves, (m, m)."""
        return self.untransformed(self.total)

    @property
    def mean(self) -> FloatArray:
        """Weighted mean of each column, (m,); 1 for the ones."""
        return self.center + self.of_columns[0] / self.sum_weights

    @property
    def raw_squares(self) -> FloatArray:
        """Weighted sum of squares of each column as it is, (m,)."""
        return _raw_squares(self.of_columns, self.center)

    @property
    def centered_squares(self) -> FloatArray:
        """Weighted sum of squares of each column around its mean, (m,)."""
        total = self.of_columns
        squares = np.diagonal(total) - total[0] ** 2 / self.sum_weights
        raw = _raw_squares(total, self.center)
        squares = np.where(squares <= CONSTANT_SHARE * raw, 0.0, squares)
        squares[0] = 0.0
        return squares

    @property
    def vanished(self) -> NDArray[np.bool_]:
        """Which columns have nothing left but rounding, (m,); y never counts as such."""
        found = np.diagonal(self.total) <= _rounding_squares(self.frame, self.raw_squares)
        found[-1] = False
        return np.asarray(found)

    def untransformed(self, total: FloatArray) -> FloatArray:
        """Return products of rows e as those of rows d − c, (m, m)."""
        own = self.regression
        return total if own is None else own.T @ total @ own

    def own_products(self, k: int) -> FloatArray:
        """Σ w (d_a − c_a)(d_b − c_b) for the columns of factor k, per level, (q, r, r)."""
        factor, own = self.factors[k], list(self.factors[k].columns)
        if self.regression is None:
            return factor.sums[:, :, own]
        products = factor.sums @ self.regression[:, own]
        return np.asarray((products + products.transpose(0, 2, 1)) / 2.0)

    def factor_around(self, center: FloatArray) -> FloatArray:
        """Return R, upper triangular, with R'R the products of rows d − center, (m, m).

        It has the digits of a QR of the rows.
        """
        factor = semidefinite_factor(self.total)
        factor = factor if self.regression is None else factor @ self.regression
        return factor + np.outer(factor[:, 0], self.center - center)

    def reframed(self, frame: Frame) -> "CrossProducts":
        """Return the same sums in another frame."""
        if self.frame.is_same(frame):
            return self
        change, shift = self.frame.change_to(frame)
        plain, moved = self.unweighted, frame.center - self.center
        own = [moved[list(f.columns)] for f in self.factors]
        return replace(
            self,
            center=frame.center,
            regression=frame.regression,
            total=_moved(self.total, change, shift),
            factors=tuple(
                f.moved(change, shift, c) for f, c in zip(self.factors, own, strict=True)
            ),
            pairs=tuple(
                p.shifted((own[p.first], own[p.second]), (len(own[p.first]), len(own[p.second])))
                if moved.any()
                else p
                for p in self.pairs
            ),
            unweighted=None if plain is None else _moved(plain, change, shift),
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
        lack the last ones. Both sides move to a frame that serves all rows: in
        either side's own one, the columns of a small or unrepresentative side
        would cost digits. With `overwrite` the sums per level may be added in the
        arrays of either side.
        """
        frame = _common_frame(self, other)
        a, b = self.reframed(frame), other.reframed(frame)
        return CrossProducts(
            n_rows=a.n_rows + b.n_rows,
            sum_log_weights=a.sum_log_weights + b.sum_log_weights,
            center=frame.center,
            regression=frame.regression,
            total=a.total + b.total,
            factors=tuple(
                f.plus(g, overwrite=overwrite) for f, g in zip(a.factors, b.factors, strict=True)
            ),
            pairs=tuple(p + q for p, q in zip(a.pairs, b.pairs, strict=True)),
            unweighted=_added(a, b),
        )


def _moved(total: FloatArray, change: FloatArray | None, shift: FloatArray) -> FloatArray:
    """Move the sums over all rows e to e'M − s."""
    if change is not None:
        total = change.T @ total @ change
        total = (total + total.T) / 2.0
    out = total - np.outer(total[0], shift)
    out -= np.outer(shift, out[0])
    return out


def _raw_squares(total: FloatArray, center: FloatArray) -> FloatArray:
    raw = np.diagonal(total) + center * (2.0 * total[0] + center * total[0, 0])
    return np.asarray(np.maximum(raw, 0.0))


def _added(a: CrossProducts, b: CrossProducts) -> FloatArray | None:
    """Add the sums without weights."""
    if a.unweighted is None and b.unweighted is None:
        return None
    return sum_of_rows(a) + sum_of_rows(b)


def sum_of_rows(stats: CrossProducts) -> FloatArray:
    """Σ ee' over the rows, each counted once, (m, m)."""
    return stats.total if stats.unweighted is None else stats.unweighted


def has_drifted(stats: CrossProducts) -> bool:
    """Whether the center is more than one standard deviation off the mean."""
    mean = stats.mean[1:]
    variance = stats.centered_squares[1:] / stats.sum_weights
    offset = mean - stats.center[1:]
    return bool(np.any(offset**2 > np.maximum(variance, CONSTANT_SHARE * mean**2)))


def is_resolving(total: FloatArray, frame: Frame, raw: FloatArray) -> bool:
    """Whether products in a frame keep the digits of columns of squares `raw`, (m,)."""
    return is_resolved(total, _rounding_squares(frame, raw))


def _rounding_squares(frame: Frame, raw: FloatArray) -> FloatArray:
    """Return the squares that rounding leaves of each column in a frame, (m,)."""
    return np.asarray((ROUNDING * frame.lengths(np.sqrt(raw))) ** 2)


def _common_frame(a: CrossProducts, b: CrossProducts) -> Frame:
    """Return a frame that serves the rows of both.

    Without a regression where that keeps the digits, or with that of `a`; else with
    one for all rows, from both sides' triangular factors.
    """
    center = _common_center(a, b)
    of_columns = total_around(a, center) + total_around(b, center)
    raw = _raw_squares(of_columns, center)
    if is_resolving(of_columns, Frame(center), raw):
        return Frame(center)
    kept = Frame(center, a.regression)
    if a.regression is not None:
        together = _in_frame(a, kept) + _in_frame(b, kept)
        if is_resolving(together, kept, raw):
            return kept
    factor = added_factors(a.factor_around(center), b.factor_around(center))
    spreads = np.sqrt(np.square(factor).sum(axis=0))
    return Frame(center, orthogonalize(factor, spreads, np.sqrt(raw)).regression)


def total_around(stats: CrossProducts, center: FloatArray) -> FloatArray:
    """Return Σ w (d − center)(d − center)' of the columns themselves, (m, m)."""
    return _in_frame(stats, Frame(center))


def _in_frame(stats: CrossProducts, frame: Frame) -> FloatArray:
    """Return the sums over all rows in a frame."""
    return _moved(stats.total, *stats.frame.change_to(frame))


def _common_center(a: CrossProducts, b: CrossProducts) -> FloatArray:
    """Return the center of `a` if it serves both sides, else the pooled mean.

    To draw the mean of all rows off it by a standard deviation, `b` needs more
    weight than `a`: along a sum of many parts the center, and with it all
    levels, moves a logarithmic number of times.
    """
    weights = np.array([a.sum_weights, b.sum_weights])
    pooled = (weights[0] * a.mean + weights[1] * b.mean) / weights.sum()
    pooled[0] = 0.0
    total = total_around(a, a.center) + total_around(b, a.center)
    together = replace(a, total=total, factors=(), pairs=(), regression=None)
    return pooled if has_drifted(together) else a.center
