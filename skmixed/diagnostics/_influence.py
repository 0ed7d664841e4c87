"""Leverages and influence of single rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from skmixed._fitted.fitted_model import regressor_of
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._typing import FloatArray
from skmixed.diagnostics._family_rows import check_linear_exposure, open_family_rows
from skmixed.diagnostics._fit_rows import check_is_family_fit, check_is_fit
from skmixed.diagnostics._leverage import Influence, check_has_no_further_rows, row_influence


def leverage(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
) -> FloatArray:
    """Leverage of each row: how much its fitted value follows its response.

    hᵢ = ∂ŷᵢ/∂yᵢ with the variance parameters held, the diagonal of the hat
    matrix; Var(ŷᵢ − Xβ − Zb) = σ²hᵢ/wᵢ. lme4's ``hatvalues``.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        Fitted; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses, of which leverages of generalized models depend. None: what the
        formula of the model names, in X; of a linear model none are needed.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit` of their models.

    Returns
    -------
    ndarray of shape (n_samples,)
        Between 0 and 1; 0 for a row of weight 0. Their sum is the effective
        number of parameters.

    Raises
    ------
    ValueError
        If the rows do not match the model, weights are missing, or the model was given
        rows by `update_groups`.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    residuals : Residuals, standardized by leverages.
    influence : Leverages with what leaving out each row changes.

    Notes
    -----
    Of rows that were not in the fit it is w z'TC⁻¹T'z ([1]_, equations 63 to 65):
    the variance of their fitted value in units of σ²/w,
    without that of unknown levels, and may exceed 1.

    With a residual covariance rows are those of the fit, by subject and time or in their
    order. Then h may be negative: a response can pull its own fitted value away from it.

    Of generalized models it is the leverage of the linear model that Newton's method solves
    at the mode of the effects: h = W z'TC⁻¹T'z with the working weight W, the second
    derivative of −w log p in η. lme4's ``hatvalues`` has the prior weight for the first W.

    After a factorization, O(n·(r + p)) operations with one chain of nested factors
    of r coefficients; crossed factors multiply that by the order of the core.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import leverage
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> leverage(model, X)[:3].round(4)
    array([0.2293, 0.1697, 0.1268])
    """
    if regressor_of(model)._model.is_generalized:
        return _of_family(model, X, y, "leverages", sample_weight, groups, exposure).own.leverage
    check_linear_exposure(exposure)
    rows = open_rows(model, X, groups)
    return row_influence(rows, rows.weights(sample_weight), "leverages").leverage


def cooks_distance(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
) -> FloatArray:
    """Cook's distance of each row, as lme4 defines it.

    Dᵢ = wᵢ eᵢ² hᵢ / (σ̂² p (1 − hᵢ)²) with the conditional residual e, the
    leverage h, and p the rank of X.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        Fitted; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit` of their models.

    Returns
    -------
    ndarray of shape (n_samples,)
        Without unit; 0 for a row of weight 0, NaN where h = 1.

    Raises
    ------
    ValueError
        If the rows are not those of the fit, or weights are missing, or the model was given
        rows by `update_groups`.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    influence : Its parts, and the changes of the fixed effects.
    skmixed.plotting.InfluenceDisplay : A plot of the largest.

    Notes
    -----
    h counts the random effects too, so that it is no measure of the fixed effects
    alone, unlike Cook's own [1]_; for those see `influence`. Costs what `leverage`
    does, and a pass over the rows: they are told to be those of the fit by their sums over all
    rows and over each group, so that all of them are needed. With a residual covariance, of
    which the rows are kept, some will do.

    With a residual covariance they are Cook's own, of the fixed effects alone:
    (β̂₍ᵢ₎ − β̂)'X'V⁻¹X(β̂₍ᵢ₎ − β̂)/p, with β̂₍ᵢ₎ of all other rows.

    Of generalized models e is the working residual and w the working weight, with σ = 1, so
    that w e² is the square of the Pearson residual where the link is canonical.

    References
    ----------
    .. [1] Cook, R. D. (1977). Detection of influential observation in linear
       regression. Technometrics 19, 15–18, doi:10.1080/00401706.1977.10489493.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import cooks_distance
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> cooks_distance(model, X, y)[:3].round(4)
    array([0.005 , 0.0402, 0.2261])
    """
    found = _opened(model, X, y, "Cook's distances", sample_weight, groups, exposure)
    return found.own.cooks_distance(found.error)


def influence(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
) -> pd.DataFrame:
    """Influence of each row: residual, leverage, what leaving it out changes.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        Fitted; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit` of their models.

    Returns
    -------
    DataFrame
        One row for each of X, with its index. Columns ``residual`` (conditional,
        on the scale of y), ``standardized``, ``leverage``, ``cooks_distance``, and
        for each fixed effect ``change_<name>``: the estimate without the row less
        that with it, on the scale of the effect; 0 for columns that were dropped.

    Raises
    ------
    ValueError
        If the rows are not those of the fit, or weights are missing, or the model was given
        rows by `update_groups`.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    cooks_distance : One of its columns.
    group_influence : The same of whole groups.
    skmixed.plotting.InfluenceDisplay : A plot of the largest.

    Notes
    -----
    The changes are exact with the variance parameters held: leaving a row out is
    to give it a mean of its own, eᵢ/(1 − hᵢ) off, so that β̂ moves by
    −(X'V⁻¹X)⁻¹X'V⁻¹εᵢ eᵢ/(1 − hᵢ), εᵢ the unit vector and V = Var(y)/σ² (the
    mean-shift model [1]_). A row of weight 0 changes nothing. Where h = 1 the
    data do not determine the fit without the row, and the result is NaN. Costs, and
    needs, what `cooks_distance` does. The same holds with a residual covariance,
    where the mean of its own is (Py)ᵢ/Pᵢᵢ off, P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹.

    Of generalized models the changes are those of one step: of the linear model that Newton's
    method solves at the mode, with working responses and weights ([2]_), and the variances
    held. A refit differs from them to second order in the change. ``residual`` is y less its
    mean, and ``standardized`` the working residual over its standard deviation.

    References
    ----------
    .. [1] Cook, R. D. and Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall, section 2.2.2.
    .. [2] Pregibon, D. (1981). Logistic regression diagnostics. Ann. Statist. 9, 705–724,
       doi:10.1214/aos/1176345513.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import influence
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> influence(model, X, y).nlargest(2, "cooks_distance").round(3).T
                            59       56
    residual           -98.336  132.547
    standardized        -4.570    5.527
    leverage             0.293    0.122
    cooks_distance       4.332    2.120
    change_(Intercept)  -1.124   -0.152
    change_Days          0.422   -0.152
    """
    found = _opened(model, X, y, "influences", sample_weight, groups, exposure)
    rows, own, error = found.rows, found.own, found.error
    columns = {
        "residual": found.residual,
        "standardized": own.standardized(error),
        "leverage": own.leverage,
        "cooks_distance": own.cooks_distance(error),
    }
    names, changes = rows.fitted.encoder.fixed_names, own.changes(error)
    columns |= {f"change_{name}": change for name, change in zip(names, changes, strict=True)}
    return pd.DataFrame(columns, index=rows.index)


@dataclass(frozen=True)
class _InfluenceOfRows:
    """Rows with what they are to the fit.

    `error` are their residuals in the linear model, or of working responses; `residual` those
    on the scale of y; (n,) each.
    """

    rows: GivenRows
    own: Influence
    error: FloatArray
    residual: FloatArray


def _opened(
    model: Any, X: Any, y: Any, what: str, sample_weight: Any, groups: Any, exposure: Any
) -> _InfluenceOfRows:
    """Open rows of the fit, with their responses."""
    if regressor_of(model)._model.is_generalized:
        return _of_family(model, X, y, what, sample_weight, groups, exposure)
    check_linear_exposure(exposure)
    rows = open_rows(model, X, groups)
    check_has_no_further_rows(rows.fitted, what)
    check_is_fit(rows, y, sample_weight)
    own = row_influence(rows, rows.weights(sample_weight), what)
    # Other rows' residuals say nothing of a row's own
    error = rows.response(y) - replace(rows, is_all=False).expected()
    return _InfluenceOfRows(rows, own, error, error)


def _of_family(
    model: Any, X: Any, y: Any, what: str, sample_weight: Any, groups: Any, exposure: Any
) -> _InfluenceOfRows:
    """Do so of a generalized model."""
    given = {"sample_weight": sample_weight, "groups": groups, "exposure": exposure}
    found = open_family_rows(model, X, y, **given)
    check_has_no_further_rows(found.given.fitted, what)
    if what != "leverages":
        check_is_family_fit(found)
    error, weights = found.working()
    return _InfluenceOfRows(
        found.given, row_influence(found.given, weights, what), error, found.error
    )
