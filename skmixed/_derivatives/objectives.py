"""What the search minimizes, and its second-order models.

Around a Λ the criterion is modeled to second order in the step δ of Λ,

    d(Λ + dΛ) ≈ d + ⟨G, dΣ⟩ + ½ ⟨dΣ₁, AI dΣ₁⟩,     dΣ = ΛdΛ' + dΛΛ' + dΛdΛ',  dΣ₁ = ΛdΛ' + dΛΛ',

with G = ∂d/∂Σ exact. The term ⟨G, dΛdΛ'⟩ makes a variance go to zero, or leave
zero, as the sign of G demands; no bound is needed (see `covariance`, and
docs/mathematics.md, "The boundary").
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._derivatives.criterion import Derivatives, Likelihood, derivatives
from skmixed._derivatives.dense_factor import (
    DenseFactor,
    Projections,
    factorize_dense,
    project_dense,
    second_order_dense,
)
from skmixed._derivatives.dense_system import DenseSystem
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.pinned import At, Profiled
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._equations.system import System
from skmixed._equations.working_variates import has_expected
from skmixed._typing import FloatArray, Lam

# Differences of the criterion below this share of it are rounding, and what of a
# predicted gain can matter: an estimate is off by the root of it, in standard errors.
ROUNDING, RESOLUTION = 1e-13, 2e-15
# What several steps together have to gain, or the search has ended: in nearly flat valleys
# a model hardly predicts anything.
STALLED = 1e-7
# The same of criteria that are summed over rows.
STALLED_OF_ROWS = 1e-8
# A gain of no more than a few times the rounding of the criterion may be that.
FEW_NOISES = 4.0
# Parameters, and columns of the core, up to which the observed second derivatives, a
# factorization's cost each, are taken where average information does badly; beyond, what
# the steps teach of them.
FEW_PARAMETERS, SMALL_CORE = 20, 300
# A secant update whose denominator is a smaller share is left out.
SKIP = 1e-8


class Objective(Protocol):
    """A function of Λ, its factor at the latest Λ kept.

    Attributes
    ----------
    n_factorizations : int
    """

    n_factorizations: int

    def evaluate(self, lam: Lam) -> float:
        """Factor at Λ and return the function; inf beyond the data's resolution.

        Nothing is done anew where Λ is the one that the latest factor was made from.
        """

    def point(self, value: float, *, is_slow: bool) -> Point:
        """Model the function around the latest Λ; `is_slow` where that has done badly."""

    def last_point(self, point: Point) -> Point:
        """Return the model of a last step around the latest Λ, where `point` is the usual one.

        The exact second derivatives, where these are at hand: a Newton step squares the
        distance from the optimum, and average information takes a constant share of it.
        """

    def noise(self, value: float) -> float:
        """Return what a difference of values may be by error alone."""

    def resolution(self, value: float) -> float:
        """Return the predicted gain that is nothing."""

    def has_stalled(self, gained: float, value: float) -> bool:
        """Whether a gain of several steps together is nothing that matters."""

    def is_lost(self, gain: float) -> bool:
        """Whether a step that is predicted to gain so much is lost in the model's error."""

    def is_hidden(self, gain: float) -> bool:
        """Whether a gain that no step brings may be there by the objective's error alone."""

    def refine(self) -> bool:
        """Make the error at the latest model smaller; False where it is small enough."""

    def describe(self, value: float) -> str:
        """Say in a report of the search where it is."""

    @property
    def is_exact_fit(self) -> bool:
        """Whether r² reached its floor at the latest Λ."""


class LocalModel(Protocol):
    """What the search minimizes.

    Attributes
    ----------
    likelihood : Likelihood
    """

    likelihood: Likelihood

    def value(self, factorization: At) -> float:
        """Return the function at a Λ; inf where it is not defined."""

    def point(self, factorization: CholeskyFactor, value: float, *, is_slow: bool) -> Point:
        """Model the function around that Λ; `is_slow` where the model has done badly."""


