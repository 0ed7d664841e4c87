"""Comparing fitted models by information criteria, marginal and conditional."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import fitted
from skmixed.exceptions import FitStatus
from skmixed.inference._comparison.comparable import (
    comparable,
    formula_remarks,
    named_models,
    open_models,
)
from skmixed.inference._tables.series import ResultSeries
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import Convention


def compare(*models: Any, names: Sequence[str] | None = None) -> ResultTable:
    """Compare models by log-likelihood, AIC and BIC, the lowest AIC first.

    Parameters
    ----------
    *models : estimators or Pipelines
        Fitted MixedLinearRegressors or generalized models, or Pipelines that end in
        one, on the same rows; or one mapping of names to them. They need not be nested.
        Distributions of counts compare with each other, and links of one distribution.
    names : sequence of str, default=None
        One name a model. None: ``model0``, ``model1`` and so on.

    Returns
    -------
    ResultTable
        One row per model, by increasing AIC, ties in the order given. Columns:

        method
            The likelihood compared: ``ml`` or ``reml``.
        n_parameters
            Rank of X, entries of θ, and σ or a shape.
        log_likelihood
            Restricted under REML.
        aic
            −2 log-likelihood + 2·n_parameters.
        bic
            −2 log-likelihood + log(n)·n_parameters, n the number of samples.
        delta_aic
            Difference to the lowest AIC.
        weight
            Akaike weight, exp(−delta_aic/2), scaled to sum to 1.

    Raises
    ------
    ValueError
        If there are fewer than two models, names that do not fit, models on
        different rows, or one that reproduces y; or if distributions or numbers of
        nodes differ, so that likelihoods do not compare.

    Warns
    -----
    RefitWarning
        If models fitted by REML were refitted by maximum likelihood, because
        fixed effects differ or other models are fitted by ML. No rows are needed
        for that, and the models given stay as they are.

    See Also
    --------
    likelihood_ratio_test : Test of two nested models.
    conditional_aic : For predictions of new rows of the same groups.

    Notes
    -----
    The AIC is the marginal one: it counts parameters, not random effects, and is
    about predictions for new groups. On the boundary it favors the smaller model.
    Differences and weights are those of [1]_.

    References
    ----------
    .. [1] Burnham, K. P. and Anderson, D. R. (2002). Model Selection and Multimodel
       Inference, 2nd ed. Springer, sections 2.6 and 2.9.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import compare
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> models = {
    ...     "intercept": MixedLinearRegressor("Subject", method="ml").fit(X, y),
    ...     "slope": MixedLinearRegressor("Subject", random_slopes="Days", method="ml").fit(X, y),
    ... }
    >>> compare(models)[["n_parameters", "aic", "bic", "delta_aic"]].round(2)
               n_parameters      aic      bic  delta_aic
    slope                 6  1763.94  1783.10       0.00
    intercept             4  1802.08  1814.85      38.14
    """
    named = named_models("compare", models, names)
    contenders = comparable(open_models(named))
    solutions = [c.solution for c in contenders]
    criterion = np.array([s.criterion for s in solutions])
    n_parameters = np.array([s.n_parameters for s in solutions])
    aic = criterion + 2.0 * n_parameters
    relative = np.exp(-0.5 * (aic - aic.min()))
    columns = {
        "method": [c.method for c in contenders],
        "n_parameters": n_parameters,
        "log_likelihood": -0.5 * criterion,
        "aic": aic,
        "bic": criterion + np.log(contenders[0].fitted.stats.n_rows) * n_parameters,
        "delta_aic": aic - aic.min(),
        "weight": relative / relative.sum(),
    }
    table = pd.DataFrame(columns, index=[c.name for c in contenders])
    table = table.sort_values("aic", kind="stable")
    formulas = formula_remarks(named, contenders)
    return ResultTable.of(table, "Comparison of models", [contenders[0].remark, *formulas])


CONVENTIONS = ("exact", "cAIC4")


def conditional_aic(model: Any, *, convention: Convention = "exact") -> ResultSeries:
    """Conditional AIC: for predictions of new rows of the same groups.

    cAIC = −2 log f(y | β̂, b̂, σ̂) + 2 df, of the likelihood of y given the random effects, with
    df = tr(∂ŷ/∂y') + 1: how far the fitted values follow the responses, also by the variances
    that are estimated from these, and 1 for σ.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted, by REML or ML, with independent residuals. No rows are needed.
    convention : {"exact", "cAIC4"}, default="exact"
        Which derivative counts: the exact one, or that of R's package cAIC4 (see Notes).

    Returns
    -------
    ResultSeries
        A Series: ``log_likelihood``, the conditional one; ``df``; ``df_held``, which it would
        be were θ known, the trace of the hat matrix and 1; and ``caic``. Of models of the same
        rows the one with the lowest ``caic`` is expected to predict best.

    Raises
    ------
    ValueError
        If the residuals have a covariance, the model reproduces y, or it is a generalized one.
    MemoryError
        If the equations of crossed factors have no room.

    See Also
    --------
    compare : Marginal AIC and BIC, for predictions of new groups.
    skmixed.model_selection.cross_validate : Predictions of rows that were left out.

    Notes
    -----
    A marginal AIC favors models without random effects, and one that counts the trace of the hat
    matrix alone (Vaida and Blanchard) those with more of them; the derivative by the estimated
    variances is what makes it a fair choice ([1]_). It is exact, by differentiating the condition
    of the optimum, and read off sums of products. Where a variance is estimated as 0, or a
    correlation as ±1, it stays there as y varies, and what would change it counts nothing.

    cAIC4 ([2]_, version 1.1) halves the part of ∂θ̂/∂y by which σ² follows y, so that its ``df``
    are somewhat larger: 31.30 for the example, where the derivative is 31.25. Its weighted
    models are not these. It also refits a model without the slopes whose correlation is ±1.

    References
    ----------
    .. [1] Greven, S. and Kneib, T. (2010). On the behaviour of marginal and conditional AIC in
       linear mixed models. Biometrika 97, 773–789, doi:10.1093/biomet/asq042.
    .. [2] Säfken, B., Rügamer, D., Kneib, T. and Greven, S. (2021). Conditional model selection
       in mixed-effects models with cAIC4. J. Stat. Softw. 99(8), 1–30,
       doi:10.18637/jss.v099.i08.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import conditional_aic
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> conditional_aic(MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y))
    Conditional AIC
     log_likelihood    df  df_held     caic
            -824.51  31.3     30.0  1711.52
    >>> intercept = MixedLinearRegressor("Subject").fit(X, y)
    >>> float(conditional_aic(intercept, convention="cAIC4")["caic"].round(2))
    1767.12
    """
    opened = fitted(model)
    if opened.is_repeated:
        raise ValueError(
            "conditional_aic is there for independent residuals, and those of the model have a "
            "covariance. Use compare, or skmixed.model_selection.cross_validate."
        )
    if opened.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            "The model reproduces y, so that its conditional likelihood has no maximum. Check that "
            "no column of X determines y."
        )
    check_choice("convention", convention, CONVENTIONS)
    values, likelihood = kernel.fitted_values(opened.relative), opened.likelihood
    sigma2, n = opened.sigma_squared, opened.n_rows
    # −2 log Π N(y; ŷ, σ²/w)
    deviance = n * np.log(2.0 * np.pi * sigma2) - likelihood.sum_log_weights
    deviance += values.residual_squares / sigma2
    df = (values.df if convention == "exact" else values.df_halved) + 1.0
    numbers = {
        "log_likelihood": -0.5 * deviance,
        "df": df,
        "df_held": values.df_held + 1.0,
        "caic": deviance + 2.0 * df,
    }
    return ResultSeries.of(pd.Series(numbers), "Conditional AIC")
