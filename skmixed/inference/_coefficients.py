"""The table of the fixed effects, and their covariance."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import fitted
from skmixed.inference._fixed_tests import open_tests


def coefficient_table(
    model: Any, ddf: str = "satterthwaite", *, level: float = 0.95
) -> pd.DataFrame:
    """Tabulate the fixed effects with t tests and confidence intervals.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        The fitted model.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default="satterthwaite"
        Degrees of freedom of t: Satterthwaite's (as lmerTest), Kenward and
        Roger's with their standard errors (as pbkrtest; for REML fits), n less
        the rank of X, or infinitely many.
    level : float, default=0.95
        The confidence level of the intervals.

    Returns
    -------
    DataFrame
        A row for each fixed effect, the intercept first; NaN for dropped columns.
        Columns: ``estimate``, ``std_error`` (scale of y per unit of the column),
        ``df``, ``t``, ``p_value`` (two-sided), ``lower``, ``upper``.

    Raises
    ------
    ValueError
        If `ddf` or `level` is not among its choices, or for Kenward and Roger's
        method after maximum likelihood.

    See Also
    --------
    contrast : Tests of combinations of the fixed effects.
    anova : Tests of several columns at once.
    confidence_intervals : Intervals of the variances too, also by profiles.

    Notes
    -----
    Satterthwaite's degrees of freedom use the observed information on the
    variances [1]_, Kenward and Roger's the expected one [2]_. Both are read off the
    cross-products and cost a few factorizations, whatever the number of rows. At a
    variance of 0 they differ: Satterthwaite's method drops the variance from the
    model, Kenward and Roger's keeps it.

    References
    ----------
    .. [1] Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest
       package: tests in linear mixed effects models. J. Stat. Softw. 82(13), 1–26,
       doi:10.18637/jss.v082.i13.
    .. [2] Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed
       effects from restricted maximum likelihood. Biometrics 53, 983–997,
       doi:10.2307/2533558.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import coefficient_table
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> coefficient_table(model, "kenward-roger")[["estimate", "std_error", "df", "t"]].round(3)
                 estimate  std_error    df       t
    (Intercept)   251.405      6.825  17.0  36.838
    Days           10.467      1.546  17.0   6.771
    """
    level = validation.check_level(level)
    tests = open_tests(model, ddf)
    return tests.t_table(np.eye(len(tests.names)), list(tests.names), level)


def vcov(model: Any, *, adjusted: bool = False) -> pd.DataFrame:
    """Return the covariance matrix of the estimated fixed effects.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        The fitted model.
    adjusted : bool, default=False
        Whether to correct it for the estimation of the variances; for REML fits.

    Returns
    -------
    DataFrame
        The matrix σ²(X'V⁻¹X)⁻¹, rows and columns by fixed effect; NaN for dropped
        columns.

    Raises
    ------
    ValueError
        For `adjusted` after maximum likelihood.

    See Also
    --------
    coefficient_table : Standard errors, the roots of its diagonal, and tests.

    Notes
    -----
    The correction is Kenward and Roger's [1]_, for the bias of the estimate and for
    the error of the variances in it. In balanced designs both may be 0. Without it
    the matrix is at hand; it costs a few factorizations.

    References
    ----------
    .. [1] Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed
       effects from restricted maximum likelihood. Biometrics 53, 983–997,
       doi:10.2307/2533558.

    Examples
    --------
    With four subjects, the last of them on five of ten days, the correction shows:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import vcov
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> model = model.fit(X[:35], y[:35])
    >>> vcov(model).round(1)
                 (Intercept)  Days
    (Intercept)        553.1 -37.2
    Days               -37.2  33.5
    >>> vcov(model, adjusted=True).round(1)
                 (Intercept)  Days
    (Intercept)        557.9 -40.1
    Days               -40.1  35.2
    """
    validation.check_flag("adjusted", adjusted)
    if adjusted:
        covariance = open_tests(model, "kenward-roger").covariance
    else:
        covariance = fitted(model).solution.fixed_covariance
    view = fitted(model)
    names = list(view.encoder.fixed_names)
    kept = list(view.solution.kept)
    out = np.full((len(names), len(names)), np.nan)
    out[np.ix_(kept, kept)] = covariance
    return pd.DataFrame(out, index=names, columns=names)
