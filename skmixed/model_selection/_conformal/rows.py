"""Scores of rows by the fits without them, and what else intervals need of these."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._data.table import Table
from skmixed._estimators.intervals import plain_rows
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.fitting import CountedMessages
from skmixed._fitted.prediction_rows import estimable_rows, open_rows
from skmixed._folds.calibration import Calibration, PlainRows
from skmixed._typing import FloatArray, IntArray, Message
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._sample import Sample
from skmixed.model_selection._splits.groups import Groups
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._statistics import StatisticsFits, from_statistics, prepare
from skmixed.model_selection._whole_groups import without_whole_groups


@dataclass(frozen=True)
class CalibratingRows:
    """The rows of a fit, which calibrate it.

    Attributes
    ----------
    model : estimator
        Fitted to them.
    sample : Sample
    groups : Groups
    numbers : (n,) array of int
        The rows' numbers among those that the user has given.
    table : Table
    plain : PlainRows
    y : (n,) array
    """

    model: Any
    sample: Sample
    groups: Groups
    numbers: IntArray
    table: Table
    plain: PlainRows
    y: FloatArray

    @staticmethod
    def of(model: Any, sample: Sample, groups: Groups, numbers: IntArray) -> "CalibratingRows":
        given = open_rows(model, sample.X, sample.groups)
        plain = plain_rows(given, given.weights(sample.weights))
        y = given.response(sample.y)
        return CalibratingRows(model, sample, groups, numbers, given.table, plain, y)

    @property
    def fit(self) -> FittedModel:
        own: FittedModel = self.model._model
        return own

    def calibration(self, question: str | None, splits: Splits, *, is_held: bool) -> Calibration:
        """Return the scores of the rows by the fits without folds."""
        rows, fold = splits.tested
        is_new = np.array([~splits.are_known(codes) for codes in self.plain.codes])
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
        own = self._without_scores(new, splits, is_held=is_held)
        given = self.plain.picked(rows), self.y[rows], fold, weights
        return kernel.with_scores(own, self.fit.model, *given)

    def _without_scores(
        self, new: tuple[bool, ...], splits: Splits, *, is_held: bool
    ) -> Calibration:
        """Return what predicts rows by the fits without folds; say once what these have to say."""
        encoder, model = self.fit.encoder, self.fit.model
        own = Calibration.empty(new, model, [f.n_levels for f in encoder.factors], len(splits))
        prepared = [prepare(self.model, self.sample)]
        fits = from_statistics(prepared, self.sample, splits, is_held=is_held)
        messages = CountedMessages()

        def name(number: int) -> str:
            return f"fold {number} (row {self.numbers[splits.test(number)[0]]} and others)"

        def take(number: int, said: list[Message]) -> None:
            messages.take(said, name(number))

        for number, fit in _each(fits, own, encoder, take):
            if fit.error is not None:
                raise ValueError(
                    f"The fit without {name(number)} fails, so that there are no intervals: "
                    f"{fit.error}"
                ) from fit.error
            without: FittedModel = fit.estimator._model
            take(number, [*fit.messages, *self._said_of(splits.test(number), without)])
            own.put(number, without.solution, _levels(self.fit, without, new))
        messages.tell(
            lambda count: f"In {count} of {len(splits)} fits without a fold",
            lambda name: f"that without {name}",
        )
        return own

    def _said_of(self, rows: IntArray, without: FittedModel) -> list[Message]:
        """Return the warning of rows whose prediction depends on columns that were dropped."""
        if without.solution.dependence is None:
            return []
        is_own = np.zeros(self.table.n_rows, dtype=bool)
        is_own[rows] = True
        given = without.encoder, without.solution, self.table.rows(is_own)
        return Fit.of(partial(estimable_rows, *given), self.numbers[np.sort(rows)]).messages

    def _weights(self, question: str | None, rows: IntArray) -> FloatArray:
        """Return the weights of rows: alike, or so that groups are alike, (n,)."""
        if question != "new_groups":
            return np.full(len(rows), 1.0 / (len(rows) + 1))
        _, group, counts = np.unique(
            self.groups.required()[rows], return_inverse=True, return_counts=True
        )
        return np.asarray(1.0 / ((len(counts) + 1) * counts[group]))


def _each(
    fits: StatisticsFits,
    own: Calibration,
    encoder: Encoder,
    take: Callable[[int, list[Message]], None],
) -> Iterator[tuple[int, Fit]]:
    """Yield the fits without folds; those of folds of whole groups go in by themselves.

    `take` is given what the searches of those have to say.
    """
    many = without_whole_groups(fits) if all(own.new) else None
    solved = None if many is None else many.solved(fits.candidates[0])
    if many is None or solved is None:
        yield from ((number, fit) for number, (fit,) in enumerate(fits.each()))
    else:
        kernel.put_all_folds(own, solved.predictor, encoder.factor_columns(0), encoder.terms)
        for number, said in solved.said:
            take(number, said)
        yield from many.one_by_one(solved)


def _levels(fit: FittedModel, without: FittedModel, new: tuple[bool, ...]) -> list[Any]:
    """Return where the levels of a fit without a fold are among all, for each term; None of new."""
    at = [
        None if is_new else own.index.get_indexer(other.index)
        for own, other, is_new in zip(
            fit.encoder.factors, without.encoder.factors, new, strict=True
        )
    ]
    return [at[term.factor] for term in fit.encoder.terms]
