"""Rows of a model with a covariance of the residuals: what the kernel is given beside sums."""

from dataclasses import dataclass, fields

import numpy as np

from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class RepeatedRows:
    """Rows whose residuals are correlated within subjects.

    Attributes
    ----------
    columns : (n, k) array
        The numeric columns, in the order of the statistics.
    response : (n,) array
    weights : (n,) array
    levels : (n, f) array of int
        Each row's level of each grouping factor.
    subject : (n,) array of int
        Whose residuals are correlated.
    visit : (n,) array of int
        The number of the row's time among the levels of the time; 0 without times.
    time : (n,) array
        The time as a number, where it is one; else 0.
    stratum : (n,) array of int
    """

    columns: FloatArray
    response: FloatArray
    weights: FloatArray
    levels: IntArray
    subject: IntArray
    visit: IntArray
    time: FloatArray
    stratum: IntArray

    @property
    def n_rows(self) -> int:
        return len(self.response)

    def __add__(self, other: "RepeatedRows") -> "RepeatedRows":
        """Return the rows of both, whose levels have one numbering."""
        pairs = [(getattr(self, own.name), getattr(other, own.name)) for own in fields(self)]
        return RepeatedRows(*(np.concatenate(pair) for pair in pairs))

    def taken(self, rows: IntArray) -> "RepeatedRows":
        """Return some of the rows."""
        return RepeatedRows(*(getattr(self, own.name)[rows] for own in fields(self)))
