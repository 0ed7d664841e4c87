"""Cross-validation of grouped data."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterGrid

from skmixed._data.table import open_table
from skmixed._fitted import checks as validation
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import warn
from skmixed.model_selection._fits import Fit, Fits, HeldOut, Refits, Sample
from skmixed.model_selection._groups import beside, groups_of
from skmixed.model_selection._scoring import Predictions, Scorer, scorers_of
from skmixed.model_selection._splits import QUESTIONS, Splits, check_question, in_words, splits_of
from skmixed.model_selection._statistics import from_statistics, has_statistics
from skmixed.model_selection._validation import Validation, of_grid, of_one

THETAS = ("refit", "fixed")


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
        ``KFold(10)``, or training and test rows. A number is that of folds of whole groups,
        or with ``question="known_groups"`` of folds of which each has some rows of each group,
        while a group of one row stays in training. None: 5.
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
        Weights of the samples in the fits. Scores are not weighted.
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
    Statistics of the training rows are sums of those of other folds, never a difference, so
    that no digits are lost: K folds take one pass over the rows and K log₂K additions. Each
    search starts from the estimates of the split before.

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
    n_rows = open_table(X).n_rows
    own_groups = groups_of(models, X, groups)
    splits = splits_of(cv, question, X, y, own_groups, n_rows)
    check_question(question, splits, own_groups)
    rows = Sample(X, y, sample_weight, beside(models, X, groups))
    scorers, _ = scorers_of(model, scoring)
    table = _Scores.empty(scorers, len(models), len(splits), n_rows)
    how = _run(models, rows, splits, table, theta)
    table.check(splits)
    found = table.found(None if param_grid is None else params)
    if return_predictions:
        found["predictions"] = table.predictions if param_grid is not None else table.predictions[0]
    return Validation(found, in_words(splits, own_groups.factors), how)


def _run(models: Sequence[Any], rows: Sample, splits: Splits, table: "_Scores", theta: str) -> str:
    """Fit all candidates to all splits, score them, and say how it was done."""
    linear = [k for k, own in enumerate(models) if has_statistics(own)]
    others = [k for k in range(len(models)) if k not in set(linear)]
    if others and theta == "fixed":
        raise ValueError(
            f"theta='fixed' is there for MixedLinearRegressor with independent residuals, not for "
            f"{type(models[others[0]]).__name__}. Leave it out."
        )
    batches: list[tuple[list[int], Fits]] = []
    if linear:
        own = [models[k] for k in linear]
        found = from_statistics(own, rows, splits, is_held=theta == "fixed")
        batches += [([linear[k] for k in chosen], fits) for chosen, fits in found]
    if others:
        batches.append((others, Refits([models[k] for k in others], rows, splits)))
    tests = HeldOut.of(rows, splits)
    for chosen, fits in batches:
        for number, made in enumerate(fits.each()):
            test = tests[number]
            for k, fit in zip(chosen, made, strict=True):
                table.take(k, number, fit, test, splits.test(number))
    if others:
        return f"{len(splits)} splits, fitted to the training rows of each"
    of_theta = "θ held at that of all rows" if theta == "fixed" else "θ refitted"
    return f"{len(splits)} splits, from sums over the rows of each, {of_theta}"


@dataclass
class _Scores:
    """Scores of all candidates in all splits, as they come."""

    scorers: dict[str, Scorer]
    scores: dict[str, FloatArray]
    seconds: FloatArray
    scored: FloatArray
    predictions: FloatArray
    messages: Counter[tuple[str, type[Warning]]] = field(default_factory=Counter)
    errors: list[tuple[int, Exception]] = field(default_factory=list)

    @staticmethod
    def empty(scorers: dict[str, Scorer], n_models: int, n_splits: int, n_rows: int) -> "_Scores":
        shape = n_models, n_splits
        return _Scores(
            scorers,
            {name: np.full(shape, np.nan) for name in scorers},
            np.zeros(shape),
            np.zeros(shape),
            np.full((n_models, n_rows), np.nan),
        )

    def take(self, k: int, number: int, fit: Fit, test: Sample, rows: IntArray) -> None:
        """Score a fit of candidate k to split `number`."""
        self.seconds[k, number] = fit.seconds
        if fit.error is None:
            start = time.perf_counter()
            scored = Fit.of(lambda: self._scored(fit.estimator, test))
            self.scored[k, number] = time.perf_counter() - start
            fit.messages += scored.messages
            fit.error = scored.error
        self.messages.update(set(fit.messages))
        if fit.error is not None:
            self.errors.append((number, fit.error))
            return
        found, predicted = scored.estimator
        self.predictions[k, rows] = predicted
        for name, value in found.items():
            self.scores[name][k, number] = value

    def _scored(self, estimator: Any, test: Sample) -> tuple[dict[str, float], Any]:
        """Return the scores, and the predictions, which are made once for all of them."""
        if any(own.needs_deviations for own in self.scorers.values()):
            mean, sd = estimator.predict(test.X, return_std=True, **test.beside)
        else:
            mean, sd = estimator.predict(test.X, **test.beside), None
        view = Predictions(mean, sd)
        return {
            name: own.function(estimator if own.needs_estimator else view, test.X, test.y)
            for name, own in self.scorers.items()
        }, mean

    def check(self, splits: Splits) -> None:
        """Say what the fits had to say, once; raise what all of them have raised."""
        n = self.seconds.size
        if len(self.errors) == n:
            raise self.errors[0][1]
        for (text, category), count in self.messages.items():
            warn(f"In {count} of {n} fits: {text}", category)
        if self.errors:
            number, error = self.errors[0]
            warn(
                f"{len(self.errors)} of {n} fits failed, and their scores are NaN. The first, of "
                f"split {number} (row {int(splits.test(number)[0])} and others left out): {error}",
                FitFailedWarning,
            )

    def found(self, params: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
        if params is None:
            return of_one(self.scores, self.seconds, self.scored)
        return of_grid(params, self.scores, self.seconds, self.scored)
