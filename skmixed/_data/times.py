"""Labels of times as structures see them: steps, numbers, or places in the plane."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.labels import shown_label
from skmixed._data.table import numeric_column
from skmixed._typing import FloatArray, IntArray

# Kinds of labels that are numbers: numbers themselves, dates and durations.
NUMERIC = "iufMm"
# Steps between times beside which distances have no digits, or their correlations none.
SHORTEST, LONGEST = 1e-3, 1e4
# Share of the smallest step between times within which they are equally spaced.
EQUAL = 1e-6


def numbers_of(labels: Any) -> FloatArray:
    """Return numbers, or dates as days since the first one and durations as days."""
    if labels.dtype.kind == "M":
        labels = labels - labels.min()
    is_duration = labels.dtype.kind == "m"
    return np.asarray(labels / np.timedelta64(1, "D") if is_duration else labels, dtype=float)


def numbers_at(column: Any, rows: IntArray, labels: Any, name: str) -> FloatArray:
    """Return labels of some rows as numbers, dates since the first of the fit."""
    if labels.dtype.kind in "iuf":
        return numeric_column(column, name)[rows]
    given = pd.Series(np.asarray(column)[rows]).astype(labels.dtype).to_numpy()
    if pd.isna(given).any():
        raise ValueError(f"Time column {name!r} has missing values. Leave those rows out.")
    if labels.dtype.kind == "M":
        given = given - labels.min()
    return np.asarray(given / np.timedelta64(1, "D"), dtype=float)


def check_gaps(name: str, values: FloatArray) -> None:
    """Refuse times in units that leave the correlations no digits."""
    gaps = np.diff(np.unique(values))
    mean = float(gaps.mean()) if len(gaps) else 1.0
    if not SHORTEST <= mean <= LONGEST:
        raise ValueError(
            f"Time column {name!r} has times that are {mean:.3g} apart on average. Give it in a "
            "unit in which they are some steps of 1 apart."
        )


def steps_of(name: str, values: FloatArray, structure: str) -> IntArray:
    """Return times in multiples of their smallest difference.

    Raises
    ------
    ValueError
        If they are none.
    """
    gaps = np.diff(values)
    steps = (values - values[0]) / gaps.min()
    whole = np.rint(steps)
    if (np.abs(steps - whole) > EQUAL * np.maximum(steps, 1.0)).any():
        at = int(np.argmax(np.abs(steps - whole)))
        raise ValueError(
            f"Time column {name!r} has times that are no multiples of its smallest step "
            f"{gaps.min():g}, such as {values[at]:g}; {structure!r} counts steps. Use "
            "'exponential' for times as they are, or round them."
        )
    return whole.astype(np.intp)


def whole_steps(
    position: FloatArray, unit: float, structure: str, shown: Callable[[int], str]
) -> FloatArray:
    """Return positions in steps of a unit as whole numbers; `shown` names the k-th in messages.

    Raises
    ------
    ValueError
        If one lies between steps.
    """
    steps = np.rint(position)
    between = np.abs(position - steps) > EQUAL * np.maximum(np.abs(steps), 1.0)
    if between.any():
        raise ValueError(
            f"Time {shown(int(between.argmax()))} lies between the steps of {unit:g} that "
            f"{structure!r} counts. Use 'exponential'."
        )
    return steps


def check_spacing(name: str, places: FloatArray) -> None:
    """Refuse places in units that leave the correlations no digits."""
    wide = float(np.hypot(np.ptp(places.real), np.ptp(places.imag)))
    apart = wide / max(np.sqrt(len(places)) - 1.0, 1.0)
    if wide and not SHORTEST <= apart <= LONGEST:
        raise ValueError(
            f"Time columns {name!r} have places that are {apart:.3g} apart on average. Give them "
            "in a unit in which they are some steps of 1 apart."
        )


def places_of(time: GroupingFactor) -> FloatArray:
    """Return x + iy of the labels of two columns: |a − b| is the distance of two places.

    Raises
    ------
    ValueError
        If a column is none of numbers.
    """
    parts = []
    for source, levels, code in zip(time.sources, time.levels, time.column_codes, strict=True):
        if levels.labels.dtype.kind not in "iuf":
            raise ValueError(
                f"Time column {source.name!r} has labels such as {shown_label(levels.labels[0])}, "
                "but places in two columns are numbers. Give their coordinates."
            )
        parts.append(levels.labels.astype(float)[code])
    x, y = parts
    return np.asarray(x + 1j * y)
