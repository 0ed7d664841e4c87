"""The likelihood of a generalized model with one quantity held at a value.

A constraint c = v on (Σ, γ, φ) is kept by steps Tξ with T'∇c = 0 in the search's coordinates
(δ, γ, φ), T orthonormal, and by a way back to it, along s, after each. With g the gradient of
−2 log L and μ = g's/∇c's, the model in ξ has the gradient T'g and the Hessian T'(H − μ∇²c)T:
a step off the constraint by ½ξ'T'∇²cTξ is taken back along s. Where T'g = 0, μ is the slope of
the least −2 log L in c, whatever s is (Nocedal and Wright, 2006, section 12.3).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._derivatives.trust_region import Point
from skmixed._generalized.objective import GeneralizedChart, LaplaceObjective
from skmixed._typing import FloatArray, Lam

# Share of a standard deviation by which it may miss its value: rounding.
MISSED = 1e-10


class Constraint(Protocol):
    """A quantity that is held."""

    def normal(self, chart: GeneralizedChart) -> FloatArray:
        """Return ∇c in (δ, γ, φ)."""

    def curvature(self, chart: GeneralizedChart) -> FloatArray:
        """Return ∇²c in (δ, γ, φ)."""

    def way(self, chart: GeneralizedChart) -> FloatArray:
        """Return s, the way back to it, in (δ, γ, φ)."""

    def restored(self, lam: Lam) -> Lam:
        """Return parameters near these that keep it."""

    def holds(self, lam: Lam) -> bool:
        """Whether parameters keep it."""


class LinearConstraint:
    """A base for constraints that are linear in γ and φ, which every step keeps."""

    def normal(self, chart: GeneralizedChart) -> FloatArray:
        raise NotImplementedError

    def curvature(self, chart: GeneralizedChart) -> FloatArray:
        n = len(chart.jacobian)
        return np.zeros((n, n))

    def way(self, chart: GeneralizedChart) -> FloatArray:
        return self.normal(chart)

    def holds(self, lam: Lam) -> bool:  # noqa: ARG002
        return True


@dataclass(frozen=True)
class HeldByStructure(LinearConstraint):
    """Nothing that the structures of the terms do not hold by themselves."""

    def normal(self, chart: GeneralizedChart) -> FloatArray:
        return np.zeros(len(chart.jacobian))

    def restored(self, lam: Lam) -> Lam:
        return lam


@dataclass(frozen=True)
class HeldCombination(LinearConstraint):
    """A combination a'(γ, φ) of the fixed effects and the logarithm of the shape."""

    row: FloatArray
    value: float

    def normal(self, chart: GeneralizedChart) -> FloatArray:
        out = np.zeros(len(chart.jacobian))
        out[len(out) - len(self.row) :] = self.row
        return out

    def restored(self, lam: Lam) -> Lam:
        *terms, rest = lam
        missing = self.value - float(self.row @ rest)
        return (*terms, rest + missing / float(self.row @ self.row) * self.row)


@dataclass(frozen=True)
class HeldVariance:
    """The variance r'ΛΛ'r = v² of a combination r'b of a term's coefficients."""

    term: int
    row: FloatArray
    sd: float

    def normal(self, chart: GeneralizedChart) -> FloatArray:
        return np.asarray(chart.jacobian @ self._slope(chart))

    def curvature(self, chart: GeneralizedChart) -> FloatArray:
        return chart.curvature(self._slope(chart))

    def _slope(self, chart: GeneralizedChart) -> FloatArray:
        """Return ∂c/∂(τ, γ, φ): c is linear in τ, Σ = Σ_i τ_i D_i."""
        parts = []
        for k, (structure, lam) in enumerate(
            zip(chart.terms.structures, chart.terms.lam, strict=True)
        ):
            directions = structure.directions(len(lam))
            own = np.zeros(len(directions))
            if k == self.term:
                own = np.einsum("a,iab,b->i", self.row, directions, self.row)
            parts.append(own)
        return np.concatenate([*parts, np.zeros(len(chart.rest))])

    def way(self, chart: GeneralizedChart) -> FloatArray:
        """Return the direction in which the term is scaled."""
        doubled = list(chart.lam)
        doubled[self.term] = 2.0 * doubled[self.term]
        return chart.step_to(tuple(doubled))

    def restored(self, lam: Lam) -> Lam:
        """Scale the term, which each structure allows."""
        length = float(np.linalg.norm(self.row @ lam[self.term]))
        if not length > 0.0:
            return lam
        own = self.sd / length * lam[self.term]
        return (*lam[: self.term], own, *lam[self.term + 1 :])

    def holds(self, lam: Lam) -> bool:
        length = float(np.linalg.norm(self.row @ lam[self.term]))
        return abs(length - self.sd) <= MISSED * self.sd


