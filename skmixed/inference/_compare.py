"""Comparing fitted models by their likelihoods, marginal and conditional."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.parameters import items_of
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice, check_flag
from skmixed._fitted.fitted_model import fitted
from skmixed.exceptions import FitStatus
from skmixed.inference import _nesting
from skmixed.inference._comparable import Contender, comparable, open_models
from skmixed.inference._nesting import Reference, reference_of

# Differences of criteria beside their size: below the first only rounding is
# left, above the second, and of the wrong sign, there is a mistake.
ROUNDING, MISTAKE = 1e-11, 1e-6


def likelihood_ratio_test(
    model0: Any, model1: Any, *, boundary: bool = True, check_nested: bool = True
) -> pd.DataFrame:
    """Likelihood-ratio test of two nested models.

    Parameters
    ----------
    model0, model1 : estimator or Pipeline
        Fitted MixedLinearRegressors or generalized models of one distribution, or
        Pipelines that end in one, on the same rows. The one with fewer parameters is
        the null hypothesis, in whichever order they are given.
    boundary : bool, default=True
        Whether the reference distribution heeds that a variance of 0 lies on the
        boundary of its range. False: plain χ², as in R's ``anova``.
    check_nested : bool, default=True
        Whether to refuse models that are not nested by the names of their
        columns (in arrays, their positions). False where you know that they are:
        a numeric column is a linear combination of the dummies of its values.

    Returns
    -------
    DataFrame
        Rows ``null`` and ``alternative``; the p value is
        ``table.loc["alternative", "p_value"]``. Columns:

        model
            ``model0`` or ``model1``.
        method
            The likelihood compared: ``ml`` or ``reml``.
        n_parameters
            Rank of X, entries of θ, and σ or a shape.
        log_likelihood
            Restricted under REML.
        criterion
            −2 log-likelihood; under ML the deviance.
        statistic
            Difference of the criteria, at least 0.
        df
            Difference of the numbers of parameters.
        p_value
            Probability of a statistic at least as large under the null.
        reference
            Its distribution there: ``χ²(1)``, ``½χ²(1) + ½χ²(2)``.

    Raises
    ------
    ValueError
        If the models are fitted to different rows, have as many parameters each,
        are not nested, or reproduce y; or if generalized models have different
        distributions, links or exposures, or different numbers of nodes of quadrature.

    Warns
    -----
    RefitWarning
        If models fitted by REML were refitted by maximum likelihood, because
        their fixed effects differ or the other model is fitted by ML. No rows are
        needed for that, and the models given stay as they are.

    See Also
    --------
    compare : Information criteria, also for models that are not nested.
    anova : F tests of fixed effects within one model.

    Notes
    -----
    With the same fixed effects and REML in both, the restricted likelihoods are
    compared. Fixed effects are the same if names and sums of the columns are.

    Under a null hypothesis with one variance less, the alternative's parameters form a
    half-space around it, and the statistic is distributed as ½χ²(d − 1) + ½χ²(d), d the
    difference in parameters ([1]_, cases 5 and 6; [2]_, cases 1 to 3): ½χ²(0) + ½χ²(1)
    for a lone variance, ½χ²(s − 1) + ½χ²(s) from s − 1 to s coefficients of a term
    under "full", both components larger by f with f fixed effects more. Where no
    variance is 0 under the null (further covariances or fixed effects, unequal
    variances for equal ones) it is χ²(d). With several variances the mixture depends on
    the data; χ²(d) is then an upper bound, and the reference says ``conservative``.
    These are limits for many groups. With few, the mixture is somewhat conservative
    too, and tests of fixed effects are too liberal. The likelihoods of generalized models
    are those of their fits, by Laplace's approximation or quadrature.

    References
    ----------
    .. [1] Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum
       likelihood estimators and likelihood ratio tests under nonstandard conditions.
       J. Am. Stat. Assoc. 82, 605–610, doi:10.1080/01621459.1987.10478472.
    .. [2] Stram, D. O. and Lee, J. W. (1994). Variance components testing in the
       longitudinal mixed effects model. Biometrics 50, 1171–1177,
       doi:10.2307/2533455.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import likelihood_ratio_test
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> intercept = MixedLinearRegressor("Subject").fit(X, y)
    >>> slope = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> table = likelihood_ratio_test(intercept, slope)
    >>> table[["n_parameters", "criterion", "statistic", "df"]].round(3)
                 n_parameters  criterion  statistic   df
    null                    4   1786.465        NaN  NaN
    alternative             6   1743.628     42.837  2.0
    >>> f"{table.loc['alternative', 'p_value']:.3g}"
    '2.79e-10'
    >>> table.loc["alternative", "reference"]
    '½χ²(1) + ½χ²(2)'
    """
    check_flag("boundary", boundary)
    check_flag("check_nested", check_nested)
    null, alternative = _in_order(open_models({"model0": model0, "model1": model1}, is_nested=True))
    if check_nested:
        _nesting.check_nested(null, alternative)
    null, alternative = comparable([null, alternative])
    return _table(null, alternative, reference_of(null, alternative, boundary=boundary))


def compare(*models: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare models by log-likelihood, AIC and BIC, the lowest AIC first.

    Parameters
    ----------
    *models : estimators or Pipelines
        Fitted MixedLinearRegressors or generalized models, or Pipelines that end in
        one, on the same rows; or one mapping of names to them. They need not be nested.
        Distributions of counts compare with each other, and links of one distribution.
    names : sequence of str, default=None
        One name a model. None: ``model1``, ``model2`` and so on.

    Returns
    -------
    DataFrame
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
    contenders = comparable(open_models(_named(models, names)))
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
    return table.sort_values("aic", kind="stable")


CONVENTIONS = ("exact", "cAIC4")


def conditional_aic(model: Any, *, convention: str = "exact") -> pd.Series:
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
    Series
        ``log_likelihood``, the conditional one; ``df``; ``df_held``, which it would be were
        θ known, the trace of the hat matrix and 1; and ``caic``. Of models of the same rows
        the one with the lowest ``caic`` is expected to predict best.

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
    >>> conditional_aic(MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)).round(2)
    log_likelihood    -824.51
    df                  31.25
    df_held             30.02
    caic              1711.52
    dtype: float64
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
    return pd.Series(
        {
            "log_likelihood": -0.5 * deviance,
            "df": df,
            "df_held": values.df_held + 1.0,
            "caic": deviance + 2.0 * df,
        }
    )


def _named(models: tuple[Any, ...], names: Sequence[str] | None) -> Mapping[str, Any]:
    if len(models) == 1 and isinstance(models[0], list | tuple):
        kind = type(models[0]).__name__
        raise TypeError(
            f"compare takes models one by one, not as a {kind}. Write compare(first, second), or "
            "give a mapping of names to models."
        )
    if len(models) == 1 and isinstance(models[0], Mapping):
        if names is not None:
            raise ValueError(f"names={names!r} has no use beside a mapping of names to models.")
        named = dict(models[0])
    else:
        default = [f"model{k}" for k in range(1, len(models) + 1)]
        given = default if names is None else items_of(names, "names")
        if len(given) != len(models):
            raise ValueError(f"names={names!r} has {len(given)} names for {len(models)} models.")
        named = dict(zip(given, models, strict=True))
        if len(named) != len(models):
            raise ValueError(f"names={names!r} has a name twice. Give each model its own.")
    if len(named) < 2:
        raise ValueError(
            f"compare needs at least two models, got {len(named)}. Give them one by one, "
            "compare(first, second), or as one mapping of names to models."
        )
    return named


def _in_order(pair: list[Contender]) -> list[Contender]:
    """Sort into null and alternative, by the number of parameters."""
    counts = [c.solution.n_parameters for c in pair]
    if counts[0] == counts[1]:
        raise ValueError(
            f"model0 and model1 have {counts[0]} parameters each, so that neither is a special "
            "case of the other. Use `compare`."
        )
    return pair if counts[0] < counts[1] else pair[::-1]


def _statistic(null: Contender, alternative: Contender) -> float:
    criteria = [c.solution.criterion for c in (null, alternative)]
    difference, size = criteria[0] - criteria[1], max(1.0, *map(abs, criteria))
    if difference < -MISTAKE * size:
        raise ValueError(
            f"{alternative.name} has more parameters than {null.name}, but a lower log-likelihood "
            f"({-0.5 * criteria[1]:.6g} against {-0.5 * criteria[0]:.6g}): the models are not "
            "nested, or a search has not converged. Use `compare`, or fit with a smaller tol."
        )
    return difference if difference > ROUNDING * size else 0.0


def _table(null: Contender, alternative: Contender, reference: Reference) -> pd.DataFrame:
    pair, statistic = (null, alternative), _statistic(null, alternative)
    criteria = np.array([c.solution.criterion for c in pair])
    counts = np.array([c.solution.n_parameters for c in pair])
    columns = {
        "model": [c.name for c in pair],
        "method": [c.method for c in pair],
        "n_parameters": counts,
        "log_likelihood": -0.5 * criteria,
        "criterion": criteria,
        "statistic": [np.nan, statistic],
        "df": [np.nan, counts[1] - counts[0]],
        "p_value": [np.nan, reference.p_value(statistic)],
        "reference": ["", str(reference)],
    }
    return pd.DataFrame(columns, index=["null", "alternative"])
