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
from skmixed._fitted.fitted_model import last_step
from skmixed._fitted.fitting import estimate_at, estimate_from, specification
from skmixed._fitted.sufficient_statistics import SufficientStatistics, of_levels_with_rows
from skmixed._folds.products import FoldPart, FoldParts
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design
from skmixed._typing import IntArray
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._sample import Sample
from skmixed.model_selection._splits.splits import Splits


def has_statistics(model: Any) -> bool:
    """Whether a model is fitted to sums over rows, which other packages' are not."""
    return bool(getattr(model, "_fits_statistics", False))


def check_statistics(model: Any, why: str) -> None:
    """Refuse a model that is not fitted to sums over rows; `why` they are needed."""
    if has_statistics(model):
        return
    hint = getattr(model, "_instead", "")
    if last_step(model) is not model:
        hint = "Give the last step of the Pipeline, and X as the steps before it make it."
    raise TypeError(
        f"model is of type {type(model).__name__}. Give a MixedLinearRegressor with residual=None, "
        f"{why}. {hint}".strip()
    )


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
        if not self.has_all_columns(stats):
            stats = kernel.of_columns(stats, self.columns, self.factors)
        encoder = self.encoder.with_factors([common.factors[k] for k, _ in self.factors])
        names = getattr(self.model, "feature_names_in_", None)
        return of_levels_with_rows(encoder, stats, names, self.model.n_features_in_)

    def design(self, common: Design) -> Design:
        """Return the rows with the columns and factors of this model."""
        return replace(
            common,
            columns=tuple(common.columns[c - 1] for c in self.columns[1:]),
            factors=tuple(replace(common.factors[k], columns=own) for k, own in self.factors),
        )

    def unfitted(self) -> Any:
        """Return a copy of the model, with the names of X's columns."""
        own = clone(self.model)
        vars(own).update({k: v for k, v in vars(self.model).items() if k.endswith("_in_")})
        return own

    def has_all_columns(self, stats: CrossProducts) -> bool:
        """Whether statistics have the columns and factors of this model alone."""
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
        trained = self._trained()
        shared = (time.perf_counter() - start) / (len(self.splits) * len(self.candidates))
        held = [Fit.of(partial(self._held, own)) for own in self.candidates]
        for number, stats in enumerate(trained):
            fits = []
            for own, like in zip(self.candidates, held, strict=True):
                fit = Fit(error=like.error)
                if like.error is None:
                    fit = Fit.of(partial(self._fitted, own, number, stats, like.estimator))
                fit.seconds += shared
                fits.append(fit)
            yield fits

    def _held(self, own: Candidate) -> Estimate | None:
        """Return the estimates from all rows, where Λ is theirs."""
        return self.estimate(own) if self.is_held else None

    def _fitted(
        self, own: Candidate, number: int, stats: CrossProducts | None, held: Estimate | None
    ) -> Any:
        if stats is None:
            raise ValueError("sample_weight is 0 in all training rows.")
        if not (own.has_all_columns(stats) or stats.has_plain_frame):
            # Columns that stand beside others are no longer those of the rows
            return self.from_rows(own, number, held)
        return self.fitted(own, own.statistics(self.common, stats), held)

    def from_rows(self, own: Candidate, number: int, held: Estimate | None = None) -> Any:
        """Return a candidate that is fitted by a pass over the training rows of a split."""
        rows = self._in_design(self.splits.train(number))
        stats = kernel.accumulate(own.design(self.design).picked(rows))
        return self.fitted(own, own.statistics(self.common, stats), held)

    def fitted(
        self, own: Candidate, given: SufficientStatistics, held: Estimate | None = None
    ) -> Any:
        """Return a candidate that is fitted to statistics, or takes the Λ that is held."""
        model = own.unfitted()
        if held is None:
            estimate_from(model, given)
        else:
            estimate_at(model, given, held)
        return model

    def may_search_each(self, own: Candidate) -> bool:
        """Whether the searches without folds of a candidate may start next to that of all rows."""
        if len(own.factors) != 1 or self.is_held:
            return False
        at, columns = own.factors[0]
        n_levels = self.design.factors[at].n_levels
        return kernel.may_search_each(own.encoder.model(reml=True), n_levels, len(columns))

    @cached_property
    def total(self) -> CrossProducts:
        """The sums over all rows."""
        return kernel.accumulate(self.design)

    def to_all_rows(self, own: Candidate) -> Any:
        """Return a candidate that is fitted to all rows."""
        if own.has_all_columns(self.total) or self.total.has_plain_frame:
            stats = self.total
        else:
            stats = kernel.accumulate(own.design(self.design))
        return self.fitted(own, own.statistics(self.common, stats))

    def estimate(self, own: Candidate) -> Estimate:
        """Return the estimates of a candidate from all rows."""
        estimate: Estimate = self.to_all_rows(own)._model.estimate
        return estimate

    def _in_design(self, rows: IntArray) -> IntArray:
        """Return the numbers in the design of those rows of the splits that are in it."""
        if len(self.places) == self.splits.n_rows:
            return rows
        numbers = self._numbers[rows]
        return np.asarray(numbers[numbers >= 0])

    @cached_property
    def _numbers(self) -> IntArray:
        """Number of each row of the splits among those of the design, or −1, (n,)."""
        out = np.full(self.splits.n_rows, -1)
        out[self.places] = np.arange(len(self.places))
        return out

    def _trained(self) -> Iterator[CrossProducts | None]:
        """Return the sums over the training rows of each split; None where all have weight 0."""
        n_levels, numbers = tuple(f.n_levels for f in self.design.factors), range(len(self.splits))
        if self.splits.fold is not None:
            return self._without_each(self.parts, n_levels)
        parts = (self._part(self.splits.train(k)) for k in numbers)
        return (None if own is None else own.among(n_levels) for own in parts)

    def _without_each(
        self, folds: Sequence[FoldPart | None], n_levels: tuple[int, ...]
    ) -> Iterator[CrossProducts | None]:
        """Yield the sums without each fold; one of weight 0 takes nothing away."""
        parts = tuple(own for own in folds if own is not None)
        without = FoldParts(parts, n_levels).without_each() if len(parts) > 1 else iter([None])
        for own in folds:
            yield self.total if own is None else next(without)

    @cached_property
    def parts(self) -> tuple[FoldPart | None, ...]:
        """The sums over the test rows of each split; None where all have weight 0."""
        return tuple(self._part(self.splits.test(k)) for k in range(len(self.splits)))

    def _part(self, rows: IntArray) -> FoldPart | None:
        """Reduce rows of the splits; None where all have weight 0."""
        own = self._in_design(rows)
        return kernel.fold_part(self.design.picked(own)) if len(own) else None


def from_statistics(
    prepared: Sequence[tuple[Any, Encoder]], rows: Sample, splits: Splits, *, is_held: bool
) -> StatisticsFits:
    """Return the fits of linear models that were prepared, which read one pass over the rows."""
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


def prepare(model: Any, rows: Sample) -> tuple[Any, Encoder]:
    """Check a model's parameters, and find its columns."""
    own = clone(model)
    validation.check_parameters(own)
    table = open_checked(rows.X, own, rows.y, reset=True)
    metadata = open_metadata(rows.groups, table.n_rows, is_named=own.groups is not None)
    encoder = specification(own).plan(table, metadata)
    validation.check_terms(encoder)
    return own, encoder


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
