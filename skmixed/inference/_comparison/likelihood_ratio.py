"""Likelihood-ratio tests of nested models."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.checks import check_flag
from skmixed.inference._comparison import nesting
from skmixed.inference._comparison.comparable import Contender, comparable, open_models
from skmixed.inference._comparison.nesting import Reference, reference_of

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
        nesting.check_nested(null, alternative)
    null, alternative = comparable([null, alternative])
    return _table(null, alternative, reference_of(null, alternative, boundary=boundary))


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
