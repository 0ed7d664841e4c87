"""Residuals of rows, of several kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import regressor_of
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._fitted.runtime import seed_sequence
from skmixed._typing import FloatArray
from skmixed.diagnostics._family_rows import FamilyRows, check_linear_exposure, open_family_rows
from skmixed.diagnostics._fit_rows import check_is_fit
from skmixed.diagnostics._leverage import check_has_no_further_rows, row_influence
from skmixed.typing import ResidualKind

# What to do where rows are not those of the fit.
OF_THE_FIT = (
    "Standardized residuals are of all rows that the model was fitted to, with their weights. "
    "Choose another kind for other rows."
)
KINDS = ("conditional", "marginal", "pearson", "standardized", "normalized")
FAMILY_KINDS = ("deviance", "pearson", "response", "quantile")


def residuals(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    kind: ResidualKind | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
    random_state: Any = 0,
) -> FloatArray:
    """Residuals of rows, of the fit or others, of several kinds.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        Fitted; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        Rows of the fit, or others with its columns.
    y : array-like of shape (n_samples,), default=None
        Responses. None: what the formula of the model names, in X.
    kind : str, default=None
        ``"conditional"``, the usual one of linear models: e = y − Xβ̂ − Zb̂; ``"marginal"``: y − Xβ̂;
        ``"pearson"``: √w e, as in lme4; ``"standardized"``: √w e / (σ̂ √(1 − h))
        with the leverage h, of variance 1 over the rows of the fit, all of which are needed;
        ``"normalized"``: L⁻¹√w e, R = LL' the residual covariance of a subject's rows in time.

        Of generalized models, with e = y − μ at the modes of the effects:
        ``"deviance"``, the usual one: sign(e)√d, d the row's part of the deviance, twice
        what its log-likelihood lacks to that at μ = y; ``"pearson"``: √w e/√V(μ);
        ``"response"``: e; ``"quantile"``: Φ⁻¹(u) with u uniform between P(Y < y) and
        P(Y ≤ y), which are normal if the model holds, also of two classes [1]_.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, needed by the last two kinds if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit` of their models.
    random_state : int, RandomState, Generator or None, default=0
        Of quantile residuals.

    Returns
    -------
    ndarray of shape (n_samples,)
        On the scale of y; Pearson residuals times that of √w, standardized ones
        in standard deviations. Of generalized models all but "response" are without
        unit. Those of two classes are of the second one's indicator.

    Raises
    ------
    ValueError
        If the rows do not match the model, standardized ones are asked of rows that are not
        those of the fit, or `kind` is not known.
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
    rows that were not in the fit, standardized residuals have no meaning: these are refused, by
    the sums over all rows and over each group. All other kinds are of any rows.

    With a residual covariance R standardized ones are divided by the exact standard
    deviation of e, the root of a diagonal entry of RPR, which is σ²(1 − h)/w of
    independent residuals.

    Of generalized models V(μ) is the whole variance of a response, with its shape, so that
    the squares of Pearson residuals are 1 on average, and deviances are scaled by the shape;
    R leaves the shape of gamma's responses out of both. An effect of a group that the fit does
    not know is 0.

    References
    ----------
    .. [1] Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. J. Comput.
       Graph. Stat. 5, 236–244, doi:10.1080/10618600.1996.10474708.

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
    if regressor_of(model)._model.is_generalized:
        kind = "deviance" if kind is None else kind
        check_choice("kind", kind, FAMILY_KINDS)
        given = open_family_rows(
            model,
            X,
            y,
            sample_weight=sample_weight,
            groups=groups,
            exposure=exposure,
            needs_weights=kind != "response",
        )
        return _of_family(given, kind, random_state)
    kind = "conditional" if kind is None else kind
    check_choice("kind", kind, KINDS)
    check_linear_exposure(exposure)
    rows = open_rows(model, X, groups, include="fixed" if kind == "marginal" else "all")
    rows = replace(rows, is_all=False)  # other rows' residuals say nothing of a row's own
    error = rows.response(y) - rows.expected()
    if kind in ("conditional", "marginal"):
        return error
    weights = rows.weights(sample_weight)
    if kind == "standardized":
        what, instead = "standardized residuals", "choose another kind, or "
        check_has_no_further_rows(rows.fitted, what, instead)
        check_is_fit(rows, y, sample_weight, OF_THE_FIT)
        return row_influence(rows, weights, what, instead).standardized(error)
    error *= np.sqrt(weights)
    return error if kind == "pearson" else _normalized(rows, error)


def _of_family(rows: FamilyRows, kind: str, random_state: Any) -> FloatArray:
    if kind == "response":
        return rows.error
    if kind == "pearson":
        return rows.pearson_residuals()
    if kind == "deviance":
        return rows.deviance_residuals()
    return rows.quantile_residuals(np.random.default_rng(seed_sequence(random_state)))


def _normalized(rows: GivenRows, error: FloatArray) -> FloatArray:
    """Return residuals times the root of their weights as independent ones of variance 1."""
    if not rows.fitted.is_repeated:
        return error / rows.fitted.solution.sigma
    whole = replace(rows, is_all=True)
    return kernel.normalized(rows.fitted.repeated_predictor, whole.new_rows(), error)
