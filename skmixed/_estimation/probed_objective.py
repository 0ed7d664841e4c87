"""The criterion by the iterative engine, as the search sees it: gradients with an error.

The criterion is not evaluated: its change along a step is taken from the gradients
at both ends (the trapezoidal rule), which is exact where it is quadratic in Σ. With
fixed signs the gradient is deterministic, and its root is off the optimum by the
Monte Carlo error of the probes: a gain that is small beside what that error costs is
none, and there more signs are drawn as long as the error itself is large.
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.parameters import Parameters
from skmixed._derivatives.probing import ProbedDerivatives, Probes, probed_derivatives
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor
from skmixed._equations.system import System
from skmixed._model.chart import Chart
from skmixed._typing import FloatArray, Lam

# Signs to begin with, and at most.
FEWEST, MOST = 8, 512
# Monte Carlo standard error of an entry of Λ, as a share of it, that is small enough.
PRECISION = 0.005
# A step is small beside the Monte Carlo error when it gains less than this share of
# what the error costs: its length is then a tenth of the error's.
SMALL = 0.01
# Nor is it worth a step to gain less: a thousandth of a standard error of estimation.
# The truncated solves would not let the gradient become much smaller either.
NEGLIGIBLE = 1e-6
# Relative residuals of the solves: the probes' errors are far larger, and β̂ enters
# the gradient by its square.
PROBE_TOL, FIXED_TOL, FINAL_TOL = 1e-3, 1e-6, 1e-9
# Relative residual from which on a solution is of no use: conjugate gradients have then not
# converged in the steps that they may take.
UNSOLVED = 1e-3


@dataclass(frozen=True)
class _State:
    """What is known at one Λ; `value` is the criterion less that at the start."""

    factor: IterativeFactor
    chart: Chart
    found: ProbedDerivatives
    value: float

    @property
    def lam(self) -> Lam:
        return self.factor.lam

    def point(self) -> Point:
        d = self.found.derivatives
        return second_order(self.chart, self.value, d.gradient, d.information, d.information)

    def change_from(self, other: "_State") -> float:
        """Return the change of the criterion, by the trapezoidal rule."""
        slope = self.found.derivatives.gradient + other.found.derivatives.gradient
        return float(0.5 * slope @ (self.chart.tau - other.chart.tau))

    def gradient_covariance(self) -> FloatArray:
        """Return the Monte Carlo covariance of the gradient in δ."""
        samples = self.found.samples @ self.chart.jacobian.T
        return np.atleast_2d(np.cov(samples.T, ddof=1)) / len(samples)


class ProbedObjective:
    """The criterion less that at the start, by probed gradients.

    Its changes are those from the latest Λ at which it was modeled.
    """

    def __init__(self, system: System, likelihood: Likelihood, seed: int, max_iter: int) -> None:
        self.system, self.likelihood = system, likelihood
        self.parameters = Parameters.of(system)
        self.seed, self.max_iter = seed, max_iter
        self.probes = Probes.draw(system.n_spherical, FEWEST, seed)
        self.n_factorizations = 0
        self._solved: FloatArray | None = None
        self._latest: _State | None = None
        self._modeled: tuple[_State, Point, FloatArray] | None = None

    @property
    def state(self) -> _State:
        """The latest one.

        Raises
        ------
        numpy.linalg.LinAlgError
            If there is none, since the equations could be solved at no start.
        """
        if self._latest is None:
            raise np.linalg.LinAlgError("Conjugate gradients solve the equations at no start.")
        return self._latest

    @property
    def modeled(self) -> tuple[_State, Point, FloatArray]:
        """The state at the latest model, the model, and the covariance of its gradient."""
        assert self._modeled is not None
        return self._modeled

    def evaluate(self, lam: Lam) -> float:
        if self._modeled is not None and any(lam is own.lam for own in self._modeled[:2]):
            self._latest = self._modeled[0]
        elif self._latest is None or lam is not self._latest.lam:
            try:
                with np.errstate(all="ignore"):  # what overflows is not solved, and refused
                    self._latest = self._at(lam)
            except np.linalg.LinAlgError:
                return np.inf
        return self.state.value

    def _at(self, lam: Lam) -> _State:
        """Solve at Λ, from the solutions at the latest one.

        Raises
        ------
        numpy.linalg.LinAlgError
            If conjugate gradients have not solved the equations, of a start alone if nothing
            can be computed.
        """
        self.n_factorizations += 1
        factor = self._solve(CoreOperator.of(self.system, lam), FIXED_TOL)
        is_solved = factor.solved.residual <= UNSOLVED or self._modeled is None
        if not (is_solved and factor.residual_squares > 0.0):
            raise np.linalg.LinAlgError("Conjugate gradients have not solved the equations.")
        found = probed_derivatives(
            factor, self.likelihood, self.probes, tol=PROBE_TOL, max_iter=self.max_iter
        )
        # From here on the solutions are where the next ones start.
        self._solved, self.probes = factor.solved.columns, found.probes
        found = found.along(self.parameters.entries)
        state = _State(factor, self.parameters.chart(lam), found, 0.0)
        if not _is_semidefinite(found.derivatives.information):
            raise np.linalg.LinAlgError("The derivatives have lost their digits.")
        if self._modeled is None:
            return state
        before = self._modeled[0]
        return replace(state, value=before.value + state.change_from(before))

    def point(self, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        point = self.state.point()
        self._modeled = self.state, point, self.state.gradient_covariance()
        return point

    @property
    def cost(self) -> float:
        """How far above its minimum the Monte Carlo error leaves the criterion."""
        _, point, covariance = self.modeled
        inverse = np.linalg.pinv(point.metric, hermitian=True)
        return float(0.5 * np.trace(inverse @ covariance))

    def noise(self, value: float) -> float:  # noqa: ARG002
        """Return what the noise of the gradient may hide."""
        return SMALL * self.cost

    def resolution(self, value: float) -> float:  # noqa: ARG002
        return 0.0

    def last_point(self, point: Point) -> Point:
        return point

    def has_stalled(self, gained: float, value: float) -> bool:  # noqa: ARG002
        """Return False: `is_lost` tells a gain from nothing."""
        return False

    def is_lost(self, gain: float) -> bool:
        return gain <= max(SMALL * self.cost, NEGLIGIBLE)

    def is_hidden(self, gain: float) -> bool:
        return gain <= max(self.cost, NEGLIGIBLE)

    def refine(self) -> bool:
        """Double the signs, those drawn so far among them, as long as the error is large."""
        state, point, covariance = self.modeled
        n = len(state.found.samples)
        if n >= MOST or _largest_error(point, covariance) <= PRECISION:
            return False
        drawn = Probes.draw(len(self.probes.signs), 2 * n, self.seed)
        drawn.solved[:, :n] = self.probes.solved
        self.probes = drawn
        again = self._at(state.lam)
        self._latest = replace(again, value=state.value)
        return True

    def _solve(self, operator: CoreOperator, tol: float) -> IterativeFactor:
        return IterativeFactor.of(operator, tol=tol, max_iter=self.max_iter, start=self._solved)

    @property
    def is_exact_fit(self) -> bool:
        factor = self.state.factor
        is_solved = factor.solved.residual <= FIXED_TOL
        return is_solved and self.likelihood.is_exact_fit(factor)

    def describe(self, value: float) -> str:  # noqa: ARG002
        return f"{self.probes.signs.shape[1]} probes, Monte Carlo error worth {self.cost:.3g}"

    def solution(self) -> IterativeFactor:
        """Return the factor at the latest Λ, solved to full accuracy."""
        return self._solve(self.state.factor.operator, FINAL_TOL)

    def parameter_covariance(self) -> FloatArray:
        """Return the Monte Carlo covariance of δ; a step that is left out counts as an error."""
        _, point, covariance = self.modeled
        out = _covariance(point, covariance)
        step, _, is_interior = point.step(np.inf)
        if is_interior and self.is_lost(point.decrease(step)):
            out += np.outer(step, step)
        return out


def _is_semidefinite(information: FloatArray) -> bool:
    """Whether a Gram matrix is one still, to the accuracy of its solves."""
    squares = np.diagonal(information)
    if not (np.isfinite(information).all() and (squares >= 0.0).all()):
        return False
    scale = np.sqrt(np.where(squares > 0.0, squares, 1.0))
    return bool(np.linalg.eigvalsh(information / np.outer(scale, scale))[0] >= -PROBE_TOL)


def _covariance(point: Point, noise: FloatArray) -> FloatArray:
    """Return the Monte Carlo covariance of δ at the root of the gradient."""
    inverse = np.linalg.pinv(point.hessian, hermitian=True)
    return np.asarray(inverse @ noise @ inverse)


def _largest_error(point: Point, noise: FloatArray) -> float:
    """Return the largest standard error of an entry of a term's Λ, as a share of Λ."""
    errors = np.sqrt(np.maximum(np.diagonal(_covariance(point, noise)), 0.0))
    largest = 0.0
    for lam, place in zip(point.lam, cast(Chart, point.chart).places, strict=True):
        own = errors[place]
        if lam.any():
            largest = max(largest, float(own.max()) / float(np.abs(lam).max()))
    return largest
