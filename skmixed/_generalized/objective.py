"""Laplace's approximation as the search sees it: a function of Λ, γ and φ."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._derivatives.objectives import STALLED_OF_ROWS, RowsObjective
from skmixed._derivatives.trust_region import Point, absolute, second_order
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.modes import LinearPredictor, Mode, find_mode
from skmixed._generalized.quadrature import AdaptiveQuadrature, NormalRule
from skmixed._generalized.system import GeneralizedSystem
from skmixed._model.chart import Chart, block_diagonal
from skmixed._typing import FloatArray, Lam

# The largest logarithm of a shape that is tried.
FARTHEST_SHAPE = 30.0
# Operations of the exact second derivatives up to which each step takes them.
MOST_OPERATIONS = 2e8


@dataclass(frozen=True)
class GeneralizedChart:
    """Coordinates around Λ, and (γ, φ) as they are.

    Attributes
    ----------
    terms : Chart
    rest : (p,) array
    """

    terms: Chart
    rest: FloatArray

    @staticmethod
    def of(system: GeneralizedSystem, lam: Lam) -> "GeneralizedChart":
        *terms, rest = lam
        return GeneralizedChart(Chart.of(system.structures, tuple(terms)), rest)

    @property
    def lam(self) -> Lam:
        return (*self.terms.lam, self.rest)

    @cached_property
    def jacobian(self) -> FloatArray:
        return block_diagonal([self.terms.jacobian, np.eye(len(self.rest))])

    def curvature(self, gradient: FloatArray) -> FloatArray:
        n = len(self.rest)
        bend = self.terms.curvature(gradient[: len(gradient) - n])
        return block_diagonal([bend, np.zeros((n, n))])

    def moved(self, step: FloatArray) -> Lam:
        n = len(step) - len(self.rest)
        return (*self.terms.moved(step[:n]), self.rest + step[n:])

    def step_to(self, lam: Lam) -> FloatArray:
        *terms, rest = lam
        own = [self.terms.step_to(tuple(terms))] if terms else []
        return np.concatenate([*own, rest - self.rest])

    def vanished(self, after: Lam) -> Lam:
        *terms, rest = after
        own = self.terms.vanished(tuple(terms))
        is_same = all(new is old for new, old in zip(own, terms, strict=True))
        return after if is_same else (*own, rest)


@dataclass(frozen=True)
class _Anchor:
    """A mode from which those nearby are predicted: ρ, its derivatives, and (τ, γ, φ)."""

    scores: FloatArray
    slopes: FloatArray
    parameters: FloatArray


class LaplaceObjective(RowsObjective):
    """−2 log L by Laplace's approximation, with exact derivatives."""

    def __init__(self, system: GeneralizedSystem) -> None:
        self.system, self.n_summed = system, system.total_weight
        self.stalled = STALLED_OF_ROWS / system.rows_per_weight
        self.lam: Lam | None = None
        self.latest: Mode | None = None
        self.value = np.inf
        self.n_factorizations = 0
        self._anchor: _Anchor | None = None
        # What the last exact Hessian of a large system differed by from the approximate one
        self._correction: FloatArray | float = 0.0

    @property
    def mode(self) -> Mode:
        """The latest mode."""
        assert self.latest is not None
        return self.latest

    def begin(self, lam: Lam, scores: FloatArray) -> None:
        """Look for the first mode from scores that are near it."""
        at = self._parameters(lam)
        self._anchor = _Anchor(scores, np.zeros((len(scores), len(at))), at)

    def evaluate(self, lam: Lam) -> float:
        if lam is self.lam:
            return self.value
        self.n_factorizations += 1
        *terms, rest = lam
        gamma, phi = self.system.split(rest)
        # From where the slopes of the latest model lead, from the latest effects, or from none
        for start in self._starts(tuple(terms), gamma, lam):
            if abs(phi) > FARTHEST_SHAPE:
                return np.inf
            try:
                with np.errstate(all="ignore"):
                    mode = find_mode(self.system, tuple(terms), phi, start)
            except np.linalg.LinAlgError:
                continue
            value = self._value(mode)
            if np.isfinite(value):
                self.latest, self.lam, self.value = mode, lam, value
                return value
        return np.inf

    def resume(self, lam: Lam, mode: Mode) -> None:
        """Take up a mode that was found before."""
        self.lam, self.latest, self.value = lam, mode, self._value(mode)

    def point(self, value: float, *, is_slow: bool) -> Point:
        lam = self._latest_lam()
        with np.errstate(all="ignore"):
            # The exact Hessian, or in large systems what is known of it
            chart = GeneralizedChart.of(self.system, lam)
            is_exact = self._operations <= MOST_OPERATIONS
            is_exact = is_exact or (is_slow and isinstance(self._correction, float))
            found = LaplaceDerivatives(self.mode, is_exact)
            hessian = found.hessian if is_exact else found.approximate + self._correction
            if is_exact and is_slow:
                self._correction = hessian - found.approximate
            self._set_anchor(found, chart)
            return second_order(chart, value, found.gradient, hessian, found.metric)

    def _latest_lam(self) -> Lam:
        """Return the latest parameters; refuse to model what was nowhere defined."""
        if self.lam is None:
            raise np.linalg.LinAlgError("The likelihood is defined at none of the starts.")
        return self.lam

    def gradient(self, chart: GeneralizedChart) -> FloatArray:
        """Return the gradient at the latest mode in the coordinates of a chart around its Λ."""
        with np.errstate(all="ignore"):
            return np.asarray(chart.jacobian @ LaplaceDerivatives(self.mode).gradient)

    def _value(self, mode: Mode) -> float:
        return mode.value

    def _set_anchor(self, found: LaplaceDerivatives, chart: GeneralizedChart) -> None:
        at = self._parameters(chart.lam)
        self._anchor = _Anchor(self.mode.effects.scores, found.of_scores, at)

    @property
    def _operations(self) -> float:
        """Of the exact second derivatives, about: a product of the core for each parameter."""
        n_parameters = self.system.n_fixed + self.system.n_shape
        n_parameters += sum(map(len, self.system.parameters.directions))
        return n_parameters * float(self.system.layout.system.n_core) ** 3

    def _parameters(self, lam: Lam) -> FloatArray:
        """Return (τ, γ, φ)."""
        *terms, rest = lam
        pairs = zip(self.system.structures, terms, strict=True)
        return np.concatenate([*(s.coordinates(own @ own.T) for s, own in pairs), rest])

    def _starts(self, terms: Lam, gamma: FloatArray, lam: Lam) -> Iterator[LinearPredictor]:
        """Yield effects to start from."""
        anchor = self._anchor
        if anchor is not None:
            step = self._parameters(lam) - anchor.parameters
            predicted = anchor.scores + anchor.slopes @ step
            yield LinearPredictor.of(self.system, terms, gamma, predicted)
        if self.latest is not None:
            yield LinearPredictor.of(self.system, terms, gamma, self.latest.effects.scores)
        yield LinearPredictor.of(self.system, terms, gamma, np.zeros(self.system.n_random))

    @property
    def is_exact_fit(self) -> bool:
        return self.mode.phi > self.system.family.exact_phi


