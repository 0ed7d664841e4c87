"""Scores of predictions, by name."""

from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.metrics import brier_score_loss, get_scorer, log_loss

from skmixed._data.parameters import items_of
from skmixed._data.table import shown
from skmixed.model_selection._scores_by_split import BY_SPLIT, DENSITY

FOR_NUMBERS = ("r2", "neg_mean_squared_error")
FOR_CLASSES = ("accuracy", "neg_log_loss", "neg_brier_score")


def log_predictive_density(estimator: Any, X: Any, y: ArrayLike) -> float:
    """Mean logarithm of the density that a model gives to new responses.

    Each row's density is normal, with the mean and the standard deviation of
    ``predict(X, return_std=True)``: that of an observation, with the uncertainty of the
    estimates and of effects of groups that are not known. It judges the spread of predictions
    too, where an error judges the center alone. A scorer of scikit-learn: the greater the better.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``predict(X, return_std=True)``.
    X : frame or array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Their responses.

    Returns
    -------
    float
        In natural logarithms; a change of the unit of y by a factor c shifts it by −log c.

    See Also
    --------
    cross_validate : Has it as the score "neg_log_predictive_density".

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import log_predictive_density
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[10:], y[10:])
    >>> round(log_predictive_density(model, X[:10], y[:10]), 2)
    -5.68
    """
    mean, sd = estimator.predict(X, return_std=True)
    split = np.zeros(len(mean), dtype=np.intp)
    return float(BY_SPLIT[DENSITY](np.asarray(y), mean, sd, split, 1)[0])


def has_deviations(estimator: Any) -> bool:
    """Whether an estimator's predict gives standard deviations."""
    predict = getattr(estimator, "predict", None)
    return predict is not None and "return_std" in signature(predict).parameters


@dataclass(frozen=True)
class Scorer:
    """A score by its name, or a function of the user.

    Attributes
    ----------
    function : callable
        From an estimator, X and y to a number.
    needs_estimator : bool
        Whether it may ask for more than what `predict` returns.
    by_split : str or None
        Its name among the scores that all splits have at once.
    """

    function: Callable[..., float]
    needs_estimator: bool
    by_split: str | None = None

    @property
    def needs_deviations(self) -> bool:
        return self.by_split == DENSITY


def scorers_of(estimator: Any, scoring: Any) -> tuple[dict[str, Scorer], bool]:
    """Return scorers by name, and whether there is a single one, whose results are a "score".

    None stands for R² and the squared error, with the density where there is one; for
    classes, for accuracy, log loss and Brier's score.
    """
    if scoring is None:
        names = FOR_CLASSES if is_classifier(estimator) else FOR_NUMBERS
        extra = (DENSITY,) if not is_classifier(estimator) and has_deviations(estimator) else ()
        scoring = (*names, *extra)
    if isinstance(scoring, Sized) and not scoring:
        raise ValueError(f"scoring={scoring!r} has no score. Give one, or leave it out.")
    if isinstance(scoring, str) or callable(scoring):
        return {"score": _scorer(estimator, scoring)}, True
    if isinstance(scoring, Mapping):
        return {str(name): _scorer(estimator, own) for name, own in scoring.items()}, False
    if not isinstance(scoring, Iterable):
        raise TypeError(
            f"scoring={scoring!r} is of type {type(scoring).__name__}. Give names of scores, such "
            "as ('r2', 'neg_mean_squared_error'), or a dict of scorers."
        )
    names = items_of(scoring, "scoring")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"scoring has {shown(name)}, which is no name. Give a list of names of scores, or "
                "a dict of names and functions."
            )
    return {name: _scorer(estimator, name) for name in names}, False


def _scorer(estimator: Any, scoring: Any) -> Scorer:
    if not (isinstance(scoring, str) or callable(scoring)):
        raise TypeError(
            f"scoring has {shown(scoring)}, of type {type(scoring).__name__}. Give the name of a "
            "score, or a function of an estimator, X and y."
        )
    if callable(scoring) and scoring is not log_predictive_density:
        return Scorer(scoring, needs_estimator=True)
    if scoring == DENSITY or scoring is log_predictive_density:
        if not has_deviations(estimator):
            raise ValueError(
                f"scoring={DENSITY!r} needs predict(X, return_std=True), which "
                f"{type(estimator).__name__} does not have. Leave it out of `scoring`."
            )
        return Scorer(log_predictive_density, needs_estimator=False, by_split=DENSITY)
    has_labels, function = is_classifier(estimator), get_scorer(scoring)
    if has_labels:
        function = OF_CLASSES.get(scoring, function)
    by_split = scoring if scoring in BY_SPLIT and not has_labels else None
    asks_more = has_labels or getattr(function, "_response_method", "predict") != "predict"
    return Scorer(function, needs_estimator=asks_more, by_split=by_split)


def _log_loss(estimator: Any, X: Any, y: ArrayLike) -> float:
    """Return the score of scikit-learn's name, also of rows that have not all classes."""
    shares = estimator.predict_proba(X)
    return -float(log_loss(y, shares, labels=estimator.classes_))


def _brier(estimator: Any, X: Any, y: ArrayLike) -> float:
    """Return the score of scikit-learn's name, also of classes that are no numbers."""
    shares, labels = estimator.predict_proba(X), estimator.classes_
    if len(labels) == 2:
        return -float(brier_score_loss(np.asarray(y) == labels[1], shares[:, 1]))
    return -float(brier_score_loss(y, shares, labels=labels))


# From a classifier, X and y to a score.
OF_CLASSES: dict[str, Callable[[Any, Any, ArrayLike], float]] = {
    "neg_log_loss": _log_loss,
    "neg_brier_score": _brier,
}


class Predictions(RegressorMixin, BaseEstimator):
    """Stands for a fitted regressor where its predictions are there already."""

    def __init__(self, mean: Any, sd: Any = None) -> None:
        self.mean = mean
        self.sd = sd

    def predict(self, X: Any, return_std: bool = False) -> Any:  # noqa: ARG002
        """Return the predictions."""
        return (self.mean, self.sd) if return_std else self.mean
