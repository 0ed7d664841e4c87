"""Columns of a frame as a formula uses them: numbers, factors, booleans."""

import datetime
import numbers
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import ColumnLevels, Large, learn_levels
from skmixed._data.random_effect import ResidualCovariance
from skmixed._data.table import Table, float_column, open_table
from skmixed._typing import Use
from skmixed.exceptions import UnknownLevelsWarning
from skmixed.formula._code import LABEL, TERM, alias
from skmixed.formula._functions.label_order import in_order_of_r

DATE_ADVICE = "Make a number of them, such as days since the first."
FALSE_TRUE = ColumnLevels(np.array([False, True], dtype=object))
# What pandas calls the values of an object column, by what they are here.
KINDS = {
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "numbers"),
    **dict.fromkeys(("date", "datetime", "datetime64", "time", "period"), "dates"),
    **dict.fromkeys(("timedelta", "timedelta64"), "dates"),
    "boolean": "booleans",
    "string": "labels",
}
TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, pd.Period)


def kind_of(column: Any, name: str) -> str:
    """Say whether a column holds numbers, booleans, dates or labels, whatever its type.

    Raises
    ------
    ValueError
        If it holds numbers and something else.
    """
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "labels"
    if pd.api.types.is_bool_dtype(dtype):
        return "booleans"
    if pd.api.types.is_numeric_dtype(dtype):
        return "numbers"
    if getattr(dtype, "kind", "") in "mM" or isinstance(dtype, pd.PeriodDtype):
        return "dates"
    values = np.asarray(column.dropna(), dtype=object)
    kind = KINDS.get(pd.api.types.infer_dtype(values, skipna=False))
    return kind or _kind_of_objects(values, column, name)


def _kind_of_objects(values: NDArray[Any], column: Any, name: str) -> str:
    is_number = np.array([isinstance(v, numbers.Number) for v in values], dtype=bool)
    if len(values) and is_number.all():
        return "numbers"
    is_time = np.array([isinstance(v, TIMES) for v in values], dtype=bool)
    if len(values) and is_time.all():
        return "dates"
    if not (is_number.any() or is_time.any()):
        return "labels"
    rarer = np.flatnonzero(is_number == (is_number.mean() <= 0.5))
    other = int(rarer[0]) if len(rarer) else int(np.argmin(is_time))
    row = int(np.flatnonzero(column.notna())[other])
    usual = values[np.flatnonzero(is_number != is_number[other])[0]] if is_number.any() else None
    beside = "" if usual is None else f", beside values such as {usual!r}"
    raise ValueError(
        f"Column {name!r} is neither numbers nor labels: it holds {values[other]!r} (at row {row})"
        f"{beside}. Make all of them numbers, for example by pandas.to_numeric, or all text."
    )


@dataclass(frozen=True)
class NamedRows:
    """Rows of a frame by names of columns.

    Attributes
    ----------
    table : Table
    index : pandas.Index
        That of a pandas frame, or the numbers of the rows.
    """

    table: Table
    index: pd.Index

    @staticmethod
    def of(data: Any) -> "NamedRows":
        """Open a frame; names that are no strings are taken for the text they show as."""
        if isinstance(data, NamedRows):
            return data
        if isinstance(data, pd.DataFrame):
            names = tuple(str(name) for name in data.columns)
            return NamedRows(replace(open_table(data), names=names), data.index)
        if hasattr(data, "columns") or hasattr(data, "column_names"):
            table = open_table(data)
            if table.names is not None:
                return NamedRows(table, pd.RangeIndex(table.n_rows))
        raise TypeError(
            f"The data are of type {type(data).__name__}, without names of columns. Give a frame "
            "whose columns the formula names."
        )

    @property
    def names(self) -> tuple[str, ...]:
        return self.table.names or ()

    @property
    def n_rows(self) -> int:
        return self.table.n_rows

    def column(self, name: str) -> pd.Series:
        names = self.names
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is the name of {names.count(name)} columns of the data.")
        return pd.Series(self.table.get(names.index(name))).reset_index(drop=True)

    def kept(self, keep: NDArray[np.bool_]) -> "NamedRows":
        return NamedRows(self.table.rows(keep), self.index[keep])

    def missing(self, names: Iterable[str]) -> dict[str, NDArray[np.bool_]]:
        """Return which rows have no value, for the columns where some have none."""
        found = {name: self.column(name).isna().to_numpy() for name in dict.fromkeys(names)}
        return {name: rows for name, rows in found.items() if rows.any()}


