"""What a candidate has predicted in all splits, and its scores."""

import numbers
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skmixed._data.table import shown
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import warn
from skmixed.model_selection._fits import Fit, Fits, HeldOut, Sample
from skmixed.model_selection._scores_by_split import BY_SPLIT
from skmixed.model_selection._scoring import Predictions, Scorer
from skmixed.model_selection._splits.splits import Splits


@dataclass
class Outcome:
    """The predictions of one candidate, of the test rows of all splits, one behind the other.

    Attributes
    ----------
    mean : (N,) array
        NaN where the fit failed.
    sd : (N,) array or None
        Standard deviations of observations.
    scores : dict of str to (K,) array
        By functions that ask the fitted estimators.
    seconds, scored : (K,) arrays
        Time of the fits, and of predictions and scores.
    messages : Counter
        Warnings of the fits, and how many had them.
    errors : dict of int to Exception
        Those of the splits whose fits failed.
    """

    mean: NDArray[Any]
    sd: FloatArray | None
    scores: dict[str, FloatArray]
    seconds: FloatArray
    scored: FloatArray
    messages: Counter[tuple[str, type[Warning]]] = field(default_factory=Counter)
    errors: dict[int, Exception] = field(default_factory=dict)

    @staticmethod
    def empty(splits: Splits, *, needs_sd: bool, asking: Iterable[str] = ()) -> "Outcome":
        """Return one without predictions."""
        n_rows, n = len(splits.tested[0]), len(splits)
        return Outcome(
            mean=np.full(n_rows, np.nan),
            sd=np.full(n_rows, np.nan) if needs_sd else None,
            scores={name: np.full(n, np.nan) for name in asking},
            seconds=np.zeros(n),
            scored=np.zeros(n),
        )

    @staticmethod
    def of_sums(n_splits: int, names: Iterable[str]) -> "Outcome":
        """Return one without scores, of splits that have no rows."""
        scores = {name: np.full(n_splits, np.nan) for name in names}
        return Outcome(np.empty(0), None, scores, np.zeros(n_splits), np.zeros(n_splits))

    def take(self, number: int, fit: Fit) -> None:
        """Take in what a fit has to say."""
        self.seconds[number] += fit.seconds
        self.messages.update(set(fit.messages))
        if fit.error is not None:
            self.errors[number] = fit.error


def outcomes_of(
    fits: Fits, n_candidates: int, held_out: HeldOut, scorers: dict[str, Scorer]
) -> list[Outcome]:
    """Return the outcomes of candidates that are fitted split by split."""
    needs_sd = any(own.needs_deviations for own in scorers.values())
    asking = {name: own.function for name, own in scorers.items() if own.needs_estimator}
    outcomes = [
        Outcome.empty(held_out.splits, needs_sd=needs_sd, asking=asking)
        for _ in range(n_candidates)
    ]
    for number, made in enumerate(fits.each()):
        for outcome, fit in zip(outcomes, made, strict=True):
            predict_by(outcome, number, fit, held_out, asking)
    return outcomes


def predict_by(
    outcome: Outcome,
    number: int,
    fit: Fit,
    held_out: HeldOut,
    asking: Mapping[str, Callable[..., float]] = MappingProxyType({}),
) -> None:
    """Predict the test rows of a split by a fit, and ask it for scores."""
    outcome.take(number, fit)
    place = held_out.splits.place(number)
    if fit.error is None:
        asked = Fit.of(
            partial(_asked, fit.estimator, held_out[number], asking, outcome.sd is not None)
        )
        outcome.scored[number], asked.seconds = asked.seconds, 0.0
        outcome.take(number, asked)
    if number in outcome.errors:
        outcome.mean[place] = None if outcome.mean.dtype.hasobject else np.nan
        return
    mean, sd, scores = asked.estimator
    if not outcome.mean.dtype.hasobject and np.asarray(mean).dtype.kind not in "fiub":
        outcome.mean = outcome.mean.astype(object)  # labels of classes
    outcome.mean[place] = mean
    if outcome.sd is not None:
        outcome.sd[place] = sd
    for name, value in scores.items():
        outcome.scores[name][number] = value


def _asked(
    estimator: Any, test: Sample, asking: Mapping[str, Callable[..., float]], needs_sd: bool
) -> tuple[Any, Any, dict[str, float]]:
    if needs_sd:
        mean, sd = estimator.predict(test.X, return_std=True, **test.beside)
    else:
        mean, sd = estimator.predict(test.X, **test.beside), None
    scores: dict[str, Any] = {name: own(estimator, test.X, test.y) for name, own in asking.items()}
    for name, value in scores.items():
        if not isinstance(value, numbers.Real):
            raise TypeError(
                f"The function of {name!r} in `scoring` returns {shown(value)}, of type "
                f"{type(value).__name__}. Let it return one number."
            )
    return mean, sd, {name: float(value) for name, value in scores.items()}


def scores_of(
    outcome: Outcome, held_out: HeldOut, scorers: dict[str, Scorer]
) -> dict[str, FloatArray]:
    """Return all scores of a candidate, (K,) each; NaN of splits without a fit."""
    rows, split = held_out.splits.tested
    n, found = len(held_out.splits), {}
    for name, scorer in scorers.items():
        if scorer.needs_estimator:
            found[name] = outcome.scores[name]
        elif scorer.by_split is not None:
            y = np.asarray(held_out.sample.y, dtype=np.float64)[rows]
            found[name] = BY_SPLIT[scorer.by_split](y, outcome.mean, outcome.sd, split, n)
            if scorer.by_split == "r2":
                _tell_single_rows(split, n)
        else:
            found[name] = np.full(n, np.nan)
            for number in set(range(n)) - set(outcome.errors):
                view, test = (
                    Predictions(outcome.mean[held_out.splits.place(number)]),
                    held_out[number],
                )
                found[name][number] = scorer.function(view, test.X, test.y)
    return found


def _tell_single_rows(split: IntArray, n_splits: int) -> None:
    """Warn of splits whose R² is not defined."""
    single = int((np.bincount(split, minlength=n_splits) == 1).sum())
    if single:
        warn(
            f"{single} of {n_splits} splits predict one row, of which R² is not defined and NaN. "
            "Score by an error, such as 'neg_mean_squared_error'.",
            UndefinedMetricWarning,
        )
