"""Predictions, with their standard deviations."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmixed._data.metadata import open_prediction_metadata, weights_not_labels
from skmixed._data.table import check_unmasked
from skmixed._estimators.intervals import errors_of
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import (
    estimable_rows,
    linear_predictor,
    open_features,
    open_rows,
)
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.typing import Include

OF = ("observation", "mean")
DDF_OF_PREDICTIONS = tuple(name for name, method in DDF.items() if method.has_predictions)


@overload
def predict(
    self: Any,
    X: Any,
    *,
    groups: Any = ...,
    include: Include = ...,
    return_std: Literal[False] = ...,
) -> FloatArray: ...
@overload
def predict(
    self: Any, X: Any, *, groups: Any = ..., include: Include = ..., return_std: Literal[True]
) -> tuple[FloatArray, FloatArray]: ...
@overload
def predict(
    self: Any, X: Any, *, groups: Any = ..., include: Include = ..., return_std: bool
) -> Any: ...
def predict(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: Include = "all",
    return_std: bool = False,
) -> Any:
    """Predict the response: fixed effects, and BLUPs of known groups.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        Whose effects to add: those of all grouping factors, of none, or of
        those named, by the keys of `random_effects_`. Grouping columns of
        others need not be in X.
    return_std : bool, default=False
        Whether to return the standard deviation of a new observation of
        weight 1 too, whose groups are new ones of factors that are not included.

    Returns
    -------
    ndarray of shape (n_samples,)
        Expected responses, on the scale of y. Each depends on its own row alone. With
        a residual covariance and ``include="all"``, also on the residuals of the
        subject's rows in the fit; one of these rows is predicted from all others.
    ndarray of shape (n_samples,)
        With `return_std`, standard deviations of y less its prediction, at
        the estimated variances. See `predict_interval` for intervals. NaN where
        the data of `fit` do not determine the fixed part, with a
        `skmixed.exceptions.NotEstimableWarning`, which `predict` alone gives too.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, or a group is unknown and
        ``handle_unknown="error"``.

    See Also
    --------
    predict_interval : Intervals, of observations or of means.
    sample_y : Draws of new responses.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> rows = pd.DataFrame({"Days": [9, 9], "Subject": ["308", "new"]})
    >>> model.predict(rows).round(1)
    array([430.7, 345.6])
    >>> model.predict(rows, include="fixed").round(1)
    array([345.6, 345.6])
    >>> mean, sd = model.predict(rows, return_std=True)
    >>> sd.round(1)
    array([29.1, 67. ])
    """
    check_is_fitted(self)
    validation.check_choice("handle_unknown", self.handle_unknown, validation.UNKNOWN)
    if return_std is not False:
        return _predict_with_std(self, X, groups, include, return_std)
    serving: FittedModel = self._model
    if serving.needs_rows(include):
        return open_rows(self, X, groups, include=include).expected()
    included = validation.check_include(include, serving.encoder)
    table = open_features(self, X, serving.encoder, included)
    metadata = open_prediction_metadata(groups, table.n_rows, serving.encoder, included)
    predicted = linear_predictor(
        serving.encoder,
        serving.solution,
        table,
        metadata,
        included,
        raise_unknown=self.handle_unknown == "error",
    )
    estimable_rows(serving.encoder, serving.solution, table)
    return predicted


@weights_not_labels
def score(
    self: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: Any = None,
) -> float:
    """Return R² of the predictions, as every scikit-learn regressor.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples to predict.
    y : array-like of shape (n_samples,)
        The observed responses.
    sample_weight : array-like of shape (n_samples,), default=None
        The weight of each sample in the score.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    float
        Coefficient of determination, at most 1.

    See Also
    --------
    skmixed.inference.r2 : Shares of the variance that the model estimates.

    Examples
    --------
    Of the last two days, predicted from those before:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> seen, last = X["Days"] < 8, X["Days"] >= 8
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> model = model.fit(X[seen], y[seen])
    >>> round(model.score(X[last], y[last]), 2)
    0.53
    >>> round(model.score(X[last].assign(Subject="unknown"), y[last]), 2)
    -0.01
    """
    return scored(self, X, y, sample_weight, groups=groups)


def scored(estimator: Any, X: Any, y: Any, sample_weight: Any, **asked: Any) -> float:
    """Return R² of what an estimator predicts; `asked` are further arguments of its predict."""
    check_unmasked(y, "y")
    check_unmasked(sample_weight, "sample_weight")
    return float(r2_score(y, estimator.predict(X, **asked), sample_weight=sample_weight))


def _predict_with_std(
    model: Any, X: Any, groups: Any, include: Any, return_std: Any
) -> FloatArray | tuple[FloatArray, FloatArray]:
    """Predict, with the standard deviation of an observation of weight 1."""
    validation.check_flag("return_std", return_std)
    rows = open_rows(model, X, groups, include=include)
    center = rows.expected()
    sd = errors_of(rows, np.ones(rows.n_rows)).sd
    return center, np.where(rows.is_estimable, sd, np.nan)
