"""The reference grid of a model by a formula: its variables, their values, and its cells."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import ColumnLevels
from skmixed._fitted.fitted_model import fitted, formula_of, last_step
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import UnknownLevelsWarning
from skmixed.inference._marginal.grid_request import GridRequest

# Cells of a grid at most, as emmeans has it.
LARGEST_GRID = 10_000
# Values that a message lists.
MOST_VALUES = 20


class FormulaColumns(Protocol):
    """What a fitted formula tells of its columns, and makes of them at cells."""

    @property
    def fixed(self) -> list[str]: ...

    @property
    def random(self) -> list[str]: ...

    @property
    def offsets(self) -> list[list[str]]: ...

    @property
    def grouping(self) -> list[str]: ...

    @property
    def interactions(self) -> list[frozenset[str]]: ...

    @property
    def observed(self) -> Any: ...

    def is_factor(self, name: str) -> bool: ...

    def is_date(self, name: str) -> bool: ...

    def rows(self, cells: pd.DataFrame) -> FloatArray: ...

    def random_rows(self, cells: pd.DataFrame) -> list[FloatArray]: ...

    def offset(self, which: int, cells: pd.DataFrame) -> FloatArray: ...

    def slopes(self, name: str, cells: pd.DataFrame) -> FloatArray: ...

    def offset_slopes(self, name: str, cells: pd.DataFrame) -> FloatArray: ...

    @property
    def response(self) -> str: ...

    def response_inverse(self) -> Any: ...


@dataclass(frozen=True)
class Variable:
    """One variable of a grid.

    Attributes
    ----------
    name : str
    values : (n,) array
        Where it is, in the order of the grid.
    positions : (n,) array or None
        These among the values seen in fit, of a variable whose combinations are counted.
    is_mean : bool
        Whether it is at the mean of the rows.
    """

    name: str
    values: NDArray[Any]
    positions: IntArray | None = None
    is_mean: bool = False


@dataclass(frozen=True)
class ReferenceGrid:
    """The cells that means are taken over.

    Attributes
    ----------
    formula : FormulaColumns
    targets : tuple of Variable
        Those that the table is over; the first varies fastest.
    others : tuple of Variable
        Those that are averaged over, or held.
    offsets : tuple of int
        The offsets that are taken at the cells; the others are at their means.
    """

    formula: FormulaColumns
    targets: tuple[Variable, ...]
    others: tuple[Variable, ...]
    offsets: tuple[int, ...]

    @staticmethod
    def of(formula: FormulaColumns, asked: GridRequest) -> "ReferenceGrid":
        """Find the values of all variables.

        Raises
        ------
        ValueError
            If a variable or a value is not known, has no value, or the grid is too large.
        """
        how = {"has_random": asked.has_random}
        check_known(formula, asked.variables, "variables", **how)
        check_known(formula, asked.by, "by", **how)
        check_known(formula, asked.at, "at", **how)
        given = {*asked.targets, *asked.at, asked.column}
        offsets = [k for k, names in enumerate(formula.offsets) if given & {*names}]
        names = [*formula.fixed, *(formula.random if asked.has_random else [])]
        names += [name for k in offsets for name in formula.offsets[k]]
        found = {name: _variable(formula, name, asked) for name in dict.fromkeys(names)}
        targets = tuple(found.pop(name) for name in asked.targets)
        grid = ReferenceGrid(formula, targets, tuple(found.values()), tuple(offsets))
        grid._check_size()
        return grid

    @property
    def axes(self) -> list[Variable]:
        """All variables, the one that varies fastest among the targets behind them."""
        return [*reversed(self.targets), *self.others]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(own.values) for own in self.axes)

    @property
    def n_targets(self) -> int:
        return int(np.prod([len(own.values) for own in self.targets], dtype=int))

    @property
    def averaged(self) -> list[str]:
        """The variables that are averaged over."""
        return [own.name for own in self.others if len(own.values) > 1]

    @property
    def has_mean_offset(self) -> bool:
        """Whether an offset is at its mean over the rows."""
        return len(self.offsets) < len(self.formula.offsets)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row for each cell, a column for each variable."""
        return _frame(self.axes)

    @property
    def target_cells(self) -> pd.DataFrame:
        """A row for each combination of the targets, in their order."""
        made = _frame(list(reversed(self.targets)))
        return made[[own.name for own in self.targets]]

    @cached_property
    def rows(self) -> FloatArray:
        """The row of X of each cell, (n_cells, p)."""
        return self.formula.rows(self.cells)

    @cached_property
    def offset(self) -> FloatArray:
        """The sum of the offsets at each cell."""
        at_mean = [
            mean for k, mean in enumerate(self.formula.observed.offsets) if k not in self.offsets
        ]
        out = np.full(len(self.cells), float(np.sum(at_mean)))
        for k in self.offsets:
            out += self.formula.offset(k, self.cells)
        return out

    def _check_size(self) -> None:
        size = float(np.prod([float(n) for n in self.shape]))
        if size > LARGEST_GRID:
            sizes = {own.name: len(own.values) for own in self.axes}
            listed = ", ".join(f"{name!r} {n}" for name, n in sizes.items() if n > 1)
            raise ValueError(
                f"The reference grid has {size:,.0f} cells, and {LARGEST_GRID:,} are the most. The "
                f"numbers of values are {listed}. Choose fewer by `at`."
            )


