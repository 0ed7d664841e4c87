"""Linear models of one grouping factor without each fold of whole groups."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from skmixed._equations.products import MOST_KEPT, LevelParts
from skmixed._estimation.fit import Estimate
from skmixed._fitted import kernel
from skmixed._fitted.fitting import search_alone
from skmixed._fitted.messages import singular
from skmixed._fitted.sufficient_statistics import SufficientStatistics, without_fold
from skmixed._folds.few_folds import SearchedFolds
from skmixed._folds.predictions import FoldPredictor
from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, IntArray, Lam, Message
from skmixed.exceptions import warn
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._outcomes import Outcome, are_of_squares, predict_by
from skmixed.model_selection._sample import HeldOut
from skmixed.model_selection._scoring import Scorer
from skmixed.model_selection._statistics import Candidate, StatisticsFits

# Rows whose variances are computed at a time.
SLAB_ROWS = 16_384


def whole_group_outcomes(
    fits: StatisticsFits,
    held_out: HeldOut,
    scorers: Mapping[str, Scorer],
    *,
    needs_predictions: bool,
) -> dict[int, Outcome]:
    """Return the outcomes of the candidates that are served, by their positions."""
    if any(own.needs_estimator for own in scorers.values()):
        return {}
    start = time.perf_counter()
    shared = without_whole_groups(fits)
    if shared is None:
        return {}
    seconds = (time.perf_counter() - start) / (len(fits.splits) * len(fits.candidates))
    needs_predictions = needs_predictions or not are_of_squares(scorers)
    found = {}
    for k, own in enumerate(fits.candidates):
        outcome = shared.outcome(own, held_out, scorers, needs_predictions=needs_predictions)
        if outcome is not None:
            outcome.seconds += seconds
            found[k] = outcome
    return found


def without_whole_groups(fits: StatisticsFits) -> "WithoutWholeGroups | None":
    """Return what all candidates read; None where the splits are no such folds."""
    splits, factors = fits.splits, fits.design.factors
    if splits.fold is None or len(factors) != 1 or fits.design.n_rows != splits.n_rows:
        return None
    is_many = kernel.are_many_folds(len(splits), 1)
    if not (is_many or fits.is_held or any(map(fits.may_search_each, fits.candidates))):
        return None
    if splits.share_known(factors[0].codes) > 0:
        return None
    sums = kernel.totals_with_all_rows(fits.design, splits.fold, len(splits))
    if sums is None:
        return None
    fold_of_level = np.empty(factors[0].n_levels, dtype=np.intp)
    fold_of_level[factors[0].codes] = splits.fold
    return WithoutWholeGroups(fits, *sums, fold_of_level, is_many)


@dataclass(frozen=True)
class SolvedFolds:
    """A candidate without each fold.

    Attributes
    ----------
    own : Candidate
    given : SufficientStatistics
        Of all rows.
    totals : FoldTotals
    groups : WholeGroups
    found : FoldEstimates
    of_all_rows : Estimate or None
        None where each fold has a search of its own.
    messages : list of pairs
        What the fit to all rows has to say.
    """

    own: Candidate
    given: SufficientStatistics
    totals: FoldTotals
    groups: WholeGroups
    found: FoldEstimates
    of_all_rows: Estimate | None = None
    messages: list[Message] = field(default_factory=list)

    @property
    def predictor(self) -> FoldPredictor:
        """What predicts rows without their folds."""
        return kernel.fold_predictor(self.groups, self.found)

    @property
    def said(self) -> list[tuple[int, list[Message]]]:
        """What searches without folds have to say, of which each is one of its own."""
        if not isinstance(self.found, SearchedFolds):
            return []
        given = self.given.encoder, self.given.products
        sure, lams = self.found.are_sure, self.found.lams
        return [(k, [*singular(lam, *given)]) for k, lam in enumerate(lams) if sure[k]]


@dataclass
class LaidOut:
    """The columns of some candidates, whatever their method.

    Attributes
    ----------
    own : Candidate
    given : SufficientStatistics
        Of all rows.
    totals : FoldTotals
    near : pair or None
        Λ near that of all rows by one method, and what the rows have to say, once it was
        searched for.
    groups : WholeGroups or None
        Of few folds, once they were laid out.
    """

    own: Candidate
    given: SufficientStatistics
    totals: FoldTotals
    near: tuple[Lam | None, list[Message]] | None = None
    groups: WholeGroups | None = None

    @cached_property
    def parts(self) -> LevelParts:
        """The levels fold by fold."""
        assert self.groups is not None
        return kernel.level_parts(self.groups)

    def are_of(self, other: Candidate) -> bool:
        """Whether another candidate has the same columns."""
        own, its = self.own.encoder, other.encoder
        are_same = (self.own.columns, self.own.factors) == (other.columns, other.factors)
        return are_same and (own.fixed, own.terms) == (its.fixed, its.terms)


@dataclass(frozen=True)
class WithoutWholeGroups:
    """What all candidates read: the sums over all rows, and over those of each fold.

    Attributes
    ----------
    fits : StatisticsFits
    stats : CrossProducts
        The sums over all rows.
    totals : FoldTotals
    fold_of_level : (q,) array of int
    is_many : bool
        Whether folds are enough for one search for all of them.
    laid_out : list of LaidOut
        The columns of the candidates so far; of large ones the latest.
    """

    fits: StatisticsFits
    stats: CrossProducts
    totals: FoldTotals
    fold_of_level: IntArray
    is_many: bool
    laid_out: list[LaidOut] = field(default_factory=list)

    def outcome(
        self,
        own: Candidate,
        held_out: HeldOut,
        scorers: Mapping[str, Scorer],
        *,
        needs_predictions: bool,
    ) -> Outcome | None:
        """Return the outcome of a candidate; None where it is not served."""
        if own.model.handle_unknown == "error":
            return None  # each fit is to refuse its test rows, which are of new groups
        start = time.perf_counter()
        solved = self.solved(own)
        if solved is None:
            return None
        if self.fits.is_held:
            # What the only search has to say
            for message, category in solved.messages:
                warn(message, category)
        outcome = Outcome.empty(held_out.splits, scorers)
        outcome.messages += solved.said
        if not needs_predictions:
            outcome.squares = self._squares(solved)
        if outcome.squares is None:
            self._predict(outcome, solved)
        outcome.seconds += (time.perf_counter() - start) / len(held_out.splits)
        for number, fit in self.one_by_one(solved):
            predict_by(outcome, number, fit, held_out, scorers)
            outcome.add_squares(number, held_out)
        return outcome

    def solved(self, own: Candidate) -> SolvedFolds | None:
        """Return a candidate without each fold; None where it is not served."""
        if len(own.factors) != 1:
            return None
        if self.is_many or self.fits.is_held:
            return self._by_all_rows(own, self._columns(own))
        if not self.fits.may_search_each(own):
            return None
        return self._by_search_each(own, self._columns(own))

    def _by_all_rows(self, own: Candidate, columns: LaidOut) -> SolvedFolds | None:
        """Return a candidate without each fold, from the estimates of all rows."""
        fit = Fit.of(partial(self.fits.fitted, own, columns.given))
        if fit.error is not None:
            return None
        estimate: Estimate = fit.estimator._model.estimate
        groups = self._groups(own, columns, estimate)
        if groups is None:
            return None
        found = kernel.estimate_folds(groups, estimate, "fixed" if self.fits.is_held else "refit")
        given = own, columns.given, columns.totals, groups, found
        return SolvedFolds(*given, estimate, fit.messages)

    def _by_search_each(self, own: Candidate, columns: LaidOut) -> SolvedFolds | None:
        """Return a candidate without each fold, of which each has a search of its own."""
        if columns.near is None:
            near = Fit.of(partial(search_alone, own.model, columns.given))
            columns.near = (None, []) if near.error is not None else near.estimator
        lam, said = columns.near
        # What is said of rows is that of each fold's own
        if lam is None or said:
            return None
        if columns.groups is None:
            columns.groups = self._groups(own, columns, lam)
        if columns.groups is None:
            return None
        groups = columns.groups.by_method(reml=own.model.method == "reml")
        how = {"tol": own.model.tol, "max_iter": own.model.max_iter}
        found = kernel.search_each(groups, columns.parts, lam, **how)
        return SolvedFolds(own, columns.given, columns.totals, groups, found)

    def _columns(self, own: Candidate) -> LaidOut:
        """Lay out a candidate, or return the layout of one that has the same columns."""
        for known in self.laid_out:
            if known.are_of(own):
                return known
        given = own.statistics(self.fits.common, self.stats)
        # Each has the products of the levels, those without each fold, and some copies of them
        size = sum(f.products.size for f in given.products.factors)
        most = max(1, MOST_KEPT // ((len(self.totals.counts) + 4) * size))
        del self.laid_out[: max(0, len(self.laid_out) + 1 - most)]
        self.laid_out.append(LaidOut(own, given, self.totals.of_columns(own.columns)))
        return self.laid_out[-1]

    def _groups(self, own: Candidate, columns: LaidOut, at: Estimate | Lam) -> WholeGroups | None:
        """Return the groups of a candidate, at estimates from all rows or at Λ."""
        model = own.encoder.model(reml=own.model.method == "reml")
        given = columns.given.products, model, self.fold_of_level, columns.totals, at
        return kernel.whole_groups_of(*given, are_rows_predicted=True)

    def one_by_one(self, solved: SolvedFolds) -> Iterator[tuple[int, Fit]]:
        """Yield the fits without the folds for which a search is not sure."""
        held = solved.of_all_rows if self.fits.is_held else None
        for number in np.flatnonzero(~solved.found.are_sure).tolist():
            yield number, Fit.of(partial(self._fitted, solved, number, held))

    def _fitted(self, solved: SolvedFolds, number: int, held: Estimate | None) -> Any:
        """Return a candidate that is fitted to the rows without a fold."""
        if not solved.groups.are_separable[number]:
            return self.fits.from_rows(solved.own, number, held)
        levels = np.flatnonzero(self.fold_of_level != number)
        part = without_fold(solved.given, solved.totals, number, levels)
        return self.fits.fitted(solved.own, part, held)

    def _predict(self, outcome: Outcome, solved: SolvedFolds) -> None:
        """Predict the rows of each fold by the fit without it: Xβ̂, with all effects new."""
        n, own, folds = self.fits.design.n_rows, solved.own, self.fits.splits.fold
        columns = [self.fits.design.columns[c - 1] for c in own.columns[1:]]
        fixed, random = list(own.encoder.fixed), list(own.encoder.factor_columns(0))
        predictor = solved.predictor
        assert folds is not None
        mean, sd = np.empty(n), None if outcome.sd is None else np.empty(n)
        for start in range(0, n, SLAB_ROWS):
            part = slice(start, start + SLAB_ROWS)
            fold = folds[part]
            every = np.stack([np.ones(len(fold)), *(c[part] for c in columns)], axis=1)
            mean[part] = kernel.fold_means(predictor, fold, every[:, fixed])
            if sd is not None:
                given = fold, every[:, fixed], every[:, random]
                sd[part] = kernel.fold_deviations(predictor, *given)
        rows, _ = self.fits.splits.tested
        outcome.put(slice(0, len(rows)), mean[rows], None if sd is None else sd[rows])

    def _squares(self, solved: SolvedFolds) -> tuple[FloatArray, FloatArray] | None:
        """Return Σ (y − ŷ)² and Σ (y − ȳ)² of each fold; None where they have too few digits."""
        if self.fits.design.weights is not None:
            return None
        return kernel.squares_of_folds(solved.groups, solved.found, solved.totals)
