"""What a candidate has predicted in all splits, and its scores."""

import numbers
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._data.table import shown
from skmixed._typing import FloatArray, IntArray, Message
from skmixed.model_selection._fits import Fit, Fits
from skmixed.model_selection._sample import HeldOut, Sample
from skmixed.model_selection._scores_by_split import BY_SPLIT, OF_SQUARES
from skmixed.model_selection._scoring import Predictions, Scorer, with_deviations
from skmixed.model_selection._splits.splits import Splits

# What estimators and functions of the user may raise, as in scikit-learn's loop.
OF_ANY = (Exception,)


@dataclass
class Outcome:
    """The predictions of one candidate, of the test rows of all splits, one behind the other.

    Attributes
    ----------
    n_tested : int
        Test rows of all splits, N.
    sd : (N,) array or None
        Standard deviations of observations.
    scores : dict of str to (K,) array
        By functions that ask the fitted estimators.
    seconds, scored : (K,) arrays
        Time of the fits, and of predictions and scores.
    failed : dict of str to dict of int to Exception
        For each score, the errors of the splits where it could not be computed.
    mean : (N,) array or None
        Of the type that `predict` returns, so that classes keep theirs; None before there
        are any. Without meaning in splits with an error.
    messages : list of pairs
        Splits, and what their fits, predictions and scores have to say.
    errors : dict of int to Exception
        Those of the splits whose fits or predictions failed.
    unpredicted : set of int
        Of these the splits whose predictions failed.
    squares : pair of (K,) arrays or None
        Σ (y − ŷ)² and Σ (y − ȳ)² of the splits, where they are known without predictions.
    """

    n_tested: int
    sd: FloatArray | None
    scores: dict[str, FloatArray]
    seconds: FloatArray
    scored: FloatArray
    failed: dict[str, dict[int, Exception]] = field(default_factory=dict)
    mean: NDArray[Any] | None = None
    messages: list[tuple[int, list[Message]]] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)
    unpredicted: set[int] = field(default_factory=set)
    squares: tuple[FloatArray, FloatArray] | None = None

    @staticmethod
    def empty(splits: Splits, scorers: Mapping[str, Scorer]) -> "Outcome":
        """Return one without predictions."""
        n, n_tested = len(splits), splits.n_tested
        needs_sd = any(own.needs_deviations for own in scorers.values())
        return Outcome(
            n_tested=n_tested,
            sd=np.full(n_tested, np.nan) if needs_sd else None,
            scores={k: np.full(n, np.nan) for k, own in scorers.items() if own.needs_estimator},
            seconds=np.zeros(n),
            scored=np.zeros(n),
            failed={key: {} for key in scorers},
        )

    @staticmethod
    def of_sums(n_splits: int, names: Iterable[str]) -> "Outcome":
        """Return one without scores, of splits that have no rows."""
        scores = {name: np.full(n_splits, np.nan) for name in names}
        return Outcome(0, None, scores, np.zeros(n_splits), np.zeros(n_splits))

    def take(self, number: int, fit: Fit) -> None:
        """Take in a fit's time, and what it has to say."""
        self.seconds[number] += fit.seconds
        self.messages.append((number, fit.messages))
        if fit.error is not None:
            self.errors[number] = fit.error

    def ask(self, number: int, asked: Fit) -> None:
        """Take in the time of predictions or of a score, and what they have to say."""
        self.scored[number] += asked.seconds
        self.messages.append((number, asked.messages))

    def predicted(self, number: int, asked: Fit) -> None:
        """Take in the time of predictions, and what they have to say."""
        self.ask(number, asked)
        if asked.error is not None:
            self.errors[number] = asked.error
            self.unpredicted.add(number)

    def put(self, place: slice, mean: Any, sd: FloatArray | None) -> None:
        """Take in the predictions of some rows."""
        values = np.asarray(mean)
        if self.mean is None:
            self.mean = np.zeros(self.n_tested, dtype=values.dtype)
        elif values.dtype != self.mean.dtype:
            self.mean = self.mean.astype(_common(self.mean.dtype, values.dtype))
        self.mean[place] = values
        if self.sd is not None and sd is not None:
            self.sd[place] = sd

    def add_squares(self, number: int, held_out: HeldOut) -> None:
        """Add the squares of a split that is predicted, where those of the others are known."""
        if self.squares is None:
            return
        for own in self.squares:
            own[number] = np.nan
        if number not in self.errors and self.mean is not None:
            y = np.asarray(held_out.sample.y, dtype=np.float64)[held_out.splits.test(number)]
            left = y - self.mean[held_out.splits.place(number)]
            for own, values in zip(self.squares, (left, y - y.mean()), strict=True):
                own[number] = values @ values

    def predictions(self, splits: Splits) -> NDArray[Any]:
        """Return predictions in the order of the rows, (n,); NaN or None where there are none."""
        if self.mean is None:
            return np.full(splits.n_rows, np.nan)
        rows, split = splits.tested
        has_one = ~np.isin(split, list(self.errors))
        is_whole = len(np.unique(rows[has_one])) == splits.n_rows
        if self.mean.dtype.kind == "f":
            out = np.full(splits.n_rows, np.nan, dtype=self.mean.dtype)
        else:
            out = np.empty(splits.n_rows, dtype=self.mean.dtype if is_whole else object)
        out[rows[has_one]] = self.mean[has_one]
        return out