class AverageInformation:
    """The criterion, by average information as long as that does well.

    Then by the observed second derivatives, or, of many parameters, by what the steps
    have taught of them.
    """

    def __init__(self, likelihood: Likelihood, parameters: Parameters) -> None:
        self.likelihood, self.parameters = likelihood, parameters
        self.secant: Secant | None = None

    def value(self, factorization: At) -> float:
        return self.likelihood.value(factorization)

    def point(self, factorization: CholeskyFactor, value: float, *, is_slow: bool) -> Point:
        system = factorization.system
        is_twice = is_slow and has_expected(system)
        if is_slow and not is_twice and _is_cheap_to_observe(system):
            return Profiled(self.likelihood).point(factorization, value, is_slow=True)
        with np.errstate(all="ignore"):
            d = derivatives(factorization, self.likelihood, is_twice=is_twice)
            d = d.along(self.parameters.entries)
        chart = self.parameters.chart(factorization.lam)
        # H of the criterion as it is, or average information and what the steps have taught of H
        if d.observed is not None and d.expected is not None:
            return second_order(chart, value, d.gradient, d.observed, d.expected)
        if self.secant is None:
            self.secant = Secant(chart.tau, d.gradient, np.zeros_like(d.information))
        else:
            self.secant = self.secant.after(chart.tau, d, learns=is_slow)
        hessian = d.information + self.secant.correction
        return second_order(chart, value, d.gradient, hessian, d.information)


def _is_cheap_to_observe(system: System) -> bool:
    return system.n_theta <= FEW_PARAMETERS and system.n_core <= SMALL_CORE


@dataclass(frozen=True)
class Secant:
    """What the average information misses of the Hessian, learned from steps.

    A symmetric rank-one correction (Nocedal and Wright, 2006, equation 6.24) in τ, in
    which the gradients of different steps compare: with it the model reproduces the
    change of the gradient over the last step. Where the data stray from the model,
    average information alone converges slowly.
    """

    tau: FloatArray
    gradient: FloatArray
    correction: FloatArray

    def after(self, tau: FloatArray, d: Derivatives, *, learns: bool) -> "Secant":
        """Take in the derivatives at one more τ."""
        step = tau - self.tau
        missing = d.gradient - self.gradient - (d.information + self.correction) @ step
        along = float(missing @ step)
        correction = self.correction
        if learns and abs(along) > SKIP * float(np.linalg.norm(missing) * np.linalg.norm(step)):
            correction = correction + np.outer(missing, missing) / along
        return Secant(tau, d.gradient, correction)


class ExactObjective:
    """A base of objectives whose values and models have no error but rounding."""

    # What several steps together have to gain.
    stalled = STALLED

    def has_stalled(self, gained: float, value: float) -> bool:
        return gained <= self.stalled * max(1.0, abs(value) / 1000.0)

    def last_point(self, point: Point) -> Point:
        return point

    def is_lost(self, gain: float) -> bool:  # noqa: ARG002
        return False

    def is_hidden(self, gain: float) -> bool:  # noqa: ARG002
        return True

    def refine(self) -> bool:
        return False

    def describe(self, value: float) -> str:
        return f"criterion {value:.6f}"


class RowsObjective(ExactObjective):
    """A base of objectives that are summed over rows at each Λ.

    A subclass sets `n_summed`, the number of rows, or the sum of their weights.
    """

    stalled = STALLED_OF_ROWS
    n_summed: float

    def noise(self, value: float) -> float:
        return ROUNDING * (abs(value) + self.n_summed)

    def resolution(self, value: float) -> float:
        return ROUNDING * abs(value)

    def is_hidden(self, gain: float) -> bool:
        return gain <= 10.0 * self.stalled


