"""The standard deviation that effect sizes are in units of, by name, and how well it is known.

A further one is an entry of `STANDARDIZERS`, for which the tests of this file then run too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmixed._data.table import shown
from skmixed._equations.system import weight_unit
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_choice, check_number
from skmixed._fitted.fitted_model import FittedModel
from skmixed.exceptions import FitStatus


@dataclass(frozen=True)
class Standardizer:
    """A standard deviation with its degrees of freedom.

    Attributes
    ----------
    sd : float
    df : float
        Those of a variance that is known as well as it: 2 v²/Var(v̂).
    description : str
    """

    sd: float
    df: float
    description: str

    @property
    def remark(self) -> str:
        known = "known" if np.isinf(self.df) else f"of {self.df:.4g} degrees of freedom"
        return f"In units of {self.description}, {self.sd:.4g}, {known}."

    @staticmethod
    def of(sigma: Any, df: Any, view: FittedModel | None) -> "Standardizer":
        """Read what a user gives: a name, or a number with its degrees of freedom."""
        if df is not None:
            check_number("df", df)
        if isinstance(sigma, str):
            check_choice("sigma", sigma, STANDARDIZERS)
            found = STANDARDIZERS[sigma](_checked(view, sigma))
            return found if df is None else Standardizer(found.sd, float(df), found.description)
        check_number("sigma", sigma)
        if df is None:
            raise ValueError(
                f"sigma={shown(sigma)} needs its degrees of freedom. Give df, such as the number "
                "of values that it is of less one, or df=np.inf for one that is known."
            )
        if not np.isfinite(float(sigma)):
            raise ValueError(f"sigma={shown(sigma)} is not finite. Give a standard deviation.")
        return Standardizer(float(sigma), float(df), "a given standard deviation")


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
    if view.is_repeated:
        raise ValueError(
            f"sigma={sigma!r} is of models with one residual standard deviation, and this one has "
            f"a covariance of the residuals; residual_covariance_ shows it. {advice}"
        )
    if view.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            "The model reproduces the response: its residual standard deviation is 0 to rounding, "
            f"of which there is no multiple. {advice}"
        )
    return view


def _residual(view: FittedModel) -> Standardizer:
    error = kernel.components(view.relative).log_sigma_error
    return Standardizer(view.solution.sigma, 0.5 / error**2, "the residual standard deviation")


def _total(view: FittedModel) -> Standardizer:
    plain = view.stats.counted_once()
    rows = plain.factor_around(np.zeros_like(plain.center)) / np.sqrt(plain.n_rows)
    roots = [rows[:, list(term.columns)] for term in view.model.terms]
    variance, error = kernel.total_variance(view.relative, roots, weight_unit(view.stats))
    return Standardizer(float(np.sqrt(variance)), 0.5 / error**2, "the total standard deviation")


STANDARDIZERS: dict[str, Callable[[FittedModel], Standardizer]] = {
    "residual": _residual,
    "total": _total,
}
