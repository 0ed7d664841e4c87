"""Linear functions Lβ of the fixed effects, one for each cell of a grid."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
        L, over all fixed effects.
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
        """Whether the data determine each, (k,)."""
        return np.asarray(~self.tests.undetermined(self.rows).any(axis=1))
