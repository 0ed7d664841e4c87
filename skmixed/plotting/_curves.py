"""Expected responses along one column of X, group by group."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from skmixed._data.encoder import Encoder
from skmixed._data.metadata import open_metadata
from skmixed._data.table import float_column, numeric_column, open_table
from skmixed._fitted.fitted_model import before_model, formula_of, regressor_of
from skmixed._fitted.prediction_rows import open_rows
from skmixed._typing import ColumnName, FloatArray, IntArray

# Values of the column, and rows of a group over which expectations are averaged.
N_VALUES, MOST_ROWS = 25, 200


@dataclass(frozen=True)
class Rows:
    """X as a DataFrame or an array, and the grouping columns beside it."""

    X: Any
    groups: pd.DataFrame | None

    @staticmethod
    def of(model: Any, X: Any, groups: Any) -> "Rows":
        table = open_table(X)
        if not isinstance(X, pd.DataFrame):
            columns = [table.get(j) for j in range(table.n_columns)]
            named = None if table.names is None else dict(zip(table.names, columns, strict=True))
            X = np.asarray(X) if named is None else pd.DataFrame(named)
        by_formula = formula_of(model)
        if by_formula is not None:
            X = X.set_axis([str(name) for name in X.columns], axis=1)
            keep = by_formula._complete(before_model(model, X)[0]).keep
            X = X if keep is None else X[keep]
        is_named = regressor_of(model).groups is not None
        metadata = open_metadata(groups, table.n_rows, is_named=is_named).columns
        beside = {name: np.asarray(column) for name, column in metadata.items()}
        return Rows(X, pd.DataFrame(beside) if beside else None)

    def column(self, position: int, rows: IntArray) -> FloatArray:
        """Return a column's numbers in some rows; an error counts rows as X does."""
        table = open_table(self.X)
        name = table.label(position)
        values = np.asarray(float_column(table.get(position), name))
        is_shown = np.zeros(len(values), dtype=bool)
        is_shown[rows] = True
        return numeric_column(np.where(is_shown, values, 0.0), name)[rows]

    def taken(self, rows: IntArray) -> "Rows":
        X = self.X.iloc[rows] if isinstance(self.X, pd.DataFrame) else self.X[rows]
        return Rows(X, None if self.groups is None else self.groups.iloc[rows])

    def with_column(self, position: int, values: FloatArray) -> "Rows":
        if isinstance(self.X, pd.DataFrame):
            X = self.X.copy()
            X.isetitem(position, values)
        else:
            X = self.X.astype(np.result_type(self.X, np.float64), copy=True)
            X[:, position] = values
        return Rows(X, self.groups)

    def expected(self, model: Any, *, with_effects: bool) -> FloatArray:
        groups = self.groups if with_effects else None
        include = "all" if with_effects else "fixed"
        given = open_rows(model, self.X, groups, include=include, has_family=True)
        found = replace(given, is_all=False).expected()  # means, without residuals of the fit
        return given.fitted.family.mean(found) if given.fitted.is_generalized else found


def choose_column(model: Any, encoder: Encoder, k: int, rows: Rows, x: ColumnName | None) -> int:
    """Return the position in X of the column to plot against.

    None: the first slope of the factor, or else the first fixed one.

    Raises
    ------
    ValueError
        If X has no such column, or there is none to choose.
    """
    table = open_table(rows.X)
    if x is None:
        return _first_column(model, encoder, k, table.names)
    known: list[Any] = list(table.names or ())
    if not isinstance(x, str):
        known = list(range(table.n_columns))
    if x not in known:
        listed = ", ".join(map(repr, known)) or "columns without names"
        raise ValueError(f"x={x!r} is not a column of X. X has {listed}.")
    position, by_formula = known.index(x), formula_of(model)
    if by_formula is not None and (table.names or ())[position] in by_formula._frame.kinds.levels:
        raise ValueError(f"x={x!r} is a factor of the formula. Name a column of numbers.")
    return position


def _first_column(model: Any, encoder: Encoder, k: int, names: tuple[str, ...] | None) -> int:
    slopes = [c for t in encoder.terms if t.factor == k for c in t.columns if c]
    used = [*slopes, *(c for c in encoder.fixed if c)]
    by_formula = formula_of(model)
    if by_formula is not None:
        numeric = by_formula._frame.numeric_sources
        found = [own for c in used for own in numeric.get(encoder.column_name(c), ())]
        found = [name for name in found if name in (names or ())]
        if found:
            return (names or ()).index(found[0])
    elif isinstance(model, Pipeline) and len(model.steps) > 1:
        # Behind the steps columns have other places, and may have other names.
        candidates = [encoder.column_name(c).rpartition("__")[2] for c in used]
        known = [name for name in candidates if name in (names or ())]
        if known and names is not None:
            return names.index(known[0])
    elif used:
        return encoder.numeric[used[0] - 1]
    raise ValueError(
        "x=None, but there is no numeric column to choose. Name a column of X to plot against."
    )


def curves(
    model: Any, rows: Rows, codes: IntArray, shown: IntArray, position: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values of the column, and each shown group's mean expected responses there.

    With random effects and without, (n_shown, n_values) both: predictions with the
    column set to a value, averaged over rows of the group.
    """
    own = [_spread(np.flatnonzero(codes == level)) for level in shown]
    sizes = np.array([len(rows) for rows in own])
    chosen = rows.taken(np.concatenate(own))
    inside = np.isin(codes, shown)
    column = rows.column(position, np.flatnonzero(inside))
    values = np.linspace(column.min(), column.max(), N_VALUES)
    repeated = chosen.taken(np.repeat(np.arange(sizes.sum()), N_VALUES))
    repeated = repeated.with_column(position, np.tile(values, sizes.sum()))
    starts = np.cumsum(sizes) - sizes
    conditional, fixed = (
        np.add.reduceat(repeated.expected(model, with_effects=w).reshape(-1, N_VALUES), starts)
        / sizes[:, None]
        for w in (True, False)
    )
    return values, conditional, fixed


def _spread(rows: IntArray) -> IntArray:
    """Take at most so many rows, evenly spaced."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(np.intp)]
