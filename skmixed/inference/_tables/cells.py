"""The cells of a table as text, whatever they are written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from skmixed._typing import FloatArray
from skmixed.inference._tables.column_kinds import LABEL, ColumnKind, heading_of, kind_of
from skmixed.inference._tables.name_forms import told_apart
from skmixed.inference._tables.number_formats import (
    FORMATS,
    Precision,
    numbers,
    places_of,
    pointed,
)

# The width of a normal interval of level 0.95, in standard errors.
ERRORS_OF_INTERVAL = 3.92
GAP = "…"


@dataclass(frozen=True)
class ShownColumn:
    """One column of cells.

    Attributes
    ----------
    name : str
        As the frame calls it.
    kind : ColumnKind
    cells : tuple of str
    """

    name: str
    kind: ColumnKind
    cells: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether these are words, and no numbers."""
        return self.kind.kind == LABEL

    @property
    def lined_up(self) -> list[str]:
        """The cells, of numbers with spaces behind, so that points stand below each other."""
        return list(self.cells) if self.is_text else pointed(self.cells)


@dataclass(frozen=True)
class ShownTable:
    """A table of cells.

    Attributes
    ----------
    columns : tuple of ShownColumn
    n_names : int
        The number of the first columns that say what a row is.
    n_rows : int
        The number of rows of the frame.
    n_shown : int
        How many of them there are here, with a row of gaps among them if not all.
    """

    columns: tuple[ShownColumn, ...]
    n_names: int
    n_rows: int
    n_shown: int

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def cut(self) -> str:
        """The sentence on rows that are not here; empty where all are."""
        if self.n_shown == self.n_rows:
            return ""
        return f"{self.n_shown} of {self.n_rows:,} rows are shown."


def cells_of(
    frame: pd.DataFrame,
    kinds: Mapping[object, str],
    precision: Precision,
    *,
    index: bool | None = None,
    chosen: Sequence[int] | None = None,
    most: tuple[int, int] | None = None,
) -> ShownTable:
    """Write the cells of a frame.

    `kinds`: of columns whose names mean something else here. `index`: whether the labels of
    the rows are shown; None: unless they are numbers alone. `chosen`: positions of the columns
    to write, with those that tell the rows apart; None: all. `most`: of more rows than the first
    number, as many as the second are shown.
    """
    shown, n_above = _cut(frame, most)
    columns = [
        ShownColumn(heading_of(name), kind_of(name, shown.iloc[:, k], kinds), ())
        for k, name in enumerate(shown.columns)
    ]
    own = replace(precision, places=_places(shown, columns))
    columns = [
        replace(column, cells=tuple(_written(shown.iloc[:, k], column.kind, own)))
        for k, column in enumerate(columns)
    ]
    if chosen is not None:
        columns = [columns[k] for k in _that_tell_apart(frame, columns, index, chosen)]
    names = _index_columns(shown.index) if _has_names(frame, columns, index) else []
    n_names = len(names) or _n_leading(columns)
    columns = _with_names_apart([*names, *columns])
    if n_above:
        columns = [_with_gap(column, n_above) for column in columns]
    return ShownTable(tuple(columns), n_names, len(frame), len(shown))


def _that_tell_apart(
    frame: pd.DataFrame, columns: Sequence[ShownColumn], index: bool | None, chosen: Sequence[int]
) -> list[int]:
    """Add to chosen columns those of labels without which rows would look alike.

    They follow the labels that were chosen. Rows with labels of their own need none.
    """
    is_named = not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None)
    if index or is_named:
        return list(chosen)
    n_leading = _n_leading([columns[k] for k in chosen])
    labels, others = list(chosen[:n_leading]), list(chosen[n_leading:])
    n_apart = _n_distinct(columns, labels, len(frame))
    for k in range(_n_leading(columns)):
        n_more = _n_distinct(columns, [*labels, k], len(frame))
        if k not in chosen and n_more > n_apart:
            labels, n_apart = [*labels, k], n_more
    return [*labels, *others]


def _n_distinct(columns: Sequence[ShownColumn], chosen: Sequence[int], n_rows: int) -> int:
    """Return how many rows some columns tell apart."""
    return len(set(zip(*(columns[k].cells for k in chosen), strict=True))) if chosen else n_rows > 0


