"""Confidence intervals of all parameters."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy import stats as distributions
from sklearn.exceptions import ConvergenceWarning

from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF, DDF_OF_R
from skmixed._uncertainty.targets import ProfiledModel
from skmixed.exceptions import FitStatus, warn
from skmixed.inference._bootstrap import bootstrap
from skmixed.inference._kinds import Parameter, WaldErrors
from skmixed.inference._parameters import parameters, wanted_components
from skmixed.inference._progress import progress
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import ConfidenceMethod, Ddf, ParameterKind

T = TypeVar("T")

METHODS = ("wald", "profile", "bootstrap")
HOW = {
    "wald": "{0} intervals by Wald's method.",
    "profile": "{0} intervals by the profile likelihood.",
    "bootstrap": "{0} intervals by percentiles of {1} parametric bootstrap samples.",
}


def confidence_intervals(
    model: Any,
    method: ConfidenceMethod = "wald",
    *,
    level: float = 0.95,
    components: ParameterKind | Sequence[ParameterKind] | None = None,
    ddf: Ddf | None = None,
    n_samples: int = 1000,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ResultTable:
    """Confidence intervals of variance components and fixed effects.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.
    method : {"wald", "profile", "bootstrap"}, default="wald"
        Wald: normal on the scales of log sd, Fisher's z and log σ or log shape, and t
        for the fixed effects, normal too of generalized models. Profile: where the
        deviance rises by less than a quantile of χ²(1); of the likelihood, also after a
        REML fit, as in lme4.
        Bootstrap: percentiles of parametric samples refitted.
    level : float, default=0.95
        The confidence level of the intervals.
    components : list of {"sd", "corr", "sigma", "fixed", "range", "power", "shape"}, default=None
        The kinds of parameters to list; None lists all.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        Degrees of freedom of the Wald intervals of the fixed effects, as in
        `coefficient_table`.
    n_samples : int, default=1000
        Bootstrap samples.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.
    n_jobs : int, default=None
        Processes of the bootstrap, as everywhere in scikit-learn.
    verbose : int, default=0
        1 shows a progress bar of the bootstrap or of the profiles (needs tqdm).

    Returns
    -------
    ResultTable
        A row for each parameter: ``component``, one of `components`,
        ``group``, ``name``, ``estimate`` (the model's own), ``lower``, ``upper``.
        Standard deviations are on the scale of y, or of the link, per unit of the
        column; σ is that of a row of weight 1.

    Raises
    ------
    ValueError
        If a parameter is not known, the model reproduces y exactly or tells its
        classes apart without error, so that
        there is no likelihood to profile or sample from, or a profile is asked
        for of correlations that the covariance ties, or of a model with a residual
        covariance.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model, for Wald intervals
        of fixed effects.
    sklearn.exceptions.ConvergenceWarning
        If a profile could not be followed to a limit, which is then NaN, or refits
        of the bootstrap did not converge.

    See Also
    --------
    profile : The profiles, of which these are the ends.
    coefficient_table : Wald intervals of the fixed effects, with tests.
    likelihood_ratio_test : Whether a variance is 0.

    Notes
    -----
    Wald intervals are those of [1]_, profiles those of lme4 [2]_.

    Wald intervals of a variance of 0 or a correlation of ±1 have no upper or no
    limits (NaN): the information there says nothing about the boundary. Profiles
    are right there: the interval is one-sided, and a limit of 0, −1 or 1 means
    that the deviance rises by less up to it. A correlation is open, (−1, 1), where
    one of its standard deviations may be 0.

    Maximum likelihood finds variances of few groups too small where fixed effects are
    constant within groups, and profiles with it: of six groups, half of them treated,
    those of 95 % held the standard deviation in 82 % of simulations. Wald intervals after a
    REML fit err to the other side.

    Wald intervals of sd's, correlations and σ, and all profiles, factor the
    mixed-model equations, also after a fit by the iterative solver, where that may
    take minutes or have no room in memory; ``components=["fixed"]`` does without.

    Of a residual covariance, group "residual", there are each σ and "corr" that it has as
    parameters, by time, pair of times or lag; "range", the distance at which the
    correlation has fallen to 1/e; and "power", the exponent δ. Errors come from the exact
    observed information, and a parameter at a boundary has no limits.

    A profile is found by Newton's method with the observed information, for which
    the search is repeated with the parameter held at 2 to 3 values for each limit;
    at the limit from several starts, where the likelihood may have several optima.
    The bootstrap draws the cross-products, not rows; of a model with a residual covariance
    and of generalized ones it draws rows, and searches from the estimates that they are
    drawn with. A profile of a shape moves the coefficient of variation, whose square is its
    inverse: at 0 a negative binomial model is Poisson's, and an upper limit may be infinite.

    References
    ----------
    .. [1] Pinheiro, J. C. and Bates, D. M. (2000). Mixed-Effects Models in S and
       S-PLUS. Springer, section 2.4.3.
    .. [2] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01, section 5.1.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import confidence_intervals
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> confidence_intervals(model, "profile", components=["sd", "sigma"]).round(2)
      component     group         name  estimate  lower  upper
    0        sd   Subject  (Intercept)     24.74  14.38  37.72
    1        sd   Subject         Days      5.92   3.80   8.75
    2     sigma  residual                  25.59  22.90  28.86
    """
    method = validation.chosen("method", method, METHODS, {"boot": "bootstrap"})
    level = validation.check_level(level)
    if ddf is not None:
        ddf = validation.chosen("ddf", ddf, DDF, DDF_OF_R)
    validation.check_number("n_samples", n_samples, integral=True)
    wanted = wanted_components(components)
    view = fitted(model, has_family=True)
    if method == "profile":
        check_has_profiles(view)
    if method != "wald":
        check_has_optimum(view, method)
    rows = parameters(view, wanted)
    if method == "wald":
        errors = WaldErrors(model, level, ddf)
        limits = [row.wald_limits(errors) for row in rows]
    elif method == "profile":
        at_level = partial(limits_at, levels=[level])
        traces = traced(view, rows, at_level, "profile intervals", verbose=verbose)
        limits = [own for (own,) in traces]
    else:
        draws = bootstrap(
            model, n_samples, random_state=random_state, n_jobs=n_jobs, verbose=verbose > 0
        )
        limits = [_percentiles(row.values(draws), level) for row in rows]
    found = [(*row.labels, row.estimate, *own) for row, own in zip(rows, limits, strict=True)]
    columns = ["component", "group", "name", "estimate", "lower", "upper"]
    table = pd.DataFrame(found, columns=columns)
    if method == "profile":
        _warn_unless_found(rows, table)
    how = HOW[method].format(f"{100 * level:g} %", f"{n_samples:,}")
    return ResultTable.of(table, "Confidence intervals", [how])


def check_has_optimum(view: FittedModel, method: str) -> None:
    """Refuse to vary a likelihood that has no maximum."""
    if view.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            f"The model reproduces y exactly, so that there is nothing for method={method!r} to "
            "vary. Leave out columns or groups."
        )
    if view.estimate.status is FitStatus.SEPARATED:
        raise ValueError(
            "The classes are told apart without error, so that its effects have no finite "
            f"estimates for method={method!r} to vary. Leave out the columns that the fit names."
        )


def check_has_profiles(view: FittedModel) -> None:
    """Refuse likelihood profiles of a model with a residual covariance."""
    if view.is_repeated:
        raise ValueError(
            "There are no likelihood profiles of models with a residual covariance (residual=...). "
            "Use confidence_intervals with method='wald' or 'bootstrap'."
        )


def _warn_unless_found(rows: list[Parameter], table: pd.DataFrame) -> None:
    is_open = table[["lower", "upper"]].isna().any(axis=1)
    names: dict[str, list[str]] = {}
    for row, missing in zip(rows, is_open, strict=True):
        if missing and row.is_estimated:
            names.setdefault(row.why_open, []).append(" ".join(x for x in row.labels if x))
    for reason, own in names.items():
        warn(f"A limit is NaN where {reason.format('; '.join(own))}", ConvergenceWarning)


def limits_at(
    profiler: ProfiledModel, row: Parameter, *, levels: Sequence[float]
) -> list[tuple[float, float]]:
    """Return the limits of the likelihood profile of a parameter at each level."""
    rises = [float(distributions.chi2.ppf(level, 1)) for level in levels]
    return [row.profile_limits(profiler, rise) for rise in rises]


def traced(
    view: FittedModel,
    rows: list[Parameter],
    trace: Callable[[ProfiledModel, Parameter], T],
    what: str,
    *,
    verbose: int,
) -> list[T]:
    """Return what `trace` reads off the likelihood's profile of each parameter.

    With `verbose` a progress bar counts the parameters, and calls them `what`.
    """
    for row in rows:
        row.check_profile(view)
    with progress(len(rows), what, "parameter", verbose=verbose > 0) as advance:

        def counted(profiler: ProfiledModel, row: Parameter) -> T:
            found = trace(profiler, row)
            advance(1)
            return found

        if view.is_generalized:
            return kernel.generalized_profiles(view.generalized, rows, counted)
        return kernel.profiles(view.stats, view.model, rows, counted)


def _percentiles(values: FloatArray, level: float) -> tuple[float, float]:
    """Return percentiles of bootstrap samples."""
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