class BlockedObjective(ExactObjective):
    """The criterion, or another local model, by the blocked factor.

    The arrays of one factorization are kept, and written over by the next.
    """

    def __init__(self, initial: CholeskyFactor, model: LocalModel) -> None:
        self.system, self.latest, self.model = initial.system, initial, model
        self.n_factorizations = 0
        self._modeled: Lam | None = None

    def evaluate(self, lam: Lam) -> float:
        if lam is not self.latest.lam:
            self.n_factorizations += 1
            try:
                with np.errstate(all="ignore"):  # what overflows is inf, and refused
                    self.latest = factorize(self.system, lam, reuse=self.latest)
            except np.linalg.LinAlgError:
                return np.inf
        value = self.model.value(self.latest)
        return value if np.isfinite(value) else np.inf

    def point(self, value: float, *, is_slow: bool) -> Point:
        self._modeled = self.latest.lam
        return self.model.point(self.latest, value, is_slow=is_slow)

    def last_point(self, point: Point) -> Point:
        is_at_hand = isinstance(self.model, AverageInformation) and has_expected(self.system)
        if not is_at_hand or self.latest.lam is not self._modeled:
            return point
        exact = self.point(point.value, is_slow=True)
        return exact if exact.is_usable else point

    def noise(self, value: float) -> float:
        likelihood = self.model.likelihood
        squares = self.system.response_squares / likelihood.residual_squares(self.latest)
        of_residual = 4.0 * np.finfo(float).eps * max(likelihood.dof, 1) * squares
        return float(ROUNDING * (abs(value) + self.system.n_rows) + min(of_residual, 1.0))

    def resolution(self, value: float) -> float:
        return RESOLUTION * abs(value)

    @property
    def is_exact_fit(self) -> bool:
        return self.model.likelihood.is_exact_fit(self.latest)


class DenseObjective(ExactObjective):
    """The criterion by a dense factor, with exact second derivatives."""

    def __init__(self, dense: DenseSystem, likelihood: Likelihood) -> None:
        self.dense, self.likelihood = dense, likelihood
        self.latest: DenseFactor | None = None
        self.value = np.inf
        self.n_factorizations = 0
        self._projections: Projections | None = None
        self._points: dict[bool, Point] = {}

    @property
    def factor(self) -> DenseFactor:
        """The latest factor."""
        assert self.latest is not None
        return self.latest

    @property
    def projections(self) -> Projections:
        """Those of the latest factor, made once."""
        if self._projections is None:
            with np.errstate(all="ignore"):
                self._projections = project_dense(self.factor, self.likelihood)
        return self._projections

    def evaluate(self, lam: Lam) -> float:
        if self.latest is not None and lam is self.latest.lam:
            return self.value
        self.n_factorizations += 1
        self._projections, self._points = None, {}
        try:
            with np.errstate(all="ignore"):
                self.latest = factorize_dense(self.dense, lam)
                value = self.likelihood.value(self.latest)
        except np.linalg.LinAlgError:
            return np.inf
        self.value = value if np.isfinite(value) else np.inf
        return self.value

    def point(self, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        if is_slow not in self._points:
            with np.errstate(all="ignore"):
                point = second_order_dense(
                    self.factor, self.likelihood, self.projections, is_exact=is_slow
                )
            self._points[is_slow] = point
        return self._points[is_slow]

    def last_point(self, point: Point) -> Point:
        exact = self.point(point.value, is_slow=True)
        return exact if exact.is_usable else point

    def noise(self, value: float) -> float:
        of_sum = 50.0 * (abs(value) + self.dense.system.n_rows)
        return self.factor.cancellation(self.likelihood) + float(np.finfo(float).eps) * of_sum

    def resolution(self, value: float) -> float:
        cancellation = self.factor.cancellation(self.likelihood)
        return max(RESOLUTION * abs(value), FEW_NOISES * cancellation)

    @property
    def is_exact_fit(self) -> bool:
        return self.likelihood.is_exact_fit(self.factor)
