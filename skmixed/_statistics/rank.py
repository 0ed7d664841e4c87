"""The independent columns of X, and y beside them, in coordinates that keep their digits."""

from dataclasses import dataclass

import numpy as np

from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.frame import (
    ROUNDING,
    Resolution,
    orthogonalize,
    residuals,
    solve_upper,
)
from skmixed._statistics.responses import (
    ResponseTotals,
    are_resolved,
    regression_on,
)
from skmixed._statistics.row_sums import RowBasis, RowSums
from skmixed._typing import FloatArray

# Share of y'y (centered) that rounding leaves of a residual sum of squares of 0.
EXACT_FIT_SHARE = 1e-13


@dataclass(frozen=True)
class IndependentColumns:
    """The columns of X that a factorization works with: X − c = X̃E.

    Attributes
    ----------
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    used : tuple of int
        These columns of the statistics, p of them.
    center : (p,) array
    regression : (p, p) array or None
        E, unit upper triangular; None for the identity.
    """

    kept: tuple[int, ...]
    used: tuple[int, ...]
    center: FloatArray
    regression: FloatArray | None

    def of_rows(self, rows: FloatArray) -> FloatArray:
        """Turn rows X − c, (…, p), to rows X̃."""
        return rows if self.regression is None else residuals(rows, self.regression)

    def change_from(self, stats: RowSums) -> FloatArray | None:
        """Return M with which rows e of the statistics give rows X̃, (k, p).

        None where M only selects columns. Of what is left of a column to rounding
        nothing is taken, since large coefficients may go with it.
        """
        used = list(self.used)
        shift = stats.center[used] - self.center
        if stats.regression is None and self.regression is None and not shift.any():
            return None
        change = stats.frame.coefficients(np.eye(len(stats.center)))[:, used]
        change[stats.vanished] = 0.0
        change[0] += shift
        return self.of_rows(change)