def _cut(frame: pd.DataFrame, most: tuple[int, int] | None) -> tuple[pd.DataFrame, int]:
    """Return the rows to show, and how many of them are above a gap, 0 where there is none."""
    plain = pd.DataFrame(frame)
    if most is None or len(frame) <= most[0]:
        return plain, 0
    n_above, n_below = (most[1] + 1) // 2, most[1] // 2
    return pd.concat([plain.iloc[:n_above], plain.iloc[len(frame) - n_below :]]), n_above


def _with_names_apart(columns: Sequence[ShownColumn]) -> list[ShownColumn]:
    """Write names and headings so that no two look alike."""
    names = told_apart(column.name for column in columns)
    headings = told_apart(column.kind.heading for column in columns)
    kinds = [replace(own.kind, heading=headings[own.kind.heading]) for own in columns]
    pairs = zip(columns, kinds, strict=True)
    return [replace(own, name=names[own.name], kind=kind) for own, kind in pairs]


def _with_gap(column: ShownColumn, n_above: int) -> ShownColumn:
    cells = column.cells
    return replace(column, cells=(*cells[:n_above], GAP, *cells[n_above:]))


def _places(frame: pd.DataFrame, columns: Sequence[ShownColumn]) -> tuple[int, ...] | None:
    """Return the decimals that standard errors, or else intervals, support."""
    for k, column in enumerate(columns):
        if column.kind.kind == "error":
            return places_of(_floats(frame.iloc[:, k]))
    ends = {column.name: k for k, column in enumerate(columns) if column.kind.kind == "estimate"}
    if {"lower", "upper"} <= set(ends):
        lower, upper = (_floats(frame.iloc[:, ends[name]]) for name in ("lower", "upper"))
        with np.errstate(invalid="ignore"):
            return places_of((upper - lower) / ERRORS_OF_INTERVAL)
    return None


def _floats(values: pd.Series) -> FloatArray:
    return values.to_numpy(dtype=float, na_value=np.nan)


def _written(values: pd.Series, kind: ColumnKind, precision: Precision) -> list[str]:
    if kind.kind != LABEL:
        return FORMATS[kind.kind](_floats(values), precision)
    return _labels(values)


def _labels(values: pd.Series) -> list[str]:
    """Write labels: combinations with a colon between, numbers as they are, nothing for NaN."""
    if types.is_float_dtype(values.dtype):
        return numbers(_floats(values), Precision())
    if types.is_datetime64_any_dtype(values.dtype):
        values = values.astype(str)
    written = ["" if _is_missing(value) else _label(value) for value in values]
    shown = told_apart(written)
    return [shown[text] for text in written]


def _is_missing(value: Any) -> bool:
    return value is None or (np.ndim(value) == 0 and bool(pd.isna(value)))


def _label(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _has_names(frame: pd.DataFrame, columns: Sequence[ShownColumn], index: bool | None) -> bool:
    """Whether the labels of the rows are shown."""
    if index is not None:
        return index
    is_default = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    return not (is_default and (len(frame) == 1 or _n_leading(columns)))


def _n_leading(columns: Sequence[ShownColumn]) -> int:
    """Return how many columns of labels come first."""
    is_text = [column.is_text for column in columns]
    return is_text.index(False) if False in is_text else len(is_text)


def _index_columns(index: pd.Index) -> list[ShownColumn]:
    """Return the labels of the rows, each of several levels where it changes."""
    levels = [index.get_level_values(k) for k in range(index.nlevels)]
    written = [_labels(pd.Series(level)) for level in levels]
    is_new = np.zeros(len(index), dtype=bool)
    is_new[:1] = True
    columns = []
    for k, (level, cells) in enumerate(zip(levels, written, strict=True)):
        name = "" if level.name is None else heading_of(level.name)
        # A label of an outer level that changes shows those inside of it again.
        is_new[1:] |= np.array(cells[1:], dtype=object) != np.array(cells[:-1], dtype=object)
        is_shown = is_new if k + 1 < len(levels) else np.ones(len(index), dtype=bool)
        own = tuple(cell if new else "" for cell, new in zip(cells, is_shown, strict=True))
        columns.append(ShownColumn(name, ColumnKind(LABEL, name), own))
    return columns
