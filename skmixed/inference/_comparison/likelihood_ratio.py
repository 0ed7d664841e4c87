"""Likelihood-ratio tests of nested models."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.checks import check_flag
from skmixed.inference._comparison import nesting
from skmixed.inference._comparison.comparable import (
    comparable,
    formula_remarks,
    named_models,
    open_models,
)
from skmixed.inference._comparison.contender import Contender
from skmixed.inference._comparison.nesting import Reference, reference_of
from skmixed.inference._tables.table import ResultTable

# Differences of criteria beside their size: below the first only rounding is
# left, above the second, and of the wrong sign, there is a mistake.
ROUNDING, MISTAKE = 1e-11, 1e-6
# The row of the model itself among those that have something less, as in R.
WHOLE = "<none>"


def likelihood_ratio_test(
    model0: Any,
    model1: Any = None,
    *models: Any,
    boundary: bool = True,
    check_nested: bool = True,
    names: Sequence[str] | None = None,
) -> ResultTable:
    """Likelihood-ratio tests of nested models, each against the one before.

    Parameters
    ----------
    model0 : estimator, Pipeline, or mapping of str to these
        Fitted MixedLinearRegressors or generalized models of one distribution, or
        Pipelines that end in one, on the same rows; or one mapping of names to models. The
        one with fewer parameters is the null hypothesis, in whichever order they are given.
    model1 : estimator or Pipeline, default=None
        The second one. None: `model0` is a mapping.
    *models : estimators or Pipelines
        Further ones. They are sorted by their numbers of parameters, and each is tested
        against the one before.
    boundary : bool, default=True
        Whether the reference distribution heeds that a variance of 0 lies on the
        boundary of its range. False: plain χ², as in R's ``anova``.
    check_nested : bool, default=True
        Whether to refuse models that are not nested by the names of their
        columns (in arrays, their positions). False where you know that they are:
        a numeric column is a linear combination of the dummies of its values.
    names : sequence of str, default=None
        One name a model. None: ``model0``, ``model1`` and so on.

    Returns
    -------
    ResultTable
        Of two models rows ``null`` and ``alternative``, whose p value is
        ``table.loc["alternative", "p_value"]``; of more a row each, by name, from the
        fewest parameters on. Columns:

        model
            Its name, where the rows are not the names.
        method
            The likelihood compared: ``ml`` or ``reml``.
        n_parameters
            Rank of X, entries of θ, and σ or a shape.
        aic, bic
            As in `compare`.
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
        If the models are fitted to different rows, two have as many parameters, one is
        not nested in the next, or they reproduce y; if generalized models have different
        distributions, links or exposures, or different numbers of nodes of quadrature;
        or for names that do not fit.

    Warns
    -----
    RefitWarning
        If models fitted by REML were refitted by maximum likelihood, because
        their fixed effects differ or the other model is fitted by ML. No rows are
        needed for that, and the models given stay as they are.

    See Also
    --------
    compare : Information criteria, also for models that are not nested.
    random_effects_tests : Tests of each random-effects term of one model.
    anova : F tests of fixed effects within one model.

    Notes
    -----
    With the same fixed effects and REML in all, the restricted likelihoods are
    compared, where R's ``anova`` refits by maximum likelihood. Fixed effects are the same
    if names and sums of the columns are.

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

    Three models in one table:

    >>> mean = MixedLinearRegressor("Subject", fixed=[], method="ml").fit(X, y)
    >>> intercept = MixedLinearRegressor("Subject", method="ml").fit(X, y)
    >>> slope = MixedLinearRegressor("Subject", random_slopes="Days", method="ml").fit(X, y)
    >>> names = ["mean", "intercept", "slope"]
    >>> table = likelihood_ratio_test(mean, intercept, slope, names=names)
    >>> table[["n_parameters", "aic", "statistic", "df"]].round(2)
               n_parameters      aic  statistic   df
    mean                  3  1916.54        NaN  NaN
    intercept             4  1802.08     116.46  1.0
    slope                 6  1763.94      42.14  2.0
    """
    check_flag("boundary", boundary)
    check_flag("check_nested", check_nested)
    given = (model0,) if model1 is None and not models else (model0, model1, *models)
    named = named_models("likelihood_ratio_test", given, names)
    contenders = _in_order(open_models(named, is_nested=True))
    for null, alternative in pairwise(contenders if check_nested else ()):
        nesting.check_nested(null, alternative)
    contenders = comparable(contenders)
    tests: list[dict[str, Any] | None] = [None]
    for null, alternative in pairwise(contenders):
        reference = reference_of(null, alternative, boundary=boundary)
        tests.append(ratio_test(null, alternative, reference))
    table = ratio_table(contenders, tests)
    if len(contenders) == 2:
        table.insert(0, "model", table.index)
        table.index = pd.Index(["null", "alternative"])
    title = f"Likelihood-ratio test{'s' if len(contenders) > 2 else ''}"
    formulas = formula_remarks(named, contenders)
    return ResultTable.of(table, title, [contenders[0].remark, *formulas])


def ratio_table(
    contenders: Sequence[Contender], tests: Sequence[Mapping[str, Any] | None]
) -> pd.DataFrame:
    """Tabulate models with their likelihoods, a row each, and the test of each, if it has one."""
    criteria = np.array([c.solution.criterion for c in contenders])
    counts = np.array([c.solution.n_parameters for c in contenders])
    none = {"statistic": np.nan, "df": np.nan, "p_value": np.nan, "reference": ""}
    index = [c.name for c in contenders]
    likelihoods = {
        "method": [c.method for c in contenders],
        "n_parameters": counts,
        "aic": criteria + 2.0 * counts,
        "bic": criteria + np.log(contenders[0].fitted.stats.n_rows) * counts,
        "log_likelihood": -0.5 * criteria,
        "criterion": criteria,
    }
    tested = pd.DataFrame([none if own is None else own for own in tests], index=index)
    return pd.concat([pd.DataFrame(likelihoods, index=index), tested], axis=1)


def deletion_table(
    whole: Contender, smaller: Sequence[Contender], tests: Sequence[Mapping[str, Any] | None]
) -> pd.DataFrame:
    """Tabulate a model, and the ones that have something less, each tested against it."""
    columns = ["n_parameters", "log_likelihood", "aic", "statistic", "df", "p_value", "reference"]
    table = ratio_table([whole, *smaller], [None, *tests])[columns]
    table.index = pd.Index([WHOLE, *(own.name for own in smaller)])
    return table


def ratio_test(null: Contender, alternative: Contender, reference: Reference) -> dict[str, Any]:
    """Return the statistic of two models, its degrees of freedom, p value and distribution."""
    statistic = _statistic(null, alternative)
    return {
        "statistic": statistic,
        "df": alternative.solution.n_parameters - null.solution.n_parameters,
        "p_value": reference.p_value(statistic),
        "reference": str(reference),
    }


def _in_order(contenders: Sequence[Contender]) -> list[Contender]:
    """Sort from the fewest parameters on."""
    out = sorted(contenders, key=lambda own: own.solution.n_parameters)
    for first, second in pairwise(out):
        n = first.solution.n_parameters
        if n == second.solution.n_parameters:
            raise ValueError(
                f"{first.name} and {second.name} have {n} parameters each, so that neither is a "
                "special case of the other. Use `compare`."
            )
    return out


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
