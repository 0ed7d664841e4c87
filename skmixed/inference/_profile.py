"""Likelihood profiles of the parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as distributions

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import fitted
from skmixed._typing import FloatArray
from skmixed._uncertainty.targets import ProfiledModel, Target
from skmixed.inference._intervals import check_has_optimum, check_has_profiles, limits_at, traced
from skmixed.inference._kinds import Parameter
from skmixed.inference._parameters import parameters, wanted_components
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import ParameterKind

COLUMNS = ("component", "group", "name", "value", "zeta")


def profile(
    model: Any,
    *,
    level: float = 0.99,
    components: ParameterKind | Sequence[ParameterKind] | None = None,
    n_points: int = 6,
    verbose: int = 0,
) -> ResultTable:
    """Likelihood profiles of the parameters, as signed roots of deviance.

    ζ(v) = sign(v − v̂)·√(d(v) − d(v̂)): d(v) is the least deviance with the parameter
    held at v, v̂ the maximum-likelihood estimate. A straight line is a quadratic
    deviance; bends and steps say where Wald intervals mislead. An interval of level
    1 − α holds the values with ζ² below the 1 − α quantile of χ²(1).

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.
    level : float, default=0.99
        Profiles extend to the ends of the intervals of this confidence level.
    components : list of {"sd", "corr", "sigma", "fixed", "shape"}, default=None
        The kinds of parameters to profile; None takes all.
    n_points : int, default=6
        Values on each side of the estimate, in equal steps up to the end.
    verbose : int, default=0
        1 shows a progress bar of the parameters (needs tqdm).

    Returns
    -------
    ResultTable
        Parameter by parameter with rising values, columns ``component``, ``group``,
        ``name`` as in `confidence_intervals`; ``value``, on the scale of the
        parameter; ``zeta``, without unit, 0 at the estimate. Columns of X that
        were dropped have no rows.

    Raises
    ------
    ValueError
        If a parameter is not known, the model reproduces y exactly or tells its classes
        apart without error, or a correlation is one that the covariance ties to others.
    TypeError
        If `model` is no regressor of this package, or a number is of another kind.

    See Also
    --------
    confidence_intervals : The ends of profiles, with ``method="profile"``.
    skmixed.plotting.ProfileDisplay : A plot of them.

    Notes
    -----
    Such plots are those of [1]_, and of [2]_ for mixed models. Profiles are of the
    likelihood, also after a REML fit, so that ζ = 0 is at the maximum-likelihood
    estimate. At a bound (an sd of 0, a correlation of ±1) a profile ends, with the ζ
    that it has there. A side on which the searches end in different optima, so that no
    end is found, is left out.

    References
    ----------
    .. [1] Bates, D. M. and Watts, D. G. (1988). Nonlinear Regression Analysis and Its
       Applications. Wiley, section 6.1.
    .. [2] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01, section 5.1.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import profile
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> profile(model, components="sigma", level=0.95, n_points=2).round(2)
      component     group name  value  zeta
    0     sigma  residual       22.90 -1.96
    1     sigma  residual       24.25 -0.93
    2     sigma  residual       25.59  0.00
    3     sigma  residual       27.22  1.03
    4     sigma  residual       28.86  1.96
    """
    return profile_with_intervals(model, level, (), components, n_points, verbose)[0]


def profile_with_intervals(
    model: Any,
    level: float,
    levels: Sequence[float],
    components: ParameterKind | Sequence[ParameterKind] | None,
    n_points: int,
    verbose: int,
) -> tuple[ResultTable, pd.DataFrame]:
    """Return the table of `profile`, and the profile intervals of several levels."""
    level = validation.check_level(level)
    validation.check_number("n_points", n_points, integral=True)
    validation.check_verbose(verbose)
    wanted = wanted_components(components)
    view = fitted(model, has_family=True)
    check_has_profiles(view)
    check_has_optimum(view, "profile")
    rise = float(distributions.chi2.ppf(level, 1))
    rows = [row for row in parameters(view, wanted) if row.is_estimated]

    def trace(
        profiler: ProfiledModel, row: Parameter
    ) -> tuple[tuple[FloatArray, FloatArray], list[tuple[float, float]]]:
        path = _path(profiler, row, rise=rise, n_points=n_points)
        return path, limits_at(profiler, row, levels=levels)

    found = traced(view, rows, trace, "profiles", verbose=verbose)
    points = [
        (*row.labels, *point)
        for row, (path, _) in zip(rows, found, strict=True)
        for point in zip(*path, strict=True)
    ]
    ends = [
        (*row.labels, level, *own)
        for row, (_, limits) in zip(rows, found, strict=True)
        for level, own in zip(levels, limits, strict=True)
    ]
    remark = "zeta is the signed root of the rise of the deviance."
    table = pd.DataFrame(points, columns=list(COLUMNS))
    intervals = pd.DataFrame(ends, columns=[*COLUMNS[:3], "level", "lower", "upper"])
    return ResultTable.of(table, "Likelihood profiles", [remark]), intervals


def _path(
    profiler: ProfiledModel, row: Parameter, *, rise: float, n_points: int
) -> tuple[FloatArray, FloatArray]:
    """Return values in rising order, and ζ.

    A deviance that can rise no further has no ends, but those of the target.
    """
    target, most = row.target(profiler), row.most(profiler)
    ends = target.bounds
    if most > rise:
        target, ends = row.profile_ends(profiler, rise)
    values, rises = _rises(target, profiler.deviance, ends, n_points)
    zeta = np.sign(values - target.best) * np.sqrt(np.minimum(rises, max(most, 0.0)))
    found = row.of_target(profiler, values)
    return (found[::-1], -zeta[::-1]) if row.falls else (found, zeta)


def _rises(
    target: Target, deviance: float, ends: tuple[float, float], n_points: int
) -> tuple[FloatArray, FloatArray]:
    """Return rising values from end to end, and how much the deviance rises there.

    Evaluated from the top down: each search starts from the last one's result, the
    first at the upper end, where that of the interval has stopped.
    """
    share = np.arange(1, n_points + 1) / n_points
    # A side without an end is left out.
    ends = (
        target.best if np.isnan(ends[0]) else ends[0],
        target.best if np.isnan(ends[1]) else ends[1],
    )
    above, below = ([target.best + s * (end - target.best) for s in share] for end in ends[::-1])
    above[-1], below[-1] = ends[1], ends[0]
    values = [*above[::-1], target.best, *below]
    values = sorted(set(values), reverse=True)
    rises = [0.0 if v == target.best else _deviance(target, v) - deviance for v in values]
    return np.array(values[::-1]), np.maximum(rises[::-1], 0.0)


def _deviance(target: Target, value: float) -> float:
    return target.at_bound(value) if value in target.bounds else target.at(value)[0]
