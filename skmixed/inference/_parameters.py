"""The parameters of a fitted model, kind by kind: each knows its limits, profile and draws.

A further kind is a further class here, an entry of `KINDS`, or of `RESIDUAL_KINDS` for those of
a covariance of the residuals and `FAMILY_KINDS` for those of generalized models, and what
`parameters` lists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._data.parameters import items_of
from skmixed._estimation.solution import ResidualSolution
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.results import RESIDUAL, covariance_of, residual_strata, residual_times
from skmixed._model.covariance import has_covariances, is_unrestricted
from skmixed._model.residual import Residual, shown_parameters
from skmixed._typing import FloatArray
from skmixed._uncertainty.targets import (
    CorrelationTarget,
    EffectTarget,
    ProfiledModel,
    SdTarget,
    Target,
)
from skmixed.inference._bootstrap import Resamples
from skmixed.inference._kinds import (
    Parameter,
    WaldErrors,
    correlation_limits,
    exponential_limits,
)

# Correlations are open where an sd is below this share of the term's largest.
NO_SD = 1e-12
# Correlations that differ from ±1 by less have no digits left in the angle between the
# coefficients, whose square the difference is.
NO_ANGLE = 1e-9


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
        log_error = float(errors.terms[self.term].log_sd_error[self.a])
        return exponential_limits(self.estimate, errors.quantile * log_error)

    def target(self, profiler: ProfiledModel) -> Target:
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
        half = errors.quantile * float(errors.terms[self.term].z_error[self.a, self.b])
        return correlation_limits(self.estimate, half)

    def target(self, profiler: ProfiledModel) -> CorrelationTarget:
        return CorrelationTarget(profiler, self.term, self.a, self.b)

    def of_target(self, profiler: ProfiledModel, values: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the cosines of angles."""
        return np.cos(values)

    def profile_limits(self, profiler: ProfiledModel, rise: float) -> tuple[float, float]:
        if self.target(profiler).is_free(rise):
            return -1.0, 1.0
        return super().profile_limits(profiler, rise)

    def most(self, profiler: ProfiledModel) -> float:
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

    def target(self, profiler: ProfiledModel) -> Target:
        return profiler.dispersion_target()

    def of_target(self, profiler: ProfiledModel, values: FloatArray) -> FloatArray:
        """Return it in the unit of the data's weights."""
        return profiler.dispersion(values)

    def values(self, draws: Resamples) -> FloatArray:
        return draws.sigma


@dataclass(frozen=True)
class Shape(Parameter):
    """The shape of the distribution of a generalized model's response."""

    component = "shape"
    falls = True

    @staticmethod
    def title(group: str, name: str) -> str:  # noqa: ARG004
        return "shape"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        half = errors.quantile * 2.0 * errors.components.log_sigma_error
        return exponential_limits(self.estimate, half)

    def target(self, profiler: ProfiledModel) -> Target:
        return profiler.dispersion_target()

    def of_target(self, profiler: ProfiledModel, values: FloatArray) -> FloatArray:
        """Return it from the coefficient of variation."""
        return profiler.dispersion(values)

    def values(self, draws: Resamples) -> FloatArray:
        assert draws.shape is not None
        return draws.shape


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

    def target(self, profiler: ProfiledModel) -> Target:
        assert self.b is not None
        return EffectTarget(profiler, np.eye(profiler.n_fixed)[self.b])

    def profile_limits(self, profiler: ProfiledModel, rise: float) -> tuple[float, float]:
        if self.b is None:
            return np.nan, np.nan
        return super().profile_limits(profiler, rise)

    def values(self, draws: Resamples) -> FloatArray:
        return np.empty(0) if self.b is None else draws.fixed[:, self.a]


