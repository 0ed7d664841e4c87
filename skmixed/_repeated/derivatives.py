"""Derivatives of the likelihood of blocks in τ and φ, and the likelihood as the search sees it.

For the directions V_i = ∂V/∂θ_i, and e = y − Xγ̂ − Zb̂, Py = Ae:

    ∂d/∂θ_i = tr(PV_i) − y'PV_iPy
    ∂²d/∂θ_i∂θ_j = −tr(PV_iPV_j) + 2y'PV_iPV_jPy + tr(P V_ij) − y'P V_ij Py,

V⁻¹ in the place of P in traces for ML. With T_i = W'AV_iAW and the sums
t_ij(B) = tr(AV_iAV_jA WBW') every term is one of small matrices:

    tr(PV_iPV_j) = tr(AV_iAV_j) − 2t_ij(K) + tr(K T_i K T_j)
    y'PV_iPV_jPy = t_ij(cc') − (T_ic)'K(T_jc).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.information import pseudo_inverse
from skmixed._derivatives.objectives import RowsObjective
from skmixed._derivatives.trust_region import Point, second_order
from skmixed._model.chart import Chart, block_diagonal
from skmixed._model.residual_coordinates import ResidualCoordinates
from skmixed._repeated.likelihood import Directions, OuterTerm, RepeatedFactor, RepeatedSystem
from skmixed._typing import BoolArray, FloatArray, Lam

# Information on a coordinate in units of its distance from an end, below which it is at it.
FLAT = 1e-2
# The largest logarithm of a standard deviation, in units of least squares.
FARTHEST = 30.0


@dataclass(frozen=True)
class RepeatedDerivatives:
    """What the derivatives at one factor are made of.

    Attributes
    ----------
    factor : RepeatedFactor
    blocks : tuple of Directions
    products : (d, k, k) array
        T_i.
    traces : (d,) array
        tr(AV_i).
    """

    factor: RepeatedFactor
    blocks: tuple[Directions, ...]
    products: FloatArray
    traces: FloatArray

    @staticmethod
    def of(factor: RepeatedFactor) -> "RepeatedDerivatives":
        system, k = factor.system, len(factor.products)
        blocks = tuple(at.directions() for at in factor.blocks)
        products = np.zeros((system.n_parameters, k, k))
        traces = np.zeros(system.n_parameters)
        # T_i and tr(AV_i) of directions inside of blocks, and of ZEZ'
        for own in blocks:
            products[own.places] += own.products()
            traces[own.places] += own.traces()
        for term, at, matrix in _outer(factor):
            left = factor.products[:, term.columns]
            products[at] = left @ term.times(matrix, left.T)
            traces[at] = np.trace(term.times(matrix, factor.products[term.columns, term.columns]))
        return RepeatedDerivatives(factor, blocks, products, traces)

    @property
    def _of_effects(self) -> FloatArray:
        """U'AV_iAU, (d, u, u)."""
        return self.products[:, :-1, :-1]

    @cached_property
    def gradient(self) -> FloatArray:
        c = self.factor.residual_weights
        inner = np.einsum("iab,ab->i", self._of_effects, self.factor.for_traces)
        return np.asarray(self.traces - inner - self.products @ c @ c)

    @cached_property
    def average(self) -> FloatArray:
        """y'PV_iPV_jPy, (d, d)."""
        c = self.factor.residual_weights
        out = self._of_blocks([own.average(c) for own in self.blocks])
        for term, at, direction in _outer(self.factor):
            out[at] = out[:, at] = self._with_outer(np.outer(c, c), term, direction)
        return out - self._seen_by_effects

    @cached_property
    def _seen_by_effects(self) -> FloatArray:
        """(T_ic)'K(T_jc), (d, d)."""
        rows = (self.products @ self.factor.residual_weights)[:, :-1]
        return np.asarray(rows @ self.factor.inverse @ rows.T)

    @cached_property
    def observed(self) -> FloatArray:
        """The second derivatives of −2 log L in (τ, φ)."""
        # Those of log|S| + tr(A WBW') with B = cc' + K, or N in the place of K for ML
        c, inner = self.factor.residual_weights, self.factor.for_traces
        matrix = np.outer(c, c)
        matrix[:-1, :-1] += inner
        out = self._of_blocks([own.observed(matrix) for own in self.blocks])
        for term, at, direction in _outer(self.factor):
            # −tr(AV_iAV_j) + 2t_ij(B)
            square = self.products[:, term.columns, term.columns]
            plain = np.array([np.trace(term.times(direction, own)) for own in square])
            out[at] = out[:, at] = 2.0 * self._with_outer(matrix, term, direction) - plain
        # −tr(KT_iKT_j), and what effects see of y
        left = inner @ self._of_effects
        d = len(left)
        out -= left.reshape(d, -1) @ left.transpose(0, 2, 1).reshape(d, -1).T
        out -= 2.0 * self._seen_by_effects
        return (out + out.T) / 2.0

    def _of_blocks(self, parts: list[FloatArray]) -> FloatArray:
        """Add up matrices of the parameters of each group of blocks, (d, d)."""
        out = np.zeros((len(self.traces),) * 2)
        for own, part in zip(self.blocks, parts, strict=True):
            out[np.ix_(own.places, own.places)] += part
        return out

    def _with_outer(self, matrix: FloatArray, term: OuterTerm, direction: FloatArray) -> FloatArray:
        """t_ij(B) of every V_i and V_j = ZEZ', tr(E T_i[Z, :] B W'AZ); (d,)."""
        right = matrix @ self.factor.products[:, term.columns]
        rows = term.times(direction, np.ascontiguousarray(right.T))
        return np.asarray(np.einsum("izk,zk->i", self.products[:, term.columns], rows))


