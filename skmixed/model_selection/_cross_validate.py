"""Cross-validation of grouped data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterGrid

from skmixed._fitted import checks as validation
from skmixed._typing import FloatArray
from skmixed.model_selection._fits import Refits
from skmixed.model_selection._messages import FitNames, tell, tell_single_rows
from skmixed.model_selection._outcomes import Outcome, add_scores, outcomes_of
from skmixed.model_selection._sample import HeldOut, Sample, check_model
from skmixed.model_selection._scoring import Scorer, scorers_of
from skmixed.model_selection._splits.groups import beside, groups_of
from skmixed.model_selection._splits.questions import QUESTIONS, check_question, in_words
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._splits.splitters import splits_of
from skmixed.model_selection._statistics import (
    StatisticsFits,
    from_statistics,
    has_statistics,
    prepare,
)
from skmixed.model_selection._validation import Validation, of_grid, of_one
from skmixed.model_selection._whole_groups import whole_group_outcomes
from skmixed.typing import Question, RefitOrFixed

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
    question: Question | None = None,
    param_grid: Any = None,
    scoring: Any = None,
    theta: RefitOrFixed = "refit",
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
        `MixedLinearRegressor`, or any other regressor or classifier, also a Pipeline, to whose
        steps `groups` and `sample_weight` get by metadata routing alone. Not changed.
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
        Scores by scikit-learn's names, functions of a fitted estimator, X and y, such as
        `sklearn.metrics.make_scorer` makes of metrics, or "log_predictive_density", also called
        "neg_log_predictive_density" beside "neg_log_loss". Of all the greater is the better.
        None: of numbers "r2", "neg_mean_squared_error" and, where `predict` has standard
        deviations, "neg_log_predictive_density"; of classes accuracy, log loss and Brier's score.
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
        of shape (n_samples,), or (n_candidates, n_samples), classes of their own type; in rows that
        no split predicts NaN, or None for classes, and of a row in several test sets that of the
        last. Attribute ``question`` says which
        question the scores answer; `Validation.summary` is a table.

    Raises
    ------
    ValueError
        If the splits do not answer the question, a group is missing, X, y, weights and groups are
        of different lengths, no fit succeeds, or no score can be computed.
    TypeError
        If the model, `cv` or a score is of the wrong kind.

    Warns
    -----
    sklearn.exceptions.FitFailedWarning
        If some fits or their predictions fail, such as where one group is left; their scores are
        NaN. A candidate that is no model, such as one with random slopes and no groups, fails in
        all splits.
    UserWarning
        If a score cannot be computed in some splits; it is NaN there. Warnings of the fits are
        said once for each kind, with the number of fits that had them, and the numbers of rows
        are those of X.

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
    check_model(model)
    validation.check_choice("theta", theta, THETAS)
    if question is not None:
        validation.check_choice("question", question, QUESTIONS)
    validation.check_flag("return_predictions", return_predictions)
    scorers, _ = scorers_of(model, scoring)
    params = [{}] if param_grid is None else list(ParameterGrid(param_grid))
    models = [clone(model).set_params(**own) for own in params]
    sample = Sample.given(X, y, sample_weight, beside(models, X, groups))
    sample.check_taken_by(model)
    own_groups = groups_of(models, X, groups, sample.weights)
    cv = list(cv) if isinstance(cv, Iterator) else cv
    has_classes = is_classifier(model)
    splits = splits_of(cv, question, X, sample.y, own_groups, has_classes=has_classes)
    check_question(question, splits, own_groups)
    fits = CandidateFits.of(models, sample, splits, is_held=theta == "fixed")
    outcomes = fits.outcomes(
        params, HeldOut(sample, splits), scorers, needs_predictions=return_predictions
    )
    table = scores_and_times(outcomes, scorers)
    found = of_one(*table) if param_grid is None else of_grid(params, *table)
    if return_predictions:
        predictions = [own.predictions(splits) for own in outcomes]
        found["predictions"] = predictions[0] if param_grid is None else np.stack(predictions)
    asked = in_words(splits, own_groups) if own_groups.are_seen else NOT_SEEN
    return Validation(found, asked, fits.how)


@dataclass(frozen=True)
class CandidateFits:
    """The fits of all candidates: of linear models from sums over rows, of others to rows.

    Attributes
    ----------
    splits : Splits
    linear, others : list of int
        The numbers of the candidates of either kind.
    refused : dict of int to Exception
        What is to be said of candidates that are no models of these rows.
    sums : StatisticsFits or None
        None where no candidate is linear.
    refits : Refits
    """

    splits: Splits
    linear: list[int]
    others: list[int]
    refused: dict[int, Exception]
    sums: StatisticsFits | None
    refits: Refits

    @staticmethod
    def of(
        models: Sequence[Any], sample: Sample, splits: Splits, *, is_held: bool = False
    ) -> CandidateFits:
        """Lay out the rows for candidates; `is_held`: whether Λ is that of all rows."""
        others = [k for k, own in enumerate(models) if not has_statistics(own)]
        if others and is_held:
            raise ValueError(
                "theta='fixed' is there for MixedLinearRegressor with independent residuals, not "
                f"for {type(models[others[0]]).__name__}. Leave it out."
            )
        prepared: dict[int, Any] = {}
        refused: dict[int, Exception] = {}
        for k in sorted({*range(len(models))} - {*others}):
            try:
                prepared[k] = prepare(models[k], sample)
            except (ValueError, TypeError) as error:
                refused[k] = error
        own = list(prepared.values())
        sums = from_statistics(own, sample, splits, is_held=is_held) if own else None
        refits = Refits([models[k] for k in others], sample, splits)
        return CandidateFits(splits, list(prepared), others, refused, sums, refits)

    @property
    def how(self) -> str:
        """How the fits without a fold are made, in words."""
        if self.others or self.sums is None:
            return f"{len(self.splits)} splits, fitted to the training rows of each"
        of_theta = "θ held at that of all rows" if self.sums.is_held else "θ refitted"
        return f"{len(self.splits)} splits, from sums over the rows of each, {of_theta}"

    def outcomes(
        self,
        params: Sequence[dict[str, Any]],
        held_out: HeldOut,
        scorers: Mapping[str, Scorer],
        *,
        needs_predictions: bool = False,
    ) -> list[Outcome]:
        """Fit all candidates to all splits, predict and score their test rows; say what is to say.

        `params` are those of the candidates, which messages name. Without `needs_predictions`
        rows are predicted where scores take that.
        """
        found = {k: self._refusal(error, scorers) for k, error in self.refused.items()}
        if self.sums is not None:
            made = whole_group_outcomes(
                self.sums, held_out, scorers, needs_predictions=needs_predictions
            )
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
        for own in outcomes:
            add_scores(own, held_out, scorers)
        tell(outcomes, FitNames(params, len(self.splits), self._name), scorers)
        tell_single_rows(self.splits, scorers)
        return outcomes

    def _refusal(self, error: Exception, scorers: Mapping[str, Scorer]) -> Outcome:
        out = Outcome.empty(self.splits, scorers)
        out.errors = dict.fromkeys(range(len(self.splits)), error)
        return out

    def _name(self, number: int) -> str:
        """Return the name of a split in messages."""
        return f"split {number} (row {int(self.splits.test(number)[0])} and others)"

    def to_all_rows(self, number: int) -> Any:
        """Return a candidate that is fitted to all rows."""
        if number in self.refused:
            raise self.refused[number]
        if self.sums is None or number in self.others:
            return self.refits.to_all_rows(self.others.index(number))
        return self.sums.to_all_rows(self.sums.candidates[self.linear.index(number)])


def scores_and_times(
    outcomes: Sequence[Outcome], scorers: Mapping[str, Scorer]
) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
    """Return the scores by name, and the times of fits and of scores in seconds, each (C, K)."""
    scores = {key: np.stack([own.scores[key] for own in outcomes]) for key in scorers}
    seconds, scored = (
        np.stack([getattr(own, name) for own in outcomes]) for name in ("seconds", "scored")
    )
    return scores, seconds, scored
