"""First and second derivatives of the likelihood of blocks, in τ and φ.

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

from skmixed._repeated.directions import Directions, directions_of
from skmixed._repeated.likelihood import OuterTerm, RepeatedFactor
from skmixed._typing import FloatArray


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
        blocks = tuple(directions_of(at, system.residual, factor.phi) for at in factor.blocks)
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
        rows = (self.products @ c)[:, :-1]
        return self._sums(np.outer(c, c)) - rows @ self.factor.inverse @ rows.T

    @cached_property
    def expected(self) -> FloatArray:
        """tr(PV_iPV_j), or for ML tr(V⁻¹V_iV⁻¹V_j): twice the expected information."""
        inverse = self.factor.for_traces
        padded = np.zeros_like(self.factor.products)
        padded[:-1, :-1] = inverse
        left = inverse @ self._of_effects
        d = len(left)
        squares = left.reshape(d, -1) @ left.transpose(0, 2, 1).reshape(d, -1).T
        return self._expected(padded) + squares

    @cached_property
    def observed(self) -> FloatArray:
        """The second derivatives of −2 log L in (τ, φ)."""
        out = 2.0 * self.average - self.expected
        c = self.factor.residual_weights
        both = np.outer(c, c)
        both[:-1, :-1] += self.factor.for_traces
        # ⟨A − A WBW' A, ∂²S⟩ with B = cc' + K
        for own in self.blocks:
            for place, bend in own.curvature(both):
                out[place, place] += bend
        return (out + out.T) / 2.0

    def _expected(self, matrix: FloatArray) -> FloatArray:
        """tr(AV_iAV_j) − 2t_ij(B) for symmetric B, (k, k); (d, d)."""
        out = np.zeros_like(self.traces, shape=(len(self.traces),) * 2)
        for own in self.blocks:
            out[np.ix_(own.places, own.places)] += own.expected(matrix)
        for term, at, direction in _outer(self.factor):
            square = self.products[:, term.columns, term.columns]
            plain = np.array([np.trace(term.times(direction, own)) for own in square])
            out[at] = out[:, at] = plain - 2.0 * self._with_outer(matrix, term, direction)
        return out

    def _sums(self, matrix: FloatArray) -> FloatArray:
        """t_ij(B) for symmetric B, (k, k); (d, d)."""
        out = np.zeros_like(self.traces, shape=(len(self.traces),) * 2)
        for own in self.blocks:
            out[np.ix_(own.places, own.places)] += own.inner(matrix)
        for term, at, direction in _outer(self.factor):
            out[at] = out[:, at] = self._with_outer(matrix, term, direction)
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
