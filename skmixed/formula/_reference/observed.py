"""Values of the columns of a formula in the rows of a fit: levels, combinations, means."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import ColumnLevels
from skmixed._data.table import float_column
from skmixed._typing import BoolArray, FloatArray, IntArray
from skmixed.formula._columns import ColumnKinds, NamedRows

# Combinations for each row from which a table of all of them is mostly empty.
SPARSE = 4


@dataclass(frozen=True)
class ObservedValues:
    """What a reference grid needs to know of the rows of a fit, of which none is kept.

    Attributes
    ----------
    names : tuple of str
        Numeric columns.
    ranges : (n_names, 3) array
        Of each the mean over the rows, the least and the largest value; not all finite
        where a function of the formula mends infinite values.
    levels : dict of str to ColumnLevels
        The distinct values, in their order, of factors and booleans, of numbers that are
        coded as factors, and of other numeric columns of two values.
    codes : (m, n_levels) array of int32
        The combinations of these that rows have, by position among the values.
    weights : (m,) array
        The sum of the weights of the rows of each.
    offsets : (n_offsets,) array
        The mean of each offset over the rows.
    """

    names: tuple[str, ...]
    ranges: FloatArray
    levels: dict[str, ColumnLevels]
    codes: IntArray
    weights: FloatArray
    offsets: FloatArray

    @staticmethod
    def learn(
        kinds: ColumnKinds,
        variables: Collection[str],
        coded: Collection[str],
        rows: NamedRows,
        weights: Any,
        offsets: list[FloatArray],
    ) -> "ObservedValues":
        """Learn them from the rows of a fit; a row of weight 0 does not count.

        `coded`: the numeric columns that are coded as factors; `weights`: None for 1.
        """
        given = np.ones(rows.n_rows) if weights is None else np.asarray(weights, dtype=float)
        counts = given > 0.0
        ranges: dict[str, list[float]] = {}
        found: dict[str, tuple[NDArray[Any], IntArray]] = {}
        for name in variables:
            if name in kinds.dates:
                continue
            if name in kinds.levels:
                own = kinds.levels[name]
                codes = own.codes(rows.column(name), name)[counts]
                found[name] = _observed(own.labels, codes)
                continue
            # A function of the formula may mend values that are infinite
            values = np.asarray(float_column(rows.column(name), name), dtype=float)[counts]
            low, high = float(values.min()), float(values.max())
            with np.errstate(invalid="ignore"):
                ranges[name] = [float(values.mean()), low, high]
            if name in coded:
                places, labels = pd.factorize(values, sort=True)
                found[name] = np.asarray(labels), places
            elif _has_two(values, low, high):
                found[name] = np.array([low, high]), np.asarray(values == high, dtype=np.intp)
        codes, sums = _combinations([own for _, own in found.values()], given[counts])
        means = [float(own[counts].mean()) for own in offsets]
        return ObservedValues(
            tuple(ranges),
            np.array(list(ranges.values())).reshape(-1, 3),
            {name: ColumnLevels(labels) for name, (labels, _) in found.items()},
            codes,
            sums,
            np.array(means),
        )

    def range_of(self, name: str) -> tuple[float, float, float]:
        """Return the mean, the least and the largest value of a numeric column."""
        mean, low, high = self.ranges[self.names.index(name)].tolist()
        return mean, low, high


def _observed(labels: NDArray[Any], codes: IntArray) -> tuple[NDArray[Any], IntArray]:
    """Leave out labels that no row has."""
    is_there: BoolArray = np.bincount(codes, minlength=len(labels)) > 0
    return labels[is_there], (np.cumsum(is_there) - 1)[codes]


def _has_two(values: FloatArray, low: float, high: float) -> bool:
    return low < high and bool(((values == low) | (values == high)).all())


def _combinations(codes: list[IntArray], weights: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the distinct combinations of codes, sorted, and the sum of the weights of each."""
    if not codes:
        return np.zeros((1, 0), dtype=np.intp), np.array([weights.sum()])
    place, bound = np.zeros(len(weights), dtype=np.intp), 1
    for own in codes:
        size = int(own.max()) + 1
        if bound * size > SPARSE * len(weights):  # mostly combinations that no row has
            place = pd.factorize(place)[0]
            bound = int(place.max()) + 1
        place, bound = place * size + own, bound * size
    if bound > SPARSE * len(weights):
        place = pd.factorize(place)[0]
        bound = int(place.max()) + 1
    # The first row of each, which an assignment from the last row on leaves
    first = np.full(bound, -1)
    first[place[::-1]] = np.arange(len(place))[::-1]
    sums = np.asarray(np.bincount(place, weights, minlength=bound), dtype=float)
    first, sums = first[first >= 0], sums[first >= 0]
    distinct = np.stack([own[first] for own in codes], axis=1)
    order = np.lexsort(distinct.T[::-1])
    return np.asarray(distinct[order], dtype=np.int32), sums[order]