@dataclass(frozen=True)
class _OfResiduals(Parameter):
    """A parameter of a covariance of the residuals.

    Attributes
    ----------
    model : Residual
    stratum : int
    place : int
        Where it is among those that are shown of the stratum.
    """

    model: Residual
    stratum: int
    place: int

    def error(self, errors: WaldErrors) -> float:
        """Return its standard error, NaN where it is at a boundary."""
        found = float(errors.residual[self.stratum, self.place])
        return found if found > 0.0 else np.nan

    def values(self, draws: Resamples) -> FloatArray:
        assert draws.residual is not None
        shown = (shown_parameters(self.model, own) for own in draws.residual[:, self.stratum])
        return np.array([own[self.place].value for own in shown])


@dataclass(frozen=True)
class ResidualSd(_OfResiduals):
    """A standard deviation of the residuals."""

    component = "sigma"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        half = errors.quantile * self.error(errors) / self.estimate
        return exponential_limits(self.estimate, half)


@dataclass(frozen=True)
class ResidualRange(ResidualSd):
    """The distance at which the correlation is 1/e."""

    component = "range"


@dataclass(frozen=True)
class ResidualCorrelation(_OfResiduals):
    """A correlation of the residuals."""

    component = "corr"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        rest = (1.0 - self.estimate) * (1.0 + self.estimate)
        error = self.error(errors) / rest if rest > 0.0 else np.nan
        return correlation_limits(self.estimate, errors.quantile * error)


@dataclass(frozen=True)
class ResidualPower(_OfResiduals):
    """The power of a column that the standard deviation is."""

    component = "power"

    def wald_limits(self, errors: WaldErrors) -> tuple[float, float]:
        half = errors.quantile * self.error(errors)
        return self.estimate - half, self.estimate + half


KINDS = {kind.component: kind for kind in (Sd, Correlation, Sigma, FixedEffect)}
RESIDUAL_KINDS = {
    kind.component: kind for kind in (ResidualSd, ResidualCorrelation, ResidualRange, ResidualPower)
}
FAMILY_KINDS = {kind.component: kind for kind in (Sd, Correlation, Shape, FixedEffect)}
COMPONENTS = tuple(dict.fromkeys([*KINDS, *RESIDUAL_KINDS, *FAMILY_KINDS]))


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
    if solution.family is not None:
        if solution.family.has_shape:
            yield Shape("response", "", float(np.exp(solution.family.phi)))
    elif solution.residual is None:
        yield Sigma(RESIDUAL, "", solution.sigma)
    else:
        yield from _of_residuals(encoder, solution.residual)
    for a, name in enumerate(encoder.fixed_names):
        at = solution.kept.index(a) if a in solution.kept else None
        value = np.nan if at is None else float(solution.fixed[a])
        yield FixedEffect("", name, value, a, at)


def _of_residuals(encoder: Encoder, own: ResidualSolution) -> Iterator[Parameter]:
    """List the parameters of the residuals' covariance, stratum by stratum."""
    times = residual_times(encoder, own)
    times = times if own.is_plane else times.astype(str)
    for stratum, label in enumerate(residual_strata(encoder)):
        for place, shown in enumerate(shown_parameters(own.model, own.phi[stratum])):
            is_lag = own.model.correlation.time == "steps" and shown.component == "corr"
            key = [f"lag {k}" if is_lag else f"{times[k - 1]}" for k in shown.key]
            is_shared = own.has_shared_correlation and not own.model.split(shown.slope)[0].any()
            if is_shared and stratum:
                continue
            parts = [] if label is None or is_shared else [f"{label}"]
            name = ":".join([*parts, *([", ".join(key)] if key else [])])
            kind = RESIDUAL_KINDS[shown.component]
            yield kind(RESIDUAL, name, shown.value, own.model, stratum, place)


def wanted_components(components: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the kinds of parameters that are named; None for all."""
    if components is None:
        return COMPONENTS
    wanted = (components,) if isinstance(components, str) else items_of(components, "components")
    for name in wanted:
        validation.check_choice("components", name, COMPONENTS)
    return wanted
