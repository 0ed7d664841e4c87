"""Influence of whole groups of linear models: what leaving one out changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._data.encoder import Encoder
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import regressor_of
from skmixed._fitted.prediction_rows import open_rows
from skmixed._fitted.results import RESIDUAL, covariance_of
from skmixed._model.covariance import has_covariances
from skmixed._typing import FloatArray, IntArray
from skmixed.diagnostics._fit_rows import FitRows
from skmixed.diagnostics._left_out import WAYS, LeftOut, left_out
from skmixed.diagnostics._leverage import check_has_no_further_rows
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import RefitOrFixed, Theta

# What a table says of the variances without a group, by `theta`, and with σ held.
REMARKS = {
    "refit": "The model is fitted without each level.",
    "fixed": "The relative variances are those of all rows.",
    "one_step": "The relative variances take one step of the search from those of all rows.",
}
HELD = "The variances are those of all rows."
SIGMAS = ("refit", "fixed")


def group_influence(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    groups: Any = None,
    factor: str | None = None,
    sample_weight: ArrayLike | None = None,
    theta: Theta = "refit",
    sigma: RefitOrFixed = "refit",
) -> ResultTable:
    """Influence of each group: what leaving out all of its rows changes.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted, with independent residuals; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    factor : str, default=None
        The grouping factor of the model whose levels are left out, one at a time. None: the
        only one.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    theta : {"refit", "fixed", "one_step"}, default="refit"
        How the relative variances θ are estimated without a group: by a fit; not at all, so that
        they stay those of all rows; or by one step of the search from those of all rows.
    sigma : {"refit", "fixed"}, default="refit"
        Whether σ is estimated anew as well, or held at that of all rows; it can be held with
        ``theta="fixed"`` alone. The fixed effects are always new.

    Returns
    -------
    ResultTable
        One row for each group, by its label. With β̂ and σ̂ of all rows, β̂₍₋ⱼ₎ and σ̂₍₋ⱼ₎ of those
        of the other groups, p the rank of X and d = β̂ − β̂₍₋ⱼ₎, columns

        n_rows
            Rows of the group in the fit.
        cooks_distance
            d' Cov(β̂)⁻¹ d / p.
        mdffits
            d' Cov(β̂₍₋ⱼ₎)⁻¹ d / p. influence.ME calls this one Cook's distance.
        covratio
            det Cov(β̂₍₋ⱼ₎) / det Cov(β̂): above 1 where the group makes β̂ more precise.
        covtrace
            abs(tr(Cov(β̂)⁻¹ Cov(β̂₍₋ⱼ₎)) − p).
        change_<name>
            For each fixed effect: the estimate without the group less that with it, −d, on the
            scale of the effect; 0 for columns that were dropped.
        dfbetas_<name>
            d over the standard error of β̂₍₋ⱼ₎: of the other sign.
        variance_change_<name> | <factor>, variance_change_residual
            Of each variance, and of σ²: that without the group over that with it, less 1
            (the relative variance change). NaN of a variance of 0. With ``theta="fixed"`` all
            change as σ² does. Not with ``sigma="fixed"``.
        correlation_change_<name>, <name> | <factor>
            Of each correlation: that without the group less that with it. NaN beside a variance
            of 0. Not with ``sigma="fixed"``.

        Where a group alone determines a fixed effect, all but the changes of variances is NaN.

    Raises
    ------
    ValueError
        If the rows are not those of the fit, the factor is not one of the model, no group
        can be left out, the residuals have a covariance, or σ is held beside a θ that is not.
    TypeError
        If `model` is no regressor of this package.

    Warns
    -----
    UserWarning
        If some groups cannot be left out, such as where one group is left; their results are
        NaN. What fits without a group warn of is said once, with their number.

    See Also
    --------
    influence : The same of single rows.
    subject_influence : Of subjects whose residuals are correlated.
    skmixed.plotting.InfluenceDisplay.from_groups : A plot of the largest.

    Notes
    -----
    The measures of the fixed effects are those of HLMdiag ([1]_, section 4) by these names, and
    the DFBETAS those of influence.ME ([2]_), which fits anew. HLMdiag's functions of a fitted
    model, such as ``mdffits(model, level="Subject")``, hold all variances, which is
    ``theta="fixed", sigma="fixed"``; those of its ``case_delete`` are the default here. Common
    bounds are 4/J for Cook's distance and 2/√J for DFBETAS, with J groups ([2]_).

    "fixed" is what it is in `skmixed.model_selection.cross_validate`. "one_step" takes the step
    of a fit that is made of the gradient and the average information ([3]_); its errors are of
    second order in what the group changes.

    The rows are read once, to sums over the rows of each group. Of more than 60 groups, in a
    model with one grouping factor, all are left out together as in `cross_validate`, in time
    that is linear in their number: what all rows have is taken as a polynomial in θ around
    their optimum, checked against exact values, and θ is found to ten digits where a fit has
    eight. Groups that move θ far, or alone tell columns apart, are left out one by one, and so
    are all groups where a variance of all rows is 0 or a correlation ±1, of structures that
    are no linear spaces of matrices, of nested and crossed factors, and of up to 60 groups.
    Each of those costs a fit (or, held or by one step, a factorization or two), from sums that
    are added up and are no differences: in all the square of the number of groups, or more
    with crossed factors.

    References
    ----------
    .. [1] Loy, A. and Hofmann, H. (2014). HLMdiag: a suite of diagnostics for hierarchical linear
       models in R. J. Stat. Softw. 56(5), 1–28, doi:10.18637/jss.v056.i05.
    .. [2] Nieuwenhuis, R., te Grotenhuis, M. and Pelzer, B. (2012). influence.ME: tools for
       detecting influential data in mixed effects models. R Journal 4(2), 38–47,
       doi:10.32614/RJ-2012-011.
    .. [3] Gilmour, A. R., Thompson, R. and Cullis, B. R. (1995). Average information REML: an
       efficient algorithm for variance parameter estimation in linear mixed models.
       Biometrics 51, 1440–1450, doi:10.2307/2533274.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import group_influence
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> group_influence(model, X, y).nlargest(2, "cooks_distance").round(3).T
    Subject                                            309     335
    n_rows                                          10.000  10.000
    cooks_distance                                   0.149   0.129
    mdffits                                          0.188   0.155
    covratio                                         0.890   0.938
    covtrace                                         0.084   0.041
    change_(Intercept)                               2.726  -0.684
    change_Days                                      0.483   0.785
    dfbetas_(Intercept)                             -0.411   0.095
    dfbetas_Days                                    -0.310  -0.556
    variance_change_(Intercept) | Subject           -0.166   0.054
    variance_change_Days | Subject                  -0.062  -0.270
    variance_change_residual                         0.052   0.047
    correlation_change_(Intercept), Days | Subject  -0.184   0.090
    """
    validation.check_choice("theta", theta, tuple(WAYS))
    validation.check_choice("sigma", sigma, SIGMAS)
    is_sigma_held = sigma == "fixed"
    if is_sigma_held and theta != "fixed":
        raise ValueError(
            f"sigma='fixed', but theta={theta!r}: σ is held only where the relative variances "
            "are. Use theta='fixed' as well, or leave sigma out."
        )
    rows = open_rows(model, X, groups)
    fitted = rows.fitted
    check_has_no_further_rows(fitted, "influences of groups")
    if fitted.is_repeated:
        raise ValueError(
            "The residuals of the model have a covariance. Use subject_influence, of subjects, or "
            "influence, of single rows."
        )
    k = _position(fitted.encoder, factor)
    whole = FitRows.of(rows, y, sample_weight)
    found = left_out(regressor_of(model), fitted, whole, k, theta)
    table = _table(found, whole.counts(k), is_sigma_held=is_sigma_held)
    title = f"Influence of the levels of {fitted.encoder.factors[k].name}"
    return ResultTable.of(table, title, [HELD if is_sigma_held else REMARKS[theta]])


def _position(encoder: Encoder, factor: str | None) -> int:
    """Return the position of a grouping factor of the model."""
    names = [own.name for own in encoder.factors]
    shown = ", ".join(map(repr, names)) or "none"
    if factor is None and len(names) == 1:
        return 0
    if factor is None:
        raise ValueError(
            f"factor=None, but the model has not one grouping factor alone, whose levels would be "
            f"left out. It has {shown}. Name one of them."
        )
    if factor not in names:
        raise ValueError(f"factor={factor!r} is not a grouping factor of the model: {shown}.")
    return names.index(factor)


def _table(found: LeftOut, n_rows: IntArray, *, is_sigma_held: bool) -> pd.DataFrame:
    """Return what `group_influence` does."""
    fitted, at = found.fitted, found.deletion(is_sigma_held=is_sigma_held)
    own: dict[str, Any] = {
        "n_rows": n_rows,
        "cooks_distance": at.cooks_distance,
        "mdffits": at.mdffits,
        "covratio": at.covratio,
        "covtrace": at.covtrace,
    }
    names, kept = fitted.encoder.fixed_names, list(fitted.solution.kept)
    changes = np.zeros((len(n_rows), len(names)))
    changes[:, kept] = at.changes
    own |= {f"change_{name}": c for name, c in zip(names, changes.T, strict=True)}
    pairs = zip((names[j] for j in kept), at.dfbetas.T, strict=True)
    own |= {f"dfbetas_{name}": c for name, c in pairs}
    if not is_sigma_held:
        own |= _changes_of_variances(found)
    return pd.DataFrame(own, index=found.levels)


def _changes_of_variances(found: LeftOut) -> dict[str, FloatArray]:
    """Return relative changes of variances, and changes of correlations, by name."""
    whole, encoder = found.fitted.solution, found.fitted.encoder
    variances: dict[str, FloatArray] = {}
    correlations: dict[str, FloatArray] = {}
    for term, own, covariances in zip(
        encoder.terms, whole.terms, found.found.covariances, strict=True
    ):
        group, names = encoder.factors[term.factor].name, encoder.coefficient_names(term)
        # With that of all rows in front
        every = np.concatenate([covariance_of(own.lam, whole.sigma)[None], covariances])
        sd = np.sqrt(np.diagonal(every, axis1=1, axis2=2))
        for name, s in zip(names, sd.T, strict=True):
            variances[f"variance_change_{name} | {group}"] = _relative_change(s**2)
        if has_covariances(term.structure):
            for j, i in zip(*np.triu_indices(len(names), 1), strict=True):
                size = sd[:, i] * sd[:, j]
                value = every[:, i, j] / np.where(size > 0.0, size, np.nan)
                name = f"correlation_change_{names[j]}, {names[i]} | {group}"
                correlations[name] = value[1:] - value[0]
    of_residual = np.append(whole.sigma, found.found.sigma) ** 2
    return variances | {f"variance_change_{RESIDUAL}": _relative_change(of_residual)} | correlations


def _relative_change(variances: FloatArray) -> FloatArray:
    """Return the change of all but the first over the first; NaN where that is 0."""
    first = variances[0] if variances[0] > 0.0 else np.nan
    return np.asarray(variances[1:] / first - 1.0)
