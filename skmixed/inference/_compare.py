"""Comparing fitted models by their likelihoods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from skmixed._data.parameters import items_of
from skmixed._fitted.checks import check_flag
from skmixed.inference._comparable import (
    Contender,
    changed_columns,
    changed_factors,
    comparable,
    open_models,
)
from skmixed.inference._nesting import (
    blocks,
    contains_residual,
    n_boundary,
    n_residual_boundary,
    not_contained,
)

# Differences of criteria beside their size: below the first only rounding is
# left, above the second, and of the wrong sign, there is a mistake.
ROUNDING, MISTAKE = 1e-11, 1e-6


@dataclass(frozen=True)
class Reference:
    """Distribution of the statistic under the null: χ², or of two an equal mixture."""

    degrees: tuple[int, ...]
    is_conservative: bool = False

    def __str__(self) -> str:
        if len(self.degrees) == 2:
            return " + ".join(f"½χ²({df})" for df in self.degrees)
        return f"χ²({self.degrees[0]}){', conservative' if self.is_conservative else ''}"

    def p_value(self, statistic: float) -> float:
        """P(T ≥ statistic); χ²(0) is 0."""
        if statistic == 0.0:
            return 1.0
        return float(np.mean([chdtrc(df, statistic) if df else 0.0 for df in self.degrees]))


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
        _check_nested(null, alternative)
    null, alternative = comparable([null, alternative])
    return _table(null, alternative, _reference(null, alternative, boundary=boundary))


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


def _missing(null: Contender, alternative: Contender) -> list[str]:
    """List what the null has, by name, that the alternative has not."""
    fixed = null.kept_names - set(alternative.fitted.encoder.fixed_names)
    own, other = null.fitted.encoder, alternative.fitted.encoder
    random = not_contained(blocks(own), blocks(other))
    has_residual = contains_residual(own.subjects, other.subjects)
    return [
        *([] if has_residual else ["the residual covariance"]),
        *(f"the fixed effect of {name!r}" for name in sorted(fixed)),
        *(f"the covariance of {block}" for block in random),
    ]


def _check_nested(null: Contender, alternative: Contender) -> None:
    missing = _missing(null, alternative)
    changed = [*changed_columns(null, alternative), *changed_factors(null, alternative)]
    if missing:
        problem = f"{alternative.name} does not contain {', '.join(missing)} of {null.name}"
    elif changed:
        problem = (
            f"column {changed[0]!r} has other values in {null.name} than in {alternative.name}"
        )
    else:
        return
    raise ValueError(
        f"{null.name} is not seen to be a special case of {alternative.name}: {problem}. Use "
        "`compare`, or check_nested=False if you know that the models are nested."
    )


def _reference(null: Contender, alternative: Contender, *, boundary: bool) -> Reference:
    df = alternative.solution.n_parameters - null.solution.n_parameters
    parts = blocks(null.fitted.encoder), blocks(alternative.fitted.encoder)
    if not boundary or not_contained(*parts):
        return Reference((df,))
    on_boundary = n_boundary(*parts)
    residual = null.fitted.encoder.subjects, alternative.fitted.encoder.subjects
    on_boundary += n_residual_boundary(*residual)
    if on_boundary == 1:
        return Reference((df - 1, df))
    return Reference((df,), is_conservative=on_boundary > 1)


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
