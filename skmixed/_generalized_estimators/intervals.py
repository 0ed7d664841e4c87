"""Intervals of means and of new responses, and standard deviations of these."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.intervals import level_of
from skmixed._estimators.predicting import OF
from skmixed._fitted import checks as validation
from skmixed._fitted.messages import speaking
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._generalized_estimators.predicting import trials_of
from skmixed._generalized_estimators.predictive import NewResponses
from skmixed._generalized_estimators.reading import (
    check_exposure_given,
    generalized_words,
    log_exposure,
)
from skmixed._typing import FloatArray
from skmixed.typing import Include, IntervalOf

OBSERVATION, MEAN = OF


@dataclass(frozen=True)
class IntervalSettings:
    """What an interval is to hold, how surely, and whose effects count."""

    level: Any
    of: str
    include: Any


def predict_interval(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    of: IntervalOf = "observation",
    include: Include = "all",
    groups: Any = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals, of new observations or of their means.

    They are made of a normal distribution of the linear predictor η, which counts the
    errors of all parameters, of the known groups' effects given the data, and the
    variance of unknown groups.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    of : {"observation", "mean"}, default="observation"
        Whether the interval is to hold a new response, or its expectation
        g⁻¹(Xβ + Zb) in the row's groups, Z of the included factors.
    include : "all", "fixed" or list of str, default="all"
        Around which prediction, as in `predict`. The mean has no effects of other
        grouping factors; an observation has those of a new group. Grouping columns of
        others need not be in X.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends, on the scale of y. Each row's depend on that row alone. NaN
        where the data of `fit` do not determine the fixed part, with a
        `skmixed.exceptions.NotEstimableWarning`.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, a parameter is not among its choices, the rows
        of the fit are not held, or a group is unknown and ``handle_unknown="error"``.
    TypeError
        If `level` is no number.

    See Also
    --------
    predict : Point predictions; with ``return_std``, a standard deviation.
    sample_y : Draws of responses, jointly for rows of one group.

    Notes
    -----
    Var(η) = z'Tz + j'Vj for known groups, T the covariance of their effects given the
    data and the parameters, V the covariance of all parameters (fixed effects, variances
    and shape) by the exact Hessian, and j the derivative of η̂, by the modes of the
    effects too: the standard error of glmmTMB's ``predict(type="link", se.fit=TRUE)``
    [1]_. Each included factor k of an unknown level adds z'Σₖz. Ends of a mean are
    g⁻¹(η̂ ± c √Var(η)), c a normal quantile. Those of an observation are quantiles of the
    family's distribution, at the estimated shape, averaged over this normal distribution;
    of counts whole numbers between which the share of the distribution is `level` or
    more. `predict` of an unknown group is the mean over its effect, and lies off the
    middle of the interval.

    References
    ----------
    .. [1] Kristensen, K., Nielsen, A., Berg, C. W., Skaug, H. and Bell, B. M. (2016). TMB:
       automatic differentiation and Laplace approximation. J. Stat. Softw. 70(5), 1–21,
       doi:10.18637/jss.v070.i05.

    Examples
    --------
    >>> from skmixed import MixedGammaRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedGammaRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> rows = X[:1].assign(Days=5)
    >>> model.predict_interval(rows).round()
    array([[291., 406.]])
    >>> model.predict_interval(rows, of="mean").round()
    array([[329., 364.]])
    """
    return interval(
        self, X, IntervalSettings(level_of(level, confidence_level), of, include), groups=groups
    )


