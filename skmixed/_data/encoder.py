"""The encoder: which columns a model uses, learned in fit, and X as plain arrays.

With `table` and `labels`, the only code in the fit path that knows dataframes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.grouping_factor import FactorUnion, GroupingFactor, LabelSource, Metadata
from skmixed._data.parameters import as_columns
from skmixed._data.random_effect import AllExcept, RandomEffect, ResidualCovariance, parse_groups
from skmixed._data.subjects import SubjectColumns
from skmixed._data.table import Table, numeric_column
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.design import Design, FactorDesign
from skmixed._typing import ColumnName, FloatArray, GroupName, IntArray
from skmixed.typing import CovarianceName

INTERCEPT = "(Intercept)"
METADATA_NAME = "groups"


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
    subjects : SubjectColumns or None
        Those of the residuals' covariance.
    """

    numeric: tuple[int, ...]
    names: tuple[str, ...]
    fixed: tuple[int, ...]
    factors: tuple[GroupingFactor, ...]
    terms: tuple[Term, ...]
    subjects: SubjectColumns | None = None

    @property
    def all_factors(self) -> tuple[GroupingFactor, ...]:
        """The grouping factors, and the columns of labels of the residuals' covariance."""
        return self.factors + (() if self.subjects is None else self.subjects.factors)

    def with_factors(self, factors: Sequence[GroupingFactor]) -> "Encoder":
        """Return the same with other levels of `all_factors`."""
        n = len(self.factors)
        subjects = None if self.subjects is None else self.subjects.with_factors(factors[n:])
        return replace(self, factors=tuple(factors[:n]), subjects=subjects)

    def with_levels_of(self, learned: "Encoder") -> "Encoder":
        """Return the same with the levels that another one has learned."""
        out = self.with_factors(learned.all_factors)
        if out.subjects is None or learned.subjects is None:
            return out
        subjects = replace(out.subjects, orders=learned.subjects.orders)
        return replace(out, subjects=subjects)

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

    def idle_positions(self, included: tuple[int, ...], *, has_subjects: bool = False) -> set[int]:
        """Return the positions in X of columns that only group, by factors that do not count.

        `has_subjects`: whether the columns of the residuals' covariance count.
        """
        sources = [{s.position for s in factor.sources} for factor in self.all_factors]
        subjects = range(len(self.factors), len(sources) if has_subjects else 0)
        used = {j for k in (*included, *subjects) for j in sources[k]} | set(self.numeric)
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
        design = Design(columns, (y,), weights, designs)
        if self.subjects is None:
            return encoder, design
        subjects, own = self.subjects.learn(table, metadata, rows, len(y))
        return replace(encoder, subjects=subjects), replace(design, subjects=own)

    def factor_columns(self, factor: int) -> tuple[int, ...]:
        """Columns with a coefficient per level of a factor, the ones first."""
        used = {c for t in self.terms if t.factor == factor for c in t.columns}
        return (0, *sorted(used - {0}))


@dataclass
class EncoderUnion:
    """The factors of a model with the levels of all parts."""

    encoder: Encoder
    factors: list[FactorUnion]

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderUnion":
        """Start from the levels of an encoder, if it has learned any."""
        union = cls(encoder, [FactorUnion(factor) for factor in encoder.all_factors])
        if all(factor.levels for factor in encoder.all_factors):
            union.take(encoder)
        return union

    @property
    def n_levels(self) -> list[int]:
        """Of the grouping factors."""
        return [factor.n_levels for factor in self.factors[: len(self.encoder.factors)]]

    def take(self, part: Encoder) -> list[IntArray]:
        """Return the numbers of each factor's levels of a part, also of its subjects and times."""
        subjects = self.encoder.subjects
        if subjects is not None and part.subjects is not None:
            subjects = subjects.with_orders_of(part.subjects)
            self.encoder = replace(self.encoder, subjects=subjects)
        pairs = zip(self.factors, part.all_factors, strict=True)
        return [own.take(factor) for own, factor in pairs]

    def joined(self) -> Encoder:
        return self.encoder.with_factors([factor.joined() for factor in self.factors])


@dataclass(frozen=True)
class Specification:
    """What an estimator's parameters say of the columns of a model, under their names."""

    groups: Any
    random_slopes: Any
    fixed: Any
    covariance: CovarianceName
    fit_intercept: bool
    residual: ResidualCovariance | None = None

    def plan(self, table: Table, metadata: Metadata, chosen: Any = None) -> Encoder:
        """Find the columns of the model; `chosen` stands for what a selector has chosen."""
        named = list(metadata.columns)
        effects = parse_groups(self.groups, self.random_slopes, self.covariance, named)
        fixed = self.fixed if chosen is None else chosen
        return plan(
            table,
            metadata,
            effects,
            fixed,
            fit_intercept=self.fit_intercept,
            residual=self.residual,
        )


def plan(
    table: Table,
    metadata: Metadata,
    random_effects: Sequence[RandomEffect],
    fixed: Any,
    *,
    fit_intercept: bool,
    residual: ResidualCovariance | None = None,
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
    subjects = None if residual is None else _subject_columns(table, residual)
    left_out = grouping | _labels_only(table, subjects) if _is_rule(fixed) else grouping
    fixed_at = _fixed_positions(table, fixed, left_out)
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
        subjects=subjects,
    )


def _subject_columns(table: Table, residual: ResidualCovariance) -> SubjectColumns:
    """Find the columns that a residual covariance names."""

    def found(names: GroupName | None, role: str) -> GroupingFactor | None:
        if names is None:
            return None
        own = names if isinstance(names, tuple) else (names,)
        positions = [_position(table, name, role) for name in own]
        return GroupingFactor(tuple(LabelSource(table.label(j), j) for j in positions))

    return SubjectColumns(
        residual.structure,
        residual.heterogeneous,
        subject=found(residual.subject, "subject"),
        time=found(residual.time, "time"),
        by=found(residual.by, "by"),
        power=found(residual.columns.get("power"), "power"),
        shared_correlation=residual.shared_correlation,
        has_fitted_power=residual.has_fitted_power,
    )


def _is_rule(fixed: Any) -> bool:
    return fixed is None or callable(fixed) or isinstance(fixed, AllExcept)


def _labels_only(table: Table, subjects: SubjectColumns | None) -> set[int | None]:
    """Return the positions of columns that are no fixed effects unless they are named.

    Subjects, and times and strata that are no numbers.
    """
    if subjects is None:
        return set()
    own = set() if subjects.subject is None else {s.position for s in subjects.subject.sources}
    for factor in (subjects.time, subjects.by):
        positions = [] if factor is None else [s.position for s in factor.sources]
        own |= {j for j in positions if j is not None and not _is_numeric(table.get(j))}
    return own


def _is_numeric(column: Any) -> bool:
    return getattr(getattr(column, "dtype", None), "kind", "O") in "iufb"


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
    "subject": "Subject column",
    "time": "Time column",
    "by": "Stratum column",
    "power": "Column of power=",
    "linear": "Linear column",
}


def column_positions(table: Table, columns: Sequence[ColumnName], parameter: str) -> list[int]:
    """Find columns by name or position."""
    return [_position(table, c, parameter) for c in columns]


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
