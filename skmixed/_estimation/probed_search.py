"""The search for Λ by the iterative engine: Newton steps on a probed gradient.

The criterion is not evaluated: its change along a step is taken from the gradients
at both ends (the trapezoidal rule), which is exact where it is quadratic in Σ. With
fixed signs the gradient is deterministic, and its root is off the optimum by the
Monte Carlo error of the probes; the search ends when a step is small beside that,
and draws more signs while the error itself is large.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.probing import (
    FixedSolution,
    ProbedDerivatives,
    Probes,
    probed_derivatives,
)
from skmixed._derivatives.quadratic_model import all_entries, chart_directions, second_order
from skmixed._derivatives.trust_region import Point
from skmixed._equations.krylov import System
from skmixed._equations.system import Blocks
from skmixed._estimation.search import ACCEPT, GROW, vanish
from skmixed._typing import FloatArray, Lam
from skmixed.exceptions import FitStatus

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


@dataclass(frozen=True)
class KrylovSearch:
    """Where a search ended, and what it took.

    Attributes
    ----------
    fixed : FixedSolution
        At the optimum, to full accuracy.
    status : FitStatus
    n_iter, n_systems : int
        Steps tried, and Λ at which the equations were solved.
    lam, basis : tuples of (s, s) and (n, s, s) arrays
        Λ of each term, and its directions δ.
    covariance : (n_theta, n_theta) array
        Monte Carlo covariance of δ.
    probes : Probes
    """

    fixed: FixedSolution
    status: FitStatus
    n_iter: int
    n_systems: int
    lam: Lam
    basis: tuple[FloatArray, ...]
    covariance: FloatArray
    probes: Probes


@dataclass(frozen=True)
class _State:
    """What is known at one Λ."""

    fixed: FixedSolution
    found: ProbedDerivatives
    sigma: FloatArray
    value: float

    def point(self) -> Point:
        d = self.found.derivatives
        return second_order(self.fixed.core, self.value, d, np.zeros_like(d.information))

    def change_from(self, other: "_State") -> float:
        """Return the change of the criterion, by the trapezoidal rule."""
        slope = self.found.derivatives.gradient + other.found.derivatives.gradient
        return float(0.5 * slope @ (self.sigma - other.sigma))

    def noise(self) -> FloatArray:
        """Return the Monte Carlo covariance of the gradient in δ."""
        _, _, flat = chart_directions(self.fixed.core)
        samples = self.found.samples @ flat.T
        return np.atleast_2d(np.cov(samples.T, ddof=1)) / len(samples)


class KrylovDescent:
    """One run of the search."""

    def __init__(
        self,
        blocks: Blocks,
        likelihood: Likelihood,
        seed: int,
        max_iter: int,
        report: Callable[[str], None] | None,
    ) -> None:
        self.blocks, self.likelihood = blocks, likelihood
        self.seed = seed
        self.max_iter = max_iter
        self.report = report
        size = blocks.spherical_places[-1].stop
        self.probes = Probes.draw(size, FEWEST, seed)
        self.solved: FloatArray | None = None
        self.n_iter = self.n_systems = 0

    def run(self, start: Lam) -> KrylovSearch:
        state = self._at(start, 0.0)
        point, radius, may_vanish = state.point(), np.inf, True
        while not self.likelihood.is_exact_fit(state.fixed.core):
            if self.n_iter == self.max_iter or not point.is_usable:
                return self._end(state, FitStatus.MAX_ITER)
            step, length, is_interior = point.step(radius)
            expected = point.decrease(step)
            cost = _cost(point, state.noise())
            if is_interior and expected <= max(SMALL * cost, NEGLIGIBLE):
                if not self._needs_more(point, state):
                    return self._end(state, FitStatus.CONVERGED, step)
                state = self._more_probes(state)
                point = state.point()
                continue
            self.n_iter += 1
            lam = point.moved(step)
            trial = vanish(point.lam, lam) if may_vanish else lam
            other = self._at(trial, state.value)
            actual = -other.change_from(state)
            self._tell(expected, actual, cost)
            # What the noise of the gradient may hide is granted.
            ratio = (actual + SMALL * cost) / (expected + SMALL * cost)
            if ratio >= ACCEPT:
                state, may_vanish = other, True
                point = state.point()
                radius = max(radius, 3.0 * length) if ratio >= GROW else radius
            elif trial is not lam:
                may_vanish = False
            else:
                radius = 0.25 * length
        return self._end(state, FitStatus.EXACT_FIT)

    def _at(self, lam: Lam, value: float) -> _State:
        self.n_systems += 1
        system = System.of(self.blocks, lam)
        fixed = FixedSolution.of(system, tol=FIXED_TOL, max_iter=self.max_iter, start=self.solved)
        self.solved = fixed.solved.columns
        found = probed_derivatives(
            fixed, self.likelihood, self.probes, tol=PROBE_TOL, max_iter=self.max_iter
        )
        self.probes = found.probes
        return _State(fixed, found, all_entries(fixed.core), value)

    def _needs_more(self, point: Point, state: _State) -> bool:
        n = len(state.found.samples)
        return n < MOST and _largest_error(point, state.noise()) > PRECISION

    def _more_probes(self, state: _State) -> _State:
        """Double the signs, those drawn so far among them."""
        n = 2 * self.probes.signs.shape[1]
        drawn = Probes.draw(len(self.probes.signs), n, self.seed)
        drawn.solved[:, : n // 2] = self.probes.solved
        self.probes = drawn
        return self._at(state.fixed.core.lam, state.value)

    def _end(
        self, state: _State, status: FitStatus, left: FloatArray | None = None
    ) -> KrylovSearch:
        """Solve to full accuracy; a step that is left out counts as an error."""
        point = state.point()
        covariance = _covariance(point, state.noise())
        if left is not None:
            covariance += np.outer(left, left)
        fixed = FixedSolution.of(
            state.fixed.system, tol=FINAL_TOL, max_iter=self.max_iter, start=self.solved
        )
        return KrylovSearch(
            fixed=fixed,
            status=status,
            n_iter=max(self.n_iter, 1),
            n_systems=self.n_systems,
            lam=point.lam,
            basis=point.basis,
            covariance=covariance,
            probes=self.probes,
        )

    def _tell(self, expected: float, actual: float, cost: float) -> None:
        if self.report is not None:
            self.report(
                f"step {self.n_iter}: decrease {actual:.3g} of {expected:.3g} expected, "
                f"{self.probes.signs.shape[1]} probes, Monte Carlo error worth {cost:.3g}"
            )


def _cost(point: Point, noise: FloatArray) -> float:
    """Return how far above its minimum the Monte Carlo error leaves the criterion."""
    return float(0.5 * np.trace(np.linalg.pinv(point.metric, hermitian=True) @ noise))


def _covariance(point: Point, noise: FloatArray) -> FloatArray:
    """Return the Monte Carlo covariance of δ at the root of the gradient."""
    inverse = np.linalg.pinv(point.hessian, hermitian=True)
    return np.asarray(inverse @ noise @ inverse)


def _largest_error(point: Point, noise: FloatArray) -> float:
    """Return the largest standard error of an entry of a term's Λ, as a share of Λ."""
    errors = np.sqrt(np.maximum(np.diagonal(_covariance(point, noise)), 0.0))
    largest, start = 0.0, 0
    for lam, basis in zip(point.lam, point.basis, strict=True):
        own = errors[start : start + len(basis)]
        start += len(basis)
        if lam.any():
            largest = max(largest, float(own.max()) / float(np.abs(lam).max()))
    return largest
