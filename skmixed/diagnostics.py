"""Residuals, leverages and influence of single rows.

Functions of a fitted model and of rows: a model keeps no rows, so that X and y are
given again. They are meant for the rows of the fit, with the same weights. Of a model
by a formula the frame suffices: it holds the response and the weights that are named.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._equations.row_substitution import RowVariance
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._typing import FloatArray

__all__ = ["cooks_distance", "influence", "leverage", "residuals"]

KINDS = ("conditional", "marginal", "pearson", "standardized", "normalized")
# Below this, 1 − h is rounding: h is a sum of squares of the order of 1, which
# carries some 1e-16 times the condition of the scaled system.
LEAST_REST = 1e-10


def residuals(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    kind: str = "conditional",
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
) -> FloatArray:
    """Residuals of rows, of the fit or others, of several kinds.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.
    X : frame or array-like of shape (n_samples, n_features)
        Rows of the fit, or others with its columns.
    y : array-like of shape (n_samples,), default=None
        Responses. None: what the formula of the model names, in X.
    kind : str, default="conditional"
        ``"conditional"``: e = y − Xβ̂ − Zb̂; ``"marginal"``: y − Xβ̂;
        ``"pearson"``: √w e, as in lme4; ``"standardized"``: √w e / (σ̂ √(1 − h))
        with the leverage h, of variance 1 over rows of the fit; ``"normalized"``:
        L⁻¹√w e, R = LL' the residual covariance of a subject's rows in time.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, needed by the last two kinds if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    ndarray of shape (n_samples,)
        On the scale of y; Pearson residuals times that of √w, standardized ones
        in standard deviations.

    Raises
    ------
    ValueError
        If the rows do not match the model, or `kind` is not known.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    leverage : The leverages that standardized residuals are divided by.
    skmixed.plotting.ResidualsDisplay : A plot of them.

    Notes
    -----
    They are of what the model predicts, after `update_groups` too; standardized ones
    are then an error, as there are no leverages.

    A row of weight 0 was not in the fit; its Pearson and standardized residuals
    are 0. A standardized residual is NaN where h = 1: the row fits itself. Of
    rows that were not in the fit, standardized residuals have no meaning.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import residuals
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> residuals(model, X, y)[:3].round(3)
    array([ -4.104, -14.625, -42.196])
    >>> residuals(model, X, y, "standardized")[:3].round(3)
    array([-0.183, -0.627, -1.764])
    """
    check_choice("kind", kind, KINDS)
    rows = open_rows(model, X, groups, include="fixed" if kind == "marginal" else "all")
    rows = replace(rows, is_all=False)  # other rows' residuals say nothing of a row's own
    if kind == "standardized":
        _check_is_fit(rows, "standardized residuals", "choose another kind, or ")
    error = rows.response(y) - rows.expected()
    if kind in ("conditional", "marginal"):
        return error
    weights = rows.weights(sample_weight)
    error *= np.sqrt(weights)
    if kind == "pearson":
        return error
    if kind == "normalized":
        return _normalized(rows, error)
    rest = _rest(_leverage(rows, weights, _row_variance(rows)))
    return _divide(error, rows.fitted.solution.sigma * np.sqrt(rest))


def _normalized(rows: GivenRows, error: FloatArray) -> FloatArray:
    """Return residuals times the root of their weights as independent ones of variance 1."""
    if not rows.fitted.is_repeated:
        return error / rows.fitted.solution.sigma
    whole = replace(rows, is_all=True)
    return kernel.normalized(rows.fitted.repeated_predictor, whole.new_rows(), error)


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
    _check_is_fit(rows, "leverages")
    return _leverage(rows, rows.weights(sample_weight), _row_variance(rows))


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
    _check_is_fit(rows, "Cook's distances")
    weights, error = rows.weights(sample_weight), rows.response(y) - rows.expected()
    return _cooks_distance(rows, error, weights, _leverage(rows, weights, _row_variance(rows)))


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
    `leverage` does.

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
    _check_is_fit(rows, "influences")
    weights, error = rows.weights(sample_weight), rows.response(y) - rows.expected()
    variance = _row_variance(rows)
    h = _leverage(rows, weights, variance)
    rest, sigma = _rest(h), rows.fitted.solution.sigma
    changes = _changes(rows, variance, weights * error / rest)
    columns = {
        "residual": error,
        "standardized": _divide(np.sqrt(weights) * error, sigma * np.sqrt(rest)),
        "leverage": h,
        "cooks_distance": _cooks_distance(rows, error, weights, h),
    }
    names = rows.fitted.encoder.fixed_names
    columns |= {f"change_{name}": change for name, change in zip(names, changes, strict=True)}
    return pd.DataFrame(columns, index=rows.index)


def _check_is_fit(rows: GivenRows, what: str, instead: str = "") -> None:
    """Refuse a model to which rows were given after its fit."""
    if rows.fitted.before is not None:
        raise ValueError(
            f"The {what} say how a fit follows its own rows, and update_groups has given the model "
            f"rows that are not part of its fit: {instead}fit the model to all rows."
        )


def _row_variance(rows: GivenRows) -> RowVariance:
    return kernel.row_variance(rows.fitted.factorization, rows.design())


def _leverage(rows: GivenRows, weights: FloatArray, variance: RowVariance) -> FloatArray:
    return weights / rows.fitted.factorization.system.weight_unit * variance.total


def _rest(h: FloatArray) -> FloatArray:
    """Return 1 − h, NaN where it is rounding."""
    return np.where(1.0 - h > LEAST_REST, 1.0 - h, np.nan)


def _cooks_distance(
    rows: GivenRows, error: FloatArray, weights: FloatArray, h: FloatArray
) -> FloatArray:
    solution = rows.fitted.solution
    shift = np.sqrt(weights) * error / _rest(h)
    return _divide(np.square(_divide(shift, solution.sigma)) * h, len(solution.kept))


def _divide(values: FloatArray, by: FloatArray | float) -> FloatArray:
    """Divide, NaN by 0: there is nothing to compare with."""
    by = np.asarray(by, dtype=np.float64)
    return values / np.where(by > 0.0, by, np.nan)


def _changes(rows: GivenRows, variance: RowVariance, shift: FloatArray) -> FloatArray:
    """Return β̂ without each row less β̂, in the user's columns: (n_fixed, n).

    `shift` is w e/(1 − h). With a = R_x⁻¹x'', X'V⁻¹ε = w R_x a and so
    (X'V⁻¹X)⁻¹X'V⁻¹ε = w R_x⁻ᵀ a.
    """
    factorization, kept = rows.fitted.factorization, list(rows.fitted.solution.kept)
    changes = kernel.fixed_changes(factorization, rows.fitted.model, variance.at_fixed)
    out = np.zeros((len(rows.fitted.model.fixed), rows.n_rows))
    out[kept] = -changes * (shift / factorization.system.weight_unit)
    return out
