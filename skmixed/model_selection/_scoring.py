"""Scores of predictions, by name."""

from __future__ import annotations

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
from skmixed._fitted.fitted_model import before_model, last_step
from skmixed.model_selection._scores_by_split import BY_SPLIT, DENSITY

FOR_NUMBERS = ("r2", "neg_mean_squared_error")
# It is no loss, of which it has the name: the greater the better, as of neg_log_loss.
DENSITIES = (DENSITY, "log_predictive_density")
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
        Fitted, with ``predict(X, return_std=True)``, or a Pipeline whose last step has it.
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
    cross_validate : Has it as the score "log_predictive_density".

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
    mean, sd = with_deviations(estimator, X, {})
    split = np.zeros(len(mean), dtype=np.intp)
    return float(BY_SPLIT[DENSITY](np.asarray(y), mean, sd, split, 1)[0])


def has_deviations(estimator: Any) -> bool:
    """Whether the predict of an estimator, or of a Pipeline's last step, gives deviations."""
    predict = getattr(last_step(estimator), "predict", None)
    return predict is not None and "return_std" in signature(predict).parameters


def with_deviations(estimator: Any, X: Any, beside: Mapping[str, Any]) -> tuple[Any, Any]:
    """Predict with standard deviations.

    Those of a Pipeline are its last step's, which it is asked for itself: with metadata routing a
    Pipeline hands `return_std` on to no step.
    """
    X, _ = before_model(estimator, X)
    mean, sd = last_step(estimator).predict(X, return_std=True, **beside)
    return mean, sd


@dataclass(frozen=True)
class Scorer:
    """A score by its name, or a function of the user.

    Attributes
    ----------
    name : str
        What messages call it.
    function : callable
        From an estimator, X and y to a number.
    needs_estimator : bool
        Whether it may ask for more than what `predict` returns.
    by_split : str or None
        Its name among the scores that all splits have at once.
    """

    name: str
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
        given = {str(name): own for name, own in scoring.items()}
        return {name: _scorer(estimator, own, name) for name, own in given.items()}, False
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
        if names.count(name) > 1:
            raise ValueError(f"scoring has {name!r} more than once. Name each score once.")
    return {name: _scorer(estimator, name) for name in names}, False


def _scorer(estimator: Any, scoring: Any, name: str | None = None) -> Scorer:
    """Return a score; `name` is that of the user for a function."""
    is_name = isinstance(scoring, str)
    if (is_name and scoring in DENSITIES) or scoring is log_predictive_density:
        if not has_deviations(estimator):
            raise ValueError(
                f"scoring={DENSITY!r} needs predict(X, return_std=True), which "
                f"{type(last_step(estimator)).__name__} does not have. Leave it out of `scoring`."
            )
        own = name or (scoring if is_name else DENSITY)
        return Scorer(own, log_predictive_density, needs_estimator=False, by_split=DENSITY)
    if is_name:
        return _by_name(estimator, scoring)
    if not callable(scoring):
        raise TypeError(
            f"scoring has {shown(scoring)}, of type {type(scoring).__name__}. Give the name of a "
            "score, or a function of an estimator, X and y."
        )
    _check_no_metric(scoring)
    return Scorer(name or _name_of(scoring), scoring, needs_estimator=True)


def _by_name(estimator: Any, name: str) -> Scorer:
    has_labels, function = is_classifier(estimator), get_scorer(name)
    if has_labels:
        function = OF_CLASSES.get(name, function)
    by_split = name if name in BY_SPLIT and not has_labels else None
    asks_more = has_labels or getattr(function, "_response_method", "predict") != "predict"
    return Scorer(name, function, needs_estimator=asks_more, by_split=by_split)


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", shown(function)))


def _check_no_metric(function: Callable[..., Any]) -> None:
    """Refuse a function of responses and predictions, as scikit-learn does its own."""
    module = getattr(function, "__module__", None) or ""
    is_metric = module.startswith("sklearn.metrics.") and ".metrics._scorer" not in module
    try:
        signature(function).bind("estimator", "X", "y")
    except TypeError:
        is_metric = True
    except ValueError:
        pass  # of some functions in C nothing is known
    if is_metric:
        name = _name_of(function)
        raise ValueError(
            f"scoring={name} is no function of an estimator, X and y, which a score is. If it is "
            f"one of responses and predictions, wrap it: sklearn.metrics.make_scorer({name}), with "
            "greater_is_better=False where it is an error."
        )


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
