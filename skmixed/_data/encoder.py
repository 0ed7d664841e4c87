"""The encoder: which columns a model uses, learned in fit, and X as plain arrays.

With `table` and `labels`, the only code in the fit path that knows dataframes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import ColumnLevels, learn_levels, shown_index
from skmixed._data.random_effect import AllExcept, RandomEffect, as_columns, parse_groups
from skmixed._data.sparse import SparseColumn
from skmixed._data.table import Table, numeric_column
from skmixed._model.covariance import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.design import Design, FactorDesign
from skmixed._typing import ColumnName, FloatArray, IntArray

INTERCEPT = "(Intercept)"
METADATA_NAME = "groups"


@dataclass(frozen=True)
class Metadata:
    """Grouping columns given beside X, by name."""

    columns: dict[str, Any]

    def rows(self, keep: NDArray[np.bool_]) -> "Metadata":
        return Metadata({name: column[keep] for name, column in self.columns.items()})


@dataclass(frozen=True)
class LabelSource:
    """Where a grouping column comes from: a position of X, or metadata."""

    name: str
    position: int | None

    def column(self, table: Table, metadata: Metadata) -> Any:
        column = metadata.columns[self.name] if self.position is None else table.get(self.position)
        return np.asarray(column) if isinstance(column, SparseColumn) else column


@dataclass(frozen=True)
class GroupingFactor:
    """One grouping factor and its levels.

    Attributes
    ----------
    sources : tuple of LabelSource
        Its column, or the columns whose interaction it is.
    levels : tuple of ColumnLevels
        One a column; empty before fit.
    cells : (q,) array or None
        Of an interaction, the combinations that occur, as mixed-radix numbers.
    """

    sources: tuple[LabelSource, ...]
    levels: tuple[ColumnLevels, ...] = ()
    cells: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        return ":".join(source.name for source in self.sources)

    @property
    def n_levels(self) -> int:
        return len(self.levels[0]) if self.cells is None else len(self.cells)

    @property
    def index(self) -> pd.Index:
        """The levels' labels, in order."""
        if self.cells is None:
            return shown_index(self.levels[0].labels, self.name)
        labels = [
            shown_index(level.labels)[c]
            for level, c in zip(self.levels, self.column_codes, strict=True)
        ]
        return pd.MultiIndex.from_arrays(labels, names=[s.name for s in self.sources])

    @property
    def column_codes(self) -> tuple[IntArray, ...]:
        """Code of each level in each of the columns."""
        if self.cells is None:
            return (np.arange(self.n_levels),)
        return np.unravel_index(self.cells, [len(level) for level in self.levels])

    def learn(
        self, table: Table, metadata: Metadata, rows: NDArray[np.intp] | None = None
    ) -> tuple["GroupingFactor", IntArray]:
        """Learn the levels; return the factor with them, and each row's code.

        `rows` are the numbers of the rows for messages, where some were left out.
        """
        learned = [learn_levels(s.column(table, metadata), s.name) for s in self.sources]
        levels = tuple(level for level, _ in learned)
        codes = [c for _, c in learned]
        for source, code in zip(self.sources, codes, strict=True):
            _check_not_missing(source.name, code, rows)
        if len(codes) == 1:
            return replace(self, levels=levels), codes[0]
        cells, combined = np.unique(combine(codes, levels), return_inverse=True)
        return replace(self, levels=levels, cells=cells), combined

    @cached_property
    def _order(self) -> IntArray:
        """Of the cells: ascending after one fit, by appearance after several chunks."""
        return np.argsort(self.cells, kind="stable") if self.cells is not None else np.empty(0, int)

    def codes(self, table: Table, metadata: Metadata) -> IntArray:
        """Return the level of each row, −1 where unknown or missing."""
        codes = []
        for level, source in zip(self.levels, self.sources, strict=True):
            codes.append(level.codes(source.column(table, metadata), source.name))
        if self.cells is None:
            return codes[0]
        combined = combine(codes, self.levels)
        order = self._order
        found = np.searchsorted(self.cells, combined, sorter=order)
        at = order[np.minimum(found, len(order) - 1)]
        return np.where(self.cells[at] == combined, at, -1)