class EffectlessObjective(LaplaceObjective):
    """−2 log L at Λ = 0, of γ and φ alone: a search from there stays there.

    In δ the gradient is 0 at Λ = 0, and the Hessian has nothing between δ and (γ, φ).
    """

    def point(self, value: float, *, is_slow: bool) -> Point:
        own = super().point(value, is_slow=is_slow)
        n = len(own.gradient) - self.system.n_fixed - self.system.n_shape
        hessian = own.hessian.copy()
        hessian[:n, :n] = np.eye(n)
        return replace(own, hessian=hessian)


class QuadratureObjective(LaplaceObjective):
    """−2 log L by adaptive quadrature with n nodes for each coefficient of one factor."""

    def __init__(self, system: GeneralizedSystem, n_nodes: int) -> None:
        super().__init__(system)
        self.rule = NormalRule.of(n_nodes, sum(system.sizes))

    def _value(self, mode: Mode) -> float:
        with np.errstate(all="ignore"):
            return AdaptiveQuadrature(mode, self.rule).value

    def point(self, value: float, *, is_slow: bool) -> Point:  # noqa: ARG002
        lam = self._latest_lam()
        with np.errstate(all="ignore"):
            chart = GeneralizedChart.of(self.system, lam)
            self._set_anchor(LaplaceDerivatives(self.mode), chart)
            found = self._at(chart)
            hessian, positive = found.curvature(chart.terms)
            gradient = found.gradient(chart.terms)
            return Point(chart, value, gradient, hessian, absolute(positive))

    def gradient(self, chart: GeneralizedChart) -> FloatArray:
        with np.errstate(all="ignore"):
            return self._at(chart).gradient(chart.terms)

    def second_derivatives(self, chart: GeneralizedChart) -> FloatArray:
        """Return the Hessian at the latest mode in the coordinates of a chart around its Λ."""
        with np.errstate(all="ignore"):
            return self._at(chart).curvature(chart.terms)[0]

    def _at(self, chart: GeneralizedChart) -> AdaptiveQuadrature:
        """Return the integral at the latest mode, with Λ as the chart has it."""
        return AdaptiveQuadrature(replace(self.mode, lam=chart.terms.lam), self.rule)
