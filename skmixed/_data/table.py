"""Columns of X, whatever kind of table it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import getattr_static
from itertools import repeat
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray
from sklearn.utils.validation import check_array, validate_data

from skmixed._typing import FloatArray

# Characters of a value in a message.
LONGEST = 40


@dataclass(frozen=True)
class Table:
    """One-dimensional columns by position, each as the source holds it.

    Attributes
    ----------
    get : callable
        From a position to the column.
    names : tuple of str or None
        None where the source has no names.
    n_rows, n_columns : int
    matrix : ndarray, csc_array or None
        All columns at once, where the source holds them as one array of numbers.
    source : object
        What was opened, for selectors of columns.
    """

    get: Callable[[int], Any]
    names: tuple[str, ...] | None
    n_rows: int
    n_columns: int
    matrix: Any = None
    source: Any = None

    def label(self, position: int) -> str:
        """Name of a column, or x and its position."""
        return f"x{position}" if self.names is None else self.names[position]

    def rows(self, keep: NDArray[np.bool_]) -> "Table":
        n_rows = int(keep.sum())
        return replace(self, get=lambda j: self.get(j)[keep], n_rows=n_rows, matrix=None)


def open_table(X: Any, estimator: object = None, accept_sparse: bool = True) -> Table:
    """Return the columns of a frame (pandas, polars, pyarrow …), array or sparse matrix."""
    return replace(_opened(X, estimator, accept_sparse), source=X)


def _opened(X: Any, estimator: object, accept_sparse: bool) -> Table:
    if isinstance(X, pd.DataFrame):
        names = tuple(X.columns) if all(isinstance(c, str) for c in X.columns) else None
        return _checked(Table(_column_of(X, names), names, *X.shape), estimator)
    names = _names_of_frame(X)
    if names is not None:
        table = Table(lambda j: foreign_column(X[names[j]], names[j]), names, *X.shape)
        return _checked(table, estimator)
    check_unmasked(X, "X")
    array: Any = check_array(
        _keeping_types(X),
        accept_sparse=accept_sparse,
        dtype=None,
        ensure_all_finite=False,
        estimator=estimator,
    )
    n_rows, n_columns = array.shape
    if not isinstance(array, np.ndarray):
        columns = by_columns(array)
        return Table(lambda j: sparse_column(columns, j), None, n_rows, n_columns, columns)
    matrix = array if array.dtype.kind in "fiub" else None
    return Table(lambda j: array[:, j], None, n_rows, n_columns, matrix)


def _column_of(X: pd.DataFrame, names: tuple[str, ...] | None) -> Callable[[int], pd.Series]:
    """Return what gets a column by position: by its name, in half the time, where it has one."""
    if names is None or not X.columns.is_unique:
        return lambda j: X.iloc[:, j]
    return lambda j: X[names[j]]


def open_checked(
    X: Any, estimator: Any, *target: Any, reset: bool, accept_sparse: bool = True
) -> Table:
    """Open X as the features of an estimator: set their names and number, or compare them.

    Raises
    ------
    ValueError
        If a name is that of several columns, or unless `reset` the columns are not
        those of the fit.
    """
    table = open_table(X, estimator, accept_sparse)
    if table.names is not None:
        check_distinct(table.names, "X")
        if reset and all(y is not None for y in target):
            # What scikit-learn would find again, in a tenth of the time.
            estimator.n_features_in_ = table.n_columns
            estimator.feature_names_in_ = np.array(table.names, dtype=object)
            return table
        if not isinstance(X, pd.DataFrame):
            # Of some frames, such as pyarrow's RecordBatch, scikit-learn reads no names.
            X = pd.DataFrame(columns=list(table.names))
    validate_data(estimator, X, *target, reset=reset, skip_check_array=True)
    return table


def check_distinct(names: Sequence[str], of: str) -> None:
    """Refuse columns of one name."""
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        count = names.count(name)
        raise ValueError(f"{name!r} is the name of {count} columns of {of}. Rename them.")


def check_unmasked(values: Any, what: str) -> None:
    """Refuse a masked array with a masked value, which NumPy would read as data."""
    is_masked = map(isinstance, values, repeat(np.ma.MaskedArray)) if _is_list(values) else ()
    if any(is_masked):
        values = np.ma.array(values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        masked = np.ma.getmaskarray(values)
        row = int(np.argmax(masked.reshape(len(masked), -1).any(axis=1)))
        raise ValueError(
            f"{what} has {int(masked.sum())} masked values (first at row {row}). Drop those rows, "
            "or fill them by filled()."
        )


def _keeping_types(X: Any) -> Any:
    """Keep the values of rows what they are, where NumPy would make them one type."""
    return np.array(X, dtype=object) if _is_list(X) else X


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple)


def _names_of_frame(X: Any) -> tuple[str, ...] | None:
    """Names of a frame that is not pandas': pyarrow's and polars' attributes."""
    names = getattr(X, "column_names", None)
    if names is None and getattr_static(X, "columns", None) is not None:
        if not (hasattr(X, "__arrow_c_stream__") and hasattr(X, "shape")):
            _refuse_frame(X)
        names = X.columns
    return None if names is None else tuple(names)


