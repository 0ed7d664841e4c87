"""Rows as users give them, taken in part by part, to statistics."""

from dataclasses import replace
from typing import Any

from skmixed._data.encoder import Encoder, EncoderUnion, Specification
from skmixed._data.metadata import open_metadata
from skmixed._data.table import Table, check_distinct
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.sufficient_statistics import SufficientStatistics, check_same_columns
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.accumulator import Accumulator
from skmixed._statistics.design import Design
from skmixed._typing import FloatArray


class Intake:
    """What `fit`, `fit_chunks`, `partial_fit` and `statistics` do with rows.

    Parameters
    ----------
    specification : Specification
    estimator : str
        The name of the estimator, for messages.
    known : SufficientStatistics or None
        To continue from; they do not change.
    """

    def __init__(
        self,
        specification: Specification,
        estimator: str,
        known: SufficientStatistics | None = None,
    ) -> None:
        self._specification, self._estimator = specification, estimator
        self._planned: Encoder | None = None
        self._known = None if known is None else known.encoder
        self._union = None if known is None else EncoderUnion.of(known.encoder)
        self._accumulator = Accumulator(None if known is None else known.products)
        self._rows = [] if known is None or known.rows is None else [known.rows]
        self._names = None if known is None else known.feature_names
        self._n_features = 0 if known is None else known.n_features

    @property
    def n_levels(self) -> list[int]:
        if self._union is not None:
            return self._union.n_levels
        return [] if self._known is None else [f.n_levels for f in self._known.factors]

    def add(
        self, table: Table, y: Any, sample_weight: Any, groups: Any, *, is_last: bool = False
    ) -> None:
        """Check rows and take them in; `is_last` spares a copy of them."""
        response = validation.check_response(y, table.n_rows, self._estimator)
        weights = validation.check_weights(sample_weight, table.n_rows, may_be_zero=not is_last)
        self.take(table, response, weights, groups, is_last=is_last)

    def take(
        self,
        table: Table,
        response: FloatArray,
        weights: FloatArray | None,
        groups: Any,
        *,
        is_last: bool = False,
    ) -> Design | None:
        """Take in rows whose response and weights were checked; return those that count."""
        design = self.laid_out(table, response, weights, groups)
        if design is None:
            return None
        if design.subjects is not None:
            self._rows.append(RepeatedRows.of(design))
        kernel.add_rows(self._accumulator, design, is_last=is_last)
        return design

    def laid_out(
        self, table: Table, response: FloatArray, weights: FloatArray | None, groups: Any
    ) -> Design | None:
        """Return the rows that count as plain arrays; new levels come behind those known."""
        table = self._ordered(table)
        is_named = self._specification.groups is not None
        metadata = open_metadata(groups, table.n_rows, is_named=is_named)
        if self._planned is None:
            self._planned = self._specification.plan(table, metadata)
            validation.check_terms(self._planned)
            if self._known is not None:
                check_same_columns(self._known, self._planned)
        if weights is not None and not weights.any():
            return None
        part, design = self._planned.learn(table, metadata, response, weights)
        return self._renumbered(part, design)

    def statistics(self) -> SufficientStatistics:
        """Return the statistics of all rows taken in."""
        if self._known is None:
            raise ValueError("There are no rows of positive weight.")
        encoder = self._planned or self._known
        learned = self._known if self._union is None else self._union.joined()
        encoder = encoder.with_levels_of(learned)
        products = kernel.products_of(self._accumulator)
        validation.check_range(encoder, products)
        rows = RepeatedRows.joined(self._rows) if self._rows else None
        return SufficientStatistics(encoder, products, self._names, self._n_features, rows)

    def _renumbered(self, part: Encoder, design: Design) -> Design:
        """Give the levels of a part their numbers among all; those of the first are all."""
        if self._known is None:
            self._known = part
            return design
        if self._union is None:
            self._union = EncoderUnion.of(self._known)
        places = self._union.take(part)
        n = len(design.factors)
        factors = tuple(
            replace(own, codes=place[own.codes], n_levels=q)
            for own, place, q in zip(design.factors, places[:n], self._union.n_levels, strict=True)
        )
        subjects = design.subjects
        if subjects is not None and part.subjects is not None:
            subjects = part.subjects.renumbered(subjects, places[n:])
        return replace(design, factors=factors, subjects=subjects)

    def _ordered(self, table: Table) -> Table:
        """Bring columns into the order of the first part, by name."""
        if self._n_features == 0:
            check_distinct(table.names or (), "X")
            self._names, self._n_features = table.names, table.n_columns
            return table
        if table.names is None or self._names is None:
            validation.check_unnamed(table, self._names, self._n_features)
            return table
        if table.names == self._names:
            return table
        validation.check_same_names(table.names, self._names)
        at = [table.names.index(name) for name in self._names]
        return replace(table, get=lambda j: table.get(at[j]), names=self._names)
