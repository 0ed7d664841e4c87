"""What a formula makes of frames: columns, response, weights and offset, as learned in fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.labels import ColumnLevels
from skmixed._data.random_effect import RandomEffect
from skmixed._data.table import numeric_column
from skmixed._typing import FloatArray, Use
from skmixed.formula._code import LABEL
from skmixed.formula._columns import ColumnKinds, NamedRows
from skmixed.formula._reference.observed import ObservedValues
from skmixed.formula._source import Part, Quantity, Source, Sum, check_names
from skmixed.formula._syntax import (
    GroupingColumn,
    RandomTerm,
    error_at,
    parse_formula,
)
from skmixed.typing import CovarianceName


@dataclass(frozen=True)
class ModelFrame:
    """A formula as learned from data.

    Attributes
    ----------
    source : Source
    given : tuple of str
        The columns of the data that the formula was read for, as far as it names them.
    kinds : ColumnKinds
        Of the columns that the right-hand side evaluates.
    grouping : dict of str to str
        Grouping column → the column of the data.
    fixed : Part
    slopes : tuple of Part
        Of each random-effects term.
    groups : tuple of tuple of str
        Grouping columns of the factor of each.
    offsets : tuple of Quantity
    response, weights : Quantity or None
    labels : tuple of str
        The columns of the data that a residual covariance names.
    covariances : tuple of str
        Of each random-effects term.
    failures : Quantity or None
        Beside a response that counts successes.
    classes : ColumnLevels or None
        The labels of a response of two classes, of which the second counts.
    observed : ObservedValues or None
        Of the rows of the fit; None of models that were saved without.
    """

    source: Source
    given: tuple[str, ...]
    kinds: ColumnKinds
    grouping: dict[str, str]
    fixed: Part
    slopes: tuple[Part, ...]
    groups: tuple[tuple[str, ...], ...]
    offsets: tuple[Quantity, ...]
    response: Quantity | None
    weights: Quantity | None
    labels: tuple[str, ...] = ()
    covariances: tuple[CovarianceName, ...] = ()
    failures: Quantity | None = None
    classes: ColumnLevels | None = None
    observed: ObservedValues | None = None

    @property
    def response_name(self) -> str | None:
        """What the formula has before its ~; None where that is nothing."""
        return self.source.parsed.response or None

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.fixed, *self.slopes)

    @property
    def codings(self) -> dict[str, str]:
        """The codings of factors, by column, that are given beside the formula."""
        return {n: own for part in self.parts for n, own in part.sum.codings.items()}

    @property
    def variables(self) -> list[str]:
        """The columns of the data that the right-hand side evaluates."""
        names = {name for part in self.parts for name in part.sum.columns}
        return sorted(names | {name for offset in self.offsets for name in offset.columns})

    @property
    def named(self) -> list[str]:
        """All columns of the data that the model names."""
        beside = [own.columns for own in (self.response, self.failures, self.weights) if own]
        own = [*self.variables, *self.grouping.values(), *self.labels]
        return [*own, *(n for names in beside for n in names)]

    @property
    def names(self) -> list[str]:
        """The numeric columns, those with a fixed effect first."""
        return list(dict.fromkeys(name for part in self.parts for name in part.names))

    @property
    def numeric_sources(self) -> dict[str, list[str]]:
        """Column that the formula makes → the numeric columns of the data in it."""
        known = self.kinds.levels.keys() | self.kinds.dates
        made = {name: own for part in self.parts for name, own in part.sources.items()}
        return {name: [one for one in own if one not in known] for name, own in made.items()}

    @property
    def sizes(self) -> list[tuple[str, int, str]]:
        """Grouping factor, number of coefficients and covariance of each random-effects term."""
        return [
            (":".join(groups), int(part.has_intercept) + len(part.names), covariance)
            for groups, part, covariance in self.terms
        ]

    @property
    def terms(self) -> list[tuple[tuple[str, ...], Part, CovarianceName]]:
        """Grouping columns, coefficients and covariance of each random-effects term."""
        return list(zip(self.groups, self.slopes, self.covariances, strict=True))

    @property
    def random_effects(self) -> list[RandomEffect]:
        """The random-effects terms, by position in `columns`."""
        at = {name: k for k, name in enumerate(self.names)}
        beside = (name for name in self.grouping if name not in at)
        place = at | {name: k + len(at) for k, name in enumerate(beside)}
        return [
            RandomEffect(
                tuple(place[name] for name in groups),
                [at[name] for name in part.names],
                intercept=part.has_intercept,
                covariance=covariance,
            )
            for groups, part, covariance in self.terms
        ]

    @property
    def made(self) -> list[str]:
        """All columns that the model is given, in their order."""
        return list(dict.fromkeys((*self.names, *self.grouping, *self.labels)))

    @property
    def coded_numbers(self) -> set[str]:
        """The columns of numbers that are coded as factors.

        Random effects count of columns alone that the fixed part does not have.
        """
        own = self.fixed.sum
        beside = {use for part in self.slopes for use in part.sum.uses}
        uses = {*own.uses, *(use for use in beside if use[0] not in own.columns)}
        known = self.kinds.levels.keys() | self.kinds.dates
        return {name for name, use in uses if use == LABEL} - known

    def needed(self, include: Any) -> list[str]:
        """Return the grouping columns of the factors whose effects count."""
        if isinstance(include, str):
            return [] if include == "fixed" else list(self.grouping)
        wanted = set(include)
        used = {name for own in self.groups if ":".join(own) in wanted for name in own}
        return [name for name in self.grouping if name in used]

    def columns(
        self, rows: NamedRows, grouping: Iterable[str], *, has_labels: bool = True
    ) -> pd.DataFrame:
        """Return the numeric columns, the grouping columns and those of labels of rows.

        Labels of grouping columns other than those asked for are missing, and unless
        `has_labels` those of a residual covariance.
        """
        labels = {name: self.grouping[name] for name in grouping}
        beside = [name for name in self.labels if has_labels or name in rows.names]
        labels |= {name: name for name in beside if name not in labels}
        for name in (*self.variables, *labels.values()):
            self.source.check_column(name, rows)
        uses = dict.fromkeys(use for part in self.parts for use in part.sum.uses)
        frame = self.kinds.frame(rows, uses)
        numeric: dict[str, FloatArray] = {}
        for part in self.parts:
            if not numeric.keys() >= set(part.names):
                numeric |= part.columns(frame, self.source)
        # Of a numeric grouping column that is in the sum too, the labels serve as both.
        given = {name: rows.column(own) for name, own in labels.items()}
        missing = dict.fromkeys((*self.grouping, *self.labels))
        columns: dict[str, Any] = missing | numeric | given
        made = {name: columns[name] for name in self.made}
        frame = pd.DataFrame(made, index=pd.RangeIndex(rows.n_rows), copy=False)
        return frame.set_axis(rows.index)

    def offset(self, rows: NamedRows) -> FloatArray | None:
        """Return the sum of the offsets, (n,), or None without any."""
        if not self.offsets:
            return None
        found = [
            numeric_column(np.asarray(own.values(rows)), own.text, "The offset")
            for own in self.offsets
        ]
        return np.sum(found, axis=0)


@dataclass(frozen=True)
class Reading:
    """A formula and the columns of a frame that it names, before anything is learned.

    Attributes
    ----------
    source : Source
    rows : NamedRows
        Those that it was read for.
    fixed : Sum
    random : tuple of (tuple of GroupingColumn, Sum, str)
        Each random-effects term, with its covariance.
    offsets : tuple of Quantity
    response, weights : Quantity or None
    labels : tuple of str
        The columns that a residual covariance names.
    failures : Quantity or None
        Beside a response that counts successes.
    """

    source: Source
    rows: NamedRows
    fixed: Sum
    random: tuple[tuple[tuple[GroupingColumn, ...], Sum, CovarianceName], ...]
    offsets: tuple[Quantity, ...]
    response: Quantity | None
    weights: Quantity | None
    labels: tuple[str, ...] = ()
    failures: Quantity | None = None

    @staticmethod
    def of(
        formula: str,
        rows: NamedRows,
        context: Mapping[str, Any] | None,
        weights: str | None = None,
        offset: str | None = None,
        labels: tuple[str, ...] = (),
        codings: Mapping[str, str] | None = None,
    ) -> "Reading":
        """Read a formula, and what is named beside it, with codings of factors by column."""
        source = Source(parse_formula(formula), dict(context or {}), dict(codings or {}))
        parsed = source.parsed
        offsets = [Quantity.within(own, rows, source) for own in parsed.offsets]
        offsets += [Quantity.beside(offset, rows, context)] if offset is not None else []
        written = parsed.counts or ((parsed.response,) if parsed.response else ())
        counted = [Quantity.within(own, rows, source) for own in written]
        response, failures = (*counted, None, None)[:2]
        weighing = None if weights is None else Quantity.beside(weights, rows, context)
        groups = [(own, term) for term in parsed.random for own in term.groups]
        grouping = [column.column for own, _ in groups for column in own]
        for name in (*grouping, *labels):
            source.check_column(name, rows)
        beside = (*offsets, *(own for own in (response, failures, weighing) if own))
        used = {*grouping, *labels, *(name for own in beside for name in own.columns)}
        fixed = source.sum(parsed.fixed, rows, [n for n in rows.names if n not in used])
        if not (fixed.columns or groups or labels):
            raise error_at(
                parsed.text,
                len(parsed.text),
                "The formula has neither a column nor a group on its right.",
            )
        random = [
            (own, part, term.covariance)
            for own, term in groups
            for part in _coefficients(source, term, rows)
        ]
        for own in (*offsets, *([weighing] if weighing else [])):
            own.check(rows)
        return Reading(
            source, rows, fixed, tuple(random), tuple(offsets), response, weighing, labels, failures
        )

    @property
    def response_name(self) -> str | None:
        """What the formula has before its ~; None where that is nothing."""
        return self.source.parsed.response or None

    @property
    def variables(self) -> list[str]:
        sums = (self.fixed, *(part for _, part, _ in self.random))
        return sorted({name for part in sums for name in part.columns})

    def needed(self, *, with_response: bool) -> list[str]:
        """Return all columns of the data that the model names."""
        beside = [*self.offsets, *([self.weights] if self.weights else [])]
        if with_response:
            counted = [own for own in (self.response, self.failures) if own]
            for quantity in counted:
                quantity.check(self.rows)
            beside = [*counted, *beside]
        own = [*self.variables, *self.grouping.values(), *self.labels]
        return [*own, *(name for quantity in beside for name in quantity.columns)]

    @property
    def grouping(self) -> dict[str, str]:
        return {column.name: column.column for own, *_ in self.random for column in own}

    @property
    def codings(self) -> dict[str, str]:
        """The codings of factors, by column, that are given beside the formula and used."""
        return {name: own for part in self.sums for name, own in part.codings.items()}

    @property
    def sums(self) -> list[Sum]:
        """The fixed part, and each random-effects term."""
        return [self.fixed, *(part for _, part, _ in self.random)]

    def learn(self, rows: NamedRows, *, with_response: bool) -> ModelFrame:
        """Learn categories and transformations from rows."""
        kinds = ColumnKinds.learn(rows, self.variables)
        uses: dict[Use, None] = dict.fromkeys(use for part in self.sums for use in part.uses)
        for part in self.sums:
            self.source.check_kinds(part, kinds)
        frame = kinds.frame(rows, uses)
        parts = tuple(self.source.learn(part, kinds, frame) for part in self.sums)
        check_names(self.source.parsed.text, parts, self.grouping)
        response, weights, failures = self.response, self.weights, self.failures
        return self.with_learned(
            kinds=kinds,
            parts=parts,
            offsets=tuple(own.learned(rows) for own in self.offsets),
            response=response.learned(rows) if response and with_response else response,
            weights=weights and weights.learned(rows),
            failures=failures and failures.learned(rows),  # never beside y
        )

    def with_learned(
        self,
        *,
        kinds: ColumnKinds,
        parts: tuple[Part, ...],
        offsets: tuple[Quantity, ...],
        response: Quantity | None,
        weights: Quantity | None,
        failures: Quantity | None,
    ) -> ModelFrame:
        """Return the formula with what was learned of its parts."""
        beside = [own.columns for own in (response, failures, weights) if own]
        used = {*self.needed(with_response=False), *(name for own in beside for name in own)}
        return ModelFrame(
            source=self.source,
            given=tuple(name for name in dict.fromkeys(self.rows.names) if name in used),
            kinds=kinds,
            grouping=self.grouping,
            fixed=parts[0],
            slopes=parts[1:],
            groups=tuple(tuple(column.name for column in own) for own, *_ in self.random),
            offsets=offsets,
            response=response,
            weights=weights,
            labels=self.labels,
            covariances=tuple(covariance for *_, covariance in self.random),
            failures=failures,
        )


def _coefficients(source: Source, term: RandomTerm, rows: NamedRows) -> list[Sum]:
    """Return a sum for each independent part of a random-effects term.

    As lme4's double bar: each term of the sum is on its own, a factor with a coefficient
    for each of its categories, which correlate.
    """
    coefficients = source.sum(term.coefficients, rows)
    if not len(coefficients.formula):
        raise error_at(
            source.parsed.text,
            len(term.coefficients) - len(term.coefficients.lstrip()),
            "A random-effects term has no coefficient. Write (1 | g) or (x | g).",
        )
    return coefficients.one_by_one() if term.is_split else [coefficients]
