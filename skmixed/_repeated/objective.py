"""The likelihood of blocks as the search sees it: a function of Λ and φ."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.trust_region import Point, second_order
from skmixed._model.chart import Chart, block_diagonal
from skmixed._model.residual import ResidualCoordinates
from skmixed._repeated.derivatives import RepeatedDerivatives
from skmixed._repeated.likelihood import RepeatedFactor, RepeatedSystem
from skmixed._typing import BoolArray, FloatArray, Lam

# A difference of the criterion below this share of it is rounding.
ROUNDING = 1e-13
# What steps together have to gain, or the search has ended.
STALLED = 1e-8
# The largest logarithm of a standard deviation, in units of least squares.
FARTHEST = 30.0


@dataclass(frozen=True)
class JointChart:
    """Coordinates around Λ and φ: those of the terms, and of the residuals' covariance.

    Attributes
    ----------
    terms : Chart
    residual : ResidualCoordinates
    """

    terms: Chart
    residual: ResidualCoordinates

    @staticmethod
    def of(system: RepeatedSystem, lam: Lam) -> "JointChart":
        *terms, phi = lam
        own = Chart.of(system.structures, tuple(terms))
        return JointChart(own, system.residual.coordinates(phi))

    @property
    def phi(self) -> FloatArray:
        return self.residual.own.ravel()

    @property
    def lam(self) -> Lam:
        return (*self.terms.lam, self.phi)

    @property
    def is_free(self) -> BoolArray:
        """Which coordinates are not at the boundary of the residuals' covariance."""
        own = [np.ones(len(self.terms.jacobian), dtype=bool)] if self.terms.lam else []
        return np.concatenate([*own, self.residual.is_free])

    @cached_property
    def jacobian(self) -> FloatArray:
        """∂(τ, φ) by the coordinates."""
        own = [self.terms.jacobian] if self.terms.lam else []
        return block_diagonal([*own, self.residual.jacobian])

    def curvature(self, gradient: FloatArray) -> FloatArray:
        n = len(self.phi)
        own = [self.terms.curvature(gradient[:-n])] if self.terms.lam else []
        return block_diagonal([*own, self.residual.curvature(gradient[-n:])])

    def moved(self, step: FloatArray) -> Lam:
        n = len(self.phi)
        return (*self.terms.moved(step[:-n]), self.residual.moved(step[-n:]))

    def step_to(self, lam: Lam) -> FloatArray:
        *terms, phi = lam
        own = [self.terms.step_to(tuple(terms))] if terms else []
        return np.concatenate([*own, self.residual.step_to(phi)])

    def vanished(self, after: Lam) -> Lam:
        *terms, phi = after
        own = self.terms.vanished(tuple(terms))
        is_same = all(new is old for new, old in zip(own, terms, strict=True))
        return after if is_same else (*own, phi)


class RepeatedObjective:
    """The criterion of blocks, by average information, or by exact second derivatives."""

    def __init__(self, system: RepeatedSystem) -> None:
        self.system = system
        self.latest: RepeatedFactor | None = None
        self.n_factorizations = 0
        self.is_exact_fit = False

    @property
    def factor(self) -> RepeatedFactor:
        """The latest factor."""
        assert self.latest is not None
        return self.latest

    def evaluate(self, lam: Lam) -> float:
        if self.latest is not None and lam is self.latest.lam:
            return self.latest.value
        self.n_factorizations += 1
        # Beyond any data, and where a covariance is not positive definite, there is no value
        of_sd = lam[-1].reshape(self.system.residual.n_strata, -1)
        if np.abs(of_sd[:, : self.system.residual.n_variances]).max() > FARTHEST:
            return np.inf
        try:
            with np.errstate(all="ignore"):
                self.latest = RepeatedFactor.of(self.system, lam)
                value = self.latest.value
        except np.linalg.LinAlgError:
            return np.inf
        return value if np.isfinite(value) else np.inf

    def point(self, value: float, *, is_slow: bool) -> Point:
        with np.errstate(all="ignore"):
            found = RepeatedDerivatives.of(self.factor)
            hessian = found.observed if is_slow else found.average
            chart = JointChart.of(self.system, self.factor.lam)
            return second_order(chart, value, found.gradient, hessian, found.average)

    def noise(self, value: float) -> float:
        return ROUNDING * (abs(value) + self.system.n_rows)

    def resolution(self, value: float) -> float:
        return ROUNDING * abs(value)

    def has_stalled(self, gained: float, value: float) -> bool:
        return gained <= STALLED * max(1.0, abs(value) / 1000.0)

    def is_lost(self, gain: float) -> bool:  # noqa: ARG002
        return False

    def is_hidden(self, gain: float) -> bool:
        return gain <= 10.0 * STALLED

    def refine(self) -> bool:
        return False

    def describe(self, value: float) -> str:
        return f"criterion {value:.6f}"
