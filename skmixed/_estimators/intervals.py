"""Intervals of predictions: by the model's variances, or by residuals of rows out of fold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions
from sklearn.utils.validation import check_is_fitted

from skmixed._data.metadata import open_prediction_metadata
from skmixed._derivatives.criterion import Factor
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import GivenRows, estimable_rows, open_features, open_rows
from skmixed._folds.calibration import Calibration, PlainRows
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF, DegreesOfFreedom
from skmixed._uncertainty.prediction_variance import PredictedRows
from skmixed.exceptions import InfiniteIntervalsWarning, warn
from skmixed.inference._fixed_tests import method_of
from skmixed.typing import DdfOfPredictions, Include, IntervalMethod, IntervalOf

OF = ("observation", "mean")
METHODS = ("model", "conformal")
LEVEL = 0.95
DDF_OF_PREDICTIONS = tuple(name for name, method in DDF.items() if method.has_predictions)


def predict_interval(
    self: Any,
    X: Any,
    *,
    level: float = LEVEL,
    method: IntervalMethod = "model",
    of: IntervalOf = "observation",
    include: Include = "all",
    ddf: DdfOfPredictions | None = None,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals, of new observations or of their means.

    By the model, they count the errors of the fixed effects and of the BLUPs jointly, and for
    a group that is unknown or missing the variance between groups, factor by factor. With
    ``include="fixed"`` a mean is that of the population, Xβ.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    method : {"model", "conformal"}, default="model"
        By the variances of the model, whose effects and residuals are normal, or by how
        far rows were off that a fit had not seen, for a model that
        `skmixed.model_selection.fit_conformalize` has fitted: for any distribution.
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
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

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
        ``handle_unknown="error"``. With ``method="conformal"``, if the model is not calibrated
        for rows of this kind.
    TypeError
        If `level` is no number.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.
    skmixed.exceptions.InfiniteIntervalsWarning
        If ``method="conformal"`` has too few groups for the level.

    See Also
    --------
    skmixed.model_selection.fit_conformalize : Fits and calibrates for ``method="conformal"``.
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
    level = level_of(level, confidence_level)
    validation.check_choice("method", method, METHODS)
    validation.check_choice("of", of, OF)
    validation.check_choice("handle_unknown", self.handle_unknown, validation.UNKNOWN)
    if method == "conformal":
        _check_conformal(of, ddf)
        return _by_calibration(_calibrated_rows(self, X, groups, include), sample_weight, level)
    rows = open_rows(self, X, groups, include=include)
    weights = None
    if of == "observation":
        weights = validation.check_positive_weights(sample_weight, rows.n_rows)
    return _by_model(rows, weights, level, ddf)


def level_of(level: Any, confidence_level: Any) -> float:
    """Return the level by either of its names."""
    if confidence_level is None:
        return validation.check_level(level)
    if level not in (LEVEL, confidence_level):
        raise ValueError(
            f"level={level!r} and confidence_level={confidence_level!r} are two names of one "
            "thing. Give one of them."
        )
    return validation.check_level(confidence_level, "confidence_level")


def _by_model(rows: GivenRows, weights: FloatArray | None, level: float, ddf: Any) -> FloatArray:
    """Return intervals by the model's variances, of observations or without weights of means."""
    if weights is None and rows.is_conditional:
        rows = replace(rows, is_all=False)
    center = rows.expected()
    choices = DDF_OF_PREDICTIONS
    if rows.fitted.is_repeated:
        choices, ddf = ("residual", "normal"), ddf or "residual"
        if ddf not in choices:
            why = "is no method for predictions by a model with a residual covariance"
            raise ValueError(f"ddf={ddf!r} {why}. Choose 'residual' or 'normal'.")
    method = method_of(rows.fitted, ddf, choices)
    errors = errors_of(rows, weights, needs_factor=method.sample is not None)
    quantile, sd = distributions.t.ppf(0.5 + level / 2, errors.df(method)), errors.sd
    half = np.multiply(quantile, sd, out=np.zeros(len(sd)), where=sd > 0)
    half = np.where(rows.is_estimable, half, np.nan)
    return np.column_stack([center - half, center + half])


