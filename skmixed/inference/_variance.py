"""The variance by its parts, and shares of it: the intraclass correlation and R²."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_flag
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed.inference._tables.series import ResultSeries
from skmixed.inference._tables.table import ResultTable


def variances(parts: FittedModel) -> pd.Series:
    """Variances of the fixed effects, of each factor, and of the residual or distribution."""
    names = [factor.name for factor in parts.encoder.factors]
    own = np.array(_of_factors(parts, parts.solution))
    last, rest = "residual", parts.solution.sigma**2
    if parts.is_generalized:
        # Effects of single rows are variation of the distribution
        several = np.array([f.n_levels < parts.stats.n_rows for f in parts.encoder.factors], bool)
        last, rest = "distribution", _of_distribution(parts) + float(own[~several].sum())
        names, own = [n for n, has in zip(names, several, strict=True) if has], own[several]
    return pd.Series([_of_fixed(parts), *own, rest], index=["fixed", *names, last])


def _of_distribution(parts: FittedModel) -> float:
    """Variance of the distribution on the link's scale."""
    own = parts.solution.family
    assert own is not None
    return parts.family.latent_variance(own.phi, lambda: _mean_response(parts))


def _mean_response(parts: FittedModel) -> float:
    """Return exp(β₀ + ½z'Σz) times the exposure, by the model of an intercept alone."""
    solution, rows = parts.solution, parts.held_rows
    if parts.model.fixed != (0,):
        model = replace(parts.model, fixed=(0,))
        solution = kernel.refit_generalized(parts.generalized, model).solution
    spread = sum(_of_factors(parts, solution))
    exposure = float(np.average(np.exp(rows.offset), weights=rows.weights))
    return exposure * float(np.exp(solution.fixed[0] + 0.5 * spread))


def _of_fixed(parts: FittedModel) -> float:
    """Sample variance of Xβ̂ over the rows."""
    n, sums = parts.stats.n_rows, parts.stats.sum_of_rows
    slopes = [k for k, column in enumerate(parts.model.fixed) if column]
    beta = np.zeros(len(sums))
    beta[[parts.model.fixed[k] for k in slopes]] = parts.solution.fixed[slopes]
    beta = parts.stats.frame.coefficients(beta)
    squares = float(beta @ sums @ beta) - float(sums[0] @ beta) ** 2 / n
    return max(squares, 0.0) / max(n - 1, 1)


def _of_factors(parts: FittedModel, solution: Solution) -> list[float]:
    """Mean of z'Σz over the rows, by grouping factor."""
    sums, center = parts.stats.sum_of_rows, parts.stats.center
    found = [0.0] * len(parts.encoder.factors)
    for term, estimate in zip(parts.model.terms, solution.terms, strict=True):
        columns = list(term.columns)
        factor = solution.sigma * estimate.lam
        # In the columns (1, x − center): x'b = (x − center)'b + center'b.
        centered = np.zeros((len(center), len(columns)))
        centered[columns] = factor
        centered[0] += center[columns] @ factor
        centered = parts.stats.frame.coefficients(centered)
        squares = float(np.sum(centered * (sums @ centered)))
        found[term.factor] += max(squares, 0.0) / parts.stats.n_rows
    return found


def shares(parts: pd.Series) -> pd.Series:
    """Shares of the sum; of nothing, nothing."""
    total = parts.sum()
    return parts / total if total > 0 else parts * 0.0


def icc_of(parts: pd.Series, *, adjusted: bool) -> ResultSeries:
    """Return the grouping factors' shares, of the variance given the fixed effects or of all."""
    own = shares(parts.iloc[int(adjusted) :]).iloc[int(not adjusted) : -1]
    if len(own) > 1:
        own = pd.concat([own, pd.Series({"total": own.sum()})])
    said = [f"Shares of the variance{' given the fixed effects' * adjusted}."]
    return ResultSeries.of(own.rename("icc"), "Intraclass correlations", said, "share")


def r2_of(parts: pd.Series) -> ResultSeries:
    """Return the shares of the fixed effects, and of fixed and random effects."""
    own = shares(parts).to_numpy()
    numbers = pd.Series({"marginal": own[0], "conditional": own[:-1].sum()}, name="r2")
    return ResultSeries.of(numbers, "R² of Nakagawa and Schielzeth", kind="share")


