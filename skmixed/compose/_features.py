"""The columns of X that a regressor is given, in the kind of container that X is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import _safe_indexing

from skmixed._data.table import Table
from skmixed._typing import IntArray


@dataclass(frozen=True)
class Features:
    """Which columns of X a regressor is given.

    Attributes
    ----------
    positions : tuple of int
    names : tuple of str or None
        Their names, where X has names.
    n_columns : int
        All columns of X.
    """

    positions: tuple[int, ...]
    names: tuple[str, ...] | None
    n_columns: int

    @staticmethod
    def without(table: Table, others: set[int]) -> "Features":
        """Return all columns but others.

        Raises
        ------
        ValueError
            If none is left.
        """
        positions = tuple(j for j in range(table.n_columns) if j not in others)
        if not positions:
            left_out = ", ".join(repr(table.label(j)) for j in sorted(others))
            raise ValueError(
                f"X has {table.n_columns} feature(s), {left_out}, and all are grouping or linear "
                "columns, which `regressor` does not see. Give X further columns, or use "
                "MixedLinearRegressor."
            )
        names = None if table.names is None else tuple(table.names[j] for j in positions)
        return Features(positions, names, table.n_columns)

    def of(self, X: Any, table: Table) -> Any:
        """Return the columns of X, which was opened as a table; X itself where that are all."""
        if not hasattr(X, "shape"):
            return _array_of(table, self.positions)
        if sp.issparse(X):
            X = cast(Any, X).asformat("csr")  # whose rows and columns can be taken
        if len(self.positions) == self.n_columns == table.n_columns:
            return X
        if self.names is not None and table.names is not None:
            return _safe_indexing(X, list(self.names), axis=1)
        return _safe_indexing(X, list(self.positions), axis=1)


def _array_of(table: Table, positions: Sequence[int]) -> Any:
    """Return columns of a list of rows, as numbers where they are such."""
    array = np.stack([np.asarray(table.get(j)) for j in positions], axis=1)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def telling_column(table: Table, positions: Sequence[int], codes: IntArray) -> int | None:
    """Return the first column that is constant within the levels of a factor, not over all rows.

    Such a column tells levels apart: a regressor that has seen other rows of a level
    predicts the level's effect from it. Costs a comparison a value, for sparse matrices a
    value that is not 0.

    Parameters
    ----------
    table : Table
    positions : sequence of int
    codes : (n,) array of int
        The level of each row.
    """
    first = np.full(codes.max() + 1, len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    own = first[codes]
    if (own == np.arange(len(codes))).all():  # a row a level
        return None
    if table.matrix is not None and not isinstance(table.matrix, np.ndarray):
        rows = table.matrix[:, list(positions)].tocsr()
        within, overall = (abs(rows - rows[at]) for at in (own, np.zeros_like(own)))
        tells = np.asarray((within.sum(axis=0) == 0) & (overall.sum(axis=0) > 0)).ravel()
        return positions[int(np.argmax(tells))] if tells.any() else None
    columns = ((j, _comparable(table.get(j))) for j in positions)
    found = (j for j, c in columns if _is_same(c, c[own]) and not _is_same(c, c[:1]))
    return next(found, None)


def _comparable(column: Any) -> Any:
    """Return a column as numbers, those of its labels where it has other values.

    What is no label either, such as dictionaries, is left to the regressor to refuse.
    """
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        return values
    try:
        return pd.factorize(values)[0]
    except TypeError:
        return np.arange(len(values))


def _is_same(values: Any, others: Any) -> bool:
    """Whether values equal others, missing ones each other."""
    step = 4096  # most columns differ early
    others = np.broadcast_to(others, values.shape)
    for start in range(0, len(values), step):
        a, b = values[start : start + step], others[start : start + step]
        if not ((a == b) | (pd.isna(a) & pd.isna(b))).all():
            return False
    return True
