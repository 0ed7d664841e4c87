"""Leverages and influence of single rows."""

from dataclasses import replace
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._typing import FloatArray
from skmixed.diagnostics._leverage import row_influence


def leverage(
    model: Any, X: Any, *, sample_weight: ArrayLike | None = None, groups: Any = None
) -> FloatArray:
    """Leverage of each row: how much its fitted value follows its response.

    hᵢ = ∂ŷᵢ/∂yᵢ with the variance parameters held, the diagonal of the hat
    matrix; Var(ŷᵢ − Xβ − Zb) = σ²hᵢ/wᵢ. lme4's ``hatvalues``.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

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
    rows = open_rows(model, X, groups)
    return row_influence(rows, rows.weights(sample_weight), "leverages").leverage


def cooks_distance(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
) -> FloatArray:
    """Cook's distance of each row, as lme4 defines it.

    Dᵢ = wᵢ eᵢ² hᵢ / (σ̂² p (1 − hᵢ)²) with the conditional residual e, the
    leverage h, and p the rank of X.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    ndarray of shape (n_samples,)
        Without unit; 0 for a row of weight 0, NaN where h = 1.

    Raises
    ------
    ValueError
        If the rows do not match the model, weights are missing, or the model was given
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
    does.

    With a residual covariance they are Cook's own, of the fixed effects alone:
    (β̂₍ᵢ₎ − β̂)'X'V⁻¹X(β̂₍ᵢ₎ − β̂)/p, with β̂₍ᵢ₎ of all other rows.

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
    rows = open_rows(model, X, groups)
    found = row_influence(rows, rows.weights(sample_weight), "Cook's distances")
    return found.cooks_distance(_error(rows, y))


def influence(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
) -> pd.DataFrame:
    """Influence of each row: residual, leverage, what leaving it out changes.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

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
        If the rows do not match the model, weights are missing, or the model was given
        rows by `update_groups`.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    cooks_distance : One of its columns.
    skmixed.plotting.InfluenceDisplay : A plot of the largest.

    Notes
    -----
    The changes are exact with the variance parameters held: leaving a row out is
    to give it a mean of its own, eᵢ/(1 − hᵢ) off, so that β̂ moves by
    −(X'V⁻¹X)⁻¹X'V⁻¹εᵢ eᵢ/(1 − hᵢ), εᵢ the unit vector and V = Var(y)/σ² (the
    mean-shift model [1]_). A row of weight 0 changes nothing. Where h = 1 the
    data do not determine the fit without the row, and the result is NaN. Costs what
    `leverage` does. The same holds with a residual covariance, where the mean of its own is
    (Py)ᵢ/Pᵢᵢ off, P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹.

    References
    ----------
    .. [1] Cook, R. D. and Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall, section 2.2.2.

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
    rows = open_rows(model, X, groups)
    found = row_influence(rows, rows.weights(sample_weight), "influences")
    error = _error(rows, y)
    changes = found.changes(error)
    columns = {
        "residual": error,
        "standardized": found.standardized(error),
        "leverage": found.leverage,
        "cooks_distance": found.cooks_distance(error),
    }
    names = rows.fitted.encoder.fixed_names
    columns |= {f"change_{name}": change for name, change in zip(names, changes, strict=True)}
    return pd.DataFrame(columns, index=rows.index)


def _error(rows: GivenRows, y: Any) -> FloatArray:
    """Return y − Xβ̂ − Zb̂; other rows' residuals say nothing of a row's own."""
    return rows.response(y) - replace(rows, is_all=False).expected()
