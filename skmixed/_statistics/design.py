"""The plain arrays of one set of rows: what the kernel is given."""

from dataclasses import dataclass, replace

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
class SubjectDesign:
    """Whose residuals are correlated, and when.

    Attributes
    ----------
    subject, visit, stratum : (n,) arrays of int
        The subject of each row, the number of its time among the labels of times, and
        that of its stratum; 0 where there is none.
    size : (n,) array of int
        The number among the labels of what standard deviations are a power of; 0 without.
    """

    subject: IntArray
    visit: IntArray
    stratum: IntArray
    size: IntArray


@dataclass(frozen=True)
class Design:
    """Numeric columns, weights and grouping factors of some rows, with their responses.

    Columns are numbered 0 for the ones, then 1 … len(columns).

    Attributes
    ----------
    columns : tuple of (n,) arrays
    responses : tuple of (n,) arrays
        One or several.
    weights : (n,) array or None
        None where all are 1.
    factors : tuple of FactorDesign
    subjects : SubjectDesign or None
        None where the residuals are independent with one variance.
    """

    columns: tuple[FloatArray, ...]
    responses: tuple[FloatArray, ...]
    weights: FloatArray | None
    factors: tuple[FactorDesign, ...]
    subjects: SubjectDesign | None = None

    @property
    def n_rows(self) -> int:
        return len(self.responses[0])

    @property
    def n_columns(self) -> int:
        """Ones and numeric columns."""
        return len(self.columns) + 1

    def with_responses(self, *responses: FloatArray) -> "Design":
        """Return the same rows with other responses."""
        return replace(self, responses=responses)

    def picked(self, rows: IntArray) -> "Design":
        """Return a copy of some of the rows."""
        return Design(
            tuple(column[rows] for column in self.columns),
            tuple(response[rows] for response in self.responses),
            None if self.weights is None else self.weights[rows],
            tuple(replace(f, codes=f.codes[rows]) for f in self.factors),
        )

    def rows(self, rows: slice) -> "Design":
        """Return some of the rows, without a copy."""
        return Design(
            tuple(column[rows] for column in self.columns),
            tuple(response[rows] for response in self.responses),
            None if self.weights is None else self.weights[rows],
            tuple(replace(f, codes=f.codes[rows]) for f in self.factors),
        )
