"""Derivatives of the covariance of blocks, contracted with their rows and inverses.

With A = S⁻¹ of each block, its directions S_i = ∂S/∂θ_i and rows W, the derivatives of
the likelihood need sums over blocks of

    tr(AS_i),  W'AS_iAW,  tr(AS_iAS_j),  tr(AS_iAS_jA WBW'),  ⟨A − AWBW'A, ∂²S⟩.

The S_i are explicit, or, where S is a submatrix of one matrix over all visits, given by
the derivatives of that: then the sums run over pairs of visits, whatever the number of
patterns, and of parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._model.residual import Residual, ResidualAt
from skmixed._model.time_points import TimePoints
from skmixed._repeated.blocks import BlocksAt
from skmixed._typing import FloatArray


class Directions(Protocol):
    """The directions of some blocks at one Λ and φ."""

    @property
    def places(self) -> list[int]:
        """Which parameters they are of."""

    def traces(self) -> FloatArray:
        """Return tr(AS_i), (d,)."""

    def products(self) -> FloatArray:
        """Return W'AS_iAW, (d, k, k)."""

    def expected(self, matrix: FloatArray) -> FloatArray:
        """Return tr(AS_iAS_j) − 2tr(AS_iAS_jA WBW') for symmetric B, (k, k); (d, d)."""

    def inner(self, matrix: FloatArray) -> FloatArray:
        """Return tr(AS_iAS_jA WBW') for symmetric B, (k, k); (d, d)."""

    def curvature(self, matrix: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Return ⟨A − AWBW'A, ∂²S/∂φ∂φ'⟩ of each stratum."""

    def pair_products(self, weights: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij W'AS_iAS_jAW for w over all parameters, (k, k)."""

    def second_products(self, weights: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij W'A ∂²S/∂θ_i∂θ_j AW for w over all parameters, (k, k)."""


def directions_of(at: BlocksAt, residual: Residual, phi: FloatArray) -> Directions:
    """Return the directions of blocks in the form that takes fewer operations."""
    group = at.group
    is_of_visits = (
        not group.terms
        and len(group.strata) == 1
        and group.strata[0].same is None
        and residual.is_of_visits
    )
    # b·d·n³ + b·d²·n² operations against b·m⁴
    if is_of_visits and residual.m**2 <= residual.n_own * group.places.shape[1]:
        stratum = group.strata[0]
        own = residual.evaluate(phi[residual.of_stratum(stratum.number)], residual.all_visits)
        return VisitDirections(at, stratum.place, own)
    places, matrices = at.directions()
    return ExplicitDirections(at, places, at.inverse @ matrices)


@dataclass(frozen=True)
class ExplicitDirections:
    """Directions as matrices of the blocks.

    Attributes
    ----------
    at : BlocksAt
    places : list of int
    left : (d, b, n, n) array
        AS_i.
    """

    at: BlocksAt
    places: list[int]
    left: FloatArray

    def traces(self) -> FloatArray:
        return np.trace(self.left, axis1=2, axis2=3) @ self.at.group.counts

    def products(self) -> FloatArray:
        return self.at.group.products.quadratic(self.left @ self.at.inverse)

    def expected(self, matrix: FloatArray) -> FloatArray:
        last = -2.0 * (self.at.inverse @ self.at.group.products.gram(matrix))
        diagonal = np.arange(last.shape[1])
        last[:, diagonal, diagonal] += self.at.group.counts[:, None]
        return self._pairs(last)

    def inner(self, matrix: FloatArray) -> FloatArray:
        return self._pairs(self.at.inverse @ self.at.group.products.gram(matrix))

    def _pairs(self, last: FloatArray) -> FloatArray:
        """Σ tr(AS_i AS_j M) for M, (b, n, n)."""
        d = len(self.left)
        right = (self.left @ last).reshape(d, -1)
        return self.left.transpose(0, 1, 3, 2).reshape(d, -1) @ right.T

    def curvature(self, matrix: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        return self.at.curvature(_slope(self.at, matrix))

    def pair_products(self, weights: FloatArray) -> FloatArray:
        mixed = np.tensordot(weights[np.ix_(self.places, self.places)], self.left, 1)
        middle = (self.left @ mixed).sum(axis=0) @ self.at.inverse
        return self.at.group.products.quadratic(middle[None])[0]

    def second_products(self, weights: FloatArray) -> FloatArray:
        middle = self.at.inverse @ self.at.mixture(weights) @ self.at.inverse
        return self.at.group.products.quadratic(middle[None])[0]


def _slope(at: BlocksAt, matrix: FloatArray) -> FloatArray:
    """Return A − A WBW' A, (b, n, n)."""
    group = at.group
    seen = at.inverse @ group.products.gram(matrix) @ at.inverse
    return group.counts[:, None, None] * at.inverse - seen


@dataclass(frozen=True)
class VisitDirections:
    """Directions of one covariance of all visits, of which blocks have submatrices.

    Attributes
    ----------
    at : BlocksAt
    place : slice
        TimePoints of the parameters of the stratum.
    whole : ResidualAt
        R of a subject with all visits.
    """

    at: BlocksAt
    place: slice
    whole: ResidualAt

    @property
    def places(self) -> list[int]:
        return list(range(self.place.start, self.place.stop))

    @cached_property
    def _first(self) -> FloatArray:
        """J_i, (d, m·m)."""
        return self.whole.first.reshape(len(self.places), -1)

    @property
    def _m(self) -> int:
        return self.whole.places.shape[1]

    @property
    def _visits(self) -> TimePoints:
        return self.at.group.places

    def _embedded(self, matrices: FloatArray) -> FloatArray:
        """Lay matrices of the blocks, (b, n, n), in those of all visits, (b, m, m)."""
        visit, m = self._visits.visit, self._m
        out = np.zeros((len(matrices), m, m))
        out[np.arange(len(matrices))[:, None, None], visit[:, :, None], visit[:, None, :]] = (
            matrices
        )
        return out

    @cached_property
    def _inverse(self) -> FloatArray:
        """A of the blocks among all visits, (b, m·m)."""
        return self._embedded(self.at.inverse).reshape(len(self.at.inverse), -1)

    @cached_property
    def _outer(self) -> FloatArray:
        """Σ A ww' A for all pairs of visits, (m·m, k·k)."""
        group = self.at.group
        found = group.products.sandwich(self.at.inverse, self._visits.visit, self._m)
        return found.reshape(self._m**2, -1)

    def _squared(self, entries: FloatArray) -> FloatArray:
        k = round(self._outer.shape[1] ** 0.5)
        return (entries @ self._outer).reshape(-1, k, k)

    def traces(self) -> FloatArray:
        return self._first @ (self.at.group.counts @ self._inverse)

    def products(self) -> FloatArray:
        return self._squared(self._first)

    def expected(self, matrix: FloatArray) -> FloatArray:
        plain = self._pairs(self.at.group.counts[:, None] * self._inverse)
        return plain - 2.0 * self.inner(matrix)

    def inner(self, matrix: FloatArray) -> FloatArray:
        inverse = self.at.inverse
        seen = inverse @ self.at.group.products.gram(matrix) @ inverse
        return self._pairs(self._embedded(seen).reshape(len(seen), -1))

    def _pairs(self, last: FloatArray) -> FloatArray:
        """Σ tr(J_i A J_j Y) for Y, (b, m·m)."""
        m = self._m
        # Σ_b A_bc Y_da, as a matrix of pairs ab and cd
        sums = (self._inverse.T @ last).reshape(m, m, m, m)
        middle = sums.transpose(3, 0, 1, 2).reshape(m * m, m * m)
        return self._first @ middle @ self._first.T

    def curvature(self, matrix: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        slope = self._visits.laid(_slope(self.at, matrix), self._m)
        yield self.place, self.whole.curvature(slope[None])

    def pair_products(self, weights: FloatArray) -> FloatArray:
        m, inverse = self._m, self.at.inverse
        # Σ_ij w_ij J_i[a, b] J_j[c, d], applied to each A_bc
        pairs = self._first.T @ weights[self.place, self.place] @ self._first
        pairs = pairs.reshape(m, m, m, m).transpose(1, 2, 0, 3).reshape(m * m, m * m)
        mixed = (self._inverse @ pairs).reshape(-1, m, m)
        visit = self._visits.visit
        own = mixed[np.arange(len(mixed))[:, None, None], visit[:, :, None], visit[:, None, :]]
        return self.at.group.products.quadratic((inverse @ own @ inverse)[None])[0]

    def second_products(self, weights: FloatArray) -> FloatArray:
        mixture = self.whole.mixture(weights[self.place, self.place])
        return self._squared(mixture.reshape(1, -1))[0]
