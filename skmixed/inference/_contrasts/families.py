"""The cells of a table in families, within which they are compared, and what each is called."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_scalar

from skmixed._data.table import shown
from skmixed._typing import IntArray

# Labels with one of these stand in parentheses, as in emmeans.
SIGNS = re.compile(r"[-+/*]")


@dataclass(frozen=True)
class CellFamily:
    """Cells that are compared with each other.

    Attributes
    ----------
    places : (k,) array
        Where they are in the table.
    cells : DataFrame of shape (k, n_variables)
        Their levels or values, without the variables that the family is within.
    within : DataFrame of shape (1, n_by)
        Levels or values of these.
    """

    places: IntArray
    cells: pd.DataFrame
    within: pd.DataFrame

    @property
    def plain_labels(self) -> list[str]:
        """The labels of the cells, of numbers with the name of their variable."""
        parts = [_labels(column) for _, column in self.cells.items()]
        return [" ".join(own) for own in zip(*parts, strict=True)]

    @property
    def labels(self) -> list[str]:
        """The labels of the cells as they stand in comparisons."""
        return [f"({label})" if SIGNS.search(label) else label for label in self.plain_labels]

    def place(self, cell: Any, name: str) -> int:
        """Return the place of a cell that a user names, by its label or by its values."""
        if not isinstance(cell, Mapping | tuple | list) and not is_scalar(cell):
            raise TypeError(
                f"{name}={shown(cell)} is of type {type(cell).__name__}. Name one cell, by its "
                f"label or its values, such as {self.plain_labels[0]!r}."
            )
        if isinstance(cell, Mapping):
            found = self._with(cell)
        elif isinstance(cell, tuple | list):
            found = self._with(dict(zip(self.cells.columns, cell, strict=False)))
            found = found if len(cell) == self.cells.shape[1] else []
        else:
            found = [k for k, label in enumerate(self.plain_labels) if _is_equal(label, cell)]
            if not found and self.cells.shape[1] == 1:
                found = self._with({self.cells.columns[0]: cell})
        if len(found) == 1:
            return found[0]
        known = ", ".join(repr(label) for label in self.plain_labels[:10])
        raise ValueError(
            f"{name}={shown(cell)} names {'several cells' if found else 'no cell'}. "
            f"Choose one of {known}{', ...' if len(self.cells) > 10 else ''}."
        )

    def _with(self, values: Mapping[Any, Any]) -> list[int]:
        """Return the places of the cells with some values; none for names that are not there."""
        if not set(values) <= set(self.cells.columns):
            return []
        rows = zip(*(self.cells[name] for name in values), strict=True)
        return [k for k, row in enumerate(rows) if _same(row, values.values())]


def families(cells: pd.DataFrame, by: tuple[str, ...]) -> list[CellFamily]:
    """Divide cells by the values of some variables, in the order of their first appearance."""
    own = cells.drop(columns=list(by)).reset_index(drop=True)
    if not by:
        nowhere = pd.DataFrame(index=[0])
        return [CellFamily(pd.RangeIndex(len(cells)).to_numpy(), own, nowhere)]
    within = cells[list(by)].reset_index(drop=True)
    numbers = within.groupby(list(by), sort=False, observed=True, dropna=False).ngroup()
    return [
        CellFamily(part.to_numpy(), own.loc[part], within.loc[part[:1]])
        for part in (numbers.index[numbers == k] for k in range(numbers.max() + 1))
    ]


def check_by(by: Any, names: list[str]) -> tuple[str, ...]:
    """Return `by` as a tuple of variables of a grid; refuse others, and all of them."""
    own = (by,) if isinstance(by, str) else by
    if not isinstance(own, tuple | list) or not all(isinstance(name, str) for name in own):
        raise TypeError(f"by={shown(by)} is no variable. Give its name, or a list of names.")
    known = ", ".join(map(repr, names))
    for name in own:
        if name not in names:
            raise ValueError(
                f"by={shown(by)} names {name!r}, which is no variable of the table. It has {known}."
            )
    if own and len(set(own)) == len(names):
        raise ValueError(
            f"by={shown(by)} are all variables of the table, {known}: nothing is left to compare. "
            "Leave one out."
        )
    return tuple(dict.fromkeys(own))


def _labels(column: "pd.Series[Any]") -> list[str]:
    is_number = is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype)
    own = [f"{value:.15g}" if is_number else str(value) for value in column]
    # As in emmeans also of factors whose levels are all numbers
    return [f"{column.name}{label}" for label in own] if all(map(_is_number, own)) else own


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _same(row: tuple[Any, ...], values: Any) -> bool:
    return all(_is_equal(a, b) for a, b in zip(row, values, strict=True))


def _is_equal(value: Any, given: Any) -> bool:
    """Whether a user names a value; what is missing is none."""
    return is_scalar(given) and not pd.isna(given) and bool(value == given)