def _check_conformal(of: str, ddf: Any) -> None:
    """Refuse what asks for the model's variances."""
    if of == "mean":
        raise ValueError(
            "of='mean', but method='conformal' has intervals of observations, since means are not "
            "observed. Use method='model'."
        )
    if ddf is not None:
        raise ValueError(f"ddf={ddf!r}, but method='conformal' needs none. Leave `ddf` out.")


def _calibrated_rows(estimator: Any, X: Any, groups: Any, include: Any) -> GivenRows:
    """Open X as the fit knows it, also where that is a slim copy."""
    view = estimator._model.at_fit
    if not view.calibrations:
        raise ValueError(
            "method='conformal' needs residuals of rows that a fit has not seen, and the model "
            "keeps none. Fit it by skmixed.model_selection.fit_conformalize(model, X, y)."
        )
    included = validation.check_include(include, view.encoder)
    table = open_features(estimator, X, view.encoder, included)
    metadata = open_prediction_metadata(groups, table.n_rows, view.encoder, included)
    return GivenRows(
        view,
        table,
        metadata,
        included,
        index=pd.RangeIndex(table.n_rows),
        raise_unknown=estimator.handle_unknown == "error",
        is_estimable=estimable_rows(view.encoder, view.solution, table),
    )


def _by_calibration(given: GivenRows, sample_weight: Any, level: float) -> FloatArray:
    """Return intervals by scores of rows out of fold, each row by those of its kind."""
    view = given.fitted
    weights = validation.check_positive_weights(sample_weight, given.n_rows)
    rows = plain_rows(given, weights)
    is_new = np.stack([np.zeros(given.n_rows, bool), *(own < 0 for own in rows.codes)])[1:]
    out, left = np.full((given.n_rows, 2), np.nan), np.ones(given.n_rows, dtype=bool)
    for own in view.calibrations:
        chosen = np.flatnonzero((is_new == np.array(own.new, dtype=bool)[:, None]).all(axis=0))
        left[chosen] = False
        out[chosen] = kernel.conformal_interval(own, view.model, rows.picked(chosen), level)
        if len(chosen) and not own.is_finite_at(level):
            _warn_infinite(own, level)
    if left.any():
        raise _uncalibrated(view, is_new, int(np.argmax(left)))
    return np.where(given.is_estimable[:, None], out, np.nan)


def _warn_infinite(own: Calibration, level: float) -> None:
    """Say how many groups, or rows, it takes for finite intervals."""
    n, units = own.n_units, "groups" if any(own.new) else "rows"
    warn(
        f"Conformal intervals at level={level:g} are infinite: there are too few {units}. It takes "
        f"{own.n_needed(level)} of them, and the model was calibrated by {n}, with which the level "
        f"is at most {n}/{n + 1}. Lower the level.",
        InfiniteIntervalsWarning,
    )


def plain_rows(given: GivenRows, weights: FloatArray) -> PlainRows:
    """Return rows as fits without folds predict them, with their weights."""
    encoder = given.fitted.encoder
    codes = tuple(given.codes(k) for k in range(len(encoder.factors)))
    return PlainRows((np.ones(given.n_rows), *encoder.numeric_columns(given.table)), codes, weights)


def _uncalibrated(view: FittedModel, is_new: NDArray[np.bool_], row: int) -> ValueError:
    """Return the error to raise of a row of a kind that was not calibrated for."""
    kinds = [
        f"{'a new' if new else 'a known'} group of {factor.name!r}"
        for factor, new in zip(view.encoder.factors, is_new[:, row], strict=True)
    ]
    return ValueError(
        f"Row {row} has {' and '.join(kinds) or 'no group'}, and the model is not calibrated for "
        "such rows. Calibrate it by skmixed.model_selection.fit_conformalize, whose `question` "
        "and `groups` say for which."
    )


def errors_of(
    given: GivenRows, weights: FloatArray | None, *, needs_factor: bool = False
) -> _Errors | _RepeatedErrors:
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
    def of(given: GivenRows, weights: FloatArray | None) -> _RepeatedErrors:
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
