"""Linear models without a fold, from one pass over the rows for all folds and candidates."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from sklearn.base import clone

from skmixed._data.encoder import Encoder
from skmixed._data.metadata import open_metadata
from skmixed._data.table import Table, open_checked
from skmixed._estimation.fit import Estimate
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitting import estimate_at, estimate_from, specification
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._folds.products import FoldPart, FoldParts
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._typing import IntArray
from skmixed.model_selection._fits import Fit, Sample
from skmixed.model_selection._splits import Splits


def has_statistics(model: Any) -> bool:
    """Whether a model is fitted to sums over rows."""
    return hasattr(type(model), "fit_statistics") and model.residual is None


@dataclass(frozen=True)
class Candidate:
    """A linear model, with the columns of the common statistics that it has.

    Attributes
    ----------
    model : estimator
        Not fitted, with the names of X's columns.
    encoder : Encoder
    columns : tuple of int
        The statistics' columns, the ones first.
    factors : tuple of pairs
        Positions of its factors in the statistics, with `Encoder.factor_columns`.
    """

    model: Any
    encoder: Encoder
    columns: tuple[int, ...]
    factors: tuple[tuple[int, tuple[int, ...]], ...]

    def statistics(self, common: Encoder, stats: CrossProducts) -> SufficientStatistics:
        """Return the statistics of this model, with the levels that have rows."""
        if not self._has_all_columns(stats):
            stats = kernel.of_columns(stats, self.columns, self.factors)
        levels = stats.levels
        factors = [
            common.factors[k].picked(own)
            for (k, _), own in zip(self.factors, levels, strict=True)
        ]  # fmt: skip
        names = getattr(self.model, "feature_names_in_", None)
        return SufficientStatistics(
            self.encoder.with_factors(factors),
            kernel.of_levels(stats, levels),
            None if names is None else tuple(names),
            self.model.n_features_in_,
        )

    def unfitted(self) -> Any:
        """Return a copy of the model, with the names of X's columns."""
        own = clone(self.model)
        vars(own).update({k: v for k, v in vars(self.model).items() if k.endswith("_in_")})
        return own

    def _has_all_columns(self, stats: CrossProducts) -> bool:
        has_columns = len(self.columns) == len(stats.center)
        own = tuple((k, f.columns) for k, f in enumerate(stats.factors))
        return has_columns and self.factors == own


@dataclass(frozen=True)
class StatisticsFits:
    """Each candidate is fitted to the sums over the training rows of each split.

    Attributes
    ----------
    candidates : sequence of Candidate
    common : Encoder
        With the columns and levels of all candidates.
    design : Design
        The rows of positive weight.
    places : (n,) array of int
        Their numbers among the rows of the splits.
    splits : Splits
    is_held : bool
        Whether Λ is that of all rows.
    """

    candidates: Sequence[Candidate]
    common: Encoder
    design: Design
    places: IntArray
    splits: Splits
    is_held: bool

    def each(self) -> Iterator[list[Fit]]:
        """Yield the fits of all candidates, split by split.

        Each search starts as that of a fit to the rows does, so that it ends where that does.
        """
        start = time.perf_counter()
        total = self.parts.total() if self.is_held else None
        n = len(self.splits) * len(self.candidates)
        shared = (time.perf_counter() - start) / n
        held: list[Estimate | None] = [None] * len(self.candidates)
        if total is not None:
            held = [self._estimate(own, total) for own in self.candidates]
        for stats in self._trained():
            fits = []
            for k, own in enumerate(self.candidates):
                fit = Fit.of(partial(self._fitted, own, stats, held[k]))
                fit.seconds += shared
                fits.append(fit)
            yield fits

    def _fitted(self, own: Candidate, stats: CrossProducts, held: Estimate | None) -> Any:
        model, given = own.unfitted(), own.statistics(self.common, stats)
        if held is None:
            estimate_from(model, given)
        else:
            estimate_at(model, given, held)
        return model

    def _estimate(self, own: Candidate, stats: CrossProducts) -> Estimate:
        """Return the estimates from all rows."""
        model = own.unfitted()
        estimate_from(model, own.statistics(self.common, stats))
        estimate: Estimate = model._model.estimate
        return estimate

    @cached_property
    def parts(self) -> FoldParts:
        """The sums over the test rows of each split, or over all rows where these overlap."""
        n_levels = tuple(f.n_levels for f in self.design.factors)
        if self.splits.fold is None:
            return FoldParts((kernel.fold_part(self.design),), n_levels)
        tests = [self.splits.test(number) for number in range(len(self.splits))]
        return FoldParts(tuple(self._part(rows) for rows in tests), n_levels)

    def _part(self, rows: IntArray) -> FoldPart:
        """Reduce rows of the splits, of those that are in the design."""
        numbers = self._numbers[rows]
        return kernel.fold_part(self.design.picked(numbers[numbers >= 0]))

    @cached_property
    def _numbers(self) -> IntArray:
        """Number of each row of the splits among those of the design, or −1, (n,)."""
        out = np.full(self.splits.n_rows, -1)
        out[self.places] = np.arange(len(self.places))
        return out

    def _trained(self) -> Iterator[CrossProducts]:
        """Yield the sums over the training rows of each split."""
        if self.splits.fold is not None:
            yield from self.parts.without_each()
            return
        for number in range(len(self.splits)):
            yield self._part(self.splits.train(number)).among(self.parts.n_levels)


