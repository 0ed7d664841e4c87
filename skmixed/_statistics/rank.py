"""The independent columns of X, in coordinates that keep their digits."""

from dataclasses import dataclass

import numpy as np

from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts, total_around
from skmixed._statistics.frame import ROUNDING, is_resolved, orthogonalize, residuals
from skmixed._typing import FloatArray

# Share of y'y (centered) that rounding leaves of a residual sum of squares of 0.
EXACT_FIT_SHARE = 1e-13


@dataclass(frozen=True)
class WorkingColumns:
    """The columns of X and y that a factorization works with: [X y] − center = [X̃ ỹ] E.

    Attributes
    ----------
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    used : tuple of int
        These columns of the statistics, and that of y.
    center : (p + 1,) array
    regression : (p + 1, p + 1) array or None
        E, unit upper triangular; None for the identity.
    """

    kept: tuple[int, ...]
    used: tuple[int, ...]
    center: FloatArray
    regression: FloatArray | None

    def change_from(self, stats: CrossProducts) -> FloatArray | None:
        """Return M with which rows of the statistics give these columns, (m, p + 1).

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
        return change if self.regression is None else residuals(change, self.regression)

    def total(self, stats: CrossProducts) -> FloatArray:
        """Return the products of these columns, (p + 1, p + 1)."""
        change = self.change_from(stats)
        if change is None:
            return stats.total[np.ix_(self.used, self.used)]
        total = change.T @ stats.total @ change
        return np.asarray((total + total.T) / 2.0)

    def with_columns_of(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products of factor k's columns with these, per level, (q, r, p + 1)."""
        change, sums = self.change_from(stats), stats.factors[k].sums
        return sums[:, :, list(self.used)] if change is None else sums @ change

    def floor(self, stats: CrossProducts, y_squares: float) -> float:
        """Return the residual sum of squares that rounding leaves of an exact fit.

        `y_squares` are those of ỹ. Each of the columns that were taken off y has left
        the rounding of its own values, and of one sum.
        """
        raw = stats.raw_squares[list(self.used)]
        if self.regression is None:
            return residual_floor(float(raw[-1]), y_squares)
        off_y = residuals(np.eye(len(raw)), self.regression)[:, -1]
        return residual_floor(float(np.count_nonzero(off_y) ** 2 * (raw @ off_y**2)), y_squares)


def working_columns(stats: CrossProducts, model: Model) -> WorkingColumns:
    """Decide the rank of X, and the coordinates of its columns and y.

    The first independent columns stay. With an intercept they are centered; and
    where one nearly depends on those before it, or y does, it is taken less its
    regression on them.
    """
    y, p = len(stats.center) - 1, len(model.fixed)
    columns = [*model.fixed, y]
    nowhere = np.zeros_like(stats.center)
    center = stats.center if model.has_intercept else nowhere
    raw = np.sqrt(stats.raw_squares[columns])
    factor, nothing = stats.factor_around(center)[:, columns], (ROUNDING * raw) ** 2
    gram = factor.T @ factor
    is_good = is_resolved(gram, nothing)
    kept, regression = tuple(range(p)), None
    if not is_good or (np.diagonal(gram) <= nothing)[:p].any():
        exact = nowhere
        if model.has_intercept:  # the exact mean: the center may be a deviation off it
            exact = np.append(0.0, stats.mean[1:])
        factor = stats.factor_around(exact)[:, columns]
        found = orthogonalize(factor, np.linalg.norm(factor[1:], axis=0), raw)
        kept = tuple(k for k in found.kept if k < p)
        if not is_good and found.regression is not None:
            used = [*kept, p]
            center, regression = exact, found.regression[np.ix_(used, used)]
    used_columns = [*(model.fixed[k] for k in kept), y]
    return WorkingColumns(kept, tuple(used_columns), center[used_columns], regression)


def raw_total(stats: CrossProducts) -> FloatArray:
    """Return the products of the columns as they are, (m, m)."""
    return total_around(stats, np.zeros_like(stats.center))


def residual_floor(raw: float, y_squares: float) -> float:
    """Return the residual sum of squares that rounding leaves of an exact fit.

    From the sums of squares of y as it is and around its center.
    """
    eps = np.finfo(float).eps
    rounding_of_y = raw * eps**2
    return max(EXACT_FIT_SHARE * y_squares, rounding_of_y, np.finfo(float).tiny)
