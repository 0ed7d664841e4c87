"""Whether counts and proportions vary more than their distribution lets expect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import chdtrc

from skmixed._fitted.fitted_model import FittedModel, regressor_of
from skmixed.diagnostics._family_rows import FamilyRows, open_family_rows
from skmixed.inference._tables.series import ResultSeries


def overdispersion_test(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
) -> ResultSeries:
    """Test whether counts or proportions vary more than the model allows.

    Parameters
    ----------
    model : MixedPoissonRegressor, MixedBinomialRegressor or another generalized model
        Fitted; or a Pipeline that ends in one.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights, or numbers of trials; needed if the fit had them.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit`.

    Returns
    -------
    ResultSeries
        A Series: ``chi2``, the sum of the squares of the Pearson residuals; ``df``, the number of
        responses less that of the model's parameters; ``ratio`` of the two, about 1 if the
        model holds; ``p_value``, the probability of a larger ``chi2`` then.

    Raises
    ------
    ValueError
        If the model estimates the variance by a parameter of its own, as linear models and
        gamma's do, or each response is one trial with two outcomes, of which the mean alone
        says how it varies.

    See Also
    --------
    residuals : The residuals that are summed.

    Notes
    -----
    The test is approximate: the effects of the groups take up some of the variation, so
    that it errs to the safe side, and where means are small the sum is not χ² [1]_. More
    variation than expected makes standard errors too small. Then add a random effect of each
    row, or take `MixedNegativeBinomialRegressor`.

    A weight counts its row so often; a number of trials is that of one response.

    References
    ----------
    .. [1] Bolker, B. M. et al. (2009). Generalized linear mixed models: a practical guide for
       ecology and evolution. Trends Ecol. Evol. 24, 127–135, doi:10.1016/j.tree.2008.10.008.

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed import MixedPoissonRegressor
    >>> from skmixed.diagnostics import overdispersion_test
    >>> rng = np.random.default_rng(0)
    >>> clinic = np.repeat(np.arange(30), 10)
    >>> mean = 3 * rng.gamma(4, 1 / 4, 30)[clinic]
    >>> y = rng.poisson(mean * rng.gamma(2, 1 / 2, 300))
    >>> model = MixedPoissonRegressor(0).fit(clinic[:, None], y)
    >>> overdispersion_test(model, clinic[:, None], y)
    Test of overdispersion
       chi2   df   ratio  p_value
     513.89  298  1.7245   <0.001
    """
    _check_testable(regressor_of(model)._model)
    rows = open_family_rows(
        model, X, y, sample_weight=sample_weight, groups=groups, exposure=exposure
    )
    found = dispersion_of(rows)
    if found is None:
        raise ValueError(
            "Each response is one trial with two outcomes, whose variance follows from its mean: "
            "there is no overdispersion to be seen. Test proportions of several trials."
        )
    return ResultSeries.of(found, "Test of overdispersion")


def dispersion_of(rows: FamilyRows) -> pd.Series | None:
    """Return the test, or None where responses cannot vary more than their means say."""
    family = rows.family
    if not (family.is_counted or (family.of_trials and (rows.trials > 1.0).any())):
        return None
    chi2 = float(np.square(rows.pearson_residuals()).sum())
    df = rows.n_outcomes - rows.given.fitted.solution.n_parameters
    ratio, p_value = (chi2 / df, float(chdtrc(df, chi2))) if df > 0 else (np.nan, np.nan)
    values = {"chi2": chi2, "df": df, "ratio": ratio, "p_value": p_value}
    return pd.Series(values, name="overdispersion")


def _check_testable(opened: FittedModel) -> None:
    if not opened.is_generalized:
        kind = "A linear model"
    elif not (opened.family.is_counted or opened.family.of_trials):
        kind = "A model of gamma's distribution"
    else:
        return
    raise ValueError(
        f"{kind} estimates the variance of its responses, so that they vary as it expects. "
        "overdispersion_test is for counts and proportions."
    )
