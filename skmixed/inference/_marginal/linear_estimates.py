"""Linear functions Lβ of the fixed effects, one for each cell of a grid."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as distributions

from skmixed._typing import FloatArray
from skmixed.inference._fixed_tests import FixedTests


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
    """

    cells: pd.DataFrame
    rows: FloatArray
    offset: FloatArray
    tests: FixedTests
    by: tuple[str, ...] = ()
    level: float = 0.95

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
        estimate, error, df = self.tests.moments(self._rows)
        estimate = estimate + self.offset
        with np.errstate(divide="ignore", invalid="ignore"):
            t = estimate / error
            half = distributions.t.ppf(0.5 + self.level / 2.0, df) * error
        columns = {
            "estimate": estimate,
            "std_error": error,
            "df": df,
            "t": t,
            "p_value": 2.0 * distributions.t.sf(np.abs(t), df),
            "lower": estimate - half,
            "upper": estimate + half,
        }
        return pd.DataFrame(columns).where(pd.Series(self.is_estimable), axis=0)
