"""Predictions, with their standard deviations and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmixed._data.metadata import open_prediction_metadata
from skmixed._data.table import check_unmasked
from skmixed._derivatives.criterion import Factor
from skmixed._estimators.weights import weights_not_labels
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import (
    GivenRows,
    estimable_rows,
    linear_predictor,
    open_features,
    open_rows,
)
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF, DegreesOfFreedom
from skmixed._uncertainty.prediction_variance import PredictedRows
from skmixed.inference._fixed_tests import method_of

OF = ("observation", "mean")
DDF_OF_PREDICTIONS = tuple(name for name, method in DDF.items() if method.has_predictions)


def predict(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: str | Sequence[str] = "all",
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


def predict_interval(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    of: str = "observation",
    include: str | Sequence[str] = "all",
    ddf: str | None = None,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
) -> FloatArray:
    """Predict intervals, of new observations or of their means.

    They count the errors of the fixed effects and of the BLUPs jointly, and for a group
    that is unknown or missing the variance between groups, factor by factor. With
    ``include="fixed"`` a mean is that of the population, Xβ.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    of : {"observation", "mean"}, default="observation"
        Whether the interval is to hold a new response, or its expectation
        Xβ + Zb in the row's groups, Z of the included factors.
    include : "all", "fixed" or list of str, default="all"
        Around which prediction, as in `predict`. The mean has no effects of other
        grouping factors; an observation has those of a new group. Grouping
        columns of others need not be in X.
    ddf : {"satterthwaite", "residual", "normal"}, default=None
        Degrees of freedom of t: Satterthwaite's for the whole variance of the
        prediction, n less the rank of X, or infinitely many (the plug-in
        interval, which takes the variances for known). None: Satterthwaite's,
        without groups the residual ones, which are exact then, and infinitely many
        with a warning if the iterative solver fitted the model.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    sample_weight : array-like of shape (n_samples,), default=None
        Precision weights of the observations, 1 if None; no matter for the
        mean.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends, on the scale of y. Each row's depend on that row
        alone. NaN where the data of `fit` do not determine the fixed part, with a
        `skmixed.exceptions.NotEstimableWarning`.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, a parameter is not among its
        choices, a weight is not positive, or a group is unknown and
        ``handle_unknown="error"``.
    TypeError
        If `level` is no number.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    predict : Point predictions; with ``return_std``, a standard deviation.
    sample_y : Draws of responses, jointly for rows of one group.

    Notes
    -----
    The variance of a mean is σ²z'C⁻¹z, from the mixed-model equations C [1]_,
    plus zₖ'Σₖzₖ for each included factor k of unknown level; of an observation,
    plus zₖ'Σₖzₖ for each other factor too, and σ²/w. Its degrees of freedom are
    2φ²/g'Ag, with g the derivatives of this variance φ by the variance parameters
    and A their covariance from the observed information, as for a fixed effect in
    lmerTest, and not below 1.
    Rows given to `update_groups` count for the groups' effects, not for the rest.
    Without groups it is the interval of ordinary least squares, t with n − p degrees of
    freedom (REML).

    With a residual covariance an observation of a known subject is predicted by its
    residuals in the fit, a mean is not; degrees of freedom are the residual ones.

    Costs a few factorizations, and then O(n·(p + s)) operations with one chain of nested
    factors of s coefficients, times the order of the dense core with crossed ones. After
    an iterative fit each row is a solve; Satterthwaite's method factors the dense core.

    References
    ----------
    .. [1] Henderson, C. R. (1975). Best linear unbiased estimation and prediction
       under a selection model. Biometrics 31, 423–447, doi:10.2307/2529430.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> rows = pd.DataFrame({"Days": [5, 5], "Subject": ["308", "new"]})
    >>> model.predict_interval(rows).round(1)
    array([[299. , 405. ],
           [205.1, 402.4]])
    >>> model.predict_interval(rows, of="mean", level=0.9).round(1)
    array([[338.7, 365.3],
           [232.2, 375.3]])

    Of the mean over all subjects, and of an observation of a new one:

    >>> days = pd.DataFrame({"Days": [5]})
    >>> model.predict_interval(days, of="mean", include="fixed").round(1)
    array([[283.5, 324. ]])
    >>> model.predict_interval(days, include="fixed").round(1)
    array([[205.1, 402.4]])
    """
    check_is_fitted(self)
    level = validation.check_level(level)
    validation.check_choice("of", of, OF)
    validation.check_choice("handle_unknown", self.handle_unknown, validation.UNKNOWN)
    rows = open_rows(self, X, groups, include=include)
    weights = None
    if of == "observation":
        weights = validation.check_positive_weights(sample_weight, rows.n_rows)
    if of == "mean" and rows.is_conditional:
        rows = replace(rows, is_all=False)
    center = rows.expected()
    choices = DDF_OF_PREDICTIONS
    if rows.fitted.is_repeated:
        choices, ddf = ("residual", "normal"), ddf or "residual"
        if ddf not in choices:
            why = "is no method for predictions by a model with a residual covariance"
            raise ValueError(f"ddf={ddf!r} {why}. Choose 'residual' or 'normal'.")
    method = method_of(rows.fitted, ddf, choices)
    errors = _errors_of(rows, weights, needs_factor=method.sample is not None)
    quantile, sd = distributions.t.ppf(0.5 + level / 2, errors.df(method)), errors.sd
    half = np.multiply(quantile, sd, out=np.zeros(len(sd)), where=sd > 0)
    half = np.where(rows.is_estimable, half, np.nan)
    return np.column_stack([center - half, center + half])


def _predict_with_std(
    model: Any, X: Any, groups: Any, include: Any, return_std: Any
) -> FloatArray | tuple[FloatArray, FloatArray]:
    """Predict, with the standard deviation of an observation of weight 1."""
    validation.check_flag("return_std", return_std)
    rows = open_rows(model, X, groups, include=include)
    center = rows.expected()
    sd = _errors_of(rows, np.ones(rows.n_rows)).sd
    return center, np.where(rows.is_estimable, sd, np.nan)


def _errors_of(
    given: GivenRows, weights: FloatArray | None, *, needs_factor: bool = False
) -> "_Errors | _RepeatedErrors":
    """Return those of observations of the weights, or without them of means.

    An observation has effects of new levels of the factors that are not included.
    """
    view, is_new = given.fitted, weights is not None
    if view.is_repeated:
        return _RepeatedErrors.of(given, weights)
    if view.is_iterative and not needs_factor:
        at: Factor = view.solved
        rows = given.predicted(at.system, others_are_new=is_new)
        relative = kernel.solved_mean_variance(view.solved, rows)
    else:
        at, rows = view.factorization, given.predicted(others_are_new=is_new)
        relative = kernel.mean_variance(at, rows)
    if weights is not None:
        relative += at.system.weight_unit / weights
    return _Errors(view, rows, at, relative)


@dataclass(frozen=True)
class _RepeatedErrors:
    """Standard deviations, (n,), by a model with a residual covariance, and n − p."""

    sd: FloatArray
    residual_df: float

    @staticmethod
    def of(given: GivenRows, weights: FloatArray | None) -> "_RepeatedErrors":
        if weights is not None and (weights != 1.0).any():
            raise ValueError(
                "sample_weight: intervals with a residual covariance are of rows of weight 1."
            )
        view = given.fitted
        rows = given.new_rows(has_columns=True, has_labels=weights is not None)
        variance = kernel.repeated_variance(
            view.repeated_predictor, rows, of_observation=weights is not None
        )
        return _RepeatedErrors(
            np.sqrt(variance), float(view.at_fit.n_rows - len(view.solution.kept))
        )

    def df(self, method: DegreesOfFreedom) -> float:
        assert method.of_residual is not None
        return method.of_residual(self.residual_df)


@dataclass(frozen=True)
class _Errors:
    """Errors of predicted rows: variances, (n,), relative to the σ² of the factor `at`.

    The core of `at` is factored, or solved for; `rows` have its layout.
    """

    view: FittedModel
    rows: PredictedRows
    at: Factor
    relative: FloatArray

    @property
    def sd(self) -> FloatArray:
        return np.sqrt(self.view.sigma_squared * self.relative)

    def df(self, method: DegreesOfFreedom) -> Any:
        if method.of_residual is not None:
            return method.of_residual(self.view.at_fit.n_rows - len(self.view.solution.kept))
        fit, system = self.view.at_fit.relative, self.view.factorization.system
        is_updated = self.view.before is not None
        return kernel.prediction_df(fit, system, self.rows, self.relative, is_updated=is_updated)