def _outer(factor: RepeatedFactor) -> list[tuple[OuterTerm, int, FloatArray]]:
    """Return each direction of an outer term with its place among the parameters."""
    return [
        (term, term.place.start + k, matrix)
        for term in factor.system.outer
        for k, matrix in enumerate(term.directions)
    ]


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
    def to_end(self) -> FloatArray:
        """That of the coordinates of the residuals' covariance; those of Λ have no end."""
        own = [np.full(len(self.terms.jacobian), np.inf)] if self.terms.lam else []
        return np.concatenate([*own, self.residual.to_end])

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
        n = self.residual.size
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


@dataclass(frozen=True)
class RepeatedInformation:
    """The derivatives of −2 log L at an optimum, in τ and φ and in coordinates.

    Attributes
    ----------
    chart : JointChart
    found : RepeatedDerivatives
    """

    chart: JointChart
    found: RepeatedDerivatives

    @staticmethod
    def of(factor: RepeatedFactor) -> "RepeatedInformation":
        chart = JointChart.of(factor.system, factor.lam)
        return RepeatedInformation(chart, RepeatedDerivatives.of(factor))

    @cached_property
    def hessian(self) -> FloatArray:
        """The observed second derivatives in the coordinates."""
        jacobian, found = self.chart.jacobian, self.found
        return jacobian @ found.observed @ jacobian.T + self.chart.curvature(found.gradient)

    @cached_property
    def is_free(self) -> BoolArray:
        """Which coordinates are not at an end: next to it, where the criterion is flat."""
        # H d² of a coordinate whose end is d away; an inner optimum has the rows that inform it
        scale = self.chart.to_end
        near = np.isfinite(scale)
        flat = np.abs(np.diagonal(self.hessian)) * np.where(near, scale, 1.0) ** 2 < FLAT
        return ~(near & flat)

    @property
    def free(self) -> tuple[FloatArray, FloatArray]:
        """The gradient and Hessian in the coordinates that are at no boundary."""
        own = np.flatnonzero(self.is_free)
        return (self.chart.jacobian @ self.found.gradient)[own], self.hessian[np.ix_(own, own)]

    @cached_property
    def errors(self) -> FloatArray:
        """The covariance of the estimates of the coordinates; 0 of those at a boundary."""
        own, out = np.flatnonzero(self.is_free), np.zeros_like(self.hessian)
        out[np.ix_(own, own)] = 2.0 * pseudo_inverse(self.free[1])
        return out

    @property
    def of_terms(self) -> list[FloatArray]:
        """The gradient in τ of each term."""
        system = self.found.factor.system
        pairs = zip(system.structures, system.sizes, strict=True)
        ends = np.cumsum([len(structure.directions(size)) for structure, size in pairs])
        return np.split(self.found.gradient[: system.n_tau], ends[:-1]) if len(ends) else []


def strata_at_end(factor: RepeatedFactor) -> tuple[int, ...]:
    """Return the strata of which a correlation, or a variance given others, is at an end."""
    chart = JointChart.of(factor.system, factor.lam)
    if not np.isfinite(chart.to_end).any():
        return ()
    is_free = RepeatedInformation.of(factor).is_free[-chart.residual.size :]
    held = np.flatnonzero(~is_free)
    # The first parameter of the strata that a coordinate moves
    first = np.argmax(chart.residual.jacobian[held] != 0.0, axis=1)
    return tuple(np.unique(first // chart.residual.own.shape[1]).tolist())


class RepeatedObjective(RowsObjective):
    """The criterion of blocks, by average information, or by exact second derivatives."""

    def __init__(self, system: RepeatedSystem) -> None:
        self.system, self.n_summed = system, system.n_rows
        self.latest: RepeatedFactor | None = None
        self.n_factorizations = 0
        self.is_exact_fit = False

    @property
    def factor(self) -> RepeatedFactor:
        """The latest factor."""
        if self.latest is None:
            raise np.linalg.LinAlgError("The residual covariance is not positive definite.")
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
        return value if np.isfinite(value) and self.latest.has_digits else np.inf

    def point(self, value: float, *, is_slow: bool) -> Point:
        with np.errstate(all="ignore"):
            found = RepeatedDerivatives.of(self.factor)
            hessian = found.observed if is_slow else found.average
            chart = JointChart.of(self.system, self.factor.lam)
            return second_order(chart, value, found.gradient, hessian, found.average)
