"""Residuals of rows, of several kinds."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._typing import FloatArray
from skmixed.diagnostics._leverage import row_influence

KINDS = ("conditional", "marginal", "pearson", "standardized", "normalized")


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

    With a residual covariance R standardized ones are divided by the exact standard
    deviation of e, the root of a diagonal entry of RPR, which is σ²(1 − h)/w of
    independent residuals.

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
    error = rows.response(y) - rows.expected()
    if kind in ("conditional", "marginal"):
        return error
    weights = rows.weights(sample_weight)
    if kind == "standardized":
        what, instead = "standardized residuals", "choose another kind, or "
        return row_influence(rows, weights, what, instead).standardized(error)
    error *= np.sqrt(weights)
    return error if kind == "pearson" else _normalized(rows, error)


def _normalized(rows: GivenRows, error: FloatArray) -> FloatArray:
    """Return residuals times the root of their weights as independent ones of variance 1."""
    if not rows.fitted.is_repeated:
        return error / rows.fitted.solution.sigma
    whole = replace(rows, is_all=True)
    return kernel.normalized(rows.fitted.repeated_predictor, whole.new_rows(), error)