@dataclass(frozen=True)
class ColumnKinds:
    """What the columns of a formula hold, as learned in fit.

    Attributes
    ----------
    levels : dict of str to ColumnLevels
        Categories of factors, and False and True of booleans.
    booleans : frozenset of str
    dates : frozenset of str
    """

    levels: dict[str, ColumnLevels]
    booleans: frozenset[str]
    dates: frozenset[str]

    @staticmethod
    def learn(rows: NamedRows, names: Iterable[str]) -> "ColumnKinds":
        columns = {name: rows.column(name) for name in dict.fromkeys(names)}
        kinds = {name: kind_of(column, name) for name, column in columns.items()}
        levels = {n: _labels(columns[n], n) for n, kind in kinds.items() if kind == "labels"}
        booleans = frozenset(n for n, kind in kinds.items() if kind == "booleans")
        dates = frozenset(n for n, kind in kinds.items() if kind == "dates")
        return ColumnKinds(levels | dict.fromkeys(booleans, FALSE_TRUE), booleans, dates)

    def frame(self, rows: NamedRows, uses: Iterable[Use]) -> pd.DataFrame:
        """Return the columns of some uses, by their identifiers; none has missing values."""
        uses = list(uses)
        for name in dict.fromkeys(n for n, use in uses if use == LABEL):
            if name not in self.levels and name not in self.dates:
                _check_told_apart(rows.column(name), name)
        whole = {name: self._column(rows, name) for name in dict.fromkeys(n for n, _ in uses)}
        columns = {alias(name, use): self._used(whole[name], name, use) for name, use in uses}
        return pd.DataFrame(columns, index=pd.RangeIndex(rows.n_rows), copy=False)

    def _column(self, rows: NamedRows, name: str) -> pd.Series:
        column = rows.column(name)
        missing = column.isna().to_numpy()
        if missing.any():
            raise ValueError(missing_message(name, missing))
        if name in self.dates:
            return column
        if name not in self.levels:
            return _numbers(column, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownLevelsWarning)  # an error says more
            codes = self.levels[name].codes(column, name)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise ValueError(
                f"Column {name!r} has the category {column.iloc[row]!r} (first at row {row}), "
                "which was not there in fit: its fixed effect is unknown. Drop or recode those "
                "rows."
            )
        labels = pd.Index(self.levels[name].labels)
        return pd.Series(pd.Categorical.from_codes(codes, labels))

    def _used(self, column: pd.Series, name: str, use: str) -> pd.Series:
        """Booleans are factors as terms; numbers are doubles but as labels."""
        if name in self.booleans:
            return column if use == TERM else pd.Series(column.cat.codes == 1)
        if name in self.dates and use == LABEL:
            # By text, as which all versions of formulaic find them again; in time's order.
            return pd.Series(pd.Categorical(column).rename_categories(str))
        if name in self.levels or name in self.dates:
            return column
        if use == LABEL and _is_whole(column):
            return pd.Series(column.astype(np.int64))
        return column


def _labels(column: pd.Series, name: str) -> ColumnLevels:
    try:
        return in_order_of_r(learn_levels(column)[0], column)
    except TypeError:
        kind = type(column.iloc[0]).__name__
        raise TypeError(
            f"Column {name!r} holds values of type {kind}, which are neither numbers nor labels."
        ) from None


def _numbers(column: pd.Series, name: str) -> pd.Series:
    """Compute as R does, with doubles: integers of few bits overflow."""
    if kind_of(column, name) not in ("numbers", "booleans"):
        raise ValueError(
            f"Column {name!r} (dtype {column.dtype}) holds {kind_of(column, name)}, but in fit "
            "it held numbers. Convert it to what it was."
        )
    return pd.Series(np.asarray(float_column(column, name)))


def _check_told_apart(column: pd.Series, name: str) -> None:
    """Refuse integers that are labels of a factor and that doubles do not tell apart."""
    large = Large.of(np.asarray(pd.unique(column.dropna()))).integers
    if len(large):
        raise ValueError(
            f"Column {name!r} is a factor by the formula and holds integers of 2**53 and more "
            f"(such as {large[0]}). Formulas compute with doubles, which take several of them for "
            f"one. Make text of them: data[{name!r}].astype(str), which needs no factor(…)."
        )


def _is_whole(column: pd.Series) -> bool:
    values = column.to_numpy()
    return bool((np.abs(values) < 2.0**53).all() and (values == np.round(values)).all())


def missing_message(name: str, missing: NDArray[np.bool_], advice: str = "") -> str:
    return (
        f"Column {name!r} contains missing values ({int(missing.sum())}, first at row "
        f"{int(np.argmax(missing))}). {advice or 'Impute or drop those rows first.'}"
    )


def residual_by_position(
    given: ResidualCovariance | None, made: Sequence[str]
) -> ResidualCovariance | None:
    """Return a residual covariance by the positions of its columns among those made."""
    if given is None:
        return None
    at = {name: k for k, name in enumerate(made)}
    placed = {
        role: tuple(at[str(k)] for k in names) if isinstance(names, tuple) else at[str(names)]
        for role, names in given.columns.items()
    }
    return given.set_params(**placed)


def labels_of(residual: ResidualCovariance | None) -> tuple[str, ...]:
    """Return the columns that a residual covariance names, by name.

    Raises
    ------
    TypeError
        If it names one by position.
    """
    if residual is None:
        return ()
    own = residual.columns.values()
    names = [name for one in own for name in (one if isinstance(one, tuple) else (one,))]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"{residual!r} names a column by position. Beside a formula name it by its name."
        )
    return tuple(dict.fromkeys(map(str, names)))
