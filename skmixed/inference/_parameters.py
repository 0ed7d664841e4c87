"""The parameters of a fitted model, kind by kind: each knows its limits, profile and draws.

A further kind is a further class here, an entry of `KINDS`, and what `parameters` lists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats as distributions

from skmixed._data.parameters import items_of
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._fitted.results import RESIDUAL, covariance_of
from skmixed._model.covariance import has_covariances, is_unrestricted
from skmixed._typing import FloatArray
from skmixed._uncertainty.components import Components
from skmixed._uncertainty.interval_ends import Target
from skmixed._uncertainty.profile import (
    CorrelationTarget,
    EffectTarget,
    Profiler,
    SdTarget,
    SigmaTarget,
)
from skmixed.inference._bootstrap import Resamples
from skmixed.inference._fixed_tests import open_tests

# Correlations are open where an sd is below this share of the term's largest.
NO_SD = 1e-12
# Correlations that differ from ±1 by less have no digits left in the angle between the
# coefficients, whose square the difference is.
NO_ANGLE = 1e-9


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
        """Standard errors of sd's and correlations, which a factorization gives."""
        return kernel.components(fitted(self.model).relative)

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

    def target(self, profiler: Profiler) -> Target:
        """Return the quantity whose profile it has."""
        raise NotImplementedError

    def of_target(self, profiler: Profiler, values: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the parameter at values of the target."""
        return values

    @property
    def why_open(self) -> str:
        """Say why a limit of the profile may be missing, and what to do."""
        return (
            "the profile could not be followed to it: {}. The likelihood has several maxima there; "
            "simplify the random effects, or use method='bootstrap'."
        )

    def profile_ends(self, profiler: Profiler, rise: float) -> tuple[Target, tuple[float, float]]:
        """Return the target, and where in it the deviance has risen by `rise`.

        Where an end is missing, the searches are repeated from several starts.
        """
        target = self.target(profiler)
        ends = kernel.interval(target, profiler.deviance, rise)
        if profiler.is_doubtful or np.isfinite(ends).all():
            return target, ends
        return self.profile_ends(replace(profiler, is_doubtful=True), rise)

    def profile_limits(self, profiler: Profiler, rise: float) -> tuple[float, float]:
        """Return where the deviance has risen by `rise`."""
        ends = np.array(self.profile_ends(profiler, rise)[1])
        low, high = self.of_target(profiler, ends[::-1] if self.falls else ends)
        return float(low), float(high)

    def most(self, profiler: Profiler) -> float:  # noqa: ARG002
        """Return how far the deviance can rise at most."""
        return np.inf

    def values(self, draws: Resamples) -> FloatArray:
        """Return the parameter in bootstrap samples, (n,); NaN where it is not defined."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sd(Parameter):
    """The standard deviation of coefficient a of a term."""

    component = "sd"

    term: int
    a: int

    @staticmethod
    def title(group: str, name: str) -> str:
        return f"sd of {name} | {group}"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        log_error = float(errors.components.terms[self.term].log_sd_error[self.a])
        return exponential_limits(self.estimate, errors.quantile * log_error)

    def target(self, profiler: Profiler) -> Target:
        return SdTarget(profiler, self.term, self.a)

    def values(self, draws: Resamples) -> FloatArray:
        return np.sqrt(draws.covariances[self.term][:, self.a, self.a])


@dataclass(frozen=True)
class Correlation(Parameter):
    """The correlation of coefficients a and b of a term; NaN beside an sd of 0."""

    component = "corr"
    falls = True

    term: int
    a: int
    b: int

    @staticmethod
    def title(group: str, name: str) -> str:
        return f"corr. {name} | {group}"

    @property
    def why_open(self) -> str:
        if 1.0 - abs(self.estimate) >= NO_ANGLE:
            return super().why_open
        return (
            "a correlation is ±1 to all digits that its columns leave it: {}. They are far from 0 "
            "or nearly equal; center them, or take their difference for one of them."
        )

    def check_profile(self, view: FittedModel) -> None:
        structure = view.encoder.terms[self.term].structure
        if not is_unrestricted(structure):
            raise ValueError(
                f"The correlations of covariance={structure.name!r} are tied, and have no profile. "
                "Leave 'corr' out of `components`, or use confidence_intervals with "
                "method='wald' or 'bootstrap'."
            )

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        half = errors.quantile * float(errors.components.terms[self.term].z_error[self.a, self.b])
        if not np.isfinite(half) or abs(self.estimate) == 1.0:
            return np.nan, np.nan
        z = np.arctanh(self.estimate)
        return float(np.tanh(z - half)), float(np.tanh(z + half))

    def target(self, profiler: Profiler) -> CorrelationTarget:
        return CorrelationTarget(profiler, self.term, self.a, self.b)

    def of_target(self, profiler: Profiler, values: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the cosines of angles."""
        return np.cos(values)

    def profile_limits(self, profiler: Profiler, rise: float) -> tuple[float, float]:
        if self.target(profiler).is_free(rise):
            return -1.0, 1.0
        return super().profile_limits(profiler, rise)

    def most(self, profiler: Profiler) -> float:
        """Return the rise to the model without one of the coefficients.

        Where an sd is 0 the correlation can be anything.
        """
        return min(profiler.without(self.term, k) for k in (self.a, self.b)) - profiler.deviance

    def values(self, draws: Resamples) -> FloatArray:
        covariance = draws.covariances[self.term]
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        own = sd[:, [self.a, self.b]]
        known = (own > NO_SD * sd.max(axis=1, keepdims=True)).all(axis=1)
        size = np.where(known, own[:, 0] * own[:, 1], np.nan)
        return np.clip(covariance[:, self.a, self.b] / size, -1.0, 1.0)


@dataclass(frozen=True)
class Sigma(Parameter):
    """The residual standard deviation."""

    component = "sigma"

    @staticmethod
    def title(group: str, name: str) -> str:  # noqa: ARG004
        return f"σ ({group})"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        half = errors.quantile * errors.components.log_sigma_error
        return exponential_limits(self.estimate, half)

    def target(self, profiler: Profiler) -> Target:
        return SigmaTarget(profiler)

    def of_target(self, profiler: Profiler, values: FloatArray) -> FloatArray:
        """Return it in the unit of the data's weights."""
        return float(np.sqrt(profiler.system.weight_unit)) * values

    def values(self, draws: Resamples) -> FloatArray:
        return draws.sigma


@dataclass(frozen=True)
class FixedEffect(Parameter):
    """The fixed effect at place a among all, at b among the kept ones; b is None if dropped."""

    component = "fixed"

    a: int
    b: int | None

    @staticmethod
    def title(group: str, name: str) -> str:  # noqa: ARG004
        return f"{name}, fixed"

    @property
    def is_estimated(self) -> bool:
        return self.b is not None

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        low, high = errors.fixed[["lower", "upper"]].iloc[self.a]
        return float(low), float(high)

    def target(self, profiler: Profiler) -> Target:
        assert self.b is not None
        return EffectTarget(profiler, np.eye(len(profiler.solution.kept))[self.b])

    def profile_limits(self, profiler: Profiler, rise: float) -> tuple[float, float]:
        if self.b is None:
            return np.nan, np.nan
        return super().profile_limits(profiler, rise)

    def values(self, draws: Resamples) -> FloatArray:
        return np.empty(0) if self.b is None else draws.fixed[:, self.a]


KINDS = {kind.component: kind for kind in (Sd, Correlation, Sigma, FixedEffect)}


def parameters(view: FittedModel, components: tuple[str, ...]) -> list[Parameter]:
    """List the parameters of some kinds: those of each term, σ, the fixed effects."""
    return [row for row in _all_parameters(view) if row.component in components]


def _all_parameters(view: FittedModel) -> Iterator[Parameter]:
    encoder, solution = view.encoder, view.solution
    for k, (term, own) in enumerate(zip(encoder.terms, solution.terms, strict=True)):
        group, names = encoder.factors[term.factor].name, encoder.coefficient_names(term)
        covariance = covariance_of(own.lam, solution.sigma)
        sd = np.sqrt(np.diagonal(covariance))
        for a, name in enumerate(names):
            yield Sd(group, name, float(sd[a]), k, a)
        for a in range(len(names) if has_covariances(term.structure) else 0):
            for b in range(a):
                size = float(sd[a] * sd[b])
                corr = float(np.clip(covariance[a, b] / size, -1, 1)) if size > 0 else np.nan
                yield Correlation(group, f"{names[b]}, {names[a]}", corr, k, a, b)
    yield Sigma(RESIDUAL, "", solution.sigma)
    for a, name in enumerate(encoder.fixed_names):
        at = solution.kept.index(a) if a in solution.kept else None
        value = np.nan if at is None else float(solution.fixed[a])
        yield FixedEffect("", name, value, a, at)


def wanted_components(components: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the kinds of parameters that are named; None for all."""
    if components is None:
        return tuple(KINDS)
    wanted = (components,) if isinstance(components, str) else items_of(components, "components")
    for name in wanted:
        validation.check_choice("components", name, KINDS)
    return wanted


def exponential_limits(estimate: float, half: float) -> tuple[float, float]:
    """Return limits of a positive number from half the width of those of its logarithm."""
    if estimate == 0.0:
        return 0.0, np.nan
    with np.errstate(over="ignore"):  # of an sd that is hardly determined
        return float(estimate * np.exp(-half)), float(estimate * np.exp(half))
