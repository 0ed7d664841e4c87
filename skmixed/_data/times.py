"""Labels of times as structures see them: orders, steps, numbers, or places in the plane."""

import re
from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.labels import ColumnLevels, kind_of, shown_label
from skmixed._data.table import numeric_column
from skmixed._typing import FloatArray, IntArray

# Kinds of labels that are numbers: numbers themselves, dates and durations.
NUMERIC = "iufMm"
# Steps between times beside which distances have no digits, or their correlations none.
SHORTEST, LONGEST = 1e-3, 1e4
# Share of the smallest step between times within which they are equally spaced.
EQUAL = 1e-6
# A word with a number, such as VIS1.
NUMBERED = re.compile(r"(\D*)(\d+)(\D*)")
# What to give in the place of labels that are no numbers, by what they are.
ORDERED = "numbers, or a pandas Categorical with the categories in their order"
CURES = {
    "dates with a time zone": "dates without one, such as `column.dt.tz_convert(None)`",
    "objects that are dates": "dates of pandas, such as `pd.to_datetime(column)`",
    "periods": "their first days, such as `column.dt.to_timestamp()`",
}


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


def order_of(labels: NDArray[Any], orders: Sequence[ColumnLevels]) -> IntArray | None:
    """Return the order of labels that are no numbers, or are categories; None where it has none.

    It is that of lists of categories, if all of them together leave one alone, or that of
    text which the numbers behind one word have too.
    """
    if orders:
        return _common_order(labels, orders)
    by_text = in_text_order(labels)
    parts = [NUMBERED.fullmatch(str(label)) for label in labels[by_text]]
    stems = {part and (part[1], part[3]) for part in parts}
    numbers = [int(part[2]) for part in parts if part]
    return None if None in stems or len(stems) > 1 or (np.diff(numbers) < 0).any() else by_text


def _common_order(labels: NDArray[Any], orders: Sequence[ColumnLevels]) -> IntArray | None:
    """Return the one order of labels in which each list of categories has its own."""
    before: dict[int, set[int]] = {code: set() for code in range(len(labels))}
    for own in orders:
        place = own.codes(labels, "time")
        known = np.flatnonzero(place >= 0)
        for first, second in pairwise(known[np.argsort(place[known])].tolist()):
            before[second].add(first)
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError:
        return None
    order: list[int] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        if len(ready) > 1:
            return None
        order += ready
        sorter.done(*ready)
    return np.array(order, dtype=np.intp)


def in_text_order(labels: NDArray[Any]) -> IntArray:
    """Return the order of labels as text, or as numbers that they are."""
    return np.argsort(labels.astype(str) if labels.dtype == object else labels, kind="stable")


def require_order(
    name: str, labels: NDArray[Any], orders: Sequence[ColumnLevels], what: str
) -> IntArray:
    """Return the order of the labels of times, on which something depends.

    Raises
    ------
    ValueError
        If it is not known.
    """
    order = order_of(labels, orders)
    if order is not None:
        return order
    if orders:
        lists = "; ".join(", ".join(map(str, own.labels[:4])) for own in orders[:2])
        raise ValueError(
            f"Time column {name!r} is a Categorical in parts of the rows, whose categories "
            f"({lists}) do not give all times one order, and {what} depends on it. Give all parts "
            "the categories of one pd.CategoricalDtype."
        )
    own, kind = labels[in_text_order(labels)], kind_of_times(labels)
    shown = ", ".join(map(str, own[:4])) + " …" * (len(own) > 4)
    raise ValueError(
        f"Time column {name!r} holds {kind}, whose order is {shown}, and {what} depends on it. "
        f"Give {CURES.get(kind, ORDERED)}."
    )


def require_numbers(name: str, labels: NDArray[Any], what: str) -> None:
    """Refuse labels of times that are neither numbers nor dates, of which something is a function.

    Raises
    ------
    ValueError
        If they are such.
    """
    if labels.dtype.kind not in NUMERIC:
        kind = kind_of_times(labels)
        raise ValueError(
            f"Time column {name!r} holds {kind}, such as {shown_label(labels[0])}, but {what} is a "
            f"function of numbers. Give {CURES.get(kind, 'the times as numbers or dates')}."
        )


def kind_of_times(labels: NDArray[Any]) -> str:
    """Say what labels that are no numbers are."""
    if labels.dtype.kind == "b":
        return "booleans"
    inferred = pd.api.types.infer_dtype(labels, skipna=True)
    if inferred == "datetime":
        has_zone = any(label.tzinfo is not None for label in labels)
        return "dates with a time zone" if has_zone else "objects that are dates"
    known = {"date": "objects that are dates", "period": "periods", "interval": "intervals"}
    return known.get(inferred, kind_of(labels))