def icc(model: Any, *, adjusted: bool = True) -> ResultSeries:
    """Intraclass correlation: each grouping factor's share of the variance.

    With one random intercept it is σ_b² / (σ_b² + σ²), the correlation of two
    samples of one group (of two students of one school).

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted MixedLinearRegressor or generalized model, or a Pipeline that ends in one.
    adjusted : bool, default=True
        True: share of the random and residual variance, given the fixed effects.
        False: the variance of the fixed effects counts in the denominator too.

    Returns
    -------
    ResultSeries
        A Series: one value in [0, 1] per grouping factor; with several factors also their
        sum, as ``total``.

    Raises
    ------
    ValueError
        If the model has no grouping factor.

    See Also
    --------
    variance_decomposition : The variances behind the shares.

    Notes
    -----
    Adjusted and unadjusted as in [1]_. With random slopes the variance within a
    group depends on the row: the factor's variance is its mean over the rows,
    tr(Σₖ·Zₖ'Zₖ)/n for the covariance Σₖ of one group's coefficients [2]_. Each
    row counts once, whatever its weight. σ² is the residual variance of a row of
    weight 1. With a residual covariance it is the mean of these over the rows, and the
    share is the correlation of two samples of a group whose residuals are uncorrelated,
    such as those of two subjects. Of a generalized model it is the share on the scale of
    the link, as `variance_decomposition` says.

    References
    ----------
    .. [1] Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient
       of determination R² and intra-class correlation coefficient from generalized
       linear mixed-effects models revisited and expanded. J. R. Soc. Interface 14,
       20170213, doi:10.1098/rsif.2017.0213.
    .. [2] Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R²GLMM to
       random slopes models. Methods Ecol. Evol. 5, 944–946,
       doi:10.1111/2041-210X.12225.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import icc
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> icc(MixedLinearRegressor("Subject").fit(X, y))
    Intraclass correlations
     Subject
       0.589
    Shares of the variance given the fixed effects.
    """
    check_flag("adjusted", adjusted)
    parts = fitted(model, has_family=True)
    if not parts.encoder.factors and parts.is_repeated:
        raise ValueError(
            "The model has no grouping factor: what rows of one subject have in common is their "
            "residual covariance, of which residual_covariance_ and confidence_intervals show the "
            "correlations. Name grouping columns in `groups` for an intraclass correlation."
        )
    if not parts.encoder.factors:
        kind = "a model of fixed effects" if parts.is_generalized else "ordinary least squares"
        raise ValueError(
            f"The model has no grouping factor (groups=None is {kind}), so that "
            "there is no intraclass correlation. Name grouping columns in `groups`, "
            "or write (1 | g) in the formula."
        )
    return icc_of(variances(parts), adjusted=adjusted)


def r2(model: Any) -> ResultSeries:
    """Marginal and conditional R² of Nakagawa and Schielzeth.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted MixedLinearRegressor or generalized model, or a Pipeline that ends in one.

    Returns
    -------
    ResultSeries
        A Series: ``marginal``, the share of the fixed effects in the variance;
        ``conditional``: that of fixed and random effects. Without random effects
        the two are equal.

    See Also
    --------
    variance_decomposition : The variances behind the shares, and how they are
        defined.

    Notes
    -----
    These are shares of variances that the model estimates [1]_, of a generalized model on
    the scale of the link, as `variance_decomposition` says. The regressor's
    ``score`` is another thing, 1 − Σ(y − ŷ)²/Σ(y − ȳ)² on given rows.

    References
    ----------
    .. [1] Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for
       obtaining R² from generalized linear mixed-effects models. Methods Ecol. Evol.
       4, 133–142, doi:10.1111/j.2041-210x.2012.00261.x.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import r2
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> r2(MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y))
    R² of Nakagawa and Schielzeth
     marginal  conditional
        0.279        0.799
    """
    return r2_of(variances(fitted(model, has_family=True)))


def variance_decomposition(model: Any) -> ResultTable:
    """Variance of y by its parts: fixed effects, grouping factors, residual.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted MixedLinearRegressor or generalized model, or a Pipeline that ends in one.

    Returns
    -------
    ResultTable
        Rows ``fixed``, one per grouping factor, and ``residual``, or ``distribution``
        of a generalized model. Columns:

        variance
            On the squared scale of y, or of the link.
        sd
            Its square root.
        share
            Its share of the sum of the variances.

    See Also
    --------
    icc : Shares of the grouping factors.
    r2 : Shares of the fixed effects, and of fixed and random effects.
    skmixed.plotting.VarianceDecompositionDisplay : A plot of the shares.

    Notes
    -----
    ``fixed`` is the sample variance of Xβ̂ over the rows, with divisor n − 1 [1]_. A
    factor's variance is the mean over the rows of z'Σₖ z, tr(Σₖ·Zₖ'Zₖ)/n, which is
    the variance itself for a random intercept [2]_. Both count each row once, whatever
    its weight; ``residual`` is σ², the residual variance of a row of weight 1, with a
    residual covariance its mean over the rows.

    Of a generalized model ``distribution`` is the variance of a response on the scale of
    the link [3]_: π²/3, 1 and π²/6 of the logit, probit and complementary log-log, whose
    latent variables are logistic, normal and Gumbel's; ln(1 + 1/λ), ln(1 + 1/λ + 1/α) and
    ln(1 + 1/α) of Poisson's, negative binomial and gamma's distributions with the log
    link. The mean count λ is exp(β₀ + ½z'Σz), times the mean exposure, of the model with
    an intercept alone, which costs another fit. Effects of single rows are part of it.

    References
    ----------
    .. [1] Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for
       obtaining R² from generalized linear mixed-effects models. Methods Ecol. Evol.
       4, 133–142, doi:10.1111/j.2041-210x.2012.00261.x.
    .. [2] Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R²GLMM to
       random slopes models. Methods Ecol. Evol. 5, 944–946,
       doi:10.1111/2041-210X.12225.
    .. [3] Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient
       of determination R² and intra-class correlation coefficient from generalized
       linear mixed-effects models revisited and expanded. J. R. Soc. Interface 14,
       20170213, doi:10.1098/rsif.2017.0213, table 2.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import variance_decomposition
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> variance_decomposition(model).round(3)
               variance      sd  share
    fixed       908.953  30.149  0.279
    Subject    1698.071  41.208  0.521
    residual    654.941  25.592  0.201
    """
    view = fitted(model, has_family=True)
    parts = variances(view)
    table = pd.DataFrame({"variance": parts, "sd": np.sqrt(parts), "share": shares(parts)})
    scale = [f"On the scale of the link ({view.family.link_name})."] if view.is_generalized else []
    return ResultTable.of(table, "Variance by its parts", scale)
