"""Cross-validation of grouped data."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterGrid

from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import warn_counted
from skmixed._typing import FloatArray
from skmixed.exceptions import warn
from skmixed.model_selection._fits import HeldOut, Refits, Sample
from skmixed.model_selection._outcomes import Outcome, outcomes_of, scores_of
from skmixed.model_selection._scoring import Scorer, scorers_of
from skmixed.model_selection._splits.groups import beside, groups_of
from skmixed.model_selection._splits.questions import QUESTIONS, check_question, in_words
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._splits.splitters import splits_of
from skmixed.model_selection._statistics import StatisticsFits, from_statistics, has_statistics
from skmixed.model_selection._validation import Validation, of_grid, of_one
from skmixed.model_selection._whole_groups import whole_group_outcomes

THETAS = ("refit", "fixed")
# The question where the factors of the model are those of a formula, or made by a Pipeline.
NOT_SEEN = "rows whose groups are not known before a fit (give groups= for the question)"


def cross_validate(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    cv: Any = None,
    groups: Any = None,
    question: str | None = None,
    param_grid: Any = None,
    scoring: Any = None,
    theta: str = "refit",
    sample_weight: ArrayLike | None = None,
    return_predictions: bool = False,
) -> Validation:
    """Cross-validate a model of grouped data, or many of them.

    The fits of `MixedLinearRegressor` are made from sums over the rows of each fold: all
    folds and all candidates read the rows once. They are the fits to the training rows, as
    scikit-learn's loop makes them, and so are the scores. Other estimators are fitted to the
    training rows of each split.

    Parameters
    ----------
    model : estimator
        `MixedLinearRegressor`, or any other regressor or classifier, also a Pipeline.
        Not changed.
    X : frame or array-like of shape (n_samples, n_features)
        Numeric columns and grouping columns, as for `fit`.
    y : array-like of shape (n_samples,)
        The response of each sample.
    cv : int, splitter or iterable of pairs of arrays, default=None
        A splitter of scikit-learn, such as ``GroupKFold(10)``, ``LeaveOneGroupOut()`` or
        ``KFold(10)``, or pairs of training and test rows, which have no row in common. A number
        is that of folds of whole groups, or with ``question="known_groups"`` of folds of which
        each has some rows of each group, while a group of one row stays in training. Where
        neither the model nor `groups` names groups, they are scikit-learn's folds of rows.
        None: 5.
    groups : array-like of shape (n_samples,) or frame, default=None
        The group of each sample, for `cv`. None: the outermost grouping factor that the
        model names. Where the model names none, they are given to its `fit` and `predict` too.
    question : {"new_groups", "known_groups"}, default=None
        What is to be answered: how well rows of groups are predicted that the fit has not
        seen, or new rows of groups that it has. Splits that answer another one are refused.
        None: the splits decide; the result says which question it was.
    param_grid : dict or list of dicts, default=None
        Parameters of the candidates, as for `sklearn.model_selection.GridSearchCV`.
    scoring : str, callable, sequence of str, or dict, default=None
        Scores by scikit-learn's names, or "neg_log_predictive_density", which is
        `log_predictive_density`. Of all the greater is the better. None: of numbers "r2",
        "neg_mean_squared_error" and, where `predict` has standard deviations, the density;
        of classes accuracy, log loss and Brier's score.
    theta : {"refit", "fixed"}, default="refit"
        Whether the relative variances θ of linear models are estimated anew for each split,
        or held at those of all rows; the fixed effects, σ and the BLUPs are always new.
        "fixed" has seen the test rows, and is optimistic where groups are few.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples in the fits. Scores are not weighted. A row of weight 0 is in no
        fit: its group is new unless other rows make it known, and it needs no label.
    return_predictions : bool, default=False
        Whether the result has ``"predictions"``.

    Returns
    -------
    Validation
        A dict: for one model with the keys of `sklearn.model_selection.cross_validate`, and
        with `param_grid` those of ``cv_results_`` of `GridSearchCV`. Predictions are an array
        of shape (n_samples,), or (n_candidates, n_samples); NaN in rows that no split predicts,
        and of a row in several test sets that of the last. Attribute ``question`` says which
        question the scores answer; `Validation.summary` is a table.

    Raises
    ------
    ValueError
        If the splits do not answer the question, a group is missing, or no fit succeeds.

    Warns
    -----
    sklearn.exceptions.FitFailedWarning
        If some fits fail, such as where one group is left; their scores are NaN. Warnings of
        the fits are said once, with the number of fits that had them.

    See Also
    --------
    both_questions : New rows of known groups, and new groups, side by side.
    sklearn.model_selection.cross_validate : By fits to the rows of each split.

    Notes
    -----
    Of up to 60 folds, the sums over the training rows are those of the other folds, added up and
    never taken off, so that no digits are lost: K folds take one pass over the rows and K log₂K
    additions. Each search is that of a fit to the training rows.

    Of more folds of whole groups, in a model of one grouping factor, [X y]'V⁻¹[X y] without a
    fold is that of all rows less that of its groups. What all rows have is a smooth function of
    θ; it is taken as a polynomial around the optimum of all rows, checked against exact values,
    and the criteria of all folds are minimized together. Folds that move θ far, or leave the
    rank of X in doubt, are fitted one by one. θ is found to ten digits, that of a fit to eight.

    Examples
    --------
    >>> from sklearn.model_selection import LeaveOneGroupOut
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import cross_validate
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> found = cross_validate(model, X, y, cv=LeaveOneGroupOut())
    >>> found.question
    "new groups of 'Subject'"
    >>> print(found["test_neg_mean_squared_error"].mean().round(1))
    -2460.6

    Candidates share the pass over the rows:

    >>> grid = {"random_slopes": [None, "Days"], "method": ["reml", "ml"]}
    >>> found = cross_validate(
    ...     model, X, y, question="known_groups", param_grid=grid, scoring=["r2"]
    ... )
    >>> found.summary()["r2"].round(3)
                                          mean     sd  rank
    candidate
    method='reml', random_slopes=None    0.664  0.048     3
    method='reml', random_slopes='Days'  0.739  0.081     1
    method='ml', random_slopes=None      0.664  0.048     4
    method='ml', random_slopes='Days'    0.739  0.080     2
    """
    validation.check_choice("theta", theta, THETAS)
    if question is not None:
        validation.check_choice("question", question, QUESTIONS)
    validation.check_flag("return_predictions", return_predictions)
    params = [{}] if param_grid is None else list(ParameterGrid(param_grid))
    models = [clone(model).set_params(**own) for own in params]
    sample = Sample.given(X, y, sample_weight, beside(models, X, groups))
    own_groups = groups_of(models, X, groups, sample.weights)
    cv = list(cv) if isinstance(cv, Iterator) else cv
    has_classes = is_classifier(model)
    splits = splits_of(cv, question, X, sample.y, own_groups, has_classes=has_classes)
    check_question(question, splits, own_groups)
    scorers, _ = scorers_of(model, scoring)
    held_out = HeldOut(sample, splits)
    fits = CandidateFits.of(models, sample, splits, is_held=theta == "fixed")
    outcomes = fits.outcomes(held_out, scorers)
    table = scores_and_times(outcomes, held_out, scorers)
    found = of_one(*table) if param_grid is None else of_grid(params, *table)
    if return_predictions:
        predictions = [_in_order(own, splits) for own in outcomes]
        found["predictions"] = predictions[0] if param_grid is None else np.stack(predictions)
    question = in_words(splits, own_groups.factors) if own_groups.are_seen else NOT_SEEN
    return Validation(found, question, fits.how)


@dataclass(frozen=True)
class CandidateFits:
    """The fits of all candidates: of linear models from sums over rows, of others to rows.

    Attributes
    ----------
    splits : Splits
    linear, others : list of int
        The numbers of the candidates of either kind.
    sums : StatisticsFits or None
        None where no candidate is linear.
    refits : Refits
    """

    splits: Splits
    linear: list[int]
    others: list[int]
    sums: StatisticsFits | None
    refits: Refits

    @staticmethod
    def of(
        models: Sequence[Any], sample: Sample, splits: Splits, *, is_held: bool = False
    ) -> "CandidateFits":
        """Lay out the rows for candidates; `is_held`: whether Λ is that of all rows."""
        linear = [k for k, own in enumerate(models) if has_statistics(own)]
        others = [k for k in range(len(models)) if k not in set(linear)]
        if others and is_held:
            raise ValueError(
                "theta='fixed' is there for MixedLinearRegressor with independent residuals, not "
                f"for {type(models[others[0]]).__name__}. Leave it out."
            )
        own = [models[k] for k in linear]
        sums = from_statistics(own, sample, splits, is_held=is_held) if linear else None
        refits = Refits([models[k] for k in others], sample, splits)
        return CandidateFits(splits, linear, others, sums, refits)

    @property
    def how(self) -> str:
        """How the fits without a fold are made, in words."""
        if self.others or self.sums is None:
            return f"{len(self.splits)} splits, fitted to the training rows of each"
        of_theta = "θ held at that of all rows" if self.sums.is_held else "θ refitted"
        return f"{len(self.splits)} splits, from sums over the rows of each, {of_theta}"

    def outcomes(self, held_out: HeldOut, scorers: dict[str, Scorer]) -> list[Outcome]:
        """Fit all candidates to all splits, and predict their test rows; say what is to be said."""
        found: dict[int, Outcome] = {}
        if self.sums is not None:
            made = whole_group_outcomes(self.sums, held_out, scorers)
            found |= {self.linear[k]: outcome for k, outcome in made.items()}
            rest = [k for k in range(len(self.linear)) if k not in made]
            if rest:
                fits = replace(self.sums, candidates=[self.sums.candidates[k] for k in rest])
                outcomes = outcomes_of(fits, len(rest), held_out, scorers)
                found |= dict(zip([self.linear[k] for k in rest], outcomes, strict=True))
        if self.others:
            outcomes = outcomes_of(self.refits, len(self.others), held_out, scorers)
            found |= dict(zip(self.others, outcomes, strict=True))
        outcomes = [found[k] for k in sorted(found)]
        splits = self.splits
        say(outcomes, len(splits), lambda k: f"split {k} (row {int(splits.test(k)[0])} and others)")
        return outcomes

    def to_all_rows(self, number: int) -> Any:
        """Return a candidate that is fitted to all rows."""
        if self.sums is None or number in self.others:
            return self.refits.to_all_rows(self.others.index(number))
        return self.sums.to_all_rows(self.sums.candidates[self.linear.index(number)])


def _in_order(outcome: Outcome, splits: Splits) -> Any:
    """Return predictions in the order of the rows; NaN of rows that no split predicts."""
    nothing = None if outcome.mean.dtype.hasobject else np.nan
    out = np.full(splits.n_rows, nothing, dtype=outcome.mean.dtype)
    out[splits.tested[0]] = outcome.mean
    return out


def say(outcomes: Sequence[Outcome], n_splits: int, name_of: Callable[[int], str]) -> None:
    """Say what the fits had to say, once; raise what all of them have raised."""
    n = len(outcomes) * n_splits
    messages: Counter[tuple[str, type[Warning]]] = Counter()
    errors = [pair for own in outcomes for pair in own.errors.items()]
    if len(errors) == n:
        raise errors[0][1]
    for own in outcomes:
        messages.update(own.messages)
    warn_counted(messages, lambda count: f"In {count} of {n} fits")
    if errors:
        number, error = errors[0]
        warn(
            f"{len(errors)} of {n} fits failed, and their scores are NaN. The first, without "
            f"{name_of(number)}: {error}",
            FitFailedWarning,
        )


def scores_and_times(
    outcomes: Sequence[Outcome], held_out: HeldOut, scorers: dict[str, Scorer]
) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
    """Return the scores by name, and the times of fits and of scores in seconds, each (C, K)."""
    scores, times = [], []
    for own in outcomes:
        start = time.perf_counter()
        scores.append(scores_of(own, held_out, scorers))
        times.append((time.perf_counter() - start) / len(held_out.splits))
    seconds = np.stack([own.seconds for own in outcomes])
    scored = np.stack([own.scored + each for own, each in zip(outcomes, times, strict=True)])
    return {name: np.stack([own[name] for own in scores]) for name in scorers}, seconds, scored