@dataclass(frozen=True)
class Encoder:
    """The columns of a model, by position in X, and its factors.

    Attributes
    ----------
    numeric : tuple of int
        Positions in X of the numeric columns used, in X's order; column k of the
        statistics is numeric[k − 1].
    names : tuple of str
        Their names.
    fixed : tuple of int
        The statistics' columns with a fixed effect; 0 is the intercept.
    factors : tuple of GroupingFactor
    terms : tuple of Term
    """

    numeric: tuple[int, ...]
    names: tuple[str, ...]
    fixed: tuple[int, ...]
    factors: tuple[GroupingFactor, ...]
    terms: tuple[Term, ...]

    @property
    def fixed_names(self) -> tuple[str, ...]:
        return tuple(self.column_name(k) for k in self.fixed)

    def column_name(self, column: int) -> str:
        """Name of a column of the statistics; 0 is the intercept."""
        return self.names[column - 1] if column else INTERCEPT

    def coefficient_names(self, term: Term) -> list[str]:
        return [self.column_name(column) for column in term.columns]

    @property
    def uses_metadata(self) -> bool:
        return any(s.position is None for f in self.factors for s in f.sources)

    def idle_positions(self, included: tuple[int, ...]) -> set[int]:
        """Return the positions in X of columns that only group, by factors that do not count."""
        sources = [{s.position for s in factor.sources} for factor in self.factors]
        used = {j for k in included for j in sources[k]} | set(self.numeric)
        return {j for own in sources for j in own if j is not None and j not in used}

    def model(self, *, reml: bool) -> Model:
        return Model(self.fixed, self.terms, reml)

    def numeric_columns(self, table: Table) -> tuple[FloatArray, ...]:
        return tuple(
            numeric_column(table.get(j), name)
            for j, name in zip(self.numeric, self.names, strict=True)
        )

    def learn(
        self, table: Table, metadata: Metadata, y: FloatArray, weights: FloatArray | None
    ) -> tuple["Encoder", Design]:
        """Learn the levels; return the encoder with them, and the plain arrays.

        Rows of weight 0 are left out, before the levels are learned.
        """
        columns, rows = self.numeric_columns(table), None
        if weights is not None and not weights.all():
            keep = weights > 0
            columns, y, weights = tuple(c[keep] for c in columns), y[keep], weights[keep]
            table, metadata, rows = table.rows(keep), metadata.rows(keep), np.flatnonzero(keep)
        learned = [factor.learn(table, metadata, rows) for factor in self.factors]
        encoder = replace(self, factors=tuple(factor for factor, _ in learned))
        designs = tuple(
            FactorDesign(codes, factor.n_levels, encoder.factor_columns(k))
            for k, (factor, codes) in enumerate(learned)
        )
        return encoder, Design(columns, (y,), weights, designs)

    def factor_columns(self, factor: int) -> tuple[int, ...]:
        """Columns with a coefficient per level of a factor, the ones first."""
        used = {c for t in self.terms if t.factor == factor for c in t.columns}
        return (0, *sorted(used - {0}))


@dataclass(frozen=True)
class Specification:
    """What an estimator's parameters say of the columns of a model, under their names."""

    groups: Any
    random_slopes: Any
    fixed: Any
    covariance: str
    fit_intercept: bool

    def plan(self, table: Table, metadata: Metadata, chosen: Any = None) -> Encoder:
        """Find the columns of the model; `chosen` stands for what a selector has chosen."""
        named = list(metadata.columns)
        effects = parse_groups(self.groups, self.random_slopes, self.covariance, named)
        fixed = self.fixed if chosen is None else chosen
        return plan(table, metadata, effects, fixed, fit_intercept=self.fit_intercept)


def plan(
    table: Table,
    metadata: Metadata,
    random_effects: Sequence[RandomEffect],
    fixed: Any,
    *,
    fit_intercept: bool,
) -> Encoder:
    """Find the columns that are named."""
    if len(random_effects) == table.n_rows > table.n_columns:
        raise ValueError(
            f"groups is a list as long as X, of {table.n_rows}. It names columns of X; give labels "
            "to fit(X, y, groups=labels), or name their column in the constructor."
        )
    sources = [_sources(table, metadata, effect) for effect in random_effects]
    _check_used(metadata, sources)
    factors = list(dict.fromkeys(GroupingFactor(s) for s in sources))
    _check_keys([factor.name for factor in factors])
    grouping = {s.position for group in sources for s in group}
    fixed_at = _fixed_positions(table, fixed, grouping)
    slopes = [_slope_positions(table, effect) for effect in random_effects]
    numeric = tuple(sorted({*fixed_at, *(j for s in slopes for j in s)}))
    at = {position: k for k, position in enumerate(numeric, start=1)}
    terms = tuple(
        Term(
            factor=factors.index(GroupingFactor(source)),
            columns=(*((0,) if effect.intercept else ()), *(at[j] for j in own)),
            structure=STRUCTURES[effect.covariance or "full"],
        )
        for effect, source, own in zip(random_effects, sources, slopes, strict=True)
    )
    return Encoder(
        numeric=numeric,
        names=tuple(table.label(j) for j in numeric),
        fixed=(*((0,) if fit_intercept else ()), *(at[j] for j in fixed_at)),
        factors=tuple(factors),
        terms=terms,
    )