def predict_interval_of_counts(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    of: IntervalOf = "observation",
    include: Include = "all",
    exposure: ArrayLike | None = None,
    groups: Any = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals, of new counts or of their means.

    As `MixedGammaRegressor.predict_interval`, with an exposure.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    of : {"observation", "mean"}, default="observation"
        Whether the interval is to hold a new count, or its expectation.
    include : "all", "fixed" or list of str, default="all"
        Around which prediction, as in `predict`.
    exposure : array-like of shape (n_samples,), default=None
        The exposure of each sample; 1 if None, which gives intervals of rates. Of
        counts it is needed if the fit had one.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends; those of counts are whole numbers.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, a parameter is not among its choices, the rows
        of the fit are not held, or a group is unknown and ``handle_unknown="error"``.

    Examples
    --------
    >>> from skmixed import MixedPoissonRegressor
    >>> X, y = [[1], [1], [1], [2], [2], [2], [3], [3]], [9, 12, 8, 2, 3, 1, 4, 5]
    >>> model = MixedPoissonRegressor(0).fit(X, y)
    >>> model.predict_interval([[1], [2]])
    array([[ 3., 17.],
           [ 0.,  7.]])
    >>> model.predict_interval([[1], [2]], of="mean").round(1)
    array([[ 6.1, 13.2],
           [ 1.2,  5.3]])
    """
    check_is_fitted(self)
    if of == OBSERVATION:
        check_exposure_given(self._model, exposure)
    settings = IntervalSettings(level_of(level, confidence_level), of, include)
    return interval(self, X, settings, groups=groups, offset=lambda n: log_exposure(exposure, n))


def predict_interval_of_proportions(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    of: IntervalOf = "observation",
    include: Include = "all",
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals, of new proportions or of their means.

    As `MixedGammaRegressor.predict_interval`, with numbers of trials.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    of : {"observation", "mean"}, default="observation"
        Whether the interval is to hold a new proportion, or its expectation, the
        probability.
    include : "all", "fixed" or list of str, default="all"
        Around which prediction, as in `predict`.
    sample_weight : array-like of shape (n_samples,), default=None
        The number of trials of each observation, which it cannot do without; no matter
        for the mean.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends; those of observations are whole numbers of trials,
        divided by all.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, a parameter is not among its choices, there are
        no numbers of trials, the rows of the fit are not held, or a group is unknown and
        ``handle_unknown="error"``.

    Examples
    --------
    >>> from skmixed import MixedBinomialRegressor
    >>> X, y = [[1], [1], [2], [2], [3], [3]], [0.9, 0.8, 0.3, 0.1, 0.5, 0.6]
    >>> model = MixedBinomialRegressor(0).fit(X, y, sample_weight=[10] * 6)
    >>> model.predict_interval([[1], [2]], sample_weight=[20, 20])
    array([[0.5 , 1.  ],
           [0.05, 0.55]])
    >>> model.predict_interval([[1], [2]], of="mean").round(2)
    array([[0.57, 0.93],
           [0.1 , 0.48]])
    """
    settings = IntervalSettings(level_of(level, confidence_level), of, include)
    return interval(self, X, settings, groups=groups, trials=sample_weight)


def predict_interval_of_probabilities(
    self: Any,
    X: Any,
    *,
    level: float = 0.95,
    of: IntervalOf = "mean",
    include: Include = "all",
    groups: Any = None,
    confidence_level: float | None = None,
) -> FloatArray:
    """Predict intervals of the probability of the second class.

    As `MixedGammaRegressor.predict_interval` of a mean.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    level : float, default=0.95
        The confidence level of the intervals.
    of : {"mean"}, default="mean"
        A class has no interval, its probability has one.
    include : "all", "fixed" or list of str, default="all"
        Around which prediction, as in `predict_proba`.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    confidence_level : float, default=None
        Another name of `level`, that of the package MAPIE.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Lower and upper ends of the probability of ``classes_[1]``.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, a parameter is not among its choices, the rows
        of the fit are not held, or a group is unknown and ``handle_unknown="error"``.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> from skmixed.datasets import load_toenail
    >>> X, y = load_toenail(return_X_y=True)
    >>> model = MixedLogisticClassifier("patient").fit(X, y)
    >>> model.predict_interval(X[:1]).round(2)
    array([[0.52, 0.98]])
    """
    check_is_fitted(self)
    validation.check_choice("of", of, OF)
    check_no_class(of)
    return interval(
        self, X, IntervalSettings(level_of(level, confidence_level), of, include), groups=groups
    )


def check_no_class(of: str) -> None:
    """Refuse the interval of a class."""
    if of == OBSERVATION:
        raise ValueError(
            "of='observation' is there for numbers, and a class is none. Use of='mean', the "
            "interval of the probability of the second class."
        )


def interval(
    estimator: Any,
    X: Any,
    settings: IntervalSettings,
    *,
    groups: Any = None,
    offset: Callable[[int], FloatArray] | None = None,
    trials: Any = None,
) -> FloatArray:
    """Return lower and upper ends, (n, 2); `offset` as in `sampled`."""
    check_is_fitted(estimator)
    level = validation.check_level(settings.level)
    validation.check_choice("of", settings.of, OF)
    is_new = settings.of == OBSERVATION
    if is_new and estimator._has_trials and trials is None:
        raise ValueError(
            "An interval of an observation needs the number of trials of each row. Give it as "
            "sample_weight, or use of='mean', the interval of the probability."
        )
    rows = _opened(estimator, X, groups, settings.include)
    counts = trials_of(estimator, trials, rows.n_rows)
    given = np.zeros(rows.n_rows) if offset is None else offset(rows.n_rows)
    found = NewResponses.of(rows, given, counts, is_new=is_new)
    tails = 0.5 - level / 2.0, 0.5 + level / 2.0
    if is_new:
        ends = [found.quantile(p) for p in tails]
    else:
        sd = np.sqrt(found.variance)
        ends = [found.family.mean(found.eta + special.ndtri(p) * sd) for p in tails]
    return np.where(rows.is_estimable[:, None], np.column_stack(ends), np.nan)


def standard_deviations(
    estimator: Any,
    X: Any,
    groups: Any,
    include: Any,
    offset: Callable[[int], FloatArray] | None = None,
) -> FloatArray:
    """Return those of new observations, of one trial, (n,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the prediction has told
        rows = _opened(estimator, X, groups, include)
    given = np.zeros(rows.n_rows) if offset is None else offset(rows.n_rows)
    found = NewResponses.of(rows, given, np.ones(rows.n_rows), is_new=True)
    return np.where(rows.is_estimable, found.sd(), np.nan)


def _opened(estimator: Any, X: Any, groups: Any, include: Any) -> GivenRows:
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    with speaking(generalized_words()):
        return open_rows(estimator, X, groups, include=include, has_family=True)