def reference_of(model: Any) -> FormulaColumns:
    """Return what a fitted model by a formula tells of its columns.

    Raises
    ------
    TypeError
        If the model is by no formula.
    ValueError
        If it is a slim copy, or was saved without.
    """
    estimator = formula_of(model)
    if estimator is None:
        fitted(model, has_family=True)  # what is no fitted model is told first
        raise TypeError(
            f"The model is a {type(last_step(model)).__name__} by columns, of which it is not "
            "known what is a factor and what is made of what. Fit it by a formula, with "
            "skmixed.lmer, skmixed.glmer or skmixed.formula.FormulaRegressor, or give the weights "
            "of its fixed effects to skmixed.inference.contrast."
        )
    fitted(model, has_family=True)
    found: FormulaColumns = estimator._reference
    return found


def _frame(axes: list[Variable]) -> pd.DataFrame:
    """Return all combinations of values, the last variable fastest."""
    shape = tuple(len(own.values) for own in axes)
    size = int(np.prod(shape, dtype=int))
    places, index = np.indices(shape).reshape(len(axes), size), pd.RangeIndex(size)
    pairs = zip(axes, places, strict=True)
    columns = {own.name: pd.Series(own.values)[place].array for own, place in pairs}
    return pd.DataFrame(columns, index=index)


def check_known(
    formula: FormulaColumns, names: Iterable[str], where: str, *, has_random: bool = False
) -> None:
    """Refuse names that are no variables of the fixed part or of an offset, with what they are.

    `has_random`: whether those of the random effects count, too.
    """
    known = [*formula.fixed, *(name for own in formula.offsets for name in own)]
    known += formula.random if has_random else []
    for name in names:
        if name in known:
            continue
        if name in formula.grouping:
            raise ValueError(
                f"{where} names {name!r}, which is a grouping factor with random effects, not a "
                "fixed effect: marginal means and slopes are those of the population of its "
                "groups. Its own effects are in random_effects_."
            )
        if name in formula.random:
            raise ValueError(
                f"{where} names {name!r}, which has random coefficients alone, of mean 0. Add it "
                "to the fixed part of the formula."
            )
        listed = ", ".join(map(repr, dict.fromkeys(known)))
        near = [own for own in known if own.lower() == name.lower()]
        near = near or get_close_matches(name, known, n=1)
        raise ValueError(
            f"{where} names {name!r}, which is no variable of the fixed part. "
            + (f"Its variables are {listed}." if listed else "It has none.")
            + (f" Do you mean {near[0]!r}?" if near else "")
        )


def _variable(formula: FormulaColumns, name: str, asked: GridRequest) -> Variable:
    """Return one variable with its values: as given, all levels, or the mean."""
    observed, given = formula.observed, asked.at.get(name)
    levels: ColumnLevels | None = observed.levels.get(name)
    if formula.is_factor(name):
        assert levels is not None
        at = np.arange(len(levels)) if given is None else _positions(name, levels, given)
        return Variable(name, levels.labels[at], at)
    if given is not None:
        read = _dates if formula.is_date(name) else _numbers
        return Variable(name, read(name, given))
    if formula.is_date(name):
        raise ValueError(
            f"{name!r} holds dates, which have no mean here. Give a value: at={{{name!r}: …}}."
        )
    if levels is not None:
        return Variable(name, levels.labels, np.arange(len(levels)))
    mean, low, high = observed.range_of(name)
    if name in asked.targets:
        raise ValueError(
            f"{name!r} is numeric, from {low:g} to {high:g}, and has no levels to take means at. "
            f"Give values, such as at={{{name!r}: [{low:g}, {high:g}]}}; a slope is found by "
            "marginal_slopes."
        )
    if not np.isfinite(mean):
        raise ValueError(f"{name!r} has infinite values, and no mean. Give a value by `at`.")
    return Variable(name, np.array([mean]), is_mean=True)


def _positions(name: str, levels: ColumnLevels, given: list[Any]) -> IntArray:
    """Return the positions of the levels that are given."""
    column = pd.Series(given, dtype=object).infer_objects()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownLevelsWarning)  # an error says more
        at = levels.codes(column, name)
    if (at < 0).any():
        unknown = given[int(np.argmax(at < 0))]
        shown = levels.labels.tolist()
        listed = ", ".join(map(repr, shown[:MOST_VALUES]))
        more = f" and {len(shown) - MOST_VALUES} more" * (len(shown) > MOST_VALUES)
        raise ValueError(
            f"at[{name!r}] has {unknown!r}, which is no level of it in the rows of the fit. They "
            f"are {listed}{more}."
        )
    _check_distinct(name, at, given)
    return at


def _numbers(name: str, given: list[Any]) -> FloatArray:
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            f"at[{name!r}]={given!r} is no list of finite numbers, and {name!r} is numeric. Give "
            "numbers."
        )
    _check_distinct(name, values, given)
    return values


def _dates(name: str, given: list[Any]) -> NDArray[Any]:
    """Return dates as they are, and text as the dates that it says."""
    if not all(isinstance(value, str) for value in given):
        return np.asarray(pd.Series(given))
    try:
        return np.asarray(pd.to_datetime(pd.Series(given)))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"at[{name!r}]={given!r} is no list of dates, and {name!r} holds dates. Give dates, "
            "such as '2020-01-31'."
        ) from error


def _check_distinct(name: str, values: NDArray[Any], given: list[Any]) -> None:
    if len(np.unique(values)) < len(values):
        raise ValueError(f"at[{name!r}]={given!r} has a value twice. Leave one out.")