def _common(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type for predictions of two types, of which none becomes another value."""
    if one.kind == other.kind or {one.kind, other.kind} <= set("iuf"):
        return np.result_type(one, other)
    return np.dtype(object)


def outcomes_of(
    fits: Fits, n_candidates: int, held_out: HeldOut, scorers: Mapping[str, Scorer]
) -> list[Outcome]:
    """Return the outcomes of candidates that are fitted split by split."""
    outcomes = [Outcome.empty(held_out.splits, scorers) for _ in range(n_candidates)]
    for number, made in enumerate(fits.each()):
        for outcome, fit in zip(outcomes, made, strict=True):
            predict_by(outcome, number, fit, held_out, scorers)
    return outcomes


def predict_by(
    outcome: Outcome, number: int, fit: Fit, held_out: HeldOut, scorers: Mapping[str, Scorer]
) -> None:
    """Predict the test rows of a split by a fit, and ask it for scores."""
    outcome.take(number, fit)
    if fit.error is not None:
        return
    test, rows = held_out[number], held_out.splits.test(number)
    given = fit.estimator, test, rows
    predicted, error = _predicted(*given, needs_sd=outcome.sd is not None)
    outcome.predicted(number, predicted)
    if predicted.error is not None:
        return
    outcome.put(held_out.splits.place(number), *predicted.estimator)
    for key, scorer in scorers.items():
        if scorer.needs_estimator:
            _score(outcome, key, number, scorer, given)
        elif scorer.needs_deviations and error is not None:
            outcome.failed[key][number] = error


def _predicted(
    estimator: Any, test: Sample, rows: IntArray, *, needs_sd: bool
) -> tuple[Fit, Exception | None]:
    """Predict rows; without standard deviations where these alone fail, with their error."""
    error = None
    if needs_sd:
        both = Fit.of(partial(with_deviations, estimator, test.X, test.beside), rows, OF_ANY)
        if both.error is None:
            return both, None
        error = both.error
    alone = Fit.of(lambda: (estimator.predict(test.X, **test.beside), None), rows, OF_ANY)
    return alone, error


def _score(
    outcome: Outcome,
    key: str,
    number: int,
    scorer: Scorer,
    given: tuple[Any, Sample, IntArray],
) -> None:
    """Score predictions of a split, by what stands for the estimator."""
    estimator, test, rows = given
    asked = Fit.of(partial(scorer.function, estimator, test.X, test.y), rows, OF_ANY)
    outcome.ask(number, asked)
    if asked.error is None:
        outcome.scores[key][number] = _number(asked.estimator, scorer)
    else:
        outcome.failed[key][number] = asked.error


def _number(value: Any, scorer: Scorer) -> float:
    """Return the value of a score; refuse what is no number."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if not isinstance(value, numbers.Real):
        raise TypeError(
            f"The function of {scorer.name!r} in `scoring` returns {shown(value)}, of type "
            f"{type(value).__name__}. Let it return one number."
        )
    return float(value)


def add_scores(outcome: Outcome, held_out: HeldOut, scorers: Mapping[str, Scorer]) -> None:
    """Add the scores of all splits, which do without the fitted estimators."""
    splits, start = held_out.splits, time.perf_counter()
    is_predicted = outcome.mean is not None or outcome.squares is not None
    own = [k for k in range(len(splits)) if k not in outcome.errors] if is_predicted else []
    for key, scorer in scorers.items():
        if scorer.needs_estimator:
            continue
        outcome.scores[key] = np.full(len(splits), np.nan)
        if outcome.squares is not None and own:
            found = OF_SQUARES[str(scorer.by_split)](*outcome.squares, splits.sizes)
            outcome.scores[key][own] = found[own]
        elif scorer.by_split is not None and own:
            outcome.scores[key][own] = _by_split(outcome, held_out, scorer.by_split)[own]
        elif outcome.mean is not None:
            for number in own:
                view = Predictions(outcome.mean[splits.place(number)])
                _score(outcome, key, number, scorer, (view, held_out[number], splits.test(number)))
    outcome.scored += (time.perf_counter() - start) / len(splits)


def are_of_squares(scorers: Mapping[str, Scorer]) -> bool:
    """Whether sums of squares of the splits are enough for all scores."""
    return all(own.by_split in OF_SQUARES for own in scorers.values())


def _by_split(outcome: Outcome, held_out: HeldOut, name: str) -> FloatArray:
    """Return a score of all splits at once."""
    rows, split = held_out.splits.tested
    y, mean = (np.asarray(own, dtype=np.float64) for own in (held_out.sample.y, outcome.mean))
    return BY_SPLIT[name](y[rows], mean, outcome.sd, split, len(held_out.splits))
