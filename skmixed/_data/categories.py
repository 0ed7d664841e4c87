"""Categories of a column: those to encode, where missing is one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from skmixed._data.labels import EXACT_INTEGERS, ColumnLevels, factorize, learn_levels
from skmixed._data.parameters import items_of
from skmixed._data.table import Table, check_unmasked
from skmixed._typing import IntArray


@dataclass(frozen=True)
class Categories:
    """Labels in their order and, after them, the missing one if it occurs."""

    levels: ColumnLevels
    has_missing: bool

    def __len__(self) -> int:
        return len(self.levels) + self.has_missing

    @property
    def labels(self) -> NDArray[Any]:
        """All labels, (q,); the missing one is NaN, or NaT among dates."""
        labels = self.levels.labels
        if not self.has_missing:
            return labels
        if labels.dtype.kind in "mM":
            return np.append(labels, np.array("NaT", dtype=labels.dtype))
        if labels.dtype.kind == "f" or _fits_float(labels):
            return np.append(labels.astype(np.float64), np.nan)
        out = np.empty(len(labels) + 1, dtype=object)
        out[:-1], out[-1] = labels, np.nan
        return out

    def codes(self, column: Any, name: str) -> IntArray:
        """Return the category of each row, −1 where unknown."""
        if len(self.levels):
            codes = self.levels.codes(column, name)
        else:
            codes = np.full(len(column), -1, dtype=np.intp)
        if self.has_missing and (codes < 0).any():
            codes[(codes < 0) & np.asarray(pd.isna(column))] = len(self.levels)
        return codes


def learn_categories(column: Any, name: str = "X") -> tuple[Categories, IntArray]:
    """Learn the categories of a column; return them with the code of each row."""
    levels, codes = learn_levels(column, name)
    missing = codes < 0
    has_missing = bool(missing.any())
    return Categories(levels, has_missing), np.where(missing, len(levels), codes)


def learn_all(table: Table) -> Iterator[tuple[Categories, IntArray]]:
    """Learn the categories of each column."""
    return (learn_categories(table.get(j), table.label(j)) for j in range(table.n_columns))


def given_for_all(lists: Any, table: Table) -> Iterator[tuple[Categories, IntArray]]:
    """Take a list of categories for each column; return them with the codes of the rows."""
    check_lists(lists, table.n_columns)
    for j, labels in enumerate(lists):
        categories = given_categories(labels, table.label(j))
        yield categories, categories.codes(table.get(j), table.label(j))


def check_lists(categories: Any, n_columns: int) -> None:
    """Refuse what is no list of categories for each column."""
    if not isinstance(categories, list | tuple):
        raise TypeError(
            f"categories={categories!r} is of type {type(categories).__name__}. Give 'auto', or a "
            "list of the categories of each column."
        )
    if len(categories) != n_columns:
        raise ValueError(
            f"categories lists {len(categories)} columns, but X has {n_columns}. Give a list for "
            "each column, or 'auto'."
        )


def given_categories(labels: ArrayLike, name: str) -> Categories:
    """Take the labels that a user lists, in their order.

    Raises
    ------
    ValueError
        If a label is listed twice.
    TypeError
        If it is no list.
    """
    if isinstance(labels, str) or not np.iterable(labels):
        raise TypeError(
            f"The categories of column {name!r} are {labels!r}, of type {type(labels).__name__}. "
            "Give a list of labels for each column."
        )
    column = _as_column(labels, name)
    codes, uniques = factorize(column, name)
    is_missing = codes < 0
    if len(uniques) + int(is_missing.sum() > 0) < len(codes):
        codes = np.where(is_missing, len(uniques), codes)
        second = int(np.argmax(np.bincount(codes)[codes] > 1))
        raise ValueError(
            f"The categories of column {name!r} list {column[second]!r} more than once. List each "
            "once; all missing values are one category."
        )
    return Categories(ColumnLevels(uniques), bool(is_missing.any()))


def _fits_float(labels: NDArray[Any]) -> bool:
    """Whether labels are integers that floats hold, or none at all."""
    return not len(labels) or (
        labels.dtype.kind == "i" and bool(np.abs(labels).max() < EXACT_INTEGERS)
    )


def _as_column(labels: Any, name: str) -> NDArray[Any]:
    """Return listed labels with their types, which NumPy would make one."""
    if isinstance(labels, np.ndarray):
        check_unmasked(labels, "The list of categories")
        return np.asarray(labels)
    items = items_of(labels, f"categories of column {name!r}", is_kept=True)
    return np.fromiter(items, dtype=object, count=len(items))