@dataclass(frozen=True)
class TangentChart:
    """Coordinates ξ of the steps that keep a constraint to first order.

    Attributes
    ----------
    inner : GeneralizedChart
    tangent : (d, k) array
        T.
    constraint : Constraint
    """

    inner: GeneralizedChart
    tangent: FloatArray
    constraint: Constraint

    @property
    def lam(self) -> Lam:
        return self.inner.lam

    @property
    def jacobian(self) -> FloatArray:
        return np.asarray(self.tangent.T @ self.inner.jacobian)

    def curvature(self, gradient: FloatArray) -> FloatArray:
        return np.asarray(self.tangent.T @ self.inner.curvature(gradient) @ self.tangent)

    def moved(self, step: FloatArray) -> Lam:
        return self.constraint.restored(self.inner.moved(self.tangent @ step))

    def step_to(self, lam: Lam) -> FloatArray:
        return np.asarray(self.tangent.T @ self.inner.step_to(lam))

    def vanished(self, after: Lam) -> Lam:
        found = self.inner.vanished(after)
        if found is after:
            return after
        restored = self.constraint.restored(found)
        return restored if self.constraint.holds(restored) else after


class PinnedObjective:
    """−2 log L of parameters that keep a constraint, as the search sees it."""

    def __init__(self, objective: LaplaceObjective, constraint: Constraint) -> None:
        self.objective, self.constraint = objective, constraint
        self.n_factorizations = 0

    def evaluate(self, lam: Lam) -> float:
        structures = self.objective.system.structures
        is_admitted = all(s.admits(own) for s, own in zip(structures, lam[:-1], strict=True))
        if not (is_admitted and self.constraint.holds(lam)):
            return np.inf
        return self.objective.evaluate(lam)

    def point(self, value: float, *, is_slow: bool) -> Point:
        own = self.objective.point(value, is_slow=is_slow)
        chart = GeneralizedChart.of(self.objective.system, own.lam)
        normal = self.constraint.normal(chart)
        tangent, hessian = np.eye(len(normal)), own.hessian
        if normal.any():
            # T'(H − μ∇²c)T
            tangent = np.linalg.qr(normal[:, None], mode="complete")[0][:, 1:]
            multiplier = self._multiplier(chart, normal, own.gradient)
            hessian = hessian - multiplier * self.constraint.curvature(chart)
        return Point(
            chart=TangentChart(chart, tangent, self.constraint),
            value=value,
            gradient=tangent.T @ own.gradient,
            hessian=tangent.T @ hessian @ tangent,
            metric=tangent.T @ own.metric @ tangent,
        )

    def multiplier(self, lam: Lam) -> float:
        """Return μ at the parameters that were evaluated last."""
        chart = GeneralizedChart.of(self.objective.system, lam)
        gradient = self.objective.gradient(chart)
        return self._multiplier(chart, self.constraint.normal(chart), gradient)

    def _multiplier(
        self, chart: GeneralizedChart, normal: FloatArray, gradient: FloatArray
    ) -> float:
        way = self.constraint.way(chart)
        return float(gradient @ way) / float(normal @ way)

    @property
    def is_exact_fit(self) -> bool:
        return self.objective.is_exact_fit

    def noise(self, value: float) -> float:
        return self.objective.noise(value)

    def resolution(self, value: float) -> float:
        return self.objective.resolution(value)

    def last_point(self, point: Point) -> Point:
        return point

    def has_stalled(self, gained: float, value: float) -> bool:
        return self.objective.has_stalled(gained, value)

    def is_lost(self, gain: float) -> bool:
        return self.objective.is_lost(gain)

    def is_hidden(self, gain: float) -> bool:
        return self.objective.is_hidden(gain)

    def refine(self) -> bool:
        return self.objective.refine()

    def describe(self, value: float) -> str:
        return self.objective.describe(value)
