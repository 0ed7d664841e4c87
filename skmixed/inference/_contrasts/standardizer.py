"""The standard deviation that effect sizes are in units of, by name, and how well it is known.

A further one is an entry of `STANDARDIZERS`, for which the tests of this file then run too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.table import shown
from skmixed._equations.system import weight_unit
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_number, chosen
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.results import residual_strata, residual_times
from skmixed._model.residual import shown_parameters
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus

NOWHERE = pd.DataFrame(index=[0])


@dataclass(frozen=True)
class Standardizer:
    """A standard deviation with its degrees of freedom, or one for each comparison.

    Attributes
    ----------
    sd : float or (k,) array
    df : float or (k,) array
        Those of a variance that is known as well as it: 2 v²/Var(v̂).
    description : str
    """

    sd: float | FloatArray
    df: float | FloatArray
    description: str

    @property
    def remark(self) -> str:
        known = f"of {_span(self.df)} degrees of freedom"
        known = "known" if np.isinf(self.df).all() else known
        return f"In units of {self.description}, {_span(self.sd)}, {known}."

    @staticmethod
    def of(
        sigma: Any, df: Any, view: FittedModel | None, within: pd.DataFrame = NOWHERE
    ) -> "Standardizer":
        """Read what a user gives: a name, or numbers with their degrees of freedom.

        `within`: the values that each comparison is within, (k, n_by).
        """
        if isinstance(sigma, str):
            sigma = chosen("sigma", sigma, STANDARDIZERS)
            found = STANDARDIZERS[sigma](_checked(view, sigma), within)
            own_df = found.df if df is None else _given("df", df, within)
            return Standardizer(found.sd, own_df, found.description)
        if isinstance(sigma, Mapping | list | tuple | np.ndarray | pd.Series):
            sd = _given("sigma", sigma, within)
            own_df = np.inf if df is None else _given("df", df, within)
            _check_known(sigma, df, sd)
            return Standardizer(sd, own_df, "the given standard deviations")
        if df is not None:
            check_number("df", df)
        check_number("sigma", sigma)
        _check_known(sigma, df, float(sigma))
        return Standardizer(float(sigma), float(df), "a given standard deviation")


def _check_known(sigma: Any, df: Any, sd: float | FloatArray) -> None:
    if df is None:
        raise ValueError(
            f"sigma={shown(sigma)} needs its degrees of freedom. Give df, such as the number "
            "of values that it is of less one, or df=np.inf for one that is known."
        )
    if not np.isfinite(sd).all():
        raise ValueError(f"sigma={shown(sigma)} is not finite. Give a standard deviation.")


def _span(values: float | FloatArray) -> str:
    """Return a number as a remark shows it, or the least and the largest of several."""
    low, high = (f"{end:.4g}" for end in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"


def _given(name: str, values: Any, within: pd.DataFrame) -> float | FloatArray:
    """Return numbers that a user gives, one for all or for each value that means are within."""
    if not isinstance(values, Mapping | list | tuple | np.ndarray | pd.Series):
        check_number(name, values)
        return float(values)
    keys = _keys(within)
    cells = list(dict.fromkeys(keys))
    by = " and ".join(map(str, within.columns))
    known = ", ".join(map(repr, cells))
    if not by:
        raise ValueError(
            f"{name}={shown(values)} has a number for each value of `by`, and these comparisons "
            "are within none. Give one number, or compare means within a variable by `by`."
        )
    is_named = isinstance(values, Mapping | pd.Series)
    if not is_named and len(values) != len(cells):
        raise ValueError(
            f"{name}={shown(values)} has {len(values)} numbers, and {by} has {len(cells)} values: "
            f"{known}. Give one for each, in this order or by a mapping."
        )
    named = dict(values) if is_named else dict(zip(cells, values, strict=True))
    missing = [cell for cell in cells if cell not in named]
    if missing:
        raise ValueError(
            f"{name}={shown(values)} has no number for {missing[0]!r} of {by}. Give one for each "
            f"of {known}."
        )
    for cell in cells:
        check_number(f"{name}[{cell!r}]", named[cell])
    return np.array([float(named[key]) for key in keys])


def _keys(within: pd.DataFrame) -> list[Any]:
    """Return what each comparison is within: a value, or several as a tuple."""
    rows = list(within.itertuples(index=False, name=None))
    return [row[0] for row in rows] if within.shape[1] == 1 else rows


def _checked(view: FittedModel | None, sigma: str) -> FittedModel:
    """Refuse models that do not have one standard deviation of a response."""
    advice = "Give sigma as a number, with its degrees of freedom df."
    if view is None:
        raise ValueError(f"sigma={sigma!r} is that of a model, which this table has lost. {advice}")
    if view.is_generalized:
        raise ValueError(
            f"sigma={sigma!r} is of linear models: the response of a generalized model has no "
            f"standard deviation on the scale of its link. {advice}"
        )
    if view.is_repeated and sigma != "residual":
        raise ValueError(
            f"sigma={sigma!r} is of models without a covariance of the residuals. Use "
            "sigma='residual', the standard deviation of responses around the random effects, if "
            f"there are any. {advice}"
        )
    if view.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            "The model reproduces the response: its residual standard deviation is 0 to rounding, "
            f"of which there is no multiple. {advice}"
        )
    return view


def _residual(view: FittedModel, within: pd.DataFrame = NOWHERE) -> Standardizer:
    if view.is_repeated:
        return _of_covariance(view, within)
    error = kernel.components(view.relative).log_sigma_error
    return Standardizer(view.solution.sigma, 0.5 / error**2, "the residual standard deviation")


def _of_covariance(view: FittedModel, within: pd.DataFrame) -> Standardizer:
    """Return the standard deviations of a covariance of the residuals, in each place its own."""
    own, subjects = view.solution.residual, view.encoder.subjects
    assert own is not None
    assert subjects is not None
    variance = own.model.variance
    factors = [
        *([subjects.time] if variance.is_of_visits else []),
        *([subjects.by] if len(own.phi) > 1 else []),
    ]
    names = [factor.sources[0].name for factor in factors if factor is not None]
    unknown = [name for name in names if name not in within]
    if variance.others or unknown or any(f is None or len(f.sources) > 1 for f in factors):
        raise ValueError(
            "The residual standard deviations of this model are not the same in all rows: "
            + (f"they differ by {' and '.join(names)}. " if names else "they follow a column. ")
            + (f"Compare means by={names!r}, or give" if unknown and names else "Give")
            + " sigma as numbers, with their degrees of freedom df."
        )
    deviations = _by_place(view)
    keys = list(within[names].itertuples(index=False, name=None)) if names else [()]
    lost = [key for key in keys if key not in deviations]
    if lost:
        where = dict(zip(names, lost[0], strict=True))
        raise ValueError(
            f"The fit has no residual standard deviation at {where}. Compare means at values of "
            "its rows."
        )
    sd, error = np.array([deviations[key] for key in keys]).T
    what = "the residual standard deviation"
    what = f"{what}s by {' and '.join(names)}" if names else what
    if not names:
        return Standardizer(float(sd[0]), float(0.5 * (sd[0] / error[0]) ** 2), what)
    return Standardizer(sd, 0.5 * (sd / error) ** 2, what)


def _by_place(view: FittedModel) -> dict[tuple[Any, ...], tuple[float, float]]:
    """Return each standard deviation of the residuals and its error, by visit and stratum."""
    own, encoder = view.solution.residual, view.encoder
    assert own is not None
    errors = kernel.repeated_components(view.repeated).residual
    times = residual_times(encoder, own) if own.model.variance.is_of_visits else pd.Index([])
    out = {}
    for stratum, label in enumerate(residual_strata(encoder)):
        for place, shown_one in enumerate(shown_parameters(own.model, own.phi[stratum])):
            if shown_one.component == "sigma":
                visit = [times[k - 1] for k in shown_one.key]
                key = (*visit, *([] if label is None or len(own.phi) == 1 else [label]))
                out[key] = shown_one.value, float(errors[stratum, place])
    return out


def _total(view: FittedModel, _: pd.DataFrame = NOWHERE) -> Standardizer:
    plain = view.stats.counted_once()
    rows = plain.factor_around(np.zeros_like(plain.center)) / np.sqrt(plain.n_rows)
    roots = [rows[:, list(term.columns)] for term in view.model.terms]
    variance, error = kernel.total_variance(view.relative, roots, weight_unit(view.stats))
    return Standardizer(float(np.sqrt(variance)), 0.5 / error**2, "the total standard deviation")


STANDARDIZERS: dict[str, Callable[[FittedModel, pd.DataFrame], Standardizer]] = {
    "residual": _residual,
    "total": _total,
}
