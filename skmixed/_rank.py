"""The independent columns of X, in coordinates that keep their digits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._crossprod import CrossProducts, total_around
from skmixed._design import Model
from skmixed._frame import ROUNDING, Frame, is_resolved, orthogonalize

FloatArray = NDArray[np.float64]

# Share of y'y (centered) that rounding leaves of a residual sum of squares of 0.
EXACT_FIT_SHARE = 1e-13


@dataclass(frozen=True)
class WorkingColumns:
    """The columns of X and y that a factorization works with: (d − center) T.

    Attributes
    ----------
    kept : tuple of int
        Positions, among the model's fixed effects, of the independent ones.
    used : tuple of int
        These columns of the statistics, and that of y.
    center : (p + 1,) array
    transform : (p + 1, p + 1) array or None
        T, unit upper triangular; None for the identity.
    """

    kept: tuple[int, ...]
    used: tuple[int, ...]
    center: FloatArray
    transform: FloatArray | None

    def change_from(self, frame: Frame) -> FloatArray | None:
        """Return M with which rows in a frame give these columns, (m, p + 1).

        None where M only selects columns.
        """
        used, inverse = list(self.used), frame.inverse
        shift = frame.center[used] - self.center
        if inverse is None and self.transform is None and not shift.any():
            return None
        change = (np.eye(len(frame.center)) if inverse is None else inverse)[:, used]
        change[0] += shift
        return change if self.transform is None else change @ self.transform

    def total(self, stats: CrossProducts) -> FloatArray:
        """Return the products of these columns, (p + 1, p + 1)."""
        change = self.change_from(stats.frame)
        if change is None:
            return stats.total[np.ix_(self.used, self.used)]
        total = change.T @ stats.total @ change
        return np.asarray((total + total.T) / 2.0)

    def with_columns_of(self, stats: CrossProducts, k: int) -> FloatArray:
        """Return the products of factor k's columns with these, per level, (q, r, p + 1)."""
        change, sums = self.change_from(stats.frame), stats.factors[k].sums
        return sums[:, :, list(self.used)] if change is None else sums @ change

    def floor(self, stats: CrossProducts, y_squares: float) -> float:
        """Return the residual sum of squares that rounding leaves of an exact fit.

        `y_squares` are those of y as it is here. Each column that was taken off it
        has left the rounding of its own values.
        """
        raw = stats.raw_squares[list(self.used)]
        if self.transform is None:
            return residual_floor(float(raw[-1]), y_squares)
        off_y = self.transform[:, -1]
        return residual_floor(float(np.count_nonzero(off_y) * (raw @ off_y**2)), y_squares)


def working_columns(stats: CrossProducts, model: Model) -> WorkingColumns:
    """Decide the rank of X, and the coordinates of its columns and y.

    The first independent columns stay. With an intercept they are centered; and
    where one nearly depends on those before it, or y does, it is taken less its
    regression on them.
    """
    y = len(stats.center) - 1
    columns = [*model.fixed, y]
    center = stats.center if model.has_intercept else np.zeros_like(stats.center)
    kept, transform = _independent(stats, columns, center)
    used = (*(model.fixed[k] for k in kept), y)
    return WorkingColumns(kept, used, center[list(used)], transform)


def _independent(
    stats: CrossProducts, columns: list[int], center: FloatArray
) -> tuple[tuple[int, ...], FloatArray | None]:
    """Return the positions of the independent columns before y, and T of these and y."""
    factor, y = stats.factor_around(center), len(columns) - 1
    raw = np.sqrt(stats.raw_squares[columns])
    spreads = np.sqrt(np.square(factor[1:, columns]).sum(axis=0))
    factor = factor[:, columns]
    gram, nothing = factor.T @ factor, (ROUNDING * raw) ** 2
    is_good = is_resolved(gram, nothing)
    if is_good and (np.diagonal(gram) > nothing)[:-1].all():
        return tuple(range(y)), None
    found = orthogonalize(factor, spreads, raw)
    kept = tuple(k for k in found.kept if k < y)
    if is_good or found.transform is None:
        return kept, None
    used = [*kept, y]
    return kept, found.transform[np.ix_(used, used)]


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