@dataclass(frozen=True)
class WorkingColumns:
    """The columns of X and y that a factorization works with: y − c = ỹ + X̃γ beside X̃.

    Attributes
    ----------
    fixed : IndependentColumns
        X̃.
    response_center : float
        c.
    response_regression : (p,) array or None
        γ; None for 0.
    """

    fixed: IndependentColumns
    response_center: float
    response_regression: FloatArray | None

    @property
    def kept(self) -> tuple[int, ...]:
        return self.fixed.kept

    @property
    def n_columns(self) -> int:
        """Columns of X̃ and ỹ."""
        return len(self.fixed.used) + 1

    @property
    def center(self) -> FloatArray:
        """What was subtracted from these columns and from y, (p + 1,)."""
        return np.append(self.fixed.center, self.response_center)

    @property
    def regression(self) -> FloatArray | None:
        """E beside γ, which stands above the last column's 1, (p + 1, p + 1)."""
        if self.fixed.regression is None and self.response_regression is None:
            return None
        out, p = np.eye(self.n_columns), self.n_columns - 1
        if self.fixed.regression is not None:
            out[:p, :p] = self.fixed.regression
        if self.response_regression is not None:
            out[:p, p] = self.response_regression
        return out

    def response_change_from(self, stats: RowSums) -> FloatArray | None:
        """Return δ with ỹ = u + e'δ for the statistics' u, (k, 1); None for 0.

        ỹ = u + e'γ* + (c* − c) − X̃γ, with γ* and c* of the statistics.
        """
        own = stats.responses
        delta = np.zeros(len(stats.center))
        if own.regression is not None:
            delta += np.where(stats.vanished, 0.0, own.regression[:, 0])
        delta[0] += own.center[0] - self.response_center
        if self.response_regression is not None:
            change = self.fixed.change_from(stats)
            if change is None:
                delta[list(self.fixed.used)] -= self.response_regression
            else:
                delta -= change @ self.response_regression
        return delta[:, None] if delta.any() else None

    def total(self, stats: RowSums) -> FloatArray:
        """Return the products of these columns, (p + 1, p + 1)."""
        change, used = self.fixed.change_from(stats), list(self.fixed.used)
        delta = self.response_change_from(stats)
        of_response = stats.responses.total.moved(stats.total, delta)
        out, p = np.empty((self.n_columns,) * 2), self.n_columns - 1
        # T'ST with T from the columns of the statistics to these
        if change is None:
            out[:p, :p] = stats.total[np.ix_(used, used)]
            out[:p, p] = of_response.with_columns[used, 0]
        else:
            total = change.T @ stats.total @ change
            out[:p, :p] = (total + total.T) / 2.0
            out[:p, p] = change.T @ of_response.with_columns[:, 0]
        out[p, :p] = out[:p, p]
        out[p, p] = of_response.squares[0]
        return out

    def fixed_levels(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products of factor k's columns with X̃, per level, (q, r, p)."""
        change, sums = self.fixed.change_from(stats), stats.factors[k].sums
        return sums[:, :, list(self.fixed.used)] if change is None else sums @ change

    def response_levels(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products of factor k's columns with ỹ, per level, (q, r, 1)."""
        delta, factor = self.response_change_from(stats), stats.factors[k]
        return factor.responses if delta is None else factor.responses + factor.sums @ delta

    def levels(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products of factor k's columns with both, per level, (q, r, p + 1)."""
        parts = [self.fixed_levels(stats, k), self.response_levels(stats, k)]
        return np.concatenate(parts, axis=2)

    def floor(self, stats: RowSums, y_squares: float) -> float:
        """Return the residual sum of squares that rounding leaves of an exact fit.

        `y_squares` are those of ỹ. Each of the columns that were taken off y has left
        the rounding of its own values, and of one sum.
        """
        raw, gamma = float(stats.response_moments.raw_squares[0]), self.response_regression
        if gamma is None:
            return residual_floor(raw, y_squares)
        if self.fixed.regression is not None:
            gamma = solve_upper(self.fixed.regression, gamma, is_unit=True)
        n_taken = 1 + int(np.count_nonzero(gamma))
        of_columns = float(stats.raw_squares[list(self.fixed.used)] @ gamma**2)
        return residual_floor(n_taken**2 * (raw + of_columns), y_squares)


def working_columns(stats: RowSums, model: Model) -> WorkingColumns:
    """Decide the rank of X, and the coordinates of its columns and of y.

    y is centered where the columns are; and where it nearly depends on them, it is taken
    less its regression on them.
    """
    basis = stats.basis
    fixed, columns, resolution = independent_columns(basis, model)
    center = stats.responses.center if model.has_intercept else np.zeros(1)
    rows, raw = basis.responses_around(center), stats.response_moments.raw_squares
    total = ResponseTotals(columns.T @ rows.along, rows.lengths**2)
    if are_resolved(resolution, total, ROUNDING**2 * raw)[0]:
        return WorkingColumns(fixed, float(center[0]), None)
    if model.has_intercept:  # the exact mean: the center may be a deviation off it
        center = stats.response_moments.mean
    gamma = regression_on(columns, basis.responses_around(center).along)
    return WorkingColumns(fixed, float(center[0]), gamma[:, 0])


def independent_columns(
    basis: RowBasis, model: Model
) -> tuple[IndependentColumns, FloatArray, Resolution]:
    """Decide the rank of X; return X̃, its coordinates in the basis, (k, p), and their distances.

    The first independent columns stay. With an intercept they are centered; and where
    one nearly depends on those before it, it is taken less its regression on them.
    """
    stats, columns, p = basis.sums, list(model.fixed), len(model.fixed)
    center = stats.center if model.has_intercept else np.zeros_like(stats.center)
    raw = np.sqrt(stats.raw_squares[columns])
    factor, nothing = basis.columns_around(center)[:, columns], (ROUNDING * raw) ** 2
    resolution = Resolution.of(factor.T @ factor, nothing)
    kept, regression = tuple(range(p)), None
    if resolution.is_good and len(resolution.counted) == p:
        return IndependentColumns(kept, model.fixed, center[columns], None), factor, resolution
    exact = np.zeros_like(center)
    if model.has_intercept:  # the exact mean: the center may be a deviation off it
        exact[1:] = stats.mean[1:]
    around_exact = basis.columns_around(exact)[:, columns]
    found = orthogonalize(around_exact, np.linalg.norm(around_exact[1:], axis=0), raw)
    kept = found.kept
    if not resolution.is_good and found.regression is not None:
        center, factor = exact, around_exact
        regression = found.regression[np.ix_(kept, kept)]
    used = tuple(columns[j] for j in kept)
    out = IndependentColumns(kept, used, center[list(used)], regression)
    rows = out.of_rows(factor[:, list(kept)])
    return out, rows, Resolution.of(rows.T @ rows, np.zeros(len(kept)))


def residual_floor(raw: float, y_squares: float) -> float:
    """Return the residual sum of squares that rounding leaves of an exact fit.

    From the sums of squares of y as it is and around its center.
    """
    eps = np.finfo(float).eps
    rounding_of_y = raw * eps**2
    return max(EXACT_FIT_SHARE * y_squares, rounding_of_y, np.finfo(float).tiny)
