"""The random effects with their standard errors, and whether a covariance is singular."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from skmixed._fitted import kernel
from skmixed._fitted.checks import check_level
from skmixed._fitted.fitted_model import FittedModel, fitted, served
from skmixed._statistics.coordinates import column_lengths
from skmixed._typing import FloatArray

EFFECTS = ("group", "level", "name", "estimate", "std_error", "lower", "upper")
COMPONENTS = ("group", "term", "component", "sd", "share", "cumulative", "is_zero")


def random_effects_table(model: Any, *, level: float = 0.95) -> pd.DataFrame:
    """BLUPs with standard errors and intervals, one row a level and coefficient.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.
    level : float, default=0.95
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        Grouping factor by factor and level by level, columns

        - ``group``: the grouping factor, a key of ``random_effects_``;
        - ``level``: its label, a tuple for an interaction;
        - ``name``: the coefficient, ``(Intercept)`` or a slope's column;
        - ``estimate``: the BLUP, on the scale of y per unit of the column;
        - ``std_error``: the standard deviation of b given y;
        - ``lower``, ``upper``: estimate ± normal quantile × std_error.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1.
    TypeError
        If `model` is no regressor of this package, or `level` no number.

    See Also
    --------
    skmixed.plotting.RandomEffectsDisplay : A plot of them.

    Notes
    -----
    Conditional on θ, σ and β, as lme4's ``ranef(condVar=TRUE)``: the covariance is
    σ²ΛM⁻¹Λ', M = Λ'Z'WZΛ + I ([1]_, equation 58). What the estimates of β and of the
    variances add is left out, so that the intervals are somewhat short with few groups.
    With a residual covariance it is Σ − ΣZ'V⁻¹ZΣ, the same with R in the place of σ²/w.
    An effect whose variance is estimated as 0 has standard error 0. Rows given to
    ``update_groups`` count: M is of all rows.

    Costs about as much as one gradient of the fit.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import random_effects_table
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> random_effects_table(model).head(2).round(3)
         group level         name  estimate  std_error   lower   upper
    0  Subject   308  (Intercept)     2.259     12.071 -21.400  25.917
    1  Subject   308         Days     9.199      2.305   4.682  13.716
    """
    level = check_level(level)
    opened = served(model)
    if opened.is_repeated:
        covariances = kernel.effect_covariances(opened.repeated)
    else:
        found = kernel.level_covariances(opened.factorization)
        covariances = tuple(opened.sigma_squared * own for own in found)
    variances = [np.einsum("qaa->qa", own) for own in covariances]
    parts = [_of_factor(opened, k, variances) for k in range(len(opened.encoder.factors))]
    if not parts:
        return pd.DataFrame(columns=list(EFFECTS))
    table = pd.concat(parts, ignore_index=True)
    half = norm.ppf(0.5 + 0.5 * level) * table["std_error"]
    return table.assign(lower=table["estimate"] - half, upper=table["estimate"] + half)


def _of_factor(opened: FittedModel, k: int, variances: list[FloatArray]) -> pd.DataFrame:
    encoder = opened.encoder
    own = [i for i, term in enumerate(encoder.terms) if term.factor == k]
    names = [name for i in own for name in encoder.coefficient_names(encoder.terms[i])]
    estimates = np.concatenate([opened.solution.terms[i].effects for i in own]).T
    squares = np.concatenate([variances[i] for i in own], axis=1)
    factor = encoder.factors[k]
    return pd.DataFrame(
        {
            "group": factor.name,
            "level": factor.index.repeat(len(names)).to_flat_index(),
            "name": np.tile(np.array(names, dtype=object), factor.n_levels),
            "estimate": estimates.ravel(),
            "std_error": np.sqrt(squares).ravel(),
        }
    )


def singularity(model: Any) -> pd.DataFrame:
    """Principal components of each term's covariance: which of them are zero.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        Fitted; a Pipeline ends in the regressor.

    Returns
    -------
    DataFrame
        Term by term, the largest component first, columns

        - ``group``: the grouping factor;
        - ``term``: the names of the term's coefficients;
        - ``component``: from 1;
        - ``sd``: its standard deviation, in units of σ;
        - ``share``, ``cumulative``: of the term's total variance, NaN if that is 0;
        - ``is_zero``: whether its variance is estimated as exactly 0. A fit is
          singular, ``singular_``, where any is.

    Raises
    ------
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    convergence : Whether a singular fit is an optimum.
    skmixed.exceptions.SingularFitWarning : What `fit` says of it.

    Notes
    -----
    Singular values of Λₖ, as lme4's ``rePCA``, but of the coefficients of scaled
    columns: each slope is per standard deviation of its column, and the intercept
    is at the columns' means where the covariance is full. In the columns' own units
    the smallest component of a slope over dates in seconds would be tiny beside the
    intercept's and not be zero. With covariance "diag" slopes are per root mean
    square, and with "spherical" all columns share one scale, since there centering
    or scaling would change the model. Terms are taken one by one, while ``rePCA``
    puts those on one factor together.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import singularity
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> singularity(model).round(3)
         group               term  component     sd  share  cumulative  is_zero
    0  Subject  (Intercept), Days          1  1.557  0.935       0.935    False
    1  Subject  (Intercept), Days          2  0.412  0.065       1.000    False
    """
    opened = fitted(model)
    rows: list[list[Any]] = []
    for index, term in enumerate(opened.encoder.terms):
        group = opened.encoder.factors[term.factor].name
        names = ", ".join(opened.encoder.coefficient_names(term))
        sd, n_positive = _components(opened, index)
        total = float(np.square(sd).sum())
        share = np.square(sd) / (total if total > 0.0 else np.nan)
        rows += [
            [group, names, k + 1, sd[k], share[k], share[: k + 1].sum(), k >= n_positive]
            for k in range(len(sd))
        ]
    return pd.DataFrame(rows, columns=list(COMPONENTS))


def _components(opened: FittedModel, index: int) -> tuple[FloatArray, int]:
    """Return the singular values of Λ on scaled columns, and how many are not 0."""
    solution, block = opened.solution.terms[index], opened.system.terms[index][1]
    lengths = column_lengths(opened.stats, block.term)
    root_unit = np.sqrt(opened.system.weight_unit)
    if opened.is_repeated:
        root_unit *= opened.solution.sigma / opened.repeated.layout.residual_scale
    centered = block.to_centered(opened.stats.center) @ solution.search_lam
    lam = np.where(lengths > 0.0, lengths, 1.0)[:, None] * centered / root_unit
    # Where Λ lacks rank, columns of it are exactly zero.
    n_positive = int(np.count_nonzero(np.abs(solution.search_lam).max(axis=0)))
    sd = np.linalg.svd(lam, compute_uv=False)
    sd[n_positive:] = 0.0
    return sd, n_positive