def _refuse_frame(X: Any) -> None:
    """Say how a table that is not in memory, or of another library, can be read."""
    kind = f"{type(X).__module__}.{type(X).__name__}"
    if hasattr(X, "to_delayed"):
        advice = (
            "Call .compute() where it fits into memory, or fit by skmixed.distributed.fit_dask."
        )
    elif hasattr(X, "collect"):
        advice = "Call .collect() first."
    else:
        advice = "Convert it to a frame of pandas, polars or pyarrow."
    raise TypeError(f"X is a {kind}, whose columns cannot be read here. {advice}")


def foreign_column(column: Any, name: str) -> pd.Series:
    """Turn a column of polars or pyarrow to a Series, keeping labels what they are."""
    dtype = getattr(column, "dtype", None) or getattr(column, "type", "")
    kind = str(dtype).lower()
    if kind.startswith("dictionary"):
        # As an array a null would be the last of the labels.
        return foreign_column(column.cast(column.type.value_type), name)
    if kind.startswith(("int", "uint")) and _null_count(column):
        # As an array integers with nulls would be floats, where large ones merge.
        items = column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
        return pd.Series(items, dtype=object)
    values = np.asarray(column)
    if values.ndim != 1:
        raise TypeError(
            f"Column {name!r} is of type {dtype}, whose values are neither numbers nor labels. "
            "Take its fields apart into columns."
        )
    if kind.startswith("enum"):
        return pd.Series(pd.Categorical(values, list(column.dtype.categories)))
    zone = getattr(dtype, "time_zone", None) or getattr(dtype, "tz", None)
    if zone is not None:  # as an array the times are UTC, without a word of it
        return pd.Series(values).dt.tz_localize("UTC").dt.tz_convert(zone)
    return pd.Series(values)


def _null_count(column: Any) -> int:
    """Return the number of nulls: an attribute in pyarrow, a method in polars."""
    count = column.null_count
    return int(count() if callable(count) else count)


def _checked(table: Table, estimator: object) -> Table:
    if table.n_rows == 0 or table.n_columns == 0:
        # scikit-learn's own words for a table without rows or columns.
        check_array(np.empty((table.n_rows, table.n_columns)), estimator=estimator)
    return table


def numeric_column(column: Any, name: str, what: str = "Column") -> FloatArray:
    """Convert one column to float64; no copy where it is that already.

    Of a sparse one the result is sparse too, and stands for its array.

    Raises
    ------
    ValueError
        If its values are not real numbers, or some are missing or infinite.
    """
    converted: Any = float_column(column, name, what)
    values = converted.values if isinstance(converted, SparseColumn) else converted
    # One sum finds a column that is clean, in a third of the time of isfinite.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(values.sum()):
            return cast(FloatArray, converted)
    bad = ~np.isfinite(np.asarray(converted))
    if bad.any():
        row = int(np.argmax(bad))
        kind = "NaN" if np.isnan(np.asarray(converted)[bad]).any() else "infinity"
        raise ValueError(
            f"{what} {name!r} contains {kind} ({int(bad.sum())} such values, first at row {row}). "
            "Impute or drop those rows first."
        )
    return cast(FloatArray, converted)


def float_column(column: Any, name: str, what: str = "Column") -> FloatArray:
    """Convert one column to float64, with what is missing or infinite in it."""
    dtype: Any = getattr(column, "dtype", None)
    if isinstance(column, np.ndarray) and column.dtype == np.float64:
        return column
    if pd.api.types.is_complex_dtype(dtype):
        raise ValueError(f"Complex data not supported: {what.lower()} {name!r} is complex.")
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        if isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0:
            index, values = column.array.sp_index.to_int_index(), column.array.sp_values
            column = SparseColumn(index.indices, values, len(column))
        if isinstance(column, pd.Series):
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        if isinstance(column, SparseColumn):
            return cast(FloatArray, column.astype(np.float64))
        return np.asarray(column, dtype=np.float64)
    if pd.api.types.is_object_dtype(dtype):
        return _objects_to_float(np.asarray(column), name, what)
    is_time = str(dtype).startswith(("datetime", "timedelta"))
    advice = _TIME_ADVICE if is_time and what == "Column" else _advice(what)
    raise ValueError(f"{what} {name!r} (dtype {dtype}) is not numeric. {advice}")


