"""Linear functions Lβ of the fixed effects, one for each cell of a grid."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._fitted.fitted_model import FittedModel
from skmixed._typing import FloatArray
from skmixed.inference._fixed_tests import FixedTests

# Share of the terms of a sum up to which the sum is 0.
ROUNDING = 1e-12
# Share of the largest singular value up to which one is none.
SAME = 1e-10


@dataclass(frozen=True)
class LinearEstimates:
    """Linear functions of the fixed effects, and the cells that they are of.

    Attributes
    ----------
    cells : DataFrame of shape (k, n_factors)
        The levels, or values, that each is at; a column for each variable of the grid.
    rows : (k, p) array
        L, over all fixed effects; NaN where there are no rows to take a mean of.
    offset : (k,) array
        What is added to Lβ.
    tests : FixedTests
        The estimates, and the distribution that tests refer to.
    by : tuple of str
        The variables within whose values the cells are compared.
    level : float
        The confidence level of the intervals.
    remarks : tuple of str
        What was averaged over and held: what is said of all made of them.
    model : FittedModel or None
        The fit that they are of.
    on : str
        What is said of their scale; "" where it is that of the response.
    of_differences : DataFrame or None
        The cells with the labels of differences, where those of `cells` are of ratios.
    means : (n, p) array or None
        L of the means, or slopes, that these are combinations of; None where they are `rows`.
    """

    cells: pd.DataFrame
    rows: FloatArray
    offset: FloatArray
    tests: FixedTests
    by: tuple[str, ...] = ()
    level: float = 0.95
    remarks: tuple[str, ...] = ()
    model: FittedModel | None = None
    on: str = ""
    of_differences: pd.DataFrame | None = None
    means: FloatArray | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """The scale, and what was averaged over and held."""
        return (self.on, *self.remarks) if self.on else self.remarks

    @property
    def names(self) -> list[str]:
        """The variables of the grid."""
        return [str(name) for name in self.cells.columns]

    @property
    def is_estimable(self) -> NDArray[np.bool_]:
        """Whether the data determine each, (k,); a row of L that is NaN is of no rows."""
        is_there = np.isfinite(self.rows).all(axis=1)
        return np.asarray(is_there & ~self.undetermined.any(axis=1))

    @property
    def undetermined(self) -> NDArray[np.bool_]:
        """Which dropped columns leave each open, (k, d)."""
        return self.tests.undetermined(self._rows)

    @property
    def _rows(self) -> FloatArray:
        """L with 0 in rows that are not there."""
        return np.nan_to_num(self.rows)

    @property
    def statistics(self) -> pd.DataFrame:
        """Estimates with errors, tests against 0 and intervals; NaN of what is not estimable."""
        found = self.tests.t_tests(self._rows, self.level, self.offset)
        return found.where(pd.Series(self.is_estimable), axis=0)

    def correlation(self, places: slice) -> FloatArray:
        """Return that of some of the estimates, NaN of those without an error."""
        own = self.tests.standard(self._rows[places])
        with np.errstate(divide="ignore", invalid="ignore"):
            own = own / np.linalg.norm(own, axis=1, keepdims=True)
        return np.asarray(own @ own.T)

    def combined(
        self,
        weights: FloatArray,
        cells: pd.DataFrame,
        by: tuple[str, ...],
        level: float,
        of_differences: pd.DataFrame | None = None,
    ) -> "LinearEstimates":
        """Return linear combinations of the estimates, each with a cell of its own.

        What is left of effects that cancel is 0, and no rounding. A combination with an
        estimate that is not there is not there.
        """
        is_there = np.asarray(np.isfinite(self.rows).all(axis=1))
        own = np.where(is_there[:, None], self.rows, 0.0)
        rows = weights @ own
        rows[np.abs(rows) <= ROUNDING * (np.abs(weights) @ np.abs(own))] = 0.0
        lost = np.asarray(np.abs(weights) @ ~is_there, dtype=np.float64)
        rows = np.where(lost[:, None] > 0.0, np.nan, rows)
        offset = weights @ self.offset
        means = self.rows if self.means is None else self.means
        own_cells = replace(self, cells=cells, of_differences=of_differences, means=means)
        return replace(own_cells, rows=rows, offset=offset, by=by, level=level)

    def orthonormal(self, rows: FloatArray) -> FloatArray:
        """Return weights W so that W L are orthonormal combinations of the means, (q, k).

        L, (k, p), are combinations of them, and the ones of least squares count. Up to a
        rotation W L depends on the space of the rows alone, and on no coding of the columns.
        """
        means = np.nan_to_num(self.rows if self.means is None else self.means)
        # In standard errors the units of the columns do not count
        own = self.tests.standard(rows) @ np.linalg.pinv(self.tests.standard(means), SAME)
        lengths = np.linalg.norm(own, axis=1, keepdims=True)
        lengths = np.where(lengths > 0.0, lengths, 1.0)
        left, sizes, _ = np.linalg.svd(own / lengths, full_matrices=False)
        q = int((sizes > SAME * sizes[0]).sum()) if len(sizes) else 0
        return np.asarray((left[:, :q] / sizes[:q] / lengths).T)
