"""Linear models of one grouping factor without each of many folds of whole groups."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from skmixed._estimation.fit import Estimate
from skmixed._fitted import kernel
from skmixed._fitted.sufficient_statistics import SufficientStatistics, without_fold
from skmixed._folds.predictions import FoldPredictor
from skmixed._folds.theta_of_folds import FoldEstimates
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._typing import IntArray
from skmixed.exceptions import warn
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._outcomes import Outcome, predict_by
from skmixed.model_selection._sample import HeldOut
from skmixed.model_selection._scoring import Scorer
from skmixed.model_selection._statistics import Candidate, StatisticsFits

# Rows whose variances are computed at a time.
SLAB_ROWS = 16_384


def whole_group_outcomes(
    fits: StatisticsFits, held_out: HeldOut, scorers: Mapping[str, Scorer]
) -> dict[int, Outcome]:
    """Return the outcomes of the candidates that are served, by their positions."""
    shared = without_whole_groups(fits)
    if shared is None or any(own.needs_estimator for own in scorers.values()):
        return {}
    start = time.perf_counter()
    _ = shared.totals
    seconds = (time.perf_counter() - start) / (len(fits.splits) * len(fits.candidates))
    found = {}
    for k, own in enumerate(fits.candidates):
        outcome = shared.outcome(own, held_out, scorers)
        if outcome is not None:
            outcome.seconds += seconds
            found[k] = outcome
    return found


def without_whole_groups(fits: StatisticsFits) -> "WithoutWholeGroups | None":
    """Return what all candidates read; None where the splits are no such folds."""
    splits = fits.splits
    if splits.fold is None or fits.design.n_rows != splits.n_rows:
        return None
    if not kernel.are_many_folds(len(splits), len(fits.common.factors)):
        return None
    codes = fits.design.factors[0].codes
    if splits.share_known(codes) > 0 or not fits.total.has_plain_frame:
        return None
    return WithoutWholeGroups(fits, codes)


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
    of_all_rows : Estimate
    messages : list of pairs
        What the search of all rows has to say.
    """

    own: Candidate
    given: SufficientStatistics
    totals: FoldTotals
    groups: WholeGroups
    found: FoldEstimates
    of_all_rows: Estimate
    messages: list[tuple[str, type[Warning]]]

    @property
    def predictor(self) -> FoldPredictor:
        """What predicts rows without their folds."""
        return kernel.fold_predictor(self.groups, self.found)


@dataclass(frozen=True)
class WithoutWholeGroups:
    """What all candidates read: the sums over all rows, and over those of each fold.

    Attributes
    ----------
    fits : StatisticsFits
    codes : (n,) array of int
        The group of each row.
    """

    fits: StatisticsFits
    codes: IntArray

    @property
    def fold(self) -> IntArray:
        """The fold of each row, (n,)."""
        own = self.fits.splits.fold
        assert own is not None
        return own

    @cached_property
    def fold_of_level(self) -> IntArray:
        out = np.empty(self.fits.design.factors[0].n_levels, dtype=np.intp)
        out[self.codes] = self.fold
        return out

    @cached_property
    def totals(self) -> FoldTotals:
        fits = self.fits
        return kernel.fold_totals(fits.design, self.fold, len(fits.splits), fits.total)

    def outcome(
        self, own: Candidate, held_out: HeldOut, scorers: Mapping[str, Scorer]
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
        self._predict(outcome, solved)
        outcome.seconds += (time.perf_counter() - start) / len(held_out.splits)
        for number, fit in self.one_by_one(solved):
            predict_by(outcome, number, fit, held_out, scorers)
        return outcome

    def solved(self, own: Candidate) -> SolvedFolds | None:
        """Return a candidate without each fold; None where it is not served."""
        if len(own.factors) != 1:
            return None
        all_rows = Fit.of(partial(self.fits.estimate, own))
        if all_rows.error is not None:
            return None
        given = own.statistics(self.fits.common, self.fits.total)
        totals = self.totals.of_columns(own.columns)
        served = self._found(own, given, totals, all_rows.estimator)
        if served is None:
            return None
        return SolvedFolds(own, given, totals, *served, all_rows.estimator, all_rows.messages)

    def one_by_one(self, solved: SolvedFolds) -> Iterator[tuple[int, Fit]]:
        """Yield the fits without the folds for which the search of all is not sure."""
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
        n, own = self.fits.design.n_rows, solved.own
        columns = [self.fits.design.columns[c - 1] for c in own.columns[1:]]
        fixed, random = list(own.encoder.fixed), list(own.encoder.factor_columns(0))
        predictor = solved.predictor
        mean, sd = np.empty(n), None if outcome.sd is None else np.empty(n)
        for start in range(0, n, SLAB_ROWS):
            part = slice(start, start + SLAB_ROWS)
            fold = self.fold[part]
            every = np.stack([np.ones(len(fold)), *(c[part] for c in columns)], axis=1)
            mean[part] = kernel.fold_means(predictor, fold, every[:, fixed])
            if sd is not None:
                given = fold, every[:, fixed], every[:, random]
                sd[part] = kernel.fold_deviations(predictor, *given)
        rows, _ = self.fits.splits.tested
        outcome.put(slice(0, len(rows)), mean[rows], None if sd is None else sd[rows])

    def _found(
        self, own: Candidate, given: SufficientStatistics, totals: FoldTotals, estimate: Estimate
    ) -> tuple[WholeGroups, FoldEstimates] | None:
        """Return the groups of a candidate and the estimates without each fold, if it is served."""
        model = own.encoder.model(reml=own.model.method == "reml")
        groups = kernel.whole_groups_of(
            given.products, model, self.fold_of_level, totals, estimate, are_rows_predicted=True
        )
        if groups is None:
            return None
        theta = "fixed" if self.fits.is_held else "refit"
        return groups, kernel.estimate_folds(groups, estimate, theta)
