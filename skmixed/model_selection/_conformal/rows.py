"""Scores of rows by the fits without them, and what else intervals need of these."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmixed._estimators.intervals import plain_rows
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import open_rows
from skmixed._folds.calibration import Calibration, PlainRows
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import warn
from skmixed.model_selection._fits import Fit, Sample
from skmixed.model_selection._groups import Groups
from skmixed.model_selection._splits import Splits
from skmixed.model_selection._statistics import from_statistics


@dataclass(frozen=True)
class CalibratingRows:
    """The rows of a fit, which calibrate it.

    Attributes
    ----------
    model : estimator
        Fitted to them.
    sample : Sample
    groups : Groups
    plain : PlainRows
    y : (n,) array
    """

    model: Any
    sample: Sample
    groups: Groups
    plain: PlainRows
    y: FloatArray

    @staticmethod
    def of(model: Any, sample: Sample, groups: Groups) -> "CalibratingRows":
        given = open_rows(model, sample.X, sample.groups)
        plain = plain_rows(given, given.weights(sample.weights))
        return CalibratingRows(model, sample, groups, plain, given.response(sample.y))

    @property
    def fit(self) -> FittedModel:
        own: FittedModel = self.model._model
        return own

    def calibration(self, question: str | None, splits: Splits, *, is_held: bool) -> Calibration:
        """Return the scores of the rows by the fits without folds."""
        fits = _fits(self.model, self.sample, splits, is_held=is_held)
        rows, fold = splits.tested
        is_new = np.array([_are_new(codes[rows], codes, fold) for codes in self.plain.codes])
        is_new = is_new.reshape(len(self.plain.codes), len(rows))
        new = tuple(bool(own.all()) for own in is_new)
        if question == "new_groups" and not any(new):
            raise ValueError(
                f"Where groups of {self.groups.name!r} are left out, no grouping factor of the "
                "model has new levels alone. Give `groups` the labels of a factor, or of groups "
                "of its levels."
            )
        # Rows of the same kind as those that are to be predicted
        keep = (is_new == np.array(new, dtype=bool)[:, None]).all(axis=0)
        if not keep.any():
            raise ValueError(
                "No row out of fold is of groups that are known to the fit without it. Ask for "
                "question='new_groups'."
            )
        rows, fold = rows[keep], fold[keep]
        weights = self._weights(question, rows)
        own = _without_scores(new, self.fit, fits)
        given = self.plain.picked(rows), self.y[rows], fold, weights
        return kernel.with_scores(own, self.fit.model, *given)

    def _weights(self, question: str | None, rows: IntArray) -> FloatArray:
        """Return the weights of rows: alike, or so that groups are alike, (n,)."""
        if question != "new_groups":
            return np.full(len(rows), 1.0 / (len(rows) + 1))
        _, group, counts = np.unique(
            self.groups.required()[rows], return_inverse=True, return_counts=True
        )
        return np.asarray(1.0 / ((len(counts) + 1) * counts[group]))


def _are_new(own: IntArray, codes: IntArray, fold: IntArray) -> Any:
    """Return whether the level of each row out of fold has no row in training, (n,)."""
    pairs = own * np.int64(fold.max() + 1) + fold
    _, place, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    return counts[place] == np.bincount(codes)[own]


def _fits(model: Any, sample: Sample, splits: Splits, *, is_held: bool) -> list[FittedModel]:
    """Return the fits without each fold; say once what they have to say."""
    found: list[FittedModel] = []
    messages: Counter[tuple[str, type[Warning]]] = Counter()
    own: Fit
    for number, (own,) in enumerate(
        from_statistics([model], sample, splits, is_held=is_held).each()
    ):
        if own.error is not None:
            raise ValueError(
                f"The fit without fold {number} (row {int(splits.test(number)[0])} and others) "
                f"fails, so that there are no intervals: {own.error}"
            ) from own.error
        messages.update(set(own.messages))
        found.append(own.estimator._model)
    for (text, category), count in messages.items():
        warn(f"In {count} of {len(found)} fits without a fold: {text}", category)
    return found


def _without_scores(
    new: tuple[bool, ...], fit: FittedModel, fits: list[FittedModel]
) -> Calibration:
    """Return what predicts rows by the fits without folds."""
    solutions = [own.solution for own in fits]
    effects, roots = [], []
    for k, term in enumerate(fit.encoder.terms):
        roots.append(np.stack([own.sigma * own.terms[k].lam for own in solutions]))
        n_levels = 0 if new[term.factor] else fit.encoder.factors[term.factor].n_levels
        effects.append(np.zeros((len(term.columns), n_levels, len(fits))))
        if n_levels:
            index = fit.encoder.factors[term.factor].index
            for number, own in enumerate(fits):
                places = index.get_indexer(own.encoder.factors[term.factor].index)
                effects[-1][:, places, number] = own.solution.terms[k].effects
    nothing = np.empty(0)
    return Calibration(
        new=new,
        fixed=np.stack([own.fixed for own in solutions]),
        sigma=np.array([own.sigma for own in solutions]),
        effects=tuple(effects),
        roots=tuple(roots),
        scores=nothing,
        fold=nothing.astype(np.intp),
        weights=nothing,
    )
