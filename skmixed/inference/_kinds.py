"""What a kind of parameter is: its limits, its profile and its draws."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats as distributions

from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._repeated.small_sample import RepeatedComponents
from skmixed._typing import FloatArray
from skmixed._uncertainty.components import Components, TermErrors
from skmixed._uncertainty.targets import ProfiledModel, Target
from skmixed.inference._bootstrap import Resamples
from skmixed.inference._fixed_tests import open_tests


@dataclass(frozen=True)
class WaldErrors:
    """What Wald limits are made of.

    Attributes
    ----------
    model : MixedLinearRegressor or Pipeline
        The fitted model.
    level : float
        The confidence level of the limits.
    ddf : str or None
        The method for the degrees of freedom of the fixed effects.
    """

    model: Any
    level: float
    ddf: str | None

    @property
    def quantile(self) -> float:
        """Of the normal distribution."""
        return float(distributions.norm.ppf(0.5 + self.level / 2))

    @cached_property
    def components(self) -> Components:
        """Standard errors of sd's and correlations, and of log σ or half of a shape's logarithm."""
        view = fitted(self.model, has_family=True)
        if view.is_generalized:
            return kernel.generalized_components(view.generalized)
        return kernel.components(view.relative)

    @cached_property
    def _repeated(self) -> RepeatedComponents:
        return kernel.repeated_components(fitted(self.model).repeated)

    @property
    def terms(self) -> tuple[TermErrors, ...]:
        """Those of the random effects."""
        is_repeated = fitted(self.model, has_family=True).is_repeated
        return (self._repeated if is_repeated else self.components).terms

    @property
    def residual(self) -> FloatArray:
        """Those of a covariance of the residuals, stratum by stratum."""
        return self._repeated.residual

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """The table of the fixed effects, with their limits."""
        tests = open_tests(self.model, self.ddf)
        return tests.t_table(np.eye(len(tests.names)), list(tests.names), self.level)


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    component : str
        The kind that it is of.
    group, name : str
        Its labels in tables.
    estimate : float
    """

    component: ClassVar[str]
    # Whether it falls as the target of its profile rises.
    falls: ClassVar[bool] = False

    group: str
    name: str
    estimate: float

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.component, self.group, self.name

    @property
    def is_estimated(self) -> bool:
        """Whether the data determine it."""
        return True

    @staticmethod
    def title(group: str, name: str) -> str:
        """Name it and its scale in a display."""
        raise NotImplementedError

    def check_profile(self, view: FittedModel) -> None:
        """Refuse a parameter that cannot be held by itself."""

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        """Return limits from the standard error on a scale on which it is about normal."""
        raise NotImplementedError

    def target(self, profiler: ProfiledModel) -> Target:
        """Return the quantity whose profile it has."""
        raise NotImplementedError

    def of_target(self, profiler: ProfiledModel, values: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the parameter at values of the target."""
        return values

    @property
    def why_open(self) -> str:
        """Say why a limit of the profile may be missing, and what to do."""
        return (
            "the profile could not be followed to it: {}. The likelihood has several maxima there; "
            "simplify the random effects, or use method='bootstrap'."
        )

    def profile_ends(
        self, profiler: ProfiledModel, rise: float
    ) -> tuple[Target, tuple[float, float]]:
        """Return the target, and where in it the deviance has risen by `rise`.

        Where an end is missing, the searches are repeated from several starts.
        """
        target = self.target(profiler)
        ends = kernel.interval(target, profiler.deviance, rise)
        if profiler.is_thorough or np.isfinite(ends).all():
            return target, ends
        return self.profile_ends(profiler.thorough(), rise)

    def profile_limits(self, profiler: ProfiledModel, rise: float) -> tuple[float, float]:
        """Return where the deviance has risen by `rise`."""
        ends = np.array(self.profile_ends(profiler, rise)[1])
        low, high = self.of_target(profiler, ends[::-1] if self.falls else ends)
        return float(low), float(high)

    def most(self, profiler: ProfiledModel) -> float:  # noqa: ARG002
        """Return how far the deviance can rise at most."""
        return np.inf

    def values(self, draws: Resamples) -> FloatArray:
        """Return the parameter in bootstrap samples, (n,); NaN where it is not defined."""
        raise NotImplementedError


def exponential_limits(estimate: float, half: float) -> tuple[float, float]:
    """Return limits of a positive number from half the width of those of its logarithm."""
    if estimate == 0.0:
        return 0.0, np.nan
    with np.errstate(over="ignore"):  # of an sd that is hardly determined
        return float(estimate * np.exp(-half)), float(estimate * np.exp(half))


def correlation_limits(estimate: float, half: float) -> tuple[float, float]:
    """Return limits of a correlation from half the width of those of Fisher's z."""
    if not np.isfinite(half) or abs(estimate) == 1.0:
        return np.nan, np.nan
    z = np.arctanh(estimate)
    return float(np.tanh(z - half)), float(np.tanh(z + half))