_TIME_ADVICE = "Turn it into numbers first, for example days since the first date."


def _advice(what: str) -> str:
    if what != "Column":
        return "Give numbers."
    return (
        "Encode it first, for example with OneHotEncoder in a ColumnTransformer, or name it in "
        "`groups`."
    )


# What pandas calls objects that are all numbers.
_NUMBERS = ("floating", "integer", "mixed-integer-float", "boolean")


def _is_number(value: Any) -> bool:
    """Whether float() takes a value for what it is, which text and dates are not."""
    return hasattr(value, "__float__") and not isinstance(value, np.datetime64 | np.timedelta64)


def _objects_to_float(values: NDArray[Any], name: str, what: str) -> FloatArray:
    """Cast the numbers of an object column, as a ColumnTransformer passes them on."""
    if pd.api.types.infer_dtype(values, skipna=False) in _NUMBERS:
        return _cast(values, name, what)
    try:
        clean = np.where(pd.isna(values), np.nan, values)
    except ArithmeticError:  # a signaling NaN, which cannot be compared
        return _cast(values, name, what)
    value = next((v for v in clean if not _is_number(v)), None)
    if value is None:
        return _cast(clean, name, what)
    message = (
        f"{what} {name!r} (dtype object) is not numeric: it holds {shown(value)}. {_advice(what)}"
    )
    if isinstance(value, str | bytes):
        raise ValueError(message)
    raise TypeError(f"{message} Each argument must be a string or a number to be read as one.")


def _cast(values: NDArray[Any], name: str, what: str) -> FloatArray:
    """Cast objects to float64; name the first that is none, or beyond the range."""
    try:
        return values.astype(np.float64)
    except (ArithmeticError, ValueError, TypeError) as error:
        row = next(row for row, value in enumerate(values) if not _has_float(value))
        raise ValueError(
            f"{what} {name!r} holds {shown(values[row])} at row {row}, which is no number in the "
            "range of floats. Drop the row or mend the value."
        ) from error


def _has_float(value: Any) -> bool:
    try:
        return np.ndim(np.asarray(value, dtype=np.float64)) == 0
    except (ArithmeticError, ValueError, TypeError):
        return False


def shown(value: Any) -> str:
    """Return a value as a message shows it: no more than a line."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class SparseColumn:
    """One column of a sparse matrix, or consecutive rows of one.

    Stands for its array wherever NumPy takes an array-like. A slice is another
    SparseColumn, so that what goes over the rows in stripes has a stripe of it
    in memory and no more.

    Parameters
    ----------
    rows : (nnz,) array
        Rows of the stored values, ascending and distinct.
    values : (nnz,) array
    n_rows : int
    """

    def __init__(self, rows: NDArray[np.integer], values: NDArray[Any], n_rows: int) -> None:
        self.rows, self.values, self._first, self._n_rows = rows, values, 0, n_rows

    def __len__(self) -> int:
        return self._n_rows

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def __getitem__(self, rows: slice | NDArray[Any]) -> "SparseColumn":
        """Take consecutive rows, those of a mask, or distinct ones by their numbers."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self._n_rows)
            ends = self._first + np.array([start, stop])
            a, b = np.searchsorted(self.rows, ends)
            out = SparseColumn(self.rows[a:b], self.values[a:b], stop - start)
            out._first = int(ends[0])
            return out
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        place = np.full(self._n_rows, -1)
        place[chosen] = np.arange(len(chosen))
        own = place[self.rows - self._first]
        order = np.argsort(own, kind="stable")[np.count_nonzero(own < 0) :]
        return SparseColumn(own[order], self.values[order], len(chosen))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A sparse column becomes an array only by a copy.")
        out = np.zeros(self._n_rows, dtype=dtype or self.values.dtype)
        out[self.rows - self._first] = self.values
        return out

    def astype(self, dtype: DTypeLike) -> "SparseColumn":
        out = SparseColumn(self.rows, self.values.astype(dtype, copy=False), self._n_rows)
        out._first = self._first
        return out


def by_columns(X: Any) -> Any:
    """Return a sparse matrix as a csc_array, rows ascending, each entry once.

    Costs O(nnz); X itself is left as it is.
    """
    columns = sp.csc_array(X)
    if not columns.has_canonical_format:
        columns = columns.copy()
        columns.sum_duplicates()
    return columns


def sparse_column(columns: Any, position: int) -> SparseColumn:
    own = slice(*columns.indptr[position : position + 2])
    return SparseColumn(columns.indices[own], columns.data[own], columns.shape[0])