def from_statistics(
    models: Sequence[Any], rows: Sample, splits: Splits, *, is_held: bool
) -> list[tuple[list[int], StatisticsFits]]:
    """Return the fits of linear models, with the positions of the models that each serves.

    All of them read one pass over the rows; where columns nearly depend on others, models
    with the same columns do.
    """
    prepared = [_prepared(model, rows) for model in models]
    fits = _of_common(prepared, rows, splits, is_held=is_held)
    _, places = np.unique([_layout(encoder) for _, encoder in prepared], return_inverse=True)
    stats = [part.stats for part in fits.parts.parts]
    if len(set(places)) == 1 or all(own.has_plain_frame for own in [*stats, fits.parts.total()]):
        return [(list(range(len(models))), fits)]
    out = []
    for place in range(places.max() + 1):
        chosen = np.flatnonzero(places == place).tolist()
        own = _of_common([prepared[k] for k in chosen], rows, splits, is_held=is_held)
        out.append((chosen, own))
    return out


def _prepared(model: Any, rows: Sample) -> tuple[Any, Encoder]:
    """Check a model's parameters, and find its columns."""
    own = clone(model)
    validation.check_parameters(own)
    table = open_checked(rows.X, own, rows.y, reset=True)
    metadata = open_metadata(rows.groups, table.n_rows, is_named=own.groups is not None)
    encoder = specification(own).plan(table, metadata)
    validation.check_terms(encoder)
    return own, encoder


def _layout(encoder: Encoder) -> str:
    own = [(f.sources, encoder.factor_columns(k)) for k, f in enumerate(encoder.factors)]
    return repr((encoder.numeric, own))


def _of_common(
    prepared: Sequence[tuple[Any, Encoder]], rows: Sample, splits: Splits, *, is_held: bool
) -> StatisticsFits:
    """Lay out the rows for models with any of the columns and factors."""
    first = prepared[0][0]
    table = open_checked(rows.X, clone(first), rows.y, reset=True)
    metadata = open_metadata(rows.groups, table.n_rows, is_named=first.groups is not None)
    response = validation.check_response(rows.y, table.n_rows, type(first).__name__)
    weights = validation.check_weights(rows.weights, table.n_rows)
    plain = _union([encoder for _, encoder in prepared], table)
    common, design = plain.learn(table, metadata, response, weights)
    places = np.arange(table.n_rows) if weights is None else np.flatnonzero(weights > 0)
    candidates = [_candidate(model, encoder, common) for model, encoder in prepared]
    return StatisticsFits(candidates, common, design, places, splits, is_held)


def _union(encoders: Sequence[Encoder], table: Table) -> Encoder:
    """Return an encoder with the columns and factors of all, each factor with all its columns."""
    numeric = tuple(sorted({j for own in encoders for j in own.numeric}))
    at = {j: k for k, j in enumerate(numeric, start=1)}
    slopes: dict[Any, set[int]] = {}
    for own in encoders:
        for k, factor in enumerate(own.factors):
            columns = {at[own.numeric[c - 1]] for c in own.factor_columns(k) if c}
            slopes.setdefault(factor, set()).update(columns)
    terms = tuple(
        Term(factor=k, columns=(0, *sorted(own)), structure=STRUCTURES["full"])
        for k, own in enumerate(slopes.values())
    )
    names = tuple(table.label(j) for j in numeric)
    return replace(
        encoders[0], numeric=numeric, names=names, fixed=(0,), factors=tuple(slopes), terms=terms
    )


def _candidate(model: Any, encoder: Encoder, common: Encoder) -> Candidate:
    at = {j: k for k, j in enumerate(common.numeric, start=1)}
    sources = [factor.sources for factor in common.factors]
    factors = tuple(
        (sources.index(factor.sources), encoder.factor_columns(k))
        for k, factor in enumerate(encoder.factors)
    )
    return Candidate(model, encoder, (0, *(at[j] for j in encoder.numeric)), factors)
