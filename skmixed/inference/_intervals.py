"""Confidence intervals of all parameters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as distributions
from sklearn.exceptions import ConvergenceWarning

from skmixed._data.parameters import items_of
from skmixed._data.warning import warn
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._fitted.results import covariance_of
from skmixed._fitted.runtime import single_threaded_blas
from skmixed._model.covariance import has_covariances, is_unrestricted
from skmixed._typing import FloatArray
from skmixed._uncertainty.components import components
from skmixed._uncertainty.degrees_of_freedom import METHODS as DEGREES
from skmixed._uncertainty.interval_ends import interval
from skmixed._uncertainty.profile import (
    CorrelationTarget,
    EffectTarget,
    Profiler,
    SdTarget,
    SigmaTarget,
)
from skmixed.exceptions import FitStatus
from skmixed.inference._bootstrap import Resamples, bootstrap
from skmixed.inference._fixed_tests import open_tests

METHODS = ("wald", "profile", "bootstrap")
COMPONENTS = ("sd", "corr", "sigma", "fixed")
# Correlations are open where an sd is below this share of the term's largest.
NO_SD = 1e-12


def confidence_intervals(
    model: Any,
    method: str = "wald",
    *,
    level: float = 0.95,
    components: str | Sequence[str] | None = None,
    ddf: str = "satterthwaite",
    n_samples: int = 1000,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Confidence intervals of variance components and fixed effects.

    Parameters
    ----------
    model : MixedLinearRegressor or Pipeline
        The fitted model.
    method : {"wald", "profile", "bootstrap"}, default="wald"
        Wald: normal on the scales of log sd, Fisher's z and log σ, and t for
        the fixed effects. Profile: where the deviance rises by less than a
        quantile of χ²(1); of the likelihood, also after a REML fit, as in lme4.
        Bootstrap: percentiles of parametric samples refitted.
    level : float, default=0.95
        The confidence level of the intervals.
    components : list of {"sd", "corr", "sigma", "fixed"}, default=None
        The kinds of parameters to list; None lists all.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default="satterthwaite"
        Degrees of freedom of the Wald intervals of the fixed effects.
    n_samples : int, default=1000
        Bootstrap samples.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.
    n_jobs : int, default=None
        Processes of the bootstrap, as everywhere in scikit-learn.
    verbose : int, default=0
        1 shows a progress bar of the bootstrap (needs tqdm).

    Returns
    -------
    DataFrame
        A row for each parameter: ``component`` ("sd", "corr", "sigma", "fixed"),
        ``group``, ``name``, ``estimate`` (the model's own), ``lower``, ``upper``.
        Standard deviations are on the scale of y per unit of the column; σ is
        that of a row of weight 1.

    Raises
    ------
    ValueError
        If a parameter is not known, the model reproduces y exactly, so that
        there is no likelihood to profile or sample from, or a profile is asked
        for of correlations that the covariance ties.

    Warns
    -----
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

    A profile is found by Newton's method with the observed information, for which
    the search is repeated with the parameter held at 2 to 3 values for each limit.
    The bootstrap draws the cross-products, not rows.

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
    validation.check_choice("method", method, METHODS)
    level = validation.check_level(level)
    validation.check_choice("ddf", ddf, DEGREES)
    validation.check_number("n_samples", n_samples, integral=True)
    wanted = wanted_components(components)
    view = fitted(model)
    if method != "wald" and view.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            f"The model reproduces y exactly, so that there is nothing for method={method!r} to "
            "vary. Leave out columns or groups."
        )
    rows = [row for row in parameters(view) if row.component in wanted]
    if method == "profile":
        check_profiles(view, rows)
    source: _Wald | _Profiles | _Percentiles
    with single_threaded_blas():
        if method == "wald":
            source = _Wald(model, view, level, ddf)
        elif method == "profile":
            source = _Profiles(view, level)
        else:
            draws = bootstrap(
                model, n_samples, random_state=random_state, n_jobs=n_jobs, verbose=verbose > 0
            )
            source = _Percentiles(draws, level)
        found = [(*row.labels, row.estimate, *source.limits(row)) for row in rows]
    columns = ["component", "group", "name", "estimate", "lower", "upper"]
    table = pd.DataFrame(found, columns=columns)
    if method == "profile":
        _warn_unless_found(rows, table)
    return table


def _warn_unless_found(rows: "list[Parameter]", table: pd.DataFrame) -> None:
    is_open = table[["lower", "upper"]].isna().any(axis=1)
    names = [
        " ".join(label for label in row.labels if label)
        for row, missing in zip(rows, is_open, strict=True)
        if missing and not row.is_dropped
    ]
    if names:
        warn(
            f"A limit is NaN where the profile could not be followed to it: {'; '.join(names)}. "
            "The likelihood has several maxima there; simplify the random effects, or use "
            "method='bootstrap'.",
            ConvergenceWarning,
        )


def wanted_components(components: str | Sequence[str] | None) -> tuple[str, ...]:
    if components is None:
        return COMPONENTS
    wanted = (components,) if isinstance(components, str) else items_of(components, "components")
    for name in wanted:
        validation.check_choice("components", name, COMPONENTS)
    return wanted


@dataclass(frozen=True)
class Parameter:
    """One row of the result.

    term, a, b : the term and its coefficients; of a fixed effect a is its place
    among all, b among the kept ones (−1: dropped).
    """

    component: str
    group: str
    name: str
    estimate: float
    term: int = -1
    a: int = -1
    b: int = -1

    @property
    def is_dropped(self) -> bool:
        return self.component == "fixed" and self.b < 0

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.component, self.group, self.name


def parameters(view: FittedModel) -> Iterator[Parameter]:
    """List the parameters: those of each term, σ, the fixed effects."""
    encoder, solution = view.encoder, view.solution
    for k, (term, own) in enumerate(zip(encoder.terms, solution.terms, strict=True)):
        group, names = encoder.factors[term.factor].name, encoder.coefficient_names(term)
        covariance = covariance_of(own.lam, solution.sigma)
        sd = np.sqrt(np.diagonal(covariance))
        for a, name in enumerate(names):
            yield Parameter("sd", group, name, float(sd[a]), k, a)
        for a in range(len(names) if has_covariances(term.structure) else 0):
            for b in range(a):
                size = float(sd[a] * sd[b])
                corr = float(np.clip(covariance[a, b] / size, -1, 1)) if size > 0 else np.nan
                yield Parameter("corr", group, f"{names[b]}, {names[a]}", corr, k, a, b)
    yield Parameter("sigma", "residual", "", solution.sigma)
    for a, name in enumerate(encoder.fixed_names):
        at = solution.kept.index(a) if a in solution.kept else -1
        value = float(solution.fixed[a]) if at >= 0 else np.nan
        yield Parameter("fixed", "", name, value, a=a, b=at)


def check_profiles(view: FittedModel, rows: "list[Parameter]") -> None:
    """Refuse correlations that cannot be held one at a time."""
    for term in {row.term for row in rows if row.component == "corr"}:
        structure = view.encoder.terms[term].structure
        if not is_unrestricted(structure):
            raise ValueError(
                f"The correlations of covariance={structure.name!r} are tied, and have no profile. "
                "Leave 'corr' out of `components`, or use confidence_intervals with "
                "method='wald' or 'bootstrap'."
            )


class _Wald:
    """Normal on transformed scales, and t."""

    def __init__(self, model: Any, view: FittedModel, level: float, ddf: str) -> None:
        self.errors = components(view.relative)
        self.quantile = float(distributions.norm.ppf(0.5 + level / 2))
        tests = open_tests(model, ddf)
        self.table = tests.t_table(np.eye(len(tests.names)), list(tests.names), level)

    def limits(self, row: Parameter) -> tuple[float, float]:
        if row.component == "fixed":
            low, high = self.table[["lower", "upper"]].iloc[row.a]
            return float(low), float(high)
        if row.component == "sigma":
            return _exponential(row.estimate, self.quantile * self.errors.log_sigma_error)
        own = self.errors.terms[row.term]
        if row.component == "sd":
            return _exponential(row.estimate, self.quantile * float(own.log_sd_error[row.a]))
        half = self.quantile * float(own.z_error[row.a, row.b])
        if not np.isfinite(half):
            return np.nan, np.nan
        z = np.arctanh(row.estimate)
        return float(np.tanh(z - half)), float(np.tanh(z + half))


def _exponential(estimate: float, half: float) -> tuple[float, float]:
    if estimate == 0.0:
        return 0.0, np.nan
    with np.errstate(over="ignore"):  # of an sd that is hardly determined
        return float(estimate * np.exp(-half)), float(estimate * np.exp(half))


class _Profiles:
    """Likelihood profiles."""

    def __init__(self, view: FittedModel, level: float) -> None:
        self.profiler = Profiler.of(view.stats, view.model)
        self.rise = float(distributions.chi2.ppf(level, 1))
        self.unit = float(np.sqrt(self.profiler.blocks.weight_unit))

    def limits(self, row: Parameter) -> tuple[float, float]:
        profiler = self.profiler
        if row.component == "fixed":
            return self._of_effect(row)
        if row.component == "corr":
            target = CorrelationTarget(profiler, row.term, row.a, row.b)
            if target.is_free(self.rise):
                return -1.0, 1.0
            angles = interval(target, profiler.deviance, self.rise)
            return float(np.cos(angles[1])), float(np.cos(angles[0]))
        if row.component == "sd":
            of_sd = SdTarget(profiler, row.term, row.a)
            return interval(of_sd, profiler.deviance, self.rise)
        low, high = interval(SigmaTarget(profiler), profiler.deviance, self.rise)
        return self.unit * low, self.unit * high

    def _of_effect(self, row: Parameter) -> tuple[float, float]:
        if row.is_dropped:
            return np.nan, np.nan
        unit = np.eye(len(self.profiler.solution.kept))[row.b]
        target = EffectTarget(self.profiler, unit, row.b)
        return interval(target, self.profiler.deviance, self.rise)


class _Percentiles:
    """Percentiles of bootstrap samples."""

    def __init__(self, draws: Resamples, level: float) -> None:
        self.draws = draws
        self.shares = [0.5 - level / 2, 0.5 + level / 2]

    def limits(self, row: Parameter) -> tuple[float, float]:
        values = self._values(row)
        values = values[np.isfinite(values)]
        if not len(values):
            return np.nan, np.nan
        low, high = np.quantile(values, self.shares)
        return float(low), float(high)

    def _values(self, row: Parameter) -> FloatArray:
        if row.component == "fixed":
            return self.draws.fixed[:, row.a] if row.b >= 0 else np.empty(0)
        if row.component == "sigma":
            return self.draws.sigma
        covariance = self.draws.covariances[row.term]
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        if row.component == "sd":
            return sd[:, row.a]
        known = (sd[:, [row.a, row.b]] > NO_SD * sd.max(axis=1, keepdims=True)).all(axis=1)
        size = np.where(known, sd[:, row.a] * sd[:, row.b], np.nan)
        return np.clip(covariance[:, row.a, row.b] / size, -1.0, 1.0)
