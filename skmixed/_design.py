"""The plain arrays of one set of rows: what the kernel is given."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._covariance import Structure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class FactorDesign:
    """One grouping factor on a set of rows.

    Attributes
    ----------
    codes : (n,) array
        Level of each row, from 0 to ``n_levels - 1``.
    n_levels : int
    columns : tuple of int
        The statistics' columns that carry a coefficient per level, in the
        numbering of `Design`. The first is always 0, the column of ones.
    """

    codes: IntArray
    n_levels: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Design:
    """Numeric columns, response, weights and grouping factors of some rows.

    Columns are numbered 0 for the ones, then 1 … len(columns), then ``y``.
    """

    columns: tuple[FloatArray, ...]
    y: FloatArray
    weights: FloatArray | None
    factors: tuple[FactorDesign, ...]

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def n_columns(self) -> int:
        """Ones, numeric columns and ``y``."""
        return len(self.columns) + 2


@dataclass(frozen=True)
class Term:
    """One random-effects term (1 + slopes | factor).

    Attributes
    ----------
    factor : int
        Position among the factors.
    columns : tuple of int
        Columns with a coefficient per level, numbered as in `Design`; 0 is the
        intercept.
    structure : Structure
        Form of the covariance of one level's coefficients.
    """

    factor: int
    columns: tuple[int, ...]
    structure: Structure

    @property
    def has_intercept(self) -> bool:
        return 0 in self.columns

    @property
    def is_centered(self) -> bool:
        """Whether centering its slopes leaves the model as it is."""
        return self.structure.is_shift_invariant and self.has_intercept


@dataclass(frozen=True)
class Model:
    """Which columns are fixed effects, which terms are random, ML or REML."""

    fixed: tuple[int, ...]
    terms: tuple[Term, ...]
    reml: bool

    @property
    def has_intercept(self) -> bool:
        return 0 in self.fixed