def _check_used(metadata: Metadata, sources: list[tuple[LabelSource, ...]]) -> None:
    if metadata.columns and all(s.position is not None for own in sources for s in own):
        raise ValueError(
            f"groups= has {', '.join(map(repr, metadata.columns))}, but the constructor names "
            "grouping columns of X alone. Name them in the constructor too, or leave `groups` out."
        )


def _check_keys(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Two grouping factors are called {name!r}, one of them an interaction of columns. "
                "Rename the other column."
            )


def _sources(table: Table, metadata: Metadata, effect: RandomEffect) -> tuple[LabelSource, ...]:
    names = effect.groups if isinstance(effect.groups, tuple) else (effect.groups,)
    sources = tuple(_source(table, metadata, name) for name in names)
    if len(set(sources)) < len(sources):
        raise ValueError(
            f"The interaction {effect.groups!r} has the column {sources[0].name!r} more than once, "
            "by its name and by its position. Name each column once."
        )
    return sources


def _source(table: Table, metadata: Metadata, name: ColumnName) -> LabelSource:
    if name in metadata.columns:
        if table.names is not None and name in table.names:
            raise ValueError(
                f"Grouping column {name!r} is both in X and in `groups`. Rename one of them."
            )
        return LabelSource(str(name), None)
    position = _position(table, name, "groups")
    return LabelSource(table.label(position), position)


def _fixed_positions(table: Table, fixed: Any, grouping: set[int | None]) -> list[int]:
    """Find the columns with a fixed effect; a rule, unlike a list, leaves out the grouping ones."""
    if fixed is None:
        chosen = set(range(table.n_columns)) - grouping
    elif isinstance(fixed, AllExcept):
        excluded = {_position(table, c, "columns") for c in fixed.columns}
        chosen = set(range(table.n_columns)) - grouping - excluded
    elif callable(fixed):
        selected = as_columns(fixed(table.source), "fixed")
        chosen = {_position(table, c, "fixed") for c in selected} - grouping
    else:
        named = as_columns(fixed, "fixed", is_kept=True)
        chosen = {_position(table, c, "fixed") for c in named}
    return sorted(chosen)


def _slope_positions(table: Table, effect: RandomEffect) -> list[int]:
    positions = [_position(table, c, "slopes") for c in effect.slopes]
    for j in positions:
        if positions.count(j) > 1:
            raise ValueError(
                f"Slope column {table.label(j)!r} is named twice in slopes={list(effect.slopes)!r}."
            )
    return positions


_ROLES = {
    "groups": "Grouping column",
    "fixed": "Fixed-effects column",
    "slopes": "Slope column",
    "columns": "Excluded column",
}


def _position(table: Table, column: ColumnName, parameter: str) -> int:
    """Find a column by name or position."""
    role = _ROLES[parameter]
    if isinstance(column, int):
        if not -table.n_columns <= column < table.n_columns:
            raise ValueError(
                f"{role} {column} is not a position in X, which has {table.n_columns} columns."
            )
        return column % table.n_columns
    if table.names is None:
        raise ValueError(
            f"{role} {column!r} is named, but X has no column names. Pass a DataFrame whose "
            "column names are all strings, or the column's position; behind a transformer, use "
            "set_output(transform='pandas')."
        )
    found = [j for j, name in enumerate(table.names) if name == column]
    if not found:
        raise ValueError(
            f"{role} {column!r} is not a column of X. X has columns "
            f"{', '.join(map(repr, table.names))}."
        )
    if len(found) > 1:
        raise ValueError(f"{role} {column!r} is the name of {len(found)} columns of X.")
    return found[0]


def combine(codes: list[IntArray], levels: Sequence[ColumnLevels]) -> NDArray[np.int64]:
    """Return numbers of the combinations of codes in mixed radix, −1 where one is −1."""
    if np.prod([float(len(level)) for level in levels]) >= 2.0**62:
        raise ValueError(
            f"The interaction of columns with {' × '.join(str(len(v)) for v in levels)} labels has "
            "too many combinations to number. Combine some of the columns into one beforehand."
        )
    combined = np.zeros(len(codes[0]), dtype=np.int64)
    missing = np.zeros(len(codes[0]), dtype=bool)
    for code, level in zip(codes, levels, strict=True):
        combined = combined * len(level) + code
        missing |= code < 0
    combined[missing] = -1
    return combined


def _check_not_missing(name: str, codes: IntArray, rows: NDArray[np.intp] | None) -> None:
    missing = codes < 0
    if missing.any():
        first = int(np.argmax(missing))
        count = int(missing.sum())
        raise ValueError(
            f"Grouping factor {name!r} has {count} missing value{'s' if count > 1 else ''} (first "
            f"at row {first if rows is None else rows[first]}). Drop those rows or name the "
            "missing level before fitting."
        )
