"""Predictions of MixedEffectsRegressor: f̂(X), and what the mixed model adds."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skmixed._data.metadata import weights_not_labels
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._estimators.updating import check_has_rows
from skmixed._fitted import checks as validation
from skmixed._fitted.messages import speaking
from skmixed._fitted.prediction_rows import open_features
from skmixed._typing import FloatArray
from skmixed.compose._checks import TURNS
from skmixed.compose._features import Features
from skmixed.compose._linear_part import linear_columns, slopes_of
from skmixed.compose._out_of_fold import predicted
from skmixed.typing import Include

E = TypeVar("E")


def fixed_part(self: Any, X: Any, include: Any = "all") -> FloatArray:
    """Return f̂(X), with the linear effects, (n,); without the intercept.

    Refuses X that is not that of the fit; grouping columns may lack that are not included.
    """
    encoder = self.mixed_model_._model.encoder
    table = open_features(self, X, encoder, validation.check_include(include, encoder))
    names = getattr(self, "feature_names_in_", None)
    if table.names is None:
        names = None
    elif names is not None:
        names = tuple(names[j] for j in self._positions)
    features = Features(tuple(self._positions), names, self.n_features_in_)
    out = predicted(self.regressor_, features.of(X, table), table.n_rows)
    if "linear_models_" in vars(self):
        at = self._linear if names is None else _places(table.names, self)
        out = out + linear_columns(table, at) @ slopes_of(self.linear_models_)
    return out


def _serving(self: Any) -> MixedLinearRegressor:
    """Return the model of the effects with what the parameters for predictions are now."""
    mixed: MixedLinearRegressor = self.mixed_model_
    own = MixedLinearRegressor.__new__(MixedLinearRegressor)
    own.__dict__.update(vars(mixed), handle_unknown=self.handle_unknown)
    return own


def _places(names: Any, model: Any) -> list[int]:
    return [names.index(model.feature_names_in_[j]) for j in model._linear]


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
    """Predict the response: f(X), and BLUPs of known groups.

    Parameters
    ----------
    X : frame, array-like or sparse matrix of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        Whose effects to add: those of all grouping factors, of none, or of
        those named, by the keys of `random_effects_`.
    return_std : bool, default=False
        Whether to return the standard deviation of a new observation too.

    Returns
    -------
    ndarray of shape (n_samples,)
        Expected responses, on the scale of y; of a group that is not known without
        its effect.
    ndarray of shape (n_samples,)
        With `return_std`, standard deviations of y less its prediction, the error of
        `regressor_` included as far as folds show it.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, or a group is unknown and
        ``handle_unknown="error"``.

    See Also
    --------
    predict_interval : Intervals of observations.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmixed import MixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, y)
    >>> model.predict(X[:2]).round(0)
    array([293., 303.])
    >>> model.predict(X[:2], include="fixed").round(0)
    array([252., 262.])
    """
    check_is_fitted(self)
    fixed, given = fixed_part(self, X, include), {"groups": groups, "include": include}
    if return_std is not False:
        center, sd = _serving(self).predict(X, return_std=return_std, **given)
        return center + fixed, sd
    return _serving(self).predict(X, **given) + fixed


def predict_interval(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    include: Include = "all",
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals of new observations.

    Their width has the variance of the residuals, the error of the regressor as folds
    show it, that of a known group's effect, and the variance between groups for others.
    There are no intervals of means: nothing tells how far f is off at one X.

    Parameters
    ----------
    X : frame, array-like or sparse matrix of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        Share of observations that an interval contains.
    include : "all", "fixed" or list of str, default="all"
        The grouping factors whose effects are known; those of others are new.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    sample_weight : array-like of shape (n_samples,), default=None
        Precision weights of the observations; 1 if None.
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends, on the scale of y.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, or a parameter is not as above.

    See Also
    --------
    MixedLinearRegressor.predict_interval : Of a linear model, of means too.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmixed import MixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, y)
    >>> model.predict_interval(X[:1]).round(-1)
    array([[230., 360.]])
    """
    check_is_fitted(self)
    asked = {"include": include, "groups": groups, "sample_weight": sample_weight}
    fixed = fixed_part(self, X, include)
    asked |= {"level": level, "confidence_level": confidence_level}
    interval = _serving(self).predict_interval(X, **asked)
    return np.asarray(interval + fixed[:, None])


@weights_not_labels
def update_groups(
    self: E,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: Any = None,
) -> E:
    """Learn the effects of new or grown groups, with the model kept.

    As `MixedLinearRegressor.update_groups`, from y less the predictions of `regressor_`,
    which has not seen these rows.

    Parameters
    ----------
    X : frame, array-like or sparse matrix of shape (n_samples, n_features)
        Further rows, none of which the fit has seen, with the columns of `fit`.
    y : array-like of shape (n_samples,)
        The response of each sample.
    sample_weight : array-like of shape (n_samples,), default=None
        Precision weights, in the unit of those of `fit`; None: all 1.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    MixedEffectsRegressor
        The estimator itself. A failure leaves it as it was.

    Raises
    ------
    ValueError
        If the model has no random effects, X does not match that of `fit`,
        there are no rows, or a group, a number or a response is missing.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmixed import MixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> known = X["Subject"] != "372"
    >>> model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X[known], y[known])
    >>> last = X[X["Subject"] == "372"].tail(1)
    >>> before = model.predict(last)
    >>> later = model.update_groups(X[~known][:3], y[~known][:3]).predict(last)
    >>> bool(later > before)
    True
    """
    check_is_fitted(self)
    check_has_rows(X)
    fixed = fixed_part(self, X)
    response = validation.check_response(y, len(fixed), type(self).__name__)
    with speaking(TURNS):
        mixed: MixedLinearRegressor = vars(self)["mixed_model_"]
        mixed.update_groups(X, response - fixed, sample_weight, groups=groups)
    return self
