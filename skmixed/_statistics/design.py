"""The plain arrays of one set of rows: what the kernel is given."""

from dataclasses import dataclass

from skmixed._typing import FloatArray, IntArray


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
